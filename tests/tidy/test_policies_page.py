"""The page about policies has every variable and field with its type, and its examples do what they say."""

from __future__ import annotations

import re

import pytest

from example_vendor import BASE, loaded
from hanse.policy import check_policies
from hanse.policy.variables import OBJECTS, VARIABLES
from reference_pages import DOCS, section

ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.+) \|$", re.MULTILINE)
PAGE = (DOCS / "policies.md").read_text()
EXAMPLES = [text.strip() for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
TEN = EXAMPLES[1].split("---\n")
BROKEN = """
---
{apiVersion: hanse/v1, kind: TagDefinition, name: external, kinds: [User], type: boolean}
---
{apiVersion: hanse/v1, kind: Location, name: us, jurisdiction: US}
---
{apiVersion: hanse/v1, kind: Platform, name: west, credential: west, location: us, cirrus: {region: w}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: sandbox, platform: west}
---
{apiVersion: hanse/v1, kind: User, name: u-9, email: nine@elsewhere.example, tags: {external: true}}
---
apiVersion: hanse/v1
kind: Project
name: prod
workspace: shop
tags: {confidentiality: confidential}
access: [{user: u-9, role: admin}]
tenants: [{platform: west, landingZone: sandbox, quotas: {cores: 9}}]
---
{apiVersion: hanse/v1, kind: Grant, name: a, user: u-1, role: organization-admin}
---
{apiVersion: hanse/v1, kind: Grant, name: b, user: u-2, role: organization-admin}
---
{apiVersion: hanse/v1, kind: Grant, name: c, user: u-3, role: organization-admin}
---
{apiVersion: hanse/v1, kind: Grant, name: d, user: u-9, role: organization-admin}
"""
KEPT = """
---
{apiVersion: hanse/v1, kind: Location, name: fra, jurisdiction: EU}
---
{apiVersion: hanse/v1, kind: Platform, name: west, credential: west, location: fra, cirrus: {region: w}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: sandbox, platform: west}
---
{apiVersion: hanse/v1, kind: PaymentMethod, name: card}
---
{apiVersion: hanse/v1, kind: User, name: u-8, email: eight@example.org}
---
{apiVersion: hanse/v1, kind: Group, name: admins, members: [u-8]}
---
apiVersion: hanse/v1
kind: Project
name: prod
workspace: shop
paymentMethod: card
tags: {confidentiality: confidential}
access:
  - {group: admins, role: admin}
  - {user: u-8, role: admin, from: 2026-07-01, until: 2026-07-02, reason: CHG-7}
tenants: [{platform: west, landingZone: sandbox, quotas: {cores: 8}}]
"""
NAMED = BASE.replace(
    "kind: Workspace, name: shop",
    "kind: Workspace, name: shop, displayName: Shop, access: [{user: u-1, role: workspace-owner}]",
)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_table_has_every_field_with_its_type(name: str) -> None:
    told = {field: kind for field, kind, _ in ROW.findall(section("policies", f"### {name}"))}
    assert told == {field: str(made.type) for field, made in (OBJECTS[name].fields or {}).items()}


def test_the_table_has_every_variable() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section("policies", "## Variables"), re.MULTILINE)
    assert {on: re.findall(r"`(\w+)`", names) for on, names in rows} == {
        on: list(names) for on, names in VARIABLES.items()
    }


@pytest.mark.parametrize("text", [*TEN, EXAMPLES[0]], ids=range(11))
def test_an_example_holds_where_it_is_kept_and_is_told_where_it_is_broken(text: str) -> None:
    head = "" if text.startswith("apiVersion") else "apiVersion: hanse/v1\nkind: Policy\n"
    for world, codes in ((NAMED + KEPT, set()), (BASE + BROKEN, {"policy"})):
        found = loaded({"world.yaml": world, "policy.yaml": head + text})
        assert [d for d in found.diagnostics if d.severity == "error"] == []
        assert {finding.code for finding in check_policies(found.manifest)} == codes


def test_there_are_ten_of_them() -> None:
    assert len(TEN) == 10
