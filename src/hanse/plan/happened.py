"""Whether a step whose outcome nobody wrote down took place, told by looking at the platform."""

from __future__ import annotations

from collections.abc import Mapping

from hanse.model import KindSpec, Step, Value
from hanse.observed import Observation, mark


def happened(step: Step, observation: Observation, kinds: Mapping[str, KindSpec]) -> bool:
    """Whether what the step should bring about is so in an observation that covers its owner."""
    spec = kinds[step.kind]
    seen = observation.of(step.owner)
    if spec.ends:
        ends = _ends(step.after or step.before, spec)
        there = any(r.kind == step.kind and _ends(r.attributes, spec) == ends for r in seen)
        return there is not (step.action == "delete")
    thing = next((r for r in seen if r.key == step.key), None)
    if step.action == "delete":
        return thing is None
    if thing is None:
        return False
    return step.action == "create" or all(
        mark(thing.attributes.get(name)) == mark(value) for name, value in step.after.items()
    )


def _ends(attributes: Mapping[str, Value], spec: KindSpec) -> tuple[str, ...]:
    return tuple(mark(attributes.get(name)) for name in spec.ends)
