"""What the manifest says about Kubernetes: the block `kubernetes` of a Platform and of a LandingZone."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from hanse.desired.kinds import ExternalId, Folder, MappedTag
from hanse.model import KindSpec
from hanse.ports.platform import Description, Pace

STAMP_LABEL = "hanse/stamp"
"""Label of a namespace that holds the stamp of its key; by it ours are listed."""
KEY_ANNOTATION = "hanse/key"
"""Annotation of a namespace that holds its key as text."""
MANAGED_BY = ("app.kubernetes.io/managed-by", "hanse")
"""The label, and its value, of everything that Hanse makes."""
FIELD_MANAGER = "hanse"
"""Who owns, for the API server, the fields that Hanse applies."""
OWN_NAME = "hanse"
"""The name of a namespace's ResourceQuota and LimitRange; names of more than one thing begin with it and `-`."""
DISPLAY_NAME, DESCRIPTION_TEXT = "hanse/display-name", "hanse/description"
"""Annotations of a namespace with what people read."""
POD_SECURITY = "pod-security.kubernetes.io"
"""Prefix of the labels that Pod Security Admission reads."""
NAME_LENGTH = 63
"""Of a namespace, in characters: a DNS-1123 label (k8s.io/apimachinery, pkg/util/validation)."""
LABEL_LENGTH = 63
"""Of a label's value, in characters (k8s.io/apimachinery, pkg/api/validate/content)."""
RESERVED_NAMESPACES = ("default", "kube-")
"""A name, and the beginning of names, that a cluster keeps for itself."""
RESERVED_SUBJECTS = "system:"
"""What names of users and groups begin with that mean something to the API server itself."""
BUILT_IN_ROLES = {"admin": "admin", "user": "edit", "reader": "view"}
"""Project role to the ClusterRole that every cluster has, unless the landing zone says otherwise."""

QUOTAS: dict[str, tuple[str, str]] = {
    "cores": ("requests.cpu", ""),
    "ramGiB": ("requests.memory", "Gi"),
    "limitsCores": ("limits.cpu", ""),
    "limitsRamGiB": ("limits.memory", "Gi"),
    "storageGiB": ("requests.storage", "Gi"),
    "ephemeralStorageGiB": ("requests.ephemeral-storage", "Gi"),
    "limitsEphemeralStorageGiB": ("limits.ephemeral-storage", "Gi"),
    "nvidiaGpus": ("requests.nvidia.com/gpu", ""),
    "pods": ("pods", ""),
    "services": ("services", ""),
    "loadBalancers": ("services.loadbalancers", ""),
    "nodePorts": ("services.nodeports", ""),
    "persistentVolumeClaims": ("persistentvolumeclaims", ""),
    "configMaps": ("configmaps", ""),
    "secrets": ("secrets", ""),
    "deployments": ("count/deployments.apps", ""),
    "statefulSets": ("count/statefulsets.apps", ""),
    "jobs": ("count/jobs.batch", ""),
    "cronJobs": ("count/cronjobs.batch", ""),
    "ingresses": ("count/ingresses.networking.k8s.io", ""),
}
"""Our name of a quota to the resource in a ResourceQuota and the unit of its amount."""

_LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"

Amount = Annotated[int, Meta(ge=0)]
Prefix = Annotated[
    str, Meta(pattern=r"^[!-~]{0,255}(?!\n)$", description="at most 255 letters, digits and signs of ASCII")
]
Word = Annotated[
    str, Meta(pattern=r"^[!-~]{1,255}(?!\n)$", description="1 to 255 letters, digits and signs of ASCII")
]
"""Goes into a flag of the API server: a blank, or a second line, would be read as something else there."""
MetadataKey = Annotated[
    str,
    Meta(
        pattern=rf"^({_DOMAIN}/)?{_LABEL_NAME}(?!\n)$",
        description="a key such as cost-center or example.org/cost-center",
    ),
]
LabelName = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(?!\n)$", description="1 to 63 of a-z, 0-9 and '-'"),
]
ClusterRoleName = Annotated[
    str,
    Meta(pattern=r"^[^/%\s]{1,200}(?!\n)$", description="the name of a ClusterRole: no blank, no / and no %"),
]
NamespacePattern = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9-]|\{(workspace|project)\})+(?!\n)$",
        description="a-z, 0-9 and '-', with {workspace} and {project}",
    ),
]
GroupPattern = Annotated[
    str, Meta(pattern=r"^[^{}]*\{group\}[^{}]*(?!\n)$", max_length=255, description="text with {group} in it")
]
Quantity = Annotated[str | int | float, Meta(title="quantity")]
"""An amount as Kubernetes writes it, such as `500m`, `2` or `1.5Gi`; `quantity.canonical` reads it."""
Policy = Literal["deny-ingress", "deny-egress", "allow-same-namespace", "allow-dns", "allow-internet"]
Level = Literal["privileged", "baseline", "restricted"]


def is_kept(namespace: str) -> bool:
    """Whether a namespace of that name is the cluster's own."""
    whole, beginning = RESERVED_NAMESPACES
    return namespace == whole or namespace.startswith(beginning)


class Block(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Part of a vendor's block."""


class Users(Block, frozen=True, kw_only=True):
    """What a person is called by the API server: `prefix` and an external id, as the token's claim gives it."""

    external_id: ExternalId
    """Which of a User's `externalIds` is the value of the claim by which tokens name people."""
    prefix: Prefix = ""
    """What the API server puts before it (`claimMappings.username.prefix`), such as `mesh:`."""


class Groups(Block, frozen=True, kw_only=True):
    """What a grant to a group becomes: a binding for each member, or one for a group that the token names."""

    as_: Literal["members", "claim"] = field(name="as", default="members")
    """`members`: a binding for each member. `claim`: one binding for a group that the token names."""
    pattern: GroupPattern = "{group}"
    """Of `claim`: the group's value in the token. It holds `{group}`."""
    prefix: Prefix = ""
    """Of `claim`: what the API server puts before it (`claimMappings.groups.prefix`)."""


class Subjects(Block, frozen=True, kw_only=True):
    """How people are known to the API server."""

    users: Users
    """What a person is called."""
    groups: Groups = Groups()
    """What a grant to a group becomes."""


class Names(Block, frozen=True, kw_only=True):
    """How things are called on the platform."""

    namespace: NamespacePattern = "{workspace}-{project}"
    """A pattern of `a-z`, `0-9` and `-`, with `{workspace}` and `{project}`."""


class Tags(Block, frozen=True, kw_only=True):
    """Which tags of a project its namespace carries: name of the tag to key."""

    labels: dict[MappedTag, MetadataKey] = {}
    """Name of a tag to the key of a label, such as `cost-center: example.org/cost-center`."""
    annotations: dict[MappedTag, MetadataKey] = {}
    """Name of a tag to the key of an annotation."""

    def __post_init__(self) -> None:
        """One tag for each key, and none for the keys that are Hanse's or the cluster's."""
        for keys in (list(self.labels.values()), list(self.annotations.values())):
            for key in keys:
                if is_reserved(key):
                    raise ValueError(f"the key '{key}' is kept for Hanse or for Kubernetes itself")
                if keys.count(key) > 1:
                    raise ValueError(f"two tags become '{key}'")


class Oidc(Block, frozen=True, kw_only=True):
    """How the API server is told to trust the issuer of people's tokens; only `hanse bootstrap` reads it."""

    issuer: Annotated[str, Meta(pattern=r"^https://[!-~]+(?!\n)$", description="an https URL")]
    """The https URL of the issuer."""
    client_id: Word
    """The audience that tokens are for."""
    username_claim: Word = "sub"
    """The claim that names a person."""
    groups_claim: Word = "groups"
    """The claim that lists a person's groups."""


class Accounts(Block, frozen=True, kw_only=True):
    """The ServiceAccounts that Hanse itself uses, as `hanse bootstrap` makes them."""

    namespace: LabelName = "hanse-system"
    """Where they are. No tenant's namespace can be called so."""
    management: LabelName = "hanse-management"
    """The one that makes namespaces and gives access."""
    metering: LabelName = "hanse-metering"
    """The one that only reads."""

    def __post_init__(self) -> None:
        """Two accounts, and none that the cluster has already for itself."""
        if self.management == self.metering:
            raise ValueError("management and metering are two accounts, and need two names")
        if is_kept(self.namespace):
            raise ValueError(f"the namespace {self.namespace} is kept for the cluster's own accounts")


class PlatformBlock(Block, frozen=True, kw_only=True):
    """Of a Platform that is a Kubernetes: how people are known there, and what things are called."""

    subjects: Subjects
    """How people are known to the API server."""
    names: Names = Names()
    """What things are called."""
    tags: Tags = Tags()
    """Which tags of a project its namespace carries."""
    oidc: Oidc | None = None
    """How the API server is told to trust the issuer of people's tokens. Only `hanse bootstrap` reads it."""
    accounts: Accounts = Accounts()
    """The service accounts that Hanse itself uses."""


class Quotas(Block, frozen=True, kw_only=True):
    """What a tenant gets when it asks for nothing, and the most that it may ask for."""

    default: dict[str, Amount] = {}
    """Amounts by name."""
    max: dict[str, Amount] = {}
    """Amounts by name. Asking for more is an error, and so is a default above it."""


class ContainerLimits(Block, frozen=True, kw_only=True):
    """What each container gets and may have, by resource."""

    default: dict[str, Quantity] = {}
    """The limit of a container that names none; without it, `max`."""
    default_request: dict[str, Quantity] = {}
    """The request of one that names none; without it, `default`, else `min`."""
    min: dict[str, Quantity] = {}
    """The least."""
    max: dict[str, Quantity] = {}
    """The most."""
    max_limit_request_ratio: dict[str, Quantity] = {}
    """How many times its request a limit may be."""


class PodLimits(Block, frozen=True, kw_only=True):
    """What all containers of a pod may have together, by resource."""

    min: dict[str, Quantity] = {}
    """The least."""
    max: dict[str, Quantity] = {}
    """The most."""
    max_limit_request_ratio: dict[str, Quantity] = {}
    """How many times its request a limit may be."""


class ClaimLimits(Block, frozen=True, kw_only=True):
    """How small and large a PersistentVolumeClaim may be; the resource is `storage`."""

    min: dict[Literal["storage"], Quantity] = {}
    """The least `storage`."""
    max: dict[Literal["storage"], Quantity] = {}
    """The most `storage`."""


class Limits(Block, frozen=True, kw_only=True):
    """The LimitRange of a namespace."""

    container: ContainerLimits = ContainerLimits()
    """Of each container."""
    pod: PodLimits = PodLimits()
    """Of all containers of a pod together."""
    persistent_volume_claim: ClaimLimits = ClaimLimits()
    """Of each claim."""


class LandingZoneBlock(Block, frozen=True, kw_only=True):
    """Of a LandingZone on a Kubernetes: what each namespace gets, and what roles mean there."""

    roles: dict[str, ClusterRoleName] = {}
    """Project role to the name of a ClusterRole, beside or instead of the built-in ones."""
    quotas: Quotas = Quotas()
    """What a tenant gets, and the most it may ask for."""
    limits: Limits = Limits()
    """What single containers, pods and claims get and may have."""
    network_policies: tuple[Policy, ...] = ()
    """Which traffic a namespace refuses and lets through."""
    pod_security: Level | None = None
    """How strictly Pod Security Admission looks at pods."""
    manifests: Folder | None = None
    """A folder of the repository with further objects for each namespace."""


def is_reserved(key: str) -> bool:
    """Whether a label's or annotation's key belongs to Hanse or to Kubernetes itself."""
    prefix = key.rpartition("/")[0]
    if prefix == "app.kubernetes.io":
        return key == MANAGED_BY[0]
    return prefix in (OWN_NAME, "kubernetes.io", "k8s.io") or prefix.endswith((".kubernetes.io", ".k8s.io"))


def binding_name(role: str, subject_kind: str, subject: str) -> str:
    """The name of the one RoleBinding that gives a subject a role in its namespace.

    `role` is a ClusterRole's name, `subject_kind` `User` or `Group`, `subject` its name for the API server. It is a
    path segment, as names of RBAC are (k8s.io/kubernetes, pkg/apis/rbac/validation), since the role's name is one.
    """
    told = hashlib.sha256("\n".join((subject_kind, role, subject)).encode()).hexdigest()[:12]
    return f"{OWN_NAME}-{role}-{told}"


DESCRIPTION = Description(
    vendor="kubernetes",
    kinds=(
        KindSpec("namespace", unique=("name",), immutable=("name",), guarded=True),
        KindSpec("quota", within=("namespace",)),
        KindSpec("limits", within=("namespace",)),
        KindSpec("network-policy", within=("namespace",)),
        KindSpec("object", within=("namespace",)),
        KindSpec("binding", ends=("namespace", "role", "subject"), within=("namespace",), subject="subject"),
    ),
    platform_block=PlatformBlock,
    landing_zone_block=LandingZoneBlock,
    quotas=tuple(QUOTAS),
    pace=Pace(requests_per_second=200, concurrency=16),
)
