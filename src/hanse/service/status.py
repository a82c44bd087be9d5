"""What is wanted, accepted and applied, from the store and the repository alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hanse.accept.trust import Refusal
from hanse.model import Owner, Tenant
from hanse.ports.store import Head, OwnerRow, Work
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Trouble
from hanse.service.trust import untrusted


@dataclass(frozen=True)
class State:
    """The whole picture, as of the last pass."""

    wanted: str
    """The commit at the head of the branch."""
    head: Head | None
    rows: list[OwnerRow]
    revocations: int
    refusals: list[Refusal]
    """Why the branch's head may not be accepted, by the trust of what is accepted."""
    work: Mapping[Owner, Work]
    """When `hanse serve` looks at an owner next, where it knows of a reason."""


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
        raise Trouble(f"nothing is accepted of {only}", "`hanse status` lists everything")
    wanted, head = estate.source.head(branch), await estate.store.head()
    directory, settings = await accepted_state(estate.store, head)
    return State(
        wanted,
        head,
        rows,
        len(await estate.store.revocations()),
        await untrusted(estate, wanted, head, directory, settings),
        await estate.store.work(),
    )
