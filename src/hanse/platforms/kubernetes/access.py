"""Who can do what in our namespaces, from an observation alone: by bindings in them and to the whole cluster."""

from __future__ import annotations

from collections.abc import Sequence

from hanse.model import Access, Native, Value
from hanse.model.access import Via
from hanse.observed import Observation
from hanse.platforms.kubernetes.facts import binding_names


def access(observation: Observation) -> Sequence[Access]:
    """All access to namespaces of ours, sorted. A group is its own principal: the API server knows only its name."""
    rows: set[Access] = set()
    above = [
        (_name(thing.attributes["subject"]), _name(thing.attributes["role"]))
        for thing in observation.foreign
        if thing.kind == "cluster-binding"
    ]
    for owner, resources in observation.resources.items():
        for resource in resources:
            if resource.kind == "binding":
                for name in binding_names(resource.attributes):
                    principal, role, via = _row(resource.attributes["subject"], resource.attributes["role"])
                    rows.add(Access(principal, role, owner, via, f"rolebinding {name}"))
            elif resource.kind == "namespace":
                for principal, role in above:
                    rows.add(Access(principal, role, owner, "inherited", "the cluster"))
    return sorted(rows, key=lambda row: (str(row.owner), row.principal, row.role, row.via, row.grant))


def _row(subject: Value, role: Value) -> tuple[str, str, Via]:
    assert isinstance(subject, Native)
    assert isinstance(role, Native)
    return subject.identity, str(role.name), "group" if subject.kind == "Group" else "direct"


def _name(value: Value) -> str:
    assert isinstance(value, Native)
    return str(value.name)
