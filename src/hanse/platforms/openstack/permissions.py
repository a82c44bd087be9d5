"""What Hanse's account needs to be allowed by Keystone: policy rules, and the least role that has them all. Pure.

Names and defaults of the rules are those of Keystone 30 (keystone/common/policies); an operator may have written
others. What a role can really do was tried on Keystone 30.0.0.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from hanse.platforms.openstack.blocks import DEFAULT_ROLE, LandingZoneBlock, PlatformBlock
from hanse.ports.platform import Bootstrap, PlatformIdentity, PlatformUnavailable, Zone

ADMIN, MANAGER, READER = "admin", "manager", "reader"
MANAGED_ROLES = frozenset({"manager", "member", "reader"})
"""What the manager of a domain may give (base.py: DOMAIN_MANAGER_ALLOWED_ROLES)."""
INFERENCES = "list_role_inference_rules"
"""The one rule that no account of a domain can have: it is for tokens of the system or a project (implied_role.py)."""


class Permission(Struct, frozen=True):
    """One rule of the policy, and what it is for."""

    rule: str
    """Behind `identity:`."""
    why: str
    path: str = ""
    """Of a GET that the rule guards and that can be tried; empty for what cannot be tried without an effect."""


def permissions(block: PlatformBlock) -> tuple[Permission, ...]:
    """All that the account needs for a platform."""
    domains = (
        Permission("create_domain", "each workspace has a domain of its own"),
        Permission("update_domain", "each workspace has a domain of its own"),
        Permission("delete_domain", "the domain of a workspace that left goes when it is empty"),
    )
    return (
        Permission("list_domains", "things are looked for by their domain", "/v3/domains"),
        Permission("list_projects", "each tenant is a project", "/v3/projects"),
        Permission("list_groups", "a role of a project is given to a group", "/v3/groups"),
        Permission("list_users", "people are found by their names", "/v3/users"),
        Permission("list_roles", "a role is looked up before it is given", "/v3/roles"),
        Permission("list_role_assignments", "who can do what is compared", "/v3/role_assignments"),
        Permission(INFERENCES, "without it projects that left are kept", "/v3/role_inferences"),
        Permission("list_users_in_group", "who is in a group is compared"),
        *(
            Permission(f"{verb}_project", "each tenant is a project")
            for verb in ("create", "update", "delete")
        ),
        *(Permission(f"{verb}_project_tag", "a project carries its tags") for verb in ("create", "delete")),
        *(
            Permission(f"{verb}_group", "a role is given to a group")
            for verb in ("create", "update", "delete")
        ),
        Permission("add_user_to_group", "people get access by being in a group"),
        Permission("remove_user_from_group", "people lose access by leaving a group"),
        Permission("create_grant", "a group's role on a project"),
        Permission("revoke_grant", "assignments that nobody declared are taken away"),
        *(domains if block.domains.per_workspace is not None else ()),
    )


def mapped_roles(zones: Iterable[Zone]) -> tuple[str, ...]:
    """The Keystone roles that tenants' people can get."""
    blocks = [msgspec.convert(zone.block, LandingZoneBlock) for zone in zones]
    return tuple(sorted({DEFAULT_ROLE, *(role for block in blocks for role in block.roles.values())}))


def why_admin(block: PlatformBlock, zones: Sequence[Zone]) -> tuple[str, ...]:
    """Why the manager of one domain is not enough; nothing where it is."""
    reasons = []
    if block.domains.per_workspace is not None:
        reasons.append("domains are made for workspaces")
    elif block.users.domain != block.domains.default:
        reasons.append(f"people are in the domain {block.users.domain}, projects in {block.domains.default}")
    if beyond := [role for role in mapped_roles(zones) if role not in MANAGED_ROLES]:
        reasons.append(f"landing zones map {', '.join(beyond)}")
    return tuple(reasons)


def bootstrap(identity: PlatformIdentity, zones: Sequence[Zone], sign_in: str = "") -> Bootstrap:
    """The commands that make Hanse's account, with the least role that vanilla Keystone has for it."""
    if sign_in:
        raise PlatformUnavailable(
            "how people sign in to OpenStack is not told by Hanse", "see Keystone's own guide to federation"
        )
    block = msgspec.convert(identity.block, PlatformBlock)
    reasons = why_admin(block, zones)
    home = block.domains.default or block.users.domain
    at = shlex.quote(home)
    lines = [
        f"# Hanse's account for the platform {identity.name}: commands for an administrator of OpenStack.",
        f"openstack user create --domain {at} --password-prompt hanse",
    ]
    if reasons:
        lines += [
            "# The role admin may do everything on this OpenStack. By default nothing less is enough, since:",
            *(f"# - {' '.join(reason.split())}" for reason in reasons),
            f"openstack project create --domain {at} hanse",
            f"openstack role add --user hanse --user-domain {at} "
            f"--project hanse --project-domain {at} {ADMIN}",
        ]
    else:
        lines += [
            "# Manager of the one domain that projects, groups and people are in;",
            f"# it can give the roles {', '.join(sorted(MANAGED_ROLES))}.",
            f"openstack role add --user hanse --user-domain {at} --domain {at} {MANAGER}",
            "# One thing it cannot: Keystone lets no account of a domain read which role implies which. So projects",
            "# that left are kept, without their people. Delete them by hand, or give Hanse admin on a project.",
        ]
    lines += [
        "# It needs these rules of the policy:",
        *(f"#   identity:{row.rule}: {row.why}" for row in permissions(block)),
    ]
    scope = "a project_name of hanse" if reasons else f"a domain_name of {home}, and no project"
    notes = (
        "1. As an administrator of OpenStack: run the commands.",
        f"2. In clouds.yaml: the user hanse with its password, user_domain_name {home}, and {scope}.",
        f"3. In server.yaml, bind the credential of {identity.name} to `source: clouds.yaml#NAME`, the endpoint and",
        "   the platform.",
        f"4. `hanse doctor {identity.name}` says whether all of it fits.",
    )
    return Bootstrap(_text(lines), _text(notes))


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
