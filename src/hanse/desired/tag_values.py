"""What one definition of a tag takes as a value, and how to write it right where it is wrong.

Patterns are matched by an engine whose time is linear in the text, and of bounded size: a pattern comes from a commit,
and nobody's pattern may hold up the checks of everybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import NamedTuple

import jsonschema_rs

from hanse.desired.findings import Steps
from hanse.desired.kinds import SingleTagValue, TagDefinition, TagValue
from hanse.desired.mistakes import meant, what
from hanse.desired.tags import single_text

PATTERNS = 100
"""So many definitions may have a pattern: compiling a huge one takes ten milliseconds."""
_PATTERN_BYTES = 1 << 19
"""How large a pattern may be when it is compiled: enough for `.{1,255}`."""
_EMAIL = re.compile(r"[^@\s,;<>]+@[\w-]+(\.[\w-]+)*")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
SELECT = ("select", "multi-select")
_EXPECTED = {
    "string": "text",
    "select": "text",
    "email": "text",
    "number": "a number",
    "boolean": "true or false",
    "multi-select": "a list",
}
_TRUTHS = {"true": "true", "yes": "true", "on": "true", "1": "true"}
_TRUTHS |= {"false": "false", "no": "false", "off": "false", "0": "false"}
Matcher = jsonschema_rs.Draft202012Validator
Guess = Callable[[str, str, Collection[str]], str | None]
"""What of some kind was probably meant by an unknown word, as `Report.guess`."""


class Fault(NamedTuple):
    """Why a definition does not take a value."""

    code: str
    message: str
    advice: str
    steps: Steps = ()


class Definition:
    """One sound definition, and what it takes."""

    def __init__(self, definition: TagDefinition, matcher: Matcher | None, guess: Guess) -> None:
        self.type = definition.type
        self.name = definition.name
        self.description = definition.description.strip().rstrip(".")
        self.values = dict.fromkeys(definition.values)
        self.pattern = definition.pattern or ""
        self.matcher = matcher
        self.guess = guess
        self.is_wanted = definition.required
        self.default = definition.default
        self._seen: dict[str, Fault | None] = {}
        """Texts that were looked at already, for many documents say the same."""

    def faults(self, value: TagValue) -> Sequence[Fault]:
        """Why the value is none that may be said; empty if it is."""
        if not self._is_of_type(value):
            message = f"expected {_EXPECTED[self.type]}, got {what(value)}"
            return [Fault("wrong-type", message, self._conversion(value))]
        if isinstance(value, str):
            fault = self._text_fault(value)
            return [fault] if fault else ()
        if isinstance(value, tuple):
            found = ((i, self._text_fault(text)) for i, text in enumerate(value))
            return [fault._replace(steps=(i,)) for i, fault in found if fault]
        return ()

    def single_faults(self, value: SingleTagValue) -> Sequence[Fault]:
        """Why the value can be none of this tag's, be it alone or one of several."""
        if self.type != "multi-select":
            return self.faults(value)
        fault = self._text_fault(value) if isinstance(value, str) else no_text(value)
        return [fault] if fault else ()

    @cached_property
    def allowed(self) -> str:
        """What may be said, for somebody who has said nothing yet."""
        of_type = {
            "string": f"text that matches {self.pattern}" if self.pattern else "text",
            "number": "a number",
            "boolean": "true or false",
            "email": "an e-mail address",
            "select": f"one of {_listed(self.values)}",
            "multi-select": f"a list of any of {_listed(self.values)}",
        }[self.type]
        return f"{of_type} ({self.description})" if self.description else of_type

    def _is_of_type(self, value: TagValue) -> bool:
        if self.type == "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        if self.type == "boolean":
            return isinstance(value, bool)
        if self.type == "multi-select":
            return isinstance(value, tuple)
        return isinstance(value, str)

    def _conversion(self, value: TagValue) -> str:
        """How to write a value of another type, where that is plain; else what may be written."""
        if isinstance(value, tuple):
            if len(value) == 1 and not self.faults(value[0]):
                return f"write {value[0]}"
            return f"write {self.allowed}"
        text = single_text(value)
        if self.type == "multi-select":
            quoted = value if isinstance(value, str) else f'"{text}"'
            return f"write [{quoted}]" if text in self.values else f"write {self.allowed}"
        if self.type == "number" and isinstance(value, str) and _NUMBER.fullmatch(value):
            return "take the quotes away"
        if self.type == "boolean" and text.lower() in _TRUTHS:
            return f"write {_TRUTHS[text.lower()]}"
        if self.type in ("string", "select") and self._text_fault(text) is None:
            return f'put it in quotes: "{text}"'
        return f"write {self.allowed}"

    def _text_fault(self, text: str) -> Fault | None:
        if text not in self._seen:
            self._seen[text] = self._text_fault_anew(text)
        return self._seen[text]

    def _text_fault_anew(self, text: str) -> Fault | None:
        if self.type in SELECT:
            if text in self.values:
                return None
            likely = meant(self.guess(f"value of {self.name}", text, self.values), self.values)
            return Fault("not-allowed", f"'{text}' is not allowed", likely)
        if self.type == "email":
            if _EMAIL.fullmatch(text):
                return None
            return Fault(
                "not-allowed", f"{what(text)} is no e-mail address", "write one, such as name@example.org"
            )
        if self.matcher is not None and not self.matcher.is_valid(text):
            advice = f"TagDefinition {self.name} says: {self.description}" if self.description else ""
            return Fault("not-allowed", f"{what(text)} does not match {self.pattern}", advice)
        return None


def no_text(value: SingleTagValue) -> Fault:
    """Why a value is none where text is expected."""
    advice = f'put it in quotes: "{single_text(value)}"'
    return Fault("wrong-type", f"expected text, got {what(value)}", advice)


def matcher(pattern: str) -> Matcher | None:
    """What matches whole texts by a pattern; None where the pattern is unsound or too large."""
    # By itself too, since what is unsound alone may be sound within other signs: 'a)|(b'.
    return _compiled(f"^(?:{pattern})$") if _compiled(pattern) is not None else None


def _compiled(pattern: str) -> Matcher | None:
    options = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)
    try:
        return Matcher({"pattern": pattern}, pattern_options=options)
    except jsonschema_rs.ValidationError:
        return None


def _listed(values: Collection[str]) -> str:
    return meant(None, values).removeprefix("allowed: ")
