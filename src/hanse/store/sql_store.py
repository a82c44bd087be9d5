"""The store as statements, the same in every home: SQLite, PostgreSQL.

What is kept for good about people lies in the table `personal` only: events, approvals, revocations and provenance
hold its marks. Directories are content of their own, and what a pass remarks is overwritten by the next.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
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
    Head,
    OwnerRow,
    Status,
    StoreError,
)
from hanse.store import tidying, views
from hanse.store.database import Engine, Row, Sql
from hanse.store.database import instant as _instant
from hanse.store.database import microseconds as _microseconds
from hanse.store.work_rows import WorkRows, free_all, mark

_NOTHING: Mapping[str, bytes] = {}
_NONE_GONE: Mapping[Owner, str] = {}
_BATCH = 500
"""Rows that a stream reads at once."""
_T = TypeVar("_T")
_UNTIL = tidying.PROVENANCE_UNTIL
RESTORED = "restored"
"""The entry of `meta` that says of when a store is that was put back, until somebody has looked."""

_intent = msgspec.json.Decoder(Intent)
_held = msgspec.json.Decoder(tuple[Held, ...])
_remarks = msgspec.json.Decoder(tuple[Remark, ...])
_ours = msgspec.json.Decoder(tuple[str, ...])
_approval = msgspec.json.Decoder(Approval)
_intended = msgspec.json.Decoder(StepIntended)
_revocation = msgspec.json.Decoder(GrantRevoked)
_provenance = msgspec.json.Decoder(Provenance)
_since = msgspec.json.Decoder(dict[str, datetime])


class Entry(NamedTuple):
    """An event, ready to be written."""

    event: Event
    body: bytes
    texts: dict[str, str]
    at: int


class SqlStore(WorkRows):
    """Implements `ports.store.Store`. Any number of tasks may use it at once."""

    def __init__(self, engine: Engine) -> None:
        """Take over an engine, whose tables are there. Raises StoreError."""
        super().__init__(engine)
        self._key = engine.submit(_journal_key).result()
        self.distributed = engine.distributed

    async def hold(self, *, shared: bool = False) -> None:
        """Be the one that accepts and converges, or one of several, until `close`."""
        await self.engine.hold(shared=shared)
        if not shared:  # whoever had claims or leases is no more
            await self.engine.write(free_all)

    async def close(self) -> None:
        """Release the store. May be called twice."""
        await self.engine.close()

    # The journal

    async def append(self, events: Sequence[Event], at: datetime) -> None:
        """Write events to the journal, all or none."""
        if events:
            await self.engine.append(self.write_events, self._entries(events, at), held=True)

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

        async def write(sql: Sql, entries: Sequence[Entry]) -> None:
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
            await self.write_events(sql, entries)
            if concerned:
                await mark(list(concerned), head.at, f"commit {head.commit[:8]}", sql)
            await _changed(sql)

        await self.engine.append(write, self._entries(events, head.at), held=True)

    async def restored(self) -> datetime | None:
        """Of when the store is, where it was restored and nobody has looked since what it would do."""
        text = await self.engine.read(partial(_meta, RESTORED))
        return datetime.fromisoformat(text) if text else None

    async def go_on(self) -> None:
        """Somebody has looked."""
        await self.engine.write(lambda sql: sql.run("DELETE FROM meta WHERE name = $1", RESTORED))

    async def blob(self, digest: str) -> bytes | None:
        """Content that was stored with an acceptance (directories, settings, intents)."""
        rows = await self.engine.read(
            lambda sql: sql.run("SELECT content FROM blob WHERE digest = $1", digest)
        )
        return rows[0][0] if rows else None

    # Owners

    async def owners(self, platform: str = "", workspace: str = "") -> AsyncIterator[OwnerRow]:
        """All rows, those of a platform, or tenants of a workspace on it, in the order of `str(owner)`, streamed."""
        after, until = _span(f"{platform}/{workspace}" if workspace else platform)
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
                " steps_left = $6, ours = $7, waits = $8, remarks = $9, waits_code = $10, advice = $11, since = $12"
                " WHERE owner = $1",
                rows,
            )
            await sql.run_many("DELETE FROM owner WHERE owner = $1 AND intent = $2", forgotten)

        await self.engine.write(job)

    # Several processes

    async def changes(self) -> int:
        """How often something was accepted, approved or revoked."""
        return int(await self.engine.read(partial(_meta, _CHANGES)) or 0)

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

        async def write(sql: Sql, entries: Sequence[Entry]) -> None:
            texts, row = self._approval(approval)
            await sql.run_many(_KEEP_PERSONAL, sorted(texts.items()))
            await sql.run_many(views.KEEP_APPROVAL, [row])
            await self.write_events(sql, entries)
            await _changed(sql)

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

        async def write(sql: Sql, entries: Sequence[Entry]) -> None:
            await self.write_events(sql, entries)
            await _changed(sql)

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
        return await self.engine.read(partial(_meta, _UNTIL))

    async def keep_provenance(self, until: str, rows: Mapping[str, Provenance], gone: Iterable[str]) -> None:
        """Store provenance read up to a commit, in one transaction."""
        forgotten = sorted((source,) for source in gone)

        async def job(sql: Sql) -> None:
            await sql.run(_KEEP_META, _UNTIL, until)  # first: `_forget_texts` waits for it
            left = iter(sorted(rows.items(), key=itemgetter(0)))
            while some := list(islice(left, _BATCH)):
                masked = [(source, *record.masked(kept, self._key)) for source, kept in some]
                texts = {mark: text for _, _, its in masked for mark, text in its.items()}
                await sql.run_many(_KEEP_PERSONAL_OF_GIT, sorted(texts.items()))
                await sql.run_many(
                    "INSERT INTO provenance (source, content) VALUES ($1, $2)"
                    " ON CONFLICT (source) DO UPDATE SET content = excluded.content",
                    [(source, canonical.encode(content)) for source, content, _ in masked],
                )
            await sql.run_many("DELETE FROM provenance WHERE source = $1", forgotten)

        await self.engine.write(job)

    async def provenances(self, beginning: str) -> AsyncIterator[tuple[str, Provenance]]:
        """Those of all sources that begin so, without their texts, streamed."""
        after, until = beginning, beginning + "\U0010ffff"
        while rows := await self.engine.read(partial(tidying.read_provenances, after, until)):
            for source, content in rows:
                yield source, record.unmasked(_provenance.decode(content), {})
            after = rows[-1][0]

    async def forget_provenance(self, sources: Iterable[str]) -> None:
        """Drop these."""
        await tidying.in_parts(
            self.engine, "DELETE FROM provenance WHERE source = $1", [(source,) for source in sources]
        )

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

    async def parsed_blobs(self) -> set[str]:
        """Of which blobs parse results are cached."""
        rows = await self.engine.read(lambda sql: sql.run("SELECT blob_id FROM parsed"))
        return {blob_id for (blob_id,) in rows}

    async def forget_parsed(self, blob_ids: Iterable[str]) -> None:
        """Drop the parse results of these."""
        await tidying.in_parts(
            self.engine, "DELETE FROM parsed WHERE blob_id = $1", [(blob_id,) for blob_id in blob_ids]
        )

    # What nothing needs any more

    async def tidy(self, now: datetime) -> None:
        """Drop what nothing names any more, in transactions that nobody has to wait for."""
        await tidying.tidy(self.engine, _microseconds(now))

    async def rebuild(self, now: datetime, mark: Callable[[Step], str]) -> None:
        """Make what is a view of the journal anew, and drop what is a cache. Work rows go, too."""
        found = views.Views(mark)
        async for recorded in self.journal():
            found.see(recorded)

        async def write(sql: Sql, _: Sequence[Any]) -> None:
            while records := await _read_journal(found.sequence, sql):  # what came since
                for recorded in records:
                    found.see(recorded)
            await found.write(sql, now)

        await self.engine.append(write, held=True)

    def _entries(self, events: Sequence[Event], at: datetime) -> list[Entry]:
        """Encoded before anything is written: what cannot be recorded raises here."""
        return [entry_of(event, self._key, at) for event in events]

    async def write_events(self, sql: Sql, entries: Sequence[Entry]) -> None:
        """Add to the journal and to the views that are made from it, in the transaction under way."""
        ((sequence, number),) = await sql.run(
            "SELECT (SELECT coalesce(max(sequence), 0) FROM journal),"
            " (SELECT coalesce(max(number), 0) FROM journal WHERE writer = $1)",
            self._writer,
        )
        rows: list[Row] = []
        texts: dict[str, str] = {}
        changes: list[tuple[str, Row]] = []
        for count, (event, body, its_texts, at) in enumerate(entries, 1):
            rows.append((sequence + count, self._writer, number + count, at, body))
            texts |= its_texts
            match event:
                case StepIntended():
                    changes.append((views.OPEN_STEP, (event.digest, sequence + count)))
                case StepConcluded() if event.outcome != "unsure":
                    changes.append((_CLOSE_STEP, (event.digest,)))
                case OrganizationAccepted():
                    changes += [(_LAPSE, (digest,)) for digest in event.lapsed]
                case ApprovalGiven():
                    more_texts, row = self._approval(event.approval)
                    texts |= more_texts
                    changes.append((views.KEEP_APPROVAL, row))
                case GrantRevoked():
                    changes.append((views.KEEP_REVOCATION, (canonical.digest_bytes(body), at, body)))
        await sql.run_many(
            "INSERT INTO journal (sequence, writer, number, at, body) VALUES ($1, $2, $3, $4, $5)", rows
        )
        await sql.run_many(_KEEP_PERSONAL, sorted(texts.items()))
        for statement, group in groupby(changes, key=itemgetter(0)):
            await sql.run_many(statement, [row for _, row in group])

    def _approval(self, approval: Approval) -> tuple[dict[str, str], Row]:
        """Its texts, and its row."""
        masked, texts = record.masked(approval, self._key)
        return texts, views.approval_row(masked)


_KEEP_BLOB = (
    "INSERT INTO blob (digest, content) VALUES ($1, $2)"
    " ON CONFLICT (digest) DO UPDATE SET idle_since = NULL WHERE blob.idle_since IS NOT NULL"
)
_KEEP_PERSONAL = (
    "INSERT INTO personal (mark, text) VALUES ($1, $2)"
    " ON CONFLICT (mark) DO UPDATE SET journalled = 1 WHERE personal.journalled = 0"
)
_KEEP_PERSONAL_OF_GIT = (
    "INSERT INTO personal (mark, text, journalled) VALUES ($1, $2, 0) ON CONFLICT (mark) DO NOTHING"
)
_KEEP_META = (
    "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_CHANGES = "changes"
_COUNT_CHANGE = (
    "INSERT INTO meta (name, value) VALUES ($1, '1') ON CONFLICT (name)"
    " DO UPDATE SET value = CAST(CAST(meta.value AS bigint) + 1 AS text)"
)
_LAPSE = "DELETE FROM revocation WHERE digest = $1"
_CLOSE_STEP = "DELETE FROM open_step WHERE digest = $1"
_OWNER_ROWS = (
    "SELECT owner.owner, blob.content, commit_id, held,"
    " applied, directory, applied_at, observed_at, steps_left, ours, waits, remarks, waits_code, advice, since"
    " FROM owner JOIN blob ON blob.digest = owner.intent"
)


def entry_of(event: Event, key: bytes, at: datetime) -> Entry:
    """Encode an event with the key of a store's marks. Raises TypeError where it cannot be recorded."""
    return Entry(event, *record.encode(event, key), _microseconds(at))


def _span(platform: str) -> tuple[str, str]:
    """What the owners of a platform lie between, or all owners."""
    return (f"{platform}/", f"{platform}0") if platform else ("", "\U0010ffff")


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


async def _changed(sql: Sql) -> None:
    """Count a change of what is accepted, approved or revoked, and have others hear of it."""
    await sql.run(_COUNT_CHANGE, _CHANGES)
    await sql.tell()


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
    return [recorded_of(row) for row in rows]


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


def recorded_of(row: Row) -> Recorded:
    """A row of the journal as a record. Raises StoreError."""
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
        waits_code, advice, since,
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
            waits_code,
            advice,
            _since.decode(since),
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
        status.waits_code,
        status.advice,
        canonical.encode(status.since),
    )
