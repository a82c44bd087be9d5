"""What a platform was seen to be: dated, and honest about what could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from hanse.model import Find, Foreign, Key, Native, Owner, Ref, Resource, Value


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
    def _references(self) -> dict[Key, set[Owner]]:
        owners: dict[Key, set[Owner]] = {}
        for owner, many in self.resources.items():
            for resource in many:
                for value in resource.attributes.values():
                    if type(value) is Ref:
                        owners.setdefault(value.key, set()).add(owner)
        return owners

    def is_shared(self, key: Key, owner: Owner) -> bool:
        """Whether things of other owners, as far as seen, refer to that thing."""
        return bool(self._references.get(key, set()) - {owner})

    @cached_property
    def _foreign_ends(self) -> frozenset[str]:
        return frozenset(
            value.id for thing in self.foreign for value in thing.attributes.values() if type(value) is Native
        )

    def holds_foreign(self, native_id: str) -> bool:
        """Whether a foreign thing refers to the native thing with that id, such as a project in our domain."""
        return native_id in self._foreign_ends

    @cached_property
    def _foreign_named(self) -> dict[str, dict[tuple[str, ...], str]]:
        return {}

    def foreign_named(self, kind: str, unique: tuple[str, ...]) -> dict[tuple[str, ...], str]:
        """Native ids of foreign things of a kind by the marks of its unique attributes."""
        index = self._foreign_named.get(kind)
        if index is None:
            index = {
                tuple(mark(thing.attributes.get(name)) for name in unique): thing.native_id
                for thing in self.foreign
                if thing.kind == kind
            }
            self._foreign_named[kind] = index
        return index


def mark(value: Value) -> str:
    """A value in a form that is equal for equal ends, whether found or referred to."""
    if type(value) is Native:
        return value.id or f"{value.kind} {value.name}"
    if type(value) is Ref:
        return str(value.key)
    return str(value)
