"""A revocation takes access away ahead of any commit, and lapses when the manifest has caught up."""

from __future__ import annotations

import pytest

from hanse.journal.events import GrantRevoked
from hanse.service.estate import Trouble
from service import manifest
from service.world import World

WITHOUT = manifest.TRIAL.replace("  - {user: u-3, role: user}\n", "")


async def test_a_revoked_grant_is_subtracted_at_once(applied: World) -> None:
    await applied.revoke("shop/trial", "u-3")
    await applied.apply()
    assert applied.members("shop-trial-user") == set()
    assert applied.members("shop-web-user") == {"u-3", "u-4", "u-5"}
    assert (await applied.plan()).survey.steps == 0
    assert [e for e in await applied.events() if isinstance(e, GrantRevoked)]


async def test_it_stays_subtracted_from_later_commits_that_have_the_grant(applied: World) -> None:
    await applied.revoke("shop/trial", "u-3")
    await applied.apply()
    applied.commit(
        {manifest.TRIAL_FILE: manifest.TRIAL.replace("kind: Project\n", "kind: Project\ndisplayName: A\n")}
    )
    await applied.apply()
    assert applied.members("shop-trial-user") == set()


async def test_it_works_with_a_broken_head_too(applied: World) -> None:
    applied.commit({manifest.SEA_FILE: "kind: Nothing\n"})
    await applied.revoke("shop/trial", "u-3")
    result = await applied.apply()
    assert result.planned.proposal.checked is None
    assert applied.members("shop-trial-user") == set()
    assert (await applied.plan()).survey.steps == 0


async def test_it_lapses_when_a_commit_without_the_grant_is_accepted(applied: World) -> None:
    await applied.revoke("shop/trial", "u-3")
    await applied.apply()
    applied.commit({manifest.TRIAL_FILE: WITHOUT})
    await applied.apply()
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL})
    await applied.apply()
    assert applied.members("shop-trial-user") == {"u-3"}


async def test_what_nobody_holds_cannot_be_revoked(applied: World) -> None:
    with pytest.raises(Trouble, match="user u-8 has no accepted grant on shop/trial"):
        await applied.revoke("shop/trial", "u-8")
    with pytest.raises(Trouble, match="no accepted project shop/nothing"):
        await applied.revoke("shop/nothing", "u-3")


def test_the_command_revokes_and_says_what_comes_next(applied: World) -> None:
    result = applied.run("revoke", "shop/trial", "--user", "u-3", "--reason", "left")
    assert result.exit_code == 0
    assert "hanse apply" in result.output
    assert applied.run("revoke", "shop/trial", "--reason", "left").exit_code == 1
    assert applied.run("apply", "--yes").exit_code == 0
    assert applied.members("shop-trial-user") == set()
