"""What the journal says is so now, read from its first record on: all that is written beside events while they come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import itemgetter

import msgspec

from hanse.foundation import canonical
from hanse.journal.events import (
    ApprovalGiven,
    Event,
    GrantRevoked,
    OrganizationAccepted,
    OwnerConverged,
    OwnerGone,
    Recorded,
    StepConcluded,
    StepIntended,
)
from hanse.model import Approval, Step
from hanse.store.database import Row, Sql, microseconds
from hanse.store.tidying import PROVENANCE_UNTIL

KEEP_APPROVAL = (
    "INSERT INTO approval (subject, expires_at, content) VALUES ($1, $2, $3)"
    " ON CONFLICT (subject) DO UPDATE SET expires_at = excluded.expires_at, content = excluded.content"
)
KEEP_REVOCATION = (
    "INSERT INTO revocation (digest, at, content) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING"
)
OPEN_STEP = "INSERT INTO open_step (digest, sequence) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING"
_MADE_ANEW = (
    "open_step",
    "approval",
    "revocation",
    "provenance",
    "parsed",
    "work",
    "lease",
    "budget",
    "serving",
)
_CONVERGED = (
    "UPDATE owner SET applied = $2, directory = $3, applied_at = $4, ours = $5,"
    " observed_at = NULL, steps_left = 0, waits = '', remarks = $6 WHERE owner = $1"
)
_BATCH = 500
_events = msgspec.json.Decoder(Event)


def approval_row(masked: Approval) -> Row:
    """The row of an approval that has marks in the place of texts."""
    expires_at = masked.expires_at and microseconds(masked.expires_at)
    return masked.subject, expires_at, canonical.encode(masked)


class Views:
    """Reads records in order. Its memory grows with what is so now, not with the journal."""

    def __init__(self, mark: Callable[[Step], str]) -> None:
        self.sequence = 0
        """Of the last record seen."""
        self._open_steps: dict[str, int] = {}
        """By digest, the record that intended it."""
        self._approvals: dict[str, Approval] = {}
        """By subject, with marks in the place of texts."""
        self._revocations: dict[str, tuple[datetime, bytes]] = {}
        """By digest."""
        self._mark = mark
        self._marks: dict[str, str] = {}
        """Of open steps."""
        self._converged: dict[str, tuple[datetime, OwnerConverged]] = {}
        self._ours: dict[str, set[str]] = {}

    def see(self, recorded: Recorded) -> None:
        """Take the next record."""
        self.sequence = recorded.sequence
        match event := _events.decode(recorded.body):
            case StepIntended():
                self._open_steps.setdefault(event.digest, recorded.sequence)
                self._marks[event.digest] = self._mark(event.step)
            case StepConcluded():
                mark = self._marks.get(event.digest, "")
                if mark and event.outcome in ("done", "unsure"):
                    self._ours.setdefault(str(event.owner), set()).add(mark)
                if event.outcome != "unsure":
                    self._open_steps.pop(event.digest, None)
                    self._marks.pop(event.digest, None)
            case OrganizationAccepted():
                for digest in event.lapsed:
                    self._revocations.pop(digest, None)
            case ApprovalGiven():
                self._approvals[event.approval.subject] = event.approval
            case GrantRevoked():
                digest = canonical.digest_bytes(recorded.body)
                self._revocations.setdefault(digest, (recorded.at, recorded.body))
            case OwnerConverged():
                self._converged[str(event.owner)] = (recorded.at, event)
                self._ours.pop(str(event.owner), None)
            case OwnerGone():
                self._converged.pop(str(event.owner), None)
                self._ours.pop(str(event.owner), None)

    async def write(self, sql: Sql, now: datetime) -> None:
        """Write them in the place of those that are there, in the transaction under way; caches and work are dropped.

        What an owner's status and the journal say alike stays: the status knows more.
        """
        for table in _MADE_ANEW:
            await sql.run(f"DELETE FROM {table}")  # noqa: S608
        await sql.run("DELETE FROM meta WHERE name = $1", PROVENANCE_UNTIL)
        await sql.run_many(OPEN_STEP, sorted(self._open_steps.items()))
        stand = [one for one in self._approvals.values() if one.expires_at is None or one.expires_at > now]
        await sql.run_many(KEEP_APPROVAL, sorted(map(approval_row, stand), key=itemgetter(0)))
        await sql.run_many(
            KEEP_REVOCATION,
            [(digest, microseconds(at), body) for digest, (at, body) in sorted(self._revocations.items())],
        )
        after = ""
        while rows := await sql.run(
            "SELECT owner, applied FROM owner WHERE owner > $1 ORDER BY owner LIMIT $2", after, _BATCH
        ):
            after = rows[-1][0]
            await sql.run_many(
                _CONVERGED,
                [self._status(owner) for owner, applied in rows if self._applied(owner) != applied],
            )

    def _applied(self, owner: str) -> str:
        return self._converged[owner][1].intent if owner in self._converged else ""

    def _status(self, owner: str) -> Row:
        """As far as the journal knows it; the rest is seen at the next look."""
        ours, nothing = canonical.encode(tuple(sorted(self._ours.get(owner, ())))), canonical.encode(())
        if owner not in self._converged:
            return owner, "", "", None, ours, nothing
        at, event = self._converged[owner]
        return owner, event.intent, event.directory, microseconds(at), ours, nothing
