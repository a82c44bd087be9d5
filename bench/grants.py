"""How many grants a second become commits of a bare repository, each checked with the whole manifest."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.organisation import AUTHOR, Organisation
from bench.report import Row
from hanse import git, main
from hanse.service.grant import grant_request
from hanse.service.write import Committed, Writing

LIMIT = 50
PROCESSES = 4


def run(*, quick: bool) -> list[Row]:
    """One writer that many ask at once; one that is asked again and again; several processes."""
    projects, grants = (20, 800) if quick else (200, 1_000)
    rows = []
    for what, single in (("200 projects", False), ("200 projects, a document a file", True)):
        with tempfile.TemporaryDirectory() as folder:
            bare = _bare(Path(folder), projects, single=single)
            taken, made = _timed(bare, grants)
            alone, _ = _timed(bare, 10, together=False)
            note = f"{grants:,} asked for at once; {10 / alone:.1f} a second one after the other"
            rows.append(
                _row(f"grants to a bare repository, {what.replace('200', str(projects))}", made, taken, note)
            )
            assert _count(bare) == 1 + grants + 10, "each is a commit"
    with tempfile.TemporaryDirectory() as folder:
        bare = _bare(Path(folder), projects, single=True)
        each = grants // PROCESSES
        began = time.perf_counter()
        command = [sys.executable, "-m", "bench.grants", str(bare), str(each)]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
        answers = [json.loads(process.communicate()[0]) for process in processes]
        whole = time.perf_counter() - began
        taken = max(end for _, end in answers) - min(begin for begin, _ in answers)
        assert _count(bare) == 1 + PROCESSES * each, "nothing is lost"
        note = f"{PROCESSES} processes at once, each {each} at once; {whole:.1f} s with their starts"
        rows.append(_row("the same from several processes", PROCESSES * each, taken, note))
    return rows


def _row(what: str, made: int, taken: float, note: str) -> Row:
    return Row(what, f"{made / taken:.0f} grants/s", "", made / taken, LIMIT, at_least=True, note=note)


def _bare(folder: Path, projects: int, *, single: bool) -> Path:
    files = Organisation(folder, projects).files()
    if single:
        files = {
            f"{path.removesuffix('.yaml')}-{number}.yaml": document
            for path, content in files.items()
            for number, document in enumerate(content.split(b"---\n"))
        }
    git.init(folder / "tree", files, "the whole organisation", AUTHOR)
    subprocess.run(["git", "clone", "-q", "--bare", folder / "tree", folder / "bare.git"], check=True)
    return folder / "bare.git"


def _count(bare: Path) -> int:
    command = ["git", "-C", str(bare), "rev-list", "--count", "main"]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def _timed(bare: Path, grants: int, *, together: bool = True) -> tuple[float, int]:
    began = time.perf_counter()
    asyncio.run(_grant(bare, grants, together=together))
    return time.perf_counter() - began, grants


async def _grant(bare: Path, grants: int, *, together: bool = True) -> None:
    writing = main.open_writing(str(bare))
    if together:
        await asyncio.gather(*(_one(writing, number) for number in range(grants)))
    else:
        for number in range(grants):
            await _one(writing, number)


async def _one(writing: Writing, number: int) -> None:
    asked = grant_request(writing, f"w0/p{number % 20}", "user", f"u-{number % 9}", "user", reason="bench")
    (result,) = await writing.write([asked])
    assert isinstance(result, Committed), result


if __name__ == "__main__":
    start = time.monotonic()
    asyncio.run(_grant(Path(sys.argv[1]), int(sys.argv[2])))
    print(json.dumps([start, time.monotonic()]))
