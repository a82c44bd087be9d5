"""What became of intents at accept: the state that platforms are converged to, owner by owner."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hanse.desired.intent import Intent, Term

Guard = Literal["ceiling", "minimum-admins", "empty-organization", "history"]


class Held(Struct, frozen=True):
    """One removal that a tripped guard keeps from happening until somebody approves it."""

    subject: str
    """Digest of all removals held together: what an approval names."""
    guard: Guard
    scope: str
    """Where it tripped: `platform NAME`, `workspace NAME` or `organization`."""
    term: Term | None = None
    """The grant that stays in the intent although the manifest lost it; None: the owner itself stays."""


class AcceptedIntent(Struct, frozen=True):
    """What is accepted of one owner."""

    intent: Intent
    commit: str
    """The commit whose acceptance brought this intent."""
    held: tuple[Held, ...] = ()
    """What of the intent is there only because a guard tripped. One grant may be held by several guards."""

    @property
    def kept_whole(self) -> bool:
        """Whether the manifest no longer has this owner and a guard keeps it."""
        return any(held.term is None for held in self.held)
