"""An organisation on simulated clouds, its store on a real PostgreSQL, and workers as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.simulated import Running

from hanse import git
from postgresql_server import PostgresqlServer

AUTHOR = git.Author("Maria Mitchell", "maria.mitchell@example.org")
WRITES_PER_PROJECT = 4
"""A space, a group, a role for the group, and a member."""
PATIENCE_SECONDS = 90.0
"""For a machine that has much else to do."""
HEAD = "apiVersion: hanse/v1\nkind: "


@dataclass
class Process:
    """One `hanse worker`."""

    popen: subprocess.Popen[bytes]
    log: Path

    def said(self, event: str) -> list[dict[str, Any]]:
        """What it told of one sort."""
        lines = self.log.read_text().splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [one for one in told if one["event"] == event]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)


@dataclass
class Site:
    """One organisation. `more` are variables of its processes' environment."""

    folder: Path
    server: PostgresqlServer
    clouds: Running
    store: str = ""
    processes: list[Process] = field(default_factory=list)

    def begin(self) -> None:
        """Make the organisation, without projects, and accept it."""
        self.store = self.server.new_store()
        credentials = "".join(
            f"  c{number}: {{source: none, endpoint: '{self.clouds.address}/c{number}', platform: c{number}}}\n"
            for number in range(2)
        )
        self.config.write_text(
            f"repository: {{url: '{self.repository}', branch: main}}\n"
            f"serve: {{pollSeconds: 1, sweepSeconds: 600}}\napprovers: [root]\ncredentials:\n{credentials}"
        )
        platforms = "---\n".join(
            f"{HEAD}Platform\nname: c{number}\ncredential: c{number}\nlimits: {{requestsPerSecond: 20}}\n"
            f"memory:\n  users: {{externalId: memory}}\n---\n{HEAD}LandingZone\nname: standard\nplatform: c{number}\n"
            for number in range(2)
        )
        people = "---\n".join(
            f"{HEAD}User\nname: u-{n}\ndisplayName: Person {n}\nexternalIds: {{memory: person{n}}}\n"
            for n in range(5)
        )
        files = {
            "organization.yaml": f"{HEAD}Organization\nname: example\ntimezone: UTC\n",
            "platforms.yaml": platforms,
            "people.yaml": people,
            "workspaces.yaml": "---\n".join(f"{HEAD}Workspace\nname: w{n}\n" for n in range(3)),
        }
        first = git.init(self.repository, _encoded(files), "The organisation begins", AUTHOR)
        done = self.run("apply", "--yes", "--first", first)
        assert done.returncode == 0, done.stderr

    @property
    def repository(self) -> Path:
        """Where the manifest is."""
        return self.folder / "repository"

    @property
    def config(self) -> Path:
        """The server's own configuration."""
        return self.folder / "server.yaml"

    def command(self, *arguments: str, database: str = "") -> list[str]:
        """`hanse`, with the simulated clouds."""
        options = ["--config", str(self.config), "--database", database or self.store]
        return [sys.executable, "-m", "workers.hanse_beside_clouds", *options, *arguments]

    def run(self, *arguments: str, database: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = self.command(*arguments, database=database)
        return subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())

    def start(self, *, database: str = "", clock_seconds: float = 0.0) -> Process:
        """Start a worker, whose clock may be wrong, and wait until it keeps things in force."""
        log = self.folder / f"worker-{len(self.processes)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                self.command("worker", "--log", "json", database=database),
                stdout=output,
                stderr=output,
                env=_environment(HANSE_TEST_CLOCK=str(clock_seconds)),
            )
        process = Process(popen, log)
        self.processes.append(process)
        self.until(lambda: bool(process.said("began")) or popen.poll() is not None)
        assert popen.poll() is None, log.read_text()
        return process

    def end(self) -> None:
        """Stop all that still run; whoever was not killed ends well."""
        for process in self.processes:
            if process.popen.poll() is None:
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGTERM)
        for process in self.processes:
            ended = process.popen.wait(60)
            assert ended in (0, -signal.SIGKILL), process.log.read_text()

    def projects(self, first: int, count: int, tag: str = "prod") -> str:
        """Commit projects, new or changed; the commit."""
        files = {
            f"workspaces/w{n % 3}/p{n}.yaml": (
                f"{HEAD}Project\nname: p{n}\nworkspace: w{n % 3}\ntags: {{environment: {tag}}}\n"
                f"access:\n  - {{user: u-{n % 5}, role: user}}\n"
                f"tenants:\n  - {{platform: c{n % 2}, landingZone: standard}}\n"
            )
            for n in range(first, first + count)
        }
        return git.commit(self.repository, _encoded(files), "Projects", AUTHOR)

    def until(self, holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
        """Wait until it holds; how many seconds that took."""
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < seconds, self.told()
            time.sleep(0.05)
        return time.monotonic() - began

    def told(self) -> str:
        """The end of what all said, for whoever reads why a test failed."""
        return "\n".join(f"{one.log.name}:\n{one.log.read_text()[-2000:]}" for one in self.processes)

    def held(self) -> int:
        """How many projects hold what is accepted of them."""
        holds = "applied = intent AND waits = '' AND steps_left = 0"
        sql = f"SELECT count(*) FROM owner WHERE owner LIKE '%/p%' AND {holds}"  # noqa: S608 (of our own words)
        return int(self.server.do(sql, address=self.store)[0][0])

    @property
    def writes(self) -> int:
        """How many writes the clouds have done."""
        return sum(one.writes for one in self.clouds.counts()[0])

    @property
    def refused(self) -> int:
        """How many writes were too many in a second."""
        return sum(one.refused for one in self.clouds.counts()[0])


def _encoded(files: dict[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def _environment(**more: str) -> dict[str, str]:
    root = Path(__file__).parent.parent.parent
    return {**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}", **more}
