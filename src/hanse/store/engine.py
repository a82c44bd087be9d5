"""One SQLite file: opened safely, brought up to date, written by one thread that commits in groups, read by another.

Knows no table of Hanse's but `meta`. Statements are written as PostgreSQL has them, with $1, $2, ... for values.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from hanse.ports.store import StoreError

Row = tuple[Any, ...]
T = TypeVar("T")

BUSY_SECONDS = 10.0
"""How long a write waits for another process that is writing; each transaction is short."""
_GROUP = 256
"""Writes that share a commit at most, so that the first of them does not wait for ever more."""
_IN_LIST = 500
"""Values of one IN list; SQLite's least limit is 999."""


class Sql:
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
        """Run a query that ends in `IN` with these values, whatever their number; its rows in no order."""
        wanted = list(dict.fromkeys(values))
        found: list[Row] = []
        for start in range(0, len(wanted), _IN_LIST):
            part = wanted[start : start + _IN_LIST]
            places = ", ".join(f"${number}" for number in range(1, len(part) + 1))
            found += self.run(f"{statement} ({places})", *part)
        return found


class Engine:
    """The two connections and their threads. Its coroutines may be called from any number of tasks at once."""

    def __init__(self, path: Path) -> None:
        """Open the file, make it where there is none, and bring its tables up to date. Raises StoreError."""
        self._path = path
        self._closed = False
        self._jobs: deque[tuple[Callable[[Sql], Any], Future[Any]]] = deque()
        try:
            _prepare(path)
            self._write_connection = _connect(path)
            try:
                _migrate(self._write_connection, path)
                self._read_connection = _connect(path)
            except BaseException:
                self._write_connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise explained(error, path) from error
        self._read_connection.execute("PRAGMA query_only = ON")
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._reader = ThreadPoolExecutor(1, "store-reader")

    def submit(self, job: Callable[[Sql], T]) -> Future[T]:
        """Run a job in a transaction; done once that is durable. A job that raises leaves nothing behind.

        Jobs that wait while a commit is under way share the next one: a commit costs a flush of the disk.
        """
        self._check_open()
        future: Future[T] = Future()
        self._jobs.append((job, future))
        self._writer.submit(self._commit_group)
        return future

    async def write(self, job: Callable[[Sql], T]) -> T:
        """Like `submit`, awaited. Cancelled, the job is dropped unless it has begun."""
        return await asyncio.wrap_future(self.submit(job))

    async def read(self, job: Callable[[Sql], T]) -> T:
        """Run a reading job beside the writer; it sees every write whose await has returned."""
        self._check_open()
        return await asyncio.wrap_future(self._reader.submit(self._read_now, job))

    async def written_elsewhere(self) -> int:
        """A number that is another one after another process wrote: SQLite's data_version.

        It leaves out what its own connection wrote, so it is asked of the one that writes for us.
        """
        self._check_open()
        return await asyncio.wrap_future(self._writer.submit(self._data_version))

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

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store {self._path} is closed already")

    def _shut(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        self._read_connection.close()
        self._write_connection.close()

    def _read_now(self, job: Callable[[Sql], T]) -> T:
        try:
            return job(Sql(self._read_connection))
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


def _within_savepoint(connection: sqlite3.Connection, job: Callable[[Sql], T]) -> T:
    connection.execute("SAVEPOINT job")
    try:
        result = job(Sql(connection))
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
        raise
    connection.execute("RELEASE job")
    return result


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Run the migrations that the file has not seen, each in one transaction with the version it leads to."""
    scripts = sorted(
        (
            file
            for file in (resources.files(__package__) / "migrations").iterdir()
            if file.name.endswith(".sql")
        ),
        key=lambda file: file.name,
    )
    while (version := _version(connection, path)) < len(scripts):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection, path) == version:  # else another process was faster
                for statement in _statements(scripts[version].read_text("utf-8")):
                    connection.execute(statement)
                Sql(connection).run(
                    "INSERT INTO meta (name, value) VALUES ('schema', $1)"
                    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    str(version + 1),
                )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if version > len(scripts):
        raise StoreError(
            f"the store {path} was written by a newer Hanse (schema {version}, this one knows {len(scripts)})",
            "install that version, or name another store",
        )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if not tables:
        return 0
    try:
        return int(connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()[0])
    except (sqlite3.OperationalError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is a database, but none of Hanse's", "name another file") from error


def _statements(script: str) -> list[str]:
    statements, statement = [], ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            statements.append(statement)
            statement = ""
    return statements
