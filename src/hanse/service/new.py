"""New workspaces and projects as commits, each in a file of its own that belongs to people from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hanse.desired.kinds import AccessRow, Name, Project, TenantRow, Workspace
from hanse.desired.manifest import Manifest
from hanse.desired.writing import document_text
from hanse.service.estate import Trouble
from hanse.service.write import Changes, Present, Request, Writing


def workspace_request(
    writing: Writing, name: str, *, display_name: str = "", tags: Mapping[str, str], reason: str = ""
) -> Request:
    """A wish for a workspace. Raises Trouble where the name cannot be one."""
    _check_name(name, "workspace")

    def make(present: Present) -> Changes:
        document = Workspace(
            api_version="hanse/v1",
            name=name,
            display_name=display_name,
            tags=_tags(tags, present.manifest),
        )
        return {f"workspaces/{name}/workspace.yaml": document_text(document)}

    return Request(f"New workspace {name}", reason, writing.person, make)


def project_request(  # noqa: PLR0913
    writing: Writing,
    name: str,
    *,
    display_name: str = "",
    description: str = "",
    tags: Mapping[str, str],
    payment_method: str = "",
    tenants: Sequence[str] = (),
    admins: Sequence[str] = (),
    reason: str = "",
) -> Request:
    """A wish for a project `workspace/name`; tenants as `platform/landing-zone`, admins as `user:…` or `group:…`.

    Raises Trouble where a text cannot be what it stands for.
    """
    workspace, slash, project = name.partition("/")
    if not slash:
        raise Trouble(f"'{name}' names no project", "write it as WORKSPACE/NAME")
    _check_name(workspace, "workspace")
    _check_name(project, "project")
    places = [_tenant(text) for text in tenants]
    access = [_admin(text) for text in admins]

    def make(present: Present) -> Changes:
        document = Project(
            api_version="hanse/v1",
            name=project,
            workspace=workspace,
            display_name=display_name,
            description=description,
            tags=_tags(tags, present.manifest),
            payment_method=payment_method or None,
            access=tuple(access),
            tenants=tuple(places),
        )
        return {f"workspaces/{workspace}/projects/{project}.yaml": document_text(document)}

    return Request(f"New project {name}", reason, writing.person, make)


def _check_name(name: str, what: str) -> None:
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise Trouble(
            f"'{name}' cannot be the name of a {what}",
            "use 1 to 63 of a-z, 0-9 and '-', with no '-' at either end; what people read is --display-name",
        ) from None


def _tenant(text: str) -> TenantRow:
    platform, slash, zone = text.partition("/")
    if not (platform and slash and zone):
        raise Trouble(f"'{text}' is no place for a tenant", "write it as PLATFORM/LANDING_ZONE")
    return TenantRow(platform=platform, landing_zone=zone)


def _admin(text: str) -> AccessRow:
    kind, _, subject = text.partition(":")
    if kind not in ("user", "group") or not subject:
        raise Trouble(f"'{text}' is nobody", "write it as user:ID or group:NAME")
    return AccessRow(
        user=subject if kind == "user" else None, group=subject if kind == "group" else None, role="admin"
    )


def _tags(tags: Mapping[str, str], manifest: Manifest) -> dict[str, Any]:
    """The values in the types that their definitions ask for; what does not fit stays text, and is told as an error."""
    return {name: _value(text, manifest, name) for name, text in tags.items()}


def _value(text: str, manifest: Manifest, name: str) -> Any:
    definition = manifest.tag_definitions.get(name)
    wanted = definition.type if definition else "string"
    if wanted == "multi-select":
        return [part.strip() for part in text.split(",") if part.strip()]
    if wanted == "boolean" and text in ("true", "false"):
        return text == "true"
    if wanted == "number":
        try:
            return msgspec.convert(text, int | float, strict=False)
        except msgspec.ValidationError:
            return text
    return text
