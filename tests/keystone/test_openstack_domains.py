"""A domain of its own for each workspace: made before its projects, kept as long as anything is in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openstack_cloud import Corner, credential, resolved, told, user

from hanse.demo import keystone as starter
from hanse.model import Key, Refused
from hanse.platforms.openstack.auth import connect


@pytest.fixture
async def corner(keystone: starter.Keystone, tmp_path: Path) -> AsyncIterator[Corner]:
    transport = connect(credential(keystone, tmp_path))
    corner = await Corner(transport).furnish(["ann", "ben"])
    corner.per_workspace = corner.organization + "-{workspace}"
    corner.platform = corner.new_platform()
    yield corner
    await transport.close()


@pytest.mark.parametrize("sweep", [False, True])
async def test_a_domain_per_workspace_from_nothing_to_nothing(corner: Corner, sweep: bool) -> None:
    workspace = corner.on_workspace(display_name="Web shop")
    tenant = corner.intent("prod", user("ann", "user"))
    assert told(await corner.converge(workspace, sweep=sweep)) == [("create", "domain")]
    assert told(await corner.converge(tenant, sweep=sweep))[0] == ("create", "project")
    for intent in (workspace, tenant):
        assert not (await corner.plan(intent, sweep=sweep))[0].steps
    domain = await corner.native("domain", project="")
    row = await corner.get("domain", domain)
    assert row is not None
    assert (row["name"], row["description"]) == (f"{corner.organization}-shop", "Web shop")
    project = await corner.get("project", await corner.native())
    assert project is not None
    assert project["domain_id"] == domain

    await corner.change("domain", domain, description="changed by hand")
    assert told(await corner.converge(workspace, sweep=sweep)) == [("update", "domain")]

    leaving = corner.on_workspace(left_at="commit")
    plan, _ = await corner.plan(leaving, sweep=sweep, may_delete=True)
    assert (told(plan), [r.code for r in plan.remarks]) == ([], ["not-empty"])
    await corner.converge(corner.intent("prod", left_at="commit"), sweep=sweep, may_delete=True)
    assert told(await corner.converge(leaving, sweep=sweep, may_delete=True)) == [("delete", "domain")]
    assert await corner.get("domain", domain) is None


@pytest.mark.parametrize("sweep", [False, True])
@pytest.mark.parametrize("what", ["project", "group", "user"])
async def test_a_domain_with_something_foreign_in_it_is_never_deleted(
    corner: Corner, sweep: bool, what: str
) -> None:
    await corner.converge(corner.on_workspace())
    domain = await corner.native("domain", project="")
    await corner.add(what, name="theirs", domain_id=domain)
    leaving = corner.on_workspace(left_at="commit")
    plan, _ = await corner.plan(leaving, sweep=sweep, may_delete=True)
    assert (told(plan), [r.code for r in plan.remarks]) == ([], ["not-empty"])


async def test_what_came_into_a_domain_after_the_look_keeps_it(corner: Corner) -> None:
    await corner.converge(corner.on_workspace())
    plan, observation = await corner.plan(corner.on_workspace(left_at="commit"), may_delete=True)
    await corner.add("project", name="theirs", domain_id=await corner.native("domain", project=""))
    [outcome] = await corner.carry_out(plan, observation)
    assert isinstance(outcome, Refused)
    assert "still holds projects" in outcome.reason


@pytest.mark.parametrize("sweep", [False, True])
async def test_an_extra_role_on_our_domain_is_rolled_back(corner: Corner, sweep: bool) -> None:
    workspace, tenant = corner.on_workspace(), corner.intent("prod", user("ann", "user"))
    await corner.converge(workspace)
    await corner.converge(tenant)
    domain, reader = await corner.native("domain", project=""), await corner.role("reader")
    ben = corner.users["ben"]
    await corner.do("PUT", f"/domains/{domain}/users/{ben}/roles/{reader}")
    path = f"/OS-INHERIT/domains/{domain}/users/{ben}/roles/{reader}/inherited_to_projects"
    await corner.do("PUT", path)
    observation = await corner.observe(tenant, sweep=sweep)
    rows = [r for r in corner.platform.access(observation) if r.principal == ben and r.owner == tenant.owner]
    assert [(r.via, r.grant) for r in rows] == [
        ("inherited", f"domain {corner.organization}-shop, user {ben}")
    ]
    plan = await corner.converge(workspace, sweep=sweep)
    assert sorted(told(plan)) == [
        ("delete", f"domain/user/{ben}/role/{reader}"),
        ("delete", f"domain/user/{ben}/role/{reader}/inherited"),
    ]
    assert not (await corner.plan(workspace, sweep=sweep))[0].steps


async def test_a_project_waits_for_its_domain(corner: Corner) -> None:
    plan, observation = await corner.plan(corner.intent("prod", user("ann", "user")))
    key = Key(corner.organization, "shop", "", "domain")
    assert key in plan.steps[0].needs
    outcome = await corner.platform.perform(resolved(plan.steps[0], dict(observation.natives)))
    assert "its domain is not known yet" in str(outcome)


async def test_a_domain_whose_name_is_taken_is_refused(corner: Corner) -> None:
    foreign = await corner.add("domain", name=f"{corner.organization}-shop")
    plan, _ = await corner.plan(corner.on_workspace())
    assert [(r.code, foreign in r.message) for r in plan.remarks] == [("name-taken", True)]


async def test_a_domain_that_may_not_be_made_is_told(
    corner: Corner, keystone: starter.Keystone, tmp_path: Path
) -> None:
    from test_openstack_connect import written  # noqa: PLC0415

    keeper = await corner.add("user", name="keeper", password="pass-word", domain_id=corner.domain_id)
    manager = await corner.role("manager")
    await corner.do("PUT", f"/domains/{corner.domain_id}/users/{keeper}/roles/{manager}")
    auth = {
        "auth_url": keystone.url,
        "user_id": keeper,
        "password": "pass-word",
        "domain_id": corner.domain_id,
    }
    source = written(tmp_path, {"auth_type": "v3password", "auth": auth})
    keeping = connect(credential(keystone, tmp_path / "..", source=source))
    plan, _ = await corner.plan(corner.on_workspace())
    outcome = await corner.new_platform(keeping).perform(plan.steps[0])
    assert isinstance(outcome, Refused)
    assert "identity:create_domain" in outcome.advice
    await keeping.close()
