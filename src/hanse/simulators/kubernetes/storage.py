"""What a cluster keeps: objects by key, a version that counts every write, and the latest events of each collection.

Objects are never changed in place, so that what was handed out stays as it was.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hanse.simulators.kubernetes.objects import at_version
from hanse.simulators.kubernetes.schema import KINDS, Kind, Object


class Event(NamedTuple):
    """One write: the object after it (None: deleted) and before it (None: created)."""

    version: int
    key: str
    after: Object | None
    before: Object | None


Watcher = Callable[[Event], None]


class Collection:
    """All objects of one kind, in the order of their keys: the name, or namespace/name."""

    def __init__(self, history: int) -> None:
        self.objects: dict[str, Object] = {}
        self.keys: list[str] = []
        self.events: deque[Event] = deque(maxlen=history)
        self.watchers: list[Watcher] = []
        # What is older cannot be watched, or listed as it was.
        self.watchable_from = 0
        self.listable_from = 0

    def write(self, event: Event) -> None:
        """Keep the outcome of a write and tell the watchers."""
        if event.before is None:
            insort(self.keys, event.key)
        if event.after is None:
            del self.objects[event.key]
            del self.keys[bisect_left(self.keys, event.key)]
        else:
            self.objects[event.key] = event.after
        if len(self.events) == self.events.maxlen:
            self.watchable_from = max(self.watchable_from, self.events[0].version)
            self.listable_from = self.watchable_from
        self.events.append(event)
        for watcher in list(self.watchers):
            watcher(event)

    def since(self, version: int) -> Iterator[Event]:
        """The events after a version, oldest first."""
        return (event for event in self.events if event.version > version)

    def select(self, prefix: str, after: str, version: int) -> Iterator[Object]:
        """The objects whose key has a prefix and follows `after`, as they were at a version."""
        undone: dict[str, Object | None] = {}
        for event in self.since(version):
            undone.setdefault(event.key, event.before)
        gone = sorted(key for key, before in undone.items() if before is not None and key not in self.objects)
        keys = self.keys if not gone else sorted([*self.keys, *gone])
        at = bisect_left(keys, max(prefix, after))
        while at < len(keys) and keys[at].startswith(prefix):
            thing = undone.get(keys[at], self.objects.get(keys[at])) if undone else self.objects[keys[at]]
            if thing is not None:
                yield thing
            at += 1

    def count(self, prefix: str) -> int:
        """How many objects there are now whose key has this prefix."""
        return self._place(prefix + "\U0010ffff") - self._place(prefix)

    def count_after(self, prefix: str, after: str, version: int) -> int:
        """How many objects had a key with this prefix that follows `after`, at a version."""
        if any(self.since(version)):
            return sum(1 for _ in self.select(prefix, after, version))
        return self._place(prefix + "\U0010ffff") - self._place(max(prefix, after))

    def _place(self, key: str) -> int:
        return bisect_left(self.keys, key)

    def forget(self, version: int, *, watches_only: bool = False) -> None:
        """Keep no events up to a version."""
        self.watchable_from = max(self.watchable_from, version)
        if not watches_only:
            self.listable_from = max(self.listable_from, version)


def key_of(kind: Kind, namespace: str, name: str) -> str:
    """Under which key an object lies."""
    return f"{namespace}/{name}" if kind.namespaced else name


class Store:
    """All collections, under one version."""

    def __init__(self, history: int) -> None:
        self.collections = {kind: Collection(history) for kind in KINDS}
        self.version = 1
        self.react: Callable[[Kind, Event, Object], None] = lambda *_: None

    def write(self, kind: Kind, before: Object | None, after: Object | None) -> Object:
        """Keep a new object, a changed one or none; give it back as it is then, the last state of a deleted one."""
        self.version += 1
        written = None if after is None else at_version(after, self.version)
        thing = written or before
        assert thing is not None
        metadata = thing["metadata"]
        event = Event(
            self.version, key_of(kind, metadata.get("namespace", ""), metadata["name"]), written, before
        )
        self.collections[kind].write(event)
        self.react(kind, event, metadata)
        return written or at_version(thing, self.version)
