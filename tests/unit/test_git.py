"""Promises of hanse.git, each kept by a real git in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hanse import git
from hanse.git import Author, GitError, Repository, command
from hanse.ports.source import Change, Commit, Source

ANN = Author("Ann Example", "ann@example.org")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nobodys_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on, or changes, the configuration of who runs it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    for name in ("XDG_CONFIG_HOME", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working tree with one commit of two files."""
    top = tmp_path / "org"
    git.init(top, {"a.yaml": b"a: 1\n", "sub/b.yml": b"b: 2\n"}, "First", ANN, at=AT)
    return top


def run(folder: Path, *arguments: str, data: bytes | None = None, **variables: str) -> str:
    """Run git as somebody else would, and give what it prints."""
    person = {f"GIT_{role}_{part}": "ben" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    result = subprocess.run(
        ["git", "-C", folder, *arguments],
        input=data,
        capture_output=True,
        check=False,
        env=os.environ | person | variables,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.decode().strip()


def save(folder: Path, files: dict[str, bytes], message: str = "More", removed: tuple[str, ...] = ()) -> str:
    return git.commit(folder, files, message, ANN, removed=removed, at=AT)


def contents(source: Source, commit: str) -> dict[str, bytes]:
    tree = {path: entry for path, entry in source.tree(commit).items() if entry.is_file}
    blobs = dict(source.read({entry.blob for entry in tree.values()}))
    return {path: blobs[entry.blob] for path, entry in tree.items()}


# --- opening --------------------------------------------------------------------------------------


def test_a_working_tree_is_opened_from_anywhere_within_it(folder: Path) -> None:
    assert Repository.open(folder) == Repository(folder, bare=False)
    assert Repository.open(str(folder / "sub")).folder == folder


def test_a_bare_repository_is_read_in_place(folder: Path, tmp_path: Path) -> None:
    run(tmp_path, "clone", "-q", "--bare", str(folder), "bare.git")
    bare = Repository.open(tmp_path / "bare.git")
    assert bare.bare
    assert contents(bare, bare.head("main")) == {"a.yaml": b"a: 1\n", "sub/b.yml": b"b: 2\n"}
    with pytest.raises(GitError, match="has no working tree"):
        bare.worktree()
    with pytest.raises(GitError, match="has no working tree"):
        save(tmp_path / "bare.git", {"x.yaml": b""})


def test_what_is_no_repository_is_said_with_advice(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(GitError, match="is no git repository") as caught:
        Repository.open(tmp_path)
    assert "git init" in caught.value.advice
    for location in (str(tmp_path / "nowhere"), "-x", "", "org.git"):
        with pytest.raises(GitError):
            Repository.open(location, mirror_folder=tmp_path / "mirrors") if location else Repository.open(
                "\0"
            )
    with pytest.raises(GitError, match=r"within a repository's \.git"):
        Repository.open(folder / ".git" / "refs")


def test_a_repository_of_somebody_else_is_said_with_advice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_KEPT_VARIABLES", re.compile("GIT_"))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(GitError, match="belongs to somebody else") as caught:
        Repository.open(folder)
    assert f"safe.directory {folder}" in caught.value.advice


@pytest.mark.parametrize(
    ("script", "message"),
    [("echo git version 2.25.1", "too old"), ("echo something else", "too old"), (None, "git is missing")],
)
def test_a_missing_or_old_git_is_said_with_advice(
    script: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    command.check_version.cache_clear()
    with pytest.raises(GitError, match=message) as caught:
        Repository.open(tmp_path)
    assert "install" in caught.value.advice


def test_a_repository_without_commits_is_said(tmp_path: Path) -> None:
    run(tmp_path, "init", "-q", "empty")
    for branch in ("", "main"):
        with pytest.raises(GitError, match="has no commits yet"):
            Repository.open(tmp_path / "empty").head(branch)


def test_a_missing_branch_is_said_with_those_that_exist(folder: Path) -> None:
    run(folder, "branch", "prod")
    with pytest.raises(GitError, match="there is no branch staging") as caught:
        Repository.open(folder).head("staging")
    assert caught.value.advice == "its branches: main, prod"
    run(folder, "checkout", "-q", "--orphan", "new")
    with pytest.raises(GitError, match=r"HEAD of .* has no commits yet"):
        Repository.open(folder).head()


def test_revisions_are_resolved_as_people_write_them(folder: Path) -> None:
    repository, first = Repository.open(folder), run(folder, "rev-parse", "HEAD")
    second = save(folder, {"a.yaml": b"a: 2\n"})
    run(folder, "tag", "-m", "x", "v1", first)
    assert repository.head() == repository.head("main") == repository.resolve("HEAD") == second
    assert repository.resolve("v1") == repository.resolve("HEAD~1") == repository.resolve(first[:8]) == first
    for nothing in ("HEAD~9", "--all", "", "0" * 40, "HEAD:a.yaml", "a\nb"):
        with pytest.raises(GitError, match="there is no commit"):
            repository.resolve(nothing)


def test_what_is_no_full_commit_id_never_reaches_git(folder: Path) -> None:
    repository = Repository.open(folder)
    head = repository.head()
    for text in ("HEAD", "--output=x", f"{head}\n--all", "", head[:12]):
        for call in (
            repository.tree,
            lambda text: list(repository.read([text])),
            lambda text: repository.commits("", text),
            lambda text: repository.changes([text]),
            lambda text: repository.is_ancestor(text, head),
            lambda text: repository.is_ancestor(head, text),
        ):
            with pytest.raises(GitError, match="is no commit id"):
                call(text)


# --- reading --------------------------------------------------------------------------------------


def test_a_tree_holds_every_file_with_its_mode(folder: Path) -> None:
    (folder / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    commit = save(folder, {"x/y/z.yaml": b""})
    run(folder, "add", ".")
    run(folder, "commit", "-qm", "x")
    repository = Repository.open(folder)
    assert {path: entry.mode for path, entry in repository.tree(repository.head()).items()} == {
        "a.yaml": "100644",
        "run.sh": "100755",
        "sub/b.yml": "100644",
        "x/y/z.yaml": "100644",
    }
    assert set(repository.tree(commit, suffixes=(".yml",))) == {"sub/b.yml"}
    assert contents(repository, commit)["x/y/z.yaml"] == b""


def test_links_and_submodules_are_entries_and_never_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_bytes(b"secret: 1\n")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "linked").symlink_to(tmp_path)
    run(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module.yaml")
    (folder / "module.yaml").mkdir()
    run(folder, "add", "link.yaml", "linked")
    run(folder, "commit", "-qm", "links")
    repository = Repository.open(folder)
    tree = repository.tree(repository.head())
    assert {path: entry.mode for path, entry in tree.items() if not entry.is_file} == {
        "link.yaml": "120000",
        "linked": "120000",
        "module.yaml": "160000",
    }
    assert tree["module.yaml"].blob == "1" * 40
    assert set(repository.tree(repository.head(), suffixes=(".yaml",))) == {
        *("a.yaml", "link.yaml", "linked", "module.yaml")
    }
    assert repository.worktree() == (
        {"a.yaml": b"a: 1\n", "sub/b.yml": b"b: 2\n"},
        ["linked", "link.yaml", "module.yaml"],
    )
    assert repository.changes([repository.head()]) == {repository.head(): []}


def test_names_are_read_whatever_they_hold(folder: Path) -> None:
    odd = {"straße/ü 😀.yaml": b"1", "a\nb.yaml": b"2", 'quote".yaml': b"3", "-x.yaml": b"4", "\\.yaml": b"5"}
    commit = save(folder, odd)
    (folder / os.fsdecode(b"\xff.yaml")).write_bytes(b"6")
    repository = Repository.open(folder)
    assert contents(repository, commit).items() >= odd.items()
    assert {change.path for change in repository.changes([commit])[commit]} == set(odd)
    files, links = repository.worktree()
    assert files.items() >= {**odd, "\\xff.yaml": b"6"}.items()
    assert not links


def test_a_huge_file_is_left_out_where_a_limit_is_set(folder: Path) -> None:
    commit = save(folder, {"huge.yaml": b"x" * 3_000_000, "z.yaml": b"z"})
    repository = Repository.open(folder)
    tree = repository.tree(commit)
    read = dict(repository.read([tree["huge.yaml"].blob, tree["z.yaml"].blob], limit=1_000_000))
    assert read == {tree["z.yaml"].blob: b"z"}
    assert len(repository.worktree(limit=1000)[0]["huge.yaml"]) == 1000


def test_contents_come_in_the_order_asked_for_and_may_be_left_half_read(folder: Path) -> None:
    save(folder, {f"{number}.yaml": b"%d" % number * 5000 for number in range(300)})
    repository = Repository.open(folder)
    blobs = [entry.blob for entry in repository.tree(repository.head()).values()]
    assert [blob for blob, _ in repository.read(blobs)] == blobs
    assert list(repository.read([])) == []
    reading: Iterator[tuple[str, bytes]] = repository.read(blobs)
    assert next(reading)[0] == blobs[0]
    reading.close()  # type: ignore[attr-defined]


def test_what_the_repository_does_not_hold_is_an_error(folder: Path) -> None:
    repository = Repository.open(folder)
    with pytest.raises(GitError, match="lacks the content"):
        list(repository.read(["0" * 40]))
    with pytest.raises(GitError, match="commit"):
        list(repository.read([repository.head()]))
    for call in (
        repository.tree,
        lambda commit: repository.commits("", commit),
        lambda c: repository.changes([c]),
    ):
        with pytest.raises(GitError):
            call("1" * 40)


def test_the_working_tree_is_read_as_it_lies_there(folder: Path) -> None:
    (folder / "a.yaml").write_bytes(b"a: changed\n")
    (folder / "sub" / "b.yml").unlink()
    (folder / "new.yaml").write_bytes(b"new: 1\n")
    (folder / "staged.yaml").write_bytes(b"staged: 1\n")
    run(folder, "add", "staged.yaml")
    (folder / ".gitignore").write_text("ignored.yaml\n")
    (folder / "ignored.yaml").write_bytes(b"")
    (folder / "other.txt").write_bytes(b"")
    os.mkfifo(folder / "pipe.yaml")
    expected = {"a.yaml": b"a: changed\n", "new.yaml": b"new: 1\n", "staged.yaml": b"staged: 1\n"}
    for place in (folder, folder / "sub"):
        assert Repository.open(place).worktree()[0] == expected


def test_a_folder_that_became_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "sub", tmp_path / "elsewhere")
    (folder / "sub").symlink_to(tmp_path / "elsewhere")
    assert Repository.open(folder).worktree() == ({"a.yaml": b"a: 1\n"}, ["sub", "sub/b.yml"])


# --- history --------------------------------------------------------------------------------------


def test_commits_come_oldest_first_with_their_own_words(folder: Path) -> None:
    repository, first = Repository.open(folder), run(folder, "rev-parse", "HEAD")
    message = "Grüße 😀\n\nbody, line 1\n\n  line 2"
    second = save(folder, {"a.yaml": b"2"}, message)
    run(
        folder, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "", GIT_AUTHOR_DATE="@1 +0530"
    )
    third = repository.head()
    commits = repository.commits("", third)
    assert [commit.id for commit in commits] == [first, second, third]
    assert commits[1] == Commit(second, (first,), ANN.name, ANN.email, AT, ANN.name, ANN.email, AT, message)
    assert (commits[2].author_name, commits[2].message) == ("ben", "")
    assert commits[2].authored_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert repository.commits(second, third) == commits[2:]
    assert repository.commits(third, third) == []


def test_a_merge_counts_as_one_change_along_first_parents(folder: Path) -> None:
    repository, first = Repository.open(folder), run(folder, "rev-parse", "HEAD")
    run(folder, "checkout", "-q", "-b", "side")
    aside = save(folder, {"side.yaml": b"1"})
    run(folder, "checkout", "-q", "main")
    second = save(folder, {"a.yaml": b"2"})
    run(folder, "merge", "-q", "--no-ff", "-m", "Merge", "side")
    merge = repository.head()
    assert [commit.id for commit in repository.commits("", merge)] == [first, second, merge]
    assert repository.commits(first, merge)[-1].parents == (second, aside)
    changes = repository.changes([first, second, merge])
    assert [[change.path for change in changes[commit]] for commit in (first, second, merge)] == [
        ["a.yaml", "sub/b.yml"],
        ["a.yaml"],
        ["side.yaml"],
    ]


def test_changes_name_both_contents_and_a_rename_is_two(folder: Path) -> None:
    repository = Repository.open(folder)
    old = repository.tree(repository.head())["a.yaml"].blob
    renamed = save(folder, {"z.yaml": b"a: 1\n"}, removed=("a.yaml",))
    edited = save(folder, {"z.yaml": b"a: 2\n"})
    new = repository.tree(edited)["z.yaml"].blob
    run(folder, "commit", "-q", "--allow-empty", "-m", "empty")
    assert repository.changes([renamed, edited, repository.head()]) == {
        renamed: [Change("a.yaml", old, ""), Change("z.yaml", "", old)],
        edited: [Change("z.yaml", old, new)],
        repository.head(): [],
    }
    (folder / "z.yaml").unlink()
    (folder / "z.yaml").symlink_to("sub/b.yml")
    run(folder, "commit", "-qam", "becomes a link")
    assert repository.changes([repository.head()]) == {repository.head(): [Change("z.yaml", new, "")]}
    assert repository.changes([]) == {}


def test_a_rewritten_history_is_recognised(folder: Path) -> None:
    repository, first = Repository.open(folder), run(folder, "rev-parse", "HEAD")
    second = save(folder, {"a.yaml": b"2"})
    run(folder, "reset", "-q", "--hard", first)
    other = save(folder, {"a.yaml": b"3"})
    assert repository.is_ancestor(first, second)
    assert repository.is_ancestor(second, second)
    assert not repository.is_ancestor(second, first)
    assert not repository.is_ancestor(second, other)
    assert not repository.is_ancestor("1" * 40, other)
    assert [commit.id for commit in repository.commits(second, other)] == [other]
    assert repository.has_common_history(second, other)
    assert repository.has(second)
    assert not repository.has("1" * 40)
    run(folder, "checkout", "-q", "--orphan", "unrelated")
    unrelated = save(folder, {"a.yaml": b"4"})
    assert not repository.has_common_history(second, unrelated)
    assert not repository.has_common_history("1" * 40, other)
    with pytest.raises(GitError, match="does not have that commit"):
        repository.is_ancestor(other, "1" * 40)


def test_what_a_local_replacement_pretends_is_not_believed(folder: Path) -> None:
    repository, first = Repository.open(folder), run(folder, "rev-parse", "HEAD")
    second = save(folder, {"a.yaml": b"2"})
    run(folder, "replace", second, first)
    assert contents(repository, second)["a.yaml"] == b"2"


def test_a_shallow_clone_does_not_pass_for_a_whole_history(folder: Path, tmp_path: Path) -> None:
    save(folder, {"a.yaml": b"2"})
    run(tmp_path, "clone", "-q", "--depth=1", f"file://{folder}", "shallow")
    repository = Repository.open(tmp_path / "shallow")
    head = repository.head()
    assert contents(repository, head)["a.yaml"] == b"2"
    for call in (lambda: repository.commits("", head), lambda: repository.is_ancestor(head, head)):
        with pytest.raises(GitError, match="shallow") as caught:
            call()
        assert "--unshallow" in caught.value.advice


def test_a_commit_that_lies_about_itself_is_still_read(folder: Path) -> None:
    tree = run(folder, "rev-parse", "HEAD^{tree}")
    raw = f"tree {tree}\nauthor  <> 99999999999999999999 +0000\ncommitter \x01\n\xe9 <x> 5 -9999\n\n\xff".encode(
        "latin-1"
    )
    commit = run(folder, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", data=raw)
    repository = Repository.open(folder)
    (read,) = repository.commits("", commit)
    assert read.authored_at.tzinfo is UTC
    assert repository.changes([commit])[commit]
    assert contents(repository, commit)["a.yaml"] == b"a: 1\n"


# --- hostile surroundings -------------------------------------------------------------------------


def test_nothing_that_a_repository_configures_is_run(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    hooks = folder / ".git" / "hooks"
    hooks.mkdir()
    for hook in ("pre-commit", "post-commit", "commit-msg", "post-index-change", "reference-transaction"):
        shutil.copy(trap, hooks / hook)
    for name in (
        "core.fsmonitor",
        "core.pager",
        "diff.external",
        "gpg.program",
        "gpg.ssh.program",
        "core.sshCommand",
    ):
        run(folder, "config", name, str(trap))
    for name in ("log.showSignature", "commit.gpgSign"):
        run(folder, "config", name, "true")
    run(folder, "config", "core.hooksPath", str(hooks))
    (folder / ".gitattributes").write_text("*.yaml diff=trap\n")
    run(folder, "config", "diff.trap.textconv", str(trap))
    repository = Repository.open(folder)
    commit = save(folder, {"a.yaml": b"2"})
    repository.worktree()
    repository.commits("", commit)
    repository.changes([commit])
    contents(repository, commit)
    repository.verify([commit], [])
    repository.has_common_history(commit, commit)
    assert not (tmp_path / "sprung").exists()


def test_the_environment_of_a_hook_leads_nowhere_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    repository = Repository.open(folder)
    assert contents(repository, repository.head())["a.yaml"] == b"a: 1\n"
    assert repository.worktree()[0]["a.yaml"] == b"a: 1\n"


# --- mirrors --------------------------------------------------------------------------------------


@pytest.fixture
def mirror(folder: Path, tmp_path: Path) -> Repository:
    """A mirror of the folder, not fetched yet."""
    return Repository.open(f"file://{folder}", mirror_folder=tmp_path / "mirrors")


def test_an_address_is_mirrored_and_fetched(folder: Path, mirror: Repository, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="has no commits yet"):
        mirror.head()
    mirror.fetch()
    assert mirror.head() == mirror.head("main") == Repository.open(folder).head()
    newer = save(folder, {"a.yaml": b"2"})
    assert mirror.head() != newer
    mirror.fetch("main")
    assert contents(mirror, newer)["a.yaml"] == b"2"
    assert Repository.open(f"file://{folder}", mirror_folder=tmp_path / "mirrors").head() == newer
    assert {path.name for path in (tmp_path / "mirrors").iterdir()} == {mirror.folder.name}


def test_a_mirror_keeps_what_the_remote_has_rewritten(folder: Path, mirror: Repository) -> None:
    first, second = Repository.open(folder).head(), save(folder, {"a.yaml": b"2"})
    mirror.fetch()
    run(folder, "reset", "-q", "--hard", first)
    other = save(folder, {"a.yaml": b"3"})
    mirror.fetch()
    assert mirror.head() == other
    assert contents(mirror, second)["a.yaml"] == b"2"
    assert not mirror.is_ancestor(second, other)


def test_a_remote_without_that_branch_or_out_of_reach_is_said(
    folder: Path, mirror: Repository, tmp_path: Path
) -> None:
    with pytest.raises(GitError, match="no such branch"):
        mirror.fetch("staging")
    for name in ("main:refs/heads/other", "*", "a b", "-x..y"):
        with pytest.raises(GitError, match="cannot be a branch"):
            mirror.fetch(name)
    shutil.move(folder, tmp_path / "away")
    with pytest.raises(GitError, match="cannot be reached") as caught:
        mirror.fetch()
    assert "check the address" in caught.value.advice
    run(tmp_path, "init", "-q", "empty")
    with pytest.raises(GitError, match="has no HEAD"):
        Repository.open(f"file://{tmp_path}/empty", mirror_folder=tmp_path / "mirrors").fetch()


def test_an_unreachable_server_is_said_without_the_password(tmp_path: Path) -> None:
    remote = Repository.open("http://ann:s3cret@127.0.0.1:9/x.git", mirror_folder=tmp_path / "mirrors")
    with pytest.raises(GitError, match="cannot be reached") as caught:
        remote.fetch("main")
    assert "s3cret" not in f"{caught.value} {caught.value.advice}"
    with pytest.raises(GitError) as caught:
        Repository.open("http://ann:s3cret@127.0.0.1:9/x.git")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["ext::sh -c touch% sprung", "ext://x", "-oProxyCommand=touch sprung:x", "fd://3", "x y"]
)
def test_an_address_that_is_a_command_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GitError):
        Repository.open(address, mirror_folder=tmp_path / "mirrors").fetch("main")
    assert not (tmp_path / "sprung").exists()


def test_a_server_that_never_answers_is_left(
    mirror: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 60; :")
    silent = Repository.open("ssh://127.0.0.1/x.git", mirror_folder=tmp_path / "mirrors")
    with pytest.raises(GitError, match="did not finish"):
        silent.fetch("main", 0.3)


def test_a_fetch_that_is_not_wanted_any_more_ends_at_once_and_lets_go_of_the_mirror(
    mirror: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 60; :")
    silent = Repository.open("ssh://127.0.0.1/x.git", mirror_folder=tmp_path / "mirrors")
    asked: list[float] = []

    def stopped() -> bool:
        asked.append(time.monotonic())
        return len(asked) > 1

    began = time.monotonic()
    with pytest.raises(GitError, match="was stopped"):
        silent.fetch("main", stopped=stopped)
    assert time.monotonic() - began < 10
    with pytest.raises(GitError, match="did not finish"):
        silent.fetch("main", 0.3)


def test_who_waits_for_another_fetch_waits_no_longer_than_it_may(
    mirror: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 60; :")
    silent = Repository.open("ssh://127.0.0.1/x.git", mirror_folder=tmp_path / "mirrors")
    over = threading.Event()

    def hang() -> None:
        with suppress(GitError):
            silent.fetch("main", stopped=over.is_set)

    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(0.3)
    try:
        with pytest.raises(GitError, match="did not finish"):
            silent.fetch("main", 0.3)
    finally:
        over.set()
        thread.join()


def test_a_local_repository_has_nothing_to_fetch(folder: Path) -> None:
    Repository.open(folder).fetch("no such branch")


# --- writing --------------------------------------------------------------------------------------


def test_a_repository_is_made_where_git_knows_no_user(tmp_path: Path) -> None:
    commit = git.init(tmp_path / "new" / "org", {"a.yaml": b"a\r\n"}, "First", ANN)
    repository = Repository.open(tmp_path / "new" / "org")
    (made,) = repository.commits("", commit)
    assert (made.author_name, made.committer_email, made.message) == (ANN.name, ANN.email, "First")
    assert repository.head("main") == commit
    assert contents(repository, commit) == {"a.yaml": b"a\r\n"}
    assert run(repository.folder, "status", "--porcelain") == ""
    assert not (tmp_path / "gitconfig").exists()


def test_nothing_that_exists_is_overwritten_by_a_new_repository(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="holds a repository already"):
        git.init(folder, {"a.yaml": b""}, "First", ANN)
    (tmp_path / "a.yaml").write_text("mine")
    with pytest.raises(GitError, match="exists already"):
        git.init(tmp_path, {"a.yaml": b""}, "First", ANN)
    assert (tmp_path / "a.yaml").read_text() == "mine"
    assert not (tmp_path / ".git").exists()


def test_a_commit_holds_its_own_files_and_nothing_else(folder: Path) -> None:
    (folder / "staged.yaml").write_bytes(b"")
    run(folder, "add", "staged.yaml")
    (folder / "a.yaml").write_bytes(b"edited by somebody")
    (folder / ".gitignore").write_text("new*\n")
    commit = save(folder, {"new/n.yaml": b"n", "*.yaml": b"star"}, removed=("sub/b.yml",))
    assert contents(Repository.open(folder), commit) == {
        "a.yaml": b"a: 1\n",
        "new/n.yaml": b"n",
        "*.yaml": b"star",
    }
    assert run(folder, "status", "--porcelain").split() == [
        "M",
        "a.yaml",
        "A",
        "staged.yaml",
        "??",
        ".gitignore",
    ]


@pytest.mark.parametrize(
    "path", ["../x.yaml", "/x.yaml", ".git/config", "sub/../../x", "", "out/x.yaml", ".GIT/x"]
)
def test_a_file_outside_the_working_tree_is_never_written(path: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (folder / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(GitError, match="is no place for a file"):
        save(folder, {path: b"x"})
    assert not list((tmp_path / "outside").iterdir())


def test_a_commit_without_a_change_or_an_author_is_said(folder: Path) -> None:
    with pytest.raises(GitError, match="nothing of this is new"):
        save(folder, {"a.yaml": b"a: 1\n"})
    with pytest.raises(GitError, match="ident"):
        git.commit(folder, {"a.yaml": b"2"}, "x", Author("", ""))
    with pytest.raises(GitError, match="cannot be changed"):
        save(folder, {}, removed=("nothing.yaml",))


def test_text_that_no_process_can_be_given_is_an_error_and_no_crash(folder: Path) -> None:
    with pytest.raises(GitError, match="cannot be started"):
        git.commit(folder, {"a.yaml": b"2"}, "a\0b", ANN)
    with pytest.raises(GitError):
        git.commit(folder, {"a.yaml": b"3"}, "x" * 10_000_000, ANN)
    with pytest.raises(GitError):
        Repository.open(folder).resolve("a\0b")
