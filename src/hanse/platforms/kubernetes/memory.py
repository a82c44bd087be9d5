"""What a platform remembers between looks at the API server: a cache that can be thrown away at any time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hanse.model import Find, Foreign, Key, Native
from hanse.platforms.kubernetes.blocks import FIELD_MANAGER
from hanse.platforms.kubernetes.wire import Traced

At = tuple[str, str, str]
"""An object: path of the collection, namespace and name."""
GONE = 0
"""Stands for an object that we deleted ourselves."""
SECONDS = 60.0
"""How long is relied on what holds for the whole cluster: roles that were found, bindings to all namespaces."""


@dataclass
class Memory:
    """What was seen at earlier looks, and what the watches are told by it."""

    clock: Callable[[], float] = time.monotonic
    names: dict[Key, set[str]] = field(default_factory=dict)
    """Names of the namespaces that carry a key: one, but for twins."""
    keys: dict[str, Key] = field(default_factory=dict)
    """The same the other way round: whose namespace it is."""
    sorts: set[tuple[str, str]] = field(default_factory=set)
    """API version and kind of objects that landing zones brought."""
    prints: dict[At, int] = field(default_factory=dict)
    """By object: a hash of the part that we decide, when last seen."""
    _writes: Counter[At] = field(default_factory=Counter)
    _told: dict[At, list[Callable[[], None]]] = field(default_factory=dict)
    _roles: dict[Find, tuple[float, Native]] = field(default_factory=dict)
    _inherited: tuple[float, tuple[Foreign, ...]] | None = None

    def note(self, key: Key, name: str) -> None:
        """A namespace carries a key."""
        if self.keys.get(name) != key:
            self.forget(name)
            self.keys[name] = key
            self.names.setdefault(key, set()).add(name)

    def forget(self, name: str) -> None:
        """A namespace is gone."""
        key = self.keys.pop(name, None)
        if key is not None:
            self.names[key].discard(name)
            if not self.names[key]:
                del self.names[key]

    def saw(self, collection: str, seen: Traced) -> bool:
        """Remember an object as it is now; whether the part of it that we may decide differs from last time."""
        at = (collection, seen.metadata.namespace, seen.metadata.name)
        print_ = _print(seen)
        if self.prints.get(at) == print_:
            return False
        self.prints[at] = print_
        return True

    def lost(self, collection: str, namespace: str, name: str) -> bool:
        """Forget an object that is gone; whether it was there, as far as is known."""
        return self.prints.pop((collection, namespace, name), None) != GONE

    def deleted(self, collection: str, namespace: str, name: str) -> None:
        """We deleted it ourselves: what is told of that is no news."""
        self.prints[collection, namespace, name] = GONE

    @contextmanager
    def writing(self, collection: str, namespace: str, name: str) -> Iterator[None]:
        """We change an object: what is told of it meanwhile is looked at when it is known what came of that."""
        at = (collection, namespace, name)
        told = self._told.setdefault(at, [])
        self._writes[at] += 1
        try:
            yield
        finally:
            self._writes[at] -= 1
            if not self._writes[at]:
                del self._writes[at], self._told[at]
                for look in told:
                    look()

    def when_written(self, collection: str, namespace: str, name: str, look: Callable[[], None]) -> None:
        """Look at what is told of an object: at once, or after a change of ours that is under way."""
        waiting = self._told.get((collection, namespace, name))
        if waiting is None:
            look()
        else:
            waiting.append(look)

    def role(self, find: Find) -> Native | None:
        """A role that was found within the last minute."""
        kept = self._roles.get(find)
        return kept[1] if kept and self.clock() - kept[0] < SECONDS else None

    def keep_role(self, find: Find, native: Native) -> None:
        """Remember a role."""
        self._roles[find] = (self.clock(), native)

    @property
    def inherited(self) -> tuple[Foreign, ...] | None:
        """Bindings to the whole cluster, if they were read within the last minute."""
        kept = self._inherited
        return kept[1] if kept and self.clock() - kept[0] < SECONDS else None

    def keep_inherited(self, bindings: tuple[Foreign, ...]) -> None:
        """Remember what holds in all namespaces."""
        self._inherited = (self.clock(), bindings)


def _print(seen: Traced) -> int:
    """A hash of what people write into an object; what controllers report in its status is no part of it."""
    meta = seen.metadata
    ours = tuple(bytes(entry.fields) for entry in meta.managed_fields if entry.manager == FIELD_MANAGER)
    return hash(
        (
            tuple(meta.labels.items()),
            tuple(meta.annotations.items()),
            meta.deletion_timestamp is None,
            bytes(seen.spec),
            bytes(seen.role_ref),
            bytes(seen.subjects),
            ours,
        )
    )
