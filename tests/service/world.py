"""Everything that a use case stands on, joined by main itself, with clouds in memory and a clock to turn."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hanse import git, main
from hanse.cli import cli
from hanse.journal.events import Event
from hanse.model import Outcome, Owner, Step
from hanse.platforms.memory import cloud as memory
from hanse.platforms.memory.kinds import COLLECTION
from hanse.platforms.memory.platform import VENDOR
from hanse.ports.platform import Credential
from hanse.ports.store import OwnerRow, Store
from hanse.ports.transport import Call, Reply, Transport
from hanse.reconcile import Pass
from hanse.service import approve, journal, revoke, status
from hanse.service.apply import Applied, begin, carry_out_file, finish, replan
from hanse.service.estate import Estate
from hanse.service.plan import PlanFile, Planned, Selection, plan
from hanse.transport import Fault, Faulty, RateBudget, Recorded
from service import manifest

AUTHOR = git.Author("Maria Mitchell", "maria.mitchell@example.org")
SECRET = "canary-3f9c1d77"
"""Stands in the credentials, and in whatever the clouds say about errors."""
MAKES = {"create": ("POST", "PUT"), "update": ("PATCH",), "adopt": ("PATCH",), "delete": ("DELETE",)}


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Clock:
    """Turned by tests, and by who sleeps."""

    at: datetime = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **span: float) -> None:
        """Turn it on."""
        self.at += timedelta(**span)

    def seconds(self) -> float:
        """The instant as a number."""
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        """No waiting: time passes at once."""
        self.advance(seconds=max(seconds, 0.001))  # else what is rounded off is slept for ever
        await asyncio.sleep(0)


@dataclass
class Witness:
    """Sees each write before the cloud does, and looks whether the journal knew of it."""

    inner: Transport
    world: World
    platform: str

    async def send(self, call: Call) -> Reply:
        """As the inner transport, which is the cloud's own."""
        if call.is_write:
            store = self.world.store
            steps = [step for _, step in await store.open_steps()] if store else []
            if not any(self._means(step, call) for step in steps):
                self.world.unannounced.append(call)
        await self.world.before(self.platform, call)
        reply = await self.inner.send(call)
        await self.world.after(self.platform, call, reply)
        return reply

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        """As the inner transport."""
        return self.inner.stream(call)

    async def close(self) -> None:
        """Let go."""
        await self.inner.close()

    def _means(self, step: Step, call: Call) -> bool:
        collection, *path = call.path.strip("/").split("/")
        fits = step.owner.platform == self.platform and COLLECTION[step.kind] == collection
        if not fits or call.method not in MAKES[step.action]:
            return False
        if call.method == "POST":
            return bool(call.body["mark"] == str(step.key))
        return step.native_id in path if step.native_id else True


@dataclass
class World:
    """One organisation: its repository, its store, its clouds. Each use is like a process of its own."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    clouds: dict[str, memory.Cloud] = field(default_factory=dict)
    calls: dict[str, Recorded] = field(default_factory=dict)
    """Each cloud's calls since the last `forget_calls`."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    address: str = ""
    """Where the store is, if it is no file."""
    store: Store | None = None
    unannounced: list[Call] = field(default_factory=list)
    said: str = ""
    """All that commands wrote."""
    kill: Callable[[str, Call, bool], bool] | None = None
    """Asked with each write, before it (False) and after it (True), whether the process ends there."""
    _faulty: dict[str, Faulty] = field(default_factory=dict)

    @property
    def repository(self) -> Path:
        """Where the manifest is."""
        return self.folder / "repository"

    @property
    def home(self) -> str:
        """Where the store is."""
        return self.address or str(self.folder / "hanse.db")

    @property
    def config(self) -> Path:
        """The server's own configuration."""
        return self.folder / "server.yaml"

    def begin(self) -> str:
        """Make clouds, people on them, repository and server.yaml; the first commit."""
        for name in ("north", "south"):
            cloud = self.clouds[name] = memory.Cloud()
            for principal in manifest.PEOPLE:
                cloud.add_user(manifest.native_name(principal))
            for role in ("admin", "member", "reader"):
                cloud.add_role(role)
        self.write_config()
        files = {path: text.encode() for path, text in manifest.FILES.items()}
        return git.init(self.repository, files, "The organisation begins", AUTHOR, at=self.clock.at)

    def write_config(self, trust_root: str = "", more: str = "") -> None:
        """Write server.yaml; the account of the tests may approve. `more` are further lines."""
        trust = f", trustRoot: {trust_root}" if trust_root else ""
        credentials = "".join(
            f"  {name}-robot:\n    source: env\n    endpoint: https://{name}.example.org\n"
            f"    platform: {name}\n    options: {{password: {SECRET}}}\n"
            for name in self.clouds
        )
        self.config.write_text(
            f"repository: {{url: {self.repository}, branch: main{trust}}}\n"
            f"store: {self.home}\napprovers: [operator]\n{more}credentials:\n{credentials}"
        )

    # The manifest

    def commit(
        self,
        files: Mapping[str, str | None],
        message: str = "A change",
        author: git.Author = AUTHOR,
    ) -> str:
        """Commit files; None removes one."""
        written = {path: text.encode() for path, text in files.items() if text is not None}
        removed = [path for path, text in files.items() if text is None]
        self.clock.advance(minutes=1)
        return git.commit(self.repository, written, message, author, removed=removed, at=self.clock.at)

    def git(self, *arguments: str) -> str:
        """Run git by hand."""
        person = ("-c", f"user.name={AUTHOR.name}", "-c", f"user.email={AUTHOR.email}")
        command = ["git", "-C", str(self.repository), *person, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    # Clouds

    def connect(self, credential: Credential) -> Transport:
        """The way to a cloud, as the vendor would give it."""
        name = credential.platform
        faulty = Faulty(memory.CloudTransport(self.clouds[name]), self.faults.setdefault(name, []))
        kept = self.calls[name].entries if name in self.calls else []
        self.calls[name] = Recorded(Witness(faulty, self, name), kept)
        return self.calls[name]

    async def before(self, platform: str, call: Call) -> None:
        """Called with each call before a cloud has it."""
        if self.kill and call.is_write and self.kill(platform, call, False):
            raise Killed

    async def after(self, platform: str, call: Call, reply: Reply) -> None:
        """Called with each call that a cloud has answered."""
        if self.kill and call.is_write and self.kill(platform, call, True):
            raise Killed

    def forget_calls(self) -> None:
        """Count from here."""
        for recorded in self.calls.values():
            recorded.entries.clear()

    def made(self, platform: str = "north") -> list[Call]:
        """The calls to a cloud since the last `forget_calls`."""
        return [entry.call for entry in self.calls[platform].entries] if platform in self.calls else []

    @property
    def writes(self) -> list[Call]:
        """The writes to all clouds since the last `forget_calls`."""
        return [call for recorded in self.calls.values() for call in recorded.writes]

    def row(self, collection: str, name: str, platform: str = "north") -> memory.Row | None:
        """The thing of that name on a cloud."""
        rows = self.clouds[platform].rows[collection].values()
        return next((row for row in rows if row["name"] == name), None)

    def names(self, collection: str, platform: str = "north") -> set[str]:
        """What things of a sort are called."""
        return {row["name"] for row in self.clouds[platform].rows[collection].values()}

    def members(self, group: str, platform: str = "north") -> set[str]:
        """The principals in a group on a cloud."""
        cloud, row = self.clouds[platform], self.row("groups", group, platform)
        if row is None:
            return set()
        known = {manifest.native_name(principal): principal for principal in manifest.PEOPLE}
        users = {link["user"] for link in cloud.rows["memberships"].values() if link["group"] == row["id"]}
        return {known.get(cloud.rows["users"][one]["name"], one) for one in users}

    def by_hand(
        self, method: str, path: str, body: memory.Row | None = None, platform: str = "north"
    ) -> None:
        """Somebody changes a cloud behind our back."""
        reply = self.clouds[platform].answer(Call(method, path, (), body))
        assert reply.status < 300, reply

    def join_by_hand(self, group: str, principal: str, platform: str = "north") -> None:
        """Somebody adds a person to a group."""
        self.by_hand("PUT", self._membership(group, principal, platform), platform=platform)

    def leave_by_hand(self, group: str, principal: str, platform: str = "north") -> None:
        """Somebody takes a person out of a group."""
        self.by_hand("DELETE", self._membership(group, principal, platform), platform=platform)

    def _membership(self, group: str, principal: str, platform: str) -> str:
        home = self.row("groups", group, platform)
        person = self.row("users", manifest.native_name(principal), platform)
        assert home
        assert person
        return f"/memberships/{home['id']}/{person['id']}"

    # Use cases

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Estate]:
        """The estate, as main opens it, on our clock."""
        async with self.open_at(str(self.config)) as estate:
            yield estate

    @asynccontextmanager
    async def open_at(self, path: str | None, database: str = "") -> AsyncIterator[Estate]:
        """The estate of a server configuration."""
        async with main.open_estate(path, database) as estate:
            outer = self.store  # of a process that goes on beside this one
            self.store = outer or estate.store
            try:
                yield replace(estate, now=self.clock, sleep=self.clock.sleep, operator="operator")
            finally:
                self.store = outer

    async def plan(self, selection: Selection | None = None, commit: str = "") -> Planned:
        """What would be done."""
        async with self.open() as estate:
            return await plan(estate, selection, commit)

    async def apply(
        self, selection: Selection | None = None, told: Callable[[Pass, Step, Outcome], None] | None = None
    ) -> Applied:
        """Converge. `told` is given the pass with each step, so that it can be stopped."""
        async with self.open() as estate:
            planned = await plan(estate, selection)
            run = begin(planned, lambda step, outcome: told(run, step, outcome) if told else None)
            return await finish(estate, planned, run)

    async def apply_file(self, file: PlanFile) -> Applied:
        """Carry out a plan file."""
        async with self.open() as estate:
            planned, refused = await replan(estate, file)
            run = begin(planned, lambda step, outcome: None)
            return await carry_out_file(estate, planned, run, refused)

    async def waiting(self) -> list[approve.Waiting]:
        """What waits for a yes."""
        async with self.open() as estate:
            return await approve.waiting(estate)

    async def approve(self, prefix: str, days: int = 30) -> approve.Waiting:
        """Say yes."""
        async with self.open() as estate:
            return await approve.approve(estate, prefix, "it is meant so", days)

    async def revoke(self, project: str, principal: str, role: str = "") -> None:
        """Take a person's grant away."""
        async with self.open() as estate:
            await revoke.revoke(estate, project, "user", principal, role, "left the company")

    async def status(self) -> dict[str, OwnerRow]:
        """Rows by owner."""
        async with self.open() as estate:
            return {str(row.owner): row for row in (await status.status(estate)).rows}

    async def rows(self) -> dict[Owner, OwnerRow]:
        """All that the store keeps of owners."""
        async with self.open() as estate:
            return {row.owner: row async for row in estate.store.owners()}

    async def head(self) -> str:
        """The commit that is accepted; empty where none is."""
        async with self.open() as estate:
            head = await estate.store.head()
            return head.commit if head else ""

    async def events(self) -> list[Event]:
        """The journal, with its texts."""
        async with self.open() as estate:
            return [entry.event async for entry in journal.entries(estate.store)]

    def run(self, *arguments: str, answers: str | None = None) -> Result:
        """The command line in a process of its own, as far as it can tell."""
        joined = replace(main.joined(), estate=self.open_at, config_folder=lambda: self.folder)
        result = CliRunner().invoke(
            cli, ["--config", str(self.config), *arguments], obj={"joined": joined}, input=answers
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.said += result.output
        return result

    # What must always hold

    async def check(self) -> None:
        """The chain is whole, no write came before its word, and nothing is written that must not be."""
        assert not self.unannounced, f"nothing in the journal of {self.unannounced}"
        async with self.open() as estate:
            await estate.store.chain()
            _, findings = await journal.verify(estate.store)
            bodies = [recorded.body.decode() async for recorded in estate.store.journal()]
        assert not findings
        everything = "\n".join(bodies)
        for text in (*self._personal(), SECRET):
            assert text not in everything, f"{text} stands in the journal"
        assert SECRET not in self.said
        for file in self.folder.glob("hanse.db*"):
            assert SECRET.encode() not in file.read_bytes(), f"{file.name} holds a secret"

    def _personal(self) -> Iterable[str]:
        yield from manifest.PEOPLE.values()
        yield from map(manifest.native_name, manifest.PEOPLE)
        yield from (AUTHOR.name, AUTHOR.email)


def joined_with_memory(patch: pytest.MonkeyPatch, world: World) -> None:
    """Have main know one vendor only, whose clouds and whose time are those of the world."""
    vendor = replace(VENDOR, connect=world.connect)
    budget = partial(RateBudget, clock=world.clock.seconds, sleep=world.clock.sleep)
    patch.setattr("hanse.transport.RateBudget", budget)
    patch.setattr(main, "vendors", lambda: {"memory": vendor})
    main.language.cache_clear()
