"""Promises of foundation.time: instants are exact, intervals half-open, and days as long as they are."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.foundation.time import (
    Invalid,
    format_instant,
    parse_from,
    parse_instant,
    parse_until,
    parse_zone,
    start_of_day,
)

BERLIN = ZoneInfo("Europe/Berlin")
ZONE_NAMES = """UTC Europe/Berlin America/Havana America/Santiago America/St_Johns America/Toronto Africa/Cairo
Africa/Monrovia Asia/Beirut Asia/Kathmandu Australia/Lord_Howe Pacific/Apia"""
ZONES = st.sampled_from(ZONE_NAMES.split()).map(ZoneInfo)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def text_of(at: datetime | Invalid) -> str:
    assert isinstance(at, datetime), at
    return format_instant(at)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-12-31T18:00:00+01:00", "2026-12-31T17:00:00Z"),
        ("2026-12-31T18:00Z", "2026-12-31T18:00:00Z"),
        ("2026-12-31T18:00:00.5-05:30", "2026-12-31T23:30:00.500000Z"),
    ],
)
def test_an_instant_with_an_offset_is_read_as_utc(text: str, canonical: str) -> None:
    assert text_of(parse_instant(text)) == canonical
    assert text_of(parse_from(text, BERLIN)) == text_of(parse_until(text, BERLIN)) == canonical


def test_an_instant_without_an_offset_is_refused_with_what_to_write() -> None:
    assert parse_until("2026-12-31T18:00:00", BERLIN) == Invalid(
        "'2026-12-31T18:00:00' needs an offset, such as +01:00",
        "write 2026-12-31T18:00:00+01:00, or 2026-12-31T18:00:00Z for UTC",
    )


NO_INSTANTS = """tomorrow|2026-1-1|20261231|2026-W01-1|31.12.2026|2026-12-31 18:00:00Z|2026-12-31T18Z|2026-12-31\n|
2026-12-31T18:00:00+0100|2026-12-31T18:00:00+01|2026-12-31T18:00:00 Europe/Berlin|2026-13-01|2026-02-29|
2026-12-31T25:00:00Z|2026-12-31T23:59:60Z|2026-12-31T18:00:00+24:00|9999-12-31|0001-01-01T00:00:00+01:00|0000-01-01"""


@pytest.mark.parametrize("text", ["", *NO_INSTANTS.replace("|\n", "|").split("|")])
def test_anything_else_is_refused_with_advice(text: str) -> None:
    refused = parse_until(text, BERLIN)
    assert isinstance(refused, Invalid)
    assert text in refused.message
    assert "2026-12-31" in refused.advice


def test_a_bare_date_is_a_whole_day_of_the_zone() -> None:
    assert text_of(parse_from("2026-12-31", BERLIN)) == "2026-12-30T23:00:00Z"
    assert text_of(parse_until("2026-12-31", BERLIN)) == "2026-12-31T23:00:00Z"
    assert text_of(parse_until("2026-12-31", ZoneInfo("UTC"))) == "2027-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-06-01", "Europe/Berlin", 24),
        ("2024-09-08", "America/Santiago", 23),  # the day begins at 01:00
        ("2024-04-06", "America/Santiago", 25),  # at its end the clock goes back from 24:00 to 23:00
        ("2024-11-03", "America/Havana", 25),  # 00:00 comes twice
        ("2011-12-30", "Pacific/Apia", 0),  # the day that Samoa left out
        ("1919-03-30", "America/Toronto", 24),  # put forward at 23:30 to 00:30 of the 31st
    ],
)
def test_days_with_a_change_of_clocks_have_their_own_length(day: str, zone: str, hours: int) -> None:
    start, end = parse_from(day, ZoneInfo(zone)), parse_until(day, ZoneInfo(zone))
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    expected = timedelta(hours=hours)
    if zone == "America/Toronto":
        expected -= timedelta(minutes=30)
    assert end - start == expected


@settings(deadline=None)
@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), ZONES)
def test_a_day_begins_with_its_first_instant(day: date, zone: ZoneInfo) -> None:
    start = start_of_day(day, zone)
    assert start.astimezone(zone).date() >= day
    assert (start - timedelta(seconds=1)).astimezone(zone).date() < day


@settings(deadline=None)
@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])))
def test_what_is_formatted_is_read_back_as_the_same_instant(at: datetime) -> None:
    try:
        text = format_instant(at)
    except OverflowError:
        return
    assert text.endswith("Z")
    assert parse_instant(text) == at


def test_a_datetime_without_a_timezone_is_no_instant() -> None:
    with pytest.raises(ValueError, match="timezone"):
        format_instant(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    "name", ["", "Europe", "Europe/Berlinn", "../etc/passwd", "/etc/passwd", "CET+1", "a\0b"]
)
def test_an_unknown_timezone_is_refused(name: str) -> None:
    assert isinstance(parse_zone(name), Invalid)
    assert parse_zone("Europe/Berlin") == BERLIN
