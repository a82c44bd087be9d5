"""Take a grant away now; it is subtracted until a commit without it is accepted, and that commit is made too.

A revocation takes effect as it stands in the journal. It becomes a commit as soon as the repository takes one: a
grant's own file goes, and for a grant that stands in a person's file a Revocation is written. Whether that is done is
read from the repository itself, so a run that is killed in between makes nothing twice and forgets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hanse.desired.intent import SubjectKind, Term
from hanse.desired.kinds import Revocation as Declared
from hanse.desired.manifest import Id, Manifest, Scope
from hanse.desired.paths import REVOCATIONS
from hanse.desired.settings import Settings
from hanse.desired.writing import document_text
from hanse.foundation.identifiers import new_id
from hanse.journal.events import GrantRevoked
from hanse.journal.revocation import Revocation
from hanse.model import Personal, Tenant
from hanse.ports.source import never
from hanse.ports.store import Store
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Trouble, typed
from hanse.service.grant import read_scope
from hanse.service.trust import decider
from hanse.service.write import Changes, Committed, Declined, Present, Request, Result, Writing


async def revoke(
    estate: Estate, scope: str, subject_kind: SubjectKind, subject: str, role: str, reason: str
) -> Revocation:
    """Revoke what is accepted for that subject on a scope, written as `read_scope` takes it.

    The next pass takes the access away; this only decides and journals it. What is revoked already stays as it is.
    Raises Trouble where there is nothing.
    """
    named = read_scope(scope)
    directory, settings = await accepted_state(estate.store, await estate.store.head())
    by = decider(estate, "revocation", directory, settings)
    oldest, terms = await _accepted_terms(estate.store, settings, named)
    for one in await estate.store.revocations():
        event = one.event
        same = (event.workspace, event.project, event.subject_kind, event.subject)
        if same == (*oldest, subject_kind, subject) and event.role in ("", role):
            return one
    held = {(term.subject_kind, term.subject) for term in terms if role in ("", term.role)}
    if (subject_kind, subject) not in held:
        what = f" as {role}" if role else ""
        raise Trouble(
            f"{subject_kind} {subject} has no accepted grant{what} on {scope or 'the organisation'}",
            "a grant through a group is revoked with --group, or by taking the person out of the group"
            if subject_kind == "user"
            else "`hanse graph` shows who has which role where",
        )
    event = GrantRevoked(
        *oldest,
        subject_kind,
        subject,
        role,
        by,
        "local-operator",
        Personal(typed(reason)),
    )
    revocation = await estate.store.revoke(event, estate.now())
    await estate.store.chain()
    return revocation


async def _accepted_terms(store: Store, settings: Settings | None, scope: Scope) -> tuple[Scope, list[Term]]:
    """A scope by its oldest names, and what is accepted on it; what a guard holds there counts too."""
    oldest, terms = scope, list[Term]()
    known = False
    async for row in store.owners():
        owner, intent = row.owner, row.accepted.intent
        if (intent.workspace, intent.project) == scope:
            oldest = (owner.workspace, owner.project if isinstance(owner, Tenant) else "")
            terms += intent.grants
            known = True
    workspace, project = oldest
    if project and not known:
        raise Trouble(
            f"there is no accepted project {'/'.join(scope)}",
            "name it as WORKSPACE/PROJECT; one without a tenant gives access to nothing: its grants end by a commit",
        )
    if settings is not None and not project:
        terms += settings.workspace_grants.get(workspace, ()) if workspace else settings.grants
    return oldest, terms


async def write_revocations(
    estate: Estate, stopped: Callable[[], bool] = never
) -> list[tuple[Revocation, Result]]:
    """Have all that is revoked stand in git, as one batch, and note what does not and why. Raises StoreError."""
    revocations = await estate.store.revocations()
    if not revocations:
        return []
    writing = Writing.of(estate, stopped)
    results = await writing.write([revocation_request(writing, one) for one in revocations])
    waits = {one.digest: _why(result) for one, result in zip(revocations, results, strict=True)}
    if waits != {one.digest: one.waits for one in revocations}:
        await estate.store.note_revocations(waits)
    return list(zip(revocations, results, strict=True))


def is_written(manifest: Manifest, event: GrantRevoked) -> bool:
    """Whether the manifest has nothing left that is revoked."""
    return not _hits(manifest, event)


def revocation_request(writing: Writing, revocation: Revocation) -> Request:
    """A wish that the manifest no longer grants what is revoked. Made again, it is the same to the letter."""
    event = revocation.event

    def make(present: Present) -> Changes:
        changes: dict[str, bytes | None] = {}
        inline: Scope | None = None
        for scope, _, identity in _hits(present.manifest, event):
            if identity[0] == "Grant" and present.is_alone(identity):
                changes[present.manifest.spot(identity).path] = None
            else:
                inline = scope
        if inline is not None:
            document = Declared(
                api_version="hanse/v1",
                name=new_id(revocation.at, bytes.fromhex(revocation.digest)),
                workspace=inline[0] or None,
                project=inline[1] or None,
                user=event.subject if event.subject_kind == "user" else None,
                group=event.subject if event.subject_kind == "group" else None,
                role=event.role or None,
                reason=str(event.reason),
            )
            changes[f"{REVOCATIONS}/{document.name}.yaml"] = document_text(document)
        return changes

    by = str(event.by)
    runs = by in (writing.account, writing.who)
    author = writing.person if runs else writing.writer.person(by, runs=False)
    return Request(f"Revoke {words(event)}", str(event.reason), author, make)


def words(event: GrantRevoked) -> str:
    """What is revoked, in words."""
    scope = event.scope or "the organisation"
    return f"{event.role or 'every role'} of {event.subject_kind} {event.subject} on {scope}"


def _hits(manifest: Manifest, event: GrantRevoked) -> Sequence[tuple[Scope, Term, Id]]:
    """The grants of the manifest that are revoked and that nothing takes away yet."""
    return [
        (place, term, identity)
        for place, term, identity in manifest.sound_terms((event.subject_kind, event.subject))
        if event.role in ("", term.role)
        and manifest.names.scope(*place) == event.scope
        and not manifest.revocations_of(place, term)
    ]


def _why(result: Result) -> str:
    match result:
        case Committed():
            return ""
        case Declined(message, _, diagnostics):
            return "; ".join([message, *(found.message for found in diagnostics[:1])])
        case _:
            return result.message
