"""The reference platform keeps the whole contract and lacks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from hanse.conformance import Item, PlatformConformance, World
from hanse.model import Tenant
from hanse.platforms.memory import VENDOR, Cloud, CloudTransport
from hanse.platforms.memory.cloud import ROOT, Row
from hanse.ports.platform import PlatformIdentity
from hanse.ports.transport import Call

USERS = tuple(f"{name}@example.org" for name in ("ann", "ben", "cat", "dan", "eve"))
ROLES = ("admin", "member", "reader", "auditor")
ORGANIZATION = "example"


class MemoryHand:
    """Uses the cloud as its other customers do."""

    def __init__(self, cloud: Cloud, direct: bool) -> None:
        self.cloud = cloud
        self.direct = direct

    async def add_user(self, name: str, *, service: bool = False) -> None:
        self.cloud.add_user(name, service)

    async def give(self, owner: Tenant, role: str, user: str) -> None:
        self.call("PUT", self.access_path(owner, role, user))

    async def take(self, owner: Tenant, role: str, user: str) -> None:
        self.call("DELETE", self.access_path(owner, role, user))

    async def grant(self, owner: Tenant, user: str) -> None:
        space, role, who = (
            self.marked(owner, "space"),
            self.named("roles", "auditor"),
            self.named("users", user),
        )
        self.call("PUT", f"/assignments/{space}/{role}/{who}")

    async def grant_above(self, user: str) -> None:
        self.call("PUT", f"/assignments/{ROOT}/{self.named('roles', 'auditor')}/{self.named('users', user)}")

    async def change(self, owner: Tenant, attribute: str, value: Any) -> None:
        change = {"tags": [f"a={value}"]} if attribute == "tag" else {attribute: value}
        self.call("PATCH", f"/spaces/{self.marked(owner, 'space')}", change)

    async def delete_group(self, owner: Tenant, role: str) -> None:
        self.call("DELETE", f"/groups/{self.marked(owner, f'group/{role}')}")

    async def delete_container(self, owner: Tenant) -> None:
        self.call("DELETE", f"/spaces/{self.marked(owner, 'space')}")

    async def make_container(self, owner: Tenant, name: str) -> str:
        folders = [
            row for row in self.cloud.rows["folders"].values() if row["name"] == f"f-{owner.workspace}"
        ]
        body = {"name": name} | ({"folder": folders[0]["id"]} if folders else {})
        return str(self.call("POST", "/spaces", body)["id"])

    async def mark(self, owner: Tenant, native_id: str, *, on: bool) -> None:
        mark = f"{ORGANIZATION}/{owner.workspace}/{owner.project}/space" if on else ""
        self.call("PATCH", f"/spaces/{native_id}", {"mark": mark})

    async def census(self) -> Sequence[Item]:
        items = []
        for kind in ("folders", "spaces", "groups", "users", "roles"):
            for row in self.cloud.rows[kind].values():
                stamp = row.get("mark", "")
                mine = stamp if stamp.startswith(f"{ORGANIZATION}/") else ""
                seen = {name: value for name, value in row.items() if name not in ("id", "number", "folder")}
                items.append(Item(row["id"], kind, mine, str(sorted(seen.items()))))
        for kind, ends in (
            ("memberships", ("group", "user")),
            ("assignments", ("target", "role", "subject")),
        ):
            for row in self.cloud.rows[kind].values():
                items.append(Item(row["id"], kind, "", "", tuple(row[end] for end in ends)))
        return items

    def access_path(self, owner: Tenant, role: str, user: str) -> str:
        who = self.named("users", user)
        if not self.direct:
            return f"/memberships/{self.marked(owner, f'group/{role}')}/{who}"
        native = {"admin": "admin", "user": "member", "reader": "reader"}[role]
        return f"/assignments/{self.marked(owner, 'space')}/{self.named('roles', native)}/{who}"

    def marked(self, owner: Tenant, part: str) -> str:
        mark = f"{ORGANIZATION}/{owner.workspace}/{owner.project}/{part}"
        return next(
            i for rows in self.cloud.rows.values() for i, row in rows.items() if row.get("mark") == mark
        )

    def named(self, collection: str, name: str) -> str:
        return next(row_id for row_id, row in self.cloud.rows[collection].items() if row["name"] == name)

    def call(self, method: str, path: str, body: Row | None = None) -> Row:
        reply = self.cloud.answer(Call(method, path, (), body))
        assert reply.status < 300, reply.body
        return msgspec.json.decode(reply.body, type=dict[str, Any] | None) or {}


class TestInFolders(PlatformConformance):
    """Groups hold the roles, and each workspace has a folder."""

    names: ClassVar[dict[str, str]] = {"folder": "f-{workspace}"}
    grants = "groups"

    async def world(self) -> World:
        cloud = Cloud(page_size=4)
        for name in USERS:
            cloud.add_user(name)
        for name in ROLES:
            cloud.add_role(name)
        hand = MemoryHand(cloud, self.grants == "direct")
        for place, mark in (("elsewhere", ""), ("another", "another/shop/prod/space")):
            space = hand.call("POST", "/spaces", {"name": place, "mark": mark})["id"]
            hand.call(
                "PUT", f"/assignments/{space}/{hand.named('roles', 'member')}/{hand.named('users', USERS[0])}"
            )
        return World(
            PlatformIdentity(ORGANIZATION, "cloud", {"names": self.names, "users": {"externalId": "cloud"}}),
            CloudTransport(cloud),
            VENDOR.platform,
            hand,
            {"grants": self.grants},
            USERS,
            "cloud",
            page_size=4,
        )


class TestWithoutFolders(TestInFolders):
    """Spaces lie at the root."""

    exhaustive = False
    names: ClassVar[dict[str, str]] = {}
    lacks: ClassVar[Mapping[str, str]] = {"workspace things": "no folders are asked for"}


class TestDirectGrants(TestInFolders):
    """People hold the roles themselves."""

    exhaustive = False
    grants = "direct"
    lacks: ClassVar[Mapping[str, str]] = {"groups": "the landing zone says `grants: direct`"}
