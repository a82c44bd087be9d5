"""`hanse validate` on a large organisation: cold, with its cache, and after commits that changed one file.

The organisation is as people keep one: a file for each document, folders by workspace, grants mostly inline and to
groups, two platforms of each vendor. What is measured is the command itself, with its start.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.report import Row, seconds

DOCUMENTS = 100_000
COLD, WARM, CHANGED = 10.0, 3.0, 1.0
"""Seconds."""
PEAK_GIB = 1.2
TIMES = 5


@dataclass(frozen=True)
class Large:
    """An organisation of so many documents: of 100, 30 are projects, 3 workspaces, 12 groups, 35 people, 20 grants."""

    documents: int

    @property
    def projects(self) -> int:
        """How many projects."""
        return self.documents * 30 // 100

    @property
    def workspaces(self) -> int:
        """How many workspaces."""
        return self.documents * 3 // 100

    @property
    def groups(self) -> int:
        """How many groups."""
        return self.documents * 12 // 100

    @property
    def users(self) -> int:
        """How many people."""
        return self.documents * 35 // 100

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and content of each file."""
        few = list(self._platforms())
        yield from few
        for number in range(self.workspaces):
            yield f"workspaces/w{number}/workspace.yaml", _document("Workspace", f"w{number}", (
                f"displayName: Team {number}\n"
                f"tags: {{costCenter: \"{4000 + number}\"}}\n"
            ))  # fmt: skip
        for number in range(self.groups):
            members = "".join(f"  - u-{(number * 3 + member * 7) % self.users}\n" for member in range(3))
            yield f"groups/g{number}.yaml", _document("Group", f"g{number}", f"members:\n{members}")
        for number in range(self.users):
            yield f"people/{number // 1000}/u-{number}.yaml", _document("User", f"u-{number}", (
                f"displayName: Person {number}\nemail: person{number}@example.org\n"
                f"externalIds:\n  corporate: person{number}@example.org\n"
            ))  # fmt: skip
        for number in range(self.projects):
            yield self.project(number)
        rest = self.documents - len(few) - self.workspaces - self.groups - self.users - self.projects
        for number in range(rest):
            project = number * 3 % self.projects
            yield f"grants/{number // 1000}/g-{number}.yaml", _document("Grant", f"g-{number}", (
                f"workspace: {self.workspace(project)}\nproject: p{project}\n"
                f"user: u-{number * 11 % self.users}\nrole: reader\n"
                f"from: 2026-01-01T00:00:00Z\nuntil: 2999-01-01T00:00:00Z\n"
                f"reason: \"on-call, CHG-{number}\"\n"
            ))  # fmt: skip

    def workspace(self, project: int) -> str:
        """In which workspace a project is."""
        return f"w{project * self.workspaces // self.projects}"

    def project(self, number: int, extra: str = "") -> tuple[str, str]:
        """Path and content of one project's file; `extra` are more lines of `access`."""
        first, second = number * 3 % self.groups, (number * 3 + 1) % self.groups
        vendor = "kubernetes" if number % 3 or number % 10 == 0 else "openstack"
        workspace = self.workspace(number)
        more = "  - {platform: openstack-0, landingZone: standard}\n" if number % 10 == 0 else ""
        return f"workspaces/{workspace}/p{number}.yaml", _document("Project", f"p{number}", (
            f"workspace: {workspace}\ndisplayName: Project {number}\n"
            f"description: What team {number} runs\n"
            f"tags: {{environment: {'prod' if number % 2 else 'dev'}, owner: team-{number}}}\n"
            "access:\n"
            f"  - {{group: g{first}, role: admin}}\n"
            f"  - {{group: g{second}, role: user}}\n"
            f"  - {{user: u-{number % self.users}, role: reader, reason: \"audit\"}}\n{extra}"
            f"tenants:\n  - {{platform: {vendor}-{number % 2}, landingZone: standard}}\n{more}"
        ))  # fmt: skip

    def _platforms(self) -> Iterator[tuple[str, str]]:
        yield "organization.yaml", _document("Organization", "bench", "timezone: Europe/Berlin\n")
        blocks = {
            "openstack": (
                "openstack:\n  users: {domain: corporate, externalId: corporate}\n",
                "openstack:\n  roles: {admin: member, user: member, reader: reader}\n",
            ),
            "kubernetes": (
                "kubernetes:\n  subjects:\n    users: {externalId: corporate, prefix: 'oidc:'}\n"
                "  names: {namespace: '{workspace}-{project}'}\n",
                "kubernetes:\n  roles: {admin: admin, user: edit, reader: view}\n",
            ),
        }
        for vendor, (platform, zone) in blocks.items():
            for number in range(2):
                name = f"{vendor}-{number}"
                yield f"platforms/{name}.yaml", _document("Platform", name, f"credential: {name}\n{platform}")
                yield (
                    f"landing-zones/{name}.yaml",
                    _document("LandingZone", "standard", f"platform: {name}\n{zone}"),
                )


def _document(kind: str, name: str, rest: str) -> str:
    return f"apiVersion: hanse/v1\nkind: {kind}\nname: {name}\n{rest}"


def write(folder: Path, organisation: Large) -> None:
    """Make a bare repository of it by one fast import."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(folder)], check=True)
    _import(folder, organisation.files(), "")


def change(folder: Path, path: str, content: str) -> None:
    """Commit other content of one file."""
    _import(folder, iter([(path, content)]), "refs/heads/main^0")


def _import(folder: Path, files: Iterator[tuple[str, str]], onto: str) -> None:
    command = ["git", "-C", str(folder), "fast-import", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        write = process.stdin.write
        write(
            b"commit refs/heads/main\ncommitter Bench <bench@example.org> 1790000000 +0000\ndata 6\nbench\n\n"
        )
        if onto:
            write(f"from {onto}\n".encode())
        for path, content in files:
            data = content.encode()
            write(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data))
        process.stdin.close()
        assert process.wait() == 0


def run(*, quick: bool) -> list[Row]:
    """A cold check, and checks with the cache: of the same commit, of one project changed, of what all stands on."""
    organisation = Large(DOCUMENTS // 50 if quick else DOCUMENTS)
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        write(repository, organisation)
        cold: list[_Run] = []
        for _ in range(1 if quick else 3):
            shutil.rmtree(Path(folder) / "cache", ignore_errors=True)
            cold.append(_validate(folder))
        warm = [_validate(folder) for _ in range(TIMES)]
        changed, since, felt = [], [], []
        for number in range(TIMES):
            change(repository, *organisation.project(number * 7, "  - {user: u-1, role: admin}\n"))
            changed.append(_validate(folder))
            since.append(_validate(folder, "--changed-since", "HEAD~1"))
        for number in range(1 if quick else 3):
            timezone = f"timezone: Europe/Berlin\ndisplayName: Bench {number}\n"
            change(repository, "organization.yaml", _document("Organization", "bench", timezone))
            felt.append(_validate(folder))
    documents = f"{organisation.documents:,} documents"
    peak = max(run.peak_gib for run in (*cold, *warm, *felt))
    return [
        _row(f"validate {documents}, cold", cold, COLD),
        _row(f"validate {documents}, with its cache", warm, WARM),
        _row(f"validate one of {documents} changed", changed, CHANGED),
        _row("the same, --changed-since HEAD~1", since, CHANGED),
        _row(f"validate {documents}, the organisation changed", felt, None),
        Row(
            f"validate {documents}, peak memory",
            f"{peak:.2f} GiB",
            "",
            peak,
            PEAK_GIB,
            note="all processes together",
        ),
    ]


@dataclass(frozen=True)
class _Run:
    seconds: float
    processor: float
    peak_gib: float


def _row(what: str, runs: list[_Run], limit: float | None) -> Row:
    times = [run.seconds for run in runs]
    used = median(run.processor for run in runs)
    return Row(what, seconds(times), "", median(times), limit, note=f"{used:.1f} s of processors")


def _validate(folder: str, *options: str) -> _Run:
    """Run the command. Its memory is that of all its processes, shared pages counted each time."""
    command = [str(Path(sys.executable).with_name("hanse")), "validate", f"{folder}/repository", *options]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"}
    peak = 0
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(0.02)
        taken = time.perf_counter() - began
        assert process.stdout is not None
        assert process.returncode == 0, process.stdout.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Run(taken, used, peak / 2**30)


def _memory(process: int) -> int:
    """Bytes that a process and all that it started have in memory."""
    total = 0
    waiting = [process]
    while waiting:
        one = Path("/proc") / str(waiting.pop())
        try:
            total += int((one / "statm").read_text().split()[1]) * resource.getpagesize()
            waiting += map(int, (one / "task" / one.name / "children").read_text().split())
        except (OSError, IndexError):
            continue
    return total
