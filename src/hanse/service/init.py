"""Make a manifest repository that works, for somebody who begins."""

from __future__ import annotations

import json
from collections.abc import Mapping

FILES: Mapping[str, str] = {
    "organization.yaml": """\
# The organisation: exactly one, and its name never changes.
apiVersion: hanse/v1
kind: Organization
name: {name}
displayName: {name}
timezone: UTC
""",
    "people.yaml": """\
# A person's name here is an id for ever; e-mail and external ids may change.
apiVersion: hanse/v1
kind: User
name: u-1
displayName: First person
email: first@example.org
---
apiVersion: hanse/v1
kind: Group
name: first-team
members: [u-1]
""",
    "workspaces/first/workspace.yaml": """\
apiVersion: hanse/v1
kind: Workspace
name: first
displayName: The first workspace
""",
    "workspaces/first/projects/trial.yaml": """\
# A project is what people work in. It gets a tenant on each platform that it names:
#
#   tenants:
#     - {{platform: openstack-one, landingZone: standard}}
#
# Platforms and landing zones are documents too; `hanse explain` shows every kind and field.
apiVersion: hanse/v1
kind: Project
name: trial
workspace: first
access:
  - {{group: first-team, role: admin}}
""",
}

SERVER = """\
# What must not lie in git. `hanse explain server` shows every field.
repository: {{url: {repository}, branch: main}}
# A credential's name in git is bound here to its source, and to the one endpoint and platform it is for:
#
#   credentials:
#     openstack-one-replicator:
#       {{source: "clouds.yaml#one", endpoint: "https://keystone.example.org:5000", platform: openstack-one}}
credentials: {{}}
# Accounts of this machine that may approve deletions and held removals.
approvers: [{operator}]
"""


def manifest(name: str) -> dict[str, bytes]:
    """The files of a small sound manifest for an organisation of that name."""
    return {path: text.format(name=name).encode() for path, text in FILES.items()}


def server_yaml(repository: str, operator: str) -> bytes:
    """A server configuration for a manifest in that folder."""
    return SERVER.format(repository=json.dumps(repository), operator=json.dumps(operator)).encode()
