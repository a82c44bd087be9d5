"""Where Hanse keeps what must not be lost: one database with the journal, accepted intents and their views.

Its statements are in `hanse.store.sql_store`; its homes are SQLite, by default, and PostgreSQL. Beside it what a user's
`hanse validate` remembers, which may be lost at any time: `hanse.store.cache`.
"""

from pathlib import Path

from hanse.ports.store import StoreError
from hanse.store.sql_store import SqlStore
from hanse.store.sqlite import SqliteStore

__all__ = ["SqlStore", "SqliteStore", "open_store"]


def open_store(location: str) -> SqlStore:
    """Open the store at an address of PostgreSQL, or in a file; make it where there is none. Raises StoreError."""
    if location.startswith(("postgresql:", "postgres:")):
        from hanse.store.postgresql import PostgresqlStore  # noqa: PLC0415 (only who has it pays for the driver)

        return PostgresqlStore.open(location)
    if "://" in location:
        sort = location.partition(":")[0]
        raise StoreError(f"there is no store of the sort {sort}", "name a file, or postgresql://...")
    return SqliteStore.open(Path(location).expanduser())
