"""A law: what loading types, the schema for editors accepts; what loading refuses, it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect as types

from hanse.desired.schema import schema
from hanse.foundation import yaml
from hanse.main import language

ROOT = Path(__file__).parents[2]
VOCABULARY = language().vocabulary
VALIDATOR = jsonschema_rs.Draft202012Validator(schema(VOCABULARY.kinds))
Document = dict[str, Any]


def is_typed(document: Document) -> bool:
    try:
        VOCABULARY.typed(document)
    except msgspec.ValidationError:
        return False
    return True


def of_files() -> Iterator[Document]:
    for folder in ("src/hanse/demo/example", "tests/golden"):
        for path in sorted((ROOT / folder).rglob("*.y*ml")):
            yield from (document.value for document in yaml.parse(path.read_bytes(), "").documents)


WRITTEN = list(of_files())


def test_they_agree_about_every_document_of_the_example_and_of_the_tests() -> None:
    assert len(WRITTEN) > 100
    accepted = [VALIDATOR.is_valid(document) for document in WRITTEN]
    assert accepted == [is_typed(document) for document in WRITTEN]
    assert set(accepted) == {True, False}


texts = st.sampled_from(
    ["", "a", "shop", "u-1", "Ü", "a" * 64, "a\n", "-a", "2026-12-31", "{group}", "https://x"]
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-2, 300), st.floats(-1, 9, width=16), texts)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


def values(kind: types.Type) -> st.SearchStrategy[Any]:
    """Values that mostly fit a type, and sometimes do not."""
    fits = fitting(kind)
    return st.integers(0, 9).flatmap(lambda number: fits if number else scalars)


def fitting(kind: types.Type) -> st.SearchStrategy[Any]:  # noqa: PLR0911 (one for each sort of type)
    match kind:
        case types.Metadata(inner):
            return fitting(inner)
        case types.StructType():
            return mappings(kind)
        case types.LiteralType(allowed):
            return st.sampled_from([*allowed])
        case types.UnionType(variants):
            return st.one_of([fitting(variant) for variant in variants])
        case types.VarTupleType(item) | types.ListType(item):
            return st.lists(values(item), max_size=2)
        case types.DictType(key, value):
            return st.dictionaries(fitting(key), values(value), max_size=2)
        case types.StrType():
            return (
                st.sampled_from(["shop", "prod", "u-1", "a{group}", "{workspace}-x", "https://x.example"])
                | texts
            )
        case types.IntType():
            return st.integers(-1, 101)
        case types.FloatType():
            return st.integers(-1, 20) | st.floats(-1, 20, width=16)
        case types.BoolType():
            return st.booleans()
        case _:
            return anything


def mappings(kind: types.StructType) -> st.SearchStrategy[Document]:
    needed = {field.encode_name: values(field.type) for field in kind.fields if field.required}
    others = {field.encode_name: values(field.type) for field in kind.fields if not field.required}
    fixed = st.fixed_dictionaries(needed, optional=others)
    return fixed if kind.tag is None else fixed.map(lambda fields: {"kind": kind.tag, **fields})


KINDS = {name: mappings(types.type_info(kind)) for name, kind in VOCABULARY.kinds.items()}  # type: ignore[arg-type]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    document = draw(KINDS[draw(st.sampled_from([*KINDS]))])
    match draw(st.integers(0, 9)):
        case 0:
            document["kind"] = draw(st.sampled_from([*VOCABULARY.kinds, "Porject"]) | scalars)
        case 1:
            document[draw(st.sampled_from(["nmae", "kubernetes", "access"]))] = draw(anything)
        case 2 if document:
            del document[draw(st.sampled_from(sorted(document)))]
    return document


@settings(max_examples=400, deadline=None)
@given(documents())
def test_they_agree_about_any_document(document: Document) -> None:
    accepted = VALIDATOR.is_valid(document)
    assert accepted == is_typed(document) or breaks_a_rule_beyond(document), json.dumps(document)


def breaks_a_rule_beyond(document: Document) -> bool:
    """Whether a type's own rule over several of its fields is broken, which JSON Schema has no words for."""
    try:
        VOCABULARY.typed(document)
    except msgspec.ValidationError as problem:
        return isinstance(problem.__cause__, ValueError)
    return False
