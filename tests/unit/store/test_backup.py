"""Promises of a backup: one state, whole or not there, proved, and put back as a whole or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hanse.journal import chain
from hanse.journal.events import StoreRestored
from hanse.model import Personal, Tenant
from hanse.ports.store import OwnerRow, Status, StoreError
from hanse.store import SqlStore, backup, database, open_store
from postgresql_server import PostgresqlServer
from store_conformance import (
    MANY,
    NOW,
    OWNER,
    a_head,
    a_provenance,
    a_revocation,
    a_step,
    accepted,
    all_of,
    an_approval,
    an_intent,
    events_of,
    intended,
    started,
)

BY = Personal("Maria Mitchell")


@pytest.fixture(params=["file", "postgresql"])
def new_home(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives a home with nothing in it, each time another."""
    count = iter(range(100))
    if request.param == "file":
        return lambda: str(tmp_path / f"home-{next(count)}.db")
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hanse.backup"


async def full(where: str) -> SqlStore:
    """A store with something in each table, and in some of them more than is copied at once."""
    store = open_store(where)
    await accepted(store, OWNER, *(Tenant("fra", "shop", f"p-{number}") for number in range(MANY)))
    await store.append([started(number) for number in range(MANY)], NOW)
    await store.append([intended(a_step())], NOW)
    await store.record({OWNER: Status("i", "d", NOW)})
    await store.mark([OWNER], NOW, "a hint")
    await store.approve(an_approval(), [])
    await store.revoke(a_revocation(), NOW)
    await store.keep_provenance("c1", {"a": a_provenance()}, [])
    await store.keep_parsed({"b1": b"\x00x"})
    await store.chain()
    return store


async def taken(where: str, file: Path) -> None:
    """A backup of a full store."""
    store = await full(where)
    await backup.back_up(store, file, NOW)
    await store.close()


async def test_what_was_backed_up_is_there_again_in_either_home(
    new_home: Callable[[], str], postgresql: PostgresqlServer, tmp_path: Path, file: Path
) -> None:
    store = await full(new_home())
    before, events = await all_of(store.journal()), await events_of(store)
    found = await backup.back_up(store, file, NOW)
    assert (found.taken_at, found.records, found.findings) == (NOW, len(before), ())
    assert found.size == file.stat().st_size
    await store.close()
    for home in (str(tmp_path / "again.db"), postgresql.new_store()):
        target = open_store(home)
        await backup.restore(target, file, BY, NOW)
        await target.close()
        again = open_store(home)
        *records, last = await all_of(again.journal())
        assert records == before
        assert (await events_of(again))[:-1] == events
        assert (await events_of(again))[-1] == StoreRestored(NOW, len(before), BY)
        assert chain.verify([*records, last]) == []
        assert await again.head() == a_head()
        assert await again.owner(OWNER) == OwnerRow(OWNER, an_intent(), Status("i", "d", NOW))
        assert await again.count("fra") == MANY + 1
        assert [step for _, step in await again.open_steps()] == [a_step()]
        assert await again.approvals(NOW) == {"s1": an_approval()}
        assert len(await again.revocations()) == 1
        assert await again.provenance(["a"]) == {"a": a_provenance()}
        assert await again.work() == {}, "what is due is found anew"
        assert await again.restored() == NOW
        await again.go_on()
        assert await again.restored() is None
        await again.append([intended(a_step("u-2"))], NOW)
        assert (await all_of(again.journal()))[-1].body != b""
        await again.close()


async def test_nobody_else_may_read_a_backup(new_home: Callable[[], str], file: Path) -> None:
    os.umask(umask := os.umask(0))
    try:
        os.umask(0)
        await taken(new_home(), file)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_no_file_is_overwritten_without_being_told(tmp_path: Path, file: Path) -> None:
    store = await full(str(tmp_path / "a.db"))
    file.write_text("mine")
    with pytest.raises(StoreError, match="is there already") as caught:
        await backup.back_up(store, file, NOW)
    assert "--replace" in caught.value.advice
    assert file.read_text() == "mine"
    await backup.back_up(store, file, NOW, replace=True)
    assert backup.look(file).records
    with pytest.raises(StoreError, match="is a folder"):
        await backup.back_up(store, tmp_path, NOW, replace=True)
    with pytest.raises(StoreError, match="No such file"):
        await backup.back_up(store, tmp_path / "no" / "folder", NOW)
    await store.close()


async def test_a_file_that_came_while_it_was_written_stays(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await full(str(tmp_path / "a.db"))
    dump = backup._dump

    async def slow(*arguments: object) -> None:
        await dump(*arguments)  # type: ignore[arg-type]
        file.write_text("mine")

    monkeypatch.setattr(backup, "_dump", slow)
    with pytest.raises(StoreError, match="is there already"):
        await backup.back_up(store, file, NOW)
    assert file.read_text() == "mine"
    assert sorted(tmp_path.glob("*.part")) == []
    await store.close()


async def test_two_backups_into_one_file_are_not_mixed(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await full(str(tmp_path / "a.db"))
    beside = open_store(str(tmp_path / "a.db"))
    inside, go_on = threading.Event(), threading.Event()
    some = backup._some

    async def slow(*arguments: object) -> object:
        inside.set()
        go_on.wait(30)
        return await some(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(backup, "_some", slow)
    first = asyncio.ensure_future(backup.back_up(store, file, NOW))
    await asyncio.to_thread(inside.wait, 30)
    with pytest.raises(StoreError, match="another process is writing"):
        await backup.back_up(beside, file, NOW)
    go_on.set()
    await first
    assert backup.look(file).findings == ()
    await store.close()
    await beside.close()


WRITER = """
import asyncio, sys
from store_conformance import NOW, OWNER, a_revocation, accepted, intended, a_step, started
from hanse.store import open_store

async def main():
    store = open_store(sys.argv[1])
    print("writes", flush=True)
    number = 0
    while True:
        number += 1
        await store.append([started(number), intended(a_step(f"w-{number}"))], NOW)
        await store.revoke(a_revocation(f"w-{number}"), NOW)
        if number % 5 == 0:
            await store.chain()

asyncio.run(main())
"""


def process(code: str, *arguments: str) -> subprocess.Popen[str]:
    folder = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": folder}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


def kill_after(lines: int, code: str, *arguments: str) -> None:
    """Kill a process in the middle of what it does, which it tells by lines."""
    with process(code, *arguments) as killed:
        assert killed.stdout is not None
        for _ in range(lines):
            assert killed.stdout.readline() == "goes on\n"
        killed.send_signal(signal.SIGKILL)


def said_by(code: str, *arguments: str) -> str:
    with process(code, *arguments) as running:
        assert running.stdout is not None
        return running.stdout.read()


@pytest.fixture
def writer() -> Iterator[Callable[[str], None]]:
    """Has a process write into a store all the time, until the end of the test."""
    begun: list[subprocess.Popen[str]] = []

    def begin(home: str) -> None:
        begun.append(process(WRITER, home))
        assert begun[-1].stdout is not None
        assert begun[-1].stdout.readline() == "writes\n"

    yield begin
    for one in begun:
        with one:
            one.kill()


async def test_a_backup_is_one_state_while_another_process_writes_all_the_time(
    new_home: Callable[[], str], tmp_path: Path, writer: Callable[[str], None]
) -> None:
    home = new_home()
    await (await full(home)).close()
    writer(home)
    store = open_store(home)
    reached = 0
    for number in range(5):
        file = tmp_path / f"{number}.backup"
        found = await backup.back_up(store, file, NOW)
        assert found.findings == ()
        assert found.records > reached, "it was written meanwhile"
        reached = found.records
        with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as rows:
            ((revoked,),) = rows.execute("SELECT count(*) FROM revocation")
            ((said,),) = rows.execute(
                "SELECT count(*) FROM journal WHERE CAST(body AS text) LIKE '%grant:revoked%'"
            )
            ((steps,),) = rows.execute("SELECT count(*) FROM open_step")
            ((meant,),) = rows.execute(
                "SELECT count(*) FROM journal WHERE CAST(body AS text) LIKE '%step:intended%'"
            )
        rows.close()
        assert (revoked, steps) == (said, meant), "views are those of the journal beside them"
    await store.close()


BACK_UP = """
import asyncio, sys
from pathlib import Path
from hanse.store import backup, open_store
from store_conformance import NOW

some = backup._some
async def slow(*arguments):
    rows = await some(*arguments)
    print("goes on", flush=True)
    return rows
backup._some = slow

async def main():
    await backup.back_up(open_store(sys.argv[1]), Path(sys.argv[2]), NOW, replace=True)
    print("done", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("before", ["nothing", "a backup"])
async def test_a_backup_that_is_killed_leaves_what_was_there(
    new_home: Callable[[], str], file: Path, before: str
) -> None:
    home = new_home()
    if before == "nothing":
        await (await full(home)).close()
    else:
        await taken(home, file)
    content = file.read_bytes() if file.exists() else None
    for lines in (1, 3, 5, 8):
        kill_after(lines, BACK_UP, home, str(file))
        assert (file.read_bytes() if file.exists() else None) == content
    store = open_store(home)
    await backup.back_up(store, file, NOW, replace=True)
    await store.close()
    assert sorted(file.parent.glob("*.part")) == [], "the next one clears up"


RESTORE = """
import asyncio, sys
from pathlib import Path
from hanse.model import Personal
from hanse.store import backup, open_store
from store_conformance import NOW

read = backup._read
def slow(*arguments):
    for rows in read(*arguments):
        print("goes on", flush=True)
        yield rows
backup._read = slow

async def main():
    await backup.restore(open_store(sys.argv[1]), Path(sys.argv[2]), Personal("me"), NOW, replace=True)
    print("done", flush=True)

asyncio.run(main())
"""


async def test_a_restore_that_is_killed_leaves_the_store_as_it_was(
    new_home: Callable[[], str], file: Path
) -> None:
    await taken(new_home(), file)
    home = new_home()
    store = open_store(home)
    await store.append([started(7)], NOW)
    before = await all_of(store.journal())
    await store.close()
    for lines in (1, 3, 5, 8):
        kill_after(lines, RESTORE, home, str(file))
        store = open_store(home)
        assert await all_of(store.journal()) == before
        assert await store.head() is None
        assert await store.restored() is None
        await store.close()
    store = open_store(home)
    await backup.restore(store, file, BY, NOW, replace=True)
    assert await store.count("fra") == MANY + 1
    assert chain.verify(await all_of(store.journal())) == []
    await store.close()


async def test_nothing_is_restored_over_a_store_that_is_used(new_home: Callable[[], str], file: Path) -> None:
    await taken(new_home(), file)
    store = open_store(new_home())
    await store.revoke(a_revocation("u-9"), NOW)
    before = await all_of(store.journal())
    with pytest.raises(StoreError, match="holds something already") as caught:
        await backup.restore(store, file, BY, NOW)
    assert "--replace" in caught.value.advice
    assert await all_of(store.journal()) == before
    assert len(await store.revocations()) == 1
    await store.close()


async def test_nothing_is_restored_into_a_store_that_somebody_applies_with(
    new_home: Callable[[], str], file: Path
) -> None:
    await taken(new_home(), file)
    home = new_home()
    applying, store = open_store(home), open_store(home)
    await applying.append([started(1)], NOW)
    with pytest.raises(StoreError, match="is applying with this store already"):
        await backup.restore(store, file, BY, NOW, replace=True)
    assert len(await all_of(store.journal())) == 1
    await applying.close()
    await store.close()


async def test_a_backup_is_nobodys_store(tmp_path: Path, file: Path) -> None:
    await taken(str(tmp_path / "a.db"), file)
    content = file.read_bytes()
    with pytest.raises(StoreError, match="is a backup") as caught:
        open_store(str(file))
    assert "hanse restore" in caught.value.advice
    assert backup.look(file).records, "it is as it was"
    assert len(file.read_bytes()) == len(content)


@pytest.mark.parametrize("position", [0.0, 0.2, 0.5, 0.8, 0.99])
async def test_a_damaged_backup_is_refused(tmp_path: Path, file: Path, position: float) -> None:
    await taken(str(tmp_path / "a.db"), file)
    content = bytearray(file.read_bytes())
    place = int(position * len(content))
    for offset in range(place, min(place + 400, len(content))):
        content[offset] ^= 0x15
    file.write_bytes(content)
    with pytest.raises(StoreError):
        backup.look(file)


def test_one_letter_that_changed_is_found(tmp_path: Path, file: Path) -> None:
    asyncio.run(taken(str(tmp_path / "a.db"), file))
    content = file.read_bytes()
    assert content.count(b"asked Ben Ott") >= 1
    file.write_bytes(content.replace(b"asked Ben Ott", b"asked Ben Utt", 1))
    with pytest.raises(StoreError, match="is damaged"):
        backup.look(file)


async def test_a_backup_that_was_cut_is_refused(tmp_path: Path, file: Path) -> None:
    await taken(str(tmp_path / "a.db"), file)
    os.truncate(file, file.stat().st_size * 2 // 3)
    with pytest.raises(StoreError, match=r"damaged|no backup"):
        backup.look(file)


async def test_what_is_no_backup_is_refused_and_left_alone(tmp_path: Path) -> None:
    await (await full(str(tmp_path / "a.db"))).close()
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()
    (tmp_path / "text").write_text("hello")
    for name in ("a.db", "other.db", "text", "missing"):
        with pytest.raises(StoreError, match=r"no backup|damaged"):
            backup.look(tmp_path / name)
    assert not (tmp_path / "missing").exists()


async def test_a_backup_of_a_newer_version_is_refused(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = database.migrations()
    newer = [*known, ["ALTER TABLE owner ADD COLUMN colour text NOT NULL DEFAULT ''"]]
    with monkeypatch.context() as patch:
        patch.setattr(database, "migrations", lambda: newer)
        await taken(str(tmp_path / "a.db"), file)
    with pytest.raises(StoreError, match="taken by a newer Hanse") as caught:
        backup.look(file)
    assert "install that version" in caught.value.advice


async def test_a_backup_of_an_older_version_is_brought_up_to_date(
    new_home: Callable[[], str], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await taken(new_home(), file)
    content = file.read_bytes()
    known = database.migrations()
    newer = [*known, ["ALTER TABLE head ADD COLUMN colour text NOT NULL DEFAULT 'red'"]]
    monkeypatch.setattr(database, "migrations", lambda: newer)
    store = open_store(new_home())
    backup.look(file)
    await backup.restore(store, file, BY, NOW)
    assert await store.engine.read(lambda sql: sql.run("SELECT colour FROM head")) == [("red",)]
    assert await store.count("fra") == MANY + 1
    await store.close()
    assert file.read_bytes() == content


async def test_a_journal_that_is_not_whole_is_told_when_it_is_backed_up(tmp_path: Path, file: Path) -> None:
    store = await full(str(tmp_path / "a.db"))
    await store.engine.write(lambda sql: sql.run("DELETE FROM journal WHERE sequence = 17"))
    found = await backup.back_up(store, file, NOW)
    assert [(finding.kind, finding.first) for finding in found.findings if finding.kind == "removed"] == [
        ("removed", 17)
    ]
    await store.close()


FULL = """
import asyncio, resource, sys
from pathlib import Path
from hanse.ports.store import StoreError
from hanse.store import backup, open_store
from store_conformance import NOW

store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    asyncio.run(backup.back_up(store, Path(sys.argv[2]), NOW, replace=True))
except StoreError as error:
    print(f"{error}; {error.advice}", flush=True)
"""


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
async def test_a_full_disk_leaves_no_half_of_a_backup(
    new_home: Callable[[], str], file: Path, share: float
) -> None:
    home = new_home()
    await taken(home, file)
    content = file.read_bytes()
    said = said_by(FULL, home, str(file), str(int(share * len(content))))
    assert f"the backup {file} cannot be written" in said
    assert "where there is room" in said
    assert file.read_bytes() == content
    assert sorted(file.parent.glob("*.part")) == []


RESTORE_FULL = """
import asyncio, resource, sys
from pathlib import Path
from hanse.model import Personal
from hanse.ports.store import StoreError
from hanse.store import backup, open_store
from store_conformance import NOW

store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    asyncio.run(backup.restore(store, Path(sys.argv[2]), Personal("me"), NOW, replace=True))
except StoreError as error:
    print(f"{error}; {error.advice}", flush=True)
"""


async def test_a_full_disk_leaves_the_store_that_was_to_be_restored_as_it_was(
    tmp_path: Path, file: Path
) -> None:
    await taken(str(tmp_path / "a.db"), file)
    home = str(tmp_path / "b.db")
    store = open_store(home)
    await store.append([started(7)], NOW)
    before = await all_of(store.journal())
    await store.close()
    said = said_by(RESTORE_FULL, home, str(file), str(file.stat().st_size // 2))
    assert f"the store {home}" in said or "no space is left" in said
    store = open_store(home)
    assert await all_of(store.journal()) == before
    await store.close()
