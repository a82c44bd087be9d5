"""Folders of the repository that a landing zone names: what lies below them is its platform's, no document of Hanse's.

Which fields name one is said by their type (`kinds.Folder`), so that no vendor is named here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from hanse.desired.findings import Steps
from hanse.desired.kinds import LandingZone


class FolderFile(NamedTuple):
    """One file below such a folder."""

    documents: str
    """Canonical JSON: the list of its documents, without empty ones."""
    indexes: tuple[int, ...]
    """Of each of these, its index for `foundation.yaml.locate`."""


def named_folders(zone: LandingZone) -> Iterator[tuple[Steps, str]]:
    """The folders that a landing zone names, as they are written, each with the way to its field."""
    for vendor, fields in _fields(type(zone)).items():
        block = getattr(zone, vendor, None)
        for attribute, name in fields:
            folder = getattr(block, attribute, None)
            if folder is not None:
                yield (_encoded(type(zone), vendor), name), folder


def written_folders(value: Mapping[str, Any], kind: type[Struct]) -> Iterator[str]:
    """The folders that an unsound landing zone names, as far as it can be told."""
    for vendor, fields in _fields(kind).items():
        block = value.get(_encoded(kind, vendor))
        for _, name in fields:
            folder = block.get(name) if isinstance(block, dict) else None
            if isinstance(folder, str):
                yield folder


def fault(folder: str) -> tuple[str, str] | None:
    """Why a folder cannot be meant, and what to do; None where it can."""
    parts = folder.rstrip("/").split("/")
    advice = "write its path from the root of the repository, such as landing-zones/production"
    if folder.startswith("/"):
        return f"'{folder}' is an absolute path", advice
    if ".." in parts:
        return f"'{folder}' may leave the repository", advice
    if all(part in ("", ".") for part in parts):
        return f"'{folder}' is the whole repository", "name a folder of its own"
    if "" in parts or "." in parts:
        return f"'{folder}' is no plain path", advice
    if any(part.startswith(".") for part in parts):
        return f"'{folder}' is never read, for a name in it begins with a dot", "rename the folder"
    return None


def is_below(path: str, folders: Collection[str]) -> bool:
    """Whether a file lies below one of some folders, at whatever depth."""
    return any(path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


@lru_cache(maxsize=16)
def _fields(kind: type[Struct]) -> dict[str, list[tuple[str, str]]]:
    """By the attribute of a vendor's block in a LandingZone: attribute and name of each field that is a folder."""
    found: dict[str, list[tuple[str, str]]] = {}
    for block in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        for variant in _variants(block.type):
            if isinstance(variant, msgspec.inspect.StructType):
                fields = [(f.name, f.encode_name) for f in variant.fields if _is_folder(f.type)]
                if fields:
                    found[block.name] = fields
    return found


@lru_cache(maxsize=64)
def _encoded(kind: type[Struct], attribute: str) -> str:
    return next(field.encode_name for field in msgspec.structs.fields(kind) if field.name == attribute)


def _is_folder(kind: msgspec.inspect.Type) -> bool:
    return any(
        isinstance(variant, msgspec.inspect.Metadata) and bool((variant.extra or {}).get("folder"))
        for variant in _variants(kind)
    )


def _variants(kind: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, ...]:
    return kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
