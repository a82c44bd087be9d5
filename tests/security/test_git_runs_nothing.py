"""Whatever a repository holds or is configured to: Hanse reads it, and no program that it names is run."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from hanse import git
from hanse.foundation.keys import PublicKey, read_ssh
from hanse.git import Author, GitError, Repository
from hanse.ports.source import TrustRoot
from signing import Key, ssh_key

ANN = Author("Ann Example", "ann@example.org")


@pytest.fixture(autouse=True)
def _nobodys_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working tree with a commit."""
    git.init(tmp_path / "org", {"a.yaml": b"a: 1\n", "b/c.yaml": b"c: 1\n"}, "First", ANN)
    return tmp_path / "org"


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that leaves a trace when it runs."""
    program = tmp_path / "trap.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/sprung\n')
    program.chmod(0o755)
    return program


def sprung(trap: Path) -> str:
    trace = trap.parent / "sprung"
    return trace.read_text() if trace.exists() else ""


def run(folder: Path, *arguments: str, data: bytes | None = None) -> str:
    person = {f"GIT_{role}_{part}": "ben" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, input=data, capture_output=True, check=False, env=os.environ | person)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def read_all(location: str | Path, key: Key, folder: Path) -> None:
    """Everything that Hanse does to a repository that it reads."""
    repository = Repository.open(location, mirror_folder=folder / "mirrors")
    repository.fetch()
    head = repository.head()
    tree = repository.tree(head)
    for _ in repository.read([entry.blob for entry in tree.values() if entry.is_file]):
        pass
    commits = [commit.id for commit in repository.commits("", head)]
    repository.changes(commits, all_sorts=True)
    repository.is_ancestor(commits[0], head)
    repository.has_common_history(commits[0], head)
    public = read_ssh(key.public)
    assert isinstance(public, PublicKey)
    (folder / "signers").write_text(f"ann@example.org {key.public}\n")
    repository.verify(commits, [public], TrustRoot(str(folder / "signers")))
    if not repository.bare:
        repository.worktree()


PROGRAMS = (
    "core.fsmonitor",
    "core.sshCommand",
    "core.gitProxy",
    "core.pager",
    "core.editor",
    "core.askPass",
    "core.alternateRefsCommand",
    "credential.helper",
    "diff.external",
    "diff.trap.textconv",
    "diff.trap.command",
    "filter.trap.clean",
    "filter.trap.smudge",
    "filter.trap.process",
    "gpg.program",
    "gpg.openpgp.program",
    "gpg.ssh.program",
    "gpg.ssh.defaultKeyCommand",
    "interactive.diffFilter",
    "merge.trap.driver",
    "pager.log",
    "remote.origin.uploadpack",
    "remote.origin.vcs",
    "sequence.editor",
    "trailer.trap.command",
    "uploadpack.packObjectsHook",
    "alias.log",
    "alias.cat-file",
    "alias.ls-tree",
)


def arm(folder: Path, trap: Path, tmp_path: Path) -> None:
    """Name the trap wherever a repository's own configuration can name a program."""
    for name in PROGRAMS:
        run(folder, "config", name, f"!{trap}" if name.startswith(("alias", "credential")) else str(trap))
    run(folder, "config", "filter.trap.required", "true")
    run(folder, "config", "log.showSignature", "true")
    more = tmp_path / "included"
    more.write_text(f"[core]\n\tfsmonitor = {trap}\n\thooksPath = {trap.parent}\n")
    run(folder, "config", "include.path", str(more))
    place = Path(run(folder, "rev-parse", "--absolute-git-dir"))
    (place / "hooks").mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        (place / "hooks" / hook).write_text(trap.read_text())
        (place / "hooks" / hook).chmod(0o755)


def test_no_program_of_a_working_trees_configuration_is_run(folder: Path, trap: Path, tmp_path: Path) -> None:
    key = ssh_key(tmp_path, "ann")
    attributes = "* filter=trap diff=trap merge=trap export-subst ident text eol=crlf\n"
    key.commit(folder, {".gitattributes": attributes, "e.yaml": "e: $Format:%H$ $Id$\n"}, "Attributes")
    arm(folder, trap, tmp_path)
    read_all(folder, key, tmp_path)
    assert sprung(trap) == ""


def test_no_program_of_a_repository_that_is_fetched_is_run(folder: Path, trap: Path, tmp_path: Path) -> None:
    key = ssh_key(tmp_path, "ann")
    key.commit(folder, {".gitattributes": "* filter=trap diff=trap\n"})
    run(tmp_path, "clone", "-q", "--bare", str(folder), "bare.git")
    arm(tmp_path / "bare.git", trap, tmp_path)
    read_all(f"file://{tmp_path}/bare.git", key, tmp_path)
    read_all(tmp_path / "bare.git", key, tmp_path)
    assert sprung(trap) == ""


def test_the_content_of_a_commit_is_read_as_it_was_committed(folder: Path, tmp_path: Path) -> None:
    """No attribute turns it into anything else: what is judged is what everybody sees."""
    run(folder, "config", "filter.upper.smudge", "tr a-z A-Z")
    run(folder, "config", "filter.upper.clean", "cat")
    ssh_key(tmp_path, "ann").commit(folder, {".gitattributes": "*.yaml filter=upper export-subst ident\n"})
    text = b"e: $Format:%H$ $Id$\n"
    run(folder, "config", "--remove-section", "filter.upper")
    git.commit(folder, {"e.yaml": text}, "More", ANN)
    run(folder, "config", "filter.upper.smudge", "tr a-z A-Z")
    repository = Repository.open(folder)
    blob = repository.tree(repository.head())["e.yaml"].blob
    assert dict(repository.read([blob])) == {blob: text}


def test_a_submodule_is_neither_fetched_nor_updated(folder: Path, trap: Path, tmp_path: Path) -> None:
    key = ssh_key(tmp_path, "ann")
    modules = f"""\
[submodule "evil"]
\tpath = evil
\turl = ext::{trap}
\tupdate = !{trap}
[submodule "-x"]
\tpath = -x
\turl = -u{trap}
"""
    (folder / "evil").mkdir()
    for path in ("evil", "module.yaml"):
        run(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},{path}")
    (folder / ".gitmodules").write_text(modules)
    run(folder, "add", ".gitmodules")
    run(folder, "commit", "-qm", "Modules")
    for name in ("submodule.recurse", "fetch.recurseSubmodules", "submodule.evil.active"):
        run(folder, "config", name, "true")
    run(folder, "config", "submodule.evil.url", f"ext::{trap}")
    read_all(folder, key, tmp_path)
    read_all(f"file://{folder}", key, tmp_path)
    assert sprung(trap) == ""


@pytest.mark.parametrize("way", ["uploadpack", "ext"])
def test_what_a_partial_clone_lacks_is_not_fetched_by_a_program_that_it_names(
    folder: Path, trap: Path, tmp_path: Path, way: str
) -> None:
    blob = run(folder, "rev-parse", "HEAD:a.yaml")
    (folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    run(folder, "config", "extensions.partialClone", "origin")
    run(folder, "config", "remote.origin.promisor", "true")
    run(folder, "config", "remote.origin.url", f"ext::{trap}" if way == "ext" else f"file://{folder}")
    run(folder, "config", "remote.origin.uploadpack", str(trap))
    for name in ("ext", "file"):
        run(folder, "config", f"protocol.{name}.allow", "always")
    with pytest.raises(GitError, match="lacks the content"):
        read_all(folder, ssh_key(tmp_path, "ann"), tmp_path)
    with pytest.raises(GitError, match=f"lacks the content {blob}"):
        list(Repository.open(folder).read([blob]))
    assert sprung(trap) == ""


def test_protocols_are_closed_whatever_the_version_of_git(folder: Path, trap: Path, tmp_path: Path) -> None:
    """Older gits do not know GIT_NO_LAZY_FETCH; a variable closes what a configuration could open again."""
    run(folder, "config", "protocol.ext.allow", "always")
    fetch = ("-C", str(folder), "fetch", "--quiet", f"ext::{trap}")
    for config in (git.command.OFFLINE, git.command.FETCHING):
        done = git.command.attempt(*fetch, config=config)
        assert b"transport 'ext' not allowed" in done.stderr
    assert sprung(trap) == ""


@pytest.mark.parametrize(
    "name", ["-x", "--upload-pack=touch sprung", "-oProxyCommand=touch sprung", "a\nb", "$(touch sprung)"]
)
def test_a_branch_with_a_crafted_name_is_a_name_or_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    head = run(folder, "rev-parse", "HEAD")
    ref = folder / ".git" / "refs" / "heads" / name
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(head + "\n")
    (folder / ".git" / "HEAD").write_text(f"ref: refs/heads/{name}\n")
    mirror = Repository.open(f"file://{folder}", mirror_folder=tmp_path / "mirrors")
    for branch in ("", name):
        with suppress(GitError):
            mirror.fetch(branch)
            assert mirror.head(branch) == head
    for repository in (Repository.open(folder), mirror):
        with suppress(GitError):
            assert repository.resolve(name) == head
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "address",
    [
        "ssh://-oProxyCommand=touch%20sprung/x",
        "-oProxyCommand=touch sprung:x",
        "ext::sh -c touch% sprung",
        "fd::17",
    ],
)
def test_an_address_that_is_an_option_or_a_command_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GitError):
        Repository.open(address, mirror_folder=tmp_path / "mirrors").fetch("main")
    assert not (tmp_path / "sprung").exists()
