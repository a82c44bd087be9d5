"""Calls that every look at Keystone makes: lists and single things, with what could not be read noted, not raised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hanse.model import Find, Key, Native, Ref, Resource, Value
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
from hanse.platforms.openstack.compile import DOMAIN, PROJECT, find_domain
from hanse.platforms.openstack.facts import Facts, key_of
from hanse.platforms.openstack.memory import Memory, Remembered
from hanse.ports.platform import PlatformIdentity, Scope
from hanse.ports.transport import NoReply, NotSent

AT_ONCE = 64
"""Calls in the making at a time; how many are under way, the transport's budget says."""
Trouble = (Failed, Broken, NoReply, NotSent)
_K = TypeVar("_K")
_T = TypeVar("_T")


class Reading:
    """The working state of one look, and the calls that sweeps and looks at single owners share."""

    def __init__(
        self, client: Keystone, identity: PlatformIdentity, block: PlatformBlock, memory: Memory, scope: Scope
    ) -> None:
        self.client = client
        self.organization = identity.organization
        self.identity = identity
        self.block = block
        self.memory = memory
        self.scope = scope
        self.facts = Facts(tag_prefix=block.tags.prefix, user_domain=block.users.domain)
        self.first_error: Failed | Broken | NoReply | NotSent | None = None
        self.answered = False
        for resource in scope.wanted:
            if resource.kind == PROJECT:
                self.facts.stamps[resource.key.stamp] = resource.key

    async def read(self) -> None:
        """Fill the facts. Raises PlatformUnavailable where nothing at all can be read."""
        raise NotImplementedError

    # What is used and not owned

    async def find_all(self) -> dict[Find, tuple[Native, ...]]:
        """For each find what there is of it: one thing, none or several."""
        finds = sorted(self.scope.finds, key=str)
        natives = await each(finds, self._find)
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
                # Without its domain nobody can be looked up, which is not the same as being unknown.
                why = self.facts.incomplete.get(DOMAIN) or f"{len(domains)} domains are called {by[DOMAIN]}"
                self.facts.incomplete.setdefault("user", why)
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
        """What was listed already of what is to be found; None where that cannot be told."""
        return None

    # Domains

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
            rows = by_id(listing)
            if not listing.cut:
                self.memory.all_domains.put("", rows)
        self.facts.domains.update(rows)

    # At the ends of links

    async def _members(self, group_id: str) -> None:
        path = f"/v3/groups/{group_id}/users"
        listing = await self._list(path, "list users of group", "membership", absent_is_empty=True)
        self.facts.members[group_id] = {row["id"] for row in listing.rows}
        for row in listing.rows:
            self._note("user", row)

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

    async def _to_adopt(self, resource: Resource) -> None:
        if resource.adopt and resource.adopt not in self.facts.projects:
            row = await self._get(PROJECT, resource.adopt)
            if row is not None and not row.get("is_domain"):
                self.facts.projects[row["id"]] = row
                await self._domain(row["domain_id"])

    # Calls

    async def who_am_i(self) -> None:
        """Which account Hanse itself uses: its own links are never taken away, so nothing is read without it."""
        if not self.memory.own_user:
            token = (await self.client.get("/v3/auth/tokens", "who am I", (("nocatalog", ""),))).get(
                "token"
            ) or {}
            self.memory.own_user = str((token.get("user") or {}).get("id") or "")
        self.facts.own_user = self.memory.own_user

    async def _implied(self) -> None:
        pairs = self.memory.implied.get("") if self.scope.owners is not None else None
        if pairs is None:
            try:
                document = await self.client.get("/v3/role_inferences", "list implied roles")
            except Trouble as error:
                self._cannot("implication", error)
                return
            rows = document.get("role_inferences") or []
            pairs = [(r["prior_role"]["id"], implied["id"]) for r in rows for implied in r["implies"]]
            for row in rows:
                for role in (row["prior_role"], *row["implies"]):
                    self.facts.roles.setdefault(role["id"], {"domain_id": None, **role})
            self.memory.implied.put("", pairs)
        self.facts.implied = pairs

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

        return [row for row in await each(ids, read) if row is not None]

    async def _get(self, kind: str, row_id: str) -> Row | None:
        """One thing by id; None, and its kind incomplete, where it cannot be read."""
        try:
            row = await self.client.find(f"/v3/{kind}s/{row_id}", f"get {kind}")
        except Trouble as error:
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
        except Trouble as error:
            if absent_is_empty and isinstance(error, Failed) and error.status == NOT_FOUND:
                return Listing([])
            self._cannot(kind, error)
            return Listing([], str(error))
        self.answered = True
        if listing.cut and kind:
            self.facts.incomplete.setdefault(kind, listing.cut)
        return listing

    def _note(self, kind: str, row: Row) -> None:
        if kind == "user":
            self.facts.users.setdefault(row["id"], row)
            self.memory.users.put(row["id"], row)
        elif kind == "role":
            self.facts.roles.setdefault(row["id"], row)
            self.memory.roles.put(row["id"], row)

    def _cannot(self, kind: str, error: Failed | Broken | NoReply | NotSent) -> None:
        self.first_error = self.first_error or error
        if kind:
            told = "" if not isinstance(error, Failed) or not error.rule else f" (rule {error.rule})"
            self.facts.incomplete.setdefault(kind, f"{error}{told}")

    def _or_unavailable(self) -> None:
        if self.first_error is not None and not self.answered:
            raise unavailable(self.first_error)


def by_id(listing: Listing) -> dict[str, Row]:
    """The rows of a list under their ids."""
    return {row["id"]: row for row in listing.rows}


async def each(items: list[_K], work: Callable[[_K], Awaitable[_T]]) -> list[_T]:
    """The results of some work on each item, in their order, with so many under way at once."""
    results: list[_T] = []
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: _K) -> _T:
        async with places:
            return await work(item)

    for start in range(0, len(items), 20 * AT_ONCE):
        results += await asyncio.gather(*(one(item) for item in items[start : start + 20 * AT_ONCE]))
    return results
