"""A job in parts: whatever becomes of the other processes, the answer is the same."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from hanse.service.halves import beside, in_parts

HERE = os.getpid()


@pytest.fixture(autouse=True)
def three_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def test_each_part_is_done_in_a_process_of_its_own_and_answers_come_in_order() -> None:
    answers = in_parts(lambda part, parts: (part, parts, os.getpid()), 100, 10)
    assert [answer[:2] for answer in answers] == [(0, 3), (1, 3), (2, 3)]
    assert len({answer[2] for answer in answers}) == 3


def test_a_small_job_and_one_beside_other_threads_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_parts(lambda part, parts: (part, parts), 9, 10) == [(0, 1)]
    monkeypatch.undo()
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    assert in_parts(lambda part, parts: os.getpid(), 100, 10) == [HERE]
    stop.set()
    other.join()


@pytest.mark.parametrize("way", ["raises", "is killed", "answers what cannot be written"])
def test_a_part_that_fails_elsewhere_is_done_here(way: str) -> None:
    def job(part: int, parts: int) -> object:
        if os.getpid() != HERE and part == 1:
            if way == "raises":
                raise MemoryError
            if way == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            return lambda: None
        return part

    assert in_parts(job, 100, 10) == [0, 1, 2]


def test_what_is_raised_here_ends_the_others_too() -> None:
    def job(part: int, parts: int) -> None:
        if part == 0:
            raise KeyboardInterrupt
        signal.pause()

    with pytest.raises(KeyboardInterrupt):
        in_parts(job, 100, 10)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_job_beside_another_is_over_at_its_end(tmp_path: Path) -> None:
    with beside(lambda: (tmp_path / "by").write_text(str(os.getpid())), 100, 10):
        pass
    assert int((tmp_path / "by").read_text()) != HERE
    with beside(lambda: (tmp_path / "by").write_text(str(os.getpid())), 9, 10):
        assert int((tmp_path / "by").read_text()) == HERE


@pytest.mark.parametrize("way", ["raises", "is killed"])
def test_a_job_beside_another_fails_alone(way: str) -> None:
    def job() -> None:
        if way == "raises":
            raise MemoryError
        os.kill(os.getpid(), signal.SIGKILL)

    with beside(job, 100, 10):
        pass


def test_what_is_raised_here_ends_the_job_beside_it() -> None:
    with pytest.raises(KeyboardInterrupt), beside(signal.pause, 100, 10):
        raise KeyboardInterrupt
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
