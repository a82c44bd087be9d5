"""What holds with the store in a file holds with PostgreSQL: an apply, a crash, a serve."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hanse import main
from postgresql_server import PostgresqlServer
from service.test_apply import *  # noqa: F403 (its tests, with the world below)
from service.test_faults import *  # noqa: F403
from service.test_serve import *  # noqa: F403
from service.world import World, joined_with_memory


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql: PostgresqlServer) -> Iterator[World]:
    """A small organisation, committed and not yet accepted, whose store is on PostgreSQL."""
    made = World(tmp_path, address=postgresql.new_store())
    joined_with_memory(monkeypatch, made)
    made.begin()
    yield made
    asyncio.run(made.check())
    main.language.cache_clear()
