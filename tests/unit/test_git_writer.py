"""Promises of hanse.git.Writer, each kept by a real git: what is written, and what becomes of what people have."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hanse import git
from hanse.foundation.keys import PublicKey, read_ssh
from hanse.git import GitError, Repository, Writer, command
from hanse.model.signature import Verdict
from hanse.ports.writer import Draft, Person, Tip

ADA = Person("Ada Lovelace", "ada@example.org")
HANSE = Person("Hanse", "ops@example.org")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nobodys_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on, or changes, the configuration of who runs it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree with one commit of two files."""
    top = tmp_path / "org"
    git.init(top, {"a.yaml": b"a: 1\n", "sub/b.yml": b"b: 2\n"}, "First", ADA, at=AT)
    return top


@pytest.fixture
def bare(tree: Path, tmp_path: Path) -> Path:
    """The same as a bare repository."""
    run(tree, "clone", "--quiet", "--bare", str(tree), str(tmp_path / "bare.git"))
    return tmp_path / "bare.git"


def run(folder: Path, *arguments: str) -> str:
    """Run git as somebody else would, and give what it prints."""
    person = {f"GIT_{role}_{part}": "ben" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", folder, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | person,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def draft(changes: dict[str, bytes | None], message: str = "Because", author: Person = ADA) -> Draft:
    return Draft(changes, message, author, HANSE, AT)


def writer_at(location: str | Path, tmp_path: Path, name: str = "mirrors") -> Writer:
    return Writer(Repository.open(location, mirror_folder=tmp_path / name))


def add(writer: Writer, path: str = "new.yaml", content: bytes | None = b"n: 1\n") -> tuple[Tip, str, str]:
    """Where the branch stood, the new commit, and what the branch said to it."""
    before = writer.tip("main")
    (commit,) = writer.write(before.commit, [draft({path: content})])
    return before, commit, writer.publish(commit, before)


# --- what is written -----------------------------------------------------------------------------


def test_a_commit_says_whose_it_is_and_why(bare: Path, tmp_path: Path) -> None:
    writer = writer_at(bare, tmp_path)
    before = writer.tip("main")
    one, two = writer.write(
        before.commit,
        [
            draft({'grants/ä "x\\.yaml': b"g: 1\n", "a.yaml": None}, "Grützi\n\nWarum? Darum.\n"),
            draft({"grants/two.yaml": b""}, "Two", Person("Bö <evil> \n", "b>@x")),
        ],
    )
    first, second = Repository.open(bare).commits(before.commit, two)
    assert (first.id, second.id) == (one, two)
    assert first.message == "Grützi\n\nWarum? Darum."
    assert (first.author_name, first.author_email) == (ADA.name, ADA.email)
    assert (first.committer_name, first.committer_email, first.committed_at) == ("Hanse", HANSE.email, AT)
    assert (second.author_name, second.author_email) == ("Bö  evil", "b @x")
    assert set(Repository.open(bare).tree(two)) == {'grants/ä "x\\.yaml', "grants/two.yaml", "sub/b.yml"}
    run(bare, "fsck", "--strict")


def test_nothing_leads_to_a_commit_before_it_is_published(bare: Path, tmp_path: Path) -> None:
    writer = writer_at(bare, tmp_path)
    before = writer.tip("main")
    writer.write(before.commit, [draft({"x.yaml": b"1"})])
    assert (
        run(bare, "for-each-ref", "--format=%(refname) %(objectname)") == f"refs/heads/main {before.commit}"
    )


@pytest.mark.parametrize("path", ["../x.yaml", "/x.yaml", "a/.git/x", ".GIT/config", "", "a\0b"])
def test_no_file_is_written_outside_the_manifest(path: str, bare: Path, tmp_path: Path) -> None:
    writer = writer_at(bare, tmp_path)
    with pytest.raises(GitError, match="no place for a file"):
        writer.write(writer.tip("main").commit, [draft({path: b"1"})])
    assert not list(bare.glob("fast_import_crash*"))


def test_the_author_is_who_git_says_runs_it_and_else_the_account(bare: Path, tmp_path: Path) -> None:
    writer = writer_at(bare, tmp_path)
    found = writer.person("ops")
    assert found.name == "ops"
    assert found.email.startswith("ops@")
    (tmp_path / "gitconfig").write_text("[user]\n name = Ada Lovelace\n email = ada@example.org\n")
    assert writer.person("ops") == ADA
    assert writer.person("other", runs=False).name == "other"
    assert writer.committer("ops") == Person("Hanse", "ada@example.org")
    (tmp_path / "gitconfig").write_text(
        "[user]\n email = ada@example.org\n[committer]\n email = hanse@example.org\n"
    )
    assert writer.committer("ops").email == "hanse@example.org"


# --- a bare folder ----------------------------------------------------------------------------------


def test_a_branch_of_a_bare_folder_moves_only_from_where_it_was(bare: Path, tmp_path: Path) -> None:
    writer = writer_at(bare, tmp_path)
    before, commit, why = add(writer)
    assert not why
    assert run(bare, "rev-parse", "main") == commit
    (late,) = writer.write(before.commit, [draft({"late.yaml": b"1"})])
    assert writer.publish(late, before)
    assert run(bare, "rev-parse", "main") == commit


def test_a_new_branch_is_made_only_where_there_is_none(bare: Path, tmp_path: Path) -> None:
    writer = writer_at(bare, tmp_path)
    assert writer.tip("review/x") == Tip("review/x", "")
    (commit,) = writer.write(writer.tip("main").commit, [draft({"x.yaml": b"1"})])
    assert not writer.publish(commit, Tip("review/x", ""))
    assert writer.tip("review/x").commit == commit
    assert writer.publish(commit, Tip("review/x", ""))


def test_hooks_of_a_folder_do_not_run(bare: Path, tree: Path, tmp_path: Path) -> None:
    for hooks in (bare / "hooks", tree / ".git" / "hooks"):
        hooks.mkdir(exist_ok=True)
        for name in (
            "pre-receive",
            "update",
            "reference-transaction",
            "post-checkout",
            "pre-commit",
            "post-index-change",
        ):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
            (hooks / name).chmod(0o755)
    for place in (bare, tree):
        assert not add(writer_at(place, tmp_path))[2]
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_a_branch_is_said(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="cannot be a branch"):
        writer_at(bare, tmp_path).tip("a..b")


# --- a working tree ---------------------------------------------------------------------------------


def test_a_working_tree_is_brought_along_and_uncommitted_work_is_kept(tree: Path, tmp_path: Path) -> None:
    (tree / "a.yaml").write_bytes(b"a: mine\n")
    (tree / "staged.yaml").write_bytes(b"s: 1\n")
    (tree / "loose.yaml").write_bytes(b"l: 1\n")
    run(tree, "add", "staged.yaml")
    _, commit, why = add(writer_at(tree, tmp_path))
    assert not why
    assert run(tree, "rev-parse", "HEAD") == commit
    assert (tree / "new.yaml").read_bytes() == b"n: 1\n"
    assert run(tree, "status", "--short").splitlines() == ["M a.yaml", "A  staged.yaml", "?? loose.yaml"]


def test_a_file_that_somebody_works_on_is_not_overwritten(tree: Path, tmp_path: Path) -> None:
    writer = writer_at(tree, tmp_path)
    (tree / "new.yaml").write_bytes(b"mine\n")
    before = run(tree, "rev-parse", "HEAD")
    with pytest.raises(GitError, match=r"new\.yaml in .* not committed, and they are in the way") as told:
        add(writer)
    assert "git stash" in told.value.advice
    (tree / "a.yaml").write_bytes(b"a: mine\n")
    with pytest.raises(GitError, match=r"a\.yaml in .* not committed"):
        add(writer, "a.yaml", None)
    assert run(tree, "rev-parse", "HEAD") == before
    assert (tree / "new.yaml").read_bytes() == b"mine\n"
    assert run(tree, "status", "--short").splitlines() == ["M a.yaml", "?? new.yaml"]


def test_a_branch_that_is_not_checked_out_moves_without_touching_files(tree: Path, tmp_path: Path) -> None:
    run(tree, "checkout", "--quiet", "-b", "work")
    _, commit, _ = add(writer_at(tree, tmp_path))
    assert run(tree, "rev-parse", "main") == commit
    assert run(tree, "rev-parse", "--abbrev-ref", "HEAD") == "work"
    assert not (tree / "new.yaml").exists()


def test_a_linked_working_tree_that_has_the_branch_is_brought_along(tree: Path, tmp_path: Path) -> None:
    run(tree, "checkout", "--quiet", "-b", "work")
    run(tree, "worktree", "add", "--quiet", str(tmp_path / "linked"), "main")
    add(writer_at(tree, tmp_path))
    assert (tmp_path / "linked" / "new.yaml").exists()
    assert run(tmp_path / "linked", "status", "--short") == ""


def test_in_the_midst_of_a_rebase_or_a_merge_nothing_is_written(tree: Path, tmp_path: Path) -> None:
    run(tree, "checkout", "--quiet", "-b", "other")
    git.commit(tree, {"a.yaml": b"a: other\n"}, "Other", ADA)
    run(tree, "checkout", "--quiet", "main")
    git.commit(tree, {"a.yaml": b"a: main\n"}, "Main", ADA)
    person = ("-c", "user.name=ben", "-c", "user.email=ben")
    subprocess.run(["git", "-C", tree, *person, "merge", "other"], check=False, capture_output=True)
    with pytest.raises(GitError, match="a merge is not finished"):
        add(writer_at(tree, tmp_path))
    run(tree, "merge", "--abort")
    (tree / ".git" / "rebase-merge").mkdir()
    with pytest.raises(GitError, match="a rebase is under way"):
        add(writer_at(tree, tmp_path))


def test_files_go_back_where_the_branch_moved_meanwhile(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writer, "_move", lambda *_: "the branch moved")
    assert add(writer_at(tree, tmp_path))[2] == "the branch moved"
    assert not (tree / "new.yaml").exists()
    assert run(tree, "status", "--short") == ""


def test_a_head_on_no_branch_is_told(tree: Path, tmp_path: Path) -> None:
    run(tree, "checkout", "--quiet", "--detach")
    with pytest.raises(GitError, match="is on no branch"):
        writer_at(tree, tmp_path).tip("")


# --- an address -------------------------------------------------------------------------------------


def test_a_commit_is_pushed_to_an_address(bare: Path, tmp_path: Path) -> None:
    writer = writer_at(f"file://{bare}", tmp_path)
    _, commit, why = add(writer)
    assert not why
    assert run(bare, "rev-parse", "main") == commit
    assert writer.repository.head("main") == commit


def test_a_remote_that_moved_takes_nothing(bare: Path, tmp_path: Path) -> None:
    mine, other = writer_at(f"file://{bare}", tmp_path), writer_at(f"file://{bare}", tmp_path, "others")
    before = mine.tip("main")
    _, theirs, _ = add(other)
    (commit,) = mine.write(before.commit, [draft({"mine.yaml": b"1"})])
    assert mine.publish(commit, before)
    assert run(bare, "rev-parse", "main") == theirs


def test_a_remote_that_was_set_back_does_not_get_the_old_commits_again(bare: Path, tmp_path: Path) -> None:
    writer = writer_at(f"file://{bare}", tmp_path)
    _, second, _ = add(writer)
    before = writer.tip("main")
    run(bare, "update-ref", "refs/heads/main", f"{second}^")
    (commit,) = writer.write(before.commit, [draft({"mine.yaml": b"1"})])
    assert writer.publish(commit, before)
    assert run(bare, "rev-parse", "main") == run(bare, "rev-parse", f"{second}^")


def test_what_a_server_says_when_it_refuses_is_passed_on(bare: Path, tmp_path: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'branch main is protected: CHG-1042' >&2\nexit 1\n")
    hook.chmod(0o755)
    writer = writer_at(f"file://{bare}", tmp_path)
    before = writer.tip("main")
    with pytest.raises(GitError, match=r"does not take the commit .*hook declined.*CHG-1042") as told:
        add(writer)
    assert "a branch for review" in told.value.advice
    assert run(bare, "rev-parse", "main") == before.commit


def test_a_review_branch_of_an_address_is_made_once(bare: Path, tmp_path: Path) -> None:
    writer = writer_at(f"file://{bare}", tmp_path)
    assert writer.tip("review") == Tip("review", "")
    (commit,) = writer.write(writer.tip("main").commit, [draft({"x.yaml": b"1"})])
    assert not writer.publish(commit, Tip("review", ""))
    assert writer_at(f"file://{bare}", tmp_path, "others").tip("review").commit == commit
    (another,) = writer.write(writer.tip("main").commit, [draft({"y.yaml": b"1"})])
    assert writer.publish(another, Tip("review", ""))
    assert writer.tip("").branch == "main"


@pytest.fixture
def daemon(bare: Path) -> Iterator[str]:
    """The bare repository served by git's own daemon, for reading only."""
    (bare / "git-daemon-export-ok").touch()
    port = 10_000 + os.getpid() % 20_000
    process = subprocess.Popen(
        [
            "git",
            "daemon",
            "--listen=127.0.0.1",
            f"--port={port}",
            f"--base-path={bare.parent}",
            "--reuseaddr",
        ],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"git://127.0.0.1:{port}/{bare.name}"
    try:
        for _ in range(100):
            asked = subprocess.run(["git", "ls-remote", url], check=False, capture_output=True)
            if asked.returncode == 0:
                break
            time.sleep(0.05)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def test_who_may_only_read_is_told_so(daemon: str, bare: Path, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="refuses") as told:
        add(writer_at(daemon, tmp_path))
    assert "write where Hanse" in told.value.advice
    assert run(bare, "rev-list", "--count", "main") == "1"


def test_a_remote_that_hangs_is_given_up(bare: Path, tmp_path: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nsleep 30\n")
    hook.chmod(0o755)
    writer = writer_at(f"file://{bare}", tmp_path)
    before = writer.tip("main")
    (commit,) = writer.write(before.commit, [draft({"x.yaml": b"1"})])
    began = time.monotonic()
    with pytest.raises(GitError, match="did not finish within 1 seconds"):
        writer.publish(commit, before, seconds=1)
    assert time.monotonic() - began < 10
    assert run(bare, "rev-parse", "main") == before.commit


# --- turns, signatures ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tree", "bare", "address"])
def test_one_writer_of_a_machine_is_at_work_at_a_time(
    kind: str, tree: Path, bare: Path, tmp_path: Path
) -> None:
    place = {"tree": str(tree), "bare": str(bare), "address": f"file://{bare}"}[kind]
    one, other = writer_at(place, tmp_path), writer_at(place, tmp_path)
    with one.turn(), pytest.raises(GitError, match="another Hanse is writing"), other.turn(0.1):
        pass
    seen: list[str] = []

    def later() -> None:
        with other.turn():
            seen.append("other")

    with one.turn():
        thread = threading.Thread(target=later)
        thread.start()
        time.sleep(0.1)
        seen.append("one")
    thread.join()
    assert seen == ["one", "other"]


def test_commits_are_signed_with_the_key_of_the_server(bare: Path, tmp_path: Path) -> None:
    assert shutil.which("ssh-keygen")
    key, other = tmp_path / "key", tmp_path / "other"
    for path in (key, other):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    ours, strange = (read_ssh(Path(f"{path}.pub").read_text()) for path in (key, other))
    assert isinstance(ours, PublicKey)
    assert isinstance(strange, PublicKey)
    writer = replace(writer_at(bare, tmp_path), signing_key=str(key))
    before = writer.tip("main")
    drafts = [draft({"x.yaml": b"1"}, "Grützi\n\nWarum\n"), draft({"x.yaml": None, "y.yaml": b"2"})]
    commits = writer.write(before.commit, drafts)
    assert not writer.publish(commits[-1], before)
    source = Repository.open(bare)
    assert source.verify(commits, [ours]) == dict.fromkeys(commits, Verdict(key=ours.fingerprint))
    assert {verdict.fault for verdict in source.verify(commits, [strange]).values()} == {"unknown-key"}
    first, _ = source.commits(before.commit, commits[-1])
    assert (first.message, first.author_name, first.committer_name) == ("Grützi\n\nWarum", ADA.name, "Hanse")
    assert set(source.tree(commits[-1])) == {"a.yaml", "sub/b.yml", "y.yaml"}
    with pytest.raises(GitError, match="there is no key"):
        replace(writer, signing_key=str(tmp_path / "gone")).write(before.commit, drafts)


# --- ends in the midst --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tree", "bare", "address"])
def test_a_run_that_ends_at_any_call_of_git_leaves_nothing_half_done(
    kind: str, tree: Path, bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"tree": str(tree), "bare": str(bare), "address": f"file://{bare}"}[kind]
    writer = writer_at(place, tmp_path)
    home = tree if kind == "tree" else bare
    start = run(home, "rev-parse", "main")
    real = command._start
    calls = 0
    for last in range(100):
        calls = 0

        def counted(*arguments: object, last: int = last, **options: object) -> object:
            nonlocal calls
            if calls == last:
                raise KeyboardInterrupt
            calls += 1
            return real(*arguments, **options)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(command, "_start", counted)
            try:
                _, commit, why = add(writer, f"n{last}.yaml")
                done = True
            except KeyboardInterrupt:
                done = False
        now = run(home, "rev-parse", "main")
        if done:
            assert not why
            assert now == commit
            break
        if now != start:  # the branch moved, and only what follows it was not done
            assert run(home, "rev-parse", "main^") == start
            start = now
        run(home, "fsck")
        if kind == "tree":
            assert set(run(tree, "status", "--short").splitlines()) <= {f"A  n{n}.yaml" for n in range(100)}
    assert done
    assert last > 2
