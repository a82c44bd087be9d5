"""`hanse fmt`."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hanse.cli.render import plain
from hanse.cli.session import ERROR, OK, Joined, complain, count, joined, leave, print_json
from hanse.foundation.yaml import MAX_BYTES
from hanse.service.fmt import Looked, file, files_of, look, write

STDIN = Path("-")
COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument(
    "paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, allow_dash=True, path_type=Path)
)
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if something would be changed.")
@click.option("--diff", is_flag=True, help="Change nothing; show what would be changed.")
@click.option("--json", "as_json", is_flag=True, help="Write what came of each file as JSON.")
@click.pass_context
def command(ctx: click.Context, paths: tuple[Path, ...], check: bool, diff: bool, as_json: bool) -> None:
    """Lay out the manifest's files anew: indentation, spaces, empty lines. Nothing else is changed.

    Comments, quotes, the order of keys and the breaks of long rows stay. PATH is a file, or a folder of a working tree
    (default: here), in which all files are meant that `hanse validate --worktree` reads as Hanse's; links are never
    followed. A file that would not say the same in another layout is left alone, and named. As PATH, - lays out what
    stands on standard input, and writes it on standard output.
    """
    main = joined(ctx)
    if STDIN in paths and (len(paths) > 1 or as_json):
        raise click.UsageError("- stands alone, for one text that is read and written")

    def job() -> int:
        if STDIN in paths:
            return _filter(check=check, diff=diff)
        looked = [look(path, data) for path, data in _files(main, paths or (Path(),)).items()]
        changed = [found for found in looked if found.changes]
        left = [found for found in looked if found.why]
        for found in changed:
            if not (check or diff):
                write(found)
            if diff and not as_json:
                _show(found)
            elif not as_json:
                click.echo(f"  {plain(_name(found.path))}")
        if as_json:
            print_json({"written": not (check or diff), "files": [_plain(found) for found in looked]})
        else:
            for found in left:
                _complain(found)
            _summary(looked, changed, left, only_told=check or diff)
        return ERROR if left or (check and changed) else OK

    leave(ctx, job)


def _filter(*, check: bool, diff: bool) -> int:
    """Standard input in its layout, on standard output; nothing there where it is to be left alone."""
    found = look(STDIN, sys.stdin.buffer.read(MAX_BYTES + 1))
    if found.why:
        _complain(found)
        return ERROR
    if diff:
        _show(found)
    elif not check:
        sys.stdout.buffer.write(found.after)
    return ERROR if check and found.changes else OK


def _files(main: Joined, paths: Iterable[Path]) -> Mapping[Path, bytes]:
    """What is meant, each file once."""
    found: dict[Path, bytes] = {}
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            found |= files_of(main.source(str(path)), path, main.language(), datetime.now(UTC))
        else:
            found[path.absolute()] = file(path)
    return found


def _complain(left: Looked) -> None:
    at = f":{left.place.line}:{left.place.column}" if left.place else ""
    complain(f"{plain(_name(left.path))}{at}: left as it is: {plain(left.why)}")


def _plain(found: Looked) -> dict[str, Any]:
    """What came of a file, for machines."""
    told: dict[str, Any] = {
        "path": _name(found.path),
        "result": "laid out" if found.changes else "as it should be",
    }
    if found.why:
        told |= {"result": "left alone", "why": found.why}
    if found.place:
        told |= {"line": found.place.line, "column": found.place.column}
    return told


def _name(path: Path) -> str:
    """As it is called from here."""
    if path == STDIN:
        return "standard input"
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _show(found: Looked) -> None:
    name = _name(found.path)
    before, after = (
        data.decode(errors="replace").splitlines(keepends=True) for data in (found.before, found.after)
    )
    for line in difflib.unified_diff(before, after, name, name):
        click.secho(plain(line.rstrip("\n")), fg=COLOURS.get(line[:1]))


def _summary(looked: list[Looked], changed: list[Looked], left: list[Looked], *, only_told: bool) -> None:
    same = len(looked) - len(changed) - len(left)
    words = "would be laid out anew" if only_told else "laid out anew"
    told = f"{count(len(changed), 'file')} {words}, {same} as they should be"
    click.secho(f"{told}, {len(left)} left alone" if left else told, fg="red" if left else None)
