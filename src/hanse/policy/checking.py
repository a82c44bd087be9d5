"""Does an expression hold together? Names exist, operators and functions get what they take; nothing runs yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jsonschema_rs

from hanse.foundation.diagnostics import suggest
from hanse.policy.syntax import (
    LOOPS,
    Call,
    Constant,
    Index,
    ListOf,
    Loop,
    MapOf,
    Name,
    Node,
    Operation,
    Select,
    Wrong,
    parse,
)
from hanse.policy.variables import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    VARIABLES,
    Type,
    list_of,
)

_SIMPLE = {"bool": BOOL, "int": INT, "double": DOUBLE, "string": STRING, "null_type": NULL}
_NUMBERS = (INT, DOUBLE)
_ORDERED = (INT, DOUBLE, STRING, TIMESTAMP, DURATION)
_TIME = {
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMinutes",
} | {
    "getMonth",
    "getSeconds",
}
_ON_TEXT = ("contains", "endsWith", "matches", "startsWith")
_CONVERSIONS: dict[str, tuple[Type, tuple[Type, ...]]] = {
    "int": (INT, (INT, DOUBLE, STRING)),
    "double": (DOUBLE, (INT, DOUBLE, STRING)),
    "string": (STRING, (INT, DOUBLE, STRING)),
    "duration": (DURATION, (STRING,)),
    "timestamp": (TIMESTAMP, (STRING,)),
}
FUNCTIONS = sorted({*_CONVERSIONS, *_TIME, *_ON_TEXT, *LOOPS, "size", "has"})
"""Everything that can be called."""
MAX_PATTERN = 100_000
"""Bytes that a regular expression may take when it is made ready."""


@dataclass
class Expression:
    """A sound expression, what it names, and its parts by what became known of them."""

    text: str
    tree: Node
    type: Type
    variables: set[str] = field(default_factory=set)
    used: dict[str, set[str]] = field(default_factory=dict)
    """Fields that it names, by the name of the object."""
    patterns: set[str] = field(default_factory=set)
    """Regular expressions that it looks for."""
    ours: dict[int, str] = field(default_factory=dict)
    """Functions that are not left to the library, by the character at which they stand."""


def check(text: str, on: str) -> Expression:
    """Check an expression of a policy on such subjects. Raises Wrong with the first mistake."""
    checking = _Checking(on)
    tree = parse(text)
    found = Expression(text, tree, DYN)
    checking.found = found
    found.type = checking.of(tree, {})
    if found.type not in (BOOL, DYN):
        raise Wrong(
            tree.at,
            f"this gives {_a(found.type)}, and it must give true or false",
            "compare it with something",
        )
    return found


def pattern(text: str) -> jsonschema_rs.Draft202012Validator | None:
    """What finds a regular expression in a text, in time linear in the text; None where it is unsound or too large."""
    options = jsonschema_rs.RegexOptions(size_limit=MAX_PATTERN, dfa_size_limit=MAX_PATTERN)
    try:
        return jsonschema_rs.Draft202012Validator({"pattern": text}, pattern_options=options)
    except jsonschema_rs.ValidationError:
        return None


def _a(type_: Type) -> str:
    return f"{'an' if type_.name[0] in 'aio' else 'a'} {type_}"


class _Checking:
    found: Expression

    def __init__(self, on: str) -> None:
        self._on = on
        self._variables = VARIABLES[on]

    def of(self, node: Node, bound: Mapping[str, Type]) -> Type:
        """The type of a part, where `bound` has the names that macros gave. Raises Wrong."""
        match node:
            case Constant():
                found = _SIMPLE[node.type]
            case Name():
                found = self._name(node, bound)
            case Select():
                found = self._select(node, bound)
            case Index():
                found = self._index(node, bound)
            case Loop():
                found = self._loop(node, bound)
            case ListOf():
                found = list_of(self._one_of(node.parts, bound))
            case MapOf():
                for key in node.parts[::2]:
                    if self._value(key, bound) not in (STRING, DYN):
                        raise Wrong(key.at, "a key must be a string", "put it in quotes")
                found = Type("map", self._one_of(node.parts[1::2], bound))
            case Operation():
                found = self._operation(node, bound)
            case Call():
                found = self._call(node, bound)
            case _:
                raise AssertionError(node)
        return found

    def _one_of(self, parts: tuple[Node, ...], bound: Mapping[str, Type]) -> Type:
        """The type that all of them have; where they differ, nobody knows."""
        kinds = {self._value(part, bound) for part in parts}
        return kinds.pop() if len(kinds) == 1 else DYN

    def _value(self, node: Node, bound: Mapping[str, Type]) -> Type:
        """The type of a part that is used as one value: no object, whose fields are what counts."""
        type_ = self.of(node, bound)
        if type_.has_object:
            if type_.fields is not None:
                advice = f"name one of its fields: {', '.join(type_.fields)}"
                raise Wrong(node.at, f"this is all of {_a(type_)}", advice)
            raise Wrong(node.at, f"this is {_a(type_)}", "ask it with all(x, …), exists(x, …) or size(…)")
        return type_

    def _name(self, node: Name, bound: Mapping[str, Type]) -> Type:
        if node.name in bound:
            return bound[node.name]
        if node.name in self._variables:
            self.found.variables.add(node.name)
            return self._variables[node.name]
        known = [*self._variables, *bound]
        guess = suggest(node.name, known)
        advice = f"did you mean '{guess}'?" if guess else f"known here: {', '.join(known)}"
        if any(node.name in names for names in VARIABLES.values()):
            others = [other for other, names in VARIABLES.items() if node.name in names]
            advice = f"only policies 'on: {' or '.join(others)}' have it; known here: {', '.join(known)}"
        raise Wrong(node.at, f"a policy 'on: {self._on}' has no variable '{node.name}'", advice)

    def _select(self, node: Select, bound: Mapping[str, Type]) -> Type:
        of = self.of(node.parts[0], bound)
        result = DYN
        if of.fields is not None:
            if node.field not in of.fields:
                guess = suggest(node.field, of.fields)
                advice = f"did you mean '{guess}'?" if guess else f"it has: {', '.join(of.fields)}"
                raise Wrong(node.at, f"{_a(of)} has no field '{node.field}'", advice)
            self.found.used.setdefault(of.name, set()).add(node.field)
            result = of.fields[node.field].type
        elif of.name == "map":
            result = of.element or DYN
        elif of != DYN:
            advice = "ask its elements with all(x, …) or exists(x, …)" if of.name == "list" else ""
            raise Wrong(node.at, f"{_a(of)} has no field '{node.field}'", advice)
        return BOOL if node.test else result

    def _index(self, node: Index, bound: Mapping[str, Type]) -> Type:
        of, key = self.of(node.parts[0], bound), self._value(node.parts[1], bound)
        if of.name == "list" and key in (INT, DYN):
            return of.element or DYN
        if of.name == "map" and key in (STRING, DYN):
            return of.element or DYN
        if of == DYN:
            return DYN
        if of.fields is not None:
            raise Wrong(node.at, f"{_a(of)} has fields and no keys", "write a dot and the field's name")
        raise Wrong(node.at, f"{_a(key)} is no key of {_a(of)}", "")

    def _loop(self, node: Loop, bound: Mapping[str, Type]) -> Type:
        range_, body = node.parts
        over = self.of(range_, bound)
        if over.name == "list":
            element = over.element or DYN
        elif over.name == "map":
            element = STRING
        elif over == DYN:
            element = DYN
        else:
            raise Wrong(node.at, f"'{node.name}' asks the elements of a list, and this is {_a(over)}", "")
        if node.variable in self._variables:
            raise Wrong(
                node.at, f"'{node.variable}' is a variable already", "choose another name for the element"
            )
        inner = {**bound, node.variable: element}
        if node.name == "map":
            return list_of(self._value(body, inner))
        self._must(body, inner, BOOL)
        return list_of(element) if node.name == "filter" else BOOL

    def _must(self, node: Node, bound: Mapping[str, Type], *wanted: Type) -> Type:
        type_ = self._value(node, bound)
        if type_ not in (*wanted, DYN):
            raise Wrong(
                node.at, f"expected {_a(wanted[0])}, and this is {_a(type_)}", _conversion(type_, wanted[0])
            )
        return type_

    def _operation(self, node: Operation, bound: Mapping[str, Type]) -> Type:
        sign, parts = node.sign, node.parts
        if sign in ("&&", "||", "!"):
            for part in parts:
                self._must(part, bound, BOOL)
            return BOOL
        if sign == "?:":
            self._must(parts[0], bound, BOOL)
            yes, no = (self._value(part, bound) for part in parts[1:])
            return yes if yes == no else DYN
        if len(parts) == 1:
            return self._must(parts[0], bound, *_NUMBERS)
        left, right = (self._value(part, bound) for part in parts)
        if sign == "in":
            if right.name not in ("list", "map", "dyn"):
                raise Wrong(
                    node.at,
                    f"'in' looks into a list or a map, and this is {_a(right)}",
                    "write text.contains(part)",
                )
            element = STRING if right.name == "map" else right.element or DYN
            self._alike(node, left, element)
            return BOOL
        self._alike(node, left, right)
        if sign in ("==", "!="):
            return BOOL
        if sign in ("<", "<=", ">", ">="):
            self._only(node, left, right, _ORDERED)
            return BOOL
        return self._sum(node, left, right)

    def _sum(self, node: Operation, left: Type, right: Type) -> Type:
        known = left if left != DYN else right
        if known == DYN:
            return DYN
        if TIMESTAMP in (left, right) and node.sign in "+-":
            if left == right:
                if node.sign == "-":
                    return DURATION
            elif DYN in (left, right):
                return DYN
            elif DURATION in (left, right) and (node.sign == "+" or left == TIMESTAMP):
                return TIMESTAMP
            raise Wrong(node.at, f"{_a(left)} '{node.sign}' {_a(right)} has no meaning", "")
        if node.sign == "%":
            self._only(node, left, right, (INT,))
        elif node.sign in "*/":
            self._only(node, left, right, _NUMBERS)
        elif node.sign == "-":
            self._only(node, left, right, (*_NUMBERS, DURATION))
        elif known.name != "list":
            self._only(node, left, right, (*_NUMBERS, STRING, DURATION))
        return left if left == right else known if DYN in (left, right) and known.name != "list" else DYN

    @staticmethod
    def _only(node: Operation, left: Type, right: Type, allowed: tuple[Type, ...]) -> None:
        for type_ in (left, right):
            if type_ not in (*allowed, DYN):
                takes = ", ".join(map(str, allowed))
                raise Wrong(node.at, f"'{node.sign}' takes {takes}, and this is {_a(type_)}", "")

    @staticmethod
    def _alike(node: Operation, left: Type, right: Type) -> None:
        """Types that can be compared: equal ones, two numbers to compare, and whatever nobody knows yet."""
        compares = node.sign in ("==", "!=", "<", "<=", ">", ">=", "in")
        if (
            DYN in (left, right)
            or NULL in (left, right)
            or (compares and left in _NUMBERS and right in _NUMBERS)
        ):
            return
        if left.name == right.name:
            return
        if {left, right} == {TIMESTAMP, DURATION} and node.sign in "+-":
            return
        advice = _conversion(right, left) or _conversion(left, right)
        raise Wrong(node.at, f"'{node.sign}' stands between {_a(left)} and {_a(right)}", advice)

    def _call(self, node: Call, bound: Mapping[str, Type]) -> Type:
        name, parts = node.name, node.parts
        if name == "size" and len(parts) == 1:
            type_ = self.of(parts[0], bound)
            if type_.name not in ("list", "map", "string", "dyn"):
                raise Wrong(node.at, f"{_a(type_)} has no size", "")
            if type_ in (STRING, DYN):
                self.found.ours[node.at] = name
            return INT
        if name in _CONVERSIONS and len(parts) == 1 and not node.on:
            result, takes = _CONVERSIONS[name]
            self._must(parts[0], bound, *takes)
            return result
        if name in _ON_TEXT and node.on and len(parts) == 2:  # noqa: PLR2004
            for part in parts:
                self._must(part, bound, STRING)
            if name == "matches":
                self._pattern(parts[1])
                self.found.ours[node.at] = name
            return BOOL
        if name in _TIME and node.on and len(parts) == 1:
            takes = (
                (TIMESTAMP, DURATION) if name in ("getHours", "getMinutes", "getSeconds") else (TIMESTAMP,)
            )
            self._must(parts[0], bound, *takes)
            return INT
        raise self._no_function(node)

    @staticmethod
    def _no_function(node: Call) -> Wrong:
        name = node.name
        if name in LOOPS:
            message = f"'{name}' is asked of a list and takes 2 arguments"
            return Wrong(node.at, message, f"write list.{name}(x, …), and x for each element in what follows")
        if name in _ON_TEXT:
            return Wrong(
                node.at, f"'{name}' is asked of a text and takes 1 argument", f'write text.{name}("…")'
            )
        if name in _TIME:
            advice = f"write grant.until.{name}(); it is told in UTC"
            return Wrong(node.at, f"'{name}' is asked of a timestamp and takes no argument", advice)
        if name in (*_CONVERSIONS, "size", "has"):
            return Wrong(node.at, f"'{name}' takes 1 argument", f"write {name}(…)")
        guess = suggest(name, FUNCTIONS)
        advice = f"did you mean '{guess}'?" if guess else f"known: {', '.join(FUNCTIONS)}"
        return Wrong(node.at, f"there is no function '{name}'", advice)

    def _pattern(self, written: Node) -> None:
        if not isinstance(written, Constant) or not written.is_plain:
            advice = r"""write it as a raw text, such as r"@example\.org$" """.strip()
            raise Wrong(written.at, "what 'matches' looks for must be written down as it is", advice)
        if pattern(written.text) is None:
            advice = "no look-ahead, no back-reference; {n,m} with small numbers"
            raise Wrong(written.at, "this is no regular expression, or too large a one", advice)
        self.found.patterns.add(written.text)


def _conversion(has: Type, wanted: Type) -> str:
    """How to make one type of another, where that is plain."""
    if wanted.name in ("int", "double") and has == STRING:
        return "take the quotes away, or write int(…)"
    if wanted == STRING and has in _NUMBERS:
        return "put it in quotes, or write string(…)"
    if wanted == TIMESTAMP and has == STRING:
        return 'write timestamp("2026-12-31T00:00:00Z")'
    if wanted == DURATION and has in (STRING, INT):
        return 'write duration("720h")'
    if wanted == BOOL:
        return "compare it with something"
    return ""
