"""Read all that is ours of a Keystone, in a few lists."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cached_property

from hanse.model import Find, Native
from hanse.platforms.openstack.client import Listing, Row
from hanse.platforms.openstack.compile import DOMAIN, PROJECT
from hanse.platforms.openstack.facts import key_of, stamp_tags
from hanse.platforms.openstack.reading import Reading, by_id, each

SAMPLES = 3
"""So many things that a list should have held and did not are looked up, to tell whether it came short."""


class Sweep(Reading):
    """A look at everything."""

    async def read(self) -> None:
        """Read all that is ours. Raises PlatformUnavailable where not one of the lists can be read."""
        facts = self.facts
        lists = (
            self._list("/v3/domains", "list domains", DOMAIN),
            self._list("/v3/projects", "list projects", PROJECT),
            self._list("/v3/groups", "list groups", "group"),
            self._list("/v3/users", "list users", "user"),
            self._list("/v3/roles", "list roles", "role"),
            self._list("/v3/role_assignments", "list assignments", "assignment"),
        )
        read, _ = await asyncio.gather(asyncio.gather(*lists), self._implied())
        domains, projects, groups, users, roles, assignments = read
        self._or_unavailable()
        facts.domains, facts.projects, facts.groups = by_id(domains), by_id(projects), by_id(groups)
        facts.users, facts.roles = dict(by_id(users)), by_id(roles)
        _ = self._all_users_known  # asked of the unfiltered list: what is added below proves nothing
        await self._other_domains(groups, users)
        ours = self._ours()
        self._ancestors(ours)
        facts.assignments = self._that_matter(assignments.rows, ours)
        await self._cross_check(assignments.rows)
        await self._unknown_groups()
        await self._all_memberships()
        await self._unknown_roles()
        await self._unknown_users()
        for resource in self.scope.wanted:
            await self._to_adopt(resource)

    async def _other_domains(self, groups: Listing, users: Listing) -> None:
        """Ask again by domain where Keystone may have answered for one domain only.

        With one identity backend per domain, an unfiltered list holds those of the token's domain and nothing says
        so (keystone.server.flask.common, read in the source). A list with rows of two domains is not of that sort.
        """
        for kind, listing, known in (
            ("group", groups, self.facts.groups),
            ("user", users, self.facts.users),
        ):
            seen = {row.get("domain_id") for row in listing.rows}
            if len(seen) > 1 or kind in self.facts.incomplete:
                continue
            missing = [domain for domain in self._domains_that_matter(kind) if domain not in seen]
            for domain in missing:
                known.update(by_id(await self._list_in(kind, domain)))

    def _domains_that_matter(self, kind: str) -> list[str]:
        named = {self.block.domains.default}
        if kind == "user":
            named.add(self.block.users.domain)
        return [
            row_id
            for row_id, row in self.facts.domains.items()
            if row.get("name") in named or key_of(row, DOMAIN, self.organization)
        ]

    async def _list_in(self, kind: str, domain: str) -> Listing:
        return await self._list(f"/v3/{kind}s", f"list {kind}s", kind, (("domain_id", domain),))

    def _ours(self) -> set[str]:
        """Ids of projects and domains that carry a stamp of this organization."""
        mine = {i for i, row in self.facts.domains.items() if key_of(row, DOMAIN, self.organization)}
        mine |= {
            i
            for i, row in self.facts.projects.items()
            if key_of(row, PROJECT, self.organization) or stamp_tags(row)
        }
        return mine

    def _that_matter(self, rows: list[Row], ours: set[str]) -> list[Row]:
        """Assignments on our things, and those inherited from above them."""
        facts = self.facts
        above = {facts.projects[i].get("domain_id") for i in ours if i in facts.projects}
        above.update(project for i in ours for project in facts.above.get(i, ()))
        matter = []
        for row in rows:
            scope_id = facts.scope_of(row)[1]
            if scope_id in ours or (scope_id in above and "OS-INHERIT:inherited_to" in row["scope"]):
                matter.append(row)
        return matter

    def _ancestors(self, ours: Iterable[str]) -> None:
        for project_id in ours:
            chain: list[str] = []
            row = self.facts.projects.get(project_id)
            while row and row.get("parent_id") not in (None, row.get("domain_id"), *chain):
                chain.append(row["parent_id"])
                row = self.facts.projects.get(row["parent_id"])
            if chain:
                self.facts.above[project_id] = tuple(chain)

    async def _cross_check(self, assignments: list[Row]) -> None:
        """Notice a list of projects that came short: it lacks projects on which there are assignments."""
        facts = self.facts
        if PROJECT in facts.incomplete:
            facts.incomplete.setdefault("assignment", facts.incomplete[PROJECT])
            return
        scopes = (facts.scope_of(row) for row in assignments)
        unseen = sorted({i for kind, i in scopes if kind == PROJECT and i not in facts.projects})
        for project_id in unseen[:SAMPLES]:
            row = await self._get(PROJECT, project_id)
            if row is not None and not row.get("is_domain"):
                facts.incomplete[PROJECT] = "list projects: a page came short"
                facts.incomplete.setdefault("assignment", "not all projects were read")
                return

    async def _unknown_groups(self) -> None:
        """Look up groups that hold roles and are in no list: foreign ones, or a list that came short."""
        facts = self.facts
        held = {row["group"]["id"] for row in facts.assignments if "group" in row}
        listed = {row.get("domain_id") for row in facts.groups.values()}
        for row in await self._get_each("group", sorted(held - facts.groups.keys())):
            facts.groups[row["id"]] = row
            if row.get("domain_id") in listed:
                facts.incomplete.setdefault("group", "list groups: a page came short")

    async def _all_memberships(self) -> None:
        """Who is in our groups, and in foreign groups with a role on our things; the way with fewer calls."""
        facts = self.facts
        held = {row["group"]["id"] for row in facts.assignments if "group" in row}
        mine = {i for i, row in facts.groups.items() if key_of(row, "group", self.organization)}
        groups = sorted((mine | held) & facts.groups.keys())
        if "group" in facts.incomplete:
            facts.incomplete.setdefault("membership", facts.incomplete["group"])
        if self._all_users_known and len(facts.users) < len(groups):
            await self._memberships_by_user(set(groups))
        else:
            await each(groups, self._members)

    @cached_property
    def _all_users_known(self) -> bool:
        """Whether the lists held every user; asked first when they were read and nothing else."""
        domains = {row.get("domain_id") for row in self.facts.users.values() if row}
        return "user" not in self.facts.incomplete and (len(domains) > 1 or len(self.facts.domains) == 1)

    async def _memberships_by_user(self, groups: set[str]) -> None:
        for group_id in groups:
            self.facts.members[group_id] = set()

        async def read(user_id: str) -> None:
            path, label = f"/v3/users/{user_id}/groups", "list groups of user"
            for row in (await self._list(path, label, "membership", absent_is_empty=True)).rows:
                if row["id"] in groups:
                    # Given by an identity provider at sign-in, for a time: Identity API, expiring group memberships.
                    passing = row.get("membership_expires_at") is not None
                    book = self.facts.passing if passing else self.facts.members
                    book.setdefault(row["id"], set()).add(user_id)

        await each(sorted(self.facts.users), read)

    @cached_property
    def _users_by_name(self) -> dict[tuple[str, str], list[str]]:
        """Ids of listed users by the names of their domain and their own."""
        ids: dict[tuple[str, str], list[str]] = {}
        for user_id, user in self.facts.users.items():
            if user is not None:
                domain = self.facts.domains.get(user.get("domain_id") or "", {})
                ids.setdefault((domain.get("name") or "", user.get("name") or ""), []).append(user_id)
        return ids

    def _find_listed(self, find: Find) -> tuple[Native, ...] | None:
        """What a sweep has listed already; None where it did not, or not all."""
        if self.scope.owners is not None or find.kind in self.facts.incomplete:
            return None
        by = {name: str(value) for name, value in find.by}
        if find.kind == "user":
            if DOMAIN in self.facts.incomplete or not self._all_users_known:
                return None
            ids = self._users_by_name.get((by[DOMAIN], by["name"]), ())
            return tuple(Native("user", user_id, find.by[-1][1]) for user_id in ids)
        rows_of = self.facts.roles if find.kind == "role" else self.facts.domains
        return tuple(
            Native(find.kind, row_id, by["name"])
            for row_id, row in rows_of.items()
            if row.get("name") == by["name"] and row.get("domain_id") is None
        )
