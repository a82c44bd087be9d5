"""Plan and apply: what is declared comes to hold, and nothing else is done."""

from __future__ import annotations

from hanse.model import Tenant
from service.world import World

WEB = Tenant("north", "shop", "web")


async def test_apply_makes_what_is_declared(world: World) -> None:
    applied = await world.apply()
    assert not applied.converged.after.steps
    assert world.names("folders") == {"shop", "lab"}
    assert world.names("spaces") == {"shop-web", "shop-trial", "lab-sky", "lab-sea"}
    assert world.names("spaces", "south") == {"shop-web"}
    assert world.members("shop-web-admin") == {"u-1", "u-2"}
    assert world.members("shop-web-user", "south") == {"u-3", "u-4", "u-5"}


async def test_after_apply_the_plan_is_empty_and_apply_writes_nothing(applied: World) -> None:
    planned = await applied.plan()
    assert planned.survey.steps == 0
    assert not planned.survey.remarks()
    await applied.apply()
    assert applied.writes == []


async def test_plan_changes_nothing(world: World) -> None:
    planned = await world.plan()
    assert planned.survey.steps > 20
    assert world.writes == []
    assert await world.rows() == {}
    assert await world.events() == []
