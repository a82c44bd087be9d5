"""Writing to a repository: a new one, and commits of files that machines own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from hanse.git import command
from hanse.git.command import GitError
from hanse.git.repository import Repository


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
    command.check_version()
    if (folder / ".git").exists():
        raise GitError(f"{folder} holds a repository already", "name another folder")
    there = sorted(path for path in files if os.path.lexists(folder / path))
    if there:
        raise GitError(f"{folder / there[0]} exists already", "name another folder, or move the file away")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise GitError(f"{folder} cannot be made: {wrong.strerror}", "name another folder") from wrong
    top = str(folder.absolute())
    command.git("init", "--quiet", "--template=", "--initial-branch=main", "--", top, place=folder)
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
    for verb in (("add", "--all", "--force"), ("commit", "--quiet", "--only", f"--message={message}")):
        command.git(
            *("--literal-pathspecs", "-C", str(repository.folder)),
            *(*verb, "--pathspec-from-file=-", "--pathspec-file-nul"),
            place=repository.folder,
            lines=paths,
            variables=_person(author, at),
        )
    return repository.head()


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


def _person(author: Author, at: datetime | None) -> dict[str, str]:
    person: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        person |= {f"GIT_{role}_NAME": author.name, f"GIT_{role}_EMAIL": author.email}
        if at is not None:
            person[f"GIT_{role}_DATE"] = f"@{int(at.timestamp())} +0000"
    return person
