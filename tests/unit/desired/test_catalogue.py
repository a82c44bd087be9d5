"""The error catalogue: repositories with every mistake, and what is said of each, to the column."""

from __future__ import annotations

import pytest

from example_vendor import NOW, VOCABULARY
from golden_files import GOLDEN, golden
from hanse.desired.load import load
from hanse.foundation.diagnostics import render


def broken(name: str = "broken") -> dict[str, bytes]:
    root = GOLDEN / name
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.golden
def test_every_mistake_of_a_broken_repository_is_told_at_once_with_its_place_and_what_to_do() -> None:
    loaded = load(broken(), VOCABULARY, NOW, links=["linked.yaml", "charts/linked.yaml", ".hidden/x.yaml"])
    told = "".join(f"{render(diagnostic)}\n" for diagnostic in loaded.diagnostics)
    assert told == golden("broken.txt", told)


@pytest.mark.golden
def test_every_mistake_with_tags_is_told_with_its_place_and_what_to_do() -> None:
    told = "".join(
        f"{render(diagnostic)}\n" for diagnostic in load(broken("tags"), VOCABULARY, NOW).diagnostics
    )
    assert told == golden("tags.txt", told)


@pytest.mark.parametrize("name", ["broken", "tags"])
def test_every_place_of_the_catalogue_points_into_the_text_that_it_speaks_of(name: str) -> None:
    files = broken(name)
    for diagnostic in load(files, VOCABULARY, NOW).diagnostics:
        assert diagnostic.place is not None
        line = files[diagnostic.place.path].decode().splitlines()[diagnostic.place.line - 1]
        assert line[diagnostic.place.column - 1 :].strip()
