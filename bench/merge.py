"""From a merge to its first write on a platform, by webhook: `hanse serve` on a simulated platform of 50 ms latency.

The repository is a bare one to which commits are pushed; the webhook is sent over loopback, signed as GitHub signs. The
platform is the one in memory, and lives in the same process as what is measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import quantiles

import aiohttp

from bench.report import Row
from hanse import git, main
from hanse.platforms.memory.cloud import Cloud, CloudTransport
from hanse.platforms.memory.platform import VENDOR
from hanse.ports.platform import Credential
from hanse.ports.transport import Call, Reply, Transport
from hanse.reconcile.news import Settled, Swept
from hanse.service.apply import begin, finish
from hanse.service.plan import plan
from hanse.service.serve import Judged, Listening, ServeNews, Serving

LIMIT = 5.0
CHANGES = 20
LATENCY_SECONDS = 0.05
PER_WORKSPACE = 20
LONGEST = 300.0
SECRET = "a secret of the benchmark alone"
NAME = "bench/organization"
AUTHOR = git.Author("Bench", "bench@example.org")


@dataclass
class Platform:
    """The platform in memory, whose calls take as long as is said."""

    cloud: Cloud = field(default_factory=Cloud)
    latency: float = 0.0
    wrote_at: float = 0.0
    """When the first write came since this was set to nought."""

    def connect(self, credential: Credential) -> Transport:
        """The way to it."""
        return _Watched(self, CloudTransport(self.cloud, lambda: asyncio.sleep(self.latency)))


@dataclass
class _Watched:
    platform: Platform
    inner: CloudTransport

    async def send(self, call: Call) -> Reply:
        if call.is_write and not self.platform.wrote_at:
            self.platform.wrote_at = time.perf_counter()
        return await self.inner.send(call)

    def stream(self, call: Call):  # type: ignore[no-untyped-def]
        return self.inner.stream(call)

    async def close(self) -> None:
        await self.inner.close()


def project(number: int, environment: str = "prod") -> dict[str, bytes]:
    """One project's file."""
    workspace = f"w{number // PER_WORKSPACE}"
    return {
        f"workspaces/{workspace}/p{number}.yaml": (
            f"apiVersion: hanse/v1\nkind: Project\nname: p{number}\nworkspace: {workspace}\n"
            f"tags: {{environment: {environment}}}\naccess:\n  - {{user: u-{number % 100}, role: admin}}\n"
            "tenants:\n  - {platform: north, landingZone: standard}\n"
        ).encode()
    }


def manifest(projects: int) -> dict[str, bytes]:
    """The whole of it."""
    head = "apiVersion: hanse/v1\nkind: "
    files: dict[str, bytes] = {
        "organization.yaml": f"{head}Organization\nname: bench\ntimezone: UTC\n".encode(),
        "platform.yaml": (
            f"{head}Platform\nname: north\ncredential: north-robot\n"
            "limits: {requestsPerSecond: 100000, concurrency: 16}\nmemory:\n  users: {externalId: memory}\n"
            f"---\n{head}LandingZone\nname: standard\nplatform: north\n"
        ).encode(),
        "people.yaml": "---\n".join(
            f"{head}User\nname: u-{number}\ndisplayName: Person {number}\n"
            f"externalIds: {{memory: person{number}}}\n"
            for number in range(100)
        ).encode(),
    }
    for number in range((projects - 1) // PER_WORKSPACE + 1):
        files[f"workspaces/w{number}/workspace.yaml"] = f"{head}Workspace\nname: w{number}\n".encode()
    for number in range(projects):
        files |= project(number)
    return files


@contextmanager
def joined(folder: Path, platform: Platform) -> Iterator[None]:
    """Have main know the platform in memory, and nothing else of this machine."""
    former, main.vendors = main.vendors, lambda: {"memory": replace(VENDOR, connect=platform.connect)}  # type: ignore[assignment]
    data, main._data_folder = main._data_folder, lambda: folder / "data"
    main.language.cache_clear()
    try:
        yield
    finally:
        main.vendors, main._data_folder = former, data
        main.language.cache_clear()


def run_git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


async def measure(folder: Path, projects: int, tell: Callable[[str], None]) -> Iterator[Row]:
    """Push so many changes of one project each, and so many new ones, each after the last one holds."""
    repository, bare, platform = folder / "repository", folder / f"{NAME}.git", Platform()
    platform.cloud.page_size = 1_000
    for number in range(100):
        platform.cloud.add_user(f"person{number}")
    for role in ("admin", "member", "reader"):
        platform.cloud.add_role(role)
    git.init(repository, manifest(projects), "the whole organisation", AUTHOR)
    run_git(repository, "clone", "--quiet", "--bare", str(repository), str(bare))
    run_git(repository, "remote", "add", "origin", str(bare))
    (folder / "secret").write_text(SECRET)
    config = folder / "server.yaml"
    config.write_text(
        f"repository: {{url: 'file://{bare}', branch: main}}\nstore: '{folder / 'hanse.db'}'\n"
        "http: {listen: '127.0.0.1:0', hooks: {github: secret}}\n"
        "credentials:\n  north-robot: {source: env, endpoint: 'https://north.example.org', platform: north}\n"
    )
    with joined(folder, platform):
        tell(f"converging {projects:,} projects on the simulated platform")
        async with main.open_estate(str(config)) as estate:
            planned = await plan(estate)
            await finish(estate, planned, begin(planned, lambda *_: None))
        platform.latency = LATENCY_SECONDS
        tell(f"{2 * CHANGES} merges, {projects:,} projects")
        step = projects // CHANGES
        changed = [project(change * step, f"live{change}") for change in range(CHANGES)]
        new = [_new(change * step) for change in range(CHANGES)]
        taken = await _merges(config, repository, platform, [*changed, *new])
    return (
        _row(f"merge of {what} to first write by webhook, {projects:,} projects", some)
        for what, some in (("a change", taken[:CHANGES]), ("a new project", taken[CHANGES:]))
    )


def _row(what: str, taken: list[float]) -> Row:
    p50, p95 = (quantiles(taken, n=100, method="inclusive")[n - 1] for n in (50, 95))
    return Row(
        f"{what}, p95 of {CHANGES}", f"{p95:.2f} s", "", p95, LIMIT,
        note=f"p50 {p50:.2f} s, longest {max(taken):.2f} s; each call to the platform takes 50 ms more",
    )  # fmt: skip


def _new(number: int) -> dict[str, bytes]:
    """A project that was not there, beside one that was."""
    ((path, content),) = project(number).items()
    name = f"p{number}"
    return {path.replace(name, f"new-{name}"): content.replace(name.encode(), f"new-{name}".encode(), 1)}


async def _merges(
    config: Path, repository: Path, platform: Platform, changes: list[dict[str, bytes]]
) -> list[float]:
    news: list[ServeNews] = []
    taken: list[float] = []
    async with main.open_estate(str(config)) as estate, aiohttp.ClientSession() as session:
        serving = Serving(estate, news.append)
        async with main.open_listening(str(config), estate, serving, news.append):
            task = asyncio.ensure_future(serving.run())
            try:
                await _until(lambda: {Swept, Judged} <= {type(one) for one in news}, task)
                address = next(one.address for one in news if isinstance(one, Listening))
                for files in changes:
                    await asyncio.to_thread(_commit, repository, files)
                    platform.wrote_at, settled = 0.0, _settled(news)
                    await asyncio.to_thread(run_git, repository, "push", "--quiet", "origin", "main")
                    merged = time.perf_counter()
                    await _hook(session, address)
                    await _until(lambda settled=settled: _settled(news) > settled, task)  # type: ignore[misc]
                    taken.append(platform.wrote_at - merged)
            finally:
                serving.stop()
                await task
    return taken


def _commit(repository: Path, files: Mapping[str, bytes]) -> None:
    git.commit(repository, files, "a change", AUTHOR)


def _settled(news: list[ServeNews]) -> int:
    return sum(isinstance(one, Settled) for one in news)


async def _until(holds: Callable[[], bool], task: asyncio.Future[None]) -> None:
    async with asyncio.timeout(LONGEST):
        while not holds():
            if task.done():
                await task
                raise AssertionError("it ended")
            await asyncio.sleep(0.02)


async def _hook(session: aiohttp.ClientSession, address: str) -> None:
    repository = {"full_name": NAME, "default_branch": "main"}
    body = json.dumps({"ref": "refs/heads/main", "repository": repository}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
    async with session.post(f"{address}/hooks/github", data=body, headers=headers) as reply:
        assert reply.status == 202, await reply.text()


async def run(tell: Callable[[str], None], *, quick: bool) -> list[Row]:
    """Measure a small and a large organisation."""
    rows: list[Row] = []
    for projects in (200,) if quick else (1_000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            rows += await measure(Path(folder), projects, tell)
    return rows
