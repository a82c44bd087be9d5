"""What the loop tells as it goes, for people and for machines."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from hanse.model import Key, Outcome, Owner, Remark, Step


class Item(Struct, frozen=True, tag_field="event", tag=str.lower, rename="camel"):
    """One piece of news."""


class Looking(Item, frozen=True):
    """A pass over owners begins."""

    pass_id: str
    """What all that comes of it names, each call to a platform included."""
    commit: str
    """What is in force."""
    platform: str
    owners: tuple[Owner, ...]
    """The first of them."""
    count: int
    why: tuple[str, ...]
    """What marked them, each once."""


class Stepped(Item, frozen=True):
    """A step was tried."""

    step: Step
    outcome: Outcome
    pass_id: str = ""


class Settled(Item, frozen=True):
    """An owner is as it shall be after it was not, or waited."""

    pass_id: str
    owner: Owner
    seconds: float
    """Since it was due."""


class Remarked(Item, frozen=True):
    """Something that no step can mend, or that a step does not make good; told once, as long as it is so."""

    remark: Remark


class Fought(Item, frozen=True):
    """Somebody else keeps changing what is put back."""

    owner: Owner
    key: Key
    repairs: int
    in_seconds: int


class Gone(Item, frozen=True):
    """Nothing is left of an owner that left."""

    owner: Owner


class Swept(Item, frozen=True):
    """A whole platform was looked at."""

    platform: str
    owners: int
    seconds: float
    differences: int
    """Owners that are not as they shall be, and are looked at more closely now."""


class Away(Item, frozen=True):
    """A platform cannot be read."""

    platform: str
    message: str
    advice: str


class Back(Item, frozen=True):
    """It can be read again."""

    platform: str


class Failed(Item, frozen=True):
    """Something went wrong that the loop outlives; it is tried again."""

    what: str
    message: str
    advice: str = ""


News = Looking | Stepped | Settled | Remarked | Fought | Gone | Swept | Away | Back | Failed
Told = Callable[[News], None]
