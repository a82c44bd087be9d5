"""A cloud in memory with the manners of a real one: resources by path, pages, marks, 404 and 409.

It is the counterpart of the reference platform, so that every promise of the contract can be tried without a
network. It knows nothing of Hanse: a `mark` is a text that whoever makes a thing may put on it.

    /folders /spaces /groups     things: POST, PATCH, DELETE; a space may lie in a folder
    /users /roles                read only through the surface; `add_user` and `add_role` make them
    /changes                     a stream: the marks of what changes, as it happens
    /memberships/{group}/{user}  and /assignments/{target}/{role}/{subject}: links, PUT and DELETE

What is assigned on a folder holds in all its spaces, what is assigned on `root` holds everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from hanse.ports.transport import Call, Reply

Row = dict[str, Any]
ROOT = "root"
"""The target that lies above everything; it is always there."""

_FIELDS: Mapping[str, Row] = {
    "folders": {"name": None, "description": "", "mark": ""},
    "spaces": {"name": None, "description": "", "enabled": True, "tags": [], "folder": "", "mark": ""},
    "groups": {"name": None, "description": "", "mark": ""},
}
"""Fields of things that callers may set, with what each is unless it is said; None: it must be said."""
_FIXED = {"spaces": ("folder",)}
_LINKS = {"memberships": ("group", "user"), "assignments": ("target", "role", "subject")}


class _Rejected(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Cloud:
    """All there is, in plain dicts; the same calls always give the same answers and ids."""

    def __init__(self, page_size: int = 100) -> None:
        self.page_size = page_size
        """Rows in one answer at most, whatever limit is asked for."""
        self.rows: dict[str, dict[str, Row]] = {
            name: {} for name in ("folders", "spaces", "groups", "users", "roles", *_LINKS)
        }
        self._number = 0
        self._watchers: list[asyncio.Queue[bytes]] = []

    def answer(self, call: Call) -> Reply:
        """What the cloud does and says."""
        before = self._marks(call)
        try:
            status, content = self._do(call)
        except _Rejected as rejection:
            status, content = rejection.status, {"error": str(rejection)}
        else:
            if call.method != "GET":
                made = str(content.get("mark", "")) if content else ""
                self._tell({*before, *self._marks(call), made} - {""})
        return Reply(status, {"content-type": "application/json"}, msgspec.json.encode(content))

    def watch(self) -> asyncio.Queue[bytes]:
        """A queue that gets a JSON list of marks for each change from now on; an empty one is there at once."""
        self._watchers.append(asyncio.Queue())
        self._watchers[-1].put_nowait(b"[]")
        return self._watchers[-1]

    def unwatch(self, queue: asyncio.Queue[bytes]) -> None:
        """Tell that queue no more."""
        self._watchers = [other for other in self._watchers if other is not queue]

    def _marks(self, call: Call) -> set[str]:
        """Marks of the things that a call names in its path."""
        ids = call.path.strip("/").split("/")[1:]
        return {str(rows[i].get("mark", "")) for rows in self.rows.values() for i in ids if i in rows}

    def _tell(self, marks: set[str]) -> None:
        for queue in self._watchers:
            queue.put_nowait(msgspec.json.encode(sorted(marks)))

    def add_user(self, name: str, service: bool = False) -> Row:
        """A person, or a service account. Names may repeat."""
        return self._insert("users", self._id("user"), {"name": name, "service": service})

    def add_role(self, name: str) -> Row:
        """Something that can be assigned."""
        return self._insert("roles", self._id("role"), {"name": name})

    def _do(self, call: Call) -> tuple[int, Any]:
        collection, *path = call.path.strip("/").split("/")
        if collection not in self.rows:
            raise _Rejected(404, f"no such collection: {collection}")
        match call.method, path:
            case "GET", []:
                return 200, self._page(collection, dict(call.query))
            case "GET", [thing]:
                return 200, self._get(collection, thing)
            case "POST", [] if collection in _FIELDS:
                return 201, self._create(collection, call.body or {})
            case "PATCH", [thing] if collection in _FIELDS:
                return 200, self._change(collection, thing, call.body or {})
            case "PUT", ends if len(ends) == len(_LINKS.get(collection, ())):
                return 200, self._link(collection, ends)
            case "DELETE", [*ends] if ends and collection in {*_FIELDS, *_LINKS}:
                self._delete(collection, "/".join(ends))
                return 204, None
        raise _Rejected(405, f"{call.method} is not possible on {call.path}")

    def _page(self, collection: str, query: dict[str, str]) -> Row:
        limit = min(int(query.pop("limit", self.page_size)), self.page_size)
        after = int(query.pop("after", 0))
        prefix = query.pop("mark_prefix", "")
        rows = [
            row
            for row in self.rows[collection].values()
            if row["number"] > after
            and row.get("mark", "").startswith(prefix)
            and all(row.get(name) == value for name, value in query.items())
        ]
        shown = [self._shown(collection, row) for row in rows[:limit]]
        following = rows[limit - 1]["number"] if len(rows) > limit else None
        return {"items": shown, "count": len(shown), "next": following}

    def _shown(self, collection: str, row: Row) -> Row:
        """Of a link also who it is about, so that nobody has to look up every user."""
        if collection not in _LINKS:
            return row
        who = row.get("user") or row["subject"]
        user = self.rows["users"].get(who)
        if user is None:
            return row | {"subject_kind": "group", "service": False}
        return row | {"subject_kind": "user", "user_name": user["name"], "service": user["service"]}

    def _get(self, collection: str, row_id: str) -> Row:
        try:
            return self.rows[collection][row_id]
        except KeyError:
            raise _Rejected(404, f"nothing there: {collection}/{row_id}") from None

    def _create(self, collection: str, body: Row) -> Row:
        row = _FIELDS[collection] | body
        self._check(collection, row, body)
        return self._insert(collection, self._id(collection[:-1]), row)

    def _change(self, collection: str, row_id: str, body: Row) -> Row:
        row = self._get(collection, row_id)
        fixed = [name for name in _FIXED.get(collection, ()) if name in body and body[name] != row[name]]
        if fixed:
            raise _Rejected(400, f"cannot be changed: {', '.join(fixed)}")
        self._check(collection, row | body, body)
        row.update(body)
        return row

    def _check(self, collection: str, row: Row, body: Row) -> None:
        unknown = body.keys() - _FIELDS[collection].keys()
        if unknown or not row["name"]:
            raise _Rejected(400, f"unknown fields: {sorted(unknown)}" if unknown else "a name is needed")
        if row.get("folder"):
            self._get("folders", row["folder"])
        for other in self.rows[collection].values():
            same = other["name"] == row["name"] and other.get("folder") == row.get("folder")
            if same and other["id"] != row.get("id"):
                raise _Rejected(409, f"the name {row['name']} is taken by {other['id']}")

    def _delete(self, collection: str, row_id: str) -> None:
        self._get(collection, row_id)
        if collection == "folders" and any(
            space["folder"] == row_id for space in self.rows["spaces"].values()
        ):
            raise _Rejected(409, f"{row_id} is not empty")
        del self.rows[collection][row_id]
        for links in _LINKS:
            self.rows[links] = {
                key: row for key, row in self.rows[links].items() if row_id not in key.split("/")
            }

    def _link(self, collection: str, ends: list[str]) -> Row:
        for name, end in zip(_LINKS[collection], ends, strict=True):
            self._must_exist(name, end)
        link = "/".join(ends)
        return self.rows[collection].get(link) or self._insert(
            collection, link, dict(zip(_LINKS[collection], ends, strict=True))
        )

    def _must_exist(self, end: str, row_id: str) -> None:
        homes = {"target": ("spaces", "folders"), "subject": ("users", "groups")}.get(end, (f"{end}s",))
        if row_id != ROOT and not any(row_id in self.rows[home] for home in homes):
            raise _Rejected(404, f"no {end} {row_id}")

    def _insert(self, collection: str, row_id: str, row: Row) -> Row:
        self._number += 1
        self.rows[collection][row_id] = {"id": row_id, "number": self._number} | row
        return self.rows[collection][row_id]

    def _id(self, kind: str) -> str:
        return f"{kind}-{self._number + 1}"


class CloudTransport:
    """Carries calls to a cloud in memory. Every wrapper around a transport fits around this one too."""

    def __init__(self, cloud: Cloud, pause: Callable[[], Any] = lambda: asyncio.sleep(0)) -> None:
        self._cloud = cloud
        self._pause = pause

    async def send(self, call: Call) -> Reply:
        """The cloud's answer, after other tasks had their turn, as with a real network."""
        await self._pause()
        return self._cloud.answer(call)

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """`GET /changes`: an empty list, then a line for each change from there on, with the marks that it is about."""
        queue = self._cloud.watch()
        try:
            while True:
                yield await queue.get()
        finally:
            self._cloud.unwatch(queue)

    async def close(self) -> None:
        """Nothing is held."""
