"""Where the manifest's commits come from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from hanse.foundation.keys import PublicKey
from hanse.model import Verdict

FETCH_SECONDS = 600.0
"""How long to wait for the server of a repository; its first fetch may bring much."""


MAX_FILES = 500_000
"""Files that one manifest may have."""


def never() -> bool:
    """What is waited for goes on."""
    return False


class SourceError(Exception):
    """The repository cannot be read as wanted. The text says what happened, `advice` what to do."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


def check_number(files: int) -> None:
    """Raise SourceError where a manifest would have more files than anybody means."""
    if files > MAX_FILES:
        raise SourceError(
            f"the manifest would have {files:,} files, and Hanse reads at most {MAX_FILES:,}",
            "keep in this repository what the organisation declares, several documents in one file where they are many",
        )


class Entry(Struct, frozen=True):
    """One file of a commit."""

    mode: str
    """As git writes it: 100644, 100755, 120000 (symbolic link), 160000 (submodule)."""
    blob: str
    """The id of the content; of a submodule, its commit."""

    @property
    def is_file(self) -> bool:
        """Whether it is an ordinary file, and no link or submodule."""
        return self.mode.startswith("100")


class Commit(Struct, frozen=True):
    """A commit's own words about itself: who it says made it, when and why."""

    id: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    authored_at: datetime
    committer_name: str
    committer_email: str
    committed_at: datetime
    message: str


class Change(Struct, frozen=True):
    """One file that a commit changed against its first parent. Blob ids are empty where there is no such side."""

    path: str
    old: str
    new: str


class TrustRoot(Struct, frozen=True):
    """Files outside the repository with keys whose signatures count whatever is accepted; empty: there is none."""

    ssh: str = ""
    """Allowed signers in ssh-keygen's format."""
    gpg: str = ""
    """Armoured OpenPGP public keys."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.ssh or self.gpg)


NO_ROOT = TrustRoot()


def blob_id(content: bytes, digits: int) -> str:
    """What git calls a content, in a repository whose ids have so many digits."""
    name = "sha256" if digits == hashlib.sha256().digest_size * 2 else "sha1"
    return hashlib.new(name, b"blob %d\0" % len(content) + content).hexdigest()


class Source(Protocol):
    """A git repository, read in bulk. Every method raises SourceError."""

    @property
    def top(self) -> str:
        """The path of the working tree's top, or of the bare repository itself."""
        ...

    def fetch(
        self, branch: str = "", seconds: float = FETCH_SECONDS, stopped: Callable[[], bool] = never
    ) -> None:
        """Bring a mirror up to date with its remote; nothing to do for a repository that is read in place.

        It is given up after so many seconds, and soon after `stopped` answers True, in which case it raises, too.
        """
        ...

    def resolve(self, revision: str) -> str:
        """Commit id of whatever a person may call a commit."""
        ...

    def head(self, branch: str = "") -> str:
        """Commit id of a branch; of HEAD for an empty name."""
        ...

    def has(self, commit: str) -> bool:
        """Whether the commit is there, or is there still."""
        ...

    def tree(self, commit: str, *, suffixes: tuple[str, ...] = ()) -> dict[str, Entry]:
        """All files of a commit by path; or those that end so, with all links that lead out of the repository."""
        ...

    def read(self, blobs: Iterable[str], *, limit: int | None = None) -> Iterator[tuple[str, bytes]]:
        """Contents by blob id; one of more than `limit` bytes is left out unread."""
        ...

    def worktree(self) -> tuple[dict[str, bytes], list[str]]:
        """Files of the manifest as they are in the working tree, ignored ones left out.

        The second value are the paths of links that are named like one of these files or lead out of the repository.
        """
        ...

    def commits(self, since: str, until: str) -> list[Commit]:
        """Along first parents, oldest first; from the very first where `since` is empty."""
        ...

    def changes(self, commits: Sequence[str], *, all_sorts: bool = False) -> Mapping[str, list[Change]]:
        """What each commit changed against its first parent.

        With `all_sorts` also where only links, submodules or modes changed, as a Change from nothing to nothing.
        """
        ...

    def difference(self, old: str, new: str) -> tuple[list[Change], list[str]]:
        """What differs between two commits, and which of it are links now, as `tree` has them."""
        ...

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` descends from `older`, or is it."""
        ...

    def has_common_history(self, one: str, other: str) -> bool:
        """Whether the two commits have an ancestor in common; one that is not known has none."""
        ...

    def verify(
        self, commits: Sequence[str], keys: Sequence[PublicKey], root: TrustRoot = NO_ROOT
    ) -> Mapping[str, Verdict]:
        """What each commit's signature proves, where these keys count and those of the root."""
        ...
