"""What a manifest means for each owner."""

from __future__ import annotations

from example_vendor import BASE, PROJECT, loaded
from hanse.desired.intent import Intent
from hanse.desired.intents import directory, intents, settings
from hanse.desired.settings import Settings
from hanse.model import Owner, Tenant, WorkspaceOn

SHOP_PROD = Tenant("north", "shop", "prod")


def meant(project: str = PROJECT, base: str = BASE) -> dict[Owner, Intent]:
    result = loaded({"base.yaml": base, "prod.yaml": project})
    assert not [d for d in result.diagnostics if d.severity == "error"]
    return intents(result.manifest)


def test_there_is_an_intent_per_tenant_and_per_workspace_and_platform_with_a_tenant() -> None:
    both = PROJECT + "  - {platform: south, landingZone: production}\n"
    assert set(meant()) == {SHOP_PROD, WorkspaceOn("north", "shop")}
    assert set(meant(both)) == {
        SHOP_PROD,
        Tenant("south", "shop", "prod"),
        WorkspaceOn("north", "shop"),
        WorkspaceOn("south", "shop"),
    }


def test_owners_keep_the_oldest_names_and_intents_carry_the_present_ones() -> None:
    base = BASE.replace("name: shop}", "name: shop, formerly: [store]}")
    renamed = PROJECT.replace("workspace: shop", "workspace: shop\nformerly: [live, test]")
    found = meant(renamed, base)
    owner = Tenant("north", "store", "live")
    assert set(found) == {owner, WorkspaceOn("north", "store")}
    assert (found[owner].workspace, found[owner].project) == ("shop", "prod")


def test_a_moved_project_keeps_the_owner_of_its_first_workspace() -> None:
    base = BASE + "---\n{apiVersion: hanse/v1, kind: Workspace, name: hub, formerly: [old]}"
    moved = PROJECT.replace("workspace: shop", "workspace: shop\nformerly: [live, hub/beta, shop/beta]")
    assert set(meant(moved, base)) == {Tenant("north", "old", "live"), WorkspaceOn("north", "shop")}


def test_blocks_are_plain_values_with_their_defaults() -> None:
    intent = meant()[SHOP_PROD]
    assert intent.landing_zone_block == {"roles": {"admin": "boss"}, "security": "strict"}
    assert intent.platform_block == {
        "region": "n1", "naming": "{workspace}-{project}", "retries": 3, "tags": {}
    }  # fmt: skip


def test_a_default_written_out_changes_no_digest() -> None:
    written = BASE.replace("{region: n1}", "{retries: 3, region: n1}")
    assert meant(base=written)[SHOP_PROD].digest == meant()[SHOP_PROD].digest


def test_an_absent_block_equals_an_empty_one() -> None:
    south = PROJECT.replace("north", "south")
    written = BASE.replace("platform: south}", "platform: south, cirrus: {}}")
    owner = Tenant("south", "shop", "prod")
    assert meant(south, written)[owner].digest == meant(south)[owner].digest


def test_the_most_special_rule_about_local_changes_wins() -> None:
    zone = BASE.replace("platform: north, cirrus", "platform: north, localChanges: report, cirrus")
    row = PROJECT.replace("production}", "production, localChanges: rollback}")
    assert meant()[SHOP_PROD].local_changes == "rollback"
    assert meant(base=zone)[SHOP_PROD].local_changes == "report"
    assert meant(row, zone)[SHOP_PROD].local_changes == "rollback"


def test_grants_of_rows_and_files_are_united() -> None:
    grant = """
---
{apiVersion: hanse/v1, kind: Grant, name: g, workspace: shop, project: prod, group: makers, role: admin}
---
{apiVersion: hanse/v1, kind: Grant, name: h, workspace: shop, project: prod, user: u-3, role: user}
"""
    terms = meant(PROJECT + grant)[SHOP_PROD].grants
    assert [(t.subject_kind, t.subject, t.role) for t in terms] == [
        ("group", "makers", "admin"),
        ("user", "u-3", "user"),
    ]


def test_workspace_grants_reach_the_workspace_on_each_platform_and_no_project() -> None:
    base = BASE.replace("name: shop}", "name: shop, access: [{user: u-1, role: workspace-owner}]}")
    found = meant(base=base)
    assert [t.role for t in found[WorkspaceOn("north", "shop")].grants] == ["workspace-owner"]
    assert [t.role for t in found[SHOP_PROD].grants] == ["admin"]


def test_the_directory_holds_people_and_sorted_groups() -> None:
    people = directory(loaded({"base.yaml": BASE.replace("[u-1, u-2]", "[u-2, u-1, u-2]")}).manifest)
    assert people.groups == {"makers": ("u-1", "u-2")}
    assert str(people.people["u-1"].email) == "one@example.org"


def test_settings_survive_being_stored() -> None:
    base = BASE.replace(
        "name: example,", "name: example, access: [{user: u-1, role: organization-admin}], ignore: [b, a],"
    )
    found = settings(loaded({"base.yaml": base}).manifest)
    again = Settings.decode(found.encode())
    assert again == found
    assert again.digest == found.digest
    assert again.platforms["north"].vendor == "cirrus"
    assert again.organization.guards.removal_percent == 25
    assert [t.role for t in again.grants] == ["organization-admin"]


def test_an_unsound_landing_zone_leaves_its_tenants_out_and_no_others() -> None:
    base = BASE.replace("cirrus: {roles: {admin: boss}}", "cirrus: {roles: 1}")
    both = PROJECT + "  - {platform: south, landingZone: production}\n"
    found = intents(loaded({"base.yaml": base, "prod.yaml": both}).manifest)
    assert set(found) == {Tenant("south", "shop", "prod"), WorkspaceOn("south", "shop")}
