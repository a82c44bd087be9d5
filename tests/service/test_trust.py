"""Whose commits are accepted, and who may do what: with real keys, real git, and all that stands on it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hanse import git
from hanse.journal.events import ApprovalGiven, GrantRevoked, OrganizationAccepted
from hanse.service.estate import Trouble
from hanse.service.grant import grant_request
from hanse.service.new import workspace_request
from hanse.service.write import Committed, Declined, Result, Writing
from service import manifest
from service.world import World
from signing import Gpg, Key, gnupg, ssh_key

EVERYBODYS = manifest.TRIAL.replace("u-3, role: user", "u-4, role: user")
LIVE = manifest.WEB.replace("prod}", "live}")


class Keys:
    """Ada and Blaise administer, Carl does not; a forge merges; a stranger is nobody."""

    def __init__(self, folder: Path, gpg: Gpg) -> None:
        self.ada, self.carl, self.stranger = (ssh_key(folder, name) for name in ("ada", "carl", "stranger"))
        self.blaise, self.forge = gpg.key("blaise"), gpg.key("forge")
        self.root = ssh_key(folder, "root")


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    """Real keys, made once."""
    with tempfile.TemporaryDirectory() as place, gnupg(Path(place) / "g") as gpg:
        yield Keys(Path(place), gpg)


def block(text: str) -> str:
    return "|\n" + "\n".join(f"        {line}" for line in text.splitlines())


def signer(who: str, key: Key, more: str = "") -> str:
    text = block(key.public) if key.home else key.public
    return f"    - {who}\n      {key.form}: {text}\n{more}"


def organization(*signers: str, more: str = "") -> str:
    return f"{manifest.ORGANIZATION}trust:\n  signers:\n{''.join(signers)}{more}"


ALL_ADAS = "  protected:\n    - {paths: ['**'], changedBy: {users: [u-1]}}\n"
PROTECTED = """\
  protected:
    - {paths: ["**"], changedBy: {groups: [shop-admins], machines: [forge]}}
    - {paths: [shop, "lab/**"], changedBy: {users: [u-3], groups: [shop-admins], machines: [forge]}}
  approvals:
    guard: {groups: [shop-admins]}
    deletion: {users: [u-1]}
    revocation: {groups: [shop-team]}
"""


def all_signers(keys: Keys) -> list[str]:
    return [
        signer("user: u-1", keys.ada),
        signer("user: u-2", keys.blaise),
        signer("user: u-3", keys.carl),
        signer("machine: forge", keys.forge),
    ]


def open_trust(keys: Keys) -> str:
    return organization(*all_signers(keys))


@pytest.fixture
def trusted(applied: World, keys: Keys) -> World:
    """The small organisation with signers and protected paths, accepted."""
    applied.commit({"organization.yaml": organization(*all_signers(keys), more=PROTECTED)})
    assert applied.run("apply", "--yes").exit_code == 0
    applied.forget_calls()
    return applied


def refused(world: World) -> str:
    """What the plan says of the head, which must be refused."""
    accepted = asyncio.run(world.head())
    result = world.run("plan")
    assert result.exit_code == 1
    assert f"what was accepted last stands: {accepted[:8]}" in result.output
    applied = world.run("apply", "--yes")
    assert applied.exit_code == 1
    assert asyncio.run(world.head()) == accepted
    return result.output


def accepted(world: World) -> None:
    """The head must be accepted."""
    result = world.run("apply", "--yes")
    assert asyncio.run(world.head()) == world.git("rev-parse", "HEAD"), result.output


# --- signatures -----------------------------------------------------------------------------------


def test_what_signers_of_either_sort_sign_is_accepted(trusted: World, keys: Keys) -> None:
    keys.ada.commit(trusted.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    keys.blaise.commit(trusted.repository, {manifest.SEA_FILE: None})
    keys.forge.commit(trusted.repository, {manifest.WEB_FILE: LIVE})
    accepted(trusted)
    assert "u-4" in trusted.members("shop-trial-user")


def test_an_unsigned_commit_is_refused_and_all_that_was_accepted_stays_in_force(
    trusted: World, keys: Keys
) -> None:
    trusted.commit({manifest.TRIAL_FILE: EVERYBODYS}, "Give Dorothy access")
    trusted.join_by_hand("shop-web-admin", "u-8")
    told = refused(trusted)
    assert '"Give Dorothy access" by Maria Mitchell) is not signed' in told
    assert "git rebase --force-rebase --rebase-merges --gpg-sign" in told
    assert trusted.members("shop-trial-user") == {"u-3"}
    assert "u-8" not in trusted.members("shop-web-admin")


def test_nothing_is_called_as_declared_while_what_is_declared_is_refused(trusted: World, keys: Keys) -> None:
    trusted.commit({manifest.TRIAL_FILE: EVERYBODYS})
    told = refused(trusted)
    assert "everything is as it was accepted last" in told
    assert "as declared" not in told


def test_a_long_title_is_told_to_be_longer(trusted: World, keys: Keys) -> None:
    trusted.commit({manifest.TRIAL_FILE: EVERYBODYS}, f"{'so long ' * 9}a title")
    assert f'"{("so long " * 9)[:60].rstrip()}…" by Maria Mitchell) is not signed' in refused(trusted)


def test_what_is_advised_mends_it(trusted: World, keys: Keys) -> None:
    trusted.commit({manifest.TRIAL_FILE: EVERYBODYS})
    trusted.commit({manifest.SEA_FILE: manifest.SEA + "# a remark\n"})
    told = refused(trusted)
    command = told.partition("what follows on it: `git ")[2].partition("`")[0].split()
    keys.ada.git(trusted.repository, *command)
    accepted(trusted)


def test_status_and_serve_and_json_tell_it_too(trusted: World, keys: Keys) -> None:
    commit = trusted.commit({manifest.TRIAL_FILE: EVERYBODYS})
    status = trusted.run("status")
    assert status.exit_code == 1
    assert f"commit {commit[:8]}" in status.output
    assert "is not signed" in status.output
    plan = trusted.run("plan", "--json")
    assert "one of its commits is not trusted" in plan.output
    assert "unsigned" in plan.output


def test_every_commit_on_the_way_needs_a_signature(trusted: World, keys: Keys) -> None:
    trusted.commit({manifest.TRIAL_FILE: EVERYBODYS}, "Smuggled in")
    keys.ada.commit(trusted.repository, {manifest.WEB_FILE: LIVE})
    assert "Smuggled in" in refused(trusted)


def test_who_signs_a_merge_answers_for_what_it_brings(trusted: World, keys: Keys) -> None:
    trusted.git("checkout", "--quiet", "-b", "side")
    trusted.commit({manifest.TRIAL_FILE: EVERYBODYS}, "Unsigned, on a branch")
    trusted.git("checkout", "--quiet", "main")
    keys.forge.git(trusted.repository, "merge", "--quiet", "--no-ff", "--gpg-sign", "side", "-m", "Merge")
    accepted(trusted)


def test_a_strangers_signature_is_nobodys(trusted: World, keys: Keys) -> None:
    keys.stranger.commit(trusted.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    told = refused(trusted)
    assert f"signed with the key {keys.stranger.fingerprint}, which is no signer's" in told


def test_a_forged_signature_is_told_as_one(trusted: World, keys: Keys) -> None:
    commit = keys.ada.commit(trusted.repository, {manifest.TRIAL_FILE: EVERYBODYS}, "Harmless")
    raw = trusted.git("cat-file", "commit", commit).replace("Harmless", "Harmful!") + "\n"
    command = ["git", "-C", str(trusted.repository), "hash-object", "-t", "commit", "-w", "--stdin"]
    forged = subprocess.run(command, check=True, capture_output=True, text=True, input=raw).stdout.strip()
    trusted.git("reset", "--quiet", "--hard", forged)
    assert "has a wrong signature: it was changed after u-1 signed it, or is a forgery" in refused(trusted)


def test_the_key_of_a_disabled_user_counts_for_nothing(trusted: World, keys: Keys) -> None:
    people = "---\n".join(map(manifest.user, manifest.PEOPLE))
    gone = people.replace("name: u-2\n", "name: u-2\nstate: disabled\n")
    keys.ada.commit(trusted.repository, {"people.yaml": gone})
    accepted(trusted)
    keys.blaise.commit(trusted.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    assert "is signed by u-2, who is disabled" in refused(trusted)


def test_a_key_counts_in_its_own_time_by_the_servers_clock(applied: World, keys: Keys) -> None:
    until = signer("user: u-3", keys.carl, "      from: 2026-06-10\n      until: 2026-06-20\n")
    applied.commit({"organization.yaml": organization(signer("user: u-1", keys.ada), until)})
    accepted(applied)
    keys.carl.commit(
        applied.repository, {manifest.TRIAL_FILE: EVERYBODYS}, GIT_COMMITTER_DATE="2026-06-15T00:00Z"
    )
    assert "is signed by u-3, whose key counts only from 2026-06-10 on" in refused(applied)
    applied.clock.advance(days=30)
    assert "is signed by u-3, whose key counted until 2026-06-20" in refused(applied)
    applied.clock.advance(days=-15)
    accepted(applied)


# --- whose trust counts -----------------------------------------------------------------------------


def test_a_commit_gives_nobody_a_right_before_it_is_accepted(applied: World, keys: Keys) -> None:
    applied.commit({"organization.yaml": organization(signer("user: u-1", keys.ada))})
    accepted(applied)
    keys.ada.commit(applied.repository, {"organization.yaml": open_trust(keys)}, "Carl may sign")
    keys.carl.commit(applied.repository, {manifest.TRIAL_FILE: EVERYBODYS}, "And he does")
    assert "And he does" in refused(applied)
    applied.git("reset", "--quiet", "--hard", "HEAD~1")
    accepted(applied)
    keys.carl.commit(applied.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    accepted(applied)


def test_nobody_signs_himself_into_trust_or_out_of_it(applied: World, keys: Keys) -> None:
    applied.commit({"organization.yaml": organization(signer("user: u-1", keys.ada))})
    accepted(applied)
    own = organization(signer("user: u-3", keys.stranger))
    keys.stranger.commit(applied.repository, {"organization.yaml": own})
    refused(applied)
    applied.git("reset", "--quiet", "--hard", "HEAD~1")
    applied.commit({"organization.yaml": manifest.ORGANIZATION}, "No trust at all")
    assert "No trust at all" in refused(applied)


def test_the_root_of_trust_is_asked_first_and_helps_when_all_keys_are_lost(world: World, keys: Keys) -> None:
    (world.folder / "signers").write_text(f"root@example.org {keys.root.public}\n")
    world.write_config("signers")
    first = world.git("rev-parse", "HEAD")
    result = world.run("apply", "--yes", "--first", first)
    assert result.exit_code == 1
    assert "is not signed" in result.output
    assert world.writes == []
    own = organization(
        signer("user: u-1", keys.ada), more="  protected:\n    - {paths: ['**'], changedBy: {users: [u-1]}}\n"
    )
    second = keys.root.commit(world.repository, {"organization.yaml": own})
    assert world.run("apply", "--yes", "--first", second).exit_code == 0
    keys.root.commit(world.repository, {"organization.yaml": own + "# Ada lost her key\n"})
    accepted(world)
    keys.ada.commit(world.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    accepted(world)


def test_with_a_root_alone_every_commit_needs_it(applied: World, keys: Keys) -> None:
    (applied.folder / "keys.asc").write_text(keys.forge.public)
    applied.write_config("'', trustRootGpg: keys.asc")
    keys.ada.commit(applied.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    refused(applied)
    keys.forge.git(applied.repository, "commit", "--quiet", "--amend", "--gpg-sign", "--no-edit")
    accepted(applied)


def test_a_root_within_the_repository_is_none(world: World, keys: Keys) -> None:
    (world.repository / "signers").write_text(f"root@example.org {keys.root.public}\n")
    world.write_config("repository/signers")
    result = world.run("plan")
    assert result.exit_code == 1
    assert "lies in the repository that it shall guard" in result.output
    world.write_config()


# --- protected paths --------------------------------------------------------------------------------


def test_a_protected_file_is_changed_only_by_who_may(trusted: World, keys: Keys) -> None:
    keys.carl.commit(trusted.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    accepted(trusted)
    keys.carl.commit(trusted.repository, {"platforms.yaml": manifest.PLATFORMS + "# mine\n"})
    told = refused(trusted)
    assert (
        "changes platforms.yaml, which only group shop-admins or machine forge may; it is signed by u-3"
        in told
    )
    keys.blaise.git(trusted.repository, "commit", "--quiet", "--amend", "--gpg-sign", "--no-edit")
    accepted(trusted)


@pytest.mark.parametrize(
    "name", ["new\nfile.yaml", "new\u2028file.yaml", "new\rfolder/file.yaml", "NEW.yaml"]
)
def test_no_name_of_a_file_is_beyond_what_is_protected(trusted: World, keys: Keys, name: str) -> None:
    keys.carl.commit(trusted.repository, {name: manifest.SEA.replace("name: sea", "name: lake")})
    assert "which only group shop-admins or machine forge may" in refused(trusted)


@pytest.mark.parametrize("way", ["move away", "move over", "link", "mode", "delete"])
def test_no_way_to_change_a_protected_file_is_overlooked(trusted: World, keys: Keys, way: str) -> None:
    folder = trusted.repository
    match way:
        case "move away":
            (folder / "groups.yaml").rename(folder / "shop" / "groups.yaml")
        case "move over":
            (folder / "shop" / "trial.yaml").rename(folder / "trial.yaml")
        case "link":
            (folder / "groups.yaml").unlink()
            (folder / "groups.yaml").symlink_to("shop/web.yaml")
        case "mode":
            (folder / "groups.yaml").chmod(0o755)
        case "delete":
            (folder / "groups.yaml").unlink()
    keys.carl.commit(folder)
    told = refused(trusted)
    assert "changes trial.yaml" in told if way == "move over" else "changes groups.yaml" in told


def test_a_merge_the_wrong_way_round_undoes_no_protected_change(trusted: World, keys: Keys) -> None:
    """Along first parents nothing is changed, for what was accepted comes in as the second parent and is dropped."""
    base = trusted.git("rev-parse", "HEAD")
    renamed = manifest.PLATFORMS.replace("concurrency: 4", "concurrency: 3")
    kept = keys.ada.commit(trusted.repository, {"platforms.yaml": renamed})
    accepted(trusted)
    trusted.git("reset", "--quiet", "--hard", base)
    keys.carl.commit(trusted.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    keys.carl.git(
        trusted.repository, "merge", "--quiet", "-s", "ours", "--gpg-sign", kept, "-m", "Merge main"
    )
    assert "changes platforms.yaml" in refused(trusted)
    keys.ada.git(trusted.repository, "commit", "--quiet", "--amend", "--gpg-sign", "--no-edit")
    accepted(trusted)


# --- tags -------------------------------------------------------------------------------------------

TAG = """\
{apiVersion: hanse/v1, kind: TagDefinition, name: secret, kinds: [Project], setBy: {users: [u-1]}}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: environment, kinds: [Project]}
"""
SECRET = manifest.TRIAL.replace("workspace: shop", "workspace: shop\ntags: {secret: high}")


@pytest.fixture
def tagged(applied: World, keys: Keys) -> World:
    """An organisation where only Ada may set the tag `secret`, which one project has."""
    files = {"organization.yaml": open_trust(keys), "tags.yaml": TAG, manifest.TRIAL_FILE: SECRET}
    applied.commit(files)
    accepted(applied)
    return applied


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (manifest.TRIAL_FILE, manifest.TRIAL),
        (manifest.TRIAL_FILE, SECRET.replace("high", "low")),
        (manifest.TRIAL_FILE, None),
        (manifest.SEA_FILE, manifest.SEA.replace("workspace: lab", "workspace: lab\ntags: {secret: high}")),
        ("tags.yaml", TAG.replace("[u-1]", "[u-1, u-3]")),
        ("tags.yaml", TAG.replace("name: secret", "name: open")),
    ],
    ids=["taken", "changed", "project gone", "given", "definition changed", "definition gone"],
)
def test_a_tag_is_set_only_by_who_may(tagged: World, keys: Keys, path: str, text: str | None) -> None:
    keys.carl.commit(tagged.repository, {path: text})
    told = refused(tagged)
    assert "the tag secret, which only u-1 may; it is signed by u-3" in told


def test_what_is_beside_a_tag_is_everybodys(tagged: World, keys: Keys) -> None:
    keys.carl.commit(tagged.repository, {manifest.TRIAL_FILE: SECRET.replace("u-3", "u-4")})
    keys.carl.commit(tagged.repository, {manifest.TRIAL_FILE: None, "moved.yaml": SECRET})
    renamed = SECRET.replace("name: trial", "name: test\nformerly: [trial]")
    keys.carl.commit(tagged.repository, {"moved.yaml": renamed})
    accepted(tagged)
    keys.ada.commit(tagged.repository, {"moved.yaml": renamed.replace("high", "low")})
    accepted(tagged)


# --- histories --------------------------------------------------------------------------------------


def test_a_rewritten_history_needs_signatures_and_a_yes(trusted: World, keys: Keys) -> None:
    trusted.write_config(more="accounts: {operator: u-2}\n")
    keys.ada.git(trusted.repository, "commit", "--quiet", "--amend", "--gpg-sign", "-m", "Another beginning")
    told = refused(trusted)
    assert "its history does not contain the accepted commit: it was rewritten" in told
    (one,) = asyncio.run(trusted.waiting())
    assert "it was rewritten" in one.what
    asyncio.run(trusted.approve(one.subject))
    accepted(trusted)


def test_a_rewritten_history_that_is_not_signed_waits_for_nobodys_yes(trusted: World, keys: Keys) -> None:
    trusted.git("commit", "--quiet", "--amend", "-m", "Another beginning")
    assert "is not signed" in refused(trusted)
    assert asyncio.run(trusted.waiting()) == []


def test_who_goes_back_answers_for_what_is_undone(trusted: World, keys: Keys) -> None:
    trusted.write_config(more="accounts: {operator: u-2}\n")
    old = keys.carl.commit(trusted.repository, {manifest.TRIAL_FILE: EVERYBODYS})
    keys.ada.commit(trusted.repository, {"platforms.yaml": manifest.PLATFORMS + "# one more line\n"})
    accepted(trusted)
    trusted.git("reset", "--quiet", "--hard", old)
    assert "changes platforms.yaml" in refused(trusted)


def test_an_unrelated_history_is_told_as_one(trusted: World, keys: Keys) -> None:
    trusted.git("checkout", "--quiet", "--orphan", "other")
    trusted.commit({manifest.TRIAL_FILE: EVERYBODYS})
    trusted.git("branch", "--quiet", "-f", "main", "other")
    assert "is not signed" in refused(trusted)
    keys.ada.git(
        trusted.repository, "commit", "--quiet", "--amend", "--gpg-sign", "-m", "A beginning", "--all"
    )
    trusted.git("branch", "--quiet", "-f", "main", "other")
    assert "the two have nothing in common" in refused(trusted)


def test_another_repository_in_its_place_changes_nothing(trusted: World, keys: Keys) -> None:
    """The accepted commit is not even known any more; what it brought stays in force."""
    old = trusted.repository.rename(trusted.folder / "old")
    files = {path: text.encode() for path, text in manifest.FILES.items() if path != manifest.SEA_FILE}
    git.init(trusted.repository, files, "Another beginning", git.Author("Eve", "eve@example.org"))
    trusted.join_by_hand("shop-web-admin", "u-8")
    trusted.leave_by_hand("shop-web-user", "u-3")
    assert "is not signed" in refused(trusted)
    assert "u-8" not in trusted.members("shop-web-admin")
    assert "u-3" in trusted.members("shop-web-user")
    assert "lab-sea" in trusted.names("spaces")
    keys.ada.git(
        trusted.repository, "commit", "--quiet", "--amend", "--gpg-sign", "-m", "A beginning", "--all"
    )
    assert "the two have nothing in common" in refused(trusted)
    assert old.exists()


async def test_a_disabled_signer_is_nobody_though_a_guard_holds_what_they_have(
    trusted: World, keys: Keys
) -> None:
    people = "---\n".join(map(manifest.user, manifest.PEOPLE))
    gone = people.replace("name: u-1\n", "name: u-1\nstate: disabled\n")
    gone = gone.replace("name: u-2\n", "name: u-2\nstate: disabled\n")
    keys.blaise.commit(trusted.repository, {"people.yaml": gone})
    await trusted.apply()
    assert trusted.members("shop-web-admin") == {"u-1", "u-2"}  # the last admins of their workspace
    commit = keys.ada.commit(trusted.repository, {"people.yaml": people})
    planned = await trusted.plan()
    assert planned.proposal.checked is None
    assert "u-1, who is disabled" in planned.proposal.diagnostics[0].message
    assert await trusted.head() != commit


# --- who says yes -------------------------------------------------------------------------------------


async def test_who_may_say_yes_is_declared_and_the_journal_keeps_who_did(trusted: World, keys: Keys) -> None:
    keys.ada.commit(trusted.repository, {manifest.SEA_FILE: None})
    await trusted.apply()
    (one,) = await trusted.waiting()
    assert one.rule == "deletion"
    with pytest.raises(Trouble, match="whose account it is, is not known, and u-1 may"):
        await trusted.approve(one.subject)
    trusted.write_config(more="accounts: {operator: u-2}\n")
    with pytest.raises(Trouble, match="u-2 may not approve: u-1 may"):
        await trusted.approve(one.subject)
    trusted.write_config(more="accounts: {operator: u-1}\n")
    await trusted.approve(one.subject)
    (given,) = [e for e in await trusted.events() if isinstance(e, ApprovalGiven)]
    assert str(given.by) == "u-1 (account operator)"
    keys.ada.commit(trusted.repository)
    await trusted.apply()
    (*_, last) = [e for e in await trusted.events() if isinstance(e, OrganizationAccepted)]
    assert str(last.by) == "u-1 (account operator)"


async def test_who_may_take_away_is_declared_too(trusted: World, keys: Keys) -> None:
    trusted.write_config(more="accounts: {operator: u-1}\n")
    with pytest.raises(Trouble, match="u-1 may not revoke: group shop-team may"):
        await trusted.revoke("shop/trial", "u-3")
    trusted.write_config(more="accounts: {operator: u-4}\n")
    await trusted.revoke("shop/trial", "u-3")
    (event,) = [e for e in await trusted.events() if isinstance(e, GrantRevoked)]
    assert str(event.by) == "u-4 (account operator)"


# --- provenance ---------------------------------------------------------------------------------------


def test_a_signature_tells_who_decided_and_a_machine_only_vouches(trusted: World, keys: Keys) -> None:
    strengths = {}
    for key, text in (
        (keys.ada, LIVE),
        (keys.blaise, LIVE.replace("live", "test")),
        (keys.forge, manifest.WEB),
    ):
        commit = key.commit(trusted.repository, {manifest.WEB_FILE: text})
        rows = asyncio.run(trusted.plan()).provenance.values()
        row = next(row for row in rows if row.commit == commit)
        strengths[str(row.signer)] = row.strength
        accepted(trusted)
    assert strengths == {"u-1": "verified-signer", "u-2": "verified-signer", "forge": "forge-merge"}


# --- what Hanse writes ------------------------------------------------------------------------------

GRANTED = ("grant", "shop/trial", "--user", "u-8", "--role", "user", "--reason", "on-call")
REVOKED = ("revoke", "shop/trial", "--user", "u-3", "--reason", "left the team")


def with_key(world: World, key: str) -> None:
    """Have Hanse sign with a key."""
    text = world.config.read_text()
    world.config.write_text(text.replace("branch: main", f"branch: main, signingKey: {key}"))


@pytest.fixture
def machine(trusted: World) -> World:
    """The organisation, with Hanse's own key as a signer that may change what it writes."""
    key = ssh_key(trusted.folder, "hanse")
    text = (trusted.repository / "organization.yaml").read_text()
    text = text.replace("  signers:\n", f"  signers:\n{signer('machine: hanse', key)}")
    row = "    - {paths: [grants, revocations], changedBy: {machines: [hanse]}}\n  approvals:\n"
    text = text.replace("  approvals:\n", row).replace("{groups: [shop-team]}", "{users: [u-1]}")
    trusted.git("config", "user.name", "Ann Example")
    trusted.git("config", "user.email", "ann@example.org")
    (trusted.folder / "trust").write_text(text)
    return trusted


def tell_trust(world: World, keys: Keys) -> None:
    """Have the machine's trust accepted."""
    keys.ada.commit(world.repository, {"organization.yaml": (world.folder / "trust").read_text()})
    accepted(world)


def declined(world: World, *arguments: str) -> str:
    """What a command says that writes nothing."""
    before = world.git("rev-parse", "main")
    result = world.run(*arguments)
    assert result.exit_code == 1
    assert world.git("rev-parse", "main") == before
    assert world.git("status", "--short") == ""
    return result.output


@pytest.mark.parametrize(
    "arguments", [GRANTED, ("new", "workspace", "media"), ("new", "project", "shop/media")], ids=" ".join
)
def test_what_trust_would_refuse_is_not_written_and_a_way_is_told(
    trusted: World, arguments: tuple[str, ...]
) -> None:
    told = declined(trusted, *arguments)
    assert "trust would refuse it, for its commit is not signed" in told
    assert "`repository.signingKey`" in told
    assert "--branch" in told
    told = declined(trusted, *arguments, "--manifest", str(trusted.repository))
    assert "trust would refuse it, for its commit is not signed" in told


def test_a_key_of_hanse_counts_once_it_is_accepted(machine: World, keys: Keys) -> None:
    with_key(machine, "ssh-hanse")
    assert "which is no signer's" in declined(machine, *GRANTED)
    tell_trust(machine, keys)
    output = machine.run(*GRANTED).output
    assert "Grant user on shop/trial to user u-8" in output
    accepted(machine)
    assert "u-8" in machine.members("shop-trial-user")
    told = declined(machine, "new", "workspace", "media")
    assert "let Hanse's machine do this in Organization.trust" in told
    assert "have Hanse sign" not in told
    assert (
        "changes workspaces/media/workspace.yaml, which only group shop-admins or machine forge may" in told
    )


def test_one_that_trust_refuses_takes_no_other_with_it(machine: World, keys: Keys) -> None:
    tell_trust(machine, keys)
    with_key(machine, "ssh-hanse")

    writer = git.Writer(git.Repository.open(machine.repository), str(machine.folder / "ssh-hanse"))

    async def write() -> list[Result]:
        async with machine.open() as estate:
            writing = replace(Writing.of(estate), writer=writer)
            return await writing.write(
                [
                    grant_request(writing, "shop/trial", "user", "u-8", "user", reason="x"),
                    workspace_request(writing, "media", tags={}),
                    grant_request(writing, "shop/trial", "user", "u-7", "user", reason="x"),
                ]
            )

    results = asyncio.run(write())
    assert [type(result) for result in results] == [Committed, Declined, Committed]
    accepted(machine)


def test_a_branch_for_review_is_open_to_all_and_its_merge_is_signed(trusted: World, keys: Keys) -> None:
    assert trusted.run(*GRANTED, "--branch", "review").exit_code == 0
    keys.ada.git(trusted.repository, "merge", "--quiet", "--no-ff", "--gpg-sign", "-m", "Reviewed", "review")
    accepted(trusted)
    assert "u-8" in trusted.members("shop-trial-user")


def test_a_revocation_that_trust_keeps_out_of_git_is_in_force_and_told(trusted: World) -> None:
    trusted.write_config(more="accounts: {operator: u-4}\n")
    before = trusted.git("rev-parse", "main")
    output = trusted.run(*REVOKED).output
    assert "the revocation stands, and git does not have it yet: trust would refuse it" in output
    assert "`repository.signingKey`" in output
    told = trusted.run("status").output
    assert "in force, and not in git yet: trust would refuse it, for its commit is not signed" in told
    assert "git does not have it yet" in trusted.run("apply", "--yes").output
    assert trusted.git("rev-parse", "main") == before
    assert trusted.members("shop-trial-user") == set()


def test_a_revocation_names_who_revoked_whatever_the_journal_calls_them(machine: World, keys: Keys) -> None:
    tell_trust(machine, keys)
    machine.write_config(more="accounts: {operator: u-1}\n")
    with_key(machine, "ssh-hanse")
    assert "In git: " in machine.run(*REVOKED).output
    assert machine.git("log", "-1", "--format=%an <%ae>") == "Ann Example <ann@example.org>"
    accepted(machine)
    assert machine.members("shop-trial-user") == set()


def test_what_hanse_signed_is_a_servers_commit(machine: World, keys: Keys) -> None:
    tell_trust(machine, keys)
    with_key(machine, "ssh-hanse")
    assert machine.run(*GRANTED).exit_code == 0
    plan = json.loads(machine.run("plan", "--json").output)
    text = json.dumps(plan)
    assert '"strength": "server-commit"' in text
    assert '"forge-merge"' not in text
