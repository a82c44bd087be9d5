"""One pass over a survey: carry out what it plans, look again, and note what holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from hanse.apply import Execution, Result, Setting
from hanse.foundation.canonical import encode
from hanse.journal.events import Event, OwnerConverged, OwnerGone, PassFinished, PassStarted
from hanse.journal.record import concluded
from hanse.model import Done, Key, NotYet, Outcome, Owner, Refused, Step, Unsure, owner_of
from hanse.plan import happened, mark_of
from hanse.ports.store import Status
from hanse.reconcile.survey import FEW, SWEEP_FROM, Survey, World, survey

ROUNDS = 3
"""How often a pass looks again and goes on, where a step made another possible."""
KEPT = ("deletion-waits", "not-empty")
"""Remarks of things that an owner which left still has, though nothing can be done about them now."""


@dataclass
class Converged:
    """What a pass came to."""

    result: Result = field(default_factory=Result)
    after: Survey = field(default_factory=Survey)
    """What is still to be done and said: of owners that were touched, what the read-back found."""
    gone: tuple[Owner, ...] = ()


@dataclass
class Pass:
    """One pass over a survey. `stop()` ends it cleanly after the steps under way."""

    world: World
    commit: str
    told: Callable[[Step, Outcome], None] = lambda step, outcome: None
    _execution: Execution | None = None
    _stopped: bool = False

    def stop(self) -> None:
        """Begin no further step; what was done is noted, the rest is left for the next pass."""
        self._stopped = True
        if self._execution is not None:
            self._execution.stop()

    async def carry_out(self, first: Survey, *, rounds: int = ROUNDS) -> Converged:
        """Do what the survey plans, read back, and go on where that made more possible."""
        world, store = self.world, self.world.store
        await self._conclude_open_steps(first)
        await store.append([PassStarted(self.commit, len(first.plans))], world.now())
        outcome = Converged(after=first)
        current, seen = first, Survey()
        touched = {owner for owner, plan in first.plans.items() if plan.steps}
        shown = {(step.owner, step.action, step.key) for plan in first.plans.values() for step in plan.steps}
        for _ in range(rounds):
            if not current.steps or self._stopped:
                break
            result = await self._execute(current, shown)
            outcome.result.outcomes += result.outcomes
            outcome.result.skipped = result.skipped
            if self._stopped:
                outcome.after = outcome.after.less(s for s, came in result.outcomes if isinstance(came, Done))
                break
            current = seen = await self._read_back(first, touched, outcome.result)
            outcome.after = outcome.after.then(seen)
            await self._conclude_open_steps(seen)
            again = (step for plan in current.plans.values() for step in plan.steps)
            if not result.count(Done) or not any((s.owner, s.action, s.key) in shown for s in again):
                break
        outcome.gone = await self._note(first, seen, outcome.result)
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
        marks = self._marks(result)
        rows = [  # what this pass did is no local change
            replace(row, status=replace(row.status, ours=(*row.status.ours, *marks.get(owner, ()))))
            for owner, row in first.rows.items()
            if owner in touched
        ]
        whole = all(observation.owners is None for observation in first.observations.values())
        sweep = whole and len(rows) > FEW and len(rows) > SWEEP_FROM * len(first.rows)
        return await survey(self.world, rows, sweep=sweep)

    async def _conclude_open_steps(self, seen: Survey) -> None:
        """Tell what became of steps that an earlier pass began and did not live to conclude."""
        events: list[Event] = []
        for digest, step in await self.world.store.open_steps():
            observation = seen.observations.get(step.owner.platform)
            if (
                observation is None
                or not observation.covers(step.owner)
                or step.kind in observation.incomplete
            ):
                continue
            kinds = {spec.name: spec for spec in self.world.platforms[step.owner.platform].describe().kinds}
            if happened(step, observation, kinds):
                outcome: Outcome = Done(observation.natives.get(step.key, ""))
            else:
                outcome = NotYet(0.0, "it did not happen")
            events.append(concluded(digest, step.owner, outcome, looked_up=True))
        if events:
            await self.world.store.append(events, self.world.now())

    async def _note(self, first: Survey, seen: Survey, result: Result) -> tuple[Owner, ...]:
        """Write what holds now: statuses, convergences, owners that are gone. `seen` is the last read-back."""
        world, now = self.world, self.world.now()
        events: list[Event] = []
        statuses: dict[Owner, Status] = {}
        gone: list[Owner] = []
        stopped = {step.owner for step, _ in result.outcomes} if self._stopped else set()
        stopped |= {step.owner for step in result.skipped} if self._stopped else set()
        ours = self._marks(result)
        failures = {step.owner: _words(came) for step, came in result.outcomes if not isinstance(came, Done)}
        for owner, row in first.rows.items():
            latest = seen if owner in seen.rows else first
            plan = latest.plans.get(owner)
            done = tuple(sorted({*row.status.ours, *ours.get(owner, ())}))
            if owner in stopped:
                waits = "the last pass was stopped before its end"
                statuses[owner] = replace(row.status, ours=done, waits=waits)
                continue
            if plan is None:
                error = latest.unavailable.get(owner.platform)
                statuses[owner] = replace(row.status, ours=done, waits=str(error or "was not read"))
                continue
            observation = latest.observations[owner.platform]
            intent = row.accepted.intent
            twins = any(owner_of(key, owner.platform) == owner for key, _ in observation.twins)
            if intent.left_at and not observation.of(owner) and not observation.incomplete and not twins:
                gone.append(owner)
                events.append(OwnerGone(owner))
                continue
            blocked = next((remark.message for remark in plan.remarks if remark.blocking), "")
            kept = next((remark.message for remark in plan.remarks if remark.code in KEPT), "")
            unread = "; ".join(f"{kind}: {why}" for kind, why in sorted(observation.incomplete.items()))
            # What was not read may hold what nobody asked for.
            holds = not plan.steps and not blocked and not unread
            status = replace(
                row.status,
                observed_at=observation.taken_at,
                steps_left=len(plan.steps),
                ours=() if holds else done,
                waits=kept
                if holds
                else failures.get(owner) or blocked or unread or "is to be changed at the next pass",
                remarks=plan.remarks,
            )
            if holds:
                digest = intent.digest
                if row.status.applied != digest or first.plans[owner].steps:
                    events.append(OwnerConverged(owner, digest, world.directory_digest))
                # Not the instant of writing it: a grant that ended in between is still to be looked after.
                at = latest.compiled_at[owner.platform]
                status = replace(status, applied=digest, directory=world.directory_digest, applied_at=at)
            statuses[owner] = status
        await world.store.append(events, now)
        # A revocation makes intents that no acceptance brought; they are kept to be compared with later.
        blobs = {
            first.rows[o].accepted.intent.digest: encode(first.rows[o].accepted.intent) for o in statuses
        }
        await world.store.record(statuses, gone, blobs if world.revoked else {})
        return tuple(gone)

    def _marks(self, result: Result) -> dict[Owner, list[str]]:
        """By owner, what was made or taken away."""
        found: dict[Owner, list[str]] = {}
        for step, came in result.outcomes:
            if isinstance(came, Done | Unsure):
                kinds = {k.name: k for k in self.world.platforms[step.owner.platform].describe().kinds}
                found.setdefault(step.owner, []).append(mark_of(step, kinds))
        return found


def _words(outcome: Outcome) -> str:
    return "" if isinstance(outcome, Done) else outcome.reason
