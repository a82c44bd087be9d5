"""The CEL library, behind one class: the only module that knows it. It is given only what `checking` found sound."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from hanse.policy.checking import Expression, pattern

if TYPE_CHECKING:
    import cel

_OURS = "_of_hanse"
"""Ends the name of a function that is not left to the library. Its `matches` makes a regular expression ready each
time it is asked, which may take a second; its `size` of a text counts bytes, where CEL counts characters.
"""
_QUOTED = 60


class Failed(Struct, frozen=True):
    """An expression gave no answer: why."""

    message: str
    missing: str = ""
    """The field or key that was not there."""


class Values:
    """The variables of one subject after the other; what stays the same is handed over once."""

    def __init__(self, patterns: set[str]) -> None:
        """Begin without variables; `patterns` are all regular expressions that will be asked for."""
        ready = {text: found for text in patterns if (found := pattern(text)) is not None}
        functions = {
            f"matches{_OURS}": lambda text, sought: ready[sought].is_valid(text),
            f"size{_OURS}": len,
        }
        self.context = _library().Context({}, functions)

    def set(self, name: str, value: Any) -> None:
        """Give a variable its value: plain values, and instants."""
        self.context.add_variable(name, value)


class Program:
    """An expression that is ready to be asked."""

    def __init__(self, expression: Expression) -> None:
        """Make it ready, once for all subjects."""
        text = expression.text
        for at, name in sorted(expression.ours.items(), reverse=True):
            end = at + len(name)
            text = f"{text[:end]}{_OURS}{text[end:]}"
        self.broken = ""
        """Why the library does not take it, though we do. Not empty is a mistake of ours."""
        try:
            self._program = _library().compile(text)
        except BaseException as problem:
            self.broken = _said(problem)

    def ask(self, values: Values) -> bool | Failed:
        """Whether it is true of the subject."""
        try:
            answer = self._program.execute(values.context)
        except KeyError as problem:
            missing = str(problem.args[0]) if problem.args else ""
            return Failed(f"there is no '{missing}'", missing)
        except BaseException as problem:
            return Failed(_reason(problem))
        if isinstance(answer, bool):
            return answer
        shown = repr(answer)
        return Failed(
            f"it gives {shown if len(shown) <= _QUOTED else shown[: _QUOTED - 1] + '…'}, not true or false"
        )


@cache
def _library() -> Any:
    """The compiled part of the library. Its package would import a shell with colours, for a third of a second."""
    name = "cel.cel"
    if name not in sys.modules:
        package = importlib.util.find_spec("cel")
        spec = PathFinder.find_spec(name, package.submodule_search_locations) if package else None
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError("common-expression-language is not installed", name=name)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    module = sys.modules[name]
    if TYPE_CHECKING:
        module = cel
    return module


def _said(problem: BaseException) -> str:
    """What the library said; a panic of its is no Exception, and must not end Hanse."""
    if isinstance(problem, KeyboardInterrupt | SystemExit):
        raise problem
    return str(problem).split("\n", maxsplit=1)[0][:200]


def _reason(problem: BaseException) -> str:
    """Why an expression gave no answer, in words of ours where the library's are known."""
    said = _said(problem)
    if isinstance(problem, TypeError):
        return "an operator or a function gets a value of another type than it takes"
    if isinstance(problem, ZeroDivisionError):
        return "it divides by zero"
    if isinstance(problem, OverflowError):
        return "a number does not fit 64 bits"
    if isinstance(problem, IndexError):
        return "a list has no element of that number"
    called = re.match(r"Function '(\w+)' error: (.*?)\.? Check function arguments", said)
    if called:
        return f"{called[1]}() cannot read what it gets: {called[2]}"
    return said
