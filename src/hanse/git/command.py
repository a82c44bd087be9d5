"""Running git: without a shell, hooks, pagers and prompts, and without programs that a repository names.

The configuration of the user and of the machine stays in force: it holds proxies, certificates, credential
helpers and `safe.directory`, and belongs to who runs Hanse. What a repository configures for itself does not.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import IO

from hanse.ports.source import SourceError, never

OLDEST_VERSION = (2, 34)  # the first one that verifies SSH signatures
LOCAL_TIMEOUT = 300.0  # seconds; for whatever reads local files only
GLANCE_SECONDS = 0.25  # between two looks whether it is still wanted

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
OFFLINE = {"protocol.allow": "never"}  # else a partial clone would fetch in the midst of reading
FETCHING = {  # and pushing
    "http.lowSpeedLimit": "100",  # bytes per second, over
    "http.lowSpeedTime": "60",  # seconds
    "protocol.allow": "never",  # but these; among the others are some that start programs
    **{f"protocol.{name}.allow": "always" for name in ("https", "http", "ssh", "git", "file")},
    "gc.pruneExpire": "never",  # what was accepted once must stay readable after a rewritten history
}

# What may steer git from the environment: how it reaches a server. All else, such as the GIT_DIR of a hook, may not.
_KEPT_VARIABLES = re.compile(
    r"GIT_(?:SSH|SSL_|PROXY_|HTTP_|ASKPASS$|CONFIG_(?:GLOBAL|SYSTEM|COUNT|KEY_|VALUE_))"
)
_PASSWORD = re.compile(r"(?<=://)[^/@\s']+@")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)


class GitError(SourceError):
    """git could not do it. The text says what happened, `advice` what to do."""


def git(
    *arguments: str,
    place: object,
    config: Mapping[str, str] = OFFLINE,
    lines: bytes = b"",
    variables: Mapping[str, str] | None = None,
    timeout: float = LOCAL_TIMEOUT,
    stopped: Callable[[], bool] = never,
) -> bytes:
    """Run git to its end, with `lines` as its input, and give what it prints.

    `place` is what an error is told of; `timeout` is in seconds; once `stopped` answers True it is killed. Raises
    GitError.
    """
    result = attempt(
        *arguments, config=config, lines=lines, variables=variables, timeout=timeout, stopped=stopped
    )
    if result.returncode != 0:
        raise error(result.stderr + b"\n" + result.stdout[-10_000:], place)
    return result.stdout


def attempt(
    *arguments: str,
    config: Mapping[str, str] = OFFLINE,
    lines: bytes = b"",
    variables: Mapping[str, str] | None = None,
    timeout: float = LOCAL_TIMEOUT,
    stopped: Callable[[], bool] = never,
) -> subprocess.CompletedProcess[bytes]:
    """Run git where failing is an answer too. Raises GitError only if it cannot be run at all, or to its end.

    It gets a session of its own: no terminal to ask at, and its children end with it.
    """
    pipe = subprocess.PIPE
    with _start(arguments, config, variables, stdin=pipe, stderr=pipe) as process:
        try:
            output, complaints = _communicate(process, lines, timeout, stopped)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, complaints)


def _communicate(
    process: subprocess.Popen[bytes], lines: bytes, timeout: float, stopped: Callable[[], bool]
) -> tuple[bytes, bytes]:
    end = time.monotonic() + timeout
    while True:
        left = end - time.monotonic()
        try:
            return process.communicate(
                lines, max(0.0, left if stopped is never else min(left, GLANCE_SECONDS))
            )
        except subprocess.TimeoutExpired:  # what it took and wrote so far is kept for the next round
            check_wanted(end, timeout, stopped)
            lines = b""


def check_wanted(end: float, timeout: float, stopped: Callable[[], bool]) -> None:
    """Raise GitError once it is `end` by the monotonic clock, or what git does is not wanted any more."""
    if stopped():
        raise GitError("git was stopped")
    if time.monotonic() >= end:
        raise GitError(f"git did not finish within {timeout:.0f} seconds", "try again later")


@contextmanager
def stream(*arguments: str, place: object, lines: bytes) -> Iterator[IO[bytes]]:
    """Start git where its answer may not fit memory; it ends with the context, read to the end or not.

    Raises GitError.
    """
    with tempfile.TemporaryFile() as questions, tempfile.TemporaryFile() as complaints:
        questions.write(lines)
        questions.seek(0)
        process = _start(arguments, OFFLINE, None, stdin=questions, stderr=complaints)
        assert process.stdout is not None
        try:
            yield process.stdout
            if process.wait() != 0:
                complaints.seek(0)
                raise error(complaints.read(), place)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


@cache
def check_version() -> None:
    """Raise GitError if git is missing or too old."""
    answer = attempt("--version").stdout.decode(errors="replace")
    match = re.search(r"(\d+)\.(\d+)", answer)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_VERSION:
        needed = ".".join(map(str, OLDEST_VERSION))
        raise GitError(f"'{answer.strip()}' is too old", f"install git {needed} or newer")


def checked_id(text: str) -> str:
    """Let through what is a full object id, and so can be nothing else to git. Raises GitError."""
    if not _OBJECT_ID.fullmatch(text):
        raise GitError(f"'{text}' is no commit id", "give all of its 40 or 64 digits")
    return text


def id_lines(ids: Iterable[str]) -> bytes:
    """Write object ids as git reads them from its input. Raises GitError."""
    return "".join(f"{checked_id(one)}\n" for one in ids).encode()


def shown(url: str) -> str:
    """Write an address without its password."""
    return _PASSWORD.sub("***@", url)


def error(complaints: bytes, place: object) -> GitError:
    """Say what git complains of in words of people, where it is known, and what to do."""
    text = shown(complaints.decode(errors="replace"))
    for sign, message, advice in _KNOWN_ERRORS:
        if sign in text:
            return GitError(message.format(place=place), advice.format(place=place))
    rows = text.split("\n")
    told = [row for row in rows if row.startswith(("fatal:", "error:"))] or [row for row in rows if row][-1:]
    return GitError(f"git says of {place}: {'; '.join(told) or 'nothing, and fails'}")


def _start(
    arguments: Sequence[str],
    config: Mapping[str, str],
    variables: Mapping[str, str] | None,
    *,
    stdin: int | IO[bytes],
    stderr: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    settings = _SAFE | dict(config)
    options = (part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
    try:
        return subprocess.Popen(  # noqa: S603 (no shell, and no argument that could be taken for an option)
            ["git", "--no-pager", *options, *arguments],  # noqa: S607 (git is found on PATH)
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment() | {"GIT_ALLOW_PROTOCOL": _protocols(settings)} | dict(variables or {}),
            start_new_session=True,
            bufsize=1 << 20,
        )
    except FileNotFoundError:
        raise GitError("git is missing", "install it") from None
    except (OSError, ValueError) as wrong:  # too long a message; a NUL in it
        raise GitError(f"git cannot be started: {wrong}") from None


def _protocols(settings: Mapping[str, str]) -> str:
    """The protocols that these settings allow, as a variable: a repository's own configuration would go before them."""
    names = (name.split(".") for name, value in settings.items() if value == "always")
    return ":".join(parts[1] for parts in names if parts[0] == "protocol") or "none"


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith("GIT_") or _KEPT_VARIABLES.match(name)) and name != "SSH_ASKPASS"
    }
    return kept | {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_NO_REPLACE_OBJECTS": "1",  # a commit means what its id says
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
    }


_REFUSED = (
    "{place} refuses access",
    "give git a credential helper, or the SSH agent a key, that may read there, and write where Hanse is to write",
)
_UNREACHABLE = ("{place} cannot be reached", "check the address, the network and the server's host key")
_UNKNOWN = ("{place} does not have that commit", "fetch it")
_NOTHING_NEW = ("nothing of this is new in {place}", "")

# What git says, as English under LC_ALL=C; what people are told and advised. The first that fits counts.
_KNOWN_ERRORS = [
    (
        "dubious ownership",
        "{place} belongs to somebody else",
        "if you trust what lies there, run: git config --global --add safe.directory {place}",
    ),
    ("Authentication failed", *_REFUSED),
    ("could not read Username", *_REFUSED),
    ("Permission denied (", *_REFUSED),
    ("returned error: 403", *_REFUSED),
    ("service not enabled", *_REFUSED),
    ("access denied", *_REFUSED),
    ("Could not read from remote", *_UNREACHABLE),
    ("unable to access", *_UNREACHABLE),
    ("unable to connect", *_UNREACHABLE),
    ("unable to look up", *_UNREACHABLE),
    ("not a git repository", "{place} is no git repository", "run `git init` there, or name another folder"),
    ("bad object", *_UNKNOWN),
    ("Not a valid object", *_UNKNOWN),
    ("Not a valid commit", *_UNKNOWN),
    ("not a tree object", *_UNKNOWN),
    (
        "index.lock",
        "another git is at work in {place}",
        "wait for it; if none is, remove the file index.lock in .git",
    ),
    ("nothing to commit", *_NOTHING_NEW),
    ("nothing added to commit", *_NOTHING_NEW),
]
