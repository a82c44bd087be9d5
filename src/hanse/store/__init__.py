"""Where Hanse keeps what must not be lost: one database with the journal, accepted intents and their views.

Its statements are in `hanse.store.sql_store`; its homes are SQLite, by default, and PostgreSQL. Beside it what a user's
`hanse validate` remembers, which may be lost at any time: `hanse.store.cache`.
"""

from pathlib import Path

from hanse.store.sql_store import SqlStore
from hanse.store.sqlite import SqliteStore

__all__ = ["SqlStore", "SqliteStore", "is_address", "open_store"]


def is_address(location: str) -> bool:
    """Whether that names a PostgreSQL database, and no file."""
    return location.startswith(("postgresql:", "postgres:"))


def open_store(location: str) -> SqlStore:
    """Open the store at an address of PostgreSQL, or in a file; make it where there is none. Raises StoreError."""
    if is_address(location):
        from hanse.store.postgresql import PostgresqlStore  # noqa: PLC0415 (only who has it pays for the driver)

        return PostgresqlStore.open(location)
    return SqliteStore.open(Path(location))
