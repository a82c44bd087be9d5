"""What the API server answers when it refuses: errors that carry their Status."""

from typing import Any, NamedTuple

from hanse.simulators.kubernetes.schema import Kind, Object


class RefusedError(Exception):
    """A request that is answered with a Status of the kind Failure."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Object | None = None,
        metadata: Object | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata or {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({} if details is None else {"details": details}),
            "code": code,
        }


class Fault(NamedTuple):
    """One thing wrong with one field."""

    reason: str
    field: str
    message: str


def invalid(field: str, value: Any, why: str) -> Fault:
    """The value does not fit; text comes quoted, as the API server prints it."""
    shown = f'"{value}"' if isinstance(value, str) else value
    return Fault("FieldValueInvalid", field, f"Invalid value: {shown}: {why}")


def required(field: str, why: str = "") -> Fault:
    """There must be a value."""
    return Fault("FieldValueRequired", field, f"Required value: {why}" if why else "Required value")


def unsupported(field: str, value: Any, supported: list[str]) -> Fault:
    """The value is none of those."""
    names = ", ".join(f'"{name}"' for name in supported)
    return Fault("FieldValueNotSupported", field, f'Unsupported value: "{value}": supported values: {names}')


def forbidden_field(field: str, why: str) -> Fault:
    """There must be no such value here."""
    return Fault("FieldValueForbidden", field, f"Forbidden: {why}")


def _details(kind: Kind, name: str, what: str) -> Object:
    return {**({"name": name} if name else {}), **({"group": kind.group} if kind.group else {}), "kind": what}


def details(kind: Kind, name: str = "") -> Object:
    """Which resource a Status is about."""
    return _details(kind, name, kind.plural)


def faulty(kind: Kind, name: str, faults: list[Fault]) -> RefusedError:
    """422: what was sent breaks a rule of its kind."""
    said = [f"{fault.field}: {fault.message}" for fault in dict.fromkeys(faults)]
    return RefusedError(
        422,
        "Invalid",
        f'{kind.name}{f".{kind.group}" if kind.group else ""} "{name}" is invalid: '
        + (said[0] if len(said) == 1 else f"[{', '.join(said)}]"),
        details={
            **_details(kind, name, kind.name),
            "causes": [fault._asdict() | {"message": fault.message} for fault in faults],
        },
    )


def bad_option(options: str, fault: Fault) -> RefusedError:
    """422: a parameter of the request breaks a rule."""
    return faulty(Kind("meta.k8s.io", options, "", {}), "", [fault])


def bad_request(message: str) -> RefusedError:
    """400."""
    return RefusedError(400, "BadRequest", message)


def not_found(kind: Kind, name: str) -> RefusedError:
    """404: there is no such object."""
    return RefusedError(404, "NotFound", f'{kind.qualified} "{name}" not found', details=details(kind, name))


def no_resource() -> RefusedError:
    """404: there is no such resource."""
    return RefusedError(404, "NotFound", "the server could not find the requested resource", details={})


def no_method() -> RefusedError:
    """405."""
    return RefusedError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def exists(kind: Kind, name: str, *, leaving: bool) -> RefusedError:
    """409: the name is taken."""
    return RefusedError(
        409,
        "AlreadyExists",
        f'{"object is being deleted: " if leaving else ""}{kind.qualified} "{name}" already exists',
        details=details(kind, name),
    )


def conflict(kind: Kind, name: str, why: str, *, what: str = "") -> RefusedError:
    """409: the object is no longer what the request takes it for."""
    return RefusedError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {what or kind.qualified} "{name}": {why}',
        details=_details(kind, name, what or kind.plural),
    )


def forbidden(kind: Kind, name: str, why: str, *, causes: list[Object] | None = None) -> RefusedError:
    """403: not for this user, or not now."""
    subject = f'{kind.qualified} "{name}"' if name else kind.qualified
    return RefusedError(
        403,
        "Forbidden",
        f"{subject} is forbidden: {why}",
        details={**details(kind, name), **({"causes": causes} if causes else {})},
    )


def expired(message: str, *, restart: str = "") -> RefusedError:
    """410: that version of the collection is no longer kept."""
    return RefusedError(410, "Expired", message, metadata={"continue": restart} if restart else None)
