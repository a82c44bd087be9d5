"""Making new tenants: writes per second, beside a loop that makes the same without looking or remembering.

The two take turns on the same API server, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import time

from bench import kubernetes_bare as bare
from bench.converge import Writing
from bench.kubernetes_estate import CONCURRENCY, NOTHING, Organisation, Spent, Stand, Stands, Watch
from bench.report import Row
from bench.stands import assert_empty
from hanse.model import Done
from hanse.ports.transport import Call
from hanse.service.apply import begin, finish
from hanse.service.plan import plan

LIMIT = 0.8
TURNS = 4


async def run(stands: Stands, *, quick: bool) -> list[Row]:
    """Converge 1,000 new projects beside 10,000; each is a namespace and two bindings."""
    projects, new = (200, 40) if quick else (10_000, 1_000)
    stand = await stands.converged(projects)
    organisation, each = stand.organisation, new // TURNS
    others = await _others(stands, new)
    ours = plain = NOTHING
    writes = made = 0
    before = after = 0.0
    organisation.counters.clear()
    for turn in range(TURNS):
        stands.tell(f"a bare loop makes {each} new namespaces, {turn + 1} of {TURNS}")
        watch = Watch(stand.server)
        async with bare.Bare(stand.server) as session:
            await session.write_all(others[turn * each : (turn + 1) * each], CONCURRENCY)
            writes += session.calls
        plain += watch.read()
        stands.tell(f"Hanse converges {each} new projects, {turn + 1} of {TURNS}")
        organisation.grow(each)
        spent, planning, noting, steps = await _converge(stand)
        ours, before, after, made = ours + spent, before + planning, after + noting, made + steps
    assert made == writes == organisation.counters.writes == 3 * new
    async with organisation.open() as estate:
        assert_empty(await plan(estate))
    rate, bare_rate = made / ours.wall, writes / plain.wall
    what = f"kubernetes converge {new:,} new tenants beside {projects:,}"
    return [
        Row(
            f"{what}: writes per second", f"{rate:.0f} ({made:,} writes)", f"{bare_rate:.0f} (bare loop)",
            rate / bare_rate, LIMIT, at_least=True,
            note="from first write to last outcome, journal included",
        ),
        Row(
            f"{what}: processor time of a write", f"{1000 * ours.processors / made:.2f} ms",
            f"{1000 * plain.processors / writes:.2f} ms (bare loop)", ours.processors / plain.processors,
            note=f"ours: {ours.shares()}; bare loop: {plain.shares()}",
        ),
        Row(
            f"{what}: the whole of it", f"{before + ours.wall + after:.1f} s",
            note=f"load, judge, observe and plan {before:.1f} s, writes {ours.wall:.1f} s, accept, read-back and "
            f"noting {after:.1f} s, in {TURNS} commits",
        ),
    ]  # fmt: skip


async def _others(stands: Stands, new: int) -> list[list[Call]]:
    """The same for projects of other names: what the bare loop makes."""
    other = Organisation(stands.folder / f"others{new}", new, first=1_000_000, name="others")
    other.write()
    return await other.writes()


async def _converge(stand: Stand) -> tuple[Spent, float, float, int]:
    """One commit: what its writes took, the seconds before and after them, and how many they were."""
    writing = Writing(lambda: Watch(stand.server), NOTHING)
    async with stand.organisation.open(writing.around) as estate:
        began = time.perf_counter()
        planned = await plan(estate)
        seen = time.perf_counter()
        writing.steps = planned.survey.steps
        converged = (await finish(estate, planned, begin(planned, writing.told))).converged
        ended = time.perf_counter()
    assert all(isinstance(outcome, Done) for outcome in writing.outcomes)
    assert not converged.after.steps
    return writing.spent, seen - began, ended - seen - writing.spent.wall, writing.steps
