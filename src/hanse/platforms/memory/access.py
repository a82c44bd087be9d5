"""Who can do what, from an observation alone: every way that leads there is a row of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from hanse.model import Access, Key, Native, Owner, Ref, Value, Via
from hanse.observed import Observation, mark

Attributes = Mapping[str, Value]


def access(observation: Observation) -> list[Access]:
    """All access to things of ours, sorted."""
    members = _members(observation)
    rows: set[Access] = set()
    above: list[tuple[Key | None, Attributes]] = [
        (None, thing.attributes) for thing in observation.foreign if thing.kind == "assignment"
    ]
    for owner, resources in observation.resources.items():
        for resource in resources:
            if resource.kind == "assignment":
                rows.update(_rows(resource.attributes, members, owner))
                target = resource.attributes["target"]
                if isinstance(target, Ref) and target.key.part == "folder":
                    above.append((target.key, resource.attributes))
    for folder, attributes in above:
        for owner in _below(observation, folder):
            rows.update(_rows(attributes, members, owner, inherited=f"folder {folder}" if folder else "root"))
    return sorted(rows, key=lambda row: (str(row.owner), row.principal, row.role, row.via, row.grant))


def _members(observation: Observation) -> dict[str, list[str]]:
    """User ids by group, ours and foreign ones."""
    members: defaultdict[str, list[str]] = defaultdict(list)
    links = [r.attributes for many in observation.resources.values() for r in many if r.kind == "membership"]
    links += [thing.attributes for thing in observation.foreign if thing.kind == "membership"]
    for link in links:
        members[mark(link["group"])].append(mark(link["user"]))
    return members


def _below(observation: Observation, folder: Key | None) -> Iterator[Owner]:
    """Owners of what lies in a folder, or anywhere at all."""
    for owner, resources in observation.resources.items():
        for resource in resources:
            if resource.native_id and (folder is None or resource.attributes.get("folder") == Ref(folder)):
                yield owner


def _rows(
    attributes: Attributes, members: Mapping[str, Sequence[str]], owner: Owner, inherited: str = ""
) -> Iterator[Access]:
    subject, role = attributes["subject"], attributes["role"]
    name = str(role.name or role.id) if isinstance(role, Native) else str(role)
    if isinstance(subject, Native) and subject.kind == "user":
        via: Via = "inherited" if inherited else "direct"
        yield Access(subject.id, name, owner, via, inherited or "assignment")
        return
    via = "inherited" if inherited else "group"
    for user in members.get(mark(subject), ()):
        yield Access(user, name, owner, via, inherited or f"group {mark(subject)}")
