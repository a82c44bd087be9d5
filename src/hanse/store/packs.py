"""Large maps in one SQLite table, many entries to a row.

A row for each of some hundred thousand entries takes seconds to write. Entries are put into a fixed number of packs by
a digest of their keys, and a pack is written and read as a whole, so that to make a map costs milliseconds, and to
look for a key what one pack costs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hanse.store.sqlite import Statements

TABLE = """
CREATE TABLE pack (map TEXT NOT NULL, number INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (map, number))
"""
PACKS = 128
"""Packs of a map: so many rows hold it, however large it is."""


class Packs:
    """The maps in the table of one connection. Keys are texts, values what msgpack knows."""

    def __init__(self, sql: Statements) -> None:
        self._sql = sql

    def find(self, name: str, keys: Iterable[str]) -> dict[str, Any]:
        """The entries of these keys, as far as there are any."""
        found: dict[str, Any] = {}
        for number, wanted in _by_pack(keys).items():
            pack = self._pack(name, number)
            found.update((key, pack[key]) for key in wanted if key in pack)
        return found

    def all(self, name: str) -> dict[str, Any]:
        """All entries of a map."""
        found: dict[str, Any] = {}
        for (content,) in self._sql.run("SELECT content FROM pack WHERE map = $1", name):
            found.update(msgspec.msgpack.decode(content))
        return found

    def change(self, name: str, entries: Mapping[str, Any]) -> None:
        """Set these entries; those that are None are taken out."""
        rows = []
        for number, keys in _by_pack(entries).items():
            pack = self._pack(name, number)
            for key in keys:
                if entries[key] is None:
                    pack.pop(key, None)
                else:
                    pack[key] = entries[key]
            rows.append((name, number, msgspec.msgpack.encode(pack)))
        self._write(rows)

    def fill(self, maps: Mapping[str, Mapping[str, Any]]) -> None:
        """Make these maps anew."""
        for name, entries in maps.items():
            self._sql.run("DELETE FROM pack WHERE map = $1", name)
            self._write(
                (name, number, msgspec.msgpack.encode({key: entries[key] for key in keys}))
                for number, keys in _by_pack(entries).items()
            )

    def clear(self) -> None:
        """Take all maps out."""
        self._sql.run("DELETE FROM pack")

    def _pack(self, name: str, number: int) -> dict[str, Any]:
        rows = self._sql.run("SELECT content FROM pack WHERE map = $1 AND number = $2", name, number)
        pack: dict[str, Any] = msgspec.msgpack.decode(rows[0][0]) if rows else {}
        return pack

    def _write(self, rows: Iterable[tuple[str, int, bytes]]) -> None:
        self._sql.run_many("INSERT OR REPLACE INTO pack (map, number, content) VALUES ($1, $2, $3)", rows)


def _by_pack(keys: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for key in keys:
        found.setdefault(zlib.crc32(key.encode()) % PACKS, []).append(key)
    return found
