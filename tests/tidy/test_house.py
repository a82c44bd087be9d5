"""House rules that no linter knows: names, sizes, docstrings, and what must never be written into a file."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = sorted(p for top in ("src", "tests", "bench", ".ci") for p in (ROOT / top).rglob("*.py"))
SOURCE = [p for p in PYTHON if p.is_relative_to(ROOT / "src")]

# Words that say nothing and so attract everything.
EMPTY_WORDS = {
    "common",
    "handler",
    "helper",
    "helpers",
    "impl",
    "manager",
    "misc",
    "processor",
    "util",
    "utils",
}

MOST_LINES = 800
"""Of a source file. Above it, look for the second thing that it does."""
# A path of the machine that this was written on; an address of a package registry. Written in pieces, so that this file
# holds neither.
FOREIGN = re.compile(
    r"(?<![\w.])/(?:work|farm|ro" + r"ot)/[a-z.]"
    r"|https?://(?:registry|files|proxy|index|crates|repo1?|deb)\.[a-z]+\.(?:org|com|io)"
)


@cache
def kept() -> list[Path]:
    """Every file that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def relative(path: Path) -> str:
    """A path as a test's name."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body, (
        "begin with a docstring: what for, called by whom, what never"
    )


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_a_module_is_named_after_what_it_holds(path: Path) -> None:
    words = set(path.stem.lower().split("_")) | set(path.parent.name.lower().split("_"))
    assert not words & EMPTY_WORDS


@pytest.mark.parametrize("path", SOURCE, ids=relative)
def test_a_source_file_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = []
    for path in kept():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{relative(path)}: {match[0]}" for match in FOREIGN.finditer(text)]
    assert found == []


def test_only_main_names_a_vendor() -> None:
    # Imports are import-linter's matter; main imports vendors by a text, which it cannot see.
    named = [relative(p) for p in SOURCE if '"hanse.platforms.' in p.read_text() and p.name != "main.py"]
    assert named == []


def test_every_todo_has_an_issue() -> None:
    loose = re.compile(r"\b(?:TODO(?! \(#\d+\))|FIX" + r"ME|XXX)\b")
    found = [relative(p) for p in PYTHON if p != Path(__file__) and loose.search(p.read_text())]
    assert found == []
