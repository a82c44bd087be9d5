"""When an owner is to be looked at again, after a look: at what waits, and at what begins or ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from hanse.apply import Result
from hanse.desired.intent import Directory, Intent
from hanse.model import Key, NotYet, Owner, Refused
from hanse.plan import Plan
from hanse.ports.store import OwnerRow, Work
from hanse.reconcile.passes import Converged
from hanse.reconcile.survey import Survey, World

BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Between looks at what waits, by their number."""
BOUNDARY = "a grant begins or ends, or a fight is over"


def next_edge(intent: Intent, directory: Directory, after: datetime) -> datetime | None:
    """When the next grant that gives somebody something begins or ends; None: nothing more will."""
    if intent.left_at:
        return None
    edges = (
        edge
        for term in intent.grants
        for edge in (term.start, term.end)
        if edge is not None and edge > after and directory.members(term.subject_kind, term.subject)
    )
    return min(edges, default=None)


def next_looks(
    world: World, batch: Sequence[Work], rows: Sequence[OwnerRow], first: Survey, converged: Converged
) -> list[Work]:
    """When to look at each of these owners again, and why."""
    now = world.now()
    looks: list[Work] = []
    intents = {row.owner: row.accepted.intent for row in rows}
    asked = _asked(converged.result)
    refused = {step.key for step, outcome in converged.result.outcomes if isinstance(outcome, Refused)}
    for work in batch:
        owner = work.owner
        if owner not in intents or owner in converged.gone:
            continue
        incomplete = any(converged.after.observations[owner.platform].incomplete)
        waits = owner in asked or incomplete or _goes_on(converged.after.plans[owner], refused)
        attempts = work.attempts + 1 if waits else 0
        times = [
            # Not after the instant of now: what began or ended during the look was not looked at.
            next_edge(intents[owner], world.directory, first.compiled_at[owner.platform]),
            world.fights.next_look(owner, now),
        ]
        if waits:
            times.append(now + timedelta(seconds=max(asked.get(owner, 0.0), backoff(work.attempts))))
        due = min((time for time in times if time is not None), default=None)
        why = "it is tried again" if waits else BOUNDARY
        looks.append(replace(work, due=due, attempts=attempts, why=why))
    return looks


def _asked(result: Result) -> dict[Owner, float]:
    """By owner, after how many seconds a platform asked to be tried again."""
    asked: dict[Owner, float] = {}
    for step, outcome in result.outcomes:
        if isinstance(outcome, NotYet):
            asked[step.owner] = max(asked.get(step.owner, 0.0), outcome.retry_after)
    return asked


def _goes_on(plan: Plan, refused: Collection[Key]) -> bool:
    """Whether trying again may help: something is left that was not refused, and hangs on nothing that was."""
    return any(
        step.key not in refused and not any(key in refused for key in step.needs) for step in plan.steps
    )


def backoff(attempts: int) -> float:
    """Seconds until the next try, after so many."""
    return BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS) - 1)]
