"""A server in a process of its own, known by its pid file: it holds a lock on that file for as long as it lives.

So a process that came by the same id later is never taken for it, and a server that died without a word is known
to be dead. Needs a POSIX system (fcntl).
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def alive(pid_file: Path) -> bool:
    """Whether a server holds this file."""
    try:
        with pid_file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def pid_in(pid_file: Path) -> int | None:
    """The process id in the file, which means something only while a server holds it."""
    try:
        return int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def end(pid_file: Path, grace: float) -> None:
    """End whatever server holds this file, by force after `grace` seconds."""
    for how, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        pid = pid_in(pid_file)
        if pid is None or not alive(pid_file):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        wait(lambda: not alive(pid_file), seconds)


def reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a child that is ending, or that has not come to its lock yet: it ends with its stdin."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true within these seconds."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met


def tail(text: str, lines: int = 20) -> str:
    """The last lines of a log."""
    return "\n".join(text.splitlines()[-lines:])
