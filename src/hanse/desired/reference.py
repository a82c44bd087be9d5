"""What can be written, as a tree made of the types: fields with type in words, default, limits and what they mean.

The types, and the sentences beneath their fields, are the one source: the reference pages, `hanse explain` and
`hanse schema` all say what stands here. The sentences are taken from the source text of modules that are loaded anyway.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec import inspect as types

from hanse.foundation.diagnostics import suggest


class Field(Struct, frozen=True):
    """One field of a mapping."""

    name: str
    type: str
    """In words, such as `list of text`."""
    doc: str
    """What it means, as Markdown."""
    required: bool
    default: Any
    """As plain values; nothing where the absence has a meaning of its own."""
    allowed: tuple[str, ...]
    """All values that it may have, where these are few."""
    limits: tuple[str, ...]
    """What else is asked of its values, each in a few words."""
    examples: tuple[str, ...]
    shape: Shape | None
    """What its value, or each of its values, is made of."""


class Shape(Struct, frozen=True):
    """What a mapping is made of: a document, or a part of one."""

    type: type[Struct]
    doc: str
    fields: tuple[Field, ...]


class Unknown(Exception):
    """Nothing has such a name. The text says what has not, `advice` what was likely meant."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


@cache
def shape(kind: type[Struct]) -> Shape:
    """What a type is made of."""
    told = types.type_info(kind)
    assert isinstance(told, types.StructType)
    docs = _docs(kind)
    doc = " ".join((kind.__doc__ or "").split())
    return Shape(kind, doc, tuple(_field(field, docs) for field in told.fields))


def find(roots: Mapping[str, type[Struct]], path: str) -> tuple[Shape, Field | None]:
    """What stands at `KIND.field.field`, each name in any case: the field and what has it. Raises Unknown."""
    root, *names = path.split(".")
    found = shape(roots[_known(root, roots, "kind", "")])
    field = None
    walked = root
    for name in names:
        if field is not None:
            if field.shape is None:
                raise Unknown(f"{walked} has no fields", f"`hanse explain {walked}` says what it holds")
            found = field.shape
        fields = {field.name: field for field in found.fields}
        field = fields[_known(name, fields, "field", walked)]
        walked = f"{walked}.{field.name}"
    return found, field


def _known(name: str, names: Mapping[str, Any], what: str, where: str) -> str:
    alike = {known.lower(): known for known in names}
    if name.lower() in alike:
        return alike[name.lower()]
    guess = suggest(name, names)
    advice = f"did you mean '{guess}'?" if guess else f"there are: {', '.join(names)}"
    raise Unknown(f"{where} has no {what} '{name}'" if where else f"there is no {what} '{name}'", advice)


def shapes(kind: type[Struct], path: str = "") -> Iterator[tuple[str, Shape]]:
    """The shape of a type and of all that is in it, each by the way to it."""
    whole = shape(kind)
    yield path, whole
    for field in whole.fields:
        if field.shape is not None:
            yield from shapes(field.shape.type, f"{path}.{field.name}" if path else field.name)


# --- types in words -------------------------------------------------------------------------------


def _field(field: types.Field, docs: Mapping[str, str]) -> Field:
    parts = list(_parts(field.type))
    inner = next((part.cls for part in parts if isinstance(part, types.StructType)), None)
    default = None if field.default is NODEFAULT else field.default
    if field.default_factory is not NODEFAULT:
        default = field.default_factory()
    doc = docs.get(field.name, "")
    if not doc and inner is not None:  # a vendor's block is joined on, and says itself what it is
        doc = shape(inner).doc
    return Field(
        name=field.encode_name,
        type=words(field.type),
        doc=doc,
        required=field.required,
        default=msgspec.to_builtins(default),
        allowed=tuple(str(v) for part in parts if isinstance(part, types.LiteralType) for v in part.values),
        limits=tuple(dict.fromkeys(limit for part in parts for limit in _limits(part))),
        examples=tuple(str(e) for part in parts for e in _extra(part).get("examples", ())),
        shape=shape(inner) if inner is not None else None,
    )


def words(kind: types.Type) -> str:
    """A type, as people call it."""
    match kind:
        case types.Metadata(inner):
            return str(_extra(kind).get("title") or words(inner))
        case types.UnionType(variants):
            told = [words(part) for part in variants if not isinstance(part, types.NoneType)]
            return _listed(list(dict.fromkeys(told)))
        case types.LiteralType(values):
            return _listed([f"`{value}`" for value in values])
        case types.VarTupleType(item) | types.ListType(item):
            return f"list of {_several(words(item))}"
        case types.DictType(_, value):
            return f"mapping to {_several(words(value))}"
        case _:
            return _WORDS[type(kind)]


_WORDS: dict[type[types.Type], str] = {
    types.StrType: "text",
    types.BoolType: "true or false",
    types.IntType: "whole number",
    types.FloatType: "number",
    types.StructType: "mapping",
    types.AnyType: "anything",
}


def _several(word: str) -> str:
    """A type, as many of it are called."""
    if word in ("text", "anything") or "`" in word or " or " in word:
        return word
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _listed(words: list[str]) -> str:
    """`a`, `a or b`, `a, b or c`; a number makes a whole number needless."""
    if "number" in words and "whole number" in words:
        words.remove("whole number")
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _parts(kind: types.Type) -> Iterator[types.Type]:
    """A type and all that its values are made of, as far as the next mapping of fields."""
    yield kind
    match kind:
        case types.Metadata(inner) | types.VarTupleType(inner) | types.ListType(inner):
            yield from _parts(inner)
        case types.UnionType(variants):
            for variant in variants:
                yield from _parts(variant)
        case types.DictType(key, value):
            yield from _parts(key)
            yield from _parts(value)


def _extra(kind: types.Type) -> Mapping[str, Any]:
    return kind.extra_json_schema or {} if isinstance(kind, types.Metadata) else {}


def _limits(kind: types.Type) -> Iterator[str]:
    match kind:
        case types.Metadata() if "description" in _extra(kind):
            yield str(_extra(kind)["description"])
        case types.IntType() | types.FloatType():
            signs = {"at least": kind.ge, "more than": kind.gt, "at most": kind.le, "less than": kind.lt}
            yield from (f"{sign} {limit}" for sign, limit in signs.items() if limit is not None)
        case types.StrType():
            yield from _length(kind.min_length, kind.max_length, "character")
        case types.VarTupleType() | types.ListType():
            yield from _length(kind.min_length, kind.max_length, "entry")


def _length(least: int | None, most: int | None, what: str) -> Iterator[str]:
    many = {"character": "characters", "entry": "entries"}[what]
    if least and most:
        yield f"{least} to {most} {many}"
    elif least:
        yield f"at least {least} {what if least == 1 else many}"
    elif most:
        yield f"at most {most} {many}"


# --- the sentences beneath the fields -------------------------------------------------------------


def _docs(kind: type[Struct]) -> dict[str, str]:
    """What stands beneath each field of a type and of those that it extends, by attribute."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if issubclass(owner, Struct) and owner is not Struct:
            found |= _written(owner.__module__).get(owner.__qualname__, {})
    return found


@cache
def _written(module: str) -> dict[str, dict[str, str]]:
    """By class and attribute: the strings that stand beneath the attributes of a module's classes."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_beneath(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _beneath(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, after in pairwise(body):
        match statement, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())
