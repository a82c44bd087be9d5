"""The hash chain over the journal: making it, and finding out what was done to a journal behind its back.

A link covers the link before it and the record's place and content, so a record tells by its link where it belongs.
Whoever can write the journal can also link all of it anew from some record on; only a checkpoint kept elsewhere
shows that, and a cut tail.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from hanse.foundation import canonical
from hanse.foundation.time import format_instant
from hanse.journal.events import Recorded

GENESIS = ""
"""What stands in the place of a link before the first record."""
_WINDOW = 32
"""How many records are looked ahead to tell a moved or inserted record from an edited one."""

Kind = Literal["edited", "removed", "inserted", "reordered", "gap", "unchained", "cut", "rewritten"]
_WORDS: dict[Kind, str] = {
    "edited": "edited, or linked anew after the one before was",
    "removed": "removed",
    "inserted": "inserted",
    "reordered": "out of their order",
    "unchained": "not linked yet",
    "cut": "cut off the end",
    "rewritten": "edited and linked anew, one of them at least",
}


class Checkpoint(Struct, frozen=True):
    """A link remembered outside the store."""

    sequence: int
    link: str


class Finding(Struct, frozen=True):
    """What verification found, and where."""

    kind: Kind
    first: int
    """Sequence of the first record concerned; of a gap the writer's first missing number."""
    last: int
    writer: str = ""
    """Of a gap: whose numbers are missing."""

    def __str__(self) -> str:
        where = f" {self.first}" if self.first == self.last else f"s {self.first} to {self.last}"
        if self.kind == "gap":
            return f"writer {self.writer}: number{where} missing"
        return f"record{where}: {_WORDS[self.kind]}"


def link(previous: str, recorded: Recorded) -> str:
    """The link of a record, from the link before it; what the record's own `chain` says does not matter."""
    return _link(previous, recorded, recorded.sequence)


def verify(records: Iterable[Recorded], until: Checkpoint | None = None) -> list[Finding]:
    """Everything that is wrong with a whole journal, given from its first record on; empty when all holds."""
    verifier = Verifier(until)
    for recorded in records:
        verifier.see(recorded)
    return verifier.finish()


class Verifier:
    """Verifies a journal record by record; its memory grows with writers and findings only, not with records."""

    def __init__(self, until: Checkpoint | None = None) -> None:
        self._until = until
        self._findings: list[Finding] = []
        self._ahead: deque[Recorded] = deque()
        self._aside: list[tuple[Recorded, int]] = []
        """Records that do not belong where they stand, and the position at which they stood in the way."""
        self._position = 0
        """Position of the last record taken."""
        self._link = GENESIS
        """Its link: the one that it carries or, where it carries none yet, the one it should."""
        self._before = GENESIS
        """The link before that."""
        self._shown = 0
        """The sequence that the last record taken carries."""
        self._shift = 0
        """How far sequences are off positions, after a removal or insertion that was covered by renumbering."""
        self._disturbed = False
        """Whether a finding explains that the shift changes."""
        self._unchained: Finding | None = None
        self._numbers: dict[str, int] = {}

    def see(self, recorded: Recorded) -> None:
        """Take the next record of the journal."""
        self._ahead.append(recorded)
        if len(self._ahead) > _WINDOW:
            self._step()

    def finish(self) -> list[Finding]:
        """What was found, once the last record was seen."""
        while self._ahead:
            self._step()
        while self._take_moved(self._position + 1):
            pass
        for stray, _ in self._aside:
            self._found("inserted", stray.sequence)
        self._aside.clear()
        if self._unchained is not None:
            self._findings.append(self._unchained)
        until = self._until
        if until is not None and self._position < until.sequence:
            self._found("cut", self._position + 1, until.sequence)
        return self._findings

    def _step(self) -> None:
        """Settle which record is the one of the next position, and what is wrong there if it is not the first."""
        position = self._position + 1
        if self._follows(self._ahead[0], position):
            self._take_in_order(self._ahead.popleft(), position)
        elif not (self._take_moved(position) or self._drop_forged(position)):
            self._take_damaged(self._ahead.popleft(), position)
        if self._aside and self._aside[0][1] + _WINDOW < self._position:
            self._found("inserted", self._aside.pop(0)[0].sequence)

    def _take_in_order(self, recorded: Recorded, position: int) -> None:
        shift = recorded.sequence - position
        if shift != self._shift and not self._disturbed:
            self._found("edited", recorded.sequence)
        self._shift = shift
        self._disturbed = bool(self._aside)
        self._take(recorded, position, recorded.chain)

    def _take_moved(self, position: int) -> bool:
        """Take the position's record from where it stands too late or was put aside as too early."""
        for index, (stray, since) in enumerate(self._aside):
            if self._follows(stray, position):
                del self._aside[index]
                self._found("reordered", since, position)
                self._take(stray, position, stray.chain)
                return True
        for index, recorded in enumerate(self._ahead):
            if self._follows(recorded, position):
                self._aside.extend((self._ahead.popleft(), position) for _ in range(index))
                self._disturbed = True
                self._take_in_order(self._ahead.popleft(), position)
                return True
        return False

    def _drop_forged(self, position: int) -> bool:
        """Where the next record belongs in the place of the last, the last was slipped in with a right link."""
        if not _fits(self._before, self._ahead[0], position - 1):
            return False
        self._found("inserted", self._shown)
        self._position, self._link, self._disturbed = position - 2, self._before, True
        return True

    def _take_damaged(self, recorded: Recorded, position: int) -> None:
        """Nothing at hand is the position's record: it was edited, or it is gone and this one came after it."""
        following = self._ahead[0] if self._ahead else None
        missing = recorded.sequence - self._shift - position
        computed = _link(self._link, recorded, position)
        if following is not None and _fits(recorded.chain, following, position + 1):
            self._take_edited(recorded, position, recorded.chain)
        elif following is not None and _fits(computed, following, position + 1):
            self._take_edited(recorded, position, computed)
        elif missing > 0:
            self._found("removed", position, position + missing - 1)
            self._take_unproven(recorded, position + missing)
        elif missing < 0 and not self._disturbed:
            self._found("inserted", recorded.sequence)
        elif following is not None and (missing := _renumbered(recorded, following, position)):
            self._found("removed", position, position + missing - 1)
            self._shift -= missing
            self._take_unproven(recorded, position + missing)
        elif not recorded.chain:
            self._take_unproven(recorded, position)
        else:
            self._take_edited(recorded, position, recorded.chain)

    def _take_edited(self, recorded: Recorded, position: int, its_link: str) -> None:
        self._end_unchained()
        self._found("edited", recorded.sequence)
        # A forged number must not make the honest ones after it look as if some were missing.
        self._take(recorded, position, its_link, count=recorded.number == self._expected(recorded.writer))

    def _take_unproven(self, recorded: Recorded, position: int) -> None:
        """Take a record that has no link yet, or whose link hangs on a record that is gone."""
        self._take(recorded, position, recorded.chain or _link(self._link, recorded, position))
        if not recorded.chain:
            first = self._unchained.first if self._unchained else recorded.sequence
            self._unchained = Finding("unchained", first, recorded.sequence)

    def _take(self, recorded: Recorded, position: int, its_link: str, count: bool = True) -> None:
        if recorded.chain:
            self._end_unchained()
        if count:
            self._count(recorded)
        self._position, self._before, self._link = position, self._link, its_link
        self._shown = recorded.sequence
        until = self._until
        if until is not None and position == until.sequence and its_link != until.link:
            self._found("rewritten", 1, position)

    def _end_unchained(self) -> None:
        """A linked record comes after some that are not. The chainer leaves none out: somebody took their links."""
        if self._unchained is not None:
            self._found("edited", self._unchained.first, self._unchained.last)
            self._unchained = None

    def _count(self, recorded: Recorded) -> None:
        expected = self._expected(recorded.writer)
        if recorded.number > expected:
            self._findings.append(Finding("gap", expected, recorded.number - 1, recorded.writer))
        self._numbers[recorded.writer] = max(recorded.number, expected - 1)

    def _expected(self, writer: str) -> int:
        return self._numbers.get(writer, 0) + 1

    def _follows(self, recorded: Recorded, position: int) -> bool:
        return _fits(self._link, recorded, position)

    def _found(self, kind: Kind, first: int, last: int | None = None) -> None:
        """Note a finding; one that goes on where the last of its kind ended makes that one longer."""
        last = first if last is None else last
        if (
            self._findings
            and (latest := self._findings[-1]).kind == kind
            and latest.last + 1 >= first >= latest.first
        ):
            self._findings[-1] = Finding(kind, latest.first, max(last, latest.last))
        else:
            self._findings.append(Finding(kind, first, last))


def _link(previous: str, recorded: Recorded, position: int) -> str:
    at = format_instant(recorded.at)
    body = canonical.digest_bytes(recorded.body)
    return canonical.digest((previous, position, recorded.writer, recorded.number, at, body))


def _fits(previous: str, recorded: Recorded, position: int) -> bool:
    """Whether the record's own link says that it belongs at that position, after that link."""
    return recorded.chain != "" and _link(previous, recorded, position) == recorded.chain


def _renumbered(recorded: Recorded, following: Recorded, position: int) -> int:
    """How many records are gone before this one, if those after were renumbered to cover it; else 0."""
    return next((n for n in range(1, _WINDOW) if _fits(recorded.chain, following, position + n + 1)), 0)
