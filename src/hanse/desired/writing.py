"""A document as the text of a file of its own, as machines write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from hanse.desired.kinds import Document

_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ._/-]*[A-Za-z0-9._/-])?", re.ASCII)
_NOT_TEXT = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""What is no text for YAML, or is none for some of its readers."""


def document_text(document: Document) -> bytes:
    """The document in the house's layout: a field for each line, what is as by default left out."""
    fields: dict[str, Any] = msgspec.to_builtins(document)
    head = {"apiVersion": fields.pop("apiVersion"), "kind": fields.pop("kind")}
    usual = _defaults(type(document))
    lines: list[str] = []
    for name, value in (head | fields).items():
        if _is_empty(value) or value == usual.get(name):
            continue
        if isinstance(value, list | tuple) and all(isinstance(item, dict) for item in value):
            lines += [f"{name}:", *(f"  - {_flow(item)}" for item in value)]
        else:
            lines.append(f"{name}: {_flow(value)}")
    return ("\n".join(lines) + "\n").encode()


@cache
def _defaults(kind: type[Document]) -> dict[str, Any]:
    return {field.encode_name: field.default for field in msgspec.structs.fields(kind) if not field.required}


def _flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        rest = {name: item for name, item in value.items() if not _is_empty(item)}
        return "{" + ", ".join(f"{_flow(name)}: {_flow(item)}" for name, item in rest.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], (), {})
