"""What policies look at, one after the other: where each stands, what it is called, and what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hanse.desired.findings import Steps
from hanse.desired.kinds import AccessRow, Grant, Project
from hanse.desired.manifest import Id, Manifest, Scope, id_of
from hanse.policy.variables import GrantAt


class Subject(NamedTuple):
    """One thing that a policy is asked of."""

    on: str
    """Its sort."""
    identity: Id
    """The document that declares it."""
    steps: Steps
    """Where in the document."""
    documents: dict[str, Any]
    """By variable: the document (of `people`: the group or the user) that its value is made of."""

    @property
    def called(self) -> str:
        """As people read it."""
        names = "/".join(self.identity[1:])
        if self.on == "tenant":
            return f"{names} on {self.documents['tenant'].platform}"
        if self.on != "grant":
            return f"{self.on} {names}"
        row, scope = self.documents["grant"].row, self.documents["grant"].scope
        who = f"group {row.group}" if row.group else row.user
        where = "/".join(filter(None, scope)) or "the organization"
        return f"grant of {who} as {row.role} on {where}"


Asked = Callable[[Id], bool]
"""Whether what stands in that document is asked; who says so knows what a change can be felt by."""


def subjects(manifest: Manifest, on: str, asked: Asked) -> Iterator[Subject]:
    """All subjects of a sort that are asked, by their names. What dangles is left out: that is told elsewhere."""
    organization = manifest.organization
    if organization is None:
        return
    base: Documents = {"organization": organization}
    if on == "organization":
        if asked(id_of(organization)):
            yield Subject(on, id_of(organization), ("name",), base)
    elif on == "workspace":
        for _, workspace in sorted(manifest.workspaces.items()):
            if asked(id_of(workspace)):
                yield Subject(on, id_of(workspace), ("name",), {**base, "workspace": workspace})
    elif on == "grant":
        yield from _grants(manifest, asked, base)
    else:
        for names, project in sorted(item for item in manifest.projects.items() if asked(id_of(item[1]))):
            around = _around(manifest, names, base)
            if around is None:
                continue
            if on == "project":
                yield Subject(on, id_of(project), ("name",), around)
            else:
                yield from _tenants(manifest, project, around)


Documents = dict[str, Any]


def _around(manifest: Manifest, scope: Scope, base: Documents) -> Documents | None:
    """The variables of what is in a scope; None where that is not there."""
    workspace, project, method = None, None, None
    if scope[0]:
        workspace = manifest.workspaces.get(scope[0])
        if workspace is None:
            return None
    if scope[1]:
        project = manifest.projects.get(scope)
        if project is None:
            return None
        if project.payment_method is not None:
            method = manifest.payment_methods.get(project.payment_method)
            if method is None:
                return None
    return {**base, "workspace": workspace, "project": project, "paymentMethod": method}


def _tenants(manifest: Manifest, project: Project, around: Documents) -> Iterator[Subject]:
    for index, row in enumerate(project.tenants):
        platform = manifest.platforms.get(row.platform)
        zone = manifest.landing_zones.get((row.platform, row.landing_zone))
        if platform is None or zone is None:
            continue
        location = manifest.locations.get(platform.location) if platform.location else None
        if platform.location and location is None:
            continue
        documents = {**around, "tenant": row, "platform": platform, "location": location, "landingZone": zone}
        yield Subject("tenant", id_of(project), ("tenants", index), documents)


def _grants(manifest: Manifest, asked: Asked, base: Documents) -> Iterator[Subject]:
    # By whom they reach first: the people of one group are made once.
    by_whom: dict[tuple[str, str], list[tuple[Scope, AccessRow | Grant, Id, Steps]]] = {}
    for scope, row, identity, steps in manifest.access_rows():
        if (row.user is None) == (row.group is None):
            continue
        if asked(identity):
            by_whom.setdefault((row.group or "", row.user or ""), []).append((scope, row, identity, steps))
    around: dict[Scope, Documents | None] = {}
    for (name, user), rows in sorted(by_whom.items()):
        group = manifest.groups.get(name)
        whom = group if name else manifest.users.get(user)
        if whom is None or (group and not all(member in manifest.users for member in group.members)):
            continue
        for scope, row, identity, steps in sorted(rows, key=_order):
            if scope not in around:
                around[scope] = _around(manifest, scope, base)
            known = around[scope]
            if known is not None:
                documents = {**known, "grant": GrantAt(row, scope), "group": group, "people": whom}
                yield Subject("grant", identity, steps, documents)


def _order(item: tuple[Scope, AccessRow | Grant, Id, Steps]) -> tuple[Any, ...]:
    scope, row, identity, steps = item
    return scope, row.role, row.from_ or "", row.until or "", identity, steps
