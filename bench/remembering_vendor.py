"""`hanse` with clouds that cost nothing: `python -m bench.remembering_vendor serve`.

Such a cloud has what is wanted of it, each space with the tag it began with until that is changed. So what a process
takes that works on it is Hanse's own, and the estate may be as large as one likes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from msgspec.structs import replace as replace_fields

from hanse import main
from hanse.model import Done, Find, Key, Native, Outcome, Owner, Resource, Step, Value
from hanse.observed import Observation
from hanse.platforms.memory import MemoryPlatform
from hanse.platforms.memory.platform import VENDOR as IN_MEMORY
from hanse.ports.platform import PlatformIdentity, Scope
from hanse.ports.transport import Transport

TAGS = ("environment=prod",)
"""Of each space, to begin with."""


class Platform(MemoryPlatform):
    """Compiles as the platform in memory."""

    hints = None  # type: ignore[assignment]

    def __init__(self, identity: PlatformIdentity, transport: Transport) -> None:
        super().__init__(identity, transport)
        self._name = identity.name
        self._tags: dict[Key, Value] = {}

    async def observe(self, scope: Scope) -> Observation:
        """What is wanted is there."""
        found: dict[Find, tuple[Native, ...]] = {find: (_native(find),) for find in scope.finds}
        resources: dict[Owner, list[Resource]] = {}
        for wanted in scope.wanted:
            resources.setdefault(wanted.owner, []).append(self._seen(wanted, found))
        owners = None if scope.owners is None else frozenset(scope.owners)
        of_owners = {owner: tuple(many) for owner, many in resources.items()}
        return Observation(self._name, datetime.now(UTC), owners, of_owners, found=found)

    async def perform(self, step: Step) -> Outcome:
        """Only tags change."""
        assert step.kind == "space"
        self._tags[step.key] = step.after["tags"]
        return Done(step.native_id)

    def _seen(self, wanted: Resource, found: dict[Find, tuple[Native, ...]]) -> Resource:
        attributes: dict[str, Value] = {
            name: found[value][0] if isinstance(value, Find) else value
            for name, value in wanted.attributes.items()
        }
        if wanted.kind == "space":
            attributes["tags"] = self._tags.get(wanted.key, TAGS)
            return replace_fields(wanted, attributes=attributes, native_id=str(wanted.key), sources=())
        return replace_fields(wanted, key=wanted.key.child("="), attributes=attributes, sources=())


def _native(find: Find) -> Native:
    name = dict(find.by)["name"]
    return Native(find.kind, str(name), name)


VENDOR = replace(IN_MEMORY, platform=Platform)

if __name__ == "__main__":
    main.VENDORS["memory"] = "bench.remembering_vendor"
    main.run()
