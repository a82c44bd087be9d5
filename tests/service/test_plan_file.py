"""A plan file is carried out exactly, or refused: owner by owner, or whole."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from hanse.model import Tenant
from hanse.service.estate import Trouble
from hanse.service.plan import PlanFile, read_plan_file
from service import manifest
from service.world import World

WEB = Tenant("north", "shop", "web")
LIVE = {manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")}


async def planned_file(world: World) -> PlanFile:
    """A plan file, through its bytes."""
    return read_plan_file(msgspec.json.encode((await world.plan()).to_file()))


async def test_it_is_carried_out_exactly(applied: World) -> None:
    commit = applied.commit(LIVE)
    file = await planned_file(applied)
    result = await applied.apply_file(file)
    assert not result.refused
    assert {owner.owner for owner in file.owners} == {WEB, Tenant("south", "shop", "web")}
    assert [step for owner in file.owners for step in owner.steps] == [
        step for step, _ in sorted(result.converged.result.outcomes, key=lambda item: str(item[0].owner))
    ]
    assert result.planned.proposal.stands == commit
    assert (await applied.plan()).survey.steps == 0


async def test_removals_and_drift_are_carried_out_from_a_file_too(applied: World) -> None:
    applied.join_by_hand("shop-web-admin", "u-8")
    applied.commit({manifest.SEA_FILE: None})
    file = await planned_file(applied)
    result = await applied.apply_file(file)
    assert not result.refused
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}
    assert "lab-sea-admin" not in applied.names("groups")


async def test_an_owner_that_was_changed_since_is_left_alone_and_the_others_go_on(applied: World) -> None:
    applied.commit(LIVE)
    file = await planned_file(applied)
    applied.join_by_hand("shop-web-admin", "u-8", "south")
    result = await applied.apply_file(file)
    assert set(result.refused) == {Tenant("south", "shop", "web")}
    assert applied.members("shop-web-admin", "south") == {"u-1", "u-2", "u-8"}
    north, south = (applied.row("spaces", "shop-web", where) for where in ("north", "south"))
    assert north
    assert south
    assert (north["tags"], south["tags"]) == (["environment=live"], ["environment=prod"])


async def test_what_was_changed_elsewhere_since_is_not_touched(applied: World) -> None:
    applied.commit(LIVE)
    file = await planned_file(applied)
    applied.join_by_hand("lab-sea-admin", "u-8")
    await applied.apply_file(file)
    assert "u-8" in applied.members("lab-sea-admin")


async def test_after_another_acceptance_it_is_refused_whole(applied: World) -> None:
    applied.commit(LIVE)
    file = await planned_file(applied)
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
    await applied.apply()
    applied.forget_calls()
    with pytest.raises(Trouble, match="since this plan was made") as refused:
        await applied.apply_file(file)
    assert "plan again" in refused.value.advice
    assert applied.writes == []


async def test_a_later_commit_that_is_not_accepted_does_not_matter(applied: World) -> None:
    commit = applied.commit(LIVE)
    file = await planned_file(applied)
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
    result = await applied.apply_file(file)
    assert result.planned.proposal.stands == commit
    assert applied.members("shop-trial-user") == {"u-3"}


async def test_for_another_directory_it_is_refused(applied: World) -> None:
    applied.commit(LIVE)
    file = replace(await planned_file(applied), directory="0" * 64)
    with pytest.raises(Trouble, match="people or groups"):
        await applied.apply_file(file)
    assert applied.writes == []


async def test_a_plan_of_drift_under_a_broken_head_can_be_carried_out(applied: World) -> None:
    applied.commit({manifest.SEA_FILE: "kind: Nothing\n"})
    applied.join_by_hand("shop-web-admin", "u-8")
    await applied.apply_file(await planned_file(applied))
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}


async def test_done_twice_it_does_nothing_more(applied: World) -> None:
    applied.commit(LIVE)
    file = await planned_file(applied)
    await applied.apply_file(file)
    applied.forget_calls()
    result = await applied.apply_file(file)
    assert not result.refused
    assert applied.writes == []


def test_by_the_command_line(applied: World) -> None:
    applied.commit(LIVE)
    plan = str(applied.folder / "plan.json")
    assert applied.run("plan", "-o", plan).exit_code == 2
    result = applied.run("apply", plan, "--yes")
    assert result.exit_code == 0, result.output
    assert "2 steps done" in result.output
    nothing = applied.folder / "other.json"
    nothing.write_text("{}")
    result = applied.run("apply", str(nothing), "--yes")
    assert result.exit_code == 1
    assert "this is no plan file" in result.output
