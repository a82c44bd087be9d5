"""What `hanse validate` remembers: cases in which a look at the change could miss what a look at all finds."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hanse import git, main
from hanse.service import since
from hanse.service.since import check_again
from hanse.service.validate import Checked, check_commit
from hanse.store.cache import Cache

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AUTHOR = git.Author("Test", "test@example.org")


def document(kind: str, name: str, rest: str = "") -> str:
    return f"apiVersion: hanse/v1\nkind: {kind}\nname: {name}\n{rest}"


def openstack(name: str, domains: str) -> str:
    users = "  users: {domain: corporate, externalId: corporate}\n"
    return document(
        "Platform", name, f"credential: c\nopenstack:\n{users}  domains: {{perWorkspace: '{domains}'}}\n"
    )


def project(name: str, workspace: str, platform: str, rest: str = "") -> str:
    tenants = f"tenants: [{{platform: {platform}, landingZone: standard}}]\n"
    return document("Project", name, f"workspace: {workspace}\n{tenants}{rest}")


FILES = {
    "organization.yaml": document("Organization", "example"),
    "people/u-1.yaml": document("User", "u-1", "externalIds: {corporate: one, cluster: one}\n"),
    "people/u-2.yaml": document("User", "u-2", "externalIds: {corporate: two, cluster: two}\n"),
    "platforms/os.yaml": openstack("os", "{workspace}"),
    "platforms/k8s.yaml": document(
        "Platform", "k8s", "credential: c\nkubernetes:\n  names: {namespace: '{workspace}-{project}'}\n"
        "  subjects: {users: {externalId: cluster, prefix: 'oidc:'}}\n",
    ),
    "zones/os.yaml": document("LandingZone", "standard", "platform: os\nopenstack: {}\n"),
    "zones/k8s.yaml": document("LandingZone", "standard", "platform: k8s\nkubernetes: {}\n"),
    "a.yaml": document("Workspace", "a"),
    "ab.yaml": document("Workspace", "a-b"),
    "p.yaml": project("p", "a", "os"),
    "bc.yaml": project("b-c", "a", "k8s"),
}  # fmt: skip
COLLIDING = {"c.yaml": project("c", "a-b", "k8s")}


class Repository:
    """A repository whose commits are looked at in both ways."""

    def __init__(self, folder: Path, more: dict[str, str] | None = None) -> None:
        self.folder = folder / "repository"
        files = {path: text.encode() for path, text in {**FILES, **(more or {})}.items()}
        self.head = git.init(self.folder, files, "all", AUTHOR)
        self.source, self.language = main.open_source(str(self.folder)), main.language()
        self.cache = Cache.open(folder / "cache", "it")

    def commit(self, files: dict[str, str]) -> None:
        written = {path: text.encode() for path, text in files.items()}
        self.head = git.commit(self.folder, written, "a change", AUTHOR)

    def again(self, now: datetime = NOW) -> Checked:
        return asyncio.run(check_again(self.source, self.language, self.head, now, self.cache))

    def codes(self) -> list[str]:
        """What is found, which is the same in both ways."""
        whole = asyncio.run(check_commit(self.source, self.language, self.head, NOW))
        assert self.again().diagnostics == whole.diagnostics
        return [found.code for found in whole.diagnostics]


def test_a_look_at_everything_that_is_killed_leaves_no_half_of_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path)
    assert repository.codes() == []

    def killed(*_: object) -> Checked:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(since, "checked", killed)
        with pytest.raises(KeyboardInterrupt):
            repository.again(NOW - timedelta(hours=1))  # the clock was set back: everything is looked at
    repository.commit(COLLIDING)
    assert repository.codes() == ["name-collision"]
    repository.commit({"ab.yaml": document("Workspace", "a-b", "displayName: Another\n")})
    assert repository.codes() == ["name-collision"]


def test_what_a_workspace_is_called_on_its_other_platforms_is_not_forgotten(tmp_path: Path) -> None:
    other = {
        "platforms/os2.yaml": openstack("os2", "same"),
        "zones/os2.yaml": document("LandingZone", "standard", "platform: os2\nopenstack: {}\n"),
        "q.yaml": project("q", "a", "os2"),
    }
    repository = Repository(tmp_path, other)
    assert repository.codes() == []
    repository.commit({"p.yaml": project("p", "a", "os", "displayName: Another\n")})
    assert repository.codes() == []
    repository.commit({"r.yaml": project("r", "a-b", "os2")})
    assert repository.codes() == ["name-collision"]


def test_a_new_link_is_told(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    assert repository.codes() == []
    (repository.folder / "link.yaml").symlink_to("a.yaml")
    for arguments in (
        ["add", "link.yaml"],
        ["-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", "a link"],
    ):
        subprocess.run(["git", "-C", str(repository.folder), *arguments], check=True)
    repository.head = repository.source.resolve("HEAD")
    assert repository.codes() == ["not-a-file"]


def test_what_two_people_share_is_told_as_long_as_they_meet(tmp_path: Path) -> None:
    both = "access: [{user: u-1, role: user}, {user: u-2, role: user}]\n"
    shared = {
        "people/u-2.yaml": document("User", "u-2", "externalIds: {corporate: one, cluster: two}\n"),
        "p.yaml": project("p", "a", "os", both),
    }
    repository = Repository(tmp_path, shared)
    assert repository.codes() == ["shared-external-id"]
    repository.commit({"p.yaml": project("p", "a", "os", "access: [{user: u-1, role: user}]\n")})
    assert repository.codes() == []


def test_of_a_policy_that_many_break_the_same_are_told_one_by_one(tmp_path: Path) -> None:
    rule = "on: workspace\nrequire: workspace.displayName != ''\nmessage: It must hold.\nseverity: warning\n"
    many = {f"many/{number:03}.yaml": document("Workspace", f"m{number:03}") for number in range(100)}
    repository = Repository(tmp_path, {"named.yaml": document("Policy", "named", rule), **many})
    assert repository.codes().count("policy") == 100
    repository.commit({"many/005.yaml": document("Workspace", "m005", "displayName: Named\n")})
    assert "policy-more" in repository.codes()


def test_documents_that_come_to_lie_in_a_landing_zones_folder_are_told(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    assert repository.codes() == []
    zone = "platform: k8s\nkubernetes:\n  manifests: people\n"
    repository.commit({"zones/k8s.yaml": document("LandingZone", "standard", zone)})
    assert "misplaced-document" in repository.codes()
