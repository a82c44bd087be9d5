"""Format version 3 of the journal's vocabulary, closed: later versions add events and never change one.

Tags read `subject:what-happened`. Text about people is typed Personal and leaves the event when it is recorded
(journal.record); a Secret cannot be recorded at all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from hanse.desired.intent import SubjectKind
from hanse.model import Approval, Key, Owner, Personal, Step, Strength

FORMAT = 3
"""1: up to `pass:finished` · 2: with `fight:noticed` · 3: with `store:restored`."""
Result = Literal["done", "not-yet", "refused", "unsure"]
"""Which Outcome it was; the tags of those types."""


class OrganizationAccepted(Struct, frozen=True, tag="organization:accepted"):
    """A commit (or a directory) became what the platforms are converged to."""

    commit: str
    parent: str
    """The commit accepted before; empty for the first."""
    directory: str
    """Digest of the directory accepted with it."""
    settings: str
    """Digest of organisation, platforms and roles as accepted."""
    intents: tuple[tuple[Owner, str], ...]
    """Each owner whose intent changed, with the new intent's digest."""
    held: tuple[str, ...]
    """Digests of held removals that no approval covers yet."""
    lapsed: tuple[str, ...]
    """Digests of revocations that ended because the commit no longer has the grant."""
    by: Personal
    strength: Strength


class GuardTripped(Struct, frozen=True, tag="guard:tripped"):
    """A change would have removed too much; what it removes is held until somebody approves."""

    guard: str
    scope: str
    subject: str
    """Digest of the held removals: what an approval names."""
    removals: int


class ApprovalGiven(Struct, frozen=True, tag="approval:given"):
    """A person said yes."""

    approval: Approval
    by: Personal


class GrantRevoked(Struct, frozen=True, tag="grant:revoked"):
    """A grant was taken away at once, ahead of any commit."""

    workspace: str
    """Empty: on the organisation."""
    project: str
    """Empty: on the workspace."""
    subject_kind: SubjectKind
    subject: str
    role: str
    """Empty: every role."""
    by: Personal
    strength: Strength
    reason: Personal

    @property
    def scope(self) -> str:
        """What the grant is on, as `desired.source` names scopes: `workspace/project`, or less of it."""
        return f"{self.workspace}/{self.project}" if self.project else self.workspace


class PassStarted(Struct, frozen=True, tag="pass:started"):
    """Hanse began to converge owners to the accepted state."""

    commit: str
    owners: int


class StepIntended(Struct, frozen=True, tag="step:intended"):
    """About to be done. Without a StepConcluded after it, nobody knows whether it happened."""

    step: Step
    digest: str
    """Digest of the step: its idempotency key."""


class StepConcluded(Struct, frozen=True, tag="step:concluded"):
    """What came of a StepIntended; `looked_up` when a later observation told, not the call itself.

    Made by `journal.record.concluded`, which keeps the words of an outcome out of the chain: a platform's error
    may name people. After `unsure` the step stays open until somebody has looked.
    """

    digest: str
    owner: Owner
    outcome: Result
    native_id: str = ""
    """Set where a thing was created or adopted."""
    retry_after: float | None = None
    """Seconds, where the outcome is `not-yet`."""
    looked_up: bool = False
    text: Personal | None = None
    """Why it is not done, and the advice, in the platform's own words."""


class OwnerConverged(Struct, frozen=True, tag="owner:converged"):
    """A read-back found that the owner holds what is accepted of it."""

    owner: Owner
    intent: str
    directory: str


class OwnerGone(Struct, frozen=True, tag="owner:gone"):
    """Nothing of a leaving owner is left on its platform; it is no longer looked after."""

    owner: Owner


class PassFinished(Struct, frozen=True, tag="pass:finished"):
    """The pass ended; counts of steps by outcome."""

    commit: str
    done: int
    refused: int
    waiting: int
    unsure: int


class FightNoticed(Struct, frozen=True, tag="fight:noticed"):
    """Somebody else keeps changing what Hanse keeps putting back; it puts it back more seldom, or not for a while."""

    owner: Owner
    key: Key
    repairs: int
    in_seconds: int


class StoreRestored(Struct, frozen=True, tag="store:restored"):
    """The store was put back from a backup: what happened between the two is not in this journal."""

    taken_at: datetime
    """When the backup was taken."""
    records: int
    """How many records the journal had then."""
    by: Personal


Event = (
    OrganizationAccepted
    | GuardTripped
    | ApprovalGiven
    | GrantRevoked
    | PassStarted
    | StepIntended
    | StepConcluded
    | OwnerConverged
    | OwnerGone
    | PassFinished
    | FightNoticed
    | StoreRestored
)


class Recorded(Struct, frozen=True):
    """An event as the journal keeps it."""

    sequence: int
    """Position in commit order, from 1."""
    writer: str
    number: int
    """The writer's own count, from 1, without gaps."""
    at: datetime
    body: bytes
    """Canonical JSON of the event, personal text replaced by keyed digests."""
    chain: str = ""
    """sha256 over the previous link and this record; empty until the chainer came by."""
