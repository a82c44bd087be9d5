"""How hard a platform is driven: requests per second and at once, less when it asks for mercy."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hanse.ports.store import StoreError
from hanse.ports.transport import Call, Reply, Transport

THROTTLED = (429, 503)
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
SLOWEST_PER_SECOND = 0.5
DRAWN_SECONDS = 0.25
"""For how long turns are drawn at once from a budget that other processes have, too."""
INSTANT = 1e-6
"""Seconds that are not worth a sleep: sums of fractions are not exact."""
RECOVERY_REPLIES = 200
"""So many untroubled replies bring the rate back from nothing to its maximum."""


class RateBudget:
    """One budget for all that work on one platform instance.

    A reply of 429 or 503 is no failure: everybody pauses as long as Retry-After asks (seconds or an HTTP
    date; without it exponentially longer, with jitter), the rate is halved, and the call is sent again. Each
    untroubled reply gives a little of the rate back (additive increase, multiplicative decrease). A call
    whose pauses would take more than `patience` seconds together gets the throttling reply as it is.

    Where several processes work on the platform, its rate is drawn from what all of them have (`draw`), and each has
    its part of the calls under way at once. While that cannot be asked, each goes by its own clock.
    """

    def __init__(  # noqa: PLR0913
        self,
        inner: Transport,
        per_second: float = 20.0,
        concurrency: int = 4,
        patience: float = 60.0,
        *,
        draw: Callable[[int, float], Awaitable[float]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Limit `inner` to so many requests a second, with at most a second's worth at once after a rest."""
        self._inner = inner
        self.most = per_second
        self.waiting = 0
        self._rate = per_second
        self._least = min(per_second, SLOWEST_PER_SECOND)
        self._patience = patience
        self._draw = draw
        self._drawn: deque[float] = deque()
        """When calls may go that were drawn already."""
        self._concurrency = concurrency
        self._processes = 1
        self._under_way = 0
        self._place = asyncio.Condition()
        self._gate = asyncio.Lock()
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._jitter = jitter
        self._next = clock()
        """When the bucket would be empty: calls are let through before it, as many as a second has."""
        self._paused_until = clock()
        self._shrunk_at = clock() - 1.0

    @property
    def rate(self) -> float:
        """Requests per second that are allowed at present."""
        return self._rate

    def share(self, processes: int) -> None:
        """From now on so many processes work on the platform, this one among them."""
        self._processes = max(processes, 1)

    @property
    def _places(self) -> int:
        """Calls that this process may have under way at once."""
        return max(self._concurrency // self._processes, 1)

    async def send(self, call: Call) -> Reply:
        """The reply; 429 or 503 only after patience ended. Raises as the inner transport does."""
        waited = 0.0
        for attempt in range(1_000_000):
            self.waiting += 1
            try:
                await self._turn()
                async with self._place:
                    await self._place.wait_for(lambda: self._under_way < self._places)
                    self._under_way += 1
            finally:
                self.waiting -= 1
            try:
                reply = await self._inner.send(call)
            finally:
                self._under_way -= 1
                async with self._place:
                    self._place.notify(2)  # two, for there may be more places than there were
            if reply.status not in THROTTLED:
                self._rate = min(self.most, self._rate + self.most / RECOVERY_REPLIES)
                return reply
            pause = self._pause(reply, attempt)
            waited += pause
            if waited > self._patience:
                return reply
            self._shrink()
            self._paused_until = max(self._paused_until, self._clock() + pause)
        raise AssertionError("patience has no end")

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The lines as they come. Opening takes its turn; while it stays open it takes no place from other calls."""
        await self._turn()
        async for line in self._inner.stream(call):
            yield line

    async def close(self) -> None:
        """Let go of connections. May be called twice."""
        await self._inner.close()

    async def _turn(self) -> None:
        """Wait until this call may go: not within a pause, and not faster than the rate."""
        # One after the other: if all waited for the clock, each turn would wake all of them.
        async with self._gate:
            drawn = await self._drawn_turn()
            while True:
                now = self._clock()
                at_once = max(0.0, 1.0 - 1.0 / self._rate)
                at = max(self._next - at_once if drawn is None else drawn, self._paused_until)
                if at - now <= INSTANT:
                    if drawn is None:
                        self._next = max(self._next, now) + 1.0 / self._rate
                    return
                await self._sleep(at - now)

    async def _drawn_turn(self) -> float | None:
        """When the next call may go, of what all processes have; None: this one goes by its own clock."""
        if self._draw is None or self._processes == 1:
            return None
        if not self._drawn:
            rate = self._rate
            count = max(1, int(rate * DRAWN_SECONDS)) if self.waiting > 1 else 1
            try:
                wait = await self._draw(count, rate)
            except StoreError:
                return None
            now = self._clock()
            self._drawn.extend(now + wait + number / rate for number in range(count))
        return self._drawn.popleft()

    def _shrink(self) -> None:
        """Halve the rate, once a second at most: what was under way together is throttled together."""
        if self._clock() - self._shrunk_at >= 1.0:
            self._shrunk_at = self._clock()
            self._rate = max(self._least, self._rate / 2)

    def _pause(self, reply: Reply, attempt: int) -> float:
        asked = _retry_after(reply.headers.get("retry-after", ""), self._now())
        if asked is not None:
            # At least a little, or a server that asks for nothing would be asked for ever.
            return min(max(asked, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        longest: float = min(FIRST_PAUSE_SECONDS * 2**attempt, LONGEST_PAUSE_SECONDS)
        return longest * (0.5 + self._jitter() / 2)


def _retry_after(text: str, now: datetime) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3): a number or an HTTP date; else None."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
