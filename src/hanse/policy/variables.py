"""What a policy can name: the variables of each `on`, their fields and types, and how their values are made.

One table for the checker, the evaluation and the page docs/policies.md, which tests/tidy compares with it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hanse.desired.kinds import AccessRow, Grant, Group, User
from hanse.desired.manifest import Manifest, Scope
from hanse.desired.tags import effective_tags
from hanse.desired.terms import BadTime, read_term


@dataclass(frozen=True)
class Type:
    """A type of CEL; of a list or a map with that of its elements, of an object with its fields."""

    name: str
    element: Type | None = None
    fields: Mapping[str, Field] | None = None

    def __str__(self) -> str:
        """As it is told to people."""
        return f"{self.name} of {self.element}" if self.element and self.element != DYN else self.name

    @property
    def has_object(self) -> bool:
        """Whether it is an object or made of them."""
        return self.fields is not None or (self.element is not None and self.element.has_object)


@dataclass(frozen=True)
class Field:
    """A field of an object, and where its value is from; where that is None, the field is absent."""

    type: Type
    value: Callable[[Making, Any], Any]
    key: Callable[[Making, Any], Hashable] | None = None
    """What is equal only where the value is the same; None where the value itself is. Cheap, and small to keep."""


DYN = Type("dyn")
BOOL, INT, DOUBLE, STRING = Type("bool"), Type("int"), Type("double"), Type("string")
TIMESTAMP, DURATION, NULL = Type("timestamp"), Type("duration"), Type("null_type")
TAGS = Type("map", DYN)
MAX_KEYED = 16
"""Elements of a list or map that are compared one by one."""


def list_of(element: Type) -> Type:
    """A list of elements of one type."""
    return Type("list", element)


@dataclass(frozen=True)
class GrantAt:
    """A grant and the scope that it is on."""

    row: AccessRow | Grant
    scope: Scope


class Making:
    """Makes values of a manifest's documents: each with the fields that some expression names, and no others."""

    def __init__(self, documents: Documents, used: Mapping[str, set[str]]) -> None:
        """Begin; `used` has the fields that are named, by the name of the object."""
        self.documents = documents
        self._used = {
            name: [(field, OBJECTS[name].fields[field]) for field in sorted(fields)]  # type: ignore[index]
            for name, fields in used.items()
        }
        self._keys = {
            name: tuple(field.key or field.value for _, field in fields)
            for name, fields in self._used.items()
        }

    def value(self, name: str, document: Any) -> Any:
        """A variable's value."""
        if name == "people":
            return [self.value("person", user) for user in self.documents.people(document)]
        found: dict[str, Any] = {}
        for field, made in self._used.get(name, ()):
            value = made.value(self, document)
            if value is not None:
                found[field] = value
        return found

    def key(self, name: str, document: Any) -> Hashable:
        """What is equal only where the value is the same."""
        if name == "people":
            return self.keys("person", document, self.documents.people(document))
        return tuple([key(self, document) for key in self._keys.get(name, ())])

    def keys(self, name: str, document: object, parts: Sequence[Any]) -> Hashable:
        """The same of a list: long ones are told apart by what they are in, which lives as long as the manifest."""
        self.documents.compared += len(parts)
        if len(parts) > MAX_KEYED:
            return id(document)
        return tuple([self.key(name, part) for part in parts])


class Documents:
    """A manifest's documents, as several Makings ask for them."""

    def __init__(self, manifest: Manifest) -> None:
        """Begin."""
        self.manifest = manifest
        self.compared = 0
        """Elements of lists and maps that were gone through for keys."""

    def tags(self, document: Any) -> dict[str, Any]:
        """Effective tags, as plain values."""
        if document is None:
            return {}
        tags = effective_tags(self.manifest, document)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in tags.items()}

    def people(self, whom: Group | User) -> list[User]:
        """Whom a grant to a group or a user reaches."""
        names = sorted(set(whom.members)) if isinstance(whom, Group) else (whom.name,)
        return [self.manifest.users[name] for name in names]

    def access(self, scope: Scope, document: Any) -> list[GrantAt]:
        """All grants on a document, in no order."""
        rows = [*document.access, *self._grants.get(scope, ())] if document else ()
        return [GrantAt(row, scope) for row in rows]

    @cached_property
    def _grants(self) -> dict[Scope, list[Grant]]:
        found: dict[Scope, list[Grant]] = {}
        for grant in self.manifest.grants.values():
            found.setdefault((grant.workspace or "", grant.project or ""), []).append(grant)
        return found


def _text(attribute: str) -> Field:
    """A text of a document; empty where the document or the text is absent."""
    return Field(STRING, lambda _, document: (getattr(document, attribute) or "") if document else "")


def _tags() -> Field:
    def key(making: Making, document: Any) -> Hashable:
        if document is None:
            return ()
        return _items(making, effective_tags(making.documents.manifest, document), document)

    return Field(TAGS, lambda making, document: making.documents.tags(document), key)


def _items(making: Making, values: Mapping[str, Any], document: object) -> Hashable:
    """A key of a map. What is no text is written out: of numbers and truths, some are equal and not the same."""
    making.documents.compared += len(values)
    if len(values) > MAX_KEYED:
        return id(document)
    return tuple(
        [
            (name, value) if isinstance(value, str) else (name, None, repr(value))
            for name, value in values.items()
        ]
    )


def _bound(which: str) -> Field:
    written = "from_" if which == "start" else "until"

    def value(making: Making, grant: GrantAt) -> Any:
        if getattr(grant.row, written) is None:
            return None
        term = read_term(grant.row, making.documents.manifest.zone)
        return None if isinstance(term, BadTime) else getattr(term, which)

    # A grant with one unreadable bound has neither.
    return Field(TIMESTAMP, value, lambda _, grant: (grant.row.from_, grant.row.until))


def _row(attribute: str) -> Field:
    return Field(STRING, lambda _, grant: getattr(grant.row, attribute) or "")


def _access(scope: Callable[[Any], Scope]) -> Field:
    def found(making: Making, document: Any) -> list[GrantAt]:
        return making.documents.access(scope(document), document) if document else []

    def value(making: Making, document: Any) -> Any:
        return [making.value("grant", grant) for grant in sorted(found(making, document), key=_order)]

    return Field(list_of(GRANT), value, lambda making, doc: making.keys("grant", doc, found(making, doc)))


def _order(grant: GrantAt) -> tuple[str, ...]:
    row = grant.row
    return row.user or "", row.group or "", row.role, row.from_ or "", row.until or ""


def _tenants() -> Field:
    def value(making: Making, document: Any) -> Any:
        rows = sorted(document.tenants if document else (), key=lambda row: row.platform)
        return [making.value("tenant", row) for row in rows]

    def key(making: Making, document: Any) -> Hashable:
        return making.keys("tenant", document, document.tenants) if document else ()

    return Field(list_of(TENANT), value, key)


_SCOPES = {0: "organization", 1: "workspace", 2: "project"}
GRANT = Type(
    "grant",
    fields={
        "role": _row("role"),
        "user": _row("user"),
        "group": _row("group"),
        "from": _bound("start"),
        "until": _bound("end"),
        "reason": _row("reason"),
        "scope": Field(STRING, lambda _, grant: _SCOPES[sum(map(bool, grant.scope))]),
    },
)
TENANT = Type(
    "tenant",
    fields={
        "platform": _text("platform"),
        "landingZone": _text("landing_zone"),
        "quotas": Field(
            Type("map", INT),
            lambda _, row: dict(row.quotas),
            lambda making, row: _items(making, row.quotas, row),
        ),
        "localChanges": _text("local_changes"),
        "native": Field(STRING, lambda _, row: row.native.id if row.native else ""),
    },
)
OBJECTS: dict[str, Type] = {
    "organization": Type(
        "organization",
        fields={
            "name": _text("name"),
            "displayName": _text("display_name"),
            "timezone": _text("timezone"),
            "access": _access(lambda _: ("", "")),
        },
    ),
    "workspace": Type(
        "workspace",
        fields={
            "name": _text("name"),
            "displayName": _text("display_name"),
            "tags": _tags(),
            "access": _access(lambda document: (document.name, "")),
        },
    ),
    "project": Type(
        "project",
        fields={
            "name": _text("name"),
            "workspace": _text("workspace"),
            "displayName": _text("display_name"),
            "description": _text("description"),
            "tags": _tags(),
            "paymentMethod": _text("payment_method"),
            "access": _access(lambda document: (document.workspace, document.name)),
            "tenants": _tenants(),
        },
    ),
    "paymentMethod": Type(
        "paymentMethod",
        fields={
            "name": _text("name"),
            "displayName": _text("display_name"),
            "workspace": _text("workspace"),
            "tags": _tags(),
        },
    ),
    "tenant": TENANT,
    "platform": Type(
        "platform",
        fields={
            "name": _text("name"),
            "displayName": _text("display_name"),
            "location": _text("location"),
            "credential": _text("credential"),
            "localChanges": _text("local_changes"),
            "tags": _tags(),
        },
    ),
    "location": Type(
        "location",
        fields={
            "name": _text("name"),
            "displayName": _text("display_name"),
            "jurisdiction": _text("jurisdiction"),
            "tags": _tags(),
        },
    ),
    "landingZone": Type(
        "landingZone",
        fields={
            "name": _text("name"),
            "displayName": _text("display_name"),
            "deletion": _text("deletion"),
            "localChanges": _text("local_changes"),
            "tags": _tags(),
        },
    ),
    "grant": GRANT,
    "group": Type(
        "group",
        fields={
            "name": _text("name"),
            "displayName": _text("display_name"),
            "tags": _tags(),
        },
    ),
    "person": Type(
        "person",
        fields={
            "name": _text("name"),
            "displayName": _text("display_name"),
            "email": _text("email"),
            "state": _text("state"),
            "tags": _tags(),
            "externalIds": Field(
                Type("map", STRING),
                lambda _, user: dict(user.external_ids),
                lambda making, user: _items(making, user.external_ids, user),
            ),
        },
    ),
}
"""What variables are made of, by name; `person` is an element of `people`."""
_IN_PROJECT = ("organization", "workspace", "project", "paymentMethod")
_NAMES = {
    "organization": ("organization",),
    "workspace": ("organization", "workspace"),
    "project": _IN_PROJECT,
    "tenant": (*_IN_PROJECT, "tenant", "platform", "location", "landingZone"),
    "grant": (*_IN_PROJECT, "grant", "group"),
}
VARIABLES: dict[str, dict[str, Type]] = {
    on: {name: OBJECTS[name] for name in names}
    | ({"people": list_of(OBJECTS["person"])} if on == "grant" else {})
    for on, names in _NAMES.items()
}
"""By what a policy is on: the variables that it has."""
