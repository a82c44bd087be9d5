"""What of a text may reach a terminal. Imports nothing, since every command needs it."""

from __future__ import annotations


def plain(text: object) -> str:
    """Text from elsewhere on one line: what could steer a terminal is shown instead of done."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
