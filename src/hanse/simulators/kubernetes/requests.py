"""A request in the terms of the API: what it is about, taken from method, path and parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hanse.simulators.kubernetes.access import Ask
from hanse.simulators.kubernetes.answers import (
    Fault,
    RefusedError,
    bad_option,
    bad_request,
    no_method,
    no_resource,
)
from hanse.simulators.kubernetes.schema import KINDS, NAMESPACES, SERVICE_ACCOUNTS, Kind

_BY_PLURAL = {(kind.group, kind.plural): kind for kind in KINDS}
_LONGEST_MANAGER = 128
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Request:
    """One call, as the HTTP server read it."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = "application/json"
    token: str | None = None
    agent: str = "unknown"

    def is_on(self, name: str) -> bool:
        """Whether a parameter is given and not false."""
        return self.query.get(name, "0") not in ("0", "false", "")

    def number(self, name: str) -> int:
        """A parameter as a whole number, 0 where it is not given. Raises a 400 RefusedError."""
        text = self.query.get(name) or "0"
        if not re.fullmatch("-?[0-9]+", text):
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)

    @property
    def is_apply(self) -> bool:
        """Whether it is a server-side apply."""
        return self.method == "PATCH" and self.content_type == "application/apply-patch+yaml"

    def manager(self) -> str:
        """Who owns what this request writes. Raises a 422 RefusedError."""
        options = {"POST": "CreateOptions", "PUT": "UpdateOptions"}.get(self.method, "PatchOptions")
        name = self.query.get("fieldManager", "")
        if self.is_apply and not name:
            raise bad_option(
                options,
                Fault("FieldValueRequired", "fieldManager", "Required value: is required for apply patch"),
            )
        if len(name.encode()) > _LONGEST_MANAGER:
            raise bad_option(
                options,
                Fault("FieldValueTooLong", "fieldManager", "Too long: may not be more than 128 bytes"),
            )
        if self.method == "PATCH" and not self.is_apply and "force" in self.query:
            raise bad_option(
                options,
                Fault("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"),
            )
        return name or self.agent.partition("/")[0]

    def is_dry(self) -> bool:
        """Whether nothing is to be kept. Raises a 422 RefusedError."""
        wish = self.query.get("dryRun")
        if wish not in (None, "All"):
            options = {
                "POST": "CreateOptions",
                "PUT": "UpdateOptions",
                "PATCH": "PatchOptions",
            }.get(self.method, "DeleteOptions")
            why = f'Unsupported value: ["{wish}"]: supported values: "All"'
            raise bad_option(options, Fault("FieldValueNotSupported", "dryRun", why))
        return wish is not None


@dataclass(frozen=True)
class Target:
    """The resource that a path names."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    def ask(self, verb: str) -> Ask:
        """What the authorizer is asked; a namespace lies in itself."""
        namespace = self.name if self.kind is NAMESPACES else self.namespace
        return Ask(verb, self.kind.group, self.kind.plural, self.subresource, namespace, self.name)


def target_of(path: str) -> Target | None:
    """What a path of a resource names; None for a path of none. Raises a 404 RefusedError for an unknown resource."""
    parts = path.strip("/").split("/")
    if parts[:2] == ["api", "v1"]:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and parts[2:3] == ["v1"]:
        group, rest = parts[1], parts[3:]
    else:
        return None
    if not rest or (group and group not in {kind.group for kind in KINDS}):
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and (group, rest[2]) in _BY_PLURAL:  # noqa: PLR2004
        namespace, rest = rest[1], rest[2:]
    kind = _BY_PLURAL.get((group, rest[0]))
    name, subresource = [*rest[1:], "", ""][:2]
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):  # noqa: PLR2004 (the parts of a path)
        raise no_resource()
    known = ["", *(["status"] if kind.has_status else []), *(["token"] if kind is SERVICE_ACCOUNTS else [])]
    if subresource not in known or (kind.namespaced and name and not namespace):
        raise no_resource()
    return Target(kind, namespace, name, subresource)


def verb_of(request: Request, target: Target) -> str:
    """Which verb a request is. Raises a 405 RefusedError for a method that the resource has not."""
    verb = VERBS.get(request.method, "")
    if target.subresource == "token":
        allowed = ["create"]
    elif target.subresource:
        allowed = ["get", "update", "patch"]
    elif target.name:
        allowed = ["get", "update", "patch", "delete"]
    elif target.namespace or not target.kind.namespaced:
        allowed = ["get", "create", "delete"]
    else:
        allowed = ["get"]
    if verb not in allowed:
        raise no_method()
    if target.name:
        return verb
    if verb == "get":
        return "watch" if request.is_on("watch") else "list"
    return "deletecollection" if verb == "delete" else verb


def no_media() -> RefusedError:
    """415."""
    return RefusedError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
