"""`hanse validate --changed-since`: what it tells beside what a check of everything tells, over random changes."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hanse import git, main
from hanse.foundation.diagnostics import Diagnostic
from hanse.service import since
from hanse.service.since import check_again, check_since, check_worktree_since
from hanse.service.validate import Checked, check_commit, check_worktree
from hanse.store.cache import Cache

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUTHOR = git.Author("Test", "test@example.org")
WORKSPACES, PROJECTS, USERS, GROUPS = ("w", "w-x", "v"), ("a", "b", "x-a"), range(5), range(3)
METHODS = ("m", "n")
LOOSE = ("grants/", "revocations/", "policies/", "groups/")
ROLES = ("admin", "user", "reader", "operator")
ZONES = ("openstack/standard", "kubernetes/standard", "kubernetes/strict")


def document(kind: str, name: str, rest: str = "") -> str:
    return f"apiVersion: hanse/v1\nkind: {kind}\nname: {name}\n{rest}"


def policy(name: str, on: str, require: str) -> str:
    return document("Policy", name, f"on: {on}\nrequire: >-\n  {require}\nmessage: It must hold.\n")


SSH = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJm",
)
POLICIES = {
    "crowd": policy("crowd", "organization", "organization.access.size() < 2"),
    "led": policy("led", "workspace", 'workspace.access.exists(a, a.role == "lead") || !has(workspace.tags.stage)'),
    "first": policy("first", "workspace", 'workspace.access[0].role == "lead"'),
    "admin": policy("admin", "project", 'project.access.exists(a, a.role == "admin") || project.tags.stage != "prod"'),
    "watched": policy("watched", "project", "workspace.access.size() + organization.access.size() < 3"),
    "paid": policy("paid", "tenant", 'paymentMethod.tags.stage == "prod" || location.jurisdiction == "EU"'),
    "active": policy("active", "grant", 'people.all(p, p.state == "active") || group.tags.open == "yes"'),
    "reason": policy("reason", "grant", 'paymentMethod.tags.stage != "test" || project.access.size() < 2'),
}  # fmt: skip
FIXED = {
    "organization.yaml": document(
        "Organization", "example", "access: [{user: u-3, role: board}, {group: g1, role: board}]\n"
    ),
    "roles/board.yaml": document("Role", "board", "scope: organization\n"),
    "roles/lead.yaml": document("Role", "lead", "scope: workspace\n"),
    "tags/stage.yaml": document(
        "TagDefinition", "stage",
        "type: select\nvalues: [prod, test, old]\nkinds: [Project, Workspace, PaymentMethod]\n",
    ),
    "platforms/openstack.yaml": document(
        "Platform", "openstack", "credential: c\nlocation: here\noperators: [{user: u-0, role: reader}]\n"
        "openstack:\n  users: {domain: corporate, externalId: corporate}\n"
        "  names: {project: '{workspace}-{project}'}\n",
    ),
    "platforms/kubernetes.yaml": document(
        "Platform", "kubernetes", "credential: c\nkubernetes:\n  names: {namespace: '{workspace}-{project}'}\n"
        "  subjects:\n    users: {externalId: cluster, prefix: 'oidc:'}\n",
    ),
    "location.yaml": document("Location", "here", "jurisdiction: EU\n"),
    "zones/openstack.yaml": document(
        "LandingZone", "standard",
        "platform: openstack\nrequiredTags: {stage: [prod, test]}\nopenstack:\n  roles: {admin: member}\n"
    ),
    "zones/kubernetes.yaml": document("LandingZone", "standard", "platform: kubernetes\nkubernetes: {}\n"),
    "zones/strict.yaml": document(
        "LandingZone", "strict", "platform: kubernetes\nkubernetes:\n  manifests: objects\n"
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
            self.files[f"workspaces/{workspace}.yaml"] = self.workspace(workspace)
        for name in METHODS:
            self.files[f"methods/{name}.yaml"] = self.method(name)
        for name in self.chance.sample(sorted(POLICIES), 4):
            self.files[f"policies/{name}.yaml"] = POLICIES[name]
        self.files |= {f"groups/g{number}.yaml": self.group(number) for number in GROUPS}
        self.files |= {f"projects/{number}.yaml": self.project() for number in range(6)}
        self.folder = folder
        self.commit = git.init(folder, self.encoded(self.files), "all", AUTHOR)

    def encoded(self, files: dict[str, str]) -> dict[str, bytes]:
        return {path: text.encode() for path, text in files.items()}

    def one(self, *choices: str) -> str:
        return self.chance.choice(choices)

    def user(self, number: int) -> str:
        keys = ("corporate", "corporate", "cluster", "corporate: x, cluster")
        external = self.one("", f"externalIds: {{{self.one(*keys)}: p{self.chance.choice(USERS)}}}\n")
        return document("User", f"u-{number}", external + self.one("", "", "state: disabled\n"))

    def group(self, number: int) -> str:
        members = ", ".join(f"u-{self.chance.randrange(6)}" for _ in range(self.chance.randrange(3)))
        return document(
            "Group", f"g{number}", f"members: [{members}]\n" + self.one("", "tags: {open: 'yes'}\n")
        )

    def tags(self) -> str:
        return self.one(
            "",
            "",
            "tags: {stage: prod}\n",
            "tags: {stage: test}\n",
            "tags: {stage: old}\n",
            "tags: {free: x}\n",
        )

    def workspace(self, name: str) -> str:
        former = self.one("", "", "", "", "", "formerly: [v]\n", "x: y\n")
        return document("Workspace", name, former + self.tags() + self.access("lead"))

    def method(self, name: str) -> str:
        return document(
            "PaymentMethod", name, self.one("", "", f"workspace: {self.one(*WORKSPACES)}\n") + self.tags()
        )

    def access(self, *roles: str) -> str:
        rows = "".join(f"  - {{{self.row(*roles)}}}\n" for _ in range(self.chance.randrange(3)))
        return f"access:\n{rows}" if rows else ""

    def definition(self) -> tuple[str, str]:
        who = self.one(
            "",
            "",
            f"setBy: {{users: [u-{self.chance.randrange(6)}]}}\n",
            f"setBy: {{groups: [g{self.chance.randrange(4)}]}}\n",
        )
        name = self.one("stage", "free")
        kinds = self.one("[Project]", "[Project, Workspace]", "[Project, Workspace, PaymentMethod]")
        kind = self.one(
            "type: select\nvalues: [prod, test]\n",
            "type: string\n",
            "type: select\nvalues: [prod, test, old]\n",
        )
        return f"tags/{name}.yaml", document(
            "TagDefinition", name, f"kinds: {kinds}\n{kind}{who}" + self.one("", "", "required: true\n")
        )

    def organization(self) -> str:
        user, paths = self.chance.randrange(6), self.one(
            "organization.yaml", "groups", "groups/g0.yaml", "location.yaml", "revocations/*.yaml",
            "groups/moved-*.yaml", "peple", "policies", "'**/four.yaml'",
        )  # fmt: skip
        signers = (
            f"    - {{user: u-{user}, ssh: {self.one(*SSH)}}}\n    - {{machine: forge, ssh: {SSH[1]}}}\n"
        )
        protected = f"  protected: [{{paths: [{paths}], changedBy: {self.who()}}}]\n"
        trust = (
            f"trust:\n  signers:\n{signers}{self.one('', protected)}  approvals: {{guard: {self.who()}}}\n"
        )
        return document("Organization", "example", self.one("", trust) + self.access("board"))

    def who(self) -> str:
        return self.one(
            f"{{users: [u-{self.chance.randrange(6)}]}}", f"{{groups: [g{self.chance.randrange(4)}]}}"
        )

    def zone(self) -> tuple[str, str]:
        required = self.one(
            "",
            "requiredTags: {stage: [prod]}\n",
            "requiredTags: {stage: [test, old]}\n",
            "requiredTags: {free: [x]}\n",
        )
        name = self.one("openstack", "kubernetes", "strict")
        return f"zones/{name}.yaml", FIXED[f"zones/{name}.yaml"].replace(
            "requiredTags: {stage: [prod, test]}\n", ""
        ) + required

    def row(self, *roles: str) -> str:
        who = self.one(
            "user: u-1", "user: u-2", "group: g0", "group: g1", f"group: g{self.chance.randrange(4)}"
        )
        until = self.one("", "", ", until: 2026-05-01", f", until: 2026-06-{self.chance.randrange(10, 28)}")
        return f"{who}, role: {self.one(*(roles or ROLES))}{until}"

    def project(self) -> str:
        former = self.one("", "", "", "", f"formerly: [{self.one(*PROJECTS, 'v/a')}]\n")
        method = self.one("", f"paymentMethod: {self.one(*METHODS, 'gone')}\n")
        tenants = "".join(
            f"  - {{platform: {zone.partition('/')[0]}, landingZone: {zone.partition('/')[2]}}}\n"
            for zone in self.chance.sample(ZONES, self.chance.randrange(3))
        )
        return document(
            "Project", self.one(*PROJECTS),
            f"workspace: {self.one(*WORKSPACES, *WORKSPACES, 'gone')}\n{former}{method}{self.tags()}{self.access()}"
            + (f"tenants:\n{tenants}" if tenants else ""),
        )  # fmt: skip

    def scope(self) -> tuple[str, str]:
        """What a grant or a revocation is on, and a role that fits."""
        workspace = f"workspace: {self.one(*WORKSPACES)}\n"
        return self.chance.choice(
            [
                ("", "board"),
                (workspace, "lead"),
                (f"{workspace}project: {self.one(*PROJECTS)}\n", self.one(*ROLES)),
                (f"{workspace}project: {self.one(*PROJECTS)}\n", "admin"),
            ]
        )

    def grant(self, number: int) -> str:
        scope, role = self.scope()
        return document("Grant", f"n{number}", f"{scope}{self.row(role).replace(', ', chr(10))}\n")

    def revocation(self, number: int) -> str:
        scope, role = self.scope()
        who = self.one("user: u-1", "user: u-2", "group: g0", "group: g1")
        return document(
            "Revocation", f"r{number}", f"{scope}{who}\n{self.one('', f'role: {role}', f'role: {role}')}\n"
        )

    def edit(self) -> tuple[str, str]:  # noqa: PLR0911, PLR0912 (one case for each sort)
        number = self.chance.randrange(6)
        match self.chance.randrange(24):
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
                return f"workspaces/{name}.yaml", self.workspace(name)
            case 12:
                return f"objects/{self.one('one', 'two')}.yaml", self.one(
                    FIXED["objects/one.yaml"],
                    document("User", "u-1"),
                    "apiVersion: v1\nkind: Secret\nmetadata: {}\n",
                )
            case 13 | 14:
                return f"revocations/{number}.yaml", self.revocation(number)
            case 15:
                name = self.one(*METHODS)
                return f"methods/{name}.yaml", self.method(name)
            case 16:
                return self.definition()
            case 17:
                return "organization.yaml", self.organization()
            case 18:
                return self.zone()
            case 19:
                path = f"policies/{self.one(*POLICIES)}.yaml"
                return path, "" if path in self.files else POLICIES[Path(path).stem]
            case 20:  # gone, or in another place
                path = self.chance.choice(
                    [p for p in sorted(self.files) if p.startswith(LOOSE)] or ["location.yaml"]
                )
                return path, ""
            case 21:
                return f"groups/moved-{number % 4}.yaml", self.group(number % 4)
            case 22:
                return "location.yaml", document("Location", "here", self.one("", "jurisdiction: EU\n"))
            case _:
                return "roles.yaml", self.one("", document("Role", "operator", "scope: project\n"))

    def remove(self, paths: set[str]) -> None:
        """One commit without these files, but with an organisation."""
        for path in paths:
            del self.files[path]
        written = (
            {"organization.yaml": document("Organization", "example")} if "organization.yaml" in paths else {}
        )
        self.files |= written
        self.commit = git.commit(
            self.folder, self.encoded(written), "less", AUTHOR, removed=sorted(paths - written.keys())
        )

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


def wrong_files(checked: Checked) -> set[str]:
    """Where errors lie."""
    return {d.place.path for d in checked.diagnostics if d.place and d.severity == "error"}


def marks(diagnostics: list[Diagnostic]) -> set[tuple[str, str, str, str]]:
    """Findings without their lines, which a change elsewhere in the file moves.

    Of a policy that gives no answer, without all of whom it was asked of.
    """
    return {
        (
            d.severity,
            d.code,
            re.sub(r":\d+:\d+| for .*:" if d.code == "policy-failed" else r":\d+:\d+", "", d.message),
            d.place.path if d.place else "",
        )
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
        assert {d for d in told if d.code != "policy-failed"} <= set(after)


@pytest.mark.parametrize("seed", [40, 41, 42, 44])
def test_what_is_remembered_and_what_changed_make_what_a_look_at_everything_finds(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:  # as with many files: the index is made in a process of its own
        monkeypatch.setattr(since, "FEW", 0)
        monkeypatch.setattr(threading, "active_count", lambda: 1)
    estate = Estate(tmp_path / "repository", seed)
    source, language = main.open_source(str(estate.folder)), main.language()
    cache = Cache.open(tmp_path / "cache", "it")
    now, partly = NOW, 0
    while wrong := wrong_files(asyncio.run(check_commit(source, language, estate.commit, now))):
        estate.remove(wrong)
    sound = dict(estate.files), estate.commit
    for _ in range(40):
        commit = estate.commit
        estate.change()
        whole = asyncio.run(check_commit(source, language, estate.commit, now))
        again = asyncio.run(check_again(source, language, estate.commit, now, cache))
        assert again.diagnostics == whole.diagnostics
        partly += again.since != ""
        if estate.chance.random() < 0.2:  # somebody asks of the change alone, which moves the index
            asyncio.run(check_since(source, language, commit, estate.commit, now, cache))
        now += timedelta(hours=estate.chance.choice((0, 1, 30)))
        if whole.is_sound:
            sound = dict(estate.files), estate.commit
        elif estate.chance.random() < 0.7:  # people mend what is wrong
            estate.files, estate.commit = dict(sound[0]), sound[1]
            git_as_it_was(estate)
    assert partly


@pytest.mark.parametrize("seed", range(20, 24))
def test_what_lies_in_the_working_tree_is_told_as_if_it_were_committed(seed: int, tmp_path: Path) -> None:
    estate = Estate(tmp_path / "repository", seed)
    source, language = main.open_source(str(estate.folder)), main.language()
    history = [estate.commit]
    for _ in range(12):
        estate.change()
        since = estate.chance.choice(history[-3:])
        history.append(estate.commit)
        edits = dict(estate.edit() for _ in range(2))
        for path, text in edits.items():
            file = estate.folder / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(text) if text else file.unlink(missing_ok=True)
        before = asyncio.run(check_commit(source, language, since, NOW)).diagnostics
        after = check_worktree(source, language, NOW).diagnostics
        told = check_worktree_since(source, language, since, NOW).diagnostics
        assert {d for d in told if d.code != "policy-failed"} <= set(after)
        assert marks(told) <= marks(after)
        assert marks(after) - marks(before) - marks(told) == set()
        git_as_it_was(estate)


def git_as_it_was(estate: Estate) -> None:
    """The working tree as its commit has it."""
    for arguments in (["reset", "--quiet", "--hard", estate.commit], ["clean", "--quiet", "-fd"]):
        subprocess.run(["git", "-C", str(estate.folder), *arguments], check=True)
