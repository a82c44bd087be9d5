"""Where the API keeps things: paths, and the parts of our keys that stand for places in a namespace."""

from __future__ import annotations

from urllib.parse import quote

_PLAIN = ":@!$&'()*+,;="
"""What may stand in a segment of a path as it is, beside letters, digits and `-._~` (RFC 3986, 3.3)."""
RBAC_GROUP = "rbac.authorization.k8s.io"
RBAC = f"{RBAC_GROUP}/v1"
NETWORKING = "networking.k8s.io/v1"


def collection(api_version: str, plural: str) -> str:
    """The path of all objects of a sort."""
    return f"/{'apis' if '/' in api_version else 'api'}/{api_version}/{plural}"


def within(path: str, namespace: str) -> str:
    """The path of the objects of a collection that are in one namespace."""
    base, _, plural = path.rpartition("/")
    return f"{base}/namespaces/{namespace}/{plural}"


def path_of(path: str, name: str) -> str:
    """The path of an object of a collection. A name may hold what means something in a path, such as `?` or `#`."""
    return f"{path}/{quote(name, safe=_PLAIN)}"


def object_part(api_version: str, kind: str, name: str) -> str:
    """The part of the key of a landing zone's object."""
    group = api_version.rpartition("/")[0] or "core"
    return f"object/{kind.lower()}.{group}/{name}"


NAMESPACES = collection("v1", "namespaces")
BINDINGS = collection(RBAC, "rolebindings")
CLUSTER_BINDINGS = collection(RBAC, "clusterrolebindings")
CLUSTER_ROLES = collection(RBAC, "clusterroles")
SORTS = {
    "quota": ("v1", "ResourceQuota", "resourcequotas"),
    "limits": ("v1", "LimitRange", "limitranges"),
    "network-policy": (NETWORKING, "NetworkPolicy", "networkpolicies"),
}
"""Kinds of ours that are one sort of object each: API version, kind and name of the collection."""
THINGS = {kind: collection(api_version, plural) for kind, (api_version, _, plural) in SORTS.items()}
