"""Earlier ways to write a document: read as what they mean today, and told as deprecated.

A document is converted as plain values, before it is typed, so that the types know one form of everything. An earlier
apiVersion is converted step by step, each to the next one; a field that has another place now is taken there. Only
what `Vocabulary` lists is converted, and nothing of it in silence.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hanse.foundation.diagnostics import Severity

Path = tuple[str, ...]


class Moved(NamedTuple):
    """A field of a kind that has another place now."""

    kind: str
    old: Path
    new: Path


class EarlierVersion(NamedTuple):
    """An apiVersion of old, and how a document of it becomes one of the next."""

    next: str
    convert: Callable[[dict[str, Any]], dict[str, Any]]
    """Gets a document of its own and gives the converted one; its apiVersion is seen to."""


class Outdated(NamedTuple):
    """Something that is written in an earlier way, at its place in the document as it was written."""

    severity: Severity
    code: str
    message: str
    advice: str
    steps: Path


class Converted(NamedTuple):
    """A document as it is written today."""

    value: dict[str, Any]
    outdated: tuple[Outdated, ...] = ()
    moved: tuple[Moved, ...] = ()
    """What was taken elsewhere."""

    def written(self, steps: Sequence[str | int]) -> tuple[str | int, ...]:
        """Where a field of the converted document stood in the one that was written."""
        for move in self.moved:
            if tuple(steps[: len(move.new)]) == move.new:
                return (*move.old, *steps[len(move.new) :])
        return tuple(steps)


def convert(
    value: dict[str, Any], versions: Mapping[str, EarlierVersion], moved: Mapping[str, Sequence[Moved]]
) -> Converted:
    """The document in the form of today. `moved` is by kind. One that is so already comes back as it is."""
    version = value.get("apiVersion")
    is_earlier = isinstance(version, str) and version in versions
    moves = moved.get(str(value.get("kind")), ())
    if not is_earlier and not (moves and any(_has(value, move.old) for move in moves)):
        return Converted(value)
    value = copy.deepcopy(value)
    outdated: list[Outdated] = []
    if is_earlier:
        now = str(version)
        while now in versions:
            step = versions[now]
            value = step.convert(value)
            now = value["apiVersion"] = step.next
        message = f"apiVersion {version} is deprecated; it is read as {now}"
        outdated.append(
            Outdated("warning", "deprecated-version", message, f"write it as {now}", ("apiVersion",))
        )
        moves = moved.get(str(value.get("kind")), ())
    taken: list[Moved] = []
    for move in moves:
        if _has(value, move.old):
            taken.append(move)
            outdated.append(_move(value, move))
    return Converted(value, tuple(outdated), tuple(taken))


def earlier_versions(versions: Mapping[str, EarlierVersion], current: str) -> Iterator[str]:
    """What is wrong with a table of versions: each must lead to the present one."""
    for name in versions:
        met, now = {name}, versions[name].next
        while now in versions and now not in met:
            met.add(now)
            now = versions[now].next
        if now != current:
            yield f"{name} leads to {now}, and not to {current}"


def _move(value: dict[str, Any], move: Moved) -> Outdated:
    old, new = ".".join(move.old), ".".join(move.new)
    *way, last = move.old
    content = _at(value, way).pop(last)
    place: Any = value
    for part in move.new[:-1]:
        place = place.setdefault(part, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict) or move.new[-1] in place:
        message = f"'{old}' is the earlier name of '{new}', and both are there"
        return Outdated("error", "deprecated-twice", message, f"keep '{new}' alone", move.old)
    place[move.new[-1]] = content
    return Outdated("warning", "deprecated-field", f"'{old}' is deprecated", f"write it as '{new}'", move.old)


def _has(value: dict[str, Any], path: Path) -> bool:
    *way, last = path
    place = _at(value, way)
    return isinstance(place, dict) and last in place


def _at(value: Any, path: Sequence[str]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value
