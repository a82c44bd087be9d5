"""The judgement: proposed against accepted, once per commit.

Guards look at effective grants, that is (owner, person, role) after groups are expanded. What goes because its
declared time is over, what was never accepted and what is revoked is no removal.

- ceiling: of one platform or one workspace, more than max(removalAtLeast, removalPercent %) of the effective grants
  or of the tenants would go.
- minimum-admins: a workspace that keeps a tenant would have fewer than minimumAdmins admins, and fewer than before.
  Its admins are the active people, group members included, who hold the project role `admin` on a tenant of it or
  any workspace role on it, in force now. It holds the removals of admins only.
- empty-organization: no tenant at all would be left.
- history: the commit does not descend from the accepted one. Nothing of it is accepted.

What a tripped guard holds stays in the intent, marked with the trip's subject; an owner removed whole stays as it
was. Later judgements carry what is marked as it is, count only what is newly removed, and let go of it once its
subject is approved: so an approval stands through later merges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from hanse.accept.acceptance import Acceptance, Trip
from hanse.accept.facts import Facts
from hanse.accept.guards import carried, tripped
from hanse.accept.identity import check_identity
from hanse.accept.revocations import Subtraction
from hanse.accept.state import accepted_state, with_held_people
from hanse.desired.accepted import AcceptedIntent, Held
from hanse.desired.intent import Directory, Intent
from hanse.desired.kinds import Guards
from hanse.desired.settings import Settings
from hanse.foundation.canonical import digest
from hanse.journal.revocation import Revocation
from hanse.model import Approval, Owner


def judge(  # noqa: PLR0913
    proposed: Mapping[Owner, Intent],
    accepted: Mapping[Owner, AcceptedIntent],
    proposed_directory: Directory,
    accepted_directory: Directory,
    guards: Guards,
    approvals: Mapping[str, Approval],
    revocations: Iterable[Revocation] = (),
    *,
    settings: Settings | None = None,
    descends: bool,
    related: bool = True,
    commit: str,
    now: datetime,
) -> Acceptance:
    """What of a commit becomes accepted. `guards` are those of the last accepted organisation, `settings` are proposed.

    `descends` says whether the accepted commit is in the proposed one's history, `related` whether anything is in both.
    `accepted` holds every owner that is looked after, leaving ones included. Where nothing is accepted yet, all
    is accepted without guards.
    """
    approved = {
        subject
        for subject, yes in approvals.items()
        if yes.rule == "guard" and (yes.expires_at is None or now < yes.expires_at)
    }
    history = Trip("history", "organization", digest(["guard", "history", commit]), ())
    if not descends and history.subject not in approved:
        how = "it was rewritten" if related else "the two have nothing in common"
        reason = f"its history does not contain the accepted commit: {how}"
        return Acceptance(commit, accepted_directory, trips=(history,), refused=reason)
    findings = tuple(check_identity(proposed, accepted))
    wrong = [finding.message for finding in findings if finding.severity == "error"]
    if wrong:
        return Acceptance(commit, accepted_directory, findings=findings, refused=wrong[0])
    subtraction = Subtraction(revocations)
    wanted = {owner: subtraction.apply(intent) for owner, intent in proposed.items()}
    settings = subtraction.apply_to_settings(settings) if settings else None
    lapsed = subtraction.lapsed
    before = {owner: _subtracted(a, subtraction) for owner, a in accepted.items()}
    facts = Facts(wanted, before, proposed_directory, accepted_directory, approved, now)
    trips = [trip for trip in tripped(facts, guards) if trip.subject not in approved]
    state = accepted_state(facts, trips, commit)
    directory = with_held_people(state, proposed_directory, accepted_directory)
    return Acceptance(
        commit,
        directory,
        changed={owner: a for owner, a in state.items() if accepted.get(owner) != a},
        trips=(*carried(facts), *trips),
        lapsed=lapsed,
        settings=settings,
        findings=findings,
    )


def deletion_subject(intent: Intent) -> str:
    """What an approval of rule `deletion` names: this owner, leaving since this commit.

    Put back and taken out again it is another subject, so an approval lapses when its owner resumes.
    """
    return digest(["deletion", str(intent.owner), intent.left_at])


def _subtracted(a: AcceptedIntent, subtraction: Subtraction) -> AcceptedIntent:
    """The accepted state without what is revoked: nobody holds that back, and nothing counts it."""
    intent = subtraction.apply(a.intent)
    if intent is a.intent:
        return a
    held: tuple[Held, ...] = tuple(h for h in a.held if h.term is None or h.term in intent.grants)
    return AcceptedIntent(intent, a.commit, held)
