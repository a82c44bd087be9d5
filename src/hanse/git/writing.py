"""Writing to a folder: a new repository, and commits of files by hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from hanse.git import command
from hanse.git.command import GitError
from hanse.git.repository import Repository
from hanse.git.writer import Writer, checked_path, variables_of
from hanse.ports.writer import Person as Author


def init(
    folder: Path,
    files: Mapping[str, bytes],
    message: str,
    author: Author | str,
    *,
    at: datetime | None = None,
) -> str:
    """Make a repository with a first commit on the branch main, and give the commit's id.

    The folder may exist already, but neither hold a repository nor any of the files. The author may be
    an account: then it is the person as git is configured, else `account@host`. `at` is now by default.
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
    who = Writer(Repository.open(folder)).person(author) if isinstance(author, str) else author
    return commit(folder, files, message, who, at=at)


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
            variables=variables_of(author, author, at),
        )
    return repository.head()


def _target(top: Path, path: str) -> Path:
    """Find the place of a file that is to be written, within the working tree and outside git's own folder."""
    target = top.joinpath(checked_path(path, top))
    if target.is_symlink() or not target.parent.resolve().is_relative_to(top.resolve()):
        raise GitError(
            f"'{path}' is no place for a file of {top}", "name one within it, and not behind a link"
        )
    return target
