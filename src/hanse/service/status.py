"""What is wanted, accepted and applied, from the store and the repository alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from hanse.accept.trust import Refusal
from hanse.journal.revocation import Revocation
from hanse.model import Owner, Tenant, WorkspaceOn
from hanse.ports.store import Head, OwnerRow, Store, Work
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Trouble
from hanse.service.revoke import is_written
from hanse.service.trust import untrusted
from hanse.service.validate import load_commit
from hanse.service.waiting import Reason, reasons

FEW = 20
"""Owners whose places are asked for one by one."""


@dataclass(frozen=True)
class Waiting:
    """A revocation that still subtracts."""

    revocation: Revocation
    written: bool
    """Whether the branch has it; then it only waits for that commit to be accepted."""


@dataclass(frozen=True)
class State:
    """The whole picture, as of the last pass."""

    wanted: str
    """The commit at the head of the branch."""
    head: Head | None
    rows: list[OwnerRow]
    revocations: list[Waiting]
    """What is revoked and not accepted from git yet."""
    refusals: list[Refusal]
    """Why the branch's head may not be accepted, by the trust of what is accepted."""
    work: Mapping[Owner, Work]
    """When `hanse serve` looks at an owner next, where it knows of a reason."""
    places: Mapping[Owner, tuple[int, int]]
    """Of owners that are due now: which place each has, of how many on its platform."""
    reasons: Mapping[Owner, list[Reason]]
    """What each owner waits for, if anything."""


async def status(estate: Estate, only: str = "") -> State:
    """The state of all tenants and of what else waits, or of `workspace[/project]` alone.

    What is asked of one of them costs no more where there are many. Raises Trouble, SourceError and StoreError.
    """
    branch = estate.config.repository.branch if estate.config.repository else ""
    workspace, _, project = only.partition("/")
    rows = await _rows(estate.store, workspace, project)
    if only and not rows:
        raise Trouble(
            f"nothing that is accepted of {only} has a place on a platform",
            "`hanse status` lists what has one",
        )
    wanted, head = estate.source.head(branch), await estate.store.head()
    refusals: list[Refusal] = []
    if head is None or head.commit != wanted:  # else nothing is to be judged, and the people need not be read
        refusals = await untrusted(estate, wanted, head, *await accepted_state(estate.store, head))
    now, owners = estate.now(), [row.owner for row in rows]
    work = await (estate.store.work_of(owners) if only else estate.store.work())
    due = [one for one in work.values() if one.due is not None and one.due <= now]
    if only and len(due) <= FEW:
        places = await estate.store.places([one.owner for one in due], now)
    else:
        places = _places((await estate.store.work() if only else work).values(), now)
    conditions = await estate.store.conditions()
    why = {
        row.owner: reasons(row, work.get(row.owner), places.get(row.owner), conditions, now) for row in rows
    }
    return State(wanted, head, rows, await _revocations(estate, wanted), refusals, work, places, why)


async def _rows(store: Store, workspace: str, project: str) -> list[OwnerRow]:
    """Rows of tenants, and of what workspaces share where that waits, in their order; first by their oldest names."""
    if not workspace:
        return [row async for row in store.owners() if _is_shown(row)]
    found: list[OwnerRow] = []
    for platform in sorted(await store.platforms()):
        shared = await store.rows([WorkspaceOn(platform, workspace)])
        tenants = (
            await store.rows([Tenant(platform, workspace, project)])
            if project
            else [row async for row in store.owners(platform, workspace)]
        )
        found += [row for row in (*shared, *tenants) if _is_meant(row, workspace, project)]
    if not any(isinstance(row.owner, Tenant) for row in found):  # who was renamed keeps the oldest name
        found = [row async for row in store.owners() if _is_meant(row, workspace, project)]
    named = any(row.accepted.intent.project == project for row in found) if project else True
    return found if named else []


def _is_shown(row: OwnerRow) -> bool:
    return isinstance(row.owner, Tenant) or bool(row.status.waits or row.status.remarks)


def _is_meant(row: OwnerRow, workspace: str, project: str) -> bool:
    """Whether it is of that workspace or project, by their present names; a project waits for what is shared, too."""
    intent = row.accepted.intent
    named = not project or intent.project == project or isinstance(row.owner, WorkspaceOn)
    return intent.workspace == workspace and named and _is_shown(row)


def _places(work: Iterable[Work], now: datetime) -> dict[Owner, tuple[int, int]]:
    """The places of all owners that are due, each platform by itself."""
    queues: dict[str, list[tuple[datetime, str, Owner]]] = {}
    for one in work:
        if one.due is not None and one.due <= now:
            queues.setdefault(one.owner.platform, []).append((one.due, str(one.owner), one.owner))
    return {
        owner: (place, len(queue))
        for queue in queues.values()
        for place, (_, _, owner) in enumerate(sorted(queue), start=1)
    }


async def _revocations(estate: Estate, wanted: str) -> list[Waiting]:
    found = await estate.store.revocations()
    if not found:
        return []
    loaded = await load_commit(estate.source, estate.language, wanted, estate.now(), estate.store)
    return [Waiting(one, is_written(loaded.manifest, one.event)) for one in found]
