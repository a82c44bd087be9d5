"""docs/cli.md describes exactly the commands and options that there are, and other pages show no others."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from hanse.cli import cli
from hanse.main import run

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *(ROOT / "src").glob("**/*.md")])
SHOWN = re.compile(r"^(?:\$ |    )(?:\$ )?(hanse .+)$|`(hanse [a-z][^`\n]*)`", re.MULTILINE)


def tree(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, by what a person types."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{path} lists {name} and does not have it"
            yield from tree(inner, f"{path} {name}")


@cache
def commands() -> dict[str, click.Command]:
    """All commands of Hanse, joined as main joins them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["hanse", "--help"])
        patch.setattr("os._exit", lambda code: None)
        with pytest.raises(SystemExit):
            run()
    return dict(tree(cli, "hanse"))


def options(command: click.Command) -> set[str]:
    """The long names of a command's options."""
    found = [p.opts for p in command.params if isinstance(p, click.Option)]
    return {max(names, key=len) for names in found}


def told() -> dict[str, set[str]]:
    """What the page says, section by section."""
    parts = re.split(r"^## (hanse.*)$", (ROOT / "docs/cli.md").read_text(), flags=re.MULTILINE)[1:]
    rows = re.compile(r"^\| `(--[a-z-]+)` \|", re.MULTILINE)
    return {title: set(rows.findall(text)) for title, text in zip(parts[::2], parts[1::2], strict=True)}


def test_the_page_has_every_command_and_option() -> None:
    assert told() == {path: options(command) for path, command in commands().items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_shown_exist(page: Path) -> None:
    wrong = []
    for block, inline in SHOWN.findall(page.read_text()):
        line = re.split(r"\s{2,}| && |; ", block or inline)[0]
        words = shlex.split(line.replace("'", "").replace("…", ""), comments=True)
        path = words.pop(0)
        while words and f"{path} {words[0]}" in commands():
            path = f"{path} {words.pop(0)}"
        known = {name for p in commands()[path].params for name in p.opts} | {"--help", "-h"}
        no_command = path == "hanse" and words and not words[0].startswith("-") and words[0] != "COMMAND"
        if (
            no_command
            or not {word.split("=")[0] for word in words if word.startswith("-") and word != "-"} <= known
        ):
            wrong.append(line)
    assert wrong == []
