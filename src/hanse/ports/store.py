"""Where accepted intents, the journal and the views made from it are kept.

Views are caches: `rebuild` could make them again. What must not be lost is the journal, the accepted intents and
the personal text beside the journal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from hanse.desired.accepted import AcceptedIntent as AcceptedIntent
from hanse.foundation.diagnostics import Diagnostic
from hanse.journal.chain import Finding
from hanse.journal.events import Event, GrantRevoked, Recorded
from hanse.journal.revocation import Revocation as Revocation
from hanse.model import Approval, Owner, Provenance, Remark, Step

ANY_NUMBER = 2**53
MARKED = "marked "
"""What is told to others of marks begins so; the name of the platform follows."""
REPOSITORY = "repository"
"""What is told to others where somebody said that the repository changed."""
SWEEP = "sweep"
"""What is told to others where all of them shall look at everything."""


class Head(Struct, frozen=True):
    """The accepted state of the organisation."""

    commit: str
    at: datetime
    directory: str
    """Digest of the Directory blob."""
    settings: str
    """Digest of the Settings blob: organisation, platforms, roles."""


class Status(Struct, frozen=True):
    """What the last pass found and did for one owner: a view."""

    applied: str = ""
    """Digest of the intent that last held in full."""
    directory: str = ""
    """Digest of the directory it held with."""
    applied_at: datetime | None = None
    observed_at: datetime | None = None
    steps_left: int = 0
    """Planned or failed steps that do not hold yet."""
    ours: tuple[str, ...] = ()
    """What passes made or took away since it last held in full (as `plan.mark_of` names it): no local change."""
    waits: str = ""
    """Why it is not converged, in words for people; empty when it is."""
    remarks: tuple[Remark, ...] = ()
    waits_code: str = ""
    """What sort of thing it waits for: that of the remark, `not-yet`, `refused`, `unsure`, `unread`, `away`,
    `stopped` or `next-pass`."""
    advice: str = ""
    """What a person can do about it, where somebody can."""
    since: dict[str, datetime] = {}
    """Since when it waits for that, and is remarked what it is, by `waits_code` and `remark_name`."""


def remark_name(remark: Remark) -> str:
    """Names a remark among those of its owner, though its words may change."""
    return f"{remark.code} {remark.about}"


class OwnerRow(Struct, frozen=True):
    """Everything kept of one owner."""

    owner: Owner
    accepted: AcceptedIntent
    status: Status = Status()


class Work(Struct, frozen=True):
    """When an owner is to be looked at next, and why."""

    owner: Owner
    generation: int
    """Marks so far."""
    seen: int = 0
    """How many of them there were when the last finished look began."""
    due: datetime | None = None
    """None: only a mark or a sweep brings the next look."""
    attempts: int = 0
    """Looks in a row that left something waiting."""
    why: str = ""
    """For people: what marked it, or what it waits for."""
    claims: int = 0
    """How often it was claimed so far."""


class Backlog(Struct, frozen=True):
    """How much there is to be looked at on one platform."""

    due: int = 0
    """Owners that are due now."""
    oldest: datetime | None = None
    """Since when the first of them is."""
    retried: int = 0
    """Owners whose last look left something waiting."""


class Backup(Struct, frozen=True):
    """A file with one state of a store, read from its beginning to its end: it is whole."""

    taken_at: datetime
    records: int
    """How many the journal had."""
    size: int
    """Bytes of the file."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with its journal. It was so in the store already."""


class Condition(Struct, frozen=True):
    """How a platform is, as a process that serves says it every few seconds, in words that may be shown."""

    platform: str
    at: datetime
    """When it said so."""
    away: str = ""
    """Why it cannot be read; empty when it can."""
    advice: str = ""
    """What to do about that."""
    away_since: datetime | None = None
    waiting: int = 0
    """Calls that wait for their turn."""
    waiting_since: datetime | None = None
    """Since when there were always some."""
    rate: float = 0.0
    """Calls a second that are allowed at present."""
    most: float = 0.0
    """Calls a second that are allowed when all is well."""


class Rows(Protocol):
    """Parse results by git blob id: a cache, of which anything may be missing."""

    async def parsed(self, blob_ids: Iterable[str]) -> dict[str, bytes]:
        """Cached parse results by git blob id."""
        ...

    async def keep_parsed(self, rows: Mapping[str, bytes]) -> None:
        """Cache parse results by git blob id."""
        ...


class Noted(Struct, frozen=True):
    """What an index knows of one file of the manifest."""

    path: str
    blob: str
    sound: bool
    """False: something in it is wrong, so that it takes part in every check."""
    mentions: dict[str, tuple[str, ...]] = {}
    """By the name of each of its documents, what that mentions."""


class Remembered(Struct, frozen=True):
    """What a check of a whole commit found, which was sound."""

    commit: str
    at: datetime
    """What depends on the time of day is as of then."""
    findings: tuple[Diagnostic, ...] = ()
    accepted: str = ""
    """Digest of the head that accepted the commit just as it is written; empty where none is known."""


class Index(Rows, Protocol):
    """Of one commit, which file declares what and who mentions whom: a cache. All else raises StoreError.

    Documents are named as in `desired.source`. What it is asked, and what it is told, lies within one `transaction`,
    of which nothing is left if it is left by an exception.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """Keep others from moving the index meanwhile."""
        ...

    def keep(self, rows: Mapping[str, bytes]) -> None:
        """Cache parse results by git blob id, where nobody may wait. Raises nothing."""
        ...

    def commit(self, mark: str) -> str:
        """The commit that the index is of; empty where there is none, or it was made under another mark."""
        ...

    def fill(self, commit: str, mark: str, files: Iterable[Noted]) -> None:
        """Make the index anew. It is the index of that commit once `fill_natives` has made the rest of it."""
        ...

    def move(self, commit: str, gone: Iterable[str], files: Iterable[Noted]) -> None:
        """Make it the index of another commit: without these paths, with those files."""
        ...

    def mentioning(self, targets: Collection[str]) -> set[str]:
        """The documents that mention any of these."""
        ...

    def mentioned(self, sources: Collection[str]) -> set[str]:
        """What any of these documents mention."""
        ...

    def declaring(self, names: Collection[str]) -> dict[str, str]:
        """Files that declare any of these, with their blobs."""
        ...

    def declared(self, kind: str) -> list[str]:
        """The names of all documents of a kind, without the kind."""
        ...

    def within(self, paths: Iterable[str]) -> set[str]:
        """The names of all documents in these files."""
        ...

    def unsound(self) -> dict[str, str]:
        """Files in which something is wrong, with their blobs."""
        ...

    def below(self, folder: str) -> dict[str, str]:
        """Files below a folder, with their blobs; below the empty one all."""
        ...

    def fill_natives(self, commit: str, natives: Mapping[str, Collection[str]]) -> None:
        """Note what the things of all documents are called on platforms: the rest of an index that `fill` made."""
        ...

    def keep_natives(self, gone: Iterable[str], natives: Mapping[str, Collection[str]]) -> None:
        """Forget what the things of some documents are called on platforms, and note what things are called too."""
        ...

    def holding(self, natives: Collection[str]) -> dict[str, set[str]]:
        """By native name, the documents whose things are called so."""
        ...

    def remembered(self, mark: str) -> Remembered | None:
        """What the last whole check found, if it was made under this mark and by this very program."""
        ...

    def remember(self, mark: str, found: Remembered) -> None:
        """Keep what a whole check found."""
        ...

    def close(self) -> None:
        """Let go of it. May be called twice."""
        ...

    def reopen(self) -> None:
        """Take hold of it again after `close`, in this process or in one that was split off meanwhile."""
        ...


class StoreError(Exception):
    """The store cannot do what was asked. The text says what happened, `advice` what to do."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class Store(Protocol):
    """One home of all that is kept. Every write is durable when its await returns.

    Every method raises StoreError where the store cannot do it, and TypeError where a Secret was to be kept.
    """

    distributed: bool
    """Whether several processes may accept and converge with it side by side, each told what the others do."""

    async def hold(self, *, shared: bool = False) -> None:
        """Be the one that accepts and converges, until `close`. Raises StoreError naming the one that is already.

        `shared`: be one of several that do so together, each with what it has claimed or leased, and nobody alone.
        `append` and `accept` do it by themselves; call it first to be refused before anybody is asked anything.
        Reading, approving and revoking need no hold.
        """
        ...

    async def append(self, events: Sequence[Event], at: datetime) -> None:
        """Write events to the journal, all or none."""
        ...

    def journal(self, after: int = 0) -> AsyncIterator[Recorded]:
        """Recorded events in order, beyond that sequence."""
        ...

    async def personal(self, marks: Iterable[str]) -> dict[str, str]:
        """Texts about people by their keyed digests; erased ones are missing."""
        ...

    async def chain(self) -> None:
        """Link what was appended since the last time."""
        ...

    async def head(self) -> Head | None:
        """The accepted state; None before the first acceptance."""
        ...

    async def accept(
        self,
        head: Head,
        changed: Mapping[Owner, AcceptedIntent],
        blobs: Mapping[str, bytes],
        events: Sequence[Event],
        *,
        before: Head | Literal["any"] | None = "any",
        concerned: Collection[Owner] = (),
    ) -> None:
        """Move to a new accepted state, with its events, in one transaction. Intents are stored as blobs too.

        `before` is what was accepted when it was judged: StoreError where that is something else by now. `concerned`
        are marked with it.
        """
        ...

    def owners(self, platform: str = "", workspace: str = "") -> AsyncIterator[OwnerRow]:
        """All rows, those of a platform, or tenants of a workspace on it, in the order of `str(owner)`, streamed."""
        ...

    async def owner(self, owner: Owner) -> OwnerRow | None:
        """One row."""
        ...

    async def rows(self, owners: Iterable[Owner]) -> list[OwnerRow]:
        """The rows of these owners, in no order; owners without one are missing."""
        ...

    async def count(self, platform: str) -> int:
        """How many owners there are on a platform."""
        ...

    async def platforms(self) -> set[str]:
        """The platforms that owners lie on, declared or not."""
        ...

    async def record(
        self,
        statuses: Mapping[Owner, Status],
        gone: Mapping[Owner, str] = ...,
        blobs: Mapping[str, bytes] = ...,
    ) -> None:
        """Note what a pass found. `blobs` are intents that no acceptance brought.

        Owners that are gone are forgotten, if the digest is that of what is accepted of them still.
        """
        ...

    async def mark(self, owners: Iterable[Owner], due: datetime, why: str) -> None:
        """Ask for a look at these owners, at `due` at the latest. Owners that are not accepted are dropped."""
        ...

    async def count_due(self, platform: str, now: datetime) -> int:
        """How many owners are due on a platform, whoever has claimed them."""
        ...

    async def under_way(self, platform: str) -> set[Owner]:
        """The owners of a platform that are claimed just now, whoever has them."""
        ...

    async def next_due(self, platform: str, after: datetime) -> datetime | None:
        """When the first of what is not due yet will be."""
        ...

    async def looked(self, looks: Iterable[Work]) -> None:
        """Note looks that are over: `seen` as `generation` was when they began, and what comes next.

        Where a mark came since, the owner stays as due as the mark made it. A claim of ours ends with it; where
        somebody else has one by now, whoever that is says what comes next.
        """
        ...

    async def claim(
        self, platform: str, now: datetime, most: int, seconds: float, each: int = ...
    ) -> list[Work]:
        """Take what is due on a platform and nobody looks at: for so many seconds it is ours alone.

        Workspaces take turns, each with what is due longest; `each` is how many of one may be claimed at once, whoever
        has them. Seconds are of the store's own clock: those of the processes that use it may differ. What a workspace
        shares is claimed before its tenants, which wait until that is over. A claim that ran out is anybody's.
        """
        ...

    async def take(self, claims: Mapping[Owner, int], seconds: float) -> set[Owner]:
        """Claim these owners, due or not; those that we got.

        We get those that nobody claimed since they had so many claims, and nobody has now.
        """
        ...

    async def keep(self, owners: Iterable[Owner], seconds: float) -> set[Owner]:
        """Have our claims last for so many seconds from now; those of them that are ours still."""
        ...

    async def let_go(self, owners: Iterable[Owner]) -> None:
        """Give our claims back without a look."""
        ...

    async def lease(self, name: str, seconds: float) -> bool:
        """Be the only one who does what is named so, for so many seconds from now. False: somebody else is.

        Asked again before they are over, it goes on; with 0 seconds it is given back.
        """
        ...

    async def draw(self, platform: str, count: int, per_second: float) -> float:
        """Take so many calls out of the budget that all processes have for a platform.

        In how many seconds the first of them may go; at once if it is not above zero. After a rest, a second's worth
        may go at once.
        """
        ...

    async def work(self, platform: str = "") -> dict[Owner, Work]:
        """All of it, or that of one platform."""
        ...

    async def work_of(self, owners: Iterable[Owner]) -> dict[Owner, Work]:
        """That of these owners, for people."""
        ...

    async def places(self, owners: Iterable[Owner], now: datetime) -> dict[Owner, tuple[int, int]]:
        """Of these owners, those that are due: their place on the platform, longest wait first, and of how many."""
        ...

    async def keep_conditions(self, conditions: Iterable[Condition]) -> None:
        """Say how platforms are, in the place of what this process said before."""
        ...

    async def conditions(self) -> list[Condition]:
        """What processes that serve said last of platforms, newest first; what is older than an hour may be gone."""
        ...

    async def backlog(self, now: datetime) -> dict[str, Backlog]:
        """By platform, how much there is to be looked at. Cheap enough to be asked every few seconds."""
        ...

    async def changes(self) -> int:
        """How often something was accepted, approved or revoked: another number where what stands may be another."""
        ...

    async def written_elsewhere(self) -> int:
        """A number that is another one after a process beside this one wrote something. Cheap."""
        ...

    async def tell(self, topic: str) -> None:
        """Have all other processes that use the store hear it, if they are there."""
        ...

    def hear(self, heard: Callable[[str], None]) -> None:
        """From now on call this with what other processes tell, in a thread of the store's. It may miss some."""
        ...

    async def sharing(self) -> int:
        """How many processes have the hold just now."""
        ...

    async def restored(self) -> datetime | None:
        """Of when the store is, where it was restored and nobody has looked since what it would do."""
        ...

    async def go_on(self) -> None:
        """Somebody has looked what a restored store would do."""
        ...

    async def blob(self, digest: str) -> bytes | None:
        """Content that was stored with an acceptance (directories, settings, intents): canonical JSON."""
        ...

    async def open_steps(self) -> list[tuple[str, Step]]:
        """Steps intended and never concluded, or concluded `unsure`, with their digests, oldest first."""
        ...

    async def approve(self, approval: Approval, events: Sequence[Event]) -> None:
        """Keep a yes."""
        ...

    async def approvals(self, now: datetime) -> dict[str, Approval]:
        """Those not expired, by subject."""
        ...

    async def revoke(self, event: GrantRevoked, at: datetime) -> Revocation:
        """Journal a revocation; it subtracts until an accepted commit no longer has the grant."""
        ...

    async def revocations(self) -> list[Revocation]:
        """Those that still subtract."""
        ...

    async def note_revocations(self, waits: Mapping[str, str]) -> None:
        """Keep, by digest, why revocations stand in no commit yet; empty for one that does."""
        ...

    async def provenance(self, sources: Iterable[str]) -> dict[str, Provenance]:
        """Who brought these declarations to their present form, where it is known."""
        ...

    async def provenance_until(self) -> str:
        """How far provenance was read, as `desired.provenance.State` wrote it; empty if never."""
        ...

    async def keep_provenance(self, until: str, rows: Mapping[str, Provenance], gone: Iterable[str]) -> None:
        """Store provenance read up to a commit, in one transaction."""
        ...

    def provenances(self, beginning: str) -> AsyncIterator[tuple[str, Provenance]]:
        """Those of all sources that begin so, without their texts, streamed."""
        ...

    async def forget_provenance(self, sources: Iterable[str]) -> None:
        """Drop these."""
        ...

    async def parsed(self, blob_ids: Iterable[str]) -> dict[str, bytes]:
        """Cached parse results by git blob id."""
        ...

    async def keep_parsed(self, rows: Mapping[str, bytes]) -> None:
        """Cache parse results by git blob id."""
        ...

    # What nothing needs any more

    async def tidy(self, now: datetime) -> None:
        """Drop what nothing names any more: contents a day after, approvals and leases that are over, texts of git's.

        In transactions that nobody has to wait for. The journal stays, with the texts that it names.
        """
        ...

    async def rebuild(self, now: datetime, mark: Callable[[Step], str]) -> None:
        """Make what is a view of the journal anew, and drop what is a cache. Work rows go, too.

        What the journal and an owner's status say alike stays, since the status knows more. `mark` names what a step
        is about, as `Status.ours` has it. Whoever else would apply must be kept out meanwhile: by `hold`, alone.
        """
        ...

    async def parsed_blobs(self) -> set[str]:
        """Of which blobs parse results are cached."""
        ...

    async def forget_parsed(self, blob_ids: Iterable[str]) -> None:
        """Drop the parse results of these."""
        ...

    async def close(self) -> None:
        """Release the store. May be called twice."""
        ...
