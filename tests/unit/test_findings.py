"""Findings in the forms that forges and scanners read."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.cli.findings import FORMATS, Format, github, gitlab, print_findings, sarif
from hanse.foundation.diagnostics import Diagnostic, Place, error, warning

SOUND: list[Diagnostic] = []
TWO = [
    error("unknown-reference", "unknown user 'u-7'", "did you mean 'u-1'?", Place("a b/ü.yaml", 3, 14)),
    warning("expired-grant", "the time of this grant was over", "take it out", Place("x.yaml", 9, 1)),
]
ANYTHING = st.builds(
    Diagnostic,
    st.sampled_from(["error", "warning"]),
    st.sampled_from(["unknown-reference", "wrong-type"]),
    st.text(max_size=30),
    st.text(max_size=30),
    st.none() | st.builds(Place, st.text(min_size=1, max_size=20), st.integers(1, 99), st.integers(1, 99)),
)


def results(found: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    (run,) = sarif(found)["runs"]
    return list(run["results"])


def test_sarif_says_rule_level_place_and_what_to_do() -> None:
    (run,) = sarif(TWO)["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["expired-grant", "unknown-reference"]
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("unknown-reference", 1, "error")
    assert first["message"]["text"] == "unknown user 'u-7'; did you mean 'u-1'?"
    (location,) = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b/%C3%BC.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "startColumn": 14},
    }
    assert (second["ruleIndex"], second["level"]) == (0, "warning")


def test_github_gets_a_command_for_each_finding() -> None:
    assert list(github(TWO)) == [
        "::error title=unknown-reference,file=a b/ü.yaml,line=3,col=14::unknown user 'u-7'; did you mean 'u-1'?",
        "::warning title=expired-grant,file=x.yaml,line=9,col=1::the time of this grant was over; take it out",
    ]


@given(st.lists(ANYTHING, max_size=5))
def test_no_text_of_a_manifest_can_give_a_runner_a_command_of_its_own(found: list[Diagnostic]) -> None:
    for line, diagnostic in zip(github(found), found, strict=True):
        assert "\n" not in line
        assert "\r" not in line
        assert line.startswith(f"::{diagnostic.severity} title=")


def test_gitlab_gets_its_fields() -> None:
    first, second = gitlab(TWO)
    assert first["location"] == {"path": "a b/ü.yaml", "lines": {"begin": 3}}
    assert (first["check_name"], first["severity"], second["severity"]) == (
        "unknown-reference",
        "major",
        "minor",
    )


def of_sarif(found: Sequence[Diagnostic]) -> list[str]:
    return [result["partialFingerprints"]["hanse/v1"] for result in results(found)]


def of_gitlab(found: Sequence[Diagnostic]) -> list[str]:
    return [row["fingerprint"] for row in gitlab(found)]


@pytest.mark.parametrize("fingerprints", [of_sarif, of_gitlab])
@given(found=st.lists(ANYTHING, max_size=8), lines=st.integers(1, 5))
def test_a_fingerprint_is_one_findings_own_and_stays_when_lines_move(
    fingerprints: Callable[[Sequence[Diagnostic]], list[str]], found: list[Diagnostic], lines: int
) -> None:
    assert len(set(fingerprints(found))) == len(found)
    moved = [
        Diagnostic(
            d.severity,
            d.code,
            d.message,
            d.advice,
            d.place and Place(d.place.path, d.place.line + lines, d.place.column),
        )
        for d in found
    ]
    assert fingerprints(moved) == fingerprints(found)


@pytest.mark.parametrize("form", FORMATS)
def test_where_nothing_is_found_each_form_says_so_and_stays_readable(
    form: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    print_findings(SOUND, form, "c1")
    text = capsys.readouterr().out
    if form in ("text", "github"):
        assert text == ""
    else:
        read = json.loads(text)
        empty = read["runs"][0]["results"] if form == "sarif" else read
        assert empty in ([], {"commit": "c1", "diagnostics": []})


def test_what_could_steer_a_terminal_is_shown_instead(capsys: pytest.CaptureFixture[str]) -> None:
    odd = error("x", "unknown user '\x1b[2J'", "no\x07", Place("\x1b]0;t\x07.yaml", 1, 1))
    print_findings([odd], "text")
    text = capsys.readouterr().out
    assert text == "\\x1b]0;t\\x07.yaml:1:1: error: unknown user '\\x1b[2J'\n    no\\x07\n"
