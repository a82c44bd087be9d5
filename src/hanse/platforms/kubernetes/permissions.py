"""What Hanse's accounts need to be allowed on a cluster: one table, of which `bootstrap` and `doctor` are made. Pure.

The API server lets nobody give what they have not (k8s.io/kubernetes, pkg/registry/rbac): who makes a RoleBinding must
hold all that its role gives, or be allowed the verb `bind` on just that role; who makes a Role must hold all that it
gives. So the table names the roles that the landing zones map, and no other can be given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hanse.platforms.kubernetes.blocks import BUILT_IN_ROLES, LandingZoneBlock
from hanse.platforms.kubernetes.objects import is_kind, is_version
from hanse.ports.platform import Zone

MANAGEMENT: Literal["management"] = "management"
METERING: Literal["metering"] = "metering"
RBAC_GROUP, NETWORKING_GROUP = "rbac.authorization.k8s.io", "networking.k8s.io"
READ = ("get", "list", "watch")
KEEP = (*READ, "create", "patch", "delete")
"""Server-side apply is `patch`, and needs `create` where the object is not there yet."""
PLURALS = {
    "NetworkPolicy": "networkpolicies",
    "Ingress": "ingresses",
    "Endpoints": "endpoints",
    "IngressClass": "ingressclasses",
    "PodSecurityPolicy": "podsecuritypolicies",
    "ResourceClaim": "resourceclaims",
    "Gateway": "gateways",
}
"""Kinds whose resource is not just the kind in small letters with an `s`, or `es` behind `ss`, or `ies` for `y`."""


class Permission(Struct, frozen=True):
    """One rule of RBAC, in every namespace and for the whole cluster, and what it is for."""

    account: Literal["management", "metering"]
    group: str
    """The API group; empty for the core."""
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()
    """Only of objects with these names; empty: of all."""


def permissions(zones: Sequence[Zone]) -> tuple[Permission, ...]:
    """All that the two accounts need for these landing zones; rules for quotas and the like also where none is
    declared, since what was declared before has to be found and taken away."""
    return (*_management(zones), *_metering())


def mapped_roles(zones: Iterable[Zone]) -> tuple[str, ...]:
    """The ClusterRoles that tenants' people can get."""
    blocks = (msgspec.convert(zone.block, LandingZoneBlock) for zone in zones)
    return tuple(sorted({role for block in blocks for role in (BUILT_IN_ROLES | block.roles).values()}))


def resource_of(kind: str) -> str:
    """The resource that a kind is served as, by the convention that all of Kubernetes' own kinds keep.

    It is a convention and no law: `doctor` compares it with what the server says.
    """
    small = kind.lower()
    if kind in PLURALS:
        return PLURALS[kind]
    if small.endswith(("s", "x", "ch", "sh")):
        return f"{small}es"
    return f"{small[:-1]}ies" if small.endswith("y") and small[-2:-1] not in "aeiou" else f"{small}s"


def manifests(zone: Zone) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The objects in a landing zone's folder: API version, kind and content. What is no object is passed over.

    What stays is fit to be part of a path, also where the manifest has errors.
    """
    for path in sorted(zone.files):
        for document in msgspec.json.decode(zone.files[path], type=list[dict[str, Any]]):
            version, kind = document.get("apiVersion"), document.get("kind")
            if is_version(version) and is_kind(kind):
                yield version, kind, document


def _management(zones: Sequence[Zone]) -> Iterator[Permission]:
    def keep(group: str, resources: tuple[str, ...], why: str) -> Permission:
        return Permission(MANAGEMENT, group, resources, KEEP, why)

    def see(resources: tuple[str, ...], why: str) -> Permission:
        return Permission(MANAGEMENT, RBAC_GROUP, resources, READ, why)

    yield keep("", ("namespaces",), "each tenant is a namespace")
    yield keep(
        RBAC_GROUP, ("rolebindings",), "access to a tenant is made of RoleBindings; others are taken away"
    )
    yield see(("clusterroles",), "a role is looked up before it is given")
    yield see(("clusterrolebindings",), "who has access to everything has access to a tenant: it is told")
    roles = mapped_roles(zones)
    if roles:
        why = "the roles that landing zones map; no other can be given"
        yield Permission(MANAGEMENT, RBAC_GROUP, ("clusterroles",), ("bind",), why, roles)
    yield keep("", ("resourcequotas", "limitranges"), "quotas and limits of a tenant")
    yield keep(NETWORKING_GROUP, ("networkpolicies",), "network policies of a tenant")
    done = {
        ("", "resourcequotas"),
        ("", "limitranges"),
        (NETWORKING_GROUP, "networkpolicies"),
        (RBAC_GROUP, "rolebindings"),
    }
    extra: dict[Permission, None] = {}
    for zone in zones:
        for version, kind, content in manifests(zone):
            group, resource = version.rpartition("/")[0], resource_of(kind)
            if (group, resource) not in done:
                done.add((group, resource))
                yield keep(group, (resource,), f"objects in the manifests of landing zone {zone.name}")
            if group == RBAC_GROUP:
                extra |= dict.fromkeys(_given_on(zone.name, kind, content))
    yield from (row for row in extra if row.verbs != ("bind",) or row.names[0] not in roles)


def _given_on(zone: str, kind: str, content: Mapping[str, Any]) -> Iterator[Permission]:
    """What the API server wants to see before it lets a Role or a RoleBinding of the manifests be made.

    Rules with placeholders are left out, as what they become is not known: without the name, they would be of all.
    """
    if kind == "RoleBinding":
        role = content.get("roleRef")
        if isinstance(role, dict) and role.get("kind") == "ClusterRole":
            why = f"a RoleBinding in the manifests of landing zone {zone} gives it"
            if names := _texts([role.get("name")]):
                yield Permission(MANAGEMENT, RBAC_GROUP, ("clusterroles",), ("bind",), why, names)
    rules = content.get("rules") if kind == "Role" else ()
    why = f"a Role in the manifests of landing zone {zone} gives it, and nobody can give what they have not"
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict):
            resources, verbs, names = (
                _texts(rule.get(field)) for field in ("resources", "verbs", "resourceNames")
            )
            if resources and verbs and list(names) == (rule.get("resourceNames") or []):
                for group in _texts(rule.get("apiGroups")):
                    yield Permission(MANAGEMENT, group, resources, verbs, why, names)


def _texts(value: Any) -> tuple[str, ...]:
    """The texts in a list that no placeholder changes."""
    return tuple(t for t in value if isinstance(t, str) and "${" not in t) if isinstance(value, list) else ()


def _metering() -> Iterator[Permission]:
    see = ("get", "list")
    yield Permission(METERING, "", ("namespaces",), see, "the mark on a namespace says whose it is")
    yield Permission(METERING, "", ("pods", "persistentvolumeclaims"), see, "what a tenant uses is counted")
