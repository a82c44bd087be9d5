"""Where Hanse keeps what must not be lost: one database with the journal, accepted intents and their views.

Beside it what a user's `hanse validate` remembers, which may be lost at any time: `hanse.store.cache`.
"""

from hanse.store.sqlite import SqliteStore

__all__ = ["SqliteStore"]
