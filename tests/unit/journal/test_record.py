"""Promises of journal.record: an event comes back as it was, and no text about a person is in what is chained."""

from __future__ import annotations

import types
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hanse.foundation.canonical import encode as canonical
from hanse.journal.events import FORMAT, Event, GrantRevoked, Recorded, StepConcluded, StepIntended
from hanse.journal.record import ERASED, concluded, decode, encode, marks
from hanse.model import (
    Done,
    Find,
    Key,
    Native,
    NotYet,
    Outcome,
    Personal,
    Reason,
    Refused,
    Secret,
    Step,
    Tenant,
    Unsure,
)

KEY = b"the store's key"
CANARY = "☂"
"""Stands in every generated Personal and in no other text."""

SAFE = st.characters(codec="utf-8", exclude_characters=CANARY)
LEAVES: dict[object, st.SearchStrategy[Any]] = {
    Personal: st.builds(lambda text: Personal(CANARY + text), st.text(SAFE)),
    types.NoneType: st.none(),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(SAFE, max_size=8),
    datetime: st.datetimes(timezones=st.just(UTC)),
}
STEP = Step(
    "create",
    "membership",
    Key("acme", "shop", "prod", "group/admin/member/u-1"),
    Tenant("fra", "shop", "prod"),
    "",
    {},
    {"user": Find("user", (("domain", "Default"), ("email", Personal("ben@example.org"))))},
    (),
    Reason("declared"),
)


@cache
def anything(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, read from its annotations: a field added later is covered without a word here."""
    if kind in LEAVES:
        return LEAVES[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(anything, args))
    if origin is tuple:
        if args[1:] == (...,):
            return st.lists(anything(args[0]), max_size=3).map(tuple)
        return st.tuples(*map(anything, args))
    if origin is dict:
        return st.dictionaries(anything(args[0]), anything(args[1]), max_size=3)
    return st.builds(kind, **{name: anything(hint) for name, hint in get_type_hints(kind).items()})


def of_every_type() -> list[Any]:
    return list(get_args(Event))


@pytest.mark.parametrize("kind", of_every_type(), ids=lambda kind: str(kind.__name__))
@given(data=st.data())
def test_every_event_comes_back_as_it_was(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(anything(kind))
    body, texts = encode(event, KEY)
    back = decode(body, texts)
    assert back == event
    assert canonical(back) == canonical(event)  # natives are equal whatever their names: the bytes tell all


@pytest.mark.parametrize("kind", of_every_type(), ids=lambda kind: str(kind.__name__))
@given(data=st.data())
def test_no_text_about_a_person_is_in_a_body(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(anything(kind))
    body, texts = encode(event, KEY)
    assert CANARY.encode() not in body
    assert b"\\u2602" not in body
    assert set(texts) <= marks(body)


@given(anything(StepIntended))
def test_what_was_erased_is_named_so_and_the_rest_stays(event: StepIntended) -> None:
    body, _ = encode(event, KEY)
    back = decode(body, {})
    assert CANARY.encode() not in canonical(back)
    assert isinstance(back, StepIntended)
    assert (back.digest, back.step.key, back.step.action) == (event.digest, event.step.key, event.step.action)


def test_an_erased_text_is_replaced_where_it_stood() -> None:
    body, texts = encode(StepIntended(STEP, "d"), KEY)
    assert list(texts.values()) == ["ben@example.org"]
    back = decode(body, {})
    assert isinstance(back, StepIntended)
    assert back.step.after == {"user": Find("user", (("domain", "Default"), ("email", ERASED)))}


def test_a_body_is_the_same_after_its_texts_are_erased() -> None:
    event = StepIntended(STEP, "d")
    assert encode(event, KEY)[0] == encode(event, KEY)[0]


def test_one_text_has_one_mark_within_a_store_and_another_one_elsewhere() -> None:
    event = StepIntended(STEP, "d")
    assert encode(event, KEY)[1].keys() == encode(event, KEY)[1].keys()
    assert encode(event, KEY)[1].keys().isdisjoint(encode(event, b"another store's key")[1])


@pytest.mark.parametrize(
    "step",
    [
        replace(STEP, after={"password": Secret("hunter2")}),
        replace(STEP, before={"user": Native("user", "1", Secret("hunter2"))}),  # type: ignore[arg-type]
        replace(STEP, after={"user": Find("user", (("password", Secret("hunter2")),))}),  # type: ignore[arg-type]
        replace(STEP, after={"many": ("a", Secret("hunter2"))}),
        replace(STEP, native_id=Secret("hunter2")),
    ],
)
def test_a_secret_cannot_be_recorded_wherever_it_hides(step: Step) -> None:
    with pytest.raises(TypeError) as caught:
        encode(StepIntended(step, "d"), KEY)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("stowaway", [b"bytes", {"a", "set"}, object(), types.SimpleNamespace(text="Ben")])
def test_what_is_no_plain_value_cannot_be_recorded(stowaway: object) -> None:
    with pytest.raises(TypeError):
        encode(StepIntended(replace(STEP, after={"x": stowaway}), "d"), KEY)


@given(anything(Outcome), st.booleans())
def test_the_words_of_an_outcome_are_kept_and_never_chained(outcome: Outcome, looked_up: bool) -> None:
    event = concluded("d", STEP.owner, outcome, looked_up)
    body, texts = encode(event, KEY)
    assert event.outcome == outcome.__struct_config__.tag
    assert event.looked_up == looked_up
    match outcome:
        case Done(native_id=native_id):
            assert event.native_id == native_id
            assert not texts
        case NotYet(retry_after=seconds, reason=reason):
            assert event.retry_after == seconds
            assert list(texts.values()) == [reason]
        case Refused(reason=reason, advice=advice):
            assert list(texts.values()) == [f"{reason}; {advice}" if advice else reason]
        case Unsure(reason=reason):
            assert list(texts.values()) == [reason]
    assert decode(body, texts) == event


def test_an_error_body_of_a_platform_does_not_reach_the_chain() -> None:
    canary = "no such user: Ben Ott <ben@example.org>"
    for outcome in (NotYet(1.0, canary), Refused(canary, canary), Unsure(canary)):
        body, _ = encode(concluded("d", STEP.owner, outcome), KEY)
        assert b"Ben" not in body


def test_a_body_of_no_known_event_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"type":"step:invented"}', {})


def test_the_vocabulary_only_grows_with_its_version() -> None:
    tags = [kind.__struct_config__.tag for kind in of_every_type()]
    assert tags[:10] == [
        "organization:accepted",
        "guard:tripped",
        "approval:given",
        "grant:revoked",
        "pass:started",
        "step:intended",
        "step:concluded",
        "owner:converged",
        "owner:gone",
        "pass:finished",
    ]
    assert (FORMAT, tags[10:]) == (3, ["fight:noticed", "store:restored"])
    assert Recorded not in of_every_type()
    assert {StepConcluded, GrantRevoked} <= set(of_every_type())
