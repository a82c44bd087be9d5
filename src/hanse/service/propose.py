"""What a commit would make accepted: judged against what is accepted now, nothing written yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from hanse.accept import Acceptance, Subtraction, Trip, judge
from hanse.desired.intent import Directory, Intent
from hanse.desired.settings import Settings
from hanse.desired.source import scope_of, term_source
from hanse.foundation.canonical import digest, encode
from hanse.foundation.diagnostics import Diagnostic
from hanse.journal.events import Event, GuardTripped, OrganizationAccepted
from hanse.journal.revocation import Revocation
from hanse.model import Approval, Owner
from hanse.ports.store import Head, OwnerRow
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Trouble
from hanse.service.ground import Ground
from hanse.service.trust import summary, told_refusals, untrusted
from hanse.service.validate import Checked, check_commit


@dataclass(frozen=True)
class Proposal:
    """The state that platforms would be converged to."""

    commit: str
    """The commit that was looked at: the branch's head, or the one of a plan file."""
    head: Head | None
    """What is accepted now; None before the first acceptance."""
    checked: Checked | None
    """None where the commit has errors: the last accepted state stands."""
    diagnostics: list[Diagnostic]
    acceptance: Acceptance | None
    rows: dict[Owner, OwnerRow]
    """All owners as they would be accepted; of a part, those alone that were looked at."""
    directory: Directory
    settings: Settings | None
    """None where nothing is accepted and nothing can be."""
    approvals: Mapping[str, Approval]
    revoked: frozenset[str] = frozenset()
    """Grants that a revocation takes away, as `desired.source` names them."""
    restored: datetime | None = None
    """Of when the store is, where it was restored and nobody has looked since what it would do."""
    is_part: bool = False
    """Whether it was judged from a ground: `rows` are then those of all who feel what changed, and of few others."""

    @property
    def stands(self) -> str:
        """The commit whose intents a pass would converge to."""
        return self.commit if self.checked is not None else self.head.commit if self.head else ""

    @property
    def trips(self) -> tuple[Trip, ...]:
        """Guards that hold something back until somebody says yes."""
        return self.acceptance.trips if self.acceptance else ()

    @property
    def is_new(self) -> bool:
        """Whether accepting it would change anything that is kept."""
        if self.acceptance is None or self.checked is None:
            return False
        return self.head is None or self.head.commit != self.commit or bool(self.acceptance.changed)

    @property
    def directory_digest(self) -> str:
        """Names the people and groups as they would be accepted."""
        return digest(self.directory)


async def propose(estate: Estate, commit: str = "", ground: Ground | None = None) -> Proposal:
    """Judge a commit, by default the branch's head. Raises SourceError, StoreError and Trouble.

    With a ground, only what changed since is looked at where that is enough, and `rows` has no others.
    """
    branch = estate.config.repository.branch if estate.config.repository else ""
    if not commit:
        estate.source.fetch(branch)
        commit = estate.source.head(branch)
    now = estate.now()
    head = await estate.store.head()
    approvals = await estate.store.approvals(now)
    directory, settings = await accepted_state(estate.store, head)
    revocations = await estate.store.revocations()
    restored = await estate.store.restored()
    if ground:
        ground.forget()
    refusals = await untrusted(estate, commit, head, directory, settings)
    if ground and head and settings and not refusals and not revocations:
        known = await ground.judge(estate, commit, head, directory, settings, approvals, now)
        if known:
            acceptance, rows = known.acceptance, _as_accepted(known.rows, known.acceptance)
            told = known.checked.diagnostics
            stands = acceptance.directory, acceptance.settings
            return Proposal(
                commit, head, known.checked, told, acceptance, rows, *stands, approvals, is_part=True
            )
    rows = {row.owner: row async for row in estate.store.owners()}

    def as_accepted(found: list[Diagnostic], acceptance: Acceptance | None) -> Proposal:
        """What was accepted last stands, less what was revoked since."""
        subtraction = Subtraction(revocations)
        standing = {
            owner: replace(row, accepted=replace(row.accepted, intent=subtraction.apply(row.accepted.intent)))
            for owner, row in rows.items()
        }
        stands = subtraction.apply_to_settings(settings) if settings else None
        revoked = revoked_grants((row.accepted.intent for row in rows.values()), revocations)
        return Proposal(
            commit, head, None, found, acceptance, standing, directory, stands, approvals, revoked, restored
        )

    if refusals:
        return as_accepted(told_refusals(refusals), Acceptance(commit, directory, refused=summary(refusals)))
    checked = (
        await ground.check(estate, commit, now)
        if ground
        else await check_commit(estate.source, estate.language, commit, now, estate.store)
    )
    if not checked.is_sound or checked.settings is None:
        return as_accepted(checked.diagnostics, None)
    if settings is not None and settings.organization.name != checked.settings.organization.name:
        mine, other = settings.organization.name, checked.settings.organization.name
        raise Trouble(
            f"the manifest is that of the organisation {other}, and {mine} is accepted",
            "the name of an organisation never changes; use another store for another organisation",
        )
    descends = head is None or estate.source.is_ancestor(head.commit, commit)
    acceptance = judge(
        checked.intents,
        {owner: row.accepted for owner, row in rows.items()},
        checked.directory,
        directory,
        settings.organization.guards if settings else checked.settings.organization.guards,
        approvals,
        revocations,
        settings=checked.settings,
        descends=descends,
        related=descends or (head is not None and estate.source.has_common_history(head.commit, commit)),
        commit=commit,
        now=now,
    )
    told = [*checked.diagnostics, *map(checked.manifest.diagnostic, acceptance.findings)]
    if acceptance.refused:
        return as_accepted(told, acceptance)
    revoked = revoked_grants(checked.intents.values(), revocations) | checked.manifest.revoked.keys()
    rows = _as_accepted(rows, acceptance)
    if ground and not revocations:
        ground.stand(commit, checked, acceptance, rows)
    return Proposal(
        commit,
        head,
        checked,
        told,
        acceptance,
        rows,
        acceptance.directory,
        acceptance.settings,
        approvals,
        revoked,
        restored,
    )


def _as_accepted(rows: Mapping[Owner, OwnerRow], acceptance: Acceptance) -> dict[Owner, OwnerRow]:
    """The rows, with what is to be accepted of those that change."""
    changed = {
        owner: OwnerRow(owner, accepted, rows[owner].status) if owner in rows else OwnerRow(owner, accepted)
        for owner, accepted in acceptance.changed.items()
    }
    return {**rows, **changed}


def revoked_grants(intents: Iterable[Intent], revocations: Sequence[Revocation]) -> frozenset[str]:
    """The grants of these intents that revocations take away, as `desired.source` names them."""
    if not revocations:
        return frozenset()
    subtraction = Subtraction(revocations)
    return frozenset(
        term_source(scope_of(intent.owner), term)
        for intent in intents
        for term in set(intent.grants) - set(subtraction.apply(intent).grants)
    )


async def accept(estate: Estate, proposal: Proposal, concerned: Collection[Owner] = ()) -> None:
    """Make the proposal the accepted state, in one transaction with its events, and mark who is concerned.

    Raises StoreError, also where something else is accepted by now than when it was judged.
    """
    checked, acceptance, head = proposal.checked, proposal.acceptance, proposal.head
    settings = proposal.settings
    if checked is None or acceptance is None or settings is None or not proposal.is_new:
        return
    now: datetime = estate.now()
    blobs = {
        digest(acceptance.directory): encode(acceptance.directory),
        digest(settings): settings.encode(),
    }
    accepted = OrganizationAccepted(
        commit=proposal.commit,
        parent=head.commit if head else "",
        directory=digest(acceptance.directory),
        settings=digest(settings),
        intents=tuple(
            (owner, new.intent.digest) for owner, new in sorted(acceptance.changed.items(), key=_by_owner)
        ),
        held=acceptance.held,
        lapsed=tuple(sorted(acceptance.lapsed)),
        by=estate.who,
        strength="local-operator",
    )
    tripped: list[Event] = [
        GuardTripped(trip.guard, trip.scope, trip.subject, len(trip.removals))
        for trip in acceptance.trips
        if not trip.carried
    ]
    new_head = Head(proposal.commit, now, accepted.directory, accepted.settings)
    await estate.store.accept(
        new_head, acceptance.changed, blobs, [*tripped, accepted], before=head, concerned=concerned
    )


def _by_owner(item: tuple[Owner, object]) -> str:
    return str(item[0])
