"""Estates that stand ready to be measured, so that several benchmarks can share one."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from bench import bare
from bench.cloud import Cloud, Watch
from bench.organisation import Organisation
from hanse.demo import keystone
from hanse.demo.keystone import Keystone
from hanse.model import Resource
from hanse.service.apply import begin, finish
from hanse.service.estate import Estate
from hanse.service.plan import plan

Tell = Callable[[str], None]


@dataclass
class Stand:
    """An organisation, and a Keystone that was converged to it, which Hanse knows."""

    cloud: Cloud
    organisation: Organisation
    running: Keystone
    resources: list[Resource]
    first_seconds: float
    """What the first plan took, with nothing cached, and noting that all holds."""

    def watch(self) -> Watch:
        """Begin to count time."""
        return self.cloud.watch(self.running)


class Stands:
    """Makes what is asked for, keeps it, and ends all of it."""

    def __init__(self, tell: Tell) -> None:
        """Tell what takes long."""
        self.tell = tell
        self.cloud = Cloud()
        self._made: dict[int, Stand] = {}

    async def converged(self, projects: int) -> Stand:
        """An estate of so many projects which is just as its manifest says."""
        if projects not in self._made:
            self.tell(f"making a Keystone of {projects:,} projects")
            organisation = self.organisation(f"of{projects}", projects)
            resources = await organisation.resources()
            running = await self.start(f"of{projects}", organisation.seed(resources))
            organisation.join(running)
            self.tell(f"first plan of {projects:,} projects, which must be empty")
            began = time.perf_counter()
            await accept(organisation)
            taken = time.perf_counter() - began
            self._made[projects] = Stand(self.cloud, organisation, running, resources, taken)
        return self._made[projects]

    async def start(self, name: str, estate: keystone.Estate) -> Keystone:
        """A Keystone that holds this estate and has been asked something of each kind, one call at a time.

        One that has just started loads its policy with the first call, and refuses others that come meanwhile.
        """
        running = self.cloud.start(name, estate)
        async with bare.Bare(running) as session:
            for collection in ("users", "domains", "projects", "groups", "roles"):
                await session.send("GET", f"/v3/{collection}?limit=1")
            await session.send("GET", "/v3/role_assignments?scope.system=all")
            await session.send("GET", "/v3/role_inferences")
            await session.send("GET", "/v3/auth/tokens?nocatalog")
        return running

    def organisation(self, name: str, projects: int, people: int = 0) -> Organisation:
        """A new manifest in its repository."""
        folder = self.cloud.folder / f"{name}-organisation"
        organisation = Organisation(folder, projects, people)
        organisation.write()
        return organisation

    def end(self, projects: int) -> None:
        """Stop a Keystone that is not needed any more."""
        stand = self._made.pop(projects, None)
        if stand is not None:
            stand.running.stop()

    def __enter__(self) -> Stands:
        """Itself."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End all."""
        for projects in list(self._made):
            self.end(projects)
        self.cloud.close()


class Opens(Protocol):
    """An organisation that Hanse can work on."""

    def open(self) -> AbstractAsyncContextManager[Estate]:
        """What `hanse` itself would work on."""


async def accept(organisation: Opens) -> None:
    """Accept what is committed and note that it holds; there must be nothing to do."""
    async with organisation.open() as estate:
        planned = await plan(estate)
        assert_empty(planned)
        await finish(estate, planned, begin(planned, lambda *_: None))


def assert_empty(planned: Any) -> None:
    """A plan over an estate that is as declared has no step, and nothing is left unsaid."""
    survey = planned.survey
    assert planned.proposal.checked is not None, planned.proposal.diagnostics[:3]
    assert not survey.unavailable, survey.unavailable
    assert not survey.steps, next(plan.steps[0] for plan in survey.plans.values() if plan.steps)
    assert not survey.remarks(), survey.remarks()[0]
    assert not survey.strays, survey.strays[0]
    assert not any(seen.incomplete for seen in survey.observations.values())
