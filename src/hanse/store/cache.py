"""What `hanse validate` remembers of one repository: parsed files, and an index of one commit.

A cache of the user's own, one SQLite file for each repository. Nothing depends on it but time: what is damaged, full or
not to be written is done without, and the whole folder may be deleted at any moment. It holds what the manifest
holds, and no secret. Several processes may use it at once.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from hanse.ports.store import Noted, StoreError
from hanse.store.database import Row
from hanse.store.sqlite import Statements

T = TypeVar("T")

REPOSITORIES = 20
"""Of so many repositories something is remembered; of those not used for longest it is forgotten."""
SPARE_ROWS = 50_000
"""So many parsed files may be kept beside those that the last check needed, and once as many as it needed."""
_BUSY_SECONDS = 5.0
_FEW = 1000
"""Rows up to which to look for each of them is quicker than to read all."""
_SCHEMA = 1
_TABLES = """
CREATE TABLE parsed (blob_id TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE file (path TEXT PRIMARY KEY, blob_id TEXT NOT NULL, sound INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE document (id TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (id, path)) WITHOUT ROWID;
CREATE TABLE mention (target TEXT NOT NULL, source TEXT NOT NULL, path TEXT NOT NULL,
    PRIMARY KEY (target, source, path)) WITHOUT ROWID;
CREATE TABLE native (name TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (name, source)) WITHOUT ROWID;
CREATE INDEX unsound ON file (path) WHERE NOT sound;
"""
_LOOKS = {
    "document_path": "document (path)",
    "mention_path": "mention (path)",
    "mention_source": "mention (source)",
    "native_source": "native (source)",
}
"""What SQLite keeps to find rows by; of an index that is made anew it is cheaper to make it afterwards."""


class Cache:
    """The rows and the index of one repository. Without a connection it is empty, and keeps nothing."""

    def __init__(self, path: Path, connection: sqlite3.Connection | None) -> None:
        self._path = path
        self._connection = connection
        self._wanted: set[str] = set()

    @classmethod
    def open(cls, folder: Path, repository: str) -> Cache:
        """The cache of a repository, below a folder that is made where it is not there."""
        path = folder / f"{hashlib.sha256(repository.encode()).hexdigest()[:32]}.db"
        for _ in range(2):  # a damaged one is thrown away
            try:
                return cls(path, _connect(path))
            except sqlite3.DatabaseError as wrong:
                if isinstance(wrong, sqlite3.OperationalError):  # it is locked, or not to be opened
                    break
                _remove(path)
            except OSError:
                break
        return cls(path, None)

    async def parsed(self, blob_ids: Iterable[str]) -> dict[str, bytes]:
        """Cached parse results by git blob id."""
        self._wanted = wanted = set(blob_ids)

        def read(sql: Statements) -> dict[str, bytes]:
            if len(wanted) < _FEW:
                return dict(sql.run_in("SELECT blob_id, content FROM parsed WHERE blob_id", wanted))
            rows: dict[str, bytes] = dict(sql.run("SELECT blob_id, content FROM parsed"))
            return rows if rows.keys() <= wanted else {blob: rows[blob] for blob in wanted & rows.keys()}

        return self._try(read, {})

    async def keep_parsed(self, rows: Mapping[str, bytes]) -> None:
        """Cache parse results by git blob id, and forget those that have not been needed for long."""

        def write(sql: Statements) -> None:
            sql.run_many("INSERT OR REPLACE INTO parsed (blob_id, content) VALUES ($1, $2)", rows.items())
            ((count,),) = sql.run("SELECT count(*) FROM parsed")
            if count > 2 * len(self._wanted) + SPARE_ROWS:
                needed = msgspec.json.encode(sorted(self._wanted | rows.keys())).decode()
                sql.run("DELETE FROM parsed WHERE blob_id NOT IN (SELECT value FROM json_each($1))", needed)

        with suppress(StoreError), self.transaction():
            write(Statements(self._needed()))

    # The index. Whatever goes wrong raises StoreError, and who asks goes without.

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep others from moving the index meanwhile; nothing is left of what fails."""
        if self._connection is None:
            raise StoreError("there is no cache")
        try:
            with self._writing():
                yield
        except sqlite3.Error as error:
            self._look_at(error)
            raise StoreError(f"the cache failed: {error}") from error

    def commit(self, mark: str) -> str:
        """The commit that the index is of; empty where there is none, or it was made under another mark."""
        known: dict[str, str] = dict(self._run("SELECT name, value FROM meta"))
        return known.get("commit", "") if known.get("mark") == mark else ""

    def fill(self, commit: str, mark: str, files: Iterable[Noted]) -> None:
        """Make the index anew."""
        for look in _LOOKS:
            self._run(f"DROP INDEX {look}")
        for table in ("file", "document", "mention", "native", "meta"):
            self._run(f"DELETE FROM {table}")  # noqa: S608
        self._run("INSERT INTO meta (name, value) VALUES ('mark', $1)", mark)
        self._add(commit, files)
        for look, where in _LOOKS.items():
            self._run(f"CREATE INDEX {look} ON {where}")

    def move(self, commit: str, gone: Iterable[str], files: Iterable[Noted]) -> None:
        """Make it the index of another commit: without these paths, with those files."""
        paths = [(path,) for path in gone]
        for table in ("file", "document", "mention"):
            Statements(self._needed()).run_many(f"DELETE FROM {table} WHERE path = $1", paths)  # noqa: S608
        self._add(commit, files)

    def _add(self, commit: str, files: Iterable[Noted]) -> None:
        sql = Statements(self._needed())
        noted = list(files)
        rows = [(file.path, file.blob, file.sound) for file in noted]
        sql.run_many("INSERT OR REPLACE INTO file (path, blob_id, sound) VALUES ($1, $2, $3)", rows)
        documents = [(name, file.path) for file in noted for name in file.mentions]
        documents.sort()  # in the order of the table, which is several times as quick
        sql.run_many("INSERT OR IGNORE INTO document (id, path) VALUES ($1, $2)", documents)
        mentions = [
            (target, name, file.path)
            for file in noted
            for name, targets in file.mentions.items()
            for target in targets
        ]
        mentions.sort()
        sql.run_many("INSERT OR IGNORE INTO mention (target, source, path) VALUES ($1, $2, $3)", mentions)
        sql.run("INSERT OR REPLACE INTO meta (name, value) VALUES ('commit', $1)", commit)

    def mentioning(self, targets: Collection[str]) -> set[str]:
        """The documents that mention any of these."""
        return {name for (name,) in self._run_in("SELECT source FROM mention WHERE target", targets)}

    def mentioned(self, sources: Collection[str]) -> set[str]:
        """What any of these documents mention."""
        return {name for (name,) in self._run_in("SELECT target FROM mention WHERE source", sources)}

    def declaring(self, names: Collection[str]) -> dict[str, str]:
        """Files that declare any of these, with their blobs."""
        statement = "SELECT file.path, blob_id FROM document JOIN file ON file.path = document.path WHERE id"
        return dict(self._run_in(statement, names))

    def declared(self, kind: str) -> list[str]:
        """The names of all documents of a kind, without the kind."""
        rows = self._run("SELECT DISTINCT id FROM document WHERE id > $1 AND id < $2", f"{kind} ", f"{kind}!")
        return [name[len(kind) + 1 :] for (name,) in rows]

    def unsound(self) -> dict[str, str]:
        """Files in which something is wrong, with their blobs."""
        return dict(self._run("SELECT path, blob_id FROM file WHERE NOT sound"))

    def below(self, folder: str) -> dict[str, str]:
        """Files below a folder, with their blobs."""
        bounds = (f"{folder}/", f"{folder}0")
        return dict(self._run("SELECT path, blob_id FROM file WHERE path > $1 AND path < $2", *bounds))

    def keep_natives(self, gone: Iterable[str], natives: Mapping[str, Collection[str]]) -> None:
        """Forget what the things of some documents are called on platforms, and note what those of others are."""
        sql = Statements(self._needed())
        sql.run_many("DELETE FROM native WHERE source = $1", [(source,) for source in gone])
        rows = sorted((name, source) for source, names in natives.items() for name in names)
        sql.run_many("INSERT OR IGNORE INTO native (name, source) VALUES ($1, $2)", rows)

    def holding(self, natives: Collection[str]) -> dict[str, set[str]]:
        """By native name, the documents whose things are called so."""
        found: dict[str, set[str]] = {}
        for name, source in self._run_in("SELECT name, source FROM native WHERE name", natives):
            found.setdefault(name, set()).add(source)
        return found

    def _needed(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError("there is no cache")
        return self._connection

    def _run(self, statement: str, *values: object) -> list[Row]:
        return Statements(self._needed()).run(statement, *values)

    def _run_in(self, statement: str, values: Collection[str]) -> list[Row]:
        return Statements(self._needed()).run_in(statement, values)

    def _try(self, job: Callable[[Statements], T], otherwise: T) -> T:
        if self._connection is None:
            return otherwise
        try:
            return job(Statements(self._connection))
        except sqlite3.Error as error:
            self._look_at(error)
            return otherwise

    def _look_at(self, error: sqlite3.Error) -> None:
        """Throw the file away if it is damaged, so that the next one begins anew."""
        if type(error) is sqlite3.DatabaseError:
            self.close()
            _remove(self._path)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; nothing of it is left where it fails."""
        connection = self._connection
        if connection is None:
            yield
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _forget_oldest(path.parent)
        # Only a file that is new may be opened beside SQLite: to close it takes this process's locks off it.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    os.utime(path)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # what a loss of power damages is made again
        ((version,),) = connection.execute("PRAGMA user_version")
        if version != _SCHEMA:
            connection.execute("BEGIN IMMEDIATE")
            ((version,),) = connection.execute("PRAGMA user_version")
            if version not in (0, _SCHEMA):
                raise sqlite3.DatabaseError("of another version")
            if version == 0:
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
                for look, where in _LOOKS.items():
                    connection.execute(f"CREATE INDEX {look} ON {where}")
                connection.execute(f"PRAGMA user_version = {_SCHEMA}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.db"), key=lambda file: file.stat().st_mtime)
    for file in files[: max(0, len(files) - REPOSITORIES + 1)]:
        _remove(file)


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
