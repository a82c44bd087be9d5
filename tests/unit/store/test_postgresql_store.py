"""Promises of the store on PostgreSQL beyond those of every store: a server that fails, refusals, others beside us."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hanse.store.postgresql import PostgresqlStore
from postgresql_server import PostgresqlServer
from store_conformance import StoreConformance


@pytest.fixture
def address(postgresql: PostgresqlServer) -> str:
    return postgresql.new_store()


@pytest.fixture
async def store(address: str) -> AsyncIterator[PostgresqlStore]:
    opened = PostgresqlStore.open(address)
    yield opened
    await opened.close()


class TestPostgresqlStore(StoreConformance):
    """The promises of every store."""
