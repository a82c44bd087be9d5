"""A repository as Hanse's Source: commits, files and signatures, each kind read in bulk by one process."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import IO

from hanse.foundation.keys import PublicKey
from hanse.foundation.yaml import MAX_BYTES
from hanse.git import command
from hanse.git.command import GitError, checked_id, id_lines, shown
from hanse.git.signatures import verdicts
from hanse.model import Verdict
from hanse.ports.source import FETCH_SECONDS, NO_ROOT, Change, Commit, Entry, TrustRoot, check_number, never

MANIFESTS = (".yaml", ".yml")

_DAMAGED = "the repository may be damaged; run: git fsck"
_LONGEST_TARGET = 4096  # bytes that Linux takes as the target of a link
_URL = re.compile(r"(?!-)(?:[A-Za-z0-9+.-]+://|(?:[\w.-]+@)?[\w.-]+:(?!:))", re.ASCII)
_FIELDS = ("%H", "%P", "%an", "%ae", "%at", "%cn", "%ce", "%ct", "%B")


@dataclass(frozen=True)
class Repository:
    """A repository: a working tree, a bare repository, or the mirror of a remote one."""

    folder: Path
    """The top of the working tree, or the bare repository itself."""
    bare: bool
    url: str = ""
    """Where `fetch` fetches from; empty for a repository that is read in place."""

    @property
    def top(self) -> str:
        """The folder, as text."""
        return str(self.folder)

    @classmethod
    def open(cls, location: str | Path, *, mirror_folder: Path | None = None) -> Repository:
        """Open a folder (in a working tree, or a bare repository) or an address that git can fetch.

        An address gets a bare mirror of its own below `mirror_folder`, which is empty until `fetch`.
        Raises GitError.
        """
        command.check_version()
        folder = Path(location)
        if folder.is_dir():
            return _open_folder(folder)
        address = str(location)
        if not _URL.match(address):
            raise GitError(
                f"{address} is no folder", "name a git repository: a folder, or an address such as https://…"
            )
        if mirror_folder is None:
            raise GitError(f"{shown(address)} is not on this machine", "clone it, and name the clone")
        return _open_mirror(address, mirror_folder)

    def fetch(
        self, branch: str = "", seconds: float = FETCH_SECONDS, stopped: Callable[[], bool] = never
    ) -> None:
        """Bring the mirror up to date with a branch of the remote, by default the remote's HEAD.

        What the remote has rewritten stays readable by commit id. Does nothing for a repository that is
        read in place. Raises GitError, also after so many seconds, and soon after `stopped` answers True.
        """
        if not self.url:
            return
        remote = partial(self._remote, seconds=seconds, stopped=stopped)
        with _locked(self.folder, seconds, stopped):
            branch = branch or self._remote_head(remote)
            if not self._fetch_branch(branch, seconds, stopped):
                raise GitError(
                    f"{shown(self.url)} has no such branch: {branch}", "name a branch that exists there"
                )
            self._git("symbolic-ref", "HEAD", _branch_ref(branch))

    def has_branch(
        self, branch: str, seconds: float = FETCH_SECONDS, stopped: Callable[[], bool] = never
    ) -> bool:
        """Whether there is such a branch, where it is fetched from if it is fetched. It is at hand then.

        Raises GitError.
        """
        if not self.url:
            return bool(self._find(_branch_ref(branch)))
        with _locked(self.folder, seconds, stopped):
            return self._fetch_branch(branch, seconds, stopped)

    def _fetch_branch(self, branch: str, seconds: float, stopped: Callable[[], bool]) -> bool:
        """Bring one branch up to date; False where there is none."""
        ref = _branch_ref(branch)
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        result = command.attempt(
            *(*self.place, "fetch", *options, "--", self.url, f"+{ref}:{ref}"),
            config=command.FETCHING,
            timeout=seconds,
            stopped=stopped,
        )
        if result.returncode != 0 and b"find remote ref" not in result.stderr:
            raise command.error(result.stderr, shown(self.url))
        return result.returncode == 0

    def head(self, branch: str = "") -> str:
        """Commit id of a branch; of HEAD for an empty name. Raises GitError."""
        revision = f"refs/heads/{branch}" if branch else "HEAD"
        commit = self._find(revision)
        if commit:
            return commit
        if not self._git("for-each-ref", "--count=1", "refs/heads", "refs/remotes"):
            raise GitError(f"{self.folder} has no commits yet", "commit something, or fetch")
        if not branch:
            raise GitError(f"HEAD of {self.folder} has no commits yet", "name a branch that has some")
        names = self._git("for-each-ref", "--count=10", "--format=%(refname:short)", "refs/heads")
        known = ", ".join(names.decode(errors="replace").split())
        raise GitError(f"there is no branch {branch} in {self.folder}", f"its branches: {known or 'none'}")

    def resolve(self, revision: str) -> str:
        """Commit id of whatever a person may call a commit: an id, a tag, HEAD~3. Raises GitError."""
        commit = self._find(revision)
        if not commit:
            raise GitError(f"there is no commit {revision} in {self.folder}", "fetch it, or correct the name")
        return commit

    def has(self, commit: str) -> bool:
        """Whether the commit is there, or is there still. Raises GitError."""
        return bool(self._find(checked_id(commit)))

    def tree(self, commit: str, *, suffixes: tuple[str, ...] = ()) -> dict[str, Entry]:
        """All files of a commit by path; links and submodules are entries like others.

        With suffixes only those that end so, as many as a manifest may have, and links that lead out of the repository.
        A path that is not UTF-8 shows its odd bytes as `\\xff`. Raises SourceError.
        """
        listing = self._git("ls-tree", "-r", "-z", "--full-tree", checked_id(commit))
        check_number(sum(listing.count(suffix.encode() + b"\0") for suffix in suffixes))
        ends = "|".join(map(re.escape, suffixes))
        rows = re.findall(rf"(\d+) \w+ (\w+)\t([^\0]*(?:{ends}))\0", _text(listing))
        found = {name: Entry(mode, blob) for mode, blob, name in rows}
        if suffixes:
            links = [row[12:].partition(b"\t") for row in listing.split(b"\0") if row.startswith(b"120000 ")]
            for path, blob in self._leading_out(
                {_text(name): blob.decode() for blob, _, name in links}
            ).items():
                found.setdefault(path, Entry("120000", blob))
        return found

    def _leading_out(self, links: Mapping[str, str]) -> dict[str, str]:
        """Of links with the blobs that hold their targets, those that lead out of the repository."""
        targets = dict(self.read(sorted(set(links.values())), limit=_LONGEST_TARGET)) if links else {}
        return {path: blob for path, blob in links.items() if _leads_out(path, targets.get(blob, b"/"))}

    def read(self, blobs: Iterable[str], *, limit: int | None = None) -> Iterator[tuple[str, bytes]]:
        """Contents by blob id, in the order asked for; one of more than `limit` bytes is left out unread.

        Raises GitError.
        """
        with self._stream("cat-file", "--batch", "--buffer", lines=id_lines(blobs)) as output:
            while header := output.readline():
                blob, _, about = header.decode().rstrip("\n").partition(" ")
                kind, _, size = about.partition(" ")
                if about == "missing":
                    raise GitError(f"{self.folder} lacks the content {blob}", "clone it whole: no --filter")
                if kind != "blob":
                    raise GitError(f"{blob} is no content of {self.folder} ({about})", _DAMAGED)
                if limit is not None and int(size) > limit:
                    _skip(output, int(size) + 1)
                    continue
                content = output.read(int(size))
                if len(content) < int(size) or output.read(1) != b"\n":
                    raise GitError(f"{self.folder} broke off within {blob}", _DAMAGED)
                yield blob, content

    def worktree(
        self, *, suffixes: tuple[str, ...] = MANIFESTS, limit: int = MAX_BYTES + 1
    ) -> tuple[dict[str, bytes], list[str]]:
        """Files as they lie in the working tree, committed or not, ignored ones left out.

        Only those that end so, and of each at most `limit` bytes. The second value names what looks like one
        of them and is not: links, what lies behind links, submodules, devices; and links of any name that lead out of
        the repository. None of them is followed. Raises SourceError.
        """
        if self.bare:
            raise GitError(f"{self.folder} has no working tree", "name a commit or a branch")
        cached = self._git("ls-files", "-z", "--stage", "--full-name").split(b"\0")[:-1]
        others = self._git("ls-files", "-z", "--others", "--exclude-standard", "--full-name").split(b"\0")[
            :-1
        ]
        there = {row.partition(b"\t")[2] for row in cached} | set(others)
        names = sorted(name for name in there if os.fsdecode(name).endswith(suffixes))
        check_number(len(names))
        odd = {row.partition(b"\t")[2] for row in cached if row.startswith(b"120000")} | set(others)
        files: dict[str, bytes] = {}
        links = [_text(name) for name in sorted(odd - set(names)) if _is_link_out(self.folder, name)]
        is_real = cache(self._is_real_folder)
        for name in names:
            try:
                files[_text(name)] = _read_file(self.folder, name, limit, is_real(name.rpartition(b"/")[0]))
            except _NotAFileError:
                links.append(_text(name))
            except FileNotFoundError:
                continue  # removed, but not yet in a commit
            except OSError as wrong:
                raise GitError(
                    f"{_text(name)} cannot be read: {wrong.strerror}", "correct its permissions"
                ) from wrong
        return files, links

    def commits(self, since: str, until: str) -> list[Commit]:
        """Commits along first parents, oldest first, after `since` (from the very first if empty) to `until`.

        Left out is everything that `since` descends from, so that of a rewritten history only its new part
        comes. Times are in UTC; one that no calendar holds reads as the epoch. Raises GitError.
        """
        self._check_complete()
        revisions = [checked_id(until), *([f"^{checked_id(since)}"] if since else [])]
        output = self._log("--first-parent", "--reverse", *revisions, fields=_FIELDS)
        return [_commit(*fields) for fields in output]

    def changes(self, commits: Sequence[str], *, all_sorts: bool = False) -> Mapping[str, list[Change]]:
        """What each of these commits changed against its first parent; a first commit brought everything.

        A rename is a removal and an addition. Links and submodules count as nothing there; with `all_sorts` what
        changed of them, or only a mode, is told as a change from nothing to nothing. Raises GitError.
        """
        self._check_complete()
        options = ("-r", "-z", "--root", "--always", "--no-abbrev", "--no-renames", "--no-ext-diff")
        whole = "--ignore-submodules=none"  # else .gitmodules could hide a change, or end it with a mistake
        output = self._git(
            "diff-tree", "--stdin", "--diff-merges=first-parent", whole, *options, lines=id_lines(commits)
        )
        changes: dict[str, list[Change]] = {}
        tokens = iter(output.split(b"\0")[:-1])
        for token in tokens:
            if not token.startswith(b":"):
                current = changes.setdefault(token.decode(), [])
                continue
            old_mode, new_mode, old, new, _ = token[1:].decode().split()
            change = Change(_text(next(tokens)), _side(old_mode, old), _side(new_mode, new))
            if change.old != change.new:
                current.append(change)
            elif all_sorts:
                current.append(Change(change.path, "", ""))
        for commit in commits:
            if commit not in changes:
                raise GitError(f"{self.folder} does not have the commit {commit}", "fetch it")
        return changes

    def difference(self, old: str, new: str) -> tuple[list[Change], list[str]]:
        """What differs between two commits, and which of it are links now, as `tree` has them.

        A rename is a removal and an addition; links and submodules count as no content. Raises GitError.
        """
        options = ("-r", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff")
        tokens = iter(self._git("diff-tree", *options, checked_id(old), checked_id(new)).split(b"\0")[:-1])
        changes, links, others = [], [], {}
        for token in tokens:
            path = _text(next(tokens))
            old_mode, new_mode, before, after, _ = token[1:].decode().split()
            changes.append(Change(path, _side(old_mode, before), _side(new_mode, after)))
            if new_mode in ("120000", "160000"):
                links.append(path)
            if new_mode == "120000" and not path.endswith(MANIFESTS):
                others[path] = after
        out = self._leading_out(others)
        return changes, [path for path in links if path not in others or path in out]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` descends from `older`, or is it.

        A commit that the repository does not know (any more) is nobody's ancestor. Raises GitError.
        """
        self._check_complete()
        if not self._find(checked_id(older)):
            return False
        result = command.attempt(*self.place, "merge-base", "--is-ancestor", older, checked_id(newer))
        if result.returncode > 1:
            raise command.error(result.stderr, self.folder)
        return result.returncode == 0

    def has_common_history(self, one: str, other: str) -> bool:
        """Whether two commits have an ancestor in common. One that the repository does not know has none.

        Raises GitError.
        """
        self._check_complete()
        if not self._find(checked_id(one)) or not self._find(checked_id(other)):
            return False
        result = command.attempt(*self.place, "merge-base", one, other)
        if result.returncode > 1:
            raise command.error(result.stderr, self.folder)
        return result.returncode == 0

    def verify(
        self, commits: Sequence[str], keys: Sequence[PublicKey], root: TrustRoot = NO_ROOT
    ) -> Mapping[str, Verdict]:
        """What each commit's signature proves, where these keys count and those of the root, by this machine's clock.

        Raises GitError.
        """
        if not commits:
            return {}
        return verdicts(self._raw(commits), keys, root)

    def _raw(self, commits: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Commits as git stores them."""
        with self._stream("cat-file", "--batch", "--buffer", lines=id_lines(commits)) as output:
            while header := output.readline():
                commit, _, about = header.decode().rstrip("\n").partition(" ")
                kind, _, size = about.partition(" ")
                if kind != "commit":
                    raise GitError(f"{self.folder} does not have the commit {commit}", "fetch it")
                content = output.read(int(size))
                if len(content) < int(size) or output.read(1) != b"\n":
                    raise GitError(f"{self.folder} broke off within {commit}", _DAMAGED)
                yield commit, content

    def _find(self, revision: str) -> str:
        """Give the id of a commit, or nothing."""
        asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        result = command.attempt(*self.place, *asked)
        return result.stdout.decode().strip() if result.returncode == 0 else ""

    def _check_complete(self) -> None:
        if self._git("rev-parse", "--is-shallow-repository").strip() == b"true":
            raise GitError(
                f"{self.folder} is a shallow clone: its history is cut off", "run: git fetch --unshallow"
            )

    def _remote_head(self, remote: Callable[..., bytes]) -> str:
        output = remote("ls-remote", "--symref", "--", self.url, "HEAD").decode()
        match = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", output, re.MULTILINE)
        if match is None:
            raise GitError(f"{shown(self.url)} has no HEAD", "push something, or name a branch")
        return match[1]

    def _is_real_folder(self, name: bytes) -> bool:
        parts = PurePosixPath(os.fsdecode(name)).parts
        return not any(
            self.folder.joinpath(*parts[:count]).is_symlink() for count in range(1, len(parts) + 1)
        )

    def _log(self, *arguments: str, fields: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Run `git log` and give its rows of fields; no field can hold the NUL that ends each of them."""
        options = ("-z", "--no-patch", "--no-color", "--no-notes", "--no-mailmap", "--no-decorate")
        form = ("--encoding=UTF-8", f"--format=tformat:{'%x00'.join(fields)}")
        output = self._git("log", *options, *form, *arguments)
        values = iter(output.decode(errors="replace").split("\0"))
        return zip(*[values] * len(fields), strict=False)

    def _git(self, *arguments: str, lines: bytes = b"") -> bytes:
        return command.git(*self.place, *arguments, place=self.folder, lines=lines)

    def _stream(self, *arguments: str, lines: bytes) -> AbstractContextManager[IO[bytes]]:
        return command.stream(*self.place, *arguments, place=self.folder, lines=lines)

    def _remote(self, *arguments: str, seconds: float, stopped: Callable[[], bool]) -> bytes:
        config, place = command.FETCHING, shown(self.url)
        return command.git(
            *self.place, *arguments, place=place, config=config, timeout=seconds, stopped=stopped
        )

    @property
    def place(self) -> tuple[str, ...]:
        """How git is told to work on this repository."""
        # A folder of somebody else is git's to refuse, which it does only where it finds the folder by itself.
        return (f"--git-dir={self.folder}",) if self.url else ("-C", str(self.folder))


def _branch_ref(branch: str) -> str:
    ref = f"refs/heads/{branch}"
    if command.attempt("check-ref-format", ref).returncode != 0:
        raise GitError(f"'{branch}' cannot be a branch", "correct the name")
    return ref


def _open_folder(folder: Path) -> Repository:
    asked = ("rev-parse", "--is-bare-repository", "--is-inside-git-dir", "--absolute-git-dir")
    answer = command.git("-C", str(folder), *asked, place=folder.absolute())
    bare, inside, place = os.fsdecode(answer).rstrip("\n").split("\n", 2)
    if bare == "true":
        return Repository(Path(place), bare=True)
    if inside == "true":
        raise GitError(f"{folder} lies within a repository's .git", "name the folder above it")
    top = command.git("-C", str(folder), "rev-parse", "--show-toplevel", place=folder.absolute())
    return Repository(Path(os.fsdecode(top).rstrip("\n")), bare=False)


def _open_mirror(url: str, mirror_folder: Path) -> Repository:
    folder = mirror_folder.absolute() / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.git"
    if not (folder / "HEAD").exists():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as wrong:
            raise GitError(
                f"{folder} cannot be made: {wrong.strerror}", "name another folder for mirrors"
            ) from wrong
        options = ("--quiet", "--bare", "--template=", "--initial-branch=main")
        command.git("init", *options, "--", str(folder), place=folder)
    return Repository(folder, bare=True, url=url)


@contextmanager
def _locked(folder: Path, seconds: float, stopped: Callable[[], bool]) -> Iterator[None]:
    """Let one process at a time fetch into a mirror."""
    end = time.monotonic() + seconds
    with (folder / "fetching").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                command.check_wanted(end, seconds, stopped)
                time.sleep(command.GLANCE_SECONDS)
        yield


class _NotAFileError(Exception):
    """A link, something behind a link, a folder, a device."""


def _read_file(top: Path, name: bytes, limit: int, behind_no_link: bool) -> bytes:
    if not behind_no_link:
        raise _NotAFileError
    path = os.fsencode(top) + b"/" + name
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise _NotAFileError
    # Not to be led astray, nor to wait for a pipe's writer, if it has changed since.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
        return file.read(limit)


def _is_link_out(top: Path, name: bytes) -> bool:
    try:
        return _leads_out(os.fsdecode(name), os.readlink(os.fsencode(top) + b"/" + name))  # noqa: PTH115 (bytes)
    except OSError:  # no link, or not there any more
        return False


def _leads_out(path: str, target: bytes) -> bool:
    """Whether a link to that target leads out of the repository; one that is followed further is not looked at."""
    return os.path.normpath(os.path.join(os.path.dirname(path), os.fsdecode(target))).startswith(("/", ".."))  # noqa: PTH118, PTH120


def _skip(stream: IO[bytes], count: int) -> None:
    while count > 0:
        piece = stream.read(min(count, 1 << 20))
        if not piece:
            return
        count -= len(piece)


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


def _side(mode: str, blob: str) -> str:
    return blob if mode.startswith("100") else ""


def _commit(*fields: str) -> Commit:
    commit_id, parents, author, author_mail, authored, committer, committer_mail, committed, message = fields
    return Commit(
        commit_id,
        tuple(parents.split()),
        author,
        author_mail,
        _instant(authored),
        committer,
        committer_mail,
        _instant(committed),
        message.rstrip("\n"),
    )


def _instant(seconds: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
