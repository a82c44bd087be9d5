"""The kinds of documents that a manifest is made of, field by field.

The types are the language: `hanse validate`, `hanse init` and the reference page read them. What a vendor adds
(the block named after it) is joined on by `desired.vocabulary`, so that no vendor is named here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from hanse.desired.conversion import EarlierVersion, Moved

API_VERSION = "hanse/v1"
EARLIER_VERSIONS: dict[str, EarlierVersion] = {}
"""By name: apiVersions that are still read. Nothing was released before the first one."""
MOVED: tuple[Moved, ...] = ()
"""Fields of the kinds that have another place now; vendors name those of their blocks."""

Name = Annotated[
    str,
    Meta(
        title="name",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(?!\n)$",
        description="1 to 63 of a-z, 0-9 and '-'; no '-' at either end",
    ),
]
PrincipalId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?(?!\n)$",
        title="principal's id",
        description="1 to 128 letters, digits, '.', '_' or '-'; none of the signs at either end",
    ),
]
FormerName = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(?!\n)$",
        title="former name",
        description="an earlier name, or 'workspace/name' where it was moved",
    ),
]
TagName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?(?!\n)$",
        title="tag's name",
        description="1 to 63 letters, digits, '.', '_' or '-'; none of the signs at either end",
    ),
]
TagText = Annotated[str, Meta(max_length=255)]
SingleTagValue = TagText | bool | int | float
TagValue = Annotated[SingleTagValue | tuple[TagText, ...], Meta(title="tag value")]
"""What a tag says: one text, truth or number, or several texts."""
Tags = dict[str, TagValue]
MappedTag = Annotated[str, Meta(extra={"tag": True})]
"""For a vendor's block of a Platform: the name of a tag of projects, as the key of a mapping."""
ExternalId = Annotated[str, Meta(min_length=1, max_length=255, extra={"externalId": True})]
"""For a vendor's block of a Platform: by which of their `externalIds` people are known there."""
Folder = Annotated[
    str,
    Meta(
        title="folder",
        min_length=1,
        max_length=255,
        description="a folder of the repository",
        extra={"folder": True},
    ),
]
"""For a vendor's block of a LandingZone: files below it are the platform's own documents, and none of Hanse's."""
TagType = Literal["string", "number", "boolean", "select", "multi-select", "email"]
TaggedKind = Literal[
    "Location", "Platform", "LandingZone", "Workspace", "User", "Group", "Project", "PaymentMethod"
]
Instant = Annotated[
    str,
    Meta(
        title="instant or date",
        description="an instant with its offset, or a date",
        examples=["2026-12-31T18:00:00+01:00", "2026-12-31"],
    ),
]
"""Text, which `terms` reads: what is wrong with it is told beside all the rest."""
LocalChanges = Literal["rollback", "report"]
Deletion = Literal["approval", "automatic"]


class Row(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Part of a document."""


class Document(Row, frozen=True, kw_only=True):
    """What every document has."""

    api_version: Literal["hanse/v1"]
    """The version of the language that the document is written in."""


class AccessRow(Row, frozen=True, kw_only=True):
    """One grant, where it is written inline: a user or a group, a role, and until when and why."""

    user: PrincipalId | None = None
    """A principal's id."""
    group: Name | None = None
    """A group's name."""
    role: Name
    """A role of the scope that this document is of."""
    from_: Instant | None = field(name="from", default=None)
    """Since when: an instant, or a date, whose beginning is meant. Without it: since ever."""
    until: Instant | None = None
    """Until when: an instant, or a date, whose end is meant. Without it: for ever."""
    reason: str = ""
    """Why. It is shown beside the access, and kept in the journal."""


class Guards(Row, frozen=True, kw_only=True):
    """How much may go in one accepted change before a person must say yes."""

    removal_percent: Annotated[int, Meta(ge=0, le=100)] = 25
    """A change that takes more than this share of the grants or tenants of one platform or workspace is held."""
    removal_at_least: Annotated[int, Meta(ge=0)] = 5
    """So many may always go, whatever share they are."""
    minimum_admins: Annotated[int, Meta(ge=0)] = 1
    """So many people each workspace must keep who can administer it."""


class Who(Row, frozen=True, kw_only=True):
    """People and machines who may do something: any of them."""

    users: tuple[PrincipalId, ...] = ()
    """Principals' ids."""
    groups: tuple[Name, ...] = ()
    """Everybody in these groups."""
    machines: tuple[Name, ...] = ()
    """Signers that are no person, by the names that `Organization.trust` gives them."""


class Signer(Row, frozen=True, kw_only=True):
    """One key whose signature on a commit counts, and whose it is."""

    user: PrincipalId | None = None
    """The person whose key it is. Exactly one of `user` and `machine`."""
    machine: Name | None = None
    """A name for what signs and is no person, such as a forge that merges."""
    ssh: str | None = None
    """The public key as its `.pub` file has it. Exactly one of `ssh` and `gpg`."""
    gpg: str | None = None
    """The public key as `gpg --armor --export` prints it."""
    from_: Annotated[str, Meta(description="instant with offset, or a date")] | None = field(
        name="from", default=None
    )
    """Since when it counts: an instant or a date. Without it: since ever."""
    until: Annotated[str, Meta(description="instant with offset, or a date: its end")] | None = None
    """Until when it counts: an instant or a date. Without it: for ever."""


class ProtectedPaths(Row, frozen=True, kw_only=True):
    """Files that not every signer may change."""

    paths: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Patterns: `*` within a folder, `**` across folders. A folder stands for all below it."""
    changed_by: Who
    """Who may change them: only commits that they signed."""


class Approvers(Row, frozen=True, kw_only=True):
    """Who says yes, by what the yes is for. Where nothing stands, `approvers` of server.yaml says it."""

    guard: Who | None = None
    """To what a guard holds back, and to a rewritten history."""
    deletion: Who | None = None
    """To deleting what is left of a tenant that was taken out."""
    revocation: Who | None = None
    """Who may take a grant away ahead of any commit."""


class Trust(Row, frozen=True, kw_only=True):
    """Whose commits are accepted, and who may do what. Always that of the last accepted commit counts."""

    signers: tuple[Signer, ...] = ()
    """Whose signatures count. With any, each new commit needs one of theirs."""
    protected: tuple[ProtectedPaths, ...] = ()
    """Who may change what. Of several rows that match a file the last one counts; what none matches, every signer
    may change.
    """
    approvals: Approvers = Approvers()
    """Who may say yes and take away."""


class Organization(Document, frozen=True, kw_only=True, tag_field="kind", tag="Organization"):
    """The whole: exactly one in a repository."""

    name: Name
    """The organisation's id. It is part of every mark on a cloud and never changes."""
    display_name: str = ""
    """What people read."""
    timezone: str = "UTC"
    """In which a date without a time is meant, by its IANA name such as `Europe/Berlin`."""
    guards: Guards = Guards()
    """How much one change may take away before a person must say yes."""
    ignore: tuple[str, ...] = ()
    """Patterns of files that are not Hanse documents: `*` within a folder, `**` across folders."""
    access: tuple[AccessRow, ...] = ()
    """Grants of roles whose scope is the organisation."""
    trust: Trust = Trust()
    """Whose commits are accepted, and who may do what."""


class Location(Document, frozen=True, kw_only=True, tag_field="kind", tag="Location"):
    """Where platforms stand and whose law holds there."""

    name: Name
    """The location's name."""
    display_name: str = ""
    """What people read."""
    jurisdiction: str = ""
    """Whose law holds there, such as `EU`. Free text."""
    tags: Tags = {}
    """Names and values, as the TagDefinitions say; free text where there is none for this kind."""


class Operator(Row, frozen=True, kw_only=True):
    """A principal that may hold a native role everywhere on a platform without being a local change."""

    user: PrincipalId | None = None
    """A principal's id. Exactly one of `user` and `native`."""
    native: str | None = None
    """A name that only the platform knows, of a person or an account."""
    role: str
    """The platform's own name of the role."""


class Limits(Row, frozen=True, kw_only=True):
    """How hard a platform may be driven; what is not said is as the vendor's platforms usually bear it."""

    requests_per_second: Annotated[float, Meta(gt=0)] | None = None
    """Calls that are begun in one second. Refusals (429, 503) slow it down further by themselves."""
    concurrency: Annotated[int, Meta(ge=1)] | None = None
    """Calls under way at once. Absent: both as the vendor's page says."""


class Platform(Document, frozen=True, kw_only=True, tag_field="kind", tag="Platform"):
    """One account on one cloud."""

    name: Name
    """The platform's name. It is part of what its tenants are called in the journal and never changes."""
    display_name: str = ""
    """What people read."""
    location: Name | None = None
    """A Location."""
    tags: Tags = {}
    """Names and values, as the TagDefinitions say; free text where there is none for this kind."""
    credential: Name
    """The name of a credential. What it stands for says server.yaml, outside git."""
    local_changes: LocalChanges = "rollback"
    """What becomes of access and attributes that somebody changed by hand: `rollback` undoes, `report` only tells."""
    operators: tuple[Operator, ...] = ()
    """Who may hold a native role everywhere without being a local change."""
    limits: Limits = Limits()
    """How hard the platform may be driven."""


class LandingZone(Document, frozen=True, kw_only=True, tag_field="kind", tag="LandingZone"):
    """The rules that a project's tenant on one platform gets."""

    name: Name
    """Unique within its platform."""
    display_name: str = ""
    """What people read."""
    platform: Name
    """The one platform that it is for."""
    required_tags: dict[str, Annotated[tuple[SingleTagValue, ...], Meta(min_length=1)]] = {}
    """Only for projects that have these tags: for each name one of the values that stand here."""
    tags: Tags = {}
    """Names and values, as the TagDefinitions say; free text where there is none for this kind."""
    deletion: Deletion = "approval"
    """What becomes of the native project of a tenant taken out of the manifest: deleted after `approval`, or
    `automatic`.
    """
    local_changes: LocalChanges | None = None
    """As in Platform, which it overrides."""


class Role(Document, frozen=True, kw_only=True, tag_field="kind", tag="Role"):
    """A role by name. Project roles admin, user and reader are built in."""

    name: Name
    """The role's name."""
    display_name: str = ""
    """What people read."""
    scope: Literal["organization", "workspace", "project"]
    """What it can be granted on."""


class TagDefinition(Document, frozen=True, kw_only=True, tag_field="kind", tag="TagDefinition"):
    """What a tag may say, and on which kinds. A kind with any definition takes no other tags."""

    name: TagName
    """The tag's name, as it stands in `tags`."""
    display_name: str = ""
    """What people read."""
    description: str = ""
    """What the tag is for, and how to choose its value. Messages about wrong values show it."""
    kinds: Annotated[tuple[TaggedKind, ...], Meta(min_length=1)]
    """On which kinds of documents it may stand."""
    type: TagType = "string"
    """What its value is."""
    values: tuple[TagText, ...] = ()
    """Of `select` and `multi-select`: what may be chosen."""
    pattern: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    """Of `string`: a regular expression that the whole text must match. No lookaround, no backreferences."""
    required: bool = False
    """Whether each document of these kinds must have it, and not empty. A `default` fills it in."""
    default: TagValue | None = None
    """What holds where the tag is absent."""
    set_by: Who | None = None
    """Who may give it, change it or take it away: only commits that they signed. Without it: everybody."""


class Policy(Document, frozen=True, kw_only=True, tag_field="kind", tag="Policy"):
    """A rule of the organisation's own, as a CEL expression over what is declared."""

    name: Name
    """The policy's name."""
    display_name: str = ""
    """What people read."""
    on: Literal["organization", "workspace", "project", "tenant", "grant"]
    """What it looks at, one after the other."""
    when: str = ""
    """A CEL expression: only where it is true the policy is asked. Without it: everywhere."""
    require: Annotated[str, Meta(min_length=1)]
    """A CEL expression that must be true."""
    message: Annotated[str, Meta(min_length=1, max_length=500)]
    """What people are told where it is not, and what to do."""
    severity: Literal["error", "warning"] = "error"
    """`error` makes a commit unacceptable, `warning` only tells."""


class Workspace(Document, frozen=True, kw_only=True, tag_field="kind", tag="Workspace"):
    """A team or product: what projects are grouped by."""

    name: Name
    """The workspace's name."""
    display_name: str = ""
    """What people read."""
    formerly: tuple[FormerName, ...] = ()
    """Earlier names, oldest first."""
    tags: Tags = {}
    """Names and values, as the TagDefinitions say; free text where there is none for this kind."""
    access: tuple[AccessRow, ...] = ()
    """Grants of roles whose scope is the workspace."""


class User(Document, frozen=True, kw_only=True, tag_field="kind", tag="User"):
    """A person or account. The name is its id for ever; everything else may change."""

    name: PrincipalId
    """The principal's id, for ever."""
    display_name: str = ""
    """The person's name."""
    email: str = ""
    """An attribute, not an identity."""
    tags: Tags = {}
    """Names and values, as the TagDefinitions say; free text where there is none for this kind."""
    state: Literal["active", "disabled"] = "active"
    """Grants of a disabled user give nothing."""
    external_ids: dict[str, str] = {}
    """What the person is called elsewhere, under keys of your choice. A Platform says which key it reads."""


class Group(Document, frozen=True, kw_only=True, tag_field="kind", tag="Group"):
    """People by name. Groups do not nest."""

    name: Name
    """The group's name."""
    display_name: str = ""
    """What people read."""
    tags: Tags = {}
    """Names and values, as the TagDefinitions say; free text where there is none for this kind."""
    members: tuple[PrincipalId, ...] = ()
    """Principals' ids."""


class NativeThing(Row, frozen=True, kw_only=True):
    """A thing that exists on the platform already and is to be taken over."""

    id: Annotated[str, Meta(min_length=1, max_length=255)]
    """The platform's own id of it."""


class TenantRow(Row, frozen=True, kw_only=True):
    """A project's place on one platform."""

    platform: Name
    """The platform."""
    landing_zone: Name
    """The name of one of that platform's landing zones."""
    quotas: dict[str, Annotated[int, Meta(ge=0)]] = {}
    """Amounts by the names that the vendor knows."""
    local_changes: LocalChanges | None = None
    """As in Platform; overrides the landing zone."""
    native: NativeThing | None = None
    """A thing that exists already and is to be taken over instead of made."""


class Project(Document, frozen=True, kw_only=True, tag_field="kind", tag="Project"):
    """What people work in; unique by name within its workspace."""

    name: Name
    """Unique within its workspace."""
    workspace: Name
    """The workspace it belongs to."""
    display_name: str = ""
    """What people read."""
    description: str = ""
    """One line more."""
    formerly: tuple[FormerName, ...] = ()
    """Earlier names, oldest first; `workspace/name` where it was moved from another workspace."""
    tags: Tags = {}
    """Names and values, as the TagDefinitions say; free text where there is none for this kind."""
    payment_method: Name | None = None
    """A PaymentMethod of this workspace, or one of no workspace."""
    access: tuple[AccessRow, ...] = ()
    """Grants of project roles."""
    tenants: tuple[TenantRow, ...] = ()
    """Its places on platforms, at most one on each."""


class Grant(Document, frozen=True, kw_only=True, tag_field="kind", tag="Grant"):
    """One grant in a file of its own. No project: on the workspace; no workspace either: on the organisation."""

    name: Annotated[
        str,
        Meta(
            title="grant's id",
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,126}(?!\n)$",
            description="1 to 127 letters, digits, '.', '_' or '-'; first a letter or a digit",
        ),
    ]
    """The grant's id."""
    workspace: Name | None = None
    """On this workspace; without it, on the organisation."""
    project: Name | None = None
    """On this project of the workspace; without it, on the workspace."""
    user: PrincipalId | None = None
    """As in a row of `access`."""
    group: Name | None = None
    """As in a row of `access`."""
    role: Name
    """A role of that scope."""
    from_: Instant | None = field(name="from", default=None)
    """As in a row of `access`."""
    until: Instant | None = None
    """As in a row of `access`."""
    reason: str = ""
    """As in a row of `access`."""


class Revocation(Document, frozen=True, kw_only=True, tag_field="kind", tag="Revocation"):
    """Takes grants of one scope away that stand elsewhere, until they are taken out there. Machines write it."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,126}(?!\n)$")]
    """The revocation's id: 1 to 127 letters, digits, `.`, `_` or `-`."""
    workspace: Name | None = None
    """Of grants on this workspace; without it, on the organisation."""
    project: Name | None = None
    """Of grants on this project of the workspace; without it, on the workspace."""
    user: PrincipalId | None = None
    """Whose grants: a principal's id. Exactly one of `user` and `group`."""
    group: Name | None = None
    """Whose grants: a group's name."""
    role: Name | None = None
    """Of this role. Without it: of every role."""
    reason: str = ""
    """Why. It is shown beside what is taken away."""


class PaymentMethod(Document, frozen=True, kw_only=True, tag_field="kind", tag="PaymentMethod"):
    """Who pays."""

    name: Name
    """The payment method's name."""
    display_name: str = ""
    """What people read."""
    workspace: Name | None = None
    """Only this workspace's projects may use it. Without it, all may."""
    tags: Tags = {}
    """Names and values, as the TagDefinitions say; free text where there is none for this kind."""


KINDS: tuple[type[Document], ...] = (
    Organization,
    Location,
    Platform,
    LandingZone,
    TagDefinition,
    Policy,
    Role,
    Workspace,
    User,
    Group,
    Project,
    Grant,
    Revocation,
    PaymentMethod,
)
BUILT_IN_PROJECT_ROLES: dict[str, int] = {"admin": 3, "user": 2, "reader": 1}
"""Project roles that need no document, with the rank of the access they give (more is wider)."""
