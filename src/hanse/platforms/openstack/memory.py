"""What a platform remembers between looks at Keystone: a cache that can be thrown away at any time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hanse.model import Find, Native
from hanse.platforms.openstack.client import Row

_K = TypeVar("_K")
_V = TypeVar("_V")


class Remembered(Generic[_K, _V]):
    """What was read lately, for so many seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[_K, tuple[float, _V]] = {}

    def get(self, key: _K) -> _V | None:
        """What was put under the key, unless it is too old."""
        kept = self._kept.get(key)
        return kept[1] if kept and self._clock() - kept[0] < self._seconds else None

    def put(self, key: _K, value: _V) -> None:
        """Remember."""
        self._kept[key] = (self._clock(), value)

    def forget(self) -> None:
        """Forget all."""
        self._kept.clear()


@dataclass
class Memory:
    """What was found at earlier looks, and how long that may be relied on, in seconds.

    Only what was found is remembered: what was not there is looked for again each time, so that a user is picked
    up as soon as Keystone knows it.
    """

    found: Remembered[Find, Native] = field(default_factory=lambda: Remembered(300))
    users: Remembered[str, Row] = field(default_factory=lambda: Remembered(300))
    roles: Remembered[str, Row] = field(default_factory=lambda: Remembered(300))
    domains: Remembered[str, Row] = field(default_factory=lambda: Remembered(300))
    all_domains: Remembered[str, dict[str, Row]] = field(default_factory=lambda: Remembered(60))
    inherited: Remembered[str, list[Row]] = field(default_factory=lambda: Remembered(60))
    implied: Remembered[str, list[tuple[str, str]]] = field(default_factory=lambda: Remembered(60))
    own_user: str = ""
    projects: dict[str, str] = field(default_factory=dict)
    """Native ids by stamp."""
    indexed: Remembered[str, bool] = field(default_factory=lambda: Remembered(60))
    """Whether all projects were listed lately."""

    def forget(self) -> None:
        """Look everything up again: something that we relied on is gone."""
        self.found.forget()
        self.users.forget()
        self.roles.forget()
        self.domains.forget()
        self.all_domains.forget()
        self.inherited.forget()
        self.implied.forget()
