"""The error catalogue of Kubernetes: what is said of each mistake, with its place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from golden_files import GOLDEN, golden
from hanse import main
from hanse.foundation.diagnostics import Diagnostic, render
from hanse.service.validate import check_worktree

ROOT = GOLDEN / "kubernetes"


class Worktree:
    """The broken repository."""

    def worktree(self) -> tuple[dict[str, bytes], list[str]]:
        return {
            p.relative_to(ROOT).as_posix(): p.read_bytes() for p in sorted(ROOT.rglob("*")) if p.is_file()
        }, []


def found() -> list[Diagnostic]:
    checked = check_worktree(Worktree(), main.language(), datetime(2026, 6, 1, tzinfo=UTC))  # type: ignore[arg-type]
    return checked.diagnostics


@pytest.mark.golden
def test_every_mistake_of_a_broken_landing_zone_is_told_at_once_with_its_place_and_what_to_do() -> None:
    told = "".join(f"{render(diagnostic)}\n" for diagnostic in found())
    assert told == golden("kubernetes.txt", told)


def test_every_finding_has_a_place_and_each_is_told_once() -> None:
    assert all(diagnostic.place is not None for diagnostic in found())
    assert len(set(found())) == len(found())
