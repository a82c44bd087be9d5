"""People and roles that the cloud does not know, or knows twice; accounts that may not write."""

from __future__ import annotations

import pytest

from hanse.model import Tenant
from hanse.platforms.memory import cloud
from hanse.ports.transport import Reply
from service import manifest
from service.world import World

NEWCOMER = """\
---
apiVersion: hanse/v1
kind: User
name: u-9
externalIds: {memory: inge.lehmann}
"""
SEA = Tenant("north", "lab", "sea")
WITH_NEWCOMER = {
    "people.yaml": manifest.FILES["people.yaml"] + NEWCOMER,
    manifest.SEA_FILE: manifest.SEA.replace("u-8", "u-9"),
}


async def test_a_person_whom_the_cloud_does_not_know_is_remarked_and_picked_up_once_there(
    applied: World,
) -> None:
    applied.commit(WITH_NEWCOMER)
    result = await applied.apply()
    (remark,) = result.planned.survey.plans[SEA].remarks
    assert (remark.code, remark.blocking, remark.about) == ("unknown-user", False, "u-9")
    assert not result.converged.after.is_blocked()
    person = applied.clouds["north"].add_user("inge.lehmann")
    planned = await applied.plan()
    assert [step.reason.cause for step in planned.survey.plans[SEA].steps] == ["appeared"]
    await applied.apply()
    assert applied.members("lab-sea-reader") == {person["id"]}
    assert not (await applied.plan()).survey.remarks()


async def test_a_name_that_two_accounts_have_gives_nobody_access(applied: World) -> None:
    applied.clouds["north"].add_user("inge.lehmann")
    applied.clouds["north"].add_user("inge.lehmann")
    applied.commit(WITH_NEWCOMER)
    result = await applied.apply()
    assert {remark.code for remark in result.planned.survey.plans[SEA].remarks} == {"ambiguous-user"}
    assert result.converged.after.is_blocked()
    assert applied.members("lab-sea-reader") == set()


async def test_a_disabled_person_loses_access_everywhere(applied: World) -> None:
    people = manifest.FILES["people.yaml"].replace("name: u-1\n", "name: u-1\nstate: disabled\n")
    applied.commit({"people.yaml": people})
    await applied.apply()
    assert applied.members("shop-web-admin") == applied.members("shop-trial-admin") == {"u-2"}


def test_a_role_that_the_cloud_does_not_have_is_told_and_ends_with_1(applied: World) -> None:
    zone = "{apiVersion: hanse/v1, kind: LandingZone, name: sandbox, platform: north, deletion: automatic"
    mapped = manifest.PLATFORMS.replace(zone, zone + ", memory: {roles: {user: wizard}}")
    applied.commit({"platforms.yaml": mapped})
    for command in (("plan",), ("apply", "--yes")):
        result = applied.run(*command)
        assert result.exit_code == 1
        assert "there is no role name wizard" in result.output
    assert applied.run("status").exit_code == 1


def test_an_account_that_may_not_write_is_told_with_what_to_do(
    applied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = cloud.Cloud.answer
    read_only = Reply(403, {}, b"{}")
    monkeypatch.setattr(
        cloud.Cloud, "answer", lambda self, call: read_only if call.is_write else answer(self, call)
    )
    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
    result = applied.run("apply", "--yes")
    assert result.exit_code == 1
    assert "give the platform's credential the rights" in result.output
    assert "2 still to do" in result.output


def test_an_id_that_is_not_there_cannot_be_adopted(applied: World) -> None:
    missing = manifest.project("old", "lab").replace("production}", "production, native: {id: space-999}}")
    applied.commit({"lab/old.yaml": missing})
    result = applied.run("apply", "--yes")
    assert result.exit_code == 1
    assert "there is no space with id space-999 that could be taken over" in result.output
    assert not [call for call in applied.writes if call.path == "/spaces"]
