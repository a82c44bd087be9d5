"""Time that is driven: who sleeps wakes as soon as nobody has anything to do, so that a year takes minutes."""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hanse.store.database import Engine, Job, Write

T = TypeVar("T")
TURNS = 8
"""So many turns of the loop without anything under way outside of it, and everybody waits for the clock."""


@dataclass
class Clock:
    """The time, which stands still while anybody works."""

    at: datetime
    busy: Busy
    _waiting: list[tuple[datetime, int, asyncio.Future[None]]] = field(default_factory=list)
    _number: int = 0

    def __call__(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self._number += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        wakes = self.at + timedelta(seconds=max(seconds, 0.001))  # else what is rounded off is slept for ever
        heapq.heappush(self._waiting, (wakes, self._number, future))
        await future

    async def go_to(self, at: datetime) -> None:
        """Let time pass; everybody has done what they had to do when this returns."""
        await self.busy.over()
        while self._waiting and self._waiting[0][0] <= at:
            self.at = max(self.at, self._waiting[0][0])
            while self._waiting and self._waiting[0][0] <= self.at:
                _, _, future = heapq.heappop(self._waiting)
                if not future.done():
                    future.set_result(None)
            await self.busy.over()
        self.at = max(self.at, at)

    async def pass_by(self, **span: float) -> None:
        await self.go_to(self.at + timedelta(**span))


class Busy:
    """Counts what is under way outside of the loop: in the store's threads, and in those that look at git."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(_Executor(self))

    def begins(self) -> None:
        with self._lock:
            self._count += 1

    def ends(self) -> None:
        with self._lock:
            self._count -= 1
        self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        if self._count:
            self._idle.clear()
        else:
            self._idle.set()

    async def over(self) -> None:
        """Wait until nothing is under way, in the loop or outside."""
        quiet = 0
        while quiet < TURNS:
            await asyncio.sleep(0)
            quiet += 1
            if self._count:
                quiet = 0
                self._look()
                await self._idle.wait()

    async def counted(self, awaited: Awaitable[T]) -> T:
        self.begins()
        try:
            return await awaited
        finally:
            self.ends()


class _Executor(ThreadPoolExecutor):
    def __init__(self, busy: Busy) -> None:
        super().__init__(4)
        self._busy = busy

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._busy.begins()
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(lambda _: self._busy.ends())
        return future


class CountedEngine:
    """An engine of the store, whose work counts."""

    def __init__(self, inner: Engine, busy: Busy) -> None:
        self.inner = inner
        self.writer = inner.writer
        self.distributed = inner.distributed
        self._busy = busy

    def submit(self, job: Job[T]) -> Future[T]:
        return self.inner.submit(job)

    async def write(self, job: Job[T]) -> T:
        return await self._busy.counted(self.inner.write(job))

    async def append(self, write: Write[T], entries: Sequence[Any] = (), *, held: bool = False) -> T:
        return await self._busy.counted(self.inner.append(write, entries, held=held))

    async def read(self, job: Job[T]) -> T:
        return await self._busy.counted(self.inner.read(job))

    async def snapshot(self, job: Job[T]) -> T:
        return await self._busy.counted(self.inner.snapshot(job))

    async def hold(self, *, shared: bool = False) -> None:
        await self._busy.counted(self.inner.hold(shared=shared))

    async def written_elsewhere(self) -> int:
        return await self._busy.counted(self.inner.written_elsewhere())

    def hear(self, heard: Callable[[str], None]) -> None:
        self.inner.hear(heard)

    async def sharing(self) -> int:
        return await self._busy.counted(self.inner.sharing())

    async def close(self) -> None:
        await self.inner.close()
