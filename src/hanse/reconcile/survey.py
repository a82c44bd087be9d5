"""Look at the platforms and plan each owner: what is there, what is to be done about it, and what cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from hanse.accept import Differences, deletion_subject
from hanse.desired.compiled import Compiled, Problem
from hanse.desired.intent import Directory, Intent
from hanse.desired.source import document_source
from hanse.model import (
    Approval,
    Cause,
    Find,
    KindSpec,
    Owner,
    Remark,
    Resource,
    Step,
)
from hanse.observed import Observation
from hanse.plan import Fights, Plan, Rules, make
from hanse.ports.platform import Platform, PlatformUnavailable, Scope, Sweeps
from hanse.ports.store import OwnerRow, Store

T = TypeVar("T")
FEW = 50
"""Owners that are read one by one whatever their share."""
SWEEP_FROM = 0.2
"""Share of a platform's owners from which one sweep is cheaper than reading them one by one."""
TURN = 100
"""Owners that are compiled or planned before others have their turn: some milliseconds."""


class People:
    """Directories of earlier convergences, each read and compared once."""

    def __init__(self) -> None:
        self._directories: dict[str, Directory | None] = {}
        self._differences: dict[str, Differences] = {}

    async def directory(self, store: Store, digest: str) -> Directory | None:
        """The directory with that digest, if it was kept."""
        if digest not in self._directories:
            self._directories[digest] = await _content(store, digest, Directory)
        return self._directories[digest]

    def forget(self) -> None:
        """Let go of all of them; they are read again where they are needed."""
        self._directories.clear()
        self._differences.clear()

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
    fights: Fights = field(default_factory=Fights)
    """What was repaired of late."""
    accepting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while what is accepted changes, and while somebody relies on it not to change."""


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
    compiled: dict[Owner, Compiled] = {}
    applied: dict[Owner, Compiled | None] = {}
    causes: dict[Owner, Cause] = {}

    async def scope() -> Scope:
        for number, row in enumerate(rows):
            await _let_others_work(number)
            compiled[row.owner] = _compiled(platform, row.accepted.intent, world.directory, now)
            same = row.status.applied == row.accepted.intent.digest
            causes[row.owner] = _why(world, row, same)
            applied[row.owner] = await _applied(
                world, platform, row, compiled[row.owner] if same else None, now
            )
        earlier = {o: was for o, was in applied.items() if was is not None and was is not compiled[o]}
        return Scope(
            None if sweep else tuple(compiled),
            _finds(compiled.values()) | _finds(earlier.values()),
            tuple(_wanted(compiled, earlier)),
        )

    try:
        if sweep and isinstance(platform, Sweeps):
            observation = await _ahead(platform, scope())
        else:
            observation = await platform.observe(await scope())
    except PlatformUnavailable as error:
        return Survey(unavailable={name: error})
    kinds = {spec.name: spec for spec in platform.describe().kinds}
    plans: dict[Owner, Plan] = {}
    for number, row in enumerate(rows):
        await _let_others_work(number)
        rules = _rules(world, row, kinds, causes[row.owner])
        if any(problem.severity == "error" for problem in compiled[row.owner].problems):
            plan = Plan(row.owner)
        else:
            plan = make(compiled[row.owner], observation, rules, applied[row.owner])
            plan = world.fights.restrain(plan, kinds, row.accepted.intent, now)
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


async def _ahead(platform: Sweeps, scope: Coroutine[None, None, Scope]) -> Observation:
    """Read while the scope is worked out."""
    coming = asyncio.ensure_future(scope)
    try:
        return await platform.sweep(coming)
    finally:
        coming.cancel()


async def _let_others_work(number: int) -> None:
    """So that a sweep of many owners holds up nobody who has a repair to make."""
    if number % TURN == TURN - 1:
        await asyncio.sleep(0)


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
    world: World, platform: Platform, row: OwnerRow, same: Compiled | None, now: datetime
) -> Compiled | None:
    """What held when the owner was last converged, in the platform's kinds; None if it never was.

    `same` is what its intent means now, if it was that intent.
    """
    status = row.status
    if not status.applied or status.applied_at is None:
        return None
    same_people = not await world.past.differ(world, row)
    if same is not None and same_people and not has_new_hour(row, now):
        return same
    was = await _content(world.store, status.applied, Intent)
    people = world.directory if same_people else await world.past.directory(world.store, status.directory)
    # What is not known any more is not guessed at: then nothing is called a local change.
    return platform.compile(was, people, status.applied_at) if was and people else None


def _compiled(platform: Platform, intent: Intent, directory: Directory, now: datetime) -> Compiled:
    """What an intent means; where that cannot be said for a mistake of our own, it is a problem of this owner alone."""
    try:
        return platform.compile(intent, directory, now)
    except Exception as error:
        message = f"{type(error).__name__}, a mistake of Hanse's own, at what is declared here"
        problem = Problem("error", "mistake", message, "please report it", _declaration(intent))
        return Compiled(intent.owner, problems=(problem,))


async def _content(store: Store, digest: str, kind: type[T]) -> T | None:
    blob = await store.blob(digest)
    return msgspec.json.decode(blob, type=kind) if blob else None


def has_new_hour(row: OwnerRow, now: datetime) -> bool:
    """Whether a grant began or ended since the owner was last converged."""
    since = row.status.applied_at
    edges = (edge for term in row.accepted.intent.grants for edge in (term.start, term.end))
    return since is not None and any(edge is not None and since < edge <= now for edge in edges)


def _rules(world: World, row: OwnerRow, kinds: Mapping[str, KindSpec], changed: Cause) -> Rules:
    intent = row.accepted.intent
    subject = deletion_subject(intent) if intent.left_at else ""
    return Rules(
        kinds,
        roll_back=intent.local_changes == "rollback",
        may_delete=bool(intent.left_at) and (intent.deletion == "automatic" or subject in world.approvals),
        deletion_advice=f"`hanse approve {subject[:12]}` lets it be deleted" if subject else "",
        changed=changed,
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


def _why(world: World, row: OwnerRow, same: bool) -> Cause:
    """Why an owner may not be as it was; `same` where its intent still is the one that was applied last."""
    if row.accepted.intent.left_at:
        return "left"
    if not same:
        return "declared"
    return "directory" if row.status.directory != world.directory_digest else "expired"


def _finds(many: Iterable[Compiled]) -> frozenset[Find]:
    finds: set[Find] = set()
    for compiled in many:
        for resource in (*compiled.resources, *compiled.tolerated):
            for value in resource.attributes.values():
                if type(value) is Find:
                    finds.add(value)
    return frozenset(finds)


def _wanted(compiled: Mapping[Owner, Compiled], earlier: Mapping[Owner, Compiled]) -> Iterable[Resource]:
    """Things to look for by name: what is wanted of each owner, then what it had and shall have no more."""
    for owner, one in compiled.items():
        yield from one.resources
        if owner in earlier:
            keys = {resource.key for resource in one.resources}
            yield from (resource for resource in earlier[owner].resources if resource.key not in keys)


def _remark(owner: Owner, problem: Problem) -> Remark:
    return Remark(
        owner, problem.code, problem.message, problem.advice, problem.source, problem.severity == "error"
    )
