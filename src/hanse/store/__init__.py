"""Where Hanse keeps what must not be lost: one database with the journal, accepted intents and their views."""

from hanse.store.sqlite import SqliteStore

__all__ = ["SqliteStore"]
