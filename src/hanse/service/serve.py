"""Keep what is accepted in force: the loop, and all that it goes by as that changes.

The repository is looked at every few seconds, and at once when somebody says that it changed; the store every second,
since approvals and revocations are written by other processes. What a commit brings is accepted as `hanse apply` does
it, without asking anybody: only the first state of all needs a person. Whatever cannot be reached is told and tried
again; drift repair and expiry wait for none of it.

Where the store is one that processes share, any number of them do this side by side. One at a time sees to git: it has
the lease for that, and another one takes over where it is gone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from hanse.accept import Differences, Subtraction, deletion_subject
from hanse.desired.intent import Directory
from hanse.desired.settings import PlatformSettings, Settings
from hanse.journal.revocation import Revocation
from hanse.model import Approval, Owner
from hanse.ports.platform import Platform
from hanse.ports.source import SourceError
from hanse.ports.store import REPOSITORY, SWEEP, Head, OwnerRow, StoreError
from hanse.ports.transport import Called
from hanse.reconcile import CLAIM_SECONDS, KEEP_SECONDS, Force, Loop, World, until
from hanse.reconcile.news import Failed, Item, News
from hanse.service.accepted import accepted_state
from hanse.service.conditions import Conditions
from hanse.service.estate import Estate, Trouble
from hanse.service.ground import Ground
from hanse.service.propose import Proposal, accept, propose, revoked_grants
from hanse.service.revoke import words, write_revocations
from hanse.service.tidy import tidy
from hanse.service.write import Committed, Result

GIT = "git"
"""The lease of who sees to git: what is fetched, judged, accepted and written there."""
STORE_SECONDS = 1.0
"""Between two looks whether another process wrote into the store."""
LEAST_FETCH_SECONDS = 1.0
"""Between the beginnings of two looks at the repository, however often somebody says that it changed."""
FETCH_SECONDS = 120.0
"""How long the repository's server may take to tell what is new; others wait meanwhile to ask it, too."""
TIDY_AFTER_SECONDS, TIDY_SECONDS = 600.0, 86_400.0
"""Until it is looked for the first time for what nothing needs any more, and between two such looks."""
LONGEST_PAUSE_SECONDS = 300.0
"""Between two tries to read what could not be read."""


class Began(Item, frozen=True):
    """The loop begins."""

    commit: str
    """What is accepted."""
    platforms: tuple[str, ...]
    worker: str = ""
    """What this process is called among several."""


class Leads(Item, frozen=True):
    """Of several processes, this one sees to git from now on."""


class Listening(Item, frozen=True):
    """Requests over HTTP are answered."""

    address: str


class Found(Item, frozen=True):
    """The head of the branch is another commit than before."""

    commit: str
    told: bool
    """Whether somebody said that there may be one, so that nobody waited for the next look."""
    seconds: float
    """Since they said it, or since the look began that found it."""


@dataclass(frozen=True)
class Judged:
    """A commit, or what was approved or revoked, was judged; what stands now is in force."""

    proposal: Proposal
    owners: int
    """Owners that are looked at because of it."""


class Wrote(Item, frozen=True):
    """A revocation became a commit."""

    commit: str
    branch: str
    what: str


ServeNews = News | Called | Began | Leads | Found | Judged | Wrote | Listening


@dataclass(frozen=True)
class _Accepted:
    """What is accepted now, but for the owners' rows."""

    head: Head
    directory: Directory
    settings: Settings
    approvals: Mapping[str, Approval]
    revocations: tuple[Revocation, ...]
    changes: int
    """How often it changed until then."""

    def with_commit(self, commit: str) -> tuple[object, ...]:
        """All that a judgement of that commit is made of."""
        return (commit, frozenset(self.approvals), frozenset(one.digest for one in self.revocations))


class Serving:
    """One `hanse serve` or `hanse worker`. `stop()` lets the steps under way finish; `run` ends then."""

    def __init__(self, estate: Estate, told: Callable[[ServeNews], None]) -> None:
        """`told` is called with all that happens, as it happens."""
        self._estate = estate
        self._conditions = conditions = Conditions(estate)

        def hear(news: ServeNews) -> None:
            conditions.heard(news)
            told(news)

        self._told = hear
        self._shared = estate.store.distributed
        self._name = estate.chance(3).hex() if self._shared else ""
        self._leads = not self._shared
        """Whether git is ours to see to."""
        self._telling: set[asyncio.Task[None]] = set()
        self._loop: Loop | None = None
        self._stopped = False
        self._platforms: dict[str, Platform] = {}
        self._connected: dict[str, PlatformSettings] = {}
        self._revoked: frozenset[str] = frozenset()
        self._ground = Ground()
        self._commit = ""
        """The head of the branch, once it was read."""
        self._revocations: tuple[Revocation, ...] = ()
        self._judged: tuple[object, ...] = ()
        """What the last judgement was made of."""
        self._changed = asyncio.Event()
        """Somebody says that the repository changed."""
        self._changed_at: datetime | None = None
        """When they said it first since the last look."""
        self._found = asyncio.Event()
        """There is a commit that was not judged."""
        self._waits = "the store"
        self._refused: tuple[object, ...] = ()
        """What was told last of a commit that is not accepted."""
        self._unwritten: dict[str, tuple[str, str]] = {}
        """By digest of a revocation: why no commit has it, as it was told."""

    def look_now(self) -> None:
        """Look at the repository now: somebody says that it changed. However often, one look comes after this one."""
        if not self._leads:
            telling = asyncio.ensure_future(self._tell_others(REPOSITORY))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
            return
        if self._changed_at is None:
            self._changed_at = self._estate.now()
        self._changed.set()

    def waits_for(self) -> list[str]:
        """What is not done yet since it began, in words; empty once everything is in force and looked after."""
        if self._loop is None or self._waits:
            return [self._waits]
        return [f"the first sweep of {name}" for name in self._loop.unseen()]

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped = True
        if self._loop is not None:
            self._loop.stop()

    async def run(self) -> None:
        """Keep everything in force until `stop`.

        Raises Trouble where a person is needed first, and StoreError where the store is another's or cannot be read.
        """
        estate = self._estate
        await estate.store.hold(shared=self._shared)
        self._waits = "what is accepted"
        estate.traffic.listeners.append(self._called)
        state = await self._accepted()
        self._revoked = await self._revoked_of_rows(state)
        self._loop = loop = Loop(
            self._force(state),
            self._told,
            estate.config.serve.sweep_seconds,
            name=self._name,
            shared=self._shared,
        )
        if self._stopped:
            return
        self._told(Began(state.head.commit, tuple(sorted(state.settings.platforms)), self._name))
        if self._shared:
            estate.traffic.may_write = loop.is_sure
            estate.store.hear(self._heard(asyncio.get_running_loop()))
            await self._take_lead()
        try:
            async with asyncio.TaskGroup() as group:
                watching = [
                    group.create_task(self._watch_others(loop)),
                    group.create_task(self._watch_repository()),
                    group.create_task(self._watch_store(loop, state)),
                    group.create_task(self._watch_revocations()),
                    group.create_task(self._tidy()),
                    group.create_task(self._conditions.keep_saying([*state.settings.platforms])),
                ]
                self._waits = ""
                await loop.run()
                self._waits = "its end"
                for task in watching:
                    task.cancel()
        except ExceptionGroup as many:
            raise many.exceptions[0] from None
        finally:
            if self._shared and self._leads:
                with suppress(StoreError):  # it runs out
                    await estate.store.lease(GIT, 0.0)

    # Side by side

    def _heard(self, mine: asyncio.AbstractEventLoop) -> Callable[[str], None]:
        """Hear in our own thread what the store's thread hears, as long as there is one."""

        def heard(topic: str) -> None:
            with suppress(RuntimeError):  # it has ended
                mine.call_soon_threadsafe(self._hear, topic)

        return heard

    def _hear(self, topic: str) -> None:
        """Another process told something."""
        if not topic:
            self._found.set()
        elif topic == REPOSITORY:
            if self._leads:
                self.look_now()
        elif self._loop is not None:
            self._loop.hear(topic)

    async def _tell_others(self, topic: str) -> None:
        with suppress(StoreError):  # it is looked at every now and then anyway
            await self._estate.store.tell(topic)

    async def _watch_others(self, loop: Loop) -> None:
        """See how many we are, and who sees to git."""
        known_at = time.monotonic()
        while self._shared and not self._stopped:
            await self._estate.sleep(KEEP_SECONDS)
            asked_at, led = time.monotonic(), self._leads
            try:
                async with asyncio.timeout(CLAIM_SECONDS / 2):
                    await self._take_lead()
                known_at = asked_at
            except (StoreError, TimeoutError):
                self._leads = self._leads and time.monotonic() - known_at < CLAIM_SECONDS - KEEP_SECONDS
            if self._leads and not led:
                # Whoever led before may have left without marking whom something concerned.
                loop.sweep()
                await self._tell_others(SWEEP)

    async def _take_lead(self) -> None:
        store, led = self._estate.store, self._leads
        self._leads = await store.lease(GIT, CLAIM_SECONDS)
        if self._leads and not led:
            self._told(Leads())
            # Others may have accepted what was not judged here.
            self._commit, self._judged, self._ground = "", (), Ground()
            self._changed.set()
        processes = await store.sharing()
        for budget in self._estate.traffic.budgets.values():
            budget.share(processes)

    async def _stands(self, changes: int) -> bool:
        """Whether nothing was accepted, approved or revoked since there were so many changes."""
        stands = not self._shared or await self._estate.store.changes() == changes
        if not stands:
            self._found.set()
        return stands

    def _called(self, called: Called) -> None:
        """Tell a call of a pass; those of sweeps are many, and come of nothing that happened."""
        if called.pass_id:
            self._told(called)

    # What is in force

    async def _accepted(self) -> _Accepted:
        store = self._estate.store
        changes = await store.changes()  # first: what changes while it is read is told from it
        head = await store.head()
        directory, settings = await accepted_state(store, head)
        if head is None or settings is None:
            raise Trouble(
                "nothing was accepted yet, and the first acceptance needs a person",
                "run `hanse apply` once, then `hanse serve`",
            )
        if restored := await store.restored():
            raise Trouble(
                f"the store was restored as it was on {restored:%Y-%m-%d %H:%M:%S} UTC: what was approved or revoked"
                " since is not in it, and what goes on from there needs a person",
                "look with `hanse plan`, run `hanse apply` once, then `hanse serve`",
            )
        approvals = await store.approvals(self._estate.now())
        return _Accepted(head, directory, settings, approvals, tuple(await store.revocations()), changes)

    async def _revoked_of_rows(self, state: _Accepted) -> frozenset[str]:
        if not state.revocations:
            return frozenset()
        intents = [row.accepted.intent async for row in self._estate.store.owners()]
        return revoked_grants(intents, state.revocations)

    def _force(self, state: _Accepted) -> Force:
        estate = self._estate
        self._revocations = state.revocations
        subtraction = Subtraction(state.revocations)

        def standing(row: OwnerRow) -> OwnerRow:
            intent = subtraction.apply(row.accepted.intent)
            if intent is row.accepted.intent:
                return row
            return replace(row, accepted=replace(row.accepted, intent=intent))

        world = World(
            self._connect(state.settings),
            estate.store,
            estate.now,
            state.directory,
            state.head.directory,
            state.approvals,
            sum(p.pace.concurrency for p in state.settings.platforms.values()) or 1,
            self._revoked,
            sleep=estate.sleep,
        )
        return Force(world, state.head.commit, standing, partial(self._stands, state.changes), estate.let_go)

    def _connect(self, settings: Settings) -> Mapping[str, Platform]:
        """The platforms; one whose settings are as they were stays connected as it is."""
        new = {name: p for name, p in settings.platforms.items() if self._connected.get(name) != p}
        kept = {
            name: p for name, p in self._platforms.items() if name in settings.platforms.keys() - new.keys()
        }
        self._platforms = {**kept, **self._estate.connect(replace(settings, platforms=new))}
        self._connected = settings.platforms
        return dict(self._platforms)

    # What changes it

    async def _watch_repository(self) -> None:
        poll_seconds = self._estate.config.serve.poll_seconds
        pause = 0.0
        while True:
            if not self._leads:
                self._changed.clear()
                await self._until(self._changed, STORE_SECONDS)
                continue
            self._changed.clear()
            told_at, self._changed_at = self._changed_at, None
            began = self._estate.now()
            try:
                commit = await asyncio.to_thread(self._head)
                if commit != self._commit:
                    seconds = (self._estate.now() - (told_at or began)).total_seconds()
                    if self._commit:
                        self._told(Found(commit, told_at is not None, seconds))
                    self._commit = commit
                    self._found.set()
                pause = 0.0
            except Exception as error:
                self._tell("the repository", error)
                pause = _longer(pause, poll_seconds)
            await self._until(self._changed, pause or poll_seconds)
            rest = LEAST_FETCH_SECONDS - _since(began, self._estate.now())
            if self._changed.is_set() and rest > 0:
                await self._estate.sleep(rest)

    def _head(self) -> str:
        branch = self._estate.config.repository.branch if self._estate.config.repository else ""
        self._estate.source.fetch(branch, FETCH_SECONDS, lambda: self._stopped)
        return self._estate.source.head(branch)

    async def _watch_revocations(self) -> None:
        """Have what is revoked stand in git, each time that there is something new, and again where that failed."""
        poll_seconds = self._estate.config.serve.poll_seconds
        tried: tuple[object, ...] = ()
        try_at, pause = self._estate.now(), 0.0
        while not self._stopped:
            now = (self._commit, frozenset(one.digest for one in self._revocations))
            anew = now != tried or (pause and _since(try_at, self._estate.now()) >= pause)
            if self._revocations and anew and self._leads:
                tried, try_at = now, self._estate.now()
                try:
                    results = await write_revocations(self._estate, lambda: self._stopped)
                    failed = self._tell_written(results)
                except Exception as error:
                    self._tell("what is revoked", error)
                    failed = True
                pause = _longer(pause, poll_seconds) if failed else 0.0
            await self._estate.sleep(STORE_SECONDS)

    def _tell_written(self, results: Sequence[tuple[Revocation, Result]]) -> bool:
        """Tell what became of revocations, once as long as it is so; whether any is to be tried again."""
        unwritten: dict[str, tuple[str, str]] = {}
        anew: dict[tuple[str, str], list[str]] = {}
        for one, result in results:
            what = words(one.event)
            if isinstance(result, Committed):
                if result.changes:
                    self._told(Wrote(result.commit, result.branch, what))
                continue
            why = unwritten[one.digest] = (result.message, result.advice)
            if self._unwritten.get(one.digest) != why:
                anew.setdefault(why, []).append(what)
        for (message, advice), whats in anew.items():
            more = f", and of {len(whats) - 1} more" if len(whats) > 1 else ""
            said = f"it is in force, and no commit yet: {message}"
            self._told(Failed(f"the revocation of {whats[0]}{more}", said, advice))
        self._unwritten = unwritten
        return bool(unwritten)

    async def _watch_store(self, loop: Loop, state: _Accepted) -> None:
        """Every second: did somebody write into the store, or is there another commit?

        What another process revoked does not wait until a commit can be judged again.
        """
        estate = self._estate
        poll_seconds = estate.config.serve.poll_seconds
        written, read_at, pause = -1, estate.now(), 0.0
        judge_at, judge_pause = estate.now(), 0.0
        while not self._stopped:
            try:
                version = await estate.store.written_elsewhere()
                # An approval ends by the clock, which nobody writes.
                if version != written or _since(read_at, estate.now()) >= poll_seconds:
                    now = await self._accepted()
                    if now != state:
                        await self._use(loop, state, now)
                    if self._leads:
                        await loop.tell_undeclared()
                    state, written, read_at = now, version, estate.now()
                pause = 0.0
            except Exception as error:
                self._tell("the store", error)
                written, pause = -1, _longer(pause, poll_seconds)
            if not pause and self._leads and _since(judge_at, estate.now()) >= judge_pause:
                try:
                    state = await self._judge(loop, state)
                    judge_pause = 0.0
                except Exception as error:
                    self._tell("what is wanted", error)
                    # It may be accepted all the same, and nobody be marked yet: what stands is compared anew.
                    written, judge_at, judge_pause = -1, estate.now(), _longer(judge_pause, poll_seconds)
            await self._until(self._found, pause or STORE_SECONDS)
            self._found.clear()

    async def _tidy(self) -> None:
        """Every day, let go of what nothing needs any more; not at once, when there is much else to do."""
        await self._estate.sleep(TIDY_AFTER_SECONDS)
        while not self._stopped:
            try:
                if self._leads:
                    await tidy(self._estate)
            except Exception as error:
                self._tell("tidying up", error)
            await self._estate.sleep(TIDY_SECONDS)

    async def _until(self, event: asyncio.Event, seconds: float) -> None:
        await until(event, seconds, self._estate.sleep)

    def _tell(self, what: str, error: Exception) -> None:
        """Tell what is tried again. Of a mistake in judging, which must not end drift repair, only what sort it is."""
        if isinstance(error, SourceError | StoreError):
            self._told(Failed(what, str(error), error.advice))
        else:
            self._told(Failed(what, f"{type(error).__name__}, a mistake of Hanse's own", "please report it"))

    async def _judge(self, loop: Loop, state: _Accepted) -> _Accepted:
        """Accept what is new of the commit, as far as it can be; what is in force then."""
        estate, commit = self._estate, self._commit
        inputs = state.with_commit(commit)
        if not commit or inputs == self._judged:
            return state
        try:
            # In a thread with a loop of its own: to read and judge a large organisation takes seconds.
            proposal = await asyncio.to_thread(lambda: asyncio.run(propose(estate, commit, self._ground)))
        except Trouble as error:
            self._told(Failed(f"commit {commit[:8]}", str(error), error.advice))
            self._judged = inputs
            return state
        now, owners = state, list[Owner]()
        if proposal.is_new and proposal.acceptance is not None:
            async with loop.accepting:
                meant = dataclasses.replace(state, directory=proposal.directory)
                rows = proposal.rows.values() if proposal.is_part else None
                owners = await self._concerned(state, meant, proposal.acceptance.changed, rows)
                await accept(estate, proposal, owners)
                now = await self._accepted()
                self._revoked = proposal.revoked | await self._revoked_of_rows(now)
                loop.use(self._force(now))
                loop.wake({owner.platform for owner in owners})
                since = await self._concerned(dataclasses.replace(state, directory=now.directory), now, ())
                await loop.mark(since, "something was approved or revoked")
            await loop.tell_undeclared()
        if now.head.commit == commit:
            self._ground.accepted(estate, now.head)
        self._judged = inputs
        told = (commit, proposal.diagnostics, proposal.trips) if proposal.checked is None else ()
        if not told or told != self._refused:  # somebody revoked or approved, and it is as wrong as before
            self._told(Judged(proposal, len(owners)))
        self._refused = told
        return now

    async def _use(self, loop: Loop, was: _Accepted, now: _Accepted) -> None:
        """Go by what another process accepted, approved or revoked, before any commit is judged.

        Who accepts marks whom that concerns; whom an approval or a revocation concerns, who sees to git does.
        """
        self._revoked |= await self._revoked_of_rows(now)
        async with loop.accepting:
            same = dataclasses.replace(was, directory=now.directory)
            owners = await self._concerned(same, now, ()) if self._leads else []
            loop.use(self._force(now))
            await loop.mark(owners, "something was approved or revoked")
            loop.wake(now.settings.platforms)
            self._ground = Ground()

    async def _concerned(
        self,
        was: _Accepted,
        now: _Accepted,
        changed: Collection[Owner],
        among: Iterable[OwnerRow] | None = None,
    ) -> list[Owner]:
        """Owners for whom something else is in force now; `among` are all that can be, None: everybody."""
        differences = Differences(was.directory, now.directory)
        found = set(changed)
        approved = now.approvals.keys() ^ was.approvals.keys()
        revoked = was.revocations != now.revocations
        if not (differences.people or differences.groups or approved or revoked):
            return list(found)
        before, after = Subtraction(was.revocations), Subtraction(now.revocations)

        def is_concerned(row: OwnerRow) -> bool:
            intent = row.accepted.intent
            return (
                differences.concern(intent.grants)
                or any(operator.user in differences.people for operator in intent.operators)
                or (bool(intent.left_at) and deletion_subject(intent) in approved)
                or (revoked and before.apply(intent) != after.apply(intent))
            )

        if among is not None:
            return [*found.union(row.owner for row in among if is_concerned(row))]
        async for row in self._estate.store.owners():
            if is_concerned(row):
                found.add(row.owner)
        return list(found)


def _longer(pause: float, poll_seconds: float) -> float:
    """The pause after a further failure, in seconds."""
    return min(2 * pause or poll_seconds, LONGEST_PAUSE_SECONDS)


def _since(then: datetime, now: datetime) -> float:
    """Seconds that went by; many where the clock was set back."""
    return (now - then).total_seconds() if now >= then else float("inf")
