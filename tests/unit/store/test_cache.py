"""The cache of `hanse validate`: what is lost with it is time, and nothing else."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from hanse.ports.store import Noted, StoreError
from hanse.store.cache import REPOSITORIES, SPARE_ROWS, Cache

ROWS = {"b1": b"\x00one", "b2": b"two"}


def kept(cache: Cache, *blobs: str) -> dict[str, bytes]:
    return asyncio.run(cache.parsed(blobs))


def keep(cache: Cache, rows: dict[str, bytes]) -> None:
    asyncio.run(cache.keep_parsed(rows))


def test_rows_are_found_again_and_those_of_another_repository_are_not(tmp_path: Path) -> None:
    keep(Cache.open(tmp_path, "/a"), ROWS)
    assert kept(Cache.open(tmp_path, "/a"), "b1", "b3") == {"b1": b"\x00one"}
    assert kept(Cache.open(tmp_path, "/b"), "b1") == {}


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    keep(Cache.open(tmp_path / "cache", "/a"), ROWS)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "cache").iterdir()} == {0o600}


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 1000, b"\0" * 5000])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    with closing(Cache.open(tmp_path, "/a")) as before:
        keep(before, ROWS)
    (file,) = tmp_path.glob("*.db")
    file.write_bytes(damage)
    cache = Cache.open(tmp_path, "/a")
    assert kept(cache, "b1") == {}
    keep(cache, ROWS)
    assert kept(cache, "b1", "b2") == ROWS


def test_a_page_that_is_damaged_later_harms_nobody(tmp_path: Path) -> None:
    rows = {f"{number:040x}": b"x" * 500 for number in range(2000)}
    with closing(Cache.open(tmp_path, "/a")) as before:
        keep(before, rows)
    (file,) = tmp_path.glob("*.db")
    content = bytearray(file.read_bytes())
    content[8192:300_000] = b"\xff" * (300_000 - 8192)
    file.write_bytes(content)
    cache = Cache.open(tmp_path, "/a")
    assert kept(cache, *rows).items() <= rows.items()
    keep(cache, ROWS)
    cache = Cache.open(tmp_path, "/a")
    keep(cache, ROWS)
    assert kept(cache, "b1", "b2") == ROWS


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache.open(tmp_path / "file" / "below", "/a")
    keep(cache, ROWS)
    assert kept(cache, "b1") == {}
    with pytest.raises(StoreError), cache.transaction():
        cache.commit("mark")


def test_a_full_disk_is_done_without(tmp_path: Path) -> None:
    script = (
        "import asyncio, resource, signal, sys\nfrom pathlib import Path\nfrom hanse.store.cache import Cache\n"
        "cache = Cache.open(Path(sys.argv[1]), '/a')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "asyncio.run(cache.keep_parsed({str(n): b'x' * 1000 for n in range(2000)}))\n"
        "print(len(asyncio.run(cache.parsed(['1']))))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (answer.stdout, answer.returncode) == ("0\n", 0), answer.stderr
    cache = Cache.open(tmp_path, "/a")
    keep(cache, ROWS)
    assert kept(cache, "b1", "b2") == ROWS


def test_several_processes_may_use_it_at_once(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom hanse.store.cache import Cache\n"
        "for n in range(30):\n"
        "    cache = Cache.open(Path(sys.argv[1]), '/a')\n"
        "    asyncio.run(cache.keep_parsed({f'{sys.argv[2]}-{n}': b'x'}))\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(number)]) for number in range(3)
    ]
    assert [process.wait() for process in started] == [0, 0, 0]
    wanted = [f"{process}-{number}" for process in range(3) for number in range(30)]
    assert set(kept(Cache.open(tmp_path, "/a"), *wanted)) == set(wanted)


def test_it_does_not_grow_without_end(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path, "/a")
    for turn in range(3):
        rows = {f"{turn}-{number}": b"x" for number in range(SPARE_ROWS // 2 + 1)}
        kept(cache, "0-0")
        keep(cache, rows)
    assert kept(cache, "0-0", "0-1", "2-1") == {"0-0": b"x", "2-1": b"x"}
    for number in range(REPOSITORIES + 5):
        keep(Cache.open(tmp_path, f"/{number}"), ROWS)
    assert len(list(tmp_path.glob("*.db"))) == REPOSITORIES
    assert kept(Cache.open(tmp_path, f"/{REPOSITORIES + 4}"), "b1")


def test_an_index_that_fails_midway_is_the_one_that_was(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path, "/a")
    with cache.transaction():
        cache.fill("c1", "mark", [Noted("a.yaml", "b1", True, {"User u-1": (), "Group g": ("User u-1",)})])
        assert cache.commit("mark") == ""  # what things are called is missing yet
        with pytest.raises(StoreError):
            cache.fill_natives("c2", {})
        cache.fill_natives("c1", {"Project w/p": ["name"]})
    with suppress(ZeroDivisionError), cache.transaction():
        cache.move("c2", ["a.yaml"], [])
        assert cache.mentioning(["User u-1"]) == set()
        raise ZeroDivisionError
    with cache.transaction():
        assert cache.commit("mark") == "c1"
        assert cache.commit("another") == ""
        assert cache.mentioning(["User u-1"]) == {"Group g"}
        assert cache.declaring(["Group g"]) == {"a.yaml": "b1"}
        assert cache.declared("User") == ["u-1"]
