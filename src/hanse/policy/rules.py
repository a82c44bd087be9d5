"""All policies of a manifest, asked of all that they are about: what people are told, and where.

A policy that has a mistake is told at the policy, whether or not there is anything to ask it of. One that gives no
answer is told there too, with whom it was asked of. One that is broken is told at what breaks it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hanse.desired.kinds import Policy
from hanse.desired.manifest import Id, Manifest
from hanse.foundation.diagnostics import Diagnostic, Place, error
from hanse.policy.checking import Expression, check
from hanse.policy.cost import MAX_STEPS, Bounds
from hanse.policy.engine import Failed, Program, Values
from hanse.policy.subjects import Affected, Subject, subjects
from hanse.policy.syntax import Index, Node, Select, Wrong
from hanse.policy.variables import VARIABLES, Making

BROKEN = "policy"
"""The code of a finding about what breaks a policy, placed there."""
MAX_TOLD = 100
"""So many that break one policy are told one by one."""
MAX_NAMED = 3
"""So many are named where one sentence is about all."""
MAX_TOTAL = 500_000_000
"""Steps that all policies of one commit may take together: two minutes or so."""
_ASKING = 20
"""Steps that asking takes, whatever is asked."""
_OBJECTS = 200
"""Steps that it takes to hand over the documents of one subject."""
Where = tuple[str, Expression]
"""A field of a policy, and what stands in it."""


def check_policies(manifest: Manifest, affected: Collection[Id] | None = None) -> list[Diagnostic]:
    """Everything that policies say of a manifest, and everything that is wrong with them.

    With `affected`, only of what these documents are part of: give what changed, and a Grant that is gone all the
    same. All that a change can break is told, and nothing that asking of everything would not tell.
    """
    return list(_Asking(manifest, affected).told())


@dataclass
class _Rule:
    """A sound policy."""

    policy: Policy
    when: Expression | None
    require: Expression
    asks: list[tuple[str, Expression, Program]]
    """In turn: the field, what stands in it, and the same made ready."""
    steps: dict[tuple[int, int], int] = field(default_factory=dict)
    """What it can cost, by the longest list and text of a subject."""
    broken_by: list[Subject] = field(default_factory=list)
    failed: dict[tuple[str, Failed], list[Subject]] = field(default_factory=dict)
    """By field and reason, whom it gave no answer for."""
    too_long: list[Subject] = field(default_factory=list)


class _Asking:
    def __init__(self, manifest: Manifest, changed: Collection[Id] | None) -> None:
        self._manifest = manifest
        self._affected = Affected(manifest, changed)
        self._everything = Affected(manifest, None)
        self._steps = 0

    def told(self) -> Iterator[Diagnostic]:
        rules: dict[str, list[_Rule]] = {}
        for policy in sorted(self._manifest.policies.values(), key=lambda policy: policy.name):
            try:
                rules.setdefault(policy.on, []).append(self._rule(policy))
            except _Unsound as problem:
                yield problem.diagnostic
        for on, those in rules.items():
            fresh = [rule for rule in those if rule.policy.name in self._affected.policies]
            others = [rule for rule in those if rule.policy.name not in self._affected.policies]
            exhausted = self._ask(on, those if self._affected.all else others, self._affected)
            if fresh and not self._affected.all:
                exhausted = exhausted or self._ask(on, fresh, self._everything)
            for rule in those:
                yield from self._findings(rule)
            if exhausted is not None:
                yield self._at(exhausted, "require", "policy-cost", *_EXHAUSTED)
                return

    # --- what is wrong with a policy itself

    def _rule(self, policy: Policy) -> _Rule:
        found: dict[str, tuple[Expression, Program]] = {}
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
            found[name] = expression, program
        when = found.get("when")
        asks = [(name, *both) for name, both in found.items()]
        return _Rule(policy, when[0] if when else None, found["require"][0], asks)

    def _mistake(self, policy: Policy, name: str, text: str, wrong: Wrong) -> Diagnostic:
        place = self._place(policy, name)
        exact = _within(self._manifest.files, place, text, wrong.at) if place else None
        near = "" if exact else f" (at character {wrong.at + 1})"
        message = f"{name} of policy '{policy.name}': {wrong.message}{near}"
        return error("policy-expression", message, wrong.advice, exact or place)

    def _place(self, policy: Policy, name: str) -> Place | None:
        return self._manifest.place(f"Policy {policy.name}", (name,))

    def _at(self, rule: _Rule, name: str, code: str, message: str, advice: str) -> Diagnostic:
        return error(code, f"policy '{rule.policy.name}': {message}", advice, self._place(rule.policy, name))

    # --- asking

    def _ask(self, on: str, rules: Sequence[_Rule], affected: Affected) -> _Rule | None:
        """Ask these of all affected subjects. The rule at which the steps for all were used up, if they were."""
        if not rules:
            return None
        used: dict[str, set[str]] = {}
        expressions = [expression for rule in rules for _, expression, _ in rule.asks]
        for expression in expressions:
            for name, fields in expression.used.items():
                used.setdefault(name, set()).update(fields)
        variables = sorted({name for expression in expressions for name in expression.variables})
        making = Making(self._manifest, used)
        values = Values({text for expression in expressions for text in expression.patterns})
        sizes: dict[str, tuple[int, int]] = {}
        keys: dict[str, Any] = {}
        for subject in subjects(self._manifest, on, affected):
            for name in variables:
                key, document = subject.documents[name]
                if name not in keys or keys[name] != key:
                    keys[name] = key
                    value = self._value(making, name, document)
                    sizes[name] = _measure(value)
                    values.set(name, value)
                    self._steps += _OBJECTS + 8 * sizes[name][0]
            longest = _up(max((size[0] for size in sizes.values()), default=0))
            text = _up(max((size[1] for size in sizes.values()), default=0))
            for rule in rules:
                self._one(rule, subject, values, (longest, text))
                if self._steps > MAX_TOTAL:
                    return rule
        return None

    def _value(self, making: Making, name: str, document: Any) -> Any:
        if name != "people":
            return making.value(name, document)
        return [making.value("person", self._manifest.users[person]) for person in document]

    def _one(self, rule: _Rule, subject: Subject, values: Values, size: tuple[int, int]) -> None:
        steps = rule.steps.get(size)
        if steps is None:
            bounds = Bounds(*size, VARIABLES[rule.policy.on])
            steps = rule.steps[size] = sum(bounds.steps(expression.tree) for _, expression, _ in rule.asks)
        if steps > MAX_STEPS:
            rule.too_long.append(subject)
            return
        self._steps += steps + _ASKING
        for name, _, program in rule.asks:
            answer = program.ask(values)
            if isinstance(answer, Failed):
                rule.failed.setdefault((name, answer), []).append(subject)
                return
            if not answer:
                if name == "require":
                    rule.broken_by.append(subject)
                return

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
            yield Diagnostic(policy.severity, "policy-more", message, "", self._place(policy, "require"))
        for (name, failed), those in rule.failed.items():
            advice = _remedy(
                {field: expression for field, expression, _ in rule.asks}[name].tree, failed.missing
            )
            message = f"{name} gives no answer for {_some(those)}: {failed.message}"
            yield self._at(rule, name, "policy-failed", message, advice)
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
    if isinstance(value, str):
        return 0, len(value)
    if isinstance(value, dict):
        inner = [_measure(item) for item in value.values()]
        keys = max(map(len, value), default=0)
        longest = max((size[0] for size in inner), default=0)
        return max(longest, len(value)), max(keys, *(size[1] for size in inner), 0) if inner else keys
    if isinstance(value, list):
        inner = [_measure(item) for item in value]
        longest = max((size[0] for size in inner), default=0)
        return max(longest, len(value)), max((size[1] for size in inner), default=0)
    return 0, 0


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
