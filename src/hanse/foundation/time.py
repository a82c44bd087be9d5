"""Instants as people write them in `from` and `until`, and as machines compare them.

Every instant inside Hanse is an aware datetime in UTC. Intervals are half-open: [start, end).
The clock is never read here; "now" is an argument wherever it matters.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(?P<offset>Z|[+-]\d\d:\d\d)?", re.ASCII)

_EXAMPLE = "write it as 2026-12-31T18:00:00+01:00 or 2026-12-31"


class Invalid(Struct, frozen=True):
    """A text that is no instant or no timezone: what is wrong with it, and what to write instead."""

    message: str
    advice: str


def parse_zone(name: str) -> ZoneInfo | Invalid:
    """Look a timezone up by its IANA name, such as "Europe/Berlin"."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; malformed; a folder of the database, such as "Europe"
        return Invalid(f"'{name}' is no timezone", "write an IANA name, such as Europe/Berlin or UTC")


def parse_from(text: str, zone: ZoneInfo) -> datetime | Invalid:
    """Read the first instant of an interval; a bare date is the start of that day in the zone."""
    return _parse_bound(text, zone, "from")


def parse_until(text: str, zone: ZoneInfo) -> datetime | Invalid:
    """Read the end of a half-open interval; a bare date is the end of that day, the start of the next one."""
    return _parse_bound(text, zone, "until")


@lru_cache(maxsize=4096)
def parse_instant(text: str) -> datetime | Invalid:
    """Read an ISO 8601 instant, whose offset from UTC is mandatory, as a datetime in UTC."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return Invalid(f"'{text}' is no instant", _EXAMPLE)
    if match["offset"] is None:
        return Invalid(f"'{text}' needs an offset, such as +01:00", f"write {text}+01:00, or {text}Z for UTC")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # a 13th month; an instant outside the years 1 to 9999
        return Invalid(f"'{text}' does not exist in the calendar", _EXAMPLE)


def format_instant(at: datetime) -> str:
    """Write an instant in its one canonical form: UTC, `Z`, fractions of a second only where there are any.

    Raises ValueError for a datetime without a timezone.
    """
    if at.tzinfo is None:
        raise ValueError("an instant needs a timezone")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Find the first instant of a calendar day in a zone, in UTC.

    Where clocks are put forward over midnight the day begins at that change. Raises OverflowError
    for a day at the rim of the calendar (years 1 and 9999).
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return instant
    # There was no midnight. Of the two readings of it, the second one lies before the change of clocks.
    return _change_of_clocks(midnight.replace(fold=1).astimezone(UTC), instant, zone)


def _parse_bound(text: str, zone: ZoneInfo, bound: Literal["from", "until"]) -> datetime | Invalid:
    if not _DATE.fullmatch(text):
        return parse_instant(text)
    try:
        day = date.fromisoformat(text)
        return start_of_day(day if bound == "from" else day + timedelta(days=1), zone)
    except (ValueError, OverflowError):
        return Invalid(f"'{text}' does not exist in the calendar", _EXAMPLE)


def _change_of_clocks(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Bisect for the first second at which the zone's offset is the later one."""
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
