"""Making new projects: writes per second, beside a loop that makes the same without looking or remembering.

The two take turns, each on a Keystone of its own that began empty, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, TypeVar

from bench import bare, sdk
from bench.cloud import NOTHING, Spent
from bench.organisation import CONCURRENCY, Organisation
from bench.report import Row
from bench.stands import Stands, assert_empty
from hanse.demo.keystone import Keystone
from hanse.model import Done, Outcome, Step
from hanse.ports.transport import Call, Reply, Transport
from hanse.service.apply import begin, finish
from hanse.service.plan import plan

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
LIMIT = 0.8
TURNS = 8
SDK_PROJECTS = 20


class Counting(Protocol[S_co]):
    """Counts from its making on."""

    def read(self) -> S_co:
        """What was spent so far."""


class Writing(Generic[S]):
    """What was spent between the first write and the last outcome of one pass."""

    def __init__(self, watch: Callable[[], Counting[S]], nothing: S) -> None:
        """Nothing was written yet; `watch` begins to count."""
        self._begin = watch
        self._watch: Counting[S] | None = None
        self.steps = 0
        self.spent = nothing
        self.outcomes: list[Outcome] = []

    def around(self, inner: Transport) -> Transport:
        """The transport, watched for the first write."""
        return _Watched(inner, self)

    def begun(self) -> None:
        """A write is sent; the first one begins the count."""
        if self._watch is None:
            self._watch = self._begin()

    def told(self, _: Step, outcome: Outcome) -> None:
        """After each step; the last one ends the count."""
        self.outcomes.append(outcome)
        if len(self.outcomes) == self.steps and self._watch is not None:
            self.spent = self._watch.read()


class _Watched:
    """Tells of writes."""

    def __init__(self, inner: Transport, writing: Writing[Any]) -> None:
        self._inner = inner
        self._writing = writing

    async def send(self, call: Call) -> Reply:
        if call.is_write:
            self._writing.begun()
        return await self._inner.send(call)

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        return self._inner.stream(call)

    async def close(self) -> None:
        await self._inner.close()


async def run(stands: Stands, *, quick: bool) -> list[Row]:
    """Converge 200 new projects; the openstacksdk script makes some of the same on a third Keystone."""
    each = (20 if quick else 200) // TURNS
    whole = Organisation(stands.cloud.folder / "all-new", each * TURNS)
    organisation = stands.organisation("new", each, whole.people)
    resources = await _resources(stands, whole)
    wanted = organisation.wanted(resources)
    people = {"users": organisation.users()}
    plain = ours = NOTHING
    planning = noting = 0.0
    writes = 0
    with await stands.start("bare", people) as beside, await stands.start("ours", people) as running:
        organisation.join(running)
        for turn in range(TURNS):
            stands.tell(f"a bare loop makes {each} new projects, {turn + 1} of {TURNS}")
            watch = stands.cloud.watch(beside)
            writes += await bare.make_all(beside, wanted[turn * each : (turn + 1) * each])
            plain += watch.read()
            stands.tell(f"Hanse converges {each} new projects, {turn + 1} of {TURNS}")
            spent, before, after = await _converge(stands, organisation, running)
            ours, planning, noting = ours + spent, planning + before, noting + after
            if turn + 1 < TURNS:
                organisation.projects += each
                organisation.change(organisation.files())
        async with organisation.open() as estate:
            assert_empty(await plan(estate))
    some = wanted[: min(SDK_PROJECTS, each)]
    stands.tell(f"openstacksdk makes {len(some)} projects")
    with await stands.start("sdk", people) as running:
        taken, calls, changes = sdk.ensure(running, some)
    projects, made = each * TURNS, organisation.counters.writes
    assert made == writes == len(resources)
    under_way = sum(
        spent
        for label, spent in organisation.counters.seconds.items()
        if label.startswith(("create ", "put "))
    )
    rate, bare_rate, sdk_rate = made / ours.wall, writes / plain.wall, changes / taken
    return [
        Row(
            f"converge {projects} new projects: writes per second", f"{rate:.1f} ({made:,} writes)",
            f"{bare_rate:.1f} (bare loop)", rate / bare_rate, LIMIT, at_least=True,
            note=f"from first write to last outcome; processor time: {ours.shares()}",
        ),
        Row(
            f"converge {projects} new projects: Keystone's CPU for a write", f"{1000 * ours.keystone / made:.1f} ms",
            f"{1000 * plain.keystone / writes:.1f} ms (bare loop)", ours.keystone / plain.keystone,
            note=f"bare loop: {plain.shares()}",
        ),
        Row(
            f"converge {projects} new projects: writes under way", f"{under_way / ours.wall:.2f}",
            f"{CONCURRENCY} (bare loop)", under_way / ours.wall / CONCURRENCY,
            note="on average; the rest of the time steps are being journalled",
        ),
        Row(
            f"converge {projects} new projects: beside openstacksdk", f"{rate:.1f} a second",
            f"{sdk_rate:.1f} ({changes} writes for {len(some)} projects)", rate / sdk_rate,
            note=f"{calls} calls, one after the other",
        ),
        Row(
            f"converge {projects} new projects: the whole of it", f"{planning + ours.wall + noting:.1f} s",
            note=f"load, judge, observe and plan {planning:.1f} s, writes {ours.wall:.1f} s, accept, read-back and "
            f"noting {noting:.1f} s, in {TURNS} commits",
        ),
    ]  # fmt: skip


async def _resources(stands: Stands, whole: Organisation) -> list[Any]:
    whole.write()
    return await whole.resources()


async def _converge(
    stands: Stands, organisation: Organisation, running: Keystone
) -> tuple[Spent, float, float]:
    """One commit: what its writes took, and the seconds before and after them."""
    writing = Writing(lambda: stands.cloud.watch(running), NOTHING)
    async with organisation.open(around=writing.around) as estate:
        began = time.perf_counter()
        planned = await plan(estate)
        seen = time.perf_counter()
        writing.steps = planned.survey.steps
        converged = (await finish(estate, planned, begin(planned, writing.told))).converged
        ended = time.perf_counter()
    assert len(writing.outcomes) == writing.steps
    assert all(isinstance(outcome, Done) for outcome in writing.outcomes)
    assert not converged.after.steps
    return writing.spent, seen - began, ended - seen - writing.spent.wall
