"""How long plan.make takes for a resource, and how much memory a stream of owners needs.

Each project has 16 resources: a space, 3 groups with a grant each, and 9 memberships. Each is compared once with a
cloud that holds exactly that (no change) and once with an empty one (all new). Owners are streamed: each is made,
planned and forgotten, as a pass does it; only plan.make is timed.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median

from bench.report import Row
from hanse.desired.compiled import Compiled
from hanse.model import Find, Key, KindSpec, Native, Personal, Ref, Resource, Tenant, Value
from hanse.observed import Observation
from hanse.plan import Rules, make

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = {
    kind.name: kind
    for kind in (
        KindSpec("space", unique=("name",), guarded=True),
        KindSpec("group", unique=("name",)),
        KindSpec("membership", ends=("group", "user"), within=("group",), subject="user"),
        KindSpec(
            "grant", ends=("subject", "role", "target"), within=("subject", "target"), subject="subject"
        ),
    )
}
RULES = Rules(KINDS)
LIMIT = 20.0
"""Microseconds a resource."""
LINEAR = 1.25
"""How much more a resource may take in a large estate than in a small one."""


class Estate:
    """One project: what is desired, and what a cloud that holds exactly that shows of it."""

    def __init__(self, number: int, people: int) -> None:
        self.owner = Tenant("cloud", f"w{number // 20}", f"p{number}")
        self.desired: list[Resource] = []
        self.seen: list[Resource] = []
        self.found: dict[Find, tuple[Native, ...]] = {}
        space = Key("example", self.owner.workspace, self.owner.project, "space")
        self.add(
            space, "space", {"name": f"w-p{number}", "description": "", "enabled": True, "tags": ("a=b",)}
        )
        for role in ("admin", "user", "reader"):
            group = Key("example", self.owner.workspace, self.owner.project, f"group/{role}")
            self.add(group, "group", {"name": f"p{number}-{role}", "description": ""})
            held = Find("role", (("name", role),))
            self.add(
                group.child("grant"), "grant", {"subject": Ref(group), "role": held, "target": Ref(space)}
            )
            for member in range(3):
                name = f"u{(number * 3 + member) % people}"
                user = Find("user", (("name", Personal(name)),))
                self.add(group.child(f"member/{name}"), "membership", {"group": Ref(group), "user": user})

    def add(self, key: Key, kind: str, attributes: dict[str, Value]) -> None:
        """One resource, desired and observed."""
        self.desired.append(Resource(key, kind, attributes, self.owner, sources=("Project w/p",), rank=2))
        resolved = attributes
        for name, value in attributes.items():
            if isinstance(value, Find):
                native = Native(value.kind, f"id-{value.by[0][1]}", value.by[0][1])
                self.found[value] = (native,)
                resolved = {**resolved, name: native}
        is_link = KINDS[kind].is_link
        self.seen.append(
            Resource(
                key.child("=") if is_link else key, kind, resolved, self.owner, "" if is_link else f"n-{key}"
            )
        )

    def full(self) -> Observation:
        """All is there."""
        return Observation(
            "cloud", NOW, frozenset({self.owner}), {self.owner: tuple(self.seen)}, found=self.found
        )

    def empty(self) -> Observation:
        """Nothing is there but users and roles."""
        return Observation("cloud", NOW, frozenset({self.owner}), found=self.found)


def owners(projects: int) -> Iterator[tuple[Compiled, Observation, Observation]]:
    """What is desired of each project, a full and an empty view of it; one user for two projects."""
    for number in range(projects):
        estate = Estate(number, max(3, projects // 2))
        yield Compiled(estate.owner, tuple(estate.desired)), estate.full(), estate.empty()


def run(*, quick: bool) -> list[Row]:
    """Time and memory for estates of several sizes."""
    rows: list[Row] = []
    sizes = (1_000, 3_000) if quick else (1_000, 10_000, 100_000)
    first = least = 0.0
    for projects in sizes:
        turns = [_microseconds(projects) for _ in range(1 if projects > 10_000 else 3)]
        same, made = (median(turn[column] for turn in turns) for column in (0, 1))
        for what, each in (("no change", same), ("all new", made)):
            rows.append(
                Row(f"plan.make, {projects:,} projects, {what}", f"{each:.2f} µs a resource", "", each, LIMIT)
            )
        first = first or same + made
        slowdown = (same + made) / first
    rows.append(
        Row(
            f"plan.make: time a resource, {sizes[-1]:,} beside {sizes[0]:,} projects", f"{same + made:.2f} µs",
            f"{first:.2f} µs", slowdown, LINEAR, note="no change and all new together",
        )
    )  # fmt: skip
    for projects in sizes[:2]:
        peak = _peak_kib(projects)
        least = least or peak
    rows.append(
        Row(
            f"plan.make: peak memory, {sizes[1]:,} beside {sizes[0]:,} projects", f"{peak:.0f} KiB",
            f"{least:.0f} KiB", peak / least, LINEAR, note="owners are streamed; names get longer with their number",
        )
    )  # fmt: skip
    return rows


def _microseconds(projects: int) -> tuple[float, float]:
    """Time a resource: with no change, and with all new."""
    resources = 0
    same = made = 0.0
    clock = time.thread_time  # nothing is waited for here, so it is the clock's time on an idle machine
    for compiled, full, empty in owners(projects):
        resources += len(compiled.resources)
        start = clock()
        unchanged = make(compiled, full, RULES, compiled)
        middle = clock()
        new = make(compiled, empty, RULES)
        same += middle - start
        made += clock() - middle
        assert not unchanged.steps
        assert len(new.steps) == len(compiled.resources)
    return 1e6 * same / resources, 1e6 * made / resources


def _peak_kib(projects: int) -> float:
    """Most memory in use at once; a run of its own, since watching makes everything slower."""
    tracemalloc.start()
    for compiled, full, empty in owners(projects):
        make(compiled, full, RULES, compiled)
        make(compiled, empty, RULES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**10
