"""Lay the files of a manifest out anew, where that changes nothing but white space."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hanse.desired.load import load
from hanse.foundation.diagnostics import Place
from hanse.foundation.layout import LeftAlone, tidy
from hanse.foundation.yaml import MAX_BYTES
from hanse.ports.source import Source
from hanse.service.estate import Language, Trouble


@dataclass(frozen=True)
class Looked:
    """What became of one file."""

    path: Path
    before: bytes
    after: bytes
    """The same as before where it is in its layout, or is left alone."""
    why: str = ""
    """Why it is left alone."""
    place: Place | None = None

    @property
    def changes(self) -> bool:
        """Whether it would be laid out anew."""
        return self.before != self.after


def files_of(source: Source, folder: Path, language: Language, now: datetime) -> dict[Path, bytes]:
    """The files for Hanse's documents in a folder of the working tree; no links. Raises SourceError and Trouble."""
    top = Path(source.top)
    below = folder.resolve()
    if not below.is_relative_to(top.resolve()):
        raise Trouble(f"{folder} has no working tree", "name a folder of one, or a file")
    files, _ = source.worktree()
    loaded = load(files, language.vocabulary, now)
    found = {top / path: files[path] for path in sorted(filter(loaded.is_own, files))}
    return {path: data for path, data in found.items() if path.resolve().is_relative_to(below)}


def file(path: Path) -> bytes:
    """The content of one file that somebody names. Raises Trouble, also for a link."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise Trouble(f"{path} is no file but a link or something else", "name the file itself")
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:  # noqa: PTH123
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Trouble(
            f"cannot read {path}: {error.strerror}", "correct the name, or its permissions"
        ) from error


def look(path: Path, data: bytes) -> Looked:
    """What a file would be in its layout."""
    try:
        return Looked(path, data, tidy(data, str(path)))
    except LeftAlone as left:
        return Looked(path, data, data, str(left), left.place)


def write(looked: Looked) -> None:
    """Put a file's new layout in its place, whole or not at all and with its mode.

    Raises Trouble, also where the file is not any more as it was when it was looked at.
    """
    path = looked.path
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        mode = stat.S_IMODE(path.lstat().st_mode)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:  # noqa: PTH123
            os.fchmod(opened.fileno(), mode)
            opened.write(looked.after)
            opened.flush()
            os.fsync(opened.fileno())
        if file(path) != looked.before:
            raise Trouble(f"{path} was changed meanwhile, and is left as it is", "run it again")
        draft.replace(path)
    except OSError as error:
        raise Trouble(f"cannot write {path}: {error.strerror}", "correct its permissions") from error
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
