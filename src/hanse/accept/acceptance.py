"""What a judgement answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from hanse.desired.accepted import AcceptedIntent, Guard
from hanse.desired.compiled import Problem
from hanse.desired.intent import Directory
from hanse.desired.settings import Settings
from hanse.foundation.canonical import digest
from hanse.model import Owner


class Removal(Struct, frozen=True):
    """Something that would go: one person's role on one owner, or (without a principal) the owner itself."""

    owner: Owner
    principal: str = ""
    role: str = ""

    def __str__(self) -> str:
        return (
            f"{self.owner}: {self.principal} as {self.role}" if self.principal else f"{self.owner}: all of it"
        )


class Trip(Struct, frozen=True):
    """A guard that holds removals back until somebody approves its subject."""

    guard: Guard
    scope: str
    """`platform NAME`, `workspace NAME` (its oldest) or `organization`."""
    subject: str
    """Digest of guard, scope and removals: what an approval of rule `guard` names."""
    removals: tuple[Removal, ...]
    """What is held, in order. Of a carried trip: what of it is still to be removed."""
    carried: bool = False
    """Whether it tripped in an earlier judgement and is still waiting."""


@dataclass(frozen=True)
class Acceptance:
    """What becomes accepted, and what does not."""

    commit: str
    directory: Directory
    """To be accepted: as proposed, and the people without whom held grants would mean nothing, as they were."""
    changed: dict[Owner, AcceptedIntent] = field(default_factory=dict)
    """Each owner whose accepted intent, or what is held in it, is another now."""
    trips: tuple[Trip, ...] = ()
    """All that waits for an approval of rule `guard`, carried ones included."""
    lapsed: tuple[str, ...] = ()
    """Digests of revocations that have nothing left to subtract from."""
    settings: Settings | None = None
    """To be accepted: as proposed, less what is revoked."""
    findings: tuple[Problem, ...] = ()
    """What only a comparison with the accepted state shows; errors among them refuse the commit."""
    refused: str | None = None
    """Why nothing of the commit is accepted; None if it is."""

    @property
    def held(self) -> tuple[str, ...]:
        """Subjects of all held removals that no approval covers yet."""
        return tuple(sorted({trip.subject for trip in self.trips}))


def trip_of(guard: Guard, scope: str, removals: list[Removal]) -> Trip:
    """A trip whose subject names exactly these removals, so that later merges of others do not change it."""
    rows = sorted({(str(r.owner), r.principal, r.role): r for r in removals}.items())
    subject = digest(["guard", guard, scope, [names for names, _ in rows]])
    return Trip(guard, scope, subject, tuple(removal for _, removal in rows))
