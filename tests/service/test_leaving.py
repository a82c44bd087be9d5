"""A tenant taken out of the manifest: access off at once, the rest as its landing zone's deletion rule says."""

from __future__ import annotations

from hanse.journal.events import OwnerGone
from hanse.model import Tenant, WorkspaceOn
from service import manifest
from service.world import World

SEA = Tenant("north", "lab", "sea")
TRIAL = Tenant("north", "shop", "trial")
LAB = WorkspaceOn("north", "lab")


async def test_access_goes_at_once_and_the_space_waits_for_a_yes(applied: World) -> None:
    applied.commit({manifest.SEA_FILE: None})
    await applied.apply()
    assert "lab-sea" in applied.names("spaces")
    assert not {name for name in applied.names("groups") if name.startswith("lab-sea")}
    row = (await applied.status())[str(SEA)]
    assert row.accepted.intent.left_at
    assert "waits to be deleted" in row.status.waits
    assert (await applied.plan()).survey.steps == 0


async def test_after_the_yes_it_is_deleted_and_the_owner_is_gone(applied: World) -> None:
    applied.commit({manifest.SEA_FILE: None})
    await applied.apply()
    (one,) = await applied.waiting()
    assert one.rule == "deletion"
    await applied.approve(one.subject[:6])
    result = await applied.apply()
    assert result.converged.gone == (SEA,)
    assert "lab-sea" not in applied.names("spaces")
    assert str(SEA) not in await applied.status()
    assert OwnerGone(SEA) in await applied.events()
    assert (await applied.plan()).survey.steps == 0
    assert await applied.waiting() == []


async def test_with_automatic_deletion_it_goes_in_one_pass(applied: World) -> None:
    applied.commit({manifest.TRIAL_FILE: None})
    result = await applied.apply()
    assert result.converged.gone == (TRIAL,)
    assert "shop-trial" not in applied.names("spaces")


async def test_put_back_before_it_is_gone_the_same_thing_resumes_and_the_approval_lapses(
    applied: World,
) -> None:
    before = applied.row("spaces", "lab-sea")
    assert before
    applied.commit({manifest.SEA_FILE: None})
    await applied.apply()
    (one,) = await applied.waiting()
    await applied.approve(one.subject)
    applied.commit({manifest.SEA_FILE: manifest.SEA})
    await applied.apply()
    after = applied.row("spaces", "lab-sea")
    assert after
    assert after["id"] == before["id"]
    assert applied.members("lab-sea-admin") == {"u-6", "u-7"}
    applied.commit({manifest.SEA_FILE: None})
    await applied.apply()
    assert "lab-sea" in applied.names("spaces")
    (again,) = await applied.waiting()
    assert not again.approved


async def test_a_workspaces_own_folder_goes_last_and_only_when_empty(applied: World) -> None:
    applied.commit({manifest.SEA_FILE: None, manifest.SKY_FILE: None})
    await applied.apply()
    waiting = await applied.waiting()
    assert len(waiting) == 3
    (folder,) = [one for one in waiting if one.what.startswith("north/lab:")]
    await applied.approve(folder.subject)
    await applied.apply()
    assert "lab" in applied.names("folders")
    assert "still holds things" in (await applied.status())[str(LAB)].status.waits
    for one in waiting:
        await applied.approve(one.subject)
    await applied.apply()
    await applied.apply()
    assert applied.names("spaces") == {"shop-web", "shop-trial"}
    assert applied.names("folders") == {"shop"}
    assert not [owner for owner in await applied.rows() if owner.workspace == "lab"]


async def test_a_folder_with_a_foreign_space_in_it_stays(applied: World) -> None:
    folder = applied.row("folders", "lab")
    assert folder
    applied.by_hand("POST", "/spaces", {"name": "theirs", "folder": folder["id"]})
    applied.commit({manifest.SEA_FILE: None, manifest.SKY_FILE: None})
    await applied.apply()
    for one in await applied.waiting():
        await applied.approve(one.subject)
    await applied.apply()
    await applied.apply()
    assert {"theirs"} < applied.names("spaces")
    assert "lab" in applied.names("folders")


async def test_a_workspaces_own_folder_is_made_first(world: World) -> None:
    await world.apply()
    made = [call.path for call in world.writes if call.method == "POST"]
    assert (
        max(i for i, path in enumerate(made) if path == "/folders") < made.index("/spaces")
        or made[0] == "/folders"
    )


async def test_a_platform_taken_out_with_its_tenants_is_told(applied: World) -> None:
    north_only = manifest.PLATFORMS.split("---\napiVersion: hanse/v1\nkind: Platform\nname: south")[0]
    web = manifest.WEB.replace("  - {platform: south, landingZone: production}\n", "")
    applied.commit({"platforms.yaml": north_only, manifest.WEB_FILE: web})
    result = await applied.apply()
    assert "declare it again" in result.planned.survey.unavailable["south"].advice
    assert applied.names("spaces", "south") == {"shop-web"}
    assert "not declared any more" in (await applied.status())["south/shop/web"].status.waits
