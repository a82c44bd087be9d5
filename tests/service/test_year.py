"""In years only the journal grows: some weeks of the year of `python -m bench year`, in a small organisation."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from bench import year

from hanse.service import serve, tidy

DAYS, MONTH = 18, 6
FLAT = 1.03


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small organisation, in which even what is remembered longest is so for some days."""
    for name, value in {"PEOPLE": 12, "PROJECTS": 5}.items():
        monkeypatch.setattr(year, name, value)
    monkeypatch.setattr(tidy, "DECIDED", timedelta(days=4))


async def test_weeks_in_which_much_happens_leave_nothing_but_the_journal(tmp_path: Path) -> None:
    lived, months = await year.live(tmp_path, DAYS, 43_200.0, lambda text: None, MONTH)
    for what in ("approvals", "revocations", "people who go", "projects given up", "platforms that fail"):
        assert lived.happened[what], f"{what}: did not happen"
    _, then, end = months
    assert end.records > then.records
    assert end.objects < FLAT * then.objects
    assert end.kept < 1.25 * then.kept
    for table in ("blob", "parsed", "approval", "revocation", "work", "open_step", "owner", "lease"):
        assert end.rows[table] <= max(1.5 * then.rows[table], 10), f"{table} grows"


async def test_it_would_be_seen_if_nothing_were_tidied_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(estate: object) -> None:
        """Keep all."""

    monkeypatch.setattr(serve, "tidy", nothing)
    with pytest.raises(AssertionError, match="a content is left that nothing names"):
        await year.live(tmp_path, 4, 43_200.0, lambda text: None, MONTH)
