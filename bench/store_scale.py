"""A store with 100,000 projects and 1,000,000 grants: what start, sweep and one change take of Hanse alone.

All of it was accepted from a repository, and is noted as holding. The clouds cost nothing (`bench.remembering_vendor`),
so that all that is measured is Hanse's own, and PostgreSQL's.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]
from msgspec.structs import replace

from bench import database, validate
from bench.database import Database, most_mib, processor
from bench.report import Row
from hanse import main
from hanse.ports.store import Status, Work
from hanse.service.propose import accept, propose
from hanse.store import open_store

CLOUDS = 20
PER_WORKSPACE = 20
GRANTS = 10
PEOPLE = 1_000
OWN_SECONDS = 1.0
MOST_MIB = 600
BATCH = 100
LONGEST_SECONDS = 600.0

Tell = Callable[[str], None]
_HEAD = "apiVersion: hanse/v1\nkind: "


@dataclass(frozen=True)
class Organisation:
    """So many projects with ten grants each."""

    projects: int

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and content of each file."""
        yield "organization.yaml", f"{_HEAD}Organization\nname: bench\ntimezone: UTC\n"
        yield (
            "platforms.yaml",
            "---\n".join(
                f"{_HEAD}Platform\nname: c{number}\ncredential: c{number}\nmemory:\n  users: {{externalId: memory}}\n"
                f"---\n{_HEAD}LandingZone\nname: standard\nplatform: c{number}\nmemory: {{grants: direct}}\n"
                for number in range(CLOUDS)
            ),
        )
        yield (
            "people.yaml",
            "---\n".join(
                f"{_HEAD}User\nname: u-{number}\nexternalIds: {{memory: person{number}}}\n"
                for number in range(PEOPLE)
            ),
        )
        for number in range((self.projects - 1) // PER_WORKSPACE + 1):
            yield f"workspaces/w{number}/workspace.yaml", f"{_HEAD}Workspace\nname: w{number}\n"
        for number in range(self.projects):
            yield self.project(number)

    def project(self, number: int, environment: str = "prod") -> tuple[str, str]:
        """One of them."""
        workspace = f"w{number // PER_WORKSPACE}"
        members = "".join(
            f"  - {{user: u-{(number + more) % PEOPLE}, role: user}}\n" for more in range(GRANTS)
        )
        return f"workspaces/{workspace}/p{number}.yaml", (
            f"{_HEAD}Project\nname: p{number}\nworkspace: {workspace}\n"
            f"tags: {{environment: {environment}}}\naccess:\n{members}"
            f"tenants:\n  - {{platform: c{number % CLOUDS}, landingZone: standard}}\n"
        )


@dataclass
class Kept:
    """A `hanse serve` that runs, and what it tells."""

    process: psutil.Process
    log: Path
    began: float = field(default_factory=time.monotonic)
    _read: int = 0
    _news: list[dict[str, Any]] = field(default_factory=list)

    def news(self) -> list[dict[str, Any]]:
        """All that it told so far."""
        with self.log.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                if line.startswith(b"{"):
                    self._news.append(json.loads(line))
        return self._news

    def until(self, event: str, count: int = 1, **values: Any) -> tuple[float, float]:
        """Wait until it told so many of these; the time then, and the processors' seconds of the process."""
        while True:
            told = [one for one in self.news() if one["event"] == event and values.items() <= one.items()]
            if len(told) >= count:
                return time.monotonic(), self.processor()
            assert time.monotonic() - self.began < LONGEST_SECONDS, self.log.read_text()[-2000:]
            assert self.process.status() != psutil.STATUS_ZOMBIE, self.log.read_text()[-2000:]
            time.sleep(0.01)

    def processor(self) -> float:
        """Seconds of processors that it took."""
        return processor(self.process)


class Bench:
    """The repository, the store, and the command on them."""

    def __init__(self, folder: Path, server: Database, projects: int, tell: Tell) -> None:
        self.folder = folder
        self.organisation = Organisation(projects)
        self.database = server.new_store()
        self.repository = folder / "repository.git"
        validate.write(self.repository, self.organisation)  # type: ignore[arg-type]
        for name, branch in (("server", "main"), ("still", "absent")):
            credentials = "".join(
                f"  c{number}: {{source: none, endpoint: 'http://127.0.0.1:9', platform: c{number}}}\n"
                for number in range(CLOUDS)
            )
            (folder / f"{name}.yaml").write_text(
                f"repository: {{url: '{self.repository}', branch: {branch}}}\nserve: {{pollSeconds: 1}}\n"
                f"credentials:\n{credentials}"
            )
        tell(f"{projects:,} projects are accepted and noted")
        first = subprocess.run(
            ["git", "-C", str(self.repository), "rev-parse", "main"],
            check=True,
            capture_output=True,
            text=True,
        )
        asyncio.run(self._accept(first.stdout.strip()))

    async def _accept(self, commit: str) -> None:
        """Accept the first commit, and note that all of it holds."""
        main.VENDORS["memory"] = "bench.remembering_vendor"
        main.vendors.cache_clear()
        main.language.cache_clear()
        async with main.open_estate(str(self.folder / "server.yaml"), self.database) as estate:
            await estate.store.hold()
            proposal = await propose(estate, commit)
            assert proposal.checked is not None, proposal.diagnostics[:3]
            await accept(estate, proposal)
            head = await estate.store.head()
            assert head is not None
            rows = [(row.owner, row.accepted.intent.digest) async for row in estate.store.owners()]
            for start in range(0, len(rows), 1_000):
                some, now = rows[start : start + 1_000], datetime.now(UTC)
                await estate.store.record(
                    {owner: Status(digest, head.directory, now, now) for owner, digest in some}
                )
                await estate.store.looked([Work(owner, 0) for owner, _ in some])

    def command(self, config: str, *arguments: str) -> list[str]:
        """`hanse`, with these clouds."""
        options = ["--config", str(self.folder / f"{config}.yaml"), "--database", self.database]
        return [sys.executable, "-m", "bench.remembering_vendor", *options, *arguments]

    @contextmanager
    def kept(self, config: str) -> Iterator[Kept]:
        """`hanse serve`, until the end of the block."""
        log = self.folder / f"{config}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(config, "serve", "--log", "json"), stdout=output, stderr=output
            )
        try:
            yield Kept(psutil.Process(process.pid), log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


async def run(tell: Tell, *, quick: bool) -> list[Row]:
    """Measure it."""
    projects = 2_000 if quick else 100_000
    with tempfile.TemporaryDirectory(prefix="hanse-bench-") as folder, database.started() as server:
        bench = await asyncio.to_thread(Bench, Path(folder), server, projects, tell)
        rows = await asyncio.to_thread(_serve, bench, tell)
        tell("claims")
        rows.append(await _claims(bench))
    return rows


def _serve(bench: Bench, tell: Tell) -> list[Row]:
    projects = bench.organisation.projects
    what = f"{projects:,} projects, {projects * GRANTS:,} grants"
    tell("start and sweep, with no commit to be judged")
    with bench.kept("still") as kept:
        started, spent = kept.until("began")
        swept, after = kept.until("swept", CLOUDS)
        time.sleep(2)
        peak, idle = most_mib(kept.process), most_mib(kept.process, "VmRSS")
    rows = [
        Row(
            f"{what}: start until it keeps them", f"{started - kept.began:.2f} s", note=f"{spent:.2f} s of a processor"
        ),
        Row(
            f"{what}: sweep of {CLOUDS} clouds without a change", f"{swept - started:.1f} s",
            note=f"{after - spent:.1f} s of a processor, {1e6 * (after - spent) / projects:.0f} µs a project",
        ),
        Row(
            f"{what}: most memory, start and sweep", f"{peak:.0f} MiB", "", peak, MOST_MIB, note=f"{idle:.0f} MiB after"
        ),
    ]  # fmt: skip
    tell("the first judging, of everything")
    with bench.kept("server") as kept:
        kept.until("swept", CLOUDS)
        _, spent = kept.until("judged")
        peak = most_mib(kept.process)
    rows.append(
        Row(
            f"{what}: sweep, and the first judging of all, with an empty cache", f"{spent:.1f} s",
            note=f"of a processor; most memory {peak:.0f} MiB"
        )
    )  # fmt: skip
    with bench.kept("server") as kept:
        tell("a start with the cache")
        kept.until("swept", CLOUDS)
        kept.until("judged")
        path, content = bench.organisation.project(0, "test")
        changes = {
            "a tag of a project": bench.organisation.project(projects // 2, "test"),
            "a project that is new": (path.replace("p0", "p-new"), content.replace("p0", "p-new")),
            "a person who is new": ("people/new.yaml", f"{_HEAD}User\nname: u-new\n"),
        }
        for number, (change, (path, content)) in enumerate(changes.items(), 2):
            tell(change)
            time.sleep(2)
            before = kept.processor()
            validate.change(bench.repository, path, content)
            committed = time.monotonic()
            judged, at_mark = kept.until("judged", number)
            end, at_end = judged, at_mark
            if path.startswith("workspaces/"):
                end, at_end = kept.until("settled", number - 1)
            rows.append(
                Row(
                    f"{what}: {change}, from the commit", f"{at_end - before:.2f} s", "", at_end - before, OWN_SECONDS,
                    note=f"of a processor, {at_end - at_mark:.2f} s of it from the mark on; with up to a second of "
                    f"waiting {end - committed:.2f} s on the clock",
                )
            )  # fmt: skip
        peak = most_mib(kept.process)
    return [
        *rows,
        Row(f"{what}: most memory, start, sweep and these changes", f"{peak:.0f} MiB", "", peak, MOST_MIB),
    ]


async def _claims(bench: Bench) -> Row:
    """Take all that there is on one cloud by hundreds, as workers do."""
    store = open_store(bench.database)
    now = datetime.now(UTC)
    await store.hold(shared=True)
    owners = [row.owner async for row in store.owners("c0")]
    await store.mark(owners, now, "a sweep")
    looked, began = 0, time.perf_counter()
    while claimed := await store.claim("c0", now, BATCH, 60):
        looked += len(claimed)
        await store.looked([replace(work, due=None) for work in claimed])
    taken = time.perf_counter() - began
    assert looked == len(owners)
    await store.close()
    return Row(
        f"{bench.organisation.projects:,} projects: claims and looks by {BATCH}", f"{looked / taken:,.0f} a second",
        note=f"{looked:,} owners",
    )  # fmt: skip
