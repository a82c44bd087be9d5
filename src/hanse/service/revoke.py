"""Take a grant away now; it is subtracted until a commit without it is accepted."""

from __future__ import annotations

from hanse.desired.intent import SubjectKind
from hanse.journal.events import GrantRevoked
from hanse.journal.revocation import Revocation
from hanse.model import Personal, Tenant
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Trouble
from hanse.service.trust import decider


async def revoke(
    estate: Estate, project: str, subject_kind: SubjectKind, subject: str, role: str, reason: str
) -> Revocation:
    """Revoke what is accepted for that subject on `workspace/project`. Raises Trouble where there is nothing.

    The next pass takes the access away; this only decides and journals it.
    """
    workspace, _, name = project.partition("/")
    by = decider(estate, "revocation", *await accepted_state(estate.store, await estate.store.head()))
    owner = None
    async for row in estate.store.owners():
        intent = row.accepted.intent
        if isinstance(row.owner, Tenant) and (intent.workspace, intent.project) == (workspace, name):
            owner = row.owner
            held = {(t.subject_kind, t.subject, t.role) for t in intent.grants}
            if any(k == subject_kind and s == subject and role in ("", r) for k, s, r in held):
                break
    else:
        if owner is None:
            raise Trouble(
                f"there is no accepted project {project}",
                "name it as workspace/project; a grant on a workspace or on the organisation ends by a commit",
            )
        what = f" as {role}" if role else ""
        raise Trouble(
            f"{subject_kind} {subject} has no accepted grant{what} on {project}",
            "a grant through a group is revoked with --group, or by taking the person out of the group",
        )
    event = GrantRevoked(
        owner.workspace,
        owner.project,
        subject_kind,
        subject,
        role,
        by,
        "local-operator",
        Personal(reason),
    )
    revocation = await estate.store.revoke(event, estate.now())
    await estate.store.chain()
    return revocation
