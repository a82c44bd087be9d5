"""The contract of a platform: five methods, and what it says of itself as data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct

from hanse.desired.compiled import Compiled as Compiled
from hanse.desired.compiled import Problem as Problem
from hanse.desired.conversion import Moved as Moved
from hanse.desired.intent import Directory, Intent
from hanse.desired.settings import USUAL_PACE
from hanse.desired.settings import Pace as Pace
from hanse.model import Access, Find, KindSpec, Outcome, Owner, Resource, Step
from hanse.observed import Observation
from hanse.ports.transport import Transport


class Scope(Struct, frozen=True):
    """What to look at."""

    owners: tuple[Owner, ...] | None
    """None: everything that is ours (a sweep). Else these owners' things only."""
    finds: frozenset[Find] = frozenset()
    """What is used and not owned, to be found."""
    wanted: tuple[Resource, ...] = ()
    """Desired things of these owners, then those that they had when they last held and shall have no more: their names
    show where to look and whether something foreign holds them already; `adopt` names foreign things to look at."""


@dataclass(frozen=True)
class Description:
    """What a vendor's platforms can hold. Constant, without network."""

    vendor: str
    """The name of its block in the manifest."""
    kinds: tuple[KindSpec, ...]
    platform_block: type[Struct]
    landing_zone_block: type[Struct]
    quotas: tuple[str, ...] = ()
    """Quota names that tenants and landing zones may ask for."""
    pace: Pace = USUAL_PACE
    """How hard a platform is driven that says nothing of `limits`."""
    moved: tuple[Moved, ...] = ()
    """Fields of its blocks that have another place now, and are read from the earlier one too."""

    def kind(self, name: str) -> KindSpec:
        """The spec of one kind. Raises KeyError."""
        return next(spec for spec in self.kinds if spec.name == name)


class Platform(Protocol):
    """One account on one cloud. Knows nothing of plans, people's rights in Hanse, prices or clocks."""

    def describe(self) -> Description:
        """Kinds, blocks, limits."""
        ...

    def compile(self, intent: Intent, directory: Directory, now: datetime, *, links: bool = True) -> Compiled:
        """What the intent means here. Pure; needs no connection. A leaving intent compiles to no resources.

        Who only wants to know what is wrong needs no links: then they may be left out, and every problem is told.
        """
        ...

    async def observe(self, scope: Scope) -> Observation:
        """What exists. Reads only; says what it could not read; raises PlatformUnavailable if nothing can be."""
        ...

    def access(self, observation: Observation) -> Sequence[Access]:
        """Who can do what, from an observation alone. Pure."""
        ...

    async def perform(self, step: Step) -> Outcome:
        """Carry out one step whose Refs are resolved to Natives. Doing it twice changes nothing more."""
        ...


@runtime_checkable
class Hints(Protocol):
    """A platform that tells when something changes, so that nobody has to look all the time."""

    def hints(self) -> AsyncIterator[frozenset[Owner] | None]:
        """Owners on whose things something happened, as it happens; None: anything may have happened, look at all.

        The first value comes once changes are surely noticed. Never ends and never raises: where the platform cannot
        be listened to it tries again, less and less often, and says None once it listens again. What it says may be
        too much and must never be too little. Close it (`aclosing`) to end it.
        """
        ...


@runtime_checkable
class Sweeps(Protocol):
    """A platform that can read everything while it is still worked out what is wanted of it."""

    async def sweep(self, scope: Awaitable[Scope]) -> Observation:
        """As `observe` of a scope without owners, which is awaited once the reading is under way."""
        ...


class PlatformUnavailable(Exception):
    """The platform cannot be read at all now. The text says what happened, `advice` what to do."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True)
class Credential:
    """A name in git bound, by the server's own configuration, to its source, endpoint and platform."""

    name: str
    platform: str
    endpoint: str
    source: str
    """Such as `clouds.yaml#fra` or `env`."""
    options: dict[str, Any]
    """Server-side only switches; never from git."""


@dataclass(frozen=True)
class PlatformIdentity:
    """Which platform this is and whose."""

    organization: str
    """Stamps of another organisation are foreign."""
    name: str
    block: dict[str, Any]
    """The vendor's block of the Platform document, as plain values."""


class Zone(Struct, frozen=True):
    """A landing zone that is declared for a platform."""

    name: str
    block: dict[str, Any]
    """The vendor's block of the LandingZone document, as plain values."""
    files: dict[str, str] = {}
    """By path: files below the folders that the block names, each the canonical JSON of its documents."""


class Bootstrap(Struct, frozen=True):
    """What a platform's own administrator needs to prepare it."""

    text: str
    """For the platform's tools, as they read it."""
    notes: str = ""
    """For the person: what to do with it."""


State = Literal["ok", "warning", "error"]


class Check(Struct, frozen=True):
    """One thing that was looked at: whether it is as it has to be."""

    what: str
    """In a few words, such as `clock`."""
    state: State
    """A warning keeps nothing from working now."""
    message: str
    advice: str = ""


@dataclass(frozen=True)
class Vendor:
    """One vendor's registration: all that main needs to join it on."""

    description: Description
    connect: Callable[[Credential], Transport]
    """The transport for a bound credential. Raises PlatformUnavailable with advice; does not call the network."""
    platform: Callable[[PlatformIdentity, Transport], Platform]
    """A platform joined to its transport. For validate the transport is one that refuses to be used."""
    bootstrap: Callable[[PlatformIdentity, Sequence[Zone], str], Bootstrap] | None = None
    """What prepares a platform for these landing zones: accounts and rights; or, where the text says `flags` or
    `config`, how people's sign-in is set up in that form. Pure. Raises PlatformUnavailable where it has no such thing.
    """
    examine: Callable[[Credential, PlatformIdentity, Sequence[Zone]], Awaitable[Sequence[Check]]] | None = (
        None
    )
    """Look whether a platform can be used by a bound credential, for these landing zones, and by which rights. Reads
    only; what fails is a check, and none is raised. It makes a connection of its own, as it looks at that too."""
