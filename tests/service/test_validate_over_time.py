"""What depends on the time of day is a warning: a commit that is sound stays so, and one that is not does too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hanse import main
from hanse.foundation.diagnostics import Diagnostic
from hanse.service.validate import check_worktree

EDGES = [
    datetime(2026, 1, 31, 23, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Berlin's clocks go forward
    datetime(2026, 6, 1, tzinfo=UTC),
    datetime(2026, 6, 30, 22, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # and back
    datetime(2026, 12, 31, 23, tzinfo=UTC),
]
AROUND = """\
apiVersion: hanse/v1
kind: Organization
name: example
timezone: Europe/Berlin
access: [{user: u-1, role: board, until: 2026-06-30}]
---
{apiVersion: hanse/v1, kind: Role, name: board, scope: organization}
---
{apiVersion: hanse/v1, kind: Role, name: operator, scope: project}
---
{apiVersion: hanse/v1, kind: User, name: u-1, externalIds: {corporate: one}}
---
{apiVersion: hanse/v1, kind: User, name: u-2, externalIds: {corporate: one}}
---
{apiVersion: hanse/v1, kind: User, name: u-3}
---
{apiVersion: hanse/v1, kind: User, name: u-4, state: disabled, externalIds: {corporate: "system:masters"}}
---
{apiVersion: hanse/v1, kind: User, name: u-5, externalIds: {corporate: "system:masters"}}
---
{apiVersion: hanse/v1, kind: Group, name: all, members: [u-1, u-2, u-3, u-4, u-5]}
---
{apiVersion: hanse/v1, kind: Group, name: nobody}
---
apiVersion: hanse/v1
kind: Platform
name: k8s
credential: c
kubernetes: {subjects: {users: {externalId: corporate}}, names: {namespace: "{workspace}-{project}"}}
---
apiVersion: hanse/v1
kind: Platform
name: stack
credential: c
openstack: {users: {domain: corporate, externalId: corporate}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: standard, platform: k8s, kubernetes: {}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: standard, platform: stack, openstack: {roles: {admin: member}}}
---
{apiVersion: hanse/v1, kind: Workspace, name: w}
---
{apiVersion: hanse/v1, kind: Workspace, name: w-x}
"""
RULES = """\
{apiVersion: hanse/v1, kind: Revocation, name: r-1, workspace: w, project: x-p1, user: u-1}
---
{apiVersion: hanse/v1, kind: Revocation, name: r-2, user: u-1, role: board}
---
apiVersion: hanse/v1
kind: TagDefinition
name: stage
kinds: [Project]
required: REQUIRED
---
apiVersion: hanse/v1
kind: Policy
name: short
on: grant
when: has(grant.until)
require: grant.until < timestamp("2026-06-15T00:00:00Z")
message: No grant lasts beyond the middle of June.
severity: SEVERITY
---
apiVersion: hanse/v1
kind: Policy
name: known
on: grant
require: grant.from < grant.until || !has(grant.from) || !has(grant.until)
message: A grant begins before it ends.
severity: SEVERITY
"""
ROLES = ("admin", "user", "reader", "operator", "unknown")
SUBJECTS = (
    "user: u-1",
    "user: u-2",
    "user: u-3",
    "user: u-4",
    "user: u-5",
    "user: gone",
    "group: all",
    "group: nobody",
)
INTERVALS = (
    "", ", until: 2026-01-31", ", until: 2026-05-31T22:00:00-02:00", ", from: 2026-06-01T00:00:00Z, until: 2026-12-31",
    ", from: 2026-03-29T01:00:00Z, until: 2026-10-25T01:00:00Z", ", from: 2026-12-31, until: 2026-06-30",
    ", from: 2026-03-29", ", from: 2026-10-25, until: 2026-10-25", ", until: whenever",
)  # fmt: skip


def projects() -> Iterator[str]:
    """Every role, subject and interval, on every platform; two projects would have one name."""
    for number, interval in enumerate(INTERVALS):
        rows = "".join(f"  - {{{who}, role: {role}{interval}}}\n" for role in ROLES for who in SUBJECTS)
        for workspace, name in (("w", f"x-p{number}"), ("w-x", f"p{number}")):
            yield (
                f"apiVersion: hanse/v1\nkind: Project\nname: {name}\nworkspace: {workspace}\naccess:\n{rows}"
                "tenants:\n  - {platform: k8s, landingZone: standard}\n  - {platform: stack, landingZone: standard}\n"
            )


class Worktree:
    """Files that lie in no repository."""

    def __init__(self, *documents: str) -> None:
        self.files = {f"{number}.yaml": text.encode() for number, text in enumerate(documents)}

    def worktree(self) -> tuple[dict[str, bytes], list[str]]:
        return self.files, []


def told(source: Worktree, now: datetime, severity: str) -> list[Diagnostic]:
    found = check_worktree(source, main.language(), now).diagnostics  # type: ignore[arg-type]
    return [diagnostic for diagnostic in found if diagnostic.severity == severity]


INSTANTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    *(edge + timedelta(microseconds=shift) for edge in EDGES for shift in (-1, 0, 1)),
    datetime(9999, 12, 30, tzinfo=UTC),
]


@pytest.mark.parametrize("sound", [True, False])
def test_the_errors_of_a_manifest_are_the_same_at_every_instant(sound: bool) -> None:
    kept = [
        text for text in projects()
        if not sound or ("whenever" not in text and "w-x" not in text and "31, until: 2026-06-30" not in text)
    ]  # fmt: skip
    if sound:
        gone = ("role: unknown", "role: operator", "user: gone")
        kept = ["".join(r for r in text.splitlines(True) if not any(g in r for g in gone)) for text in kept]
    severity, required = ("warning", "false") if sound else ("error", "true")
    rules = RULES.replace("SEVERITY", severity).replace("REQUIRED", required)
    source = Worktree(AROUND, rules, *kept)
    errors = [told(source, now, "error") for now in INSTANTS]
    assert bool(errors[0]) is not sound
    for later in errors[1:]:
        assert later == errors[0]
    warnings = {tuple(map(str, told(source, now, "warning"))) for now in (INSTANTS[0], INSTANTS[-1])}
    assert len(warnings) > 1  # else the instants meant nothing
