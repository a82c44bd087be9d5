"""Note what a look found: statuses, convergences, owners that are gone, and what became of open steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from hanse.apply import Result
from hanse.foundation.canonical import encode
from hanse.journal.events import Event, OwnerConverged, OwnerGone
from hanse.journal.record import concluded
from hanse.model import Done, NotYet, Outcome, Owner, Unsure, owner_of
from hanse.observed import Observation
from hanse.plan import Plan, happened, mark_of
from hanse.plan.fights import FIGHT
from hanse.ports.store import OwnerRow, Status
from hanse.reconcile.survey import Survey, World

KEPT = ("deletion-waits", "not-empty")
"""Remarks of things that an owner which left still has, though nothing can be done about them now."""


async def conclude_open_steps(world: World, seen: Survey) -> None:
    """Tell what became of steps of these owners that an earlier pass began and did not live to conclude."""
    events: list[Event] = []
    for digest, step in await world.store.open_steps():
        observation = seen.observations.get(step.owner.platform)
        if (
            observation is None
            or step.owner not in seen.plans
            or not observation.covers(step.owner)
            or step.kind in observation.incomplete
        ):
            continue
        kinds = {spec.name: spec for spec in world.platforms[step.owner.platform].describe().kinds}
        if happened(step, observation, kinds):
            outcome: Outcome = Done(observation.natives.get(step.key, ""))
        else:
            outcome = NotYet(0.0, "it did not happen")
        events.append(concluded(digest, step.owner, outcome, looked_up=True))
    if events:
        await world.store.append(events, world.now())


async def note(
    world: World, first: Survey, seen: Survey, result: Result, stopped: Collection[Owner] = ()
) -> tuple[Owner, ...]:
    """Write what holds now, and answer which owners are gone. `seen` is what was read back after the steps.

    `stopped` are owners whose steps were broken off.
    """
    events: list[Event] = []
    statuses: dict[Owner, Status] = {}
    gone: dict[Owner, str] = {}
    """With what they left with."""
    ours = marks(world, result)
    failures = {step.owner: _words(came) for step, came in result.outcomes if not isinstance(came, Done)}
    async with world.accepting:
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
            if _is_gone(row, observation):
                if digest := await _left_with(world, row):
                    gone[owner] = digest
                    events.append(OwnerGone(owner))
                continue
            status, holds = _status(row, plan, observation, done, failures.get(owner, ""))
            if holds:
                digest = row.accepted.intent.digest
                if row.status.applied != digest or first.plans[owner].steps:
                    events.append(OwnerConverged(owner, digest, world.directory_digest))
                # Not the instant of writing it: a grant that ended in between is still to be looked after.
                at = latest.compiled_at[owner.platform]
                status = replace(status, applied=digest, directory=world.directory_digest, applied_at=at)
            statuses[owner] = status
        await world.store.append(events, world.now())
        # A revocation makes intents that no acceptance brought; they are kept to be compared with later.
        blobs = {
            first.rows[o].accepted.intent.digest: encode(first.rows[o].accepted.intent) for o in statuses
        }
        await world.store.record(statuses, gone, blobs if world.revoked else {})
    return tuple(gone)


def _status(
    row: OwnerRow, plan: Plan, observation: Observation, done: tuple[str, ...], failure: str
) -> tuple[Status, bool]:
    """What was found of an owner, and whether it holds what is accepted of it."""
    blocked = next((remark.message for remark in plan.remarks if remark.blocking), "")
    kept = next((remark.message for remark in plan.remarks if remark.code in KEPT), "")
    fought = next((remark.message for remark in plan.remarks if remark.code == FIGHT), "")
    unread = "; ".join(f"{kind}: {why}" for kind, why in sorted(observation.incomplete.items()))
    # What was not read may hold what nobody asked for.
    holds = plan.holds and not unread
    waits = failure or blocked or unread or fought or "is to be changed at the next pass"
    status = replace(
        row.status,
        observed_at=observation.taken_at,
        steps_left=len(plan.steps) + len(plan.withheld),
        ours=() if holds else done,
        waits=kept if holds else waits,
        remarks=plan.remarks,
    )
    return status, holds


def _is_gone(row: OwnerRow, observation: Observation) -> bool:
    """Whether nothing is left of an owner that left."""
    owner = row.owner
    if not row.accepted.intent.left_at or observation.of(owner) or observation.incomplete:
        return False
    return not any(owner_of(key, owner.platform) == owner for key, _ in observation.twins)


async def _left_with(world: World, row: OwnerRow) -> str:
    """What is accepted of an owner that leaves; empty if something else was accepted while it was looked at."""
    now = await world.store.owner(row.owner)
    leaves = now is not None and now.accepted.intent.left_at == row.accepted.intent.left_at
    return now.accepted.intent.digest if now is not None and leaves else ""


def marks(world: World, result: Result) -> Mapping[Owner, list[str]]:
    """By owner, what was made or taken away."""
    found: dict[Owner, list[str]] = {}
    for step, came in result.outcomes:
        if isinstance(came, Done | Unsure):
            kinds = {k.name: k for k in world.platforms[step.owner.platform].describe().kinds}
            found.setdefault(step.owner, []).append(mark_of(step, kinds))
    return found


def _words(outcome: Outcome) -> str:
    return "" if isinstance(outcome, Done) else outcome.reason
