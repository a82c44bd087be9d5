"""What is wanted, accepted and applied, from the store and the repository alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from hanse.accept.trust import Refusal
from hanse.journal.revocation import Revocation
from hanse.model import Owner, Tenant
from hanse.ports.store import Head, OwnerRow, Work
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Trouble
from hanse.service.revoke import is_written
from hanse.service.trust import untrusted
from hanse.service.validate import load_commit


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

    def is_settled(self, row: OwnerRow) -> bool:
        """Whether an owner is as it shall be, as far as is known, and waits for nobody."""
        is_applied = row.status.applied == row.accepted.intent.digest
        return is_applied and not (row.status.waits or row.accepted.held or row.accepted.intent.left_at)


async def status(estate: Estate, only: str = "") -> State:
    """The state of all tenants and of what else waits, or of `workspace[/project]` alone.

    Raises Trouble, SourceError and StoreError.
    """
    branch = estate.config.repository.branch if estate.config.repository else ""
    workspace, _, project = only.partition("/")
    rows = [
        row
        async for row in estate.store.owners()
        if (isinstance(row.owner, Tenant) or row.status.waits or row.status.remarks)
        and (not workspace or row.accepted.intent.workspace == workspace)
        and (not project or row.accepted.intent.project == project)
    ]
    if only and not rows:
        raise Trouble(
            f"nothing that is accepted of {only} has a place on a platform",
            "`hanse status` lists what has one",
        )
    wanted, head = estate.source.head(branch), await estate.store.head()
    directory, settings = await accepted_state(estate.store, head)
    work = await estate.store.work()
    return State(
        wanted,
        head,
        rows,
        await _revocations(estate, wanted),
        await untrusted(estate, wanted, head, directory, settings),
        work,
        _places(work.values(), estate.now()),
    )


def _places(work: Iterable[Work], now: datetime) -> dict[Owner, tuple[int, int]]:
    """The order in which owners that are due have their turn, each platform by itself."""
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
