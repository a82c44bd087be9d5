"""What all parts of the suite stand on: a fresh loop for each test, and the invariants after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest

from hanse.conformance.loop import Loop
from hanse.conformance.world import World
from hanse.model import Resource, Tenant
from hanse.transport import Fault

CATEGORIES = {
    "groups": "people get a role by membership in a group of ours",
    "workspace things": "a workspace has a container of its own, which holds those of its projects",
    "inherited access": "roles on something above a container hold in it",
    "service accounts": "some subjects are told to be no people",
    "adoption": "a thing that exists can be taken over",
    "disabling": "a container can be switched off and keeps its name and content",
    "renaming": "a container can get another name",
    "known people": "the cloud knows who there is, so that somebody can be unknown to it",
    "small pages": "lists can be read in pages of at most ten rows",
    "hints": "it can be listened to, and tells whose things change as they do",
    "page counts": "it can be told that a well-formed page lacks rows",
}
"""What a platform may lack, by name: never excused by a vendor's name."""


class Suite:
    """The parts of the suite are mixed from subclasses of this; a platform's tests say what `world` is."""

    lacks: ClassVar[Mapping[str, str]] = {}
    """Categories that the platform does not have, each with a sentence why."""
    exhaustive: ClassVar[bool] = True
    """Whether every call fails in turn. False: one call of each sort, where a cloud is slow."""

    async def world(self) -> World:
        """A fresh cloud in which nothing of ours is, and something foreign perhaps."""
        raise NotImplementedError

    @pytest.fixture
    def scratch(self) -> Iterator[Path]:
        """A folder that is lost with the power: stores are written a thousand times here, and never to be kept."""
        memory = Path("/dev/shm")  # noqa: S108 (a folder of its own is made in it)
        with TemporaryDirectory(prefix="hanse-", dir=memory if memory.is_dir() else None) as folder:
            yield Path(folder)

    @pytest.fixture
    async def loop(self, scratch: Path) -> AsyncIterator[Loop]:
        """A fresh world with Hanse around it; the invariants are checked when the test is over."""
        async with self.new_loop(scratch) as loop:
            yield loop

    @asynccontextmanager
    async def new_loop(self, folder: Path) -> AsyncIterator[Loop]:
        """A further one, for tests that need several."""
        assert self.lacks.keys() <= CATEGORIES.keys(), (
            f"no such category: {self.lacks.keys() - CATEGORIES.keys()}"
        )
        loop = Loop(await self.world(), folder)
        await loop.start()
        try:
            yield loop
            await loop.check()
        finally:
            await loop.close()

    def need(self, category: str) -> None:
        """Skip the test where the platform lacks what it is about."""
        if category in self.lacks:
            pytest.skip(self.lacks[category])

    def places(self, labels: list[str]) -> Iterator[Fault]:
        """Where to fail: at every call, or at the first of each label."""
        seen: set[str] = set()
        for number, label in enumerate(labels, 1):
            if self.exhaustive:
                yield Fault("cut", nth=number)
            elif label not in seen:
                seen.add(label)
                yield Fault("cut", label=label)

    async def container(self, loop: Loop, owner: Tenant) -> Resource | None:
        """The observed container of a project."""
        guarded = {spec.name for spec in loop.platform.describe().kinds if spec.guarded}
        observation = (await loop.survey()).observations[loop.world.identity.name]
        return next((r for r in observation.of(owner) if r.kind in guarded), None)
