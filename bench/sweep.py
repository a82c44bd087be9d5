"""A sweep that finds nothing to do: the whole of `hanse plan`, beside a script that only reads the same facts."""

from __future__ import annotations

import gc
import time
from statistics import median

from bench import bare, sdk
from bench.cloud import Spent
from bench.report import Row, seconds
from bench.stands import Stand, Stands, assert_empty
from hanse.service.plan import Selection, look
from hanse.service.propose import propose

LIMIT = 1.5
SDK_LIMIT = 10.0
SDK_PROJECTS = 50


async def run(stands: Stands, *, quick: bool) -> list[Row]:
    """Measure 1,000 and 5,000 projects."""
    rows: list[Row] = []
    for projects, times in ((100, 3),) if quick else ((1_000, 5), (5_000, 3)):
        stand = await stands.converged(projects)
        rows += await _measure(stands, stand, times)
        if projects <= 1_000:
            rows.append(_beside_sdk(stands, stand, rows[0]))
            if not quick:
                stands.end(projects)
    return rows


async def _measure(stands: Stands, stand: Stand, times: int) -> list[Row]:
    organisation, projects = stand.organisation, stand.organisation.projects
    whole: list[Spent] = []
    surveys: list[float] = []
    reading: list[Spent] = []
    calls = ours = 0
    for turn in range(times):
        stands.tell(f"sweep of {projects:,} projects, {turn + 1} of {times}")
        gc.collect()
        watch = stand.watch()
        calls = await bare.read_all(stand.running)
        reading.append(watch.read())
        gc.collect()
        organisation.counters.clear()
        watch = stand.watch()
        async with organisation.open() as estate:
            proposal = await propose(estate)
            began = time.perf_counter()
            planned = await look(estate, proposal, Selection())
            surveys.append(time.perf_counter() - began)
        whole.append(watch.read())
        ours = organisation.counters.total
        assert_empty(planned)
        del proposal, planned
    walls, yardstick = [spent.wall for spent in whole], [spent.wall for spent in reading]
    total, bare_total = (
        median(spent.processors for spent in whole),
        median(spent.processors for spent in reading),
    )
    return [
        Row(
            f"sweep {projects:,} projects: the whole plan", seconds(walls), f"{seconds(yardstick)} (bare reads)",
            median(walls) / median(yardstick), LIMIT,
        ),
        Row(
            f"sweep {projects:,} projects: survey alone", seconds(surveys), f"{seconds(yardstick)} (bare reads)",
            median(surveys) / median(yardstick), LIMIT,
        ),
        Row(
            f"sweep {projects:,} projects: processor time of all", f"{total:.1f} s", f"{bare_total:.1f} s (bare reads)",
            total / bare_total, note=f"ours: {whole[0].shares()}; bare reads: {reading[0].shares()}",
        ),
        Row(
            f"sweep {projects:,} projects: calls", f"{ours:,}", f"{calls:,}",
            note=f"{ours / projects * 1000:,.0f} per 1,000 projects",
        ),
        Row(
            f"sweep {projects:,} projects: the first", f"{stand.first_seconds:.2f} s",
            note="with nothing cached; accepted, and noted that it holds",
        ),
    ]  # fmt: skip


def _beside_sdk(stands: Stands, stand: Stand, measured: Row) -> Row:
    organisation, projects = stand.organisation, stand.organisation.projects
    some = organisation.wanted(stand.resources)[: min(SDK_PROJECTS, projects)]
    stands.tell(f"openstacksdk ensures {len(some)} projects")
    taken, calls, changes = sdk.ensure(stand.running, some)
    assert not changes, changes
    for_all = taken * projects / len(some)
    ours = float(measured.ours.split()[0])
    return Row(
        f"sweep {projects:,} projects: times as fast as openstacksdk", measured.ours,
        f"{for_all:.0f} s ({taken:.1f} s for {len(some)})", for_all / ours, SDK_LIMIT, at_least=True,
        note=f"{calls} calls; for {projects:,} projects it is extrapolated linearly",
    )  # fmt: skip
