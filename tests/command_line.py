"""The command line as main joins it, with the real vendors, for commands that need neither a store nor a cloud."""

from __future__ import annotations

import subprocess
from pathlib import Path

from click.testing import CliRunner, Result

from hanse import main
from hanse.cli import cli


def hanse(*arguments: str | Path) -> Result:
    """What came of a command."""
    return CliRunner().invoke(cli, [*map(str, arguments)], obj={"joined": main.joined()})


def git(folder: Path, *arguments: str) -> None:
    """Do something in a repository, as nobody in particular."""
    person = ("-c", "user.name=Maria Mitchell", "-c", "user.email=maria.mitchell@example.org")
    subprocess.run(["git", *person, "-C", str(folder), *arguments], check=True, capture_output=True)


def repository(folder: Path, files: dict[str, str]) -> Path:
    """A repository with these files as its first commit."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    return folder
