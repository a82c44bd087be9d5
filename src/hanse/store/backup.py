"""A backup: one state of the store, from either home, in one file that can be proved and put back into either.

The file is an SQLite database with the store's own tables. It says of itself that it is a backup, so that nobody works
with it, and has a digest of all rows: one that was damaged is not put back. It has its name as a whole or not at all.
What is a cache, and who looks at what just now, is left out: that is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from hanse.foundation.time import format_instant
from hanse.journal.chain import Verifier
from hanse.journal.events import StoreRestored
from hanse.model import Personal
from hanse.ports.store import Backup, StoreError
from hanse.store import database, sqlite
from hanse.store.database import Row, Sql
from hanse.store.sql_store import RESTORED, SqlStore, entry_of, recorded_of
from hanse.store.sqlite import Statements

LEFT_OUT = ("work", "parsed", "lease", "budget", "serving")
"""Tables that a backup has none of."""
_ROWS = 1000
"""Rows that are read and written at once."""
_LABEL = "backup"
"""The entry of `meta` that tells of the backup."""
_PART = ".part"
"""Ends the name of a file that is being written."""


class Label(Struct, frozen=True):
    """What a backup says of itself."""

    taken_at: datetime
    schema: int
    """The version of its tables."""
    records: int
    """How many the journal has."""
    digest: str
    """Of all its rows."""


async def back_up(store: SqlStore, path: Path, now: datetime, *, replace: bool = False) -> Backup:
    """Write one state of the store into a file, and read it again. Others may go on writing into the store.

    When it returns, the file is durable. Raises StoreError; then there is no file of that name, or the one of before.
    """
    with _new_file(path, replace=replace) as part:
        await store.engine.snapshot(lambda sql: _dump(sql, part, now))
        return look(part)


def look(path: Path) -> Backup:
    """Read a whole backup, and prove it. Raises StoreError where it is none, or is not what it was."""
    with _opened(path) as (connection, label):
        digest, verifier, records = _Digest(label.schema, label.taken_at), Verifier(), 0
        for table, key in _tables(connection).items():
            for rows in _read(connection, path, table, key):
                digest.add(table, rows)
                for row in rows if table == "journal" else ():
                    verifier.see(recorded_of(row))
                    records += 1
        if (records, digest.value()) != (label.records, label.digest):
            raise _damaged(path)
    findings = tuple(finding for finding in verifier.finish() if finding.kind != "unchained")
    return Backup(label.taken_at, label.records, path.stat().st_size, findings)


async def restore(store: SqlStore, path: Path, by: Personal, now: datetime, *, replace: bool = False) -> None:
    """Put a backup into a store, in one transaction: all of it, or nothing. Look at it before.

    What was in the store goes where `replace` says so; else it must be empty. Raises StoreError.
    """
    with _opened(path) as (found, label), _of_this_version(found, path, label) as connection:
        tables = _tables(connection)
        (key,) = connection.execute("SELECT value FROM meta WHERE name = 'journal-key'").fetchone()
        event = StoreRestored(label.taken_at, label.records, by)

        async def write(sql: Sql, entries: Sequence[Any]) -> None:
            await _empty(sql, replace=replace)
            for table, column in tables.items():
                names = ", ".join(_columns(connection, table))
                for rows in _read(connection, path, table, column):
                    kept = [
                        row for row in rows if table != "meta" or row[0] not in ("schema", _LABEL, RESTORED)
                    ]
                    await sql.run_many(f"INSERT INTO {table} ({names}) VALUES ({_places(rows[0])})", kept)  # noqa: S608
            await sql.run(
                "INSERT INTO meta (name, value) VALUES ($1, $2)", RESTORED, format_instant(label.taken_at)
            )
            await store.write_events(sql, entries)
            await sql.tell()

        await store.hold()
        await store.engine.append(write, [entry_of(event, bytes.fromhex(key), now)], held=True)
    await store.chain()


async def _empty(sql: Sql, *, replace: bool) -> None:
    """See to it that nothing is there; what makes a store a store stays."""
    for table in reversed(database.tables()):
        if table == "meta":
            await sql.run("DELETE FROM meta WHERE name <> 'schema'")
        elif replace:
            await sql.run(f"DELETE FROM {table}")  # noqa: S608
        elif table not in LEFT_OUT and await sql.run(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608
            raise StoreError(
                "the store holds something already",
                "name an empty one by --database; with --replace all that it holds is given up",
            )
        elif table in LEFT_OUT:
            await sql.run(f"DELETE FROM {table}")  # noqa: S608


# The file


class _Digest:
    """Of a backup's rows, in their order."""

    def __init__(self, schema: int, taken_at: datetime) -> None:
        self._hash = hashlib.sha256(f"{schema} {format_instant(taken_at)}".encode())

    def add(self, table: str, rows: Sequence[Row]) -> None:
        """Take the next rows of a table in; of `meta`, those that came from the store."""
        for row in rows:
            if table != "meta" or row[0] not in ("schema", _LABEL):
                self._hash.update(msgspec.msgpack.encode((table, *row)))

    def value(self) -> str:
        """In hexadecimal digits."""
        return self._hash.hexdigest()


async def _dump(sql: Sql, part: Path, now: datetime) -> None:
    """All that is in the store at one moment, into a new file. May be done again from the beginning."""
    known = database.migrations()
    records, digest = 0, _Digest(len(known), now)
    with _new_database(part) as to_file:
        for table, key in database.tables().items():
            last: object = None
            while table not in LEFT_OUT and (rows := await _some(sql, table, key, last)):
                last = rows[-1][0]
                records += len(rows) if table == "journal" else 0
                digest.add(table, rows)
                kept = [row for row in rows if table != "meta" or row[0] != "schema"]
                with _writing(part):
                    to_file.run_many(f"INSERT INTO {table} VALUES ({_places(rows[0])})", kept)  # noqa: S608
        label = msgspec.json.encode(Label(now, len(known), records, digest.value())).decode()
        with _writing(part):
            to_file.run_many(
                "INSERT INTO meta VALUES ($1, $2)", [("schema", database.BACKUP), (_LABEL, label)]
            )
            to_file.run("COMMIT")


async def _some(sql: Sql, table: str, key: str, last: object) -> list[Row]:
    try:
        where, values = (f"WHERE {key} > $1", [last]) if last is not None else ("", [])
        return await sql.run(f"SELECT * FROM {table} {where} ORDER BY {key} LIMIT {_ROWS}", *values)  # noqa: S608
    except sqlite3.Error as error:  # of the store, and not of the file that is written
        raise StoreError(f"the store cannot be read: {error}", "run `hanse journal verify`") from error


@contextmanager
def _new_database(part: Path) -> Iterator[Statements]:
    """The file with the tables of a store, in a transaction."""
    with _writing(part):
        os.truncate(part, 0)
        connection = sqlite3.connect(part, isolation_level=None, check_same_thread=False)
    with closing(connection):
        with _writing(part):
            # What is not finished is nobody's, and begun anew; what is finished is flushed once.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            for statement in (statement for script in database.migrations() for statement in script):
                connection.execute(statement)
        yield Statements(connection)


def _places(row: Row) -> str:
    return ", ".join(f"${number}" for number in range(1, len(row) + 1))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell what goes wrong with a backup's file in words for people."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"the backup {str(path).removesuffix(_PART)} cannot be written: {what}",
            "name a file where there is room, and where this account may write; nothing was left behind",
        ) from error


@contextmanager
def _new_file(path: Path, *, replace: bool) -> Iterator[Path]:
    """A file beside it, which takes its name once the block has written it; nothing is left of one that fails.

    What a killed process left of one is written over by the next.
    """
    _may_be_written(path, replace=replace)
    part = path.with_name(path.name + _PART)
    with _writing(path):
        descriptor = _locked(part)
    try:
        os.fchmod(descriptor, 0o600)
        try:
            yield part
            with _writing(path):
                os.fsync(descriptor)
                _take_name(part, path, replace=replace)
                _flush(path.parent)
        finally:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), part.stat()):
                    part.unlink()
    finally:
        os.close(descriptor)


def _may_be_written(path: Path, *, replace: bool) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a folder", "name a file in it")
    if path.exists() and not replace:
        raise StoreError(f"{path} is there already", "name another file; --replace takes its place")


def _locked(part: Path) -> int:
    """Open the file as the only one who writes it."""
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if part.exists() and os.path.samestat(os.fstat(descriptor), part.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise StoreError(
                f"another process is writing the backup {str(part).removesuffix(_PART)}",
                "wait until it is done, or name another file",
            ) from None
        os.close(descriptor)  # it got its name, or was given up, just now


def _take_name(part: Path, path: Path, *, replace: bool) -> None:
    if replace:
        part.replace(path)
        return
    try:
        os.link(part, path)  # unlike a rename, it never takes the place of what somebody just put there
    except FileExistsError:
        _may_be_written(path, replace=False)
        raise
    except OSError:  # a file system without links
        _may_be_written(path, replace=False)
        part.rename(path)
    else:
        part.unlink()


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Reading it


@contextmanager
def _opened(path: Path) -> Iterator[tuple[sqlite3.Connection, Label]]:
    """The file, which nothing is written into, and what it says of itself. Raises StoreError."""
    if not path.is_file():
        raise StoreError(f"there is no backup {path}", "name the file that `hanse backup` wrote")
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise StoreError(f"the backup {path} cannot be read: {error}", "make it readable") from error
    with closing(connection):
        try:
            connection.execute("PRAGMA trusted_schema = OFF")  # it may have been made by anybody
            told = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('schema', 'backup')"))
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path} is no backup of Hanse's: {error}", "name another file") from error
        except sqlite3.DatabaseError as error:
            raise _damaged(path) from error
        if told.get("schema") != database.BACKUP or _LABEL not in told:
            raise StoreError(
                f"{path} is no backup of Hanse's",
                "name the file that `hanse backup` wrote; a store itself is named by --database",
            )
        try:
            label = msgspec.json.decode(told[_LABEL], type=Label)
        except msgspec.DecodeError as error:
            raise _damaged(path) from error
        if label.schema > (known := len(database.migrations())):
            raise StoreError(
                f"the backup {path} was taken by a newer Hanse (schema {label.schema}, this one knows {known})",
                "install that version",
            )
        yield connection, label


@contextmanager
def _of_this_version(
    connection: sqlite3.Connection, path: Path, label: Label
) -> Iterator[sqlite3.Connection]:
    """The same as this version has it; what is older is brought up to date in a copy that nobody sees."""
    if label.schema == len(database.migrations()):
        yield connection
        return
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as copy:
        connection.backup(copy)
        Statements(copy).run(database.SET_VERSION, str(label.schema))
        sqlite.migrate(copy, path)
        yield copy


def _tables(connection: sqlite3.Connection) -> dict[str, str]:
    """The tables of a backup, in an order in which what one refers to comes before it."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {
        table: key for table, key in database.tables().items() if table in there and table not in LEFT_OUT
    }


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for (name,) in Statements(connection).run("SELECT name FROM pragma_table_info($1)", table)]


def _read(connection: sqlite3.Connection, path: Path, table: str, key: str) -> Iterator[list[Row]]:
    try:
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY {key}")  # noqa: S608
        while rows := cursor.fetchmany(_ROWS):
            yield rows
    except sqlite3.Error as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"the backup {path} is damaged", "take another one; `hanse backup` proves each when it is written"
    )
