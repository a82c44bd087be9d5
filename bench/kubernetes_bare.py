"""The yardsticks without logic: the same calls to an API server, as many at once, by aiohttp and nothing else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from hanse.demo.kubernetes import ApiServer
from hanse.ports.transport import Call

RBAC = "/apis/rbac.authorization.k8s.io/v1"
OURS = (("labelSelector", "app.kubernetes.io/managed-by=hanse"),)
LISTS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("/api/v1/namespaces", ()),
    (f"{RBAC}/rolebindings", ()),
    (f"{RBAC}/clusterrolebindings", ()),
    ("/api/v1/resourcequotas", OURS),
    ("/api/v1/limitranges", OURS),
    ("/apis/networking.k8s.io/v1/networkpolicies", OURS),
)
"""What a sweep reads."""
ROWS = 500


class Bare:
    """A session as administrator."""

    def __init__(self, server: ApiServer) -> None:
        """To an API server."""
        self._base = server.url
        context = ssl.create_default_context(cafile=str(server.ca_file))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            headers={"Authorization": f"Bearer {server.token}"},
            timeout=aiohttp.ClientTimeout(total=600),
        )
        self.calls = 0

    async def __aenter__(self) -> Bare:
        """Itself."""
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Let go."""
        await self._session.close()

    async def send(self, call: Call) -> Any:
        """The decoded reply; anything but a success is an error."""
        status, reply = await self.ask(call)
        assert status < 300, (status, call.method, call.path)
        return reply

    async def ask(self, call: Call) -> tuple[int, Any]:
        """Status and decoded reply."""
        self.calls += 1
        data = None if call.body is None else msgspec.json.encode(call.body)
        headers = {"Content-Type": call.content_type} if data else {}
        query = f"?{urlencode(call.query)}" if call.query else ""
        url = URL(f"{self._base}{call.path}{query}", encoded=True)
        async with self._session.request(call.method, url, data=data, headers=headers) as response:
            text = await response.read()
            return response.status, msgspec.json.decode(text)

    async def rows(self, path: str, query: Iterable[tuple[str, str]]) -> int:
        """Read a whole list, page by page; how many rows it has."""
        following, rows = "", 0
        while True:
            turn = (*query, ("limit", str(ROWS)), *((("continue", following),) if following else ()))
            page = await self.send(Call("GET", path, turn))
            rows += len(page["items"] or ())
            following = page["metadata"].get("continue", "")
            if not following:
                return rows

    async def write_all(self, owners: Sequence[Sequence[Call]], concurrency: int) -> None:
        """So many owners at a time, each one call after the other."""
        waiting = iter(owners)

        async def work() -> None:
            for calls in waiting:
                for call in calls:
                    await self.send(call)

        await asyncio.gather(*(work() for _ in range(concurrency)))


async def read_all(server: ApiServer, *, at_once: bool) -> int:
    """Read every list that a sweep reads, all at once or one after the other; how many calls that took."""
    async with Bare(server) as bare:
        if at_once:
            await asyncio.gather(*(bare.rows(*each) for each in LISTS))
        else:
            for each in LISTS:
                await bare.rows(*each)
        return bare.calls
