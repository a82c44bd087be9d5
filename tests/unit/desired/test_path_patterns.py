"""Patterns of paths: what they match, and in what time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.desired.paths import glob

PIECES = ["a", "b", ".", "/", "*", "**", "**/", "/**/", "?"]
MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def plainly(pattern: str) -> re.Pattern[str]:
    """The same, as one would write it who trusts everybody."""
    parts = re.split(r"((?:^|(?<=/))\*\*/|\*\*|\*|\?)", pattern)
    text = "".join(MEANING.get(part, re.escape(part)) for part in parts)
    return re.compile(f"(?:{text})(?:/.*)?", re.DOTALL)


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join),
    st.lists(st.text("ab./\n", max_size=10), min_size=1, max_size=10),
)
def test_a_pattern_matches_what_it_says(pattern: str, paths: list[str]) -> None:
    pattern = pattern.strip("/")
    for path in paths:
        assert bool(glob([pattern]).fullmatch(path)) == bool(plainly(pattern).fullmatch(path))


@pytest.mark.parametrize(
    "pattern", ["**a" * 12 + "**b", "**/a/" * 12 + "b", "*a" * 12 + "b", "a*/**" * 12 + "b"]
)
def test_no_pattern_of_a_committer_takes_long(pattern: str) -> None:
    began = time.monotonic()
    for path in ("a" * 1000, "a/" * 500):
        assert glob([pattern]).fullmatch(path) is None
    assert time.monotonic() - began < 5
