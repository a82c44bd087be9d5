"""`hanse validate --changed-since`: what it tells beside what a check of everything tells, over random changes."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hanse import git, main
from hanse.foundation.diagnostics import Diagnostic
from hanse.service.since import check_since
from hanse.service.validate import Checked, check_commit
from hanse.store.cache import Cache

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUTHOR = git.Author("Test", "test@example.org")
WORKSPACES, PROJECTS, USERS, GROUPS = ("w", "w-x", "v"), ("a", "b", "x-a"), range(5), range(3)
ZONES = ("openstack/standard", "kubernetes/standard", "kubernetes/strict")


def document(kind: str, name: str, rest: str = "") -> str:
    return f"apiVersion: hanse/v1\nkind: {kind}\nname: {name}\n{rest}"


FIXED = {
    "organization.yaml": document("Organization", "example"),
    "platforms/openstack.yaml": document(
        "Platform", "openstack", "credential: c\nlocation: here\noperators: [{user: u-0, role: reader}]\n"
        "openstack:\n  users: {domain: corporate, externalId: corporate}\n"
        "  names: {project: '{workspace}-{project}'}\n",
    ),
    "platforms/kubernetes.yaml": document(
        "Platform", "kubernetes", "credential: c\nkubernetes:\n  names: {namespace: '{workspace}-{project}'}\n"
        "  subjects:\n    users: {externalId: corporate, prefix: 'oidc:'}\n",
    ),
    "location.yaml": document("Location", "here"),
    "zones/openstack.yaml": document(
        "LandingZone", "standard", "platform: openstack\nopenstack:\n  roles: {admin: member}\n"
    ),
    "zones/kubernetes.yaml": document("LandingZone", "standard", "platform: kubernetes\nkubernetes: {}\n"),
    "zones/strict.yaml": document(
        "LandingZone", "strict", "platform: kubernetes\nkubernetes:\n  objects: {folder: objects}\n"
    ),
    "objects/one.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n",
}  # fmt: skip


class Estate:
    """A repository whose files are changed at random, often for the worse."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.files = dict(FIXED)
        for number in USERS:
            self.files[f"people/u-{number}.yaml"] = self.user(number)
        for workspace in WORKSPACES:
            self.files[f"workspaces/{workspace}.yaml"] = document("Workspace", workspace)
        self.files |= {f"groups/g{number}.yaml": self.group(number) for number in GROUPS}
        self.files |= {f"projects/{number}.yaml": self.project() for number in range(6)}
        self.folder = folder
        self.commit = git.init(folder, self.encoded(self.files), "all", AUTHOR)

    def encoded(self, files: dict[str, str]) -> dict[str, bytes]:
        return {path: text.encode() for path, text in files.items()}

    def one(self, *choices: str) -> str:
        return self.chance.choice(choices)

    def user(self, number: int) -> str:
        external = self.one("", f"externalIds: {{corporate: p{self.chance.choice(USERS)}}}\n")
        return document("User", f"u-{number}", external + self.one("", "", "state: disabled\n"))

    def group(self, number: int) -> str:
        members = ", ".join(f"u-{self.chance.randrange(6)}" for _ in range(self.chance.randrange(3)))
        return document("Group", f"g{number}", f"members: [{members}]\n")

    def row(self) -> str:
        who = self.one(
            "user: u-1", "user: u-2", "group: g0", "group: g1", f"group: g{self.chance.randrange(4)}"
        )
        until = self.one("", "", ", until: 2026-05-01")
        return f"{who}, role: {self.one('admin', 'user', 'reader', 'operator')}{until}"

    def project(self) -> str:
        former = self.one("", "", "", "", f"formerly: [{self.one(*PROJECTS, 'v/a')}]\n")
        access = "".join(f"  - {{{self.row()}}}\n" for _ in range(self.chance.randrange(3)))
        tenants = "".join(
            f"  - {{platform: {zone.partition('/')[0]}, landingZone: {zone.partition('/')[2]}}}\n"
            for zone in self.chance.sample(ZONES, self.chance.randrange(3))
        )
        return document(
            "Project", self.one(*PROJECTS),
            f"workspace: {self.one(*WORKSPACES, *WORKSPACES, 'gone')}\n{former}"
            + (f"access:\n{access}" if access else "") + (f"tenants:\n{tenants}" if tenants else ""),
        )  # fmt: skip

    def grant(self, number: int) -> str:
        project = self.one("", f"project: {self.one(*PROJECTS)}\n")
        return document(
            "Grant",
            f"n{number}",
            f"workspace: {self.one(*WORKSPACES)}\n{project}{self.row().replace(', ', chr(10))}\n",
        )

    def edit(self) -> tuple[str, str]:  # noqa: PLR0911
        number = self.chance.randrange(6)
        match self.chance.randrange(14):
            case 0 | 1:
                return f"people/u-{number}.yaml", self.user(number)
            case 2:
                return f"groups/g{number % 4}.yaml", self.group(number % 4)
            case 3 | 4 | 5:
                return f"projects/{number}.yaml", self.project()
            case 6 | 7:
                return f"grants/{number}.yaml", self.grant(number)
            case 8:
                return self.chance.choice(sorted(self.files)), ""
            case 9:
                path = self.chance.choice([p for p in sorted(FIXED) if p in self.files] or ["location.yaml"])
                return path, FIXED[path] + self.one("", "# again\n", "unknown: field\n", "a: [\n")
            case 10:
                return "people/many.yaml", "---\n".join(self.user(number) for number in range(4, 7))
            case 11:
                name = self.one(*WORKSPACES)
                return f"workspaces/{name}.yaml", document(
                    "Workspace", name, self.one("", "formerly: [v]\n", "x: y\n")
                )
            case 12:
                return f"objects/{self.one('one', 'two')}.yaml", self.one(
                    FIXED["objects/one.yaml"],
                    document("User", "u-1"),
                    "apiVersion: v1\nkind: Secret\nmetadata: {}\n",
                )
            case _:
                return "roles.yaml", self.one("", document("Role", "operator", "scope: project\n"))

    def change(self) -> None:
        """One commit of one to three edits."""
        edits = dict(self.edit() for _ in range(self.chance.randrange(1, 4)))
        written = {path: text for path, text in edits.items() if text and self.files.get(path) != text}
        removed = [path for path, text in edits.items() if not text and path in self.files]
        if written or removed:
            self.files |= written
            for path in removed:
                del self.files[path]
            self.commit = git.commit(self.folder, self.encoded(written), "a change", AUTHOR, removed=removed)


def marks(diagnostics: list[Diagnostic]) -> set[tuple[str, str, str, str]]:
    """Findings without their lines, which a change elsewhere in the file moves."""
    return {
        (d.severity, d.code, re.sub(r":\d+:\d+", "", d.message), d.place.path if d.place else "")
        for d in diagnostics
    }


@pytest.mark.parametrize("seed", range(8))
def test_what_a_change_breaks_is_told_by_a_look_at_the_change_alone(seed: int, tmp_path: Path) -> None:
    estate = Estate(tmp_path / "repository", seed)
    source, language = main.open_source(str(estate.folder)), main.language()
    cache = Cache.open(tmp_path / "cache", "it")
    history = [estate.commit]
    full: dict[str, Checked] = {}

    def whole(commit: str) -> Checked:
        if commit not in full:
            full[commit] = asyncio.run(check_commit(source, language, commit, NOW, cache))
        return full[commit]

    for _ in range(25):
        estate.change()
        history.append(estate.commit)
        since = estate.chance.choice(history[-3:])
        before, after = whole(since).diagnostics, whole(estate.commit).diagnostics
        told = asyncio.run(check_since(source, language, since, estate.commit, NOW, cache)).diagnostics
        assert marks(told) - marks(after) == set()
        assert marks(after) - marks(before) - marks(told) == set()
        assert set(told) <= set(after)
