"""The language of one installation: the kinds, with a typed block for each vendor that is joined on.

A Platform carries exactly one vendor's block, and the block of a LandingZone is of its platform's vendor.
Which vendors there are is data, so no layer names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from typing import Any, cast

import jsonschema_rs
import msgspec
from msgspec import Struct

from hanse.desired import kinds
from hanse.desired.conversion import Converted, EarlierVersion, Moved, convert, earlier_versions
from hanse.desired.kinds import Document, LandingZone, Platform
from hanse.desired.settings import USUAL_PACE, Pace
from hanse.foundation.canonical import digest


@dataclass(frozen=True)
class Blocks:
    """What one vendor adds to the language."""

    platform: type[Struct]
    """Type of the block in a Platform."""
    landing_zone: type[Struct]
    """Type of the block in a LandingZone."""
    quotas: tuple[str, ...] = ()
    """Quota names that a tenant may ask for."""
    pace: Pace = USUAL_PACE
    """How hard a platform is driven that says nothing of `limits`."""
    moved: tuple[Moved, ...] = ()
    """Fields of its blocks that have another place now."""


class Vocabulary:
    """All kinds with all vendors' blocks: types for decoding, schemas for complete errors."""

    def __init__(
        self, vendors: Mapping[str, Blocks], earlier: Mapping[str, EarlierVersion] = kinds.EARLIER_VERSIONS
    ) -> None:
        """Join on the vendors, by the names that their blocks have in the manifest.

        `earlier` are the apiVersions of old; raises ValueError where one of them does not lead to the present one.
        """
        for wrong in earlier_versions(earlier, kinds.API_VERSION):
            raise ValueError(wrong)
        self.vendors = dict(sorted(vendors.items()))
        self._earlier = earlier
        self._moved: dict[str, list[Moved]] = {}
        for move in (*kinds.MOVED, *(move for blocks in self.vendors.values() for move in blocks.moved)):
            self._moved.setdefault(move.kind, []).append(move)
        self.kinds: dict[str, type[Document]] = {kind.__name__: kind for kind in kinds.KINDS}
        self.kinds["Platform"] = self._joined(Platform, {v: b.platform for v, b in self.vendors.items()})
        self.kinds["LandingZone"] = self._joined(
            LandingZone, {v: b.landing_zone for v, b in self.vendors.items()}
        )

    def _joined(self, base: type[Document], blocks: Mapping[str, type[Struct]]) -> type[Document]:
        fields = [
            (_attribute(vendor), block | None, msgspec.field(name=vendor, default=None))
            for vendor, block in blocks.items()
        ]
        joined = msgspec.defstruct(
            base.__name__,
            fields,
            bases=(base,),
            namespace={"__doc__": base.__doc__},
            frozen=True,
            kw_only=True,
            tag_field="kind",
            tag=base.__name__,
        )
        return cast("type[Document]", joined)

    @cached_property
    def union(self) -> Any:
        """The tagged union of all kinds, for decoders."""
        return reduce(or_, self.kinds.values())

    @cached_property
    def decoder(self) -> msgspec.msgpack.Decoder[list[tuple[int, Document]]]:
        """Reads the documents of one file, with their indexes, from the cache."""
        return msgspec.msgpack.Decoder(list[tuple[int, self.union]])  # type: ignore[name-defined]

    @cached_property
    def lists_decoder(self) -> msgspec.msgpack.Decoder[list[list[tuple[int, Document]]]]:
        """Reads what `decoder` reads, of many files at once."""
        return msgspec.msgpack.Decoder(list[list[tuple[int, self.union]]])  # type: ignore[name-defined]

    @cached_property
    def mark(self) -> bytes:
        """16 hex digits that change with any field of any kind: what was typed under others is stale."""
        return digest([self.schema(kind) for kind in self.kinds])[:16].encode()

    def schema(self, kind: str) -> dict[str, Any]:
        """JSON Schema (2020-12) of one kind. Raises KeyError."""
        return msgspec.json.schema(self.kinds[kind])

    def validator(self, kind: str) -> tuple[dict[str, Any], jsonschema_rs.Draft202012Validator]:
        """The schema of one kind and what finds all errors against it. Raises KeyError."""
        if kind not in self._validators:
            schema = self.schema(kind)
            self._validators[kind] = schema, jsonschema_rs.Draft202012Validator(schema)
        return self._validators[kind]

    @cached_property
    def _validators(self) -> dict[str, tuple[dict[str, Any], jsonschema_rs.Draft202012Validator]]:
        return {}

    def converted(self, value: dict[str, Any]) -> Converted:
        """The plain values of a document in the form of today."""
        return convert(value, self._earlier, self._moved)

    def typed(self, value: Any) -> Document:
        """The document that plain values stand for. Raises msgspec.ValidationError with the first error."""
        return self._document.decode(
            msgspec.msgpack.encode(value)
        )  # which is three times as fast as to convert

    @cached_property
    def _document(self) -> msgspec.msgpack.Decoder[Document]:
        return msgspec.msgpack.Decoder(self.union)

    def blocks(self, document: Platform | LandingZone) -> dict[str, Struct]:
        """The vendors' blocks that a document carries, by vendor; a sound one has one at most."""
        found = ((vendor, getattr(document, _attribute(vendor))) for vendor in self.vendors)
        return {vendor: block for vendor, block in found if block is not None}


def _attribute(vendor: str) -> str:
    return vendor.replace("-", "_")
