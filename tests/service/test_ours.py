"""A grant that Hanse itself gave is no local change, also where the owner never held in full."""

from __future__ import annotations

from datetime import timedelta

from hanse.model import Outcome, Step
from hanse.reconcile import Pass
from service import manifest
from service.world import World

ALIEN = {"name": "lab-sky-reader"}


def with_row(row: str) -> str:
    """The project whose local changes are only reported, with one grant more."""
    return manifest.SKY.replace("access:\n", f"access:\n{row}")


async def test_a_grant_that_ends_while_a_pass_runs_is_taken_away_by_the_next(applied: World) -> None:
    until = (applied.clock.at + timedelta(minutes=30)).isoformat()
    applied.commit({manifest.SKY_FILE: with_row(f"  - {{user: u-8, role: admin, until: '{until}'}}\n")})

    def told(run: Pass, step: Step, outcome: Outcome) -> None:
        applied.clock.advance(hours=1)

    await applied.apply(told=told)
    await applied.apply()
    assert "u-8" not in applied.members("lab-sky-admin")


async def test_a_grant_given_while_something_else_is_blocked_can_be_taken_away_again(applied: World) -> None:
    applied.by_hand("POST", "/groups", ALIEN)
    blocked = with_row("  - {user: u-8, role: reader}\n" + "  - {user: u-5, role: admin}\n")
    applied.commit({manifest.SKY_FILE: blocked})
    result = await applied.apply()
    assert result.converged.after.is_blocked()
    assert applied.members("lab-sky-admin") == {"u-5", "u-6", "u-7"}
    applied.commit({manifest.SKY_FILE: with_row("  - {user: u-8, role: reader}\n")})
    await applied.apply()
    assert applied.members("lab-sky-admin") == {"u-6", "u-7"}


async def test_what_was_taken_away_while_something_else_is_blocked_can_be_given_again(applied: World) -> None:
    applied.by_hand("POST", "/groups", ALIEN)
    reader = "  - {user: u-8, role: reader}\n"
    direct = "  - {user: u-5, role: admin}\n"
    applied.commit({manifest.SKY_FILE: with_row(direct)})
    await applied.apply()
    applied.commit({manifest.SKY_FILE: with_row(reader)})
    await applied.apply()
    assert applied.members("lab-sky-admin") == {"u-6", "u-7"}
    applied.commit({manifest.SKY_FILE: with_row(reader + direct)})
    await applied.apply()
    assert applied.members("lab-sky-admin") == {"u-5", "u-6", "u-7"}
