"""One pass: look at the platforms, plan per owner, carry out, look again, and note what holds.

A pass converges owners to what is accepted of them; it does not know where that came from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from hanse.accept import Differences, deletion_subject
from hanse.apply import Execution, Result, Setting
from hanse.desired.compiled import Compiled, Problem
from hanse.desired.intent import Directory, Intent
from hanse.desired.source import document_source
from hanse.foundation.canonical import encode
from hanse.journal.events import Event, OwnerConverged, OwnerGone, PassFinished, PassStarted
from hanse.journal.record import concluded
from hanse.model import (
    Approval,
    Cause,
    Done,
    Find,
    Key,
    KindSpec,
    NotYet,
    Outcome,
    Owner,
    Refused,
    Remark,
    Resource,
    Step,
    Unsure,
    owner_of,
)
from hanse.observed import Observation
from hanse.plan import Plan, Rules, happened, make, mark_of
from hanse.ports.platform import Platform, PlatformUnavailable, Scope
from hanse.ports.store import OwnerRow, Status, Store

T = TypeVar("T")
ROUNDS = 3
"""How often a pass looks again and goes on, where a step made another possible."""
KEPT = ("deletion-waits", "not-empty")
"""Remarks of things that an owner which left still has, though nothing can be done about them now."""
FEW = 50
"""Owners that are read one by one whatever their share."""
SWEEP_FROM = 0.2
"""Share of a platform's owners from which one sweep is cheaper than reading them one by one."""


class People:
    """Directories of earlier convergences, each read and compared once in a pass."""

    def __init__(self) -> None:
        self._directories: dict[str, Directory | None] = {}
        self._differences: dict[str, Differences] = {}

    async def directory(self, store: Store, digest: str) -> Directory | None:
        """The directory with that digest, if it was kept."""
        if digest not in self._directories:
            self._directories[digest] = await _content(store, digest, Directory)
        return self._directories[digest]

    async def differ(self, world: World, row: OwnerRow) -> bool:
        """Whether people or groups that concern an owner are not those that it was last converged with."""
        digest = row.status.directory
        if digest == world.directory_digest or not digest:
            return not digest
        if digest not in self._differences:
            was = await self.directory(world.store, digest)
            self._differences[digest] = Differences(was or Directory(), world.directory)
        differences = self._differences[digest]
        intent = row.accepted.intent
        return differences.concern(intent.grants) or any(
            o.user in differences.people for o in intent.operators
        )


@dataclass(frozen=True)
class World:
    """All that a pass works on."""

    platforms: Mapping[str, Platform]
    store: Store
    now: Callable[[], datetime]
    directory: Directory
    directory_digest: str
    approvals: Mapping[str, Approval]
    concurrency: int = 4
    revoked: frozenset[str] = frozenset()
    """Grants that a revocation takes away, as `desired.source` names them."""
    past: People = field(default_factory=People)
    """Directories that owners were converged with."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    patience_seconds: float = 60.0
    """How long one step is tried again while its platform says not yet."""


@dataclass(frozen=True, order=True)
class Inherited:
    """One grant on a scope above ours, by which people reach what is ours."""

    platform: str
    grant: str
    """As the platform calls it, such as `domain Default`."""
    role: str
    principals: int
    owners: int


@dataclass
class Survey:
    """What was seen, and what is to be done about it."""

    rows: dict[Owner, OwnerRow] = field(default_factory=dict)
    plans: dict[Owner, Plan] = field(default_factory=dict)
    observations: dict[str, Observation] = field(default_factory=dict)
    unavailable: dict[str, PlatformUnavailable] = field(default_factory=dict)
    """Platforms that could not be read at all."""
    strays: tuple[Owner, ...] = ()
    """Owners whose marked things are there, though nothing is accepted of them (sweeps only)."""
    inherited: tuple[Inherited, ...] = ()
    """Access from scopes that are not ours: told, never touched."""
    compiled_at: dict[str, datetime] = field(default_factory=dict)
    """By platform, the instant whose grants in force were planned."""

    @property
    def steps(self) -> int:
        """How many steps are planned."""
        return sum(len(plan.steps) for plan in self.plans.values())

    def remarks(self) -> list[Remark]:
        """Of all owners."""
        return [remark for plan in self.plans.values() for remark in plan.remarks]

    def is_blocked(self) -> bool:
        """Whether something could not be seen, or is declared and cannot be reached by any step."""
        return bool(self.unavailable or self.unread()) or any(remark.blocking for remark in self.remarks())

    def unread(self) -> list[tuple[str, str, str]]:
        """What could not be read: platform, kind, why."""
        return [
            (name, kind, why)
            for name, observation in sorted(self.observations.items())
            for kind, why in sorted(observation.incomplete.items())
        ]

    def then(self, later: Survey) -> Survey:
        """The same picture, with what was looked at later in its place."""
        return replace_fields(
            self,
            plans=self.plans | later.plans,
            unavailable=self.unavailable | later.unavailable,
            observations=self.observations | later.observations,
        )

    def less(self, done: Iterable[Step]) -> Survey:
        """The same picture without the steps that were done since."""
        over = {(step.owner, step.key) for step in done}
        plans = {
            owner: replace(plan, steps=tuple(s for s in plan.steps if (s.owner, s.key) not in over))
            for owner, plan in self.plans.items()
        }
        return replace_fields(self, plans=plans)


async def survey(world: World, rows: Sequence[OwnerRow], *, sweep: bool) -> Survey:
    """Look at the platforms of these owners and plan each owner. With `sweep`, whole platforms are read at once."""
    by_platform: dict[str, list[OwnerRow]] = {}
    for row in rows:
        by_platform.setdefault(row.owner.platform, []).append(row)
    result = Survey(rows={row.owner: row for row in rows})
    parts = await asyncio.gather(
        *(_survey_platform(world, name, some, sweep=sweep) for name, some in sorted(by_platform.items()))
    )
    for part in parts:
        result.plans.update(part.plans)
        result.observations.update(part.observations)
        result.unavailable.update(part.unavailable)
        result.strays += part.strays
        result.compiled_at.update(part.compiled_at)
        result.inherited += part.inherited
    return result


async def _survey_platform(world: World, name: str, rows: Sequence[OwnerRow], *, sweep: bool) -> Survey:
    platform = world.platforms.get(name)
    if platform is None:
        advice = "declare it again until nothing of it is left"
        return Survey(
            unavailable={name: PlatformUnavailable(f"the platform {name} is not declared any more", advice)}
        )
    now = world.now()
    compiled = {r.owner: platform.compile(r.accepted.intent, world.directory, now) for r in rows}
    applied = {row.owner: await _applied(world, platform, row, compiled[row.owner], now) for row in rows}
    scope = Scope(
        None if sweep else tuple(compiled),
        _finds(compiled.values()) | _finds(c for c in applied.values() if c is not None),
        tuple(_wanted(compiled, applied)),
    )
    try:
        observation = await platform.observe(scope)
    except PlatformUnavailable as error:
        return Survey(unavailable={name: error})
    kinds = {spec.name: spec for spec in platform.describe().kinds}
    plans: dict[Owner, Plan] = {}
    for row in rows:
        rules = _rules(world, row, kinds)
        if any(problem.severity == "error" for problem in compiled[row.owner].problems):
            plan = Plan(row.owner)
        else:
            plan = make(compiled[row.owner], observation, rules, applied[row.owner])
        told = tuple(_remark(row.owner, problem) for problem in compiled[row.owner].problems)
        plans[row.owner] = replace(plan, remarks=plan.remarks + told) if told else plan
    strays = tuple(sorted(set(observation.resources) - set(compiled), key=str)) if sweep else ()
    inherited = _inherited(name, platform, observation) if observation.foreign else ()
    return Survey(
        plans=plans,
        observations={name: observation},
        strays=strays,
        inherited=inherited,
        compiled_at={name: now},
    )


def _inherited(name: str, platform: Platform, observation: Observation) -> tuple[Inherited, ...]:
    people: dict[tuple[str, str], tuple[set[str], set[Owner]]] = {}
    for access in platform.access(observation):
        if access.via == "inherited":
            principals, owners = people.setdefault((access.grant, access.role), (set(), set()))
            principals.add(access.principal)
            owners.add(access.owner)
    return tuple(
        sorted(Inherited(name, *grant, len(who), len(where)) for grant, (who, where) in people.items())
    )


async def _applied(
    world: World, platform: Platform, row: OwnerRow, compiled: Compiled, now: datetime
) -> Compiled | None:
    """What held when the owner was last converged, in the platform's kinds; None if it never was."""
    status, intent = row.status, row.accepted.intent
    if not status.applied or status.applied_at is None:
        return None
    same_people = not await world.past.differ(world, row)
    if status.applied == intent.digest and same_people and not has_new_hour(row, now):
        return compiled
    was = await _content(world.store, status.applied, Intent)
    people = world.directory if same_people else await world.past.directory(world.store, status.directory)
    # What is not known any more is not guessed at: then nothing is called a local change.
    return platform.compile(was, people, status.applied_at) if was and people else None


async def _content(store: Store, digest: str, kind: type[T]) -> T | None:
    blob = await store.blob(digest)
    return msgspec.json.decode(blob, type=kind) if blob else None


def has_new_hour(row: OwnerRow, now: datetime) -> bool:
    """Whether a grant began or ended since the owner was last converged."""
    since = row.status.applied_at
    edges = (edge for term in row.accepted.intent.grants for edge in (term.start, term.end))
    return since is not None and any(edge is not None and since < edge <= now for edge in edges)


def _rules(world: World, row: OwnerRow, kinds: Mapping[str, KindSpec]) -> Rules:
    intent = row.accepted.intent
    subject = deletion_subject(intent) if intent.left_at else ""
    return Rules(
        kinds,
        roll_back=intent.local_changes == "rollback",
        may_delete=bool(intent.left_at) and (intent.deletion == "automatic" or subject in world.approvals),
        deletion_advice=f"`hanse approve {subject[:12]}` lets it be deleted" if subject else "",
        changed=_why(world, row),
        revoked=world.revoked,
        ours=frozenset(row.status.ours),
        left=(_declaration(intent),) if intent.left_at else (),
        awaited=frozenset(
            remark.about for remark in row.status.remarks if remark.code.startswith("unknown-")
        ),
    )


def _declaration(intent: Intent) -> str:
    if intent.project:
        return document_source("Project", intent.workspace, intent.project)
    return document_source("Workspace", intent.workspace)


def _why(world: World, row: OwnerRow) -> Cause:
    intent, status = row.accepted.intent, row.status
    if intent.left_at:
        return "left"
    if status.applied != intent.digest:
        return "declared"
    return "directory" if status.directory != world.directory_digest else "expired"


def _finds(many: Iterable[Compiled]) -> frozenset[Find]:
    finds: set[Find] = set()
    for compiled in many:
        for resource in (*compiled.resources, *compiled.tolerated):
            for value in resource.attributes.values():
                if type(value) is Find:
                    finds.add(value)
    return frozenset(finds)


def _wanted(
    compiled: Mapping[Owner, Compiled], applied: Mapping[Owner, Compiled | None]
) -> Iterable[Resource]:
    """Things to look for by name: what is wanted of each owner, then what it had and shall have no more."""
    for owner, one in compiled.items():
        yield from one.resources
        was = applied[owner]
        if was is not None and was is not one:
            keys = {resource.key for resource in one.resources}
            yield from (resource for resource in was.resources if resource.key not in keys)


def _remark(owner: Owner, problem: Problem) -> Remark:
    return Remark(
        owner, problem.code, problem.message, problem.advice, problem.source, problem.severity == "error"
    )


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
