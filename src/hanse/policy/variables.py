"""What a policy can name: the variables of each `on`, their fields and types, and how their values are made.

One table for the checker, the evaluation and the page docs/policies.md, which tests/tidy compares with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hanse.desired.kinds import AccessRow, Grant, TenantRow
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


DYN = Type("dyn")
BOOL, INT, DOUBLE, STRING = Type("bool"), Type("int"), Type("double"), Type("string")
TIMESTAMP, DURATION, NULL = Type("timestamp"), Type("duration"), Type("null_type")
TAGS = Type("map", DYN)


def list_of(element: Type) -> Type:
    """A list of elements of one type."""
    return Type("list", element)


@dataclass(frozen=True)
class GrantAt:
    """A grant and the scope that it is on."""

    row: AccessRow | Grant
    scope: Scope


class Making:
    """Makes values of a manifest's documents: each with the fields that some policy names, and no others."""

    def __init__(self, manifest: Manifest, used: Mapping[str, set[str]]) -> None:
        """Begin; `used` has the fields that are named, by the name of the object."""
        self.manifest = manifest
        self._used = {
            name: [(field, OBJECTS[name].fields[field]) for field in sorted(fields)]  # type: ignore[index]
            for name, fields in used.items()
        }

    def value(self, name: str, document: Any) -> dict[str, Any]:
        """An object's value."""
        found: dict[str, Any] = {}
        for field, made in self._used.get(name, ()):
            value = made.value(self, document)
            if value is not None:
                found[field] = value
        return found

    def tags(self, document: Any) -> dict[str, Any]:
        """Effective tags, as plain values."""
        if document is None:
            return {}
        tags = effective_tags(self.manifest, document)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in tags.items()}

    @cached_property
    def access(self) -> dict[Scope, list[GrantAt]]:
        """All grants by scope."""
        found: dict[Scope, list[GrantAt]] = {}
        for scope, row, _, _ in self.manifest.access_rows():
            found.setdefault(scope, []).append(GrantAt(row, scope))
        for grants in found.values():
            grants.sort(
                key=lambda g: (
                    g.row.user or "",
                    g.row.group or "",
                    g.row.role,
                    g.row.from_ or "",
                    g.row.until or "",
                )
            )
        return found


def _text(attribute: str) -> Field:
    """A text of a document; empty where the document or the text is absent."""
    return Field(STRING, lambda _, document: (getattr(document, attribute) or "") if document else "")


def _tags() -> Field:
    return Field(TAGS, lambda making, document: making.tags(document))


def _bound(which: str) -> Field:
    def value(making: Making, grant: GrantAt) -> Any:
        if getattr(grant.row, "from_" if which == "start" else "until") is None:
            return None
        term = read_term(grant.row, making.manifest.zone)
        return None if isinstance(term, BadTime) else getattr(term, which)

    return Field(TIMESTAMP, value)


def _row(attribute: str) -> Field:
    return Field(STRING, lambda _, grant: getattr(grant.row, attribute) or "")


def _access(scope: Callable[[Any], Scope]) -> Field:
    return Field(
        list_of(GRANT),
        lambda making, document: [making.value("grant", g) for g in making.access.get(scope(document), ())],
    )


def _quotas(_: Making, row: TenantRow) -> dict[str, int]:
    return dict(row.quotas)


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
        "quotas": Field(Type("map", INT), _quotas),
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
            "access": _access(lambda document: (document.name, "") if document else ("", "-")),
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
            "access": _access(
                lambda document: (document.workspace, document.name) if document else ("", "-")
            ),
            "tenants": Field(
                list_of(TENANT),
                lambda making, document: [
                    making.value("tenant", row)
                    for row in sorted(document.tenants if document else (), key=lambda row: row.platform)
                ],
            ),
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
            "externalIds": Field(Type("map", STRING), lambda _, user: dict(user.external_ids)),
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
