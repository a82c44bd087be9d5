"""Making new projects: writes per second, beside a loop that makes the same without looking or remembering."""

from __future__ import annotations

import time

from bench import bare, sdk
from bench.report import Row
from bench.stands import Stands, assert_empty
from hanse.model import Done, Outcome, Step
from hanse.ports.transport import Call, Reply, Transport
from hanse.service.apply import begin, finish
from hanse.service.plan import plan

LIMIT = 0.8
SDK_PROJECTS = 20


class FirstWrite:
    """Notes when the first write was sent."""

    def __init__(self) -> None:
        """None was yet."""
        self.at = 0.0

    def around(self, inner: Transport) -> Transport:
        """The transport, watched."""
        note = self

        class Watched:
            async def send(self, call: Call) -> Reply:
                if call.is_write and not note.at:
                    note.at = time.perf_counter()
                return await inner.send(call)

            async def close(self) -> None:
                await inner.close()

        return Watched()


async def run(stands: Stands, *, quick: bool) -> list[Row]:
    """Converge 200 new projects on a fresh Keystone; the yardsticks each on another fresh one."""
    projects = 20 if quick else 200
    organisation = stands.organisation("new", projects)
    resources = await organisation.resources()
    wanted = organisation.wanted(resources)
    people = {"users": organisation.users()}

    stands.tell(f"a bare loop makes {projects} projects")
    with await stands.start("bare", people) as running:
        watch = stands.cloud.watch(running)
        writes = await bare.make_all(running, wanted)
        plain = watch.read()

    stands.tell(f"Hanse converges {projects} projects")
    with await stands.start("ours", people) as running:
        organisation.join(running)
        first = FirstWrite()
        outcomes: list[tuple[float, Outcome]] = []

        def told(_: Step, outcome: Outcome) -> None:
            outcomes.append((time.perf_counter(), outcome))

        async with organisation.open(around=first.around) as estate:
            began = time.perf_counter()
            planned = await plan(estate)
            observed = time.perf_counter()
            watch = stands.cloud.watch(running)
            converged = (await finish(estate, planned, begin(planned, told))).converged
            ended, spent = time.perf_counter(), watch.read()
        assert len(outcomes) == len(resources) == planned.survey.steps
        assert all(isinstance(outcome, Done) for _, outcome in outcomes)
        assert not converged.after.steps
        ours = organisation.counters.writes
        async with organisation.open() as estate:
            assert_empty(await plan(estate))

    some = wanted[: min(SDK_PROJECTS, projects)]
    stands.tell(f"openstacksdk makes {len(some)} projects")
    with await stands.start("sdk", people) as running:
        taken, calls, changes = sdk.ensure(running, some)
    last = outcomes[-1][0]
    rate, bare_rate, sdk_rate = ours / (last - first.at), writes / plain.wall, changes / taken
    return [
        Row(
            f"converge {projects} new projects: writes per second", f"{rate:.1f} ({ours:,} writes)",
            f"{bare_rate:.1f} ({writes:,} writes, bare loop)", rate / bare_rate, LIMIT, at_least=True,
            note=f"from first write to last outcome; {spent.shares()}; bare loop: {plain.shares()}",
        ),
        Row(
            f"converge {projects} new projects: beside openstacksdk", f"{rate:.1f}",
            f"{sdk_rate:.1f} ({changes} writes for {len(some)} projects)", rate / sdk_rate,
            note=f"{calls} calls, one after the other",
        ),
        Row(
            f"converge {projects} new projects: the whole of it", f"{ended - began:.1f} s",
            note=f"plan {observed - began:.1f} s, accept and journal {first.at - observed:.1f} s, "
            f"writes {last - first.at:.1f} s, read-back and noting {ended - last:.1f} s",
        ),
    ]  # fmt: skip
