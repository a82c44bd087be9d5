"""One pass over a survey: carry out what it plans, look again, and note what holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from hanse.apply import Execution, Result, Setting
from hanse.journal.events import Event, FightNoticed, PassFinished, PassStarted
from hanse.model import Done, Key, NotYet, Outcome, Owner, Refused, Step, Unsure
from hanse.plan import Fight
from hanse.plan.fights import WITHIN
from hanse.reconcile.noting import conclude_open_steps, marks, note
from hanse.reconcile.survey import FEW, SWEEP_FROM, Survey, World, survey

ROUNDS = 3
"""How often a pass looks again and goes on, where a step made another possible."""


@dataclass
class Converged:
    """What a pass came to."""

    result: Result = field(default_factory=Result)
    after: Survey = field(default_factory=Survey)
    """What is still to be done and said: of owners that were touched, what the read-back found."""
    gone: tuple[Owner, ...] = ()
    fights: list[Fight] = field(default_factory=list)
    """Fights that were noticed now."""


@dataclass
class Pass:
    """One pass over a survey. `stop()` ends it cleanly after the steps under way."""

    world: World
    commit: str
    told: Callable[[Step, Outcome], None] = lambda step, outcome: None
    reads: Callable[[Collection[Owner]], None] = lambda owners: None
    """Called before owners are looked at again."""
    _execution: Execution | None = None
    stopped: bool = False
    id: str = ""
    """Names the pass in what is told of it."""
    owners: frozenset[Owner] = frozenset()
    """Whom it looks at, where they were claimed for it."""
    given_up: bool = False

    def stop(self) -> None:
        """Begin no further step; what was done is noted, the rest is left for the next pass."""
        self.stopped = True
        if self._execution is not None:
            self._execution.stop()

    def give_up(self) -> None:
        """As `stop`; nothing is noted either, since another process may look after these owners by now."""
        self.given_up = True
        self.stop()

    async def carry_out(self, first: Survey, *, rounds: int = ROUNDS) -> Converged:
        """Do what the survey plans, read back, and go on where that made more possible."""
        world, store = self.world, self.world.store
        await conclude_open_steps(world, first)
        await store.append([PassStarted(self.commit, len(first.plans))], world.now())
        outcome = Converged(after=first)
        current, seen = first, Survey()
        touched = {owner for owner, plan in first.plans.items() if plan.steps}
        shown = {(step.owner, step.action, step.key) for plan in first.plans.values() for step in plan.steps}
        for _ in range(rounds):
            if not current.steps or self.stopped:
                break
            result = await self._execute(current, shown)
            outcome.result.outcomes += result.outcomes
            outcome.result.skipped = result.skipped
            await self._count_repairs(first, result, outcome)
            if self.stopped:
                outcome.after = outcome.after.less(s for s, came in result.outcomes if isinstance(came, Done))
                break
            current = seen = await self._read_back(first, touched, outcome.result)
            outcome.after = outcome.after.then(seen)
            await conclude_open_steps(world, seen)
            again = (step for plan in current.plans.values() for step in plan.steps)
            if not result.count(Done) or not any((s.owner, s.action, s.key) in shown for s in again):
                break
        if not self.given_up:
            outcome.gone = await note(world, first, seen, outcome.result, self._broken_off(outcome.result))
        counts = {kind: outcome.result.count(kind) for kind in (Done, Refused, NotYet, Unsure)}
        waiting = counts[NotYet] + len(outcome.result.skipped)
        finished = PassFinished(self.commit, counts[Done], counts[Refused], waiting, counts[Unsure])
        await store.append([finished], world.now())
        await store.chain()
        return outcome

    async def _execute(self, survey_: Survey, shown: Collection[tuple[Owner, str, Key]]) -> Result:
        """Carry out what the survey plans, less what nobody was shown: that waits for the next pass."""
        world = self.world
        plans = [
            replace(plan, steps=tuple(s for s in plan.steps if (s.owner, s.action, s.key) in shown))
            for plan in survey_.plans.values()
        ]
        setting = Setting(
            world.platforms,
            world.store,
            world.now,
            world.concurrency,
            patience_seconds=world.patience_seconds,
            sleep=world.sleep,
            told=self.told,
        )
        natives = {name: seen.natives for name, seen in survey_.observations.items()}
        self._execution = Execution(setting, plans, natives)
        try:
            return await self._execution.run()
        finally:
            self._execution = None

    async def _read_back(self, first: Survey, touched: Collection[Owner], result: Result) -> Survey:
        self.reads(touched)
        done = marks(self.world, result)
        rows = [  # what this pass did is no local change
            replace(row, status=replace(row.status, ours=(*row.status.ours, *done.get(owner, ()))))
            for owner, row in first.rows.items()
            if owner in touched
        ]
        whole = all(observation.owners is None for observation in first.observations.values())
        sweep = whole and len(rows) > FEW and len(rows) > SWEEP_FROM * len(first.rows)
        return await survey(self.world, rows, sweep=sweep)

    async def _count_repairs(self, first: Survey, result: Result, outcome: Converged) -> None:
        world, now = self.world, self.world.now()
        noticed: list[Event] = []
        for step, came in result.outcomes:
            if isinstance(came, Done) and step.reason.cause == "local-change":
                kinds = {k.name: k for k in world.platforms[step.owner.platform].describe().kinds}
                fight = world.fights.repaired(step, kinds, first.rows[step.owner].accepted.intent, now)
                if fight is not None:
                    outcome.fights.append(fight)
                    noticed.append(FightNoticed(fight.owner, fight.key, len(fight.repairs), WITHIN.seconds))
        await world.store.append(noticed, now)

    def _broken_off(self, result: Result) -> set[Owner]:
        if not self.stopped:
            return set()
        return {step.owner for step in (*(step for step, _ in result.outcomes), *result.skipped)}
