"""Patterns of paths, as `ignore` and `protected` of an organisation have them."""

from __future__ import annotations

import re
from collections.abc import Iterable


def glob(patterns: Iterable[str]) -> re.Pattern[str]:
    """What matches any of some path patterns, and all that lies below a folder which matches.

    `*` and `?` stay within one folder, `**` spans any number of them; all else is literal.
    """
    found = "|".join(f"(?:{_glob(pattern.strip('/'))})(?:/.*)?" for pattern in sorted(patterns))
    return re.compile(found, re.DOTALL)  # a path may hold an end of line


def _glob(pattern: str) -> str:
    parts = re.split(r"(\*\*/|/\*\*$|\*\*|\*|\?)", pattern)
    meaning = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(meaning.get(part, re.escape(part)) for part in parts)
