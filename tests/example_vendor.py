"""Two vendors that do not exist, for tests of the language: what a vendor adds must not matter to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hanse.desired.kinds import MappedTag, Row
from hanse.desired.load import Loaded, load
from hanse.desired.vocabulary import Blocks, Vocabulary
from hanse.foundation.diagnostics import render

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class CirrusPlatform(Row, frozen=True, kw_only=True):
    """A block with a required field, an optional one, a number with a limit and a mapping of tags."""

    region: str
    naming: str = "{workspace}-{project}"
    retries: Annotated[int, Meta(ge=0, le=9)] = 3
    tags: dict[MappedTag, str] = msgspec.field(default_factory=dict)


class CirrusLandingZone(Row, frozen=True, kw_only=True):
    """A block in which everything has a default."""

    roles: dict[str, str] = msgspec.field(default_factory=dict)
    security: Literal["strict", "relaxed"] = "strict"


class StratusPlatform(Row, frozen=True, kw_only=True):
    """A block without fields."""


class StratusLandingZone(Row, frozen=True, kw_only=True):
    """A block that cannot be left out."""

    folder: str


VOCABULARY = Vocabulary(
    {
        "cirrus": Blocks(CirrusPlatform, CirrusLandingZone, ("cores", "ramGiB")),
        "stratus": Blocks(StratusPlatform, StratusLandingZone),
    }
)


def loaded(files: dict[str, str], now: datetime = NOW) -> Loaded:
    """Load texts by path."""
    return load({path: text.encode() for path, text in files.items()}, VOCABULARY, now)


def said(files: dict[str, str]) -> list[str]:
    """What loading says of these files, one line each: place, severity, message, advice."""
    return [render(diagnostic) for diagnostic in loaded(files).diagnostics]


BASE = """
{apiVersion: hanse/v1, kind: Organization, name: example, timezone: Europe/Berlin}
---
{apiVersion: hanse/v1, kind: Platform, name: north, credential: north, cirrus: {region: n1}}
---
{apiVersion: hanse/v1, kind: Platform, name: south, credential: south, cirrus: {region: s1}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: production, platform: north, cirrus: {roles: {admin: boss}}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: production, platform: south}
---
{apiVersion: hanse/v1, kind: Role, name: workspace-owner, scope: workspace}
---
{apiVersion: hanse/v1, kind: Role, name: organization-admin, scope: organization}
---
{apiVersion: hanse/v1, kind: Role, name: auditor, scope: project}
---
{apiVersion: hanse/v1, kind: User, name: u-1, email: one@example.org}
---
{apiVersion: hanse/v1, kind: User, name: u-2}
---
{apiVersion: hanse/v1, kind: User, name: u-3}
---
{apiVersion: hanse/v1, kind: Group, name: makers, members: [u-1, u-2]}
---
{apiVersion: hanse/v1, kind: Workspace, name: shop}
"""
"""A sound organisation with nothing in it yet: platforms north and south, people, a workspace."""

PROJECT = """
apiVersion: hanse/v1
kind: Project
name: prod
workspace: shop
access:
  - {group: makers, role: admin}
tenants:
  - {platform: north, landingZone: production}
"""
