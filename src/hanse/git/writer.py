"""Commits that Hanse writes: made without a working tree, taken by a branch only if it stands as it did.

Three sorts of repositories, one way: objects are made first, which nothing leads to; then the branch moves at once, or
not at all. At an address it is pushed; in a bare folder the reference is moved; where somebody has the branch checked
out, their files and index are brought along, and what they have not committed yet is never touched.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from hanse.git import command
from hanse.git.command import GitError, checked_id, shown
from hanse.git.repository import Repository
from hanse.git.signatures import ssh_fingerprint_of
from hanse.ports.source import never
from hanse.ports.writer import WRITE_SECONDS, Draft, Person, Tip

_SCRATCH = b"refs/hanse/draft"  # fast-import wants a name; it is taken back before any reference is written
_MOVED = re.compile(
    r"stale info|fetch first|non-fast-forward|failed to update ref|cannot lock ref|incorrect old value|already exists"
)
"""Why a push is not taken that may be taken when it is made anew."""
_REBASING = ("rebase-merge", "rebase-apply")
_TOLD = 8
"""Lines of what a server says of a push that people are told."""


@dataclass(frozen=True)
class Writer:
    """Writes to the repository that is opened for reading. Implements `ports.writer.Writer`."""

    repository: Repository
    signing_key: str = ""
    """The file of an SSH private key, with which commits are signed; empty: they are not."""

    def person(self, account: str, *, runs: bool = True) -> Person:
        """Who the person of this account is: as git is configured, if it is who runs this; else `account@host`."""
        found = self._configured("author") if runs else {}
        return Person(found.get("name") or account, found.get("email") or _address(account))

    def committer(self, account: str) -> Person:
        """Hanse itself, with the address of the account that it runs under."""
        return Person("Hanse", self._configured("committer").get("email") or _address(account))

    @contextmanager
    def turn(self, seconds: float = WRITE_SECONDS, stopped: Callable[[], bool] = never) -> Iterator[None]:
        """Within it no other writer of this machine is at work on the repository."""
        end = time.monotonic() + seconds
        folder = self._common_folder
        try:
            place = os.open(folder, os.O_RDONLY)  # a lock on the folder leaves nothing behind
        except OSError as wrong:
            raise GitError(
                f"{folder} cannot be opened: {wrong.strerror}", "correct its permissions"
            ) from wrong
        try:
            while True:
                try:
                    fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if stopped() or time.monotonic() >= end:
                        raise GitError(
                            f"another Hanse is writing to {self.repository.folder}",
                            "try again when it is done",
                        ) from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(place)

    def tip(self, branch: str, seconds: float = WRITE_SECONDS, stopped: Callable[[], bool] = never) -> Tip:
        """Where the branch stands there now, with its commits at hand; the one that HEAD names for an empty name."""
        repository = self.repository
        if branch and not repository.has_branch(branch, seconds, stopped):
            return Tip(branch, "")
        if not branch:
            repository.fetch("", seconds, stopped)
            branch = self._head_branch()
        return Tip(branch, repository.head(branch))

    def write(self, parent: str, drafts: Sequence[Draft]) -> list[str]:
        """Make these commits, one upon the other; their ids. Nothing leads to them until `publish`."""
        stream = bytearray()
        for number, draft in enumerate(drafts, 1):
            stream += b"commit %s\nmark :%d\n" % (_SCRATCH, number)
            for role, person in (("author", draft.author), ("committer", draft.committer)):
                stream += f"{role} {_sound(person)} {_seconds(draft.at)} +0000\n".encode()
            stream += _data(draft.message.encode())
            if number == 1:
                stream += b"from %s\n" % checked_id(parent).encode()
            for path, content in sorted(draft.changes.items(), key=lambda change: change[1] is not None):
                quoted = _quoted(checked_path(path, self.repository.folder))
                stream += (
                    b"D %s\n" % quoted
                    if content is None
                    else b"M 100644 inline %s\n%s" % (quoted, _data(content))
                )
            stream += b"\nget-mark :%d\n" % number
        stream += b"reset %s\nfrom %s\n\ndone\n" % (_SCRATCH, b"0" * len(parent))
        output = self._git("fast-import", "--quiet", "--done", "--date-format=raw", lines=bytes(stream))
        commits = output.decode().split()
        return self._signed(parent, commits, drafts) if self.signing_key else commits

    def publish(
        self,
        commit: str,
        before: Tip,
        seconds: float = WRITE_SECONDS,
        stopped: Callable[[], bool] = never,
    ) -> str:
        """Have the branch end with this commit, if it stands as it did; else the reason why it is not taken now."""
        if self.repository.url:
            return self._push(commit, before, seconds, stopped)
        tree = self._checked_out(before.branch)
        if not tree:
            return self._move(commit, before)
        return self._move_with(Path(tree), commit, before)

    # Signatures

    def signer(self) -> str:
        """The fingerprint of the key that commits are signed with; empty where there is none that can be read."""
        return ssh_fingerprint_of(Path(self.signing_key)) if self.signing_key else ""

    def _signed(self, parent: str, commits: Sequence[str], drafts: Sequence[Draft]) -> list[str]:
        """The same commits once more, each with its signature."""
        key = Path(self.signing_key)
        if not key.is_file():
            raise GitError(
                f"there is no key {key}", "`repository.signingKey` of server.yaml names an SSH private key"
            )
        config = {
            "gpg.format": "ssh",
            "gpg.ssh.program": "ssh-keygen",
            "user.signingKey": str(key.absolute()),
        }
        signed: list[str] = []
        for commit, draft in zip(commits, drafts, strict=True):
            try:
                made = self._git(
                    *("commit-tree", "-S", "-p", parent, "-F", "-", f"{commit}^{{tree}}"),
                    lines=draft.message.encode(),
                    config=config,
                    variables=variables_of(_sound(draft.author), _sound(draft.committer), draft.at),
                )
            except GitError as wrong:
                advice = (
                    "it is to be an SSH private key without a passphrase that nobody else can read (mode 600)"
                )
                raise GitError(
                    f"nothing can be signed with {key}", f"{advice}; try: ssh-keygen -y -f {key}"
                ) from wrong
            parent = made.decode().strip()
            signed.append(parent)
        return signed

    # The branch moves

    def _push(self, commit: str, before: Tip, seconds: float, stopped: Callable[[], bool]) -> str:
        repository, ref = self.repository, f"refs/heads/{before.branch}"
        # The lease compares and swaps: whatever the branch is not as it was when we looked, nothing is taken. So it
        # is narrower than a push without it, and never overwrites, for our commit stands upon that very one.
        lease = f"--force-with-lease={ref}:{before.commit}"
        options = ("--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no")
        result = command.attempt(
            *(
                *repository.place,
                "push",
                *options,
                lease,
                "--",
                repository.url,
                f"{checked_id(commit)}:{ref}",
            ),
            config=command.FETCHING,
            timeout=seconds,
            stopped=stopped,
        )
        if result.returncode == 0:
            self._move(commit, before)  # else the next fetch does
            return ""
        said = re.search(r"^!\t\S+\t\[.*?\] \((.*)\)$", result.stdout.decode(errors="replace"), re.MULTILINE)
        if said is None:
            raise command.error(result.stderr, shown(repository.url))
        if _MOVED.search(said[1]):
            return said[1]
        told = shown(result.stderr.decode(errors="replace"))
        words = [row.removeprefix("remote:").strip() for row in told.split("\n") if row.startswith("remote:")]
        details = "; ".join([word for word in words if word][:_TOLD])
        raise GitError(
            f"{shown(repository.url)} does not take the commit ({said[1]}){': ' if details else ''}{details}",
            f"ask who keeps that server's rules, or write to a branch for review; {before.branch} is as it was",
        )

    def _move(self, commit: str, before: Tip) -> str:
        ref = f"refs/heads/{before.branch}"
        old = before.commit or "0" * len(commit)
        asked = ("update-ref", "-m", "hanse", "--", ref, checked_id(commit), old)
        result = command.attempt(*self.repository.place, *asked)
        if result.returncode == 0:
            return ""
        if _MOVED.search(result.stderr.decode(errors="replace")):
            return "the branch moved, or another git is moving it"
        raise command.error(result.stderr, self.repository.folder)

    def _move_with(self, tree: Path, commit: str, before: Tip) -> str:
        """Move the branch with the working tree and the index that it is checked out in.

        The files come first: a run that is killed in between leaves them as changes that somebody could commit; the
        other way round they would look as if somebody had taken them out.
        """
        folder = command.git("-C", str(tree), "rev-parse", "--absolute-git-dir", place=tree)
        if any((Path(os.fsdecode(folder).rstrip("\n")) / name).exists() for name in _REBASING):
            raise GitError(
                f"a rebase is under way in {tree}", "end it, or `git rebase --abort`; then try again"
            )
        _read_tree(tree, before.commit, commit)
        moved = "not yet"
        try:
            moved = self._move(commit, before)
        finally:
            if moved:
                _read_tree(tree, commit, before.commit)
        return moved

    def _checked_out(self, branch: str) -> str:
        """The working tree that has this branch checked out, of this repository or linked to it; empty: none."""
        ref = f"refs/heads/{branch}"
        found = os.fsdecode(self._git("for-each-ref", "--format=%(worktreepath)", ref)).rstrip("\n")
        # A bare repository is named too, by older gits, where its HEAD names the branch.
        return "" if self.repository.bare and found == str(self.repository.folder) else found

    # What git knows

    def _head_branch(self) -> str:
        result = command.attempt(*self.repository.place, "symbolic-ref", "--quiet", "--short", "HEAD")
        if result.returncode != 0:
            raise GitError(
                f"HEAD of {self.repository.folder} is on no branch",
                "check one out, or name it as `repository.branch` of server.yaml",
            )
        return os.fsdecode(result.stdout).rstrip("\n")

    def _configured(self, role: str) -> dict[str, str]:
        """The name and the address that git has for who runs this."""
        asked = ("config", "-z", "--get-regexp", rf"^(user|{role})\.(name|email)$")
        result = command.attempt(*self.repository.place, *asked)
        rows = [
            row.split("\n", 1) for row in result.stdout.decode(errors="replace").split("\0") if "\n" in row
        ]
        found = {key: value for key, value in rows if _clean(value)}
        return {
            part: found.get(f"{role}.{part}") or found.get(f"user.{part}", "") for part in ("name", "email")
        }

    @property
    def _common_folder(self) -> str:
        if self.repository.bare:
            return str(self.repository.folder)
        answer = self._git("rev-parse", "--path-format=absolute", "--git-common-dir")
        return os.fsdecode(answer).rstrip("\n")

    def _git(
        self,
        *arguments: str,
        lines: bytes = b"",
        config: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> bytes:
        return command.git(
            *(*self.repository.place, *arguments),
            place=self.repository.folder,
            lines=lines,
            config=command.OFFLINE | dict(config or {}),
            variables=variables,
        )


def checked_path(path: str, top: Path) -> str:
    """Let through what is a place for a file within a repository, outside git's own folder. Raises GitError."""
    parts = PurePosixPath(path).parts
    odd = not parts or path.startswith("/") or ".." in parts or ".git" in (part.lower() for part in parts)
    if odd or "\0" in path:
        raise GitError(
            f"'{path}' is no place for a file of {top}", "name one within it, and not behind a link"
        )
    return str(PurePosixPath(path))


def variables_of(author: Person, committer: Person, at: datetime | None) -> dict[str, str]:
    """Who made a commit and when, as git takes it from its environment; now where no instant is given."""
    found: dict[str, str] = {}
    for role, person in (("AUTHOR", author), ("COMMITTER", committer)):
        found |= {f"GIT_{role}_NAME": person.name, f"GIT_{role}_EMAIL": person.email}
        if at is not None:
            found[f"GIT_{role}_DATE"] = f"@{_seconds(at)} +0000"
    return found


def _sound(person: Person) -> Person:
    """With a name, and with nothing that would end a name or an address within a commit."""
    return Person(_clean(person.name) or _clean(person.email) or "unknown", _clean(person.email))


def _clean(text: str) -> str:
    return "".join(" " if c in "<>\n\r\0" else c for c in text).strip(" .,:;\"'\\")


def _address(account: str) -> str:
    name = re.sub(r"[^\w.+-]+", "-", account).strip("-")
    return f"{name}@{platform.node() or 'localhost'}"


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode()


def _read_tree(tree: Path, old: str, new: str) -> None:
    """Bring a working tree and its index from one commit to another, with all that is not committed kept."""
    command.attempt("-C", str(tree), "update-index", "-q", "--refresh")
    result = command.attempt("-C", str(tree), "read-tree", "-m", "-u", checked_id(old), checked_id(new))
    if result.returncode != 0:
        raise _in_the_way(result.stderr, tree)


def _in_the_way(complaints: bytes, tree: Path) -> GitError:
    """Say what of a person's own stands in the way of a working tree's update."""
    text = complaints.decode(errors="replace")
    named = re.findall(r"Entry '(.*?)' (?:not uptodate|would be overwritten)", text)
    named += re.findall(r"Untracked working tree file '(.*?)' would be (?:overwritten|removed)", text)
    if named:
        what = ", ".join(dict.fromkeys(named))
        return GitError(
            f"{what} in {tree} has changes that are not committed, and they are in the way",
            "commit them or put them away with `git stash`; then try again",
        )
    if "resolve your current index" in text or "unmerged" in text:
        return GitError(f"a merge is not finished in {tree}", "finish it, or `git merge --abort`")
    return command.error(complaints, tree)
