"""Calls that fail on purpose, in every way in which a network and a server can fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from hanse.ports.transport import Call, NoReply, NotSent, NotStreamed, Reply, Transport

FaultKind = Literal[
    "error-500",
    "throttled-429",
    "lost-before",
    "lost-after",
    "cut",
    "short-page",
    "broken-body",
]
"""error-500, throttled-429: such a reply, the call is not forwarded · lost-before: no reply, not forwarded ·
lost-after: forwarded, then no reply · cut: refused before a byte was sent · short-page: a well-formed list
reply with half its rows and no way to the next page · broken-body: a reply cut in the middle of its JSON"""


@dataclass(frozen=True)
class Fault:
    """One sort of failure, at the n-th of the calls that it is about."""

    kind: FaultKind
    label: str = ""
    """Only calls of this label; empty: all."""
    nth: int = 1
    """The first call that fails, counted from 1 among those."""
    times: int = 1
    """How many in a row fail; 0: all from there on."""
    retry_after: str = "1"
    """Of throttled-429: the header's text; empty: no header."""

    def hits(self, count: int) -> bool:
        """Whether the count-th call fails."""
        return count >= self.nth and (not self.times or count < self.nth + self.times)


@dataclass
class Faulty:
    """Lets calls through but for those that a fault hits."""

    inner: Transport
    faults: list[Fault] = field(default_factory=list)
    struck: list[tuple[Fault, Call]] = field(default_factory=list)
    """What happened so far."""
    _counts: dict[int, int] = field(default_factory=dict)

    async def send(self, call: Call) -> Reply:
        """The inner transport's reply or error, or the fault's."""
        fault = self._next_fault(call)
        return await self.inner.send(call) if fault is None else await self._fail(fault, call)

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The inner transport's lines. A fault hits where the stream is opened, `lost-after` after its first line."""
        fault = self._next_fault(call)
        if fault is not None and fault.kind in ("error-500", "throttled-429"):
            reply = await self._fail(fault, call)
            raise NotStreamed(f"{call.label}: answered {reply.status}", reply)
        if fault is not None and fault.kind != "lost-after":
            raise (NotSent if fault.kind == "cut" else NoReply)("injected: no stream")
        async for line in self.inner.stream(call):
            yield line
            if fault is not None:
                raise NoReply("injected: the stream broke")

    def _next_fault(self, call: Call) -> Fault | None:
        """The fault that hits this call, which is counted."""
        for index, fault in enumerate(self.faults):
            if fault.label in ("", call.label):
                count = self._counts[index] = self._counts.get(index, 0) + 1
                if fault.hits(count):
                    self.struck.append((fault, call))
                    return fault
        return None

    async def close(self) -> None:
        """Let go of connections. May be called twice."""
        await self.inner.close()

    async def _fail(self, fault: Fault, call: Call) -> Reply:
        match fault.kind:
            case "error-500":
                return Reply(500, {}, b'{"error": {"code": 500, "message": "injected"}}')
            case "throttled-429":
                return Reply(429, {"retry-after": fault.retry_after} if fault.retry_after else {}, b"")
            case "lost-before":
                raise NoReply("injected: lost on the way there")
            case "cut":
                raise NotSent("injected: no connection")
            case "lost-after":
                await self.inner.send(call)
                raise NoReply("injected: lost on the way back")
            case "short-page":
                return _rebuilt(await self.inner.send(call), _halve)
            case "broken-body":
                reply = await self.inner.send(call)
                return replace(reply, body=reply.body[: len(reply.body) // 2])


def _rebuilt(reply: Reply, change: Callable[[Any], Any]) -> Reply:
    try:
        document = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return reply
    return replace(reply, body=msgspec.json.encode(change(document)))


def _halve(document: Any) -> Any:
    """Half of each list at the top of a document, with no trace of the rest."""
    if not isinstance(document, dict):
        return document
    halved: dict[str, Any] = {k: v[: len(v) // 2] if isinstance(v, list) else v for k, v in document.items()}
    halved.pop("truncated", None)
    for place in ("links", "metadata"):
        way = halved.get(place)
        if isinstance(way, dict):
            halved[place] = {k: v for k, v in way.items() if k not in ("next", "continue")}
    return halved
