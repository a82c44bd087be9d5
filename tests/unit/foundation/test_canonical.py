"""Promises of foundation.canonical: one value, one byte string, one digest."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from hanse.foundation.canonical import digest, digest_bytes, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=20,
)


class Pair(Struct, frozen=True):
    b: int
    a: frozenset[str]


def test_the_order_in_which_a_mapping_was_built_leaves_no_trace() -> None:
    assert encode({"b": 1, "a": {"d": [2, 1], "c": None}}) == b'{"a":{"c":null,"d":[2,1]},"b":1}'
    assert encode(Pair(1, frozenset("zyx"))) == b'{"b":1,"a":["x","y","z"]}'


def test_a_digest_is_the_sha256_of_the_canonical_bytes() -> None:
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert digest_bytes(b"{}") == digest({})


def test_money_and_instants_are_encoded_exactly() -> None:
    assert encode([Decimal("1.10"), datetime(2026, 1, 2, tzinfo=UTC)]) == b'["1.10","2026-01-02T00:00:00Z"]'


def test_what_json_cannot_hold_is_an_error() -> None:
    with pytest.raises(TypeError):
        encode(object())


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES), st.randoms())
def test_shuffled_mappings_have_the_same_digest(value: dict[str, object], random: "object") -> None:
    items = list(value.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert digest(dict(items)) == digest(value)
