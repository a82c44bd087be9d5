"""What a benchmark says: one row for each thing that was measured, and how the rows are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Row:
    """One measurement. Without a limit it is only told."""

    what: str
    ours: str
    yardstick: str = ""
    value: float | None = None
    """What the limit is about: a ratio, or the measured number itself."""
    limit: float | None = None
    at_least: bool = False
    """The value must reach the limit; else it must not pass it."""
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        if self.value is None or self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def verdict(self) -> str:
        """In one word."""
        return "" if self.limit is None else "pass" if self.passed else "FAIL"

    def cells(self) -> tuple[str, ...]:
        """As shown in the table."""
        value = "" if self.value is None else f"{self.value:.3g}"
        limit = "" if self.limit is None else f"{'>=' if self.at_least else '<='} {self.limit:g}"
        return (self.what, self.ours, self.yardstick, value, limit, self.verdict, self.note)


HEAD = ("what", "ours", "yardstick", "ratio", "limit", "", "")


def table(rows: Sequence[Row]) -> str:
    """All rows under one head, in columns."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD) - 1)]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]
        ).rstrip()
        for line in lines
    )


def plain(row: Row) -> dict[str, object]:
    """As plain values, for machines."""
    return {**asdict(row), "passed": row.passed}


def seconds(many: Sequence[float]) -> str:
    """The median of some times, and how many there were."""
    times = f", median of {len(many)}" if len(many) > 1 else ""
    return f"{median(many):.2f} s{times}"
