"""By whose decision something is wanted, and how strong the proof of it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from hanse.model.resource import Personal

Strength = Literal["verified-signer", "forge-merge", "server-commit", "local-operator", "claimed-author"]
"""From strong to weak. `claimed-author`: only the commit says so, which anybody can write."""


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
    """Set where the strength is `verified-signer`: the principal that the signature proves."""
    reason: Personal | None = None
    """Why, in the declaration's own words (`reason:` of a grant)."""
