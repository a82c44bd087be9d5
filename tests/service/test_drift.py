"""What was changed by hand is found, told and rolled back; what is not ours is left alone."""

from __future__ import annotations

from hanse.model import Tenant
from hanse.service.plan import Planned
from service import manifest
from service.world import World

SKY = Tenant("north", "lab", "sky")


def causes(planned: Planned) -> set[str]:
    return {step.reason.cause for plan in planned.survey.plans.values() for step in plan.steps}


async def test_a_person_added_by_hand_goes_again(applied: World) -> None:
    applied.join_by_hand("shop-web-admin", "u-8")
    planned = await applied.plan()
    assert causes(planned) == {"local-change"}
    await applied.apply()
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}


async def test_a_person_taken_out_by_hand_comes_back(applied: World) -> None:
    applied.leave_by_hand("shop-web-admin", "u-2")
    assert causes(await applied.plan()) == {"local-change"}
    await applied.apply()
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}


async def test_a_renamed_space_gets_its_name_back(applied: World) -> None:
    space = applied.row("spaces", "shop-web")
    assert space
    applied.by_hand("PATCH", f"/spaces/{space['id']}", {"name": "mine"})
    assert causes(await applied.plan()) == {"local-change"}
    await applied.apply()
    assert "shop-web" in applied.names("spaces")
    assert "mine" not in applied.names("spaces")


async def test_a_thing_removed_by_hand_is_made_again(applied: World) -> None:
    group = applied.row("groups", "shop-web-user")
    assert group
    applied.by_hand("DELETE", f"/groups/{group['id']}")
    await applied.apply()
    assert applied.members("shop-web-user") == {"u-3", "u-4", "u-5"}
    assert (await applied.plan()).survey.steps == 0


async def test_where_local_changes_are_to_be_reported_they_are_told_and_left(applied: World) -> None:
    applied.join_by_hand("lab-sky-admin", "u-8")
    applied.leave_by_hand("lab-sky-admin", "u-6")
    planned = await applied.plan()
    assert planned.survey.steps == 0
    assert {remark.code for remark in planned.survey.plans[SKY].remarks} == {"local-change"}
    await applied.apply()
    assert applied.members("lab-sky-admin") == {"u-7", "u-8"}


async def test_where_local_changes_are_reported_what_is_declared_is_still_done(applied: World) -> None:
    applied.join_by_hand("lab-sky-admin", "u-8")
    applied.commit({"groups.yaml": manifest.GROUPS.replace("[u-6, u-7]", "[u-5, u-7]")})
    await applied.apply()
    assert applied.members("lab-sky-admin") == {"u-5", "u-7", "u-8"}


async def test_foreign_things_are_never_touched(applied: World) -> None:
    applied.by_hand("POST", "/spaces", {"name": "legacy"})
    applied.by_hand("POST", "/groups", {"name": "legacy-admins"})
    before = [dict(row) for rows in applied.clouds["north"].rows.values() for row in rows.values()]
    planned = await applied.plan()
    assert planned.survey.steps == 0
    await applied.apply()
    assert before == [dict(row) for rows in applied.clouds["north"].rows.values() for row in rows.values()]


async def test_a_foreign_thing_of_a_wanted_name_is_refused_with_advice_and_can_be_adopted(
    world: World,
) -> None:
    south = manifest.project("old", "lab", "group: lab-team, role: admin", "south production")
    world.by_hand("POST", "/spaces", {"name": "lab-old", "description": "made by hand"}, "south")
    row = world.row("spaces", "lab-old", "south")
    assert row
    world.commit({"lab/old.yaml": south})
    planned = await world.plan()
    (remark,) = planned.survey.plans[Tenant("south", "lab", "old")].remarks
    assert remark.code == "name-taken"
    assert f"native: {{id: {row['id']}}}" in remark.advice
    refused = {step.kind for step in planned.survey.plans[Tenant("south", "lab", "old")].steps}
    assert refused.isdisjoint({"space", "assignment"})
    adopting = south.replace(
        "landingZone: production}", f"landingZone: production, native: {{id: {row['id']}}}}}"
    )
    world.commit({"lab/old.yaml": adopting})
    planned = await world.plan()
    steps = planned.survey.plans[Tenant("south", "lab", "old")].steps
    assert [step.action for step in steps if step.kind == "space"] == ["adopt"]
    await world.apply()
    assert world.names("spaces", "south") == {"shop-web", "lab-old"}
    assert world.clouds["south"].rows["spaces"][row["id"]]["mark"] == "example/lab/old/space"
