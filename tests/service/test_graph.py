"""`hanse graph` draws the organisation: whole or in part, the same each time, with any name in it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from command_line import git, hanse, repository
from golden_files import golden

EXAMPLE = Path(__file__).parents[2] / "src/hanse/demo/example"
ODD = '"]; | -- > <x> & # ` {c} \\\\ \\n\\u202e Ü'
EVIL = f"""\
{{apiVersion: hanse/v1, kind: Organization, name: example, displayName: "\\{ODD}"}}
---
{{apiVersion: hanse/v1, kind: Workspace, name: end, displayName: "subgraph\\nend"}}
---
{{apiVersion: hanse/v1, kind: User, name: u-1, displayName: "\\{ODD}"}}
---
{{apiVersion: hanse/v1, kind: Project, name: graph, workspace: end, access: [{{user: u-1, role: admin}}]}}
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of the demo, in a repository."""
    folder = tmp_path_factory.mktemp("example") / "org"
    shutil.copytree(EXAMPLE, folder)
    return repository(folder, {})


@pytest.mark.golden
@pytest.mark.parametrize("form", ["tree", "dot", "mermaid"])
def test_the_example_is_drawn(example: Path, form: str) -> None:
    result = hanse("graph", example, "--format", form, "--only", "shop")
    assert result.exit_code == 0
    assert golden(f"graph.{form}.txt", result.stdout) == result.stdout
    assert hanse("graph", example, "--format", form, "--only", "shop").stdout == result.stdout


def test_all_of_it_is_drawn_without_an_argument(example: Path) -> None:
    told = hanse("graph", example).output
    for name in (
        "organization-admin",
        "openstack-demo",
        "in lab (EU)",
        "14 tenants",
        "analytics",
        "warehouse",
        "u-1030",
    ):
        assert name in told


def test_json_has_all_of_it(example: Path) -> None:
    told = json.loads(hanse("graph", example, "--format", "json").stdout)
    assert [w["name"] for w in told["workspaces"]] == ["analytics", "infra", "mobile", "shop"]
    shop = told["workspaces"][-1]["projects"]
    places = {p["name"]: [place["platform"] for place in p["places"]] for p in shop}
    assert places["prod"] == ["kubernetes-demo", "openstack-demo"]
    assert {
        "name": "shop-admins",
        "display_name": "Web shop, administrators",
        "members": ["u-1005", "u-1006"],
    } in told["groups"]


def test_a_project_alone_has_only_what_is_its_own(example: Path) -> None:
    told = json.loads(hanse("graph", example, "--format", "json", "--only", "infra/build").stdout)
    assert [p["name"] for w in told["workspaces"] for p in w["projects"]] == ["build"]
    assert [p["name"] for p in told["platforms"]] == ["openstack-demo"]
    assert [g["name"] for g in told["groups"]] == ["platform-team"]
    assert told["access"] == []


@pytest.mark.parametrize(
    ("only", "told"),
    [
        ("shpo", "there is no workspace 'shpo'\n  did you mean 'shop'?"),
        ("shop/prd", "workspace 'shop' has no project 'prd'\n  did you mean 'prod'?"),
    ],
)
def test_what_is_not_declared_is_told(example: Path, only: str, told: str) -> None:
    result = hanse("graph", example, "--only", only)
    assert result.exit_code == 1
    assert told in result.output


def test_no_name_can_break_a_drawing(tmp_path: Path) -> None:
    folder = repository(tmp_path / "evil", {"all.yaml": EVIL})
    assert "\u202e" not in hanse("graph", folder).output
    word = re.compile(r'"(?:[^"\\]|\\.)*"')
    for line in hanse("graph", folder, "--format", "dot").output.splitlines():
        assert re.fullmatch(r"[\w\s\[\]{}=;,.>-]*", word.sub("", line)), line
    plain = r'[^"`\[\]{}|<>\\]*'
    word = re.compile(f'"{plain}(<br/>{plain})*"')
    for line in hanse("graph", folder, "--format", "mermaid").output.splitlines():
        assert re.fullmatch(r"[\w\s\[\]()|>-]*", word.sub("", line)), line


def test_an_unsound_manifest_is_drawn_as_far_as_it_is_sound(tmp_path: Path) -> None:
    folder = repository(tmp_path / "org", {"all.yaml": EVIL})
    (folder / "more.yaml").write_text(
        "{apiVersion: hanse/v1, kind: Project, name: lost, workspace: end, tenants: [{platform: x, landingZone: y}]}"
    )
    result = hanse("graph", folder, "--worktree", "--format", "dot")
    assert result.exit_code == 1
    assert "the manifest has 1 error" in result.stderr
    assert 'label="lost"' in result.stdout
    assert 'label="x"' in result.stdout
    assert "lost" not in hanse("graph", folder).output
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=second")
    assert "lost" in hanse("graph", folder).output
    assert "lost" not in hanse("graph", folder, "--commit", "HEAD~1").output
