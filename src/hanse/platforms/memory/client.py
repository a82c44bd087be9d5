"""The only place that speaks to the cloud: calls, pages, and what went wrong as one exception."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import msgspec

from hanse.model import NotYet, Refused, Unsure
from hanse.ports.transport import Call, NoReply, NotAllowed, NotSent, Reply, Transport, TransportError

Row = dict[str, Any]
PAGE_SIZE = 100
RETRY_SECONDS = 5.0
"""When to try again where the cloud does not say."""


class Failed(Exception):
    """A call did not do what was asked; `outcome` says what that means for a step."""

    def __init__(self, outcome: NotYet | Refused | Unsure, status: int = 0) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.status = status
        """The reply's status; 0 where none came."""


class Client:
    """Typed calls over a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def rows(self, collection: str, **filters: str) -> list[Row]:
        """All rows that pass the filters, page by page. Raises Failed if any page cannot be read."""
        rows: list[Row] = []
        after = 0
        while after is not None:
            query = filters | {"limit": str(PAGE_SIZE), "after": str(after)}
            page = await self._call("GET", f"/{collection}", query, label=f"list {collection}")
            if len(page["items"]) != page["count"]:
                raise Failed(Unsure(f"a page of {collection} lacks rows"))
            rows += page["items"]
            after = page["next"]
        return rows

    async def row(self, collection: str, row_id: str) -> Row | None:
        """One row, or None where there is none. Raises Failed."""
        try:
            answer: Row = await self._call("GET", f"/{collection}/{row_id}", {}, label=f"show {collection}")
        except Failed as failure:
            if failure.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return answer

    async def write(self, method: str, collection: str, *path: str, body: Row | None = None) -> Row:
        """Change something; the row as it is now, empty after a deletion. Raises Failed."""
        label = f"{method.lower()} {collection}"
        return await self._call(method, "/".join(("", collection, *path)), {}, body, label) or {}

    async def changes(self) -> AsyncGenerator[list[str], None]:
        """The marks of what changes, as it happens; an empty list once it listens. Raises Failed when it broke."""
        call = Call("GET", "/changes", label="watch changes")
        try:
            async with aclosing(self._transport.stream(call)) as lines:  # type: ignore[type-var]
                async for line in lines:
                    yield msgspec.json.decode(line, type=list[str])
        except (TransportError, msgspec.DecodeError) as error:
            raise Failed(
                NotYet(RETRY_SECONDS, f"the stream of changes broke: {type(error).__name__}")
            ) from error

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Row | None = None, label: str = ""
    ) -> Any:
        call = Call(method, path, tuple(query.items()), body, label)
        try:
            reply = await self._transport.send(call)
        except NotSent as error:
            raise Failed(NotYet(RETRY_SECONDS, str(error))) from error
        except NoReply as error:
            raise Failed(Unsure(str(error))) from error
        except NotAllowed as error:
            raise Failed(Refused(str(error), error.advice), 401) from error
        return _content(reply, label)


def _content(reply: Reply, label: str) -> Any:
    """What a good reply holds. Raises Failed for any other."""
    try:
        content = msgspec.json.decode(reply.body) if reply.body else None
    except msgspec.DecodeError:
        raise Failed(Unsure(f"an answer that cannot be read (status {reply.status})"), 0) from None
    if reply.status < HTTPStatus.BAD_REQUEST:
        return content
    # The text of an error may repeat what was sent. None of it is passed on.
    raise Failed(_outcome(reply, f"{label}: the cloud answered {reply.status}"), reply.status)


def _outcome(reply: Reply, message: str) -> NotYet | Refused | Unsure:
    if reply.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return NotYet(_seconds(reply.headers.get("retry-after", "")), message)
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unsure(message)
    if reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Refused(message, "give the platform's credential the rights that docs/ lists, or another one")
    if reply.status == HTTPStatus.NOT_FOUND:
        # What a step refers to went away after it was planned; the next plan knows.
        return NotYet(RETRY_SECONDS, message)
    return Refused(message, "mend it on the platform or change the manifest")


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else RETRY_SECONDS
