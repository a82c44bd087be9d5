"""Let go of what nothing needs any more, so that in years only the journal grows.

What is kept for good is the journal, with the texts that it names. All else is of use only as long as something that is
accepted, or a look at it, still speaks of it.
"""

from __future__ import annotations

from datetime import timedelta

from hanse.desired.load import is_manifest
from hanse.desired.source import document_source
from hanse.model import Tenant
from hanse.ports.source import SourceError
from hanse.service.estate import Estate
from hanse.service.provenance import TAKEN_OUT

DECIDED = timedelta(days=90)
"""How long it is remembered whose decision it was to take a declaration out, once nothing of it is left."""


async def tidy(estate: Estate) -> None:
    """Do it once: in small transactions, and only one process at a time has to. Raises StoreError."""
    await estate.store.tidy(estate.now())
    await _forget_decisions(estate)
    await _forget_parsed(estate)


async def _forget_decisions(estate: Estate) -> None:
    """Who took out what is long gone. What an owner that leaves waits for goes on being told with its author."""
    store, before = estate.store, estate.now() - DECIDED
    old = {source async for source, row in store.provenances(TAKEN_OUT) if row.at < before}
    if not old:
        return
    async for row in store.owners():
        intent = row.accepted.intent
        if intent.left_at and isinstance(row.owner, Tenant):
            old.discard(TAKEN_OUT + document_source("Project", intent.workspace, intent.project))
        elif intent.left_at:
            old.discard(TAKEN_OUT + document_source("Workspace", intent.workspace))
    await store.forget_provenance(sorted(old))


async def _forget_parsed(estate: Estate) -> None:
    """Keep the parse results of what is accepted and of what is at the head, as far as the repository is there."""
    source, store = estate.source, estate.store
    branch = estate.config.repository.branch if estate.config.repository else ""
    head = await store.head()
    needed: set[str] = set()
    try:
        commits = {source.head(branch), *([head.commit] if head and source.has(head.commit) else [])}
        for commit in sorted(commits):
            needed |= {entry.blob for path, entry in source.tree(commit).items() if is_manifest(path)}
    except SourceError:
        return  # without it nobody knows; the next day will do
    await store.forget_parsed(await store.parsed_blobs() - needed)
