"""Guards hold back what would remove too much, until somebody who may says yes."""

from __future__ import annotations

import pytest

from hanse.journal.events import ApprovalGiven, GuardTripped, OrganizationAccepted
from hanse.model import Tenant
from hanse.service.estate import Trouble
from service import manifest
from service.world import World

WEB = Tenant("north", "shop", "web")
TEAM = {"u-3", "u-4", "u-5"}
NO_TEAM = manifest.WEB.replace("  - {group: shop-team, role: user}\n", "")
STRICT = manifest.ORGANIZATION.replace("removalAtLeast: 5", "removalAtLeast: 2")


@pytest.fixture
def strict(applied: World) -> World:
    """A world whose guards trip at more than two removals."""
    applied.commit({"organization.yaml": STRICT})
    assert applied.run("apply", "--yes").exit_code == 0
    applied.forget_calls()
    return applied


async def test_a_tripped_ceiling_holds_the_removals_and_lets_the_rest_happen(strict: World) -> None:
    commit = strict.commit({manifest.WEB_FILE: NO_TEAM.replace("prod}", "live}")})
    result = await strict.apply()
    assert result.planned.proposal.stands == commit
    assert strict.members("shop-web-user") == TEAM
    space = strict.row("spaces", "shop-web")
    assert space
    assert space["tags"] == ["environment=live"]
    assert [e.guard for e in await strict.events() if isinstance(e, GuardTripped)]
    assert (await strict.plan()).survey.steps == 0


async def test_held_removals_are_listed_approved_by_prefix_and_then_happen(strict: World) -> None:
    strict.commit({manifest.WEB_FILE: NO_TEAM})
    await strict.apply()
    waiting = await strict.waiting()
    assert {one.rule for one in waiting} == {"guard"}
    assert any("u-3 as user" in detail for one in waiting for detail in one.details)
    for one in waiting:
        await strict.approve(one.subject[:8])
    assert [e for e in await strict.events() if isinstance(e, ApprovalGiven)]
    await strict.apply()
    assert strict.members("shop-web-user") == set()
    assert strict.members("shop-web-user", "south") == set()
    assert await strict.waiting() == []
    assert (await strict.plan()).survey.steps == 0


async def test_an_approval_stands_through_later_merges(strict: World) -> None:
    strict.commit({manifest.WEB_FILE: NO_TEAM})
    await strict.apply()
    for one in await strict.waiting():
        await strict.approve(one.subject)
    strict.commit({manifest.SEA_FILE: manifest.SEA.replace("  - {user: u-8, role: reader}\n", "")})
    await strict.apply()
    assert strict.members("shop-web-user") == set()
    assert strict.members("lab-sea-reader") == set()


async def test_an_expired_approval_lets_nothing_happen(strict: World) -> None:
    strict.commit({manifest.WEB_FILE: NO_TEAM})
    await strict.apply()
    for one in await strict.waiting():
        await strict.approve(one.subject, days=1)
    strict.clock.advance(days=2)
    await strict.apply()
    assert strict.members("shop-web-user") == TEAM


async def test_what_is_held_and_put_back_waits_no_longer(strict: World) -> None:
    strict.commit({manifest.WEB_FILE: NO_TEAM})
    await strict.apply()
    strict.commit({manifest.WEB_FILE: manifest.WEB})
    await strict.apply()
    assert await strict.waiting() == []
    assert strict.members("shop-web-user") == TEAM


async def test_a_workspace_keeps_its_last_admins(applied: World) -> None:
    admins = "  - {group: shop-admins, role: admin}\n"
    both = {manifest.WEB_FILE: manifest.WEB, manifest.TRIAL_FILE: manifest.TRIAL}
    applied.commit({file: text.replace(admins, "") for file, text in both.items()})
    await applied.apply()
    assert applied.members("shop-web-admin") == {"u-1", "u-2"}
    assert "minimum-admins" in {e.guard for e in await applied.events() if isinstance(e, GuardTripped)}


async def test_an_emptied_organisation_is_held_whole(applied: World) -> None:
    gone = (manifest.WEB_FILE, manifest.TRIAL_FILE, manifest.SKY_FILE, manifest.SEA_FILE)
    applied.commit(dict.fromkeys(gone))
    before = applied.names("spaces")
    await applied.apply()
    assert applied.writes == []
    assert applied.names("spaces") == before
    assert "empty-organization" in {e.guard for e in await applied.events() if isinstance(e, GuardTripped)}


async def test_a_rewritten_history_is_refused_and_changes_nothing_until_approved(applied: World) -> None:
    applied.git("commit", "--quiet", "--amend", "-m", "Another beginning")
    other = applied.git("rev-parse", "HEAD")
    result = await applied.apply()
    assert result.planned.proposal.checked is None
    assert applied.writes == []
    (one,) = await applied.waiting()
    await applied.approve(one.subject[:12])
    result = await applied.apply()
    assert result.planned.proposal.stands == other
    accepted = [e for e in await applied.events() if isinstance(e, OrganizationAccepted)]
    assert accepted[-1].commit == other


def test_a_refused_history_is_told_with_the_way_to_approve_it(applied: World) -> None:
    applied.git("commit", "--quiet", "--amend", "-m", "Another beginning")
    result = applied.run("apply", "--yes")
    assert result.exit_code == 1
    assert "its history does not contain the accepted commit" in result.output
    assert "hanse approve" in result.output
    listed = applied.run("approve")
    assert listed.exit_code == 0
    assert "history" in listed.output


async def test_only_who_may_approves(strict: World) -> None:
    strict.commit({manifest.WEB_FILE: NO_TEAM})
    await strict.apply()
    one = (await strict.waiting())[0]
    strict.config.write_text(strict.config.read_text().replace("[operator]", "[somebody]"))
    with pytest.raises(Trouble, match="operator may not approve"):
        await strict.approve(one.subject)


async def test_an_approval_needs_enough_digits_and_one_subject(strict: World) -> None:
    with pytest.raises(Trouble, match="too short"):
        await strict.approve("abc")
    with pytest.raises(Trouble, match="names nothing that waits"):
        await strict.approve("abcdef123456")
