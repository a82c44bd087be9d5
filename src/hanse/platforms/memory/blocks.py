"""The block `memory` of a Platform and of a LandingZone: all that a manifest can say about this vendor."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from hanse.desired.kinds import Row

NAME_LIMIT = 64
"""Characters of a name that the cloud takes."""

WorkspacePattern = Annotated[
    str, Meta(pattern=r"^([a-z0-9-]|\{workspace\})*$", description="may hold {workspace}")
]
ProjectPattern = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9-]|\{(workspace|project)\})+$",
        description="may hold {workspace} and {project}",
    ),
]
RolePattern = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9-]|\{(workspace|project|role)\})*\{role\}([a-z0-9-]|\{(workspace|project|role)\})*$",
        description="holds {role}, and may hold {workspace} and {project}",
    ),
]


class Names(Row, frozen=True, kw_only=True):
    """How things are called on the cloud."""

    folder: WorkspacePattern = ""
    """Of a folder for each workspace. Empty: there are none, and spaces lie at the root."""
    space: ProjectPattern = "{workspace}-{project}"
    """Of a space for each tenant."""
    group: RolePattern = "{workspace}-{project}-{role}"
    """Of a group for each role that a project grants."""


class Users(Row, frozen=True, kw_only=True):
    """How a principal of the directory is found among the cloud's users."""

    external_id: str = ""
    """The key in a User's `externalIds` that holds its user name. Empty: the principal's id is its name."""


class PlatformBlock(Row, frozen=True, kw_only=True):
    """The block `memory` of a Platform."""

    names: Names = Names()
    """What things are called."""
    users: Users = Users()
    """How people are found."""


class LandingZoneBlock(Row, frozen=True, kw_only=True):
    """The block `memory` of a LandingZone."""

    roles: dict[str, str] = field(default_factory=dict)
    """Project role to the cloud's role, beyond or instead of the built-in ones."""
    grants: Literal["groups", "direct"] = "groups"
    """groups: people are members of a group for each role · direct: each person holds the role itself."""


BUILT_IN_ROLES = {"admin": "admin", "user": "member", "reader": "reader"}
"""What the built-in project roles are called on the cloud, unless the landing zone says otherwise."""
