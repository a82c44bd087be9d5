"""The shape of each simulated resource: what a field may hold, and which part of it one manager owns as a whole.

The shapes follow the API server's own OpenAPI documents of 1.36 (/openapi/v3), `x-kubernetes-list-type`,
`x-kubernetes-map-type` and `x-kubernetes-list-map-keys` included, for these decide what server-side apply merges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hanse.simulators.kubernetes.quantity import canonical

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value."""

    holds: Literal["string", "integer", "boolean", "quantity", "port"]


@dataclass(frozen=True, slots=True)
class Struct:
    """Named fields; `atomic` when one manager owns all of them together."""

    fields: Mapping[str, "Node"]
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class Map:
    """Any names, one type of value; each entry has its own owner."""

    item: "Node"


@dataclass(frozen=True, slots=True)
class List:
    """Items: owned together (keys None), each by its value (no keys), or each by the fields in `keys`."""

    item: "Node"
    keys: tuple[str, ...] | None = None
    shown_empty: bool = False  # null in an answer where others are left out


@dataclass(frozen=True, slots=True)
class Opaque:
    """Kept as it came and owned as one piece: what the simulator needs not understand."""


Node = Scalar | Struct | Map | List | Opaque

TEXT, NUMBER, TRUTH = Scalar("string"), Scalar("integer"), Scalar("boolean")
QUANTITIES, TEXTS, NAMES = Map(Scalar("quantity")), Map(TEXT), List(TEXT)

_OWNER = Struct(
    {
        **dict.fromkeys(["apiVersion", "kind", "name", "uid"], TEXT),
        **dict.fromkeys(["blockOwnerDeletion", "controller"], TRUTH),
    },
    atomic=True,
)
_METADATA = Struct(
    {
        **dict.fromkeys(
            ["name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "creationTimestamp"],
            TEXT,
        ),
        "generation": NUMBER,
        "deletionTimestamp": TEXT,
        "deletionGracePeriodSeconds": NUMBER,
        "labels": TEXTS,
        "annotations": TEXTS,
        "ownerReferences": List(_OWNER, keys=("uid",)),
        "finalizers": List(TEXT, keys=()),
        "managedFields": List(Opaque()),
    }
)
_REQUIREMENT = Struct({"key": TEXT, "operator": TEXT, "values": NAMES})
_SELECTOR = Struct({"matchLabels": TEXTS, "matchExpressions": List(_REQUIREMENT)}, atomic=True)
_CONDITION = Struct(dict.fromkeys(["type", "status", "lastTransitionTime", "reason", "message"], TEXT))
_RULE = Struct(dict.fromkeys(["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"], NAMES))
_RULES = List(_RULE, shown_empty=True)
_BINDING: Mapping[str, Node] = {
    "subjects": List(Struct(dict.fromkeys(["kind", "apiGroup", "name", "namespace"], TEXT), atomic=True)),
    "roleRef": Struct(dict.fromkeys(["apiGroup", "kind", "name"], TEXT), atomic=True),
}
_PEER = Struct(
    {
        "podSelector": _SELECTOR,
        "namespaceSelector": _SELECTOR,
        "ipBlock": Struct({"cidr": TEXT, "except": NAMES}),
    }
)
_PORT = Struct({"protocol": TEXT, "port": Scalar("port"), "endPort": NUMBER})
_PORTS, _PEERS = List(_PORT), List(_PEER)
_LIMIT = Struct(
    {
        "type": TEXT,
        **dict.fromkeys(["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"], QUANTITIES),
    }
)
_SCOPE = Struct({"scopeName": TEXT, "operator": TEXT, "values": NAMES})
_DATA: Mapping[str, Node] = {"data": TEXTS, "immutable": TRUTH}


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One sort of object, where it lives, and what the API server does with it apart from its validation."""

    group: str
    name: str
    plural: str
    fields: Mapping[str, Node]
    namespaced: bool = True
    short: tuple[str, ...] = ()
    # What an answer always has, even where nothing was given.
    blank: Mapping[str, Any] = field(default_factory=dict)
    counted: bool = False  # metadata.generation
    shown_when_deleted: bool = False  # DELETE answers with the object, not with a Status
    made_by_put: bool = False
    # Names of roles and bindings are path segments, others DNS names.
    names: Literal["segment", "subdomain", "label"] = "subdomain"

    @property
    def version(self) -> str:
        """The apiVersion, such as `rbac.authorization.k8s.io/v1`."""
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def node(self) -> Struct:
        """The whole object without kind and apiVersion."""
        return Struct({"metadata": _METADATA, **self.fields})

    @property
    def qualified(self) -> str:
        """The plural name with the group, as messages have it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        """Whether it has the subresource `status`."""
        return "status" in self.fields


RBAC = "rbac.authorization.k8s.io"
NETWORKING = "networking.k8s.io"

NAMESPACES = Kind(
    "",
    "Namespace",
    "namespaces",
    {
        "spec": Struct({"finalizers": NAMES}),
        "status": Struct({"phase": TEXT, "conditions": List(_CONDITION, keys=("type",))}),
    },
    namespaced=False,
    short=("ns",),
    blank={"spec": {}, "status": {}},
    shown_when_deleted=True,
    names="label",
)
SERVICE_ACCOUNTS = Kind(
    "",
    "ServiceAccount",
    "serviceaccounts",
    {
        "automountServiceAccountToken": TRUTH,
        "imagePullSecrets": List(Struct({"name": TEXT}, atomic=True)),
        "secrets": List(
            Struct(
                dict.fromkeys(
                    ["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"], TEXT
                ),
                atomic=True,
            ),
            keys=("name",),
        ),
    },
    short=("sa",),
    shown_when_deleted=True,
)
CONFIG_MAPS = Kind("", "ConfigMap", "configmaps", {**_DATA, "binaryData": TEXTS}, short=("cm",))
SECRETS = Kind("", "Secret", "secrets", {**_DATA, "stringData": TEXTS, "type": TEXT})
PODS = Kind(
    "",
    "Pod",
    "pods",
    {"spec": Opaque(), "status": Opaque()},
    short=("po",),
    blank={"spec": {}, "status": {"phase": "Pending"}},
    counted=True,
    shown_when_deleted=True,
)
CLAIMS = Kind(
    "",
    "PersistentVolumeClaim",
    "persistentvolumeclaims",
    {
        "spec": Struct(
            {
                "accessModes": NAMES,
                "dataSource": Opaque(),
                "dataSourceRef": Opaque(),
                "resources": Struct({"requests": QUANTITIES, "limits": QUANTITIES}),
                "selector": _SELECTOR,
                **dict.fromkeys(
                    ["storageClassName", "volumeAttributesClassName", "volumeMode", "volumeName"], TEXT
                ),
            }
        ),
        "status": Struct({"accessModes": NAMES, "capacity": QUANTITIES, "phase": TEXT}),
    },
    short=("pvc",),
    blank={"spec": {"resources": {}}, "status": {}},
    shown_when_deleted=True,
)
QUOTAS = Kind(
    "",
    "ResourceQuota",
    "resourcequotas",
    {
        "spec": Struct(
            {
                "hard": QUANTITIES,
                "scopes": NAMES,
                "scopeSelector": Struct({"matchExpressions": List(_SCOPE)}, atomic=True),
            }
        ),
        "status": Struct({"hard": QUANTITIES, "used": QUANTITIES}),
    },
    short=("quota",),
    blank={"spec": {}, "status": {}},
    shown_when_deleted=True,
)
LIMIT_RANGES = Kind(
    "",
    "LimitRange",
    "limitranges",
    {"spec": Struct({"limits": List(_LIMIT, shown_empty=True)})},
    short=("limits",),
    blank={"spec": {"limits": None}},
    made_by_put=True,
)
NETWORK_POLICIES = Kind(
    NETWORKING,
    "NetworkPolicy",
    "networkpolicies",
    {
        "spec": Struct(
            {
                "podSelector": _SELECTOR,
                "policyTypes": NAMES,
                "ingress": List(Struct({"from": _PEERS, "ports": _PORTS})),
                "egress": List(Struct({"to": _PEERS, "ports": _PORTS})),
            }
        )
    },
    short=("netpol",),
    blank={"spec": {"podSelector": {}}},
    counted=True,
)
ROLES = Kind(
    RBAC, "Role", "roles", {"rules": _RULES}, blank={"rules": None}, made_by_put=True, names="segment"
)
CLUSTER_ROLES = Kind(
    RBAC,
    "ClusterRole",
    "clusterroles",
    {"rules": _RULES, "aggregationRule": Struct({"clusterRoleSelectors": List(_SELECTOR)})},
    namespaced=False,
    blank={"rules": None},
    made_by_put=True,
    names="segment",
)
ROLE_BINDINGS = Kind(
    RBAC,
    "RoleBinding",
    "rolebindings",
    _BINDING,
    blank={"roleRef": {}},
    made_by_put=True,
    names="segment",
)
CLUSTER_ROLE_BINDINGS = Kind(
    RBAC,
    "ClusterRoleBinding",
    "clusterrolebindings",
    _BINDING,
    namespaced=False,
    blank={"roleRef": {}},
    made_by_put=True,
    names="segment",
)

KINDS = (
    CONFIG_MAPS,
    LIMIT_RANGES,
    NAMESPACES,
    CLAIMS,
    PODS,
    QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    NETWORK_POLICIES,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
)


class MistypedError(ValueError):
    """A field holds what its type cannot: the field's path and what is wrong."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path, self.message = path, message


def normal(node: Node, value: Any, path: str = "", unknown: list[str] | None = None) -> Any:
    """A new value as the API server gives it back: canonical quantities, without nulls, empties and unknown fields.

    Paths of unknown fields are added to `unknown`. Raises MistypedError for a value of a wrong type.
    """
    match node:
        case Opaque():
            return value
        case Scalar():
            return _scalar(node, value, path)
        case List():
            if not isinstance(value, list):
                raise MistypedError(path, f"expected a list, got {_called(value)}")
            return [normal(node.item, item, f"{path}[{n}]", unknown) for n, item in enumerate(value)]
        case Map():
            _expect_object(value, path)
            empty = "0" if node.item == Scalar("quantity") else ""
            return {
                name: empty
                if item is None
                else normal(node.item, item, f"{path}.{name}".lstrip("."), unknown)
                for name, item in value.items()
            }
        case Struct():
            _expect_object(value, path)
            return _struct(node, value, path, [] if unknown is None else unknown)


def _struct(node: Struct, value: Object, path: str, unknown: list[str]) -> Object:
    made: Object = {}
    for name, item in value.items():
        below = f"{path}.{name}".lstrip(".")
        kind = node.fields.get(name)
        if kind is None:
            unknown.append(below)
            continue
        found = None if item is None else normal(kind, item, below, unknown)
        if isinstance(kind, List) and kind.shown_empty:
            made[name] = found or None
        elif isinstance(kind, Struct | Opaque) or (isinstance(kind, Scalar) and kind.holds != "string"):
            if found is not None:
                made[name] = found
        elif found:
            made[name] = found
    return made


def _scalar(node: Scalar, value: Any, path: str) -> Any:
    match node.holds, value:
        case "quantity", str() | int() | float() if not isinstance(value, bool):
            return canonical(str(value))
        case "string", str():
            return value
        case "boolean", bool():
            return value
        case "integer", int() if not isinstance(value, bool):
            return value
        case "port", int() | str() if not isinstance(value, bool):
            return value
    raise MistypedError(path, f"expected {node.holds}, got {_called(value)}")


def _expect_object(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise MistypedError(path, f"expected an object, got {_called(value)}")


def _called(value: Any) -> str:
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def undeclared(node: Node, value: Any, path: str = "") -> str | None:
    """What keeps a value from being applied, in the API server's words for it, or None."""
    match node, value:
        case (_, None) | (Opaque(), _):
            return None
        case Scalar(holds="quantity" | "port"), str() | int() | float():
            return None
        case Scalar(), _:
            fits = {"string": str, "boolean": bool, "integer": int}[node.holds]
            return None if isinstance(value, fits) else f"{path}: expected {node.holds}, got {_called(value)}"
        case Struct(), dict():
            for name, item in value.items():
                if name not in node.fields:
                    return f"{path}.{name}: field not declared in schema"
                if (fault := undeclared(node.fields[name], item, f"{path}.{name}")) is not None:
                    return fault
            return None
        case Map(), dict():
            faults = (undeclared(node.item, item, f"{path}.{name}") for name, item in value.items())
        case List(), list():
            faults = (undeclared(node.item, item, f"{path}[{n}]") for n, item in enumerate(value))
        case _:
            return f"{path}: expected {'list' if isinstance(node, List) else 'map'}, got {_called(value)}"
    return next((fault for fault in faults if fault is not None), None)
