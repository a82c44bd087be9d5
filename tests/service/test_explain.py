"""`hanse explain` and `hanse schema` say what can be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from command_line import hanse
from hanse.cli import cli
from hanse.main import joined, language


def completed(word: str) -> list[str]:
    """What a shell offers for the beginning of a word."""
    shell = ShellComplete(cli, {"obj": {"joined": joined()}}, "hanse", "_HANSE_COMPLETE")
    return [item.value for item in shell.get_completions(["explain"], word)]


def test_without_an_argument_all_kinds_are_told() -> None:
    lines = hanse("explain").output.splitlines()
    told = [line.split("  ")[0] for line in lines]
    assert [*language().vocabulary.kinds, "server"] == told[: told.index("")]
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (
            "Project",
            ["What people work in", "workspace", "required", "Its places on platforms, at most one on each."],
        ),
        ("project", ["What people work in"]),
        ("Project.access", ["list of mappings", "One grant, where it is written inline", "until"]),
        ("Project.access.until", ["instant or date", "example", "until: 2026-12-31T18:00:00+01:00"]),
        ("Platform.openstack.names", ["{workspace}-{project}-{role}"]),
        ("LandingZone.kubernetes.podSecurity", ["allowed", "baseline, privileged, restricted"]),
        ("LandingZone.deletion", ["default", "approval"]),
        ("Organization.guards.removalPercent", ["at least 0", "at most 100", "25"]),
        ("TagDefinition.required", ["false"]),
        ("server", ["credentials", "approvers"]),
        ("server.repository", ["trustRoot", "A file of allowed signers"]),
    ],
)
def test_a_kind_a_part_and_a_field_are_told(what: str, told: list[str]) -> None:
    result = hanse("explain", what)
    assert result.exit_code == 0
    assert [text for text in told if text not in result.output] == []


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("Projcet", "there is no kind 'Projcet'\n  did you mean 'Project'?"),
        ("Project.acess", "Project has no field 'acess'\n  did you mean 'access'?"),
        ("Project.access.rloe", "Project.access has no field 'rloe'\n  did you mean 'role'?"),
        ("Project.name.x", "Project.name has no fields\n  `hanse explain Project.name`"),
        ("Nothing.like.it", "there are: Organization, "),
    ],
)
def test_what_there_is_not_is_told_with_what_was_meant(what: str, told: str) -> None:
    result = hanse("explain", what)
    assert result.exit_code == 1
    assert told in result.output


def test_json_says_what_the_text_says() -> None:
    assert json.loads(hanse("explain", "--json").stdout)["Group"] == "People by name. Groups do not nest."
    project = json.loads(hanse("explain", "Project", "--json").stdout)
    tenants = {field["name"]: field for field in project["fields"]}["tenants"]
    assert [field["name"] for field in tenants["fields"]][:2] == ["platform", "landingZone"]
    until = json.loads(hanse("explain", "Project.access.until", "--json").stdout)
    assert (until["type"], until["required"], until["default"]) == ("instant or date", False, None)


def test_names_are_completed() -> None:
    assert completed("Pl") == ["Platform"]
    assert completed("Platform.k") == ["Platform.kubernetes"]
    assert completed("platform.openstack.u") == ["platform.openstack.users"]
    assert completed("server.s") == ["server.store", "server.serve"]
    assert completed("Nothing.") == []


def test_the_schema_is_written_to_standard_output_and_to_a_file(tmp_path: Path) -> None:
    printed = json.loads(hanse("schema").stdout)
    assert printed["properties"]["kind"]["enum"] == [*language().vocabulary.kinds]
    path = tmp_path / "schema.json"
    assert hanse("schema", "--out", path).exit_code == 0
    assert json.loads(path.read_text()) == printed
    result = hanse("schema", "--out", tmp_path / "none/schema.json")
    assert result.exit_code == 1
    assert "cannot write" in result.output
