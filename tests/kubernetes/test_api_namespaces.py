"""The life and the end of namespaces, quotas' counts and admission: the same on the simulator and the real server."""

import time

import pytest
from api import NAMESPACES, RBAC, Api, binding, bindings, config, configs, eventually, thing

from kubernetes_server import KubernetesServer


@pytest.fixture
def api(kubernetes: KubernetesServer) -> Api:
    return Api(kubernetes, kubernetes.token)


def test_a_namespace_is_born_with_its_name_as_a_label(api: Api) -> None:
    name = api.namespace()
    body = api.get(f"{NAMESPACES}/{name}").body
    assert body["metadata"]["labels"] == {"kubernetes.io/metadata.name": name}
    assert (body["spec"], body["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})


def test_the_name_as_a_label_cannot_be_changed_or_taken_off(api: Api) -> None:
    path = f"{NAMESPACES}/{api.namespace()}"
    before = api.get(path)
    for patch in ({"labels": {"kubernetes.io/metadata.name": "other"}}, {"labels": None}):
        assert api.merge(path, {"metadata": patch}).body == before.body
    assert (
        api.merge(path, {"spec": {"finalizers": []}, "status": {"phase": "Terminating"}}).body == before.body
    )


def test_each_namespace_gets_an_account_and_a_certificate(api: Api) -> None:
    path = f"{NAMESPACES}/{api.namespace()}"
    eventually(lambda: "default" in api.get(f"{path}/serviceaccounts").names)
    eventually(lambda: api.get(f"{path}/configmaps").names == ["kube-root-ca.crt"])
    api.delete(f"{path}/serviceaccounts/default")
    eventually(lambda: "default" in api.get(f"{path}/serviceaccounts").names)


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_stay(api: Api, name: str) -> None:
    reply = api.delete(f"{NAMESPACES}/{name}")
    assert (reply.code, reply.body["reason"]) == (403, "Forbidden")
    assert reply.body["message"] == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


def test_a_namespace_goes_with_all_that_is_in_it(api: Api) -> None:
    name = api.namespace()
    path = f"{NAMESPACES}/{name}"
    api.post(configs(name), config("one"))
    api.post(bindings(name), binding("one", "view"))
    with api.watch(NAMESPACES, seconds=30, fieldSelector=f"metadata.name={name}") as events:
        reply = api.delete(path)
        assert (reply.code, reply.body["status"]) == (200, {"phase": "Terminating"})
        assert reply.body["metadata"]["deletionTimestamp"]
        assert "deletionGracePeriodSeconds" not in reply.body["metadata"]
        kinds = []
        for event in events:
            kinds.append(event["type"])
            if event["type"] == "DELETED":
                break
    assert kinds[:2] == ["ADDED", "MODIFIED"]
    assert api.get(path).code == 404
    assert api.get(configs(name)).names == []
    assert api.get(bindings(name)).names == []


def test_nothing_new_comes_into_a_namespace_that_goes(api: Api) -> None:
    name = api.namespace(finalizers=["example.org/hold"])
    api.delete(f"{NAMESPACES}/{name}")
    for reply in (api.post(configs(name), config("late")), api.apply(configs(name), config("late"))):
        assert (reply.code, reply.body["reason"]) == (403, "Forbidden")
        why = f"unable to create new content in namespace {name} because it is being terminated"
        assert reply.body["message"] == f'configmaps "late" is forbidden: {why}'
        told = f"namespace {name} is being terminated"
        cause = {"reason": "NamespaceTerminating", "message": told, "field": "metadata.namespace"}
        assert reply.body["details"] == {"name": "late", "kind": "configmaps", "causes": [cause]}
    role = api.post(bindings(name), binding("late", "view"))
    assert role.body["details"]["group"] == RBAC
    assert role.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"


def test_the_name_of_a_namespace_that_goes_is_still_taken(api: Api) -> None:
    name = api.namespace(finalizers=["example.org/hold"])
    marked = api.delete(f"{NAMESPACES}/{name}")
    reply = api.post(NAMESPACES, thing("Namespace", name))
    assert (reply.code, reply.body["reason"]) == (409, "AlreadyExists")
    assert reply.body["message"] == f'object is being deleted: namespaces "{name}" already exists'
    applied = api.apply(NAMESPACES, thing("Namespace", name, metadata={"labels": {"a": "b"}}))
    assert (applied.code, applied.body["status"]["phase"]) == (200, "Terminating")
    assert applied.body["metadata"]["deletionTimestamp"] == marked.body["metadata"]["deletionTimestamp"]


def test_a_namespace_says_what_holds_it(api: Api) -> None:
    name = api.namespace()
    path = f"{NAMESPACES}/{name}"
    for number in ("one", "two"):
        api.post(configs(name), config(number, metadata={"finalizers": ["example.org/hold"]}))
    api.post(configs(name), config("free"))
    api.delete(path)

    def conditions() -> dict[str, tuple[str, str, str]]:
        told = api.get(path).body["status"].get("conditions", [])
        return {one["type"]: (one["status"], one["reason"], one["message"]) for one in told}

    found = eventually(conditions)
    assert found == {
        "NamespaceDeletionDiscoveryFailure": (
            *("False", "ResourcesDiscovered"),
            "All resources successfully discovered",
        ),
        "NamespaceDeletionGroupVersionParsingFailure": (
            *("False", "ParsedGroupVersions"),
            "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            *("False", "ContentDeleted"),
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": (
            *("True", "SomeResourcesRemain"),
            "Some resources are remaining: configmaps. has 2 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            *("True", "SomeFinalizersRemain"),
            "Some content in the namespace has finalizers remaining: example.org/hold in 2 resource instances",
        ),
    }
    assert api.get(configs(name)).names == ["one", "two"]


def test_a_namespace_goes_once_nothing_holds_it(api: Api) -> None:
    name = api.namespace(finalizers=["example.org/hold"])
    path = f"{NAMESPACES}/{name}"
    api.delete(path)
    eventually(lambda: api.get(path).body["spec"] == {})
    told = api.get(path).body["status"]["conditions"]
    assert {one["type"]: one["reason"] for one in told}["NamespaceContentRemaining"] == "ContentRemoved"
    assert api.get(path).body["metadata"]["finalizers"] == ["example.org/hold"]
    api.merge(path, {"metadata": {"finalizers": None}})
    assert api.get(path).code == 404
    assert api.post(NAMESPACES, thing("Namespace", name)).code == 201


def test_a_namespace_is_deleted_only_as_what_it_is_taken_for(api: Api) -> None:
    path = f"{NAMESPACES}/{api.namespace()}"
    for wrong in ({"uid": "another"}, {"resourceVersion": "1"}):
        reply = api.delete(path, {"preconditions": wrong})
        assert (reply.code, reply.body["reason"], reply.body["details"]["kind"]) == (
            409,
            "Conflict",
            "namespaces",
        )
    marked = api.delete(path, dryRun="All")
    assert marked.body["status"]["phase"] == "Terminating"
    assert api.get(path).body["status"]["phase"] == "Active"


def test_a_quota_tells_what_is_used(api: Api) -> None:
    name = api.namespace()
    path = f"{NAMESPACES}/{name}/resourcequotas"
    eventually(lambda: api.get(configs(name)).names)
    hard = {"configmaps": "9", "secrets": "9", "pods": "9", "requests.cpu": "2", f"count/roles.{RBAC}": "9"}
    made = api.post(path, thing("ResourceQuota", "one", spec={"hard": hard}))
    assert made.body["status"] == {}

    def used() -> dict[str, str]:
        status = api.get(f"{path}/one").body["status"]
        assert status.get("hard", hard) == hard
        return dict(status.get("used", {}))

    none = {**dict.fromkeys(hard, "0"), "configmaps": "1"}
    eventually(lambda: used() == none)
    api.post(f"{NAMESPACES}/{name}/secrets", thing("Secret", "one"))
    api.post(configs(name), config("one"))
    eventually(lambda: used() == {**none, "configmaps": "2", "secrets": "1"})
    api.delete(f"{NAMESPACES}/{name}/secrets/one")
    eventually(lambda: used() == {**none, "configmaps": "2"})


def test_an_event_of_the_end_of_a_namespace_comes_for_what_was_in_it(api: Api) -> None:
    name = api.namespace()
    api.post(bindings(name), binding("one", "view"))
    path = f"/apis/{RBAC}/v1/rolebindings"
    with api.watch(path, seconds=30, resourceVersion=api.get(path).version) as events:
        api.delete(f"{NAMESPACES}/{name}")
        event = next(events)
    assert (event["type"], event["object"]["metadata"]["namespace"]) == ("DELETED", name)


def test_time_stands_in_whole_seconds_of_utc(api: Api) -> None:
    name = api.namespace()
    stamp = api.get(f"{NAMESPACES}/{name}").body["metadata"]["creationTimestamp"]
    assert abs(time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())) < 30
