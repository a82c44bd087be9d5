"""A person with admin rights on a real Keystone, who works in the domains of one test world and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from hanse.conformance import Item
from hanse.model import Key, Tenant
from hanse.platforms.openstack.client import Keystone, Row
from hanse.platforms.openstack.facts import STAMP_TAG
from hanse.ports.transport import Transport

ROLES = {"admin": "suite-admin", "user": "suite-user", "reader": "suite-reader"}
"""Project role to the Keystone role. None of them implies another, as Keystone's own do."""
CHOICE = "suite-auditor"
"""The role that the hand gives of its own accord."""


class KeystoneHand:
    """Uses the Identity API. All its domains are named after the organization, which no other world has."""

    def __init__(self, transport: Transport, organization: str) -> None:
        self.keystone = Keystone(transport)
        self.organization = organization
        self.home = ""
        """Id of the domain of people, and of projects where workspaces have none of their own."""
        self.services = ""
        """Id of a domain such as services make for accounts of their own; made when first needed."""
        self.roles: dict[str, str] = {}
        """Ids by name."""

    async def furnish(self, users: Iterable[str]) -> None:
        """The domains with these people, and the roles, which all worlds share."""
        self.roles = {row["name"]: row["id"] for row in await self.rows("roles")}
        for name in {*ROLES.values(), CHOICE} - self.roles.keys():
            self.roles[name] = await self.add("role", name=name)
        self.home = await self.add("domain", name=self.organization)
        for name in users:
            await self.add_user(name)

    async def clear(self) -> None:
        """Remove all domains of this world, with all that is in them."""
        for row in await self.domains():
            await self.change_row("domain", row["id"], enabled=False)
            await self.do("DELETE", f"/domains/{row['id']}")

    # As the suite asks

    async def add_user(self, name: str, *, service: bool = False) -> None:
        if service:
            self.services = await self.add("domain", name=f"{self.organization}-services")
        await self.add("user", name=name, domain_id=self.services if service else self.home)

    async def give(self, owner: Tenant, role: str, user: str) -> None:
        await self.do("PUT", await self.member_path(owner, role, user))

    async def take(self, owner: Tenant, role: str, user: str) -> None:
        await self.do("DELETE", await self.member_path(owner, role, user))

    async def grant(self, owner: Tenant, user: str) -> None:
        project, user_id = await self.marked(owner, "project"), await self.user(user)
        await self.do("PUT", f"/projects/{project}/users/{user_id}/roles/{self.roles[CHOICE]}")

    async def grant_above(self, user: str) -> None:
        path = f"/domains/{self.home}/users/{await self.user(user)}/roles/{self.roles[CHOICE]}"
        await self.do("PUT", f"/OS-INHERIT{path}/inherited_to_projects")

    async def change(self, owner: Tenant, attribute: str, value: Any) -> None:
        project = await self.marked(owner, "project")
        if attribute == "tag":
            rows = await self.rows("projects")
            tags = next(row["tags"] for row in rows if row["id"] == project)
            kept = [tag for tag in tags if not tag.startswith("hanse:a=")]
            attribute, value = "tags", [*kept, f"hanse:a={value}"]
        await self.change_row("project", project, **{attribute: value})

    async def delete_group(self, owner: Tenant, role: str) -> None:
        await self.do("DELETE", f"/groups/{await self.marked(owner, f'group/{role}')}")

    async def delete_container(self, owner: Tenant) -> None:
        await self.do("DELETE", f"/projects/{await self.marked(owner, 'project')}")

    async def make_container(self, owner: Tenant, name: str) -> str:
        mark = f"{self.organization}/{owner.workspace}//domain"
        own = [row["id"] for row in await self.domains() if row.get("hanse") == mark]
        return await self.add("project", name=name, domain_id=own[0] if own else self.home)

    async def mark(self, owner: Tenant, native_id: str, *, on: bool) -> None:
        key = self.key(owner, "project")
        await self.change_row("project", native_id, hanse=str(key) if on else "")
        tag = quote(f"{STAMP_TAG}{key.stamp}", safe="")
        await self.do("PUT" if on else "DELETE", f"/projects/{native_id}/tags/{tag}")

    async def census(self) -> Sequence[Item]:
        collections = ("domains", "projects", "users", "groups", "role_assignments")
        read = await asyncio.gather(*(self.rows(collection) for collection in collections))
        homes = {row["id"] for row in self.ours(read[0])}
        items = [self.thing("domain", row) for row in self.ours(read[0])]
        items += [Item(role_id, "role", "", name) for name, role_id in self.roles.items()]
        for kind, rows in zip(("project", "user", "group"), read[1:], strict=False):
            items += [self.thing(kind, row) for row in rows if row["domain_id"] in homes]
        groups = [item.id for item in items if item.kind == "group"]
        members = await asyncio.gather(*(self.rows(f"groups/{group}/users") for group in groups))
        for group, users in zip(groups, members, strict=True):
            items += [Item(f"{group}/{u['id']}", "membership", "", "", (group, u["id"])) for u in users]
        things = {item.id for item in items}
        items += [link for row in read[4] if (link := self.assignment(row)).ends[0] in things]
        return sorted(items, key=lambda item: (item.kind, item.id))

    # Small steps

    def thing(self, kind: str, row: Row) -> Item:
        """The row without what differs from world to world: ids, and the organization's name."""
        mark = row.get("hanse") or ""
        state: dict[str, Any] = {name: row.get(name) for name in ("name", "description", "enabled")}
        state["tags"] = sorted(tag for tag in row.get("tags") or () if not tag.startswith(STAMP_TAG))
        ours = mark.removeprefix(f"{self.organization}/") if mark.startswith(f"{self.organization}/") else ""
        return Item(row["id"], kind, ours, str(state | {"mark": mark}).replace(self.organization, "ORG"))

    def assignment(self, row: Row) -> Item:
        """A role of somebody on something."""
        where, who = row["scope"], row.get("user") or row.get("group") or {}
        scope = next((where[kind]["id"] for kind in ("project", "domain") if kind in where), "system")
        role, inherited = row["role"]["id"], str(where.get("OS-INHERIT:inherited_to", ""))
        ends = (scope, role, str(who.get("id")))
        return Item("/".join((*ends, inherited)), "assignment", "", inherited, ends)

    def key(self, owner: Tenant, part: str) -> Key:
        return Key(self.organization, owner.workspace, owner.project, part)

    async def domains(self) -> list[Row]:
        return self.ours(await self.rows("domains"))

    def ours(self, domains: list[Row]) -> list[Row]:
        """Those of this world."""
        return [row for row in domains if f"{row['name']}-".startswith(f"{self.organization}-")]

    async def marked(self, owner: Tenant, part: str) -> str:
        mark, kind = str(self.key(owner, part)), part.split("/", maxsplit=1)[0]
        return next(str(row["id"]) for row in await self.rows(f"{kind}s") if row.get("hanse") == mark)

    async def user(self, name: str) -> str:
        rows = await self.rows("users", (("name", name),))
        return next(str(row["id"]) for row in rows if row["domain_id"] in (self.home, self.services))

    async def member_path(self, owner: Tenant, role: str, user: str) -> str:
        return f"/groups/{await self.marked(owner, f'group/{role}')}/users/{await self.user(user)}"

    async def rows(self, collection: str, query: tuple[tuple[str, str], ...] = ()) -> list[Row]:
        listing = await self.keystone.list(f"/v3/{collection}", "by hand", query)
        assert not listing.cut
        return listing.rows

    async def add(self, kind: str, **attributes: Any) -> str:
        made = await self.keystone.write("POST", f"/v3/{kind}s", "by hand", {kind: attributes})
        return str(made[kind]["id"])

    async def change_row(self, kind: str, native_id: str, **attributes: Any) -> None:
        await self.keystone.write("PATCH", f"/v3/{kind}s/{native_id}", "by hand", {kind: attributes})

    async def do(self, method: str, path: str) -> None:
        await self.keystone.write(method, f"/v3{path}", "by hand")
