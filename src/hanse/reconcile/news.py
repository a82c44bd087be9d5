"""What the loop tells as it goes, for people and for machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hanse.model import Key, Outcome, Owner, Step


@dataclass(frozen=True)
class Stepped:
    """A step was tried."""

    step: Step
    outcome: Outcome


@dataclass(frozen=True)
class Fought:
    """Somebody else keeps changing what is put back."""

    owner: Owner
    key: Key
    repairs: int
    in_seconds: int


@dataclass(frozen=True)
class Gone:
    """Nothing is left of an owner that left."""

    owner: Owner


@dataclass(frozen=True)
class Swept:
    """A whole platform was looked at."""

    platform: str
    owners: int
    seconds: float
    differences: int
    """Owners that are not as they shall be, and are looked at more closely now."""


@dataclass(frozen=True)
class Away:
    """A platform cannot be read."""

    platform: str
    message: str
    advice: str


@dataclass(frozen=True)
class Back:
    """It can be read again."""

    platform: str


@dataclass(frozen=True)
class Failed:
    """Something went wrong that the loop outlives; it is tried again."""

    what: str
    message: str
    advice: str = ""


News = Stepped | Fought | Gone | Swept | Away | Back | Failed
Told = Callable[[News], None]
