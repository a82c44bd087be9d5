"""Patterns of paths, as `ignore` and `protected` of an organisation have them."""

from __future__ import annotations

import re
from collections.abc import Iterable

MANIFESTS = (".yaml", ".yml")
"""How the names of the manifest's files end."""
GRANTS, REVOCATIONS = "grants", "revocations"
"""Folders in which Hanse itself writes files of the manifest; they may be yet to come."""


def is_manifest(path: str) -> bool:
    """Whether a path of the repository is one of the manifest's files, before anything is ignored."""
    return path.endswith(MANIFESTS) and "/." not in path and not path.startswith(".")


def glob(patterns: Iterable[str]) -> re.Pattern[str]:
    """What matches any of some path patterns, and all that lies below a folder which matches.

    `*` and `?` stay within one folder, `**` spans any number of them; all else is literal.
    """
    found = "|".join(f"(?:{_glob(pattern.strip('/'))})(?:/.*)?" for pattern in sorted(patterns))
    return re.compile(found, re.DOTALL)  # a path may hold an end of line


def _glob(pattern: str) -> str:
    """A pattern as an expression that is matched in good time, whoever wrote it.

    What stands before a further wildcard is taken where it is found first, and not looked for again: the wildcard can
    stand for all that would be between. One of folders does so for all up to the next of folders.
    """
    first, *others = re.split(r"((?:^|(?<=/))\*\*/|\*\*)", pattern)
    spans = [".*?" if others[i] == "**" else "(?:.*?/)??" for i in range(0, len(others), 2)]
    chunks = [first, *others[1::2]]
    found = [_chunk(chunk, last=i == len(spans)) for i, chunk in enumerate(chunks)]
    groups = [f"{span}{chunk}" for span, chunk in zip(spans, found[1:], strict=True)]
    return "".join([found[0], *(f"(?>{group})" for group in groups[:-1]), *groups[-1:]])


def _chunk(text: str, *, last: bool) -> str:
    first, *others = [re.escape(part).replace(r"\?", "[^/]") for part in text.split("*")]
    stars = [f"[^/]*?{part}" for part in others]
    kept = stars[-1:] if last else []
    return "".join([first, *(f"(?>{star})" for star in (stars[:-1] if last else stars)), *kept])
