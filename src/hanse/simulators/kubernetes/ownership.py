"""Who owns which field: server-side apply, and the `metadata.managedFields` that every write leaves behind.

The rules are those of sigs.k8s.io/structured-merge-diff, which the API server uses
(https://kubernetes.io/docs/reference/using-api/server-side-apply/). A set of fields is a set of paths; the steps of a
path are written as in fieldsV1: `f:name` a field, `k:{"uid":"1"}` an item by its keys, `v:"x"` an item by its value.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from hanse.simulators.kubernetes.schema import List, Map, Node, Object, Struct

Path = tuple[str, ...]
Paths = frozenset[Path]

_ABSENT: Final = object()
_OWNERLESS: Paths = frozenset(
    {
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in [
                *("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields"),
                "resourceVersion",
            ]
        ),
    }
)


class Manager(NamedTuple):
    """Who writes, and in which way."""

    name: str
    operation: str  # Apply or Update
    subresource: str = ""


class Claim(NamedTuple):
    """What a manager owns, and since when its entry stands (RFC 3339, or None)."""

    paths: Paths
    time: str | None


Claims = Mapping[Manager, Claim]


class ConflictsError(Exception):
    """An apply without force would change what others own."""

    def __init__(self, conflicts: Mapping[Manager, Paths], version: str) -> None:
        super().__init__("conflicts")
        self.causes = [
            (_who(manager, version), printed(path))
            for manager in sorted(conflicts)
            for path in sorted(conflicts[manager])
        ]


def _who(manager: Manager, version: str) -> str:
    subresource = f' with subresource "{manager.subresource}"' if manager.subresource else ""
    using = f" using {version}" if manager.operation == "Update" else ""
    return f'"{manager.name}"{subresource}{using}'


def printed(path: Path) -> str:
    """A path as messages have it: `.metadata.labels.tier`."""
    return "".join(map(_printed, path))


def _printed(step: str) -> str:
    sort, said = step[0], step[2:]
    if sort == "f":
        return f".{said}"
    if sort == "v":
        return f"[={said}]"
    return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in json.loads(said).items()) + "]"


# ---- sets of fields


def fields_of(node: Node, value: Any, at: Path = ()) -> Iterator[Path]:
    """All fields that a value says something about."""
    match node, value:
        case Struct(atomic=False), dict():
            for name, part in value.items():
                below = (*at, f"f:{name}")
                yield from fields_of(node.fields[name], part, below)
                if part is None or part == {}:
                    yield below
        case Map(), dict():
            for name, part in value.items():
                below = (*at, f"f:{name}")
                yield from fields_of(node.item, part, below)
                yield below
        case List(keys=tuple()), list():
            for item in value:
                below = (*at, _step(node, item))
                yield from fields_of(node.item, item, below)
                yield below
        case _:
            yield at


def _step(node: List, item: Any) -> str:
    if not node.keys:
        return f"v:{_compact(item)}"
    return f"k:{_compact({name: item.get(name) for name in sorted(node.keys)})}"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Difference:
    """The fields that differ between two values."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)

    def only(self, mine: Callable[[Path], bool]) -> "Difference":
        """Without the fields that this way of writing does not touch."""
        return Difference(
            *({path for path in part if mine(path)} for part in (self.added, self.modified, self.removed))
        )


def difference(node: Node, left: Any, right: Any) -> Difference:
    """What came, went and changed from left to right."""
    found = Difference()
    _differ(node, left, right, (), found)
    return found


def _differ(node: Node, left: Any, right: Any, at: Path, found: Difference) -> None:
    both = () if _is_whole(node) or (_is_empty(left) and _is_empty(right)) else _pairs(node, left, right)
    for step, part, one, other in both:
        _differ(part, one, other, (*at, step), found)
    if left is _ABSENT:
        found.added.add(at)
    elif right is _ABSENT:
        found.removed.add(at)
    elif not both and left != right:
        found.modified.add(at)


def _is_whole(node: Node) -> bool:
    return not (
        isinstance(node, Map)
        or (isinstance(node, Struct) and not node.atomic)
        or (isinstance(node, List) and node.keys is not None)
    )


def _is_empty(value: Any) -> bool:
    return value is _ABSENT or not value


def _pairs(node: Node, left: Any, right: Any) -> list[tuple[str, Node, Any, Any]]:
    one, other = _parts(node, left), _parts(node, right)
    return [
        (step, _below(node, step), one.get(step, _ABSENT), other.get(step, _ABSENT))
        for step in {**one, **other}
    ]


def _parts(node: Node, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"f:{name}": part for name, part in value.items()}
    if isinstance(node, List) and isinstance(value, list):
        return {_step(node, item): item for item in value}
    return {}


def _below(node: Node, step: str) -> Node:
    if isinstance(node, Struct):
        return node.fields[step[2:]]
    assert isinstance(node, Map | List)
    return node.item


def _merged(node: Node, left: Any, right: Any) -> Any:
    """Left, and over it what right says."""
    match node, left, right:
        case Struct(atomic=False) | Map(), dict(), dict():
            return {
                **left,
                **{
                    name: _merged(_below(node, f"f:{name}"), left.get(name), part)
                    for name, part in right.items()
                },
            }
        case List(keys=tuple()), list(), list():
            news = _parts(node, right)
            kept = [_merged(node.item, item, news.pop(_step(node, item), item)) for item in left]
            return [*kept, *news.values()]
        case _:
            return right


def _without(node: Node, value: Any, paths: Paths) -> Any:
    """A value less the fields named; what is left empty becomes null."""
    return _cut(node, value, _tree(paths))


_Tree = dict[str, Any]


def _tree(paths: Iterable[Path]) -> _Tree:
    root: _Tree = {}
    for path in paths:
        place = root
        for step in path:
            place = place.setdefault(step, {})
        place["."] = {}
    return root


def _cut(node: Node, value: Any, tree: _Tree) -> Any:
    if not value or _is_whole(node):
        return value
    kept = {
        step: _cut(_below(node, step), part, tree[step]) if step in tree else part
        for step, part in _parts(node, value).items()
        if "." not in tree.get(step, ())
    }
    if not kept:
        return None
    return list(kept.values()) if isinstance(node, List) else {step[2:]: part for step, part in kept.items()}


def _with_parents(node: Node, paths: Iterable[Path]) -> Paths:
    """With each declared field on the way to one, for such have no mark of their own."""
    found = set(paths)
    for path in paths:
        place: Node | None = node
        for depth, step in enumerate(path, 1):
            if isinstance(place, Struct) and step[:2] == "f:" and step[2:] in place.fields:
                found.add(path[:depth])
                place = place.fields[step[2:]]
            elif isinstance(place, Map | List) and step[:2] != "v:":
                place = place.item
            else:
                break
    return frozenset(found)


# ---- claims


def claims_of(metadata: Object) -> dict[Manager, Claim]:
    """What metadata.managedFields says."""
    return {
        Manager(entry["manager"], entry["operation"], entry.get("subresource", "")): Claim(
            frozenset(_paths(entry["fieldsV1"])), entry.get("time")
        )
        for entry in metadata.get("managedFields", ())
    }


def _paths(tree: _Tree, at: Path = ()) -> Iterator[Path]:
    if at and (not tree or "." in tree):
        yield at
    for step, below in tree.items():
        if step != ".":
            yield from _paths(below, (*at, step))


def entries_of(claims: Claims, version: str) -> list[Object]:
    """Claims as metadata.managedFields."""
    order = sorted(claims.items(), key=lambda one: (one[0].operation, one[1].time or "", one[0]))
    return [
        {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": version,
            **({"time": claim.time} if claim.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": _marked(_tree(sorted(claim.paths))),
            **({"subresource": manager.subresource} if manager.subresource else {}),
        }
        for manager, claim in order
    ]


def _marked(tree: _Tree) -> _Tree:
    return {} if tree.keys() == {"."} else {step: _marked(below) for step, below in tree.items()}


def _touches(manager: Manager) -> Callable[[Path], bool]:
    if manager.subresource == "status":
        return lambda path: path[0] == "f:status"
    return lambda path: path[0] != "f:status"


def _taken(
    claims: Claims, changed: set[Path], removed: set[Path], by: Manager | None
) -> dict[Manager, Claim]:
    """What others keep once these fields are written."""
    gone = changed | removed
    kept = {
        manager: claim if manager == by else Claim(claim.paths - gone, claim.time)
        for manager, claim in claims.items()
    }
    return {manager: claim for manager, claim in kept.items() if claim.paths}


def updated(
    node: Node, live: Object, new: Object, claims: Claims, manager: Manager, now: str
) -> dict[Manager, Claim]:
    """Who owns what after a create, an update or a patch: the writer takes all that it changed."""
    found = difference(node, live, new).only(_touches(manager))
    kept = _taken(claims, found.added | found.modified, found.removed, by=None)
    mine = frozenset(found.added | found.modified) - _OWNERLESS
    if mine:
        before = kept[manager].paths if manager in kept else frozenset()
        kept[manager] = Claim(mine | before, now)
    return kept


def applied(  # noqa: PLR0913 (an apply is all of these)
    node: Node,
    live: Object,
    config: Object,
    claims: Claims,
    manager: Manager,
    *,
    force: bool,
    now: str,
    version: str,
) -> tuple[Object, dict[Manager, Claim]]:
    """The object after an apply, not yet in its normal form, and who owns what then.

    Raises ConflictsError where others own what would change, unless forced: then they lose it.
    """
    last = claims.get(manager)
    paths = frozenset(filter(_touches(manager), fields_of(node, config)))
    claims = {**claims, manager: Claim(paths, last.time if last else None)}
    new = _merged(node, live, config)
    if last is not None:
        new = _pruned(node, new, claims, last.paths)
    found = difference(node, live, new).only(_touches(manager))
    changed = found.added | found.modified
    conflicts = {other: claim.paths & changed for other, claim in claims.items() if other != manager}
    if not force and any(conflicts.values()):
        raise ConflictsError({other: both for other, both in conflicts.items() if both}, version)
    kept = _taken(claims, changed, found.removed, by=manager)
    mine = paths - _OWNERLESS
    kept.pop(manager, None)
    if mine:
        kept[manager] = Claim(mine, now if new != live else claims[manager].time)
    return new, kept


def _pruned(node: Node, merged: Object, claims: Claims, last: Paths) -> Object:
    """Without what this manager applied last time, does not apply now, and nobody else owns."""
    last = _with_parents(node, last)
    there = _with_parents(node, list(fields_of(node, merged)))
    owned = _with_parents(node, [path for claim in claims.values() for path in claim.paths])

    def left(value: Any) -> Paths:
        return _with_parents(node, list(fields_of(node, value)))

    pruned = _without(node, merged, last)
    pruned = _without(node, merged, there - (left(pruned) | owned))
    kept: Object = _without(node, merged, (there - left(pruned)) & last)
    return kept
