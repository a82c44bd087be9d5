"""What a shell completes of the manifest."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from hanse import main
from hanse.cli import cli
from service.world import World


def completed(world: World, *before: str, word: str = "", config: str = "") -> list[str]:
    """What a shell offers for the beginning of a word after these."""
    shell = ShellComplete(cli, {"obj": {"joined": main.joined()}}, "hanse", "_HANSE_COMPLETE")
    words = ["--config", config or str(world.config), *before]
    return [item.value for item in shell.get_completions(words, word)]


@pytest.mark.parametrize("command", ["grant", "revoke", "status"])
def test_scopes_are_completed(world: World, command: str) -> None:
    assert completed(world, command, word="sho") == ["shop", "shop/trial", "shop/web"]
    assert completed(world, command, word="lab/s") == ["lab/sea", "lab/sky"]


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_what_a_plan_is_about_is_completed(world: World, command: str) -> None:
    assert completed(world, command, "--only", word="shop/t") == ["shop/trial"]


@pytest.mark.parametrize("command", ["grant", "revoke"])
def test_people_groups_and_roles_are_completed(world: World, command: str) -> None:
    world.commit({"roles.yaml": "{apiVersion: hanse/v1, kind: Role, name: auditor, scope: project}\n"})
    assert completed(world, command, "shop/web", "--user", word="u-8") == ["u-8"]
    assert completed(world, command, "shop/web", "--group", word="shop-") == ["shop-admins", "shop-team"]
    assert completed(world, command, "shop/web", "--role", word="a") == ["admin", "auditor"]


def test_platforms_and_a_repository_of_ones_own_are_completed(world: World) -> None:
    assert completed(world, "doctor") == ["north", "south"]
    own = ("grant", "--manifest", str(world.repository), "shop/web", "--user")
    assert completed(world, *own, word="u-7", config="/nowhere/server.yaml") == ["u-7"]


def test_where_nothing_can_be_read_nothing_is_completed_and_nothing_said(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    assert completed(world, "grant", word="s", config="/nowhere/server.yaml") == []
    assert completed(world, "grant", "--manifest", "/nowhere", word="s") == []
    assert capfd.readouterr() == ("", "")
