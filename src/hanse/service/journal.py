"""Read the journal, and prove that nobody wrote in it afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from hanse.journal import record
from hanse.journal.chain import Finding, Verifier
from hanse.journal.events import Event, Recorded
from hanse.ports.store import Store

BATCH = 500


@dataclass(frozen=True)
class Entry:
    """A recorded event with the texts about people put back in, as far as they are not erased."""

    recorded: Recorded
    event: Event


async def entries(store: Store, after: int = 0) -> AsyncIterator[Entry]:
    """Events in order, beyond that sequence. Raises StoreError."""
    batch: list[Recorded] = []
    async for recorded in store.journal(after):
        batch.append(recorded)
        if len(batch) >= BATCH:
            for entry in await _read(store, batch):
                yield entry
            batch = []
    for entry in await _read(store, batch):
        yield entry


async def _read(store: Store, batch: list[Recorded]) -> list[Entry]:
    marks = {mark for recorded in batch for mark in record.marks(recorded.body)}
    texts = await store.personal(marks) if marks else {}
    return [Entry(recorded, record.decode(recorded.body, texts)) for recorded in batch]


async def verify(store: Store) -> tuple[int, list[Finding]]:
    """How many records there are, and what is wrong with them. Raises StoreError."""
    verifier, count = Verifier(), 0
    async for recorded in store.journal():
        verifier.see(recorded)
        count += 1
    return count, verifier.finish()
