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
        if self.all:
            return
        named: dict[str, set[Any]] = {}
        for kind, *names in ids:
            named.setdefault(kind, set()).add(names[0] if len(names) == 1 else tuple(names))
        self._grants = named.get("Grant", set())
        self._users = named.get("User", set())
        self._methods = named.get("PaymentMethod", set())
        self._zones = named.get("LandingZone", set())
        self._groups = named.get("Group", set()) | {
            group.name
            for group in manifest.groups.values()
            if self._users and not self._users.isdisjoint(group.members)
        }
        locations = named.get("Location", set())
        self._platforms = named.get("Platform", set()) | {
            name for name, platform in manifest.platforms.items() if platform.location in locations
        }
        granted = [manifest.grants[name] for name in self._grants]
        self._projects = named.get("Project", set()) | {
            (g.workspace, g.project) for g in granted if g.project
        }
        self._workspaces = named.get("Workspace", set()) | {g.workspace for g in granted if not g.project}

    def project(self, project: Project) -> bool:
        """Whether a project, a grant on it or what it stands in changed."""
        return (
            self.all
            or project.workspace in self._workspaces
            or (project.workspace, project.name) in self._projects
            or project.payment_method in self._methods
        )

    def workspace(self, name: str) -> bool:
        """The same of a workspace."""
        return self.all or name in self._workspaces

    def tenant(self, row: TenantRow) -> bool:
        """Whether something that a tenant stands on changed."""
        return self.all or row.platform in self._platforms or (row.platform, row.landing_zone) in self._zones

    def tenants(self, project: Project) -> bool:
        """Whether a project or something that one of its tenants stands on changed."""
        return self.project(project) or (
            bool(self._platforms or self._zones) and any(map(self.tenant, project.tenants))
        )

    def grant(self, row: AccessRow | Grant, identity: Id) -> bool:
        """Whether a grant or somebody whom it reaches changed."""
        if self.all or (identity[0] == "Grant" and identity[1] in self._grants):
            return True
        return row.group in self._groups if row.group is not None else row.user in self._users


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
    for scope, row, identity, steps in manifest.access_rows():
        if (row.user is None) == (row.group is None):
            continue
        if not affected.all and not affected.grant(row, identity):
            project = manifest.projects.get(scope)
            if not (affected.project(project) if project else affected.workspace(scope[0])):
                continue
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
