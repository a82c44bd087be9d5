"""YAML in, the same YAML in a tidy layout out: nothing but white space is ever changed.

Tokens and comments are copied as they are written, and only what is between them is made anew. So quotes, escapes, the
order of keys and the breaks of long rows stay. What comes of it is then compared with what was there: by `yaml.parse`,
which shares no code with this, and by everything that is no white space. What does not pass is not given back.

The layout: two columns a level, the rows of a list one level below its key; one space after `:`, `-` and `,`, none
inside brackets; a comment where that begins which it is about, and two spaces at least before one at a line's end; one
empty line at most, and none at either end. Lines that broken rows and texts go on in move as their first line does.
Lines end as they did if they all ended alike, else with a newline; a byte order mark goes.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from hanse.foundation import yaml
from hanse.foundation.canonical import encode
from hanse.foundation.diagnostics import Place

STEP = 2
"""Columns of one level."""
BEFORE_COMMENT = 2
"""Spaces, at least, between what a line says and a comment at its end; more may align it with others, and stay."""

_OPENING, _CLOSING = ("{", "["), ("}", "]")
_PROPERTIES = ("<alias>", "<anchor>", "<tag>")
_MARKERS = ("<document start>", "<document end>", "<directive>")
_SPACE_AFTER = (",", ":", "-", "?", *_MARKERS)
_INDICATED = re.compile(r"[|>][+-]?([1-9])")


class LeftAlone(Exception):
    """A text that keeps its layout. The text says why, `place` where that is known to lie."""

    def __init__(self, why: str, place: Place | None = None) -> None:
        super().__init__(why)
        self.place = place


def tidy(data: bytes, path: str) -> bytes:
    """A file in its layout. Raises LeftAlone where it is no sound YAML, or would not say the same; nothing else."""
    before = yaml.parse(data, path)
    if before.diagnostics:
        raise LeftAlone(before.diagnostics[0].message, before.diagnostics[0].place)
    made = _laid_out(data)
    after = yaml.parse(made, path)
    if after.diagnostics or _meaning(before) != _meaning(after) or _signs(data) != _signs(made):
        raise LeftAlone("in another layout it would not say the same")
    if _laid_out(made) != made:
        raise LeftAlone("its layout does not come to rest")
    return made


def _meaning(parsed: yaml.Parsed) -> bytes:
    return encode([(document.index, document.value) for document in parsed.documents])


def _signs(data: bytes) -> str:
    return "".join(data.decode().removeprefix("\ufeff").split())


def _laid_out(data: bytes) -> bytes:
    text = data.decode().removeprefix("\ufeff")
    ends = set(re.findall(r"\r\n|\r|\n", text))
    text = re.sub(r"\r\n?", "\n", text)
    tokens = yaml.tokens(text)
    if tokens is None:
        raise LeftAlone("it is written in a way that is too unusual to be laid out")
    made = _Layout(text).made(tokens)
    return (made.replace("\n", "\r\n") if ends == {"\r\n"} else made).encode()


class _Block(Struct):
    """A list or a mapping that indentation makes."""

    old: int
    """The column of its rows or keys."""
    new: int | None
    """Theirs in the layout; None until the first of them is reached."""
    is_list: bool
    is_bare: bool = False
    """A list that begins in the column of the key it belongs to: the scanner does not tell its beginning and end."""


class _Layout:
    """One text on its way from token to token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: list[str] = []
        self._line = ""
        """The line that is being made."""
        self._at = 0
        """How far the text is dealt with."""
        self._blocks: list[_Block] = []
        self._closed: list[_Block] = []
        """Blocks that ended since the last token, innermost first: a comment may still belong to one."""
        self._flow = 0
        """How many brackets are open."""
        self._shift = 0
        """How far the line moved on which the outermost bracket or the text stands."""
        self._entry = False
        """Whether the next token begins a key of the innermost block."""
        self._last = ""
        """The id of the last token."""

    def made(self, tokens: list[Any]) -> str:
        """The whole text in its layout."""
        for token in tokens:
            self._take(token)
        self._between(len(self._text), None, 0)
        if self._line:
            self._break()
        return "".join(f"{line}\n" for line in self._lines)

    def _take(self, token: Any) -> None:
        if token.id in ("<block mapping start>", "<block sequence start>"):
            is_list = token.id == "<block sequence start>"
            self._blocks.append(_Block(token.start_mark.column, None, is_list))
            return
        if token.id == "<block end>":
            self._close_bare()
            self._closed.append(self._blocks.pop())
            return
        if token.id in ("?", ":") and not self._flow:
            self._close_bare()
        if token.start_mark.index < token.end_mark.index:
            self._write(token)
        elif token.id == "?":
            self._entry = True

    def _close_bare(self) -> None:
        if self._blocks and self._blocks[-1].is_bare:
            self._closed.append(self._blocks.pop())

    def _write(self, token: Any) -> None:
        start, end = token.start_mark.index, token.end_mark.index
        block = self._blocks[-1] if self._blocks else None
        if token.id == "-" and block and block.new is not None and not block.is_list:
            self._blocks.append(_Block(token.start_mark.column, block.new + STEP, is_list=True, is_bare=True))
        if token.id in _CLOSING:
            self._flow -= 1
        self._between(start, token, self._column(token))
        if self._blocks and self._blocks[-1].new is None:
            self._blocks[-1].new = len(self._line)
        self._entry = False
        self._closed.clear()
        if not self._flow:
            self._shift = _indentation(self._line) - _indentation(self._source_line(start))
        if token.id in _OPENING:
            self._flow += 1
        if token.id == "<scalar>" and token.style in ("|", ">"):
            end = self._block_text(start, end)
        elif token.id == "<scalar>":
            self._flow_text(self._text[start:end])
        else:
            self._line += self._text[start:end]
        self._at = end
        self._last = token.id

    def _column(self, token: Any) -> int:
        """Where a token goes if it begins a line."""
        if token.id in _MARKERS:
            return 0
        inner = self._inner()
        if self._flow or token.id in _CLOSING:
            least = inner - STEP if token.id in _CLOSING else inner
            return max(int(token.start_mark.column) + self._shift, least)
        if self._blocks and self._blocks[-1].new is not None and (self._entry or token.id in ("-", "?", ":")):
            return self._blocks[-1].new
        return inner

    def _inner(self) -> int:
        """The column one level below the innermost block that has one."""
        return next((block.new + STEP for block in reversed(self._blocks) if block.new is not None), 0)

    # --- what is between two tokens

    def _between(self, end: int, token: Any, column: int) -> None:
        """Go on to the next token, over spaces, comments and empty lines."""
        first, *others = self._text[self._at : end].split("\n")
        if "#" in first:
            self._comment(first)
        if others and self._line:
            self._break()
        empty = False
        for line in others[:-1] if token else others:
            if not line.strip():
                empty = True
                continue
            if empty and self._lines:
                self._lines.append("")
            empty = False
            self._line = " " * self._comment_column(_indentation(line), token, column) + line.strip()
            self._break()
        if token is None:
            return
        if empty and self._lines:
            self._lines.append("")
        self._line += self._space(token, bool(first)) if self._line else " " * column

    def _comment(self, gap: str) -> None:
        comment = gap.strip()
        before = len(gap) - len(gap.lstrip())
        self._line += " " * max(before, BEFORE_COMMENT) + comment if self._line else comment

    def _comment_column(self, old: int, token: Any, column: int) -> int:
        """Where a comment goes that has a line of its own: with what follows, or with what ends before it."""
        if self._flow:
            return max(old + self._shift, self._inner())
        following = token.start_mark.column if token else 0
        ended = [block for block in self._closed if following < block.old <= old]
        return ended[0].new or 0 if ended else column

    def _space(self, token: Any, was_there: bool) -> str:
        """Between two tokens on one line."""
        as_it_was = " " if was_there else ""
        match self._last, str(token.id):
            case (("{" | "["), _):
                return ""
            case (":", "," | "}" | "]"):
                return as_it_was
            case (_, "," | "}" | "]"):
                return as_it_was if self._last in _PROPERTIES else ""
            case (("<scalar>" | "}" | "]"), ":"):
                return ""
            case _:
                return " " if self._last in _SPACE_AFTER else as_it_was

    # --- texts

    def _flow_text(self, text: str) -> None:
        """A text that is plain or in quotes; the lines that it goes on in are indented as its first one is."""
        first, *others = text.split("\n")
        self._line += first
        for line in others:
            self._break()
            if line.strip():
                self._line = " " * max(_indentation(line) + self._shift, self._inner()) + line.lstrip(" \t")

    def _block_text(self, start: int, end: int) -> int:
        """A text after `|` or `>`, up to its last line; gives where it ends."""
        header, *body = self._text[start:end].split("\n")
        told = _INDICATED.match(header)
        if told:
            old, new = self._blocks[-1].old + int(told[1]), self._inner() - STEP + int(told[1])
        else:
            old, new = next((_indentation(line) for line in body if line.strip()), 0), self._inner()
        if "+" not in header.partition("#")[0]:
            while body and not body[-1][old:] and not body[-1].strip():
                body.pop()
        self._line += header.rstrip()
        for line in body:
            self._break()
            self._line = " " * new + line[old:] if line[old:] else ""
        return start + len("\n".join([header, *body]))

    # --- lines

    def _break(self) -> None:
        self._lines.append(self._line)
        self._line = ""

    def _source_line(self, index: int) -> str:
        return self._text[self._text.rfind("\n", 0, index) + 1 : index]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
