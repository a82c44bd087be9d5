"""Who a thing belongs to and what it is called by us: never by a native name or id.

The name parts of a key are the oldest names of a workspace or project (`formerly[0]` if there is one), so a
rename is an update of the name attribute and never a new key.
"""

from __future__ import annotations

import hashlib

from msgspec import Struct


class Key(Struct, frozen=True, order=True, gc=False):
    """The logical name of one resource, unique within a platform; `project` is empty for workspace things."""

    organization: str
    workspace: str
    project: str
    part: str
    """What it is within its owner, such as `project`, `group/admin` or `group/admin/member/u-1001`."""

    def __str__(self) -> str:
        return f"{self.organization}/{self.workspace}/{self.project}/{self.part}"

    @classmethod
    def parse(cls, text: str) -> Key | None:
        """The key that `str(key)` wrote, or None where the text is no key."""
        parts = text.split("/", 3)
        if len(parts) != 4 or not parts[0] or not parts[1] or not parts[3]:
            return None
        return cls(*parts)

    @property
    def stamp(self) -> str:
        """32 hex digits that mark the native thing as ours where the platform can only hold short marks."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:32]

    def child(self, part: str) -> Key:
        """The key of a thing that lives under this one."""
        return Key(self.organization, self.workspace, self.project, f"{self.part}/{part}")


class Tenant(Struct, frozen=True, order=True, gc=False, tag="tenant"):
    """A project's share of one platform: the smallest thing that is planned, applied and accepted by itself."""

    platform: str
    workspace: str
    project: str

    def __str__(self) -> str:
        return f"{self.platform}/{self.workspace}/{self.project}"


class WorkspaceOn(Struct, frozen=True, order=True, gc=False, tag="workspace"):
    """What all tenants of a workspace share on one platform, such as a Keystone domain."""

    platform: str
    workspace: str

    def __str__(self) -> str:
        return f"{self.platform}/{self.workspace}"


Owner = Tenant | WorkspaceOn


def parse_owner(text: str) -> Owner:
    """The owner that `str(owner)` wrote. Raises ValueError on anything else."""
    parts = text.split("/")
    if not all(parts):
        raise ValueError(f"not an owner: {text!r}")
    if len(parts) == 3:
        return Tenant(*parts)
    if len(parts) == 2:
        return WorkspaceOn(*parts)
    raise ValueError(f"not an owner: {text!r}")


def owner_of(key: Key, platform: str) -> Owner:
    """Whose thing this key names on that platform."""
    if key.project:
        return Tenant(platform, key.workspace, key.project)
    return WorkspaceOn(platform, key.workspace)
