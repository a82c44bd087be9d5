"""What is written in an earlier way is told every time: whatever is remembered, looked at alone, or done in parts."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hanse import git, main
from hanse.desired.conversion import EarlierVersion
from hanse.desired.kinds import API_VERSION
from hanse.desired.load import row_of
from hanse.desired.vocabulary import Vocabulary
from hanse.service.estate import Language
from hanse.service.halves import in_parts
from hanse.service.since import check_since, check_worktree_since
from hanse.service.validate import Checked, check_commit
from hanse.store.cache import Cache

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUTHOR = git.Author("Test", "test@example.org")
OLD = "hanse/v1beta1"
FILES = {
    "organization.yaml": b"apiVersion: hanse/v1\nkind: Organization\nname: example\n",
    "w.yaml": f"apiVersion: {OLD}\nkind: Workspace\nname: w\n".encode(),
    "u.yaml": b"apiVersion: hanse/v1\nkind: User\nname: u-1\n",
}


def language() -> Language:
    """That of today, which has an earlier version."""
    today = main.language()
    earlier = {OLD: EarlierVersion(API_VERSION, lambda value: value)}
    return Language(Vocabulary(today.vocabulary.vendors, earlier), today.offline)


def deprecated(found: Checked) -> list[tuple[str, str, int]]:
    return [(d.code, d.place.path, d.place.line) for d in found.diagnostics if d.place]


def test_a_document_of_an_earlier_version_has_no_row_that_would_hide_it() -> None:
    vocabulary = language().vocabulary
    assert row_of(FILES["w.yaml"], vocabulary) is None
    assert row_of(FILES["u.yaml"], vocabulary) is not None


def test_an_earlier_version_is_told_at_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = git.init(tmp_path / "repository", FILES, "all", AUTHOR)
    source = main.open_source(str(tmp_path / "repository"))
    cache = Cache.open(tmp_path / "cache", "it")
    told = [("deprecated-version", "w.yaml", 1)]
    for _ in range(2):
        assert deprecated(asyncio.run(check_commit(source, language(), first, NOW, cache))) == told
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("hanse.service.validate.in_parts", lambda job, size, _: in_parts(job, size, 1))
    for rows in (None, Cache.open(tmp_path / "cache", "another"), cache):
        assert deprecated(asyncio.run(check_commit(source, language(), first, NOW, rows))) == told


def test_an_earlier_version_is_told_where_the_change_touches_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    first = git.init(folder, FILES, "all", AUTHOR)
    source = main.open_source(str(folder))
    cache = Cache.open(tmp_path / "cache", "it")
    other = git.commit(folder, {"u.yaml": FILES["u.yaml"] + b"email: u@example.org\n"}, "u", AUTHOR)
    touched = git.commit(folder, {"w.yaml": FILES["w.yaml"] + b"displayName: W\n"}, "w", AUTHOR)
    told = [("deprecated-version", "w.yaml", 1)]

    def since(before: str, after: str) -> list[tuple[str, str, int]]:
        return deprecated(asyncio.run(check_since(source, language(), before, after, NOW, cache)))

    for _ in range(2):
        assert since(first, other) == []
        assert since(other, touched) == told
        assert since(first, touched) == told
    assert deprecated(check_worktree_since(source, language(), other, NOW)) == told
    assert deprecated(check_worktree_since(source, language(), touched, NOW)) == []
