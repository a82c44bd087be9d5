"""After a bad day: a store is put back, or its views are made anew, and nothing is lost or opened by it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from hanse import main
from hanse.journal.events import StoreRestored
from hanse.service.estate import Trouble
from hanse.service.rebuild import rebuild
from hanse.service.serve import TIDY_AFTER_SECONDS, TIDY_SECONDS, Serving
from service import manifest
from service.test_faults import killed
from service.test_serve import clocked, served
from service.world import World

__all__ = ["clocked"]

MORE = {
    manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3, role: user", "u-4, role: user"),
    "shop/new.yaml": manifest.project("new", access="user: u-5, role: admin"),
}


@pytest.fixture
def file(world: World) -> Path:
    return world.folder / "hanse.backup"


def restore(world: World, file: Path) -> str:
    """As an operator does it once the store is lost."""
    for lost in world.folder.glob("hanse.db*"):
        lost.unlink()
    result = world.run("restore", str(file))
    assert result.exit_code == 0, result.output
    return result.output


async def serve_once(world: World) -> None:
    async with world.open() as estate:
        serving = Serving(estate, lambda news: None)
        serving.stop()
        await serving.run()


def test_what_was_revoked_since_is_shown_and_asked_about_before_it_is_given_back(
    applied: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert applied.run("backup", str(file)).exit_code == 0
    asyncio.run(applied.revoke("shop/trial", "u-3"))
    asyncio.run(applied.apply())
    assert applied.members("shop-trial-user") == set()
    assert "what was approved or revoked since is not in it" in restore(applied, file)
    assert "the store was restored as it was on" in applied.run("plan").output
    with pytest.raises(Trouble, match="was restored as it was on") as caught:
        asyncio.run(serve_once(applied))
    assert "hanse apply" in caught.value.advice
    result = applied.run("apply", "--yes")
    assert result.exit_code == 1
    assert "needs a person" in result.output
    assert "--first" in result.output
    assert applied.members("shop-trial-user") == set(), "a machine's yes is none here"
    monkeypatch.setattr("hanse.cli.apply.at_terminal", lambda: True)
    result = applied.run("apply", "--yes", answers="n\n")
    assert "carl.gauss" in result.output, "it shows whom it would let in"
    assert "changed by hand: made again" in result.output
    assert applied.members("shop-trial-user") == set()
    asyncio.run(applied.revoke("shop/trial", "u-3"))  # what a person does who sees that
    result = applied.run("apply", answers="y\ny\n")
    assert result.exit_code == 0, result.output
    assert applied.members("shop-trial-user") == set()
    asyncio.run(serve_once(applied))


def test_a_machine_goes_on_after_a_restore_where_the_commit_is_named(applied: World, file: Path) -> None:
    assert applied.run("backup", str(file)).exit_code == 0
    restore(applied, file)
    head = applied.git("rev-parse", "HEAD")
    assert applied.run("apply", "--yes", "--only", "lab", "--first", head).exit_code == 0
    with pytest.raises(Trouble, match="was restored"):
        asyncio.run(serve_once(applied))
    assert applied.run("apply", "--yes", "--first", head).exit_code == 0
    asyncio.run(serve_once(applied))


def test_what_was_made_since_is_found_by_its_marks_and_nobody_loses_anything_in_between(
    applied: World, file: Path
) -> None:
    assert applied.run("backup", str(file)).exit_code == 0
    applied.commit(MORE)
    asyncio.run(applied.apply())
    assert applied.members("shop-new-admin") == {"u-5"}
    restore(applied, file)
    applied.forget_calls()
    head = applied.git("rev-parse", "HEAD")
    assert applied.run("apply", "--yes", "--first", head).exit_code == 0
    assert applied.writes == []
    asyncio.run(serve_once(applied))
    events = asyncio.run(applied.events())
    assert any(isinstance(event, StoreRestored) for event in events)
    assert applied.run("journal", "verify").exit_code == 0
    assert "was restored" in applied.run("journal").output


def test_a_store_that_is_there_is_not_given_up_unless_that_is_said(applied: World, file: Path) -> None:
    assert applied.run("backup", str(file)).exit_code == 0
    again = applied.run("backup", str(file))
    assert again.exit_code == 1
    assert "--replace" in again.output
    refused = applied.run("restore", str(file))
    assert refused.exit_code == 1
    assert "holds something already" in refused.output
    assert applied.run("restore", str(file), "--replace").exit_code == 0
    assert applied.run("backup", str(file), "--replace").exit_code == 0


def test_a_journal_that_was_not_whole_is_told_and_put_back_only_where_that_is_said(
    applied: World, file: Path
) -> None:
    async def damage() -> None:
        async with applied.open() as estate:
            engine = estate.store.engine  # type: ignore[attr-defined]
            await engine.write(lambda sql: sql.run("UPDATE journal SET body = $1 WHERE sequence = 2", b"{}"))

    healthy = applied.folder / "kept.db"
    shutil.copy(applied.folder / "hanse.db", healthy)
    asyncio.run(damage())
    taken = applied.run("backup", str(file))
    assert taken.exit_code == 1
    assert "the journal is not whole" in taken.output
    assert applied.run("rebuild").exit_code == 1, "nothing is made from such a journal"
    for lost in applied.folder.glob("hanse.db*"):
        lost.unlink()
    assert applied.run("restore", str(file)).exit_code == 1
    assert applied.run("restore", str(file), "--unproven").exit_code == 0
    for lost in applied.folder.glob("hanse.db*"):
        lost.unlink()
    shutil.move(healthy, applied.folder / "hanse.db")


async def test_a_backup_is_taken_while_it_serves_and_delays_nothing(clocked: World, file: Path) -> None:
    async with served(clocked) as serve:
        for number in range(3):
            clocked.join_by_hand("shop-web-admin", "u-8")
            found = await main.back_up(str(clocked.config), "", file, bool(number))
            await serve.until(lambda: clocked.members("shop-web-admin") == {"u-1", "u-2"}, 2)
            assert found.findings == ()
    assert found.records


def test_a_store_without_its_views_is_made_whole_and_converges_as_before(applied: World) -> None:
    applied.commit(MORE)
    asyncio.run(applied.apply())
    applied.kill = lambda platform, call, after: after and "memberships" in call.path
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-5")})
    with pytest.raises(BaseException) as raised:  # noqa: PT011 (Killed is no Exception)
        asyncio.run(applied.apply())
    assert killed(raised)
    applied.kill = None
    asyncio.run(applied.revoke("shop/new", "u-5"))

    async def wiped() -> None:
        async with applied.open() as estate:
            engine = estate.store.engine  # type: ignore[attr-defined]
            for table in ("open_step", "approval", "revocation", "work"):
                await engine.write(lambda sql, table=table: sql.run(f"DELETE FROM {table}"))  # noqa: S608
            await engine.write(
                lambda sql: sql.run("UPDATE owner SET applied = '', directory = '', applied_at = NULL")
            )

    async def known() -> tuple[object, ...]:
        async with applied.open() as estate:
            store = estate.store
            revoked = [(one.digest, one.event) for one in await store.revocations()]
            applied_ = {str(row.owner): row.status.applied async for row in store.owners()}
            return await store.open_steps(), revoked, applied_

    before = asyncio.run(known())
    assert before[0], "a step is open"
    asyncio.run(wiped())
    result = applied.run("rebuild")
    assert result.exit_code == 0, result.output
    assert asyncio.run(known()) == before
    applied.join_by_hand("shop-web-admin", "u-8")
    planned = asyncio.run(applied.plan())
    reasons = {str(step.key): step.reason.cause for p in planned.survey.plans.values() for step in p.steps}
    assert "local-change" in reasons.values(), "what was changed by hand is still known as that"
    asyncio.run(applied.apply())
    assert applied.members("shop-new-admin") == set(), "it stays revoked"
    assert applied.members("shop-trial-user") == {"u-5"}
    assert asyncio.run(applied.plan()).survey.steps == 0


async def test_nothing_is_rebuilt_beside_a_serve(clocked: World) -> None:
    async with served(clocked), clocked.open() as beside:
        with pytest.raises(Exception, match="is applying with this store already"):
            await rebuild(beside)


async def test_every_owner_is_looked_at_again_after_a_rebuild(clocked: World) -> None:
    async with clocked.open() as estate:
        await rebuild(estate)
        work = await estate.store.work()
        assert {one.due for one in work.values()} == {clocked.clock.at}
        assert work.keys() == {row.owner async for row in estate.store.owners()}
    async with served(clocked) as serve:
        await serve.quiet(5)
    async with clocked.open() as estate:
        assert all(one.due is None for one in (await estate.store.work()).values())


async def test_what_nothing_needs_any_more_goes_while_it_serves(clocked: World) -> None:
    async def kept(table: str, column: str) -> set[str]:
        engine = clocked.store.engine  # type: ignore[union-attr]
        rows = await engine.read(lambda sql: sql.run(f"SELECT {column} FROM {table}"))  # noqa: S608
        return {row[0] for row in rows}

    async with served(clocked) as serve:
        contents, parsed = await kept("blob", "digest"), await kept("parsed", "blob_id")
        clocked.commit(MORE)
        await serve.until(lambda: clocked.members("shop-new-admin") == {"u-5"}, 20)
        await clocked.plan()  # keeps what it parses
        clocked.commit({manifest.TRIAL_FILE: manifest.TRIAL, "shop/new.yaml": None, manifest.SEA_FILE: None})
        await serve.until(lambda: clocked.members("shop-new-admin") == set(), 20)
        await clocked.plan()  # reads who decided
        before = await kept("blob", "digest")
        assert len(before) > len(contents)
        assert len(await kept("parsed", "blob_id")) > len(parsed)
        for seconds in (TIDY_AFTER_SECONDS, TIDY_SECONDS):
            clocked.clock.advance(seconds=seconds)
            await serve.quiet(5)
        clocked.clock.advance(seconds=TIDY_SECONDS)
        await serve.quiet(5)
        after = await kept("blob", "digest")
        assert after < before
        rows = [row async for row in clocked.store.owners()]  # type: ignore[union-attr]
        head = await clocked.store.head()  # type: ignore[union-attr]
        assert head is not None
        named = {row.accepted.intent.digest for row in rows} | {row.status.applied for row in rows}
        assert after == (named | {row.status.directory for row in rows} | {head.directory, head.settings})
        assert await kept("parsed", "blob_id") < parsed
