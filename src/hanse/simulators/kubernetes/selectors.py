"""Label and field selectors, as parameters of a list or a watch and as parts of objects."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from hanse.simulators.kubernetes.answers import bad_request
from hanse.simulators.kubernetes.schema import NAMESPACES, Kind, Object

Test = Callable[[Object], bool]

_REQUIREMENT = re.compile(
    r"\s*(?:"
    r"(?P<absent>!)\s*(?P<no>[^\s!=<>,()]+)"
    r"|(?P<key>[^\s!=<>,()]+)(?:\s*(?P<sign>==|=|!=|<|>)\s*(?P<value>[^\s!=<>,()]*)"
    r"|\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\))?"
    r")\s*(?P<end>,|\Z)"
)


def labels(text: str) -> Test:
    """What a labelSelector lets through. Raises a 400 RefusedError for one that cannot be read."""
    tests: list[Test] = []
    at = 0
    while at < len(text):
        found = _REQUIREMENT.match(text, at)
        if found is None:
            raise bad_request(f"unable to parse requirement: found '{text[at:].strip()}'")
        tests.append(_label(found))
        at = found.end()
    return lambda thing: all(test(thing) for test in tests)


def _label(found: re.Match[str]) -> Test:
    key = found["no"] or found["key"]
    sign = "!" if found["absent"] else found["sign"] or found["word"] or "?"
    values = [part.strip() for part in (found["values"] or found["value"] or "").split(",")]
    return lambda thing: _holds(thing["metadata"].get("labels", {}).get(key), sign, values)


def _holds(label: str | None, sign: str, values: list[str]) -> bool:
    match sign:
        case "!":
            return label is None
        case "?":
            return label is not None
        case "=" | "==" | "in":
            return label in values
        case "!=" | "notin":
            return label not in values
        case _:
            if label is None or not label.lstrip("-").isdigit():
                return False
            return int(label) > int(values[0]) if sign == ">" else int(label) < int(values[0])


def fields(text: str, kind: Kind) -> Test:
    """What a fieldSelector lets through. Raises a 400 RefusedError for a field that cannot be asked for."""
    tests = [_field(part, kind) for part in text.split(",") if part]
    return lambda thing: all(test(thing) for test in tests)


def _field(text: str, kind: Kind) -> Test:
    found = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", text)
    if found is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    name, sign, value = found.groups()
    known = ["metadata.name", "metadata.namespace", *(["status.phase"] if kind is NAMESPACES else [])]
    if name not in known:
        names = ", ".join(f'"{one}"' for one in known)
        raise bad_request(f'"{name}" is not a known field selector: only {names}')
    first, second = name.split(".")
    return lambda thing: (thing.get(first, {}).get(second, "") == value) is (sign != "!=")


def matches(selector: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    """Whether labels fit a selector inside an object; an empty one fits all."""
    signs = {"In": "in", "NotIn": "notin", "Exists": "?", "DoesNotExist": "!"}
    return all(found.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _holds(found.get(one["key"]), signs[one["operator"]], one.get("values", []))
        for one in selector.get("matchExpressions", ())
    )
