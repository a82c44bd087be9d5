"""What policies look at, one after the other: where each stands, what it is called, and what it depends on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from hanse.desired.findings import Steps
from hanse.desired.kinds import AccessRow, Grant, Project
from hanse.desired.manifest import Id, Manifest, Scope, id_of
from hanse.policy.variables import GrantAt


class Subject(NamedTuple):
    """One thing that a policy is asked of."""

    called: str
    """As people read it."""
    identity: Id
    """The document that declares it."""
    steps: Steps
    """Where in the document."""
    documents: dict[str, tuple[Any, Any]]
    """By variable: what tells it from others, and the document (of `people`: the names) that its value is made of."""


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

    def tenant(self, platform: str, landing_zone: str) -> bool:
        """Whether something that a tenant stands on changed."""
        return self.all or platform in self._platforms or ("LandingZone", platform, landing_zone) in self._ids

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
    base = {"organization": ("", organization)}
    if on == "organization":
        if affected.all:
            yield Subject(f"organization {organization.name}", id_of(organization), ("name",), base)
    elif on == "workspace":
        for name, workspace in sorted(manifest.workspaces.items()):
            if affected.workspace(name):
                documents = {**base, "workspace": (name, workspace)}
                yield Subject(f"workspace {name}", id_of(workspace), ("name",), documents)
    elif on == "grant":
        yield from _grants(manifest, affected, base)
    else:
        for names in sorted(manifest.projects):
            around = _around(manifest, names, base)
            if around is None:
                continue
            project = manifest.projects[names]
            if on == "tenant":
                yield from _tenants(manifest, affected, project, around)
            elif affected.project(project):
                yield Subject(f"project {'/'.join(names)}", id_of(project), ("name",), around)


_Documents = dict[str, tuple[Any, Any]]


def _around(manifest: Manifest, names: tuple[str, str], base: _Documents) -> _Documents | None:
    """The variables of what is in a scope; None where that is not there."""
    workspace, project, method = None, None, None
    if names[0]:
        workspace = manifest.workspaces.get(names[0])
        if workspace is None:
            return None
    if names[1]:
        project = manifest.projects.get(names)
        if project is None:
            return None
        if project.payment_method is not None:
            method = manifest.payment_methods.get(project.payment_method)
            if method is None:
                return None
    return {
        **base,
        "workspace": (names[0], workspace),
        "project": (names, project),
        "paymentMethod": (method.name if method else "", method),
    }


def _tenants(
    manifest: Manifest, affected: Affected, project: Project, around: _Documents
) -> Iterator[Subject]:
    whole = affected.project(project)
    for index, row in enumerate(project.tenants):
        platform = manifest.platforms.get(row.platform)
        zone = manifest.landing_zones.get((row.platform, row.landing_zone))
        if platform is None or zone is None or not (whole or affected.tenant(row.platform, row.landing_zone)):
            continue
        location = manifest.locations.get(platform.location) if platform.location else None
        if platform.location and location is None:
            continue
        documents = {
            **around,
            "tenant": ((project.workspace, project.name, row.platform), row),
            "platform": (row.platform, platform),
            "location": (platform.location or "", location),
            "landingZone": ((row.platform, row.landing_zone), zone),
        }
        called = f"{project.workspace}/{project.name} on {row.platform}"
        yield Subject(called, id_of(project), ("tenants", index), documents)


def _grants(manifest: Manifest, affected: Affected, base: _Documents) -> Iterator[Subject]:
    # By whom they reach first: the people of one group are made once.
    found = sorted(
        (
            (
                row.group or "",
                row.user or "",
                scope,
                row.role,
                row.from_ or "",
                row.until or "",
                identity,
                steps,
                row,
            )
            for scope, row, identity, steps in manifest.access_rows()
            if (row.user is None) != (row.group is None)
        ),
        key=lambda item: item[:-1],
    )
    places: dict[Scope, _Documents | None] = {}
    reached = {
        name: tuple(sorted(set(group.members)))
        for name, group in manifest.groups.items()
        if all(member in manifest.users for member in group.members)
    }
    for group, user, scope, role, _, _, identity, steps, row in found:
        if scope not in places:
            places[scope] = _around(manifest, scope, base)
        around = places[scope]
        people = reached.get(group) if group else (user,) if user in manifest.users else None
        if around is None or people is None:
            continue
        project = manifest.projects.get(scope)
        whole = affected.all or (
            affected.project(project) if project else bool(scope[0]) and affected.workspace(scope[0])
        )
        if not whole and not affected.grant(row, identity):
            continue
        where = "/".join(filter(None, scope)) or "the organization"
        documents = {
            **around,
            "grant": ((identity, steps), GrantAt(row, scope)),
            "group": (group, manifest.groups.get(group)),
            "people": ((group, user), people),
        }
        who = f"group {group}" if group else user
        yield Subject(f"grant of {who} as {role} on {where}", identity, steps, documents)
