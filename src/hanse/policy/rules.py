"""All policies of a manifest, asked of all that they are about: what people are told, and where.

A policy that has a mistake is told at the policy, whether or not there is anything to ask it of. One that gives no
answer is told there too, with whom it was asked of. One that is broken is told at what breaks it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hanse.desired.kinds import Document, Group, Policy
from hanse.desired.manifest import Id, Manifest, id_of
from hanse.foundation.diagnostics import Diagnostic, Place, error
from hanse.policy.checking import Expression, check
from hanse.policy.cost import MAX_STEPS, Bounds
from hanse.policy.engine import Failed, Program, Values
from hanse.policy.subjects import Asked, Subject, subjects
from hanse.policy.syntax import Index, Node, Select, Wrong
from hanse.policy.variables import VARIABLES, Documents, Making

BROKEN = "policy"
"""The code of a finding about what breaks a policy, placed there."""
MISTAKEN = "policy-expression"
FAILED = "policy-failed"
MORE = "policy-more"
"""The code of a finding about a policy that cannot be asked."""
MAX_TOLD = 100
"""So many that break one policy are told one by one."""
MAX_NAMED = 3
"""So many are named where one sentence is about all."""
MAX_TOTAL = 500_000_000
"""Steps that all policies of one commit may take together: two minutes or so."""
_SUBJECT = 20
"""Steps that it takes to look at one subject."""
_LOOKING = 4
"""Steps that it takes to look up what a policy answered where it was the same."""
_COMPARING = 4
"""Steps that it takes for each element of a list to see whether it is the same."""
_ASKING = 40
"""Steps that asking takes, whatever is asked."""
_OBJECT = 40
"""Steps that it takes to make a variable and to hand it over."""
_ELEMENT = 12
"""Steps that it takes for each element of its longest list."""
_NONE: Mapping[Id, Collection[str]] = {}
MAX_KEPT = 65_536
"""Answers that are remembered at a time."""


def check_policies(
    manifest: Manifest, asked: Asked = lambda _: True, *, doubtful: Mapping[Id, Collection[str]] = _NONE
) -> list[Diagnostic]:
    """Everything that policies say of a manifest, and everything that is wrong with them.

    With `asked`, only of what stands in these documents: nothing is told that asking of everything would not tell.
    `doubtful` are tags of documents that are wrong themselves: no answer that they may be the reason of is told.
    """
    return list(_Asking(manifest, asked, doubtful).told())


@dataclass(eq=False)
class _Ask:
    """A field of a policy, what stands in it, and the same made ready."""

    at: str
    expression: Expression
    program: Program
    steps: dict[tuple[int, int], int] = field(default_factory=dict)
    """What it can cost, by the longest list and text of a subject."""


@dataclass
class _Rule:
    """A sound policy, and what came of it."""

    policy: Policy
    asks: list[_Ask]
    """In turn."""
    broken_by: list[Subject] = field(default_factory=list)
    failed: dict[tuple[str, Failed], list[Subject]] = field(default_factory=dict)
    """By field and reason, whom it gave no answer for."""
    too_long: list[Subject] = field(default_factory=list)


_Answer = bool | Failed | None
"""None where asking could take too long."""
_UNASKED = Failed("")


class _View:
    """What some expressions name of a subject, and what each of them answered where that was the same.

    Most subjects differ little in what a policy names, and asking costs much more than comparing.
    """

    def __init__(self, documents: Documents, expression: Expression) -> None:
        self._names = sorted(expression.variables)
        self._making = Making(documents, expression.used)
        self._compared: list[Any] = [self] * len(self._names)
        """The documents whose keys these are; none at first."""
        self._keys: list[Hashable] = [None] * len(self._names)
        self._kept: dict[Hashable, dict[_Ask, _Answer]] = {}
        self._answers: dict[_Ask, _Answer] = {}
        self._subject: Subject | None = None
        self._given: list[Any] = [self] * len(self._names)
        """The documents whose values the library has."""
        self._sizes = [(0, 0)] * len(self._names)
        self.patterns: set[str] = set()
        self.max_kept = MAX_KEPT

    @cached_property
    def values(self) -> Values:
        """The values that the library has, and the patterns of all who share this view."""
        return Values(self.patterns)

    def answers(self, subject: Subject) -> dict[_Ask, _Answer]:
        """What was answered where everything that is named was the same."""
        if subject is self._subject:
            return self._answers
        self._subject = subject
        documents = subject.documents
        same = True
        for index, name in enumerate(self._names):
            document = documents[name]
            if document is not self._compared[index]:
                self._compared[index] = document
                self._keys[index] = self._making.key(name, document)
                same = False
        if not same or not self._kept:
            key = tuple(self._keys)
            found = self._kept.get(key)
            if found is None:
                if len(self._kept) >= self.max_kept:
                    self._kept.clear()
                found = self._kept[key] = {}
            self._answers = found
        return self._answers

    def hand_over(self, subject: Subject) -> tuple[int, tuple[int, int]]:
        """Give the library what it has not yet: the steps that took, the longest list, the longest text."""
        steps = 0
        for index, name in enumerate(self._names):
            document = subject.documents[name]
            if document is not self._given[index]:
                value = self._making.value(name, document)
                self.values.set(name, value)
                self._given[index] = document
                self._sizes[index] = size = _measure(value)
                steps += _OBJECT + _ELEMENT * size[0]
        lists, texts = zip((0, 0), *self._sizes, strict=True)
        return steps, (_up(max(lists)), _up(max(texts)))


class _Asking:
    def __init__(self, manifest: Manifest, asked: Asked, doubtful: Mapping[Id, Collection[str]]) -> None:
        self._manifest = manifest
        self._asked = asked
        self._doubtful = doubtful
        self._documents = Documents(manifest)
        self._steps = 0

    def told(self) -> Iterator[Diagnostic]:
        rules: dict[str, list[_Rule]] = {}
        for policy in sorted(self._manifest.policies.values(), key=lambda policy: policy.name):
            try:
                rules.setdefault(policy.on, []).append(self._rule(policy))
            except _Unsound as problem:
                yield problem.diagnostic
        for on, those in rules.items():
            exhausted = self._ask(on, those)
            for rule in those:
                yield from self._findings(rule)
            if exhausted is not None:
                yield self._at(exhausted, "require", "policy-cost", *_EXHAUSTED)
                return

    # --- what is wrong with a policy itself

    def _rule(self, policy: Policy) -> _Rule:
        asks: list[_Ask] = []
        for name, text in (("when", policy.when), ("require", policy.require)):
            if not text:
                continue
            try:
                expression = check(text, policy.on)
            except Wrong as wrong:
                raise _Unsound(self._mistake(policy, name, text, wrong)) from None
            program = Program(expression)
            if program.broken:
                refused = Wrong(0, f"CEL does not take this: {program.broken}")
                raise _Unsound(self._mistake(policy, name, text, refused))
            asks.append(_Ask(name, expression, program))
        return _Rule(policy, asks)

    def _mistake(self, policy: Policy, name: str, text: str, wrong: Wrong) -> Diagnostic:
        place = self._place(policy, name)
        exact = _within(self._manifest.files, place, text, wrong.at) if place else None
        near = "" if exact else f" (at character {wrong.at + 1})"
        message = f"{name} of policy '{policy.name}': {wrong.message}{near}"
        return error(MISTAKEN, message, wrong.advice, exact or place)

    def _place(self, policy: Policy, name: str) -> Place | None:
        return self._manifest.place(f"Policy {policy.name}", (name,))

    def _at(self, rule: _Rule, name: str, code: str, message: str, advice: str) -> Diagnostic:
        return error(code, f"policy '{rule.policy.name}': {message}", advice, self._place(rule.policy, name))

    # --- asking

    def _ask(self, on: str, rules: Sequence[_Rule]) -> _Rule | None:
        """Ask these of all that is asked. The rule at which the steps for all were used up, if they were."""
        views = self._views([ask for rule in rules for ask in rule.asks])
        for subject in subjects(self._manifest, on, self._asked):
            self._steps += _SUBJECT + _LOOKING * len(rules)
            for rule in rules:
                self._one(rule, subject, views)
                if self._steps + _COMPARING * self._documents.compared > MAX_TOTAL:
                    return rule
        return None

    def _views(self, asks: Iterable[_Ask]) -> dict[_Ask, _View]:
        """One for all that name the same."""
        found: dict[Hashable, _View] = {}
        views: dict[_Ask, _View] = {}
        for ask in asks:
            expression = ask.expression
            used = frozenset((name, frozenset(fields)) for name, fields in expression.used.items())
            named = frozenset(expression.variables), used
            if named not in found:
                found[named] = _View(self._documents, expression)
            views[ask] = found[named]
            views[ask].patterns |= expression.patterns
        for view in found.values():
            view.max_kept = MAX_KEPT // len(found)
        return views

    def _one(self, rule: _Rule, subject: Subject, views: Mapping[_Ask, _View]) -> None:
        for ask in rule.asks:
            view = views[ask]
            answers = view.answers(subject)
            answer = answers.get(ask, _UNASKED)
            if answer is _UNASKED:
                answer = answers[ask] = self._answer(rule, ask, view, subject)
            if answer is True:
                continue
            if answer is None:
                rule.too_long.append(subject)
            elif isinstance(answer, Failed):
                if not (self._doubtful and self._only_follows(ask, subject)):
                    rule.failed.setdefault((ask.at, answer), []).append(subject)
            elif ask.at == "require":
                rule.broken_by.append(subject)
            return

    def _only_follows(self, ask: _Ask, subject: Subject) -> bool:
        """Whether something is wrong with a tag that is asked for."""
        documents = [one for one in subject.documents.values() if isinstance(one, Document)]
        members = {name for group in documents if isinstance(group, Group) for name in group.members}
        ids = [*map(id_of, documents), *(("User", name) for name in members)]
        return any(tag in ask.expression.text for one in ids for tag in self._doubtful.get(one, ()))

    def _answer(self, rule: _Rule, ask: _Ask, view: _View, subject: Subject) -> _Answer:
        handed, size = view.hand_over(subject)
        steps = ask.steps.get(size)
        if steps is None:
            bounds = Bounds(*size, VARIABLES[rule.policy.on])
            steps = ask.steps[size] = bounds.steps(ask.expression.tree)
        self._steps += handed
        if steps > MAX_STEPS:
            return None
        self._steps += steps + _ASKING
        return ask.program.ask(view.values)

    # --- telling

    def _findings(self, rule: _Rule) -> Iterator[Diagnostic]:
        policy = rule.policy
        saying = f"{policy.message.strip().removesuffix('.')} (policy '{policy.name}')"
        for subject in rule.broken_by[:MAX_TOLD]:
            kind, *names = subject.identity
            place = self._manifest.place(f"{kind} {'/'.join(names)}", subject.steps)
            yield Diagnostic(policy.severity, BROKEN, f"{subject.called}: {saying}", "", place)
        more = len(rule.broken_by) - MAX_TOLD
        if more > 0:
            message = f"{more} more are not told one by one: {saying}"
            yield Diagnostic(policy.severity, MORE, message, "", self._place(policy, "require"))
        for (name, failed), those in rule.failed.items():
            asked = next(ask for ask in rule.asks if ask.at == name)
            advice = _remedy(asked.expression.tree, failed.missing)
            message = f"{name} gives no answer for {_some(those)}: {failed.message}"
            yield self._at(rule, name, FAILED, message, advice)
        if rule.too_long:
            message = f"asking it of {_some(rule.too_long)} could take too long"
            advice = "use all(x, …) and exists(x, …) rather than filter and map, and no list within a list"
            yield self._at(rule, "require", "policy-cost", message, advice)


_EXHAUSTED = (
    "the policies of this manifest take too long together, so not all were asked",
    "use 'when' to leave out most subjects early, or take out loops within loops",
)


class _Unsound(Exception):
    """A policy that cannot be asked; never leaves this module."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def _some(those: Iterable[Subject]) -> str:
    """A few by name, and how many more."""
    names = [subject.called for subject in those]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _measure(value: Any) -> tuple[int, int]:
    """The longest list and the longest text in a value."""
    longest = text = 0
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            text = max(text, len(part))
        elif isinstance(part, dict | list):
            longest = max(longest, len(part))
            waiting += part
            if isinstance(part, dict):
                waiting += part.values()
    return longest, text


def _up(number: int) -> int:
    """The next power of two, so that costs are worked out for few sizes."""
    return 1 << max(number - 1, 0).bit_length()


def _remedy(tree: Node, missing: str) -> str:
    """How to write an expression so that what is not there does no harm."""
    if not missing:
        return ""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Select) and node.field == missing and not node.test:
            return f"ask first whether it is there: has({_path(node)}) && …"
        if isinstance(node, Index):
            path = _path(node.parts[0])
            if path:
                return f'ask first whether it is there: "{missing}" in {path} && …'
        waiting += node.parts
    return ""


def _path(node: Node) -> str:
    """A way of fields as it is written; empty where it is something else."""
    if isinstance(node, Select):
        before = _path(node.parts[0])
        return f"{before}.{node.field}" if before else ""
    return getattr(node, "name", "") if not node.parts else ""


def _within(files: Mapping[str, bytes], place: Place, text: str, at: int) -> Place | None:
    """Where a character of an expression stands in its file; None where the file has it in other words."""
    line_start = text.rfind("\n", 0, at) + 1
    line = text[line_start:].split("\n", 1)[0]
    written = files.get(place.path, b"").decode("utf-8", "replace").split("\n")
    nth = text.count("\n", 0, at)
    for number in range(place.line - 1, min(place.line + nth + 2, len(written))):
        begin = written[number].find(line, place.column - 1 if number == place.line - 1 else 0)
        if begin >= 0 and line:
            return Place(place.path, number + 1, begin + at - line_start + 1)
    return None
