"""Further objects of a landing zone: ours in the fields that it names, others' in all else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api import Json, config, configs, eventually, thing
from estate import Estate, new_estate

from hanse.model import Done
from hanse.platforms.kubernetes import facts
from kubernetes_server import KubernetesServer


@pytest.fixture
async def estate(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Estate]:
    async with new_estate(kubernetes, tmp_path) as estate:
        yield estate


def settings(**data: str) -> Json:
    """A ConfigMap in the landing zone's folder."""
    return config("settings", data)


def path(estate: Estate) -> str:
    return f"{configs(estate.namespace)}/settings"


def data(estate: Estate) -> Json | None:
    """What is in it, None if it is not there."""
    found = estate.api.get(path(estate))
    return found.body.get("data", {}) if found.code == 200 else None


async def test_an_object_is_made_changed_and_taken_away_with_its_manifest(estate: Estate) -> None:
    await estate.hold(documents=[settings(stage="dev", where="${namespace}")])
    assert data(estate) == {"stage": "dev", "where": estate.namespace}
    await estate.hold(documents=[settings(stage="prod")])
    assert data(estate) == {"stage": "prod"}
    await estate.hold()
    assert data(estate) is None


async def test_what_a_hand_changes_in_our_fields_is_put_back_and_what_it_adds_stays(estate: Estate) -> None:
    await estate.hold(documents=[settings(stage="dev")])
    estate.api.merge(path(estate), {"data": {"stage": "changed", "own": "1"}}, fieldManager="by-hand")
    [step] = await estate.loop.steps()
    assert step.reason.cause == "local-change"
    await estate.loop.settle()
    assert data(estate) == {"stage": "dev", "own": "1"}
    estate.api.merge(path(estate), {"data": {"own": "2"}}, fieldManager="by-hand")
    assert not await estate.loop.steps()


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"stage": None}},
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
        {"metadata": {"annotations": {facts.MANIFEST_ANNOTATION: None}}},
        {"metadata": {"annotations": {facts.FIELDS_ANNOTATION: "x"}}},
        {"metadata": {"managedFields": [{}]}},
    ],
    ids=["value", "label", "manifest", "digest", "managers"],
)
async def test_whatever_is_taken_off_an_object_is_put_on_again(estate: Estate, change: Json) -> None:
    await estate.hold(documents=[settings(stage="dev")])
    before = estate.api.get(path(estate)).body["metadata"]
    assert estate.api.merge(path(estate), change, fieldManager="by-hand").code == 200
    assert len(await estate.loop.steps()) == 1
    await estate.loop.settle()
    assert data(estate) == {"stage": "dev"}
    after = estate.api.get(path(estate)).body["metadata"]
    assert {name: after[name] for name in ("labels", "annotations", "uid")} == {
        name: before[name] for name in ("labels", "annotations", "uid")
    }


async def test_an_object_that_was_deleted_by_hand_is_made_again(estate: Estate) -> None:
    await estate.hold(documents=[settings(stage="dev")])
    assert estate.api.delete(path(estate)).code == 200
    await estate.loop.settle()
    assert data(estate) == {"stage": "dev"}


async def test_what_was_there_before_is_given_back_without_our_fields(estate: Estate) -> None:
    """Such as the account `default`, which each namespace has."""
    await estate.hold()
    accounts = f"{estate.path}/serviceaccounts/default"
    eventually(lambda: estate.api.get(accounts).code == 200)
    account = thing("ServiceAccount", "default", imagePullSecrets=[{"name": "registry"}])
    await estate.hold(documents=[account])
    assert estate.api.get(accounts).body["imagePullSecrets"] == [{"name": "registry"}]
    uid = estate.api.get(accounts).body["metadata"]["uid"]
    await estate.hold()
    after = estate.api.get(accounts).body
    assert after["metadata"]["uid"] == uid
    assert "imagePullSecrets" not in after
    assert "labels" not in after["metadata"]
    assert "annotations" not in after["metadata"]


async def test_an_object_whose_making_nobody_heard_of_is_still_ours_to_delete(estate: Estate) -> None:
    await estate.hold()
    await estate.want(documents=[settings(stage="dev")])
    survey = await estate.loop.survey()
    for _ in range(2):
        result = await estate.loop.carry_out(survey)
        assert [outcome for _, outcome in result.outcomes] == [Done(f"{estate.namespace}/settings")]
    await estate.hold()
    assert data(estate) is None


async def test_an_object_that_a_finalizer_keeps_is_told_until_it_is_gone(estate: Estate) -> None:
    await estate.hold(documents=[settings(stage="dev")])
    hold = "example.org/hold"
    assert estate.api.merge(path(estate), {"metadata": {"finalizers": [hold]}}).code == 200
    await estate.want()
    await estate.waits_for("ConfigMap settings is being deleted", hold)
    assert estate.api.merge(path(estate), {"metadata": {"finalizers": None}}).code == 200
    await estate.loop.settle()


# What the API server does not take


async def test_a_field_that_is_set_once_and_for_all_is_refused_with_what_to_do(estate: Estate) -> None:
    await estate.hold(documents=[{**settings(stage="dev"), "immutable": True}])
    await estate.want(documents=[{**settings(stage="prod"), "immutable": True}])
    refused = await estate.refused()
    assert "data" in refused.reason
    assert "ConfigMap" in refused.advice
    assert "new name" in refused.advice
    assert data(estate) == {"stage": "dev"}
    assert estate.api.delete(path(estate)).code == 200
    await estate.loop.settle()
    assert data(estate) == {"stage": "prod"}


@pytest.mark.parametrize(
    ("part", "field"), [({"dataa": {"a": "b"}}, "dataa"), ({"data": ["s3cret"]}, "data")]
)
async def test_a_manifest_that_does_not_fit_its_kind_is_refused_with_the_fields_name(
    estate: Estate, part: Json, field: str
) -> None:
    """The API server answers with 500, and would for ever."""
    await estate.want(documents=[{**config("settings"), **part}])
    refused = await estate.refused()
    assert f": {field} " in refused.reason
    assert "mend the landing zone's manifest of ConfigMap" in refused.advice
    assert "s3cret" not in str(refused)


async def test_a_kind_that_the_cluster_does_not_know_is_refused_and_the_rest_is_made(estate: Estate) -> None:
    await estate.want(documents=[thing("Widget", "one", "example.org/v1"), settings(stage="dev")])
    refused = await estate.refused()
    assert "no Widget of example.org/v1" in refused.reason
    assert "install what brings it" in refused.advice
    assert data(estate) == {"stage": "dev"}


async def test_a_kind_that_a_known_version_lacks_is_refused_too(estate: Estate) -> None:
    await estate.want(documents=[thing("ConfigMapp", "one"), settings(stage="dev")])
    assert "no ConfigMapp of v1" in (await estate.refused()).reason


@pytest.mark.parametrize("where", [{}, {"namespace": "${namespace}"}])
async def test_an_account_that_the_landing_zone_binds_is_no_remark_however_it_is_written(
    estate: Estate, where: dict[str, str]
) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "deployer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", **where}],
    }
    await estate.hold(documents=[binding])
    assert await estate.loop.remarks() == {}
