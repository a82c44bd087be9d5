"""Drop what nothing names any more, a few rows at a time: nobody who writes meanwhile waits for more than that."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hanse.journal import record
from hanse.store.database import Engine, Row, Sql

IDLE = 86_400_000_000
"""Microseconds for which contents are kept that nothing names: a look under way may still come to name one."""
PROVENANCE_UNTIL = "provenance-until"
_BATCH = 500
_UNNAMED = (
    "SELECT digest FROM blob EXCEPT SELECT intent FROM owner EXCEPT SELECT applied FROM owner"
    " EXCEPT SELECT directory FROM owner EXCEPT SELECT directory FROM head EXCEPT SELECT settings FROM head"
)
"""Contents that nothing names; as sets, since there may be more than a server keeps in memory for one question."""
_PROVENANCE_NOW = f"UPDATE meta SET value = value WHERE name = '{PROVENANCE_UNTIL}' RETURNING value"  # noqa: S608
"""How far provenance was read; nobody reads further before this transaction is over."""


async def tidy(engine: Engine, now: int) -> None:
    """Once. Raises StoreError."""
    await _forget_contents(engine, now)
    await _forget_texts(engine)
    await engine.write(lambda sql: sql.run("DELETE FROM approval WHERE expires_at <= $1", now))
    await engine.write(_forget_leases)


async def in_parts(engine: Engine, statement: str, rows: Sequence[Row]) -> None:
    """Run a statement for each row, in several transactions."""
    ordered = sorted(rows)
    for start in range(0, len(ordered), _BATCH):
        part = ordered[start : start + _BATCH]
        await engine.write(lambda sql, part=part: sql.run_many(statement, part))  # type: ignore[misc]


async def read_provenances(after: str, until: str, sql: Sql) -> list[Row]:
    """The next sources between those two, with what is known of them."""
    return await sql.run(
        "SELECT source, content FROM provenance WHERE source > $1 AND source < $2 ORDER BY source LIMIT $3",
        *(after, until, _BATCH),
    )


async def _forget_contents(engine: Engine, now: int) -> None:
    idle, unnamed = await engine.read(_read_idle)
    again = [(digest,) for digest in idle.keys() - unnamed]
    await in_parts(engine, "UPDATE blob SET idle_since = NULL WHERE digest = $1", again)
    gone = [(digest, now - IDLE) for digest in unnamed & idle.keys() if idle[digest] <= now - IDLE]
    # Who named one in this moment wrote NULL there.
    await in_parts(engine, "DELETE FROM blob WHERE digest = $1 AND idle_since <= $2", gone)
    fresh = [(digest, now) for digest in unnamed - idle.keys()]
    await in_parts(engine, "UPDATE blob SET idle_since = $2 WHERE digest = $1", fresh)


async def _read_idle(sql: Sql) -> tuple[dict[str, int], set[str]]:
    """Contents that nothing named at an earlier look, since when; and all that nothing names now."""
    idle: dict[str, int] = dict(
        await sql.run("SELECT digest, idle_since FROM blob WHERE idle_since IS NOT NULL")
    )
    return idle, {digest for (digest,) in await sql.run(_UNNAMED)}


async def _forget_texts(engine: Engine) -> None:
    """Texts that only git told us go with the provenance that they stood in."""
    rows = await engine.read(lambda sql: sql.run("SELECT value FROM meta WHERE name = $1", PROVENANCE_UNTIL))
    until = rows[0][0] if rows else ""
    rows = await engine.read(lambda sql: sql.run("SELECT mark FROM personal WHERE journalled = 0"))
    left = {mark for (mark,) in rows}
    after = ""
    while left and (rows := await engine.read(partial(read_provenances, after, "\U0010ffff"))):
        left.difference_update(mark for _, content in rows for mark in record.marks(content))
        after = rows[-1][0]

    async def job(sql: Sql, marks: Sequence[Row]) -> None:
        found = await sql.run(_PROVENANCE_NOW)
        if until == (found[0][0] if found else ""):  # else somebody may need them again
            await sql.run_many("DELETE FROM personal WHERE mark = $1 AND journalled = 0", marks)

    ordered = sorted((mark,) for mark in left)
    for start in range(0, len(ordered), _BATCH):
        await engine.write(partial(job, marks=ordered[start : start + _BATCH]))


async def _forget_leases(sql: Sql) -> None:
    await sql.run("DELETE FROM lease WHERE until <= $1", await sql.now())
