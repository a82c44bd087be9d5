"""What the pages say of the code is there: types, modules, events, commands, files, links between pages."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from hanse.journal import events

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *SOURCE.glob("**/*.md")])
CODE = re.compile(r"`([^`\n]+)`")
TYPE = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
DOTTED = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
TECHNICAL = [page for page in PAGES if page.parent.name == "docs" or page.name == "ARCHITECTURE.md"]
FILES = ("yaml", "yml", "txt", "db", "json", "toml", "md")
FOREIGN_TYPES = {"Default", "Heat", "Retry"}  # words of others that look like types of ours


@cache
def names() -> dict[str, set[str]]:
    """What each module defines, and as one set under the empty name."""
    found: dict[str, set[str]] = {"": set()}
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        defined = found.setdefault(module, set())
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                    defined.add(node.name)
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    defined.add(name)
                case ast.ImportFrom():
                    defined.update(alias.asname or alias.name for alias in node.names)
        found[""] |= defined
    return found


def resolves(dotted: str) -> bool:
    """Whether `a.b.c` is a module of ours, something a module of ours defines, or an attribute of such a thing."""
    known = names()
    dotted = dotted.removeprefix("hanse.")
    parts = dotted.split(".")
    modules = [f"hanse.{'.'.join(parts[:n])}" for n in range(len(parts), 0, -1)]
    if modules[0] in known:
        return True
    return any(m in known and parts[len(m.split(".")) - 1] in known[m] for m in modules[1:])


@pytest.mark.parametrize("page", TECHNICAL, ids=lambda page: page.name)
def test_types_and_modules_that_are_named_exist(page: Path) -> None:
    missing = []
    for code in CODE.findall(page.read_text()):
        first = re.split(r"[( ]", code)[0]
        head, _, rest = first.partition(".")
        if TYPE.fullmatch(head) and head not in names()[""] | FOREIGN_TYPES:
            missing.append(code)
        elif DOTTED.fullmatch(first) and not rest.endswith(FILES):
            missing += [code] if f"hanse.{head}" in names() and not resolves(first) else []
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_every_event_of_the_journal_is_explained() -> None:
    text = (ROOT / "docs/journal.md").read_text()
    tags = [(event.__struct_config__.tag, event.__name__) for event in get_args(events.Event)]
    assert [f"| `{tag}` | `{name}` |" for tag, name in tags if f"| `{tag}` | `{name}` |" not in text] == []
    assert text.count("\n| `") == len(tags)


def test_every_decision_has_a_number_and_a_date() -> None:
    pages = sorted(p for p in (ROOT / "docs/decisions").glob("*.md") if p.name != "README.md")
    for number, page in enumerate(pages, start=1):
        assert page.name.startswith(f"{number:04d}-")
        lines = page.read_text().splitlines()
        assert lines[0].startswith(f"# {number}. ")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", lines[2])


def test_the_map_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 200
