"""YAML in, plain values out, and the place of each of them; the only module that knows a YAML library.

yaml-rs (YAML 1.2) decides what a document means. PyYAML never does: it is many times slower, and is
asked only where something lies and, for the rare file with anchors, tags or deep nesting, whether the
file is harmless. Nothing in a file makes this module raise; what is wrong comes back as Diagnostics.

What differs from the letter of YAML 1.2, all of it in the direction of fewer surprises in review:

- Keys are text, each once in its mapping. Merge keys, tags and directives other than `%YAML 1.2` are errors.
- Whole numbers fit 64 bits signed, others are finite.
- yaml-rs takes underscores in numbers as Rust does: 1_000 is 1000. Where text is wanted, quote it.
- Dates and times stay text (`time` reads them); `no`, `on` and 10:30 are text, as YAML 1.2 has it.
- A text in braces or brackets that ends with a blank and a dash, such as `{a: b -}`, needs quotes.
- At most 10 MB a file, 64 levels of nesting, and a million characters repeated through aliases.
"""

import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import yaml
import yaml_rs
from msgspec import Struct

from hanse.foundation.diagnostics import Diagnostic, Place, in_order

MAX_BYTES = 10_000_000
MAX_DEPTH = 64
MAX_REPEATED = 1_000_000  # characters that aliases stand for, in one file
MAX_LOCATED = 2_000_000  # characters of a document within which places are found
MAX_FAULTS = 1000  # of one kind that are told, in one document
_NODE_COST = 16  # of an alias's target, in characters, beside the length of its text
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1

_EMPTY = frozenset(["---", "---\n"])
_MARKER = re.compile(r"^(?:---|\.\.\.)(?=[ \t\n]|\Z)", re.MULTILINE)
_ENDED = re.compile(r"\.\.\.(?=\s|\Z)")
_PROLOG = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*(?:%[^\n]*\n?)+")
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_VERSION_1_2 = re.compile(r"%YAML[ \t]+1\.2[ \t]*(?:#.*)?")
_NOT_PRINTABLE = re.compile(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAKS_OF_YAML_1_1 = re.compile(r"[\x85\u2028\u2029]")
_DEEP_BLOCKS = re.compile(r"\n[ \t?:-]{40}")  # two levels take a column at least
_PROPERTIES = re.compile(r"[&*!](?<!\w[&*!])")  # where an anchor, an alias or a tag may begin
_AFTER_A_NAME = frozenset(["", *" \t\n,[]{}"])
_RUST_ERROR = re.compile(r"YAML parse error at line (\d+), column (\d+)\n")

_ALIAS_LIMITS = yaml_rs.AliasLimits(100_000, 8)  # a second wall: nodes repeated, aliases within aliases
_MAX_QUOTED = 60
_HEAD = ("apiVersion", "kind")  # what every document has, of Hanse's and of Kubernetes'
_FEW = 10  # lines that a message names
_Finding = tuple[str, str, str]  # code, message, advice
_NUL: _Finding = ("control-character", "this text contains a NUL character", "take it out")
_TOO_DEEP: _Finding = ("too-deep", f"this is nested more than {MAX_DEPTH} levels deep", "make it flatter")
_ADVICE = {
    "tabs disallowed": "indent with spaces",
    "found a tab": "indent with spaces",
    "did not find expected ',' or '}'": "close the brace, or quote the value if it holds braces, as ${...} does",
    "cannot start any token": "indent with spaces; quote the value if it begins with @, ` or %",
    "did not find expected key": "check the indentation",
    "did not find expected '-' indicator": "check the indentation",
    "mapping values are not allowed": "check the indentation, or quote the value if it contains ': '",
    "unexpected character": "quote the value",
    "plain scalar cannot start with": "quote the value",
    "recursion limit exceeded": f"make it flatter: at most {MAX_DEPTH} levels",
    "unknown anchor": "set the anchor before it in the same document, or quote the value",
    "duplicate mapping key": "keep one of the two",
    "simple key expect ':'": "write 'key: value', with a space after the colon; it may be the line before",
    "could not find expected ':'": "write 'key: value', with a space after the colon; indent the lines of a text",
    "multiline quoted scalar": "end the text with the quote that it begins with",
    "unclosed bracket": "see that each { and [ is closed",
    "invalid indentation": "check the indentation, and that each { and [ before it is closed",
    "unclosed quote": "end the text with the quote that it begins with",
    "invalid trailing content after": "put the whole value in quotes of the other sort, ' or \"",
    "did not find expected alphabetic or numeric character": "quote the value if it begins with * or &",
}
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?: .*)?$", re.MULTILINE)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Document(Struct, frozen=True):
    """One document of a file: its index for `locate`, the line on which it begins (from 1), its content."""

    index: int
    line: int
    value: dict[str, Any]


class Parsed(Struct, frozen=True):
    """The sound documents of a file, and what is wrong with the others."""

    documents: list[Document]
    diagnostics: list[Diagnostic]


def parse(data: bytes, path: str) -> Parsed:
    """Read all documents of a file; `path` is only used to say where an error lies.

    A document comes back only if nothing at all is wrong with it; one broken document hides no other.
    Empty documents are left out. Never raises.
    """
    try:
        chunks = _split(_decode(data))
    except _Refused as refused:
        return Parsed([], [refused.fault.at(path)])
    documents: list[Document] = []
    faults: list[_Fault] = []
    allowance = MAX_REPEATED
    for chunk in chunks:
        if chunk.text in _EMPTY:  # of which a hostile file has a million
            continue
        repeated, found = _inspect(chunk, allowance)
        allowance -= repeated
        value = None
        if not found:
            value, found = _read(chunk)
        if value is not None and not found:
            documents.append(Document(chunk.index, chunk.line, value))
        faults += found
    return Parsed(documents, in_order(fault.at(path) for fault in faults) if faults else [])


def locate(
    data: bytes, document_index: int, path: Sequence[str | int], *, key: bool = False
) -> tuple[int, int]:
    """Find line and column (from 1) of the value at `path` in a document, or with `key` of its key.

    A path that does not exist leads to its nearest existing parent; a document that cannot be read,
    or does not exist, to its beginning. What an alias stands for lies at its anchor. Never raises.
    """
    chunks = _chunks(data)
    if not 0 <= document_index < len(chunks):
        return 1, 1
    chunk = chunks[document_index]
    node = _compose(chunk.text)
    if node is None:
        return chunk.line, 1
    mark = node.start_mark
    for part in path:
        pair = _child(node, part)
        if pair is None:
            break
        key_node, node = pair
        mark = (key_node if key else node).start_mark
    return chunk.line + mark.line, mark.column + 1


def tokens(text: str) -> list[Any] | None:
    """PyYAML's tokens of a text whose line breaks are newlines, for `layout`; None where PyYAML cannot read it."""
    try:
        return list(yaml.scan(_legible(text), _Loader))
    except yaml.YAMLError:
        return None


class _Fault(Struct, frozen=True):
    """A Diagnostic in the making: an error that does not know its file yet."""

    code: str
    message: str
    advice: str
    line: int
    column: int

    def at(self, path: str) -> Diagnostic:
        return Diagnostic("error", self.code, self.message, self.advice, Place(path, self.line, self.column))


class _Refused(Exception):
    """The file as a whole cannot be read."""

    def __init__(self, fault: _Fault) -> None:
        self.fault = fault


class _Chunk(Struct, frozen=True):
    """The text of one document, beginning at its `---` if it has one; `line` counts from 1."""

    index: int
    line: int
    text: str
    """Directives are comments in it, so that it is a document even where they stand alone."""
    prolog: str = ""
    """What the text begins with, up to its last directive, as it was written."""

    def fault(self, code: str, message: str, advice: str, mark: Any = None) -> _Fault:
        """Place a fault at a mark of PyYAML's within this chunk, or at the chunk's beginning."""
        if mark is None:
            return _Fault(code, message, advice, self.line, 1)
        return _Fault(code, message, advice, self.line + mark.line, mark.column + 1)


# --- from bytes to chunks -------------------------------------------------------------------------


def _decode(data: bytes) -> str:
    """Give the text, all its line breaks as newlines."""
    if len(data) > MAX_BYTES:
        message = f"the file has more than {MAX_BYTES:,} bytes"
        raise _Refused(_Fault("file-too-large", message, "split it into several files", 1, 1))
    try:
        text = data.decode()
    except UnicodeDecodeError as wrong:
        before = _with_newlines(data[: wrong.start].decode())
        message = f"byte 0x{data[wrong.start]:02x} is not UTF-8"
        raise _Refused(_fault_after(before, "not-utf8", message, "save the file as UTF-8")) from None
    text = _with_newlines(text.removeprefix("\ufeff"))
    unprintable = _NOT_PRINTABLE.search(text)
    if unprintable:
        message = f"the character U+{ord(unprintable[0]):04X} is not allowed in YAML"
        raise _Refused(_fault_after(text[: unprintable.start()], "control-character", message, "take it out"))
    return text


def _with_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _fault_after(before: str, code: str, message: str, advice: str) -> _Fault:
    return _Fault(code, message, advice, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _split(text: str) -> list[_Chunk]:
    """Cut a file at its document markers; nothing else of YAML can stand at the beginning of such a line."""
    if "---" not in text and "..." not in text:
        return [_chunk(0, 1, text)]
    chunks: list[_Chunk] = []
    begin, line = 0, 1
    for end in [*(marker.start() for marker in _MARKER.finditer(text)), len(text)]:
        part = text[begin:end]
        if part:
            chunks.append(_chunk(len(chunks), line, f"   {part[3:]}" if _ENDED.match(part) else part))
        begin, line = end, line + part.count("\n")
    return chunks


def _chunk(index: int, line: int, text: str) -> _Chunk:
    prolog = _PROLOG.match(text) if "%" in text else None
    if prolog is None:
        return _Chunk(index, line, text)
    return _Chunk(index, line, _DIRECTIVE.sub("#", prolog[0]) + text[prolog.end() :], prolog[0])


@lru_cache(maxsize=2)
def _chunks(data: bytes) -> list[_Chunk]:
    """Split a file for `locate`, which is asked about one file many times."""
    try:
        return _split(_decode(data))
    except _Refused:
        return []


# --- is it harmless? ------------------------------------------------------------------------------


def _inspect(chunk: _Chunk, allowance: int) -> tuple[int, list[_Fault]]:
    """Look for what must not reach yaml-rs, or would pass it in silence.

    Gives the characters repeated by aliases, and the faults. Most documents cannot hold any; of the others
    only those that PyYAML can follow to their end go on to yaml-rs, whose stack they could overflow.
    """
    faults = list(islice(_directives(chunk), MAX_FAULTS)) if chunk.prolog else []
    if faults or not (_DEEP_BLOCKS.search(f"\n{chunk.text}") or _PROPERTIES.search(chunk.text)):
        return 0, faults
    inspection = _Inspection(chunk, allowance)
    try:
        inspection.run()
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        problem = getattr(wrong, "problem", None) or "this cannot be read"
        inspection.faults.append(chunk.fault("invalid-yaml", problem, _advice(problem), mark))
    return inspection.repeated, inspection.faults


def _directives(chunk: _Chunk) -> Iterator[_Fault]:
    for number, line in enumerate(chunk.prolog.split("\n")):
        if line.startswith("%") and not _VERSION_1_2.fullmatch(line):
            message = f"the directive {_short(line)} is not supported"
            yield _Fault("yaml-directive", message, "take the line out", chunk.line + number, 1)


class _Size(Struct):
    """What a node, with all that is below it, costs in characters, and how many levels it has."""

    cost: int
    height: int

    def add(self, below: "_Size") -> None:
        self.cost += below.cost
        self.height = max(self.height, below.height + 1)


class _Inspection:
    """Watches the events of one document go by, for tags, for depth and for what aliases stand for."""

    def __init__(self, chunk: _Chunk, allowance: int) -> None:
        self.chunk = chunk
        self.allowance = allowance
        self._text = _legible(chunk.text)
        self.repeated = 0
        self.faults: list[_Fault] = []
        self._open: list[tuple[str | None, _Size]] = []
        self._anchors: dict[str, _Size | None] = {}  # None: its collection is still open

    def run(self) -> None:
        """Read the document until its end, or the first thing that makes it dangerous."""
        for event in yaml.parse(self._text, _Loader):
            if not self._step(event) or len(self.faults) >= MAX_FAULTS:
                return

    def _step(self, event: Any) -> bool:
        tag = getattr(event, "tag", None)
        if tag is not None:
            message = f"the tag {_short(tag.replace('tag:yaml.org,2002:', '!!'))} is not supported"
            self._fault(
                event,
                "yaml-tag",
                message,
                "quote the value if it is text that begins with !; else take the tag out",
            )
        if not self._name_is_plain(event):
            return False
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if isinstance(event, yaml.CollectionStartEvent):
            return self._enter(event)
        if isinstance(event, yaml.ScalarEvent):
            self._close(event.anchor, _Size(_NODE_COST + len(event.value), 0))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(*self._open.pop())
        return True

    def _name_is_plain(self, event: Any) -> bool:
        """Refuse names that go on for yaml-rs where they have ended for PyYAML: `&a:` is one of them."""
        name = getattr(event, "anchor", None)
        if name is None:
            return True
        after = event.start_mark.index + 1 + len(name)
        if self._text[after : after + 1] in _AFTER_A_NAME:
            return True
        advice = "use letters, digits, - and _, and a space after them"
        self._fault(event, "invalid-yaml", "the name of this anchor or alias is not supported", advice)
        return False

    def _enter(self, event: Any) -> bool:
        self._open.append((event.anchor, _Size(_NODE_COST, 1)))
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        return self._fits(event, 0)

    def _close(self, anchor: str | None, size: _Size) -> None:
        if anchor is not None:
            self._anchors[anchor] = size
        if self._open:
            self._open[-1][1].add(size)

    def _alias(self, event: Any) -> bool:
        if event.anchor not in self._anchors:
            return True  # yaml-rs will say so
        size = self._anchors[event.anchor]
        if size is None:
            message = f"the alias *{event.anchor} stands within what it stands for"
            self._fault(event, "alias-to-itself", message, "write the value out")
            return False
        self.repeated += size.cost
        if self.repeated > self.allowance:
            message = f"aliases of this file stand for more than {MAX_REPEATED:,} characters"
            self._fault(event, "alias-too-large", message, "write the values out, in several files")
            return False
        self._close(None, size)
        return self._fits(event, size.height)

    def _fits(self, event: Any, height: int) -> bool:
        if len(self._open) + height <= MAX_DEPTH:
            return True
        self._fault(event, *_TOO_DEEP)
        return False

    def _fault(self, event: Any, code: str, message: str, advice: str) -> None:
        self.faults.append(self.chunk.fault(code, message, advice, event.start_mark))


# --- what does it mean? ---------------------------------------------------------------------------


def _read(chunk: _Chunk) -> tuple[dict[str, Any] | None, list[_Fault]]:
    """Give the content of a document (None: empty) and what is wrong with it."""
    text = chunk.text
    if text.rstrip().endswith(("|", ">")):  # else yaml-rs reads an empty block at the end as a line break
        text += "\n...\n"
    try:
        value: Any = yaml_rs.loads(text, parse_datetime=False, alias_limits=_ALIAS_LIMITS)
    except yaml_rs.YAMLDecodeError as wrong:
        return None, _syntax_faults(chunk, str(wrong))
    except (
        Exception
    ) as wrong:  # such as a number of five thousand digits; whatever it is, it is the file's fault
        return None, [chunk.fault("invalid-yaml", f"this cannot be read: {_short(str(wrong))}", "")]
    if value is None or (isinstance(value, dict) and _is_plain(value)):
        return value, []
    if isinstance(value, dict):
        return None, list(islice(_oddities(value, _compose(chunk.text), chunk), MAX_FAULTS))
    return None, [_not_a_mapping(chunk)]


def _syntax_faults(chunk: _Chunk, wrong: str) -> list[_Fault]:
    problem = wrong.rsplit("\n", 1)[-1]
    if problem.startswith("duplicate mapping key"):
        return list(islice(_duplicates(chunk), MAX_FAULTS)) or [
            chunk.fault("duplicate-key", problem, _advice(problem))
        ]
    conflict = _CONFLICT.search(chunk.text)
    if conflict:
        line = chunk.line + chunk.text.count("\n", 0, conflict.start())
        advice = "keep one of its sides, and take out the lines of <, = and >"
        return [_Fault("merge-conflict", "a conflict of a merge stands here, unresolved", advice, line, 1)]
    place = _RUST_ERROR.match(wrong)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    return [_Fault("invalid-yaml", problem, _advice(problem), chunk.line + line - 1, column)]


def _duplicates(chunk: _Chunk) -> Iterator[_Fault]:
    """Find every key that stands in its mapping already; yaml-rs tells one of them, without its place."""
    root = _compose(chunk.text)
    waiting = [root] if root else []
    met: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in met or isinstance(node, yaml.ScalarNode):
            continue
        met.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            waiting += reversed(node.value)
            continue
        waiting += (part for pair in reversed(node.value) for part in reversed(pair))
        if node is root and (begins := _unseparated(node)):
            yield _no_separator(chunk, begins)
            continue
        first_lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in first_lines:
                line = first_lines[key.value]
                message = f"the key {_short(key.value)} stands in this mapping already, on line {line}"
                yield chunk.fault("duplicate-key", message, "keep one of them", key.start_mark)
            first_lines.setdefault(key.value, chunk.line + key.start_mark.line)


def _unseparated(root: Any) -> list[Any]:
    """The marks at which further documents begin in what is written as one: with a key that all of them have again."""
    names = [key.value if isinstance(key, yaml.ScalarNode) else "" for key, _ in root.value]
    if not all(names.count(name) > 1 for name in _HEAD):
        return []
    met: set[str] = set()
    marks = []
    for (key, _), name in zip(root.value, names, strict=True):
        if name in _HEAD and name in met:
            met.clear()
            marks.append(key.start_mark)
        if name in _HEAD:
            met.add(name)
    return marks


def _no_separator(chunk: _Chunk, begins: list[Any]) -> _Fault:
    first, *others = begins
    lines = ", ".join(str(chunk.line + mark.line) for mark in others[:_FEW])
    more = f" and {len(others) - _FEW} more" if len(others) > _FEW else ""
    also = f"; so it is on line {lines}{more}" if others else ""
    message = f"another document begins here, and nothing parts it from the one before{also}"
    return chunk.fault("no-separator", message, "write --- on a line of its own before each", first)


def _not_a_mapping(chunk: _Chunk) -> _Fault:
    message, advice = "a document must be a mapping", "begin with apiVersion and kind"
    events = yaml.parse(_legible(chunk.text), _Loader)
    try:
        mark = next(event.start_mark for event in events if isinstance(event, yaml.NodeEvent))
    except (yaml.YAMLError, StopIteration):
        mark = None
    return chunk.fault("not-a-mapping", message, advice, mark)


def _is_plain(document: dict[str, Any]) -> bool:
    """Say quickly whether a document holds nothing odd; if it does, `_oddities` says what and where."""
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            items = container
            if type(container) is dict:
                for key in container:
                    if type(key) is not str or key == "<<" or "\0" in key:
                        return False
                items = container.values()
            for item in items:
                sort = type(item)
                if sort is str:
                    if "\0" in item:
                        return False
                elif sort is dict or sort is list:
                    below.append(item)
                elif _odd_scalar(item):
                    return False
        if not below:
            return True
        level = below
    return False


def _oddities(value: Any, node: Any, chunk: _Chunk, depth: int = 1) -> Iterator[_Fault]:
    """Say of everything that JSON could not hold, or that would surprise, what is odd and where.

    `node` is PyYAML's for the same value, or None where the two libraries disagree about its shape.
    """
    mark = node and node.start_mark
    if not isinstance(value, dict | list):
        odd = _odd_scalar(value)
        if odd:
            yield chunk.fault(*odd, mark)
    elif depth > MAX_DEPTH:
        yield chunk.fault(*_TOO_DEEP, mark)
    elif isinstance(value, list):
        for item, item_node in zip(value, _items(node, len(value)), strict=True):
            yield from _oddities(item, item_node, chunk, depth + 1)
    else:
        for (key, item), (key_node, item_node) in zip(value.items(), _pairs(node, len(value)), strict=True):
            odd = _odd_key(key)
            if odd:
                yield chunk.fault(*odd, key_node and key_node.start_mark)
            yield from _oddities(item, item_node, chunk, depth + 1)


def _odd_key(key: Any) -> _Finding | None:
    if type(key) is not str:
        return "key-not-text", "this key is not text", "put it in quotes"
    if key == "<<":
        return "merge-key", "merge keys (<<) are not supported", "write the fields out"
    return _NUL if "\0" in key else None


def _odd_scalar(value: Any) -> _Finding | None:
    if type(value) is str:
        return _NUL if "\0" in value else None
    if type(value) is int and not _MIN_INTEGER <= value <= _MAX_INTEGER:
        return "integer-too-large", "this number does not fit 64 bits", "quote it if it is a name or an id"
    if type(value) is float and not math.isfinite(value):
        return "number-not-finite", f"{value} is no finite number", "quote it if it is text"
    return None


# --- where does it lie? ---------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _compose(text: str) -> Any | None:
    """Make PyYAML's tree of nodes with their places, or None where PyYAML cannot read the document.

    A tree takes hundreds of times the room of its text, hence the limit.
    """
    if len(text) > MAX_LOCATED:
        return None
    legible = _legible(text)
    try:
        if _depth_fits(legible):  # for compose recurses in C
            return yaml.compose(legible, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        pass
    return None


def _depth_fits(text: str) -> bool:
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > 2 * MAX_DEPTH:
                return False
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return True


def _legible(text: str) -> str:
    """Hide from PyYAML, which is of YAML 1.1, what it would take for line breaks."""
    return text if text.isascii() else _BREAKS_OF_YAML_1_1.sub("?", text)


def _child(node: Any, part: str | int) -> tuple[Any, Any] | None:
    """Step down into a key or an index: the node of the key (the item itself in a list) and of the value."""
    if isinstance(node, yaml.MappingNode):
        name = _legible(str(part))
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == name:
                return key, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _pairs(node: Any, count: int) -> list[tuple[Any, Any]]:
    fits = isinstance(node, yaml.MappingNode) and len(node.value) == count
    return node.value if fits else [(None, None)] * count


def _items(node: Any, count: int) -> list[Any]:
    fits = isinstance(node, yaml.SequenceNode) and len(node.value) == count
    return node.value if fits else [None] * count


def _advice(problem: str) -> str:
    return next((advice for known, advice in _ADVICE.items() if known in problem), "")


def _short(text: str) -> str:
    """Quote a word of the file in a message: one line, and not a megabyte of it."""
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[: _MAX_QUOTED - 1]}…")
