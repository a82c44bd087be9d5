"""How long a person waits for `hanse --help`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.report import Row, seconds

LIMIT = 0.4


def run(*, quick: bool) -> list[Row]:
    """Five processes, one after the other, after one that is not counted."""
    command = [str(Path(sys.executable).with_name("hanse")), "--help"]
    bare = [sys.executable, "-c", "pass"]
    taken, python = _seconds(command), _seconds(bare)
    return [Row("hanse --help", seconds(taken), f"{seconds(python)} (Python alone)", median(taken), LIMIT)]


def _seconds(command: list[str]) -> list[float]:
    times = []
    for _ in range(6):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return times[1:]
