"""Fields of vendors' blocks that mean something beyond the vendor: their types are marked, so no vendor is named."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from hanse.desired.findings import Steps


def marked(document: Struct, mark: str, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """What stands in the fields so marked, or in mappings whose keys are, each with the way to it."""
    for name, encoded in _ways(type(document), mark):
        value = getattr(document, name)
        if isinstance(value, Struct):
            yield from marked(value, mark, (*steps, encoded))
        elif value is not None:
            yield (*steps, encoded), value


@lru_cache(maxsize=1024)
def _ways(kind: type[Struct], mark: str) -> tuple[tuple[str, str], ...]:
    """Fields that are marked, or blocks, which may have such fields: attribute and name."""
    found = []
    for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        variants = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        for variant in variants:
            bearer = variant.key_type if isinstance(variant, msgspec.inspect.DictType) else variant
            if isinstance(variant, msgspec.inspect.StructType) or (
                isinstance(bearer, msgspec.inspect.Metadata) and bool((bearer.extra or {}).get(mark))
            ):
                found.append((field.name, field.encode_name))
    return tuple(found)
