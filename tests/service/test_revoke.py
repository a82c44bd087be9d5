"""A revocation takes access away ahead of any commit, and lapses when the manifest has caught up."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from hanse import git, main
from hanse.cli import cli
from hanse.desired.settings import Settings
from hanse.journal.events import GrantRevoked
from hanse.service.accepted import accepted_state
from hanse.service.estate import Trouble
from hanse.service.status import status
from service import manifest
from service.world import World

WITHOUT = manifest.TRIAL.replace("  - {user: u-3, role: user}\n", "")


async def test_a_revoked_grant_is_subtracted_at_once(applied: World) -> None:
    await applied.revoke("shop/trial", "u-3")
    await applied.apply()
    assert applied.members("shop-trial-user") == set()
    assert applied.members("shop-web-user") == {"u-3", "u-4", "u-5"}
    assert (await applied.plan()).survey.steps == 0
    assert [e for e in await applied.events() if isinstance(e, GrantRevoked)]


async def test_it_stays_subtracted_from_later_commits_that_have_the_grant(applied: World) -> None:
    await applied.revoke("shop/trial", "u-3")
    await applied.apply()
    applied.commit(
        {manifest.TRIAL_FILE: manifest.TRIAL.replace("kind: Project\n", "kind: Project\ndisplayName: A\n")}
    )
    await applied.apply()
    assert applied.members("shop-trial-user") == set()


async def test_it_works_with_a_broken_head_too(applied: World) -> None:
    applied.commit({manifest.SEA_FILE: "kind: Nothing\n"})
    await applied.revoke("shop/trial", "u-3")
    result = await applied.apply()
    assert result.planned.proposal.checked is None
    assert applied.members("shop-trial-user") == set()
    assert (await applied.plan()).survey.steps == 0


async def test_it_lapses_when_a_commit_without_the_grant_is_accepted(applied: World) -> None:
    await applied.revoke("shop/trial", "u-3")
    await applied.apply()
    applied.commit({manifest.TRIAL_FILE: WITHOUT})
    await applied.apply()
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL})
    await applied.apply()
    assert applied.members("shop-trial-user") == {"u-3"}


async def test_what_nobody_holds_cannot_be_revoked(applied: World) -> None:
    with pytest.raises(Trouble, match="user u-8 has no accepted grant on shop/trial"):
        await applied.revoke("shop/trial", "u-8")
    with pytest.raises(Trouble, match="no accepted project shop/nothing"):
        await applied.revoke("shop/nothing", "u-3")


def test_a_group_without_a_grant_is_not_told_to_name_the_group(applied: World) -> None:
    output = applied.run("revoke", "shop/trial", "--group", "shop-team", "--reason", "left").output
    assert "group shop-team has no accepted grant on shop/trial" in output
    assert "`hanse graph` shows who has which role where" in output
    assert "--group" not in output


def test_the_command_revokes_and_says_what_comes_next(applied: World) -> None:
    result = applied.run("revoke", "shop/trial", "--user", "u-3", "--reason", "left")
    assert result.exit_code == 0
    assert "hanse apply" in result.output
    assert applied.run("revoke", "shop/trial", "--reason", "left").exit_code == 1
    assert applied.run("apply", "--yes").exit_code == 0
    assert applied.members("shop-trial-user") == set()


# --- a revocation becomes a commit ----------------------------------------------------------------

GRANT = """\
apiVersion: hanse/v1
kind: Grant
name: g1
workspace: shop
project: trial
user: u-8
role: reader
reason: CHG-1
"""


@pytest.fixture
def granted(world: World) -> World:
    """The small organisation with a grant in a file of its own, applied."""
    world.commit({"grants/g1.yaml": GRANT})
    asyncio.run(world.apply())
    world.forget_calls()
    return world


def revoke(world: World, user: str = "u-3", *more: str, code: int = 0) -> str:
    result = world.run("revoke", "shop/trial", "--user", user, "--reason", "left the team", *more)
    assert result.exit_code == code, result.output
    return result.output


async def not_written(world: World) -> list[tuple[str, bool, str]]:
    """What is revoked and not accepted from git: whose, whether git has it, and why not."""
    async with world.open() as estate:
        return [
            (one.revocation.event.subject, one.written, one.revocation.waits)
            for one in (await status(estate)).revocations
        ]


def test_a_grants_own_file_goes(granted: World) -> None:
    output = revoke(granted, "u-8")
    assert "In git: " in output
    assert not (granted.repository / "grants/g1.yaml").exists()
    assert (
        granted.git("log", "-1", "--format=%s|%b")
        == "Revoke every role of user u-8 on shop/trial|left the team"
    )
    assert granted.git("status", "--short") == ""
    assert asyncio.run(not_written(granted)) == [("u-8", True, "")]
    asyncio.run(granted.apply())
    assert granted.members("shop-trial-reader") == set()
    assert asyncio.run(not_written(granted)) == []
    assert granted.run("validate", str(granted.repository)).exit_code == 0


def test_for_a_grant_in_a_persons_file_a_revocation_is_added_and_the_file_is_left(granted: World) -> None:
    before = (granted.repository / manifest.TRIAL_FILE).read_text()
    revoke(granted)
    (path,) = granted.git("show", "--name-only", "--format=").splitlines()
    assert path.startswith("revocations/")
    assert (granted.repository / manifest.TRIAL_FILE).read_text() == before
    asyncio.run(granted.apply())
    assert granted.members("shop-trial-user") == set()
    assert asyncio.run(not_written(granted)) == []
    assert asyncio.run(granted.plan()).survey.steps == 0
    told = granted.run("validate", str(granted.repository)).output
    assert f"this grant is revoked by {path}, and gives nobody access" in told
    assert "take both out" in told


def test_a_grant_file_that_holds_more_is_a_persons_and_stays(world: World) -> None:
    role = "---\n{apiVersion: hanse/v1, kind: Role, name: auditor, scope: project}\n"
    world.commit({"grants/g1.yaml": GRANT + role})
    asyncio.run(world.apply())
    revoke(world, "u-8")
    assert (world.repository / "grants/g1.yaml").read_text() == GRANT + role
    asyncio.run(world.apply())
    assert world.members("shop-trial-reader") == set()


def test_what_is_taken_out_by_revocations_is_no_removal_for_the_guards(world: World) -> None:
    text = manifest.ORGANIZATION.replace("removalAtLeast: 5", "removalAtLeast: 0").replace("25", "0")
    world.commit({"organization.yaml": text})
    asyncio.run(world.apply())
    revoke(world)
    applied = asyncio.run(world.apply())
    assert applied.planned.proposal.trips == ()
    assert world.members("shop-trial-user") == set()


def test_a_revocation_that_no_approver_gave_is_a_removal_as_any_other(world: World) -> None:
    text = manifest.ORGANIZATION.replace("removalAtLeast: 5", "removalAtLeast: 0").replace("25", "0")
    world.commit({"organization.yaml": text})
    asyncio.run(world.apply())
    row = "{apiVersion: hanse/v1, kind: Revocation, name: r, workspace: shop, project: trial, user: u-3}\n"
    world.commit({"r.yaml": row})
    applied = asyncio.run(world.apply())
    assert [trip.guard for trip in applied.planned.proposal.trips] == ["ceiling", "ceiling"]
    assert world.members("shop-trial-user") == {"u-3"}


def test_a_step_names_the_revocation_and_whose_it_is(world: World) -> None:
    asyncio.run(world.apply())
    row = "{apiVersion: hanse/v1, kind: Revocation, name: r, workspace: shop, project: trial, user: u-3}\n"
    nellie = git.Author("Nellie Bly", "nellie@example.org")
    commit = world.commit({"r.yaml": row}, "She left", nellie)
    planned = asyncio.run(world.plan())
    (step,) = [
        step for plan in planned.survey.plans.values() for step in plan.steps if step.action == "delete"
    ]
    assert step.reason.cause == "revoked"
    assert {planned.provenance[source].commit for source in step.reason.sources} == {commit}
    assert f"revoked · {commit[:8]} Nellie Bly" in world.run("plan").output


async def test_a_step_ahead_of_any_commit_names_none(applied: World) -> None:
    await applied.revoke("shop/trial", "u-3")
    planned = await applied.plan()
    steps = [step for plan in planned.survey.plans.values() for step in plan.steps]
    assert [step.reason.cause for step in steps] == ["revoked"]
    assert not [source for source in steps[0].reason.sources if source in planned.provenance]


def test_a_grant_of_the_same_takes_the_revocation_out_again(granted: World) -> None:
    revoke(granted)
    again = ("grant", "shop/trial", "--user", "u-3", "--role", "user", "--reason", "back again")
    early = granted.run(*again)
    assert early.exit_code == 1
    assert "this was revoked on" in early.output
    assert "run `hanse apply` first" in early.output
    asyncio.run(granted.apply())
    assert granted.run(*again).exit_code == 0
    assert list((granted.repository / "revocations").glob("*")) == []
    asyncio.run(granted.apply())
    assert granted.members("shop-trial-user") == {"u-3"}


def test_a_grant_of_one_role_leaves_the_others_revoked(world: World) -> None:
    more = manifest.TRIAL.replace(
        "  - {user: u-3, role: user}\n", "  - {user: u-3, role: user}\n  - {user: u-3, role: admin}\n"
    )
    world.commit({manifest.TRIAL_FILE: more})
    asyncio.run(world.apply())
    revoke(world)
    asyncio.run(world.apply())
    assert "u-3" not in world.members("shop-trial-admin")
    done = world.run("grant", "shop/trial", "--user", "u-3", "--role", "user", "--reason", "a little again")
    assert done.exit_code == 0, done.output
    asyncio.run(world.apply())
    assert world.members("shop-trial-user") == {"u-3"}
    assert "u-3" not in world.members("shop-trial-admin")


def test_revoked_twice_it_is_one_revocation_and_one_commit(granted: World) -> None:
    revoke(granted)
    head = granted.git("rev-parse", "HEAD")
    assert "main does not have the grant any more" in revoke(granted)
    assert "main does not have the grant any more" in revoke(granted, "u-3", "--role", "user")
    assert granted.git("rev-parse", "HEAD") == head
    assert len([e for e in asyncio.run(granted.events()) if isinstance(e, GrantRevoked)]) == 1


def test_a_reason_that_is_no_utf8_is_told_and_nothing_is_half_revoked(granted: World) -> None:
    output = revoke(granted, "u-8", "--reason", "left\udcff", code=1)
    assert "what was typed is no valid UTF-8" in output
    assert asyncio.run(not_written(granted)) == []


# --- on a workspace and on the organisation -------------------------------------------------------

SHOP_FILE, LAB_FILE = "shop/workspace.yaml", "lab/workspace.yaml"
ROLES = """\
{apiVersion: hanse/v1, kind: Role, name: owner, scope: workspace}
---
{apiVersion: hanse/v1, kind: Role, name: auditor-general, scope: organization}
"""
EMPTY = """\
apiVersion: hanse/v1
kind: Workspace
name: empty
access:
  - {user: u-8, role: owner}
"""


@pytest.fixture
def ruled(world: World) -> World:
    """The small organisation with people who have rights on workspaces and on the whole of it, applied."""
    world.commit(
        {
            "roles.yaml": ROLES,
            "empty.yaml": EMPTY,
            SHOP_FILE: manifest.SHOP.replace("}", ", access: [{user: u-3, role: owner}]}"),
            "organization.yaml": manifest.ORGANIZATION + "access: [{user: u-3, role: auditor-general}]\n",
        }
    )
    asyncio.run(world.apply())
    return world


def rights(world: World) -> dict[str, list[str]]:
    """Who has rights in Hanse by what is accepted: on the organisation (empty) and on workspaces."""

    async def found() -> Settings:
        async with world.open() as estate:
            _, settings = await accepted_state(estate.store, await estate.store.head())
            assert settings
            return settings

    settings = asyncio.run(found())
    rows = {"": settings.grants, **settings.workspace_grants}
    return {scope: [term.subject for term in terms] for scope, terms in rows.items() if terms}


@pytest.mark.parametrize(
    ("scope", "user", "where"),
    [("shop", "u-3", "shop"), ("empty", "u-8", "empty"), ("--organization", "u-3", "the organisation")],
)
def test_a_grant_on_a_workspace_or_on_the_organisation_is_revoked_too(
    ruled: World, scope: str, user: str, where: str
) -> None:
    key = "" if scope == "--organization" else scope
    assert user in rights(ruled)[key]
    arguments = ("revoke", scope, "--user", user, "--reason", "left the team")
    result = ruled.run(*arguments)
    assert result.exit_code == 0, result.output
    assert f"every role of user {user} on {where}. The next" in result.output
    assert ruled.git("log", "-1", "--format=%s") == f"Revoke every role of user {user} on {where}"
    (path,) = ruled.git("show", "--name-only", "--format=").splitlines()
    assert path.startswith("revocations/")
    assert asyncio.run(not_written(ruled)) == [(user, True, "")]
    assert f"every role of user {user} on {where}; in git" in ruled.run("status").output
    assert f"revoked every role of user {user} on {where}: left the team" in ruled.run("journal").output
    asyncio.run(ruled.apply())
    assert key not in rights(ruled)
    assert asyncio.run(not_written(ruled)) == []
    assert ruled.run(*arguments).exit_code == 1


def test_what_is_revoked_there_stays_so_as_long_as_commits_grant_it(ruled: World) -> None:
    asyncio.run(ruled.revoke("", "u-3"))
    asyncio.run(ruled.revoke("empty", "u-8"))
    for name in ("A", "B"):
        ruled.commit({LAB_FILE: manifest.LAB.replace("Laboratory", name)})
        asyncio.run(ruled.apply())
        assert rights(ruled) == {"shop": ["u-3"]}
        assert {user for user, *_ in asyncio.run(not_written(ruled))} == {"u-3", "u-8"}
    asyncio.run(ruled.revoke("", "u-3"))
    asyncio.run(ruled.revoke("empty", "u-8"))
    assert len([e for e in asyncio.run(ruled.events()) if isinstance(e, GrantRevoked)]) == 2


def test_a_workspace_is_no_project_of_it_and_no_other_workspace(ruled: World) -> None:
    asyncio.run(ruled.revoke("shop", "u-3"))
    asyncio.run(ruled.apply())
    assert ruled.members("shop-trial-user") == {"u-3"}
    assert rights(ruled) == {"": ["u-3"], "empty": ["u-8"]}


def test_a_renamed_workspace_is_revoked_on_by_its_present_name(ruled: World) -> None:
    was = {path: text for path, text in manifest.FILES.items() if "workspace: shop" in text}
    text = "{apiVersion: hanse/v1, kind: Workspace, name: store, formerly: [shop], access: [{user: u-3, role: owner}]}"
    files = {path: text.replace("workspace: shop", "workspace: store") for path, text in was.items()}
    ruled.commit({SHOP_FILE: text, **files})
    asyncio.run(ruled.apply())
    result = ruled.run("revoke", "store", "--user", "u-3", "--reason", "left")
    assert result.exit_code == 0, result.output
    asyncio.run(ruled.apply())
    assert rights(ruled) == {"": ["u-3"], "empty": ["u-8"]}
    assert asyncio.run(not_written(ruled)) == []


def test_a_grant_on_the_organisation_has_a_file_of_its_own_which_goes(ruled: World) -> None:
    granted = ("--user", "u-8", "--role", "auditor-general", "--reason", "CHG-1")
    assert ruled.run("grant", "--organization", *granted).exit_code == 0
    assert ruled.git("log", "-1", "--format=%s") == "Grant auditor-general on the organisation to user u-8"
    asyncio.run(ruled.apply())
    assert rights(ruled)[""] == ["u-3", "u-8"]
    assert ruled.run("revoke", "--organization", "--user", "u-8", "--reason", "left").exit_code == 0
    assert list((ruled.repository / "grants").glob("*")) == []
    early = ruled.run("grant", "--organization", *granted)
    assert "this was revoked on" in early.output
    asyncio.run(ruled.apply())
    assert rights(ruled)[""] == ["u-3"]
    assert ruled.run("grant", "--organization", *granted).exit_code == 0


@pytest.mark.parametrize("command", ["grant", "revoke"])
def test_nobody_means_the_whole_organisation_by_leaving_a_word_out(ruled: World, command: str) -> None:
    more = ("--user", "u-3", "--role", "auditor-general", "--reason", "r")
    for scope in ((), ("",)):
        result = ruled.run(command, *scope, *more)
        assert result.exit_code == 1
        assert "give --organization" in result.output
    both = ruled.run(command, "shop", "--organization", *more)
    assert "'shop' and --organization are two scopes" in both.output


# --- as soon as the remote takes it ---------------------------------------------------------------


@pytest.fixture
def remote(granted: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world's repository as a bare one at an address, which Hanse has fetched and which is away now."""
    monkeypatch.setenv("XDG_DATA_HOME", str(granted.folder / "data"))
    bare = granted.folder / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", granted.repository, bare], check=True)
    text = granted.config.read_text()
    granted.config.write_text(text.replace(f"url: {granted.repository}", f'url: "file://{bare}"'))
    asyncio.run(granted.plan())
    bare.rename(bare.with_name("away.git"))
    return bare


def back(bare: Path) -> None:
    bare.with_name("away.git").rename(bare)


def subjects(bare: Path) -> list[str]:
    command = ["git", "-C", str(bare), "log", "--format=%s", "main"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_remote_that_is_away_keeps_no_revocation_from_its_effect(granted: World, remote: Path) -> None:
    output = revoke(granted)
    assert "Revoked:" in output
    assert "the revocation stands, and git does not have it yet" in output
    told = granted.run("status").output
    assert "every role of user u-3 on shop/trial; in force, and not in git yet: " in told
    rows = json.loads(granted.run("status", "--json").output)["revocations"]
    assert [(row["user"], row["inGit"]) for row in rows] == [("u-3", False)]
    assert rows[0]["why"]
    back(remote)
    done = granted.run("apply", "--yes")
    assert done.exit_code == 0, done.output
    assert subjects(remote)[0] == "Revoke every role of user u-3 on shop/trial"
    assert granted.members("shop-trial-user") == set()
    assert asyncio.run(not_written(granted)) == []
    granted.run("apply", "--yes")
    assert len(subjects(remote)) == 3


def test_a_server_that_refuses_is_told_and_tried_again(granted: World, remote: Path) -> None:
    back(remote)
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is frozen' >&2\nexit 1\n")
    hook.chmod(0o755)
    assert "main is frozen" in revoke(granted)
    assert "main is frozen" in granted.run("status").output
    done = granted.run("apply", "--yes")
    assert "git does not have it yet" in done.output
    assert granted.members("shop-trial-user") == set()
    hook.unlink()
    granted.run("apply", "--yes")
    assert subjects(remote)[0] == "Revoke every role of user u-3 on shop/trial"


# --- killed in between ----------------------------------------------------------------------------

KILLER = """#!/bin/sh
case " $* " in *" {verb} "*) {before}kill -9 $PPID; exit 1;; esac
exec {git} "$@"
"""


@pytest.mark.parametrize(
    ("when", "verb"),
    [
        ("before", "fast-import"),
        ("after", "fast-import"),
        ("after", "read-tree"),
        ("before", "update-ref"),
        ("after", "update-ref"),
    ],
)
def test_a_run_that_is_killed_at_any_call_of_git_loses_no_revocation_and_makes_none_twice(
    when: str, verb: str, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.hanse("apply", "--yes", "--first", site.git("rev-parse", "HEAD"))
    real = shutil.which("git")
    run = f'{real} "$@"; ' if when == "after" else ""
    killer = tmp_path / "bin" / "git"
    killer.parent.mkdir()
    killer.write_text(KILLER.format(verb=verb, before=run, git=real))
    killer.chmod(0o755)
    revoked = ("revoke", "first/trial", "--user", "u-1", "--reason", "left")
    path = f"{killer.parent}{os.pathsep}{os.environ['PATH']}"
    assert site.killed(*revoked, path=path) == -9
    site.hanse("apply", "--yes")
    site.hanse("apply", "--yes")
    assert (
        site.git("log", "--format=%s").splitlines().count("Revoke every role of user u-1 on first/trial") == 1
    )
    assert len(site.git("ls-tree", "-r", "--name-only", "HEAD", "revocations/").splitlines()) == 1
    assert json.loads(site.hanse("status", "--json"))["revocations"] == []
    assert site.git("status", "--short") == ""


@dataclass
class Site:
    """An organisation as `hanse init` makes it, with one grant inline, and the command, which may be killed."""

    folder: Path

    def __post_init__(self) -> None:
        """Make it."""
        self.hanse("init", str(self.folder / "org"))
        path = self.folder / "org" / "workspaces" / "first" / "projects" / "trial.yaml"
        path.write_text(path.read_text() + "  - {user: u-1, role: user}\n" + TENANT)
        (self.folder / "org" / "kubernetes.yaml").write_text(PLATFORM)
        self.git("add", "--all")
        self.git("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "-qm", "A tenant")

    @property
    def homes(self) -> dict[str, str]:
        """Where the command finds what belongs to its user."""
        return {name: str(self.folder / name) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}

    def hanse(self, *arguments: str) -> str:
        """Run the command to its end, in this process, which has imported already what a new one would."""
        done = CliRunner(env=self.homes).invoke(cli, [*arguments], obj={"joined": main.joined()})
        assert done.exit_code in (0, 1), done.output
        assert isinstance(done.exception, SystemExit | None), done.output
        return done.stdout

    def killed(self, *arguments: str, path: str) -> int:
        """Run it in a process of its own; how it ended."""
        command = [sys.executable, "-m", "hanse", *arguments]
        environment = os.environ | self.homes | {"PATH": path}
        return subprocess.run(command, check=False, capture_output=True, env=environment).returncode

    def git(self, *arguments: str) -> str:
        """Run git by hand."""
        command = ["git", "-C", str(self.folder / "org"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


PLATFORM = """\
apiVersion: hanse/v1
kind: Platform
name: k8s
credential: k8s-robot
kubernetes: {subjects: {users: {externalId: k8s}}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: standard, platform: k8s}
"""
TENANT = "tenants:\n  - {platform: k8s, landingZone: standard}\n"
