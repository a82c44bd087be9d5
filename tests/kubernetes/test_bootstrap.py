"""With just the rights that bootstrap prints everything works, and nothing more can be given."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hanse.model import Done, Key, Native, Personal, Refused, Step, Tenant, Value
from hanse.model.step import Action, Reason
from hanse.platforms.kubernetes import Kubernetes
from hanse.platforms.kubernetes.doctor import Right
from hanse.ports.platform import Zone
from hanse.ports.transport import Call, Transport
from kubernetes_rights import RBAC, Cluster, allowed, call
from kubernetes_server import KubernetesServer

GROUP = "rbac.authorization.k8s.io"
BIND = Right(GROUP, "clusterroles", "bind", "edit")
NAMESPACES = "/api/v1/namespaces"


SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
"""A rule that Hanse itself does not have."""


@pytest.fixture
async def cluster(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Cluster]:
    found = Cluster(kubernetes, tmp_path)
    yield found
    await found.close()


async def hanse_on(cluster: Cluster, *zones: Zone) -> Transport:
    """Hanse's way in, with just the rights for these landing zones."""
    return cluster.join(await cluster.prepared(*zones))


def zone(**roles: str) -> Zone:
    return Zone("production", {"roles": roles}, {})


async def status(transport: Transport, method: str, path: str, body: Any = None) -> int:
    return (await transport.send(Call(method, path, body=body, label="try"))).status


def binding(role: str, name: str = "given") -> dict[str, Any]:
    subject = {"apiGroup": GROUP, "kind": "User", "name": "ann"}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


async def test_it_can_be_applied_again_and_changes_nothing(cluster: Cluster) -> None:
    async def rules() -> Any:
        role = await call(cluster.admin, "GET", f"{RBAC}/clusterroles/hanse:{cluster.management}")
        return role["metadata"]["resourceVersion"], role["rules"]

    await cluster.prepared(zone())
    before = await rules()
    await cluster.prepared(zone())
    assert await rules() == before


async def test_mapped_roles_can_be_given_and_no_others(cluster: Cluster) -> None:
    hanse = await hanse_on(cluster, zone())
    home = f"home-{cluster.mark}"
    assert await status(hanse, "POST", NAMESPACES, {"metadata": {"name": home}}) == 201
    path = f"{RBAC}/namespaces/{home}/rolebindings"
    for role in ("admin", "edit", "view"):
        assert await status(hanse, "POST", path, binding(role, role)) == 201
    for role in ("cluster-admin", await cluster.role("auditor", SECRETS)):
        assert await status(hanse, "POST", path, binding(role, "no")) == 403
    assert await status(hanse, "DELETE", f"{path}/admin") == 200
    assert await status(hanse, "DELETE", f"{NAMESPACES}/{home}") == 200


async def test_hanse_can_change_no_rights_that_hold_everywhere_and_read_no_secret(cluster: Cluster) -> None:
    hanse = await hanse_on(cluster, zone())
    everywhere = {**binding("edit"), "kind": "ClusterRoleBinding"}
    assert await status(hanse, "POST", f"{RBAC}/clusterrolebindings", everywhere) == 403
    role = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": {"name": "mine"}, "rules": []}
    assert await status(hanse, "POST", f"{RBAC}/clusterroles", role) == 403
    assert await status(hanse, "GET", "/api/v1/secrets") == 403
    tokens = f"/api/v1/namespaces/{cluster.home}/serviceaccounts/{cluster.metering}/token"
    assert await status(hanse, "POST", tokens, {"spec": {}}) == 403


async def test_what_is_no_longer_mapped_can_be_given_no_longer(cluster: Cluster) -> None:
    extra = await cluster.role("deployer", SECRETS)
    hanse = await hanse_on(cluster, zone(deployer=extra))
    home = f"home-{cluster.mark}"
    await call(hanse, "POST", NAMESPACES, {"metadata": {"name": home}})
    path = f"{RBAC}/namespaces/{home}/rolebindings"
    assert await status(hanse, "POST", path, binding(extra, "first")) == 201
    await cluster.prepared(zone())
    await allowed(await cluster.account(cluster.management), [BIND._replace(name=extra)], yes=False)
    assert await status(hanse, "POST", path, binding(extra, "second")) == 403
    assert await status(hanse, "DELETE", f"{path}/first") == 200


def giving(cluster: Cluster, role: str, action: Action = "create", *bindings: str) -> Step:
    """Ann gets a ClusterRole in the test's namespace, or loses it."""
    key = Key("example", "shop", "prod", f"binding/{role}/ann")
    ends: dict[str, Value] = {
        "namespace": Native("namespace", f"home-{cluster.mark}"),
        "role": Native("role", f"ClusterRole/{role}", role),
        "subject": Native("User", "", "ann"),
    }
    before, after = (
        ({}, ends) if action == "create" else ({**ends, "bindings": Personal("/".join(bindings))}, {})
    )
    return Step(
        action, "binding", key, Tenant("k8s-fra", "shop", "prod"), "", before, after, (), Reason("declared")
    )


async def test_the_platform_can_give_mapped_roles_and_says_which_role_is_missing(cluster: Cluster) -> None:
    hanse = await hanse_on(cluster, zone())
    await call(hanse, "POST", NAMESPACES, {"metadata": {"name": f"home-{cluster.mark}"}})
    platform = Kubernetes(cluster.identity, hanse)
    assert isinstance(await platform.perform(giving(cluster, "edit")), Done)
    refused = await platform.perform(giving(cluster, "cluster-admin"))
    assert isinstance(refused, Refused)
    assert "cluster-admin" in f"{refused.reason} {refused.advice}"


async def test_a_person_beside_others_in_a_binding_that_is_not_ours_to_change_is_told_with_a_way_out(
    cluster: Cluster,
) -> None:
    hanse = await hanse_on(cluster, zone())
    home = f"home-{cluster.mark}"
    await call(cluster.admin, "POST", NAMESPACES, {"metadata": {"name": home}})
    subjects = [
        {"kind": "User", "name": "ann", "apiGroup": GROUP},
        {"kind": "ServiceAccount", "name": "default", "namespace": home},
    ]
    both = {**binding("cluster-admin", "both"), "subjects": subjects}
    await call(cluster.admin, "POST", f"{RBAC}/namespaces/{home}/rolebindings", both)
    refused = await Kubernetes(cluster.identity, hanse).perform(
        giving(cluster, "cluster-admin", "delete", "both")
    )
    assert isinstance(refused, Refused)
    assert "both" in refused.reason
    assert "cluster-admin" in refused.advice


async def test_metering_reads_what_is_used_and_nothing_else(cluster: Cluster) -> None:
    await cluster.prepared(zone())
    metering = await cluster.account(cluster.metering)
    reads = [Right("", resource, "list") for resource in ("namespaces", "pods", "persistentvolumeclaims")]
    await allowed(await cluster.account(cluster.metering), reads)
    assert await status(metering, "GET", NAMESPACES) == 200
    assert await status(metering, "POST", NAMESPACES, {"metadata": {"name": "x"}}) == 403
    assert await status(metering, "GET", f"{RBAC}/rolebindings") == 403
    assert await status(metering, "GET", "/api/v1/secrets") == 403


async def test_a_role_in_the_manifests_can_be_made_as_declared_and_not_wider(cluster: Cluster) -> None:
    def role(*verbs: str) -> dict[str, Any]:
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": [*verbs]}
        return {"apiVersion": f"{GROUP}/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": [rule]}

    bound = {**binding("view", "watchers"), "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "reader"}}
    zone = Zone("production", {}, {"zone/role.yaml": json.dumps([role("get"), bound])})
    hanse = await hanse_on(cluster, zone)
    home = f"home-{cluster.mark}"
    await call(hanse, "POST", NAMESPACES, {"metadata": {"name": home}})
    path = f"{RBAC}/namespaces/{home}"
    assert await status(hanse, "POST", f"{path}/roles", role("get", "list")) == 403
    assert await status(hanse, "POST", f"{path}/roles", role("get")) == 201
    assert await status(hanse, "POST", f"{path}/rolebindings", bound) == 201
