"""`hanse serve` keeps in force what is accepted: by hints, by the clock, by sweeps, and whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from hanse.git import Repository
from hanse.journal.events import FightNoticed, GrantRevoked, OrganizationAccepted, StepConcluded, StepIntended
from hanse.model import Done, Personal
from hanse.platforms.memory import cloud
from hanse.ports.store import StoreError
from hanse.ports.transport import Call, Called, Reply
from hanse.reconcile import loop
from hanse.reconcile.news import Away, Back, Failed, Fought, Gone, Looking, Remarked, Settled, Stepped, Swept
from hanse.service.estate import Trouble
from hanse.service.revoke import revoke
from hanse.service.serve import Began, Found, Judged, Leads, ServeNews, Serving, Wrote
from hanse.store import SqlStore, open_store
from hanse.transport import Fault
from service import manifest
from service.world import Clock, World

N = TypeVar("N", bound=ServeNews)
TICK, LONG_TICK = 0.02, 0.2
"""Seconds of the world's clock that pass while a test waits for an instant: for what comes soon, or within minutes."""
PATIENCE_SECONDS = 60.0
"""Of a real clock, for a machine that has much else to do."""
BROKEN = {manifest.TRIAL_FILE: manifest.TRIAL.replace("workspace: shop", "workspace: shpo")}


@dataclass
class Sleepers(Clock):
    """A clock that only the test turns; who sleeps wakes when it comes to that."""

    waiting: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    number: int = 0

    def advance(self, **span: float) -> None:
        super().advance(**span)
        while self.waiting and self.waiting[0][0] <= self.seconds():
            _, _, future = heapq.heappop(self.waiting)
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        self.number += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (self.seconds() + max(seconds, 0.0), self.number, future))
        await future


@dataclass
class Served:
    """A `hanse serve` that runs."""

    world: World
    serving: Serving
    news: list[ServeNews]

    def of(self, kind: type[N]) -> list[N]:
        """What was told of one sort."""
        return [one for one in self.news if isinstance(one, kind)]

    async def until(self, holds: Callable[[], bool], seconds: float = 5.0) -> None:
        """Let time pass until it holds, so many seconds of the world's clock at most; then it may still be at work."""
        end = self.world.clock.at + timedelta(seconds=seconds)
        tick = TICK if seconds <= 5 else LONG_TICK
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                if self.world.clock.at < end:
                    self.world.clock.advance(seconds=tick)
                # The machine's time must not run out before the world's: what is under way needs some of it.
                await asyncio.sleep(0.005)

    async def quiet(self, seconds: float) -> None:
        """Let time pass."""
        end = self.world.clock.at + timedelta(seconds=seconds)
        await self.until(lambda: self.world.clock.at >= end, seconds + LONG_TICK)
        await asyncio.sleep(0.02)

    async def settled(self, names: Collection[str] = ()) -> None:
        """Until the first sweeps, of all platforms or of these, are over and nothing is under way."""
        wanted = set(names or self.world.clouds)
        await self.until(lambda: {swept.platform for swept in self.of(Swept)} == wanted, 20)
        await self.until(lambda: bool(self.of(Judged)), 20)
        await self.quiet(1)

    async def stepped(self, count: int) -> None:
        """Until so many steps were tried."""
        await self.until(lambda: len(self.of(Stepped)) == count)

    def steps(self) -> list[str]:
        """What was done, in short."""
        return [f"{one.step.action} {one.step.kind} {one.step.reason.cause}" for one in self.of(Stepped)]


@pytest.fixture
def clocked(applied: World) -> World:
    """The small organisation as it holds, with a clock that only the test turns."""
    applied.clock = Sleepers(applied.clock.at)
    return applied


@asynccontextmanager
async def served(world: World, platforms: Collection[str] = ()) -> AsyncIterator[Served]:
    """Serving, until the end of the block; all platforms, where none are named, are declared."""
    async with world.open() as estate:
        news: list[ServeNews] = []
        serving = Serving(estate, news.append)
        task = asyncio.ensure_future(serving.run())
        found = Served(world, serving, news)
        try:
            await found.settled(platforms)
            yield found
        finally:
            serving.stop()
            await task
    assert not [failed for failed in found.of(Failed) if "mistake" in failed.message]


async def test_nothing_is_served_before_a_first_state_was_accepted_by_a_person(world: World) -> None:
    async with world.open() as estate:
        with pytest.raises(Trouble, match="nothing was accepted yet") as caught:
            await Serving(estate, lambda news: None).run()
    assert "hanse apply" in caught.value.advice


async def test_what_holds_is_left_alone_and_nothing_is_said_of_it(clocked: World) -> None:
    async with served(clocked) as serve:
        assert [type(one) for one in serve.news if not isinstance(one, Swept | Leads)] == [Began, Judged]
        told = len(serve.news)
        await serve.quiet(120)
        assert len(serve.news) == told
        assert clocked.writes == []


@pytest.mark.parametrize("cloud_name", ["north", "south"])
async def test_a_change_by_hand_is_mended_at_once(clocked: World, cloud_name: str) -> None:
    async with served(clocked) as serve:
        clocked.join_by_hand("shop-web-admin", "u-8", cloud_name)
        await serve.until(lambda: clocked.members("shop-web-admin", cloud_name) == {"u-1", "u-2"}, 1)
        clocked.leave_by_hand("shop-web-admin", "u-1", cloud_name)
        await serve.until(lambda: clocked.members("shop-web-admin", cloud_name) == {"u-1", "u-2"}, 1)
        await serve.until(lambda: len(serve.of(Stepped)) == 2)
        assert serve.steps() == ["delete membership local-change", "create membership local-change"]


async def test_what_no_step_makes_good_is_told_once(clocked: World) -> None:
    async with served(clocked) as serve:
        space = clocked.row("spaces", "shop-web")
        assert space is not None
        clocked.by_hand("DELETE", f"/spaces/{space['id']}")
        await serve.until(lambda: clocked.row("spaces", "shop-web") is not None)
        await serve.until(lambda: bool(serve.of(Remarked)))
        await serve.quiet(700)
        assert [told.remark.code for told in serve.of(Remarked)] == ["content-lost"]


async def test_what_is_mended_reads_only_the_owner_concerned(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.forget_calls()
        clocked.join_by_hand("shop-trial-admin", "u-8")
        await serve.until(lambda: clocked.members("shop-trial-admin") == {"u-1", "u-2"}, 1)
        await serve.quiet(2)
        listed = {prefix for call in clocked.made() for name, prefix in call.query if name == "mark_prefix"}
        assert listed == {"example/shop/trial/"}
        assert clocked.made("south") == []


async def test_what_hints_missed_the_next_sweep_finds(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(clocked) as serve:
        monkeypatch.setattr(cloud.Cloud, "_tell", lambda self, marks: None)
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.quiet(60)
        assert "u-8" in clocked.members("shop-web-admin")
        clocked.clock.advance(seconds=600)
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 5)
        assert [swept.differences for swept in serve.of(Swept) if swept.platform == "north"] == [0, 1]


async def test_a_platform_without_hints_is_swept_all_the_same(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "Hints", type(None))
    clocked.join_by_hand("shop-web-admin", "u-8")
    async with served(clocked) as serve:
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 5)


async def test_a_grant_ends_by_the_clock_without_a_commit(clocked: World) -> None:
    until = (clocked.clock.at + timedelta(hours=3)).isoformat()
    row = f"- {{user: u-8, role: admin, until: '{until}'}}\n  - {{user: u-3"
    async with served(clocked) as serve:
        clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("- {user: u-3", row)})
        await serve.until(lambda: clocked.members("shop-trial-admin") == {"u-1", "u-2", "u-8"}, 30)
        await serve.quiet(2)
        clocked.clock.advance(hours=2, minutes=58)
        await serve.quiet(20)
        assert clocked.members("shop-trial-admin") == {"u-1", "u-2", "u-8"}
        clocked.clock.advance(minutes=2)
        await serve.until(lambda: clocked.members("shop-trial-admin") == {"u-1", "u-2"}, 60)
        await serve.until(lambda: serve.steps()[-1] == "delete membership expired")


async def test_a_grant_that_another_run_accepted_begins_by_the_clock(clocked: World) -> None:
    start = (clocked.clock.at + timedelta(hours=1)).isoformat()
    row = f"- {{user: u-8, role: admin, from: '{start}'}}\n  - {{user: u-3"
    async with served(clocked):
        pass
    clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("- {user: u-3", row)})
    async with served(clocked) as serve:
        await serve.quiet(5)
        clocked.clock.advance(minutes=60)
        await serve.until(lambda: "u-8" in clocked.members("shop-trial-admin"), 60)


async def test_a_new_commit_is_accepted_and_applied(clocked: World) -> None:
    async with served(clocked) as serve:
        commit = clocked.commit({manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")})

        def is_live() -> bool:
            rows = [clocked.row("spaces", "shop-web", name) for name in clocked.clouds]
            return all(row is not None and row["tags"] == ["environment=live"] for row in rows)

        await serve.until(is_live, 20)
        assert [one.proposal.commit for one in serve.of(Judged)][1:] == [commit]
        assert serve.of(Judged)[-1].owners == 2
    accepted = [event for event in await clocked.events() if isinstance(event, OrganizationAccepted)]
    assert accepted[-1].commit == commit


async def test_people_who_change_change_access_where_they_have_it_and_nobody_else_is_looked_at(
    clocked: World,
) -> None:
    async with served(clocked) as serve:
        clocked.commit({"groups.yaml": manifest.GROUPS.replace("[u-6, u-7]", "[u-6, u-5]")})
        await serve.until(lambda: clocked.members("lab-sea-admin") == {"u-6", "u-5"}, 20)
        await serve.until(lambda: clocked.members("lab-sky-admin") == {"u-6", "u-5"}, 5)
        assert serve.of(Judged)[-1].owners == 2


async def test_a_tenant_that_is_taken_out_leaves_and_is_deleted_once_that_is_approved(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.commit({manifest.SEA_FILE: None})
        await serve.until(lambda: clocked.members("lab-sea-admin") == set(), 20)
        await serve.quiet(5)
        assert clocked.row("spaces", "lab-sea") is not None
        [waiting] = await clocked.waiting()
        await clocked.approve(waiting.subject[:12])
        await serve.until(lambda: clocked.row("spaces", "lab-sea") is None, 3)
        await serve.until(lambda: bool(serve.of(Gone)))
    assert "north/lab/sea" not in await clocked.status()


async def test_what_is_revoked_is_taken_away_within_seconds(clocked: World) -> None:
    async with served(clocked) as serve:
        await clocked.revoke("shop/trial", "u-3")
        await serve.until(lambda: clocked.members("shop-trial-user") == set(), 3)
        await serve.quiet(20)
        assert serve.steps() == ["delete group revoked"]
        assert clocked.row("groups", "shop-trial-user") is None


async def test_what_is_revoked_is_taken_away_though_the_head_is_broken(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.commit(BROKEN)
        await serve.until(lambda: len(serve.of(Judged)) == 2, 20)
        await clocked.revoke("shop/trial", "u-3")
        await serve.until(lambda: clocked.members("shop-trial-user") == set(), 3)
        clocked.join_by_hand("shop-trial-admin", "u-3")
        await serve.until(lambda: clocked.members("shop-trial-admin") == {"u-1", "u-2"}, 1)
        await serve.quiet(20)
        assert clocked.row("groups", "shop-trial-user") is None


async def test_a_held_removal_is_told_and_happens_once_it_is_approved(clocked: World) -> None:
    async with served(clocked) as serve:
        strict = manifest.ORGANIZATION.replace("removalAtLeast: 5", "removalAtLeast: 0")
        clocked.commit({"organization.yaml": strict})
        await serve.until(lambda: len(serve.of(Judged)) == 2, 20)
        clocked.commit({"groups.yaml": manifest.GROUPS.replace("[u-3, u-4, u-5]", "[u-3]")})
        await serve.until(lambda: len(serve.of(Judged)) == 3, 20)
        await serve.quiet(5)
        assert clocked.members("shop-web-user") == {"u-3", "u-4", "u-5"}
        trips = serve.of(Judged)[-1].proposal.trips
        assert trips
        for trip in trips:
            await clocked.approve(trip.subject[:12])
        await serve.until(lambda: clocked.members("shop-web-user") == {"u-3"}, 5)


async def test_a_broken_commit_is_told_once_and_stops_no_repair(clocked: World) -> None:
    async with served(clocked) as serve:
        broken = clocked.commit(BROKEN)
        await serve.until(lambda: len(serve.of(Judged)) == 2, 20)
        proposal = serve.of(Judged)[-1].proposal
        assert proposal.commit == broken
        assert proposal.checked is None
        assert any("shpo" in found.message for found in proposal.diagnostics)
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 1)
        await serve.quiet(60)
        assert len(serve.of(Judged)) == 2
        clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
        await serve.until(lambda: clocked.members("shop-trial-user") == {"u-4"}, 20)


async def test_a_commit_that_nobody_trusted_signed_is_told_once_and_stops_no_repair(clocked: World) -> None:
    (clocked.folder / "signers").write_text("")
    clocked.write_config("signers")
    async with served(clocked) as serve:
        clocked.commit({manifest.TRIAL_FILE: None})
        await serve.until(lambda: len(serve.of(Judged)) == 2, 20)
        proposal = serve.of(Judged)[-1].proposal
        assert proposal.checked is None
        assert [found.code for found in proposal.diagnostics] == ["unsigned"]
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: "u-8" not in clocked.members("shop-web-admin"))
        await serve.quiet(30)
        assert len(serve.of(Judged)) == 2
        assert "shop-trial" in clocked.names("spaces")


async def test_a_repository_that_is_away_is_told_and_stops_no_repair(clocked: World) -> None:
    async with served(clocked) as serve:
        hidden = clocked.repository.with_name("hidden")
        clocked.repository.rename(hidden)
        await serve.until(lambda: bool(serve.of(Failed)), 20)
        assert {failed.what for failed in serve.of(Failed)} <= {"the repository", "what is wanted"}
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 1)
        text = Personal("left the company")
        event = GrantRevoked("shop", "trial", "user", "u-3", "", text, "local-operator", text)
        other = open_store(clocked.home)
        await other.revoke(event, clocked.clock())
        await other.close()
        await serve.until(lambda: clocked.members("shop-trial-user") == set(), 35)
        hidden.rename(clocked.repository)
        await serve.until(lambda: bool(serve.of(Wrote)), 400)
        clocked.commit({manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")})
        await serve.until(lambda: bool(serve.of(Judged)[1:]), 120)


async def test_a_platform_that_goes_away_is_told_once_and_mended_when_it_is_back(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.faults["north"][:] = [Fault("cut", times=0)]
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: bool(serve.of(Away)))
        await serve.quiet(60)
        assert [away.platform for away in serve.of(Away)] == ["north"]
        assert "north cannot be read" in (await clocked.status())["north/shop/web"].status.waits
        clocked.join_by_hand("shop-web-admin", "u-8", "south")
        await serve.until(lambda: clocked.members("shop-web-admin", "south") == {"u-1", "u-2"}, 1)
        clocked.faults["north"].clear()
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 61)
        assert [back.platform for back in serve.of(Back)] == ["north"]
        await serve.quiet(1)
    assert not (await clocked.status())["north/shop/web"].status.waits


async def test_a_step_that_is_not_possible_yet_is_tried_again_when_the_platform_asked_for_it(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(clocked) as serve:
        tries: list[float] = []
        answer = cloud.Cloud.answer

        def busy(self: cloud.Cloud, call: Call) -> Reply:
            if call.method == "DELETE" and len(tries) < 2:
                tries.append(clocked.clock.seconds())
                return Reply(404, {}, b"{}")
            return answer(self, call)

        clocked.join_by_hand("shop-web-admin", "u-8")
        monkeypatch.setattr(cloud.Cloud, "answer", busy)
        await serve.until(lambda: len(tries) == 2, 10)
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 10)


async def test_a_slow_platform_holds_up_no_other(clocked: World) -> None:
    gate = asyncio.Event()
    before = clocked.before

    async def slow(platform: str, call: Call) -> None:
        if platform == "north":
            await gate.wait()
        await before(platform, call)

    async with served(clocked) as serve:
        clocked.before = slow  # type: ignore[method-assign]
        clocked.join_by_hand("shop-web-admin", "u-8", "north")
        await serve.quiet(1)
        clocked.join_by_hand("shop-web-admin", "u-8", "south")
        await serve.until(lambda: clocked.members("shop-web-admin", "south") == {"u-1", "u-2"}, 1)
        clocked.commit({manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")})
        await serve.until(
            lambda: (clocked.row("spaces", "shop-web", "south") or {})["tags"] == ["environment=live"], 20
        )
        assert "u-8" in clocked.members("shop-web-admin", "north")
        gate.set()
        await serve.until(lambda: clocked.members("shop-web-admin", "north") == {"u-1", "u-2"}, 5)


async def test_a_change_during_a_look_is_not_lost(clocked: World) -> None:
    """It comes after the look read what it changes, and before the look ends."""
    meddled = False
    after = clocked.after

    async def meddle(platform: str, call: Call, reply: Reply) -> None:
        nonlocal meddled
        await after(platform, call, reply)
        if call.is_write and not meddled:
            meddled = True
            clocked.join_by_hand("shop-web-user", "u-8")

    async with served(clocked) as serve:
        clocked.after = meddle  # type: ignore[method-assign]
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 1)
        await serve.until(lambda: clocked.members("shop-web-user") == {"u-3", "u-4", "u-5"}, 2)
        assert meddled


async def test_a_commit_that_comes_during_a_look_at_what_it_changes_is_not_lost(clocked: World) -> None:
    gate, under_way = asyncio.Event(), asyncio.Event()
    before = clocked.before

    async def slow(platform: str, call: Call) -> None:
        if call.is_write and platform == "north":
            under_way.set()
            await gate.wait()
        await before(platform, call)

    async with served(clocked) as serve:
        clocked.before = slow  # type: ignore[method-assign]
        clocked.join_by_hand("shop-trial-admin", "u-8")
        await serve.until(under_way.is_set)
        commit = clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
        await serve.until(lambda: serve.of(Judged)[-1].proposal.commit == commit, 20)
        assert clocked.members("shop-trial-user") == {"u-3"}
        gate.set()
        await serve.until(lambda: clocked.members("shop-trial-user") == {"u-4"}, 2)
        assert clocked.members("shop-trial-admin") == {"u-1", "u-2"}


async def test_only_owners_that_a_commit_changed_are_read_and_written(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.forget_calls()
        clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
        await serve.until(lambda: clocked.members("shop-trial-user") == {"u-4"}, 20)
        await serve.quiet(2)
        listed = {prefix for call in clocked.made() for name, prefix in call.query if name == "mark_prefix"}
        assert listed == {"example/shop/trial/"}
        assert clocked.made("south") == []


async def test_who_says_that_the_repository_changed_is_believed_at_once(clocked: World) -> None:
    async with served(clocked) as serve:
        await serve.quiet(16)
        commit = clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
        serve.serving.look_now()
        await serve.until(lambda: clocked.members("shop-trial-user") == {"u-4"}, 2)
        assert [(found.commit, found.told) for found in serve.of(Found)] == [(commit, True)]


async def test_said_often_there_is_one_look_at_a_time_and_one_after_it(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun, most = threading.Event(), [0], [0]
    fetch = Repository.fetch

    def slow(self: Repository, *arguments: Any) -> None:
        begun[0] += 1
        most[0] = max(most[0], begun[0] - ended[0])
        gate.wait(10)
        fetch(self, *arguments)
        ended[0] += 1

    async with served(clocked) as serve:
        await serve.quiet(2)
        ended = [0]
        monkeypatch.setattr(Repository, "fetch", slow)
        for _ in range(1_000):
            serve.serving.look_now()
        await serve.until(lambda: begun[0] == 1)
        for _ in range(1_000):
            serve.serving.look_now()
            await asyncio.sleep(0)
        commit = clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
        gate.set()
        await serve.until(lambda: clocked.members("shop-trial-user") == {"u-4"}, 3)
        await serve.quiet(3)
        assert (begun[0], most[0]) == (2, 1)
        assert serve.of(Judged)[-1].proposal.commit == commit


async def test_all_that_comes_of_a_commit_names_the_pass_that_names_the_commit(clocked: World) -> None:
    async with served(clocked) as serve:
        commit = clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
        await serve.until(lambda: bool(serve.of(Settled)), 20)
        [settled] = serve.of(Settled)
        assert str(settled.owner) == "north/shop/trial"
        # The test's clock goes on while PostgreSQL answers: it has more seconds for the same than beside a file.
        assert 0 <= settled.seconds < (20 if clocked.address else 5)
        looking = next(one for one in serve.of(Looking) if one.pass_id == settled.pass_id)
        assert looking.commit == commit
        assert (looking.platform, looking.owners, looking.count) == ("north", (settled.owner,), 1)
        assert looking.why == (f"commit {commit[:8]}",)
        assert {one.pass_id for one in serve.of(Stepped)} == {settled.pass_id}
        writes = [one for one in serve.of(Called) if one.write]
        assert {(one.pass_id, one.platform) for one in writes} == {(settled.pass_id, "north")}
        assert len(writes) == len(clocked.writes)


async def test_until_everything_was_swept_it_says_what_it_waits_for(clocked: World) -> None:
    gate = asyncio.Event()
    before = clocked.before

    async def slow(platform: str, call: Call) -> None:
        if platform == "south":
            await gate.wait()
        await before(platform, call)

    async with clocked.open() as estate:
        clocked.before = slow  # type: ignore[method-assign]
        news: list[ServeNews] = []
        serving = Serving(estate, news.append)
        assert serving.waits_for() == ["the store"]
        task = asyncio.ensure_future(serving.run())
        serve = Served(clocked, serving, news)
        await serve.until(lambda: serving.waits_for() == ["the first sweep of south"], 20)
        gate.set()
        await serve.until(lambda: serving.waits_for() == [], 20)
        serving.stop()
        await task
        assert serving.waits_for() == ["its end"]


async def test_killed_in_the_midst_of_a_pass_it_goes_on_where_it_was(clocked: World) -> None:
    async with clocked.open() as estate:
        news: list[ServeNews] = []
        task = asyncio.ensure_future(Serving(estate, news.append).run())
        serve = Served(clocked, Serving(estate, news.append), news)
        await serve.settled()
        after, stuck = clocked.after, asyncio.Event()

        async def hang(platform: str, call: Call, reply: Reply) -> None:
            if call.is_write:
                stuck.set()
                await asyncio.Event().wait()
            await after(platform, call, reply)

        clocked.after = hang  # type: ignore[method-assign]
        clocked.join_by_hand("shop-web-admin", "u-8")
        clocked.join_by_hand("shop-trial-admin", "u-8")
        await serve.until(stuck.is_set)
        for _ in range(2):  # the first one lets the steps under way finish
            task.cancel()
            await asyncio.sleep(0.01)
        await asyncio.gather(task, return_exceptions=True)
        assert await estate.store.open_steps()
    clocked.after = after  # type: ignore[method-assign]
    async with served(clocked) as serve:
        groups = ("shop-web-admin", "shop-trial-admin")
        await serve.until(lambda: all(clocked.members(name) == {"u-1", "u-2"} for name in groups), 10)
        async with clocked.open() as estate, asyncio.timeout(PATIENCE_SECONDS):
            while (
                await estate.store.open_steps()
            ):  # what the dead one has claimed is its own for some seconds more
                await serve.quiet(0.2)
    events = await clocked.events()
    assert {e.digest for e in events if isinstance(e, StepIntended)} == {
        e.digest for e in events if isinstance(e, StepConcluded)
    }


async def test_stopped_it_finishes_the_steps_under_way(clocked: World) -> None:
    gate, under_way = asyncio.Event(), asyncio.Event()
    before = clocked.before

    async def slow(platform: str, call: Call) -> None:
        if call.is_write:
            under_way.set()
            await gate.wait()
        await before(platform, call)

    async with served(clocked) as serve:
        clocked.before = slow  # type: ignore[method-assign]
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.until(under_way.is_set)
        serve.serving.stop()
        gate.set()
    assert [isinstance(one.outcome, Done) for one in serve.of(Stepped)] == [True]
    async with clocked.open() as estate:
        assert await estate.store.open_steps() == []


async def test_a_store_that_is_full_is_told_and_tried_again(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(clocked) as serve:
        full = StoreError("no space is left for the store", "free some space")

        async def refuse(self: SqlStore, *arguments: object) -> None:
            raise full

        with monkeypatch.context() as patch:
            patch.setattr(SqlStore, "append", refuse)
            patch.setattr(SqlStore, "mark", refuse)
            clocked.join_by_hand("shop-web-admin", "u-8")
            await serve.until(lambda: bool(serve.of(Failed)), 5)
            await serve.quiet(5)
            assert "u-8" in clocked.members("shop-web-admin")
        assert {(failed.message, failed.advice) for failed in serve.of(Failed)} == {(str(full), full.advice)}
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 30)


async def test_who_fights_over_attributes_is_told_and_left_for_a_while(clocked: World) -> None:
    async with served(clocked) as serve:
        for number in range(6):
            row = clocked.row("spaces", "shop-trial")
            assert row
            clocked.by_hand("PATCH", f"/spaces/{row['id']}", {"description": f"mine {number}"})
            if number < 5:
                await serve.stepped(number + 1)
                await serve.quiet(1)
        await serve.quiet(60)
        assert len(serve.of(Stepped)) == 5
        assert len(serve.of(Fought)) == 1
        waits = (await clocked.status())["north/shop/trial"].status.waits
        assert "put back 5 times" in waits
        clocked.join_by_hand("shop-trial-admin", "u-8")
        await serve.until(lambda: clocked.members("shop-trial-admin") == {"u-1", "u-2"}, 1)
        clocked.clock.advance(minutes=10)
        await serve.until(lambda: (clocked.row("spaces", "shop-trial") or {})["description"] == "", 60)
        await serve.quiet(1)
    assert not (await clocked.status())["north/shop/trial"].status.waits
    assert len([event for event in await clocked.events() if isinstance(event, FightNoticed)]) == 1


async def test_who_fights_over_access_never_wins(clocked: World) -> None:
    async with served(clocked) as serve:
        held = 0.0
        for _ in range(40):
            if "u-8" not in clocked.members("shop-trial-admin"):
                clocked.join_by_hand("shop-trial-admin", "u-8")
            before = clocked.clock.seconds()
            await serve.until(lambda: "u-8" not in clocked.members("shop-trial-admin"), 31)
            held = max(held, clocked.clock.seconds() - before)
            await serve.quiet(0.2)
            if len(serve.of(Stepped)) == 8:
                break
        assert len(serve.of(Stepped)) == 8
        assert 25 < held <= 31
        assert len(serve.of(Fought)) == 1
        await serve.quiet(61)
        clocked.join_by_hand("shop-trial-admin", "u-8")
        await serve.until(lambda: "u-8" not in clocked.members("shop-trial-admin"), 1)


async def test_marks_of_owners_that_are_gone_are_forgotten(clocked: World) -> None:
    async with served(clocked) as serve:
        clocked.commit({"shop/trial.yaml": None})
        await serve.until(lambda: clocked.row("spaces", "shop-trial") is None, 30)
        await serve.until(lambda: bool(serve.of(Gone)))
    async with clocked.open() as estate:
        assert {str(owner) for owner in await estate.store.work()} == {
            str(row.owner) async for row in estate.store.owners()
        }


async def test_a_platform_whose_settings_change_is_connected_anew_and_the_others_stay(clocked: World) -> None:
    async with served(clocked) as serve:
        before = dict(serve.serving._platforms)
        head, south = manifest.PLATFORMS.split("name: south")
        slower = f"{head}name: south{south.replace('requestsPerSecond: 100000', 'requestsPerSecond: 99999')}"
        assert slower != manifest.PLATFORMS
        clocked.commit({"platforms.yaml": slower})
        await serve.until(lambda: len(serve.of(Judged)) == 2, 20)
        assert serve.serving._platforms["north"] is before["north"]
        assert serve.serving._platforms["south"] is not before["south"]
        await serve.quiet(6)
        clocked.join_by_hand("shop-web-admin", "u-8", "south")
        await serve.until(lambda: clocked.members("shop-web-admin", "south") == {"u-1", "u-2"}, 1)


async def test_tenants_wait_for_what_their_workspace_shares_and_not_longer(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "BATCH", 1)
    names = [f"p-{number}" for number in range(4)]
    files: dict[str, str | None] = {
        f"new/{name}.yaml": manifest.project(name, "new", "user: u-8, role: admin", "north sandbox")
        for name in names
    }
    workspace = "{apiVersion: hanse/v1, kind: Workspace, name: new, displayName: New}\n"
    async with served(clocked) as serve:
        clocked.commit({"new/workspace.yaml": workspace, **files})
        await serve.until(lambda: len(serve.of(Judged)) == 2, 20)
        await serve.until(lambda: all(clocked.members(f"new-{name}-admin") == {"u-8"} for name in names), 5)
        assert all(isinstance(one.outcome, Done) for one in serve.of(Stepped))
        clocked.commit({"new/workspace.yaml": None, **dict.fromkeys(files)})
        await serve.until(lambda: clocked.members("new-p-0-admin") == set(), 20)
        for waiting in await clocked.waiting():
            await clocked.approve(waiting.subject[:12])
        await serve.until(lambda: clocked.row("folders", "new") is None, 30)


# --- what is revoked becomes a commit -------------------------------------------------------------


async def test_a_revocation_becomes_one_commit_and_lapses_with_it(clocked: World) -> None:
    async with served(clocked) as serve:
        await serve.settled()
        before = int(clocked.git("rev-list", "--count", "main"))
        await clocked.revoke("shop/trial", "u-3")
        await serve.until(lambda: len(serve.of(Wrote)) == 1, 30)
        (wrote,) = serve.of(Wrote)
        assert wrote.commit == clocked.git("rev-parse", "main")
        assert wrote.what == "every role of user u-3 on shop/trial"
        await serve.until(lambda: serve.of(Judged)[-1].proposal.commit == wrote.commit, 60)
        await serve.quiet(60)
        assert int(clocked.git("rev-list", "--count", "main")) == before + 1
        async with clocked.open() as estate:
            assert await estate.store.revocations() == []
    assert clocked.members("shop-trial-user") == set()
    assert clocked.git("status", "--short") == ""


async def test_while_the_repository_is_away_it_is_in_force_and_told_and_tried_again(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(clocked.folder / "data"))
    bare = clocked.folder / "bare.git"
    clocked.git("clone", "--quiet", "--bare", str(clocked.repository), str(bare))
    text = clocked.config.read_text()
    clocked.config.write_text(text.replace(f"url: {clocked.repository}", f'url: "file://{bare}"'))
    async with served(clocked) as serve:
        await serve.settled()
        bare.rename(bare.with_name("away.git"))
        await clocked.revoke("shop/trial", "u-3")
        failed: Callable[[], list[Failed]] = lambda: [  # noqa: E731
            one for one in serve.of(Failed) if one.what.startswith("the revocation of every role of user u-3")
        ]
        await serve.until(lambda: bool(failed()), 60)
        assert "it is in force, and no commit yet" in failed()[0].message
        await serve.until(lambda: clocked.members("shop-trial-user") == set(), 60)
        async with clocked.open() as estate:
            assert [bool(one.waits) for one in await estate.store.revocations()] == [True]
        bare.with_name("away.git").rename(bare)
        await serve.until(lambda: len(serve.of(Wrote)) == 1, 700)
        await serve.until(lambda: serve.of(Judged)[-1].proposal.commit == serve.of(Wrote)[0].commit, 700)
    assert clocked.git("ls-remote", str(bare), "main").split()[0] == serve.of(Wrote)[0].commit


async def test_what_is_as_wrong_as_before_is_told_once_whatever_is_revoked_meanwhile(
    clocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(clocked.folder / "data"))
    bare = clocked.folder / "bare.git"
    broken = clocked.commit({manifest.SEA_FILE: "kind: Nothing\n"})
    clocked.git("clone", "--quiet", "--bare", str(clocked.repository), str(bare))
    text = clocked.config.read_text()
    clocked.config.write_text(text.replace(f"url: {clocked.repository}", f'url: "file://{bare}"'))
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is frozen' >&2\nexit 1\n")
    hook.chmod(0o755)
    async with served(clocked) as serve:
        await serve.settled()
        unwritten: Callable[[], list[str]] = lambda: [  # noqa: E731
            one.what for one in serve.of(Failed) if "no commit yet" in one.message
        ]
        await clocked.revoke("shop/trial", "u-3")
        await serve.until(lambda: bool(unwritten()), 60)
        async with clocked.open() as estate:
            await revoke(estate, "shop/web", "group", "shop-team", "", "left")
        await serve.until(lambda: len(unwritten()) > 1, 60)
        await serve.quiet(120)
        assert unwritten() == [
            "the revocation of every role of user u-3 on shop/trial",
            "the revocation of every role of group shop-team on shop/web",
        ]
        assert [one.proposal.commit for one in serve.of(Judged)].count(broken) == 1
