"""Findings about documents, placed in their files only when somebody wants to read them.

Documents that came from the cache carry no positions; these are looked up in the file's bytes, on errors
only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from hanse.desired.mistakes import Mistake
from hanse.foundation.diagnostics import Diagnostic, Place, Severity, in_order
from hanse.foundation.yaml import locate

Steps = tuple[str | int, ...]


class Spot(NamedTuple):
    """One document of a file; the number is its index for `foundation.yaml.locate`."""

    path: str
    number: int


class Finding(Struct, frozen=True):
    """A diagnostic that does not know its line yet."""

    severity: Severity
    code: str
    message: str
    advice: str
    spot: Spot
    steps: Steps = ()
    key: bool = False


class Lazy(Mapping[str, bytes]):
    """Files that are read when they are asked for, which takes long one by one."""

    def fetch(self, paths: Collection[str]) -> None:
        """Read these files at once, for they are about to be asked for."""
        raise NotImplementedError


def about_to_read(files: Mapping[str, bytes], paths: Collection[str]) -> None:
    """Read these files at once where that is quicker."""
    if isinstance(files, Lazy) and paths:
        files.fetch(paths)


def of_mistake(mistake: Mistake, spot: Spot) -> Finding:
    """What is wrong with the form of a document, as an error."""
    return Finding("error", mistake.code, mistake.message, mistake.advice, spot, mistake.steps, mistake.key)


def place_of(files: Mapping[str, bytes], spot: Spot, steps: Steps = (), *, key: bool = False) -> Place:
    """Where a field of a document stands."""
    line, column = locate(files.get(spot.path, b""), spot.number, steps, key=key)
    return Place(spot.path, line, column)


def diagnostics(findings: Iterable[Finding], files: Mapping[str, bytes]) -> list[Diagnostic]:
    """Findings with their places, in the order of the files."""
    findings = list(findings)
    about_to_read(files, {finding.spot.path for finding in findings})
    by_file = sorted(findings, key=lambda finding: finding.spot)  # so that each file is composed once
    return in_order(
        Diagnostic(f.severity, f.code, f.message, f.advice, place_of(files, f.spot, f.steps, key=f.key))
        for f in by_file
    )
