"""The loop: keep what is accepted in force, for as long as the process lives.

Everything is read again at each look, so nothing here has to be remembered: the work rows of the store say which owner
is due, and whoever knows of a change marks owners. Hints mark what changed on a platform, sweeps mark what hints
missed, the clock brings what begins or ends, and whoever accepts marks what is wanted anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from msgspec.structs import replace

from hanse.apply import Result
from hanse.model import Outcome, Owner, Step, Tenant, WorkspaceOn
from hanse.plan.fights import FIGHT, WITHIN
from hanse.ports.platform import Hints, Platform, PlatformUnavailable
from hanse.ports.store import ANY_NUMBER, MARKED, SWEEP, OwnerRow, StoreError, Work
from hanse.ports.transport import PASS_ID
from hanse.reconcile.looks import BOUNDARY, backoff, next_edge, next_looks
from hanse.reconcile.news import (
    Away,
    Back,
    Failed,
    Fought,
    Gone,
    Looking,
    Remarked,
    Settled,
    Stepped,
    Swept,
    Told,
)
from hanse.reconcile.noting import conclude_open_steps, note
from hanse.reconcile.passes import Converged, Pass
from hanse.reconcile.survey import FEW, SWEEP_FROM, Survey, World, survey

PASSES = 4
"""Looks under way at once on one platform."""
BATCH = 200
"""Owners of one look, where they are read one by one."""
SWEEPS = 4
"""Sweeps under way at once, over all platforms: each holds all that it compares. Of a platform that is away, beside."""
COLLECT_SECONDS = 0.02
"""How long hints are collected: one change of a person is often several of the platform."""
LISTEN_SECONDS = 5.0
"""How long the first sweep waits for a platform to be listened to, so that nothing falls between."""
NAP_SECONDS = 30.0
"""How long nobody looks at the clock at most: it may be set, and a machine may sleep."""
HELD_SECONDS = 0.1
"""How long they are collected while some are kept back."""
CALM_SECONDS, LONGEST_CALM_SECONDS = 0.5, 10.0
"""After a look that hints brought for nothing, until they bring the next one: as long as it took, so that whoever
changes what is no business of ours has half of our time at most."""
LONGEST_REST_SECONDS = 60.0
"""How long nothing is done after errors that are nobody's in particular: of the platform, of the store, of our own."""
HEALTHY = timedelta(minutes=10)
"""What went well for so long may fail again as if for the first time."""
CLAIM_SECONDS = 6.0
"""How long owners under way are ours alone; whoever dies has them taken over then."""
KEEP_SECONDS = 1.5
"""Between two times that they are kept, and between two looks whether others left something."""
SHARE = 20
"""Owners of one workspace that may be under way at once when the last place for a look is taken, so that one with very
many leaves room for the others."""
TOLD_OWNERS = 20
"""Of a pass that begins, so many owners are named."""


async def _keep(platform: Platform) -> None:
    """Nothing is open that had to be closed."""


async def _stands() -> bool:
    """Nobody else accepts anything."""
    return True


@dataclass(frozen=True)
class Force:
    """What is in force: what is accepted, and the platforms to hold to it."""

    world: World
    commit: str
    standing: Callable[[OwnerRow], OwnerRow] = lambda row: row
    """A row of the store less what was revoked since."""
    stands: Callable[[], Awaitable[bool]] = _stands
    """Whether this is what is accepted still, whatever other processes did; where it is not, `Loop.use` follows."""
    let_go: Callable[[Platform], Awaitable[None]] = _keep
    """Called with a platform that another one took the place of, or none, once nothing is under way on it."""


class Loop:
    """Keeps all platforms. `run` lives until `stop`; everything else may be called meanwhile.

    What it looks at it has claimed in the store, so any number of processes may do so side by side. Hints and sweeps
    of a platform are the business of one of them at a time.
    """

    def __init__(
        self, force: Force, told: Told, sweep_seconds: float = 600.0, *, name: str = "", shared: bool = False
    ) -> None:
        """Begin with what is in force; each platform is swept when the loop starts, and every so many seconds.

        `name` tells this process from others; `shared`: there may be others.
        """
        self.force = force
        self.told = told
        self.sweep_seconds = sweep_seconds
        self.name = name
        self.shared = shared
        self.busy: set[Owner] = set()
        """Owners in a pass: nobody is in two at once."""
        self.due_since: dict[Owner, datetime] = {}
        """Owners that a look began at and none left as they shall be yet."""
        self.sweeping = asyncio.Semaphore(SWEEPS)
        self._begun = 0
        """Passes so far."""
        self._began_at = force.world.now()
        self._keepers: dict[str, _Keeper] = {}
        self._former: set[asyncio.Task[None]] = set()
        """Ends of keepers whose platform is not in use any more."""
        self._passes: dict[asyncio.Task[None], Pass] = {}
        self._stopping = asyncio.Event()
        self._wrong: BaseException | None = None
        self._undeclared: set[str] = set()
        self._kept_at = 0.0
        """When our claims were last known to be ours, by a clock that nobody sets."""

    @property
    def accepting(self) -> asyncio.Lock:
        """To be held while the store accepts something and `use` and `mark` follow: no look begins in between."""
        return self.force.world.accepting

    async def run(self) -> None:
        """Keep everything in force until `stop`; steps under way are finished, whatever else is cancelled.

        Raises what ended a part of it that never ends, such as an error in telling the news.
        """
        self.use(self.force)
        keeping = asyncio.ensure_future(self._keep_claims())
        keeping.add_done_callback(self.ended)
        try:
            await self._stopping.wait()
        finally:
            self._stopping.set()
            keepers = [keeper.task for keeper in self._keepers.values()]
            for task in keepers:
                task.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            for run in self._passes.values():
                run.stop()
            await asyncio.gather(*self._passes, *self._former, return_exceptions=True)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        if self._wrong is not None:
            raise self._wrong

    def stop(self) -> None:
        """Begin nothing more; `run` ends once the steps under way are done."""
        self._stopping.set()
        for run in self._passes.values():
            run.stop()

    def use(self, force: Force) -> None:
        """Go by this from now on. Platforms that are others than before are listened to and swept anew."""
        if self._stopping.is_set():
            return
        mine = self.force.world
        world = replace_fields(
            force.world, patience_seconds=0.0, accepting=mine.accepting, fights=mine.fights
        )
        self.force = replace_fields(force, world=world)
        for name, keeper in [*self._keepers.items()]:
            if force.world.platforms.get(name) is not keeper.platform:
                del self._keepers[name]
                ending = asyncio.ensure_future(keeper.end())
                self._former.add(ending)
                ending.add_done_callback(self._former.discard)
        for name, platform in force.world.platforms.items():
            if name not in self._keepers:
                self._keepers[name] = keeper = _Keeper(self, name, platform)
                keeper.task.add_done_callback(self.ended)

    async def mark(self, owners: Iterable[Owner], why: str) -> None:
        """Have these owners looked at now. Raises StoreError."""
        marked = list(owners)
        if not marked:
            return
        await self.force.world.store.mark(marked, self.force.world.now(), why)
        self.wake({owner.platform for owner in marked})

    def wake(self, platforms: Collection[str]) -> None:
        """Look what is due on these."""
        for name in self._keepers.keys() & set(platforms):
            self._keepers[name].wake()

    def hear(self, topic: str) -> None:
        """Another process told something."""
        if topic.startswith(MARKED):
            self.wake([topic.removeprefix(MARKED)])
        elif topic == SWEEP:
            self.sweep()

    def unseen(self) -> list[str]:
        """Platforms that were not swept yet since they are kept, and are not known to be away."""
        return sorted(name for name, keeper in self._keepers.items() if not keeper.is_known)

    def new_pass_id(self) -> str:
        """Names a pass like no other: what is in force, who makes it since when, and how many passes it made."""
        self._begun += 1
        who = f"{self._began_at:%Y%m%dT%H%M%S}{self.name}"
        return f"{self.force.commit[:8]}-{who}-{self._begun}"

    def sweep(self) -> None:
        """Look at everything now: nobody knows who is concerned."""
        for keeper in self._keepers.values():
            keeper.sweep()

    async def tell_undeclared(self) -> None:
        """Note and tell owners on platforms that are not declared any more: nobody can look at them.

        Not to be called while `accepting` is held. Raises StoreError.
        """
        world = self.force.world
        names = await world.store.platforms() - world.platforms.keys()
        for name in sorted(names - self._undeclared):
            rows = [self.force.standing(row) async for row in world.store.owners(name)]
            seen = await survey(world, rows, sweep=True)
            await note(world, seen, Survey(), Result())
            self.told(Away(name, str(seen.unavailable[name]), seen.unavailable[name].advice))
        self._undeclared = names

    async def _keep_claims(self) -> None:
        """Keep the owners under way ours. A look whose owners another process has by now, or may have, is given up."""
        while True:
            await self.force.world.sleep(KEEP_SECONDS)
            asked_at, busy = time.monotonic(), set(self.busy)
            if not busy:
                continue
            ours: set[Owner] = set()
            try:
                async with asyncio.timeout(KEEP_SECONDS):
                    ours = await self.force.world.store.keep(busy, CLAIM_SECONDS)
                self.claimed(asked_at)
            except (StoreError, TimeoutError):
                if time.monotonic() - self._kept_at < CLAIM_SECONDS - KEEP_SECONDS:
                    continue
            for run in self._passes.values() if self.shared else ():
                if run.owners <= busy and not run.owners <= ours:
                    run.give_up()

    def claimed(self, asked_at: float) -> None:
        """What was asked for at that instant is ours."""
        self._kept_at = max(self._kept_at, asked_at)

    def begin(self, run: Pass, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a pass, which outlives whoever started it."""
        task = asyncio.ensure_future(job)
        self._passes[task] = run
        task.add_done_callback(self._passes.pop)
        task.add_done_callback(self.ended)
        return task

    def ended(self, task: asyncio.Task[None]) -> None:
        """Of what outlives every error that it knows of: where it did not, all ends, for nothing may end in silence."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._wrong = self._wrong or _first(error)
            self.stop()

    async def until(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for an event, but no longer than so many seconds."""
        await until(event, seconds, self.force.world.sleep)


class _Keeper:
    """Keeps one platform: listens to its hints, sweeps it, and looks at what is due on it."""

    def __init__(self, loop: Loop, name: str, platform: Platform) -> None:
        self.loop = loop
        self.name = name
        self.platform = platform
        self._heard: set[Owner] = set()
        """Owners of hints that nothing came of yet."""
        self._leads = not loop.shared
        """Whether hints and sweeps of the platform are ours."""
        self._taken: set[Owner] = set()
        """Owners of hints that came before a look under way began to read: it has them done with, if it ends well."""
        self._taken_elsewhere = False
        """Whether something is due that could not be claimed."""
        self._calm: dict[Owner, datetime] = {}
        """Until when hints of an owner are kept back."""
        self._hint = asyncio.Event()
        self._listening = asyncio.Event()
        self._sweep_now = asyncio.Event()
        self._wake = asyncio.Event()
        self._passes: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._rests_until: datetime | None = None
        """The platform is away, or the store: no look begins before."""
        self._away = False
        self._swept = False
        self._looked: set[Owner] = set()
        """Owners that a pass looked at since the sweep under way began: it knows better."""
        self._clock = loop.force.world.now()
        """When it was looked at the clock."""
        self.task = asyncio.ensure_future(self._run())
        """Keeps the platform until cancelled. Passes go on after that."""

    @property
    def is_known(self) -> bool:
        """Whether it was swept, or is known to be away; or another process sees to that."""
        return self._swept or self._away or not self._leads

    def wake(self) -> None:
        """Look what is due."""
        self._wake.set()

    def sweep(self) -> None:
        """Look at the whole platform."""
        self._sweep_now.set()

    async def end(self) -> None:
        """Begin nothing more, and let go of the platform once nothing is under way on it."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await asyncio.gather(*self._passes, return_exceptions=True)
        await self.loop.force.let_go(self.platform)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._always("work", self._work))
            if self.loop.shared:
                group.create_task(self._always("taking the lead", self._lead_in_turn))
            else:
                group.create_task(self._lead())

    async def _lead(self) -> None:
        """Listen to the platform, and sweep it."""
        async with asyncio.TaskGroup() as group:
            if isinstance(self.platform, Hints):
                group.create_task(self._always("listening", partial(self._listen, self.platform)))
                group.create_task(self._always("hints", self._collect))
            else:
                self._listening.set()
            group.create_task(self._always("sweeping", self._sweep))

    async def _lead_in_turn(self) -> None:
        """Lead as long as no other process does."""
        lease, store = f"platform {self.name}", self.loop.force.world.store
        leading: asyncio.Task[None] | None = None
        known_at = time.monotonic()
        try:
            while True:
                asked_at = time.monotonic()
                try:
                    leads, known_at = await store.lease(lease, CLAIM_SECONDS), asked_at
                except StoreError:
                    leads = self._leads and time.monotonic() - known_at < CLAIM_SECONDS - KEEP_SECONDS
                if leads != self._leads:
                    self._leads, self._swept = leads, False
                if leads and leading is None:
                    leading = asyncio.ensure_future(self._lead())
                elif not leads and leading is not None:
                    await _cancelled(leading)
                    leading = None
                if leading is not None and leading.done():
                    leading.result()
                await self.loop.force.world.sleep(KEEP_SECONDS)
        finally:
            if leading is not None:
                await _cancelled(leading)
                self._leads = False
                with suppress(StoreError):  # it runs out
                    await store.lease(lease, 0.0)

    async def _always(self, what: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do it, and do it again: the loop outlives a full disk, and a mistake in one platform."""
        failures = 0
        while True:
            began = self.loop.force.world.now()
            try:
                await job()
            except Exception as error:
                self.loop.told(Failed(f"{self.name}: {what}", *_words(error)))
            world = self.loop.force.world
            failures = failures + 1 if world.now() - began < HEALTHY else 1
            await world.sleep(min(backoff(failures - 1), LONGEST_REST_SECONDS))

    # Hints

    async def _listen(self, platform: Hints) -> None:
        begins = True
        async with aclosing(platform.hints()) as hints:  # type: ignore[type-var]
            async for owners in hints:
                if begins or owners is None:  # what happened before it listened, nobody tells
                    begins = False
                    self._listening.set()
                    self._rest(None)
                    self.sweep()
                if owners:
                    self._heard |= owners
                    self._hint.set()
                await asyncio.sleep(0)  # who speaks without a pause lets others work
        raise RuntimeError("hints have an end")

    async def _collect(self) -> None:
        kept_back = False
        while True:
            await self._hint.wait()
            world, busy = self.loop.force.world, self.loop.busy
            await world.sleep(HELD_SECONDS if kept_back else COLLECT_SECONDS)
            self._hint.clear()
            if self.loop.shared:
                busy = busy | await world.store.under_way(self.name)
            now = world.now()
            # Where a fight rests, a look that begins later than now is due already.
            self._heard = {owner for owner in self._heard if not world.fights.resting(owner, now)}
            ready = {owner for owner in self._heard - busy if self._is_calm(owner, now)}
            self._heard -= ready
            try:
                await self.loop.mark(ready, "something changed on the platform")
            except StoreError:
                self._heard |= ready
                self._hint.set()
                raise
            self._calm |= dict.fromkeys(ready, now + timedelta(seconds=CALM_SECONDS))
            if kept_back := not self._heard.isdisjoint(busy | self._calm.keys()):
                self._hint.set()

    def _is_calm(self, owner: Owner, now: datetime) -> bool:
        """Whether nothing keeps hints of the owner back; so it is, too, where the clock was set back."""
        until = self._calm.get(owner, now)
        return not now < until <= now + timedelta(seconds=LONGEST_CALM_SECONDS)

    def _reads(self, owners: Collection[Owner]) -> None:
        """A look at owners begins. It sees what hints told until now."""
        taken = self._heard & set(owners)
        self._heard -= taken
        self._taken |= taken

    # Sweeps

    async def _sweep(self) -> None:
        await self.loop.until(self._listening, LISTEN_SECONDS)
        failures = 0
        while True:
            self._sweep_now.clear()
            world = self.loop.force.world
            began = world.now()
            async with nullcontext() if self._away else self.loop.sweeping:
                there = await self._sweep_once()
            failures = 0 if there else failures + 1
            # Where a platform says all the time that anything may have happened, half of our time is enough.
            took = (world.now() - began).total_seconds() if not failures else 0.0
            rest = min(max(took, CALM_SECONDS), LONGEST_REST_SECONDS)
            await world.sleep(rest)
            pause = min(self.loop.sweep_seconds, backoff(failures)) if failures else self.loop.sweep_seconds
            await self.loop.until(self._sweep_now, pause - rest)

    async def _sweep_once(self) -> bool:
        """Look at the whole platform: what is to be mended is marked, all else is noted. False: it is away."""
        loop = self.loop
        async with loop.accepting:
            force = loop.force
            known = await force.world.store.work(self.name)
            self._looked = set(loop.busy)
            rows = [force.standing(row) async for row in force.world.store.owners(self.name)]
        world, began = force.world, force.world.now()
        seen = await survey(world, rows, sweep=True)
        if not self._is_there(seen):
            return False
        different = [owner for owner, plan in seen.plans.items() if plan.steps]
        await loop.mark(different, "a sweep found a difference")
        await self._note_rest(world, seen, [*(seen.rows.keys() - set(different))], known, began)
        world.past.forget()
        self._calm = {owner: until for owner, until in self._calm.items() if until > world.now()}
        seconds = (world.now() - began).total_seconds()
        self._swept = True
        loop.told(Swept(self.name, len(rows), seconds, len(different)))
        return True

    async def _note_rest(
        self,
        world: World,
        seen: Survey,
        rest: Sequence[Owner],
        known: Mapping[Owner, Work],
        at: datetime,
    ) -> None:
        """Note owners that need no step, some at a time so that nobody waits long for the store.

        `known` are their work rows of before the sweep: whom somebody claimed since, they know better.
        """
        for start in range(0, len(rest), BATCH):
            some = {
                owner: known[owner].claims if owner in known else 0 for owner in rest[start : start + BATCH]
            }
            taken = await world.store.take(some, CLAIM_SECONDS)
            part = _only(seen, taken - self._looked)
            try:
                await conclude_open_steps(world, part)
                await self._left(await note(world, part, Survey(), Result()))
                self._tell_remarks(part)
                looks = []
                for owner, row in part.rows.items():
                    work = known.get(owner, Work(owner, 0))
                    edge = next_edge(row.accepted.intent, world.directory, at)
                    if owner not in known or (edge is not None and (work.due is None or edge < work.due)):
                        looks.append(replace(work, due=edge, why=BOUNDARY))
                await world.store.looked(looks)
            finally:
                await world.store.let_go(taken)
                self._wake.set()  # for those that could not be claimed meanwhile

    # Work

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            nap = KEEP_SECONDS if self.loop.shared else NAP_SECONDS
            await self.loop.until(self._wake, min(await self._begin_looks(), nap))

    async def _begin_looks(self) -> float:
        """Begin looks at what is due; in how many seconds to look again."""
        loop, store = self.loop, self.loop.force.world.store
        now = loop.force.world.now()
        if now < self._clock:
            self.sweep()  # it was set back: what was due just then is far ahead now
        self._clock = now
        if rest := self._rest_left(now):
            return rest
        self._taken_elsewhere = False
        while len(self._passes) < PASSES and await self._begin_look(now):
            pass
        later = await store.next_due(self.name, now)
        seconds = (later - now).total_seconds() if later is not None else NAP_SECONDS
        return min(seconds, KEEP_SECONDS) if self._taken_elsewhere else seconds

    async def _begin_look(self, now: datetime) -> bool:
        """Begin a look at some of what is due; whether there was something."""
        loop, world = self.loop, self.loop.force.world
        due = await world.store.count_due(self.name, now)
        count = await world.store.count(self.name) if due > FEW else 0
        whole = due > FEW and due > SWEEP_FROM * count
        most = BATCH
        if whole:  # of those that are looked at all together, others get their part
            most = max(BATCH, -(-count // 2)) if loop.shared else due
        each = SHARE if len(self._passes) == PASSES - 1 else ANY_NUMBER
        asked_at = time.monotonic()
        batch = await world.store.claim(self.name, now, most, CLAIM_SECONDS, each) if due else []
        # Ours that ran out, while the store could not be asked to keep them, may be under way still.
        batch = [work for work in batch if work.owner not in loop.busy]
        if not batch:
            self._taken_elsewhere = due > 0
            return False
        loop.claimed(asked_at)
        owners = frozenset(work.owner for work in batch)
        loop.busy |= owners
        try:
            async with loop.accepting:
                force = loop.force
                found = await force.world.store.rows(owners)
                rows = [force.standing(row) for row in found]
                stands = await force.stands()
        except BaseException:
            loop.busy -= owners
            with suppress(StoreError):  # they run out
                await world.store.let_go(owners)
            raise
        if not stands:
            loop.busy -= owners
            await force.world.store.let_go(owners)
            return False
        self._begin_pass(force, batch, owners, rows, whole=whole and len(batch) > FEW)
        return True

    def _begin_pass(
        self,
        force: Force,
        batch: Sequence[Work],
        owners: frozenset[Owner],
        rows: list[OwnerRow],
        *,
        whole: bool,
    ) -> None:
        loop = self.loop
        self._looked |= owners
        pass_id, now = loop.new_pass_id(), force.world.now()
        for work in batch:
            loop.due_since.setdefault(work.owner, min(work.due or now, now))

        def tried(step: Step, outcome: Outcome) -> None:
            loop.told(Stepped(step, outcome, pass_id))

        run = Pass(force.world, force.commit, tried, self._reads, id=pass_id, owners=owners)

        def ended(task: asyncio.Task[None]) -> None:
            loop.busy -= owners
            self._passes.discard(task)
            if again := self._taken & owners:
                self._taken -= again
                self._heard |= again
                self._hint.set()
            self._wake.set()

        self._reads(owners)
        task = loop.begin(run, self._look(run, batch, rows, whole=whole))
        self._passes.add(task)
        task.add_done_callback(ended)

    async def _look(self, run: Pass, batch: Sequence[Work], rows: list[OwnerRow], *, whole: bool) -> None:
        PASS_ID.set(run.id)
        named = tuple(work.owner for work in batch[:TOLD_OWNERS])
        why = tuple(dict.fromkeys(work.why for work in batch))
        self.loop.told(Looking(run.id, run.commit, self.name, named, len(batch), why))
        try:
            await self._look_at(run, batch, rows, whole=whole)
        except Exception as error:
            self.loop.told(Failed(f"a look at {self.name}", *_words(error)))
            self._rest(error)
        finally:
            with suppress(StoreError):  # they run out
                await run.world.store.let_go(run.owners)

    async def _look_at(self, run: Pass, batch: Sequence[Work], rows: list[OwnerRow], *, whole: bool) -> None:
        loop, world = self.loop, run.world
        began = world.now()
        first = await survey(world, rows, sweep=whole)
        self._calm_down(batch, first, began)
        is_there = self._is_there(first)
        if is_there and first.steps:
            converged = await run.carry_out(first)
            is_there = self._is_there(converged.after)
        else:
            if run.given_up:
                return
            await conclude_open_steps(world, first)
            converged = Converged(after=first, gone=await note(world, first, Survey(), Result()))
        await self._left(converged.gone)
        self._tell_remarks(converged.after, first)
        for fight in converged.fights:
            loop.told(Fought(fight.owner, fight.key, len(fight.repairs), WITHIN.seconds))
        if is_there and not run.stopped:
            self._taken -= {owner for owner, plan in converged.after.plans.items() if not plan.steps}
            await world.store.looked(looks := next_looks(world, batch, rows, first, converged))
            self._tell_settled(run, batch, first, converged, looks)

    def _tell_settled(
        self, run: Pass, batch: Sequence[Work], first: Survey, converged: Converged, looks: Sequence[Work]
    ) -> None:
        """Tell who is as it shall be now, where there was something to do or to wait for."""
        now, due_since = run.world.now(), self.loop.due_since
        waiting = {look.owner for look in looks if look.attempts}
        for work in batch:
            if work.owner in waiting:
                continue
            since = due_since.pop(work.owner, now)
            before, after = first.plans.get(work.owner), converged.after.plans.get(work.owner)
            if after is None or not after.holds or work.owner in converged.gone:
                continue
            if work.attempts or (before is not None and before.steps):
                self.loop.told(Settled(run.id, work.owner, max((now - since).total_seconds(), 0.0)))

    def _calm_down(self, batch: Sequence[Work], first: Survey, began: datetime) -> None:
        """Keep hints back for a while of those who have nothing to be mended."""
        now = self.loop.force.world.now()
        took = (now - began).total_seconds()
        until = now + timedelta(seconds=min(max(took, CALM_SECONDS), LONGEST_CALM_SECONDS))
        for work in batch:
            plan = first.plans.get(work.owner)
            if plan is not None and plan.steps:
                self._calm.pop(work.owner, None)
            else:
                self._calm[work.owner] = until

    def _tell_remarks(self, *seen: Survey) -> None:
        """Tell what is remarked of an owner now and was not when it was looked at last."""
        for owner, row in seen[-1].rows.items():
            known = set(row.status.remarks)
            for remark in dict.fromkeys(
                r for one in seen if owner in one.plans for r in one.plans[owner].remarks
            ):
                if remark not in known and remark.code != FIGHT:
                    self.loop.told(Remarked(remark))

    async def _left(self, gone: Sequence[Owner]) -> None:
        """Tell who is gone; what a workspace shares may go, too, once its tenants did."""
        for owner in gone:
            self.loop.told(Gone(owner))
        shared = {WorkspaceOn(o.platform, o.workspace) for o in gone if isinstance(o, Tenant)}
        await self.loop.mark(shared, "a tenant of the workspace is gone")

    # What stands in the way

    def _is_there(self, seen: Survey) -> bool:
        """Whether the platform could be read; what changes about it is told."""
        error = seen.unavailable.get(self.name)
        if error is not None:
            self._rest(error)
            if not self._away:
                self._away = True
                self.loop.told(Away(self.name, str(error), error.advice))
            return False
        if seen.observations:
            self._rest(None)
            if self._away:
                self._away = False
                self.loop.told(Back(self.name))
                self._wake.set()
        return True

    def _rest(self, error: Exception | None) -> None:
        """Begin no look for a while after an error, longer each time; None: all is well."""
        now = self.loop.force.world.now()
        if error is None:
            self._failures, self._rests_until = 0, None
        elif not self._rest_left(now):  # else several looks fail by one cause
            pause = min(backoff(self._failures), LONGEST_REST_SECONDS)
            self._rests_until = now + timedelta(seconds=pause)
            self._failures += 1

    def _rest_left(self, now: datetime) -> float:
        """Seconds until a look may begin; none, too, where the clock was set back since."""
        left = (self._rests_until - now).total_seconds() if self._rests_until else 0.0
        return left if 0 < left <= LONGEST_REST_SECONDS else 0.0


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(event: asyncio.Event, seconds: float, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Wait for an event, but no longer than so many seconds."""
    waits = [asyncio.ensure_future(sleep(max(seconds, 0.0))), asyncio.ensure_future(event.wait())]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in done:
            wait.result()
    finally:
        for wait in waits:
            wait.cancel()


def _only(seen: Survey, owners: Collection[Owner]) -> Survey:
    """What was seen of these owners."""
    return replace_fields(
        seen,
        rows={owner: seen.rows[owner] for owner in owners},
        plans={owner: seen.plans[owner] for owner in owners if owner in seen.plans},
    )


def _first(error: BaseException) -> BaseException:
    """What went wrong, where several things were under way."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _words(error: BaseException) -> tuple[str, str]:
    """What to tell people of an error, and what they can do. A text that nobody vouches for stays out."""
    error = _first(error)
    if isinstance(error, StoreError | PlatformUnavailable):
        return str(error), error.advice
    return f"{type(error).__name__}, a mistake of Hanse's own", "it is tried again; please report it"
