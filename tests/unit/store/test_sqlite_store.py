"""Promises of the SQLite store beyond those of every store: its file, its durability, its refusals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path

import pytest

from hanse.foundation.canonical import encode
from hanse.journal import chain, record
from hanse.journal.events import ApprovalGiven
from hanse.model import Personal, Refused, Tenant
from hanse.ports.store import Store, StoreError
from hanse.store import SqliteStore, database, sqlite
from store_conformance import (
    BLOBS,
    NOW,
    OWNER,
    StoreConformance,
    a_head,
    a_provenance,
    a_revocation,
    a_step,
    accepted,
    all_of,
    an_acceptance,
    an_approval,
    an_intent,
    concluded,
    due,
    events_of,
    intended,
    rows_of,
    started,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "hanse.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(path)
    yield opened
    await opened.close()


@pytest.fixture
async def beside(store: SqliteStore, path: Path) -> AsyncIterator[SqliteStore]:
    async with opened(path) as other:
        yield other


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(path)
    try:
        yield store
    finally:
        await store.close()


@contextlib.contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as anybody with a database client sees it."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def holds(path: Path, text: bytes) -> bool:
    """Whether the text is anywhere in the store's files."""
    return any(text in file.read_bytes() for file in path.parent.iterdir())


class TestSqliteStore(StoreConformance):
    """The promises of every store."""


def test_it_is_a_store(path: Path) -> None:
    store: Store = SqliteStore.open(path)
    asyncio.run(store.close())


# The file


async def test_nobody_else_may_read_it(store: SqliteStore, path: Path) -> None:
    await store.append([started(1)], NOW)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    assert {file.name for file in path.parent.iterdir()} >= {"hanse.db", "hanse.db-wal", "hanse.db.lock"}


async def test_everything_is_there_when_it_is_opened_again(path: Path) -> None:
    async with opened(path) as store:
        await accepted(store, OWNER)
        await store.append([intended(a_step())], NOW)
        revocation = await store.revoke(a_revocation(), NOW)
        await store.approve(an_approval(), [])
        await store.keep_provenance("c1", {"a": a_provenance()}, [])
        before = await events_of(store)
    async with opened(path) as store:
        assert await store.head() == a_head()
        assert [row.accepted for row in await rows_of(store)] == [an_intent()]
        assert await events_of(store) == before
        assert [step for _, step in await store.open_steps()] == [a_step()]
        assert await store.revocations() == [revocation]
        assert await store.approvals(NOW) == {"s1": an_approval()}
        assert await store.provenance(["a"]) == {"a": a_provenance()}


async def test_each_start_is_a_writer_of_its_own_with_numbers_from_one(path: Path) -> None:
    for _ in range(2):
        async with opened(path) as store:
            await store.append([started(1), started(2)], NOW)
            await store.chain()
    async with opened(path) as store:
        recorded = await all_of(store.journal())
    assert [r.sequence for r in recorded] == [1, 2, 3, 4]
    assert [r.number for r in recorded] == [1, 2, 1, 2]
    assert len({r.writer for r in recorded}) == 2
    assert chain.verify(recorded) == []


async def test_one_text_has_one_mark_for_ever_in_one_store_and_another_in_another(tmp_path: Path) -> None:
    bodies = []
    for name in ("a.db", "a.db", "b.db"):
        async with opened(tmp_path / name) as store:
            await store.append([intended(a_step())], NOW)
            bodies.append((await all_of(store.journal()))[-1].body)
    assert bodies[0] == bodies[1] != bodies[2]


# People


async def test_text_about_people_is_in_one_table_only(store: SqliteStore, path: Path) -> None:
    approval = an_approval()
    await store.accept(a_head(), {OWNER: an_intent()}, BLOBS, [an_acceptance()])
    await store.append([intended(a_step("ben")), concluded(a_step("ben"), Refused("Ben Ott?", "ask"))], NOW)
    await store.approve(approval, [ApprovalGiven(approval, Personal("Ada Ott"))])
    await store.revoke(a_revocation(), NOW)
    await store.keep_provenance("c1", {"a": a_provenance("Ben Ott", "ben@example.org")}, [])
    with raw(path) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        dump = {table: repr(list(connection.execute(f"SELECT * FROM {table}"))) for table in tables}  # noqa: S608 — our own tables
    for text in ("Ott", "example.org", "anger", "Let Ben in", "on-call", "asked"):
        assert [table for table in tables if text in dump[table]] == ["personal"], text


async def test_erased_texts_leave_the_chain_whole_and_the_file(store: SqliteStore, path: Path) -> None:
    await store.append([intended(a_step("ben"))], NOW)
    await store.revoke(a_revocation(), NOW)
    await store.chain()
    assert holds(path, b"ben@example.org")
    await store.engine.write(lambda sql: sql.run("DELETE FROM personal"))
    recorded = await all_of(store.journal())
    assert chain.verify(recorded) == []
    assert await store.personal(record.marks(recorded[0].body)) == {}
    assert str(record.ERASED) in repr((await events_of(store))[0])
    assert (await store.revocations())[0].event.reason == record.ERASED
    assert len(await store.open_steps()) == 1
    await store.close()
    assert not holds(path, b"ben@example.org")


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE journal SET body = x'7b7d' WHERE sequence = 5", "record 5: edited"),
        ("UPDATE journal SET at = at + 1 WHERE sequence = 5", "record 5: edited"),
        ("UPDATE journal SET chain = '' WHERE sequence = 5", "record 5: edited"),
        ("DELETE FROM journal WHERE sequence = 5", "record 5: removed"),
        ("DELETE FROM journal WHERE sequence = 10", "record 10: cut"),
    ],
)
async def test_what_somebody_does_to_the_file_is_found(path: Path, statement: str, finding: str) -> None:
    async with opened(path) as store:
        await store.append([started(number) for number in range(10)], NOW)
        await store.chain()
        last = (await all_of(store.journal()))[-1]
    with raw(path) as connection:
        connection.execute(statement)
    async with opened(path) as store:
        found = chain.verify(await all_of(store.journal()), chain.Checkpoint(last.sequence, last.chain))
    assert str(found[0]).startswith(finding)


async def test_an_instant_beyond_the_calendar_is_told_and_named(path: Path) -> None:
    async with opened(path) as store:
        await store.append([started(1), started(2)], NOW)
    with raw(path) as connection:
        connection.execute("UPDATE journal SET at = 9000000000000000000 WHERE sequence = 2")
    async with opened(path) as store:
        with pytest.raises(StoreError, match="record 2 was edited"):
            await all_of(store.journal())


# Refusals


def refused(path: Path) -> StoreError:
    with pytest.raises(StoreError) as caught:
        SqliteStore.open(path)
    assert caught.value.advice
    return caught.value


async def test_a_store_of_a_newer_version_is_refused(path: Path) -> None:
    async with opened(path) as store:
        await store.append([started(1)], NOW)
    with raw(path) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    assert "newer Hanse (schema 99" in str(refused(path))


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    assert "no database" in str(refused(path))
    assert path.read_text() == "not a database\n" * 100


@pytest.mark.parametrize(
    "table", ["CREATE TABLE songs (title)", "CREATE TABLE meta (a)", "CREATE TABLE meta (name, value)"]
)
def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, table: str) -> None:
    path = tmp_path / "songs.db"
    with raw(path) as connection:
        connection.execute(table)
    assert "none of Hanse's" in str(refused(path))
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in str(refused(tmp_path))


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        SqliteStore.open(tmp_path / "file" / "hanse.db")


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_that_may_not_be_written_is_refused(mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hanse.db"
        path.touch()
        path.chmod(mode)
        Path(folder).chmod(0o755)
        user = os.geteuid()
        if user == 0:  # root may write everything: be nobody for a moment
            os.seteuid(65534)
        try:
            assert "writable" in refused(path).advice
        finally:
            os.seteuid(user)


async def test_a_full_disk_is_told_and_nothing_is_lost(store: SqliteStore) -> None:
    await store.append([started(1)], NOW)
    connection = store.engine._write_connection
    connection.execute("PRAGMA max_page_count = 10")  # SQLite answers as it does when the disk is full
    with pytest.raises(StoreError, match="no space") as caught:
        await asyncio.gather(*(store.append([intended(a_step(f"u-{n}"))] * 50, NOW) for n in range(8)))
    assert "free some space" in caught.value.advice
    connection.execute("PRAGMA max_page_count = 1000000")
    await store.append([started(2)], NOW)
    recorded = await all_of(store.journal())
    assert [r.sequence for r in recorded] == list(range(1, len(recorded) + 1))
    assert [r.number for r in recorded] == list(range(1, len(recorded) + 1))


async def test_a_database_held_by_a_stranger_is_told_and_can_be_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    async with opened(path) as store:
        await store.append([started(1)], NOW)
        with raw(path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another process"):
                await store.append([started(2)], NOW)
            assert await events_of(store) == [started(1)]
        await store.append([started(3)], NOW)
        assert await events_of(store) == [started(1), started(3)]


# Migrations


async def test_owners_of_a_store_of_the_first_version_are_there_and_nobody_has_looked_at_them_yet(
    path: Path,
) -> None:
    path.parent.mkdir()
    scripts = sorted((resources.files("hanse.store") / "migrations").iterdir(), key=lambda file: file.name)
    with raw(path) as connection:
        connection.executescript(scripts[0].read_text("utf-8"))
        connection.execute("INSERT INTO meta (name, value) VALUES ('schema', '1')")
        intent = an_intent(OWNER).intent
        connection.execute("INSERT INTO blob VALUES (?, ?)", (intent.digest, encode(intent)))
        connection.execute(
            "INSERT INTO owner (owner, intent, commit_id, held) VALUES (?, ?, 'c1', x'5b5d')",
            (str(OWNER), intent.digest),
        )
    async with opened(path) as store:
        assert [row.owner async for row in store.owners()] == [OWNER]
        assert await store.work() == {}
        await store.mark([OWNER], NOW, "a sweep")
        assert [work.owner for work in await due(store, "fra", NOW)] == [OWNER]


def test_a_migration_that_fails_leaves_nothing_and_is_run_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = database.statements
    monkeypatch.setattr(database, "statements", lambda script: [*statements(script), "SELECT * FROM nothing"])
    with pytest.raises(StoreError):
        SqliteStore.open(path)
    with raw(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    monkeypatch.undo()
    asyncio.run(SqliteStore.open(path).close())


def test_processes_that_open_a_new_store_at_once_all_get_it(path: Path) -> None:
    script = "import sys, asyncio, pathlib; from hanse.store import SqliteStore as S;" + (
        "s = S.open(pathlib.Path(sys.argv[1])); print(s._key.hex()); asyncio.run(s.close())"
    )
    for attempt in range(3):
        new = path.with_name(f"{attempt}.db")
        processes = [
            subprocess.Popen([sys.executable, "-c", script, new], stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        answers = [process.communicate()[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 4
        assert len(set(answers)) == 1, "they agree on the key"


# The hold


async def test_only_one_converges_and_the_other_is_told_who(store: SqliteStore, path: Path) -> None:
    async with opened(path) as other:
        await other.append([started(1)], NOW)
        told = f"process {os.getpid()} is applying"
        with pytest.raises(StoreError, match=told):
            await store.hold()
        with pytest.raises(StoreError, match=told):
            await store.append([started(2)], NOW)
        with pytest.raises(StoreError, match=told):
            await store.accept(a_head(), {}, BLOBS, [])
    await store.append([started(3)], NOW)
    assert await events_of(store) == [started(1), started(3)]


async def test_beside_one_that_converges_others_may_read_approve_and_revoke(
    store: SqliteStore, path: Path
) -> None:
    async with opened(path) as other:
        await other.hold()
        await other.append([started(1)], NOW)
        await store.approve(an_approval(), [ApprovalGiven(an_approval(), Personal("Ada Ott"))])
        await store.revoke(a_revocation(), NOW)
        await store.keep_parsed({"b1": b"x"})
        await store.chain()
        await other.append([started(2)], NOW)
        await other.chain()
        assert await other.approvals(NOW) == {"s1": an_approval()}
        recorded = await all_of(store.journal())
        assert [r.sequence for r in recorded] == [1, 2, 3, 4]
        assert chain.verify(recorded) == []


def test_a_hold_ends_with_the_process_however_it_ends(path: Path) -> None:
    script = "import sys, asyncio, pathlib, time; from hanse.store import SqliteStore as S;" + (
        "s = S.open(pathlib.Path(sys.argv[1])); asyncio.run(s.hold()); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        store = SqliteStore.open(path)
        with pytest.raises(StoreError, match=f"process {process.pid} is applying"):
            asyncio.run(store.hold())
        process.kill()
    asyncio.run(store.hold())
    asyncio.run(store.close())


# Speed that is a promise


async def test_writes_of_many_tasks_share_commits(store: SqliteStore) -> None:
    commits: list[str] = []
    store.engine._write_connection.set_trace_callback(
        lambda statement: commits.append(statement) if statement == "COMMIT" else None
    )
    await asyncio.gather(*(store.append([started(number)], NOW) for number in range(200)))
    assert len(commits) < 40


async def test_owners_are_streamed_in_constant_memory(store: SqliteStore) -> None:
    async def peak() -> int:
        tracemalloc.start()
        try:
            async for _ in store.owners():
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    await accepted(store, *(Tenant("fra", "w", f"p{number}") for number in range(1_000)))
    few = await peak()
    await accepted(store, *(Tenant("fra", "w", f"p{number}") for number in range(5_000)))
    assert await peak() < 1.5 * few


async def test_what_another_process_writes_is_noticed_and_what_we_write_is_not(
    store: SqliteStore, path: Path
) -> None:
    before = await store.written_elsewhere()
    await store.append([started(1)], NOW)
    assert await store.written_elsewhere() == before
    async with opened(path) as other:
        await other.revoke(a_revocation(), NOW)
        assert await store.written_elsewhere() != before
