"""Ids for what machines declare: unique without asking anybody, and in the order in which they were made."""

from datetime import UTC, datetime, timedelta

CHANCE_BYTES = 10
"""So many random bytes make two ids of one millisecond differ."""
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: none of them is mistaken for another
_LENGTH = 26
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(at: datetime, chance: bytes) -> str:
    """A ULID in small letters: 26 digits of the milliseconds since 1970 and then of `chance`."""
    number = (at - _EPOCH) // timedelta(milliseconds=1) << 8 * CHANCE_BYTES | int.from_bytes(
        chance[:CHANCE_BYTES]
    )
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))
