"""`hanse serve` as a process of its own: how soon what is changed by hand is back, and what it costs while idle."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped,unused-ignore]

from bench.kubernetes_bare import RBAC, Bare
from bench.kubernetes_estate import LABEL, QUOTA, Stands, namespace
from bench.report import Row
from hanse.ports.transport import Call

START_SECONDS = 300.0
LATENCY_LIMIT = 1.0
CORE_LIMIT, MEMORY_LIMIT = 0.02, 400.0
LOST_SECONDS = 30.0
"""What is not back by then will not come."""
LOOK_SECONDS = 0.01
PAUSE_SECONDS = 0.1
"""Between two changes by hand."""


@dataclass
class Serving:
    """A running `hanse serve`, and what it said."""

    process: Any
    said: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it told of one sort so far."""
        lines = self.said.read_bytes().splitlines(keepends=True)
        told = [msgspec.json.decode(line) for line in lines if line.endswith(b"\n")]
        return [one for one in told if one["event"] == name]

    async def settled(self) -> None:
        """Wait until the first sweep is over and the repository was judged."""
        end = time.monotonic() + START_SECONDS
        while not (self.events("swept") and self.events("judged")):
            assert self.process.status() != psutil.STATUS_ZOMBIE, self.said.read_text()
            assert time.monotonic() < end, self.said.read_text()
            await asyncio.sleep(0.2)

    def processor_seconds(self) -> float:
        """Of the process and all that it ran."""
        times = self.process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def mebibytes(self) -> float:
        """What it holds in memory now."""
        return float(self.process.memory_info().rss / 2**20)


@contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    """Serve the organisation in that folder until the end of the block."""
    said = folder / "serve.jsonl"
    command = [str(Path(sys.executable).with_name("hanse")), "serve", "--json"]
    variables = {**os.environ, "HANSE_CONFIG": str(folder / "server.yaml")}
    with said.open("wb") as output, subprocess.Popen(command, env=variables, stdout=output) as process:
        try:
            yield Serving(psutil.Process(process.pid), said)
        finally:
            process.send_signal(signal.SIGTERM)


class Hand:
    """Somebody who changes things behind Hanse's back, and looks until they are as they were."""

    def __init__(self, bare: Bare) -> None:
        """As administrator."""
        self.bare = bare

    async def remove_binding(self, at: str) -> float:
        """Delete one of our RoleBindings."""
        one = await self._binding(at)
        path, was = f"{self._bindings(at)}/{one['metadata']['name']}", one["metadata"]["uid"]
        return await self._timed(
            Call("DELETE", path), path, lambda code, now: code == 200 and now["metadata"]["uid"] != was
        )

    async def give_binding(self, at: str) -> float:
        """Give somebody a role that nobody declared."""
        group = "rbac.authorization.k8s.io"
        body = {
            "metadata": {"name": "by-hand"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "stranger@example.org"}],
        }
        path = f"{self._bindings(at)}/by-hand"
        return await self._timed(
            Call("POST", self._bindings(at), body=body), path, lambda code, _: code == 404
        )

    async def change_subject(self, at: str) -> float:
        """Put somebody else into one of our RoleBindings."""
        one = await self._binding(at)
        path, was = f"{self._bindings(at)}/{one['metadata']['name']}", one["subjects"]
        other = [{**was[0], "name": "stranger@example.org"}]
        return await self._timed(
            _merge(path, {"subjects": other}), path, lambda code, now: code == 200 and now["subjects"] == was
        )

    async def change_label(self, at: str) -> float:
        """Give the namespace another value of a label that the manifest gives it."""
        path = f"/api/v1/namespaces/{at}"
        return await self._timed(
            _merge(path, {"metadata": {"labels": {LABEL: "other"}}}),
            path, lambda _, now: now["metadata"]["labels"].get(LABEL) == "prod",
        )  # fmt: skip

    async def change_quota(self, at: str) -> float:
        """Raise the quota."""
        path = f"/api/v1/namespaces/{at}/resourcequotas/hanse"
        return await self._timed(
            _merge(path, {"spec": {"hard": {QUOTA: "40"}}}),
            path,
            lambda _, now: now["spec"]["hard"] == {QUOTA: "4"},
        )

    async def _timed(self, change: Call, path: str, is_back: Callable[[int, Any], bool]) -> float:
        """Seconds from before the change is sent until it is seen to be undone."""
        began = time.perf_counter()
        await self.bare.send(change)
        while not is_back(*await self.bare.ask(Call("GET", path))):
            assert time.perf_counter() - began < LOST_SECONDS, f"{change.method} {change.path} stays"
            await asyncio.sleep(LOOK_SECONDS)
        return time.perf_counter() - began

    async def _binding(self, at: str) -> Any:
        return (await self.bare.send(Call("GET", self._bindings(at))))["items"][0]

    def _bindings(self, at: str) -> str:
        return f"{RBAC}/namespaces/{at}/rolebindings"


def _merge(path: str, body: Any) -> Call:
    return Call("PATCH", path, (("fieldManager", "hand"),), body, content_type="application/merge-patch+json")


async def latency(stands: Stands, *, quick: bool) -> list[Row]:
    """Undo 200 changes by hand, of five sorts, spread over so many namespaces that nobody calls it a fight."""
    projects, changes = (50, 50) if quick else (100, 200)
    stand = await stands.converged(projects, furnished=True)
    taken: dict[str, list[float]] = {}
    with serving(stand.organisation.folder) as process:
        await process.settled()
        stands.tell(f"{changes} changes by hand in {projects} namespaces")
        async with Bare(stand.server) as bare:
            hand = Hand(bare)
            sorts: dict[str, Callable[[str], Awaitable[float]]] = {
                "a removed binding": hand.remove_binding,
                "a foreign binding": hand.give_binding,
                "another subject": hand.change_subject,
                "another label": hand.change_label,
                "another quota": hand.change_quota,
            }
            for number in range(changes):
                what = list(sorts)[number % len(sorts)]
                # One further for each round, so that no namespace has the same change twice.
                at = namespace((number + number // projects) % projects)
                taken.setdefault(what, []).append(await sorts[what](at))
                await asyncio.sleep(PAUSE_SECONDS)
        assert not process.events("fought")
    stands.end(stand)
    every = [seconds for many in taken.values() for seconds in many]
    p50, p95, p99 = (quantiles(every, n=100, method="inclusive")[n - 1] for n in (50, 95, 99))
    worst = ", ".join(f"{what} {max(many):.2f} s" for what, many in taken.items())
    what = f"kubernetes: {changes} changes by hand in {projects} namespaces"
    return [
        Row(
            f"{what}: undone, p95", f"{p95:.2f} s", "", p95, LATENCY_LIMIT,
            note=f"p50 {p50:.2f} s, p99 {p99:.2f} s; the longest: {worst}",
        )
    ]  # fmt: skip


async def idle(stands: Stands, *, quick: bool) -> list[Row]:
    """Serve for 15 minutes while nothing happens; the default period has one sweep in them."""
    projects, minutes = (200, 0.5) if quick else (10_000, 15)
    stand = await stands.converged(projects)
    with serving(stand.organisation.folder) as process:
        most = 0.0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, process.mebibytes())
                await asyncio.sleep(0.1)

        watching = asyncio.ensure_future(watch())
        try:
            await process.settled()
            started = process.processor_seconds()
            stands.tell(f"hanse serve is idle for {minutes:g} minutes on {projects:,} namespaces")
            began = time.monotonic()
            await asyncio.sleep(60 * minutes)
            used, wall = process.processor_seconds() - started, time.monotonic() - began
            now = process.mebibytes()
        finally:
            watching.cancel()
        sweeps = [sweep["seconds"] for sweep in process.events("swept")]
        assert not process.events("stepped"), process.said.read_text()
        assert not process.events("failed"), process.said.read_text()
    share = used / wall
    what = f"kubernetes: hanse serve idle on {projects:,} namespaces, {minutes:g} minutes"
    return [
        Row(
            f"{what}: of a core", f"{share:.2%}", "", share, CORE_LIMIT,
            note=f"{used:.1f} s, with what it runs; before that {started:.1f} s until the first sweep was over",
        ),
        Row(
            f"{what}: most memory", f"{most:.0f} MiB", "", most, MEMORY_LIMIT,
            note=f"{now:.0f} MiB at the end; sweeps took {', '.join(f'{seconds:.1f} s' for seconds in sweeps)}",
        ),
    ]  # fmt: skip
