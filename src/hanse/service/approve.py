"""Say yes: what waits for a person, and the approval of one of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from hanse.accept import deletion_subject
from hanse.journal.events import ApprovalGiven
from hanse.model import Approval, Personal, Rule
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Trouble, typed
from hanse.service.propose import propose
from hanse.service.trust import decider

SHORTEST_PREFIX = 6
"""Digits of a subject that name it; fewer might name another one tomorrow."""


@dataclass(frozen=True)
class Waiting:
    """Something that goes on only after a yes."""

    subject: str
    rule: Rule
    what: str
    details: tuple[str, ...] = ()
    approved: bool = False


async def waiting(estate: Estate) -> list[Waiting]:
    """All that waits for a yes now, or has it and is not carried out yet. Raises SourceError and StoreError."""
    proposal = await propose(estate)
    found: dict[str, Waiting] = {}
    for trip in proposal.acceptance.trips if proposal.acceptance else ():
        what = f"{trip.scope}: {len(trip.removals)} removals are held ({trip.guard})"
        if trip.guard == "history" and proposal.acceptance:
            what = f"commit {proposal.commit[:8]}: {proposal.acceptance.refused} (history)"
        found[trip.subject] = Waiting(
            trip.subject, "guard", what, tuple(map(str, trip.removals)), trip.subject in proposal.approvals
        )
    if proposal.checked is None:  # a head that is not accepted: what was held before it waits all the same
        for row in proposal.rows.values():
            for held in row.accepted.held:
                what = f"{held.scope}: removals are held ({held.guard})"
                found[held.subject] = Waiting(
                    held.subject, "guard", what, (), held.subject in proposal.approvals
                )
    for owner, row in sorted(proposal.rows.items(), key=lambda item: str(item[0])):
        intent = row.accepted.intent
        if intent.left_at and intent.deletion == "approval":
            subject = deletion_subject(intent)
            what = f"{owner}: delete what is left of it on the platform"
            found[subject] = Waiting(subject, "deletion", what, (), subject in proposal.approvals)
    return list(found.values())


async def approve(estate: Estate, prefix: str, reason: str, days: int) -> Waiting:
    """Approve the one waiting subject that begins with `prefix`, for so many days. Raises Trouble."""
    if len(prefix) < SHORTEST_PREFIX:
        raise Trouble(
            f"{prefix} is too short", f"give at least {SHORTEST_PREFIX} digits of what `hanse approve` lists"
        )
    matches = [one for one in await waiting(estate) if one.subject.startswith(prefix)]
    if len(matches) != 1:
        what = "nothing that waits" if not matches else f"{len(matches)} of what waits"
        raise Trouble(f"{prefix} names {what}", "`hanse approve` without an argument lists what waits")
    one = matches[0]
    by = decider(estate, one.rule, *await accepted_state(estate.store, await estate.store.head()))
    now = estate.now()
    yes = Approval(
        one.subject,
        one.rule,
        by,
        "local-operator",
        now,
        now + timedelta(days=days),
        Personal(typed(reason)) if reason else None,
    )
    await estate.store.approve(yes, [ApprovalGiven(yes, by)])
    await estate.store.chain()
    return one
