"""A commit that cannot be accepted stops neither drift repair nor expiry."""

from __future__ import annotations

from datetime import timedelta

from hanse.journal.events import OrganizationAccepted
from service import manifest
from service.world import World

BROKEN = {manifest.TRIAL_FILE: manifest.TRIAL.replace("workspace: shop", "workspace: shpo")}


async def test_with_a_broken_head_drift_is_repaired_and_the_accepted_state_stands(applied: World) -> None:
    broken = applied.commit(BROKEN)
    applied.join_by_hand("shop-web-admin", "u-8")
    result = await applied.apply()
    proposal = result.planned.proposal
    assert proposal.checked is None
    assert proposal.commit == broken
    assert any("shpo" in found.message and found.place for found in proposal.diagnostics)
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}
    assert not [e for e in await applied.events() if isinstance(e, OrganizationAccepted)][1:]


async def test_with_a_broken_head_a_grant_expires(applied: World) -> None:
    until = (applied.clock.at + timedelta(days=1)).isoformat()
    row = f"- {{user: u-8, role: admin, until: '{until}'}}\n  - {{user: u-3"
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("- {user: u-3", row)})
    await applied.apply()
    assert applied.members("shop-trial-admin") == {"u-1", "u-2", "u-8"}
    applied.commit(BROKEN)
    applied.clock.advance(days=2)
    result = await applied.apply()
    assert applied.members("shop-trial-admin") == {"u-1", "u-2"}
    assert {step.reason.cause for step, _ in result.converged.result.outcomes} == {"expired"}


def test_apply_with_a_broken_head_says_so_and_ends_with_1(applied: World) -> None:
    head = applied.git("rev-parse", "HEAD")
    broken = applied.commit(BROKEN)
    applied.join_by_hand("shop-web-admin", "u-8")
    result = applied.run("apply", "--yes")
    assert result.exit_code == 1
    assert "unknown workspace 'shpo'" in result.output
    assert f"{broken[:8]} has errors; what was accepted last stands: {head[:8]}" in result.output
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}


def test_plan_with_a_broken_head_ends_with_1_also_without_steps(applied: World) -> None:
    applied.commit(BROKEN)
    assert applied.run("plan").exit_code == 1


def test_a_broken_first_commit_is_told_and_nothing_is_done(world: World) -> None:
    world.commit(BROKEN)
    for command in ("plan", "apply"):
        result = world.run(command)
        assert result.exit_code == 1
        assert "nothing was accepted before" in result.output
        assert "Nothing to do" not in result.output
    assert world.writes == []


async def test_a_mended_head_is_accepted_again(applied: World) -> None:
    applied.commit(BROKEN)
    await applied.apply()
    mended = applied.commit({manifest.TRIAL_FILE: manifest.TRIAL})
    result = await applied.apply()
    assert result.planned.proposal.stands == mended
    assert (await applied.plan()).survey.steps == 0
