"""What the manifest says about OpenStack: the block `openstack` of a Platform and of a LandingZone."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from hanse.desired.kinds import ExternalId, MappedTag
from hanse.model import KindSpec
from hanse.ports.platform import Description, Moved

NAME_LENGTH = 64
"""Of projects, groups and domains, in characters (Identity API v3, request schemas of Keystone 30)."""
TAG_LENGTH = 255
TAGS_PER_PROJECT = 80
STAMP = "hanse"
"""Name of the extra attribute that holds a thing's key, and of the project tag that holds the key's digest."""
DEFAULT_ROLE = "member"
"""What a project role that the landing zone does not map becomes."""

Text = Annotated[str, Meta(min_length=1, max_length=255)]
Pattern = Annotated[str, Meta(min_length=1, max_length=255)]
Amount = Annotated[int, Meta(ge=0)]
TagKey = Annotated[str, Meta(pattern=r"^[^,/=]{1,64}(?!\n)$", description="1 to 64 without ',', '/' and '='")]


class Block(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Part of a vendor's block."""


class Domains(Block, frozen=True, kw_only=True):
    """Where projects and groups are made: in one domain that is there, or in a domain of ours per workspace."""

    default: Text | None = None
    """The name of one domain that exists already."""
    per_workspace: Pattern | None = None
    """The pattern of a name, such as `{workspace}`: each workspace gets a domain of its own."""

    def __post_init__(self) -> None:
        """Exactly one of the two."""
        if (self.default is None) == (self.per_workspace is None):
            raise ValueError("give either `default` or `perWorkspace`")


class Users(Block, frozen=True, kw_only=True):
    """How people are found: by `User.name` in one domain."""

    domain: Text
    """The name of the domain that people are in; the same name in another domain is somebody else."""
    external_id: ExternalId
    """Which of a User's `externalIds` is the user's name in that domain."""


class Names(Block, frozen=True, kw_only=True):
    """How things are called on the platform."""

    project: Pattern = "{workspace}-{project}"
    """A pattern. It may use `{workspace}` and `{project}`."""
    group: Pattern = "{workspace}-{project}-{role}"
    """A pattern. It may use `{workspace}`, `{project}` and `{role}`."""


class Tags(Block, frozen=True, kw_only=True):
    """Which tags a project carries in Keystone, each as `prefix`, key, `=` and value."""

    prefix: Annotated[
        str, Meta(pattern=r"^[^,/=]{1,32}(?!\n)$", description="1 to 32 without ',', '/' and '='")
    ] = f"{STAMP}:"
    """Project tags that begin so are Hanse's; all others are left alone."""
    keys: dict[MappedTag, TagKey] | None = None
    """Name of a tag to its key. Absent: all tags, by their own names."""

    def __post_init__(self) -> None:
        """One tag for each key."""
        keys = list((self.keys or {}).values())
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"two tags become '{key}'")


class PlatformBlock(Block, frozen=True, kw_only=True):
    """Of a Platform that is an OpenStack: how people are found there, and where things are made."""

    users: Users
    """How people are found."""
    domains: Domains = Domains(default="Default")
    """Where projects and groups are made."""
    names: Names = Names()
    """What things are called."""
    tags: Tags = Tags()
    """Which tags a project carries in Keystone, and as what."""


class Quotas(Block, frozen=True, kw_only=True):
    """What a tenant gets when it asks for nothing, and the most that it may ask for."""

    default: dict[str, Amount] = {}
    """Amounts by name."""
    max: dict[str, Amount] = {}
    """Amounts by name. Asking for more is an error."""


class LandingZoneBlock(Block, frozen=True, kw_only=True):
    """Of a LandingZone on an OpenStack: what roles mean there, and how much a tenant may use."""

    roles: dict[str, Text] = {}
    """Project role to the name of a Keystone role. What is not named becomes `member`."""
    quotas: Quotas = Quotas()
    """What a tenant gets, and the most it may ask for."""


QUOTAS = (
    "cores",
    "ramGiB",
    "instances",
    "serverGroups",
    "keyPairs",
    "volumes",
    "volumesGiB",
    "snapshots",
    "networks",
    "subnets",
    "ports",
    "routers",
    "floatingIps",
    "securityGroups",
    "securityGroupRules",
)

DESCRIPTION = Description(
    vendor="openstack",
    kinds=(
        KindSpec("domain", unique=("name",), guarded=True),
        KindSpec("project", unique=("domain", "name"), immutable=("domain",), guarded=True),
        KindSpec("group", unique=("domain", "name"), immutable=("domain",)),
        KindSpec("membership", ends=("group", "user"), within=("group",), subject="user"),
        KindSpec(
            "assignment",
            ends=("role", "domain", "project", "group", "user", "inherited"),
            within=("domain", "project", "group"),
            subject="user",
        ),
    ),
    platform_block=PlatformBlock,
    landing_zone_block=LandingZoneBlock,
    quotas=QUOTAS,
    moved=(Moved("Platform", ("openstack", "tagPrefix"), ("openstack", "tags", "prefix")),),
)
