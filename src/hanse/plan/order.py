"""The order of steps: what needs what, and nobody between two chairs.

Within one owner and for one person, access is added before it is taken away when it widens or only changes its
way, and taken away first when it narrows. What holds other things is made first and goes last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from msgspec.structs import replace

from hanse.model import Key, KindSpec, Step


def in_order(
    steps: Sequence[Step],
    kinds: Mapping[str, KindSpec],
    persons: Mapping[Key, Sequence[str]],
    ranks: Mapping[Key, int],
) -> tuple[Step, ...]:
    """The same steps with complete `needs`, in an order in which each need comes first; ties by kind and key.

    `persons` names the subjects that gain or lose by a step, `ranks` how much.
    """
    needs: dict[Key, set[Key]] = {step.key: set(step.needs) for step in steps}
    by_key = {step.key: step for step in steps}
    _people_first_or_last(steps, persons, ranks, needs)
    deletes = [step for step in steps if step.action == "delete"]
    if deletes:
        _containers_last(deletes, kinds, needs)
    position = {name: i for i, name in enumerate(kinds)}
    rank = {step.key: (step.action == "delete", position[step.kind], step.key) for step in steps}
    waiting = {key: {need for need in many if need in by_key and need != key} for key, many in needs.items()}
    blocks: dict[Key, list[Key]] = {}
    for key, many in waiting.items():
        for need in many:
            blocks.setdefault(need, []).append(key)
    ready = [(rank[key], key) for key, many in waiting.items() if not many]
    heapify(ready)
    ordered: list[Step] = []
    while ready:
        _, key = heappop(ready)
        step = by_key[key]
        all_needs = tuple(sorted(needs[key]))
        ordered.append(step if all_needs == step.needs else replace(step, needs=all_needs))
        for later in blocks.get(key, ()):
            waiting[later].discard(key)
            if not waiting[later]:
                heappush(ready, (rank[later], later))
    assert len(ordered) == len(steps), "steps need each other in a circle"
    return tuple(ordered)


def _people_first_or_last(
    steps: Sequence[Step],
    persons: Mapping[Key, Sequence[str]],
    ranks: Mapping[Key, int],
    needs: dict[Key, set[Key]],
) -> None:
    by_key = {step.key: step for step in steps}
    adds: dict[str, list[Key]] = {}
    removes: dict[str, list[Key]] = {}
    for step in steps:
        book = removes if step.action == "delete" else adds
        for person in persons.get(step.key, ()):
            book.setdefault(person, []).append(step.key)
    for person, gone in removes.items():
        given = adds.get(person)
        if not given:
            continue
        loses = max(ranks.get(key, 0) for key in gone)
        gains = max(ranks.get(key, 0) for key in given)
        narrowing = 0 < gains < loses
        # A membership is worth nothing before its group holds the role.
        grants = [key for other in given for need in by_key[other].needs for key in adds.get(str(need), ())]
        for one in gone:
            for other in given:
                if narrowing:
                    needs[other].add(one)
                else:
                    needs[one].add(other)
            if not narrowing:
                needs[one].update(grants)


def _containers_last(
    deletes: Sequence[Step], kinds: Mapping[str, KindSpec], needs: dict[Key, set[Key]]
) -> None:
    for step in deletes:
        if kinds[step.kind].guarded:
            needs[step.key].update(
                other.key
                for other in deletes
                if other is not step and _depth(kinds, other.kind) > _depth(kinds, step.kind)
            )


def _depth(kinds: Mapping[str, KindSpec], kind: str) -> int:
    """Kinds are described from the outermost to the innermost."""
    return list(kinds).index(kind)
