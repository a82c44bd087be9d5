"""How much evaluating an expression can cost at most, in steps, for subjects of some size. Told before anything runs.

The library cannot be interrupted, so what may take too long is not begun. Everything is bounded by two numbers: the
longest list and the longest text that a subject has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hanse.policy.syntax import Call, Constant, Index, ListOf, Loop, MapOf, Name, Node, Operation, Select
from hanse.policy.variables import DYN, STRING, Type

MAX_STEPS = 2_000_000
"""Of one policy on one subject: about half a second."""
_MOST = 10**12
_PER_STEP = 8
"""Characters or elements that are worked on in one step."""
_SHORT = 8
"""Length of numbers, instants and truths as text, in steps' worth."""


@dataclass(frozen=True)
class _Size:
    """Bounds of a value: its elements or characters, all that it is made of, and each element."""

    length: int
    weight: int
    element: _Size | None = None
    type: Type = DYN


class Bounds:
    """Costs for subjects whose lists and texts are no longer than this."""

    def __init__(self, longest_list: int, longest_text: int, variables: Mapping[str, Type]) -> None:
        """Set the two numbers."""
        self._list, self._text = max(longest_list, 1), max(longest_text, _SHORT)
        self._variables = variables

    def steps(self, tree: Node) -> int:
        """At most so many."""
        return self._of(tree, {})[0]

    def _natural(self, type_: Type) -> _Size:
        """A value of that type as it comes from a manifest."""
        if type_.fields is not None:
            return _Size(1, 1, type=type_)
        if type_ == STRING:
            return _Size(self._text, self._text, type=type_)
        if type_ == DYN:
            text = _Size(self._text, self._text, type=STRING)
            return _Size(max(self._list, self._text), self._list * self._text, text)
        if type_.element is not None:
            element = self._natural(type_.element)
            each = element.weight + (self._text if type_.name == "map" else 0)
            return _Size(self._list, self._list * each, element, type_)
        return _Size(1, 1, type=type_)

    def _of(self, node: Node, bound: Mapping[str, _Size]) -> tuple[int, _Size]:
        if isinstance(node, Constant):
            length = len(node.text) + 1
            return 1, _Size(length, length, type=STRING)
        if isinstance(node, Name):
            return 1, bound[node.name] if node.name in bound else self._natural(self._variables[node.name])
        cost, size = self._loop(node, bound) if isinstance(node, Loop) else self._each(node, bound)
        return min(cost, _MOST), _Size(
            min(size.length, _MOST), min(size.weight, _MOST), size.element, size.type
        )

    def _each(self, node: Node, bound: Mapping[str, _Size]) -> tuple[int, _Size]:
        told = [self._of(part, bound) for part in node.parts]
        cost = 1 + sum(each for each, _ in told)
        sizes = [size for _, size in told]
        if isinstance(node, Select):
            return cost, _Size(1, 1) if node.test else self._part(sizes[0], node.field)
        if isinstance(node, Index):
            return cost, self._part(sizes[0], "")
        weight = sum(size.weight for size in sizes)
        if isinstance(node, ListOf | MapOf):
            return cost + len(sizes), _Size(len(sizes), weight + len(sizes), _largest(sizes))
        if isinstance(node, Operation) and node.sign == "?:":
            return cost, _largest(sizes[1:]) or sizes[1]
        cost += weight // _PER_STEP
        if isinstance(node, Operation) and node.sign == "+":
            inner = [size.element for size in sizes if size.element is not None]
            return cost, _Size(sum(size.length for size in sizes), weight, _largest(inner), sizes[0].type)
        if isinstance(node, Call) and node.name == "string":
            return cost, _Size(weight + 32, weight + 32, type=STRING)
        return cost, _Size(1, 1)

    def _part(self, size: _Size, field: str) -> _Size:
        if size.type.fields is not None:
            return self._natural(size.type.fields[field].type)
        return size.element or self._natural(DYN)

    def _loop(self, node: Loop, bound: Mapping[str, _Size]) -> tuple[int, _Size]:
        range_, body = node.parts
        cost, over = self._of(range_, bound)
        key = _Size(self._text, self._text, type=STRING)
        element = key if over.type.name == "map" else over.element or self._natural(DYN)
        each, made = self._of(body, {**bound, node.variable: element})
        cost += over.length * (2 + each)
        if node.name in ("filter", "map"):
            cost += over.length**2 // 2  # the library copies the list that it makes, for each element
        if node.name == "filter":
            return cost, over
        if node.name == "map":
            return cost, _Size(over.length, over.length * (made.weight + 1), made)
        return cost, _Size(1, 1)


def _largest(sizes: list[_Size]) -> _Size | None:
    """One that bounds all of them."""
    if not sizes:
        return None
    inner = _largest([size.element for size in sizes if size.element is not None])
    return _Size(max(size.length for size in sizes), max(size.weight for size in sizes), inner, sizes[0].type)
