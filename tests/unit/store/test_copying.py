"""Promises of a copied store: all that was there is there, and half a copy is nobody's store."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanse.journal import chain
from hanse.model import Tenant
from hanse.ports.store import OwnerRow, Status, StoreError
from hanse.store import SqlStore, copying, open_store
from hanse.store.copying import copy
from postgresql_server import PostgresqlServer
from store_conformance import (
    MANY,
    NOW,
    OWNER,
    a_head,
    a_provenance,
    a_revocation,
    a_step,
    accepted,
    all_of,
    an_approval,
    an_intent,
    due,
    events_of,
    intended,
    started,
)


async def full(where: str) -> SqlStore:
    """A store with something in each table, and in some of them more than is copied at once."""
    store = open_store(where)
    await accepted(store, OWNER, *(Tenant("fra", "shop", f"p-{number}") for number in range(MANY)))
    await store.append([started(number) for number in range(MANY)], NOW)
    await store.append([intended(a_step())], NOW)
    await store.record({OWNER: Status("i", "d", NOW)})
    await store.mark([OWNER], NOW, "a hint")
    await store.approve(an_approval(), [])
    await store.revoke(a_revocation(), NOW)
    await store.keep_provenance("c1", {"a": a_provenance()}, [])
    await store.keep_parsed({"b1": b"\x00x"})
    await store.chain()
    return store


async def test_a_store_moves_from_a_file_to_postgresql_and_back(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    homes = [str(tmp_path / "a.db"), postgresql.new_store(), str(tmp_path / "b.db")]
    store = await full(homes[0])
    before = await all_of(store.journal())
    events = await events_of(store)
    for home in homes[1:]:
        target = open_store(home)
        assert await copy(store, target) == len(before)
        await target.close()
        await store.close()
        store = open_store(home)
        assert await all_of(store.journal()) == before
        assert await events_of(store) == events
        assert await store.head() == a_head()
        assert await store.owner(OWNER) == OwnerRow(OWNER, an_intent(), Status("i", "d", NOW))
        assert await store.count("fra") == MANY + 1
        assert [work.owner for work in await due(store, "fra", NOW)] == [OWNER]
        assert [step for _, step in await store.open_steps()] == [a_step()]
        assert await store.approvals(NOW) == {"s1": an_approval()}
        assert len(await store.revocations()) == 1
        assert await store.provenance(["a"]) == {"a": a_provenance()}
        assert await store.provenance_until() == "c1"
        assert await store.parsed(["b1"]) == {"b1": b"\x00x"}
    await store.append([intended(a_step())], NOW)
    await store.chain()
    after = await all_of(store.journal())
    assert chain.verify(after) == []
    assert after[-1].body == before[MANY + 1].body, "the same text has the same mark"
    await store.close()


async def test_nothing_is_copied_over_a_store_that_is_used(tmp_path: Path) -> None:
    one, other = await full(str(tmp_path / "a.db")), open_store(str(tmp_path / "b.db"))
    await other.keep_parsed({"b1": b"x"})
    with pytest.raises(StoreError, match="not empty"):
        await copy(one, other)
    assert await other.parsed(["b1"]) == {"b1": b"x"}
    await other.close()
    await one.close()
    await open_store(str(tmp_path / "b.db")).close()


async def test_half_a_copy_is_nobodys_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = await full(str(tmp_path / "a.db")), open_store(str(tmp_path / "b.db"))
    some = copying._some

    def breaks(table: str, key: str, last: object) -> object:
        if table == "owner" and last:
            raise StoreError("the disk failed")
        return some(table, key, last)

    monkeypatch.setattr(copying, "_some", breaks)
    with pytest.raises(StoreError, match="disk failed"):
        await copy(one, other)
    await other.close()
    with pytest.raises(StoreError, match="half a copy") as caught:
        open_store(str(tmp_path / "b.db"))
    assert "copy again" in caught.value.advice
    assert await one.count("fra") == MANY + 1
    await one.close()


async def test_who_revokes_while_it_is_copied_makes_it_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await full(str(tmp_path / "a.db")), open_store(str(tmp_path / "b.db"))
    copy_table = copying._copy_table

    async def meanwhile(source: SqlStore, target: SqlStore, table: str, key: str) -> int:
        count = await copy_table(source, target, table, key)
        if table == "journal":
            await source.revoke(a_revocation("u-9"), NOW)
        return count

    monkeypatch.setattr(copying, "_copy_table", meanwhile)
    with pytest.raises(StoreError, match="while it was copied"):
        await copy(one, other)
    await other.close()
    await one.close()
    with pytest.raises(StoreError, match="half a copy"):
        open_store(str(tmp_path / "b.db"))
