"""Each step says who decided it: the commit that declared it, or the one that took it out."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from hanse import git
from hanse.model import Provenance
from hanse.service.plan import Planned
from service import manifest
from service.world import World

PAYMENT = "{apiVersion: hanse/v1, kind: PaymentMethod, name: cc, tags: {cost-center: '4711'}}"
TAGS = "---\n".join(
    f"{{apiVersion: hanse/v1, kind: TagDefinition, name: {name}, kinds: [{kind}]{default}}}\n"
    for name, kind, default in (
        ("size", "Project", ", default: small"),
        ("environment", "Project", ""),
        ("cost-center", "PaymentMethod", ""),
        ("unit", "Workspace", ""),
    )
)
NELLIE = git.Author("Nellie Bly", "nellie@example.org")


def deciders(planned: Planned) -> dict[str, set[str]]:
    """By kind and action, the commits whose decision the steps are."""
    found: dict[str, set[str]] = {}
    for plan in planned.survey.plans.values():
        for step in plan.steps:
            known = [planned.provenance[s] for s in step.reason.sources if s in planned.provenance]
            newest = max(known, key=lambda row: row.at).commit if known else ""
            found.setdefault(f"{step.action} {step.kind}", set()).add(newest)
    return found


def only(planned: Planned) -> Provenance:
    """The provenance of a plan whose steps all have the same."""
    (commit,) = set.union(*deciders(planned).values())
    return next(row for row in planned.provenance.values() if row.commit == commit)


async def test_what_is_declared_first_is_of_the_first_commit(world: World) -> None:
    first = world.git("rev-parse", "HEAD")
    planned = await world.plan()
    assert set.union(*deciders(planned).values()) == {first}


async def test_a_change_names_its_commit_and_author(applied: World) -> None:
    commit = applied.commit(
        {manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")}, "Live now\n\nAt last.", NELLIE
    )
    row = only(await applied.plan())
    assert (row.commit, str(row.author), str(row.message)) == (
        commit, "Nellie Bly <nellie@example.org>", "Live now"
    )  # fmt: skip
    assert row.strength == "claimed-author"


@pytest.mark.parametrize(
    "changed",
    [
        {"payment.yaml": PAYMENT.replace("4711", "4712")},
        {"payment.yaml": PAYMENT.replace(", tags: {cost-center: '4711'}", "")},
        {"shop/workspace.yaml": manifest.SHOP.replace("Web shop", "Web shop, tags: {unit: sales}")},
        {"tags.yaml": TAGS.replace("default: small", "default: large")},
    ],
    ids=["payment method", "taken out", "workspace", "default"],
)
async def test_a_tag_that_a_project_has_from_elsewhere_is_the_decision_of_who_changed_it_there(
    applied: World, changed: dict[str, str | None]
) -> None:
    paid = manifest.WEB.replace("workspace: shop\n", "workspace: shop\npaymentMethod: cc\n")
    applied.commit({"payment.yaml": PAYMENT, "tags.yaml": TAGS, manifest.WEB_FILE: paid})
    await applied.apply()
    commit = applied.commit(changed, author=NELLIE)
    assert set.union(*deciders(await applied.plan()).values()) == {commit}


async def test_a_grant_that_is_gone_is_the_decision_of_who_took_it_out(applied: World) -> None:
    commit = applied.commit(
        {manifest.TRIAL_FILE: manifest.TRIAL.replace("  - {user: u-3, role: user}\n", "")}
    )
    assert set.union(*deciders(await applied.plan()).values()) == {commit}


async def test_it_still_is_when_it_is_carried_out_some_commits_later(applied: World) -> None:
    commit = applied.commit(
        {manifest.TRIAL_FILE: manifest.TRIAL.replace("  - {user: u-3, role: user}\n", "")}
    )
    await applied.plan()
    applied.commit({manifest.SEA_FILE: manifest.SEA + "  # a remark\n"})
    assert set.union(*deciders(await applied.plan()).values()) == {commit}


async def test_put_back_it_is_of_the_commit_that_put_it_back(applied: World) -> None:
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("  - {user: u-3, role: user}\n", "")})
    await applied.apply()
    commit = applied.commit({manifest.TRIAL_FILE: manifest.TRIAL})
    assert set.union(*deciders(await applied.plan()).values()) == {commit}


async def test_a_tenant_that_is_taken_out_is_the_decision_of_that_commit(applied: World) -> None:
    commit = applied.commit({manifest.TRIAL_FILE: None}, author=NELLIE)
    assert set.union(*deciders(await applied.plan()).values()) == {commit}


async def test_a_person_taken_out_of_a_group_is_the_decision_of_who_changed_the_group(applied: World) -> None:
    commit = applied.commit({"groups.yaml": manifest.GROUPS.replace("[u-6, u-7]", "[u-7, u-5]")})
    assert set.union(*deciders(await applied.plan()).values()) == {commit}


async def test_local_changes_are_nobodys_decision(applied: World) -> None:
    applied.join_by_hand("shop-web-admin", "u-8")
    planned = await applied.plan()
    assert planned.provenance == {}


async def test_what_only_moves_stays_whose_it_was(applied: World) -> None:
    first = applied.git("rev-parse", "HEAD")
    applied.commit({manifest.TRIAL_FILE: None, "elsewhere/trial.yaml": manifest.TRIAL})
    space = applied.row("spaces", "shop-trial")
    assert space
    applied.by_hand("DELETE", f"/spaces/{space['id']}")
    planned = await applied.plan()
    assert {row.commit for row in planned.provenance.values()} == {first}


async def test_after_a_rewritten_history_it_is_read_anew(applied: World) -> None:
    applied.commit({manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")})
    await applied.plan()
    applied.git("reset", "--quiet", "--hard", "HEAD~1")
    commit = applied.commit({manifest.WEB_FILE: manifest.WEB.replace("prod}", "test}")})
    assert set.union(*deciders(await applied.plan()).values()) == {commit}


def test_a_signature_that_the_trust_root_knows_is_the_strongest_proof(applied: World) -> None:
    key = applied.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = Path(f"{key}.pub").read_text()
    (applied.folder / "signers").write_text(f"nellie@example.org {public}")
    applied.write_config("signers")
    (applied.repository / manifest.WEB_FILE).write_text(manifest.WEB.replace("prod}", "live}"))
    applied.git(
        "-c", "gpg.format=ssh", "-c", f"user.signingKey={key}", "commit", "--quiet", "-a", "-S", "-m", "Live"
    )
    row = only(asyncio.run(applied.plan()))
    assert (row.strength, str(row.signer)) == ("verified-signer", "nellie@example.org")
    assert "Maria Mitchell, signed by nellie@example.org" in applied.run("plan").output


def test_the_plan_tells_who(applied: World) -> None:
    commit = applied.commit({manifest.TRIAL_FILE: None}, author=NELLIE)
    output = applied.run("plan").output
    assert f"taken out of the manifest · {commit[:8]} Nellie Bly" in output
