"""`--changed` and `--only` look at what they are about, and at nothing else."""

from __future__ import annotations

import pytest

from hanse.service.estate import Trouble
from hanse.service.plan import Selection
from service import manifest
from service.world import World

CHANGED = Selection(changed=True)


async def test_changed_without_a_change_makes_no_call(applied: World) -> None:
    planned = await applied.plan(CHANGED)
    assert planned.survey.plans == {}
    assert applied.made("north") + applied.made("south") == []


async def test_changed_reads_and_writes_only_the_changed_owner(applied: World) -> None:
    applied.join_by_hand("lab-sea-admin", "u-8")
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
    result = await applied.apply(CHANGED)
    assert {str(owner) for owner in result.planned.survey.plans} == {"north/shop/trial"}
    assert applied.members("shop-trial-user") == {"u-4"}
    assert "u-8" in applied.members("lab-sea-admin")
    assert applied.made("south") == []
    sea = applied.row("groups", "lab-sea-admin")
    assert sea
    assert not [call for call in applied.made() if sea["id"] in (call.path, *dict(call.query).values())]
    assert len(applied.writes) == 2


async def test_changed_sees_owners_whose_group_has_other_members(applied: World) -> None:
    applied.commit({"groups.yaml": manifest.GROUPS.replace("[u-6, u-7]", "[u-5, u-7]")})
    planned = await applied.plan(CHANGED)
    assert {str(owner) for owner in planned.survey.plans} == {"north/lab/sky", "north/lab/sea"}
    assert {s.reason.cause for p in planned.survey.plans.values() for s in p.steps} == {"directory"}


async def test_changed_still_sees_what_was_accepted_but_could_not_be_done(applied: World) -> None:
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
    await applied.apply(Selection(only="lab"))
    assert applied.members("shop-trial-user") == {"u-3"}
    await applied.apply(CHANGED)
    assert applied.members("shop-trial-user") == {"u-4"}


async def test_only_looks_at_one_workspace_or_project(applied: World) -> None:
    applied.join_by_hand("lab-sea-admin", "u-8")
    applied.join_by_hand("lab-sky-admin", "u-8")
    applied.join_by_hand("shop-web-admin", "u-8")
    await applied.apply(Selection(only="lab/sea"))
    assert "u-8" not in applied.members("lab-sea-admin")
    await applied.apply(Selection(only="lab"))
    assert "u-8" in applied.members("shop-web-admin")
    await applied.apply(Selection(only="shop"))
    assert "u-8" not in applied.members("shop-web-admin")


async def test_only_of_nothing_is_an_error(applied: World) -> None:
    with pytest.raises(Trouble, match="no workspace or project shop/nothing"):
        await applied.plan(Selection(only="shop/nothing"))
