"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902) on plain values."""

from typing import Any

from hanse.simulators.kubernetes.answers import RefusedError, bad_request


def merged(thing: Any, patch: Any) -> Any:
    """A new value with a merge patch applied."""
    if not isinstance(patch, dict):
        return patch
    base = thing if isinstance(thing, dict) else {}
    kept = {name: part for name, part in base.items() if patch.get(name, part) is not None}
    return {
        **kept,
        **{name: merged(base.get(name), part) for name, part in patch.items() if part is not None},
    }


def patched(thing: Any, operations: Any) -> Any:
    """A new value with the operations of a JSON patch applied. Raises RefusedError where one cannot be."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: expected a list of operations")
    for operation in operations:
        try:
            thing = _operated(thing, operation)
        except (KeyError, IndexError, ValueError, TypeError):
            # The API server tells no more than this.
            message = "the server rejected our request due to an error in our request"
            raise RefusedError(422, "Invalid", message, details={}) from None
    return thing


def _operated(thing: Any, operation: Any) -> Any:
    path = _path(operation["path"])
    match operation["op"]:
        case "test":
            if _found(thing, path) != operation["value"]:
                raise ValueError
            return thing
        case "remove":
            return _with(thing, path, remove=True)
        case "add":
            return _with(thing, path, operation["value"])
        case "replace":
            _found(thing, path)
            return _with(thing, path, operation["value"], over=True)
        case "copy":
            return _with(thing, path, _found(thing, _path(operation["from"])))
        case "move":
            source = _path(operation["from"])
            return _with(_with(thing, source, remove=True), path, _found(thing, source))
    raise ValueError


def _path(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _found(thing: Any, path: list[str]) -> Any:
    for step in path:
        thing = thing[int(step)] if isinstance(thing, list) else thing[step]
    return thing


def _with(thing: Any, path: list[str], value: Any = None, *, remove: bool = False, over: bool = False) -> Any:
    if not path:
        return value
    step, *rest = path
    if isinstance(thing, list):
        place = len(thing) if step == "-" else int(step)
        if rest:
            return [
                *thing[:place],
                _with(thing[place], rest, value, remove=remove, over=over),
                *thing[place + 1 :],
            ]
        if remove and place >= len(thing):
            raise IndexError
        return [*thing[:place], *([] if remove else [value]), *thing[place + (remove or over) :]]
    if rest:
        return {**thing, step: _with(thing[step], rest, value, remove=remove, over=over)}
    if remove:
        _found(thing, path)
        return {name: part for name, part in thing.items() if name != step}
    return {**thing, step: value}
