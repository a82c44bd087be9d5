"""A sweep of an API server that finds nothing to do, beside a script that only reads the same lists."""

from __future__ import annotations

import gc
from statistics import median

from bench import kubernetes_bare as bare
from bench.kubernetes_estate import Spent, Stand, Stands, Watch
from bench.report import Row, seconds
from bench.stands import assert_empty
from hanse.service.plan import Selection, look
from hanse.service.propose import propose

LIMIT = 1.5


async def run(stands: Stands, *, quick: bool) -> list[Row]:
    """Measure 10,000 projects; all take turns.

    The yardstick reads one list after the other, as scripts do; what it takes at once, as Hanse does it, is told.
    """
    projects, times = (200, 3) if quick else (10_000, 5)
    stand = await stands.converged(projects)
    whole: list[Spent] = []
    surveys: list[Spent] = []
    reading: dict[bool, list[Spent]] = {False: [], True: []}
    calls = 0
    for turn in range(times):
        stands.tell(f"sweep of {projects:,} namespaces, {turn + 1} of {times}")
        for together in (False, True):
            gc.collect()
            watch = Watch(stand.server)
            calls = await bare.read_all(stand.server, at_once=together)
            reading[together].append(watch.read())
        gc.collect()
        spent, survey = await _sweep(stand)
        whole.append(spent)
        surveys.append(survey)
    in_turn, at_once = ([spent.wall for spent in reading[key]] for key in (False, True))
    walls, alone = [spent.wall for spent in whole], [spent.wall for spent in surveys]
    counters = stand.organisation.counters
    pages = sum(count for (label, _), count in counters.calls.items() if label.startswith("list "))
    total, bare_total = (median(s.processors for s in many) for many in (surveys, reading[False]))
    what = f"kubernetes sweep of {projects:,} namespaces"
    return [
        Row(
            f"{what}: survey", seconds(alone), f"{seconds(in_turn)} (bare lists, one after the other)",
            median(alone) / median(in_turn), LIMIT,
        ),
        Row(
            f"{what}: the same", seconds(alone), f"{seconds(at_once)} (bare lists, all at once)",
            median(alone) / median(at_once),
        ),
        Row(
            f"{what}: the whole plan", seconds(walls), f"{seconds(in_turn)} (bare lists, one after the other)",
            median(walls) / median(in_turn), note="with loading, checking and judging the manifest",
        ),
        Row(
            f"{what}: survey, processor time of all", f"{total:.1f} s", f"{bare_total:.1f} s (bare lists)",
            total / bare_total, note=f"survey: {surveys[-1].shares()}; bare lists: {reading[False][-1].shares()}",
        ),
        Row(
            f"{what}: pages of lists", f"{pages}", f"{calls} (bare lists)", pages / calls, 1,
            note=f"{counters.total} calls in all, with discovery and a look at each role",
        ),
        Row(
            f"{what}: the first", f"{stand.first_seconds:.2f} s",
            note="with nothing cached; accepted, and noted that it holds",
        ),
        Row(f"{what}: putting it in", f"{stand.seeding.wall:.1f} s", note=stand.seeding.shares()),
    ]  # fmt: skip


async def _sweep(stand: Stand) -> tuple[Spent, Spent]:
    """All that `hanse plan` does, and the part of it that looks and plans."""
    stand.organisation.counters.clear()
    watch = Watch(stand.server)
    async with stand.organisation.open() as estate:
        proposal = await propose(estate)
        looking = Watch(stand.server)
        planned = await look(estate, proposal, Selection())
        survey = looking.read()
    spent = watch.read()
    assert_empty(planned)
    return spent, survey
