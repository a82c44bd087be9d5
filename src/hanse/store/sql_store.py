"""The store as statements, the same in every home: SQLite, PostgreSQL.

What is kept for good about people lies in the table `personal` only: events, approvals, revocations and provenance
hold its marks. Directories are content of their own, and what a pass remarks is overwritten by the next.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from hanse.desired.accepted import AcceptedIntent, Held
from hanse.desired.intent import Intent
from hanse.foundation import canonical
from hanse.journal import chain, record
from hanse.journal.events import (
    ApprovalGiven,
    Event,
    GrantRevoked,
    OrganizationAccepted,
    Recorded,
    StepConcluded,
    StepIntended,
)
from hanse.journal.revocation import Revocation
from hanse.model import Approval, Owner, Provenance, Remark, Step, parse_owner
from hanse.ports.store import (
    ANY_NUMBER,
    MARKED,
    Backlog,
    Head,
    OwnerRow,
    Status,
    StoreError,
    Work,
)
from hanse.store.database import Engine, Row, Sql

_NOTHING: Mapping[str, bytes] = {}
_NONE_GONE: Mapping[Owner, str] = {}
_BATCH = 500
"""Rows that a stream reads at once."""
_T = TypeVar("_T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_intent = msgspec.json.Decoder(Intent)
_held = msgspec.json.Decoder(tuple[Held, ...])
_remarks = msgspec.json.Decoder(tuple[Remark, ...])
_ours = msgspec.json.Decoder(tuple[str, ...])
_approval = msgspec.json.Decoder(Approval)
_intended = msgspec.json.Decoder(StepIntended)
_revocation = msgspec.json.Decoder(GrantRevoked)
_provenance = msgspec.json.Decoder(Provenance)


class _Entry(NamedTuple):
    """An event, ready to be written."""

    event: Event
    body: bytes
    texts: dict[str, str]
    at: int


class SqlStore:
    """Implements `ports.store.Store`. Any number of tasks may use it at once."""

    def __init__(self, engine: Engine) -> None:
        """Take over an engine, whose tables are there. Raises StoreError."""
        self.engine = engine
        self._key = engine.submit(_journal_key).result()
        self._writer = engine.writer
        self.distributed = engine.distributed

    async def hold(self, *, shared: bool = False) -> None:
        """Be the one that accepts and converges, or one of several, until `close`."""
        await self.engine.hold(shared=shared)
        if not shared:  # whoever had claims or leases is no more
            await self.engine.write(_free_all)

    async def close(self) -> None:
        """Release the store. May be called twice."""
        await self.engine.close()

    # The journal

    async def append(self, events: Sequence[Event], at: datetime) -> None:
        """Write events to the journal, all or none."""
        if events:
            await self.engine.append(self._write_events, self._entries(events, at), held=True)

    async def journal(self, after: int = 0) -> AsyncIterator[Recorded]:
        """Recorded events in order, beyond that sequence."""
        while records := await self.engine.read(partial(_read_journal, after)):
            for recorded in records:
                yield recorded
            after = records[-1].sequence

    async def personal(self, marks: Iterable[str]) -> dict[str, str]:
        """Texts about people by their keyed digests; erased ones are missing."""
        return await self.engine.read(partial(_read_personal, list(marks)))

    async def chain(self) -> None:
        """Link what was appended since the last time."""
        while await self.engine.append(_link_some) == _BATCH:
            pass

    async def open_steps(self) -> list[tuple[str, Step]]:
        """Steps intended and never concluded, or concluded `unsure`, with their digests, oldest first."""
        return await self.engine.read(_read_open_steps)

    # The accepted state

    async def head(self) -> Head | None:
        """The accepted state; None before the first acceptance."""
        return await self.engine.read(_read_head)

    async def accept(
        self,
        head: Head,
        changed: Mapping[Owner, AcceptedIntent],
        blobs: Mapping[str, bytes],
        events: Sequence[Event],
        *,
        before: Head | Literal["any"] | None = "any",
        concerned: Collection[Owner] = (),
    ) -> None:
        """Move to a new accepted state, with its events, in one transaction."""

        async def write(sql: Sql, entries: Sequence[_Entry]) -> None:
            if before != "any" and await _read_head(sql) != before:
                raise StoreError(
                    "another process accepted something in the meantime",
                    "look again at what is accepted now, then decide anew",
                )
            await sql.run_many(_KEEP_BLOB, blobs.items())
            left = iter(sorted(changed.items(), key=lambda item: str(item[0])))
            while some := list(islice(left, _BATCH)):
                intents = [canonical.encode(accepted.intent) for _, accepted in some]
                digests = list(map(canonical.digest_bytes, intents))
                await sql.run_many(_KEEP_BLOB, list(zip(digests, intents, strict=True)))
                await sql.run_many(
                    "INSERT INTO owner (owner, intent, commit_id, held) VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT (owner) DO UPDATE SET"
                    " intent = excluded.intent, commit_id = excluded.commit_id, held = excluded.held",
                    [
                        (str(owner), digest, accepted.commit, canonical.encode(accepted.held))
                        for (owner, accepted), digest in zip(some, digests, strict=True)
                    ],
                )
            await sql.run(
                "INSERT INTO head (one, commit_id, at, directory, settings) VALUES (1, $1, $2, $3, $4)"
                " ON CONFLICT (one) DO UPDATE SET commit_id = excluded.commit_id, at = excluded.at,"
                " directory = excluded.directory, settings = excluded.settings",
                *(head.commit, _microseconds(head.at), head.directory, head.settings),
            )
            await self._write_events(sql, entries)
            if concerned:
                await _mark(list(concerned), head.at, f"commit {head.commit[:8]}", sql)
            await sql.tell()

        await self.engine.append(write, self._entries(events, head.at), held=True)

    async def blob(self, digest: str) -> bytes | None:
        """Content that was stored with an acceptance (directories, settings, intents)."""
        rows = await self.engine.read(
            lambda sql: sql.run("SELECT content FROM blob WHERE digest = $1", digest)
        )
        return rows[0][0] if rows else None

    # Owners

    async def owners(self, platform: str = "") -> AsyncIterator[OwnerRow]:
        """All rows, or those of one platform, in the order of `str(owner)`, streamed."""
        after, until = _span(platform)
        while rows := await self.engine.read(partial(_read_owners, after, until)):
            for row in rows:
                yield row
            after = str(rows[-1].owner)

    async def owner(self, owner: Owner) -> OwnerRow | None:
        """One row."""
        rows = await self.engine.read(
            lambda sql: sql.run(f"{_OWNER_ROWS} WHERE owner.owner = $1", str(owner))
        )
        return _owner_row(rows[0]) if rows else None

    async def rows(self, owners: Iterable[Owner]) -> list[OwnerRow]:
        """The rows of these owners, in no order; owners without one are missing."""
        wanted = list(map(str, owners))
        rows = await self.engine.read(lambda sql: sql.run_in(f"{_OWNER_ROWS} WHERE owner.owner", wanted))
        return [_owner_row(row) for row in rows]

    async def count(self, platform: str) -> int:
        """How many owners there are on a platform."""
        rows = await self.engine.read(
            lambda sql: sql.run(
                "SELECT count(*) FROM owner WHERE owner > $1 AND owner < $2", *_span(platform)
            )
        )
        return int(rows[0][0])

    async def platforms(self) -> set[str]:
        """The platforms that owners lie on, declared or not."""
        return await self.engine.read(_read_platforms)

    async def record(
        self,
        statuses: Mapping[Owner, Status],
        gone: Mapping[Owner, str] = _NONE_GONE,
        blobs: Mapping[str, bytes] = _NOTHING,
    ) -> None:
        """Note what a pass found; forget owners that are gone."""
        rows = sorted((str(owner), *_status_values(status)) for owner, status in statuses.items())
        forgotten = sorted((str(owner), digest) for owner, digest in gone.items())
        contents = sorted(blobs.items())

        async def job(sql: Sql) -> None:
            await sql.run_many(_KEEP_BLOB, contents)
            await sql.run_many(
                "UPDATE owner SET applied = $2, directory = $3, applied_at = $4, observed_at = $5,"
                " steps_left = $6, ours = $7, waits = $8, remarks = $9 WHERE owner = $1",
                rows,
            )
            await sql.run_many("DELETE FROM owner WHERE owner = $1 AND intent = $2", forgotten)

        await self.engine.write(job)

    # What is to be looked at

    async def mark(self, owners: Iterable[Owner], due: datetime, why: str) -> None:
        """Ask for a look at these owners, at `due` at the latest."""
        marked = list(owners)
        if marked:
            await self.engine.write(partial(_mark, marked, due, why))

    async def backlog(self, now: datetime) -> dict[str, Backlog]:
        """By platform, how much there is to be looked at."""
        rows = await self.engine.read(
            lambda sql: sql.run(
                "SELECT platform, count(CASE WHEN due <= $1 THEN 1 END), min(CASE WHEN due <= $1 THEN due END),"
                " count(CASE WHEN attempts > 0 THEN 1 END) FROM work GROUP BY platform",
                _microseconds(now),
            )
        )
        return {
            platform: Backlog(due, None if oldest is None else _instant(oldest), retried)
            for platform, due, oldest, retried in rows
        }

    async def count_due(self, platform: str, now: datetime) -> int:
        """How many owners are due on a platform."""
        rows = await self.engine.read(
            lambda sql: sql.run(
                "SELECT count(*) FROM work WHERE platform = $1 AND due <= $2", platform, _microseconds(now)
            )
        )
        return int(rows[0][0])

    async def under_way(self, platform: str) -> set[Owner]:
        """The owners of a platform that are claimed just now."""

        async def job(sql: Sql) -> list[Row]:
            return await sql.run(
                "SELECT owner FROM work WHERE platform = $1 AND claimed_until > $2", platform, await sql.now()
            )

        return {parse_owner(name) for (name,) in await self.engine.read(job)}

    async def next_due(self, platform: str, after: datetime) -> datetime | None:
        """When the first of what is not due yet will be."""
        rows = await self.engine.read(
            lambda sql: sql.run(
                "SELECT min(due) FROM work WHERE platform = $1 AND due > $2", platform, _microseconds(after)
            )
        )
        return None if rows[0][0] is None else _instant(rows[0][0])

    async def looked(self, looks: Iterable[Work]) -> None:
        """Note looks that are over, and what comes next."""
        rows = [
            (
                *(str(look.owner), look.owner.platform, look.owner.workspace, look.generation),
                *(look.due and _microseconds(look.due), look.attempts, look.why, self._writer),
            )
            for look in looks
        ]
        rows.sort(key=itemgetter(0))
        await self.engine.write(
            lambda sql: sql.run_many(
                "INSERT INTO work (owner, platform, workspace, generation, seen, due, attempts, why)"
                " SELECT owner, $2, $3, $4, $4, $5, $6, $7 FROM owner WHERE owner = $1"
                " ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen, attempts = excluded.attempts,"
                " due = CASE WHEN work.generation > excluded.seen THEN work.due ELSE excluded.due END,"
                " why = CASE WHEN work.generation > excluded.seen THEN work.why ELSE excluded.why END,"
                " holder = '', claimed_until = NULL WHERE work.holder IN ('', $8)",
                rows,
            )
        )

    async def claim(
        self, platform: str, now: datetime, most: int, seconds: float, each: int = ANY_NUMBER
    ) -> list[Work]:
        """Take what is due on a platform and nobody looks at: for so many seconds it is ours."""

        async def job(sql: Sql) -> list[Row]:
            at = await sql.now()
            return await sql.run(
                "WITH waiting AS (SELECT owner, due, row_number() OVER (PARTITION BY workspace"  # noqa: S608
                " ORDER BY CASE WHEN claimed_until > $3 THEN 0 ELSE 1 END, due, owner) AS turn"
                " FROM work WHERE platform = $1 AND due <= $2),"
                " free AS MATERIALIZED (SELECT work.owner FROM waiting JOIN work ON work.owner = waiting.owner"
                " WHERE turn <= $7 AND work.due <= $2"
                " AND (work.claimed_until IS NULL OR work.claimed_until <= $3) AND NOT EXISTS (SELECT 1"
                " FROM work AS shared WHERE shared.platform = $1 AND shared.claimed_until > $3"
                " AND work.owner > shared.owner || '/' AND work.owner < shared.owner || '0')"
                f" ORDER BY turn, waiting.due, work.owner LIMIT $4 {sql.unlocked})"
                " UPDATE work SET holder = $5, claimed_until = $6, claims = claims + 1"
                " FROM free WHERE work.owner = free.owner"
                " RETURNING work.owner, generation, seen, due, attempts, why, claims",
                *(platform, _microseconds(now), at, most, self._writer, at + _microseconds_of(seconds), each),
            )

        rows = await self.engine.write(job)
        return [_work(row) for row in sorted(rows, key=lambda row: (row[3], row[0]))]

    async def take(self, claims: Mapping[Owner, int], seconds: float) -> set[Owner]:
        """Claim these owners, due or not, of those that nobody has claimed since they had so many claims."""
        ours = {str(owner): owner for owner in claims}

        async def job(sql: Sql) -> list[Row]:
            at = await sql.now()
            until = at + _microseconds_of(seconds)
            rows = [
                (name, owner.platform, owner.workspace, self._writer, until, claims[owner], at)
                for name, owner in sorted(ours.items())
            ]
            await sql.run_many(
                "INSERT INTO work (owner, platform, workspace, generation, holder, claimed_until, claims)"
                " SELECT owner, $2, $3, 0, $4, $5, 1 FROM owner WHERE owner = $1"
                " ON CONFLICT (owner) DO UPDATE SET holder = excluded.holder, claims = work.claims + 1,"
                " claimed_until = excluded.claimed_until WHERE work.claims = $6"
                " AND (work.claimed_until IS NULL OR work.claimed_until <= $7)",
                rows,
            )
            # By the instant it is told from what a look of ours has.
            return await sql.run(
                "SELECT owner FROM work WHERE holder = $1 AND claimed_until = $2", self._writer, until
            )

        return {ours[name] for (name,) in await self.engine.write(job) if name in ours}

    async def keep(self, owners: Iterable[Owner], seconds: float) -> set[Owner]:
        """Have claims last for so many seconds from now; those that are ours still."""
        ours = {str(owner): owner for owner in owners}

        async def job(sql: Sql) -> list[Row]:
            until = await sql.now() + _microseconds_of(seconds)
            rows = [(name, self._writer, until) for name in sorted(ours)]
            await sql.run_many("UPDATE work SET claimed_until = $3 WHERE owner = $1 AND holder = $2", rows)
            return await sql.run("SELECT owner FROM work WHERE holder = $1", self._writer)

        return {ours[name] for (name,) in await self.engine.write(job) if name in ours}

    async def let_go(self, owners: Iterable[Owner]) -> None:
        """Give claims back without a look."""
        rows = sorted((str(owner), self._writer) for owner in owners)
        await self.engine.write(
            lambda sql: sql.run_many(
                "UPDATE work SET holder = '', claimed_until = NULL WHERE owner = $1 AND holder = $2", rows
            )
        )

    async def lease(self, name: str, seconds: float) -> bool:
        """Be the only one who does that, for so many seconds from now; 0 gives it back. False: somebody else is."""

        async def job(sql: Sql) -> bool:
            at = await sql.now()
            rows = await sql.run(
                "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3) ON CONFLICT (name)"
                " DO UPDATE SET holder = excluded.holder, until = excluded.until"
                " WHERE lease.holder = excluded.holder OR lease.until <= $4 RETURNING name",
                *(name, self._writer, at + _microseconds_of(seconds), at),
            )
            return bool(rows)

        return await self.engine.write(job)

    async def draw(self, platform: str, count: int, per_second: float) -> float:
        """Take so many calls out of the budget that all have for a platform; in how many seconds the first may go."""

        async def job(sql: Sql) -> int:
            at = await sql.now()
            ((until,),) = await sql.run(
                "INSERT INTO budget (platform, until) VALUES ($1, $2) ON CONFLICT (platform) DO UPDATE SET until ="
                " CASE WHEN budget.until > $3 THEN budget.until ELSE $3 END + $4 RETURNING until",
                *(platform, at + spent, at, spent),
            )
            return int(until) - spent - at - _microseconds_of(max(0.0, 1.0 - 1.0 / per_second))

        spent = _microseconds_of(count / per_second)
        return await self.engine.write(job) / 1_000_000

    async def work(self, platform: str = "") -> dict[Owner, Work]:
        """All of it, or that of one platform."""
        where, values = (" WHERE platform = $1", [platform]) if platform else ("", [])
        rows = await self.engine.read(lambda sql: sql.run(_WORK_ROWS + where, *values))
        return {work.owner: work for work in map(_work, rows)}

    async def written_elsewhere(self) -> int:
        """A number that is another one after a process beside this one wrote something."""
        return await self.engine.written_elsewhere()

    async def tell(self, topic: str) -> None:
        """Have all other processes hear it."""
        await self.engine.write(lambda sql: sql.tell(topic))

    def hear(self, heard: Callable[[str], None]) -> None:
        """From now on call this, in the thread of the store, with what other processes tell."""
        self.engine.hear(heard)

    async def sharing(self) -> int:
        """How many processes have the hold just now."""
        return await self.engine.sharing()

    # Approvals and revocations

    async def approve(self, approval: Approval, events: Sequence[Event]) -> None:
        """Keep a yes."""

        async def write(sql: Sql, entries: Sequence[_Entry]) -> None:
            texts, row = self._approval(approval)
            await sql.run_many(_KEEP_PERSONAL, sorted(texts.items()))
            await sql.run_many(_KEEP_APPROVAL, [row])
            await self._write_events(sql, entries)
            await sql.tell()

        await self.engine.append(write, self._entries(events, approval.at))

    async def approvals(self, now: datetime) -> dict[str, Approval]:
        """Those not expired, by subject."""

        async def job(sql: Sql) -> dict[str, Approval]:
            rows = await sql.run(
                "SELECT content FROM approval WHERE expires_at IS NULL OR expires_at > $1", _microseconds(now)
            )
            contents = [content for (content,) in rows]
            kept = await _with_texts([_approval.decode(content) for content in contents], contents, sql)
            return {approval.subject: approval for approval in kept}

        return await self.engine.read(job)

    async def revoke(self, event: GrantRevoked, at: datetime) -> Revocation:
        """Journal a revocation; it subtracts until an accepted commit no longer has the grant."""
        entries = self._entries([event], at)

        async def write(sql: Sql, entries: Sequence[_Entry]) -> None:
            await self._write_events(sql, entries)
            await sql.tell()

        await self.engine.append(write, entries)
        return Revocation(canonical.digest_bytes(entries[0].body), at, event)

    async def revocations(self) -> list[Revocation]:
        """Those that still subtract, oldest first."""

        async def job(sql: Sql) -> list[Revocation]:
            rows = await sql.run("SELECT digest, at, content, waits FROM revocation ORDER BY at, digest")
            masked = [_revocation.decode(content) for _, _, content, _ in rows]
            events = await _with_texts(masked, [content for _, _, content, _ in rows], sql)
            return [
                Revocation(digest, _instant(at), event, waits)
                for (digest, at, _, waits), event in zip(rows, events, strict=True)
            ]

        return await self.engine.read(job)

    async def note_revocations(self, waits: Mapping[str, str]) -> None:
        """Keep, by digest, why revocations stand in no commit yet."""
        rows = sorted(waits.items())

        async def job(sql: Sql) -> None:
            await sql.run_many("UPDATE revocation SET waits = $2 WHERE digest = $1", rows)
            await sql.tell()

        await self.engine.write(job)

    # What git told

    async def provenance(self, sources: Iterable[str]) -> dict[str, Provenance]:
        """Who brought these declarations to their present form, where it is known."""
        wanted = list(sources)

        async def job(sql: Sql) -> dict[str, Provenance]:
            rows = await sql.run_in("SELECT source, content FROM provenance WHERE source", wanted)
            masked = [_provenance.decode(content) for _, content in rows]
            found = await _with_texts(masked, [content for _, content in rows], sql)
            return {source: provenance for (source, _), provenance in zip(rows, found, strict=True)}

        return await self.engine.read(job)

    async def provenance_until(self) -> str:
        """The commit up to which provenance was read; empty if never."""
        return await self.engine.read(partial(_meta, "provenance-until"))

    async def keep_provenance(self, until: str, rows: Mapping[str, Provenance], gone: Iterable[str]) -> None:
        """Store provenance read up to a commit, in one transaction."""
        forgotten = sorted((source,) for source in gone)

        async def job(sql: Sql) -> None:
            left = iter(sorted(rows.items(), key=itemgetter(0)))
            while some := list(islice(left, _BATCH)):
                masked = [(source, *record.masked(kept, self._key)) for source, kept in some]
                texts = {mark: text for _, _, its in masked for mark, text in its.items()}
                await sql.run_many(_KEEP_PERSONAL, sorted(texts.items()))
                await sql.run_many(
                    "INSERT INTO provenance (source, content) VALUES ($1, $2)"
                    " ON CONFLICT (source) DO UPDATE SET content = excluded.content",
                    [(source, canonical.encode(content)) for source, content, _ in masked],
                )
            await sql.run_many("DELETE FROM provenance WHERE source = $1", forgotten)
            await sql.run(_KEEP_META, "provenance-until", until)

        await self.engine.write(job)

    async def parsed(self, blob_ids: Iterable[str]) -> dict[str, bytes]:
        """Cached parse results by git blob id."""
        wanted = list(blob_ids)
        rows = await self.engine.read(
            lambda sql: sql.run_in("SELECT blob_id, content FROM parsed WHERE blob_id", wanted)
        )
        return dict(rows)

    async def keep_parsed(self, rows: Mapping[str, bytes]) -> None:
        """Cache parse results by git blob id."""
        kept = sorted(rows.items())
        await self.engine.write(
            lambda sql: sql.run_many(
                "INSERT INTO parsed (blob_id, content) VALUES ($1, $2)"
                " ON CONFLICT (blob_id) DO UPDATE SET content = excluded.content",
                kept,
            )
        )

    def _entries(self, events: Sequence[Event], at: datetime) -> list[_Entry]:
        """Encoded before anything is written: what cannot be recorded raises here."""
        return [_Entry(event, *record.encode(event, self._key), _microseconds(at)) for event in events]

    async def _write_events(self, sql: Sql, entries: Sequence[_Entry]) -> None:
        """Add to the journal and to the views that are made from it, in the transaction under way."""
        ((sequence, number),) = await sql.run(
            "SELECT (SELECT coalesce(max(sequence), 0) FROM journal),"
            " (SELECT coalesce(max(number), 0) FROM journal WHERE writer = $1)",
            self._writer,
        )
        rows: list[Row] = []
        texts: dict[str, str] = {}
        views: list[tuple[str, Row]] = []
        for count, (event, body, its_texts, at) in enumerate(entries, 1):
            rows.append((sequence + count, self._writer, number + count, at, body))
            texts |= its_texts
            match event:
                case StepIntended():
                    views.append((_OPEN_STEP, (event.digest, sequence + count)))
                case StepConcluded() if event.outcome != "unsure":
                    views.append((_CLOSE_STEP, (event.digest,)))
                case OrganizationAccepted():
                    views += [(_LAPSE, (digest,)) for digest in event.lapsed]
                case ApprovalGiven():
                    more_texts, row = self._approval(event.approval)
                    texts |= more_texts
                    views.append((_KEEP_APPROVAL, row))
                case GrantRevoked():
                    views.append((_KEEP_REVOCATION, (canonical.digest_bytes(body), at, body)))
        await sql.run_many(
            "INSERT INTO journal (sequence, writer, number, at, body) VALUES ($1, $2, $3, $4, $5)", rows
        )
        await sql.run_many(_KEEP_PERSONAL, sorted(texts.items()))
        for statement, group in groupby(views, key=itemgetter(0)):
            await sql.run_many(statement, [row for _, row in group])

    def _approval(self, approval: Approval) -> tuple[dict[str, str], Row]:
        """Its texts, and its row."""
        masked, texts = record.masked(approval, self._key)
        expires_at = approval.expires_at and _microseconds(approval.expires_at)
        return texts, (approval.subject, expires_at, canonical.encode(masked))


_KEEP_BLOB = "INSERT INTO blob (digest, content) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING"
_KEEP_PERSONAL = "INSERT INTO personal (mark, text) VALUES ($1, $2) ON CONFLICT (mark) DO NOTHING"
_KEEP_META = (
    "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_KEEP_APPROVAL = (
    "INSERT INTO approval (subject, expires_at, content) VALUES ($1, $2, $3)"
    " ON CONFLICT (subject) DO UPDATE SET expires_at = excluded.expires_at, content = excluded.content"
)
_KEEP_REVOCATION = (
    "INSERT INTO revocation (digest, at, content) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING"
)
_LAPSE = "DELETE FROM revocation WHERE digest = $1"
_OPEN_STEP = "INSERT INTO open_step (digest, sequence) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING"
_CLOSE_STEP = "DELETE FROM open_step WHERE digest = $1"
_OWNER_ROWS = (
    "SELECT owner.owner, blob.content, commit_id, held,"
    " applied, directory, applied_at, observed_at, steps_left, ours, waits, remarks"
    " FROM owner JOIN blob ON blob.digest = owner.intent"
)
_WORK_ROWS = "SELECT owner, generation, seen, due, attempts, why, claims FROM work"


def _span(platform: str) -> tuple[str, str]:
    """What the owners of a platform lie between, or all owners."""
    return (f"{platform}/", f"{platform}0") if platform else ("", "\U0010ffff")


def _work(row: Row) -> Work:
    owner, generation, seen, due, attempts, why, claims = row
    at = None if due is None else _instant(due)
    return Work(parse_owner(owner), generation, seen, at, attempts, why, claims)


async def _free_all(sql: Sql) -> None:
    await sql.run("UPDATE work SET holder = '', claimed_until = NULL WHERE claimed_until IS NOT NULL")
    await sql.run("DELETE FROM lease")


async def _mark(owners: Sequence[Owner], due: datetime, why: str, sql: Sql) -> None:
    """Mark owners in the transaction under way, and wake who looks at their platforms once it is durable."""
    await sql.run_many(
        "INSERT INTO work (owner, platform, workspace, generation, due, why)"
        " SELECT owner, $2, $3, 1, $4, $5 FROM owner WHERE owner = $1"
        " ON CONFLICT (owner) DO UPDATE SET generation = work.generation + 1, why = excluded.why,"
        " workspace = excluded.workspace,"
        " due = CASE WHEN work.due < excluded.due THEN work.due ELSE excluded.due END",
        sorted((str(owner), owner.platform, owner.workspace, _microseconds(due), why) for owner in owners),
    )
    for platform in sorted({owner.platform for owner in owners}):
        await sql.tell(f"{MARKED}{platform}")


async def _journal_key(sql: Sql) -> bytes:
    """The key of all marks of this store, made when it is first asked for."""
    key = await _meta("journal-key", sql)
    if not key:
        await sql.run(
            "INSERT INTO meta (name, value) VALUES ('journal-key', $1) ON CONFLICT (name) DO NOTHING",
            secrets.token_hex(32),
        )
        key = await _meta("journal-key", sql)  # another process may have been faster
    return bytes.fromhex(key)


async def _meta(name: str, sql: Sql) -> str:
    rows = await sql.run("SELECT value FROM meta WHERE name = $1", name)
    return rows[0][0] if rows else ""


async def _read_head(sql: Sql) -> Head | None:
    rows = await sql.run("SELECT commit_id, at, directory, settings FROM head")
    return Head(rows[0][0], _instant(rows[0][1]), *rows[0][2:]) if rows else None


async def _read_platforms(sql: Sql) -> set[str]:
    """One look for each platform: from one's first owner to what lies behind its last."""
    found: set[str] = set()
    after = ""
    while True:
        ((first,),) = await sql.run("SELECT min(owner) FROM owner WHERE owner > $1", after)
        if first is None:
            return found
        name = first.partition("/")[0]
        found.add(name)
        after = _span(name)[1]


async def _read_journal(after: int, sql: Sql) -> list[Recorded]:
    rows = await sql.run(
        "SELECT sequence, writer, number, at, body, chain FROM journal"
        " WHERE sequence > $1 ORDER BY sequence LIMIT $2",
        *(after, _BATCH),
    )
    return [_recorded(row) for row in rows]


async def _link_some(sql: Sql, _: Sequence[Any]) -> int:
    """Link the oldest records that have no link; how many there were, _BATCH at most."""
    last = await sql.run(
        "SELECT sequence, chain FROM journal WHERE chain <> '' ORDER BY sequence DESC LIMIT 1"
    )
    sequence, previous = last[0] if last else (0, chain.GENESIS)
    links = []
    records = await _read_journal(sequence, sql)
    for recorded in records:
        previous = chain.link(previous, recorded)
        links.append((recorded.sequence, previous))
    await sql.run_many("UPDATE journal SET chain = $2 WHERE sequence = $1", links)
    return len(records)


async def _read_open_steps(sql: Sql) -> list[tuple[str, Step]]:
    rows = await sql.run(
        "SELECT body FROM journal JOIN open_step ON open_step.sequence = journal.sequence"
        " ORDER BY journal.sequence"
    )
    bodies = [body for (body,) in rows]
    masked = [_intended.decode(body) for body in bodies]
    return [(event.digest, event.step) for event in await _with_texts(masked, bodies, sql)]


def _recorded(row: Row) -> Recorded:
    sequence, writer, number, at, body, its_chain = row
    try:
        return Recorded(sequence, writer, number, _instant(at), body, its_chain)
    except OverflowError as error:
        raise StoreError(
            f"journal record {sequence} was edited: its instant lies outside the calendar",
            "restore the store from a backup",
        ) from error


async def _read_personal(marks: list[str], sql: Sql) -> dict[str, str]:
    return dict(await sql.run_in("SELECT mark, text FROM personal WHERE mark", marks))


async def _with_texts(masked: list[_T], contents: list[bytes], sql: Sql) -> list[_T]:
    """The values with their texts put back in, all texts read at once."""
    texts = await _read_personal([mark for content in contents for mark in record.marks(content)], sql)
    return [record.unmasked(value, texts) for value in masked]


async def _read_owners(after: str, until: str, sql: Sql) -> list[OwnerRow]:
    rows = await sql.run(
        f"{_OWNER_ROWS} WHERE owner.owner > $1 AND owner.owner < $2 ORDER BY owner.owner LIMIT $3",
        *(after, until, _BATCH),
    )
    return [_owner_row(row) for row in rows]


def _owner_row(row: Row) -> OwnerRow:
    (
        owner, intent, commit, held, applied, directory, applied_at, observed_at, steps_left, ours, waits, remarks,
    ) = row  # fmt: skip
    return OwnerRow(
        parse_owner(owner),
        AcceptedIntent(_intent.decode(intent), commit, _held.decode(held)),
        Status(
            applied,
            directory,
            None if applied_at is None else _instant(applied_at),
            None if observed_at is None else _instant(observed_at),
            steps_left,
            _ours.decode(ours),
            waits,
            _remarks.decode(remarks),
        ),
    )


def _status_values(status: Status) -> Row:
    """In the order of the columns."""
    return (
        status.applied,
        status.directory,
        status.applied_at and _microseconds(status.applied_at),
        status.observed_at and _microseconds(status.observed_at),
        status.steps_left,
        canonical.encode(status.ours),
        status.waits,
        canonical.encode(status.remarks),
    )


def _microseconds_of(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
