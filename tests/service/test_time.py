"""Grants begin and end with the clock, without a commit."""

from __future__ import annotations

from datetime import timedelta

from hanse.journal.events import OrganizationAccepted
from hanse.service.plan import Selection
from service import manifest
from service.world import World


def lent(world: World, **bounds: int) -> str:
    """A grant file for u-8 that begins and ends so many hours from now."""
    lines = "".join(
        f"{name.rstrip('_')}: '{(world.clock.at + timedelta(hours=hours)).isoformat()}'\n"
        for name, hours in bounds.items()
    )
    return (
        "apiVersion: hanse/v1\nkind: Grant\nname: lent\nworkspace: shop\nproject: web\n"
        f"user: u-8\nrole: admin\n{lines}reason: on call\n"
    )


async def test_a_grant_begins_and_ends_with_the_clock(applied: World) -> None:
    applied.commit({"grants/lent.yaml": lent(applied, from_=2, until=4)})
    await applied.apply()
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}
    applied.clock.advance(hours=3)
    planned = await applied.plan()
    assert {s.reason.cause for p in planned.survey.plans.values() for s in p.steps} == {"expired"}
    await applied.apply()
    assert applied.members("shop-web-admin") == {"u-1", "u-2", "u-8"}
    applied.clock.advance(hours=3)
    await applied.apply()
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}
    accepted = [e for e in await applied.events() if isinstance(e, OrganizationAccepted)]
    assert len(accepted) == 2


async def test_declared_expiry_trips_no_guard(applied: World) -> None:
    strict = manifest.ORGANIZATION.replace("removalAtLeast: 5", "removalAtLeast: 0")
    applied.commit({"organization.yaml": strict, "grants/lent.yaml": lent(applied, until=1)})
    await applied.apply()
    assert "u-8" in applied.members("shop-web-admin")
    applied.clock.advance(hours=2)
    applied.commit({"grants/lent.yaml": None})
    await applied.apply()
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}
    assert await applied.waiting() == []


async def test_an_owner_whose_hour_has_come_counts_as_changed(applied: World) -> None:
    applied.commit({"grants/lent.yaml": lent(applied, until=1)})
    await applied.apply()
    applied.clock.advance(hours=2)
    planned = await applied.plan(Selection(changed=True))
    assert {str(owner) for owner in planned.survey.plans} == {"north/shop/web", "south/shop/web"}
    await applied.apply(Selection(changed=True))
    assert applied.members("shop-web-admin", "south") == {"u-1", "u-2"}
