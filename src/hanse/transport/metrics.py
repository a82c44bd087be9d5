"""Counting calls, and telling who listens: how many of which sort, how they ended and how long they took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from hanse.ports.transport import (
    PASS_ID,
    STEP_ID,
    Call,
    Called,
    NotStreamed,
    Reply,
    Traffic,
    Transport,
    TransportError,
)


@dataclass
class Counters:
    """What was sent so far. Plain numbers: `clear()` begins anew."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By label and status, such as `("list projects", "200")`; the error's name where no reply came."""
    seconds: Counter[str] = field(default_factory=Counter)
    """By label, waiting for the platform included, waiting for a budget outside not."""
    reads: int = 0
    writes: int = 0

    @property
    def total(self) -> int:
        """All calls."""
        return self.reads + self.writes

    def labelled(self, label: str) -> int:
        """Calls of one sort."""
        return sum(n for (name, _), n in self.calls.items() if name == label)

    def clear(self) -> None:
        """Begin at nought."""
        self.calls.clear()
        self.seconds.clear()
        self.reads = self.writes = 0


class Metered:
    """Counts what goes through, and tells it."""

    def __init__(
        self,
        inner: Transport,
        counters: Counters | None = None,
        clock: Callable[[], float] = time.perf_counter,
        *,
        platform: str = "",
        traffic: Traffic | None = None,
    ) -> None:
        """Count into `counters`, or into new ones; tell the listeners of `traffic` of calls to that platform."""
        self._inner = inner
        self._clock = clock
        self._platform = platform
        self._traffic = traffic or Traffic()
        self.counters = counters if counters is not None else Counters()

    async def send(self, call: Call) -> Reply:
        """The inner transport's reply or error."""
        began = self._clock()
        ended = "cancelled"
        try:
            reply = await self._inner.send(call)
            ended = str(reply.status)
        except TransportError as error:
            ended = type(error).__name__
            raise
        else:
            return reply
        finally:
            counters, took = self.counters, self._clock() - began
            counters.calls[call.label, ended] += 1
            counters.seconds[call.label] += took  # type: ignore[assignment]
            if call.is_write:
                counters.writes += 1
            else:
                counters.reads += 1
            self._tell(call, ended, took)

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The lines as they come; counted as one call when it ends."""
        self.counters.reads += 1
        ended, began = "200", self._clock()
        try:
            async for line in self._inner.stream(call):
                yield line
        except NotStreamed as answered:
            ended = str(answered.reply.status)
            raise
        except TransportError as error:
            ended = type(error).__name__
            raise
        finally:
            self.counters.calls[call.label, ended] += 1
            self._tell(call, ended, self._clock() - began)

    def _tell(self, call: Call, ended: str, seconds: float) -> None:
        for listener in self._traffic.listeners:
            listener(
                Called(
                    PASS_ID.get(), self._platform, call.label, call.is_write, ended, seconds, STEP_ID.get()
                )
            )

    async def close(self) -> None:
        """Let go of connections. May be called twice."""
        await self._inner.close()
