"""Renames, and names that come out the same."""

from __future__ import annotations

from hanse.model import Tenant
from service import manifest
from service.world import World

WEB = Tenant("north", "shop", "web")


async def test_a_rename_is_an_update_of_the_same_thing(applied: World) -> None:
    before = applied.row("spaces", "shop-web")
    assert before
    renamed = manifest.WEB.replace("name: web\n", "name: store\nformerly: [web]\n")
    applied.commit({manifest.WEB_FILE: renamed})
    planned = await applied.plan()
    steps = [step for plan in planned.survey.plans.values() for step in plan.steps]
    assert {step.action for step in steps} == {"update"}
    assert {str(step.owner) for step in steps} == {"north/shop/web", "south/shop/web"}
    await applied.apply()
    after = applied.row("spaces", "shop-store")
    assert after
    assert after["id"] == before["id"]
    assert applied.members("shop-store-admin") == {"u-1", "u-2"}
    assert "shop-web" not in applied.names("spaces")
    assert (await applied.plan()).survey.steps == 0


async def test_a_former_name_must_stay(applied: World) -> None:
    renamed = manifest.WEB.replace("name: web\n", "name: store\nformerly: [web]\n")
    applied.commit({manifest.WEB_FILE: renamed})
    await applied.apply()
    applied.forget_calls()
    applied.commit({manifest.WEB_FILE: renamed.replace("formerly: [web]\n", "")})
    result = await applied.apply()
    assert result.planned.proposal.checked is None
    (found,) = [d for d in result.planned.proposal.diagnostics if d.code == "formerly-dropped"]
    assert found.place
    assert found.place.path == manifest.WEB_FILE
    assert applied.writes == []


def test_validate_finds_names_that_collide_after_the_pattern_and_tells_both_places(world: World) -> None:
    users = "memory:\n  users:"
    pattern = 'memory:\n  names: {space: "{project}", group: "{project}-{role}"}\n  users:'
    south = manifest.PLATFORMS.replace(users, pattern)
    other = manifest.project("web", "lab", tenants="south production")
    world.commit({"platforms.yaml": south, "lab/web.yaml": other})
    result = world.run("validate", str(world.repository))
    assert result.exit_code == 1
    assert "would be the same as that of" in result.output
    assert "lab/web.yaml:3:7" in result.output
    assert "shop/web.yaml:3:7" in result.output


def test_validate_tells_all_errors_at_once_with_their_places(world: World) -> None:
    wrong = manifest.TRIAL.replace("workspace: shop", "workspace: shpo").replace("u-3", "u-33")
    sea = manifest.SEA.replace("landingZone", "landingzone")
    world.commit({manifest.TRIAL_FILE: wrong, manifest.SEA_FILE: sea})
    result = world.run("validate", str(world.repository))
    assert result.exit_code == 1
    assert "shop/trial.yaml:4:12: error: unknown workspace 'shpo'" in result.output
    assert "did you mean 'shop'?" in result.output
    assert "shop/trial.yaml:7:12: error: unknown user 'u-33'" in result.output
    assert "lab/sea.yaml:9:23: error:" in result.output


def test_validate_looks_at_the_working_tree_where_asked(world: World) -> None:
    (world.repository / manifest.TRIAL_FILE).write_text("kind: Nothing\n")
    assert world.run("validate", str(world.repository)).exit_code == 0
    assert world.run("validate", str(world.repository), "--worktree").exit_code == 1
