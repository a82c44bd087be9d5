"""What may go wrong around `hanse serve`, for however long, ends no repair, loses no mark and is never silent."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from hanse.desired.compiled import Compiled
from hanse.desired.intent import Intent
from hanse.git import GitError, Repository
from hanse.journal.events import GrantRevoked
from hanse.model import Personal, Tenant
from hanse.platforms.memory.platform import MemoryPlatform
from hanse.ports.store import StoreError
from hanse.ports.transport import Call, Reply
from hanse.reconcile import loop, noting
from hanse.reconcile.news import Away, Back, Failed, Stepped, Swept
from hanse.service.serve import Judged, ServeNews, Serving
from hanse.store import SqlStore, open_store
from hanse.transport import Fault, Recorded
from service import manifest
from service.test_serve import Served, Sleepers, served
from service.world import World

WEB, TRIAL = Tenant("north", "shop", "web"), Tenant("north", "shop", "trial")
BOTH = {"u-1", "u-2"}
Hint = frozenset[Tenant] | None


@dataclass
class Settable(Sleepers):
    """Shows another time than goes by, once it was set."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return self.at + self.ahead


@pytest.fixture
def clocked(applied: World) -> World:
    """The small organisation as it holds, with a clock that only the test turns, and sets."""
    applied.clock = Settable(applied.clock.at)
    return applied


def set_back(world: World, **span: float) -> None:
    """Somebody sets the machine's clock back."""
    assert isinstance(world.clock, Settable)
    world.clock.ahead -= timedelta(**span)


def is_mended(world: World, group: str = "shop-web-admin") -> Callable[[], bool]:
    """Whether nobody is in a group who is not to be."""
    return lambda: world.members(group) == BOTH


# --- what cannot be reached ------------------------------------------------------------------------


async def test_a_repository_may_be_away_for_weeks(applied: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Weeks(Exception):
        pass

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1_100:
            raise Weeks

    def fail(*arguments: object) -> None:
        raise GitError("it is away")

    monkeypatch.setattr(Repository, "fetch", fail)
    async with applied.open() as estate:
        with pytest.raises(Weeks):
            await Serving(replace(estate, sleep=sleep), lambda news: None)._watch_repository()
    assert pauses[:5] == [15, 30, 60, 120, 240]
    assert set(pauses[5:]) == {300}


async def test_what_is_revoked_does_not_wait_for_a_repository_that_is_away(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.repository.rename(clocked.repository.with_name("hidden"))
        await revoked_elsewhere(clocked, "trial", "u-3")
        await serve.until(lambda: clocked.members("shop-trial-user") == set(), 3)
        clocked.clock.advance(minutes=1)
        await serve.until(
            lambda: len([one for one in serve.of(Failed) if one.what == "what is wanted"]) > 5, 900
        )
        await revoked_elsewhere(clocked, "web", "u-4")
        await revoked_elsewhere(clocked, "sea", "u-8", "lab")
        await serve.until(lambda: clocked.row("groups", "lab-sea-reader") is None, 3)
    clocked.repository.with_name("hidden").rename(clocked.repository)


async def revoked_elsewhere(world: World, project: str, principal: str, workspace: str = "shop") -> None:
    """Another process revokes, and asks no repository."""
    text = Personal("left the company")
    event = GrantRevoked(workspace, project, "user", principal, "", text, "local-operator", text)
    other = open_store(world.home)
    await other.revoke(event, world.clock())
    await other.close()


async def test_a_fetch_that_hangs_keeps_it_from_nothing_and_not_from_its_end(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, over = threading.Event(), threading.Event()

    def hang(self: Repository, branch: str, seconds: float, stopped: Callable[[], bool]) -> None:
        assert seconds <= 120
        hung.set()
        while not stopped():
            time.sleep(0.01)
        over.set()
        raise GitError("git was stopped")

    async with served(clocked) as serve:
        monkeypatch.setattr(Repository, "fetch", hang)
        await serve.until(hung.is_set, 20)
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(is_mended(clocked), 1)
        serve.serving.stop()
        await serve.until(over.is_set)


async def test_a_short_outage_that_many_looks_meet_is_a_short_one(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "BATCH", 1)
    monkeypatch.setattr(MemoryPlatform, "hints", deaf)  # else it says itself that it is back
    async with served(clocked) as serve:
        clocked.faults["north"][:] = [Fault("cut", times=0)]
        async with clocked.open() as estate:
            owners = [row.owner async for row in estate.store.owners("north")]
        running = serve.serving._loop
        assert running is not None
        await running.mark(owners, "a test")
        await serve.until(lambda: bool(serve.of(Away)))
        await serve.quiet(0.5)
        clocked.faults["north"].clear()
        await serve.until(lambda: bool(serve.of(Back)), 3)


async def deaf(self: MemoryPlatform) -> AsyncIterator[Hint]:
    """Listens, and hears nothing."""
    yield None
    await asyncio.Event().wait()


async def test_when_the_clock_is_set_back_repair_goes_on(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.faults["north"][:] = [Fault("cut", times=0)]
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: bool(serve.of(Away)))
        set_back(clocked, hours=1)
        clocked.faults["north"].clear()
        await serve.until(is_mended(clocked), 65)


async def test_what_was_due_when_the_clock_was_set_back_is_looked_at(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryPlatform, "hints", deaf)
    async with served(clocked) as serve:
        clocked.join_by_hand("shop-web-admin", "u-8")
        async with clocked.open() as estate:
            await estate.store.mark([WEB], clocked.clock(), "a test")
        set_back(clocked, hours=1)
        await serve.until(is_mended(clocked), 65)


# --- the store -------------------------------------------------------------------------------------


async def test_two_cannot_serve_one_store(clocked: World) -> None:
    async with served(clocked), clocked.open() as other:
        with pytest.raises(StoreError, match="is applying with this store already"):
            await Serving(other, lambda news: None).run()


async def test_a_store_that_fails_right_after_an_acceptance_loses_no_owner(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, approvals = SqlStore.accept, SqlStore.approvals
    accepted, failed = threading.Event(), threading.Event()

    async def accepting(self: SqlStore, *values: Any, **named: Any) -> None:
        await accept(self, *values, **named)
        accepted.set()

    async def fail_once(self: SqlStore, now: datetime) -> Any:
        if accepted.is_set() and not failed.is_set():
            failed.set()
            raise StoreError("the store took too long", "see what keeps it busy")
        return await approvals(self, now)

    async with served(clocked) as serve:
        monkeypatch.setattr(SqlStore, "accept", accepting)
        monkeypatch.setattr(SqlStore, "approvals", fail_once)
        clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
        await serve.until(failed.is_set, 20)
        await serve.until(lambda: clocked.members("shop-trial-user") == {"u-4"}, 40)


async def test_what_a_pass_noted_is_not_written_over_by_a_sweep_that_saw_less(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()
    note = noting.note
    monkeypatch.setattr(loop, "BATCH", 1)

    async def slow(world: Any, part: Any, *others: Any) -> Any:
        if sweeping and is_sweep(part) and not reached.is_set():
            reached.set()
            await gate.wait()
        return await note(world, part, *others)

    def is_sweep(part: Any) -> bool:
        return "north" in part.observations and part.observations["north"].owners is None

    sweeping = False
    async with served(clocked) as serve:
        monkeypatch.setattr(loop, "note", slow)
        async with clocked.open() as estate:
            before = {row.owner: row.status async for row in estate.store.owners("north")}
        sweeping = True
        await serve.quiet(30)
        clocked.clock.advance(seconds=600)
        await serve.until(reached.is_set, 60)
        groups = ("shop-web-admin", "shop-trial-admin", "lab-sea-admin")
        sound = {group: clocked.members(group) for group in groups}
        for group in groups:
            clocked.join_by_hand(group, "u-5")

        def mended() -> int:
            return sum(clocked.members(group) == sound[group] for group in groups)

        # Who is being noted is nobody else's meanwhile; nor are its tenants, if it is a workspace.
        await serve.until(lambda: mended() >= 1, 10)
        await serve.quiet(2)
        async with clocked.open() as estate:
            passed = {row.owner: row.status async for row in estate.store.owners("north")}
        newer = {owner for owner in passed if passed[owner] != before[owner]}
        assert newer
        count = len(serve.of(Swept))
        gate.set()
        await serve.until(lambda: len(serve.of(Swept)) > count and mended() == 3, 10)
        async with clocked.open() as estate:
            after = {row.owner: row.status async for row in estate.store.owners("north")}
        late = {owner for owner in newer if after[owner].observed_at != passed[owner].observed_at}
        assert not late


async def test_a_mistake_of_our_own_about_one_owner_is_told_of_it_and_stops_no_repair_of_others(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_ = MemoryPlatform.compile

    def fail(self: MemoryPlatform, intent: Intent, *others: Any) -> Compiled:
        if intent.owner == TRIAL:
            raise IndexError("nobody vouches for this text")
        return compile_(self, intent, *others)

    monkeypatch.setattr(MemoryPlatform, "hints", deaf)
    async with served(clocked) as serve:
        monkeypatch.setattr(MemoryPlatform, "compile", fail)
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.quiet(10)
        clocked.clock.advance(seconds=600)
        await serve.until(is_mended(clocked), 60)
        await serve.quiet(1)
    waits = (await clocked.status())[str(TRIAL)].status.waits
    assert waits == "IndexError, a mistake of Hanse's own, at what is declared here"
    assert clocked.members("shop-trial-admin") == BOTH


# --- what is told ----------------------------------------------------------------------------------


async def test_where_nothing_can_be_told_it_ends_and_says_why(clocked: World) -> None:
    async with clocked.open() as estate:
        news: list[ServeNews] = []

        def tell(one: ServeNews) -> None:
            news.append(one)
            if any(isinstance(one, Stepped) for one in news):
                raise OSError("nobody hears it")

        serving = Serving(estate, tell)
        task = asyncio.ensure_future(serving.run())
        serve = Served(clocked, serving, news)
        await serve.settled()
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(task.done)
        with pytest.raises(OSError, match="nobody hears it"):
            await task


async def test_tenants_on_a_platform_that_is_declared_no_more_are_told_as_an_apply_tells_them(
    clocked: World,
) -> None:
    only_north = manifest.PLATFORMS.split("---\napiVersion: hanse/v1\nkind: Platform\nname: south")[0]
    web = manifest.WEB.replace("  - {platform: south, landingZone: production}\n", "")
    async with served(clocked) as serve:
        clocked.commit({"platforms.yaml": only_north, manifest.WEB_FILE: web})
        await serve.until(lambda: len(serve.of(Judged)) > 1, 20)
        await serve.quiet(2)
        assert [(one.platform, one.message) for one in serve.of(Away)] == [
            ("south", "the platform south is not declared any more")
        ]
        row = (await clocked.status())["south/shop/web"]
        assert row.status.waits == "the platform south is not declared any more"
        await serve.quiet(60)
        assert len(serve.of(Away)) == 1
    async with served(clocked, {"north"}) as serve:
        assert [one.platform for one in serve.of(Away)] == ["south"]
        clocked.commit({"platforms.yaml": manifest.PLATFORMS})
        await serve.until(lambda: any(swept.platform == "south" for swept in serve.of(Swept)), 30)


async def test_the_way_to_a_platform_that_is_not_used_any_more_is_closed_when_nothing_is_under_way(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[object] = []
    close, before = Recorded.close, clocked.before
    gate, under_way = asyncio.Event(), asyncio.Event()

    async def note_it(self: Recorded) -> None:
        closed.append(self)
        await close(self)

    async def slow(platform: str, call: Call) -> None:
        if platform == "south" and call.is_write:
            under_way.set()
            await gate.wait()
        await before(platform, call)

    monkeypatch.setattr(Recorded, "close", note_it)
    head, south = manifest.PLATFORMS.split("name: south")
    slower = f"{head}name: south{south.replace('requestsPerSecond: 100000', 'requestsPerSecond: 99999')}"
    async with served(clocked) as serve:
        way = clocked.calls["south"]
        clocked.before = slow  # type: ignore[method-assign]
        clocked.join_by_hand("shop-web-admin", "u-8", "south")
        await serve.until(under_way.is_set)
        clocked.commit({"platforms.yaml": slower})
        await serve.until(lambda: len(serve.of(Judged)) == 2, 20)
        await serve.quiet(2)
        assert closed == []
        gate.set()
        await serve.until(lambda: closed == [way])
        assert clocked.calls["south"] is not way


async def test_once_stopped_nothing_begins_whatever_is_accepted_then(clocked: World) -> None:
    async with served(clocked) as serve:
        running = serve.serving._loop
        assert running is not None
        serve.serving.stop()
        before = dict(running._keepers)
        running.use(replace(running.force, world=replace(running.force.world, platforms={})))
        assert running._keepers == before


# --- hints -----------------------------------------------------------------------------------------


async def test_what_happened_before_a_platform_listened_again_is_looked_for(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = asyncio.Event()

    async def fickle(self: MemoryPlatform) -> AsyncIterator[Hint]:
        yield frozenset()
        await ends.wait()
        ends.clear()

    monkeypatch.setattr(MemoryPlatform, "hints", fickle)
    async with served(clocked) as serve:
        clocked.join_by_hand("shop-web-admin", "u-8")
        ends.set()
        await serve.until(is_mended(clocked), 5)
        failed = serve.of(Failed)
        serve.news[:] = [one for one in serve.news if one not in failed]
    assert {one.what for one in failed} <= {"north: listening", "south: listening"}


async def test_a_platform_that_speaks_without_a_pause_holds_up_nobody(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(self: MemoryPlatform) -> AsyncIterator[Hint]:
        while True:
            yield frozenset() if self._identity.name == "north" else None

    monkeypatch.setattr(MemoryPlatform, "hints", endless)
    async with served(clocked) as serve:
        sweeps = len(serve.of(Swept))
        clocked.join_by_hand("shop-web-admin", "u-8", "south")
        await serve.until(lambda: clocked.members("shop-web-admin", "south") == BOTH, 5)
        await serve.quiet(10)
        assert len(serve.of(Swept)) - sweeps <= 35  # one in half a second at most


async def test_a_storm_of_hints_of_one_owner_costs_little_and_holds_up_no_other(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints, marks = MemoryPlatform.hints, []
    mark, told = SqlStore.mark, 0

    async def stormy(self: MemoryPlatform) -> AsyncIterator[Any]:
        nonlocal told
        if self._identity.name == "south":
            yield frozenset()
            await asyncio.Event().wait()
        news: asyncio.Queue[Any] = asyncio.Queue()

        async def hear() -> None:
            async for hint in hints(self):
                await news.put(hint)

        task = asyncio.ensure_future(hear())
        try:
            while True:
                while not news.empty():
                    yield news.get_nowait()
                yield frozenset({TRIAL})
                told += 1
        finally:
            task.cancel()

    async def count(self: SqlStore, owners: Any, *others: Any) -> None:
        marks.append(list(owners))
        await mark(self, owners, *others)

    monkeypatch.setattr(MemoryPlatform, "hints", stormy)
    async with served(clocked) as serve:
        monkeypatch.setattr(SqlStore, "mark", count)
        clocked.forget_calls()
        told = 0
        await serve.quiet(10)
        assert told > 1_000
        noisy = [one for one in marks if TRIAL in one]
        assert 2 <= len(noisy) <= 25
        assert len(clocked.made()) < 20 * len(noisy)
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(is_mended(clocked), 1.5)
        clocked.join_by_hand("shop-trial-admin", "u-8")
        await serve.until(is_mended(clocked, "shop-trial-admin"), 2)


async def test_our_own_repair_brings_no_further_look(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.forget_calls()
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(is_mended(clocked), 1)
        await serve.quiet(3)
        looks = [call for call in clocked.made() if call.label == "list spaces"]
        assert len(looks) == 2, "one that finds it, and one that sees it mended"


async def test_what_changes_while_it_is_read_back_is_looked_at_again(clocked: World) -> None:
    """It is heard after the read-back began, and after this read what it changes."""
    after, wrote, meddled = clocked.after, False, False

    async def meddle(platform: str, call: Call, reply: Reply) -> None:
        nonlocal wrote, meddled
        await after(platform, call, reply)
        if wrote and call.label == "list memberships" and not meddled:
            meddled = True
            clocked.join_by_hand("shop-web-user", "u-8")
        wrote = wrote or call.is_write

    async with served(clocked) as serve:
        clocked.after = meddle  # type: ignore[method-assign]
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: meddled)
        await serve.until(lambda: clocked.members("shop-web-user") == {"u-3", "u-4", "u-5"}, 1.5)
