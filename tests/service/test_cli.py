"""The command line: exit codes, texts, JSON that says what the text says, questions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from click.testing import Result

from hanse.ports.transport import Call
from hanse.store import SqliteStore
from hanse.transport import Fault
from service import manifest
from service.world import SECRET, World

LIVE = {manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")}


def from_json(result: Result) -> Any:
    """What a command wrote on standard output."""
    return json.loads(result.stdout)


def test_plan_ends_with_2_where_there_are_changes_and_with_0_where_there_are_none(applied: World) -> None:
    assert applied.run("plan").exit_code == 0
    applied.commit(LIVE)
    result = applied.run("plan")
    assert result.exit_code == 2
    assert "2 to change" in result.output
    assert applied.run("apply", "--yes").exit_code == 0
    result = applied.run("plan")
    assert result.exit_code == 0
    assert "Nothing to do" in result.output


def test_plan_json_says_what_the_text_says(applied: World) -> None:
    applied.commit(LIVE)
    result = applied.run("plan", "--json")
    assert result.exit_code == 2
    told = from_json(result)
    assert told["steps"] == 2
    assert [part["owner"] for part in told["owners"]] == ["north/shop/web", "south/shop/web"]
    (step,) = told["owners"][0]["steps"]
    assert (step["action"], step["after"]) == ("update", {"tags": ["environment=live"]})
    assert told["commit"] == applied.git("rev-parse", "HEAD")


def test_the_first_acceptance_needs_a_person_or_the_commits_name(world: World) -> None:
    head = world.git("rev-parse", "HEAD")
    result = world.run("apply", "--yes")
    assert result.exit_code == 1
    assert f"--first {head}" in result.output
    assert world.writes == []
    result = world.run("apply", "--yes", "--first", "0" * 40)
    assert result.exit_code == 1
    assert world.writes == []
    result = world.run("apply", "--yes", "--first", head[:6])
    assert result.exit_code == 1
    assert f"names no more than {head[:6]} of the commit" in result.output
    assert world.writes == []
    result = world.run("apply", "--yes", "--first", head[:7])  # as `git rev-parse --short` gives it
    assert result.exit_code == 0, result.output
    assert "everything holds" in result.output


def test_first_is_told_to_mean_nothing_once_something_is_accepted(applied: World) -> None:
    head = applied.git("rev-parse", "HEAD")
    for named in ("deadbeef", head):
        result = applied.run("apply", "--yes", "--first", named)
        assert result.exit_code == 0, result.output
        assert f"--first {named} is left aside" in result.stderr
        assert f"{head[:8]} is accepted already" in result.stderr
    assert "left aside" not in applied.run("apply", "--yes").output


def test_at_a_terminal_the_first_acceptance_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanse.cli.apply.at_terminal", lambda: True)
    result = world.run("apply", answers="n\n")
    assert result.exit_code == 1
    assert "as the first state to be trusted?" in result.output
    assert world.writes == []
    result = world.run("apply", answers="y\ny\n")
    assert result.exit_code == 0, result.output
    assert "Carry out" in result.output


def test_without_a_terminal_nothing_is_done_unless_it_is_said_to_be_meant(applied: World) -> None:
    applied.commit(LIVE)
    result = applied.run("apply")
    assert result.exit_code == 1
    assert "give --yes where a machine decides" in result.output
    assert applied.writes == []


def test_apply_json(applied: World) -> None:
    applied.commit(LIVE)
    result = applied.run("apply", "--yes", "--json")
    assert result.exit_code == 0
    told = from_json(result)
    assert (told["done"], told["left"], told["accepted"]) == (2, 0, True)
    applied.commit({manifest.SEA_FILE: "kind: Nothing\n"})
    result = applied.run("apply", "--yes", "--json")
    assert result.exit_code == 1
    told = from_json(result)
    assert told["accepted"] is False
    assert told["diagnostics"][0]["place"]["path"] == manifest.SEA_FILE


def test_json_is_json_also_where_nothing_can_be_done(world: World) -> None:
    world.commit({manifest.SEA_FILE: "kind: Nothing\n"})
    for arguments in (("plan", "--json"), ("apply", "--yes", "--json")):
        result = world.run(*arguments)
        assert result.exit_code == 1
        assert from_json(result)["diagnostics"]


def test_validate(world: World) -> None:
    result = world.run("validate", str(world.repository))
    assert result.exit_code == 0
    assert "is sound" in result.output
    world.commit({manifest.SEA_FILE: "kind: Nothing\n"})
    result = world.run("validate", str(world.repository), "--json")
    assert result.exit_code == 1
    assert from_json(result)["diagnostics"][0]["place"]["path"] == manifest.SEA_FILE


def test_approve_lists_and_approves(applied: World) -> None:
    applied.commit({manifest.SEA_FILE: None})
    assert applied.run("apply", "--yes").exit_code == 0
    (one,) = from_json(applied.run("approve", "--json"))
    assert (one["rule"], one["approved"]) == ("deletion", False)
    listed = applied.run("approve")
    assert one["subject"][:12] in listed.output
    assert applied.run("approve", one["subject"][:8], "--reason", "closed").exit_code == 0
    assert "(approved)" in applied.run("approve").output
    result = applied.run("apply", "--yes")
    assert result.exit_code == 0, result.output
    assert "north/lab/sea is gone" in result.output
    assert "Nothing waits" in applied.run("approve").output


def test_status(applied: World) -> None:
    result = applied.run("status")
    assert result.exit_code == 0, result.output
    assert result.output.count("active") == 5
    applied.commit(LIVE)
    assert "the branch is at" in applied.run("status").output
    told = from_json(applied.run("status", "--json"))
    assert {row["owner"] for row in told["owners"]} == {
        "north/lab/sea", "north/lab/sky", "north/shop/trial", "north/shop/web", "south/shop/web"
    }  # fmt: skip
    assert applied.run("status", "nothing").exit_code == 1


def test_status_says_what_to_do_where_there_is_nothing_to_show(world: World) -> None:
    told = world.run("status").output
    assert "nothing accepted yet" in told
    assert "`hanse plan` shows what would be done" in told
    assert "waits for" not in told
    empty = {path: None for path in manifest.FILES if path.startswith(("shop/", "lab/"))}
    head = world.commit(empty)
    assert world.run("apply", "--yes", "--first", head).exit_code == 0
    told = world.run("status").output
    assert f"accepted {head[:8]}" in told
    assert "`hanse explain Project.tenants` says how" in told
    assert "waits for" not in told
    assert "tenants" in world.run("explain", "Project.tenants").output
    told = world.run("status", "shop").output
    assert "nothing that is accepted of shop has a place on a platform" in told


def test_a_platform_that_is_away_is_told_and_the_exit_code_is_1(applied: World) -> None:
    applied.faults["south"][:] = [Fault("cut", times=0)]
    result = applied.run("plan")
    assert result.exit_code == 1
    assert "south could not be read" in result.output
    assert "everything is as declared" not in result.output
    assert applied.run("apply", "--yes").exit_code == 1
    result = applied.run("status")
    assert result.exit_code == 1
    assert "south" in result.output


def test_journal_reads_and_verifies(applied: World) -> None:
    result = applied.run("journal")
    assert result.exit_code == 0
    assert "accepted" in result.output
    lines = [json.loads(line) for line in applied.run("journal", "--json").stdout.splitlines()]
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    result = applied.run("journal", "verify")
    assert result.exit_code == 0
    assert "unbroken" in result.output


def test_a_credential_that_is_not_bound_or_bound_elsewhere_is_told(world: World) -> None:
    text = world.config.read_text()
    world.config.write_text(text.replace("platform: south", "platform: north"))
    result = world.run("plan")
    assert result.exit_code == 1
    assert "the credential south-robot is bound to the platform north" in result.output
    world.config.write_text(text.replace("  south-robot:", "  other-robot:"))
    result = world.run("plan")
    assert result.exit_code == 1
    assert "bind it under `credentials`" in result.output


def test_troubles_are_two_lines_and_no_traceback(world: World) -> None:
    world.config.write_text(f"repository: {{url: {world.folder / 'nowhere'}}}\n")
    result = world.run("plan")
    assert result.exit_code == 1
    assert "error:" in result.output
    assert "Traceback" not in result.output
    world.config.write_text(f"repository: {{url: {world.repository}, brunch: {SECRET[:6]}}}\n")
    result = world.run("plan")
    assert result.exit_code == 1
    assert "server.yaml:1:" in result.output
    assert result.output.count("`hanse explain server` shows every field") == 1
    assert "brunch" not in world.run("explain", "server").output
    assert "branch" in world.run("explain", "server.repository").output
    world.config.unlink()
    result = world.run("plan")
    assert result.exit_code == 1
    assert "cannot read" in result.output
    world.write_config()


def test_a_second_run_is_refused_before_anybody_is_asked(applied: World) -> None:
    async def held() -> Result:
        store = SqliteStore.open(applied.folder / "hanse.db")
        await store.hold()
        try:
            return await asyncio.to_thread(applied.run, "apply", "--yes")
        finally:
            await store.close()

    result = asyncio.run(held())
    assert result.exit_code == 1
    assert "is applying with this store already" in result.output
    assert "where that is `hanse serve`, it applies each commit by itself" in result.output


def test_ctrl_c_stops_after_the_steps_under_way_and_a_second_run_goes_on(world: World) -> None:
    writes = 0

    def interrupt(platform: str, call: Call, is_done: bool) -> bool:
        nonlocal writes
        writes += is_done
        if is_done and writes == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return False

    world.kill = interrupt
    head = world.git("rev-parse", "HEAD")
    result = world.run("apply", "--yes", "--first", head)
    assert result.exit_code == 1
    assert "Stopping after the steps under way" in result.output
    assert "not tried" in result.output
    assert 3 <= len(world.writes) < 20
    assert "stopped before its end" in world.run("status").output
    assert world.run("apply", "--yes").exit_code == 0
    assert world.run("plan").exit_code == 0


def test_init_makes_a_repository_that_is_sound(world: World) -> None:
    folder = world.folder / "new"
    result = world.run("init", str(folder), "--name", "acme")
    assert result.exit_code == 0, result.output
    assert world.run("validate", str(folder)).exit_code == 0
    assert world.run("init", str(folder)).exit_code == 1


def test_another_organisation_is_refused(applied: World) -> None:
    applied.commit({"organization.yaml": manifest.ORGANIZATION.replace("name: example", "name: other")})
    result = applied.run("apply", "--yes")
    assert result.exit_code == 1
    assert "the name of an organisation never changes" in result.output
    assert applied.writes == []


def test_two_platforms_of_one_name_are_told_with_both_places(world: World) -> None:
    twice = manifest.PLATFORMS.replace("name: south\n", "name: north\n")
    world.commit({"platforms.yaml": twice})
    result = world.run("validate", str(world.repository))
    assert result.exit_code == 1
    assert "Platform north is declared already at platforms.yaml:1:1" in result.output
