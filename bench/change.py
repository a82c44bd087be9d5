"""One project changed among 5,000: what is read and written is that project's, and nobody else's."""

from __future__ import annotations

import re
import time
from collections import Counter
from urllib.parse import unquote

from bench.report import Row
from bench.stands import Stands
from hanse.model import Find
from hanse.ports.transport import Call
from hanse.service.apply import begin, finish
from hanse.service.plan import Selection, plan

LOOKUPS = ("find user", "find role", "find domain")
OF_THE_PLATFORM = (
    "discover", "who am I", "list implied roles", "list inherited assignments", "get domain"
)  # fmt: skip


async def run(stands: Stands, *, quick: bool) -> list[Row]:
    """Give one project another display name and one person more; plan what changed, and apply it."""
    projects = 100 if quick else 5_000
    stand = await stands.converged(projects)
    organisation = stand.organisation
    number = projects // 2
    newcomer = (organisation.members(number, 0)[0] + projects // 4) % organisation.people
    path, content = organisation.project(number, f"  - {{user: u-{newcomer}, role: reader}}\n")
    organisation.change({path: content.replace(b"displayName: Project", b"displayName: Changed project")})

    stands.tell(f"one project of {projects:,} changes")
    organisation.counters.clear()
    async with organisation.open(recording=True) as estate:
        began = time.perf_counter()
        planned = await plan(estate, Selection(changed=True))
        seen = time.perf_counter()
        converged = (await finish(estate, planned, begin(planned, lambda *_: None))).converged
        ended = time.perf_counter()
    assert organisation.recorded is not None
    calls = [entry.call for entry in organisation.recorded.entries]
    tenant = next(owner for owner in planned.survey.plans if getattr(owner, "project", "") == f"p{number}")
    assert not converged.after.steps
    assert planned.survey.steps == 2, planned.survey.plans[tenant].steps
    assert set(planned.survey.plans) == {tenant}

    resources = [r for r in stand.resources if r.owner == tenant]
    natives = planned.survey.observations[tenant.platform].natives
    ids = {natives[r.key] for r in resources if r.key in natives}
    names = {str(r.attributes["name"]) for r in resources if "name" in r.attributes}
    finds = {v for r in resources for v in r.attributes.values() if isinstance(v, Find)}
    to_find = len(finds) + 2  # the newcomer, and the domain that people are in
    kinds: dict[str, list[Call]] = {"own": [], "lookup": [], "platform": [], "other": []}
    for call in calls:
        kinds[_about(call, ids, names)].append(call)
    writes = [call for call in calls if call.is_write]
    return [
        Row(
            f"one of {projects:,} changed: calls about other projects", f"{len(kinds['other'])}", "0",
            len(kinds["other"]), 0, note=_counts(kinds["other"]),
        ),
        Row(
            f"one of {projects:,} changed: lookups of people, roles, domains", f"{len(kinds['lookup'])}",
            f"{to_find} not yet known", len(kinds["lookup"]) / to_find, 1, note=_counts(kinds["lookup"]),
        ),
        Row(
            f"one of {projects:,} changed: writes", f"{len(writes)}", "2 differences", len(writes) / 2, 1,
            note=_counts(writes),
        ),
        Row(
            f"one of {projects:,} changed: all calls", f"{len(calls)}",
            note=f"its own: {_counts(kinds['own'])}; the platform's: {_counts(kinds['platform'])}",
        ),
        Row(
            f"one of {projects:,} changed: time", f"{ended - began:.2f} s",
            note=f"plan {seen - began:.2f} s, apply with read-back {ended - seen:.2f} s",
        ),
    ]  # fmt: skip


def _about(call: Call, ids: set[str], names: set[str]) -> str:
    told = {unquote(part) for part in re.split("/", call.path)} | {value for _, value in call.query}
    if call.label in LOOKUPS:
        return "lookup"
    if told & (ids | names):
        return "own"
    return "platform" if call.label in OF_THE_PLATFORM else "other"


def _counts(calls: list[Call]) -> str:
    return ", ".join(f"{count} {label}" for label, count in sorted(Counter(c.label for c in calls).items()))
