"""Quota, limits and network policies of a tenant hold what the landing zone says, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from api import Json
from estate import Estate, new_estate

from hanse.model import Done
from kubernetes_server import KubernetesServer

ZONE: Json = {
    "quotas": {"default": {"pods": 5, "cores": 2}},
    "limits": {"container": {"default": {"cpu": "1"}}},
    "networkPolicies": ["deny-ingress"],
}
QUOTA, LIMITS, POLICY = "resourcequotas/hanse", "limitranges/hanse", "networkpolicies/hanse-deny-ingress"
ALL = (QUOTA, LIMITS, POLICY)
SPECS: dict[str, Json] = {
    QUOTA: {"hard": {"pods": "9"}},
    LIMITS: {"limits": [{"type": "Pod", "max": {"cpu": "9"}}]},
    POLICY: {"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Ingress"]},
}
"""What somebody else could write there."""
EXTENSIONS: dict[str, Json] = {
    QUOTA: {"op": "add", "path": "/spec/hard/configmaps", "value": "3"},
    LIMITS: {"op": "add", "path": "/spec/limits/-", "value": SPECS[LIMITS]["limits"][0]},
    POLICY: {"op": "add", "path": "/spec/ingress", "value": [{}]},
}


@pytest.fixture
async def estate(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Estate]:
    async with new_estate(kubernetes, tmp_path) as estate:
        yield estate


def path(estate: Estate, thing: str) -> str:
    if thing.startswith("networkpolicies"):
        return f"/apis/networking.k8s.io/v1/namespaces/{estate.namespace}/{thing}"
    return f"{estate.path}/{thing}"


def specs(estate: Estate) -> list[Any]:
    """All three, None where one is not there."""
    return [estate.api.get(path(estate, thing)).body.get("spec") for thing in ALL]


def edit(estate: Estate, thing: str, how: str) -> None:
    """Change it by hand."""
    api, at = estate.api, path(estate, thing)
    if how == "deleted":
        assert api.delete(at).code == 200
        return
    if how == "extended":
        reply = api.steps(at, EXTENSIONS[thing])
    elif how == "applied":
        collection, _, name = at.rpartition("/")
        live = api.get(at).body
        head = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": {"name": name}}
        reply = api.apply(collection, {**head, "spec": SPECS[thing]}, manager="other", force="true")
    else:
        labels = {"app.kubernetes.io/managed-by": None} if how == "unlabelled" else {}
        reply = api.merge(
            at, {"metadata": {"labels": labels}, "spec": SPECS[thing]}, fieldManager="kubectl-edit"
        )
    assert reply.code == 200, reply.body


@pytest.mark.parametrize("how", ["changed", "extended", "applied", "deleted", "unlabelled"])
@pytest.mark.parametrize("thing", ALL)
async def test_what_somebody_changes_is_put_back_as_it_was(estate: Estate, thing: str, how: str) -> None:
    await estate.hold(zone=ZONE)
    before = specs(estate)
    edit(estate, thing, how)
    assert specs(estate) != before
    assert {step.reason.cause for step in await estate.loop.steps()} == {"local-change"}
    await estate.loop.settle()
    assert specs(estate) == before
    assert "hanse" in estate.api.get(path(estate, thing)).body["metadata"]["labels"].values()


async def test_a_quota_that_somebody_narrowed_counts_for_all_pods_again(estate: Estate) -> None:
    await estate.hold(zone=ZONE)
    before = specs(estate)
    metadata = {"name": "hanse", "labels": {"app.kubernetes.io/managed-by": "hanse"}}
    for hard in ({"pods": "5"}, {"pods": "5", "requests.cpu": "2"}):
        edit(estate, QUOTA, "deleted")
        body = {"metadata": metadata, "spec": {"hard": hard, "scopes": ["NotTerminating"]}}
        made = estate.api.post(f"{estate.path}/resourcequotas", body)
        assert made.code == 201, made.body
        await estate.loop.settle()
        assert specs(estate) == before


async def test_a_changed_landing_zone_changes_things_in_place(estate: Estate) -> None:
    await estate.hold(zone=ZONE)
    uids = [estate.api.get(path(estate, thing)).body["metadata"]["uid"] for thing in ALL]
    zone = {
        "quotas": {"default": {"pods": 6}},
        "limits": {"container": {"default": {"memory": "1Gi"}}, "pod": {"max": {"cpu": "4"}}},
        "networkPolicies": ["deny-ingress", "allow-same-namespace"],
    }
    await estate.hold(zone=zone)
    quota, limits, _ = specs(estate)
    assert quota == {"hard": {"pods": "6"}}
    assert [limit["type"] for limit in limits["limits"]] == ["Container", "Pod"]
    assert uids == [estate.api.get(path(estate, thing)).body["metadata"]["uid"] for thing in ALL]


async def test_what_a_landing_zone_has_no_more_goes_and_what_the_team_made_stays(estate: Estate) -> None:
    await estate.hold(zone=ZONE)
    for thing in ALL:
        collection = path(estate, thing).rpartition("/")[0]
        labels = {"app.kubernetes.io/managed-by": "hanse"}
        made = estate.api.post(
            collection, {"metadata": {"name": "own", "labels": labels}, "spec": SPECS[thing]}
        )
        assert made.code == 201, made.body
    assert not await estate.loop.steps()
    await estate.hold(zone={})
    assert specs(estate) == [None, None, None]
    for thing in ALL:
        own = f"{path(estate, thing).rpartition('/')[0]}/own"
        assert estate.api.get(own).body["spec"] == SPECS[thing]


async def test_a_quota_that_is_being_used_is_no_difference(estate: Estate) -> None:
    await estate.hold(zone={"quotas": {"default": {"configMaps": 5}}})
    estate.api.post(f"{estate.path}/configmaps", {"metadata": {"name": "one"}})
    assert not await estate.loop.steps()


async def test_what_is_deleted_by_somebody_else_meanwhile_is_deleted(estate: Estate) -> None:
    await estate.hold(zone=ZONE)
    await estate.want(zone={})
    for kind, thing in zip(("quota", "limits", "network-policy"), ALL, strict=True):
        estate.meanwhile(f"delete {kind}", 1, lambda _, thing=thing: edit(estate, thing, "deleted"))  # type: ignore[misc]
    outcomes = await estate.outcomes()
    assert outcomes == [Done()] * 3
