"""What of a text may reach a terminal, and in which lines. Every command needs it, so it imports nothing slow."""

from __future__ import annotations

import os
import re
import sys

_WORD = re.compile(r"\s*(?:`[^`]*`|\S)+")
"""A command between backquotes is one: broken in two, nobody could copy it."""


def plain(text: object) -> str:
    """Text from elsewhere on one line: what could steer a terminal is shown instead of done."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def columns(*, err: bool) -> int:
    """How wide the terminal is that standard output or standard error goes to; 0 where it is none."""
    try:
        return os.get_terminal_size((sys.stderr if err else sys.stdout).fileno()).columns
    except (OSError, ValueError):
        return 0


def fold(text: str, width: int, start: int, indent: int) -> str:
    """The text broken between words for so many columns (0: not at all). It begins in column `start`, further lines
    in column `indent`."""
    if not width or start + len(text) <= width:
        return text
    made, column, begun = list[str](), start, start > indent
    for word in _WORD.findall(text):
        if begun and column + len(word) > width:
            made.append("\n" + " " * indent + word.lstrip())
            column = indent + len(word.lstrip())
        else:
            made.append(word)
            column += len(word)
        begun = True
    return "".join(made)
