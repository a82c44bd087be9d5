"""What a CEL expression says, as a tree with places; refuses what is too long, too deep, or no use in a policy.

The library that evaluates sees only what came through here. So its parser never meets broken text, each mistake is told
in our words at its character, and what an expression names and may cost is known before anything runs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NoReturn

MAX_LENGTH = 4096
"""Characters of an expression."""
MAX_NESTING = 32
"""Brackets, calls and signs within one another."""
MAX_DEPTH = 64
"""Levels of the tree: a chain of operators or fields is deep too. One of `&&` or of `||` is not."""
LOOPS = ("all", "exists", "exists_one", "filter", "map")
"""Macros that ask each element of a list in turn; the first argument names it."""
_LOOP_ARGUMENTS = 2

_TOKEN = re.compile(
    r"""(?P<space>(?:[ \t\r\n\f]+|//[^\n]*)+)
    |(?P<string>[rR]?(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}
        |"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*'))
    |(?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||&&|[=!<>]=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(
    r"""\\(?:[abfnrtv\\?"'`]|[xX][0-9a-fA-F]{2}|u(?!D[89ABab])[0-9a-fA-F]{4}|[0-3][0-7]{2}|(?P<odd>.))""",
    re.DOTALL,
)
_RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"==", "!=", "<", "<=", ">", ">=", "in"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
"""Operators between two values, from the loosest to the closest."""
_WRITTEN = {"and": "&&", "or": "||", "not": "!", "is": "=="}
"""Words of other languages, and what CEL has for them."""
_AND = 1
"""Down to this level a chain is one operation with many parts."""
_MAX_INTEGER = 2**63 - 1
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Wrong(Exception):
    """A mistake in an expression: at which character (from 0), what is wrong, what to do. Never leaves this package."""

    def __init__(self, at: int, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.at, self.message, self.advice = at, message, advice


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression."""

    at: int
    """Where it stands: the character, from 0, at which a reader would point."""
    parts: tuple[Node, ...] = ()
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A value that is written down."""

    type: str = ""
    text: str = ""
    """As it is written; of a string, what it means, but for escapes other than of a backslash."""
    is_plain: bool = True
    """Whether `text` is just what it means."""


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Select(Node):
    """A field of its only part; with `test`, whether it is there."""

    field: str = ""
    test: bool = False


@dataclass(frozen=True, slots=True)
class Index(Node):
    """An element of the first part, by the second."""


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function of its parts; where it is called on something, that is the first of them."""

    name: str = ""
    on: bool = False


@dataclass(frozen=True, slots=True)
class Loop(Node):
    """A macro over the elements of its first part; the second is asked with each element as the variable."""

    name: str = ""
    variable: str = ""


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """A list that is written down."""


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """A map that is written down: key, value, key, value."""


@dataclass(frozen=True, slots=True)
class Operation(Node):
    """An operator between its parts: two, one for a sign before a value, three for `?:`, many for `&&` and `||`."""

    sign: str = ""


@dataclass(frozen=True, slots=True)
class _Token:
    sort: str
    text: str
    at: int


def parse(text: str) -> Node:
    """The tree of an expression. Raises Wrong with the first mistake."""
    if len(text) > MAX_LENGTH:
        raise Wrong(MAX_LENGTH, f"this is longer than {MAX_LENGTH} characters", "make it several policies")
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _no_token(text, at)
        sort = str(match.lastgroup)
        if sort != "space":
            found.append(_Token(sort, match[0], at))
        at = match.end()
        if sort in ("int", "double", "name") and at < len(text) and re.match(r"[\w\"']", text[at]):
            if sort == "name" and text[at] in "\"'":
                raise Wrong(
                    at - len(match[0]),
                    "bytes have no use in a policy",
                    "write a text without a letter before it",
                )
            if sort == "int" and text[at] in "uU":
                raise Wrong(at, "unsigned numbers have no use in a policy", "leave the 'u' out")
            raise Wrong(at, f"{text[at]!r} has no meaning here", "")
    return [*found, _Token("end", "", len(text))]


def _no_token(text: str, at: int) -> Wrong:
    sign = text[at]
    if sign in "\"'":
        return Wrong(at, "this text has no end", f"close it with {sign}")
    others = {"=": "write '==' to compare", "&": "write '&&'", "|": "write '||'"}
    return Wrong(at, f"{sign!r} has no meaning here", others.get(sign, ""))


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._nesting = 0
        self._open: list[_Token] = []
        """Brackets that are not closed yet."""

    def whole(self) -> Node:
        node = self._expression()
        if self._ahead.sort != "end":
            raise self._unexpected("an operator such as && or ==")
        return node

    @property
    def _ahead(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _is(self, *signs: str) -> bool:
        return self._ahead.sort == "sign" and self._ahead.text in signs

    def _expect(self, sign: str, for_what: str) -> _Token:
        if not self._is(sign):
            if self._ahead.sort == "end" and self._open:
                opening = self._open[-1]
                closing = _CLOSING[opening.text]
                advice = f"write '{closing}' where what it holds ends"
                raise Wrong(opening.at, f"this '{opening.text}' is not closed", advice)
            raise self._unexpected(f"'{sign}' {for_what}")
        return self._take()

    def _close(self, for_what: str) -> None:
        """Take the sign that closes the bracket which was opened last."""
        self._expect(_CLOSING[self._open[-1].text], for_what)
        self._open.pop()

    def _unexpected(self, wanted: str) -> Wrong:
        token = self._ahead
        found = f"'{token.text}'" if token.text else "the end"
        advice = ""
        if token.sort == "sign" and token.text in _CLOSING.values() and not self._open:
            advice = "take it out, or write the bracket that it closes"
        return _foreign(token) or Wrong(token.at, f"expected {wanted}, and here is {found}", advice)

    def _deeper(self, at: int) -> None:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            self._too_deep(at)

    @staticmethod
    def _too_deep(at: int) -> NoReturn:
        raise Wrong(at, f"this is nested deeper than {MAX_NESTING} levels", "make it several policies")

    def _depth(self, at: int, *parts: Node) -> int:
        depth = 1 + max((part.depth for part in parts), default=0)
        if depth > MAX_DEPTH:
            raise Wrong(at, f"this is a chain of more than {MAX_DEPTH} parts", "make it several policies")
        return depth

    def _expression(self) -> Node:
        condition = self._binary(0)
        if not self._is("?"):
            return condition
        at = self._take().at
        self._deeper(at)
        yes = self._binary(0)
        self._expect(":", "and what holds otherwise")
        no = self._expression()
        self._nesting -= 1
        parts = (condition, yes, no)
        return Operation(at, parts, self._depth(at, *parts), sign="?:")

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._signed()
        node = self._binary(level + 1)
        while self._ahead.text in _LEVELS[level] and self._ahead.sort in ("sign", "name"):
            token = self._take()
            other = self._binary(level + 1)
            chained = level <= _AND and isinstance(node, Operation) and node.sign == token.text
            parts = (*node.parts, other) if chained else (node, other)
            node = Operation(token.at, parts, self._depth(token.at, *parts), sign=token.text)
        return node

    def _signed(self) -> Node:
        if not self._is("!", "-"):
            return self._member()
        token = self._take()
        self._deeper(token.at)
        inner = self._signed()
        self._nesting -= 1
        return Operation(token.at, (inner,), self._depth(token.at, inner), sign=token.text)

    def _member(self) -> Node:
        node = self._primary()
        while self._is(".", "["):
            sign = self._take()
            if sign.text == "[":
                self._deeper(sign.at)
                self._open.append(sign)
                key = self._expression()
                self._nesting -= 1
                self._close("after the key")
                node = Index(sign.at, (node, key), self._depth(sign.at, node, key))
                continue
            name = self._field()
            if self._is("("):
                node = self._called(name, node)
            else:
                node = Select(name.at, (node,), self._depth(name.at, node), field=name.text)
        return node

    def _field(self) -> _Token:
        token = self._ahead
        if token.sort != "name":
            raise self._unexpected("the name of a field")
        if token.text in ("in", "true", "false", "null"):
            raise Wrong(
                token.at,
                f"'{token.text}' is a word of CEL",
                f'write ["{token.text}"] instead of .{token.text}',
            )
        return self._take()

    def _called(self, name: _Token, target: Node | None) -> Node:
        opening = self._take()
        self._deeper(opening.at)
        self._open.append(opening)
        arguments = self._several(")")
        self._nesting -= 1
        if target is not None and name.text in LOOPS and len(arguments) == _LOOP_ARGUMENTS:
            variable, body = arguments
            if not isinstance(variable, Name):
                advice = f"write {name.text}(x, …), and x for each element in what follows"
                raise Wrong(
                    variable.at, f"the first argument of '{name.text}' is a name for each element", advice
                )
            parts: tuple[Node, ...] = (target, body)
            return Loop(name.at, parts, self._depth(name.at, *parts), name=name.text, variable=variable.name)
        if name.text == "has" and target is None:
            field = arguments[0] if len(arguments) == 1 else None
            if not isinstance(field, Select) or field.test:
                advice = "write has(project.tags.confidentiality)"
                raise Wrong(name.at, "'has' asks whether a field is there", advice)
            return Select(field.at, field.parts, field.depth, field=field.field, test=True)
        parts = arguments if target is None else (target, *arguments)
        return Call(name.at, parts, self._depth(name.at, *parts), name=name.text, on=target is not None)

    def _several(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._is(end):
            found.append(self._expression())
            if not self._is(end):
                self._expect(",", f"or '{end}'")
                if self._is(end) and end == ")":
                    raise self._unexpected("an argument")
        self._close("")
        return tuple(found)

    def _primary(self) -> Node:
        token = self._ahead
        if token.sort == "sign" and token.text in ("(", "[", "{"):
            self._take()
            self._deeper(token.at)
            self._open.append(token)
            node = self._bracket(token)
            self._nesting -= 1
            return node
        if token.sort == "name":
            return self._word(self._take())
        if token.sort in ("int", "double"):
            self._take()
            if (
                token.sort == "int"
                and int(token.text, 0 if token.text.startswith("0x") else 10) > _MAX_INTEGER
            ):
                raise Wrong(token.at, "this number does not fit 64 bits")
            if token.sort == "double" and math.isinf(float(token.text)):
                raise Wrong(token.at, "this number is too large")
            return Constant(token.at, type=token.sort, text=token.text)
        if token.sort == "string":
            return _string(self._take())
        raise self._unexpected("a value")

    def _bracket(self, opening: _Token) -> Node:
        at = opening.at
        if opening.text == "(":
            node = self._expression()
            self._close("to close the bracket")
            return node
        if opening.text == "[":
            parts = self._several("]")
            return ListOf(at, parts, self._depth(at, *parts))
        pairs: list[Node] = []
        while not self._is("}"):
            pairs.append(self._expression())
            self._expect(":", "after a key")
            pairs.append(self._expression())
            if not self._is("}"):
                self._expect(",", "or '}'")
        self._close("")
        return MapOf(at, tuple(pairs), self._depth(at, *pairs))

    def _word(self, token: _Token) -> Node:
        if token.text in ("true", "false"):
            return Constant(token.at, type="bool", text=token.text)
        if token.text == "null":
            return Constant(token.at, type="null_type", text=token.text)
        if token.text in _RESERVED or token.text == "in":
            raise Wrong(
                token.at, f"'{token.text}' is a word that CEL keeps for itself", "choose another name"
            )
        if self._ahead.sort not in ("sign", "end") or self._is("(") or self._is("!"):
            wrong = _foreign(token, before_a_value=True)
            if wrong:
                raise wrong
        if self._is("("):
            return self._called(token, None)
        return Name(token.at, name=token.text)


def _foreign(token: _Token, *, before_a_value: bool = False) -> Wrong | None:
    """What is wrong with a word that only other languages have."""
    word = token.text.lower()
    if token.sort != "name" or word not in _WRITTEN or (before_a_value and word != "not"):
        return None
    advice = f"write {_WRITTEN[word]}"
    if word == "not":
        advice = "write ! before what must not be, in brackets: !(…)"
    return Wrong(token.at, f"'{token.text}' is no word of CEL", advice)


def _string(token: _Token) -> Constant:
    text = token.text
    raw = text[0] in "rR"
    text = text[1:] if raw else text
    quotes = 3 if text.startswith(('"""', "'''")) else 1
    inner = text[quotes:-quotes]
    if raw:
        return Constant(token.at, type="string", text=inner)
    plain = True
    for match in _ESCAPE.finditer(inner):
        plain = plain and match[0] == r"\\"
        if match["odd"]:
            at = token.at + quotes + match.start()
            advice = r"write \\ for a backslash, or an r before the text"
            raise Wrong(at, f"'{match[0]}' means nothing in a text", advice)
    return Constant(token.at, type="string", text=inner.replace(r"\\", "\\"), is_plain=plain)
