"""Keystone's Identity API v3 over a transport: pages, errors in our own words, nothing decided.

Facts that shape it, measured on Keystone 30.0.0 unless said otherwise:

- Lists of projects, groups, users and domains are cut at 1,000 rows. Without `limit` the cut is silent; with it
  the reply has `truncated` and `links.next`. So these are always asked for with a limit.
- Lists of a group's users, of a user's groups and of roles are whole without `limit`; with it they are cut, and
  `marker` is ignored, so that following `links.next` would never end. So these are never asked for with a limit.
- `name__startswith` and `tags` filter after the cut, so they find nothing beyond the first 1,000 rows.
- A federated user comes twice in `GET /users?name=`.
- The text of an error may repeat what was sent. None of it is passed on, but for the name of a policy rule.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Struct

from hanse.ports.platform import PlatformUnavailable
from hanse.ports.transport import Call, NoReply, NotAllowed, NotSent, Reply, Transport

MAJOR = 3
"""Of the Identity API."""
REDIRECT, NOT_FOUND, SERVER_ERROR = 300, 404, 500
TAGS_SINCE = (3, 9)
"""Project tags came with Identity API 3.9 (Identity API v3 reference, 'What's New in Version 3.9')."""
PAGE = 1000
PAGED = frozenset({"projects", "groups", "users", "domains"})
"""Collections at the top that Keystone pages."""
LIST_SECONDS = 300.0
"""A list of all role assignments takes Keystone about 60 s per 100,000 projects."""
_RULE = re.compile(rb"identity:[a-z_]{3,60}")

Row = dict[str, Any]
Query = tuple[tuple[str, str], ...]


class Failed(Exception):
    """Keystone answered with an error."""

    def __init__(self, status: int, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.status = status
        self.reply = reply

    @property
    def rule(self) -> str:
        """The policy rule that said no, such as `identity:create_domain`; empty where none is named."""
        found = _RULE.search(self.reply.body[:4096])
        return found.group().decode() if found else ""

    def says(self, *words: bytes) -> bool:
        """Whether the error's text has any of these words."""
        return any(word in self.reply.body[:4096] for word in words)


class Broken(Exception):
    """Keystone's reply is none that the API describes."""


class Listing(Struct, frozen=True):
    """A list, and why it is not all of it, if so."""

    rows: list[Row]
    cut: str = ""


class Keystone:
    """Calls to one Keystone."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._version: tuple[int, int] | None = None

    async def version(self) -> tuple[int, int]:
        """Version of the Identity API, such as (3, 14), asked for once. Raises PlatformUnavailable below 3.0."""
        if self._version is None:
            self._version = await self._discover()
        return self._version

    async def has_tags(self) -> bool:
        """Whether projects have tags that can be searched for. Raises as `version`."""
        return await self.version() >= TAGS_SINCE

    async def get(self, path: str, label: str, query: Query = (), seconds: float | None = None) -> Row:
        """The document at a path. Raises Failed, Broken, or as the transport does."""
        document = _document(await self.call(Call("GET", path, query, label=label, timeout=seconds)))
        if not isinstance(document, dict):
            raise Broken(f"{label}: the reply is no object")
        return document

    async def find(self, path: str, label: str) -> Row | None:
        """The one thing at a path, such as `/v3/projects/{id}`; None where there is none."""
        try:
            document = await self.get(path, label)
        except Failed as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return next((value for value in document.values() if isinstance(value, dict)), None)

    async def list(self, path: str, label: str, query: Query = ()) -> Listing:
        """All rows at a path, page by page; what could not be read is said, not raised, once a page has come.

        Raises Failed, Broken, or as the transport does, where not even the first page comes.
        """
        collection = path.rsplit("/", 1)[1]
        if path == f"/v3/{collection}" and collection in PAGED:
            query = (*query, ("limit", str(PAGE)))
        rows: dict[str, Row] = {}
        unnamed: list[Row] = []
        asked: set[Query] = set()
        while True:
            asked.add(query)
            try:
                document = await self.get(path, label, query, LIST_SECONDS)
                page = document.get(collection)
                if not isinstance(page, list):
                    raise Broken(f"{label}: the reply has no {collection}")
            except (Failed, Broken, NoReply, NotSent) as error:
                if len(asked) == 1:
                    raise
                return Listing([*rows.values(), *unnamed], f"{label}: page {len(asked)}: {error}")
            before = len(rows)
            for row in page:
                if "id" in row:
                    rows.setdefault(row["id"], row)
                else:
                    unnamed.append(row)
            following = (document.get("links") or {}).get("next")
            if not following:
                cut = f"{label}: Keystone cut the list" if document.get("truncated") else ""
                return Listing([*rows.values(), *unnamed], cut)
            query = tuple(parse_qsl(urlsplit(following).query, keep_blank_values=True))
            if query in asked or (page and len(rows) == before):
                return Listing(
                    [*rows.values(), *unnamed], f"{label}: the next page is one that was read already"
                )

    async def write(self, method: str, path: str, label: str, body: Any = None) -> Row:
        """Change something; the document that comes back, empty where none does. Raises as `get`."""
        reply = await self.call(Call(method, path, body=body, label=label))
        if not reply.body:
            return {}
        document = _document(reply)
        return document if isinstance(document, dict) else {}

    async def call(self, call: Call) -> Reply:
        """The reply of a call that went well. Raises Failed, or as the transport does."""
        reply = await self._transport.send(call)
        if reply.status >= REDIRECT:
            raise Failed(reply.status, f"{call.label}: Keystone answered {reply.status}", reply)
        return reply

    async def _discover(self) -> tuple[int, int]:
        """Ask `GET /v3`, which needs no token: Identity API v3, 'Show v3 API details'."""
        try:
            document = await self.get("/v3", "discover")
            told = re.fullmatch(r"v(\d+)\.(\d+)", str((document.get("version") or {}).get("id", "")))
        except Failed as error:
            if error.status in (401, 429) or error.status >= SERVER_ERROR:
                raise
            told = None
        except Broken:
            told = None
        if told is None or int(told[1]) != MAJOR:
            raise PlatformUnavailable(
                "no Identity API v3 answers at the bound endpoint",
                "bind the endpoint that stands before /v3, such as https://keystone.example.org:5000; "
                "Keystone must offer Identity API 3.0 or newer",
            )
        return int(told[1]), int(told[2])


def unavailable(error: Failed | Broken | NoReply | NotSent | NotAllowed) -> PlatformUnavailable:
    """The error as one that says that nothing can be read at all."""
    match error:
        case NotAllowed():
            return PlatformUnavailable(str(error), error.advice)
        case Failed(status=401 | 403):
            right = f" (rule {error.rule})" if error.rule else ""
            return PlatformUnavailable(
                f"{error}{right}: the account may not read it",
                "give the account the role reader on the system to plan, or admin on a project to apply",
            )
        case Failed():
            return PlatformUnavailable(str(error), "see Keystone's own log")
        case Broken():
            return PlatformUnavailable(str(error), "check that the endpoint is Keystone and no other server")
        case _:
            return PlatformUnavailable(str(error), "check that Keystone runs and the endpoint is right")


def _document(reply: Reply) -> Any:
    try:
        return msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        raise Broken("the reply is no JSON") from None
