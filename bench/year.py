"""A simulated year of one `hanse serve`: what is wanted, who is there and what breaks changes every day.

The clock is driven, all else is real: git, the store in a file, the loop, and two platforms in memory that tell what
changes on them. People come and go, grants begin and end by the clock, projects are made and given up, somebody changes
platforms by hand every day, platforms fail, approvals and revocations come from beside. Memory and store are looked at
every month.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bench.driven import Busy, Clock, CountedEngine
from bench.report import Row
from hanse import git, main, transport
from hanse.foundation.time import parse_instant
from hanse.platforms.memory.cloud import Cloud, CloudTransport
from hanse.platforms.memory.platform import VENDOR, MemoryPlatform
from hanse.ports.platform import Credential
from hanse.ports.transport import Call, Reply, Transport
from hanse.reconcile import loop
from hanse.reconcile.news import Failed
from hanse.service import approve, journal, revoke, serve
from hanse.service.apply import begin, finish
from hanse.service.estate import Estate
from hanse.service.plan import plan
from hanse.service.provenance import provenance_of
from hanse.service.serve import ServeNews, Serving
from hanse.store import SqlStore
from hanse.store.database import tables

START = datetime(2026, 1, 1, 6, tzinfo=UTC)
LOOK_SECONDS = 600.0
"""Between two looks at the store and at what is due; 1 s and 30 s in truth, most of which see nothing."""
POLL_SECONDS = 21_600.0
"""Between two looks at the repository that nobody asks for; commits are told, as by a webhook."""
PEOPLE, PROJECTS, WORKSPACES = 30, 16, 3
MONTH = 30
SETTLED = 4
"""The month from which on nothing but the journal may grow: what is remembered longest is so for 90 days."""
MEMORY, RESIDENT_MIB, KEPT = 1.03, 16.0, 1.15
"""Limits: Python's objects, MiB more of the process, and all that is no journal, at the end beside that month."""
AUTHOR = git.Author("Maria Mitchell", "maria.mitchell@example.org")
HEAD = "apiVersion: hanse/v1\nkind: "


@dataclass
class _Platform:
    """A cloud that is sick at times."""

    cloud: Cloud
    clock: Clock
    sick_until: datetime = START

    def connect(self) -> Transport:
        return _Way(self, CloudTransport(self.cloud))


@dataclass
class _Way:
    platform: _Platform
    inner: CloudTransport

    async def send(self, call: Call) -> Reply:
        if self.platform.clock() < self.platform.sick_until:
            return Reply(500, {}, b'{"error": "a bad day"}')
        return await self.inner.send(call)

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        return self.inner.stream(call)

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class Month:
    """What was measured at the end of one."""

    objects: int
    """Blocks that Python has allocated."""
    resident: float
    """MiB of the process."""
    records: int
    store: int
    """Bytes of the store's file that are in use."""
    rows: dict[str, int]
    kept: int
    """Bytes of all that is no journal, and no text that the journal names."""


@dataclass
class Year:
    """One organisation, and what happens to it."""

    folder: Path
    clock: Clock
    sweep_seconds: float
    chance: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311 (of a play)
    clouds: dict[str, _Platform] = field(default_factory=dict)
    people: list[int] = field(default_factory=list)
    projects: dict[str, int] = field(default_factory=dict)
    """By name, who administers it."""
    groups: dict[str, list[int]] = field(default_factory=dict)
    grants: dict[str, datetime] = field(default_factory=dict)
    """By path, when it is over."""
    number: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def config(self) -> Path:
        return self.folder / "server.yaml"

    # The manifest

    def begin(self) -> None:
        for name in ("north", "south"):
            self.clouds[name] = _Platform(Cloud(), self.clock)
            for role in ("admin", "member", "reader"):
                self.clouds[name].cloud.add_role(role)
        files = {"organization.yaml": _organization(), "platforms.yaml": _PLATFORMS}
        for _ in range(PEOPLE):
            files |= self._comes()
        for number in range(WORKSPACES):
            files[f"w{number}/workspace.yaml"] = f"{HEAD}Workspace\nname: w{number}\n"
            self.groups[f"team{number}"] = self.chance.sample(self.people, 6)
            files |= self._group(f"team{number}")
        for _ in range(PROJECTS):
            files |= self._project()
        self.config.write_text(
            f"repository: {{url: '{self.repository}', branch: main}}\nstore: '{self.folder / 'hanse.db'}'\n"
            f"approvers: [operator]\nserve: {{pollSeconds: {POLL_SECONDS}, sweepSeconds: {self.sweep_seconds}}}\n"
            "credentials:\n"
            + "".join(
                f"  {name}-robot: {{source: env, endpoint: 'https://{name}.example.org', platform: {name}}}\n"
                for name in self.clouds
            )
        )
        given = {path: text.encode() for path, text in files.items()}
        git.init(self.repository, given, "The organisation begins", AUTHOR, at=self.clock())

    def commit(self, what: str, files: Mapping[str, str], removed: tuple[str, ...] = ()) -> None:
        there = tuple(path for path in removed if (self.repository / path).exists())
        given = {path: text.encode() for path, text in files.items()}
        git.commit(self.repository, given, what, AUTHOR, removed=there, at=self.clock())
        self.happened["commits"] += 1

    def _comes(self) -> dict[str, str]:
        self.number += 1
        self.people.append(self.number)
        for platform in self.clouds.values():
            platform.cloud.add_user(f"person{self.number}")
        return {
            f"people/u-{self.number}.yaml": f"{HEAD}User\nname: u-{self.number}\n"
            f"displayName: Person {self.number}\nexternalIds: {{memory: person{self.number}}}\n"
        }

    def _group(self, name: str) -> dict[str, str]:
        members = ", ".join(f"u-{number}" for number in self.groups[name])
        return {f"groups/{name}.yaml": f"{HEAD}Group\nname: {name}\nmembers: [{members}]\n"}

    def _project(self) -> dict[str, str]:
        self.number += 1
        name = f"p{self.number}"
        self.projects[name] = self.chance.choice(self.people)
        return self._written(name)

    def _written(self, name: str) -> dict[str, str]:
        workspace = int(name[1:]) % WORKSPACES
        zones = ("approval", "automatic")[int(name[1:]) % 2]
        return {
            f"w{workspace}/{name}.yaml": f"{HEAD}Project\nname: {name}\nworkspace: w{workspace}\n"
            f"displayName: after {self.happened['commits']} changes\n"
            f"access:\n  - {{user: u-{self.projects[name]}, role: admin}}\n"
            f"  - {{group: team{workspace}, role: user}}\n"
            f"tenants:\n  - {{platform: north, landingZone: {zones}}}\n"
            "  - {platform: south, landingZone: automatic}\n"
        }

    def _path(self, name: str) -> str:
        return f"w{int(name[1:]) % WORKSPACES}/{name}.yaml"

    # What happens

    async def day(self, serving: Serving, beside: Estate, day: int) -> None:
        """One day, an hour after the other; some of it every day, some seldom."""
        over = [path for path, until in self.grants.items() if until < self.clock()]
        for path in over:
            del self.grants[path]
        await self._told(serving, "grants", self._grants(), tuple(over))
        await self.clock.pass_by(hours=2)
        await self._by_hand()
        await self.clock.pass_by(hours=1)
        if day % 2 == 0:
            name = self.chance.choice(list(self.projects))
            await self._told(serving, f"another name for {name}", self._written(name))
        await self.clock.pass_by(hours=2)
        if day % 3 == 0:
            self._falls_sick()
        await self._by_hand()
        if day % 5 == 0:
            await self._revokes(beside)
        if day % 7 == 1:
            await self._told(serving, "somebody comes and somebody goes", *self._comes_and_goes())
        if day % 7 == 3:
            old = next(iter(self.projects))
            del self.projects[old]
            self.happened["projects given up"] += 1
            await self._told(serving, f"{old} is given up", self._project(), (self._path(old),))
        if day % 10 == 6:
            await self._told(serving, "a team is made anew", *self._team())
        if day % 11 == 4:
            broken = f"w0/{'broken'}.yaml"
            await self._told(serving, "a mistake", {broken: "kind: Projekt\n"})
            await self.clock.pass_by(hours=1)
            await self._told(serving, "mended", {}, (broken,))
        await self.clock.pass_by(hours=3)
        if day % 4 == 2:
            await self._approves(beside)
        if day % 7 == 5:
            async with opened(self) as one:  # somebody looks, and wants to know who decided what
                planned = await plan(one)
                await provenance_of(one, planned.proposal.stands, ["Organization bench"])
        hours = (START + timedelta(days=day + 1) - self.clock()).total_seconds() / 3600
        await self.clock.pass_by(hours=hours)

    async def _told(
        self, serving: Serving, what: str, files: Mapping[str, str], removed: tuple[str, ...] = ()
    ) -> None:
        if files or removed:
            self.commit(what, files, removed)
            serving.look_now()
            await self.clock.pass_by(minutes=5)

    def _grants(self) -> dict[str, str]:
        files = {}
        for _ in range(3):
            self.number += 1
            path, name = f"grants/g{self.number}.yaml", self.chance.choice(list(self.projects))
            begins = self.clock() + timedelta(hours=self.chance.randrange(20))
            ends = begins + timedelta(hours=self.chance.choice((1, 5, 30, 100)))
            self.grants[path] = ends
            files[path] = (
                f"{HEAD}Grant\nname: {_id(self.number)}\nworkspace: w{int(name[1:]) % WORKSPACES}\n"
                f"project: {name}\nuser: u-{self.chance.choice(self.people)}\nrole: reader\n"
                f"from: {begins:%Y-%m-%dT%H:%M:%SZ}\nuntil: {ends:%Y-%m-%dT%H:%M:%SZ}\nreason: on-call {self.number}\n"
            )
            self.happened["grants for a time"] += 1
        return files

    async def _by_hand(self) -> None:
        """Somebody lets himself in, throws somebody out, or renames something."""
        cloud = self.chance.choice(list(self.clouds.values())).cloud
        for _ in range(self.chance.choice((1, 1, 2, 7))):  # seven times in a minute is a fight
            groups, links = list(cloud.rows["groups"].values()), list(cloud.rows["memberships"].values())
            match self.chance.randrange(3):
                case 0 if groups:
                    user = self.chance.choice(list(cloud.rows["users"]))
                    cloud.answer(
                        Call("PUT", f"/memberships/{self.chance.choice(groups)['id']}/{user}", (), None)
                    )
                case 1 if links:
                    link = self.chance.choice(links)
                    cloud.answer(Call("DELETE", f"/memberships/{link['group']}/{link['user']}", (), None))
                case _ if groups:
                    group = self.chance.choice(groups)
                    cloud.answer(
                        Call("PATCH", f"/groups/{group['id']}", (), {"description": f"mine {self.clock()}"})
                    )
            self.happened["changes by hand"] += 1
            await self.clock.pass_by(seconds=5)

    def _falls_sick(self) -> None:
        platform = self.chance.choice(list(self.clouds.values()))
        platform.sick_until = self.clock() + timedelta(minutes=self.chance.choice((1, 10, 90)))
        self.happened["platforms that fail"] += 1

    async def _revokes(self, beside: Estate) -> None:
        standing = [path for path in self.grants if (self.repository / path).exists()]
        if not standing:
            return
        path = self.chance.choice(standing)
        fields = dict(line.split(": ", 1) for line in (self.repository / path).read_text().splitlines())
        head = await beside.store.head()
        rows = [row async for row in beside.store.owners()]
        accepted = {
            (row.accepted.intent.workspace, row.accepted.intent.project)
            for row in rows
            if any(term.subject == fields["user"] for term in row.accepted.intent.grants)
        }
        if head is None or (fields["workspace"], fields["project"]) not in accepted:
            return
        await revoke.revoke(
            beside, f"{fields['workspace']}/{fields['project']}", "user", fields["user"], "", "lost the phone"
        )
        self.happened["revocations"] += 1
        await self.clock.pass_by(minutes=30)

    def _comes_and_goes(self) -> tuple[dict[str, str], tuple[str, ...]]:
        goes = self.people.pop(0)
        files = self._comes()
        for name, members in self.groups.items():
            if goes in members:
                members[members.index(goes)] = self.people[-1]
                files |= self._group(name)
        for name, admin in self.projects.items():
            if admin == goes:
                self.projects[name] = self.people[-1]
                files |= self._written(name)
        theirs = tuple(
            path
            for path in self.grants
            if (self.repository / path).exists()
            and f"user: u-{goes}\n" in (self.repository / path).read_text()
        )
        for path in theirs:
            del self.grants[path]
        for platform in self.clouds.values():
            rows = platform.cloud.rows
            [user] = [one for one, row in rows["users"].items() if row["name"] == f"person{goes}"]
            del rows["users"][user]
            for links in ("memberships", "assignments"):
                rows[links] = {key: row for key, row in rows[links].items() if user not in row.values()}
        self.happened["people who go"] += 1
        return files, (f"people/u-{goes}.yaml", *theirs)

    def _team(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """Nearly everybody in it is somebody else: more than a guard lets go without a yes."""
        name = self.chance.choice(list(self.groups))
        self.groups[name] = self.chance.sample(self.people, 6)
        return self._group(name), ()

    async def _approves(self, beside: Estate) -> None:
        for one in await approve.waiting(beside):
            if not one.approved:
                await approve.approve(beside, one.subject, "it is meant so", 7)
                self.happened["approvals"] += 1

    def told(self, news: ServeNews) -> None:
        if isinstance(news, Failed) and "mistake" in news.message:
            self.mistakes.append(f"{news.what}: {news.message}")

    # What is measured

    async def measured(self, store: SqlStore) -> Month:
        parse_instant.cache_clear()  # it may hold 4,096 instants, and is filled in a year or two
        gc.collect()
        objects = sys.getallocatedblocks()
        resident = _resident()
        rows, sizes = {}, {}
        for table in tables():
            ((rows[table], sizes[table]),) = await store.engine.read(partial(_size, table))
        ((texts,),) = await store.engine.read(
            lambda sql: sql.run(
                "SELECT coalesce(sum(length(mark) + length(text)), 0) FROM personal WHERE journalled = 1"
            )
        )
        used = await store.engine.read(_used)
        kept = sum(sizes.values()) - sizes["journal"] - texts
        return Month(objects, resident, rows["journal"], used, rows, kept)


async def _size(table: str, sql: Any) -> list[Any]:
    columns = [name for (name,) in await sql.run("SELECT name FROM pragma_table_info($1)", table)]
    length = " + ".join(f"coalesce(length({column}), 0)" for column in columns)
    return list(await sql.run(f"SELECT count(*), coalesce(sum({length}), 0) FROM {table}"))  # noqa: S608


async def _used(sql: Any) -> int:
    """Bytes of the file that something is in."""
    ((pages,),), ((free,),), ((size,),) = [
        await sql.run(f"PRAGMA {what}") for what in ("page_count", "freelist_count", "page_size")
    ]
    return int((pages - free) * size)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _id(number: int) -> str:
    return f"g-{number}"


def _organization() -> str:
    return (
        f"{HEAD}Organization\nname: bench\ntimezone: UTC\n"
        "guards: {removalPercent: 25, removalAtLeast: 5, minimumAdmins: 0}\n"
    )


_PLATFORMS = "---\n".join(
    f"{HEAD}Platform\nname: {name}\ncredential: {name}-robot\n"
    "limits: {requestsPerSecond: 100000, concurrency: 4}\nmemory:\n  users: {externalId: memory}\n"
    + "".join(
        f"---\n{HEAD}LandingZone\nname: {zone}\nplatform: {name}\ndeletion: {zone}\n"
        for zone in ("approval", "automatic")
    )
    for name in ("north", "south")
)


@contextmanager
def _joined(year: Year) -> Iterator[None]:
    """Have main know these platforms, this clock, and nothing else of this machine."""
    clock = year.clock

    def connect(credential: Credential) -> Transport:
        return year.clouds[credential.platform].connect()

    def platform(identity: Any, way: Transport) -> MemoryPlatform:
        return MemoryPlatform(identity, way, clock, clock.sleep)

    budget = partial(transport.RateBudget, clock=clock.seconds, now=clock, sleep=clock.sleep)
    vendor = replace(VENDOR, connect=connect, platform=platform)
    places: list[tuple[Any, str, Any]] = [
        (main, "vendors", lambda: {"memory": vendor}),
        (main, "_data_folder", lambda: year.folder / "data"),
        (transport, "RateBudget", budget),
        (serve, "STORE_SECONDS", LOOK_SECONDS),
        (loop, "NAP_SECONDS", LOOK_SECONDS),
    ]
    former = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, value in places:
        setattr(module, name, value)
    main.language.cache_clear()
    try:
        yield
    finally:
        for module, name, value in former:
            setattr(module, name, value)
        main.language.cache_clear()


async def live(
    folder: Path, days: int, sweep_seconds: float, tell: Callable[[str], None], month: int = MONTH
) -> tuple[Year, list[Month]]:
    """So many days; what was measured at the end of each month. Raises AssertionError where a promise is broken."""
    busy = Busy()
    year = Year(folder, Clock(START, busy), sweep_seconds)
    year.begin()
    months: list[Month] = []
    with _joined(year):
        async with opened(year) as estate, opened(year) as beside:
            planned = await plan(estate)
            await finish(estate, planned, begin(planned, lambda *_: None))
            serving = Serving(estate, year.told)
            task = asyncio.ensure_future(serving.run())
            try:
                await year.clock.pass_by(minutes=15)
                for day in range(days):
                    await year.day(serving, beside, day)
                    assert not task.done(), "it ended"
                    if (day + 1) % month == 0:
                        months.append(await year.measured(_store(beside)))
                        tell(f"month {len(months)}: {_words(months[-1])}")
                await _quiet(year, serving, beside)
            finally:
                serving.stop()
                await task
        await _check(year)
    return year, months


@asynccontextmanager
async def opened(year: Year) -> AsyncIterator[Estate]:
    """As a process of its own opens it."""
    async with main.open_estate(str(year.config)) as estate:
        store = _store(estate)
        store.engine = CountedEngine(store.engine, year.clock.busy)
        yield replace(estate, now=year.clock, sleep=year.clock.sleep, operator="operator")


def _store(estate: Estate) -> SqlStore:
    assert isinstance(estate.store, SqlStore)
    return estate.store


async def _quiet(year: Year, serving: Serving, beside: Estate) -> None:
    """Everything that waits for a person gets it, and then some days go by in which nothing happens."""
    for _ in range(2):
        await year._approves(beside)
        serving.look_now()
        await year.clock.pass_by(days=2.5)


async def _check(year: Year) -> None:
    """What must hold at the end."""
    assert not year.mistakes, year.mistakes[:3]
    async with opened(year) as estate:
        planned = await plan(estate)
        assert not planned.survey.steps, "everything is as it shall be"
        assert not planned.survey.strays
        assert not planned.proposal.is_new, "the head is accepted"
        store = _store(estate)
        await store.chain()
        count, findings = await journal.verify(store)
        assert count
        assert not findings
        owners = [row async for row in store.owners()]
        assert (await store.work()).keys() <= {row.owner for row in owners}
        assert not [row.owner for row in owners if row.accepted.intent.left_at or row.status.waits]
        assert not await store.open_steps()
        assert not await store.revocations()
        head = await store.head()
        assert head is not None
        named = {head.directory, head.settings, *(row.accepted.intent.digest for row in owners)}
        named |= {one for row in owners for one in (row.status.applied, row.status.directory)}
        kept = {one for (one,) in await store.engine.read(lambda sql: sql.run("SELECT digest FROM blob"))}
        assert kept <= named, "a content is left that nothing names"


def _words(month: Month) -> str:
    return (
        f"{month.records:,} records, {month.store / 1e6:.2f} MB, {month.kept / 1e3:.0f} kB else;"
        f" {month.objects:,} blocks, {month.resident:.0f} MiB; rows: "
        + ", ".join(f"{number} {table}" for table, number in month.rows.items() if table != "journal")
    )


def rows_of(year: Year, months: list[Month], settled: int) -> list[Row]:
    """What came out, beside the month from which on nothing but the journal may grow."""
    first, then, end = months[0], months[settled - 1], months[-1]
    grown, events = end.store - then.store, end.records - then.records
    happened = ", ".join(f"{number} {what}" for what, number in sorted(year.happened.items()))
    days = len(months) * MONTH
    return [
        Row(
            f"{days} days, Python's objects at the end", f"{end.objects:,}", f"{then.objects:,} (month {settled})",
            end.objects / then.objects, MEMORY, note=happened,
        ),
        Row(
            "the same, the process", f"{end.resident:.0f} MiB", f"{then.resident:.0f} MiB",
            end.resident - then.resident, RESIDENT_MIB, note="MiB more",
        ),
        Row(
            "the same, all that is no journal", f"{end.kept / 1e3:.0f} kB", f"{then.kept / 1e3:.0f} kB",
            end.kept / then.kept, KEPT,
        ),
        Row(
            "the same, the store", f"{end.store / 1e6:.2f} MB", f"{first.store / 1e6:.2f} MB (month 1)",
            note=f"{end.records:,} records; {grown / events:.0f} bytes more for each since month {settled}",
        ),
    ]  # fmt: skip


async def run(tell: Callable[[str], None], *, quick: bool) -> list[Row]:
    """A year with a sweep each hour; quickly, four months with four a day."""
    months, sweep = (5, 21_600.0) if quick else (12, 3_600.0)
    with tempfile.TemporaryDirectory(prefix="hanse-bench-") as folder:
        year, measured = await live(Path(folder), months * MONTH, sweep, tell)
    return rows_of(year, measured, SETTLED)
