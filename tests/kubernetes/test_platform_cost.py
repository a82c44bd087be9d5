"""What looking and changing cost: calls to the API server, counted."""

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from api import config
from estate import Estate, new_estate

from hanse.platforms.kubernetes import Kubernetes
from kubernetes_server import KubernetesServer

LISTS = {
    "list namespaces",
    "list rolebindings",
    "list clusterrolebindings",
    "list resourcequotas",
    "list limitranges",
    "list networkpolicies",
}
ZONE = {"quotas": {"default": {"pods": 5}}}


@pytest.fixture
async def estate(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Estate]:
    async with new_estate(kubernetes, tmp_path) as estate:
        yield estate


def labels(estate: Estate) -> Counter[str]:
    """How often each sort of call was made since the last time."""
    counted = Counter(call.label for call in estate.loop.transport.calls)
    estate.loop.transport.calls.clear()
    return counted


async def test_a_sweep_is_the_pages_of_its_lists_and_nothing_else(
    kubernetes: KubernetesServer, tmp_path: Path
) -> None:
    rows = 2
    async with new_estate(kubernetes, tmp_path, join=partial(Kubernetes, rows=rows)) as estate:
        projects = [estate.loop.sample.project(f"shop/{n}", {"admin": ["ann"]}) for n in ("a", "b", "c")]
        await estate.accept(*projects)
        await estate.loop.settle()
        labels(estate)
        await estate.loop.survey()
        calls = labels(estate)
        assert calls.keys() == LISTS
        count = len(estate.api.get("/api/v1/namespaces").body["items"])
        assert calls["list namespaces"] == -(-count // rows)


async def test_one_owner_costs_its_namespace_and_four_lists(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]}, zone=ZONE)
    labels(estate)
    await estate.loop.survey(estate.owner)
    calls = labels(estate)
    assert calls == {
        "get namespace": 1,
        "list rolebindings of a namespace": 1,
        "list resourcequotas of a namespace": 1,
        "list limitranges of a namespace": 1,
        "list networkpolicies of a namespace": 1,
    }


async def test_a_new_tenant_costs_one_write_for_each_thing_and_grant(estate: Estate) -> None:
    await estate.hold()
    sample = estate.loop.sample
    await estate.accept(
        sample.project("lab/one", {"admin": ["ann"], "user": ["ben"]}, landing_zone_block=ZONE)
    )
    survey = await estate.loop.survey()
    labels(estate)
    await estate.loop.carry_out(survey)
    writes = Counter(call.label for call in estate.loop.transport.writes)
    assert writes["create namespace"] == writes["apply quota"] == 1
    assert writes["apply rolebinding"] == 2


async def test_an_object_costs_a_rehearsal_and_an_apply(estate: Estate) -> None:
    await estate.hold()
    await estate.want(documents=[config("settings", {"a": "b"})])
    survey = await estate.loop.survey()
    labels(estate)
    await estate.loop.carry_out(survey)
    assert {label: n for label, n in labels(estate).items() if "object" in label} == {
        "rehearse object": 1,
        "apply object": 1,
    }
