"""Who signed commits: ssh-keygen and gpg are asked, each with nothing but the keys that it is given.

git itself is not asked, since it goes by the time that a commit claims and by what a repository or a user configures.
Here the machine's own clock counts. gpg works in a folder that is made for it and removed again: no keyring, trust
database, agent or configuration of a user is read or written, and no network is used.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from hanse.foundation.keys import BadKey, PublicKey, read_gpg_file, ssh_fingerprint
from hanse.git.command import GitError
from hanse.model import Fault, Verdict
from hanse.ports.source import TrustRoot

LONGEST_SIGNATURE = 100_000
"""Bytes; none of a sane key comes near it."""
SECONDS = 60.0
"""How long one look at one signature may take."""

_ARMORED = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n(.*?)\n-----END SSH SIGNATURE-----", re.DOTALL)
_GPG = (
    *(
        "gpg",
        "--no-options",
        "--batch",
        "--no-tty",
        "--no-autostart",
        "--status-fd=1",
        "--trust-model=always",
    ),
    *("--no-auto-check-trustdb", "--no-auto-key-retrieve", "--no-auto-key-locate", "--disable-dirmngr"),
)
_SHA1_DIGITS = 40
_WORDS: dict[bytes, Fault | None] = {
    b"GOODSIG": None,
    b"EXPSIG": "expired",
    b"EXPKEYSIG": "expired",
    b"REVKEYSIG": "revoked",
    b"BADSIG": "bad",
    b"ERRSIG": "unknown-key",
}
"""What gpg says of a signature, on its status lines."""


class _Signed(NamedTuple):
    """A commit's signature, and what was signed."""

    signature: bytes
    content: bytes


def verdicts(
    raw: Iterable[tuple[str, bytes]], keys: Sequence[PublicKey], root: TrustRoot
) -> dict[str, Verdict]:
    """What the signatures of commits prove, by the commits' ids, of their raw contents. Raises GitError."""
    with tempfile.TemporaryDirectory(prefix="hanse-") as folder:
        look = _Look(Path(folder), keys, root)
        workers = len(os.sched_getaffinity(0)) + 1
        with ThreadPoolExecutor(workers) as pool:
            found = [(commit, pool.submit(look.at, _signed(commit, content))) for commit, content in raw]
            return {commit: future.result() for commit, future in found}


def _signed(commit: str, raw: bytes) -> _Signed | None:
    """Take a raw commit apart as git does: the header with the signature, and all else but other signatures."""
    header = b"gpgsig " if len(commit) == _SHA1_DIGITS else b"gpgsig-sha256 "
    head, blank, message = raw.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    home: list[bytes] | None = kept
    for line in head.split(b"\n"):
        if line.startswith(header):
            home = signature
            home.append(line.removeprefix(header))
        elif line.startswith(b"gpgsig"):
            home = None
        elif line.startswith(b" ") and home is not kept:
            if home is not None:
                home.append(line[1:])
        else:
            home = kept
            home.append(line)
    if not signature:
        return None
    return _Signed(b"\n".join(signature) + b"\n", b"\n".join(kept) + blank + message)


class _Look:
    """What looks at one signature after the other, in threads."""

    def __init__(self, folder: Path, keys: Sequence[PublicKey], root: TrustRoot) -> None:
        self._folder = folder
        self._root = _root_file(root.ssh)
        self._ssh: dict[str, str] = {}
        """By fingerprint: the name of a key in the file of signers. It is ours, so nobody's name can mean more."""
        self._names: dict[str, list[str]] = {}
        """By fingerprint: what the root's file calls a key."""
        lines: list[str] = []
        for number, key in enumerate(key for key in keys if key.form == "ssh"):
            self._ssh[key.fingerprint] = f"signer-{number}"
            lines.append(f'signer-{number} namespaces="git" {key.text}\n')
        (folder / "signers").write_text("".join(lines))
        gpg_root = _root_keys(root.gpg)
        self._gpg_root = {key.fingerprint for key in gpg_root}
        self._packets = b"".join(
            base64.b64decode(key.text) for key in [*gpg_root, *keys] if key.form == "gpg"
        )  # a key of both is joined by gpg, so that none that is declared stands in the root's way
        self._gpg = {key.fingerprint for key in [*gpg_root, *keys] if key.form == "gpg"}
        self._making_home = Lock()

    def at(self, signed: _Signed | None) -> Verdict:
        """The verdict on one commit."""
        if signed is None:
            return Verdict("unsigned")
        if len(signed.signature) > LONGEST_SIGNATURE:
            return Verdict("unreadable")
        if signed.signature.startswith(b"-----BEGIN SSH SIGNATURE-----"):
            return self._at_ssh(signed)
        if signed.signature.startswith(b"-----BEGIN PGP SIGNATURE-----"):
            return self._at_gpg(signed)
        return Verdict("unreadable")

    # OpenSSH

    def _at_ssh(self, signed: _Signed) -> Verdict:
        key = _ssh_key(signed.signature)
        if not key:
            return Verdict("unreadable")
        with self._file(signed.signature) as file:
            root = self._root_name(key, file)
            name = self._ssh.get(key, "")
            if root and self._is_good(self._root, root, file, signed.content):
                return Verdict(key=key, root=root)
            if name and self._is_good(str(self._folder / "signers"), name, file, signed.content):
                return Verdict(key=key)
        return Verdict("bad" if name or root else "unknown-key", key)

    def _root_name(self, key: str, file: str) -> str:
        """What the root's file calls a key that it allows now; empty where it does not."""
        if not self._root:
            return ""
        if key not in self._names:
            found = _ssh_keygen("find-principals", "-f", self._root, "-s", file)
            self._names[key] = found.stdout.decode(errors="replace").splitlines()
        return next(iter(self._names[key]), "")

    def _is_good(self, signers: str, name: str, file: str, content: bytes) -> bool:
        asked = ("-f", signers, "-I", name, "-n", "git", "-s", file)
        return _ssh_keygen("verify", *asked, content=content).returncode == 0

    # OpenPGP

    def _at_gpg(self, signed: _Signed) -> Verdict:
        if not self._gpg:
            return Verdict("unknown-key")
        with self._file(signed.signature) as file:
            answer = self._gpg_run("--verify", "--", file, "-", content=signed.content)
        rows = [row.split() for row in answer.stdout.split(b"\n") if row.startswith(b"[GNUPG:] ")]
        said = [(word, row[2:]) for row in rows if (word := row[1]) in _WORDS]
        if len(said) != 1 or sum(row[1] == b"NEWSIG" for row in rows) > 1:
            return Verdict("unreadable")
        word, rest = said[0]
        key = next((row[-1].decode() for row in rows if row[1] == b"VALIDSIG"), "")
        if word == b"BADSIG" or (not key and _WORDS[word] is None):
            return Verdict("bad", self._fingerprint(rest))
        if word == b"ERRSIG" or key not in self._gpg:
            return Verdict("unknown-key", rest[0].decode() if rest else "")
        root = f"OpenPGP key {key}" if key in self._gpg_root else ""
        return Verdict(_WORDS[word], key, root)

    def _fingerprint(self, rest: list[bytes]) -> str:
        """The known key whose last digits gpg told."""
        ending = rest[0].decode() if rest else "-"
        return next((key for key in self._gpg if key.endswith(ending)), "")

    def _gpg_run(self, *arguments: str, content: bytes) -> subprocess.CompletedProcess[bytes]:
        home = self._folder / "gnupg"
        with self._making_home:
            if not home.exists():
                if not shutil.which("gpg"):
                    raise GitError(
                        "gpg is missing, so no OpenPGP signature can be verified",
                        "install GnuPG (Debian: apt install gnupg)",
                    )
                home.mkdir(mode=0o700)
                _run(*_GPG, "--homedir", str(home), "--import", content=self._packets)
        return _run(*_GPG, "--homedir", str(home), *arguments, content=content)

    @contextmanager
    def _file(self, content: bytes) -> Iterator[str]:
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="signature-") as file:
            file.write(content)
            file.flush()
            yield file.name


def _ssh_key(signature: bytes) -> str:
    """The fingerprint of the key that a signature says it was made with; empty where it cannot be told."""
    match = _ARMORED.fullmatch(signature.strip())
    if match is None:
        return ""
    try:
        blob = base64.b64decode(b"".join(match[1].split()), validate=True)
    except binascii.Error:
        return ""
    if not blob.startswith(b"SSHSIG\0\0\0\1"):
        return ""
    length = int.from_bytes(blob[10:14])
    return ssh_fingerprint(blob[14 : 14 + length])


def ssh_fingerprint_of(file: Path) -> str:
    """The fingerprint of the key in a file, public or private; empty where none can be read."""
    if not shutil.which("ssh-keygen"):
        return ""
    told = _run("ssh-keygen", "-l", "-E", "sha256", "-f", str(file.absolute()), content=b"").stdout.split()
    return told[1].decode() if len(told) > 1 else ""


def _ssh_keygen(verb: str, *arguments: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    if not shutil.which("ssh-keygen"):
        raise GitError(
            "ssh-keygen is missing, so no SSH signature can be verified",
            "install OpenSSH's client (Debian: apt install openssh-client)",
        )
    return _run("ssh-keygen", "-Y", verb, *arguments, content=content)


def _run(*arguments: str, content: bytes) -> subprocess.CompletedProcess[bytes]:
    environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}
    try:
        found = subprocess.run(  # noqa: S603 (no shell; every argument is ours, a path of ours or behind an option)
            arguments, input=content, capture_output=True, check=False, env=environment, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise GitError(f"{arguments[0]} does not answer: {type(wrong).__name__}", "try it by hand") from None
    if b"No user exists for uid" in found.stderr:
        raise GitError(
            f"{arguments[0]} does not work for an account without a name", "give this account a name"
        )
    return found


def _root_file(path: str) -> str:
    if path and not Path(path).is_file():
        raise GitError(f"there is no file {path}", "make it: a line per signer, as ssh-keygen(1) says")
    return str(Path(path).absolute()) if path else ""


def _root_keys(path: str) -> list[PublicKey]:
    if not path:
        return []
    try:
        keys = read_gpg_file(Path(path).read_text(errors="replace"))
    except OSError as wrong:
        raise GitError(
            f"{path} cannot be read: {wrong.strerror}", "make it with gpg --armor --export"
        ) from None
    for key in keys:
        if isinstance(key, BadKey):
            raise GitError(f"{path}: {key.message}", key.advice)
    if not keys:
        raise GitError(f"{path} holds no OpenPGP public key", "make it with gpg --armor --export")
    return [key for key in keys if isinstance(key, PublicKey)]
