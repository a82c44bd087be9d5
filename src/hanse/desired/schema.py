"""JSON Schema of all kinds in one, for editors: what loading types, it accepts, and it says what each field means.

msgspec makes the rules from the types, as `mistakes` uses them; this module joins the kinds, and puts in the words.
Draft 2020-12, in the part of it that YAML language servers know. It does not say what is checked over several fields:
neither what types look at themselves (`__post_init__`), nor what `references` compares with other documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from hanse.desired.reference import Field, shape, shapes

Schema = dict[str, Any]


def schema(kinds: Mapping[str, type[Struct]]) -> Schema:
    """One schema for documents of all these kinds; `kind` says which rules a document has to follow."""
    parts = dict.fromkeys(part.type for kind in kinds.values() for _, part in shapes(kind))
    refs, made = msgspec.json.schema_components(parts, ref_template="#/$defs/{name}")
    names = {kind: ref["$ref"].rpartition("/")[2] for kind, ref in zip(parts, refs, strict=True)}
    about = {kind: shape(kind).doc for kind in parts}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hanse",
        "description": "A document of a manifest: what an organisation shall be.",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"enum": ["hanse/v1"], **_described("The version of the language.")},
            "kind": {
                "enum": list(kinds),
                "markdownEnumDescriptions": [about[kind] for kind in kinds.values()],
                **_described("What this document declares."),
            },
        },
        "allOf": [
            {
                "if": {
                    "title": f"kind: {name}",  # what editors offer it by
                    "properties": {"kind": {"const": name}},
                    "required": ["kind"],
                },
                "then": {"$ref": f"#/$defs/{names[kind]}"},
            }
            for name, kind in kinds.items()
        ],
        "$defs": {
            names[kind]: _part(made[names[kind]], kind, named=kind in kinds.values()) for kind in parts
        },
    }


def _part(rules: Schema, kind: type[Struct], *, named: bool) -> Schema:
    fields = {field.name: field for field in shape(kind).fields}
    properties = {
        name: _flat(rule) | (_of(fields[name]) if name in fields else {})  # `kind` is no field
        for name, rule in rules["properties"].items()
    }
    rules = {key: value for key, value in rules.items() if named or key != "title"}
    return {**rules, **_described(shape(kind).doc), "properties": properties}


def _of(field: Field) -> Schema:
    """What a person who points at the field is told."""
    limits = [limit[:1].upper() + limit[1:] + "." for limit in field.limits]
    told = _described("\n\n".join([field.doc, *limits]))
    return {**told, "examples": list(field.examples)} if field.examples else told


def _described(text: str) -> Schema:
    return {"description": text.replace("`", ""), "markdownDescription": text}


_EMPTY: tuple[tuple[str, Any], ...] = (("default", None), ("default", ""), ("default", []), ("default", {}))
"""What editors would write out, and what is as good as nothing."""


def _flat(rule: Schema) -> Schema:
    """A rule whose one alternative is nothing as one rule: what breaks it is told by its own name then."""
    said = {key: value for key, value in rule.items() if key != "title" and (key, value) not in _EMPTY}
    rule = {key: _within(key, value) for key, value in said.items()}
    others = [part for part in rule.get("anyOf", ()) if part != {"type": "null"}]
    if len(others) != 1 or not {"enum", "type"} & others[0].keys():
        return _told(rule)
    (only,) = others
    del rule["anyOf"]
    nothing = {"enum": [*only["enum"], None]} if "enum" in only else {"type": [only["type"], "null"]}
    return _told(only | nothing | rule)


def _within(key: str, value: Any) -> Any:
    match key, value:
        case "anyOf", list():
            return [_flat(item) for item in value]
        case "items" | "additionalProperties" | "propertyNames", dict():
            return _flat(value)
        case _:
            return value


def _told(rule: Schema) -> Schema:
    """A pattern says in words what it asks for."""
    if "pattern" in rule and "description" in rule:
        return {**rule, "patternErrorMessage": f"Use {rule['description']}."}
    return rule
