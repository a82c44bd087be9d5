"""What the manifest says about OpenStack: the block `openstack` of a Platform and of a LandingZone."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from hanse.desired.kinds import MappedTag
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
    """The name of the one domain."""
    per_workspace: Pattern | None = None
    """The name of each workspace's domain, such as `{workspace}`."""

    def __post_init__(self) -> None:
        """Exactly one of the two."""
        if (self.default is None) == (self.per_workspace is None):
            raise ValueError("give either `default` or `perWorkspace`")


class Users(Block, frozen=True, kw_only=True):
    """How people are found: by `User.name` in one domain."""

    domain: Text
    """The name of the domain that people are in; the same name in another domain is somebody else."""
    external_id: Text
    """Which of a User's `externalIds` is the name in Keystone."""


class Names(Block, frozen=True, kw_only=True):
    """How things are called on the platform."""

    project: Pattern = "{workspace}-{project}"
    group: Pattern = "{workspace}-{project}-{role}"


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
    """`openstack:` of a Platform."""

    users: Users
    domains: Domains = Domains(default="Default")
    names: Names = Names()
    tags: Tags = Tags()


class Quotas(Block, frozen=True, kw_only=True):
    """What a tenant gets when it asks for nothing, and the most that it may ask for."""

    default: dict[str, Amount] = {}
    max: dict[str, Amount] = {}


class LandingZoneBlock(Block, frozen=True, kw_only=True):
    """`openstack:` of a LandingZone."""

    roles: dict[str, Text] = {}
    """Project role to the name of the Keystone role; `member` for those not named."""
    quotas: Quotas = Quotas()


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
