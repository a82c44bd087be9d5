"""Make anew what can be made from the journal, and have all else looked at again."""

from __future__ import annotations

from hanse.model import Step
from hanse.plan import mark_of
from hanse.service import journal
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Trouble


async def rebuild(estate: Estate) -> tuple[int, int]:
    """Do it, with nobody else who applies; how many records were read, and how many owners are to be looked at.

    Raises StoreError, and Trouble where the journal is not whole.
    """
    store = estate.store
    await store.hold()
    records, findings = await journal.verify(store)
    if broken := [finding for finding in findings if finding.kind != "unchained"]:
        raise Trouble(
            f"the journal is not whole: {broken[0]}",
            "nothing was made from it; `hanse journal verify` shows all, `hanse restore` puts a backup back",
        )
    _, settings = await accepted_state(store, await store.head())
    platforms = estate.language.offline(settings) if settings else {}
    kinds = {name: {k.name: k for k in one.describe().kinds} for name, one in platforms.items()}

    def mark(step: Step) -> str:
        known = kinds.get(step.owner.platform, {})
        return mark_of(step, known) if step.kind in known else ""

    await store.rebuild(estate.now(), mark)
    owners = [row.owner async for row in store.owners()]
    await store.mark(owners, estate.now(), "the views were made anew")
    await store.chain()
    return records, len(owners)
