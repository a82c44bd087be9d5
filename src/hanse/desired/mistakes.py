"""What is wrong with one document, all of it, in the words of people: the slow path of loading.

Only a document that could not be typed comes here. JSON Schema finds every error; this module says it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from hanse.desired.vocabulary import Vocabulary
from hanse.foundation.diagnostics import suggest

_TYPES = {
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
_FOREIGN = "a file that is not Hanse's is named in Organization.ignore"
_QUOTED = 60
"""Characters of a value that a message shows."""
_FEW = 5
"""So many allowed values are all listed, without a guess."""
_LISTED = 20
"""So many allowed values a message lists."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?=\D*\Z)")
_MSGSPEC_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class Mistake(Struct, frozen=True):
    """One finding about a document, with the way to the value (or with `key` to the key) that it is about."""

    code: str
    message: str
    advice: str = ""
    steps: tuple[str | int, ...] = ()
    key: bool = False
    field: str = ""
    """Of an unknown key: the field that was probably meant. Of a missing field: its name."""


def mistakes(value: dict[str, Any], vocabulary: Vocabulary) -> list[Mistake]:
    """Everything that is wrong with the form of one document; empty if it is sound."""
    kind = value.get("kind")
    if "kind" not in value:
        advice = f"add one of: {', '.join(vocabulary.kinds)}; {_FOREIGN}"
        return [Mistake("missing-field", "missing field 'kind'", advice)]
    if not isinstance(kind, str) or kind not in vocabulary.kinds:
        guess = suggest(str(kind), vocabulary.kinds)
        advice = meant(guess, vocabulary.kinds) if guess else f"{meant(None, vocabulary.kinds)}; {_FOREIGN}"
        return [Mistake("unknown-kind", f"unknown kind '{kind}'", advice, ("kind",))]
    try:
        vocabulary.typed(value)
    except msgspec.ValidationError as problem:
        return _explained(value, vocabulary, kind) or [_first(str(problem))]
    return []


def without(value: dict[str, Any], found: Sequence[Mistake]) -> dict[str, Any]:
    """The document without the fields that are wrong, so that the rest of it can be looked at all the same."""
    rest = copy.deepcopy(value)
    for mistake in found:
        parent: Any = rest
        for step in mistake.steps[:-1]:
            parent = parent[step]
        if mistake.steps and isinstance(parent, dict):
            parent.pop(mistake.steps[-1], None)
    return rest


def _explained(value: dict[str, Any], vocabulary: Vocabulary, kind: str) -> list[Mistake]:
    schema, validator = vocabulary.validator(kind)
    found = [m for error in validator.iter_errors(value) for m in _of_error(error, schema)]
    # A misspelt key and the missing field that it was meant to be are one mistake.
    misspelt = {(m.steps[:-1], m.field) for m in found if m.code == "unknown-key"}
    return [m for m in found if m.code != "missing-field" or (m.steps, m.field) not in misspelt]


def _of_error(error: Any, schema: Mapping[str, Any]) -> Iterator[Mistake]:
    """One error of the schema's as mistakes; an optional field's alternatives are those of its real type."""
    kind = error.kind.as_dict()
    rule = error.kind.name
    steps = tuple(error.instance_path)
    where = f"{_field(steps)}: " if steps else ""
    if rule == "anyOf":
        likely = _likely(kind["context"], steps)
        for inner in likely:
            yield from _of_error(inner, schema)
        if not likely:
            yield _wrong_type([one.kind.types[0] for branch in kind["context"] for one in branch], error)
    elif rule == "additionalProperties":
        known = list(_at(schema, error.schema_path).get("properties", ()))
        for name in kind["unexpected"]:
            guess = suggest(name, known)
            advice = meant(guess, known)
            yield Mistake(
                "unknown-key", f"unknown key '{name}'", advice, (*steps, name), key=True, field=guess or ""
            )
    elif rule == "required":
        name = kind["property"]
        message = f"{where}missing field '{name}'"
        yield Mistake("missing-field", message, f"add '{name}: …'", steps, field=name)
    elif rule == "type":
        yield _wrong_type(kind["types"], error, _at(schema, error.schema_path))
    elif rule in ("enum", "const"):
        options = [str(option) for option in kind.get("options", ())]
        few = len(options) <= _FEW  # a guess may be the opposite: 'active' for 'inactive'
        advice = meant(None if few else suggest(str(error.instance), options), options)
        yield Mistake("not-allowed", f"{where}{what(error.instance)} is not allowed", advice, steps)
    elif rule == "pattern":
        node = _at(schema, error.schema_path)
        advice = f"use {node.get('description', 'text that matches ' + kind['pattern'])}"
        yield Mistake("not-allowed", f"{where}{what(error.instance)} is not allowed", advice, steps)
    elif rule in ("minItems", "minLength") and kind["limit"] == 1:
        yield Mistake("out-of-range", f"{where}it must not be empty", "", steps)
    elif rule in _LIMITS:
        limit, advice = (text.format(kind["limit"]) for text in _LIMITS[rule])
        yield Mistake("out-of-range", f"{where}{what(error.instance)} is {limit}", advice, steps)
    else:
        yield Mistake("invalid", f"{where}{error.message}", "", steps)


def _likely(branches: Sequence[Sequence[Any]], steps: tuple[str | int, ...]) -> Sequence[Any]:
    """The errors of the alternative that is meant: of an optional field its type, else the one of the value's type.

    None where the value is of no alternative's type.
    """

    def is_other(branch: Sequence[Any]) -> bool:
        return any(one.kind.name == "type" and tuple(one.instance_path) == steps for one in branch)

    real = [
        branch
        for branch in branches
        if not any(one.kind.name == "type" and one.kind.types == ["null"] for one in branch)
    ]
    if len(real) == 1:
        return real[0]
    return next((branch for branch in real if not is_other(branch)), ())


def _wrong_type(types: Sequence[str], error: Any, wanting: Mapping[str, Any] | None = None) -> Mistake:
    steps = tuple(error.instance_path)
    where = f"{_field(steps)}: " if steps else ""
    wanted = dict.fromkeys(_TYPES.get(name, name) for name in types if name != "null" or len(types) == 1)
    if "number" in types:
        wanted.pop(_TYPES["integer"], None)
    *most, last = wanted
    expected = f"{', '.join(most)} or {last}" if most else last
    message = f"{where}expected {expected}, got {what(error.instance)}"
    advice = conversion(types, error.instance, fields=tuple((wanting or {}).get("properties", ())))
    if wanting and types == ["array"] and "$ref" in wanting.get("items", {}):  # of mappings
        advice = "begin each row below it with '- ' and its fields"
    return Mistake("wrong-type", message, advice, steps)


_LIMITS = {
    "minimum": ("less than {}", "write {} or more"),
    "exclusiveMinimum": ("not more than {}", "write more than {}"),
    "maximum": ("more than {}", "write {} or less"),
    "exclusiveMaximum": ("not less than {}", "write less than {}"),
    "minLength": ("shorter than {} characters", ""),
    "maxLength": ("longer than {} characters", ""),
    "minItems": ("shorter than {} entries", ""),
    "maxItems": ("longer than {} entries", ""),
}
"""By rule of the schema: what is wrong, and what to do where that is not plain."""


def _first(problem: str) -> Mistake:
    """The one error that typing itself tells, for what JSON Schema sees differently."""
    message, _, where = problem.partition(" - at `$")
    steps = tuple(
        name or int(index) for name, index in _MSGSPEC_STEP.findall(where.rstrip("`").replace("[...]", ""))
    )
    prefix = f"{_field(steps)}: " if steps else ""
    return Mistake("invalid", f"{prefix}{message[:1].lower()}{message[1:].replace('`', '')}", "", steps)


def _at(schema: Mapping[str, Any], path: Sequence[str | int]) -> Mapping[str, Any]:
    """The part of the schema that holds the rule at `path`."""
    node: Any = schema
    for step in path[:-1]:
        node = node[step]
    return node if isinstance(node, dict) else {}


def _field(steps: Sequence[str | int]) -> str:
    """The path as people write it: `access[0].role`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def meant(guess: str | None, allowed: Collection[str]) -> str:
    """What was probably meant, or what may be said at all, as far as somebody would read it."""
    if len(allowed) > _LISTED and not guess:
        return f"allowed: {', '.join(list(allowed)[:_LISTED])} and {len(allowed) - _LISTED} more"
    return f"did you mean '{guess}'?" if guess else f"allowed: {', '.join(allowed)}"


def what(value: Any) -> str:
    """A value of the file in a message: short, and recognisable."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= _QUOTED else f"'{value[: _QUOTED - 1]}…'"
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def conversion(wanted: Sequence[str], value: Any, *, fields: Sequence[str] = ()) -> str:
    """How to make a value of the wrong type right, where that is plain; `fields` are those of a wanted mapping."""
    if value is None:
        return "write a value, or leave the field out"
    if wanted == ["string"] and isinstance(value, bool | int | float):
        written = str(value).lower() if isinstance(value, bool) else value
        return f'put it in quotes: "{written}"'
    if wanted == ["array"] and not isinstance(value, dict):
        return f"write [{value}]"
    if wanted[0] in ("integer", "number") and isinstance(value, str) and value.strip("-").isdigit():
        return "take the quotes away"
    if wanted[0] in ("integer", "number") and isinstance(value, str) and (number := _NUMBER.match(value)):
        return f"write the number alone: {number[0]}"
    if wanted == ["object"]:
        return (
            f"write its fields below it: {', '.join(fields)}" if fields else "write 'name: value', one a line"
        )
    if wanted == ["string"]:
        return "write one value"
    return ""
