"""Promises of journal.chain: whatever is done to one record behind the journal's back is found and named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hanse.journal.chain import GENESIS, Checkpoint, Finding, Verifier, link, verify
from hanse.journal.events import Recorded

START = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH = 40
PLACES = st.integers(1, LENGTH)


def journal(length: int = LENGTH, writers: int = 3) -> list[Recorded]:
    """An honest journal, with records of several writers in turn."""
    records: list[Recorded] = []
    previous = GENESIS
    for sequence in range(1, length + 1):
        turn = (sequence - 1) % writers
        recorded = Recorded(
            sequence,
            f"w{turn}",
            (sequence - 1) // writers + 1,
            START + timedelta(seconds=sequence),
            b'{"type":"pass:started","commit":"c%d","owners":1}' % sequence,
        )
        previous = link(previous, recorded)
        records.append(replace(recorded, chain=previous))
    return records


def head(records: list[Recorded]) -> Checkpoint:
    return Checkpoint(records[-1].sequence, records[-1].chain)


def numbered(records: list[Recorded]) -> list[Recorded]:
    """The records with sequences that hide what is missing or too many."""
    return [replace(recorded, sequence=count) for count, recorded in enumerate(records, 1)]


def linked(records: list[Recorded]) -> list[Recorded]:
    """The records linked anew from the first on, as somebody does who can write and knows the rule."""
    previous, result = GENESIS, []
    for recorded in records:
        previous = link(previous, recorded)
        result.append(replace(recorded, chain=previous))
    return result


def without_gaps(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind != "gap"]


def test_an_honest_journal_has_no_findings() -> None:
    records = journal()
    assert verify(records) == []
    assert verify(records, head(records)) == []
    assert verify(records, head(records[:7])) == []
    assert verify([]) == []


FORGERIES = {
    "body": lambda recorded: replace(recorded, body=recorded.body + b" "),
    "instant": lambda recorded: replace(recorded, at=recorded.at + timedelta(microseconds=1)),
    "writer": lambda recorded: replace(recorded, writer="mallory"),
    "number": lambda recorded: replace(recorded, number=recorded.number + 1000),
    "link": lambda recorded: replace(recorded, chain="0" * 64),
    "link taken away": lambda recorded: replace(recorded, chain=""),
    "sequence": lambda recorded: replace(recorded, sequence=recorded.sequence + 1000),
    "body and link": lambda recorded: replace(recorded, body=b"{}", chain="0" * 64),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@given(place=st.integers(1, LENGTH - 2))
def test_an_edited_record_is_named(forgery: str, place: int) -> None:
    records = journal()
    forged = records[place - 1] = FORGERIES[forgery](records[place - 1])
    findings = verify(records)
    first = findings[0]
    if forgery == "body and link":  # nothing is left to tell it from its follower
        assert (first.kind, first.first) == ("edited", place)
    else:
        assert without_gaps(findings)[0] == Finding("edited", forged.sequence, forged.sequence)
        assert len(without_gaps(findings)) == 1 or forgery == "sequence"


@given(place=PLACES)
def test_a_removed_record_is_named_and_so_is_whose_it_was(place: int) -> None:
    records = journal()
    gone = records.pop(place - 1)
    findings = verify(records, Checkpoint(LENGTH, journal()[-1].chain))
    if place == LENGTH:
        assert findings == [Finding("cut", LENGTH, LENGTH)]
    else:
        assert findings[0] == Finding("removed", place, place)
        assert without_gaps(findings) == findings[:1]
        later = any(recorded.writer == gone.writer for recorded in records[place - 1 :])
        assert (Finding("gap", gone.number, gone.number, gone.writer) in findings) is later


@given(first=PLACES, count=st.integers(1, 10))
def test_several_removed_records_are_named_as_one_range(first: int, count: int) -> None:
    records = journal()
    last = min(first + count - 1, LENGTH - 1)
    if first > last:
        return
    assert without_gaps(verify(records[: first - 1] + records[last:])) == [Finding("removed", first, last)]


@given(place=st.integers(1, LENGTH - 2))
def test_a_removal_hidden_by_new_sequences_is_named(place: int) -> None:
    records = journal()
    del records[place - 1]
    assert without_gaps(verify(numbered(records))) == [Finding("removed", place, place)]


STRANGERS = {
    "no link": lambda previous, recorded: recorded,
    "its neighbour's link": lambda previous, recorded: replace(recorded, chain=previous or "0" * 64),
    "a right link": lambda previous, recorded: replace(recorded, chain=link(previous, recorded)),
}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("hidden", [False, True])
@given(place=st.integers(1, LENGTH))
def test_an_inserted_record_is_named(stranger: str, hidden: bool, place: int) -> None:
    records = journal()
    previous = records[place - 2].chain if place > 1 else GENESIS
    forged = Recorded(place, "mallory", 1, START, b"{}")
    records.insert(place - 1, STRANGERS[stranger](previous, forged))
    findings = verify(numbered(records) if hidden else records)
    assert findings == [Finding("inserted", place, place)]


@given(place=st.integers(1, LENGTH - 1), other=st.integers(2, LENGTH))
@pytest.mark.parametrize("hidden", [False, True])
def test_exchanged_records_are_named(hidden: bool, place: int, other: int) -> None:
    place, other = sorted((place, other))
    if place == other or other - place >= 30:
        return
    records = journal()
    records[place - 1], records[other - 1] = records[other - 1], records[place - 1]
    findings = verify(numbered(records) if hidden else records)
    assert findings == [Finding("reordered", place, other)]


@given(place=st.integers(1, LENGTH), to=st.integers(1, LENGTH))
def test_a_moved_record_is_named(place: int, to: int) -> None:
    if place == to or abs(to - place) >= 30:
        return
    records = journal()
    records.insert(to - 1, records.pop(place - 1))
    assert verify(numbered(records)) == [Finding("reordered", min(place, to), max(place, to))]


@given(start=st.integers(1, LENGTH))
def test_a_tail_that_is_not_linked_yet_is_told_apart_from_a_forgery(start: int) -> None:
    records = journal()
    open_tail = records[: start - 1] + [replace(recorded, chain="") for recorded in records[start - 1 :]]
    assert verify(open_tail) == [Finding("unchained", start, LENGTH)]


@given(first=st.integers(1, LENGTH - 1), count=st.integers(1, 5))
def test_links_taken_away_in_the_middle_are_named(first: int, count: int) -> None:
    last = min(first + count - 1, LENGTH - 1)
    records = journal()
    for index in range(first - 1, last):
        records[index] = replace(records[index], chain="")
    assert verify(records) == [Finding("edited", first, last)]


@given(cut=st.integers(1, LENGTH))
def test_a_cut_tail_shows_against_a_remembered_head(cut: int) -> None:
    records = journal()
    remembered = head(records)
    assert verify(records[: cut - 1]) == []
    assert verify(records[: cut - 1], remembered) == [Finding("cut", cut, LENGTH)]


@given(place=PLACES)
def test_a_journal_linked_anew_shows_against_a_remembered_head(place: int) -> None:
    records = journal()
    remembered = head(records)
    records[place - 1] = replace(records[place - 1], body=b"{}")
    forged = linked(records)
    assert verify(forged) == []
    assert verify(forged, remembered) == [Finding("rewritten", 1, LENGTH)]


def test_missing_numbers_of_a_writer_show_even_in_a_journal_linked_anew() -> None:
    records = journal()
    del records[9]
    gone = journal()[9]
    assert verify(linked(numbered(records))) == [Finding("gap", gone.number, gone.number, gone.writer)]


@given(places=st.sets(PLACES, min_size=2, max_size=8))
def test_every_one_of_several_edits_is_named(places: set[int]) -> None:
    records = journal()
    for place in places:
        records[place - 1] = replace(records[place - 1], body=b"{}")
    findings = verify(records)
    named = {place for finding in findings for place in range(finding.first, finding.last + 1)}
    assert all(finding.kind == "edited" for finding in findings)
    assert named == places


def test_findings_read_like_sentences() -> None:
    assert str(Finding("removed", 7, 7)) == "record 7: removed"
    assert str(Finding("cut", 7, 9)) == "records 7 to 9: cut off the end"
    assert str(Finding("gap", 2, 2, "w1")) == "writer w1: number 2 missing"


def test_a_long_journal_is_verified_in_constant_memory() -> None:
    def forever(length: int) -> int:
        verifier, previous, most = Verifier(), GENESIS, 0
        for sequence in range(1, length + 1):
            recorded = Recorded(sequence, "w", sequence, START, b"{}")
            previous = link(previous, recorded)
            verifier.see(replace(recorded, chain=previous))
            most = max(most, len(verifier._ahead) + len(verifier._aside))
        assert verifier.finish() == []
        return most

    assert forever(500) == forever(5_000)
