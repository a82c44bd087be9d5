"""One organisation beside a big foreign estate: nothing beyond a first page is missed, nothing foreign is touched."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from openstack_cloud import Corner, credential, told, user

from hanse.demo import keystone as starter
from hanse.desired.intent import Intent
from hanse.model import Key, Personal
from hanse.platforms.openstack.auth import connect
from hanse.transport import Fault
from hanse.transport.faults import FaultKind

FOREIGN = 1200


def hexadecimal() -> str:
    return uuid4().hex


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[starter.Keystone]:
    """A Keystone with 1,200 foreign projects, groups and users: more than a page of each."""
    projects = [{"id": hexadecimal(), "name": f"foreign-{n}"} for n in range(FOREIGN)]
    groups = [{"id": hexadecimal(), "name": f"foreign-{n}"} for n in range(FOREIGN)]
    users = [{"id": hexadecimal(), "name": f"foreign-{n}"} for n in range(FOREIGN)]
    assignments = [
        {"type": "GroupProject", "actor": group["id"], "target": project["id"], "role": "reader"}
        for group, project in zip(groups, projects, strict=True)
    ]
    memberships = [[user["id"], groups[0]["id"]] for user in users]
    estate: starter.Estate = {
        "memberships": memberships,
        "projects": projects,
        "groups": groups,
        "users": users,
        "assignments": assignments,
    }
    with starter.start(tmp_path_factory.mktemp("crowded"), estate=estate) as running:
        yield running


@pytest.fixture
async def corner(crowded: starter.Keystone, tmp_path: Path) -> AsyncIterator[Corner]:
    transport = connect(credential(crowded, tmp_path))
    corner = Corner(transport, domain="Default", domain_id="default")
    for name in ("ann", "ben"):
        mail = f"{name}-{corner.organization}@example.org"
        corner.users[name] = await corner.add("user", name=mail, domain_id="default")
        corner.know(name, external_ids={"fra": Personal(mail)})
    corner.platform = corner.new_platform()
    yield corner
    await transport.close()


async def test_ours_are_found_wherever_they_are_in_the_lists(corner: Corner) -> None:
    names = [f"p{n}" for n in range(4)]
    intents = [corner.intent(name, user("ann", "user"), workspace=corner.organization) for name in names]
    before = {
        row["id"]: row
        for row in (await corner.by_hand.list("/v3/projects", "by hand")).rows
        if row["name"].startswith("foreign")
    }
    for intent in intents:
        await corner.converge(intent)
    corner.platform = corner.new_platform()
    observation = await corner.observe(*intents, sweep=True)
    assert observation.incomplete == {}
    assert len(observation.resources) == len(names)
    for intent in intents:
        # By name, then by its stamp though renamed by hand, both without memory: Keystone 30 searches tags in the
        # first 1,000 projects only.
        corner.platform = corner.new_platform()
        assert not (await corner.plan(intent))[0].steps
        await corner.change(
            "project",
            observation.natives[Key(corner.organization, corner.organization, intent.project, "project")],
            name=hexadecimal(),
        )
        corner.platform = corner.new_platform()
        assert told(await corner.converge(intent)) == [("update", "project")]
    after = {row["id"]: row for row in (await corner.by_hand.list("/v3/projects", "by hand")).rows}
    assert len(before) == FOREIGN
    assert all(after[row_id] == row for row_id, row in before.items())


async def test_a_foreign_project_of_the_name_beyond_the_first_page_is_told(corner: Corner) -> None:
    intent = corner.intent("1199", user("ann", "user"), workspace="foreign")
    for sweep in (False, True):
        plan, _ = await corner.plan(intent, sweep=sweep)
        assert "name-taken" in {remark.code for remark in plan.remarks}
        assert "project" not in {step.kind for step in plan.steps}


async def test_calls_for_one_owner_depend_on_what_it_has_only(corner: Corner) -> None:
    intent = corner.intent("calls", user("ann", "user"), user("ben", "admin"), workspace=corner.organization)
    await corner.converge(intent)
    once = {"discover": 1, "who am I": 1, "list implied roles": 1}
    used = {
        "find domain": 1,
        "get domain": 1,
        "find role": 1,
        "find user": 2,
        "list inherited assignments": 1,
    }
    own = {"list assignments of project": 1, "get group": 2, "list users of group": 2}
    corner.platform = corner.new_platform()
    assert await calls(corner, intent) == {**once, **used, **own, "find project": 1}
    assert await calls(corner, intent) == {**own, "get project": 1}


async def calls(corner: Corner, intent: Intent) -> dict[str, int]:
    """Calls by label of planning one owner."""
    corner.counters.clear()
    await corner.plan(intent)
    return {label: n for (label, _), n in corner.counters.calls.items()}


async def test_a_short_page_of_projects_is_noticed(corner: Corner) -> None:
    intent = corner.intent("short", user("ann", "user"), workspace=corner.organization)
    await corner.converge(intent)
    corner.faulty.faults = [Fault("short-page", label="list projects")]
    observation = await corner.observe(intent, sweep=True)
    assert observation.incomplete["project"] == "list projects: a page came short"


@pytest.mark.parametrize("label", ["list projects", "list groups", "list users"])
@pytest.mark.parametrize("kind", ["error-500", "lost-after"])
async def test_a_second_page_that_fails_makes_its_kind_incomplete(
    corner: Corner, label: str, kind: FaultKind
) -> None:
    corner.faulty.faults = [Fault(kind, label=label, nth=2)]
    observation = await corner.observe(sweep=True)
    assert label.removeprefix("list ").removesuffix("s") in observation.incomplete


async def test_a_group_with_more_members_than_a_page_is_read_whole(corner: Corner) -> None:
    query = (("name", "foreign-0"), ("domain_id", "default"))
    [group] = (await corner.by_hand.list("/v3/groups", "by hand", query)).rows
    listing = await corner.by_hand.list(f"/v3/groups/{group['id']}/users", "by hand")
    assert (len(listing.rows), listing.cut) == (FOREIGN, "")
