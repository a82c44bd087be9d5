"""`hanse grant` and `hanse new`: what a person types becomes a commit of theirs, or a message that helps."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hanse.foundation.time import format_instant
from service import manifest
from service.world import World

ON = ("grant", "shop/trial", "--user", "u-8", "--role", "user", "--reason", "CHG-1042: on-call")


@pytest.fixture
def world(world: World) -> World:
    """The small organisation, with a person at its repository."""
    world.git("config", "user.name", "Ann Example")
    world.git("config", "user.email", "ann@example.org")
    return world


def said(world: World, *arguments: str) -> str:
    result = world.run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(world: World, *arguments: str) -> str:
    before = world.git("rev-parse", "HEAD")
    result = world.run(*arguments)
    assert result.exit_code == 1, result.output
    assert "error: " in result.output
    assert world.git("rev-parse", "HEAD") == before
    assert world.git("status", "--short") == ""
    return result.output


def test_a_grant_is_a_commit_by_the_person_with_a_reason(applied: World) -> None:
    output = said(applied, *ON, "--for", "4h")
    commit = applied.git("rev-parse", "HEAD")
    assert (
        f"{commit[:8]} on main, by Ann Example <ann@example.org>: Grant user on shop/trial to user u-8"
        in output
    )
    assert "`hanse apply`, or a `hanse serve` that runs, carries it out" in output
    assert applied.git("log", "-1", "--format=%an %cn|%s|%b") == (
        "Ann Example Hanse|Grant user on shop/trial to user u-8 for 4 hours|CHG-1042: on-call"
    )
    (path,) = applied.git("show", "--name-only", "--format=").splitlines()
    text = (applied.repository / path).read_text()
    assert path.startswith("grants/")
    assert 'reason: "CHG-1042: on-call"' in text
    assert applied.git("status", "--short") == ""


def test_it_holds_after_the_next_pass_and_ends_by_the_clock(applied: World) -> None:
    said(applied, *ON, "--for", "4h")
    asyncio.run(applied.apply())
    assert applied.members("shop-trial-user") == {"u-3", "u-8"}
    applied.clock.advance(hours=4)
    asyncio.run(applied.apply())
    assert applied.members("shop-trial-user") == {"u-3"}


@pytest.mark.parametrize(
    ("options", "start", "end"),
    [
        (("--for", "30m"), None, "2026-06-01T12:30:00Z"),
        (("--for", "2w"), None, "2026-06-15T12:00:00Z"),
        (("--for", "7d", "--from", "2026-07-01"), "2026-07-01T00:00:00Z", "2026-07-08T00:00:00Z"),
        (("--until", "2026-06-30"), None, "2026-07-01T00:00:00Z"),
        (("--until", "2026-06-30T10:00+02:00"), None, "2026-06-30T08:00:00Z"),
        ((), None, None),
    ],
)
def test_from_when_until_when(
    options: tuple[str, ...], start: str | None, end: str | None, applied: World
) -> None:
    said(applied, *ON, *options)
    planned = asyncio.run(applied.plan())
    row = next(row for owner, row in planned.proposal.rows.items() if str(owner) == "north/shop/trial")
    (term,) = [term for term in row.accepted.intent.grants if term.subject == "u-8"]
    assert (term.start and format_instant(term.start)) == start
    assert (term.end and format_instant(term.end)) == end


def test_several_people_and_groups_get_a_commit_each(world: World) -> None:
    said(world, *ON, "--user", "u-7", "--user", "u-8", "--group", "lab-team")
    assert world.git("log", "-3", "--reverse", "--format=%s").splitlines() == [
        "Grant user on shop/trial to user u-8",
        "Grant user on shop/trial to user u-7",
        "Grant user on shop/trial to group lab-team",
    ]


def test_a_role_on_a_workspace_is_granted_too(world: World) -> None:
    world.commit({"roles.yaml": "{apiVersion: hanse/v1, kind: Role, name: owner, scope: workspace}\n"})
    said(world, "grant", "shop", "--user", "u-8", "--role", "owner", "--reason", "x")
    output = refused(world, "grant", "shop", "--user", "u-8", "--role", "admin", "--reason", "x")
    assert "role 'admin' is of scope project, and this grant is on a workspace" in output
    assert "roles that fit: owner" in output


@pytest.mark.parametrize(
    ("arguments", "told", "advice"),
    [
        (
            ("shop/trail", "--user", "u-8", "--role", "user"),
            "unknown project 'shop/trail'",
            "did you mean 'trial'?",
        ),
        (
            ("shpo/trial", "--user", "u-8", "--role", "user"),
            "unknown workspace 'shpo'",
            "did you mean 'shop'?",
        ),
        (("shop/trial", "--user", "u-88", "--role", "user"), "unknown user 'u-88'", "u-8"),
        (
            ("shop/trial", "--group", "shop-taem", "--role", "user"),
            "unknown group",
            "did you mean 'shop-team'?",
        ),
        (("shop/trial", "--user", "u-8", "--role", "usr"), "unknown role 'usr'", "did you mean 'user'?"),
        (("shop/trial", "--role", "user"), "to whom?", "give --user or --group"),
        (("shop/", "--user", "u-8", "--role", "user"), "'shop/' names no project", "WORKSPACE alone"),
        (
            ("shop/trial", "--user", "u-8", "--role", "user", "--until", "2026-05-01"),
            "the time of this grant is over already",
            "give a later --until, or --for",
        ),
        (
            ("shop/trial", "--user", "u-8", "--role", "user", "--until", "tomorrow"),
            "'tomorrow' is no instant",
            "2026-12-31",
        ),
        (
            (
                "shop/trial",
                "--user",
                "u-8",
                "--role",
                "user",
                "--until",
                "2026-07-01",
                "--from",
                "2026-08-01",
            ),
            "is not after",
            "exchange the two",
        ),
        (
            ("shop/trial", "--user", "u-8", "--role", "user", "--for", "4"),
            "'4' is no time",
            "30m, 4h, 7d or 2w",
        ),
        (
            ("shop/trial", "--user", "u-8", "--role", "user", "--from", "9000-01-01", "--for", "99999w"),
            "the calendar",
            "shorter --for",
        ),
        (
            ("shop/trial", "--user", "u-8", "--role", "user", "--for", "1h", "--until", "2026-07-01"),
            "two ways",
            "give one of them",
        ),
        (("shop/Trial", "--user", "u-8", "--role", "user"), "'Trial' is not allowed", "1 to 63 of a-z"),
        (
            ("trial", "--user", "u-8", "--role", "user"),
            "unknown workspace 'trial'",
            "the project shop/trial?",
        ),
        (("nowhere", "--user", "u-8", "--role", "user"), "unknown workspace 'nowhere'", "known: lab, shop"),
        (("shop/trial/x", "--user", "u-8", "--role", "user"), "names no project", "WORKSPACE/PROJECT"),
    ],
)
def test_what_cannot_be_granted_is_told_with_a_way_out(
    arguments: tuple[str, ...], told: str, advice: str, world: World
) -> None:
    output = refused(world, "grant", *arguments, "--reason", "x")
    assert told in output
    assert advice in output
    assert output.count("error: ") == 1
    assert "grants/" not in output, "nobody has that file"


def test_a_project_whose_name_several_workspaces_have_is_asked_back(world: World) -> None:
    world.commit({"lab/trial.yaml": manifest.project("trial", "lab")})
    output = refused(world, "grant", "trial", "--user", "u-8", "--role", "user", "--reason", "x")
    assert "did you mean the project lab/trial or shop/trial?" in output
    assert output.count("error: ") == 1


def test_a_branch_for_review_says_what_to_do_next(world: World) -> None:
    before = world.git("rev-parse", "main")
    output = said(world, *ON, "--branch", "review/u-8")
    assert "on review/u-8, by Ann Example" in output
    assert "have review/u-8 reviewed and merged into main; nothing is in force before that" in output
    assert world.git("rev-parse", "main") == before
    assert world.git("rev-parse", "review/u-8~1") == before


def test_machines_get_json(world: World) -> None:
    good = json.loads(said(world, *ON, "--json"))
    assert [one["result"] for one in good] == ["committed"]
    assert good[0]["commit"] == world.git("rev-parse", "HEAD")
    result = world.run(*ON, "--user", "u-88", "--json")
    rows: list[dict[str, Any]] = json.loads(result.output)
    assert [one["result"] for one in rows] == ["committed", "refused"]
    assert rows[1]["diagnostics"][0]["message"] == "unknown user 'u-88'"
    assert result.exit_code == 1


def test_no_server_configuration_is_needed_with_a_folder(world: World) -> None:
    output = said(world, *ON, "--manifest", str(world.repository))
    assert "on main, by Ann Example" in output
    world.git("checkout", "--quiet", "--detach")
    output = refused(world, *ON, "--manifest", str(world.repository))
    assert "is on no branch" in output


def test_errors_that_were_there_before_are_told(world: World) -> None:
    world.commit({manifest.SEA_FILE: "kind: Nothing\n"})
    output = said(world, *ON)
    assert "main had errors before this, and is not accepted until they are mended: lab/sea.yaml" in output


def test_work_that_is_not_committed_is_kept(world: World) -> None:
    (world.repository / manifest.TRIAL_FILE).write_text("mine\n")
    said(world, *ON)
    assert (world.repository / manifest.TRIAL_FILE).read_text() == "mine\n"
    assert world.git("status", "--short") == f"M {manifest.TRIAL_FILE}"


def test_commits_are_signed_where_server_yaml_names_a_key(world: World) -> None:
    key = world.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers = world.folder / "signers"
    signers.write_text(f"hanse@example.org {key.with_suffix('.pub').read_text()}")
    text = world.config.read_text()
    world.config.write_text(text.replace("branch: main", "branch: main, signingKey: key"))
    said(world, *ON)
    world.git("-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", "HEAD")
    key.unlink()
    output = refused(world, *ON)
    assert f"there is no key {key}" in output
    assert "signingKey" in output


@pytest.mark.parametrize("fault", ["passphrase", "open to all", "no key"])
def test_a_key_that_cannot_sign_is_told_and_what_it_should_be(world: World, fault: str) -> None:
    key = world.folder / "key"
    word = "secret" if fault == "passphrase" else ""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", word, "-f", key], check=True)
    if fault == "open to all":
        key.chmod(0o644)
    if fault == "no key":
        key.write_text("nothing\n")
        key.with_suffix(".pub").unlink()
    text = world.config.read_text()
    world.config.write_text(text.replace("branch: main", "branch: main, signingKey: key"))
    output = refused(world, *ON)
    assert f"nothing can be signed with {key}" in output
    assert "an SSH private key without a passphrase that nobody else can read" in output


# --- new ------------------------------------------------------------------------------------------


def test_a_new_workspace_and_a_project_in_it_are_made(applied: World) -> None:
    said(applied, "new", "workspace", "media", "--display-name", "Film & Ton", "--reason", "CHG-7")
    said(
        applied,
        *("new", "project", "media/cut", "--display-name", "Schnitt", "--description", "All cuts"),
        *("--tenant", "north/production", "--tenant", "south/production"),
        *("--admin", "group:shop-admins", "--admin", "user:u-8", "--tag", "environment=prod"),
    )
    assert (
        (applied.repository / "workspaces/media/projects/cut.yaml").read_text()
        == """\
apiVersion: hanse/v1
kind: Project
name: cut
workspace: media
displayName: Schnitt
description: All cuts
tags: {environment: prod}
access:
  - {group: shop-admins, role: admin}
  - {user: u-8, role: admin}
tenants:
  - {platform: north, landingZone: production}
  - {platform: south, landingZone: production}
"""
    )
    asyncio.run(applied.apply())
    assert applied.members("media-cut-admin", "south") == {"u-1", "u-2", "u-8"}


@pytest.mark.parametrize(
    ("arguments", "told", "advice"),
    [
        (
            ("project", "shop/trial"),
            "Project shop/trial is declared already at shop/trial.yaml",
            "rename one",
        ),
        (("workspace", "shop"), "Workspace shop is declared already at shop/workspace.yaml", "rename one"),
        (("workspace", "../x"), "'../x' cannot be the name of a workspace", "1 to 63 of a-z"),
        (("project", "shop/Web Shop"), "'Web Shop' cannot be the name of a project", "--display-name"),
        (("project", "shop"), "'shop' names no project", "WORKSPACE/NAME"),
        (("project", "shpo/x"), "unknown workspace 'shpo'", "did you mean 'shop'?"),
        (("project", "shop/x", "--tenant", "north"), "no place for a tenant", "PLATFORM/LANDING_ZONE"),
        (
            ("project", "shop/x", "--tenant", "nroth/production"),
            "unknown platform 'nroth'",
            "did you mean 'north'?",
        ),
        (("project", "shop/x", "--tenant", "north/prod"), "unknown landing zone 'prod'", ""),
        (("project", "shop/x", "--admin", "u-1"), "'u-1' is nobody", "user:ID or group:NAME"),
        (("project", "shop/x", "--tag", "stage"), "'stage' is no tag", "NAME=VALUE"),
        (("project", "shop/x", "--payment-method", "card"), "unknown payment method", ""),
    ],
)
def test_what_cannot_be_made_is_told_with_a_way_out(
    arguments: tuple[str, ...], told: str, advice: str, world: World
) -> None:
    output = refused(world, "new", *arguments)
    assert told in output
    assert advice in output


def test_a_file_that_is_there_is_left_as_it_is(world: World) -> None:
    said(world, "new", "project", "shop/x")
    output = refused(world, "new", "project", "shop/x", "--display-name", "Other")
    assert "workspaces/shop/projects/x.yaml exists already" in output
    mine = world.repository / "workspaces" / "shop" / "projects" / "y.yaml"
    mine.write_text("mine\n")
    result = world.run("new", "project", "shop/y")
    assert result.exit_code == 1
    assert "y.yaml in" in result.output
    assert "git stash" in result.output
    assert mine.read_text() == "mine\n"


def test_a_remote_that_is_away_or_refuses_is_told(world: World, tmp_path: Path) -> None:
    text = world.config.read_text()
    world.config.write_text(text.replace(str(world.repository), f"file://{tmp_path}/gone.git"))
    result = world.run(*ON)
    assert result.exit_code == 1
    assert "gone.git" in result.output


def test_an_empty_reason_is_none(world: World) -> None:
    assert "must not be empty" in world.run(*ON[:-1], " ").output


def test_a_command_line_that_is_not_understood_ends_with_1_and_a_guess(world: World) -> None:
    result = world.run("grnat")
    assert result.exit_code == 1
    assert "did you mean 'grant'?" in result.output
