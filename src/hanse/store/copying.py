"""How a store moves to another home: everything of one into another, which is empty.

Until the last row is there, the new one says of itself that it is half a copy, and nobody can open it.
"""

from __future__ import annotations

from hanse.ports.store import StoreError
from hanse.store import database
from hanse.store.database import Job, Row, Sql
from hanse.store.sql_store import SqlStore

_ROWS = 1000
"""Rows that are read and written at once."""
_SCHEMA = "schema"


async def copy(source: SqlStore, target: SqlStore) -> int:
    """Copy everything; how many records the journal has. Raises StoreError, also where the target is not empty.

    Both are held meanwhile, so that nobody applies; who approves or revokes in the source makes it fail.
    """
    await source.hold()
    await target.hold()
    tables = database.tables()
    for table in tables.keys() - {"meta"}:
        if await target.engine.read(_some(table, tables[table], None)):
            raise StoreError("the store to copy to is not empty", "name an empty database, or a new file")
    ((schema,),) = await target.engine.read(lambda sql: sql.run(database.HAS_VERSION))
    await target.engine.write(lambda sql: sql.run(database.SET_VERSION, database.HALF_COPIED))
    records = 0
    for table, key in tables.items():
        count = await _copy_table(source, target, table, key)
        records = count if table == "journal" else records
    ((now,),) = await source.engine.read(lambda sql: sql.run("SELECT count(*) FROM journal"))
    if now != records:
        raise StoreError(
            "somebody approved or revoked something while it was copied",
            "empty the new store (drop its tables, or delete its file), and copy again",
        )
    await target.engine.write(lambda sql: sql.run(database.SET_VERSION, schema))
    return records


async def _copy_table(source: SqlStore, target: SqlStore, table: str, key: str) -> int:
    count, last = 0, None
    while rows := await source.engine.read(_some(table, key, last)):
        last = rows[-1][0]
        count += len(rows)
        if table == "meta":
            rows = [row for row in rows if row[0] != _SCHEMA]
        await target.engine.write(_written(table, key, rows))
    return count


def _some(table: str, key: str, last: object) -> Job[list[Row]]:
    where, values = (f"WHERE {key} > $1", [last]) if last is not None else ("", [])
    return lambda sql: sql.run(f"SELECT * FROM {table} {where} ORDER BY {key} LIMIT {_ROWS}", *values)  # noqa: S608


def _written(table: str, key: str, rows: list[Row]) -> Job[None]:
    async def job(sql: Sql) -> None:
        if rows:
            places = ", ".join(f"${number}" for number in range(1, len(rows[0]) + 1))
            again = "UPDATE SET value = excluded.value" if table == "meta" else "NOTHING"
            await sql.run_many(f"INSERT INTO {table} VALUES ({places}) ON CONFLICT ({key}) DO {again}", rows)  # noqa: S608

    return job
