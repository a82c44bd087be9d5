"""What all commands share: opening the estate, printing troubles, exit codes, JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hanse.cli.terminal import columns, fold, plain
from hanse.ports.source import Source
from hanse.ports.store import Backup, Index, Store
from hanse.service.estate import Estate, Language

if TYPE_CHECKING:  # it brings much along that few commands need
    from hanse.service.serve import ServeNews, Serving
    from hanse.service.write import Writing

    Hear = Callable[[ServeNews], None]

OK, ERROR, CHANGES = 0, 1, 2


@dataclass(frozen=True)
class Joined:
    """What main hands to the commands."""

    estate: Callable[[str | None, str], AbstractAsyncContextManager[Estate]]
    """Opens the estate of a server configuration (a path, or None for the default one), with the store at an address
    ("" for the one that it names)."""
    source: Callable[[str], Source]
    """Opens a git repository for reading."""
    edits: Callable[[str], Iterator[None]]
    """Comes back at once, and then each time that files of the manifest in a working tree were changed."""
    writing: Callable[[str], Writing]
    """Opens a git repository for writing, with no server configuration."""
    cache: Callable[[Source], Index]
    """What was remembered of a repository by earlier checks."""
    language: Callable[[], Language]
    """The manifest's language, for what needs no server configuration."""
    new_repository: Callable[[Path, Mapping[str, bytes], str], None]
    """Makes a git repository with these files as its first commit."""
    operator: Callable[[], str]
    """The account that runs the command."""
    config_folder: Callable[[], Path]
    """Where the user's server.yaml is looked for."""
    copy_store: Callable[[Store, str], Awaitable[int]]
    """Copies everything that a store keeps into an empty one at an address; how many records the journal has."""
    back_up: Callable[[str | None, str, Path, bool], Coroutine[Any, Any, Backup]]
    """Writes a store, named as for `estate`, into a file. True: in the place of a file that is there."""
    restore: Callable[[str | None, str, Path, bool, bool], Coroutine[Any, Any, Backup]]
    """Puts a backup back. The first True: in the place of what the store holds; the second: though its journal was not
    whole."""
    listening: Callable[[str | None, Estate, Serving, Hear], AbstractAsyncContextManager[Hear]]
    """Answers over HTTP, if the server configuration says where; what it yields is to be told what happens."""
    troubles: tuple[type[Exception], ...]
    """Exceptions that are meant for people, with a text and an `advice`."""


def joined(ctx: click.Context) -> Joined:
    """What main handed over."""
    found: Joined = ctx.find_root().obj["joined"]
    return found


def config(ctx: click.Context) -> str | None:
    """The server configuration that the person named."""
    found: str | None = ctx.find_root().obj["config"]
    return found


def estate(ctx: click.Context) -> AbstractAsyncContextManager[Estate]:
    """The estate that the person named."""
    return joined(ctx).estate(config(ctx), database(ctx))


def database(ctx: click.Context) -> str:
    """The home of the store that the person named; empty: the one that the server configuration names."""
    found: str = ctx.find_root().obj["database"]
    return found


def run(ctx: click.Context, job: Callable[[Estate], Coroutine[Any, Any, int]]) -> None:
    """Run a command on the estate and leave with its exit code."""

    async def opened() -> int:
        async with estate(ctx) as found:
            return await job(found)

    leave(ctx, lambda: asyncio.run(opened()))


def leave(ctx: click.Context, job: Callable[[], int]) -> None:
    """Leave with the exit code of a job; troubles become two lines and 1."""
    try:
        code = job()
    except joined(ctx).troubles as error:
        complain(str(error), getattr(error, "advice", ""))
        code = ERROR
    except KeyboardInterrupt:
        complain("stopped", "nothing is lost; the next `hanse apply` goes on")
        code = 130
    ctx.exit(code)


def said(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A text that is needed, so that an empty one does not do."""
    if not value.strip():
        raise click.BadParameter("it must not be empty", ctx, param)
    return value


def complain(message: str, advice: str = "") -> None:
    """Say on standard error what is wrong and what to do."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(_safe(message, 7), err=True)
    if advice:
        click.echo(f"  {_safe(advice, 2)}", err=True)


def _safe(text: str, start: int) -> str:
    """Text of several lines that may hold what others wrote: it cannot steer a terminal, and fits into it."""
    first, *more = map(plain, text.split("\n"))
    width = columns(err=True)
    return "\n".join([fold(first, width, start, 2), *(fold(line, width, 0, 2) for line in more)])


def print_json(value: Any) -> None:
    """Write a value as indented JSON on standard output."""
    text = msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2)
    sys.stdout.write(safe_json(text) + "\n")


def safe_json(data: bytes) -> str:
    """JSON as text that means the same and cannot steer a terminal either."""
    text = data.decode()
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def at_terminal() -> bool:
    """Whether there is a person who can be asked."""
    return sys.stdin.isatty()


def count(number: int, word: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {word}{'' if number == 1 else 's'}"
