"""The kinds of documents that a manifest is made of, field by field.

The types are the language: `hanse validate`, `hanse init` and the reference page read them. What a vendor adds
(the block named after it) is joined on by `desired.vocabulary`, so that no vendor is named here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(?!\n)$",
        description="1 to 63 of a-z, 0-9 and '-'; no '-' at either end",
    ),
]
PrincipalId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?(?!\n)$",
        description="an opaque id, 1 to 128",
    ),
]
FormerName = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(?!\n)$",
        description="an earlier name, or 'workspace/name' where it was moved",
    ),
]
TagValue = Annotated[str, Meta(max_length=255)]
Folder = Annotated[
    str,
    Meta(min_length=1, max_length=255, description="a folder of the repository", extra={"folder": True}),
]
"""For a vendor's block of a LandingZone: files below it are the platform's own documents, and none of Hanse's."""
LocalChanges = Literal["rollback", "report"]
Deletion = Literal["approval", "automatic"]


class Row(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Part of a document."""


class Document(Row, frozen=True, kw_only=True):
    """What every document has."""

    api_version: Literal["hanse/v1"]


class AccessRow(Row, frozen=True, kw_only=True):
    """One grant, where it is written inline: a user or a group, a role, and until when and why."""

    user: PrincipalId | None = None
    group: Name | None = None
    role: Name
    from_: Annotated[str, Meta(description="instant with offset, or a date")] | None = field(
        name="from", default=None
    )
    until: Annotated[str, Meta(description="instant with offset, or a date: its end")] | None = None
    reason: str = ""


class Guards(Row, frozen=True, kw_only=True):
    """How much may go in one accepted change before a person must say yes."""

    removal_percent: Annotated[int, Meta(ge=0, le=100)] = 25
    removal_at_least: Annotated[int, Meta(ge=0)] = 5
    minimum_admins: Annotated[int, Meta(ge=0)] = 1


class Organization(Document, frozen=True, kw_only=True, tag_field="kind", tag="Organization"):
    """The whole: exactly one in a repository."""

    name: Name
    display_name: str = ""
    timezone: str = "UTC"
    guards: Guards = Guards()
    ignore: tuple[str, ...] = ()
    access: tuple[AccessRow, ...] = ()


class Location(Document, frozen=True, kw_only=True, tag_field="kind", tag="Location"):
    """Where platforms stand and whose law holds there."""

    name: Name
    display_name: str = ""
    jurisdiction: str = ""


class Operator(Row, frozen=True, kw_only=True):
    """A principal that may hold a native role everywhere on a platform without being a local change."""

    user: PrincipalId | None = None
    native: str | None = None
    role: str


class Limits(Row, frozen=True, kw_only=True):
    """How hard a platform may be driven; what is not said is as the vendor's platforms usually bear it."""

    requests_per_second: Annotated[float, Meta(gt=0)] | None = None
    concurrency: Annotated[int, Meta(ge=1)] | None = None


class Platform(Document, frozen=True, kw_only=True, tag_field="kind", tag="Platform"):
    """One account on one cloud."""

    name: Name
    display_name: str = ""
    location: Name | None = None
    credential: Name
    local_changes: LocalChanges = "rollback"
    operators: tuple[Operator, ...] = ()
    limits: Limits = Limits()


class LandingZone(Document, frozen=True, kw_only=True, tag_field="kind", tag="LandingZone"):
    """The rules that a project's tenant on one platform gets."""

    name: Name
    display_name: str = ""
    platform: Name
    deletion: Deletion = "approval"
    local_changes: LocalChanges | None = None


class Role(Document, frozen=True, kw_only=True, tag_field="kind", tag="Role"):
    """A role by name. Project roles admin, user and reader are built in."""

    name: Name
    display_name: str = ""
    scope: Literal["organization", "workspace", "project"]


class Workspace(Document, frozen=True, kw_only=True, tag_field="kind", tag="Workspace"):
    """A team or product: what projects are grouped by."""

    name: Name
    display_name: str = ""
    formerly: tuple[FormerName, ...] = ()
    tags: dict[str, TagValue] = {}
    access: tuple[AccessRow, ...] = ()


class User(Document, frozen=True, kw_only=True, tag_field="kind", tag="User"):
    """A person or account. The name is its id for ever; everything else may change."""

    name: PrincipalId
    display_name: str = ""
    email: str = ""
    state: Literal["active", "disabled"] = "active"
    external_ids: dict[str, str] = {}


class Group(Document, frozen=True, kw_only=True, tag_field="kind", tag="Group"):
    """People by name. Groups do not nest."""

    name: Name
    display_name: str = ""
    members: tuple[PrincipalId, ...] = ()


class NativeThing(Row, frozen=True, kw_only=True):
    """A thing that exists on the platform already and is to be taken over."""

    id: Annotated[str, Meta(min_length=1, max_length=255)]


class TenantRow(Row, frozen=True, kw_only=True):
    """A project's place on one platform."""

    platform: Name
    landing_zone: Name
    quotas: dict[str, int] = {}
    local_changes: LocalChanges | None = None
    native: NativeThing | None = None


class Project(Document, frozen=True, kw_only=True, tag_field="kind", tag="Project"):
    """What people work in; unique by name within its workspace."""

    name: Name
    workspace: Name
    display_name: str = ""
    description: str = ""
    formerly: tuple[FormerName, ...] = ()
    tags: dict[str, TagValue] = {}
    payment_method: Name | None = None
    access: tuple[AccessRow, ...] = ()
    tenants: tuple[TenantRow, ...] = ()


class Grant(Document, frozen=True, kw_only=True, tag_field="kind", tag="Grant"):
    """One grant in a file of its own. No project: on the workspace; no workspace either: on the organisation."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,126}(?!\n)$")]
    workspace: Name | None = None
    project: Name | None = None
    user: PrincipalId | None = None
    group: Name | None = None
    role: Name
    from_: str | None = field(name="from", default=None)
    until: str | None = None
    reason: str = ""


class PaymentMethod(Document, frozen=True, kw_only=True, tag_field="kind", tag="PaymentMethod"):
    """Who pays."""

    name: Name
    display_name: str = ""
    workspace: Name | None = None


KINDS: tuple[type[Document], ...] = (
    Organization,
    Location,
    Platform,
    LandingZone,
    Role,
    Workspace,
    User,
    Group,
    Project,
    Grant,
    PaymentMethod,
)
BUILT_IN_PROJECT_ROLES: dict[str, int] = {"admin": 3, "user": 2, "reader": 1}
"""Project roles that need no document, with the rank of the access they give (more is wider)."""
