"""The command `hanse serve`: what it says, how it is stopped, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from click.testing import Result
from msgspec.structs import replace

from hanse.cli import serve
from hanse.model import Tenant
from hanse.ports.store import Status, Work
from hanse.ports.transport import Call
from hanse.reconcile.news import Swept
from service import manifest
from service.world import Clock, World


class Ticking(Clock):
    """Goes by itself, as clocks do."""

    began = time.monotonic()

    def __call__(self) -> datetime:
        self.advance(seconds=(now := time.monotonic()) - self.began)
        self.began = now
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def served(world: World, *jobs: Callable[[], bool], options: tuple[str, ...] = ()) -> Result:
    """Serve until all jobs, one after the other, say that they are done; after each but the first a signal is sent."""
    world.clock = Ticking(world.clock.at)

    def meddle() -> None:
        for job in jobs:
            for _ in range(2_000):
                if job():
                    break
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        return world.run("serve", *options)
    finally:
        thread.join()


def drifts_and_waits(world: World) -> Callable[[], bool]:
    """Somebody changes something once it is served; done when that is mended and noted."""
    state = {"since": 0.0}

    def done() -> bool:
        if not state["since"] and world.made():
            state["since"] = time.monotonic()
            world.join_by_hand("shop-web-admin", "u-8")
        mended = state["since"] and "u-8" not in world.members("shop-web-admin")
        return bool(mended and time.monotonic() - state["since"] > 1)

    return done


def test_it_says_what_it_does_and_ends_with_0_when_it_is_stopped(applied: World) -> None:
    result = served(applied, drifts_and_waits(applied))
    assert result.exit_code == 0
    head = applied.git("rev-parse", "HEAD")[:8]
    assert f"keeping {head} in force on north, south" in result.output
    assert "north: 6 owners swept in" in result.output
    [line] = [line for line in result.output.splitlines() if "hedy.lamarr" in line]
    assert line[8:].startswith(" shop/web on north: - membership hedy.lamarr → group group/admin")
    assert "changed by hand: rolled back" in line
    assert "stopping after the steps under way" in result.output


def test_as_json_each_line_is_an_event(applied: World) -> None:
    result = served(applied, drifts_and_waits(applied), options=("--json",))
    assert result.exit_code == 0
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[0]["event"] == "began"
    [step] = [event for event in events if event["event"] == "stepped"]
    [looking] = [one for one in events if one["event"] == "looking" and one["passId"] == step["passId"]]
    assert looking["commit"] == applied.git("rev-parse", "HEAD")
    assert looking["owners"] == [step["step"]["owner"]] == ["north/shop/web"]
    writes = [one for one in events if one["event"] == "called" and one["write"]]
    assert [(one["passId"], one["ended"]) for one in writes] == [(step["passId"], "204")]
    assert step["step"]["attributes"] == ["group", "user"]
    assert step["step"]["reason"]["cause"] == "local-change"
    assert step["outcome"] == {"type": "done", "native_id": ""}
    assert {event["platform"] for event in events if event["event"] == "swept"} == {"north", "south"}
    assert all(datetime.fromisoformat(event["at"]) for event in events)


def test_before_a_first_acceptance_it_says_what_to_do(world: World) -> None:
    result = world.run("serve")
    assert result.exit_code == 1
    assert "nothing was accepted yet" in result.output
    assert "hanse apply" in result.output


def test_a_commit_with_errors_is_told_with_file_and_line(applied: World) -> None:
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("workspace: shop", "workspace: shpo")})

    def is_told() -> bool:
        written = getattr(getattr(sys.stdout, "buffer", None), "getvalue", bytes)  # the runner's own buffer
        return b"is not accepted" in written()

    result = served(applied, is_told)
    assert result.exit_code == 0
    assert "is not accepted: it has errors" in result.output
    assert f"{manifest.TRIAL_FILE}:" in result.output


def test_stopped_twice_it_ends_at_once_and_loses_nothing(
    applied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()

    async def hang(platform: str, call: Call) -> None:
        if call.is_write:
            stuck.set()
            await asyncio.Event().wait()

    def drift_and_stick() -> bool:
        if not stuck.is_set() and applied.made() and "u-8" not in applied.members("shop-web-admin"):
            applied.join_by_hand("shop-web-admin", "u-8")
        return stuck.is_set()

    def some_time_later() -> bool:
        time.sleep(0.3)
        return True

    with monkeypatch.context() as patch:
        patch.setattr(applied, "before", hang)
        result = served(applied, drift_and_stick, some_time_later)
    assert result.exit_code == 130
    applied.run("apply", "--yes")
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}


async def test_status_says_when_what_waits_is_looked_at_next(applied: World) -> None:
    web = Tenant("north", "shop", "web")
    async with applied.open() as estate:
        await estate.store.record({web: Status(waits="waits for Ben")})
        await estate.store.mark([web], applied.clock() + timedelta(seconds=25), "it is tried again")
    result = await asyncio.to_thread(applied.run, "status")
    assert "waits for Ben (next look in 25 s)" in result.output
    told = json.loads((await asyncio.to_thread(applied.run, "status", "--json")).output)
    [owner] = [owner for owner in told["owners"] if owner["owner"] == str(web)]
    assert owner["why"] == "it is tried again"
    assert owner["due"]


@pytest.mark.parametrize("wrong", [BrokenPipeError(), SystemExit(1)], ids=["pipe", "rich's word for it"])
def test_when_nobody_reads_it_any_more_it_ends_after_the_steps_under_way_and_says_so(
    applied: World, monkeypatch: pytest.MonkeyPatch, wrong: BaseException
) -> None:
    def write(news: object, *_: object) -> None:
        if isinstance(news, Swept):
            raise wrong

    monkeypatch.setattr(serve, "_write", write)
    applied.clock = Ticking(applied.clock.at)
    result = applied.run("serve")
    assert result.exit_code == 1
    assert "nobody reads any more what is told" in result.output


def test_what_cannot_be_written_for_lack_of_space_stops_no_repair(
    applied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(serve, "_write", write)
    result = served(applied, drifts_and_waits(applied))
    assert result.exit_code == 0
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}


async def test_status_says_the_place_among_those_that_are_due_and_how_often_it_was_tried(
    applied: World,
) -> None:
    web, trial = Tenant("north", "shop", "web"), Tenant("north", "shop", "trial")
    async with applied.open() as estate:
        store, now = estate.store, applied.clock()
        await store.record({web: Status(waits="the platform is busy")})
        await store.mark([trial], now - timedelta(seconds=5), "a commit")
        await store.looked(
            [Work(web, 9, due=now - timedelta(seconds=1), attempts=3, why="it is tried again")]
        )
    result = await asyncio.to_thread(applied.run, "status")
    told = " ".join(result.output.split())
    assert (
        "the platform is busy; no `hanse serve` runs; place 2 of 2 that are due on north (next look" in told
    )
    assert "after 3 attempts at its turn" in told
    told = json.loads((await asyncio.to_thread(applied.run, "status", "--json")).output)
    places = {owner["owner"]: (owner["place"], owner["attempts"]) for owner in told["owners"]}
    assert places[str(trial)] == (1, 0)
    assert places[str(web)] == (2, 3)
    assert places["south/shop/web"] == (None, 0)


def test_status_names_the_approval_that_something_waits_for(applied: World) -> None:
    strict = manifest.ORGANIZATION.replace("removalAtLeast: 5", "removalAtLeast: 0")
    applied.commit({"organization.yaml": strict})
    asyncio.run(applied.apply())
    applied.commit({"groups.yaml": manifest.GROUPS.replace("[u-3, u-4, u-5]", "[u-3]")})
    asyncio.run(applied.apply())
    waiting = [one for one in asyncio.run(applied.waiting()) if one.rule == "guard"]
    assert waiting
    result = applied.run("status")
    for one in waiting:
        assert f"`hanse approve {one.subject[:12]}`" in result.output


@pytest.mark.parametrize(("more", "words"), [((), "needs a terminal"), (("--json",), "leave out --json")])
def test_status_is_watched_at_a_terminal_alone(applied: World, more: tuple[str, ...], words: str) -> None:
    result = applied.run("status", "--watch", *more)
    assert result.exit_code == 1
    assert words in result.output


def test_status_watched_shows_what_is_not_as_it_shall_be_and_ends_with_ctrl_c(applied: World) -> None:
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    command = [sys.executable, "-m", "hanse", "--config", str(applied.config), "status", "--watch"]
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as process:
        os.close(terminal)
        try:
            written = _read_until(master, "Ctrl-C ends it")
            assert "5 as they shall be, 0 not" in written
            web = Tenant("north", "shop", "web")

            async def wait() -> None:
                async with applied.open() as estate:
                    row = await estate.store.owner(web)
                    assert row is not None
                    await estate.store.record({web: replace(row.status, waits="waits for Ben")})

            asyncio.run(wait())
            written = _read_until(master, "1 not")
            assert "waits for Ben" in written
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(master)


def _read_until(terminal: int, words: str) -> str:
    """What is written to a terminal, until these words."""
    written = ""
    end = time.monotonic() + 30
    while words not in written:
        assert time.monotonic() < end, written
        if select.select([terminal], [], [], 0.5)[0]:
            written += os.read(terminal, 65536).decode(errors="replace")
    return written


def test_where_it_is_told_to_listen_it_says_where_it_answers(applied: World) -> None:
    applied.write_config(more='http: {listen: "127.0.0.1:0"}\n')
    answers: list[bytes] = []

    def asks() -> bool:
        written = getattr(getattr(sys.stdout, "buffer", None), "getvalue", bytes)()  # the runner's own buffer
        if not (found := re.search(rb"answers at (http://127\.0\.0\.1:\d+)\n", written)):
            return False
        with urllib.request.urlopen(f"{found[1].decode()}/healthz", timeout=5) as reply:  # noqa: S310
            answers.append(reply.read())
        return True

    result = served(applied, asks)
    assert result.exit_code == 0
    assert answers == [b"ok\n"]


def test_where_it_cannot_listen_it_says_what_to_do(applied: World) -> None:
    applied.write_config(more='http: {listen: "8080"}\n')
    result = applied.run("serve")
    assert result.exit_code == 1
    assert "no HOST:PORT" in result.output


def test_what_answers_is_loaded_only_where_it_is_switched_on() -> None:
    text = (
        "import sys, hanse.main, hanse.cli.serve; print({'aiohttp', 'prometheus_client'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"
