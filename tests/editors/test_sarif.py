"""What `hanse validate --format sarif` writes is what code scanning takes: the real validator says so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sarif_multitool
from command_line import hanse, repository
from sarif_multitool import NOTHING_WRONG

from_npm = True
ORGANIZATION = "apiVersion: hanse/v1\nkind: Organization\nname: example\n"
EXPIRED = """\
{apiVersion: hanse/v1, kind: User, name: u-1}
---
{apiVersion: hanse/v1, kind: Workspace, name: shop}
---
{apiVersion: hanse/v1, kind: Project, name: web, workspace: shop}
---
{apiVersion: hanse/v1, kind: Grant, name: g, workspace: shop, project: web, user: u-1, role: user, until: 2020-01-01}
"""
ODD = [
    "a b/ü.yaml", "#?.yaml", "100%20.yaml", "c:d.yaml", "-/x.yaml", "\"'<>&.yaml", "back\\slash.yaml",
    "new\nline.yaml", "\x07\x1b[2J.yaml", "{0}.yaml", "😀/\u202e.yaml", "a/b..c/con.yaml", "[x].yaml",
]  # fmt: skip
"""Names of files that an address, a terminal or a template would take for something else."""
BROKEN = (
    "{apiVersion: hanse/v1, kind: Porject}\n---\n{apiVersion: hanse/v1, kind: User, name: 'Ü{1}', nmae: 5}\n"
)


def written(folder: Path, files: dict[str, str]) -> dict[str, Any]:
    """What the command writes of a repository with these files."""
    folder.mkdir()
    answer = hanse("validate", repository(folder, files), "--format", "sarif")
    assert isinstance(answer.exception, SystemExit | None), answer.exception
    log: dict[str, Any] = json.loads(answer.stdout)
    return log


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Of a sound organisation, of one with errors in odd places and a warning, and of none at all."""
    folder = tmp_path_factory.mktemp("sarif")
    files = {
        "sound": {"organization.yaml": ORGANIZATION},
        "errors": {"organization.yaml": ORGANIZATION, "all.yaml": EXPIRED, **dict.fromkeys(ODD, BROKEN)},
        "nothing": {"README": "no organisation, so that a finding has no place"},
    }
    return {name: written(folder / name, content) for name, content in files.items()}


def levels(log: dict[str, Any]) -> set[str]:
    return {result["level"] for result in log["runs"][0]["results"]}


def test_logs_with_errors_warnings_odd_paths_and_nothing_are_what_the_validator_takes(
    logs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    assert {name: levels(log) for name, log in logs.items()} == {
        "sound": set(), "errors": {"error", "warning"}, "nothing": {"error"},
    }  # fmt: skip
    told = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in logs["errors"]["runs"][0]["results"]
    }
    assert len(told) == len(ODD) + 1, "each odd file is told of"
    assert sarif_multitool.judged(tmp_path, logs) == dict.fromkeys(logs, NOTHING_WRONG)


def first(log: dict[str, Any]) -> Any:
    return log["runs"][0]["results"][0]


BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a word that SARIF does not know": lambda log: first(log).update(levl="error"),
    "a level that SARIF does not know": lambda log: first(log).update(level="fatal"),
    "a rule that is not listed": lambda log: first(log).update(ruleIndex=99),
    "no place": lambda log: first(log).pop("locations"),
    "a path that is no address": lambda log: first(log)["locations"][0]["physicalLocation"]["artifactLocation"].update(
        uri="a b/ü.yaml"
    ),
}  # fmt: skip


def test_a_log_that_is_broken_is_one_that_the_validator_refuses(
    logs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    broken = {what: copy.deepcopy(logs["nothing"]) for what in BREAKS}
    for what, log in broken.items():
        BREAKS[what](log)
    judged = sarif_multitool.judged(tmp_path, broken)
    assert {what for what, rules in judged.items() if rules == NOTHING_WRONG} == set()
