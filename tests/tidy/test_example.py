"""The example organisation that ships with the demo is sound, and shows what the demo promises."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from hanse.desired.intent import Intent
from hanse.desired.intents import intents
from hanse.desired.load import load
from hanse.desired.manifest import Manifest
from hanse.desired.vocabulary import Blocks, Vocabulary
from hanse.foundation.canonical import encode
from hanse.foundation.diagnostics import render
from hanse.platforms.kubernetes.blocks import DESCRIPTION as KUBERNETES
from hanse.platforms.openstack.blocks import DESCRIPTION as OPENSTACK
from hanse.policy import check_policies

EXAMPLE = Path(__file__).parents[2] / "src/hanse/demo/example"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def manifest(old: str = "", new: str = "") -> Manifest:
    """The example, loaded, with one text in place of another; fails on any error or warning."""
    blocks = {
        vendor.vendor: Blocks(vendor.platform_block, vendor.landing_zone_block, vendor.quotas)
        for vendor in (KUBERNETES, OPENSTACK)
    }
    files = {
        str(path.relative_to(EXAMPLE)): path.read_bytes() for path in EXAMPLE.rglob("*") if path.is_file()
    }
    if old:
        files = {path: content.replace(old.encode(), new.encode()) for path, content in files.items()}
    loaded = load(files, Vocabulary(blocks), NOW)
    assert [render(finding) for finding in loaded.diagnostics] == []
    return loaded.manifest


def test_it_is_as_large_as_promised() -> None:
    example = manifest()
    assert len(example.workspaces) >= 3
    assert len(example.projects) >= 12
    assert len(example.users) >= 30
    assert {zone for _, zone in example.landing_zones} == {"production", "development", "sandbox"}
    assert example.landing_zones["openstack-demo", "sandbox"].deletion == "automatic"
    assert set(example.platforms) == {"kubernetes-demo", "openstack-demo"}


def test_one_project_has_a_place_on_both_clouds() -> None:
    project = manifest().projects["shop", "prod"]
    assert {row.platform for row in project.tenants} == {"kubernetes-demo", "openstack-demo"}


def test_an_intent_that_was_stored_equals_one_that_was_just_made() -> None:
    for intent in intents(manifest()).values():
        assert msgspec.json.decode(encode(intent), type=Intent) == intent


def test_the_latecomer_has_access_to_wait_for() -> None:
    example = manifest()
    rows = [row for _, row, _, _ in example.access_rows() if row.user == "u-1030"]
    groups = [group.name for group in example.groups.values() if "u-1030" in group.members]
    assert len(rows) == 1
    assert groups == []


def test_its_policies_hold() -> None:
    example = manifest()
    assert len(example.policies) >= 2
    assert check_policies(example) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "jurisdiction: EU",
            "jurisdiction: US",
            "workspaces/analytics/projects/warehouse.yaml:13:5: error: analytics/warehouse on openstack-demo: "
            "confidential projects only in locations of the EU",
        ),
        (
            "email: five@example.org",
            "email: five@elsewhere.example",
            "workspaces/shop/projects/prod.yaml:12:5: error: grant of group shop-admins as admin on shop/prod: "
            "nobody from outside administers production",
        ),
    ],
)
def test_what_breaks_one_of_its_policies_is_told(old: str, new: str, said: str) -> None:
    (found, *_) = map(render, check_policies(manifest(old, new)))
    assert found.startswith(said)


def test_every_person_is_found_by_a_name_of_their_own() -> None:
    names = [user.external_ids["corporate"] for user in manifest().users.values()]
    assert len(set(names)) == len(names)
