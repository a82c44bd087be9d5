"""Compare what one owner shall have with what was seen of it.

Every choice is made here. The clock, the network and the manifest are not known here: an instant is already in
the compiled resources, and a reason points at declarations by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from hanse.desired.compiled import Compiled
from hanse.desired.source import people_sources
from hanse.model import (
    Cause,
    Find,
    Key,
    KindSpec,
    Native,
    Owner,
    Reason,
    Ref,
    Remark,
    Resource,
    Step,
    Value,
    owner_of,
)
from hanse.observed import Observation, mark
from hanse.plan.order import in_order
from hanse.plan.plan import Plan

Ends = tuple[str, ...]
Identity = tuple[str, ...]


class Rules(Struct, frozen=True):
    """What is allowed, beyond what the resources themselves say."""

    kinds: Mapping[str, KindSpec]
    roll_back: bool = True
    """False: local changes are told and left (`localChanges: report`)."""
    may_delete: bool = False
    """Whether guarded things of an owner that left may go now."""
    deletion_advice: str = ""
    """What a person can do where `may_delete` is false."""
    changed: Cause = "declared"
    """Why what is wanted differs from what was last applied: declared, directory, expired or left."""
    left: tuple[str, ...] = ()
    """Of an owner that left: the declarations that made it do so."""
    revoked: frozenset[str] = frozenset()
    """Grants that somebody took away ahead of any commit, as `desired.source` names them."""
    ours: frozenset[str] = frozenset()
    """Marks (`mark_of`) of what Hanse itself made or took away since the owner last held in full."""
    awaited: frozenset[str] = frozenset()
    """Principals whom the platform did not know when the owner was last looked at."""


def make(desired: Compiled, observation: Observation, rules: Rules, applied: Compiled | None = None) -> Plan:
    """The steps that turn what was observed of the owner into what is desired, and remarks on what no step can.

    `applied` is what held when the owner was last converged; with it, a difference that nobody declared is known
    to be a local change.
    """
    return _Comparison(desired, observation, rules, applied).plan()


@dataclass
class _Removal:
    """A delete step in the making, with the people who lose by it."""

    resource: Resource
    cause: Cause
    links: list[Resource]


class _Comparison:
    """The working state of one call of `make`."""

    def __init__(
        self, desired: Compiled, observation: Observation, rules: Rules, applied: Compiled | None
    ) -> None:
        self.owner: Owner = desired.owner
        self.desired = desired
        self.observation = observation
        self.rules = rules
        self.kinds = rules.kinds
        self.applied = applied
        self.steps: list[Step] = []
        self.remarks: list[Remark] = []
        self.wanted: set[Identity] = set()
        """Desired links that were looked at: two declarations may mean the same one, and it is made once."""
        self.things: dict[Key, Resource] = {}
        self.links: dict[Identity, Resource] = {}
        for resource in observation.of(self.owner):
            spec = self.kinds[resource.kind]
            if spec.ends:
                self.links[_identity(resource.kind, spec.ends, resource.attributes)] = resource
            else:
                self.things[resource.key] = resource
        self._applied_index: tuple[dict[Key, Resource], dict[Identity, Resource]] | None = None
        self.twins: set[Key] = set()
        """Keys that several things carry: neither they nor what is at them gets a step."""
        self.unavailable: set[Key] = set()
        """Keys of our own that neither exist nor will be made by this plan."""
        self.blind: dict[str, str] = {}
        """Kinds of which a desired link could not be looked up: an unmatched link may be just that one."""
        self.persons: dict[Key, list[str]] = {}
        self.ranks: dict[Key, int] = {}

    def plan(self) -> Plan:
        if self.observation.twins:
            self._refuse_twins()
        for resource in self.desired.resources:
            if resource.key in self.twins:
                continue
            if self.kinds[resource.kind].ends:
                self._want_link(resource)
            else:
                self._want_thing(resource)
        for resource in self.desired.tolerated:
            self._tolerate(resource)
        if self.things or self.links:
            self._remove_rest()
        if not self.steps:
            return Plan(self.owner, (), tuple(sorted(self.remarks, key=_remark_order)))
        if self.unavailable:
            self._drop_what_hangs_in_the_air()
        steps = in_order(self.steps, self.kinds, self.persons, self.ranks)
        return Plan(self.owner, steps, tuple(sorted(self.remarks, key=_remark_order)))

    # What is wanted

    def _want_thing(self, resource: Resource) -> None:
        seen = self.things.pop(resource.key, None)
        attributes = self._resolve(resource)
        if attributes is None:
            if seen is None:
                self.unavailable.add(resource.key)
            return
        if seen is None:
            self._make(resource, attributes)
            return
        if resource.adopt and seen.native_id != resource.adopt:
            self._remark(
                "adopts-other",
                f"{resource.kind} {_name(attributes)} is {seen.native_id} already, not {resource.adopt}",
                "remove the line `native:`, or the stamp of the thing that shall not be ours any more",
                resource.key,
            )
        if seen.attributes == attributes:
            return
        before: dict[str, Value] = {}
        after: dict[str, Value] = {}
        for name, value in attributes.items():
            if name not in seen.attributes or seen.attributes[name] != value:
                before[name] = seen.attributes.get(name)
                after[name] = value
        if after:
            self._update(resource, seen, before, after)

    def _update(
        self, resource: Resource, seen: Resource, before: dict[str, Value], after: dict[str, Value]
    ) -> None:
        spec = self.kinds[resource.kind]
        if "name" in after and "name" in spec.immutable:
            self._remark(
                "keeps-name",
                f"{resource.kind} {_name(seen.attributes)} keeps its name: it cannot be called "
                f"{_name(resource.attributes)} once it exists",
                "nothing to do; under a new project, people could move what is in it",
                resource.key,
                blocking=False,
            )
            del after["name"], before["name"]
        for name in spec.immutable:
            if name in after:
                self._remark(
                    "immutable",
                    f"{name} of {resource.kind} {_name(resource.attributes)} cannot be changed once it exists",
                    "declare it under a new name, move what is in it, and take the old one out",
                    resource.key,
                )
                del after[name], before[name]
        if self._taken_for_update(resource, seen, after):
            for name in self.kinds[resource.kind].unique:
                after.pop(name, None)
                before.pop(name, None)
        was = self._applied_things().get(resource.key)
        if str(resource.key) in self.rules.ours:
            was = None
        by_hand = [n for n in after if was is not None and was.attributes.get(n) == resource.attributes[n]]
        cause: Cause = "local-change" if len(by_hand) == len(after) else self.rules.changed
        if by_hand and not self._goes("local-change", resource, "changed"):
            for name in by_hand:
                del after[name], before[name]
        if after:
            self._step(
                Step(
                    "update", resource.kind, resource.key, self.owner, seen.native_id, before, after,
                    _keys(after.values()), self._reason(cause, resource), resource.principal,
                )
            )  # fmt: skip

    def _taken_for_update(self, resource: Resource, seen: Resource, after: dict[str, Value]) -> bool:
        """Whether a foreign thing has the name that a thing of ours shall have from now on."""
        if after.keys().isdisjoint(self.kinds[resource.kind].unique):
            return False
        taken = self._taken(resource, seen.attributes | after)
        if taken:
            self._remark(
                "name-taken",
                f"{resource.kind} {_name(seen.attributes)} cannot be called {_name(seen.attributes | after)}: "
                f"one that is not ours (id {taken}) is called so",
                "rename or remove it on the platform, or choose another name",
                resource.key,
            )
        return bool(taken)

    def _make(self, resource: Resource, attributes: dict[str, Value]) -> None:
        """Create or adopt a thing that was not seen under its key."""
        native_id, before = "", {}
        if resource.adopt:
            thing = self.observation.foreign_by_id.get((resource.kind, resource.adopt))
            if thing is None:
                self._cannot(
                    resource,
                    "nothing-to-adopt",
                    f"there is no {resource.kind} with id {resource.adopt} that could be taken over",
                    "look up the id on the platform; one that another declaration owns cannot be taken over",
                )
                return
            fixed = [
                n
                for n in self.kinds[resource.kind].immutable
                if mark(thing.attributes.get(n)) != mark(self._native(attributes.get(n)))
            ]
            if fixed:
                self._cannot(
                    resource,
                    "immutable",
                    f"{resource.kind} {resource.adopt} cannot be taken over: its {', '.join(fixed)} differs from "
                    "what is declared and cannot be changed",
                    "declare it where it is",
                )
                return
            native_id = thing.native_id
            before = {name: thing.attributes[name] for name in attributes if name in thing.attributes}
        else:
            taken = self._taken(resource, attributes)
            if taken:
                self._cannot(
                    resource,
                    "name-taken",
                    f"a {resource.kind} named {_name(attributes)} exists (id {taken}) and is not ours",
                    f"take it over with `native: {{id: {taken}}}` in the tenant, or choose another name"
                    if self.kinds[resource.kind].guarded
                    else "rename or remove it on the platform, or choose another name",
                )
                return
        reason = self.observation.incomplete.get(resource.kind)
        if reason is not None and not resource.adopt:
            self._cannot(
                resource,
                "incomplete",
                f"cannot tell whether {resource.kind} {_name(attributes)} exists: {reason}",
                "it is looked for again at the next pass",
            )
            return
        was = self._applied_things().get(resource.key)
        ours = str(resource.key) in self.rules.ours
        cause: Cause = "local-change" if was is not None and not ours else self.rules.changed
        if not self._goes(cause, resource, "gone"):
            self.unavailable.add(resource.key)
            return
        self.ranks[resource.key] = resource.rank
        if cause == "local-change" and self.kinds[resource.kind].guarded:
            self._remark(
                "content-lost",
                f"{resource.kind} {_name(attributes)} was deleted by hand, with all that was in it",
                "it is made again, empty; what was in it has to come from a backup",
                resource.key,
                blocking=False,
            )
        self._step(
            Step(
                "adopt" if resource.adopt else "create", resource.kind, resource.key, self.owner, native_id, before,
                attributes, _keys(attributes.values()), self._reason(cause, resource), resource.principal,
            )
        )  # fmt: skip

    def _want_link(self, resource: Resource) -> None:
        attributes = self._resolve(resource)
        if attributes is None:
            return
        spec = self.kinds[resource.kind]
        identity = _identity(resource.kind, spec.ends, attributes)
        if identity in self.wanted:
            return
        self.wanted.add(identity)
        if self.links.pop(identity, None) is not None:
            return
        reason = self.observation.incomplete.get(resource.kind)
        if reason is not None:
            self._cannot(
                resource, "incomplete", f"cannot tell whether {_link(attributes)} holds: {reason}",
                "it is looked for again at the next pass",
            )  # fmt: skip
            return
        cause: Cause = self.rules.changed
        if resource.principal in self.rules.awaited:
            cause = "appeared"
        elif identity in self._applied_links() and "|".join(identity) not in self.rules.ours:
            cause = "local-change"
        if not self._goes(cause, resource, "gone"):
            return
        self.persons[resource.key] = [name] if (name := _subject(spec, attributes)) else []
        self.ranks[resource.key] = resource.rank
        self._step(
            Step(
                "create", resource.kind, resource.key, self.owner, "", {}, attributes,
                _keys(attributes.values()), self._reason(cause, resource), resource.principal,
            )
        )  # fmt: skip

    def _tolerate(self, resource: Resource) -> None:
        attributes = self._resolve(resource, tell=False)
        if attributes is not None:
            self.links.pop(_identity(resource.kind, self.kinds[resource.kind].ends, attributes), None)
            return
        for value in resource.attributes.values():
            if isinstance(value, Find) and value.kind in self.observation.incomplete:
                self.blind[resource.kind] = self.observation.incomplete[value.kind]

    # What is there beyond it

    def _remove_rest(self) -> None:
        removals: dict[Key, _Removal] = {}
        for key, thing in self.things.items():
            cause = self._cause_of_removal(self._applied_things().get(key), str(key))
            if self._may_go(thing, cause):
                removals[key] = _Removal(thing, cause, [])
        for identity, link in self.links.items():
            spec = self.kinds[link.kind]
            home = next((removals[k] for k in _keys(link.attributes[n] for n in spec.within if n in link.attributes)
                         if k in removals), None)  # fmt: skip
            if home is not None:
                home.links.append(link)
            elif link.kind in self.blind:
                self._remark(
                    "incomplete",
                    f"cannot tell whether {_link(link.attributes)} is wanted: {self.blind[link.kind]}",
                    "it is looked at again at the next pass",
                    link.key,
                )
            elif link.workload:
                self._remark(
                    "workload",
                    f"{_link(link.attributes)} is held by a service account; it is left alone",
                    "",
                    link.key,
                    blocking=False,
                )
            else:
                cause = self._cause_of_removal(self._applied_links().get(identity), "|".join(identity))
                if self._goes(cause, link, "extra"):
                    removals[link.key] = _Removal(link, cause, [link])
        for removal in removals.values():
            self._delete(removal)

    def _cause_of_removal(self, was: Resource | None, name: str) -> Cause:
        if was is not None and not self.rules.revoked.isdisjoint(was.sources):
            return "revoked"
        if was is not None or name in self.rules.ours or self.rules.changed == "left":
            return self.rules.changed
        return "local-change"

    def _may_go(self, thing: Resource, cause: Cause) -> bool:
        spec = self.kinds[thing.kind]
        if not spec.guarded:
            return self._goes(cause, thing, "extra")
        if self.observation.is_shared(thing.key, self.owner) or self.observation.holds_foreign(
            thing.native_id
        ):
            self._remark(
                "not-empty",
                f"{thing.kind} {_name(thing.attributes)} still holds things; it is kept until they are gone",
                "",
                thing.key,
                blocking=False,
            )
            return False
        if not self.rules.may_delete:
            self._remark(
                "deletion-waits",
                f"{thing.kind} {_name(thing.attributes)} was taken out; access is off, and it waits to be deleted",
                self.rules.deletion_advice,
                thing.key,
                blocking=False,
            )
            return False
        if self.observation.incomplete or self.twins:
            self._remark(
                "incomplete",
                f"cannot tell whether {thing.kind} {_name(thing.attributes)} is empty; it is kept",
                "it is looked at again at the next pass",
                thing.key,
                blocking=False,
            )
            return False
        return True

    def _delete(self, removal: _Removal) -> None:
        resource = removal.resource
        spec = self.kinds[resource.kind]
        was = self._was(resource, spec)
        losers = [
            name for link in removal.links if (name := _subject(self.kinds[link.kind], link.attributes))
        ]
        self.persons[resource.key] = losers
        self.ranks[resource.key] = (was.rank if was else 0) or self._rank_of_ends(resource)
        self._step(
            Step(
                "delete", resource.kind, resource.key, self.owner, resource.native_id, resource.attributes, {}, (),
                self._reason(removal.cause, was), was.principal if was else "",
                0 if spec.ends else len([x for x in removal.links if _is_person(self.kinds[x.kind], x)]),
            )
        )  # fmt: skip

    def _drop_what_hangs_in_the_air(self) -> None:
        """Leave out steps that refer to things which neither exist nor will be made; the remark is there already."""
        while True:
            kept = [
                s
                for s in self.steps
                if s.action == "delete" or not self.unavailable.intersection(_keys(s.after.values()))
            ]
            if len(kept) == len(self.steps):
                return
            self.unavailable.update(s.key for s in self.steps if s not in kept)
            self.steps = kept

    # Small questions

    def _resolve(self, resource: Resource, tell: bool = True) -> dict[str, Value] | None:
        """The attributes with each Find replaced by the one thing found, or None with a remark why not."""
        found = self.observation.found
        attributes = resource.attributes
        for value in attributes.values():
            if type(value) is Find:
                break
        else:
            return attributes
        resolved = dict(attributes)
        for name, value in attributes.items():
            if type(value) is Find:
                natives = found.get(value, ())
                if len(natives) != 1:
                    if tell:
                        self._not_found(resource, value, len(natives))
                    return None
                resolved[name] = natives[0]
        return resolved

    def _not_found(self, resource: Resource, find: Find, count: int) -> None:
        if find.kind in self.observation.incomplete:
            why = self.observation.incomplete[find.kind]
            self.blind[resource.kind] = why
            self._remark("incomplete", f"cannot look up {find}: {why}", "", resource.key)
        elif count:
            self._remark(
                f"ambiguous-{find.kind}", f"{count} are called {find}; none is taken",
                "make it one on the platform", resource.principal or str(resource.key),
            )  # fmt: skip
        elif resource.principal and resource.attributes.get(self.kinds[resource.kind].subject) == find:
            self._remark(
                f"unknown-{find.kind}",
                f"{resource.principal} is not known there yet ({find})",
                "nothing to do: the grant is given as soon as the platform knows this person",
                resource.principal,
                blocking=False,
            )
        else:
            self._remark(
                f"unknown-{find.kind}", f"there is no {find}; {_told(resource)} waits for it",
                f"make the {find.kind} on the platform, or name another one in the manifest", resource.key,
            )  # fmt: skip

    def _taken(self, resource: Resource, attributes: dict[str, Value]) -> str:
        """Native id of a foreign thing that has the wanted unique name already; else empty."""
        unique = self.kinds[resource.kind].unique
        if not unique or not self.observation.foreign:
            return ""
        marks = tuple(mark(self._native(attributes.get(name))) for name in unique)
        return self.observation.foreign_named(resource.kind, unique).get(marks, "")

    def _native(self, value: Value) -> Value:
        """A reference to a thing of ours as what is foreign refers to it: by native id."""
        native_id = self.observation.natives.get(value.key) if isinstance(value, Ref) else None
        return Native("", native_id) if native_id else value

    def _reason(self, cause: Cause, resource: Resource | None) -> Reason:
        """Why, and the declarations that decided it."""
        if cause == "left":
            return Reason(cause, self.rules.left)
        if resource is None:
            return Reason(cause)
        if cause == "directory":
            return Reason(cause, people_sources(resource.sources, resource.principal))
        return Reason(cause, resource.sources)

    def _goes(self, cause: Cause, resource: Resource, how: str) -> bool:
        """Whether a step may be planned: a local change that is only reported becomes a remark instead."""
        if cause != "local-change" or self.rules.roll_back:
            return True
        what = _link(resource.attributes) if self.kinds[resource.kind].ends else _name(resource.attributes)
        self._remark(
            "local-change",
            f"{resource.kind} {what} was {'made' if how == 'extra' else 'removed' if how == 'gone' else how} by hand",
            "it is left so, as `localChanges: report` says",
            resource.key,
            blocking=False,
        )
        return False

    def _step(self, step: Step) -> None:
        self.steps.append(step)

    def _cannot(self, resource: Resource, code: str, message: str, advice: str) -> None:
        self.unavailable.add(resource.key)
        self._remark(code, message, advice, resource.key)

    def _remark(self, code: str, message: str, advice: str, about: Key | str, blocking: bool = True) -> None:
        self.remarks.append(Remark(self.owner, code, message, advice, str(about), blocking))

    def _refuse_twins(self) -> None:
        used = {key for resource in self.desired.resources for key in _keys(resource.attributes.values())}
        for key, ids in self.observation.twins:
            if key in used or owner_of(key, self.owner.platform) == self.owner:
                self.twins.add(key)
                self._remark(
                    "twins",
                    f"{len(ids)} things carry the mark of {key}: {', '.join(ids)}",
                    "take the mark off all but one of them on the platform",
                    key,
                )
        self.unavailable |= self.twins
        self.things = {key: thing for key, thing in self.things.items() if key not in self.twins}
        self.links = {
            identity: link
            for identity, link in self.links.items()
            if self.twins.isdisjoint(_keys(link.attributes.values()))
        }

    def _applied_maps(self) -> tuple[dict[Key, Resource], dict[Identity, Resource]]:
        if self._applied_index is None:
            things: dict[Key, Resource] = {}
            links: dict[Identity, Resource] = {}
            for resource in self.applied.resources if self.applied else ():
                spec = self.kinds[resource.kind]
                if not spec.ends:
                    things[resource.key] = resource
                elif (attributes := self._resolve(resource, tell=False)) is not None:
                    links[_identity(resource.kind, spec.ends, attributes)] = resource
            self._applied_index = (things, links)
        return self._applied_index

    def _applied_things(self) -> dict[Key, Resource]:
        return self._applied_maps()[0]

    def _applied_links(self) -> dict[Identity, Resource]:
        return self._applied_maps()[1]

    def _was(self, resource: Resource, spec: KindSpec) -> Resource | None:
        if spec.ends:
            return self._applied_links().get(_identity(resource.kind, spec.ends, resource.attributes))
        return self._applied_things().get(resource.key)

    def _rank_of_ends(self, resource: Resource) -> int:
        """How much access an unknown link gives: as much as the things of ours that it leads to."""
        keys = _keys(resource.attributes.values())
        known = [r.rank for r in self.desired.resources if r.key in keys]
        known += [r.rank for key in keys if (r := self._applied_things().get(key))]
        return max(known, default=0)


def mark_of(step: Step, kinds: Mapping[str, KindSpec]) -> str:
    """Names what a step is about, the same whether it is made or taken away."""
    ends = kinds[step.kind].ends
    return "|".join(_identity(step.kind, ends, step.after or step.before)) if ends else str(step.key)


def _identity(kind: str, ends: Ends, attributes: Mapping[str, Value]) -> Identity:
    marks = [kind]
    for name in ends:
        value = attributes.get(name)
        if value is not None:
            marks.append(f"{name}={mark(value)}")
    return tuple(marks)


def _keys(values: Iterable[Value]) -> tuple[Key, ...]:
    return tuple(value.key for value in values if type(value) is Ref)


def _subject(spec: KindSpec, attributes: Mapping[str, Value]) -> str:
    value = attributes.get(spec.subject)
    return "" if value is None else mark(value)


def _is_person(spec: KindSpec, link: Resource) -> bool:
    return bool(spec.subject) and isinstance(link.attributes.get(spec.subject), Native)


def _name(attributes: Mapping[str, Value]) -> str:
    return str(attributes.get("name", ""))


def _link(attributes: Mapping[str, Value]) -> str:
    return ", ".join(
        f"{name} {value.key.part if isinstance(value, Ref) else value.name or value.id}"
        for name, value in attributes.items()
        if isinstance(value, Native) or (isinstance(value, Ref) and value.key.part != name)
    )


def _told(resource: Resource) -> str:
    """Its kind and part, where the part does not say the kind already."""
    kind, part = resource.kind, resource.key.part
    return part if part.startswith(f"{kind}/") else f"{kind} {part}"


def _remark_order(remark: Remark) -> tuple[str, str, str]:
    return (remark.code, remark.about, remark.message)
