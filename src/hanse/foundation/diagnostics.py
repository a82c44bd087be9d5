"""What is wrong with a manifest, where, and what to do about it; errors as values, all of them at once."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning"]

_LIKENESS = 0.7  # of difflib: one letter of four may differ
_DIGITS = re.compile(r"\D+")


class Place(Struct, frozen=True, order=True):
    """A position in a file of the repository; line and column count from 1, the column in characters."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        """Write the place as editors and compilers do."""
        return f"{self.path}:{self.line}:{self.column}"


class Diagnostic(Struct, frozen=True):
    """One finding.

    `code` is a stable kebab-case name such as "unknown-reference", for machines and for the manual.
    `message` says what is wrong, `advice` what to do (may be empty); both without a full stop at the end.
    """

    severity: Severity
    code: str
    message: str
    advice: str = ""
    place: Place | None = None


def error(code: str, message: str, advice: str = "", place: Place | None = None) -> Diagnostic:
    """Make a finding that makes the commit unacceptable."""
    return Diagnostic("error", code, message, advice, place)


def warning(code: str, message: str, advice: str = "", place: Place | None = None) -> Diagnostic:
    """Make a finding that does not stand in the way."""
    return Diagnostic("warning", code, message, advice, place)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Say whether any finding is an error."""
    return any(diagnostic.severity == "error" for diagnostic in diagnostics)


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort findings by place, then code and message; those without a place come last."""
    return sorted(diagnostics, key=_rank)


def render(diagnostic: Diagnostic) -> str:
    """Write a finding on one line: `path:line:col: error: message; advice`."""
    place = f"{diagnostic.place}: " if diagnostic.place else ""
    advice = f"; {diagnostic.advice}" if diagnostic.advice else ""
    return f"{place}{diagnostic.severity}: {diagnostic.message}{advice}"


def suggest(word: str, candidates: Iterable[str]) -> str | None:
    """Find the candidate that `word` was probably meant to be, or None.

    Names that differ in a number are different names and no misspellings: for `u-1003` nobody
    wants to hear of `u-1002`. Of equally likely candidates the alphabetically first is taken.
    """
    best: tuple[float, str] | None = None
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(word.casefold())
    digits = _DIGITS.sub(" ", word).strip()
    for candidate in sorted(set(candidates) - {word}):
        if _DIGITS.sub(" ", candidate).strip() != digits:
            continue
        matcher.set_seq1(candidate.casefold())
        least = best[0] if best else _LIKENESS
        if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
            continue
        likeness = matcher.ratio()
        if likeness >= _LIKENESS and (best is None or likeness > best[0]):
            best = (likeness, candidate)
    return best[1] if best else None


def _rank(diagnostic: Diagnostic) -> tuple[object, ...]:
    place = diagnostic.place or Place("", 0, 0)
    nowhere = diagnostic.place is None
    return nowhere, place, diagnostic.code, diagnostic.message, diagnostic.advice
