"""A tenant's namespace is made, kept as declared, never taken from anybody, and deleted by the rule."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api import MERGE, NAMESPACES, Json, config, configs
from estate import ANN, Estate, eventually, new_estate

from hanse.model import Key, NotYet, Refused
from kubernetes_server import KubernetesServer

MARK, MANAGED, KEY = "hanse/stamp", "app.kubernetes.io/managed-by", "hanse/key"
HOLD = "example.org/hold"


@pytest.fixture
async def estate(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Estate]:
    async with new_estate(kubernetes, tmp_path) as estate:
        yield estate


def make(estate: Estate, **metadata: object) -> None:
    """A namespace of the tenant's name that somebody else makes."""
    made = estate.api.post(NAMESPACES, {"metadata": {"name": estate.namespace, **metadata}})
    assert made.code == 201, made.body


def change(estate: Estate, field: str, values: Json) -> None:
    """Set and remove labels or annotations by hand."""
    changed = estate.api.merge(estate.path, {"metadata": {field: values}}, fieldManager="by-hand")
    assert changed.code == 200, changed.body


# Never taken over


async def test_a_namespace_of_the_name_is_left_alone_and_told_how_to_adopt_it_or_rename(
    estate: Estate,
) -> None:
    make(estate)
    before = estate.meta()
    await estate.want({"admin": ["ann"]})
    assert not await estate.outcomes()
    told = await estate.remark("name-taken")
    assert f"native: {{id: {estate.namespace}}}" in told.advice
    assert "choose another name" in told.advice
    assert estate.meta() == before


async def test_a_namespace_that_appears_between_plan_and_apply_is_left_alone(estate: Estate) -> None:
    await estate.want({"admin": ["ann"]})
    survey = await estate.loop.survey()
    make(estate)
    before = estate.meta()
    [(_, refused)] = (await estate.loop.carry_out(survey)).outcomes
    assert isinstance(refused, Refused)
    assert "not ours" in refused.reason
    assert f"native: {{id: {estate.namespace}}}" in refused.advice
    assert estate.meta() == before
    assert not estate.given()


async def test_a_namespace_of_another_organization_is_not_even_adopted(estate: Estate) -> None:
    other = Key("another", "shop", "prod", "namespace")
    make(estate, labels={MARK: other.stamp}, annotations={KEY: str(other)})
    before = estate.meta()
    await estate.want({"admin": ["ann"]})
    assert (await estate.remark("name-taken")).blocking
    await estate.want({"admin": ["ann"]}, native=estate.namespace)
    refused = await estate.refused()
    assert "another's mark" in refused.reason
    assert estate.meta() == before


async def test_an_adopted_namespace_keeps_its_content_and_what_others_wrote_on_it(estate: Estate) -> None:
    make(estate, labels={"team": "red"}, annotations={"note": "mine"})
    estate.api.post(configs(estate.namespace), config("kept", {"a": "b"}))
    await estate.hold({"admin": ["ann"]}, native=estate.namespace, tags={"a": "1"})
    meta = estate.meta()
    assert meta["labels"]["team"] == "red"
    assert meta["labels"]["example.org/a"] == "1"
    assert meta["annotations"]["note"] == "mine"
    assert estate.api.get(f"{configs(estate.namespace)}/kept").code == 200
    assert estate.given() == {(ANN, "admin")}


# Drift


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("labels", {"example.org/a": "changed"}),
        ("labels", {"example.org/a": None}),
        ("labels", {MANAGED: None}),
        ("labels", {MANAGED: "helm"}),
        ("labels", {MARK: None}),
        ("labels", {"pod-security.kubernetes.io/enforce": "privileged"}),
        ("annotations", {KEY: None}),
        ("annotations", {"hanse/description": "changed"}),
        ("annotations", {"example.org/a-text": None}),
    ],
)
async def test_what_is_declared_on_a_namespace_is_put_back(estate: Estate, field: str, values: Json) -> None:
    await estate.hold(
        {"admin": ["ann"]}, tags={"a": "1"}, description="The shop", zone={"podSecurity": "baseline"}
    )
    before = estate.meta()
    change(estate, field, values)
    steps = await estate.loop.steps()
    assert {step.reason.cause for step in steps} == {"local-change"}
    await estate.loop.settle()
    assert estate.meta() == before


async def test_what_others_write_on_a_namespace_beside_ours_stays(estate: Estate) -> None:
    await estate.hold()
    change(estate, "labels", {"team": "red"})
    change(estate, "annotations", {"note": "mine"})
    assert not await estate.loop.steps()
    await estate.hold(description="changed")
    assert estate.meta()["labels"]["team"] == "red"
    assert estate.meta()["annotations"]["note"] == "mine"


async def test_a_namespace_that_lost_all_marks_is_foreign_and_told(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]})
    change(estate, "labels", {MARK: None})
    change(estate, "annotations", {KEY: None})
    before = estate.meta()
    assert not await estate.outcomes()
    assert (await estate.remark("name-taken")).blocking
    assert estate.meta() == before
    await estate.hold({"admin": ["ann"]}, native=estate.namespace)
    assert estate.meta()["labels"][MARK]


async def test_a_namespace_that_another_tool_restored_is_no_endless_difference(estate: Estate) -> None:
    """It comes back with all it carried, and nothing on it is known to be set by us."""
    await estate.hold(tags={"a": "1"}, description="The shop")
    lost = estate.api.call(
        "PATCH", estate.path, {"metadata": {"managedFields": [{}]}}, kind=MERGE, fieldManager="restorer"
    )
    assert lost.code == 200
    assert "hanse" not in {manager for manager, _ in estate.api.get(estate.path).owners()}
    await estate.loop.check_converged()
    change(estate, "labels", {"example.org/a": "changed"})
    await estate.loop.settle()
    assert estate.meta()["labels"]["example.org/a"] == "1"


async def test_a_label_that_is_declared_no_more_is_taken_off(estate: Estate) -> None:
    await estate.hold(tags={"a": "1", "b": "2"})
    await estate.hold(tags={"b": "2"})
    meta = estate.meta()
    assert meta["labels"]["example.org/b"] == "2"
    assert "example.org/a" not in meta["labels"]
    assert "example.org/a-text" not in meta["annotations"]


async def test_a_tag_is_a_label_as_labels_can_be_and_an_annotation_as_it_is(estate: Estate) -> None:
    await estate.hold(tags={"a": "R&D 42"})
    meta = estate.meta()
    assert meta["labels"]["example.org/a"] == "R_D_42"
    assert meta["annotations"]["example.org/a-text"] == "R&D 42"


async def test_two_namespaces_with_one_mark_are_told_also_to_who_looks_at_the_owner_alone(
    estate: Estate,
) -> None:
    await estate.hold({"admin": ["ann"]})
    key = Key(estate.organization, "shop", "prod", "namespace")
    twin = f"{estate.namespace}-twin"
    metadata = {"name": twin, "labels": {MARK: key.stamp}, "annotations": {KEY: str(key)}}
    assert estate.api.post(NAMESPACES, {"metadata": metadata}).code == 201
    assert twin in (await estate.remark("twins")).message
    plan = (await estate.loop.survey(estate.owner)).plans[estate.owner]
    assert [remark.code for remark in plan.remarks] == ["twins"]
    assert not plan.steps


# Deletion


def hold(estate: Estate) -> None:
    """Something that keeps the namespace from going."""
    made = estate.api.post(configs(estate.namespace), config("held", metadata={"finalizers": [HOLD]}))
    assert made.code == 201, made.body


def release(estate: Estate) -> None:
    path = f"{configs(estate.namespace)}/held"
    assert estate.api.merge(path, {"metadata": {"finalizers": None}}).code == 200


async def gone(estate: Estate) -> None:
    await eventually(lambda: estate.api.get(estate.path).code == 404)


async def test_access_to_what_leaves_goes_at_once_and_the_namespace_by_the_rule(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]}, deletion="approval")
    await estate.loop.want()
    await estate.loop.settle()
    assert not estate.given()
    assert "waits to be deleted" in (await estate.remark("deletion-waits")).message
    await estate.loop.approve(estate.owner)
    await estate.loop.converge()
    await gone(estate)
    assert estate.owner in (await estate.loop.converge()).gone


async def test_a_namespace_that_does_not_go_is_told_with_what_keeps_it(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]})
    hold(estate)
    await estate.loop.want()
    await estate.waits_for("is being deleted", HOLD, "configmaps")
    release(estate)
    await gone(estate)
    assert estate.owner in (await estate.loop.converge()).gone


async def test_a_group_that_is_called_as_a_namespace_keeps_it_from_nothing(estate: Estate) -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": estate.namespace}
    body = {"metadata": {"name": estate.organization}, "roleRef": role, "subjects": [subject]}
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    assert estate.api.post(path, body).code == 201
    await estate.hold()
    await estate.loop.want()
    await estate.loop.converge()
    assert estate.api.delete(f"{path}/{estate.organization}").code == 200
    await gone(estate)


async def test_a_namespace_deleted_by_hand_is_made_again_and_its_content_told_as_lost(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]}, zone={"quotas": {"default": {"pods": 5}}})
    hold(estate)
    assert estate.api.delete(estate.path).code == 200
    await estate.waits_for("is being deleted", HOLD)
    release(estate)
    await gone(estate)
    assert "backup" in (await estate.remark("content-lost")).advice
    await estate.loop.settle()
    assert estate.given() == {(ANN, "admin")}
    assert estate.api.get(f"{estate.path}/resourcequotas/hanse").code == 200


async def test_nothing_is_put_into_a_namespace_that_is_on_its_way_out(estate: Estate) -> None:
    await estate.hold()
    hold(estate)
    assert estate.api.delete(estate.path).code == 200
    await estate.want({"admin": ["ann"]})
    outcomes = await estate.outcomes()
    assert outcomes
    assert all(isinstance(outcome, NotYet) for outcome in outcomes), outcomes
    release(estate)


async def test_a_leaving_namespace_that_somebody_deletes_meanwhile_is_gone(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]}, deletion="approval")
    await estate.loop.want()
    await estate.loop.converge()
    assert estate.api.delete(estate.path).code == 200
    await gone(estate)
    assert estate.owner in (await estate.loop.converge()).gone


async def test_a_leaving_namespace_that_loses_its_mark_while_it_is_deleted_stays(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]}, deletion="automatic")

    acted: list[int] = []

    def act(turn: int) -> None:
        change(estate, "labels", {MARK: None})
        change(estate, "annotations", {KEY: None})
        acted.append(turn)

    estate.meanwhile("delete namespace", 1, act)
    await estate.loop.want()
    await estate.loop.converge()
    assert acted
    assert estate.api.get(estate.path).body["status"] == {"phase": "Active"}
