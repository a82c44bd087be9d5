"""One object for every yes that a person must give: guards, deletions, plans."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from hanse.model.provenance import Strength
from hanse.model.resource import Personal

Rule = Literal["guard", "deletion", "plan"]


class Approval(Struct, frozen=True):
    """Somebody said yes to exactly the subject whose digest it names, until it expires."""

    subject: str
    """Digest of what is approved: held removals of a guard, a leaving tenant, a plan."""
    rule: Rule
    by: Personal
    strength: Strength
    at: datetime
    expires_at: datetime | None = None
    reason: Personal | None = None
