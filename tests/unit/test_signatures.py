"""What the signature of a commit proves, by the real ssh-keygen, gpg and git."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hanse import git
from hanse.foundation.keys import PublicKey, read_gpg, read_ssh
from hanse.git import Author, GitError, Repository, signatures
from hanse.model import Verdict
from hanse.ports.source import TrustRoot
from signing import Gpg, Key, gnupg, ssh_key


@pytest.fixture(autouse=True)
def _nobodys_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.delenv("GNUPGHOME", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working tree with an unsigned commit."""
    git.init(tmp_path / "org", {"a.yaml": b"a: 1\n"}, "First", Author("Ann Example", "ann@example.org"))
    return tmp_path / "org"


@pytest.fixture(scope="module")
def gpg() -> Iterator[Gpg]:
    """A GnuPG for this module."""
    with tempfile.TemporaryDirectory() as place, gnupg(Path(place) / "g") as made:
        yield made


@pytest.fixture(scope="module")
def ann(gpg: Gpg) -> Key:
    """Ann's key, of OpenPGP."""
    return gpg.key("ann")


@pytest.fixture
def ben(tmp_path: Path) -> Key:
    """Ben's key, of OpenSSH."""
    return ssh_key(tmp_path, "ben")


def public(*keys: Key) -> list[PublicKey]:
    read = [read_gpg(key.public) if key.home else read_ssh(key.public) for key in keys]
    return [key for key in read if isinstance(key, PublicKey)]


def verdict(folder: Path, commit: str, *keys: Key, root: TrustRoot | None = None) -> Verdict:
    return Repository.open(folder).verify([commit], public(*keys), root or TrustRoot())[commit]


def rewritten(folder: Path, commit: str, old: str, new: str) -> str:
    """A commit with other words and the same signature."""
    raw = subprocess.run(["git", "-C", folder, "cat-file", "commit", commit], check=True, capture_output=True)
    changed = raw.stdout.replace(old.encode(), new.encode())
    assert changed != raw.stdout
    return written(folder, changed)


def written(folder: Path, raw: bytes) -> str:
    """A commit of just these bytes."""
    command = ["git", "-C", str(folder), "hash-object", "-t", "commit", "-w", "--stdin"]
    return subprocess.run(command, check=True, capture_output=True, input=raw).stdout.decode().strip()


def test_a_good_signature_proves_the_key_of_either_sort(folder: Path, ann: Key, ben: Key) -> None:
    first = Repository.open(folder).head()
    by_ann, by_ben = ann.commit(folder), ben.commit(folder)
    found = Repository.open(folder).verify([by_ben, first, by_ann], public(ann, ben))
    assert found == {
        by_ben: Verdict(key=ben.fingerprint),
        first: Verdict("unsigned"),
        by_ann: Verdict(key=ann.fingerprint),
    }
    assert Repository.open(folder).verify([], public(ann)) == {}


@pytest.mark.parametrize(
    "sort", [("-t", "ecdsa", "-b", "384"), ("-t", "rsa", "-b", "2048")], ids=["ecdsa", "rsa"]
)
def test_keys_of_every_usual_sort_count(folder: Path, tmp_path: Path, sort: tuple[str, ...]) -> None:
    key = ssh_key(tmp_path, "key", *sort)
    assert verdict(folder, key.commit(folder), key) == Verdict(key=key.fingerprint)


def test_in_a_repository_of_sha256_it_is_the_same(tmp_path: Path, ann: Key, ben: Key) -> None:
    folder = tmp_path / "long"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(folder)], check=True)
    for key in (ann, ben):
        commit = key.commit(folder)
        assert len(commit) == 64
        assert verdict(folder, commit, ann, ben) == Verdict(key=key.fingerprint)


def test_a_key_that_is_nobodys_proves_nothing(folder: Path, ann: Key, ben: Key, tmp_path: Path) -> None:
    other = ssh_key(tmp_path, "other")
    assert verdict(folder, ben.commit(folder), other, ann) == Verdict("unknown-key", ben.fingerprint)
    by_ann = ann.commit(folder)
    assert verdict(folder, by_ann, ben) == Verdict("unknown-key")
    with tempfile.TemporaryDirectory() as place, gnupg(Path(place) / "g") as elsewhere:
        found = verdict(folder, by_ann, elsewhere.key("ann"))
    assert (found.fault, ann.fingerprint.endswith(found.key)) == ("unknown-key", True)


def test_a_commit_that_was_changed_after_it_was_signed_has_a_bad_signature(
    folder: Path, ann: Key, ben: Key
) -> None:
    for key in (ann, ben):
        signed = key.commit(folder, message="Harmless")
        forged = rewritten(folder, signed, "Harmless", "Harmful!")
        assert verdict(folder, forged, ann, ben) == Verdict("bad", key.fingerprint)


def test_a_signature_of_another_purpose_is_none(folder: Path, ben: Key, tmp_path: Path) -> None:
    """What somebody signed as a file or a letter is not what they signed for git."""
    signed = ben.commit(folder)
    raw = subprocess.run(
        ["git", "-C", folder, "cat-file", "commit", signed], check=True, capture_output=True
    ).stdout
    head, _, rest = raw.partition(b"gpgsig ")
    _, _, message = rest.partition(b"-----END SSH SIGNATURE-----\n")
    payload = tmp_path / "payload"
    payload.write_bytes(head + message)
    private = ben.options[-1].partition("=")[2]
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", private, payload], check=True)
    lines = Path(f"{payload}.sig").read_text().strip().replace("\n", "\n ")
    forged = written(folder, head + b"gpgsig " + lines.encode() + b"\n" + message)
    assert verdict(folder, forged, ben) == Verdict("bad", ben.fingerprint)


def test_an_expired_and_a_revoked_key_prove_nothing_whenever_it_was_signed(folder: Path, gpg: Gpg) -> None:
    gpg.at("20240101T120000")
    try:
        old = gpg.key("old", "1d")
        by_old = old.commit(folder, GIT_COMMITTER_DATE="2024-01-01T12:00:00Z")
    finally:
        gpg.at("")
    assert verdict(folder, by_old, old) == Verdict("expired", old.fingerprint)
    lost = gpg.key("lost")
    by_lost = lost.commit(folder)
    assert verdict(folder, by_lost, lost) == Verdict(key=lost.fingerprint)
    assert verdict(folder, by_lost, gpg.revoke(lost.fingerprint)) == Verdict("revoked", lost.fingerprint)


def test_a_backdated_commit_does_not_bring_an_expired_key_of_the_root_back(
    folder: Path, tmp_path: Path, ben: Key
) -> None:
    signers = tmp_path / "signers"
    commit = ben.commit(folder, GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    for options, counts in (
        ('valid-before="20210101" ', False),
        ('valid-after="20210101" ', True),
        ('namespaces="git" ', True),
        ('namespaces="file" ', False),
    ):
        signers.write_text(f"ben@example.org {options}{ben.public}\n")
        found = verdict(folder, commit, root=TrustRoot(str(signers)))
        assert (found.fault is None) is counts, options


def test_the_root_of_either_sort_counts_and_is_told_by_its_name(
    folder: Path, tmp_path: Path, ann: Key, ben: Key
) -> None:
    (tmp_path / "signers").write_text(f"# who may\nben@example.org,b@example.org {ben.public}\n")
    (tmp_path / "keys.asc").write_text(f"Ann:\n\n{ann.public}\n")
    root = TrustRoot(str(tmp_path / "signers"), str(tmp_path / "keys.asc"))
    assert verdict(folder, ben.commit(folder), root=root).root == "ben@example.org"
    assert verdict(folder, ann.commit(folder), root=root).root == f"OpenPGP key {ann.fingerprint}"
    assert verdict(folder, ann.commit(folder), ann, root=TrustRoot()).root == ""


def test_what_a_commit_declares_of_the_roots_key_does_not_stand_in_its_way(
    folder: Path, tmp_path: Path, gpg: Gpg
) -> None:
    gpg.at("20240101T120000")
    try:
        old = gpg.key("extended", "1d")
    finally:
        gpg.at("")
    gpg.run("--quick-set-expire", old.fingerprint, "0")
    (tmp_path / "keys.asc").write_text(gpg.exported(old.fingerprint).public)
    found = verdict(folder, old.commit(folder), old, root=TrustRoot(gpg=str(tmp_path / "keys.asc")))
    assert (found.fault, found.root) == (None, f"OpenPGP key {old.fingerprint}")


def test_a_root_that_is_not_there_or_holds_no_key_is_said(folder: Path, tmp_path: Path, ann: Key) -> None:
    commit = ann.commit(folder)
    (tmp_path / "empty").write_text("")
    for root, what in (
        (TrustRoot(ssh=str(tmp_path / "none")), "there is no file"),
        (TrustRoot(gpg=str(tmp_path / "none")), "cannot be read"),
        (TrustRoot(gpg=str(tmp_path / "empty")), "holds no OpenPGP public key"),
    ):
        with pytest.raises(GitError, match=what):
            verdict(folder, commit, root=root)


def test_a_missing_program_is_said_where_it_is_needed_and_only_there(
    folder: Path, ann: Key, ben: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, by_ann, by_ben = Repository.open(folder).head(), ann.commit(folder), ben.commit(folder)
    for missing, signed, other in (("gpg", by_ann, by_ben), ("ssh-keygen", by_ben, by_ann)):
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "which", lambda name, missing=missing: name if name != missing else None)
            with pytest.raises(GitError, match=f"{missing} is missing") as caught:
                verdict(folder, signed, ann, ben)
            assert "install" in caught.value.advice
            assert verdict(folder, other, ann, ben).fault is None
            assert verdict(folder, first, ann, ben).fault == "unsigned"


def test_signatures_that_are_none_are_unreadable(folder: Path, ann: Key, ben: Key) -> None:
    for key in (ann, ben):
        signed = key.commit(folder)
        for old, new in (
            ("-----BEGIN SSH SIGNATURE-----", "-----BEGIN SIGNED MESSAGE-----"),
            ("-----BEGIN PGP SIGNATURE-----", "-----BEGIN SIGNED MESSAGE-----"),
            ("\n U", "\n !"),
            ("\n i", "\n !"),
        ):
            raw = subprocess.run(
                ["git", "-C", folder, "cat-file", "commit", signed], check=True, capture_output=True
            )
            if old.encode() in raw.stdout:
                found = verdict(folder, rewritten(folder, signed, old, new), ann, ben)
                assert found.fault in ("unreadable", "bad")


def test_two_signatures_on_one_commit_count_for_none(folder: Path, ann: Key, ben: Key) -> None:
    for key, end in ((ann, b"-----END PGP SIGNATURE-----\n"), (ben, b"-----END SSH SIGNATURE-----\n")):
        signed = key.commit(folder)
        raw = subprocess.run(
            ["git", "-C", folder, "cat-file", "commit", signed], check=True, capture_output=True
        )
        head, _, rest = raw.stdout.partition(b"gpgsig ")
        armor, _, message = rest.partition(end)
        twice = head + b"gpgsig " + armor + end + b" " + armor + end + message
        assert verdict(folder, written(folder, twice), ann, ben).fault == "unreadable"


def test_neither_a_users_keyring_nor_any_configuration_counts(
    folder: Path, ann: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\necho '[GNUPG:] GOODSIG 1 x'\n")
    trap.chmod(0o755)
    commit = ann.commit(folder)
    for name in ("gpg.program", "gpg.openpgp.program", "gpg.ssh.program"):
        ann.git(folder, "config", name, str(trap))
        ann.git(folder, "config", "--global", name, str(trap))
    monkeypatch.setenv("GNUPGHOME", ann.home)  # whoever runs Hanse knows Ann's key, and that changes nothing
    assert verdict(folder, commit).fault == "unknown-key"
    assert verdict(folder, commit, ann).fault is None
    assert not (tmp_path / "sprung").exists()
    assert not (tmp_path / "home").exists()


def test_nothing_is_left_behind(
    folder: Path, ann: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    before = _agents()
    assert verdict(folder, ann.commit(folder), ann).fault is None
    assert list(place.iterdir()) == []
    assert _agents() <= before | _agents_of(ann.home)


def _agents() -> set[str]:
    processes = {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return {pid for pid in processes if _command(pid).startswith(("gpg-agent", "dirmngr", "keyboxd"))}


def _agents_of(home: str) -> set[str]:
    return {pid for pid in _agents() if home in _command(pid)}


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def test_many_signatures_are_looked_at_in_one_go(folder: Path, ann: Key, ben: Key) -> None:
    commits = [key.commit(folder) for key in (ann, ben) * 10]
    found = Repository.open(folder).verify(commits, public(ann, ben))
    assert [found[commit].key for commit in commits] == [ann.fingerprint, ben.fingerprint] * 10


def test_a_signature_longer_than_any_is_not_looked_at(
    folder: Path, ben: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "LONGEST_SIGNATURE", 10)
    assert verdict(folder, ben.commit(folder), ben) == Verdict("unreadable")
