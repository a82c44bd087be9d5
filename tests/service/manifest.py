"""A small organisation: two workspaces, four projects, eight people, on two clouds."""

from __future__ import annotations

ORGANIZATION = """\
apiVersion: hanse/v1
kind: Organization
name: example
timezone: UTC
guards: {removalPercent: 25, removalAtLeast: 5, minimumAdmins: 1}
"""

PLATFORMS = """\
apiVersion: hanse/v1
kind: Platform
name: north
credential: north-robot
limits: {requestsPerSecond: 100000, concurrency: 4}
memory:
  names: {folder: "{workspace}"}
  users: {externalId: memory}
---
{apiVersion: hanse/v1, kind: LandingZone, name: production, platform: north, deletion: approval}
---
{apiVersion: hanse/v1, kind: LandingZone, name: sandbox, platform: north, deletion: automatic}
---
{apiVersion: hanse/v1, kind: LandingZone, name: lenient, platform: north, localChanges: report}
---
apiVersion: hanse/v1
kind: Platform
name: south
credential: south-robot
limits: {requestsPerSecond: 100000, concurrency: 4}
memory:
  users: {externalId: memory}
---
{apiVersion: hanse/v1, kind: LandingZone, name: production, platform: south}
"""

PEOPLE = {
    "u-1": "Ada Lovelace",
    "u-2": "Blaise Pascal",
    "u-3": "Carl Gauss",
    "u-4": "Dorothy Vaughan",
    "u-5": "Emmy Noether",
    "u-6": "Felix Klein",
    "u-7": "Grace Hopper",
    "u-8": "Hedy Lamarr",
}


def native_name(principal: str) -> str:
    """What a person is called on the clouds."""
    return PEOPLE[principal].lower().replace(" ", ".")


def user(principal: str) -> str:
    """One person's document."""
    name = native_name(principal)
    return f"""\
apiVersion: hanse/v1
kind: User
name: {principal}
displayName: {PEOPLE[principal]}
email: {name}@example.org
externalIds: {{memory: {name}}}
"""


GROUPS = """\
{apiVersion: hanse/v1, kind: Group, name: shop-admins, members: [u-1, u-2]}
---
{apiVersion: hanse/v1, kind: Group, name: shop-team, members: [u-3, u-4, u-5]}
---
{apiVersion: hanse/v1, kind: Group, name: lab-team, members: [u-6, u-7]}
"""

SHOP = "{apiVersion: hanse/v1, kind: Workspace, name: shop, displayName: Web shop}\n"
LAB = "{apiVersion: hanse/v1, kind: Workspace, name: lab, displayName: Laboratory}\n"

WEB = """\
apiVersion: hanse/v1
kind: Project
name: web
workspace: shop
displayName: Web shop, production
tags: {environment: prod}
access:
  - {group: shop-admins, role: admin}
  - {group: shop-team, role: user}
tenants:
  - {platform: north, landingZone: production}
  - {platform: south, landingZone: production}
"""

TRIAL = """\
apiVersion: hanse/v1
kind: Project
name: trial
workspace: shop
access:
  - {group: shop-admins, role: admin}
  - {user: u-3, role: user}
tenants:
  - {platform: north, landingZone: sandbox}
"""

SKY = """\
apiVersion: hanse/v1
kind: Project
name: sky
workspace: lab
access:
  - {group: lab-team, role: admin}
tenants:
  - {platform: north, landingZone: lenient}
"""

SEA = """\
apiVersion: hanse/v1
kind: Project
name: sea
workspace: lab
access:
  - {group: lab-team, role: admin}
  - {user: u-8, role: reader}
tenants:
  - {platform: north, landingZone: production}
"""

WEB_FILE, TRIAL_FILE = "shop/web.yaml", "shop/trial.yaml"
SKY_FILE, SEA_FILE = "lab/sky.yaml", "lab/sea.yaml"

FILES = {
    "organization.yaml": ORGANIZATION,
    "platforms.yaml": PLATFORMS,
    "people.yaml": "---\n".join(map(user, PEOPLE)),
    "groups.yaml": GROUPS,
    "shop/workspace.yaml": SHOP,
    "lab/workspace.yaml": LAB,
    WEB_FILE: WEB,
    TRIAL_FILE: TRIAL,
    SKY_FILE: SKY,
    SEA_FILE: SEA,
}
"""The first commit."""


def project(name: str, workspace: str = "shop", access: str = "", tenants: str = "north production") -> str:
    """A project; access rows and tenants (`platform zone`) are separated by `;`."""
    rows = "".join(f"  - {{{row.strip()}}}\n" for row in access.split(";") if row.strip())
    places = [pair.split() for pair in tenants.split(";")]
    where = "".join(f"  - {{platform: {platform}, landingZone: {zone}}}\n" for platform, zone in places)
    head = f"apiVersion: hanse/v1\nkind: Project\nname: {name}\nworkspace: {workspace}\n"
    return head + (f"access:\n{rows}" if rows else "") + f"tenants:\n{where}"
