"""How an event is recorded: canonical JSON in which a keyed digest stands for every text about a person.

The digest (a mark) is chained and stays for ever; the text lies beside the journal and can be erased. Without the
text a mark says only that two records speak of the same. `masked` and `unmasked` do the same for other values that
hold Personal.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct, structs

from hanse.foundation import canonical
from hanse.journal.events import Event, StepConcluded
from hanse.model import Done, NotYet, Outcome, Owner, Personal, Refused, Step, Unsure

ERASED = Personal("(erased)")
"""Stands where a text was erased."""

_T = TypeVar("_T")
_MARK = re.compile(rb'"(p:[0-9a-f]{32})"')
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(event: Event, key: bytes) -> tuple[bytes, dict[str, str]]:
    """The event's body for the journal, and the texts that it leaves out, by their marks.

    Raises TypeError where the event holds a Secret or anything else that is no plain value.
    """
    clean, texts = masked(event, key)
    return canonical.encode(clean), texts


def decode(body: bytes, texts: Mapping[str, str]) -> Event:
    """The event of a body, with the texts put back in, ERASED where one is missing.

    Raises msgspec.ValidationError or msgspec.DecodeError where the body is none that this version can read.
    """
    return unmasked(_decoder.decode(body), texts)


def marks(body: bytes) -> frozenset[str]:
    """The marks in a body: what to ask the store's `personal` for before decoding."""
    return frozenset(mark.decode() for mark in _MARK.findall(body))


def masked(value: _T, key: bytes) -> tuple[_T, dict[str, str]]:
    """The value with a mark in place of every Personal's text, and the texts by their marks. Raises TypeError."""
    texts: dict[str, str] = {}

    def mask(personal: Personal) -> Personal:
        mark = "p:" + hmac.digest(key, personal.text.encode(), "sha256").hex()[:32]
        texts[mark] = personal.text
        return Personal(mark)

    return _changed(value, mask), texts


def unmasked(value: _T, texts: Mapping[str, str]) -> _T:
    """The value that `masked` was given, with ERASED in place of texts that are gone."""

    def unmask(personal: Personal) -> Personal:
        text = texts.get(personal.text)
        return ERASED if text is None else Personal(text)

    return _changed(value, unmask)


def concluded(step_digest: str, owner: Owner, outcome: Outcome, looked_up: bool = False) -> StepConcluded:
    """The event of a step's outcome, its words apart from what is chained."""
    match outcome:
        case Done(native_id=native_id):
            return StepConcluded(step_digest, owner, "done", native_id, looked_up=looked_up)
        case NotYet(retry_after=seconds, reason=reason):
            return StepConcluded(
                step_digest, owner, "not-yet", retry_after=seconds, looked_up=looked_up, text=Personal(reason)
            )
        case Refused(reason=reason, advice=advice):
            words = f"{reason}; {advice}" if advice else reason
            return StepConcluded(step_digest, owner, "refused", looked_up=looked_up, text=Personal(words))
        case Unsure(reason=reason):
            return StepConcluded(step_digest, owner, "unsure", looked_up=looked_up, text=Personal(reason))


def step_digest(step: Step) -> str:
    """The idempotency key of a step. Texts about people are no part of it: a digest could be guessed at.

    Its key names the principal, so that no two steps of a plan have the same.
    """
    return canonical.digest(_changed(step, lambda personal: Personal("")))


_PLAIN = frozenset({type(None), bool, int, float, str, datetime})


def _changed(value: _T, change: Callable[[Personal], Personal]) -> _T:
    """The value with every Personal in it changed.

    Strict on purpose: what is no plain value could carry a text or a secret past it into the chain.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    changed: Any = value
    if kind is Personal:
        changed = change(changed)
    elif isinstance(value, Struct):
        fields = {}
        for name in value.__struct_fields__:
            item = getattr(value, name)
            if type(item) not in _PLAIN and (other := _changed(item, change)) is not item:
                fields[name] = other
        changed = structs.replace(value, **fields) if fields else value
    elif isinstance(value, tuple | list):
        changed = tuple(item if type(item) in _PLAIN else _changed(item, change) for item in value)
    elif isinstance(value, dict):
        changed = {
            name: item if type(item) in _PLAIN else _changed(item, change) for name, item in value.items()
        }
    else:
        raise TypeError(f"a {kind.__name__} cannot be recorded")
    return cast("_T", changed)
