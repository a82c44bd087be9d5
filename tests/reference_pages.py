"""The tables of the reference pages, made from the types; the prose around them is written by hand.

A table belongs to the heading that it stands under: `## Project` is a kind, and `### tenants` below it what a row of
its field `tenants` is made of. What several kinds have, such as `access`, stands under the first of them alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from hanse.config import ServerConfig
from hanse.desired.reference import Field, Shape, shape, shapes
from hanse.main import language, vendors

DOCS = Path(__file__).parents[1] / "docs"
HEADING = re.compile(r"^(#+ .+)$", re.MULTILINE)
TABLE = re.compile(r"^\| field \|.*\n(?:\|.*\n)+", re.MULTILINE)
FIRST_PARAGRAPH = re.compile(r"\n+(?:.+\n)*")


def pages() -> dict[str, dict[str, type[Struct]]]:
    """By page: its headings that are not the name of a field, and what stands under them."""
    found: dict[str, dict[str, type[Struct]]] = {
        "manifest": {f"## {name}": kind for name, kind in language().vocabulary.kinds.items()},
        "server": {"## The file": ServerConfig},
    }
    for name, vendor in vendors().items():
        found[name] = {
            "### Of a Platform": vendor.description.platform_block,
            "### Of a LandingZone": vendor.description.landing_zone_block,
        }
    return found


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    text = (DOCS / f"{page}.md").read_text()
    parts = HEADING.split(text)
    assert parts.count(heading) == 1, f"docs/{page}.md has no heading '{heading}'"
    return parts[parts.index(heading) + 1]


def made(page: str, text: str) -> str:
    """The text of a page with its tables made anew. Fails where a type has no heading."""
    roots = pages()[page]
    begin, *parts = HEADING.split(text)
    wanted: dict[str, Shape] = {}
    told: set[type[Struct]] = set()
    for place in range(0, len(parts), 2):
        heading, body = parts[place], parts[place + 1]
        name = heading.lstrip("# ")
        if heading in roots:
            wanted = dict(inner(page, roots[heading]))
            parts[place + 1] = with_table(page, body, shape(roots[heading]))
            told.add(roots[heading])
        elif name in wanted and wanted[name].type not in told:
            parts[place + 1] = with_table(page, body, wanted[name])
            told.add(wanted[name].type)
        elif heading.startswith("## "):
            wanted = {}
    missing = {
        kind: advice
        for heading, root in reversed(roots.items())
        for kind, advice in headings(page, heading, root).items()
        if kind not in told
    }
    assert not missing, f"docs/{page}.md lacks headings; write them, and run `make docs`: " + "; ".join(
        f"{advice} (for {kind.__name__})" for kind, advice in missing.items()
    )
    return "".join([begin, *parts])


def inner(page: str, root: type[Struct]) -> Mapping[str, Shape]:
    """What is in a type, by the name of the field, or by the whole way to it where another has that name already.

    Vendors' blocks have pages of their own.
    """
    others = set(vendors()) if page == "manifest" else set()
    found: dict[str, Shape] = {}
    for path, part in shapes(root):
        name = path.rpartition(".")[2]
        if path and path.partition(".")[0] not in others:
            found[name if found.get(name, part).type is part.type else path] = part
    return found


def headings(page: str, heading: str, root: type[Struct]) -> dict[type[Struct], str]:
    """The heading for each type below a root, and for the root itself."""
    level = "##" if page == "server" else "###"
    below = {part.type: f"'{level} {name}' below '{heading}'" for name, part in inner(page, root).items()}
    return {root: f"'{heading}'", **below}


def with_table(page: str, body: str, of: Shape) -> str:
    """A section with its table; where it has none yet, beneath the first paragraph."""
    table = rows(page, of)
    if TABLE.search(body):
        return TABLE.sub(lambda _: table, body, count=1)
    first = FIRST_PARAGRAPH.match(body)
    end = first.end() if first else 0
    return f"{body[:end].rstrip()}\n\n{table}{body[end:] or chr(10)}"


def rows(page: str, of: Shape) -> str:
    """The table of a mapping's fields."""
    others = set(vendors()) if page == "manifest" else set()
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for field in of.fields:
        if field.name != "apiVersion" and field.name not in others:
            meaning = field.doc.replace("|", "\\|")
            lines.append(f"| `{field.name}` | {field.type} | {default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def default(field: Field) -> str:
    """How a page writes a field's default."""
    if field.required:
        return "required"
    value: Any = field.default
    if field.shape is not None and isinstance(value, dict) and value:
        return "below"
    if value in (None, "", (), {}, []):
        return "–"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"
