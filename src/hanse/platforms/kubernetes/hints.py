"""Watches: the API server tells what happens, and by its namespace we know whose business it is.

Each collection is listed for the version it is at, and watched from there on. A watch that breaks is taken up again
where it was; one that the server no longer remembers (410) begins anew by a list, and anything may have happened.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from hanse.model import Owner, owner_of
from hanse.platforms.kubernetes import facts
from hanse.platforms.kubernetes.blocks import MANAGED_BY, STAMP_LABEL
from hanse.platforms.kubernetes.client import GONE, Broken, Failed, Kubernetes, Query
from hanse.platforms.kubernetes.memory import Memory
from hanse.platforms.kubernetes.paths import BINDINGS, NAMESPACES, THINGS, collection
from hanse.platforms.kubernetes.wire import Event, Namespace, Page, Traced
from hanse.ports.platform import PlatformIdentity, PlatformUnavailable
from hanse.ports.transport import NoReply, NotAllowed, NotSent, NotStreamed

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 30.0
Hint = frozenset[Owner] | None


async def hints(client: Kubernetes, memory: Memory, identity: PlatformIdentity) -> AsyncIterator[Hint]:
    """Owners on whose things something happened; None where anything may have. Never ends and never raises."""
    async with _Watching(client, memory, identity) as watching:
        while True:
            yield await watching.queue.get()


class _Watching:
    """All watches of one platform."""

    def __init__(self, client: Kubernetes, memory: Memory, identity: PlatformIdentity) -> None:
        self.client = client
        self.memory = memory
        self.organization = identity.organization
        self.platform = identity.name
        self.queue: asyncio.Queue[Hint] = asyncio.Queue()
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.listening: set[str] = set()
        """Collections whose changes are surely noticed."""
        self.expected: set[str] = set()

    async def __aenter__(self) -> _Watching:
        self._follow(NAMESPACES, (("labelSelector", STAMP_LABEL),))
        self._follow(BINDINGS, ())
        for path in THINGS.values():
            self._follow(path, MANAGED)
        self.tasks["sorts"] = asyncio.create_task(self._sorts())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    def _follow(self, path: str, query: Query) -> None:
        self.expected.add(path)
        self.tasks[path] = asyncio.create_task(_Watch(self, path, query).run())

    async def _sorts(self) -> None:
        """Follow the kinds of objects that landing zones bring, once a look met them."""
        known: set[tuple[str, str]] = set()
        while True:
            for api_version, kind in sorted(self.memory.sorts - known):
                try:
                    resource = await self.client.resource(api_version, kind)
                except (Failed, Broken, NoReply, NotSent, NotAllowed):
                    continue
                if resource is not None and resource.namespaced:
                    known.add((api_version, kind))
                    self._follow(collection(api_version, resource.name), MANAGED)
            await asyncio.sleep(SORTS_SECONDS)

    def listens(self, path: str) -> None:
        """A collection is watched (again). Once all are, anything may have happened before."""
        self.listening.add(path)
        if self.listening >= self.expected:
            self.queue.put_nowait(None)

    def deaf(self, path: str) -> None:
        """A collection is not watched at present, and what happens to it is lost."""
        self.listening.discard(path)

    def tell(self, namespace: str) -> None:
        """Something happened in a namespace; what is not in ours is no business of ours."""
        key = self.memory.keys.get(namespace)
        if key is not None:
            self.queue.put_nowait(frozenset({owner_of(key, self.platform)}))


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
        """List, watch, and begin again, for ever."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                if not self.version:
                    self.watching.deaf(self.path)
                    self.version = await self._list()
                    self.watching.listens(self.path)
                events = self.client.watch(self.path, self.label, self.version, self.query)
                async with aclosing(cast("AsyncGenerator[Event, None]", events)) as lines:
                    async for event in lines:
                        pause = FIRST_PAUSE_SECONDS
                        if not self._take(event):
                            break
                continue
            except NotStreamed as error:
                if error.reply.status == GONE:
                    self.version = ""
                    continue
            except (Failed, Broken, NoReply, NotSent, NotAllowed, PlatformUnavailable):
                pass
            await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 (that not all come back at once)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _list(self) -> str:
        """The version that the collection is at; of namespaces also whose they are."""
        if self.path != NAMESPACES:
            query: Query = (*self.query, ("limit", "1"))
            page = await self.client.get(self.path, Page[Traced], self.label, query)
            return page.metadata.resource_version
        listing = await self.client.list(self.path, Namespace, self.label, self.query)
        for one in listing.rows:
            key = facts.key_of(one.metadata, self.watching.organization, {})
            if key is not None:
                self.memory.note(key, one.metadata.name)
        if listing.cut:
            raise Broken(listing.cut)
        return listing.version

    def _take(self, event: Event) -> bool:
        """Pass on what an event means; False where the watch has to begin anew."""
        seen, meta = event.object, event.object.metadata
        if event.type == "ERROR":
            self.version = "" if seen.code == GONE else self.version
            return False
        self.version = meta.resource_version or self.version
        if event.type == "BOOKMARK":
            return True
        if self.path == NAMESPACES:
            self._note_namespace(event)
        namespace = meta.name if self.path == NAMESPACES else meta.namespace
        if event.type == "DELETED":
            is_news = self.memory.lost(self.path, meta.namespace, meta.name)
        else:
            is_news = self.memory.saw(self.path, seen)
        if is_news:
            self.watching.tell(namespace)
        return True

    def _note_namespace(self, event: Event) -> None:
        key = facts.key_of(event.object.metadata, self.watching.organization, {})
        if key is not None and self.memory.keys.get(event.object.metadata.name) != key:
            self.memory.note(key, event.object.metadata.name)


MANAGED: Query = (("labelSelector", "=".join(MANAGED_BY)),)
SORTS_SECONDS = 2.0
