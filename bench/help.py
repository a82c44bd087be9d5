"""How long a person waits for `hanse --help`."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.report import Row, seconds

LIMIT = 0.4
TIMES = 5


def run(*, quick: bool) -> list[Row]:
    """Five processes, one after the other, after one that is not counted."""
    before = _processors()
    command = [str(Path(sys.executable).with_name("hanse")), "--help"]
    bare = [sys.executable, "-c", "pass"]
    taken, each = _seconds(command), (_processors() - before) / (TIMES + 1)
    python = _seconds(bare)
    return [
        Row(
            "hanse --help", seconds(taken), f"{seconds(python)} (Python alone)", median(taken), LIMIT,
            note=f"{each:.2f} s of a processor",
        )
    ]  # fmt: skip


def _processors() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds(command: list[str]) -> list[float]:
    times = []
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return times[1:]
