"""What the API server sends, as far as it is read: typed, so that long lists are decoded without what is not needed.

Fields and their meaning: Kubernetes API reference, `ObjectMeta`, `Namespace`, `RoleBinding`, `Status`, `WatchEvent`.
What long lists are made of is `gc=False`: it refers to nothing that could refer back, so nobody has to look for that.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from msgspec import Raw, Struct, field

T = TypeVar("T")
NOTHING = Raw(b"{}")


class Managed(Struct, frozen=True, gc=False):
    """Which fields one manager set last."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields: Raw = field(name="fieldsV1", default=NOTHING)


class Place(Struct, frozen=True, gc=False, rename="camel"):
    """Where an object is."""

    name: str = ""
    namespace: str = ""


class Meta(Struct, frozen=True, gc=False, rename="camel"):
    """What objects of all kinds carry."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    managed_fields: tuple[Managed, ...] = ()


class Condition(Struct, frozen=True, gc=False):
    """Something that a controller says of an object."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class NamespaceStatus(Struct, frozen=True, gc=False):
    """How a namespace fares."""

    phase: str = "Active"
    conditions: tuple[Condition, ...] = ()


class NamespaceSpec(Struct, frozen=True, gc=False):
    """What keeps a namespace from going."""

    finalizers: tuple[str, ...] = ()


class Namespace(Struct, frozen=True, gc=False):
    """A namespace."""

    metadata: Meta
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class RoleRef(Struct, frozen=True, gc=False):
    """The role that a binding gives."""

    kind: str = ""
    name: str = ""


class Subject(Struct, frozen=True, gc=False):
    """Somebody who gets it: a User, a Group or a ServiceAccount."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


class Binding(Struct, frozen=True, gc=False, rename="camel"):
    """A RoleBinding."""

    metadata: Place
    role_ref: RoleRef
    subjects: tuple[Subject, ...] | None = None


class Labelled(Struct, frozen=True):
    """Name and labels."""

    name: str = ""
    labels: dict[str, str] = {}


class ClusterBinding(Struct, frozen=True, rename="camel"):
    """A ClusterRoleBinding."""

    metadata: Labelled
    role_ref: RoleRef
    subjects: tuple[Subject, ...] | None = None


class Versioned(Struct, frozen=True, rename="camel"):
    """A RoleBinding that is to be changed."""

    metadata: Meta
    role_ref: RoleRef
    subjects: tuple[Subject, ...] | None = None


class Named(Struct, frozen=True):
    """An object of which only the place matters."""

    metadata: Place


class Object(Struct, frozen=True, gc=False):
    """An object whose spec is compared as a whole."""

    metadata: Meta
    spec: Any = None


class ListMeta(Struct, frozen=True, rename="camel"):
    """Where a page of a list stands."""

    following: str = field(name="continue", default="")
    resource_version: str = ""
    remaining_item_count: int | None = None


class Page(Struct, Generic[T], frozen=True):
    """A page of a list."""

    items: tuple[T, ...] | None = None
    metadata: ListMeta = ListMeta()


class Cause(Struct, frozen=True):
    """One thing that is wrong."""

    reason: str = ""
    field: str = ""


class Details(Struct, frozen=True, rename="camel"):
    """What a Status is about."""

    causes: tuple[Cause, ...] | None = None
    retry_after_seconds: int = 0


class Status(Struct, frozen=True):
    """The API server's word on what went wrong. `message` may repeat what was sent and is never passed on whole."""

    reason: str = ""
    message: str = ""
    code: int = 0
    details: Details | None = None


class ApiResource(Struct, frozen=True):
    """A kind that the server knows, by discovery."""

    name: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...] = ()


class ApiResources(Struct, frozen=True):
    """The kinds of one group and version."""

    resources: tuple[ApiResource, ...] = ()


class Traced(Struct, frozen=True, rename="camel"):
    """The part of an object that tells whether what we decide of it has changed; the rest is not decoded."""

    metadata: Meta = Meta()
    spec: Raw = NOTHING
    role_ref: Raw = NOTHING
    subjects: Raw = NOTHING
    code: int = 0
    """Of a Status in an ERROR event."""


class Event(Struct, frozen=True):
    """One line of a watch."""

    type: str
    object: Traced
