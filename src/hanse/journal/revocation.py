"""A grant taken away ahead of any commit, as long as it still has something to subtract."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from hanse.journal.events import GrantRevoked


class Revocation(Struct, frozen=True):
    """A revocation that still subtracts from every proposed intent."""

    digest: str
    at: datetime
    event: GrantRevoked
    waits: str = ""
    """Why it stands in no commit yet, as of the last try; empty where it does, or where nobody has tried."""
