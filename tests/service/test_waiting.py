"""`hanse status` says why an owner waits, while `hanse serve` runs beside it and after it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from hanse.model import Tenant
from hanse.ports.store import OwnerRow
from hanse.ports.transport import Call
from hanse.service.status import State, status
from hanse.service.waiting import Reason
from hanse.store import SqliteStore
from hanse.transport import Fault
from service import manifest
from service.test_serve import Served, Sleepers, served
from service.world import World

WEB, TRIAL = Tenant("north", "shop", "web"), Tenant("north", "shop", "trial")


@pytest.fixture
def clocked(applied: World) -> World:
    """The small organisation as it holds, on a clock that only the test turns."""
    applied.clock = Sleepers(applied.clock.at)
    return applied


async def state(world: World, only: str = "") -> State:
    """What another process is told."""
    async with world.open() as estate:
        return await status(estate, only)


async def why(world: World, owner: Tenant, only: str = "") -> list[Reason]:
    return (await state(world, only)).reasons[owner]


async def told(serve: Served) -> None:
    """Until what happened was said in the store."""
    await serve.quiet(3)


async def test_a_platform_that_is_away_is_told_of_owners_that_wait_and_no_more_once_it_is_back(
    clocked: World,
) -> None:
    async with served(clocked) as serve:
        await serve.quiet(1)
        clocked.faults["north"][:] = [Fault("cut", times=0)]
        began = clocked.clock()
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.quiet(70)
        [reason] = await why(clocked, WEB)
        assert reason.code == "away"
        assert "north cannot be read" in reason.message
        assert reason.since is not None
        assert timedelta() <= reason.since - began < timedelta(seconds=5)
        assert await why(clocked, Tenant("south", "shop", "web")) == []
        clocked.faults["north"].clear()
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 100)
        await told(serve)
        assert await why(clocked, WEB) == []


async def test_words_of_a_platform_that_says_not_yet_are_told_with_the_tries_and_since_when(
    clocked: World,
) -> None:
    async with served(clocked) as serve:
        await serve.quiet(1)
        began = clocked.clock()
        clocked.faults["north"][:] = [Fault("cut", "delete memberships", times=0)]
        clocked.join_by_hand("shop-web-admin", "u-8")
        await serve.quiet(90)
        found = await state(clocked, "shop/web")
        reason = found.reasons[WEB][0]
        assert (reason.code, reason.message) == ("not-yet", "injected: no connection")
        assert reason.since is not None
        assert timedelta() <= reason.since - began < timedelta(seconds=10), (
            "since it began, not since the last try"
        )
        assert found.work[WEB].attempts > 2
        words = " ".join((await asyncio.to_thread(clocked.run, "status", "shop/web")).output.split())
        assert "injected: no connection for 1 minute (next look after" in words
        clocked.faults["north"].clear()
        await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 100)
        await told(serve)
        assert await why(clocked, WEB) == []


async def test_calls_that_wait_for_the_budget_are_told_while_they_wait(clocked: World) -> None:
    gate = asyncio.Event()

    async def slow(platform: str, call: Call) -> None:
        await gate.wait() if call.is_write else None

    async with served(clocked) as serve:
        await serve.quiet(1)
        clocked.before = slow  # type: ignore[method-assign]
        grants = "".join(f"  - {{user: u-{number}, role: user}}\n" for number in range(3, 9))
        clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace(_access(manifest.TRIAL), grants)})
        await serve.quiet(25)
        found = await why(clocked, TRIAL, "shop/trial")
        gate.set()
        await serve.quiet(5)
        assert "budget" in {one.code for one in found}, found
        [budget] = [one for one in found if one.code == "budget"]
        assert "for the budget of north" in budget.message
        assert await why(clocked, TRIAL) == []


def _access(text: str) -> str:
    """The rows of `access` in a project's file."""
    lines = text.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("access:")) + 1
    end = next((n for n in range(start, len(lines)) if not lines[n].startswith(" ")), len(lines))
    return "".join(lines[start:end])


async def test_after_the_end_of_it_what_is_due_says_that_nobody_serves(clocked: World) -> None:
    async with served(clocked) as serve:
        await serve.quiet(1)
    clocked.clock.advance(minutes=5)
    async with clocked.open() as estate:
        row = await estate.store.owner(WEB)
        assert row is not None
        await estate.store.mark([WEB], clocked.clock(), "somebody asked")
        await estate.store.record({WEB: replace(row.status, applied="another")})
    [reason] = await why(clocked, WEB)
    assert reason.code == "nobody-serves"
    assert "the last word of it is of" in reason.message


async def test_one_project_is_asked_for_without_reading_the_others(
    applied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {row.owner: row for row in (await state(applied)).rows}

    def never(*_: object) -> Any:
        raise AssertionError("it reads more than it was asked for")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "owners", never)
        patch.setattr("hanse.service.status.accepted_state", never)
        found = (await state(applied, "shop/web")).rows
    assert _owners(found) == [WEB, Tenant("south", "shop", "web")]
    assert all(row == whole[row.owner] for row in found)
    assert _owners((await state(applied, "lab")).rows) == [
        Tenant("north", "lab", "sea"),
        Tenant("north", "lab", "sky"),
    ]


async def test_a_project_that_was_renamed_is_found_by_its_present_name(applied: World) -> None:
    renamed = manifest.TRIAL.replace("name: trial", "name: tryout\nformerly: [trial]", 1)
    applied.commit({manifest.TRIAL_FILE: renamed})
    await applied.apply()
    rows = (await state(applied, "shop/tryout")).rows
    assert _owners(rows) == [TRIAL], "the oldest name stays the owner's"


def _owners(rows: Sequence[OwnerRow]) -> list[object]:
    return [row.owner for row in rows]


def test_reasons_are_told_as_json_too(applied: World) -> None:
    applied.faults["south"][:] = [Fault("cut", times=0)]
    applied.run("apply", "--yes")
    said = json.loads(applied.run("status", "shop/web", "--json").output)
    south = next(one for one in said["owners"] if one["owner"] == "south/shop/web")
    assert [one["code"] for one in south["reasons"]] == ["away"]
    assert south["reasons"][0]["since"]


def test_in_a_narrow_terminal_what_is_waited_for_stands_below_the_table(
    applied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied.faults["south"][:] = [Fault("cut", times=0)]
    applied.run("apply", "--yes")
    for columns, beside in (("80", False), ("160", True)):
        monkeypatch.setattr(
            "hanse.cli.status.console", lambda width=int(columns): Console(width=width, highlight=False)
        )
        said = applied.run("status", "shop/web").output
        assert ("waits for" in said) is beside
        assert ("south/shop/web waits: " in said) is not beside
        assert "cannot be read" in said
        assert max(map(len, said.splitlines())) <= int(columns)
