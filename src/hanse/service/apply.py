"""Converge the platforms: accept what was proposed, carry out the plan, read back, note what holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hanse.model import Outcome, Owner, Step
from hanse.reconcile import Converged, Pass, Survey
from hanse.service.estate import Estate, Trouble
from hanse.service.plan import PlanFile, Planned, Selection, look
from hanse.service.propose import Proposal, accept, propose

OLDEST = timedelta(minutes=15)
"""How old an observation may be that steps are carried out from."""


@dataclass(frozen=True)
class Applied:
    """What came of it."""

    planned: Planned
    converged: Converged
    refused: dict[Owner, str] = field(default_factory=dict)
    """Owners of a plan file that were left alone, since they are not any more as they were planned."""


def begin(planned: Planned, told: Callable[[Step, Outcome], None]) -> Pass:
    """A pass over what was planned, to be given to `finish`; its `stop()` ends it cleanly."""
    return Pass(planned.world, planned.proposal.stands, told)


async def finish(estate: Estate, planned: Planned, run: Pass) -> Applied:
    """Accept and carry out what was planned. Raises StoreError, and Trouble where too long was thought about it."""
    _must_be_fresh(estate, planned.survey)
    await accept(estate, planned.proposal)
    if planned.proposal.restored and planned.survey.rows.keys() == planned.proposal.rows.keys():
        await estate.store.go_on()
    return Applied(planned, await run.carry_out(planned.survey))


async def replan(estate: Estate, file: PlanFile) -> tuple[Planned, dict[Owner, str]]:
    """Look again at the owners of a plan file; those that would be changed otherwise than planned are refused.

    Raises Trouble where the file's commit can no longer be accepted: "plan again".
    """
    again = "plan again: `hanse plan -o plan.json`"
    head = await estate.store.head()
    accepted = head.commit if head else ""
    if accepted not in (file.accepted, file.commit):
        raise Trouble(f"since this plan was made, {accepted[:8]} was accepted", again)
    proposal = await propose(estate, file.commit)
    _must_stand(proposal, file, again)
    selection = Selection(owners=frozenset(owner.owner for owner in file.owners))
    planned = await look(estate, proposal, selection)
    refused: dict[Owner, str] = {}
    for part in file.owners:
        plan = planned.survey.plans.get(part.owner)
        if plan is None:
            refused[part.owner] = "it could not be looked at"
        elif plan.digest != part.digest and plan.steps:
            refused[part.owner] = "what is to be done there is not any more what was planned"
    kept = {owner: plan for owner, plan in planned.survey.plans.items() if owner not in refused}
    rows = {owner: row for owner, row in planned.survey.rows.items() if owner in kept}
    survey = replace(planned.survey, rows=rows, plans=kept)
    return Planned(proposal, survey, planned.world, planned.provenance), refused


async def carry_out_file(estate: Estate, planned: Planned, run: Pass, refused: dict[Owner, str]) -> Applied:
    """Accept and carry out exactly the steps of a plan file, and no step beyond them.

    Raises StoreError, and Trouble where too long was thought about it.
    """
    _must_be_fresh(estate, planned.survey)
    await accept(estate, planned.proposal)
    return Applied(planned, await run.carry_out(planned.survey, rounds=1), refused)


def _must_be_fresh(estate: Estate, survey: Survey) -> None:
    seen_at = [observation.taken_at for observation in survey.observations.values()]
    if seen_at and estate.now() - min(seen_at) > OLDEST:
        raise Trouble(
            "the platforms were looked at too long ago", "run it again; what has changed since is seen then"
        )


def _must_stand(proposal: Proposal, file: PlanFile, again: str) -> None:
    if proposal.acceptance is None:
        if proposal.checked is None and file.commit != proposal.stands:
            raise Trouble(f"commit {file.commit[:8]} has errors", "`hanse validate` shows them")
        return
    if proposal.acceptance.refused:
        raise Trouble(f"commit {file.commit[:8]} cannot be accepted: {proposal.acceptance.refused}", again)
    if proposal.directory_digest != file.directory:
        raise Trouble("the people or groups are not any more those that this plan was made for", again)
