"""A world for each test, and what must hold after each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hanse import main
from service.world import World, joined_with_memory


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[World]:
    """A small organisation, committed and not yet accepted."""
    made = World(tmp_path)
    joined_with_memory(monkeypatch, made)
    made.begin()
    yield made
    made.said += caplog.text
    asyncio.run(made.check())
    main.language.cache_clear()


@pytest.fixture
def applied(world: World) -> World:
    """The small organisation as it holds on both clouds, calls counted from here."""
    asyncio.run(world.apply())
    world.forget_calls()
    return world
