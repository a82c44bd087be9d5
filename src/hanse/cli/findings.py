"""Findings for people, and in the forms that editors, forges and scanners read.

- `sarif`: SARIF 2.1.0 (OASIS), as code scanning takes it: each result has a rule, a place and a fingerprint.
- `github`: workflow commands, which GitHub's runners turn into annotations of a pull request.
- `gitlab`: a Code Quality report, which GitLab shows in a merge request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import quote

import click

from hanse.cli.session import print_json
from hanse.cli.terminal import columns, fold, plain
from hanse.foundation.canonical import digest
from hanse.foundation.diagnostics import Diagnostic, Place

Format = Literal["text", "json", "sarif", "github", "gitlab"]
FORMATS: tuple[Format, ...] = ("text", "json", "sarif", "github", "gitlab")
NOWHERE = Place("organization.yaml", 1, 1)
"""Where a finding about the whole is shown by what needs a place: in the file that everything begins with."""


def print_findings(diagnostics: Sequence[Diagnostic], form: Format, commit: str = "") -> None:
    """Write findings on standard output. `commit` is the one that was looked at; empty: the working tree."""
    if form == "json":
        print_json({"commit": commit, "diagnostics": diagnostics})
    elif form == "sarif":
        print_json(sarif(diagnostics))
    elif form == "gitlab":
        print_json(gitlab(diagnostics))
    elif form == "github":
        for line in github(diagnostics):
            click.echo(line)
    else:
        print_text(diagnostics)


def print_text(diagnostics: Sequence[Diagnostic], *, err: bool = False) -> None:
    """Write findings, a line each for what is wrong and what to do, with colours where the terminal has them."""
    width = columns(err=err)
    for found in diagnostics:
        where = f"{plain(found.place)}: " if found.place else ""
        if where:
            click.secho(where, bold=True, nl=False, err=err)
        severity = f"{found.severity}: "
        click.secho(severity, fg="red" if found.severity == "error" else "yellow", nl=False, err=err)
        click.echo(fold(plain(found.message), width, len(where + severity), 2), err=err)
        if found.advice:
            click.secho(f"    {fold(plain(found.advice), width, 4, 4)}", dim=True, err=err)


def sarif(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """A SARIF log of one run. Columns count characters."""
    codes = sorted({found.code for found in diagnostics})
    worst = {found.code: found.severity for found in sorted(diagnostics, key=lambda d: d.severity == "error")}
    rules = [_rule(code, worst[code]) for code in codes]
    results = [
        {
            "ruleId": found.code,
            "ruleIndex": codes.index(found.code),
            "level": found.severity,
            "message": {"text": _told(found)},
            "locations": [{"physicalLocation": _location(found.place or NOWHERE)}],
            "partialFingerprints": {"hanse/v1": fingerprint},
        }
        for found, fingerprint in zip(diagnostics, _fingerprints(diagnostics), strict=True)
    ]
    driver = {"name": "Hanse", "semanticVersion": version("hanse"), "rules": rules}
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def github(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    """Workflow commands, one a finding."""
    for found in diagnostics:
        about = {"title": found.code}
        if found.place:
            about |= {
                "file": found.place.path,
                "line": str(found.place.line),
                "col": str(found.place.column),
            }
        parameters = ",".join(f"{name}={_parameter(value)}" for name, value in about.items())
        yield f"::{found.severity} {parameters}::{_data(_told(found))}"


def gitlab(diagnostics: Sequence[Diagnostic]) -> list[dict[str, Any]]:
    """A Code Quality report. A finding's fingerprint stays the same where only its line moves."""
    return [
        {
            "description": _told(found),
            "check_name": found.code,
            "fingerprint": fingerprint,
            "severity": "major" if found.severity == "error" else "minor",
            "location": {
                "path": (found.place or NOWHERE).path,
                "lines": {"begin": (found.place or NOWHERE).line},
            },
        }
        for found, fingerprint in zip(diagnostics, _fingerprints(diagnostics), strict=True)
    ]


def _rule(code: str, level: str) -> dict[str, Any]:
    words = code.replace("-", " ").capitalize()
    return {
        "id": code,
        "name": code.title().replace("-", ""),
        "shortDescription": {"text": f"{words}."},
        "fullDescription": {"text": f"{words}, as `hanse validate` tells it."},
        "help": {"text": "Each finding says what is wrong and what to do. `hanse explain` has every field."},
        "defaultConfiguration": {"level": level},
    }


def _told(found: Diagnostic) -> str:
    return f"{found.message}; {found.advice}" if found.advice else found.message


def _location(place: Place) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": quote(place.path), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": place.line, "startColumn": place.column},
    }


def _fingerprints(diagnostics: Sequence[Diagnostic]) -> Iterator[str]:
    """Names each finding by what it says and in which file; the same one twice by its number, too."""
    met: Counter[tuple[str, str, str]] = Counter()
    for found in diagnostics:
        what = (found.code, (found.place or NOWHERE).path, found.message)
        met[what] += 1
        yield digest([*what, met[what]])[:32]


def _data(text: str) -> str:
    """Text as a workflow command takes it: on one line, without a beginning of another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _parameter(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
