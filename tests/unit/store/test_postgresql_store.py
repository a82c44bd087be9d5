"""Promises of the store on PostgreSQL beyond those of every store: others beside us, a server that fails, refusals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

import postgresql_server
from hanse.journal import chain
from hanse.journal.events import ApprovalGiven, PassStarted
from hanse.model import Personal
from hanse.ports.store import Status, StoreError
from hanse.store import SqliteStore, open_store, postgresql
from hanse.store.database import Sql, migrations
from hanse.store.postgresql import PostgresqlStore, as_postgresql, shown
from postgresql_server import USER, PostgresqlServer
from store_conformance import (
    NOW,
    OWNER,
    StoreConformance,
    a_head,
    a_revocation,
    accepted,
    all_of,
    an_approval,
    due,
    events_of,
    started,
)


@pytest.fixture
def address(postgresql: PostgresqlServer) -> str:
    return postgresql.new_store()


@pytest.fixture
async def store(address: str) -> AsyncIterator[PostgresqlStore]:
    async with opened(address) as store:
        yield store


@pytest.fixture
async def beside(store: PostgresqlStore, address: str) -> AsyncIterator[PostgresqlStore]:
    async with opened(address) as other:
        yield other


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[PostgresqlStore]:
    store = await asyncio.to_thread(PostgresqlStore.open, address)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(scope="module")
def breakable() -> Iterator[PostgresqlServer]:
    with postgresql_server.start() as running:
        yield running


@pytest.fixture
def own(breakable: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """A server that the test may break: stop, restart, set as it likes."""
    yield breakable
    if not breakable.is_running:
        breakable.start()
    breakable.do(
        "SET default_transaction_read_only = off", "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()"
    )


class TestPostgresqlStore(StoreConformance):
    """The promises of every store."""


def schema_of(address: str) -> str:
    """Where a test's store is in its database."""
    return address.rpartition("=")[2]


def whole(recorded: list[int]) -> bool:
    """Whether sequences have no gap."""
    return recorded == list(range(1, len(recorded) + 1))


async def numbers_of(store: PostgresqlStore) -> list[int]:
    return [event.owners for event in await events_of(store) if isinstance(event, PassStarted)]


# Its home


@pytest.mark.parametrize("major", [16])
async def test_an_older_server_does_as_well(major: int) -> None:
    with postgresql_server.start(major) as server:
        async with opened(server.new_store()) as store:
            await accepted(store, OWNER)
            await store.mark([OWNER], NOW, "a commit")
            await store.chain()
            assert [work.owner for work in await due(store, "fra", NOW)] == [OWNER]
            assert chain.verify(await all_of(store.journal())) == []


def test_the_tables_are_those_of_sqlite(postgresql: PostgresqlServer, address: str, tmp_path: Path) -> None:
    for where in (address, str(tmp_path / "hanse.db")):
        asyncio.run(open_store(where).close())
    columns = postgresql.do(
        "SELECT table_name::text, column_name::text FROM information_schema.columns"
        " WHERE table_schema = current_schema()",
        address=address,
    )
    connection = sqlite3.connect(tmp_path / "hanse.db")
    theirs = connection.execute(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
    ).fetchall()
    connection.close()
    assert sorted(columns) == sorted(theirs)
    collations = postgresql.do(
        "SELECT DISTINCT collation_name::text FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND data_type = 'text'",
        address=address,
    )
    assert collations == [("C",)]


def test_a_migration_says_the_same_in_postgresqls_words() -> None:
    columns = "  text text PRIMARY KEY,\n  blob blob DEFAULT x'5b5d',\n  n integer\n"
    statement = f"CREATE TABLE t (\n{columns}) STRICT, WITHOUT ROWID"
    assert as_postgresql(statement) == (
        "CREATE TABLE t (\n  text text COLLATE \"C\" PRIMARY KEY,\n  blob bytea DEFAULT '\\x5b5d',\n  n bigint\n)"
    )
    added = "ALTER TABLE t ADD COLUMN waits text NOT NULL DEFAULT ''"
    assert as_postgresql(added) == "ALTER TABLE t ADD COLUMN waits text COLLATE \"C\" NOT NULL DEFAULT ''"


# Beside others


async def test_only_one_converges_and_the_other_is_told_who_and_where(
    store: PostgresqlStore, address: str
) -> None:
    async with opened(address) as other:
        await other.append([started(1)], NOW)
        told = f"process {os.getpid()} on {socket.gethostname()} is applying"
        for refused in (store.hold(), store.append([started(2)], NOW), store.accept(a_head(), {}, {}, [])):
            with pytest.raises(StoreError, match=told) as caught:
                await refused
            assert "wait until it is done" in caught.value.advice
        await store.approve(an_approval(), [ApprovalGiven(an_approval(), Personal("Ada Ott"))])
        await store.revoke(a_revocation(), NOW)
        assert "s1" in await other.approvals(NOW)
        await other.append([started(2)], NOW)
    await store.append([started(3)], NOW)
    recorded = await all_of(store.journal())
    assert whole([r.sequence for r in recorded])


async def test_what_others_decide_is_noticed_and_what_we_do_is_not(
    store: PostgresqlStore, address: str
) -> None:
    before = await store.written_elsewhere()
    await store.append([started(1)], NOW)
    await store.revoke(a_revocation(), NOW)
    await store.note_revocations({"x": "y"})
    assert await store.written_elsewhere() == before
    async with opened(address) as other:
        for decides in (
            other.revoke(a_revocation("u-2"), NOW),
            other.approve(an_approval(), []),
            other.note_revocations({"x": "y"}),
        ):
            await decides
            now = before
            for _ in range(100):
                if (now := await store.written_elsewhere()) != before:
                    break
                await asyncio.sleep(0.01)
            assert now != before
            before = now


WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from hanse.journal.events import GrantRevoked
from hanse.model import Personal
from hanse.store import open_store

async def main():
    store = open_store(sys.argv[1])
    async def task(number):
        for count in range(20):
            name = f"{sys.argv[2]}-{number}-{count}"
            text = Personal(name)
            await store.revoke(
                GrantRevoked("shop", "prod", "user", name, "", text, "local-operator", text), datetime.now(UTC)
            )
            if count % 5 == 0:
                await store.chain()
    await asyncio.gather(*map(task, range(4)))
    print(store._key.hex())
    await store.close()

asyncio.run(main())
"""


def test_what_many_processes_append_at_once_is_one_journal(address: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, address, str(number)], stdout=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    keys = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(keys) == 1, "they made the tables and the key at once, and agree"

    async def check() -> None:
        async with opened(address) as store:
            await store.chain()
            recorded = await all_of(store.journal())
            assert len(recorded) == 240
            assert whole([r.sequence for r in recorded])
            for writer in {r.writer for r in recorded}:
                assert whole([r.number for r in recorded if r.writer == writer])
            assert chain.verify(recorded) == []

    asyncio.run(check())


HOLDER = """
import asyncio, sys, time
from datetime import UTC, datetime
from hanse.journal.events import PassStarted
from hanse.store import open_store

async def main():
    store = open_store(sys.argv[1])
    await store.append([PassStarted("c", 1)], datetime.now(UTC))
    print("held", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_hold_ends_with_the_process_however_it_ends(address: str) -> None:
    store = PostgresqlStore.open(address)
    with subprocess.Popen([sys.executable, "-c", HOLDER, address], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreError, match=f"process {process.pid} on .* is applying"):
            asyncio.run(store.hold())
        process.kill()

    async def held_in_the_end() -> None:
        for _ in range(200):
            with suppress(StoreError):
                return await store.hold()
            await asyncio.sleep(0.05)
        await store.hold()

    asyncio.run(held_in_the_end())
    asyncio.run(store.close())


async def test_who_stops_in_the_middle_of_a_transaction_keeps_the_others_waiting_for_seconds_only(
    store: PostgresqlStore, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "STOPPED_SECONDS", 0.5)
    async with opened(address) as other:
        began: list[float] = []
        has_begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def stops(sql: Sql, entries: object) -> str:
            began.append(time.monotonic())
            loop.call_soon_threadsafe(has_begun.set)
            if len(began) == 1:
                await asyncio.sleep(3)
            await sql.run("SELECT 1")
            return "done"

        stopped = asyncio.ensure_future(other.engine.append(stops))
        await has_begun.wait()
        await store.revoke(a_revocation(), NOW)
        assert time.monotonic() - began[0] < 2.5
        assert await stopped == "done"
        assert len(began) == 2, "nothing was left of it, so it was done again"


# A server that fails


async def test_a_restart_is_waited_for_and_nothing_is_lost_or_there_twice(own: PostgresqlServer) -> None:
    async with opened(own.new_store()) as store:
        await accepted(store, OWNER)
        written: list[int] = []
        over = threading.Event()

        async def task(number: int) -> None:
            count = 0
            while not over.is_set() or count < 5:
                name = number * 100_000 + count
                await store.append([started(name)], NOW)
                await store.mark([OWNER], NOW, "a hint")
                assert await store.head() is not None
                written.append(name)
                count += 1

        def meddle() -> None:
            for mode in ("fast", "immediate", "fast"):
                time.sleep(0.4)
                own.restart(mode)
            time.sleep(0.4)
            over.set()

        meddling = asyncio.to_thread(meddle)
        await asyncio.gather(meddling, *map(task, range(8)))
        assert sorted(await numbers_of(store)) == sorted(written)
        await store.chain()
        recorded = await all_of(store.journal())
        assert chain.verify(recorded) == []
        assert whole([r.sequence for r in recorded])
        assert whole([r.number for r in recorded])


async def test_a_session_that_is_killed_is_replaced_and_what_it_did_is_done_once(
    own: PostgresqlServer,
) -> None:
    async with opened(own.new_store()) as store:
        over = threading.Event()

        def meddle() -> None:
            for _ in range(15):
                own.do(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'hanse %' AND backend_type = 'client backend'"
                )
                time.sleep(0.05)
            over.set()

        count = 0
        meddling = asyncio.ensure_future(asyncio.to_thread(meddle))
        while not over.is_set():
            await store.append([started(count)], NOW)
            count += 1
        await meddling
        assert await numbers_of(store) == list(range(count))


async def test_a_crash_of_one_of_its_processes_is_waited_for_like_a_restart(own: PostgresqlServer) -> None:
    async with opened(own.new_store()) as store:
        await store.append([started(1)], NOW)
        ((process,),) = own.do(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'hanse %' LIMIT 1"
        )
        os.kill(process, signal.SIGKILL)
        await store.append([started(2)], NOW)
        assert await numbers_of(store) == [1, 2]


@pytest.mark.parametrize("lost", ["question", "answer"])
async def test_a_commit_that_is_lost_with_its_connection_is_done_once(
    store: PostgresqlStore, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    await store.append([started(0)], NOW)
    driver: Any = type(store.engine._lane)
    execute, commits = driver.execute, 0

    async def cut(self: Any, statement: str, *arguments: object, **options: object) -> object:
        nonlocal commits
        commits += statement == "COMMIT"
        if statement == "COMMIT" and commits == 1:
            if lost == "answer":
                await execute(self, statement)
            self.terminate()
            raise ConnectionResetError("it is lost")
        return await execute(self, statement, *arguments, **options)

    monkeypatch.setattr(driver, "execute", cut)
    await asyncio.gather(*(store.append([started(number)], NOW) for number in (1, 2)))
    await store.append([started(3)], NOW)
    assert commits > 2
    assert await numbers_of(store) == [0, 1, 2, 3]
    assert whole([r.number for r in await all_of(store.journal())])


async def test_who_lost_the_hold_appends_nothing(own: PostgresqlServer) -> None:
    address = own.new_store()
    async with opened(address) as store, opened(address) as other:
        await store.append([started(1)], NOW)
        own.do("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2")
        for _ in range(100):
            try:
                await other.append([started(2)], NOW)
                break
            except StoreError:
                await asyncio.sleep(0.02)
        with pytest.raises(StoreError, match="is applying with this store already"):
            await store.append([started(3)], NOW)
        assert await numbers_of(other) == [1, 2]


async def test_a_server_that_stays_away_is_told_with_what_to_do(
    own: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "PATIENCE_SECONDS", 0.5)
    async with opened(own.new_store()) as store:
        await store.append([started(1)], NOW)
        own.stop()
        for fails in (
            store.append([started(2)], NOW),
            store.head(),
            store.mark([OWNER], NOW, ""),
            store.hold(),
        ):
            with pytest.raises(StoreError, match="cannot be reached") as caught:
                await fails
            assert "server runs" in caught.value.advice
        own.start()
        await store.append([started(3)], NOW)
        assert await numbers_of(store) == [1, 3]


async def test_a_server_that_is_read_only_is_told_and_can_be_read(own: PostgresqlServer) -> None:
    address, empty = own.new_store(), own.new_store()
    async with opened(address) as store:
        await store.append([started(1)], NOW)
    own.do("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    await asyncio.sleep(0.3)
    async with opened(address) as store:
        assert await numbers_of(store) == [1]
        for fails in (store.append([started(2)], NOW), store.mark([OWNER], NOW, "")):
            with pytest.raises(StoreError, match="read-only") as caught:
                await fails
            assert "primary" in caught.value.advice
    assert "read-only" in str(refused(empty))


async def test_a_server_that_takes_no_more_connections_is_told_and_waited_for(
    own: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = own.new_store()
    own.do("CREATE ROLE few LOGIN CONNECTION LIMIT 2", f"GRANT ALL ON SCHEMA {schema_of(address)} TO few")
    few = address.replace(f"user={USER}", "user=few")
    async with opened(few) as store:
        await store.append([started(1)], NOW)
        # Its second connection is shared by all that want one.
        heads = await asyncio.gather(*(store.head() for _ in range(20)))
        assert heads == [None] * 20
        monkeypatch.setattr(postgresql, "PATIENCE_SECONDS", 0.3)
        with pytest.raises(StoreError, match="takes no more connections") as caught:
            PostgresqlStore.open(few)
        assert "max_connections" in caught.value.advice


async def test_a_full_disk_is_told_and_nothing_is_lost(
    store: PostgresqlStore, postgresql: PostgresqlServer, address: str
) -> None:
    await store.append([started(1)], NOW)
    # The server answers as it does when its disk is full.
    postgresql.do(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON journal EXECUTE FUNCTION full_disk()",
        address=address,
    )
    results = await asyncio.gather(
        *(store.append([started(2)], NOW) for _ in range(5)), return_exceptions=True
    )
    for result in results:
        assert isinstance(result, StoreError)
        assert "no space is left" in str(result)
    postgresql.do("DROP TRIGGER full_disk ON journal", address=address)
    await store.append([started(3)], NOW)
    assert await numbers_of(store) == [1, 3]


async def test_who_is_kept_waiting_by_a_stranger_is_told(
    postgresql: PostgresqlServer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanse.store.postgresql.BUSY_SECONDS", 0.2)
    async with opened(address) as store:
        await accepted(store, OWNER)
        stranger = await asyncpg.connect(address)
        try:
            async with stranger.transaction():
                await stranger.execute("LOCK TABLE journal, owner IN ACCESS EXCLUSIVE MODE")
                for waits in (store.append([started(1)], NOW), store.record({OWNER: Status("i")})):
                    with pytest.raises(StoreError, match="being written by another process"):
                        await waits
        finally:
            await stranger.close()
        await store.append([started(2)], NOW)
        assert await numbers_of(store) == [2]


async def test_a_server_that_does_not_answer_is_given_up_and_asked_again(
    own: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(postgresql, "CONNECT_SECONDS", 0.5)
    async with opened(own.new_store()) as store:
        await store.append([started(1)], NOW)
        hung = [
            pid for (pid,) in own.do("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'hanse %'")
        ]
        for process in hung:
            os.kill(process, signal.SIGSTOP)
        try:
            await store.mark([OWNER], NOW, "")  # by a new connection, or one that hangs and is given up
        finally:
            for process in hung:
                os.kill(process, signal.SIGCONT)
        await store.append([started(2)], NOW)
        assert await numbers_of(store) == [1, 2]


class Between:
    """A wire between the store and its server, which carries nothing while it is cut; nobody is told."""

    def __init__(self, server: PostgresqlServer, folder: Path) -> None:
        self.folder = folder
        self._to = server.folder / ".s.PGSQL.5432"
        self._carries = asyncio.Event()
        self._carries.set()
        self._ways: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[Between]:
        server = await asyncio.start_unix_server(self._join, self.folder / ".s.PGSQL.5432")
        async with server:
            yield self
            ways = list(self._ways)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await asyncio.sleep(0)  # what was closed is let go of

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_unix_connection(self._to)
        for one, other in ((reader, other_writer), (other_reader, writer)):
            way = asyncio.ensure_future(self._carry(one, other))
            self._ways.add(way)
            way.add_done_callback(self._ways.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._carries.wait()
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        self._carries.clear()
        yield
        self._carries.set()


async def test_who_is_cut_off_does_nothing_twice_and_others_do_not_wait_for_it(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanse.store.postgresql.STATEMENT_SECONDS", 3.0)
    monkeypatch.setattr("hanse.store.postgresql.CONNECT_SECONDS", 0.5)
    monkeypatch.setattr("hanse.store.postgresql.STOPPED_SECONDS", 0.5)
    monkeypatch.setattr("hanse.store.postgresql.PATIENCE_SECONDS", 30.0)
    address = postgresql.new_store()
    with tempfile.TemporaryDirectory() as folder:
        async with Between(postgresql, Path(folder)).laid() as wire:
            far = address.replace(str(postgresql.folder), folder)
            async with opened(far) as store, opened(address) as near:
                await store.hold(shared=True)
                await near.hold(shared=True)
                written: list[int] = []

                async def task(number: int) -> None:
                    for count in range(60):
                        await store.append([started(number * 1000 + count)], NOW)
                        written.append(number * 1000 + count)

                async def cut_often() -> None:
                    for seconds in (0.5, 4.5, 0.5):  # the second is longer than anybody waits for an answer
                        await asyncio.sleep(0.05)
                        async with wire.cut():
                            await asyncio.sleep(0.1)
                            await near.append([started(99_000)], NOW)
                            await asyncio.sleep(seconds)

                async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                    for job in (cut_often(), *map(task, range(4))):
                        group.create_task(job)
                numbers = [number for number in await numbers_of(near) if number < 99_000]
                assert sorted(numbers) == sorted(written)
                assert len(written) == 240
                recorded = await all_of(near.journal())
                assert whole([r.sequence for r in recorded])
                assert whole([r.number for r in recorded if r.writer == store.engine.writer])


# Refusals


def refused(address: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        PostgresqlStore.open(address)
    assert caught.value.advice
    return caught.value


def test_a_database_that_is_not_there_is_told(postgresql: PostgresqlServer) -> None:
    error = refused(postgresql.address("nowhere"))
    assert "no such database" in str(error)
    assert "/nowhere" in str(error)
    assert "createdb" in error.advice


def test_an_account_that_is_not_there_is_told(postgresql: PostgresqlServer) -> None:
    assert 'role "nobody" does not exist' in str(refused(postgresql.address(user="nobody")))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://127.0.0.1:1/hanse",
        "postgresql://nowhere.invalid/hanse",
        "postgresql:///hanse?host=/nowhere",
    ],
)
def test_a_server_that_is_not_there_is_told(address: str) -> None:
    error = refused(address)
    assert "cannot be reached" in str(error)
    assert "address is right" in error.advice


def test_a_wrong_password_is_told_and_a_right_one_comes_from_the_usual_places_only(
    own: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.do("CREATE ROLE ada LOGIN PASSWORD 'lighthouse'", "CREATE DATABASE hers OWNER ada")
    conf = own.data / "pg_hba.conf"
    conf.write_text("local all ada scram-sha-256\nlocal all all trust\n")
    own.do("SELECT pg_reload_conf()")
    time.sleep(0.2)
    address = own.address("hers", "ada")
    for wrong in ("", "harbour"):
        monkeypatch.setenv("PGPASSWORD", wrong)
        error = refused(address)
        assert "does not take the password" in str(error)
        assert "~/.pgpass" in error.advice
        assert not wrong or wrong not in str(error)
    monkeypatch.setenv("PGPASSWORD", "lighthouse")
    asyncio.run(PostgresqlStore.open(address).close())
    monkeypatch.delenv("PGPASSWORD")
    passwords = tmp_path / "passwords"
    passwords.write_text("*:*:hers:ada:lighthouse\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    asyncio.run(PostgresqlStore.open(address).close())


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ada:lighthouse@db.example.org/hanse",
        "postgresql://db.example.org/hanse?user=ada&password=lighthouse",
        "postgresql://db.example.org/hanse?sslpassword=lighthouse",
        "postgresql://ada:light#house@db.example.org/hanse",
        "postgresql://ada:light/house@db.example.org/hanse",
        "postgresql://ada:light?house@db.example.org/hanse",
        "postgresql:ada:lighthouse@db.example.org/hanse",
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(address: str) -> None:
    error = refused(address)
    for part in ("light", "house"):
        assert part not in str(error)
        assert part not in error.advice


def test_an_address_is_shown_without_what_nobody_needs() -> None:
    assert shown("postgresql://ada@db.example.org:6543/hanse?sslmode=verify-full") == (
        "postgresql://ada@db.example.org:6543/hanse"
    )
    assert (
        shown("postgresql:///hanse?host=/run/postgresql&user=ada") == "postgresql://ada@/run/postgresql/hanse"
    )


def test_text_that_is_not_kept_as_utf_8_is_refused(postgresql: PostgresqlServer) -> None:
    name = f"latin_{os.getpid()}"
    postgresql.do(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    error = refused(postgresql.address(name))
    assert "LATIN1" in str(error)
    assert "--encoding=UTF8" in error.advice


def test_a_server_that_is_too_old_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "OLDEST", 99)
    assert "99 is the oldest" in str(refused(address))


def test_a_schema_that_is_not_there_or_may_not_be_used_is_told(
    postgresql: PostgresqlServer, address: str
) -> None:
    assert "no schema" in str(refused(postgresql.address(search_path="nowhere")))
    postgresql.do(
        "DROP ROLE IF EXISTS guest",
        "CREATE ROLE guest LOGIN",
        f"GRANT USAGE ON SCHEMA {schema_of(address)} TO guest",
    )
    error = refused(address.replace(f"user={USER}", "user=guest"))
    assert "may not do what is needed" in str(error)
    assert "owner" in error.advice


def test_a_store_of_a_newer_version_is_refused(postgresql: PostgresqlServer, address: str) -> None:
    asyncio.run(PostgresqlStore.open(address).close())
    postgresql.do("UPDATE meta SET value = '99' WHERE name = 'schema'", address=address)
    assert "newer Hanse (schema 99" in str(refused(address))


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE songs (title text)",
        "CREATE TABLE meta (a text)",
        "CREATE TABLE meta (name text, value text)",
    ],
)
def test_a_database_of_another_program_is_refused_and_left_alone(
    postgresql: PostgresqlServer, address: str, table: str
) -> None:
    postgresql.do(table, address=address)
    assert "none of Hanse's" in str(refused(address))
    count = postgresql.do(
        "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()", address=address
    )
    assert count == [(1,)]


def test_a_migration_that_is_half_done_is_refused_and_nothing_is_changed(
    postgresql: PostgresqlServer, address: str
) -> None:
    asyncio.run(PostgresqlStore.open(address).close())
    # It is there, and nothing says so.
    postgresql.do("UPDATE meta SET value = '1' WHERE name = 'schema'", address=address)
    error = refused(address)
    assert "cannot be brought to schema 2" in str(error)
    assert "restore it from a backup" in error.advice
    assert postgresql.do("SELECT value FROM meta WHERE name = 'schema'", address=address) == [("1",)]
    # It is said, and not there.
    postgresql.do(
        f"UPDATE meta SET value = '{len(migrations())}' WHERE name = 'schema'",  # noqa: S608 (a number)
        "DROP TABLE work",
        address=address,
    )
    error = refused(address)
    assert "is not whole" in str(error)
    assert "work" in str(error)


def test_a_store_of_an_unknown_sort_is_refused_and_no_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="no store of the sort mysql"):
        open_store("mysql://db.example.org/hanse")
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_needs_no_postgresql_does_not_load_its_driver() -> None:
    script = "import sys, hanse.store; sys.exit('asyncpg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_file_stays_what_is_used_without_an_address(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "hanse.db"))
    assert isinstance(store, SqliteStore)
    asyncio.run(store.close())
