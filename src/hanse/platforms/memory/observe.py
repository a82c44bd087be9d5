"""What there is, read in lists: all of it for a sweep, or only what concerns some owners.

Nothing is guessed: a list that cannot be read to its end makes its kind incomplete, and what could not be
told apart without it is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from hanse.model import Find, Foreign, Key, Native, Owner, Personal, Ref, Resource, Tenant, Value, owner_of
from hanse.observed import Observation
from hanse.platforms.memory.client import Client, Failed, Row
from hanse.platforms.memory.cloud import ROOT
from hanse.platforms.memory.kinds import COLLECTION
from hanse.ports.platform import PlatformIdentity, PlatformUnavailable, Scope

_DECIDED = {
    "folder": ("name", "description"),
    "space": ("name", "description", "enabled", "tags", "folder"),
    "group": ("name", "description"),
}
"""The attributes that Hanse decides. What else the cloud says of a thing does not matter."""


async def observe(client: Client, identity: PlatformIdentity, scope: Scope, now: datetime) -> Observation:
    """One look. Raises PlatformUnavailable where nothing at all can be read."""
    reading = _Reading(client, identity, scope)
    await reading.read_things()
    await reading.read_links()
    await reading.read_finds()
    if not reading.calls_answered:
        raise PlatformUnavailable(f"{identity.name} cannot be read: {reading.reason}", reading.advice)
    return reading.observation(now)


class _Reading:
    """The working state of one observation."""

    def __init__(self, client: Client, identity: PlatformIdentity, scope: Scope) -> None:
        self.client = client
        self.identity = identity
        self.scope = scope
        self.calls_answered = 0
        self.reason = self.advice = ""
        self.incomplete: dict[str, str] = {}
        self.things: dict[str, dict[str, Row]] = {kind: {} for kind in _DECIDED}
        """All that was read, by kind and id."""
        self.keys: dict[str, Key] = {}
        """Keys of what is ours, by id."""
        self.resources: list[Resource] = []
        self.foreign: list[Foreign] = []
        self.roles: dict[str, str] = {}
        self.found: dict[Find, tuple[Native, ...]] = {}

    # Things

    async def read_things(self) -> None:
        """Read folders, spaces and groups: ours, and the foreign ones that matter."""
        for kind in _DECIDED:
            if self.scope.owners is None:
                await self.read(kind)
            else:
                await self.read_of_owners(kind, self.scope.owners)
                await self.read_of_wanted(kind)
        if self.scope.owners is not None:
            await self.read_folders_above()
        self.keys = {
            row_id: key
            for rows in self.things.values()
            for row_id, row in rows.items()
            if (key := self.key_of(row)) is not None
        }
        for kind, rows in self.things.items():
            for row_id, row in rows.items():
                self.add_thing(kind, row_id, row)

    async def read_of_owners(self, kind: str, owners: Iterable[Owner]) -> None:
        """Read what carries these owners' marks, and whatever lies in their folders."""
        for owner in owners:
            project = owner.project if isinstance(owner, Tenant) else ""
            prefix = f"{self.identity.organization}/{owner.workspace}/{project}/"
            await self.read(kind, mark_prefix=prefix)
        if kind == "space":
            for folder in self.things["folder"]:
                await self.read(kind, folder=folder)

    async def read_of_wanted(self, kind: str) -> None:
        """Read what may hold a wanted name already, and what is to be adopted."""
        names = {self.key_of(row): row["name"] for row in self.things[kind].values()}
        for resource in self.scope.wanted:
            if resource.kind == kind:
                name = str(resource.attributes["name"])
                if names.get(resource.key) != name:
                    await self.read(kind, name=name)
                if resource.adopt and resource.adopt not in self.things[kind]:
                    await self.read(kind, id=resource.adopt)

    async def read_folders_above(self) -> None:
        """Read the folders that the spaces lie in, or shall: they belong to the workspace."""
        for row in self.things["space"].values():
            if row["folder"] and row["folder"] not in self.things["folder"]:
                await self.read("folder", id=row["folder"])
        known = {self.key_of(row) for row in self.things["folder"].values()}
        folders = (resource.attributes.get("folder") for resource in self.scope.wanted)
        for key in sorted({folder.key for folder in folders if isinstance(folder, Ref)}):
            if key not in known:
                await self.read("folder", mark=str(key))

    async def read(self, kind: str, **filters: str) -> None:
        self.things[kind] |= {row["id"]: row for row in await self.rows(kind, **filters)}

    def add_thing(self, kind: str, row_id: str, row: Row) -> None:
        key = self.keys.get(row_id)
        attributes: dict[str, Value] = {}
        for name in _DECIDED[kind]:
            if name != "folder":
                attributes[name] = tuple(row[name]) if name == "tags" else row[name]
            elif (folder := str(row[name])) in self.keys and key is not None:
                attributes[name] = Ref(self.keys[folder])
            elif folder:
                # What is foreign refers by native ids only: so it is seen that a folder of ours holds it.
                attributes[name] = Native("folder", folder)
        if key is None:
            self.foreign.append(Foreign(kind, row_id, attributes))
        else:
            self.resources.append(Resource(key, kind, attributes, self.owner(key), row_id))

    # Links

    async def read_links(self) -> None:
        """Read who holds what on our spaces and folders or above, and who is in the groups concerned."""
        self.roles = {row["id"]: row["name"] for row in await self.rows("role")}
        targets = {row_id for kind in ("folder", "space") for row_id in self.things[kind]} & self.keys.keys()
        assignments = await self.rows_at("assignment", "target", targets | {ROOT})
        groups = self.things["group"].keys() & self.keys.keys()
        subjects = {row["subject"] for row in assignments if row["subject_kind"] == "group"}
        memberships = await self.rows_at("membership", "group", groups | subjects)
        for row in assignments:
            self.add_assignment(row)
        for row in memberships:
            self.add_membership(row)
        if {"folder", "space"} & self.incomplete.keys():
            self.incomplete.setdefault("assignment", "not all that they can be on was read")
        if "group" in self.incomplete:
            self.incomplete.setdefault("membership", "not all groups were read")

    def add_assignment(self, row: Row) -> None:
        if row["subject_kind"] == "group" and row["subject"] not in self.keys and "group" in self.incomplete:
            return  # it may be ours
        role = Native("role", row["role"], self.roles.get(row["role"], ""))
        attributes: dict[str, Value] = {"subject": self.subject(row), "role": role}
        target = self.keys.get(row["target"])
        if target is None:
            attributes["target"] = Native("root", row["target"])
            self.foreign.append(Foreign("assignment", row["id"], attributes))
            return
        attributes["target"] = Ref(target)
        key = Key(
            target.organization, target.workspace, target.project, f"grant/={row['role']}/={row['subject']}"
        )
        person = row["subject"] if row["subject_kind"] == "user" else ""
        self.resources.append(
            Resource(
                key, "assignment", attributes, self.owner(key), principal=person, workload=row["service"]
            )
        )

    def add_membership(self, row: Row) -> None:
        user = Native("user", row["user"], Personal(row["user_name"]))
        group = self.keys.get(row["group"])
        if group is None:
            group_attributes: dict[str, Value] = {"group": Native("group", row["group"]), "user": user}
            self.foreign.append(Foreign("membership", row["id"], group_attributes))
            return
        # No principal's id begins with '=', so an observed link never has the key of a desired one.
        key = group.child(f"member/={row['user']}")
        attributes: dict[str, Value] = {"group": Ref(group), "user": user}
        self.resources.append(
            Resource(
                key, "membership", attributes, self.owner(key), principal=row["user"], workload=row["service"]
            )
        )

    def subject(self, row: Row) -> Ref | Native:
        if row["subject_kind"] == "user":
            return Native("user", row["subject"], Personal(row["user_name"]))
        key = self.keys.get(row["subject"])
        return Ref(key) if key is not None else Native("group", row["subject"])

    async def rows_at(self, kind: str, end: str, ids: set[str]) -> list[Row]:
        """Links at these things: all links in one list for a sweep, else one list for each thing."""
        if self.scope.owners is None:
            return [row for row in await self.rows(kind) if row[end] in ids]
        return [row for one in sorted(ids) for row in await self.rows(kind, **{end: one})]

    # What is used and not owned

    async def read_finds(self) -> None:
        """Look users and roles up by name."""
        by_name: defaultdict[tuple[str, str], list[Native]] = defaultdict(list)
        for role_id, role in self.roles.items():
            by_name["role", role].append(Native("role", role_id, role))
        wanted = sorted({str(dict(find.by)["name"]) for find in self.scope.finds if find.kind == "user"})
        if self.scope.owners is None and wanted:
            users = await self.rows("user")
        else:
            users = [row for name in wanted for row in await self.rows("user", name=name)]
        for row in users:
            by_name["user", row["name"]].append(Native("user", row["id"], Personal(row["name"])))
        for find in self.scope.finds:
            self.found[find] = tuple(by_name[find.kind, str(dict(find.by)["name"])])

    # All together

    def observation(self, now: datetime) -> Observation:
        by_owner: defaultdict[Owner, list[Resource]] = defaultdict(list)
        natives: defaultdict[Key, list[str]] = defaultdict(list)
        for resource in self.resources:
            if resource.native_id:
                natives[resource.key].append(resource.native_id)
            if len(natives[resource.key]) <= 1 or not resource.native_id:
                by_owner[resource.owner].append(resource)
        return Observation(
            self.identity.name,
            now,
            None if self.scope.owners is None else frozenset(self.scope.owners),
            {owner: tuple(many) for owner, many in by_owner.items()},
            tuple(self.foreign),
            self.found,
            self.incomplete,
            tuple((key, tuple(sorted(ids))) for key, ids in sorted(natives.items()) if len(ids) > 1),
        )

    async def rows(self, kind: str, **filters: str) -> list[Row]:
        """All rows of a list, or none and a word why its kind is incomplete."""
        try:
            rows = await self.client.rows(COLLECTION.get(kind, f"{kind}s"), **filters)
        except Failed as failure:
            self.reason = self.incomplete[kind] = str(failure)
            self.advice = getattr(failure.outcome, "advice", "")
            return []
        self.calls_answered += 1
        return rows

    def key_of(self, row: Row) -> Key | None:
        key = Key.parse(row["mark"])
        return key if key is not None and key.organization == self.identity.organization else None

    def owner(self, key: Key) -> Owner:
        return owner_of(key, self.identity.name)
