"""Several workers with one store, each a process: what one leaves, another finishes, and nothing is done twice."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from bench.simulated import simulated

from postgresql_server import PostgresqlServer
from workers.site import WRITES_PER_PROJECT, Site

MANY = 40
TAKEN_OVER_SECONDS = 10.0


@pytest.fixture
def site(tmp_path: Path, postgresql: PostgresqlServer) -> Iterator[Site]:
    """An organisation without projects, and nobody who keeps it in force yet."""
    with simulated(2) as clouds:
        made = Site(tmp_path, postgresql, clouds)
        made.begin()
        try:
            yield made
        finally:
            made.end()
        assert made.run("journal", "verify").returncode == 0


def test_what_a_killed_and_a_stopped_worker_left_is_finished_and_nothing_is_done_twice(site: Site) -> None:
    killed, stopped, _ = (site.start() for _ in range(3))
    site.projects(0, MANY)
    site.until(lambda: site.writes >= 10)
    killed.signal(signal.SIGKILL)
    stopped.signal(signal.SIGSTOP)
    site.until(lambda: site.held() == MANY)
    assert site.writes == MANY * WRITES_PER_PROJECT
    stopped.signal(signal.SIGCONT)
    site.projects(MANY, 2)
    site.until(lambda: site.held() == MANY + 2)
    time.sleep(3)
    assert site.writes == (MANY + 2) * WRITES_PER_PROJECT
    assert site.refused <= 4, "they share the rate"


def test_a_dead_workers_claims_are_taken_over_within_ten_seconds(site: Site) -> None:
    dead = site.start()
    site.projects(0, MANY)
    site.until(lambda: site.writes >= 5)
    its = "SELECT count(*) FROM work WHERE holder = '{}'"
    [(holder, _)] = site.server.do(
        "SELECT holder, count(*) FROM work WHERE holder <> '' GROUP BY holder", address=site.store
    )
    site.start()
    dead.signal(signal.SIGKILL)
    assert site.server.do(its.format(holder), address=site.store) != [(0,)]
    took = site.until(lambda: site.server.do(its.format(holder), address=site.store) == [(0,)])
    assert took < TAKEN_OVER_SECONDS
    site.until(lambda: site.held() == MANY)
    assert site.writes == MANY * WRITES_PER_PROJECT


def test_one_sees_to_git_and_another_takes_over_where_it_is_gone(site: Site) -> None:
    first, second = site.start(), site.start()
    site.until(lambda: bool(first.said("leads") or second.said("leads")))
    site.projects(0, 1)
    site.until(lambda: site.held() == 1)
    assert len(first.said("judged")) * len(second.said("judged")) == 0, "one of them judges"
    leader, other = (first, second) if first.said("leads") else (second, first)
    leader.signal(signal.SIGKILL)
    site.projects(1, 1)
    took = site.until(lambda: bool(other.said("leads")))
    assert took < TAKEN_OVER_SECONDS + 2
    site.until(lambda: site.held() == 2)


def test_owners_are_shared_out_among_those_who_are_there(site: Site) -> None:
    first, second = site.start(), site.start()
    site.projects(0, MANY)
    site.until(lambda: site.held() == MANY)
    assert first.said("stepped")
    assert second.said("stepped")
    assert site.writes == MANY * WRITES_PER_PROJECT


def test_clocks_that_differ_by_half_a_minute_make_no_difference(site: Site) -> None:
    site.start(clock_seconds=30.0)
    site.start(clock_seconds=-30.0)
    site.projects(0, MANY)
    site.until(lambda: site.held() == MANY)
    site.projects(0, 4, "test")
    site.until(lambda: site.writes == MANY * WRITES_PER_PROJECT + 4)
    time.sleep(3)
    assert site.held() == MANY
    assert site.writes == MANY * WRITES_PER_PROJECT + 4


def test_a_restart_of_postgresql_in_the_middle_loses_nothing_and_does_nothing_twice(site: Site) -> None:
    site.start()
    site.start()
    site.projects(0, MANY)
    site.until(lambda: site.writes >= 10)
    site.server.restart()
    site.until(lambda: site.held() == MANY)
    assert site.writes == MANY * WRITES_PER_PROJECT


def test_who_is_cut_off_from_the_store_leaves_its_owners_to_the_others(site: Site) -> None:
    with wire(site) as (address, cut):
        alone = site.start(database=address)
        other = site.start()
        site.projects(0, MANY)
        site.until(lambda: bool(alone.said("stepped")))
        cut.set()
        site.until(lambda: site.held() == MANY)
        assert other.said("stepped")
        assert site.writes == MANY * WRITES_PER_PROJECT
        cut.clear()
        site.projects(0, 6, "test")
        site.until(lambda: site.writes == MANY * WRITES_PER_PROJECT + 6)
        site.until(lambda: site.held() == MANY)


def test_an_old_worker_goes_on_beside_a_newer_store(site: Site) -> None:
    site.start()
    version = int(site.server.do("SELECT value FROM meta WHERE name = 'schema'", address=site.store)[0][0])
    site.server.do(
        "ALTER TABLE work ADD COLUMN of_a_newer_hanse bigint NOT NULL DEFAULT 0",
        "CREATE TABLE newer (name text PRIMARY KEY)",
        f"UPDATE meta SET value = '{version + 1}' WHERE name = 'schema'",  # noqa: S608 (a number)
        address=site.store,
    )
    site.projects(0, 4)
    site.until(lambda: site.held() == 4)
    refused = site.run("worker")
    assert refused.returncode == 1
    assert "was written by a newer Hanse" in refused.stderr
    site.server.do(
        "ALTER TABLE work DROP COLUMN of_a_newer_hanse",
        f"UPDATE meta SET value = '{version}' WHERE name = 'schema'",  # noqa: S608
        "DROP TABLE newer",
        address=site.store,
    )


def test_workers_on_a_file_are_told_where_to_go(site: Site) -> None:
    refused = site.run("worker", database=str(site.folder / "hanse.db"))
    assert refused.returncode == 1
    assert "workers share one store" in refused.stderr
    assert "hanse database copy" in refused.stderr


@contextmanager
def wire(site: Site) -> Iterator[tuple[str, threading.Event]]:
    """Another way to PostgreSQL, and what cuts it: while it is set nothing comes through, and nobody says so."""
    folder = site.folder / "wire"
    folder.mkdir()
    ends, cut = threading.Event(), threading.Event()

    def carry(there: socket.socket, back: socket.socket) -> None:
        with suppress(OSError), there, back:
            while data := there.recv(65536):
                while cut.is_set() and not ends.is_set():
                    time.sleep(0.02)
                back.sendall(data)

    def accept(listening: socket.socket) -> None:
        while not ends.is_set():
            with suppress(OSError):
                here, _ = listening.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(str(site.server.folder / ".s.PGSQL.5432"))
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / ".s.PGSQL.5432"))
        listening.listen()
        thread = threading.Thread(target=accept, args=(listening,), daemon=True)
        thread.start()
        try:
            yield site.store.replace(str(site.server.folder), str(folder)), cut
        finally:
            ends.set()
            listening.shutdown(socket.SHUT_RDWR)
