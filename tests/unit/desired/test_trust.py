"""`Organization.trust` holds together, and what does not is told at its place."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from example_vendor import loaded
from hanse.desired.kinds import ProtectedPaths, Who
from hanse.desired.trust import protections
from signing import ssh_key

BASE = """\
{apiVersion: hanse/v1, kind: User, name: u-1}
---
{apiVersion: hanse/v1, kind: User, name: u-2, state: disabled}
---
{apiVersion: hanse/v1, kind: Group, name: team, members: [u-1]}
---
{apiVersion: hanse/v1, kind: Group, name: gone, members: [u-2]}
"""


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """Public keys of two people."""
    with tempfile.TemporaryDirectory() as place:
        return [ssh_key(Path(place), name).public for name in ("ann", "ben")]


def found(trust: str, more: str = "") -> list[tuple[str, str, int]]:
    """Severity, code and line of all that is wrong."""
    organization = f"apiVersion: hanse/v1\nkind: Organization\nname: example\ntrust:\n{trust}"
    files = {"organization.yaml": organization, "people.yaml": BASE + more}
    return [(d.severity, d.code, d.place.line if d.place else 0) for d in loaded(files).diagnostics]


def test_trust_that_holds_together_has_no_findings(keys: list[str]) -> None:
    trust = f"""\
  signers:
    - {{user: u-1, ssh: "{keys[0]}", from: 2026-01-01, until: 2027-01-01T00:00:00Z}}
    - {{machine: forge, ssh: "{keys[1]}"}}
  protected:
    - {{paths: ["**"], changedBy: {{groups: [team], machines: [forge]}}}}
  approvals: {{guard: {{groups: [team]}}, deletion: {{users: [u-1]}}}}
"""
    assert found(trust) == []


def test_every_mistake_has_its_place(keys: list[str]) -> None:
    trust = f"""\
  signers:
    - {{user: u-9, ssh: "{keys[0]}"}}
    - {{user: u-1, machine: forge, ssh: "{keys[1]}"}}
    - {{user: u-1}}
    - {{machine: other, ssh: "{keys[0]}"}}
    - {{machine: hub, ssh: nonsense, until: 2026-13-01}}
    - {{user: u-2, gpg: "-----BEGIN PGP PRIVATE KEY BLOCK-----"}}
  protected:
    - {{paths: [a.txt], changedBy: {{users: [u-8], groups: [teem], machines: [hubb]}}}}
    - {{paths: [b.txt], changedBy: {{groups: [gone]}}}}
    - {{paths: [c.txt], changedBy: {{}}}}
  approvals: {{guard: {{machines: [hub]}}, deletion: {{users: [u-2]}}}}
"""
    assert sorted(found(trust), key=lambda one: (one[2], one[1])) == [
        ("warning", "unprotected-trust", 5),
        ("error", "unknown-reference", 6),
        ("error", "user-or-machine", 7),
        ("error", "ssh-or-gpg", 8),
        ("error", "duplicate-key", 9),
        ("error", "bad-interval", 10),
        ("error", "bad-key", 10),
        ("error", "bad-key", 11),
        ("warning", "disabled-user", 11),
        *[("error", "unknown-reference", 13)] * 3,
        ("warning", "nobody-may", 14),
        ("warning", "nobody-may", 15),
        ("error", "machine-approves", 16),
        *[("warning", "nobody-may", 16)] * 2,
    ]


def test_a_key_whose_time_is_over_is_a_warning(keys: list[str]) -> None:
    told = found(f'  signers: [{{user: u-1, ssh: "{keys[0]}", until: 2020-01-01}}]\n')
    assert [(severity, code) for severity, code, _ in told] == [("warning", "expired-key")]


def test_rules_without_signers_could_be_kept_by_nobody() -> None:
    tag = (
        "---\n{apiVersion: hanse/v1, kind: TagDefinition, name: x, kinds: [Project], setBy: {users: [u-1]}}\n"
    )
    assert [code for _, code, _ in found("  protected: [{paths: [people.yaml], changedBy: {users: [u-1]}}]\n")] == [
        "no-signers", "nobody-may",
    ]  # fmt: skip
    assert [code for _, code, _ in found("  signers: []\n", tag)] == ["no-signers"]


def test_who_decides_must_not_be_everybodys_to_change(keys: list[str]) -> None:
    signers = f'  signers: [{{user: u-1, ssh: "{keys[0]}"}}]\n'
    rule = '  protected: [{{paths: ["{}"], changedBy: {{groups: [team]}}}}]\n'
    for paths, codes in (
        ("nothing.txt", ["unprotected-trust"]),
        ("organization.yaml", ["unprotected-trust"]),
        ('organization.yaml", "people.yaml', []),
    ):
        assert [code for _, code, _ in found(signers + rule.format(paths))] == codes
    assert found(signers) == []


def test_of_several_rows_the_last_one_that_matches_counts() -> None:
    everything = ProtectedPaths(paths=("**",), changed_by=Who(groups=("team",)))
    shop = ProtectedPaths(paths=("shop/", "lab/*.yaml"), changed_by=Who(users=("u-1",)))
    row = protections((everything, shop))
    for path, expected in (
        ("a.yaml", everything), ("shop/a/b.yaml", shop), ("shop.yaml", everything), ("lab/x.yaml", shop),
        ("lab/x/y.yaml", everything), (".github/workflows/x", everything),
    ):  # fmt: skip
        assert row(path) is expected, path
    assert protections((shop,))("a.yaml") is None
