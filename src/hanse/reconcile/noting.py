"""Note what a look found: statuses, convergences, owners that are gone, and what became of open steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from hanse.apply import Result
from hanse.foundation.canonical import encode
from hanse.journal.events import Event, OwnerConverged, OwnerGone
from hanse.journal.record import concluded
from hanse.model import Done, NotYet, Outcome, Owner, Refused, Remark, Unsure, owner_of
from hanse.observed import Observation
from hanse.plan import Plan, happened, mark_of
from hanse.plan.fights import FIGHT
from hanse.ports.store import OwnerRow, Status, remark_name
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
    failures = {step.owner: came for step, came in result.outcomes if not isinstance(came, Done)}
    async with world.accepting:
        for owner, row in first.rows.items():
            latest = seen if owner in seen.rows else first
            plan = latest.plans.get(owner)
            done = tuple(sorted({*row.status.ours, *ours.get(owner, ())}))
            if owner in stopped:
                waits = _Waits("stopped", "the last pass was stopped before its end")
                statuses[owner] = _told(replace(row.status, ours=done), waits, world.now())
                continue
            if plan is None:
                error = latest.unavailable.get(owner.platform)
                waits = _Waits("away", str(error or "was not read"), error.advice if error else "")
                statuses[owner] = _told(replace(row.status, ours=done), waits, world.now())
                continue
            observation = latest.observations[owner.platform]
            if _is_gone(row, observation):
                if digest := await _left_with(world, row):
                    gone[owner] = digest
                    events.append(OwnerGone(owner))
                continue
            status, waiting, holds = _status(row, plan, observation, done, failures.get(owner))
            status = _told(status, waiting, world.now())
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


class _Waits(NamedTuple):
    """What an owner waits for."""

    code: str
    message: str
    advice: str = ""


def _status(
    row: OwnerRow, plan: Plan, observation: Observation, done: tuple[str, ...], failure: Outcome | None
) -> tuple[Status, _Waits | None, bool]:
    """What was found of an owner, what it waits for, and whether it holds what is accepted of it."""
    unread = "; ".join(f"{kind}: {why}" for kind, why in sorted(observation.incomplete.items()))
    # What was not read may hold what nobody asked for.
    holds = plan.holds and not unread
    kept = next((_remarked(remark) for remark in plan.remarks if remark.code in KEPT), None)
    waits = kept if holds else _waits(plan, failure, unread)
    status = replace(
        row.status,
        observed_at=observation.taken_at,
        steps_left=len(plan.steps) + len(plan.withheld),
        ours=() if holds else done,
        remarks=plan.remarks,
    )
    return status, waits, holds


def _waits(plan: Plan, failure: Outcome | None, unread: str) -> _Waits:
    """What it waits for that does not hold: what came of its steps goes before what cannot be done."""
    if failure is not None and not isinstance(failure, Done):
        advice = failure.advice if isinstance(failure, Refused) else ""
        return _Waits(str(failure.__struct_config__.tag), failure.reason, advice)
    blocked = next((_remarked(remark) for remark in plan.remarks if remark.blocking), None)
    if blocked:
        return blocked
    if unread:
        return _Waits("unread", unread)
    fought = next((_remarked(remark) for remark in plan.remarks if remark.code == FIGHT), None)
    return fought or _Waits("next-pass", "is to be changed at the next pass")


def _remarked(remark: Remark) -> _Waits:
    return _Waits(remark.code, remark.message, remark.advice)


def _told(status: Status, waits: _Waits | None, at: datetime) -> Status:
    """The status with what it waits for, and since when that and its remarks are so."""
    code, message, advice = waits or _Waits("", "")
    names = [*([code] if code else []), *map(remark_name, status.remarks)]
    since = {name: status.since.get(name, at) for name in names}
    return replace(status, waits=message, waits_code=code, advice=advice, since=since)


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
