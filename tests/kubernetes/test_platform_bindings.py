"""Access in a tenant's namespace is what was granted: by whichever binding somebody gives or takes it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api import RBAC, Json, rule, thing
from estate import ANN, BEN, EVE, Estate, account, group, new_estate, person

from hanse.model import Done
from hanse.platforms.kubernetes.blocks import binding_name
from kubernetes_server import KubernetesServer

CLUSTER_ROLES = f"/apis/{RBAC}/v1/clusterroles"


@pytest.fixture
async def estate(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Estate]:
    async with new_estate(kubernetes, tmp_path) as estate:
        yield estate


def ours(estate: Estate, role: str, user: str, kind: str = "User") -> str:
    """The path of the binding that Hanse makes."""
    return f"{estate.bindings}/{binding_name(role, kind, user)}"


def subjects(estate: Estate, path: str) -> list[str]:
    """The names in a binding; of none if there is none."""
    found = estate.api.get(path)
    return [one["name"] for one in found.body.get("subjects", ())] if found.code == 200 else []


def make_role(estate: Estate, name: str) -> None:
    """A ClusterRole of somebody else's."""
    rules = [rule("get", "", "pods")]
    made = estate.api.post(CLUSTER_ROLES, thing("ClusterRole", name, f"{RBAC}/v1", rules=rules))
    assert made.code == 201, made.body


# What is taken or changed


async def test_a_binding_that_was_removed_is_made_again(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]})
    assert estate.api.delete(ours(estate, "admin", ANN)).code == 200
    await estate.loop.settle()
    assert estate.given() == {(ANN, "admin")}


async def test_somebody_else_in_our_binding_is_taken_out_and_who_belongs_there_put_back(
    estate: Estate,
) -> None:
    await estate.hold({"admin": ["ann"]})
    for names in ([EVE], [EVE, ANN], []):
        body = {"subjects": [person(name) for name in names]}
        assert estate.api.merge(ours(estate, "admin", ANN), body).code == 200
        await estate.loop.settle()
        assert estate.given() == {(ANN, "admin")}


@pytest.mark.parametrize("role", ["edit", "cluster-admin"])
async def test_another_role_under_the_name_of_our_binding_is_replaced(estate: Estate, role: str) -> None:
    """Nobody can change the role of a binding; but who makes it anew can choose."""
    await estate.hold({"admin": ["ann"]})
    path = ours(estate, "admin", ANN)
    assert estate.api.delete(path).code == 200
    estate.by_hand(binding_name("admin", "User", ANN), role, person(ANN))
    await estate.loop.settle()
    assert estate.given() == {(ANN, "admin")}
    assert estate.api.get(path).body["roleRef"]["name"] == "admin"


# What is given by hand


@pytest.mark.parametrize(
    "subject",
    [
        person(EVE),
        person("system:anonymous"),
        group("friends"),
        group("system:authenticated"),
        group("system:masters"),
    ],
    ids=lambda subject: subject["name"],
)
async def test_access_of_people_that_nobody_declared_goes(estate: Estate, subject: Json) -> None:
    await estate.hold({"admin": ["ann"]})
    path = estate.by_hand("by-hand", "view", subject)
    await estate.loop.settle()
    assert estate.api.get(path).code == 404
    assert estate.given() == {(ANN, "admin")}


async def test_a_role_of_the_namespace_given_to_a_person_goes_and_the_role_stays(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]})
    roles = estate.bindings.replace("rolebindings", "roles")
    rules = [rule("get", "", "secrets")]
    assert estate.api.post(roles, thing("Role", "own", f"{RBAC}/v1", rules=rules)).code == 201
    path = estate.by_hand("by-hand", "own", person(EVE), kind="Role")
    await estate.loop.settle()
    assert estate.api.get(path).code == 404
    assert estate.api.get(f"{roles}/own").code == 200


async def test_of_a_binding_for_a_person_and_a_program_the_program_stays(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]})
    path = estate.by_hand("by-hand", "view", person(EVE), account(estate.namespace), group("friends"))
    before = estate.api.get(path).body["metadata"]
    await estate.loop.settle()
    after = estate.api.get(path).body
    assert after["subjects"] == [account(estate.namespace)]
    assert after["metadata"]["uid"] == before["uid"]


@pytest.mark.parametrize(
    "subject",
    [
        account("elsewhere"),
        group("system:serviceaccounts:elsewhere"),
        person("system:serviceaccount:elsewhere:robot"),
    ],
    ids=["account", "group", "name"],
)
async def test_what_programs_may_is_told_and_stays(estate: Estate, subject: Json) -> None:
    await estate.hold({"admin": ["ann"]})
    path = estate.by_hand("by-hand", "edit", subject)
    assert not await estate.outcomes()
    assert not (await estate.remark("workload")).blocking
    assert subjects(estate, path) == [subject["name"]]


async def test_a_grant_that_somebody_gave_already_is_fine_and_ends_in_all_bindings(estate: Estate) -> None:
    await estate.hold()
    first = estate.by_hand("first", "edit", person(BEN), account(estate.namespace))
    second = estate.by_hand("second", "edit", person(BEN))
    await estate.want({"user": ["ben"]})
    assert not await estate.loop.steps()
    await estate.hold({})
    assert subjects(estate, first) == ["robot"]
    assert estate.api.get(second).code == 404


# Mappings


async def test_another_role_by_the_mapping_is_given_before_the_old_one_goes(estate: Estate) -> None:
    role = f"{estate.organization}-developer"
    make_role(estate, role)
    await estate.hold({"user": ["ann", "ben"]})
    estate.loop.transport.calls.clear()
    await estate.hold({"user": ["ann", "ben"]}, zone={"roles": {"user": role}})
    assert estate.given() == {(ANN, role), (BEN, role)}
    for user in (ANN, BEN):
        paths = [call.path for call in estate.loop.transport.writes]
        assert paths.index(ours(estate, role, user)) < paths.index(ours(estate, "edit", user))


async def test_two_roles_that_mean_the_same_are_one_binding(estate: Estate) -> None:
    zone = {"roles": {"admin": "admin", "user": "edit", "reader": "edit"}}
    await estate.hold({"user": ["ann"], "reader": ["ann"]}, zone=zone)
    assert len(estate.api.get(estate.bindings).body["items"]) == 1
    await estate.hold({"reader": ["ann"]}, zone=zone)
    assert estate.given() == {(ANN, "edit")}


async def test_a_group_of_the_tokens_claim_gets_the_role_itself(estate: Estate) -> None:
    block = {
        "subjects": {
            "users": {"externalId": "oidc"},
            "groups": {"as": "claim", "pattern": "dep-{group}", "prefix": "oidc:"},
        }
    }
    await estate.hold({"user": ["@team"]}, block=block)
    assert estate.given() == {("oidc:dep-team", "edit")}
    [access] = [row for row in await estate.loop.access() if row.via != "inherited"]
    assert (access.principal, access.via) == ("oidc:dep-team", "group")
    assert estate.api.delete(ours(estate, "edit", "oidc:dep-team", "Group")).code == 200
    await estate.loop.settle()
    assert estate.given() == {("oidc:dep-team", "edit")}


async def test_a_role_that_the_cluster_lacks_is_told_and_given_once_it_is_there(estate: Estate) -> None:
    role = f"{estate.organization}-later"
    zone = {"roles": {"user": role}}
    await estate.hold({"user": ["ann"], "admin": ["ben"]}, zone=zone)
    told = await estate.remark("unknown-role")
    assert role in told.message
    assert "make the role" in told.advice
    assert estate.given() == {(BEN, "admin")}
    make_role(estate, role)
    await estate.loop.settle()
    assert estate.given() == {(BEN, "admin"), (ANN, role)}


# At the same time


@pytest.mark.parametrize("others", [[account("elsewhere")], []], ids=["strip", "delete"])
async def test_who_comes_into_a_binding_while_another_is_taken_out_is_not_lost(
    estate: Estate, others: list[Json]
) -> None:
    await estate.hold()
    path = estate.by_hand("by-hand", "edit", person(EVE), *others)

    def act(turn: int) -> None:
        wanted = [person(EVE), *others, account("elsewhere", f"robot-{turn}")]
        assert estate.api.merge(path, {"subjects": wanted}).code == 200

    estate.meanwhile("strip rolebinding" if others else "delete rolebinding", 1, act)
    outcomes = await estate.outcomes()
    assert outcomes == [Done()]
    assert set(subjects(estate, path)) == {"robot-0", *(one["name"] for one in others)}


async def test_what_others_write_on_a_namespace_while_it_is_changed_is_not_lost(estate: Estate) -> None:
    await estate.hold()

    def act(turn: int) -> None:
        body = {"metadata": {"labels": {f"team-{turn}": "red"}}}
        assert estate.api.merge(estate.path, body).code == 200

    estate.meanwhile("change namespace", 2, act)
    await estate.want(description="new")
    assert [type(outcome) for outcome in await estate.outcomes()] == [Done]
    labels = estate.meta()["labels"]
    assert {labels["team-0"], labels["team-1"]} == {"red"}
    assert estate.meta()["annotations"]["hanse/description"] == "new"


# Who can do what


async def test_access_is_told_with_the_way_it_is_given_by(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]})
    estate.by_hand("robots", "view", account(estate.namespace))
    estate.by_hand("friends", "view", group("friends"))
    name = f"{estate.organization}-above"
    body = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
        "subjects": [person(EVE), account(estate.namespace)],
    }
    path = f"/apis/{RBAC}/v1/clusterrolebindings"
    assert estate.api.post(path, body).code == 201
    rows = {(row.principal, row.role, row.via, row.grant) for row in await estate.loop.access()}
    assert estate.api.delete(f"{path}/{name}").code == 200
    assert rows == {
        (ANN, "admin", "direct", f"rolebinding {binding_name('admin', 'User', ANN)}"),
        (f"{estate.namespace}/robot", "view", "direct", "rolebinding robots"),
        ("friends", "view", "group", "rolebinding friends"),
        (EVE, "view", "inherited", "the cluster"),
    }
