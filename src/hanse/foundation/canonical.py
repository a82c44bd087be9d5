"""One value, one byte string, one digest: content-addressing for intents, plans and observations."""

import hashlib
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="deterministic")


def encode(value: Any) -> bytes:
    """Canonical JSON of a value: mappings and sets in sorted order, structs in field order, no spaces.

    Instants must be in UTC already (`time.parse_instant` gives such), for two spellings of one instant
    are two byte strings. Not-a-number would become null; `yaml.parse` lets none in.

    Raises TypeError for a value that JSON cannot hold.
    """
    return _encoder.encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value, as 64 lower-case hexadecimal digits."""
    return digest_bytes(_encoder.encode(value))


def digest_bytes(data: bytes) -> str:
    """SHA-256 of bytes, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
