"""Writing down which calls were made. Calls carry no credential at this seam, so a record holds none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from hanse.ports.transport import Call, Reply, Transport, TransportError


@dataclass(frozen=True)
class Entry:
    """One call and how it ended: the status, or the error's name."""

    call: Call
    ended: str


@dataclass
class Recorded:
    """Keeps each call and its end, in the order in which they ended."""

    inner: Transport
    entries: list[Entry] = field(default_factory=list)

    async def send(self, call: Call) -> Reply:
        """The inner transport's reply or error."""
        try:
            reply = await self.inner.send(call)
        except TransportError as error:
            self.entries.append(Entry(call, type(error).__name__))
            raise
        self.entries.append(Entry(call, str(reply.status)))
        return reply

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The inner transport's lines; written down when they begin to be asked for."""
        self.entries.append(Entry(call, "streamed"))
        async for line in self.inner.stream(call):
            yield line

    async def close(self) -> None:
        """Let go of connections. May be called twice."""
        await self.inner.close()

    @property
    def writes(self) -> list[Call]:
        """The calls that can have changed the platform."""
        return [entry.call for entry in self.entries if entry.call.is_write]
