"""A model of a cloud, small enough to be believed: what plans are carried out on in the tests of plan.make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hanse.desired.compiled import Compiled
from hanse.model import Find, Foreign, Key, Native, Owner, Ref, Resource, Step, Value, owner_of
from hanse.observed import Observation, mark
from hanse.plan import Plan, Rules
from hanse.platforms.memory.kinds import KINDS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPECS = {kind.name: kind for kind in KINDS}
RULES = Rules(SPECS)

Attributes = dict[str, Value]
Ends = tuple[str, ...]


@dataclass
class Thing:
    """A thing; its references are native ids."""

    kind: str
    key: Key | None
    attributes: Attributes


@dataclass
class Model:
    """Things by native id, and links by their ends."""

    platform: str = "cloud"
    things: dict[str, Thing] = field(default_factory=dict)
    links: dict[Ends, Attributes] = field(default_factory=dict)
    natives: dict[Find, tuple[Native, ...]] = field(default_factory=dict)
    """What is found; a find that is not named here finds exactly one."""
    workload: set[str] = field(default_factory=set)
    made: int = 0

    def add(self, kind: str, attributes: Attributes, key: Key | None = None) -> str:
        """Put a thing there; its native id."""
        self.made += 1
        native_id = f"{kind}-{self.made}"
        self.things[native_id] = Thing(kind, key, attributes)
        return native_id

    def ours(self) -> dict[Key, str]:
        """Native id by key."""
        return {thing.key: native_id for native_id, thing in self.things.items() if thing.key is not None}

    def find(self, find: Find) -> tuple[Native, ...]:
        """What is found."""
        return self.natives.get(find, (Native(find.kind, f"id-{find.by[0][1]}", find.by[0][1]),))

    def observe(self, *compiled: Compiled, owners: Iterable[Owner] | None = None) -> Observation:
        """All there is, with what these owners look for."""
        finds = {
            value
            for one in compiled
            for resource in (*one.resources, *one.tolerated)
            for value in resource.attributes.values()
            if isinstance(value, Find)
        }
        resources: dict[Owner, tuple[Resource, ...]] = {}
        foreign: list[Foreign] = []
        for native_id, thing in self.things.items():
            if thing.key is None:
                foreign.append(Foreign(thing.kind, native_id, thing.attributes))
            else:
                owner = owner_of(thing.key, self.platform)
                seen = Resource(thing.key, thing.kind, self._referring(thing.attributes), owner, native_id)
                resources[owner] = (*resources.get(owner, ()), seen)
        for ends, attributes in self.links.items():
            spec = SPECS[ends[0]]
            seen_attributes = self._referring(attributes)
            home = seen_attributes[spec.within[-1]]
            if isinstance(home, Ref):
                owner = owner_of(home.key, self.platform)
                key = home.key.child("/".join(f"={end}" for end in ends))
                link = Resource(
                    key, ends[0], seen_attributes, owner, workload=not self.workload.isdisjoint(ends)
                )
                resources[owner] = (*resources.get(owner, ()), link)
        return Observation(
            self.platform,
            NOW,
            None if owners is None else frozenset(owners),
            resources,
            tuple(foreign),
            {find: self.find(find) for find in finds},
        )

    def carry_out(self, plan: Plan) -> None:
        """Do all steps, in order. A step that a cloud would refuse, or that comes too early, fails the test."""
        done: set[Key] = set()
        keys = {step.key for step in plan.steps}
        for step in plan.steps:
            assert done.issuperset(keys.intersection(step.needs)), f"{step.key} comes before what it needs"
            self.do(step)
            done.add(step.key)

    def do(self, step: Step) -> None:
        """One step."""
        spec = SPECS[step.kind]
        attributes = self._resolved(step.after or step.before)
        if spec.ends:
            ends = (step.kind, *(mark(attributes[name]) for name in spec.ends))
            if step.action == "delete":
                del self.links[ends]
            else:
                assert ends not in self.links
                self.links[ends] = attributes
        elif step.action == "create":
            self._unique(step.kind, attributes, "")
            assert step.key not in self.ours()
            self.add(step.kind, attributes, step.key)
        elif step.action == "delete":
            assert self.things[step.native_id].key == step.key
            del self.things[step.native_id]
            self.links = {
                e: a
                for e, a in self.links.items()
                if step.native_id not in {mark(a[n]) for n in SPECS[e[0]].within}
            }
        else:
            thing = self.things[step.native_id]
            assert thing.key == (None if step.action == "adopt" else step.key)
            self._unique(step.kind, thing.attributes | attributes, step.native_id)
            thing.key = step.key
            thing.attributes = thing.attributes | attributes

    def _unique(self, kind: str, attributes: Attributes, but: str) -> None:
        for native_id, thing in self.things.items():
            if thing.kind == kind and native_id != but:
                same = all(thing.attributes.get(n) == attributes.get(n) for n in SPECS[kind].unique)
                assert not same, f"{native_id} has that name already"

    def _resolved(self, attributes: Attributes) -> Attributes:
        ours = self.ours()
        return {
            name: Native(ours[value.key].split("-", maxsplit=1)[0], ours[value.key])
            if isinstance(value, Ref)
            else value
            for name, value in attributes.items()
        }

    def _referring(self, attributes: Attributes) -> Attributes:
        keys = {native_id: thing.key for native_id, thing in self.things.items() if thing.key is not None}
        return {
            name: Ref(keys[value.id]) if isinstance(value, Native) and value.id in keys else value
            for name, value in attributes.items()
        }
