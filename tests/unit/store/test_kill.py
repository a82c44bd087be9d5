"""Promise of the store: whatever it has acknowledged is there after a kill, and the rest is whole or absent."""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hanse.journal import chain
from hanse.journal.events import PassStarted
from hanse.store import open_store
from postgresql_server import PostgresqlServer
from store_conformance import all_of, events_of

WRITER = """
import asyncio, os, sys
from datetime import UTC, datetime
from hanse.journal.events import PassStarted
from hanse.store import open_store

store = open_store(sys.argv[1])
offset = int(sys.argv[2])

async def task(number):
    for count in range(100_000):
        name = offset + number * 100_000 + count
        await store.append([PassStarted("c", name), PassStarted("c", name)], datetime.now(UTC))
        os.write(1, b"%d\\n" % name)
        if count % 7 == 0:
            await store.chain()

async def main():
    await asyncio.gather(*map(task, range(4)))

asyncio.run(main())
"""


def killed_writer(home: str, offset: int, seconds: float) -> set[int]:
    """What a writer said was written, before it was killed so many seconds after its first word."""
    command = [sys.executable, "-c", WRITER, home, str(offset)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        selectors.DefaultSelector() as selector,
    ):
        assert process.stdout is not None
        selector.register(process.stdout, selectors.EVENT_READ)
        said = b""
        end = time.monotonic() + 30  # to start; from the first word on, `seconds`
        while (left := end - time.monotonic()) > 0:
            if selector.select(left):
                if not said:
                    end = time.monotonic() + seconds
                part = os.read(process.stdout.fileno(), 65536)
                assert part, "the writer ended by itself"
                said += part
        process.kill()
        said += process.stdout.read()
    lines = said.split(b"\n")[:-1]  # what follows the last line end is half a word
    return set(map(int, lines))


@pytest.fixture(params=["a file", "PostgreSQL"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "a file":
        return str(tmp_path / "hanse.db")
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_store()


@pytest.mark.parametrize("seed", range(3))
def test_every_acknowledged_event_is_there_after_a_kill(home: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 — when to kill, no secret
    acknowledged: set[int] = set()
    for turn in range(3):  # each on what the kill before left
        acknowledged |= killed_writer(home, turn * 1_000_000, chance.uniform(0.01, 0.4))

    async def check() -> None:
        store = open_store(home)
        await store.chain()
        recorded = await all_of(store.journal())
        events = await events_of(store)
        await store.close()
        assert chain.verify(recorded) == []
        names = [event.owners for event in events if isinstance(event, PassStarted)]
        assert acknowledged <= set(names)
        assert all(names.count(name) == 2 for name in set(names)), "events of one append came all or none"

    assert acknowledged
    asyncio.run(check())
