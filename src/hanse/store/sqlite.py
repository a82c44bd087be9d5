"""The store of one machine, in one SQLite file: written by one thread that commits in groups, read by another.

A job never waits there: it runs from its beginning to its end in the thread whose connection it has.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from hanse.ports.store import StoreError
from hanse.store import database
from hanse.store.database import Job, Row, Write
from hanse.store.hold import Hold
from hanse.store.sql_store import SqlStore

T = TypeVar("T")

BUSY_SECONDS = 10.0
"""How long a write waits for another process that is writing; each transaction is short."""
_GROUP = 256
"""Writes that share a commit at most, so that the first of them does not wait for ever more."""
_IN_LIST = 500
"""Values of one IN list; SQLite's least limit is 999."""


class SqliteStore(SqlStore):
    """Implements `ports.store.Store` in one file. Other processes may read meanwhile."""

    engine: SqliteEngine

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store in that file; make it, and its folder, where there is none.

        Raises StoreError where it is no store of Hanse's, was written by a newer Hanse or may not be written.
        """
        return cls(SqliteEngine(path))


class Statements:
    """A connection, as far as statements go."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, statement: str, *values: object) -> list[Row]:
        """Run one statement; its rows."""
        return self._connection.execute(statement, _named(values)).fetchall()

    def run_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement once for each row of values."""
        self._connection.executemany(statement, map(_named, rows))

    def run_in(self, statement: str, values: Iterable[str]) -> list[Row]:
        """Run a query that ends in a column, where that has one of these values; its rows in no order."""
        wanted = list(dict.fromkeys(values))
        found: list[Row] = []
        for start in range(0, len(wanted), _IN_LIST):
            part = wanted[start : start + _IN_LIST]
            places = ", ".join(f"${number}" for number in range(1, len(part) + 1))
            found += self.run(f"{statement} IN ({places})", *part)
        return found


class _Sql:
    """Implements `database.Sql`: nothing is waited for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._statements = Statements(connection)

    async def run(self, statement: str, *values: object) -> list[Row]:
        return self._statements.run(statement, *values)

    async def run_many(self, statement: str, rows: Collection[Sequence[object]]) -> None:
        self._statements.run_many(statement, rows)

    async def run_in(self, statement: str, values: Iterable[str]) -> list[Row]:
        return self._statements.run_in(statement, values)

    unlocked = ""  # no transaction writes beside this one

    async def now(self) -> int:
        return time.time_ns() // 1000

    async def tell(self, topic: str = "") -> None:
        """SQLite counts every write, and one process alone looks after things."""


def _run(job: Job[T], connection: sqlite3.Connection) -> T:
    running = job(_Sql(connection))
    try:
        running.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    running.close()
    raise RuntimeError("a job of the store waited for something else")


class SqliteEngine:
    """Implements `database.Engine`: two connections and their threads, and a lock file beside them."""

    distributed = False

    def __init__(self, path: Path) -> None:
        """Open the file, make it where there is none, and bring its tables up to date. Raises StoreError."""
        self._path = path
        self.writer = secrets.token_hex(8)
        self._hold = Hold(path.with_name(path.name + ".lock"))
        self._closed = False
        self._jobs: deque[tuple[Job[Any], Future[Any]]] = deque()
        try:
            _prepare(path)
            self._write_connection = _connect(path)
            try:
                migrate(self._write_connection, path)
                self._read_connection = _connect(path)
            except BaseException:
                self._write_connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise explained(error, path) from error
        self._read_connection.execute("PRAGMA query_only = ON")
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._reader = ThreadPoolExecutor(1, "store-reader")

    def submit(self, job: Job[T]) -> Future[T]:
        """Run a job in a transaction; done once that is durable. A job that raises leaves nothing behind.

        Jobs that wait while a commit is under way share the next one: a commit costs a flush of the disk.
        """
        self._check_open()
        future: Future[T] = Future()
        self._jobs.append((job, future))
        self._writer.submit(self._commit_group)
        return future

    async def write(self, job: Job[T]) -> T:
        """Like `submit`, awaited. Cancelled, the job is dropped unless it has begun."""
        return await asyncio.wrap_future(self.submit(job))

    async def append(self, write: Write[T], entries: Sequence[Any] = (), *, held: bool = False) -> T:
        """Like `write`: all writes come one after another."""
        if held:
            self._hold.take()
        return await self.write(lambda sql: write(sql, entries))

    async def hold(self, *, shared: bool = False) -> None:
        """Be the one that holds, or one of several, until `close`."""
        self._hold.take(shared=shared)

    async def read(self, job: Job[T]) -> T:
        """Run a reading job beside the writer; it sees every write whose await has returned."""
        self._check_open()
        return await asyncio.wrap_future(self._reader.submit(self._read_now, job))

    async def snapshot(self, job: Job[T]) -> T:
        """Run a reading job that sees one state throughout. This process reads nothing else meanwhile."""
        self._check_open()
        return await asyncio.wrap_future(self._reader.submit(self._read_one_state, job))

    async def written_elsewhere(self) -> int:
        """A number that is another one after another process wrote: SQLite's data_version.

        It leaves out what its own connection wrote, so it is asked of the one that writes for us.
        """
        self._check_open()
        return await asyncio.wrap_future(self._writer.submit(self._data_version))

    def hear(self, heard: Callable[[str], None]) -> None:
        """Nobody else tells anything."""

    async def sharing(self) -> int:
        """How many processes have the hold: this one, if any."""
        return 1

    def _data_version(self) -> int:
        try:
            return int(self._write_connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise explained(error, self._path) from error

    async def close(self) -> None:
        """Finish what is under way and let go of the file. May be called twice."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._shut)
            self._hold.release()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store {self._path} is closed already")

    def _shut(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        self._read_connection.close()
        self._write_connection.close()

    def _read_now(self, job: Job[T]) -> T:
        try:
            return _run(job, self._read_connection)
        except sqlite3.Error as error:
            raise explained(error, self._path) from error

    def _read_one_state(self, job: Job[T]) -> T:
        connection = self._read_connection
        try:
            connection.execute("BEGIN")
            try:
                return _run(job, connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise explained(error, self._path) from error

    def _commit_group(self) -> None:
        """Commit all jobs that wait. Submitted once for each job, so that none is left; most find nothing to do."""
        group = [self._jobs.popleft() for _ in range(min(_GROUP, len(self._jobs)))]
        group = [(job, future) for job, future in group if future.set_running_or_notify_cancel()]
        if not group:
            return
        connection = self._write_connection
        results: list[tuple[Future[Any], Any]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job, future in group:
                try:
                    results.append((future, _within_savepoint(connection, job)))
                except Exception as error:
                    if not connection.in_transaction:  # SQLite gave up all of it, such as on a full disk
                        raise
                    future.set_exception(self._told(error))
            connection.execute("COMMIT")
        except Exception as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for _, future in group:
                if not future.done():
                    future.set_exception(self._told(error))
        else:
            for future, result in results:
                future.set_result(result)

    def _told(self, error: Exception) -> Exception:
        return explained(error, self._path) if isinstance(error, sqlite3.Error) else error


def explained(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """The error in words for people, with what to do."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    for beginning, message, advice in _EXPLAINED:
        if name.startswith(beginning):
            return StoreError(message.format(path=path), advice.format(path=path))
    return StoreError(f"the store {path} failed: {error} ({name})")


_EXPLAINED = (
    ("SQLITE_NOTADB", "{path} is no database", "name another file, or move this one away"),
    (
        "SQLITE_CORRUPT",
        "the store {path} is damaged",
        "restore it from a backup, then run `hanse journal verify`",
    ),
    ("SQLITE_FULL", "no space is left for the store {path}", "free some space on its disk, then go on"),
    (
        "SQLITE_READONLY",
        "the store {path} cannot be written",
        "make the file and its folder writable for this user",
    ),
    (
        "SQLITE_PERM",
        "the store {path} may not be opened",
        "make the file and its folder writable for this user",
    ),
    (
        "SQLITE_CANTOPEN",
        "the store {path} cannot be opened",
        "make the file and its folder writable for this user",
    ),
    (
        "PermissionError",
        "the store {path} may not be opened",
        "make the file and its folder writable for this user",
    ),
    ("SQLITE_BUSY", "the store {path} is being written by another process", "try again once that is done"),
    (
        "SQLITE_IOERR",
        "the disk under the store {path} failed",
        "check the disk, then run `hanse journal verify`",
    ),
)


def _named(values: Sequence[object]) -> dict[str, object]:
    return {str(number): value for number, value in enumerate(values, 1)}


def _prepare(path: Path) -> None:
    """Make the folder and the file with modes that keep others out: it holds what is known of people."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder", "name a file in it")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreError(
                f"the store {path} lies on a file system without shared memory", "use a local disk"
            )
        connection.execute("PRAGMA synchronous = FULL")  # a commit that returned survives a loss of power
        connection.execute("PRAGMA secure_delete = ON")  # an erased text is not left in free pages
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _within_savepoint(connection: sqlite3.Connection, job: Job[T]) -> T:
    connection.execute("SAVEPOINT job")
    try:
        result = _run(job, connection)
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
        raise
    connection.execute("RELEASE job")
    return result


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Run the migrations that the file has not seen, each in one transaction with the version it leads to."""
    known = database.migrations()
    while (version := _version(connection, path)) < len(known):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection, path) == version:  # else another process was faster
                _take_step(connection, path, version, known[version])
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    database.check(str(path), _tables(connection), version, known)


def _take_step(connection: sqlite3.Connection, path: Path, version: int, statements: list[str]) -> None:
    try:
        for statement in statements:
            connection.execute(statement)
        Statements(connection).run(database.SET_VERSION, str(version + 1))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_ERROR":
            raise
        raise database.not_migrated(str(path), version + 1, error) from error


def _tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _version(connection: sqlite3.Connection, path: Path) -> int:
    tables = _tables(connection)
    try:
        rows = connection.execute(database.HAS_VERSION).fetchall() if "meta" in tables else []
    except sqlite3.OperationalError:  # its columns are others
        rows = []
    return database.version(str(path), tables, str(rows[0][0]) if rows else None)
