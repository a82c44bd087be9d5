"""Read a Keystone: all that is ours in a few lists, or only what some owners have.

Calls, for P projects with 3 groups each and U users (measured on Keystone 30.0.0):

- a sweep reads projects, groups, users and domains in pages of 1,000, and roles, implied roles and all role
  assignments in one reply each; then memberships, which no list has: one call per user or one per group of ours,
  whichever is less. 1,000 projects and 500 users: 13 + 500 calls.
- one owner: its project by id (by name at first), its role assignments, and two calls per group; what is
  inherited from its domain, and roles, domains and users by name, are remembered for a minute or more.

A role assignment list with names costs 40 times as much as one with ids, and one with `effective` 50 times as
much; neither is asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Generic, TypeVar

from hanse.model import Find, Key, Native, Owner, Ref, Resource, Tenant, Value
from hanse.observed import Observation
from hanse.platforms.openstack.blocks import PlatformBlock
from hanse.platforms.openstack.client import (
    NOT_FOUND,
    Broken,
    Failed,
    Keystone,
    Listing,
    Query,
    Row,
    unavailable,
)
from hanse.platforms.openstack.compile import DOMAIN, PROJECT, find_domain, project_key
from hanse.platforms.openstack.facts import STAMP_TAG, Facts, Interpretation, key_of, stamp_tags
from hanse.ports.platform import PlatformIdentity, Scope
from hanse.ports.transport import NoReply, NotAllowed, NotSent

TAGS_SINCE = (3, 9)
"""Project tags came with Identity API 3.9 (Identity API v3 reference, 'What's New in Version 3.9')."""
AT_ONCE = 64
"""Calls in the making at a time; how many are under way, the transport's budget says."""
SAMPLES = 3
_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")
_Trouble = (Failed, Broken, NoReply, NotSent)


class Remembered(Generic[_K, _V]):
    """What was read lately, for so many seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[_K, tuple[float, _V]] = {}

    def get(self, key: _K) -> _V | None:
        """What was put under the key, unless it is too old."""
        kept = self._kept.get(key)
        return kept[1] if kept and self._clock() - kept[0] < self._seconds else None

    def put(self, key: _K, value: _V) -> None:
        """Remember."""
        self._kept[key] = (self._clock(), value)

    def forget(self) -> None:
        """Forget all."""
        self._kept.clear()


@dataclass
class Memory:
    """What a platform remembers between looks: a cache that can be thrown away at any time.

    Only what was found is remembered: what was not there is looked for again each time, so that a user is picked
    up as soon as Keystone knows it.
    """

    found: Remembered[Find, Native] = field(default_factory=lambda: Remembered(300))
    users: Remembered[str, Row] = field(default_factory=lambda: Remembered(300))
    roles: Remembered[str, Row] = field(default_factory=lambda: Remembered(300))
    domains: Remembered[str, Row] = field(default_factory=lambda: Remembered(300))
    all_domains: Remembered[str, dict[str, Row]] = field(default_factory=lambda: Remembered(60))
    inherited: Remembered[str, list[Row]] = field(default_factory=lambda: Remembered(60))
    implied: Remembered[str, list[tuple[str, str]]] = field(default_factory=lambda: Remembered(60))
    own_user: str = ""
    projects: dict[str, str] = field(default_factory=dict)
    """Native ids by stamp."""
    indexed: Remembered[str, bool] = field(default_factory=lambda: Remembered(60))
    """Whether all projects were listed lately."""

    def forget(self) -> None:
        """Look everything up again: something that we relied on is gone."""
        self.found.forget()
        self.users.forget()
        self.roles.forget()
        self.domains.forget()
        self.all_domains.forget()
        self.inherited.forget()
        self.implied.forget()


async def observe(
    client: Keystone, identity: PlatformIdentity, block: PlatformBlock, memory: Memory, scope: Scope
) -> Observation:
    """One look. Raises PlatformUnavailable where nothing at all can be read."""
    taken_at = datetime.now(UTC)
    try:
        version = await client.version()
        reading = _Reading(client, identity, block, memory, scope)
        reading.facts.tags_known = version >= TAGS_SINCE
        if scope.owners is None:
            await reading.sweep()
        else:
            await reading.of_owners(scope.owners)
        found = await reading.find_all()
    except NotAllowed as error:
        raise unavailable(error) from None
    except _Trouble as error:
        raise unavailable(error) from None
    interpretation = Interpretation(reading.facts, identity)
    owners = None if scope.owners is None else frozenset(scope.owners)
    observation = interpretation.observation(taken_at, owners)
    observation.found.update(found)
    reading.remember(interpretation.keys)
    return observation


class _Reading:
    """The working state of one look."""

    def __init__(
        self, client: Keystone, identity: PlatformIdentity, block: PlatformBlock, memory: Memory, scope: Scope
    ) -> None:
        self.client = client
        self.organization = identity.organization
        self.identity = identity
        self.block = block
        self.memory = memory
        self.scope = scope
        self.facts = Facts(tag_prefix=block.tag_prefix, user_domain=block.users.domain)
        self.first_error: Failed | Broken | NoReply | NotSent | None = None
        self.answered = False
        for resource in scope.wanted:
            if resource.kind == PROJECT:
                self.facts.stamps[resource.key.stamp] = resource.key

    # A sweep

    async def sweep(self) -> None:
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
        read, _ = await asyncio.gather(
            asyncio.gather(*lists), asyncio.gather(self._implied(), self._who_am_i())
        )
        domains, projects, groups, users, roles, assignments = read
        self._or_unavailable()
        facts.domains, facts.projects, facts.groups = _by_id(domains), _by_id(projects), _by_id(groups)
        facts.users, facts.roles = dict(_by_id(users)), _by_id(roles)
        await self._other_domains(groups, users)
        ours = self._ours()
        self._ancestors(ours)
        facts.assignments = self._that_matter(assignments.rows, ours)
        await self._cross_check(assignments.rows)
        await self._unknown_groups()
        await self._all_memberships()
        await self._unknown_roles()
        await self._unknown_users()
        if PROJECT not in facts.incomplete:
            self.memory.indexed.put("", True)
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
                known.update(_by_id(await self._list_in(kind, domain)))

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
            await _each(groups, self._members)

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

        await _each(sorted(self.facts.users), read)

    async def _unknown_roles(self) -> None:
        """Names of roles that belong to a domain, which no list of roles holds."""
        unseen = {row["role"]["id"] for row in self.facts.assignments} - self.facts.roles.keys()
        for row in await self._get_each("role", sorted(unseen)):
            self.facts.roles[row["id"]] = row
            if row.get("domain_id") is None and self.scope.owners is None:
                self.facts.incomplete.setdefault("role", "list roles: a page came short")

    async def _unknown_users(self) -> None:
        """Who is at the end of links and in no list."""
        facts = self.facts
        linked = {row["user"]["id"] for row in facts.assignments if "user" in row}
        linked.update(*facts.members.values())
        unseen = sorted(linked - facts.users.keys())
        for row in await self._get_each("user", unseen):
            facts.users[row["id"]] = row

    # Some owners

    async def of_owners(self, owners: Iterable[Owner]) -> None:
        """Read what these owners have, in calls that depend on nothing but that."""
        wanted: dict[Owner, list[Resource]] = {}
        for resource in self.scope.wanted:
            wanted.setdefault(resource.owner, []).append(resource)
        await asyncio.gather(self._implied(), self._who_am_i(), self._user_domain())
        await _each(list(owners), lambda owner: self._owner(owner, wanted.get(owner, [])))
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
        """Search by tag, and where Keystone cuts that search short, in the list of all projects.

        Keystone 30 filters by tag only what it has cut to 1,000 rows before, and says `truncated` then.
        """
        if self.facts.tags_known and not self.memory.indexed.get("cut"):
            query = (("tags", f"{STAMP_TAG}{key.stamp}"),)
            listing = await self._list("/v3/projects", "find project by stamp", "", query)
            for row in listing.rows:
                if (mine := self._note_project(row, key)) is not None:
                    return mine
            if not listing.cut:
                return None
            self.memory.indexed.put("cut", True)
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

    async def _to_adopt(self, resource: Resource) -> None:
        if resource.adopt and resource.adopt not in self.facts.projects:
            row = await self._get(PROJECT, resource.adopt)
            if row is not None and not row.get("is_domain"):
                self.facts.projects[row["id"]] = row
                await self._domain(row["domain_id"])

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
        await _each(sorted((mine | held) & self.facts.groups.keys()), self._members)

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
            self.facts.projects.update(_by_id(projects))
            self.facts.groups.update(_by_id(groups))
            self.facts.users.update(_by_id(users))

    # Domains

    async def _user_domain(self) -> None:
        await self._domain_id(find_domain(self.block.users.domain))

    async def _domain_id(self, value: Value) -> str:
        """Native id of the domain that a desired thing is to be in; empty where there is none yet."""
        if isinstance(value, Native):
            return value.id
        if isinstance(value, Ref):
            await self._all_domains()
            if not (domain := self._own_domain(value.key)):
                await self._all_domains(fresh=True)
                domain = self._own_domain(value.key)
            return domain
        if isinstance(value, Find):
            natives = await self._find(value)
            if len(natives) == 1:
                await self._domain(natives[0].id)
                return natives[0].id
        return ""

    def _own_domain(self, key: Key) -> str:
        rows = self.facts.domains.items()
        return next((i for i, row in rows if key_of(row, DOMAIN, self.organization) == key), "")

    async def _domain(self, domain_id: str) -> None:
        if domain_id in self.facts.domains:
            return
        row = self.memory.domains.get(domain_id)
        if row is None:
            row = await self._get(DOMAIN, domain_id)
            if row is not None:
                self.memory.domains.put(domain_id, row)
        if row is not None:
            self.facts.domains[domain_id] = row

    async def _all_domains(self, *, fresh: bool = False) -> None:
        """Keystone cannot search domains by what we write on them, so all are listed, 1,000 to a page."""
        rows = None if fresh else self.memory.all_domains.get("")
        if rows is None:
            listing = await self._list("/v3/domains", "list domains", DOMAIN)
            rows = _by_id(listing)
            if not listing.cut:
                self.memory.all_domains.put("", rows)
        self.facts.domains.update(rows)

    # What is used and not owned

    async def find_all(self) -> dict[Find, tuple[Native, ...]]:
        """For each find what there is of it: one thing, none or several."""
        finds = sorted(self.scope.finds, key=str)
        natives = await _each(finds, self._find)
        return dict(zip(finds, natives, strict=True))

    async def _find(self, find: Find) -> tuple[Native, ...]:
        listed = self._find_listed(find)
        if listed is not None:
            return listed
        known = self.memory.found.get(find)
        if known is not None:
            return (known,)
        by = {name: str(value) for name, value in find.by}
        query: Query = (("name", by["name"]),)
        if find.kind == "user":
            domains = await self._find(find_domain(by[DOMAIN]))
            if len(domains) != 1:
                return ()
            query = (*query, ("domain_id", domains[0].id))
        listing = await self._list(f"/v3/{find.kind}s", f"find {find.kind}", find.kind, query)
        rows = [row for row in listing.rows if row.get("name") == by["name"]]
        natives = tuple(Native(find.kind, row["id"], find.by[-1][1]) for row in rows)
        for row in rows:
            self._note(find.kind, row)
        if len(natives) == 1 and not listing.cut:
            self.memory.found.put(find, natives[0])
        return natives

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

    @cached_property
    def _users_by_name(self) -> dict[tuple[str, str], list[str]]:
        """Ids of listed users by the names of their domain and their own."""
        ids: dict[tuple[str, str], list[str]] = {}
        for user_id, user in self.facts.users.items():
            if user is not None:
                domain = self.facts.domains.get(user.get("domain_id") or "", {})
                ids.setdefault((domain.get("name") or "", user.get("name") or ""), []).append(user_id)
        return ids

    # Calls

    async def _who_am_i(self) -> None:
        """Which account Hanse itself uses: its own links are never taken away."""
        if not self.memory.own_user:
            try:
                told = await self.client.get("/v3/auth/tokens", "who am I", (("nocatalog", ""),))
            except _Trouble as error:
                self.first_error = self.first_error or error
                return
            self.memory.own_user = str(((told.get("token") or {}).get("user") or {}).get("id") or "")
        self.facts.own_user = self.memory.own_user

    async def _implied(self) -> None:
        pairs = self.memory.implied.get("") if self.scope.owners is not None else None
        if pairs is None:
            try:
                document = await self.client.get("/v3/role_inferences", "list implied roles")
            except _Trouble as error:
                self._cannot("implication", error)
                return
            rows = document.get("role_inferences") or []
            pairs = [(r["prior_role"]["id"], implied["id"]) for r in rows for implied in r["implies"]]
            for row in rows:
                for role in (row["prior_role"], *row["implies"]):
                    self.facts.roles.setdefault(role["id"], {"domain_id": None, **role})
            self.memory.implied.put("", pairs)
        self.facts.implied = pairs

    async def _members(self, group_id: str) -> None:
        path = f"/v3/groups/{group_id}/users"
        listing = await self._list(path, "list users of group", "membership", absent_is_empty=True)
        self.facts.members[group_id] = {row["id"] for row in listing.rows}
        for row in listing.rows:
            self._note("user", row)

    def _note(self, kind: str, row: Row) -> None:
        if kind == "user":
            self.facts.users.setdefault(row["id"], row)
            self.memory.users.put(row["id"], row)
        elif kind == "role":
            self.facts.roles.setdefault(row["id"], row)
            self.memory.roles.put(row["id"], row)

    async def _get_each(self, kind: str, ids: list[str]) -> list[Row]:
        remembered: dict[str, Remembered[str, Row]] = {"user": self.memory.users, "role": self.memory.roles}

        async def read(row_id: str) -> Row | None:
            book = remembered.get(kind)
            row = book.get(row_id) if book else None
            if row is None:
                row = await self._get(kind, row_id)
                if row is not None and book:
                    book.put(row_id, row)
            return row

        return [row for row in await _each(ids, read) if row is not None]

    async def _get(self, kind: str, row_id: str) -> Row | None:
        """One thing by id; None, and its kind incomplete, where it cannot be read."""
        try:
            row = await self.client.find(f"/v3/{kind}s/{row_id}", f"get {kind}")
        except _Trouble as error:
            self._cannot(kind, error)
            return None
        self.answered = True
        if row is None and kind == "user":
            self.facts.users[row_id] = None
        return row

    async def _list(
        self, path: str, label: str, kind: str, query: Query = (), *, absent_is_empty: bool = False
    ) -> Listing:
        """A list; where it cannot be read to its end, the kind is incomplete (no kind: the caller looks)."""
        try:
            listing = await self.client.list(path, label, query)
        except _Trouble as error:
            if absent_is_empty and isinstance(error, Failed) and error.status == NOT_FOUND:
                return Listing([])
            self._cannot(kind, error)
            return Listing([], str(error))
        self.answered = True
        if listing.cut and kind:
            self.facts.incomplete.setdefault(kind, listing.cut)
        return listing

    def _cannot(self, kind: str, error: Failed | Broken | NoReply | NotSent) -> None:
        self.first_error = self.first_error or error
        if kind:
            told = "" if not isinstance(error, Failed) or not error.rule else f" (rule {error.rule})"
            self.facts.incomplete.setdefault(kind, f"{error}{told}")

    def _or_unavailable(self) -> None:
        if self.first_error is not None and not self.answered:
            raise unavailable(self.first_error)

    def remember(self, keys: dict[str, Key]) -> None:
        """Keep native ids of projects for the next look."""
        for row_id, key in keys.items():
            if key.part == PROJECT:
                self.memory.projects[key.stamp] = row_id


def _by_id(listing: Listing) -> dict[str, Row]:
    return {row["id"]: row for row in listing.rows}


async def _each(items: list[_K], work: Callable[[_K], Awaitable[_T]]) -> list[_T]:
    """The results of some work on each item, in their order, with so many under way at once."""
    results: list[_T] = []
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: _K) -> _T:
        async with places:
            return await work(item)

    for start in range(0, len(items), 20 * AT_ONCE):
        results += await asyncio.gather(*(one(item) for item in items[start : start + 20 * AT_ONCE]))
    return results
