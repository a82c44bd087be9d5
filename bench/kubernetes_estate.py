"""An organisation on a real Kubernetes API server: for each project a namespace and a RoleBinding for two people.

What lies on the server was made by the very calls that Hanse would make, so that the first plan must be empty.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import msgspec
import psutil  # type: ignore[import-untyped,unused-ignore]

from bench import kubernetes_bare as bare
from bench.joined import Around, compiled, opened
from bench.stands import Tell, accept
from hanse import git, main
from hanse.demo import kubernetes
from hanse.demo.kubernetes import ApiServer
from hanse.model import Done, Find, Native, Reason, Ref, Resource, Step, Value
from hanse.ports.platform import PlatformIdentity
from hanse.ports.transport import Call, Reply
from hanse.service.estate import Estate
from hanse.transport import Counters

PLATFORM = "kubernetes"
CONCURRENCY = 16
"""What a platform has when its manifest says nothing; the yardsticks have the same."""
PER_SECOND = 10_000
"""More than this API server answers, so that the budget holds nothing back."""
SEEDERS = 32
"""Calls under way at once where an estate is only put in."""
ROLES = ("admin", "reader")
PER_WORKSPACE = 20
QUOTA, LABEL = "requests.cpu", "example.org/environment"
AUTHOR = git.Author("Bench", "bench@example.org")


def user_name(number: int) -> str:
    """What a person is called by the API server."""
    return f"person{number}@example.org"


def namespace(number: int) -> str:
    """What a project's namespace is called."""
    return f"w{number // PER_WORKSPACE}-p{number}"


@dataclass
class Organisation:
    """A manifest of so many projects, in a folder with all that Hanse needs."""

    folder: Path
    projects: int
    furnished: bool = False
    """Each namespace has a label by a tag and a quota too."""
    first: int = 0
    """The number of the first one; even."""
    name: str = "bench"
    commit: str = ""
    counters: Counters = field(default_factory=Counters)

    def project(self, number: int) -> tuple[str, bytes]:
        """Path and content of one project's file: the same two people have the same roles in every second project."""
        workspace = f"w{number // PER_WORKSPACE}"
        access = "".join(
            f"  - {{user: u-{number // 2 * 2 + i}, role: {role}}}\n" for i, role in enumerate(ROLES)
        )
        return f"workspaces/{workspace}/p{number}.yaml", (
            f"apiVersion: hanse/v1\nkind: Project\nname: p{number}\nworkspace: {workspace}\n"
            f"displayName: Project {number}\ntags: {{environment: prod}}\naccess:\n{access}"
            f"tenants:\n  - {{platform: {PLATFORM}, landingZone: standard}}\n"
        ).encode()

    @property
    def numbers(self) -> range:
        """Of the projects."""
        return range(self.first, self.first + self.projects)

    def files(self) -> dict[str, bytes]:
        """The whole manifest."""
        files = dict(self.project(number) for number in self.numbers)
        files["organization.yaml"] = (
            f"apiVersion: hanse/v1\nkind: Organization\nname: {self.name}\ntimezone: UTC\n"
        ).encode()
        tags = f"  tags: {{labels: {{environment: {LABEL}}}}}\n" if self.furnished else ""
        quotas = "{quotas: {default: {cores: 4}}}" if self.furnished else "{}"
        files["platform.yaml"] = (
            f"apiVersion: hanse/v1\nkind: Platform\nname: {PLATFORM}\ncredential: bench\n"
            f"limits: {{concurrency: {CONCURRENCY}, requestsPerSecond: {PER_SECOND}}}\n"
            f"kubernetes:\n  subjects: {{users: {{externalId: sub}}}}\n{tags}"
            f"---\napiVersion: hanse/v1\nkind: LandingZone\nname: standard\nplatform: {PLATFORM}\n"
            f"kubernetes: {quotas}\n"
        ).encode()
        for workspace in sorted({number // PER_WORKSPACE for number in self.numbers}):
            files[f"workspaces/w{workspace}/workspace.yaml"] = (
                f"apiVersion: hanse/v1\nkind: Workspace\nname: w{workspace}\n"
            ).encode()
        people = range(self.first, self.first + self.projects + self.projects % 2)
        for start in people[::100]:
            files[f"people/{start}.yaml"] = "---\n".join(
                f"apiVersion: hanse/v1\nkind: User\nname: u-{number}\ndisplayName: Person {number}\n"
                f"externalIds: {{sub: {user_name(number)}}}\n"
                for number in range(start, min(start + 100, people.stop))
            ).encode()
        return files

    def write(self) -> None:
        """Make the repository."""
        self.commit = git.init(self.folder / "repository", self.files(), "the whole organisation", AUTHOR)

    def grow(self, projects: int) -> None:
        """Commit so many projects more."""
        self.projects += projects
        self.commit = git.commit(self.folder / "repository", self.files(), "more projects", AUTHOR)

    def join(self, server: ApiServer) -> None:
        """Write what Hanse has to know of an API server: server.yaml and a file with the token."""
        token = self.folder / "token"
        token.touch(mode=0o600)
        token.write_text(server.token)
        (self.folder / "server.yaml").write_text(
            f"repository: {{url: '{self.folder / 'repository'}', branch: main}}\n"
            f"store: '{self.folder / 'hanse.db'}'\n"
            f"credentials:\n  bench: {{source: 'token-file:{token}', endpoint: '{server.url}', platform: {PLATFORM}, "
            f"options: {{cacert: '{server.ca_file}'}}}}\n"
        )

    @asynccontextmanager
    async def open(self, around: Around = lambda inner: inner) -> AsyncIterator[Estate]:
        """What `hanse` itself would work on, with every call counted."""
        async with opened(self.folder, self.counters, around) as estate:
            yield estate

    async def writes(self) -> list[list[Call]]:
        """By project, the calls by which Hanse makes what it has."""
        return await writes(await compiled(self.folder, self.commit))


class _Scribe:
    """Stands where no API server is: every write is well done, and kept."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Reply:
        self.calls.append(call)
        return Reply(201, {}, msgspec.json.encode(call.body))

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        raise AssertionError(f"nobody listens while {call.label} is written down")

    async def close(self) -> None:
        """Nothing is open."""


async def writes(resources: Iterable[Resource]) -> list[list[Call]]:
    """By owner, the calls by which the platform makes these resources, in order."""
    scribe = _Scribe()
    block = {"subjects": {"users": {"externalId": "sub"}}}
    identity = PlatformIdentity("bench", PLATFORM, block)
    platform = main.vendors()["kubernetes"].platform(identity, scribe)
    found: dict[str, list[Call]] = {}
    names: dict[str, str] = {}
    for resource in resources:
        if resource.kind == "namespace":
            names[str(resource.key)] = str(resource.attributes["name"])
        after = {name: _known(value, names) for name, value in resource.attributes.items()}
        step = Step(
            "create", resource.kind, resource.key, resource.owner, "", {}, after, (), Reason("declared")
        )
        scribe.calls = found.setdefault(str(resource.owner), [])
        outcome = await platform.perform(step)
        assert isinstance(outcome, Done), outcome
    return list(found.values())


def _known(value: Value, names: Mapping[str, str]) -> Value:
    """What stands in a step that is carried out: native things, wherever it was to be looked up."""
    if isinstance(value, Ref):
        return Native("", names[str(value.key)])
    if isinstance(value, Find):
        name = str(dict(value.by)["name"])
        return Native("role", name, name.partition("/")[2])
    return value


@dataclass(frozen=True)
class Spent:
    """What some work took: on the clock, and of processors in our process, in the API server and in etcd."""

    wall: float
    ours: float
    api: float
    etcd: float

    @property
    def processors(self) -> float:
        """Of all processors together: what a busy machine changes least."""
        return self.ours + self.api + self.etcd

    def __add__(self, other: Spent) -> Spent:
        """Both together."""
        mine, others = (
            (self.wall, self.ours, self.api, self.etcd),
            (other.wall, other.ours, other.api, other.etcd),
        )
        return Spent(*(a + b for a, b in zip(mine, others, strict=True)))

    def shares(self) -> str:
        """The processors' time in words."""
        return f"client {self.ours:.1f} s, API server {self.api:.1f} s, etcd {self.etcd:.1f} s"


NOTHING = Spent(0.0, 0.0, 0.0, 0.0)


class Watch:
    """Counts from its making on."""

    def __init__(self, server: ApiServer) -> None:
        """Of an API server with its etcd, and our own process."""
        self._servers = [
            psutil.Process(int((server.folder / f"{name}.pid").read_text()))
            for name in ("kube-apiserver", "etcd")
        ]
        self._began = self._now()

    def read(self) -> Spent:
        """What was spent so far."""
        return Spent(*(now - then for now, then in zip(self._now(), self._began, strict=True)))

    def _now(self) -> tuple[float, ...]:
        times = [process.cpu_times() for process in self._servers]
        return (time.perf_counter(), time.process_time(), *(t.user + t.system for t in times))


@dataclass
class Stand:
    """An organisation, and an API server that was converged to it, which Hanse knows."""

    organisation: Organisation
    server: ApiServer
    seeding: Spent
    first_seconds: float
    """What the first plan took, with nothing cached, and noting that all holds."""


class Stands:
    """Makes what is asked for, keeps it, and ends all of it."""

    def __init__(self, tell: Tell) -> None:
        """Tell what takes long."""
        self.tell = tell
        self.folder = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
        self._made: dict[tuple[int, bool], Stand] = {}

    async def converged(self, projects: int, *, furnished: bool = False) -> Stand:
        """An estate of so many projects which is just as its manifest says."""
        key = (projects, furnished)
        if key not in self._made:
            self.tell(f"making an API server with {projects:,} namespaces")
            folder = self.folder / f"of{projects}{'-furnished' * furnished}"
            organisation = Organisation(folder, projects, furnished)
            organisation.write()
            calls = await organisation.writes()
            server = kubernetes.start(folder / "server", etcd_fsync=True)
            try:
                organisation.join(server)
                spent = await seed(server, calls)
                self.tell(f"first plan of {projects:,} projects, which must be empty")
                began = time.perf_counter()
                await accept(organisation)
            except BaseException:
                server.stop()
                raise
            self._made[key] = Stand(organisation, server, spent, time.perf_counter() - began)
        return self._made[key]

    def end(self, stand: Stand) -> None:
        """Stop an API server that is not needed any more."""
        self._made = {key: made for key, made in self._made.items() if made is not stand}
        stand.server.stop()

    def __enter__(self) -> Stands:
        """Itself."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End all."""
        for stand in list(self._made.values()):
            self.end(stand)
        shutil.rmtree(self.folder, ignore_errors=True)


async def seed(server: ApiServer, calls: Sequence[Sequence[Call]]) -> Spent:
    """Put an estate in; what that took."""
    watch = Watch(server)
    async with bare.Bare(server) as session:
        await session.write_all(calls, SEEDERS)
    return watch.read()
