"""Who can do what on our projects and domains, in one vendor-neutral row per way that leads there. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from hanse.model import Access, Key, Native, Owner, Ref, Resource, Value
from hanse.model.access import Via
from hanse.observed import Observation
from hanse.platforms.openstack.compile import DOMAIN, PROJECT

_Attributes = Mapping[str, Value]


def access(observation: Observation) -> Sequence[Access]:
    """All rows, sorted. A role reaches a project directly, through a group, from above, and by implication."""
    rows = _Rows(observation).all()
    return sorted(rows, key=lambda row: (str(row.owner), row.principal, row.role, row.via, row.grant))


class _Rows:
    """Indices over one observation."""

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self.members: dict[str, list[str]] = defaultdict(list)
        """User ids by group, ours by key and foreign ones by id."""
        self.group_names: dict[Key, str] = {}
        self.domain_names: dict[Key, str] = {}
        self.from_above: dict[str, list[_Attributes]] = defaultdict(list)
        """Inherited assignments by the domain or project that they are on."""
        self.implied: dict[str, list[Native]] = defaultdict(list)
        for many in observation.resources.values():
            for resource in many:
                self._index(resource)
        for thing in observation.foreign:
            if thing.kind == "membership":
                self._index_member(thing.attributes)
            elif thing.kind == "assignment":
                self._index_inherited(thing.attributes)
            elif thing.kind == "implication":
                role, implied = thing.attributes["role"], thing.attributes["implies"]
                if isinstance(role, Native) and isinstance(implied, Native):
                    self.implied[role.id].append(implied)

    def _index(self, resource: Resource) -> None:
        if resource.kind == "membership":
            self._index_member(resource.attributes)
        elif resource.kind == "group":
            self.group_names[resource.key] = str(resource.attributes["name"])
        elif resource.kind == DOMAIN:
            self.domain_names[resource.key] = str(resource.attributes["name"])
        elif resource.kind == "assignment" and resource.attributes.get("inherited"):
            self._index_inherited(resource.attributes)

    def _index_member(self, attributes: _Attributes) -> None:
        user = attributes["user"]
        if isinstance(user, Native):
            self.members[_mark(attributes["group"])].append(user.id)

    def _index_inherited(self, attributes: _Attributes) -> None:
        self.from_above[_mark(attributes.get(DOMAIN) or attributes.get(PROJECT))].append(attributes)

    def all(self) -> set[Access]:
        rows: set[Access] = set()
        for owner, many in self.observation.resources.items():
            for resource in many:
                if resource.kind == "assignment" and not resource.attributes.get("inherited"):
                    rows.update(self._given(resource.attributes, owner, ""))
                elif resource.kind == PROJECT:
                    rows.update(self._inherited(resource, owner))
        return rows

    def _inherited(self, project: Resource, owner: Owner) -> Iterator[Access]:
        above = project.attributes.get("above")
        places: list[str] = [_mark(project.attributes[DOMAIN]), *(above if isinstance(above, tuple) else ())]
        for place in places:
            for attributes in self.from_above.get(place, ()):
                yield from self._given(attributes, owner, self._place(attributes))

    def _place(self, attributes: _Attributes) -> str:
        kind = DOMAIN if DOMAIN in attributes else PROJECT
        scope = attributes[kind]
        if isinstance(scope, Ref):
            return f"{kind} {self.domain_names.get(scope.key) or scope.key.part}"
        return f"{kind} {scope.name or scope.id}" if isinstance(scope, Native) else kind

    def _given(self, attributes: _Attributes, owner: Owner, place: str) -> Iterator[Access]:
        """What one assignment gives: to one user or to the members of a group, and what its role implies."""
        role = attributes["role"]
        if not isinstance(role, Native):
            return
        group, user = attributes.get("group"), attributes.get("user")
        if group is not None:
            users = self.members.get(_mark(group), [])
            name = self.group_names.get(group.key, group.key.part) if isinstance(group, Ref) else _name(group)
            grant, via = f"group {name}", "group"
        else:
            users = [user.id] if isinstance(user, Native) else []
            grant, via = f"user {users[0] if users else ''}", "direct"
        if place:
            grant, via = f"{place}, {grant}", "inherited"
        for one in users:
            yield from self._rows(one, role, owner, via, grant)  # type: ignore[arg-type]

    def _rows(self, user: str, role: Native, owner: Owner, via: Via, grant: str) -> Iterator[Access]:
        yield Access(user, _name(role), owner, via, grant)
        reached, waiting = {role.id}, list(self.implied.get(role.id, ()))
        while waiting:
            implied = waiting.pop()
            if implied.id not in reached:
                reached.add(implied.id)
                yield Access(user, _name(implied), owner, "implied", f"{grant}, role {_name(role)}")
                waiting += self.implied.get(implied.id, ())


def _mark(value: Value) -> str:
    if isinstance(value, Ref):
        return str(value.key)
    return value.id if isinstance(value, Native) else ""


def _name(value: Value) -> str:
    return str(value.name or value.id) if isinstance(value, Native) else ""
