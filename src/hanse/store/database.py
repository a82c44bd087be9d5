"""What every home of the store gives: statements in transactions, and migrations that lead to the same tables.

Statements are written as PostgreSQL has them, with $1, $2, ... for values, and mean the same in each home.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, Protocol, TypeVar

from hanse.ports.store import StoreError

Row = tuple[Any, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")


class Sql(Protocol):
    """The transaction under way."""

    async def run(self, statement: str, *values: object) -> list[Row]:
        """Run one statement; its rows."""
        ...

    async def run_many(self, statement: str, rows: Collection[Sequence[object]]) -> None:
        """Run one statement once for each row of values."""
        ...

    async def run_in(self, statement: str, values: Iterable[str]) -> list[Row]:
        """Run a query that ends in a column, where that has one of these values, whatever their number.

        Its rows come in no order.
        """
        ...

    unlocked: str
    """What a SELECT ends with to take only rows that no transaction beside this one has just taken."""

    async def now(self) -> int:
        """The database's own clock, in microseconds: one clock for all who use it."""
        ...

    async def tell(self, topic: str = "") -> None:
        """Once this is durable, have other processes hear it; without a topic, by `written_elsewhere`."""
        ...


Job = Callable[[Sql], Coroutine[Any, Any, T]]
"""What is done in one transaction. It waits for nothing but `Sql`, and is run again where nothing was left of it."""
Write = Callable[[Sql, Sequence[Any]], Coroutine[Any, Any, T]]
"""A job that writes entries, in their order."""


class Engine(Protocol):
    """One database. Its coroutines may be called from any number of tasks, of any event loop, at once.

    Cancelled, a job is dropped unless it has begun. A job that raises leaves nothing behind. One that does not append
    may be done twice.
    """

    writer: str
    """Who appends, as the journal has it: another name each time that the store is opened."""

    distributed: bool
    """Whether other processes are told at once what one tells."""

    def submit(self, job: Job[T]) -> Future[T]:
        """Run a job in a transaction; done once that is durable."""
        ...

    async def write(self, job: Job[T]) -> T:
        """Like `submit`, awaited."""
        ...

    async def append(self, write: Write[T], entries: Sequence[Any] = (), *, held: bool = False) -> T:
        """Write entries in a transaction that nobody else appends in meanwhile, in this process or another.

        What waits to be written by the same `write` may be written by one call of it. `held`: only with the hold.
        """
        ...

    async def read(self, job: Job[T]) -> T:
        """Run a reading job; it sees every write whose await has returned."""
        ...

    async def snapshot(self, job: Job[T]) -> T:
        """Run a reading job that sees one state from its beginning to its end; others write meanwhile."""
        ...

    async def hold(self, *, shared: bool = False) -> None:
        """Be the one that holds, or one of several, until `close`. Raises StoreError naming who does."""
        ...

    async def written_elsewhere(self) -> int:
        """A number that is another one after another process wrote what it tells of. Cheap."""
        ...

    def hear(self, heard: Callable[[str], None]) -> None:
        """Call this with the topics that other processes tell; with an empty one where the number is another."""
        ...

    async def sharing(self) -> int:
        """How many processes have the hold."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of everything. May be called twice."""
        ...


HAS_VERSION = "SELECT value FROM meta WHERE name = 'schema'"
HALF_COPIED = "half-copied"
"""What stands in the place of the version until all is copied."""
BACKUP = "backup"
"""What stands in its place in a backup, which is no store that anybody works with."""
SET_VERSION = (
    "INSERT INTO meta (name, value) VALUES ('schema', $1)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def tables() -> dict[str, str]:
    """All tables by the column that they are in the order of; what one refers to comes before it."""
    scripts = "\n".join(statement for script in migrations() for statement in script)
    return dict(re.findall(r"CREATE TABLE (\w+) \(\s+(\w+) ", scripts))


def migrations() -> list[list[str]]:
    """The statements that lead from each version to the next."""
    files = (resources.files(__package__) / "migrations").iterdir()
    scripts = sorted((file for file in files if file.name.endswith(".sql")), key=lambda file: file.name)
    return [statements(script.read_text("utf-8")) for script in scripts]


def statements(script: str) -> list[str]:
    """The statements of a migration: each ends with its line."""
    return [statement for statement in script.split(";\n") if statement.strip()]


def version(where: str, tables: Collection[str], said: str | None) -> int:
    """The version of a database with these tables, which says that of itself. Raises StoreError if it is not ours."""
    if not tables:
        return 0
    if said == HALF_COPIED:
        raise StoreError(
            f"the store {where} is half a copy",
            "empty it (drop its tables, or delete its file), and copy again",
        )
    if said == BACKUP:
        raise StoreError(
            f"{where} is a backup of a store, and stays as it is",
            f"`hanse restore {where}` puts it back into the store that server.yaml or --database names",
        )
    if said is None or not said.isdecimal():
        raise StoreError(f"{where} is a database, but none of Hanse's", "name another one")
    return int(said)


def check(where: str, tables: Collection[str], reached: int, known: list[list[str]]) -> None:
    """Raise StoreError where the database is of a newer version, or lacks tables of its own."""
    if reached > len(known):
        raise StoreError(
            f"the store {where} was written by a newer Hanse (schema {reached}, this one knows {len(known)})",
            "install that version, or name another store",
        )
    named = {name for script in known for name in re.findall(r"CREATE TABLE (\w+)", "\n".join(script))}
    if missing := named - set(tables):
        raise StoreError(
            f"the store {where} is not whole: it says schema {reached}, and has no {', '.join(sorted(missing))}",
            "a migration or a restore was left half-done; restore it from a backup",
        )


def not_migrated(where: str, to: int, error: Exception) -> StoreError:
    """What is told where a migration cannot be done."""
    return StoreError(
        f"the store {where} cannot be brought to schema {to}: {error}",
        "nothing was changed; somebody changed its tables, or left a restore half-done: restore it from a backup",
    )


def microseconds(at: datetime) -> int:
    """An instant, as all tables have it."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant(count: int) -> datetime:
    """The instant of a table."""
    return _EPOCH + timedelta(microseconds=count)
