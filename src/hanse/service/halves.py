"""One job in as many parts as there are processors, each in a process of its own; and one job beside another.

A part begins with all that this process has in memory and gives back only its answer, so it suits a job that reads
much and says little. Processes are split only off one that has no other thread, and a part that fails for whatever
reason is done here instead: nothing but time depends on them.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_END = b"end"
MOST = 4
"""Parts at most: each takes memory of its own for what it touches."""


def share(things: Sequence[T], part: int, parts: int) -> Sequence[T]:
    """One part's share: things side by side, for what lies beside them in memory is copied too once it is touched."""
    return things[len(things) * part // parts : len(things) * (part + 1) // parts]


def in_parts(job: Callable[[int, int], T], size: int, least: int) -> list[T]:
    """The answers of `job(part, parts)` for every part. A job of a size below `least` is not worth to be split."""
    parts = min(len(os.sched_getaffinity(0)), MOST) if size >= least and _may_split() else 1
    if parts == 1:
        return [job(0, 1)]
    gc.freeze()  # or the first look for garbage would copy every page
    others: list[_Other] = []
    try:
        for part in range(1, parts):
            others.append(_begin(job, part, parts))
        answers = [job(0, parts)]
        for part, other in enumerate(others, 1):
            written = _written(other)
            answers.append(pickle.loads(written) if written else job(part, parts))  # noqa: S301 (of our own process)
        return answers
    finally:
        for other in others:
            with suppress(ProcessLookupError):
                os.kill(other.process, signal.SIGKILL)
            os.close(other.output)
            os.waitpid(other.process, 0)
        gc.unfreeze()


@contextmanager
def beside(job: Callable[[], object], size: int, least: int) -> Iterator[None]:
    """Do a job in a process of its own meanwhile; it is done at the end of the block, if it can be done at all.

    A job of a size below `least` is done here, first.
    """
    if size < least or not _may_split():
        job()
        yield
        return
    process = os.fork()
    if not process:
        with suppress(BaseException):
            job()
        os._exit(0)
    try:
        yield
    except BaseException:
        os.kill(process, signal.SIGKILL)
        raise
    finally:
        os.waitpid(process, 0)


def _may_split() -> bool:
    return threading.active_count() == 1


class _Other(NamedTuple):
    """A process with one part of the job, and where its answer comes out."""

    process: int
    output: int


def _begin(job: Callable[[int, int], T], part: int, parts: int) -> _Other:
    output, into = os.pipe()
    process = os.fork()
    if process:
        os.close(into)
        return _Other(process, output)
    with suppress(BaseException), os.fdopen(into, "wb") as pipe:
        pipe.write(pickle.dumps(job(part, parts), pickle.HIGHEST_PROTOCOL) + _END)
    os._exit(0)  # nothing of the parent's is to be tidied up here


def _written(other: _Other) -> bytes:
    """The answer it wrote; nothing where it did not come to its end."""
    with os.fdopen(os.dup(other.output), "rb") as pipe:
        written = pipe.read()
    return written.removesuffix(_END) if written.endswith(_END) else b""
