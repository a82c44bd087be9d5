"""The organisation as something that can be drawn: who has which role where, and where each project has its places.

Made from a manifest alone, in an order that depends on names only. How it is drawn is the faces' matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from hanse.desired.kinds import AccessRow, Grant
from hanse.desired.manifest import Manifest, Scope
from hanse.foundation.diagnostics import suggest


class Access(Struct, frozen=True, order=True):
    """A grant, as it is declared."""

    role: str
    kind: str
    """`group` or `user`."""
    subject: str
    since: str = ""
    until: str = ""


class Place(Struct, frozen=True, order=True):
    """A project's place on a platform."""

    platform: str
    landing_zone: str


class ProjectNode(Struct, frozen=True):
    """A project."""

    name: str
    display_name: str
    access: tuple[Access, ...]
    places: tuple[Place, ...]


class WorkspaceNode(Struct, frozen=True):
    """A workspace with its projects."""

    name: str
    display_name: str
    access: tuple[Access, ...]
    projects: tuple[ProjectNode, ...]


class PlatformNode(Struct, frozen=True):
    """A platform, where it stands, and the landing zones that projects can get on it."""

    name: str
    display_name: str
    vendor: str
    location: str
    """The location's name; empty where none is said."""
    jurisdiction: str
    landing_zones: tuple[str, ...]


class GroupNode(Struct, frozen=True):
    """A group with its members' ids."""

    name: str
    display_name: str
    members: tuple[str, ...]


class PersonNode(Struct, frozen=True):
    """A person or an account."""

    name: str
    display_name: str


class Graph(Struct, frozen=True):
    """An organisation, or the part of it that was asked for; groups and people are those who have access to it."""

    name: str
    display_name: str
    access: tuple[Access, ...]
    platforms: tuple[PlatformNode, ...]
    workspaces: tuple[WorkspaceNode, ...]
    groups: tuple[GroupNode, ...]
    people: tuple[PersonNode, ...]


class NotDeclared(Exception):
    """There is no such workspace or project. The text says so, `advice` what was likely meant."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


def graph(manifest: Manifest, only: str = "") -> Graph:
    """All of it, or only a workspace or a `workspace/project`. Raises NotDeclared."""
    organization = manifest.organization
    access = _access(manifest)
    workspaces = _workspaces(manifest, access, *_only(manifest, only))
    whole = () if only else access.get(("", ""), ())
    held = [*whole, *(one for w in workspaces for one in w.access)]
    held += [one for w in workspaces for p in w.projects for one in p.access]
    groups = _groups(manifest, {a.subject for a in held if a.kind == "group"})
    people = {a.subject for a in held if a.kind == "user"} | {m for g in groups for m in g.members}
    used = {place.platform for w in workspaces for p in w.projects for place in p.places}
    return Graph(
        name=organization.name if organization else "",
        display_name=organization.display_name if organization else "",
        access=whole,
        platforms=_platforms(manifest, used if only else {*used, *manifest.platforms}),
        workspaces=workspaces,
        groups=groups,
        people=tuple(
            PersonNode(name, manifest.users[name].display_name if name in manifest.users else "")
            for name in sorted(people)
        ),
    )


def _only(manifest: Manifest, only: str) -> tuple[str, str]:
    workspace, _, project = only.partition("/")
    if workspace and workspace not in manifest.workspaces:
        raise NotDeclared(f"there is no workspace '{workspace}'", _meant(workspace, manifest.workspaces))
    names = [name for home, name in manifest.projects if home == workspace]
    if project and project not in names:
        raise NotDeclared(f"workspace '{workspace}' has no project '{project}'", _meant(project, names))
    return workspace, project


def _meant(name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    guess = suggest(name, known)
    return f"did you mean '{guess}'?" if guess else f"there are: {', '.join(known) or 'none'}"


def _workspaces(
    manifest: Manifest, access: Mapping[Scope, tuple[Access, ...]], only: str, project: str
) -> tuple[WorkspaceNode, ...]:
    projects: dict[str, list[ProjectNode]] = {}
    for (home, name), declared in sorted(manifest.projects.items()):
        if project in ("", name):
            places = tuple(sorted({Place(row.platform, row.landing_zone) for row in declared.tenants}))
            node = ProjectNode(name, declared.display_name, access.get((home, name), ()), places)
            projects.setdefault(home, []).append(node)
    return tuple(
        WorkspaceNode(name, workspace.display_name, access.get((name, ""), ()), tuple(projects.get(name, ())))
        for name, workspace in sorted(manifest.workspaces.items())
        if only in ("", name)
    )


def _access(manifest: Manifest) -> dict[Scope, tuple[Access, ...]]:
    """By scope; a grant that is declared twice counts once."""
    found: dict[Scope, set[Access]] = {}
    for scope, row, _, _ in manifest.access_rows():
        found.setdefault(scope, set()).add(_of(row))
    return {scope: tuple(sorted(held)) for scope, held in found.items()}


def _of(row: AccessRow | Grant) -> Access:
    kind, subject = ("user", row.user) if row.user is not None else ("group", row.group or "")
    return Access(row.role, kind, subject, row.from_ or "", row.until or "")


def _platforms(manifest: Manifest, names: Iterable[str]) -> tuple[PlatformNode, ...]:
    found = []
    for name in sorted(names):
        platform = manifest.platforms.get(name)
        if platform is None:  # it is named, and not declared soundly
            found.append(PlatformNode(name, "", "", "", "", ()))
            continue
        location = manifest.locations.get(platform.location or "")
        zones = tuple(sorted(zone for whose, zone in manifest.landing_zones if whose == name))
        vendor = next(iter(manifest.vocabulary.blocks(platform)), "")
        found.append(
            PlatformNode(
                name,
                platform.display_name,
                vendor,
                platform.location or "",
                location.jurisdiction if location else "",
                zones,
            )
        )
    return tuple(found)


def _groups(manifest: Manifest, names: Iterable[str]) -> tuple[GroupNode, ...]:
    declared = [manifest.groups[name] for name in sorted(names) if name in manifest.groups]
    return tuple(
        GroupNode(group.name, group.display_name, tuple(sorted(set(group.members)))) for group in declared
    )
