"""The page about Kubernetes has every quota, and its example is sound."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from hanse import main
from hanse.foundation.diagnostics import render
from hanse.model import Tenant
from hanse.platforms.kubernetes import blocks
from hanse.service.validate import Checked, check_worktree
from reference_pages import DOCS, section

NOW = datetime(2026, 11, 23, tzinfo=UTC)
AROUND = """
{apiVersion: hanse/v1, kind: Organization, name: example}
---
apiVersion: hanse/v1
kind: Platform
name: kubernetes-demo
credential: kubernetes-demo
kubernetes: {subjects: {users: {externalId: sub}}}
---
{apiVersion: hanse/v1, kind: Workspace, name: shop}
---
apiVersion: hanse/v1
kind: Project
name: prod
workspace: shop
tags: {cost-center: "4711"}
tenants: [{platform: kubernetes-demo, landingZone: production}]
"""
FILE = re.compile(r"^```yaml\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Worktree:
    """Files that lie in no repository."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files

    def worktree(self) -> tuple[dict[str, bytes], list[str]]:
        return {path: text.encode() for path, text in self.files.items()}, []


def checked(**changes: str) -> Checked:
    """The page's example in a small organisation; `changes` replace text in its files."""
    files = {"all.yaml": AROUND, **dict(FILE.findall((DOCS / "kubernetes.md").read_text()))}
    for old, new in changes.items():
        files = {path: text.replace(old, new) for path, text in files.items()}
    return check_worktree(Worktree(files), main.language(), NOW)  # type: ignore[arg-type]


def test_every_quota_has_its_resource_and_unit() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `(\S+)` \| (\w*) ?\|$", section("kubernetes", "## Quotas and limits"), re.MULTILINE
    )
    assert {name: (resource, unit) for name, resource, unit in rows} == blocks.QUOTAS


def test_the_example_is_sound_and_gives_what_the_page_says() -> None:
    example = checked()
    assert [render(finding) for finding in example.diagnostics] == []
    assert example.settings is not None
    platform = main.language().offline(example.settings)["kubernetes-demo"]
    owner = Tenant("kubernetes-demo", "shop", "prod")
    made = platform.compile(example.intents[owner], example.directory, NOW).resources
    assert {str(resource.attributes["name"]) for resource in made if resource.kind == "object"} == {
        "tenant",
        "deployer",
        "allow-from-ingress",
    }
    assert '"project":"shop/prod"' in str([resource.attributes.get("manifest") for resource in made])
    assert '"literal":"the text ${namespace} itself"' in str([r.attributes.get("manifest") for r in made])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "kind: ServiceAccount\nmetadata",
            "kind: Node\nmetadata",
            "base.yaml:14:7: error: Node is of the whole cluster",
        ),
        ("${tag.cost-center}", "${tag.cost}", "all.yaml:16:7: error: the project has no tag 'cost'"),
        ("${workspace}/", "${workspac}/", "base.yaml:9:12: error: unknown placeholder ${workspac}"),
        (
            "kubernetes-demo, landingZone: production}",
            "kubernetes-demo, landingZone: other}",
            "unknown landing zone",
        ),
    ],
)
def test_what_is_wrong_with_it_is_told_where_it_stands(old: str, new: str, told: str) -> None:
    said = [render(finding) for finding in checked(**{old: new}).diagnostics]
    assert len(said) == 1
    assert told in said[0]


def test_a_landing_zone_that_nobody_uses_yet_is_checked_too() -> None:
    unused = {
        "tenants: [{platform: kubernetes-demo, landingZone: production}]": "",
        "kind: ServiceAccount\nm": "kind: Node\nm",
    }
    said = [render(finding) for finding in checked(**unused).diagnostics]
    assert len(said) == 1
    assert "base.yaml:14:7: error: Node is of the whole cluster" in said[0]
