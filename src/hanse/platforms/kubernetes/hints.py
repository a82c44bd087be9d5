"""Watches: the API server tells what happens, and by its namespace we know whose business it is.

Each collection is listed for the version it is at, and watched from there on. A watch that breaks is taken up again
where it was; one that the server no longer remembers (410) begins anew by a list, and anything may have happened.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from functools import partial
from typing import cast

from hanse.model import Owner, owner_of
from hanse.platforms.kubernetes import facts
from hanse.platforms.kubernetes.blocks import STAMP_LABEL
from hanse.platforms.kubernetes.client import GONE, Broken, Failed, Kubernetes, Query
from hanse.platforms.kubernetes.memory import Memory
from hanse.platforms.kubernetes.observe import MANAGED
from hanse.platforms.kubernetes.paths import BINDINGS, NAMESPACES, THINGS, collection
from hanse.platforms.kubernetes.wire import Event, Meta, Namespace, Page, Traced
from hanse.ports.platform import PlatformIdentity, PlatformUnavailable
from hanse.ports.transport import NoReply, NotAllowed, NotSent, NotStreamed

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 30.0
SORTS_SECONDS = 2.0
"""How soon a kind is followed that a landing zone brings now."""
_TROUBLE = (Failed, Broken, NoReply, NotSent, NotAllowed, PlatformUnavailable)
Hint = frozenset[Owner] | None


async def hints(client: Kubernetes, memory: Memory, identity: PlatformIdentity) -> AsyncIterator[Hint]:
    """Owners on whose things something happened; None where anything may have. Never ends and never raises."""
    async with _Watching(client, memory, identity) as watching:
        while True:
            yield await watching.hint()


class _Watching:
    """All watches of one platform, and what they told since somebody asked."""

    def __init__(self, client: Kubernetes, memory: Memory, identity: PlatformIdentity) -> None:
        self.client = client
        self.memory = memory
        self.organization = identity.organization
        self.platform = identity.name
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.deaf: set[str] = set()
        """Collections that have to be watched before the first hint."""
        self.anything = False
        """Whether anything may have happened."""
        self.owners: set[Owner] = set()
        self.news = asyncio.Event()

    async def __aenter__(self) -> _Watching:
        self._follow(NAMESPACES, (("labelSelector", STAMP_LABEL),))
        self._follow(BINDINGS, ())
        for path in THINGS.values():
            self._follow(path, MANAGED)
        self.deaf.update(self.tasks)
        self.tasks["sorts"] = asyncio.create_task(self._sorts())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def hint(self) -> Hint:
        """What there is to tell; waits until there is something."""
        await self.news.wait()
        if self.anything:
            self.anything = False
            told = None
        else:
            told = frozenset(self.owners)
            self.owners.clear()
        if not self.owners:
            self.news.clear()
        return told

    def listens(self, path: str) -> None:
        """A collection is watched from now on: what happened to it before is not known."""
        if self.deaf:
            self.deaf.discard(path)
        if not self.deaf:
            self.anything = True
            self.news.set()

    def tell(self, owner: Owner) -> None:
        """Something happened to an owner's things."""
        if not self.deaf:
            self.owners.add(owner)
            self.news.set()

    def _follow(self, path: str, query: Query) -> None:
        self.tasks[path] = asyncio.create_task(_Watch(self, path, query).run())

    async def _sorts(self) -> None:
        """Follow the kinds of objects that landing zones bring, once a look met them."""
        known: set[tuple[str, str]] = set()
        while True:
            for sort in self.memory.sorts - known:
                known.add(sort)
                self.tasks["/".join(sort)] = asyncio.create_task(self._sort(*sort))
            await asyncio.sleep(SORTS_SECONDS)

    async def _sort(self, api_version: str, kind: str) -> None:
        """Follow one kind, once the server knows it."""
        pauses = _pauses()
        while True:
            try:
                resource = await self.client.resource(api_version, kind)
            except _TROUBLE:
                resource = None
            if resource is not None:
                path = collection(api_version, resource.name)
                if resource.namespaced and path not in self.tasks:
                    self._follow(path, MANAGED)
                return
            await asyncio.sleep(next(pauses))


class _Watch:
    """One collection."""

    def __init__(self, watching: _Watching, path: str, query: Query) -> None:
        self.watching = watching
        self.client = watching.client
        self.memory = watching.memory
        self.path = path
        self.query = query
        self.label = f"watch {path.rpartition('/')[2]}"
        self.version = ""

    async def run(self) -> None:
        """List, watch, and begin again, for ever: at once where a watch ended that told something, else later."""
        pauses = _pauses()
        while True:
            heard = False
            try:
                if not self.version:
                    self.version = await self._list()
                    self.watching.listens(self.path)
                events = self.client.watch(self.path, self.label, self.version, self.query)
                async with aclosing(cast("AsyncGenerator[Event, None]", events)) as lines:
                    async for event in lines:
                        if event.type == "ERROR":
                            self._forget(event.object.code)
                            break
                        self._take(event)
                        heard = True
            except NotStreamed as error:
                self._forget(error.reply.status)
            except _TROUBLE:
                pass
            except Exception:  # a mistake of our own must not make us deaf: what was missed is looked for
                self.version = ""
            if heard:
                pauses = _pauses()
            else:
                await asyncio.sleep(next(pauses))

    def _forget(self, code: int) -> None:
        """Begin anew, if the server does not remember what came behind our version."""
        if code == GONE:
            self.version = ""

    async def _list(self) -> str:
        """The version that the collection is at; of namespaces also whose they are."""
        if self.path != NAMESPACES:
            query: Query = (*self.query, ("limit", "1"))
            page = await self.client.get(self.path, Page[Traced], self.label, query)
            return page.metadata.resource_version
        listing = await self.client.list(self.path, Namespace, self.label, self.query)
        for one in listing.rows:
            self._note(one.metadata)
        if listing.cut:
            raise Broken(listing.cut)
        return listing.version

    def _take(self, event: Event) -> None:
        """Tell whose things an event is about, unless it is an echo of what we did, or of nothing that we decide."""
        meta = event.object.metadata
        self.version = meta.resource_version or self.version
        if event.type == "BOOKMARK":
            return
        if self.path == NAMESPACES and event.type != "DELETED":
            self._note(meta)
        key = self.memory.keys.get(meta.name if self.path == NAMESPACES else meta.namespace)
        if key is None:
            return  # what is in no namespace of ours is no business of ours
        owner = owner_of(key, self.watching.platform)
        self.memory.when_written(self.path, meta.namespace, meta.name, partial(self._judge, event, owner))

    def _judge(self, event: Event, owner: Owner) -> None:
        meta = event.object.metadata
        if event.type == "DELETED":
            is_news = self.memory.lost(self.path, meta.namespace, meta.name)
        else:
            is_news = self.memory.saw(self.path, event.object)
        if is_news:
            self.watching.tell(owner)

    def _note(self, meta: Meta) -> None:
        key = facts.key_of(meta, self.watching.organization, {})
        if key is not None:
            self.memory.note(key, meta.name)


def _pauses() -> Iterator[float]:
    """Longer and longer ones, in seconds, and never the same for all who wait."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause * (0.5 + random.random() / 2)  # noqa: S311 (no secret)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
