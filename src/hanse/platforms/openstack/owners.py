"""Read what some owners have of a Keystone, in calls whose number depends on nothing but that."""

from __future__ import annotations

import asyncio

from hanse.model import Key, Owner, Resource, Tenant
from hanse.platforms.openstack.blocks import PlatformBlock
from hanse.platforms.openstack.client import Keystone, Row
from hanse.platforms.openstack.compile import DOMAIN, PROJECT, find_domain, project_key
from hanse.platforms.openstack.facts import key_of, stamp_tags
from hanse.platforms.openstack.memory import Memory
from hanse.platforms.openstack.reading import Reading, by_id, each
from hanse.ports.platform import PlatformIdentity, Scope


class OfOwners(Reading):
    """A look at some owners."""

    def __init__(
        self, client: Keystone, identity: PlatformIdentity, block: PlatformBlock, memory: Memory, scope: Scope
    ) -> None:
        super().__init__(client, identity, block, memory, scope)
        self._indexing = asyncio.Lock()

    async def read(self) -> None:
        """Read what these owners have, in calls that depend on nothing but that."""
        wanted: dict[Owner, list[Resource]] = {}
        for resource in self.scope.wanted:
            wanted.setdefault(resource.owner, []).append(resource)
        await asyncio.gather(self._implied(), self._user_domain())
        await each(list(self.scope.owners or ()), lambda owner: self._owner(owner, wanted.get(owner, [])))
        self._or_unavailable()
        await self._unknown_groups_of_owners()
        await self._unknown_roles()
        await self._unknown_users()

    async def _owner(self, owner: Owner, wanted: list[Resource]) -> None:
        if isinstance(owner, Tenant):
            await self._tenant(owner, wanted)
        elif self.block.domains.per_workspace is not None:
            await self._workspace(owner.workspace, wanted)

    async def _tenant(self, owner: Tenant, wanted: list[Resource]) -> None:
        key = project_key(self.organization, owner)
        self.facts.stamps[key.stamp] = key
        desired = next((r for r in wanted if r.kind == PROJECT), None)
        project = await self._project(key, desired)
        if project is not None:
            await self._above(project)
            listing = await self._list(
                "/v3/role_assignments",
                "list assignments of project",
                "assignment",
                (("scope.project.id", project["id"]),),
            )
            self.facts.assignments.extend(listing.rows)
            held = sorted({row["group"]["id"] for row in listing.rows if "group" in row})
            for row in await self._get_each("group", held):
                self.facts.groups[row["id"]] = row
        await self._groups_by_name([r for r in wanted if r.kind == "group"])

    async def _project(self, key: Key, desired: Resource | None) -> Row | None:
        """The project with that key, and on the way the foreign ones of its name or of the id to adopt."""
        known = self.memory.projects.get(key.stamp)
        row = await self._get(PROJECT, known) if known else None
        mine = self._note_project(row, key)
        name = str(desired.attributes["name"]) if desired else ""
        if desired is not None and not (mine and mine["name"] == name):
            domain = await self._domain_id(desired.attributes["domain"])
            if domain:
                query = (("name", name), ("domain_id", domain))
                for row in (await self._list("/v3/projects", "find project", PROJECT, query)).rows:
                    mine = self._note_project(row, key) or mine
            await self._to_adopt(desired)
        if mine is None:
            mine = await self._project_by_stamp(key)
        return mine

    def _note_project(self, row: Row | None, key: Key) -> Row | None:
        """Keep what was read; it again if it is the one with that key."""
        if row is None:
            return None
        self.facts.projects[row["id"]] = row
        text = key_of(row, PROJECT, self.organization)
        ours = text == key or (not row.get("hanse") and key.stamp in stamp_tags(row))
        return row if ours else None

    async def _project_by_stamp(self, key: Key) -> Row | None:
        """Search in the list of all projects, which many owners share, as all looks of a minute do.

        `GET /v3/projects?tags=` would be no cheaper: Keystone reads the whole list for it, and Keystone 30 only the
        first 1,000 rows of it, so that it finds nothing beyond (measured, and read in the source).
        """
        async with self._indexing:
            if not self.memory.indexed.get(""):
                await self._index()
        found = self.memory.projects.get(key.stamp)
        return self._note_project(await self._get(PROJECT, found), key) if found else None

    async def _index(self) -> None:
        listing = await self._list("/v3/projects", "list projects", PROJECT)
        for row in listing.rows:
            if (key := key_of(row, PROJECT, self.organization)) is not None:
                self.memory.projects[key.stamp] = row["id"]
            for stamp in stamp_tags(row):
                self.memory.projects.setdefault(stamp, row["id"])
        if not listing.cut:
            self.memory.indexed.put("", True)

    async def _groups_by_name(self, wanted: list[Resource]) -> None:
        """Groups of the wanted names that are not known by their role already."""
        named = {(row.get("domain_id"), row.get("name")) for row in self.facts.groups.values()}
        for resource in wanted:
            domain = await self._domain_id(resource.attributes["domain"])
            name = str(resource.attributes["name"])
            if domain and (domain, name) not in named:
                query = (("name", name), ("domain_id", domain))
                for row in (await self._list("/v3/groups", "find group", "group", query)).rows:
                    self.facts.groups[row["id"]] = row

    async def _above(self, project: Row) -> None:
        """The project's domain, the projects above it, and what is inherited from there."""
        await self._domain(project["domain_id"])
        await self._inherited("domain", project["domain_id"])
        row, chain = project, list[str]()
        while row.get("parent_id") not in (None, row.get("domain_id"), *chain):
            parent = str(row["parent_id"])
            chain.append(parent)
            await self._inherited("project", parent)
            row = self.facts.projects.get(parent) or await self._get(PROJECT, parent) or {}
            if row:
                self.facts.projects[parent] = row
        if chain:
            self.facts.above[project["id"]] = tuple(chain)

    async def _inherited(self, kind: str, scope_id: str) -> None:
        rows = self.memory.inherited.get(scope_id)
        if rows is None:
            query = ((f"scope.{kind}.id", scope_id), ("scope.OS-INHERIT:inherited_to", "projects"))
            listing = await self._list(
                "/v3/role_assignments", "list inherited assignments", "assignment", query
            )
            rows = listing.rows
            if not listing.cut:
                self.memory.inherited.put(scope_id, rows)
        self.facts.assignments.extend(rows)

    async def _unknown_groups_of_owners(self) -> None:
        held = {row["group"]["id"] for row in self.facts.assignments if "group" in row}
        for row in await self._get_each("group", sorted(held - self.facts.groups.keys())):
            self.facts.groups[row["id"]] = row
        mine = {i for i, row in self.facts.groups.items() if key_of(row, "group", self.organization)}
        await each(sorted((mine | held) & self.facts.groups.keys()), self._members)

    async def _workspace(self, workspace: str, wanted: list[Resource]) -> None:
        """The domain of a workspace, the roles on it, and whatever keeps it from being deleted."""
        await self._all_domains(fresh=True)
        for row_id, row in list(self.facts.domains.items()):
            key = key_of(row, DOMAIN, self.organization)
            if key is None or key.workspace != workspace:
                continue
            query = (("domain_id", row_id),)
            on_domain = (("scope.domain.id", row_id),)
            assignments, projects, groups, users = await asyncio.gather(
                self._list("/v3/role_assignments", "list assignments of domain", "assignment", on_domain),
                self._list("/v3/projects", "list projects", PROJECT, query),
                self._list("/v3/groups", "list groups", "group", query),
                self._list("/v3/users", "list users", "user", query),
            )
            self.facts.assignments.extend(assignments.rows)
            self.facts.projects.update(by_id(projects))
            self.facts.groups.update(by_id(groups))
            self.facts.users.update(by_id(users))

    async def _user_domain(self) -> None:
        await self._domain_id(find_domain(self.block.users.domain))
