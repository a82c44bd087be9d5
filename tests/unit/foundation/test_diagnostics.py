"""Promises of foundation.diagnostics: findings are told in order, on one line, with a way out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.foundation.diagnostics import Place, error, has_errors, in_order, render, suggest, warning


def test_a_finding_is_one_line_that_editors_understand() -> None:
    place = Place("a/b.yaml", 3, 14)
    assert render(error("unknown-reference", "no role 'usr'", "did you mean 'user'?", place)) == (
        "a/b.yaml:3:14: error: no role 'usr'; did you mean 'user'?"
    )
    assert (
        render(warning("unused", "nobody uses it", place=place)) == "a/b.yaml:3:14: warning: nobody uses it"
    )
    assert render(error("no-organization", "there is no Organization")) == "error: there is no Organization"


def test_findings_come_in_the_order_of_the_files_and_placeless_ones_last() -> None:
    found = [
        error("x", "placeless"),
        error("x", "second", place=Place("b", 2, 9)),
        error("x", "third", place=Place("b", 10, 1)),
        error("x", "first", place=Place("a", 99, 1)),
    ]
    assert [finding.message for finding in in_order(found)] == ["first", "second", "third", "placeless"]


def test_warnings_do_not_stand_in_the_way() -> None:
    assert not has_errors([warning("x", "y")])
    assert has_errors([warning("x", "y"), error("x", "y")])


@pytest.mark.parametrize(
    ("word", "candidates", "meant"),
    [
        ("amdin", ["admin", "user", "reader"], "admin"),
        ("usr", ["admin", "user", "reader"], "user"),
        ("Admin", ["admin"], "admin"),
        ("workspce", ["workspace", "workspaces"], "workspace"),
        ("shop-prod", ["shop-test", "shop-prods"], "shop-prods"),
        ("u-1003", ["u-1002", "u-1030", "u-10031"], None),
        ("u1003", ["u-1003", "u-1004"], "u-1003"),
        ("k8s-fra", ["k8s-fr", "k9s-fra"], "k8s-fr"),
        ("x", ["y", "z"], None),
        ("admin", ["admin"], None),
        ("zebra", ["admin", "user"], None),
        ("", ["admin"], None),
        ("abc", ["abd", "abe"], None),
        ("abcd", ["abce", "abcf"], "abce"),
    ],
)
def test_a_misspelling_is_recognised_and_another_name_is_not(
    word: str, candidates: list[str], meant: str | None
) -> None:
    assert suggest(word, candidates) == meant


@settings(deadline=None)
@given(st.text(max_size=8), st.sets(st.text(max_size=8), max_size=5))
def test_only_a_candidate_is_ever_suggested(word: str, candidates: set[str]) -> None:
    assert suggest(word, candidates) in {None, *candidates}
