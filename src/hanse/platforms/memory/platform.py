"""The reference platform: the contract in its smallest form, in the same files as every other platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime

from hanse.desired.compiled import Compiled
from hanse.desired.intent import Directory, Intent
from hanse.model import Access, Key, Outcome, Owner, Step, owner_of
from hanse.observed import Observation
from hanse.platforms.memory.access import access
from hanse.platforms.memory.blocks import LandingZoneBlock, PlatformBlock
from hanse.platforms.memory.client import Client, Failed
from hanse.platforms.memory.cloud import Cloud, CloudTransport
from hanse.platforms.memory.compile import compile_intent
from hanse.platforms.memory.kinds import KINDS
from hanse.platforms.memory.observe import observe
from hanse.platforms.memory.perform import perform
from hanse.ports.platform import Credential, Description, PlatformIdentity, Scope, Vendor
from hanse.ports.transport import Transport

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 30.0
"""Before it listens again to a stream that broke."""
DESCRIPTION = Description("memory", KINDS, PlatformBlock, LandingZoneBlock)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryPlatform:
    """A cloud in memory, as the core sees every cloud."""

    def __init__(
        self,
        identity: PlatformIdentity,
        transport: Transport,
        now: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._identity = identity
        self._client = Client(transport)
        self._now = now
        self._sleep = sleep

    def describe(self) -> Description:
        """Kinds and blocks."""
        return DESCRIPTION

    def compile(
        self,
        intent: Intent,
        directory: Directory,
        now: datetime,
        *,
        links: bool = True,
    ) -> Compiled:
        """Spaces, folders, groups, memberships and assignments."""
        return compile_intent(intent, directory, now)

    async def observe(self, scope: Scope) -> Observation:
        """Lists, or parts of them. Raises PlatformUnavailable where nothing can be read."""
        return await observe(self._client, self._identity, scope, self._now())

    def access(self, observation: Observation) -> Sequence[Access]:
        """Direct, by group, and inherited from folders and from the root."""
        return access(observation)

    async def hints(self) -> AsyncIterator[frozenset[Owner] | None]:
        """Owners of what changes, as it happens; None whenever it begins to listen."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            heard = False
            with suppress(Failed):
                async with aclosing(self._client.changes()) as changes:
                    async for marks in changes:
                        yield self._owners(marks) if heard else None
                        heard, pause = True, FIRST_PAUSE_SECONDS
            await self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _owners(self, marks: Iterable[str]) -> frozenset[Owner]:
        keys = (Key.parse(mark) for mark in marks)
        mine = self._identity.organization
        return frozenset(
            owner_of(key, self._identity.name) for key in keys if key and key.organization == mine
        )

    async def perform(self, step: Step) -> Outcome:
        """One write, or none where it holds already."""
        return await perform(self._client, step)


def _connect(credential: Credential) -> Transport:
    return CloudTransport(Cloud())


VENDOR = Vendor(DESCRIPTION, _connect, MemoryPlatform)
