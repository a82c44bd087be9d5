"""By whose decision something is wanted, and how strong the proof of it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from hanse.model.resource import Personal

Strength = Literal["verified-signer", "forge-merge", "server-commit", "local-operator", "claimed-author"]
"""From strong to weak. `forge-merge`: a machine signed it, and vouches for whom it names; `server-commit`: that
machine is Hanse itself. `claimed-author`: only the
commit says so, which anybody can write."""


class Provenance(Struct, frozen=True):
    """The commit that brought one declaration to its present form."""

    commit: str
    at: datetime
    author: Personal
    committer: Personal
    message: Personal
    """The first line of the commit message."""
    strength: Strength
    signer: Personal | None = None
    """The principal that the signature proves; of a `forge-merge` or `server-commit`, the machine."""
    reason: Personal | None = None
    """Why, in the declaration's own words (`reason:` of a grant)."""
