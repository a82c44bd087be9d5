"""Show exactly what would be changed: judge the commit, look at the platforms, plan each owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from hanse.model import Owner, Provenance, Step, Tenant
from hanse.ports.platform import Platform
from hanse.ports.store import OwnerRow
from hanse.reconcile import Survey, World, has_new_hour, survey
from hanse.service.estate import Estate, Trouble
from hanse.service.propose import Proposal, propose
from hanse.service.provenance import provenance_of


@dataclass(frozen=True)
class Selection:
    """Which owners a command is about."""

    only: str = ""
    """`workspace` or `workspace/project`, by present names; empty: all."""
    changed: bool = False
    """Only owners that differ from what was last applied; hand-made changes elsewhere are not looked for."""
    owners: frozenset[Owner] | None = None
    """Just these."""

    @property
    def is_everything(self) -> bool:
        """Whether whole platforms are looked at."""
        return not self.only and not self.changed and self.owners is None


FORMAT = 1
"""Of plan files."""


class OwnerPlan(Struct, frozen=True):
    """One owner's part of a plan file."""

    owner: Owner
    digest: str
    steps: tuple[Step, ...]


class PlanFile(Struct, frozen=True):
    """A plan to be carried out later, by whoever approves it: what it was made from, and every step."""

    commit: str
    accepted: str
    """The commit that was accepted when it was made; empty if none was."""
    directory: str
    owners: tuple[OwnerPlan, ...]
    format: int = FORMAT


@dataclass(frozen=True)
class Planned:
    """A proposal, what was seen, and what is to be done."""

    proposal: Proposal
    survey: Survey
    world: World
    provenance: Mapping[str, Provenance]

    def to_file(self) -> PlanFile:
        """The plan as a value that `apply` takes later. Raises Trouble where there is nothing to converge to."""
        if self.proposal.settings is None:
            raise Trouble(
                "there is no plan: the commit has errors, and none was accepted before", "`hanse validate`"
            )
        head = self.proposal.head
        owners = [
            plan for _, plan in sorted(self.survey.plans.items(), key=lambda item: str(item[0])) if plan.steps
        ]
        return PlanFile(
            self.proposal.stands,
            head.commit if head else "",
            self.proposal.directory_digest,
            tuple(OwnerPlan(plan.owner, plan.digest, plan.steps) for plan in owners),
        )


async def plan(estate: Estate, selection: Selection | None = None, commit: str = "") -> Planned:
    """Plan without changing anything. Raises SourceError, StoreError and Trouble.

    Where the commit has errors or is refused, the last accepted state is planned: what was changed by hand and
    what has expired is found all the same, and the proposal says what is wrong.
    """
    return await look(estate, await propose(estate, commit), selection or Selection())


async def look(estate: Estate, proposal: Proposal, selection: Selection) -> Planned:
    """Look at the platforms for a proposal."""
    if proposal.settings is None:
        return Planned(proposal, Survey(), _world(estate, proposal, {}), {})
    world = _world(estate, proposal, estate.connect(proposal.settings))
    rows = await selected(world, proposal, selection)
    seen = await survey(world, rows, sweep=selection.is_everything)
    return Planned(proposal, seen, world, await _provenance(estate, proposal, seen))


async def _provenance(estate: Estate, proposal: Proposal, seen: Survey) -> Mapping[str, Provenance]:
    """Whose decision the declarations are that steps name: of a grant that is revoked, whose revocation it is.

    Of one that is revoked ahead of any commit, no commit tells.
    """
    sources = {s for p in seen.plans.values() for step in p.steps for s in step.reason.sources}
    declared = proposal.checked.manifest.revoked if proposal.checked else {}
    asked = [source for source in sources if source not in proposal.revoked]
    by = {source: declared[source] for source in sources if source in declared}
    found = await provenance_of(estate, proposal.stands, [*asked, *by.values()])
    return {**found, **{source: found[one] for source, one in by.items() if one in found}}


async def selected(world: World, proposal: Proposal, selection: Selection) -> Sequence[OwnerRow]:
    """The rows that a command is about. Raises Trouble where the selection names nothing."""
    rows = [
        row for row in proposal.rows.values() if selection.owners is None or row.owner in selection.owners
    ]
    if selection.only:
        workspace, _, project = selection.only.partition("/")
        rows = [
            row
            for row in rows
            if row.accepted.intent.workspace == workspace
            and (not project or (isinstance(row.owner, Tenant) and row.accepted.intent.project == project))
        ]
        if not rows:
            raise Trouble(f"there is no workspace or project {selection.only}", "`hanse status` lists them")
    if selection.changed:
        rows = [row for row in rows if await _differs(world, row)]
    return rows


def _world(estate: Estate, proposal: Proposal, platforms: Mapping[str, Platform]) -> World:
    concurrency = 1
    if proposal.settings:
        concurrency = sum(p.pace.concurrency for p in proposal.settings.platforms.values()) or 1
    return World(
        platforms,
        estate.store,
        estate.now,
        proposal.directory,
        proposal.directory_digest,
        proposal.approvals,
        concurrency,
        proposal.revoked,
        sleep=estate.sleep,
    )


async def _differs(world: World, row: OwnerRow) -> bool:
    """Whether an owner is not what it was when it last held in full."""
    return (
        row.status.applied != row.accepted.intent.digest
        or bool(row.status.waits)
        or has_new_hour(row, world.now())
        or await world.past.differ(world, row)
    )


def read_plan_file(data: bytes) -> PlanFile:
    """A plan file's content. Raises Trouble."""
    again = "make one with `hanse plan -o plan.json`"
    try:
        file = msgspec.json.decode(data, type=PlanFile)
    except msgspec.DecodeError as error:
        raise Trouble(f"this is no plan file: {error}", again) from error
    if file.format != FORMAT or not file.commit:
        raise Trouble("this plan file is of another version of Hanse", again)
    return file
