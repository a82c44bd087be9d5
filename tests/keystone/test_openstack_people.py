"""Who is who: people that Keystone does not know yet, namesakes, service accounts, and what access they really have."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openstack_cloud import Corner, credential, told, user

from hanse.demo import keystone as starter
from hanse.model import Access, Find, Refused, Tenant
from hanse.platforms.openstack.auth import connect
from hanse.platforms.openstack.compile import find_role


@pytest.fixture
async def corner(keystone: starter.Keystone, tmp_path: Path) -> AsyncIterator[Corner]:
    transport = connect(credential(keystone, tmp_path))
    yield await Corner(transport).furnish(["ann", "ben"])
    await transport.close()


@pytest.mark.parametrize("sweep", [False, True])
async def test_an_unknown_user_is_a_remark_and_picked_up_once_there(corner: Corner, sweep: bool) -> None:
    corner.know("newcomer")
    intent = corner.intent("prod", user("ann", "user"), user("newcomer", "user"))
    await corner.converge(intent, sweep=sweep)
    plan, _ = await corner.plan(intent, sweep=sweep)
    assert (told(plan), [r.code for r in plan.remarks]) == ([], ["unknown-user"])
    await corner.add("user", name="newcomer@example.org", domain_id=corner.domain_id)
    plan = await corner.converge(intent, sweep=sweep)
    assert (told(plan), plan.remarks) == ([("create", "group/user/member/newcomer")], ())


@pytest.mark.parametrize("sweep", [False, True])
async def test_a_name_in_two_domains_is_matched_in_the_declared_one(corner: Corner, sweep: bool) -> None:
    elsewhere = await corner.add("domain", name=f"elsewhere-{corner.organization}")
    namesake = await corner.add("user", name="ann@example.org", domain_id=elsewhere)
    intent = corner.intent("prod", user("ann", "user"))
    await corner.converge(intent, sweep=sweep)
    group = await corner.native("group/user")
    members = (await corner.by_hand.list(f"/v3/groups/{group}/users", "by hand")).rows
    assert [row["id"] for row in members] == [corner.users["ann"]] != [namesake]


async def test_a_federated_user_is_found_by_its_name(corner: Corner) -> None:
    idp = f"idp-{corner.organization}"
    body = {"identity_provider": {"enabled": True, "domain_id": corner.domain_id}}
    await corner.by_hand.write("PUT", f"/v3/OS-FEDERATION/identity_providers/{idp}", "by hand", body)
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-sub"}]}]
    await corner.by_hand.write(
        "PUT", f"/v3/OS-FEDERATION/mappings/{idp}", "by hand", {"mapping": {"rules": rules}}
    )
    path = f"/v3/OS-FEDERATION/identity_providers/{idp}/protocols/mapped"
    await corner.by_hand.write("PUT", path, "by hand", {"protocol": {"mapping_id": idp}})
    federated = [{"idp_id": idp, "protocols": [{"protocol_id": "mapped", "unique_id": "f-1"}]}]
    native = await corner.add("user", name="fed@example.org", domain_id=corner.domain_id, federated=federated)
    corner.know("fed")
    for sweep in (False, True):
        intent = corner.intent("prod", user("fed", "user"))
        _, observation = await corner.plan(intent, sweep=sweep)
        [found] = [many for find, many in observation.found.items() if find.kind == "user"]
        assert [one.id for one in found] == [native]
    assert ("create", "group/user/member/fed") in told(await corner.converge(intent))
    assert not (await corner.plan(intent))[0].steps


async def test_a_user_made_anew_under_the_name_gets_the_membership(corner: Corner) -> None:
    intent = corner.intent("prod", user("ann", "user"), user("ben", "user"))
    await corner.converge(intent)
    await corner.do("DELETE", f"/users/{corner.users['ann']}")
    again = await corner.add("user", name="ann@example.org", domain_id=corner.domain_id)
    # The old id is remembered; that it is gone is noticed when it is used.
    plan, observation = await corner.plan(intent)
    await corner.carry_out(plan, observation)
    await corner.converge(intent)
    group = await corner.native("group/user")
    members = (await corner.by_hand.list(f"/v3/groups/{group}/users", "by hand")).rows
    assert {row["id"] for row in members} == {again, corner.users["ben"]}


@pytest.mark.parametrize("sweep", [False, True])
async def test_service_accounts_of_other_domains_are_told_and_left(corner: Corner, sweep: bool) -> None:
    intent = corner.intent("prod", user("ann", "user"))
    await corner.converge(intent)
    stacks = await corner.add("domain", name=f"heat-{corner.organization}")
    stack = await corner.add("user", name="stack-1", domain_id=stacks)
    default = await corner.add("user", name=f"someone-{corner.organization}", domain_id="default")
    project, role = await corner.native(), await corner.role("reader")
    for one in (stack, default):
        await corner.do("PUT", f"/projects/{project}/users/{one}/roles/{role}")
    plan, observation = await corner.plan(intent, sweep=sweep)
    assert told(plan) == [("delete", f"project/user/{default}/role/{role}")]
    assert [remark.code for remark in plan.remarks] == ["workload"]
    direct = [r for r in observation.of(intent.owner) if r.key.part.startswith("project/user/")]
    assert {r.principal: r.workload for r in direct} == {stack: True, default: False}


@pytest.mark.parametrize("sweep", [False, True])
async def test_a_role_that_is_not_there_is_told(corner: Corner, sweep: bool) -> None:
    corner.landing_zone = {"roles": {"user": "nowhere"}}
    plan, observation = await corner.plan(corner.intent("prod", user("ann", "user")), sweep=sweep)
    assert observation.found[find_role("nowhere")] == ()
    assert ("create", "group/user/role/nowhere") not in told(plan)
    assert [remark.code for remark in plan.remarks] == ["unknown-role"]


async def test_a_domain_that_is_not_there_is_told(corner: Corner) -> None:
    corner.domain = "nowhere"
    corner.platform = corner.new_platform()
    plan, _ = await corner.plan(corner.intent("prod", user("ann", "user")))
    assert not plan.steps
    assert "unknown-domain" in {remark.code for remark in plan.remarks}


async def test_access_is_read_right_direct_through_groups_inherited_and_implied(corner: Corner) -> None:
    intent = corner.intent("prod", user("ann", "user"))
    await corner.converge(intent)
    ids = {name: await corner.role(name) for name in ("reader", "member", "manager")}
    project = await corner.native()
    crew = await corner.add("group", name="crew", domain_id=corner.domain_id)
    await corner.do("PUT", f"/groups/{crew}/users/{corner.users['ben']}")
    inherited = f"/OS-INHERIT/domains/{corner.domain_id}/groups/{crew}/roles/{ids['reader']}"
    await corner.do("PUT", f"{inherited}/inherited_to_projects")
    await corner.do("PUT", f"/projects/{project}/users/{corner.users['ben']}/roles/{ids['member']}")
    ann, ben = corner.users["ann"], corner.users["ben"]
    owner = Tenant("openstack-fra", "shop", "prod")
    expected = {
        Access(ann, "member", owner, "group", "group shop-prod-user"),
        Access(ann, "reader", owner, "implied", "group shop-prod-user, role member"),
        Access(ben, "member", owner, "direct", f"user {ben}"),
        Access(ben, "reader", owner, "implied", f"user {ben}, role member"),
        Access(ben, "reader", owner, "inherited", f"domain {corner.domain}, group crew"),
    }
    for sweep in (False, True):
        corner.platform = corner.new_platform()
        plan, observation = await corner.plan(intent, sweep=sweep)
        assert set(corner.platform.access(observation)) == expected
        # What is inherited from a domain that is not ours is no step of ours.
        assert told(plan) == [("delete", f"project/user/{ben}/role/{ids['member']}")]


async def test_access_inherited_from_projects_above(corner: Corner) -> None:
    top = await corner.add("project", name="top", domain_id=corner.domain_id)
    middle = await corner.add("project", name="middle", domain_id=corner.domain_id, parent_id=top)
    bottom = await corner.add("project", name="bottom", domain_id=corner.domain_id, parent_id=middle)
    reader = await corner.role("reader")
    ben = corner.users["ben"]
    path = f"/OS-INHERIT/projects/{top}/users/{ben}/roles/{reader}/inherited_to_projects"
    await corner.do("PUT", path)
    intent = corner.intent("prod", user("ann", "user"), native=bottom)
    await corner.converge(intent)
    for sweep in (False, True):
        corner.platform = corner.new_platform()
        observation = await corner.observe(intent, sweep=sweep)
        rows = [row for row in corner.platform.access(observation) if row.principal == ben]
        assert [(r.role, r.via, r.grant) for r in rows] == [
            ("reader", "inherited", f"project top, user {ben}")
        ]
        assert not (await corner.plan(intent, sweep=sweep))[0].steps


async def test_what_is_found_is_remembered_and_what_is_not_is_looked_for_again(corner: Corner) -> None:
    intent = corner.intent("prod", user("ann", "user"), user("ben", "user"))
    await corner.converge(intent)
    corner.counters.clear()
    await corner.plan(intent)
    assert corner.counters.labelled("find user") == 0
    assert corner.counters.labelled("find role") == 0
    nobody = Find("role", (("name", "nowhere"),))
    for _ in range(2):
        await corner.observe(intent, finds=[nobody])
    assert corner.counters.labelled("find role") == 2


async def test_a_project_with_projects_below_it_is_not_deleted(corner: Corner) -> None:
    intent = corner.intent("prod", user("ann", "user"))
    await corner.converge(intent)
    await corner.add("project", name="below", domain_id=corner.domain_id, parent_id=await corner.native())
    leaving = corner.intent("prod", left_at="commit")
    plan, observation = await corner.plan(leaving, may_delete=True)
    outcomes = await corner.carry_out(plan, observation)
    assert isinstance(outcomes[-1], Refused)
    assert "projects below" in outcomes[-1].advice
