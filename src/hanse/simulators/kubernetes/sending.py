"""What was sent, made into objects and options; what cannot be is refused."""

import base64
import json
from typing import Any

import msgspec

from hanse.foundation import yaml
from hanse.simulators.kubernetes import answers, schema
from hanse.simulators.kubernetes.answers import RefusedError, bad_request
from hanse.simulators.kubernetes.quantity import QuantityError
from hanse.simulators.kubernetes.requests import Request, Target, no_media
from hanse.simulators.kubernetes.rules import defaulted
from hanse.simulators.kubernetes.schema import NAMESPACES, Kind, MistypedError, Object

_PAGE = "meta.k8s.io/v1"


def parsed(body: bytes, kind: Kind) -> Any:
    """JSON. Raises a 400 RefusedError."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind.name}): not JSON"
        ) from None
    if not isinstance(found, dict | list):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.name})")
    return found


def decoded(kind: Kind, request: Request) -> tuple[Object, tuple[str, ...]]:
    """What a create or an update sends. Raises a 4xx RefusedError."""
    if request.content_type not in ("application/json", ""):
        raise no_media()
    return typed(kind, parsed(request.body, kind), strict=request.query.get("fieldValidation") == "Strict")


def typed(kind: Kind, sent: Any, *, strict: bool) -> tuple[Object, tuple[str, ...]]:
    """An object in its normal form with its defaults, and a warning for each field that is not known."""
    if not isinstance(sent, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.name})")
    called, version = sent.get("kind") or kind.name, sent.get("apiVersion") or kind.version
    cannot = f'{called} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind.name}'
    if called != kind.name or version != kind.version:
        raise bad_request(f"{cannot}: no such kind is served here")
    unknown: list[str] = []
    plain = {name: part for name, part in sent.items() if name not in ("kind", "apiVersion")}
    entries = (
        (plain.get("metadata") or {}).get("managedFields")
        if isinstance(plain.get("metadata"), dict)
        else None
    )
    try:
        thing = schema.normal(kind.node, plain, "", unknown)
    except MistypedError as mistyped:
        raise bad_request(
            f"{cannot}: json: cannot unmarshal into Go struct field {mistyped.path}: {mistyped.message}"
        ) from None
    except QuantityError as wrong:
        raise bad_request(f"{cannot}: {wrong}") from None
    if strict and unknown:
        said = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise bad_request(f"{cannot}: strict decoding error: {said}")
    thing["metadata"] = dict(thing.get("metadata", {}))
    if entries is not None:
        thing["metadata"]["managedFields"] = entries
    return defaulted(kind, thing), tuple(f'unknown field "{path}"' for path in unknown)


def configuration(target: Target, body: bytes) -> Object:
    """What is applied, as it was written."""
    kind = target.kind
    try:
        sent = msgspec.json.decode(body)
    except msgspec.DecodeError:
        parsed = yaml.parse(body, "patch.yaml")
        if parsed.diagnostics or len(parsed.documents) != 1:
            raise bad_request("error decoding YAML") from None
        sent = parsed.documents[0].value
    if not isinstance(sent, dict):
        raise bad_request("error decoding YAML: expected an object")
    group, _, version = str(sent.get("apiVersion", "")).rpartition("/")
    if sent.get("kind") != kind.name or sent.get("apiVersion") != kind.version:
        raise bad_request(f"invalid object type: {group}/{version}, Kind={sent.get('kind', '')}")
    config = {name: part for name, part in sent.items() if name not in ("kind", "apiVersion")}
    metadata = config.get("metadata") or {}
    if isinstance(metadata, dict):
        if metadata.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        expect_place(target, metadata)
    if (fault := schema.undeclared(kind.node, config)) is not None:
        where = (
            f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {group}/{version}, Kind={kind.name}"
        )
        raise RefusedError(500, "", f"failed to create typed patch object ({where}): {fault}")
    config["metadata"] = metadata
    return config


def expect_place(target: Target, metadata: Object, *, is_new: bool = False) -> None:
    """Raise a 400 RefusedError where object and path name different things."""
    name, namespace = metadata.get("name", ""), metadata.get("namespace", target.namespace)
    if not is_new and name and name != target.name:
        raise bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({target.name})"
        )
    if namespace != target.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def options_of(request: Request) -> Object:
    """DeleteOptions from body and parameters. Raises a 422 RefusedError."""
    sent: Object = msgspec.json.decode(request.body) if request.body else {}
    options = {
        **sent,
        **{name: request.query[name] for name in ["propagationPolicy"] if name in request.query},
    }
    policy = options.get("propagationPolicy")
    if policy not in (None, "Foreground", "Background", "Orphan"):
        names = ["Foreground", "Background", "Orphan", "nil"]
        raise answers.bad_option("DeleteOptions", answers.unsupported("propagationPolicy", policy, names))
    return {**options, "dryRun": request.is_dry() or sent.get("dryRun") == ["All"]}


def expect(kind: Kind, metadata: Object, preconditions: Object) -> None:
    """Raise a 409 RefusedError where a deletion is meant for another object, or another version of it."""
    name = metadata["name"]
    for part, called, hint in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        wanted, is_so = preconditions.get(part), metadata[part]
        if wanted in (None, is_so):
            continue
        if kind is NAMESPACES:  # they have a way of deleting, and words, of their own
            why = f"Precondition failed: {called} in precondition: {wanted}, {called} in object meta: {is_so}"
            raise answers.conflict(kind, name, why)
        why = (
            f"the {called} in the precondition ({wanted}) does not match the {called} in record ({is_so}). "
            f"The object might have been {hint}"
        )
        raise answers.conflict(kind, name, why, what=kind.name)


def version_of(request: Request, before: str) -> int:
    """The parameter resourceVersion, 0 where there is none; `before` begins the message of a 400 RefusedError."""
    text = request.query.get("resourceVersion") or "0"
    if not text.isdigit():
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        if before:
            raise bad_request(before + why)
        raise RefusedError(500, "", why)
    return int(text)


def token_of(version: int, start: str) -> str:
    """Where the next page begins."""
    return encoded({"v": _PAGE, "rv": version, "start": f"/{start}"})


def continued(token: str, prefix: str) -> tuple[int, str]:
    """The version and the key where a page begins. Raises a 400 RefusedError."""
    try:
        said = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if said["v"] == _PAGE:
            return int(said["rv"]), prefix + said["start"].removeprefix("/")
    except (ValueError, KeyError, TypeError):
        pass
    raise bad_request("invalid continue token: continue key is not valid")


def encoded(value: object) -> str:
    """JSON in URL-safe base64."""
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")
