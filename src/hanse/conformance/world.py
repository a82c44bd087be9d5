"""What a platform's tests give to the suite: a cloud, a way to join it, and a hand that changes it unasked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from hanse.model import Owner, Tenant
from hanse.ports.platform import Platform, PlatformIdentity
from hanse.ports.transport import Transport


async def no_pause(seconds: float) -> None:
    """Waiting is no part of the contract."""


class Item(Struct, frozen=True):
    """One thing or link that is there, as a bystander sees it."""

    id: str
    kind: str
    stamp: str
    """Of a thing that is ours: the mark it carries. Empty: not ours, or a link."""
    state: str
    """All that can be seen of it but ids and times, in one text."""
    ends: tuple[str, ...] = ()
    """Of a link: the ids of what it connects, people and roles by name."""


class Hand(Protocol):
    """Somebody who changes the cloud behind our back, with the cloud's own means."""

    async def add_user(self, name: str, *, service: bool = False) -> None:
        """A person (or a service account) whom the cloud did not know."""
        ...

    async def give(self, owner: Tenant, role: str, user: str) -> None:
        """Access in the way that we give it ourselves: membership in the role's group, or the role itself."""
        ...

    async def take(self, owner: Tenant, role: str, user: str) -> None:
        """The opposite of `give`."""
        ...

    async def grant(self, owner: Tenant, user: str) -> None:
        """A role of the hand's choice for a user, directly on the container."""
        ...

    async def grant_above(self, user: str) -> None:
        """A role on something that is not ours and whose roles the containers inherit."""
        ...

    async def change(self, owner: Tenant, attribute: str, value: Any) -> None:
        """Set `name`, `description` or `enabled` of the container, or by `tag` the value of its tag `a`."""
        ...

    async def delete_group(self, owner: Tenant, role: str) -> None:
        """Delete the group of a role."""
        ...

    async def delete_container(self, owner: Tenant) -> None:
        """Delete the container and all in it."""
        ...

    async def make_container(self, owner: Tenant, name: str) -> str:
        """A foreign container of that name where the owner's container would be; its native id."""
        ...

    async def mark(self, owner: Tenant, native_id: str, *, on: bool) -> None:
        """Put our stamp of the owner's container on another one, or take it off."""
        ...

    async def census(self) -> Sequence[Item]:
        """Everything there is."""
        ...


class World(Struct, frozen=True):
    """One cloud to try the contract on. Each call of the suite's `world` gives a fresh one."""

    identity: PlatformIdentity
    transport: Transport
    """The bare transport; the suite puts its wrappers around it and joins the platform to them."""
    join: Any
    """PlatformIdentity and Transport to Platform, as in `Vendor.platform`."""
    hand: Hand
    landing_zone: dict[str, Any]
    """The vendor's block of a landing zone in which admin, user and reader mean three different native roles,
    or as many as the platform has."""
    users: tuple[str, ...]
    """Five people whom the cloud knows, by the name that it knows them by."""
    external_id: str = ""
    """The key in `externalIds` that the platform's block reads; empty: the principal's id is the name."""
    sleep: Callable[[float], Awaitable[None]] = no_pause
    """How Hanse waits for what is not possible yet: a cloud whose work takes its time needs real seconds."""
    patience_seconds: float = 0
    """How long a step is tried again; 0: what a cloud cannot do at once it cannot do."""
    page_size: int = 0
    """Rows in one page of this cloud, at most 10, so that lists take several; 0: one page holds everything."""

    def platform(self, transport: Transport) -> Platform:
        """The platform, joined to a transport."""
        joined: Platform = self.join(self.identity, transport)
        return joined


def ours(items: Sequence[Item]) -> frozenset[str]:
    """Ids of what carries our stamp."""
    return frozenset(item.id for item in items if item.stamp)


def bystanders(items: Sequence[Item]) -> dict[str, Item]:
    """What we must never touch, by id: things without our stamp, and the links between them."""
    mine = ours(items)
    return {item.id: item for item in items if item.id not in mine and mine.isdisjoint(item.ends)}


def shape(items: Sequence[Item]) -> list[tuple[str, ...]]:
    """What is there without ids, sorted: equal for two clouds that hold the same."""
    names = {item.id: item.stamp or item.state for item in items if not item.ends}
    return sorted(
        (item.kind, item.stamp, item.state, *(names.get(end, end) for end in item.ends)) for item in items
    )


__all__ = ["Hand", "Item", "Owner", "World", "bystanders", "ours", "shape"]
