"""Keys of people who sign, made by the real ssh-keygen and gpg, and commits that they sign."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Key:
    """A private key, of whatever sort, and how git signs with it."""

    public: str
    """As it stands in the manifest."""
    options: tuple[str, ...]
    """For git, before its verb."""
    home: str = ""
    """Of gpg."""
    fingerprint: str = ""

    @property
    def form(self) -> str:
        """The field of a signer that it belongs into."""
        return "gpg" if self.home else "ssh"

    def git(self, folder: Path, *arguments: str, name: str = "Somebody", **variables: str) -> str:
        """Run git as the one whose key it is."""
        person = {
            f"GIT_{role}_{part}": name if part == "NAME" else "somebody@example.org"
            for role in ("AUTHOR", "COMMITTER")
            for part in ("NAME", "EMAIL")
        }
        environment = os.environ | person | ({"GNUPGHOME": self.home} if self.home else {}) | variables
        command = ["git", "-C", str(folder), *self.options, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(
        self,
        folder: Path,
        files: dict[str, str | None] | None = None,
        message: str = "A change",
        **options: str,
    ) -> str:
        """Commit files, signed; None removes one. Gives the commit's id."""
        for path, text in (files or {}).items():
            file = folder / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        self.git(folder, "add", "--all")
        self.git(
            folder, "commit", "--quiet", "--allow-empty", "--gpg-sign", f"--message={message}", **options
        )
        return self.git(folder, "rev-parse", "HEAD")


def ssh_key(folder: Path, name: str, *options: str) -> Key:
    """A new key of OpenSSH; ed25519 unless options say otherwise."""
    path = folder / f"ssh-{name}"
    sort = options or ("-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", *sort, "-N", "", "-C", name, "-f", str(path)], check=True)
    public = Path(f"{path}.pub").read_text().strip()
    told = subprocess.run(["ssh-keygen", "-l", "-f", str(path)], check=True, capture_output=True, text=True)
    git = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={path}")
    return Key(public, git, fingerprint=told.stdout.split()[1])


@dataclass(frozen=True)
class Gpg:
    """A GnuPG of its own, with its keys."""

    home: Path

    def run(self, *arguments: str, data: str = "") -> str:
        """Run gpg, which asks nothing."""
        assert shutil.which("gpg"), "gpg is missing: install GnuPG (Debian: gnupg)"
        command = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--passphrase", "", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, input=data)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def at(self, instant: str) -> None:
        """Let gpg believe that it is so late, such as 20240101T120000; empty: as late as it is."""
        (self.home / "gpg.conf").write_text(f"faked-system-time {instant}!\n" if instant else "")

    def key(self, name: str, expire: str = "0") -> Key:
        """A new key."""
        self.run("--quick-gen-key", f"{name} <{name}@example.org>", "ed25519", "sign", expire)
        rows = self.run("--list-keys", "--with-colons", f"={name} <{name}@example.org>").splitlines()
        fingerprint = next(row.split(":")[9] for row in rows if row.startswith("fpr"))
        return self.exported(fingerprint)

    def exported(self, fingerprint: str) -> Key:
        """A key as it is now."""
        git = ("-c", "gpg.format=openpgp", "-c", f"user.signingKey={fingerprint}")
        return Key(self.run("--armor", "--export", fingerprint), git, str(self.home), fingerprint)

    def revoke(self, fingerprint: str) -> Key:
        """Revoke a key, by the certificate that gpg laid beside it."""
        certificate = (self.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        self.run("--import", data=certificate.replace("\n:---", "\n---"))
        return self.exported(fingerprint)


@contextmanager
def gnupg(folder: Path) -> Iterator[Gpg]:
    """A GnuPG in a new folder, whose agent ends with it. The path must be short: sockets lie in it."""
    folder.mkdir(mode=0o700)
    try:
        yield Gpg(folder)
    finally:
        subprocess.run(
            ["gpgconf", "--homedir", str(folder), "--kill", "all"], check=False, capture_output=True
        )
