"""What a platform was seen to be: dated, and honest about what could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from hanse.model import Find, Foreign, Key, Native, Owner, Ref, Resource


@dataclass(frozen=True)
class Observation:
    """The things of one scope as they were at `taken_at`."""

    platform: str
    taken_at: datetime
    owners: frozenset[Owner] | None
    """Whose things were looked for; None: a sweep, everybody's."""
    resources: dict[Owner, tuple[Resource, ...]] = field(default_factory=dict)
    """Ours, by owner, with the links at our things, extra ones included."""
    foreign: tuple[Foreign, ...] = ()
    """Unstamped things that matter: those of a wanted name or id, those within our things, inherited grants."""
    found: dict[Find, tuple[Native, ...]] = field(default_factory=dict)
    """What was found for each thing that is used and not owned; none or several means no step."""
    incomplete: dict[str, str] = field(default_factory=dict)
    """Kind to reason, where not everything could be read. Absence of such a kind proves nothing."""
    twins: tuple[tuple[Key, tuple[str, ...]], ...] = ()
    """Stamps that several live things carry, with their native ids: an error, no step."""

    def of(self, owner: Owner) -> tuple[Resource, ...]:
        """What was seen of one owner."""
        return self.resources.get(owner, ())

    def covers(self, owner: Owner) -> bool:
        """Whether this observation can speak of that owner at all."""
        return self.owners is None or owner in self.owners

    @cached_property
    def natives(self) -> dict[Key, str]:
        """Native id of every stamped thing seen, whoever owns it."""
        return {r.key: r.native_id for many in self.resources.values() for r in many if r.native_id}

    @cached_property
    def foreign_by_id(self) -> dict[tuple[str, str], Foreign]:
        """Foreign things by kind and native id."""
        return {(thing.kind, thing.native_id): thing for thing in self.foreign}

    @cached_property
    def referred(self) -> frozenset[Key | str]:
        """Keys and native ids that things of any owner, or foreign things, refer to."""
        seen: set[Key | str] = set()
        for many in self.resources.values():
            for resource in many:
                for value in resource.attributes.values():
                    if isinstance(value, Ref) and value.key not in (resource.key,):
                        seen.add(value.key)
        for thing in self.foreign:
            seen.update(value.id for value in thing.attributes.values() if isinstance(value, Native))
        return frozenset(seen)
