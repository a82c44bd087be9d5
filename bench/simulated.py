"""Simulated clouds for many processes at once: `python -m bench.simulated 20` is a process that answers for 20 of them.

Each is the cloud in memory behind HTTP, below a path of its own: `http://127.0.0.1:PORT/c7/spaces`. A call takes 50 ms.
Beyond 20 writes a second, with a second's worth at once after a rest, a cloud answers 429 and when to come again.
As most clouds, they tell nobody what changes.

Besides them, `/stats` tells what each was asked for, and `/reset` has it count anew. The HTTP is as little as
aiohttp's client needs, for this process must not be the bound of what is measured with it.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
import urllib.request
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from hanse.platforms.memory.cloud import Cloud, Row
from hanse.ports.transport import Call, Reply

LATENCY_SECONDS = 0.05
WRITES_PER_SECOND = 20.0
PEOPLE = 100
ROLES = ("admin", "member", "reader")
_INDEXED = ("id", "name", "mark", "group", "target", "folder")


class LargeCloud(Cloud):
    """The cloud in memory, which finds rows without looking at all of them."""

    def __init__(self) -> None:
        self._ordered: defaultdict[str, list[Row]] = defaultdict(list)
        self._index: defaultdict[tuple[str, str, Any], list[Row]] = defaultdict(list)
        super().__init__(page_size=1_000)

    def _insert(self, collection: str, row_id: str, row: Row) -> Row:
        made = super()._insert(collection, row_id, row)
        self._ordered[collection].append(made)
        self._note(collection, made)
        return made

    def _note(self, collection: str, row: Row) -> None:
        for name in _INDEXED:
            if name in row:
                self._index[collection, name, row[name]].append(row)
        self._index[collection, "mark_prefix", _project(row.get("mark", ""))].append(row)

    def _change(self, collection: str, row_id: str, body: Row) -> Row:
        row = super()._change(collection, row_id, body)
        if not body.keys().isdisjoint(_INDEXED):
            self._again()
        return row

    def _delete(self, collection: str, row_id: str) -> None:
        super()._delete(collection, row_id)
        self._again()

    def _again(self) -> None:
        self._ordered.clear()
        self._index.clear()
        for collection, rows in self.rows.items():
            for row in rows.values():
                self._ordered[collection].append(row)
                self._note(collection, row)

    def _check(self, collection: str, row: Row, body: Row) -> None:
        same = self._index[collection, "name", row["name"]]
        everything, self.rows[collection] = self.rows[collection], {one["id"]: one for one in same}
        try:
            super()._check(collection, row, body)
        finally:
            self.rows[collection] = everything

    def _page(self, collection: str, query: dict[str, str]) -> Row:
        wanted = {name: value for name, value in query.items() if name not in ("limit", "after")}
        after = int(query.get("after", 0))
        known = self._ordered[collection]
        for name in ("mark_prefix", *_INDEXED):
            if name in wanted:
                value = _project(wanted[name]) if name == "mark_prefix" else wanted[name]
                known = self._index[collection, name, value]
                break
        first = bisect_right(known, after, key=lambda row: row["number"])
        limit = min(int(query.get("limit", self.page_size)), self.page_size)
        some = known[first:] if wanted else known[first : first + limit + 1]
        everything, self.rows[collection] = self.rows[collection], {row["id"]: row for row in some}
        try:
            return super()._page(collection, query)
        finally:
            self.rows[collection] = everything


def _project(mark: str) -> str:
    """Of a mark what the marks of one project, or of one workspace, have in common."""
    return "/".join(mark.split("/")[:3])


@dataclass
class Counts:
    """What one cloud was asked for."""

    writes: int = 0
    reads: int = 0
    refused: int = 0
    """Answered with 429."""
    first: float = 0.0
    """When the first write came, by the clock of the wall."""
    last: float = 0.0


@dataclass
class Limited:
    """One cloud with its limit."""

    cloud: LargeCloud = field(default_factory=LargeCloud)
    counts: Counts = field(default_factory=Counts)
    _left: float = WRITES_PER_SECOND
    _at: float = 0.0

    def __post_init__(self) -> None:
        for number in range(PEOPLE):
            self.cloud.add_user(f"person{number}")
        for role in ROLES:
            self.cloud.add_role(role)

    def answer(self, call: Call) -> Reply:
        """What it does and says; of writes only so many."""
        if call.method == "GET":
            self.counts.reads += 1
            return self.cloud.answer(call)
        now = time.monotonic()
        self._left = min(WRITES_PER_SECOND, self._left + (now - self._at) * WRITES_PER_SECOND)
        self._at = now
        if self._left < 1.0:
            self.counts.refused += 1
            seconds = max(1, math.ceil((1.0 - self._left) / WRITES_PER_SECOND))
            return Reply(429, {"retry-after": str(seconds)}, b"{}")
        self._left -= 1.0
        self.counts.writes += 1
        self.counts.last = time.time()
        self.counts.first = self.counts.first or self.counts.last
        return self.cloud.answer(call)


class _Connection(asyncio.Protocol):
    def __init__(self, clouds: list[Limited]) -> None:
        self._clouds = clouds
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].decode("latin-1")
            line, *headers = head.split("\r\n")
            length = next((int(h[15:]) for h in headers if h[:15].lower() == "content-length:"), 0)
            if len(self._data) < end + 4 + length:
                return
            body = self._data[end + 4 : end + 4 + length]
            self._data = self._data[end + 4 + length :]
            method, target, _ = line.split(" ")
            self._answer(method, target, body)

    def _answer(self, method: str, target: str, body: bytes) -> None:
        path, _, query = target.partition("?")
        name, slash, rest = path[1:].partition("/")
        if not slash:
            self._send(Reply(200, {}, self._of_all(name)))
            return
        call = Call(
            method, f"/{unquote(rest)}", tuple(parse_qsl(query)), msgspec.json.decode(body) if body else None
        )
        reply = self._clouds[int(name[1:])].answer(call)
        asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._send, reply)

    def _of_all(self, name: str) -> bytes:
        if name == "reset":
            for limited in self._clouds:
                limited.counts = Counts()
        counts = [asdict(limited.counts) for limited in self._clouds]
        return json.dumps({"clouds": counts, "processor": time.process_time()}).encode()

    def _send(self, reply: Reply) -> None:
        if self._transport.is_closing():
            return
        more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        head = f"HTTP/1.1 {reply.status} -\r\n{more}content-length: {len(reply.body)}\r\n\r\n"
        no_content = reply.status == 204
        self._transport.write(head.encode() + (b"" if no_content else reply.body))


async def _serve(number: int) -> None:
    clouds = [Limited() for _ in range(number)]
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(clouds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # it ends with whoever started it


@dataclass
class Running:
    """The process, seen from whoever started it."""

    address: str
    pid: int

    def counts(self, *, anew: bool = False) -> tuple[list[Counts], float]:
        """Of each cloud, and the seconds of processors that the process took so far."""
        with urllib.request.urlopen(f"{self.address}/{'reset' if anew else 'stats'}") as reply:  # noqa: S310 (our own)
            told = json.load(reply)
        return [Counts(**counts) for counts in told["clouds"]], told["processor"]


@contextmanager
def simulated(clouds: int) -> Iterator[Running]:
    """Have so many clouds in a process of their own, until the end of the block."""
    command = [sys.executable, "-m", "bench.simulated", str(clouds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        port = int(process.stdout.readline())
        yield Running(f"http://127.0.0.1:{port}", process.pid)
        process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
