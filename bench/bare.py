"""The yardsticks without logic: the same calls to Keystone at the same concurrency, by aiohttp and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from bench.organisation import CONCURRENCY
from hanse.demo.keystone import Keystone

Row = dict[str, Any]


class Bare:
    """A session with a token."""

    def __init__(self, running: Keystone) -> None:
        """To a Keystone, as its administrator."""
        self._running = running
        self._base = running.url.removesuffix("/v3")
        self._session: aiohttp.ClientSession
        self.calls = 0

    async def __aenter__(self) -> Bare:
        """Sign in."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY))
        admin = self._running.admin
        domain = {"id": admin.domain}
        user = {"name": admin.username, "domain": domain, "password": admin.password}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": admin.project, "domain": domain}},
            }
        }
        async with self._session.post(f"{self._base}/v3/auth/tokens", json=body) as response:
            token = response.headers["X-Subject-Token"]
        self._session.headers.update({"X-Auth-Token": token, "X-Subject-Token": token})
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Let go."""
        await self._session.close()

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded reply; anything but a success is an error."""
        self.calls += 1
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if data else {}
        timeout = aiohttp.ClientTimeout(total=600)
        async with self._session.request(
            method, f"{self._base}{path}", data=data, headers=headers, timeout=timeout
        ) as response:
            text = await response.read()
            assert response.status < 300, (response.status, method, path)
        return msgspec.json.decode(text) if text else None

    async def rows(self, collection: str) -> list[Row]:
        """A whole list, page by page."""
        path, rows = f"/v3/{collection}?limit=1000", list[Row]()
        while path:
            page = await self.send("GET", path)
            rows += page[collection]
            following = page["links"].get("next")
            path = f"/v3/{collection}?{urlsplit(following).query}" if following else ""
        return rows


async def read_all(running: Keystone) -> int:
    """Read every fact that a sweep reads, in the same way; how many calls that took."""
    async with Bare(running) as bare:
        await bare.send("GET", "/v3")
        users, *_ = await asyncio.gather(
            bare.rows("users"),
            bare.rows("domains"),
            bare.rows("projects"),
            bare.rows("groups"),
            bare.send("GET", "/v3/roles"),
            bare.send("GET", "/v3/role_assignments"),
            bare.send("GET", "/v3/role_inferences"),
            bare.send("GET", "/v3/auth/tokens?nocatalog"),
        )
        await asyncio.gather(*(bare.send("GET", f"/v3/users/{row['id']}/groups") for row in users))
        return bare.calls + 1


async def make_all(running: Keystone, wanted: Sequence[Row]) -> int:
    """Make projects, groups, roles and members; how many calls that took.

    So many projects at a time as Hanse has calls under way, each one step by step.
    Ids of roles and people are known before, and nothing is looked at.
    """
    async with Bare(running) as bare:
        roles = {row["name"]: row["id"] for row in (await bare.send("GET", "/v3/roles"))["roles"]}
        users = {row["name"]: row["id"] for row in await bare.rows("users")}
        before = bare.calls
        waiting = iter(wanted)

        async def work() -> None:
            for project in waiting:
                made = await bare.send("POST", "/v3/projects", {"project": project["project"]})
                for group in project["groups"]:
                    one = await bare.send("POST", "/v3/groups", {"group": group["group"]})
                    base = f"/v3/projects/{made['project']['id']}/groups/{one['group']['id']}"
                    await bare.send("PUT", f"{base}/roles/{roles[group['role']]}")
                    for member in group["members"]:
                        await bare.send("PUT", f"/v3/groups/{one['group']['id']}/users/{users[member]}")

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        return bare.calls - before
