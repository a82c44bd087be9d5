"""From an access row or a Grant document, as people write them, to a Term with instants."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from hanse.desired.intent import Term
from hanse.desired.kinds import AccessRow, Grant, Signer
from hanse.foundation.time import Invalid, parse_from, parse_until


class BadTime(Struct, frozen=True):
    """A bound of an interval that cannot be: which field, what is wrong, what to do."""

    field: str
    message: str
    advice: str


def read_term(row: AccessRow | Grant, zone: ZoneInfo) -> Term | BadTime:
    """The grant that a row declares; a bare date in `until` is the end of that day in the zone.

    A row names either a user or a group (checked elsewhere); the user is taken where it names both.
    """
    start = end = None
    if row.from_ is not None or row.until is not None:
        bounds = read_interval(row, zone)
        if isinstance(bounds, BadTime):
            return bounds
        start, end = bounds
    if row.user is not None:
        return Term("user", row.user, row.role, start, end)
    return Term("group", row.group or "", row.role, start, end)


def read_interval(
    row: AccessRow | Grant | Signer, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None] | BadTime:
    """The half-open interval of `from` and `until`; None where it is open."""
    start = _bound(row.from_, zone, "from") if row.from_ is not None else None
    end = _bound(row.until, zone, "until") if row.until is not None else None
    if isinstance(start, BadTime):
        return start
    if isinstance(end, BadTime):
        return end
    if start is not None and end is not None and end <= start:
        message = f"'until' ({row.until}) is not after 'from' ({row.from_})"
        return BadTime("until", message, "exchange the two, or take one out")
    return start, end


def sort_key(term: Term) -> tuple[str, str, str, str, str]:
    """Orders terms, open intervals included: plain comparison cannot tell None from an instant."""
    start = term.start.isoformat() if term.start else ""
    return (term.subject_kind, term.subject, term.role, start, term.end.isoformat() if term.end else "~")


def _bound(text: str, zone: ZoneInfo, field: str) -> datetime | BadTime:
    instant = parse_from(text, zone) if field == "from" else parse_until(text, zone)
    if isinstance(instant, Invalid):
        return BadTime(field, f"{field}: {instant.message}", instant.advice)
    return instant
