"""What is compiled is what is observed after it was performed, and every change made by hand is seen and undone."""

from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from openstack_cloud import Corner, credential, resolved, told, user

from hanse.demo import keystone as starter
from hanse.desired.kinds import Operator
from hanse.model import Done, Key, NotYet, Refused, Step
from hanse.platforms.openstack.auth import connect
from hanse.ports.transport import Call, Reply, Transport


@pytest.fixture
async def corner(keystone: starter.Keystone, tmp_path: Path) -> AsyncIterator[Corner]:
    transport = connect(credential(keystone, tmp_path))
    yield await Corner(transport).furnish(["ann", "ben", "cleo"])
    await transport.close()


GRANTS = (user("ann", "admin"), user("ben", "user"), user("cleo", "user"))


@pytest.mark.parametrize("sweep", [False, True])
async def test_the_second_plan_is_empty(corner: Corner, sweep: bool) -> None:
    intent = corner.intent("prod", *GRANTS, tags={"environment": "prod"})
    first = await corner.converge(intent, sweep=sweep)
    assert told(first) == [
        ("create", "project"),
        ("create", "group/admin"),
        ("create", "group/user"),
        ("create", "group/admin/member/ann"),
        ("create", "group/user/member/ben"),
        ("create", "group/user/member/cleo"),
        ("create", "group/admin/role/member"),
        ("create", "group/user/role/member"),
    ]
    for platform in (corner.platform, corner.new_platform()):
        corner.platform = platform
        for again in (False, True):
            second, _ = await corner.plan(intent, sweep=again)
            assert (told(second), second.remarks) == ([], ())


async def test_what_is_made_is_what_keystone_has(corner: Corner) -> None:
    await corner.converge(corner.intent("prod", *GRANTS, tags={"environment": "prod"}))
    key = Key(corner.organization, "shop", "prod", "project")
    project = await corner.get("project", await corner.native())
    assert project is not None
    assert {name: project[name] for name in ("name", "domain_id", "description", "enabled", "hanse")} == {
        "name": "shop-prod",
        "domain_id": corner.domain_id,
        "description": "Web shop",
        "enabled": True,
        "hanse": str(key),
    }
    assert set(project["tags"]) == {f"hanse={key.stamp}", "hanse:environment=prod"}
    group = await corner.get("group", await corner.native("group/user"))
    assert group is not None
    assert (group["name"], group["hanse"]) == (
        "shop-prod-user",
        f"{corner.organization}/shop/prod/group/user",
    )
    members = (await corner.by_hand.list(f"/v3/groups/{group['id']}/users", "by hand")).rows
    assert {row["id"] for row in members} == {corner.users["ben"], corner.users["cleo"]}


async def test_a_change_in_git_is_the_smallest_change_there(corner: Corner) -> None:
    await corner.converge(corner.intent("prod", *GRANTS, tags={"environment": "prod", "old": "x"}))
    changed = corner.intent(
        "prod",
        user("ann", "user"),
        user("ben", "user"),
        user("cleo", "auditor"),
        tags={"environment": "test"},
        project="live",
        description="A shop",
    )
    plan = await corner.converge(changed)
    assert sorted(told(plan)) == [
        ("create", "group/auditor"),
        ("create", "group/auditor/member/cleo"),
        ("create", "group/auditor/role/member"),
        ("create", "group/user/member/ann"),
        ("delete", "group/admin"),
        ("delete", f"group/user/member/{corner.users['cleo']}"),
        ("update", "group/user"),
        ("update", "project"),
    ]
    assert not (await corner.plan(changed))[0].steps
    project = await corner.get("project", await corner.native())
    assert project is not None
    assert (project["name"], project["description"]) == ("shop-live", "A shop")
    assert {tag for tag in project["tags"] if ":" in tag} == {"hanse:environment=test"}


Change = Callable[[Corner], Coroutine[Any, Any, None]]


async def _extra_role_for_a_user(corner: Corner) -> None:
    project, role = await corner.native(), await corner.role("reader")
    await corner.do("PUT", f"/projects/{project}/users/{corner.users['ben']}/roles/{role}")


async def _extra_inherited_role(corner: Corner) -> None:
    project, role = await corner.native(), await corner.role("reader")
    path = f"/OS-INHERIT/projects/{project}/users/{corner.users['ben']}/roles/{role}/inherited_to_projects"
    await corner.do("PUT", path)


async def _extra_role_for_our_group(corner: Corner) -> None:
    project, group = await corner.native(), await corner.native("group/user")
    await corner.do("PUT", f"/projects/{project}/groups/{group}/roles/{await corner.role('reader')}")


async def _extra_role_for_a_foreign_group(corner: Corner) -> None:
    group = await corner.add("group", name="friends", domain_id=corner.domain_id)
    await corner.do("PUT", f"/groups/{group}/users/{corner.users['ben']}")
    project, role = await corner.native(), await corner.role("reader")
    await corner.do("PUT", f"/projects/{project}/groups/{group}/roles/{role}")


async def _removed_role_of_our_group(corner: Corner) -> None:
    project, group = await corner.native(), await corner.native("group/user")
    await corner.do("DELETE", f"/projects/{project}/groups/{group}/roles/{await corner.role('member')}")


async def _extra_member(corner: Corner) -> None:
    await corner.do("PUT", f"/groups/{await corner.native('group/admin')}/users/{corner.users['ben']}")


async def _removed_member(corner: Corner) -> None:
    await corner.do("DELETE", f"/groups/{await corner.native('group/admin')}/users/{corner.users['ann']}")


async def _renamed_project(corner: Corner) -> None:
    await corner.change("project", await corner.native(), name="mine-now")


async def _disabled_project(corner: Corner) -> None:
    await corner.change("project", await corner.native(), enabled=False)


async def _changed_description(corner: Corner) -> None:
    await corner.change("project", await corner.native(), description="changed by hand")


async def _removed_stamp_tag(corner: Corner) -> None:
    stamp = Key(corner.organization, "shop", "prod", "project").stamp
    await corner.do("DELETE", f"/projects/{await corner.native()}/tags/hanse={stamp}")


async def _removed_stamp_attribute(corner: Corner) -> None:
    await corner.change("project", await corner.native(), hanse=None)


async def _removed_all_tags(corner: Corner) -> None:
    await corner.do("DELETE", f"/projects/{await corner.native()}/tags")


async def _extra_tag_of_ours(corner: Corner) -> None:
    await corner.do("PUT", f"/projects/{await corner.native()}/tags/hanse:owner=me")


async def _renamed_group(corner: Corner) -> None:
    await corner.change("group", await corner.native("group/user"), name="other")


async def _deleted_group(corner: Corner) -> None:
    await corner.do("DELETE", f"/groups/{await corner.native('group/user')}")


async def _deleted_project(corner: Corner) -> None:
    await corner.do("DELETE", f"/projects/{await corner.native()}")


DRIFT: dict[Change, list[tuple[str, str]]] = {
    _extra_role_for_a_user: [("delete", "project/user/{ben}/role/{reader}")],
    _extra_inherited_role: [("delete", "project/user/{ben}/role/{reader}/inherited")],
    _extra_role_for_our_group: [("delete", "group/user/role/{reader}")],
    _extra_role_for_a_foreign_group: [("delete", "project/group/{friends}/role/{reader}")],
    _removed_role_of_our_group: [("create", "group/user/role/member")],
    _extra_member: [("delete", "group/admin/member/{ben}")],
    _removed_member: [("create", "group/admin/member/ann")],
    _renamed_project: [("update", "project")],
    _disabled_project: [("update", "project")],
    _changed_description: [("update", "project")],
    _removed_stamp_tag: [("update", "project")],
    _removed_stamp_attribute: [("update", "project")],
    _removed_all_tags: [("update", "project")],
    _extra_tag_of_ours: [("update", "project")],
    _renamed_group: [("update", "group/user")],
    _deleted_group: [
        ("create", "group/user"),
        ("create", "group/user/member/ben"),
        ("create", "group/user/member/cleo"),
        ("create", "group/user/role/member"),
    ],
    _deleted_project: [
        ("create", "group/admin/role/member"),
        ("create", "group/user/role/member"),
        ("create", "project"),
    ],
}


@pytest.mark.parametrize("change", DRIFT, ids=lambda change: change.__name__.strip("_"))
async def test_every_change_by_hand_is_seen_and_rolled_back(corner: Corner, change: Change) -> None:
    intent = corner.intent("prod", *GRANTS, tags={"environment": "prod"})
    await corner.converge(intent)
    await change(corner)
    friends = (await corner.by_hand.list("/v3/groups", "by hand", (("name", "friends"),))).rows
    names = {
        "ben": corner.users["ben"],
        "reader": await corner.role("reader"),
        "friends": next((row["id"] for row in friends if row["domain_id"] == corner.domain_id), ""),
    }
    expected = [(action, part.format(**names)) for action, part in DRIFT[change]]
    remembering, _ = await corner.plan(intent)
    corner.platform = corner.new_platform()
    swept, _ = await corner.plan(intent, sweep=True)
    corner.platform = corner.new_platform()
    carried_out = await corner.converge(intent)
    assert sorted(told(remembering)) == sorted(told(swept)) == sorted(told(carried_out)) == expected
    assert not (await corner.plan(intent))[0].steps
    assert not (await corner.plan(intent, sweep=True))[0].steps


async def test_tags_and_attributes_of_others_stay(corner: Corner) -> None:
    intent = corner.intent("prod", *GRANTS, tags={"environment": "prod"})
    await corner.converge(intent)
    project = await corner.native()
    await corner.do("PUT", f"/projects/{project}/tags/theirs")
    await corner.change("project", project, theirs="too")
    assert not (await corner.plan(intent))[0].steps
    await corner.converge(replace(intent, tags={"environment": "test"}))
    row = await corner.get("project", project)
    assert row is not None
    assert "theirs" in row["tags"]
    assert row["theirs"] == "too"


@pytest.mark.parametrize("sweep", [False, True])
async def test_a_foreign_project_of_the_name_is_told_and_can_be_taken_over(
    corner: Corner, sweep: bool
) -> None:
    foreign = await corner.add("project", name="shop-prod", domain_id=corner.domain_id, tags=["theirs"])
    intent = corner.intent("prod", *GRANTS, tags={"environment": "prod"})
    plan, _ = await corner.plan(intent, sweep=sweep)
    assert ("create", "project") not in told(plan)
    [remark] = [remark for remark in plan.remarks if remark.code == "name-taken"]
    assert f"native: {{id: {foreign}}}" in remark.advice
    assert (await corner.get("project", foreign) or {})["tags"] == ["theirs"]

    adopting = replace(intent, native=foreign)
    plan = await corner.converge(adopting, sweep=sweep)
    assert ("adopt", "project") in told(plan)
    row = await corner.get("project", foreign)
    assert row is not None
    stamp = Key(corner.organization, "shop", "prod", "project").stamp
    assert set(row["tags"]) == {"theirs", f"hanse={stamp}", "hanse:environment=prod"}
    assert not (await corner.plan(adopting, sweep=sweep))[0].steps
    assert not (await corner.plan(intent, sweep=sweep))[0].steps


async def test_a_foreign_project_of_another_name_can_be_taken_over(corner: Corner) -> None:
    foreign = await corner.add("project", name="grown", domain_id=corner.domain_id)
    plan = await corner.converge(corner.intent("prod", *GRANTS, native=foreign))
    assert ("adopt", "project") in told(plan)
    assert (await corner.get("project", foreign) or {})["name"] == "shop-prod"


async def test_a_project_of_another_owner_is_not_taken_over(corner: Corner) -> None:
    await corner.converge(corner.intent("prod", *GRANTS))
    mine = await corner.native()
    step = (await corner.plan(corner.intent("test", *GRANTS)))[0].steps[0]
    adopting = replace(step, action="adopt", native_id=mine)
    outcome = await corner.platform.perform(resolved(adopting, {}))
    assert isinstance(outcome, Refused)
    assert "mark of another owner" in outcome.reason


async def test_a_foreign_group_of_the_name_is_refused(corner: Corner) -> None:
    foreign = await corner.add("group", name="shop-prod-user", domain_id=corner.domain_id)
    plan, _ = await corner.plan(corner.intent("prod", *GRANTS))
    assert [(r.code, foreign in r.message) for r in plan.remarks] == [("name-taken", True)]
    assert not [step for step in plan.steps if step.key.part.startswith("group/user")]


async def test_stamps_of_another_organisation_are_foreign(corner: Corner) -> None:
    await corner.converge(corner.intent("prod", *GRANTS))
    other = Corner(corner.transport, domain=corner.domain, domain_id=corner.domain_id, users=corner.users)
    other.platform, other.directory = other.new_platform(), corner.directory
    plan, observation = await other.plan(other.intent("prod", *GRANTS), sweep=True)
    assert not observation.resources
    assert not plan.steps
    assert {remark.code for remark in plan.remarks} == {"name-taken"}


async def test_two_projects_with_one_stamp_are_an_error_and_no_step(corner: Corner) -> None:
    intent = corner.intent("prod", *GRANTS)
    await corner.converge(intent)
    mine = await corner.get("project", await corner.native())
    assert mine is not None
    copy = await corner.add(
        "project", name="copy", domain_id=corner.domain_id, hanse=mine["hanse"], tags=mine["tags"]
    )
    plan, observation = await corner.plan(intent, sweep=True)
    key = Key(corner.organization, "shop", "prod", "project")
    assert observation.twins == ((key, tuple(sorted((mine["id"], copy)))),)
    assert not plan.steps
    assert [remark.code for remark in plan.remarks] == ["twins"]


async def test_a_mark_that_contradicts_its_tag_is_an_error_and_no_step(corner: Corner) -> None:
    intent = corner.intent("prod", *GRANTS)
    await corner.converge(intent)
    await corner.do("PUT", f"/projects/{await corner.native()}/tags/hanse={'0' * 32}")
    plan, observation = await corner.plan(intent, sweep=True)
    assert len(observation.twins) == 1
    assert not plan.steps


async def test_a_leaving_tenant_loses_its_access_and_keeps_its_project(corner: Corner) -> None:
    intent = corner.intent("prod", *GRANTS)
    await corner.converge(intent)
    leaving = replace(intent, left_at="commit")
    plan = await corner.converge(leaving)
    assert sorted(told(plan)) == [("delete", "group/admin"), ("delete", "group/user")]
    assert [remark.code for remark in plan.remarks] == ["deletion-waits"]
    await corner.converge(leaving, may_delete=True)
    assert not (await corner.observe(leaving, sweep=True)).resources


async def test_operators_may_hold_their_role_and_need_not(corner: Corner) -> None:
    corner.operators = (
        Operator(user="ann", role="reader"),
        Operator(native="ben@example.org", role="reader"),
    )
    intent = corner.intent("prod", user("cleo", "user"))
    await corner.converge(intent)
    project, role = await corner.native(), await corner.role("reader")
    for name in ("ann", "ben", "cleo"):
        await corner.do("PUT", f"/projects/{project}/users/{corner.users[name]}/roles/{role}")
    plan, _ = await corner.plan(intent)
    assert told(plan) == [("delete", f"project/user/{corner.users['cleo']}/role/{role}")]


async def test_each_step_done_twice_changes_nothing_more(corner: Corner) -> None:
    intent = corner.intent("prod", *GRANTS, tags={"environment": "prod"})
    plan, observation = await corner.plan(intent)
    first = await corner.carry_out(plan, observation)
    natives = (await corner.observe(intent)).natives
    for step, before in zip(plan.steps, first, strict=True):
        again = await corner.platform.perform(resolved(step, dict(natives)))
        assert again == before
    leaving, seen = await corner.plan(replace(intent, left_at="c"), may_delete=True)
    steps = [resolved(step, dict(seen.natives)) for step in leaving.steps]
    for _ in range(2):
        assert all([isinstance(await corner.platform.perform(step), Done) for step in steps])


async def test_a_step_whose_thing_went_away_is_not_possible_now(corner: Corner) -> None:
    intent = corner.intent("prod", *GRANTS)
    plan, observation = await corner.plan(intent)
    natives = dict(observation.natives)
    for step in plan.steps[:3]:
        outcome = await corner.platform.perform(resolved(step, natives))
        assert isinstance(outcome, Done)
        natives[step.key] = outcome.native_id
    await corner.do("DELETE", f"/groups/{natives[plan.steps[1].key]}")
    outcome = await corner.platform.perform(resolved(plan.steps[3], natives))
    assert isinstance(outcome, NotYet)


async def test_a_name_that_was_taken_in_between_is_refused_with_its_id(corner: Corner) -> None:
    plan, _ = await corner.plan(corner.intent("prod", *GRANTS))
    foreign = await corner.add("project", name="shop-prod", domain_id=corner.domain_id)
    group = await corner.add("group", name="shop-prod-admin", domain_id=corner.domain_id)
    outcome = await corner.platform.perform(resolved(plan.steps[0], {}))
    assert isinstance(outcome, Refused)
    assert f"native: {{id: {foreign}}}" in outcome.advice
    outcome = await corner.platform.perform(resolved(plan.steps[1], {}))
    assert isinstance(outcome, Refused)
    assert group in outcome.reason


async def test_renaming_to_a_taken_name_is_refused_with_its_id(corner: Corner) -> None:
    intent = corner.intent("prod", *GRANTS)
    await corner.converge(intent)
    plan, _ = await corner.plan(replace(intent, project="live"))
    foreign = await corner.add("project", name="shop-live", domain_id=corner.domain_id)
    step: Step = next(step for step in plan.steps if step.kind == "project")
    outcome = await corner.platform.perform(resolved(step, {}))
    assert isinstance(outcome, Refused)
    assert foreign in outcome.reason


class BeforeTags:
    """A Keystone of Identity API 3.8, which has no project tags: it keeps `tags` as one more attribute."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    async def send(self, call: Call) -> Reply:
        if "/tags" in call.path:
            return Reply(404, {}, b"{}")
        reply = await self.inner.send(
            replace(call, query=tuple(part for part in call.query if part[0] != "tags"))
        )
        if call.path == "/v3":
            return replace(reply, body=reply.body.replace(b"v3.14", b"v3.8"))
        return reply

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        return self.inner.stream(call)

    async def close(self) -> None:
        pass


async def test_a_keystone_without_project_tags_goes_by_the_attribute_alone(corner: Corner) -> None:
    corner.transport = BeforeTags(corner.transport)
    corner.faulty.inner = corner.transport
    intent = corner.intent("prod", *GRANTS, tags={"environment": "prod"})
    await corner.converge(intent)
    project = await corner.native()
    await corner.change("project", project, name="renamed", tags=["theirs"])
    corner.platform = corner.new_platform()
    for sweep in (True, False):
        assert told((await corner.plan(intent, sweep=sweep))[0]) == [("update", "project")]
    await corner.converge(intent)
    assert set((await corner.get("project", project) or {})["tags"]) == {"theirs", "hanse:environment=prod"}
    for sweep in (True, False):
        assert not (await corner.plan(intent, sweep=sweep))[0].steps
