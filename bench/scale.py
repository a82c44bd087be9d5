"""Many projects on twenty simulated clouds, by one process of Hanse and by two, over PostgreSQL.

The clouds take 50 ms for a call and 20 writes a second each, which no engine can pass: its share is what is told. They
live in a process of their own (`bench.simulated`), PostgreSQL in others; all share the machine with what is measured.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from bench import database
from bench.database import Database, most_mib, processor
from bench.report import Row
from bench.simulated import PEOPLE, WRITES_PER_SECOND, Counts, Running, simulated
from hanse import git

PROJECTS = 10_000
CLOUDS = 20
PER_WORKSPACE = 20
WRITES_PER_PROJECT = 5
"""A space, a group, a role for the group, and two members."""
PROCESSES = (1, 2)
SHARE = 0.8
"""Of what the clouds take, at least."""
MOST_MIB = 600
LONGEST_SECONDS = 900.0
AUTHOR = git.Author("Bench", "bench@example.org")
HEAD = "apiVersion: hanse/v1\nkind: "
COMMAND = "worker" if importlib.util.find_spec("hanse.cli.worker") else "serve"

Tell = Callable[[str], None]


def base(projects: int) -> dict[str, bytes]:
    """The organisation without projects."""
    platforms = "---\n".join(
        f"{HEAD}Platform\nname: c{number}\ncredential: c{number}\n"
        f"limits: {{requestsPerSecond: {WRITES_PER_SECOND:g}}}\nmemory:\n  users: {{externalId: memory}}\n"
        f"---\n{HEAD}LandingZone\nname: standard\nplatform: c{number}\n"
        for number in range(CLOUDS)
    )
    people = "---\n".join(
        f"{HEAD}User\nname: u-{number}\ndisplayName: Person {number}\n"
        f"externalIds: {{memory: person{number}}}\n"
        for number in range(PEOPLE)
    )
    workspaces = "---\n".join(
        f"{HEAD}Workspace\nname: w{number}\n" for number in range((projects - 1) // PER_WORKSPACE + 1)
    )
    return {
        "organization.yaml": f"{HEAD}Organization\nname: bench\ntimezone: UTC\n".encode(),
        "platforms.yaml": platforms.encode(),
        "people.yaml": people.encode(),
        "workspaces.yaml": workspaces.encode(),
    }


def project(number: int, environment: str = "prod") -> dict[str, bytes]:
    """One project's file."""
    workspace = f"w{number // PER_WORKSPACE}"
    members = "".join(f"  - {{user: u-{(number + more) % PEOPLE}, role: user}}\n" for more in (0, 1))
    return {
        f"workspaces/{workspace}/p{number}.yaml": (
            f"{HEAD}Project\nname: p{number}\nworkspace: {workspace}\n"
            f"tags: {{environment: {environment}}}\naccess:\n{members}"
            f"tenants:\n  - {{platform: c{number % CLOUDS}, landingZone: standard}}\n"
        ).encode()
    }


@dataclass
class Phase:
    """What one thing took."""

    wall: float = 0.0
    """From the commit, or the start, until everything holds and is noted."""
    counts: list[Counts] = field(default_factory=list)
    processor: float = 0.0
    """Of Hanse's processes."""
    database: float = 0.0
    cloud: float = 0.0

    @property
    def writes(self) -> int:
        """Of all clouds."""
        return sum(one.writes for one in self.counts)

    @property
    def calls(self) -> int:
        """Whatever they were answered."""
        return sum(one.writes + one.reads + one.refused for one in self.counts)

    @property
    def refused(self) -> int:
        """With 429."""
        return sum(one.refused for one in self.counts)

    @property
    def writing(self) -> float:
        """Seconds from the first write to the last."""
        wrote = [one for one in self.counts if one.writes]
        return max(one.last for one in wrote) - min(one.first for one in wrote) if wrote else 0.0

    def processors(self) -> str:
        """In words."""
        return (
            f"Hanse {self.processor:.1f} s, PostgreSQL {self.database:.1f} s, the clouds {self.cloud:.1f} s"
        )


class Bench:
    """One organisation, its store, its clouds, and the processes that keep it in force."""

    def __init__(self, folder: Path, server: Database, clouds: Running, projects: int) -> None:
        self.folder = folder
        self.server = server
        self.clouds = clouds
        self.projects = projects
        self.store = server.new_store()
        self.repository = folder / "repository"
        self.processes: list[psutil.Process] = []
        self.ended_processor = 0.0
        self.most_mib = 0.0
        credentials = "".join(
            f"  c{number}: {{source: none, endpoint: '{clouds.address}/c{number}', platform: c{number}}}\n"
            for number in range(CLOUDS)
        )
        (folder / "server.yaml").write_text(
            f"repository: {{url: '{self.repository}', branch: main}}\n"
            f"serve: {{pollSeconds: 1}}\ncredentials:\n{credentials}"
        )
        first = git.init(self.repository, base(projects), "the organisation, without projects", AUTHOR)
        self.run("apply", "--yes", "--first", first)

    def command(self, *arguments: str) -> list[str]:
        """`hanse`, with these clouds."""
        options = ["--config", str(self.folder / "server.yaml"), "--database", self.store]
        return [sys.executable, "-m", "bench.simulated_vendor", *options, *arguments]

    def run(self, *arguments: str) -> None:
        """Run it to its end."""
        done = subprocess.run(self.command(*arguments), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    @contextmanager
    def kept(self, processes: int) -> Iterator[None]:
        """Have so many processes keep it in force, until the end of the block."""
        started = []
        for number in range(processes):
            log = self.folder / f"log-{len(list(self.folder.glob('log-*')))}-{number}"
            with log.open("wb") as output:
                command = self.command(COMMAND, "--log", "json")
                started.append((subprocess.Popen(command, stdout=output, stderr=output), log))
        self.processes = [psutil.Process(process.pid) for process, _ in started]
        self.logs = [log for _, log in started]
        self.ended_processor = 0.0
        try:
            yield
        finally:
            self.note_memory()
            for process, _ in started:
                process.send_signal(signal.SIGTERM)
            for process, log in started:
                assert process.wait(60) == 0, log.read_text()[-2000:]

    def note_memory(self) -> None:
        """What each process had at most, by the system's own count."""
        for process in self.processes:
            self.most_mib = max(self.most_mib, most_mib(process))

    def processor(self) -> float:
        """Seconds of processors that these processes took."""
        return sum(map(processor, self.processes))

    def swept(self) -> set[str]:
        """The platforms that these processes say they swept."""
        found = set()
        for log in self.logs:
            for line in log.read_text().splitlines():
                if '"swept"' in line:
                    found.add(json.loads(line)["platform"])
        return found

    def holds(self, owners: int) -> bool:
        """Whether so many owners are accepted, and all of them hold."""
        sql = "SELECT count(*), count(CASE WHEN applied = intent AND waits = '' THEN 1 END) FROM owner"
        there, held = self.server.ask(self.store, f"{sql} WHERE owner LIKE '%/p%'")[0]
        return bool(there == held == owners)

    def measure(self, what: Callable[[], Any], until: Callable[[], bool], every: float = 0.5) -> Phase:
        """What it takes until that is so."""
        _, cloud = self.clouds.counts(anew=True)
        ours, database = self.processor(), self.server.processor()
        what()
        began = time.monotonic()
        while not until():
            assert time.monotonic() - began < LONGEST_SECONDS, self.logs[0].read_text()[-2000:]
            time.sleep(every)
        wall = time.monotonic() - began
        counts, now = self.clouds.counts()
        return Phase(wall, counts, self.processor() - ours, self.server.processor() - database, now - cloud)

    def change(self, files: dict[str, bytes]) -> None:
        """Commit it."""
        git.commit(self.repository, files, "a change", AUTHOR)


async def run(tell: Tell, *, quick: bool) -> list[Row]:
    """Measure it by one process and by two."""
    return await asyncio.to_thread(_run, tell, 400 if quick else PROJECTS)


def _run(tell: Tell, projects: int) -> list[Row]:
    rows: list[Row] = []
    processes = PROCESSES if COMMAND == "worker" else (1,)
    with database.started() as server:
        for number in processes:
            with tempfile.TemporaryDirectory(prefix="hanse-bench-") as folder, simulated(CLOUDS) as clouds:
                rows += _measure(tell, Bench(Path(folder), server, clouds, projects), number)
    return rows


def _measure(tell: Tell, bench: Bench, processes: int) -> list[Row]:
    projects = bench.projects
    by = f"{projects:,} projects, {processes} {COMMAND}{'s' if processes > 1 else ''}"
    everything = {f"c{number}" for number in range(CLOUDS)}
    with bench.kept(processes):
        bench.measure(lambda: None, lambda: bench.swept() == everything)
        files = {path: data for number in range(projects) for path, data in project(number).items()}
        tell(f"{by}: converged from nothing")
        first = bench.measure(lambda: bench.change(files), lambda: bench.holds(projects))
    assert first.writes == projects * WRITES_PER_PROJECT, (first.writes, projects)
    with bench.kept(processes):
        tell(f"{by}: a sweep without changes")
        sweep = bench.measure(lambda: None, lambda: bench.swept() == everything)
        assert not sweep.writes
        time.sleep(2)
        tell(f"{by}: one change")
        one = bench.measure(lambda: bench.change(project(7, "test")), _wrote(bench, 1, projects), 0.05)
        some = [number * 100 + number % CLOUDS for number in range(projects // 100)]
        many = {path: data for number in some for path, data in project(number, "test").items()}
        tell(f"{by}: {len(some)} changes")
        mass = bench.measure(lambda: bench.change(many), _wrote(bench, len(some), projects), 0.2)
    limit = SHARE if projects >= PROJECTS else None
    share = first.writes / (first.writing * CLOUDS * WRITES_PER_SECOND)
    things = projects * WRITES_PER_PROJECT
    return [
        Row(
            f"{by}: from nothing, share of the clouds' limit", f"{first.writes / first.writing:,.0f} writes a second",
            f"{CLOUDS * WRITES_PER_SECOND:,.0f} (the limit)", share, limit, at_least=True,
            note=f"{first.wall:.0f} s from the commit until all holds, {first.writing:.0f} s of them from the first "
            f"write to the last; {first.calls / things:.2f} calls per thing, {first.refused} answered 429; "
            f"processors: {first.processors()}, of ours {1000 * first.processor / things:.2f} ms a write",
        ),
        Row(
            f"{by}: start and sweep without a change", f"{sweep.wall:.1f} s",
            note=f"{sweep.calls:,} calls, {sweep.calls / things:.3f} per thing; processors: {sweep.processors()}",
        ),
        Row(
            f"{by}: one change, commit to all noted", f"{one.wall:.1f} s",
            note=f"{one.calls} calls, {one.writes} of them write; processors: {one.processors()}",
        ),
        Row(
            f"{by}: {len(some)} changes, commit to all noted", f"{mass.wall:.1f} s",
            note=f"{mass.calls / len(some):.1f} calls per changed thing; processors: {mass.processors()}",
        ),
        Row(f"{by}: most memory of a process", f"{bench.most_mib:.0f} MiB", "", bench.most_mib, MOST_MIB),
    ]  # fmt: skip


def _wrote(bench: Bench, writes: int, owners: int) -> Callable[[], bool]:
    def holds() -> bool:
        counts, _ = bench.clouds.counts()
        return sum(one.writes for one in counts) >= writes and bench.holds(owners)

    return holds
