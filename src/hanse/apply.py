"""Carry out plans: journal what is meant, do it, journal what came of it.

Nothing is decided here. Steps run as soon as what they need is done, as many at once as the platforms' budgets
let through; a step that is not possible yet is tried again until patience ends; what hangs on a step that failed
is left for the next pass.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from hanse.journal.events import Event, StepIntended
from hanse.journal.record import concluded, step_digest
from hanse.model import Done, Key, Native, NotYet, Outcome, Ref, Step, Unsure
from hanse.plan import Plan
from hanse.ports.platform import Platform
from hanse.ports.store import Store
from hanse.ports.transport import STEP_ID

Address = tuple[str, Key]
"""A key on a platform: unique over all plans of a pass."""
STEPS_PER_CALL = 2
"""Steps under way for each call that may be: while some are written into the journal, others are on their way."""
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


@dataclass(frozen=True)
class Setting:
    """What carrying out needs of the world."""

    platforms: Mapping[str, Platform]
    store: Store
    now: Callable[[], datetime]
    concurrency: int = 4
    """Calls under way at once, over all platforms; each platform's own budget holds to its part of them."""
    patience_seconds: float = 60.0
    """How long one step is tried again while the platform says not yet."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    told: Callable[[Step, Outcome], None] = lambda step, outcome: None
    """Called after each step, for progress."""


@dataclass
class Result:
    """What came of a set of plans."""

    outcomes: list[tuple[Step, Outcome]] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)
    """Not tried, since something they need did not happen or the pass was stopped."""

    def count(self, kind: type[Outcome]) -> int:
        """How many steps ended in that way."""
        return sum(isinstance(outcome, kind) for _, outcome in self.outcomes)


class Execution:
    """One run over some plans. `stop()` lets what is under way finish and begins nothing more."""

    def __init__(
        self, setting: Setting, plans: Iterable[Plan], natives: Mapping[str, Mapping[Key, str]]
    ) -> None:
        self._setting = setting
        self._natives: dict[Address, str] = {
            (platform, key): native for platform, many in natives.items() for key, native in many.items()
        }
        self._steps = {_address(step): step for plan in plans for step in plan.steps}
        self._blocked: dict[Address, set[Address]] = {}
        self._unblocks: dict[Address, list[Address]] = {}
        self._ready: deque[Address] = deque()
        self._under_way = 0
        self._wake = asyncio.Condition()
        self._scribe = _Scribe(setting.store, setting.now)
        self._stopping = asyncio.Event()
        self.result = Result()
        for address, step in self._steps.items():
            needs = {(step.owner.platform, key) for key in step.needs} & self._steps.keys()
            if needs:
                self._blocked[address] = needs
                for need in needs:
                    self._unblocks.setdefault(need, []).append(address)
            else:
                self._ready.append(address)

    def stop(self) -> None:
        """Begin no further step."""
        self._stopping.set()

    async def run(self) -> Result:
        """Do all that can be done. Never raises for what a platform answers."""
        workers = max(1, min(STEPS_PER_CALL * self._setting.concurrency, len(self._steps)))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        except ExceptionGroup as many:
            raise many.exceptions[0] from None  # such as a store that is full: told once, as what it is
        finally:
            await self._scribe.done()
        tried = {_address(step) for step, _ in self.result.outcomes}
        self.result.skipped = [step for address, step in self._steps.items() if address not in tried]
        return self.result

    async def _work(self) -> None:
        while (address := await self._next()) is not None:
            step = self._steps[address]
            await self._finished(address, step, await self._carry_out(step))

    async def _next(self) -> Address | None:
        async with self._wake:
            while not self._ready and self._under_way and not self._stopping.is_set():
                await self._wake.wait()
            if self._stopping.is_set() or not self._ready:
                self._wake.notify_all()
                return None
            self._under_way += 1
            return self._ready.popleft()

    async def _finished(self, address: Address, step: Step, outcome: Outcome) -> None:
        self.result.outcomes.append((step, outcome))
        ready = len(self._ready)
        if isinstance(outcome, Done):
            if outcome.native_id:
                self._natives[address] = outcome.native_id
            for later in self._unblocks.get(address, ()):
                self._blocked[later].discard(address)
                if not self._blocked[later]:
                    self._ready.append(later)
        self._under_way -= 1
        possible = len(self._ready) - ready
        self._setting.told(step, outcome)
        async with self._wake:
            if self._under_way and not self._stopping.is_set():
                self._wake.notify(possible)  # as many as there is work for: often hundreds wait
            else:
                self._wake.notify_all()

    async def _carry_out(self, step: Step) -> Outcome:
        resolved = self._resolved(step)
        if isinstance(resolved, NotYet):
            return resolved
        setting = self._setting
        mark = step_digest(step)
        STEP_ID.set(mark)
        await self._scribe.write(StepIntended(step, mark))
        outcome = await self._until_settled(setting.platforms[step.owner.platform], resolved)
        await self._scribe.write(concluded(mark, step.owner, outcome))
        return outcome

    async def _until_settled(self, platform: Platform, step: Step) -> Outcome:
        waited = 0.0
        for attempt in range(1_000):
            outcome = await _performed(platform, step)
            if not isinstance(outcome, NotYet) or self._stopping.is_set():
                return outcome
            pause = max(outcome.retry_after, BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
            if waited + pause > self._setting.patience_seconds:
                return outcome
            waited += pause
            await self._pause(pause)
        raise AssertionError("patience has no end")

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the run is stopped."""
        waits = [
            asyncio.ensure_future(self._setting.sleep(seconds)),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _resolved(self, step: Step) -> Step | NotYet:
        """The step with native ids in place of our keys."""
        after = dict(step.after)
        before = dict(step.before)
        for values in (after, before):
            for name, value in values.items():
                if isinstance(value, Ref):
                    native = self._natives.get((step.owner.platform, value.key))
                    if native is None and values is after:
                        return NotYet(30.0, f"waits for {value.key}")
                    values[name] = Native("", native or "", value.key.part)
        return replace(step, before=before, after=after)


class _Scribe:
    """Writes the events of steps into the journal: those that come while it writes go together in the next write."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._waiting: list[tuple[Event, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, event: Event) -> None:
        """Have an event written; it is durable when this returns. Raises as the store does."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((event, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await written

    async def done(self) -> None:
        """Wait for what is being written."""
        if self._writing is not None:
            await self._writing

    async def _write_all(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting, []
            error: Exception | None = None
            try:
                await self._store.append([event for event, _ in some], self._now())
            except Exception as raised:
                error = raised
            for _, written in some:
                if not written.done():
                    written.set_result(None) if error is None else written.set_exception(error)
        self._writing = None


async def _performed(platform: Platform, step: Step) -> Outcome:
    try:
        return await platform.perform(step)
    except Exception as error:
        # A platform answers with values. What it raises is a bug of its own, after which nothing is known; the
        # text stays out, since nobody vouches for what is in it.
        return Unsure(f"{type(error).__name__} inside the platform's own code, at {step.action} {step.kind}")


def _address(step: Step) -> Address:
    return (step.owner.platform, step.key)
