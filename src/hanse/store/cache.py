"""What `hanse validate` remembers of one repository: parsed files, an index of one commit, and what was found last.

A cache of the user's own, one SQLite file for each repository. Nothing depends on it but time: what is damaged, full or
not to be written is done without, and the whole folder may be deleted at any moment. It holds what the manifest
holds, and no secret. Several processes may use it at once.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hanse.ports.store import Noted, Remembered, StoreError
from hanse.store.database import Row
from hanse.store.packs import TABLE, Packs
from hanse.store.sqlite import Statements

T = TypeVar("T")

REPOSITORIES = 20
"""Of so many repositories something is remembered; of those not used for longest it is forgotten."""
SPARE_ROWS = 50_000
"""So many parsed files may be kept beside those that the last check needed, and once as many as it needed."""
_BUSY_SECONDS = 5.0
_FEW = 1000
"""Rows up to which to look for each of them is quicker than to read all."""
_SCHEMA = 2
_TABLES = f"""
CREATE TABLE parsed (blob_id TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
{TABLE};
"""
_FILES = "file"
"""By path: the blob, and the names of the documents."""
_UNSOUND = "unsound"
"""By path: the blob, where something is wrong."""
_MENTIONING = "mentioning"
"""By what is mentioned: the names of the documents that mention it."""
_NATIVES, _HOLDERS = "native", "holder"
"""By document what its things are called on platforms, and the other way round."""


def _documents(kind: str) -> str:
    """By name of a kind's documents: what they mention, by path."""
    return f"document {kind}"


class Cache:
    """The rows and the index of one repository. Without a connection it is empty, and keeps nothing."""

    def __init__(self, path: Path, connection: sqlite3.Connection | None, program: str = "") -> None:
        self._path = path
        self._program = program
        self._connection = connection
        self._wanted: set[str] = set()

    @classmethod
    def open(cls, folder: Path, repository: str, program: str = "") -> Cache:
        """The cache of a repository, below a folder that is made where it is not there.

        What a whole check found is remembered for the program that found it alone: `program` tells it from others.
        """
        path = folder / f"{hashlib.sha256(repository.encode()).hexdigest()[:32]}.db"
        for _ in range(2):  # a damaged one is thrown away
            try:
                return cls(path, _connect(path), program)
            except sqlite3.DatabaseError as wrong:
                if isinstance(wrong, sqlite3.OperationalError):  # it is locked, or not to be opened
                    break
                _remove(path)
            except OSError:
                break
        return cls(path, None, program)

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
        """Cache parse results by git blob id."""
        self.keep(rows)

    def keep(self, rows: Mapping[str, bytes]) -> None:
        """The same, where nobody may wait; forgets those that have not been needed for long."""

        def write(sql: Statements) -> None:
            ordered = sorted(rows.items())  # as the table is, which is several times as quick
            sql.run_many("INSERT OR REPLACE INTO parsed (blob_id, content) VALUES ($1, $2)", ordered)
            ((count,),) = sql.run("SELECT count(*) FROM parsed")
            if count > 2 * len(self._wanted) + SPARE_ROWS:
                needed = msgspec.json.encode(sorted(self._wanted | rows.keys())).decode()
                sql.run("DELETE FROM parsed WHERE blob_id NOT IN (SELECT value FROM json_each($1))", needed)

        if rows:
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
        except msgspec.DecodeError as error:
            raise StoreError(f"the cache is damaged: {error}") from error

    def commit(self, mark: str) -> str:
        """The commit that the index is of; empty where there is none, or it was made under another mark."""
        known: dict[str, str] = dict(
            self._run("SELECT name, value FROM meta WHERE name IN ('commit', 'mark')")
        )
        return known.get("commit", "") if known.get("mark") == mark else ""

    def fill(self, commit: str, mark: str, files: Iterable[Noted]) -> None:
        """Make the index anew."""
        paths: dict[str, tuple[str, tuple[str, ...]]] = {}
        unsound: dict[str, str] = {}
        kinds: defaultdict[str, defaultdict[str, dict[str, Iterable[str]]]]
        kinds = defaultdict(lambda: defaultdict(dict))
        mentioning: defaultdict[str, set[str]] = defaultdict(set)
        for file in files:
            path = file.path
            paths[path] = (file.blob, tuple(file.mentions))
            if not file.sound:
                unsound[path] = file.blob
            for name, targets in file.mentions.items():
                kinds[_kind(name)][name][path] = targets
                for target in targets:
                    mentioning[target].add(name)
        mentioned = {target: tuple(names) for target, names in mentioning.items()}
        packs = self._packs
        packs.clear()
        packs.fill({_FILES: paths, _UNSOUND: unsound, _MENTIONING: mentioned})
        packs.fill({_documents(kind): documents for kind, documents in kinds.items()})
        self._note({"mark": mark, "commit": "", "filled": commit})  # until all of it is there

    def move(self, commit: str, gone: Iterable[str], files: Iterable[Noted]) -> None:
        """Make it the index of another commit: without these paths, with those files."""
        packs = self._packs
        noted = list(files)
        paths = {*gone, *(file.path for file in noted)}
        names = {name for _, held in packs.find(_FILES, paths).values() for name in held}
        names.update(name for file in noted for name in file.mentions)
        documents = self._of_names(names)
        before = {name: _targets(documents.get(name)) for name in names}
        for places in documents.values():
            for path in paths & places.keys():
                del places[path]
        for file in noted:
            for name, targets in file.mentions.items():
                documents.setdefault(name, {})[file.path] = targets
        self._remention({name: (before[name], _targets(documents.get(name))) for name in names})
        for kind in {_kind(name) for name in names}:
            held = {name: documents.get(name) or None for name in names if _kind(name) == kind}
            packs.change(_documents(kind), held)
        now = {file.path: file for file in noted}
        packs.change(
            _FILES,
            {path: (now[path].blob, tuple(now[path].mentions)) if path in now else None for path in paths},
        )
        packs.change(
            _UNSOUND,
            {path: now[path].blob if path in now and not now[path].sound else None for path in paths},
        )
        self._note({"commit": commit})

    def _remention(self, targets: Mapping[str, tuple[set[str], set[str]]]) -> None:
        """What some documents mentioned before, and now."""
        changed = {target for before, now in targets.values() for target in before ^ now}
        held = {target: set(names) for target, names in self._packs.find(_MENTIONING, changed).items()}
        for name, (before, now) in targets.items():
            for target in before - now:
                held.get(target, set()).discard(name)
            for target in now - before:
                held.setdefault(target, set()).add(name)
        self._packs.change(_MENTIONING, {target: tuple(names) or None for target, names in held.items()})

    def _of_names(self, names: Collection[str]) -> dict[str, dict[str, Sequence[str]]]:
        """What these documents mention, by path."""
        found: dict[str, dict[str, Sequence[str]]] = {}
        kinds: dict[str, list[str]] = {}
        for name in names:
            kinds.setdefault(_kind(name), []).append(name)
        for kind, some in kinds.items():
            found |= self._packs.find(_documents(kind), some)
        return found

    def mentioning(self, targets: Collection[str]) -> set[str]:
        """The documents that mention any of these."""
        return {name for names in self._packs.find(_MENTIONING, targets).values() for name in names}

    def mentioned(self, sources: Collection[str]) -> set[str]:
        """What any of these documents mention."""
        return set().union(*(map(_targets, self._of_names(sources).values())))

    def declaring(self, names: Collection[str]) -> dict[str, str]:
        """Files that declare any of these, with their blobs."""
        paths = {path for places in self._of_names(names).values() for path in places}
        return {path: blob for path, (blob, _) in self._packs.find(_FILES, paths).items()}

    def declared(self, kind: str) -> list[str]:
        """The names of all documents of a kind, without the kind."""
        return [name[len(kind) + 1 :] for name in self._packs.all(_documents(kind))]

    def within(self, paths: Iterable[str]) -> set[str]:
        """The names of all documents in these files."""
        return {name for _, names in self._packs.find(_FILES, paths).values() for name in names}

    def unsound(self) -> dict[str, str]:
        """Files in which something is wrong, with their blobs."""
        return self._packs.all(_UNSOUND)

    def below(self, folder: str) -> dict[str, str]:
        """Files below a folder, with their blobs; below the empty one all."""
        beginning = f"{folder}/" if folder else ""
        files = self._packs.all(_FILES)
        return {path: blob for path, (blob, _) in files.items() if path.startswith(beginning)}

    def fill_natives(self, commit: str, natives: Mapping[str, Collection[str]]) -> None:
        """Note what the things of all documents are called on platforms: the rest of an index that `fill` made."""
        known: dict[str, str] = dict(self._run("SELECT name, value FROM meta WHERE name = 'filled'"))
        if known.get("filled") != commit:
            raise StoreError("the index was not made, or another one was")
        holders: dict[str, list[str]] = {}
        for source, names in natives.items():
            for name in names:
                holders.setdefault(name, []).append(source)
        held = {source: tuple(names) for source, names in natives.items() if names}
        self._packs.fill({_NATIVES: held, _HOLDERS: holders})
        self._note({"commit": commit, "filled": ""})

    def keep_natives(self, gone: Iterable[str], natives: Mapping[str, Collection[str]]) -> None:
        """Forget what the things of some documents are called on platforms, and note what things are called too."""
        packs, gone = self._packs, set(gone)
        sources = {*gone, *natives}
        before = packs.find(_NATIVES, sources)
        natives = {
            source: {*natives.get(source, ()), *(() if source in gone else before.get(source, ()))}
            for source in sources
        }
        packs.change(_NATIVES, {source: tuple(names) or None for source, names in natives.items()})
        names = {name for held in (before, natives) for some in held.values() for name in some}
        holders = {name: set(held) for name, held in packs.find(_HOLDERS, names).items()}
        for source, some in before.items():
            for name in some:
                holders.get(name, set()).discard(source)
        for source, some in natives.items():
            for name in some:
                holders.setdefault(name, set()).add(source)
        packs.change(_HOLDERS, {name: tuple(held) or None for name, held in holders.items()})

    def holding(self, natives: Collection[str]) -> dict[str, set[str]]:
        """By native name, the documents whose things are called so."""
        return {name: set(sources) for name, sources in self._packs.find(_HOLDERS, natives).items()}

    def remembered(self, mark: str) -> Remembered | None:
        """What the last whole check found, if it was made under this mark and by this very program."""
        known: dict[str, Any] = dict(self._run("SELECT name, value FROM meta WHERE name = 'remembered'"))
        try:
            by, found = msgspec.msgpack.decode(known.get("remembered", b""), type=tuple[str, Remembered])
        except msgspec.DecodeError:
            return None
        return found if by == self._signed(mark) else None

    def remember(self, mark: str, found: Remembered) -> None:
        """Keep what a whole check found."""
        self._note({"remembered": msgspec.msgpack.encode((self._signed(mark), found))})

    def _signed(self, mark: str) -> str:
        return f"{self._program} {mark}"

    def _note(self, values: Mapping[str, object]) -> None:
        Statements(self._needed()).run_many(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ($1, $2)", values.items()
        )

    @property
    def _packs(self) -> Packs:
        return Packs(Statements(self._needed()))

    def _needed(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError("there is no cache")
        return self._connection

    def _run(self, statement: str, *values: object) -> list[Row]:
        return Statements(self._needed()).run(statement, *values)

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

    def reopen(self) -> None:
        """Open the file again after `close`, in this process or one that was split off meanwhile."""
        if self._connection is None:
            with suppress(sqlite3.Error, OSError):
                self._connection = _connect(self._path)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; nothing of it is left where it fails."""
        connection = self._connection
        if connection is None or connection.in_transaction:
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


def _kind(name: str) -> str:
    return name.partition(" ")[0]


def _targets(places: Mapping[str, Iterable[str]] | None) -> set[str]:
    """All that a document mentions, wherever it stands."""
    return {target for targets in (places or {}).values() for target in targets}


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
        connection.execute("PRAGMA synchronous = NORMAL")
        ((version,),) = connection.execute("PRAGMA user_version")
        if version != _SCHEMA:
            connection.execute("BEGIN IMMEDIATE")
            ((version,),) = connection.execute("PRAGMA user_version")
            if version not in (0, _SCHEMA):
                raise sqlite3.DatabaseError("of another version")
            if version == 0:
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
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
