"""The git command line as Hanse's Source: commits, files and signatures, each kind read in bulk by one process.

git runs without a shell, without hooks, pagers and prompts, and without programs that a repository's own
configuration could name. The configuration of the user and of the machine stays in force: it holds proxies,
certificates, credential helpers and `safe.directory`, and belongs to who runs Hanse.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO

from hanse.foundation.yaml import MAX_BYTES
from hanse.ports.source import Change, Commit, Entry, SourceError

OLDEST_VERSION = (2, 34)  # the first one that verifies SSH signatures
FETCH_TIMEOUT = 600.0  # seconds
_LOCAL_TIMEOUT = 300.0  # seconds; every command but fetch reads local files only

MANIFESTS = (".yaml", ".yml")

_SAFE = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.autocrlf": "false",
    "safe.bareRepository": "all",
    "log.showSignature": "false",
    "log.showRoot": "true",
    "commit.gpgSign": "false",
    "submodule.recurse": "false",
    "advice.graftFileDeprecated": "false",
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
}
_NO_PROGRAMS = {  # only SSH signatures count, and only ssh-keygen may be started for them
    "gpg.program": "false",
    "gpg.openpgp.program": "false",
    "gpg.x509.program": "false",
    "gpg.ssh.program": "ssh-keygen",
}
_OFFLINE = {"protocol.allow": "never"}  # else a partial clone would fetch in the midst of reading
_FETCHING = {
    "http.lowSpeedLimit": "100",  # bytes per second, over
    "http.lowSpeedTime": "60",  # seconds
    "protocol.allow": "never",  # but these; among the others are some that start programs
    **{f"protocol.{name}.allow": "always" for name in ("https", "http", "ssh", "git", "file")},
    "gc.pruneExpire": "never",  # what was accepted once must stay readable after a rewritten history
}
_DAMAGED = "the repository may be damaged; run: git fsck"

# What may steer git from the environment: how it reaches a server. All else, such as the GIT_DIR of a hook, may not.
_KEPT_VARIABLES = re.compile(
    r"GIT_(?:SSH|SSL_|PROXY_|HTTP_|ASKPASS$|CONFIG_(?:GLOBAL|SYSTEM|COUNT|KEY_|VALUE_))"
)
_URL = re.compile(r"(?!-)(?:[A-Za-z0-9+.-]+://|(?:[\w.-]+@)?[\w.-]+:(?!:))", re.ASCII)
_PASSWORD = re.compile(r"(?<=://)[^/@\s']+@")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_FIELDS = ("%H", "%P", "%an", "%ae", "%at", "%cn", "%ce", "%ct", "%B")
_ROLES = ("AUTHOR", "COMMITTER")


class GitError(SourceError):
    """git could not do it. The text says what happened, `advice` what to do."""


@dataclass(frozen=True)
class Repository:
    """A repository: a working tree, a bare repository, or the mirror of a remote one."""

    folder: Path
    """The top of the working tree, or the bare repository itself."""
    bare: bool
    url: str = ""
    """Where `fetch` fetches from; empty for a repository that is read in place."""

    @classmethod
    def open(cls, location: str | Path, *, mirror_folder: Path | None = None) -> Repository:
        """Open a folder (in a working tree, or a bare repository) or an address that git can fetch.

        An address gets a bare mirror of its own below `mirror_folder`, which is empty until `fetch`.
        Raises GitError.
        """
        _check_version()
        folder = Path(location)
        if folder.is_dir():
            return _open_folder(folder)
        address = str(location)
        if not _URL.match(address):
            raise GitError(
                f"{address} is no folder", "name a git repository: a folder, or an address such as https://…"
            )
        if mirror_folder is None:
            raise GitError(f"{_shown(address)} is not on this machine", "clone it, and name the clone")
        return _open_mirror(address, mirror_folder)

    def fetch(self, branch: str = "") -> None:
        """Bring the mirror up to date with a branch of the remote, by default the remote's HEAD.

        What the remote has rewritten stays readable by commit id. Does nothing for a repository that is
        read in place. Raises GitError.
        """
        if not self.url:
            return
        with _locked(self.folder):
            branch = branch or self._remote_head()
            refspec = f"+refs/heads/{branch}:refs/heads/{branch}"
            options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
            self._remote("fetch", *options, "--", self.url, refspec)
            self._git("symbolic-ref", "HEAD", f"refs/heads/{branch}")

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
        known = (
            self._git("for-each-ref", "--count=10", "--format=%(refname:short)", "refs/heads")
            .decode()
            .split()
        )
        raise GitError(
            f"there is no branch {branch} in {self.folder}", f"its branches: {', '.join(known) or 'none'}"
        )

    def resolve(self, revision: str) -> str:
        """Commit id of whatever a person may call a commit: an id, a tag, HEAD~3. Raises GitError."""
        commit = self._find(revision)
        if not commit:
            raise GitError(f"there is no commit {revision} in {self.folder}", "fetch it, or correct the name")
        return commit

    def tree(self, commit: str, *, suffixes: tuple[str, ...] = ()) -> dict[str, Entry]:
        """All files of a commit by path, or those that end so; links and submodules are entries like others.

        A path that is not UTF-8 shows its odd bytes as `\\xff`. Raises GitError.
        """
        listing = self._git("ls-tree", "-r", "-z", "-l", "--full-tree", _checked_id(commit))
        entries = {}
        for row in listing.split(b"\0")[:-1]:
            about, _, name = row.partition(b"\t")
            path = _text(name)
            if path.endswith(suffixes or ""):
                mode, _, blob, size = about.decode().split()
                entries[path] = Entry(mode, blob, 0 if size == "-" else int(size))
        return entries

    def read(self, blobs: Iterable[str], *, limit: int | None = None) -> Iterator[tuple[str, bytes]]:
        """Contents by blob id, in the order asked for; one of more than `limit` bytes is left out unread.

        Raises GitError.
        """
        with self._started("cat-file", "--batch", "--buffer", lines=_lines(blobs)) as output:
            while header := output.readline():
                blob, _, about = header.decode().rstrip("\n").partition(" ")
                kind, _, size = about.partition(" ")
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
        of them and is not: links, what lies behind links, submodules, devices; none of them is followed.
        Raises GitError.
        """
        if self.bare:
            raise GitError(f"{self.folder} has no working tree", "name a commit or a branch")
        listing = self._git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--full-name")
        names = sorted({name for name in listing.split(b"\0") if os.fsdecode(name).endswith(suffixes)})
        files: dict[str, bytes] = {}
        links = []
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
        revisions = [_checked_id(until), *([f"^{_checked_id(since)}"] if since else [])]
        output = self._log("--first-parent", "--reverse", *revisions, fields=_FIELDS)
        return [_commit(*fields) for fields in output]

    def changes(self, commits: Sequence[str]) -> Mapping[str, list[Change]]:
        """What each of these commits changed against its first parent; a first commit brought everything.

        A rename is a removal and an addition. Links and submodules count as nothing there. Raises GitError.
        """
        self._check_complete()
        options = ("-r", "-z", "--root", "--always", "--no-abbrev", "--no-renames", "--no-ext-diff")
        output = self._git(
            "diff-tree", "--stdin", "--diff-merges=first-parent", *options, lines=_lines(commits)
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
        for commit in commits:
            if commit not in changes:
                raise GitError(f"{self.folder} does not have the commit {commit}", "fetch it")
        return changes

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` descends from `older`, or is it.

        A commit that the repository does not know (any more) is nobody's ancestor. Raises GitError.
        """
        self._check_complete()
        if not self._find(_checked_id(older)):
            return False
        result = self._run("merge-base", "--is-ancestor", older, _checked_id(newer))
        if result.returncode > 1:
            raise _error(result.stderr, self.folder)
        return result.returncode == 0

    def verify(self, commits: Sequence[str], allowed_signers: str | Path) -> Mapping[str, str]:
        """The signers of those commits whose SSH signature is good and by a key of the file (ssh-keygen's format).

        Left out are the unsigned, those with a bad signature or of an unknown key, and all OpenPGP ones. The file's
        validity times are compared with the time that the commit itself claims. Raises GitError.
        """
        if not commits:
            return {}
        signers = Path(allowed_signers)
        if not signers.is_file():
            raise GitError(f"there is no file {signers}", "make it: a line per signer, as ssh-keygen(1) says")
        if not shutil.which("ssh-keygen"):
            raise GitError(
                "ssh-keygen is missing, so no signature can be verified", "install OpenSSH's client"
            )
        config = _NO_PROGRAMS | {"gpg.ssh.allowedSignersFile": str(signers.absolute())}
        fields = ("%H", "%G?", "%GS", "%GF")
        rows = self._log("--no-walk=unsorted", "--stdin", fields=fields, lines=_lines(commits), config=config)
        return {
            commit: signer
            for commit, verdict, signer, key in rows
            if verdict == "G" and signer and key.startswith("SHA256:")
        }

    def _find(self, revision: str) -> str:
        """Give the id of a commit, or nothing."""
        result = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return result.stdout.decode().strip() if result.returncode == 0 else ""

    def _check_complete(self) -> None:
        if self._git("rev-parse", "--is-shallow-repository").strip() == b"true":
            raise GitError(
                f"{self.folder} is a shallow clone: its history is cut off", "run: git fetch --unshallow"
            )

    def _remote_head(self) -> str:
        output = self._remote("ls-remote", "--symref", "--", self.url, "HEAD").decode()
        match = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", output, re.MULTILINE)
        if match is None:
            raise GitError(f"{_shown(self.url)} has no HEAD", "push something, or name a branch")
        return match[1]

    def _is_real_folder(self, name: bytes) -> bool:
        parts = PurePosixPath(os.fsdecode(name)).parts
        return not any(
            self.folder.joinpath(*parts[:count]).is_symlink() for count in range(1, len(parts) + 1)
        )

    def _log(
        self,
        *arguments: str,
        fields: Sequence[str],
        lines: bytes = b"",
        config: Mapping[str, str] | None = None,
    ) -> Iterator[tuple[str, ...]]:
        """Run `git log` and give its rows of fields; no field can hold the NUL that ends each of them."""
        options = (
            "-z",
            "--no-color",
            "--no-notes",
            "--no-mailmap",
            "--no-decorate",
            "--encoding=UTF-8",
            "--no-patch",
        )
        form = f"--format=tformat:{'%x00'.join(fields)}"
        output = self._git("log", *options, form, *arguments, lines=lines, config=config)
        values = iter(output.decode(errors="replace").split("\0"))
        return zip(*[values] * len(fields), strict=False)

    def _git(self, *arguments: str, lines: bytes = b"", config: Mapping[str, str] | None = None) -> bytes:
        result = self._run(*arguments, lines=lines, config=config)
        if result.returncode != 0:
            raise _error(result.stderr, self.folder)
        return result.stdout

    def _run(
        self, *arguments: str, lines: bytes = b"", config: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return _run(self._command(*arguments, config=_OFFLINE | dict(config or {})), _LOCAL_TIMEOUT, lines)

    def _remote(self, *arguments: str) -> bytes:
        result = _run(self._command(*arguments, config=_FETCHING), FETCH_TIMEOUT)
        if result.returncode != 0:
            raise _error(result.stderr, _shown(self.url))
        return result.stdout

    def _command(self, *arguments: str, config: Mapping[str, str]) -> list[str]:
        place = (f"--git-dir={self.folder}",) if self.url else ("-C", str(self.folder))
        return _command(*place, *arguments, config=config)

    @contextmanager
    def _started(self, *arguments: str, lines: bytes) -> Iterator[IO[bytes]]:
        """Start a command whose answer may not fit memory; it ends with the context, read to its end or not."""
        with tempfile.TemporaryFile() as questions, tempfile.TemporaryFile() as complaints:
            questions.write(lines)
            questions.seek(0)
            process = subprocess.Popen(  # noqa: S603 (no shell; ids only)
                self._command(*arguments, config=_OFFLINE),
                stdin=questions,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=_environment(),
                bufsize=1 << 20,
            )
            assert process.stdout is not None
            try:
                yield process.stdout
                if process.wait() != 0:
                    complaints.seek(0)
                    raise _error(complaints.read(), self.folder)
            finally:
                process.kill()
                process.stdout.close()
                process.wait()


@dataclass(frozen=True)
class Author:
    """Who a commit that Hanse writes is said to be by."""

    name: str
    email: str


def init(
    folder: Path, files: Mapping[str, bytes], message: str, author: Author, *, at: datetime | None = None
) -> str:
    """Make a repository with a first commit on the branch main, and give the commit's id.

    The folder may exist already, but neither hold a repository nor any of the files. `at` is now by default.
    Raises GitError.
    """
    _check_version()
    if (folder / ".git").exists():
        raise GitError(f"{folder} holds a repository already", "name another folder")
    there = sorted(path for path in files if os.path.lexists(folder / path))
    if there:
        raise GitError(f"{folder / there[0]} exists already", "name another folder, or move the file away")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise GitError(f"{folder} cannot be made: {wrong.strerror}", "name another folder") from wrong
    result = _run(
        _command("init", "--quiet", "--template=", "--initial-branch=main", "--", str(folder.absolute()))
    )
    if result.returncode != 0:
        raise _error(result.stderr, folder)
    return commit(folder, files, message, author, at=at)


def commit(
    folder: Path,
    files: Mapping[str, bytes],
    message: str,
    author: Author,
    *,
    removed: Iterable[str] = (),
    at: datetime | None = None,
) -> str:
    """Write and remove files of a working tree, commit these and nothing else, and give the commit's id.

    Paths count from the top of the working tree. Hooks do not run, and the commit is not signed. Raises GitError.
    """
    repository = Repository.open(folder)
    if repository.bare:
        raise GitError(f"{repository.folder} has no working tree", "clone it, and name the clone")
    removed = list(removed)
    targets = {path: _target(repository.folder, path) for path in (*files, *removed)}
    try:
        for path, content in files.items():
            targets[path].parent.mkdir(parents=True, exist_ok=True)
            targets[path].write_bytes(content)
        for path in removed:
            targets[path].unlink()
    except OSError as wrong:
        raise GitError(
            f"{wrong.filename} cannot be changed: {wrong.strerror}", "correct it by hand"
        ) from wrong
    paths = b"".join(os.fsencode(path) + b"\0" for path in targets)
    from_input = ("--pathspec-from-file=-", "--pathspec-file-nul")
    person = {f"GIT_{role}_NAME": author.name for role in _ROLES} | {
        f"GIT_{role}_EMAIL": author.email for role in _ROLES
    }
    if at is not None:
        person |= {f"GIT_{role}_DATE": f"@{int(at.timestamp())} +0000" for role in _ROLES}
    for command in (("add", "--all", "--force"), ("commit", "--quiet", "--only", f"--message={message}")):
        arguments = ("--literal-pathspecs", "-C", str(repository.folder), *command, *from_input)
        result = _run(_command(*arguments), lines=paths, variables=person)
        if result.returncode != 0:
            raise _error(result.stderr + result.stdout, repository.folder)
    return repository.head()


# --- opening --------------------------------------------------------------------------------------


@cache
def _check_version() -> None:
    try:
        answer = _run(["git", "--version"]).stdout.decode(errors="replace")
    except FileNotFoundError:
        raise GitError("git is missing", "install it") from None
    match = re.search(r"(\d+)\.(\d+)", answer)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_VERSION:
        needed = ".".join(map(str, OLDEST_VERSION))
        raise GitError(f"'{answer.strip()}' is too old", f"install git {needed} or newer")


def _open_folder(folder: Path) -> Repository:
    asked = ("rev-parse", "--is-bare-repository", "--is-inside-git-dir", "--absolute-git-dir")
    result = _run(_command("-C", str(folder), *asked, config=_OFFLINE))
    if result.returncode != 0:
        raise _error(result.stderr, folder.absolute())
    bare, inside, place = os.fsdecode(result.stdout).rstrip("\n").split("\n", 2)
    if bare == "true":
        return Repository(Path(place), bare=True)
    if inside == "true":
        raise GitError(f"{folder} lies within a repository's .git", "name the folder above it")
    top = _run(_command("-C", str(folder), "rev-parse", "--show-toplevel", config=_OFFLINE))
    if top.returncode != 0:
        raise _error(top.stderr, folder.absolute())
    return Repository(Path(os.fsdecode(top.stdout).rstrip("\n")), bare=False)


def _open_mirror(url: str, mirror_folder: Path) -> Repository:
    folder = mirror_folder.absolute() / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.git"
    if not (folder / "HEAD").exists():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as wrong:
            raise GitError(
                f"{folder} cannot be made: {wrong.strerror}", "name another folder for mirrors"
            ) from wrong
        result = _run(
            _command("init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", str(folder))
        )
        if result.returncode != 0:
            raise _error(result.stderr, folder)
    return Repository(folder, bare=True, url=url)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch into a mirror."""
    with (folder / "fetching").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- running --------------------------------------------------------------------------------------


def _command(*arguments: str, config: Mapping[str, str] | None = None) -> list[str]:
    settings = _SAFE | dict(config or {})
    return [
        "git",
        "--no-pager",
        *(part for name in settings for part in ("-c", f"{name}={settings[name]}")),
        *arguments,
    ]


def _environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("GIT_") or _KEPT_VARIABLES.match(name)) and name != "SSH_ASKPASS"
    }
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_NO_REPLACE_OBJECTS": "1",  # a commit means what its id says
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        **(variables or {}),
    }


def _run(
    command: list[str],
    timeout: float = _LOCAL_TIMEOUT,
    lines: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a session of its own: without a terminal to ask at, and with its children to be ended."""
    process = subprocess.Popen(  # noqa: S603 (no shell)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(variables),
        start_new_session=True,
    )
    with process:
        try:
            output, complaints = process.communicate(lines, timeout)
        except BaseException as wrong:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(wrong, subprocess.TimeoutExpired):
                raise GitError(
                    f"git did not finish within {timeout:.0f} seconds", "try again later"
                ) from None
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, complaints)


def _target(top: Path, path: str) -> Path:
    """Find the place of a file that is to be written, within the working tree and outside git's own folder."""
    parts = PurePosixPath(path).parts
    target = top.joinpath(*parts)
    odd = not parts or path.startswith("/") or ".." in parts or ".git" in (part.lower() for part in parts)
    if odd or target.is_symlink() or not target.parent.resolve().is_relative_to(top.resolve()):
        raise GitError(
            f"'{path}' is no place for a file of {top}", "name one within it, and not behind a link"
        )
    return target


def _lines(ids: Iterable[str]) -> bytes:
    return "".join(f"{_checked_id(one)}\n" for one in ids).encode()


def _checked_id(text: str) -> str:
    """Let through what is a full object id and can be nothing else to git."""
    if not _OBJECT_ID.fullmatch(text):
        raise GitError(f"'{text}' is no commit id", "give all of its 40 or 64 digits")
    return text


def _error(complaints: bytes, place: object) -> GitError:
    text = _PASSWORD.sub("***@", complaints.decode(errors="replace")).strip()
    for sign, message, advice in _KNOWN_ERRORS:
        if sign in text:
            return GitError(message.format(place=place), advice.format(place=place))
    told = [line for line in text.splitlines() if line.startswith(("fatal:", "error:"))] or text.splitlines()[
        -1:
    ]
    return GitError(f"git says of {place}: {'; '.join(told) or 'nothing, and fails'}", "")


# The first that fits; git speaks English under LC_ALL=C.
_KNOWN_ERRORS = [
    (
        "dubious ownership",
        "{place} belongs to somebody else",
        "if you trust what lies there, run: git config --global --add safe.directory {place}",
    ),
    *(
        (
            sign,
            "{place} refuses access",
            "give git a credential helper, or the SSH agent a key that may read there",
        )
        for sign in (
            "Authentication failed",
            "could not read Username",
            "Permission denied (",
            "returned error: 403",
        )
    ),
    ("find remote ref", "{place} has no such branch", "name a branch that exists there"),
    *(
        (sign, "{place} cannot be reached", "check the address, the network and the server's host key")
        for sign in (
            "Could not read from remote",
            "unable to access",
            "unable to connect",
            "unable to look up",
        )
    ),
    ("not a git repository", "{place} is no git repository", "run `git init` there, or name another folder"),
    *(
        (sign, "{place} does not have that commit", "fetch it")
        for sign in ("bad object", "Not a valid object", "not a tree object", "Not a valid commit")
    ),
    (
        "index.lock",
        "another git is at work in {place}",
        "wait for it; if none is, remove the file index.lock in .git",
    ),
    ("nothing to commit", "nothing of this is new in {place}", ""),
    ("nothing added to commit", "nothing of this is new in {place}", ""),
]


def _shown(url: str) -> str:
    """Write an address without its password."""
    return _PASSWORD.sub("***@", url)


# --- reading --------------------------------------------------------------------------------------


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
