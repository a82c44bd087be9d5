"""What policies look at, one after the other: where each stands, what it is called, and what it depends on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from hanse.desired.findings import Steps
from hanse.desired.kinds import AccessRow, Grant, Project, TenantRow
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
    """By variable: the document (of `people`: the names) that its value is made of."""

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


class Affected:
    """Whose subjects are to be asked: those that a changed document is part of."""

    def __init__(self, manifest: Manifest, changed: Collection[Id] | None) -> None:
        """Follow the references, once; None changes everything."""
        ids = frozenset(changed or ())
        kinds = {kind for kind, *_ in ids}
        gone = any(i[0] == "Grant" and i[1] not in manifest.grants for i in ids)
        # A grant that is gone does not say any more whose it was.
        whole = gone or not kinds.isdisjoint({"Organization", "TagDefinition"})
        self.all = (
            changed is None
            or whole
            or any(id_of(grant) in ids for grant in manifest.grants.values() if grant.workspace is None)
        )
        self.policies = frozenset(i[1] for i in ids if i[0] == "Policy")
        self._ids = ids
        if self.all:
            return
        self._groups = {
            group.name
            for group in manifest.groups.values()
            if id_of(group) in ids or any(("User", member) in ids for member in group.members)
        }
        self._platforms = {
            name
            for name, platform in manifest.platforms.items()
            if id_of(platform) in ids or ("Location", platform.location or "") in ids
        }
        self._scopes = {
            (grant.workspace, grant.project or "")
            for grant in manifest.grants.values()
            if grant.workspace is not None and id_of(grant) in ids
        }

    def project(self, project: Project) -> bool:
        """Whether a project, a grant on it or what it stands in changed."""
        return (
            self.workspace(project.workspace)
            or ("Project", project.workspace, project.name) in self._ids
            or ("PaymentMethod", project.payment_method or "") in self._ids
            or (project.workspace, project.name) in self._scopes
        )

    def workspace(self, name: str) -> bool:
        """The same of a workspace."""
        return self.all or ("Workspace", name) in self._ids or (name, "") in self._scopes

    def tenant(self, row: TenantRow) -> bool:
        """Whether something that a tenant stands on changed."""
        zone = ("LandingZone", row.platform, row.landing_zone)
        return self.all or row.platform in self._platforms or zone in self._ids

    def tenants(self, project: Project) -> bool:
        """Whether a project or something that one of its tenants stands on changed."""
        return self.project(project) or any(map(self.tenant, project.tenants))

    def grant(self, row: AccessRow | Grant, identity: Id) -> bool:
        """Whether a grant or somebody whom it reaches changed."""
        if self.all or identity in self._ids:
            return True
        return row.group in self._groups if row.group is not None else ("User", row.user or "") in self._ids


def subjects(manifest: Manifest, on: str, affected: Affected) -> Iterator[Subject]:
    """All affected subjects of a sort, by their names. What dangles is left out: that is told elsewhere."""
    organization = manifest.organization
    if organization is None:
        return
    base: Documents = {"organization": organization}
    if on == "organization":
        if affected.all:
            yield Subject(on, id_of(organization), ("name",), base)
    elif on == "workspace":
        for name, workspace in sorted(manifest.workspaces.items()):
            if affected.workspace(name):
                yield Subject(on, id_of(workspace), ("name",), {**base, "workspace": workspace})
    elif on == "grant":
        yield from _grants(manifest, affected, base)
    else:
        wanted = affected.project if on == "project" else affected.tenants
        for names, project in sorted(item for item in manifest.projects.items() if wanted(item[1])):
            around = _around(manifest, names, base)
            if around is None:
                continue
            if on == "project":
                yield Subject(on, id_of(project), ("name",), around)
            else:
                yield from _tenants(manifest, affected, project, around)


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


def _tenants(
    manifest: Manifest, affected: Affected, project: Project, around: Documents
) -> Iterator[Subject]:
    whole = affected.project(project)
    for index, row in enumerate(project.tenants):
        platform = manifest.platforms.get(row.platform)
        zone = manifest.landing_zones.get((row.platform, row.landing_zone))
        if platform is None or zone is None or not (whole or affected.tenant(row)):
            continue
        location = manifest.locations.get(platform.location) if platform.location else None
        if platform.location and location is None:
            continue
        documents = {**around, "tenant": row, "platform": platform, "location": location, "landingZone": zone}
        yield Subject("tenant", id_of(project), ("tenants", index), documents)


def _grants(manifest: Manifest, affected: Affected, base: Documents) -> Iterator[Subject]:
    # By whom they reach first: the people of one group are made once.
    by_whom: dict[tuple[str, str], list[tuple[Scope, AccessRow | Grant, Id, Steps]]] = {}
    whole: dict[Scope, bool] = {}
    for scope, row, identity, steps in manifest.access_rows():
        if (row.user is None) == (row.group is None):
            continue
        if not affected.all:
            if scope not in whole:
                project = manifest.projects.get(scope)
                in_workspace = bool(scope[0]) and affected.workspace(scope[0])
                whole[scope] = affected.project(project) if project else in_workspace
            if not whole[scope] and not affected.grant(row, identity):
                continue
        by_whom.setdefault((row.group or "", row.user or ""), []).append((scope, row, identity, steps))
    around: dict[Scope, Documents | None] = {}
    for (name, user), rows in sorted(by_whom.items()):
        group = manifest.groups.get(name)
        people = tuple(sorted(set(group.members))) if group else (user,)
        if (name and group is None) or not all(person in manifest.users for person in people):
            continue
        for scope, row, identity, steps in sorted(rows, key=_order):
            if scope not in around:
                around[scope] = _around(manifest, scope, base)
            known = around[scope]
            if known is not None:
                documents = {**known, "grant": GrantAt(row, scope), "group": group, "people": people}
                yield Subject("grant", identity, steps, documents)


def _order(item: tuple[Scope, AccessRow | Grant, Id, Steps]) -> tuple[Any, ...]:
    scope, row, identity, steps = item
    return scope, row.role, row.from_ or "", row.until or "", identity, steps
