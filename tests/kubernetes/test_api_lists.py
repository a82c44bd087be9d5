"""Lists in pages, selectors and watches: the same on the simulator and on the real API server."""

from typing import Any

import pytest
from api import NAMESPACES, Api, binding, bindings, config, configs, eventually, thing, user

from kubernetes_server import KubernetesServer


@pytest.fixture
def api(kubernetes: KubernetesServer) -> Api:
    return Api(kubernetes, kubernetes.token)


@pytest.fixture
def five(api: Api) -> str:
    """The config maps of a namespace: p0 to p4, each labelled with its number, and what each namespace has."""
    namespace = api.namespace()
    path = configs(namespace)
    eventually(lambda: api.get(f"{path}/kube-root-ca.crt").code == 200)
    for number in range(5):
        api.post(path, config(f"p{number}", metadata={"labels": {"n": str(number), "all": "yes"}}))
    return path


def test_a_list_is_in_the_order_of_names_and_tells_its_version(api: Api, five: str) -> None:
    reply = api.get(five)
    assert reply.names == ["kube-root-ca.crt", "p0", "p1", "p2", "p3", "p4"]
    assert (reply.body["kind"], reply.body["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(reply.body["metadata"]["resourceVersion"]) >= int(api.get(f"{five}/p4").version)
    assert "kind" not in reply.body["items"][0]


def test_pages_tell_what_is_left_and_keep_to_one_version(api: Api, five: str) -> None:
    first = api.get(five, limit=2)
    assert (first.names, first.body["metadata"]["remainingItemCount"]) == (["kube-root-ca.crt", "p0"], 4)
    api.post(five, config("p1b"))
    api.delete(f"{five}/p3")
    api.merge(f"{five}/p4", {"data": {"a": "1"}})
    second = api.get(five, limit=2, **{"continue": first.body["metadata"]["continue"]})
    assert second.names == ["p1", "p2"]
    assert second.version == first.version
    last = api.get(five, limit=2, **{"continue": second.body["metadata"]["continue"]})
    assert last.names == ["p3", "p4"]
    assert "data" not in last.body["items"][1]
    assert "continue" not in last.body["metadata"]


def test_pages_of_all_namespaces_go_through_them_in_order(api: Api, five: str) -> None:
    seen, token = [], ""
    while True:
        query = {"continue": token} if token else {}
        page = api.get("/api/v1/configmaps", limit=3, **query)
        seen += [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in page.body["items"]]
        token = page.body["metadata"].get("continue", "")
        if not token:
            break
    assert len(seen) == len(set(seen)) >= 6
    assert seen == sorted(seen, key="/".join)


@pytest.mark.parametrize("token", ["zzz", "", "e30"])
def test_a_token_that_is_none_is_refused(api: Api, five: str, token: str) -> None:
    assert api.get(five, **{"continue": token}).code == (400 if token else 200)


def test_a_token_has_its_version(api: Api, five: str) -> None:
    token = api.get(five, limit=1).body["metadata"]["continue"]
    assert api.get(five, **{"continue": token, "resourceVersion": "5"}).code == 400


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("n=1", ["p1"]),
        ("n==1", ["p1"]),
        ("n in (1,2)", ["p1", "p2"]),
        ("n notin (1,2)", ["kube-root-ca.crt", "p0", "p3", "p4"]),
        ("n!=1,all", ["p0", "p2", "p3", "p4"]),
        ("!n", ["kube-root-ca.crt"]),
        ("n", ["p0", "p1", "p2", "p3", "p4"]),
        ("all=yes, n in (4)", ["p4"]),
        ("n=9", []),
    ],
)
def test_labels_select(api: Api, five: str, selector: str, names: list[str]) -> None:
    assert api.get(five, labelSelector=selector).names == names


@pytest.mark.parametrize("selector", ["bad key x", "a=b c", "n in 1"])
def test_a_label_selector_that_cannot_be_read_is_refused(api: Api, five: str, selector: str) -> None:
    reply = api.get(five, labelSelector=selector)
    assert (reply.code, reply.body["reason"]) == (400, "BadRequest")


def test_fields_select(api: Api, five: str) -> None:
    assert api.get(five, fieldSelector="metadata.name=p1").names == ["p1"]
    assert api.get(five, fieldSelector="metadata.name!=p1,metadata.name!=p2").names == [
        *("kube-root-ca.crt", "p0", "p3", "p4")
    ]
    namespace = five.split("/")[4]
    assert len(api.get("/api/v1/configmaps", fieldSelector=f"metadata.namespace={namespace}").names) == 6
    assert api.get(NAMESPACES, fieldSelector="metadata.name=default,status.phase=Active").names == ["default"]
    for wrong in ("data.x=1", "x"):
        assert api.get(five, fieldSelector=wrong).code == 400


def test_pages_of_a_selection_do_not_count_what_is_left(api: Api, five: str) -> None:
    page = api.get(five, labelSelector="all=yes", limit=2)
    assert page.names == ["p0", "p1"]
    assert "remainingItemCount" not in page.body["metadata"]
    rest = api.get(five, labelSelector="all=yes", **{"continue": page.body["metadata"]["continue"]})
    assert rest.names == ["p2", "p3", "p4"]


def test_a_list_that_may_be_old_comes_whole(api: Api, five: str) -> None:
    reply = api.get(five, limit=2, resourceVersion="0")
    assert len(reply.names) == 6


@pytest.mark.parametrize(("version", "code"), [("abc", 400), ("999999999", 504)])
def test_a_version_that_never_was_cannot_be_listed(api: Api, five: str, version: str, code: int) -> None:
    assert api.get(five, resourceVersion=version).code == code


def test_a_number_is_a_number(api: Api, five: str) -> None:
    assert api.get(five, limit="x").code == 400


# ---- watches


def seen(event: dict[str, dict[str, dict[str, str]]]) -> tuple[object, str]:
    return event["type"], event["object"]["metadata"]["name"]


def test_a_watch_tells_what_there_is_and_then_what_happens(api: Api, five: str) -> None:
    with api.watch(five) as events:
        assert [seen(next(events)) for _ in range(6)] == [
            ("ADDED", name) for name in ["kube-root-ca.crt", "p0", "p1", "p2", "p3", "p4"]
        ]
        made = api.post(five, config("q"))
        event = next(events)
        assert (event["type"], event["object"]) == ("ADDED", made.body)
        changed = api.merge(f"{five}/q", {"data": {"a": "1"}})
        event = next(events)
        assert (event["type"], event["object"]) == ("MODIFIED", changed.body)
        api.delete(f"{five}/q")
        event = next(events)
        assert seen(event) == ("DELETED", "q")
        assert event["object"]["data"] == {"a": "1"}
        assert int(event["object"]["metadata"]["resourceVersion"]) > int(changed.version)


def test_a_watch_goes_on_after_a_list(api: Api, five: str) -> None:
    version = api.get(five).version
    api.post(five, config("q"))
    api.delete(f"{five}/p0")
    with api.watch(five, resourceVersion=version) as events:
        assert [seen(next(events)) for _ in range(2)] == [("ADDED", "q"), ("DELETED", "p0")]


def test_a_watch_of_all_namespaces_sees_bindings_everywhere(api: Api) -> None:
    one, other = api.namespace(), api.namespace()
    path = "/apis/rbac.authorization.k8s.io/v1/rolebindings"
    with api.watch(path, resourceVersion=api.get(path).version) as events:
        for namespace in (one, other):
            api.post(bindings(namespace), binding("x", "view", user("a")))
        assert [next(events)["object"]["metadata"]["namespace"] for _ in range(2)] == [one, other]


def test_what_leaves_the_selection_is_deleted_for_the_watcher(api: Api, five: str) -> None:
    version = api.get(five).version
    with api.watch(five, labelSelector="n=1", resourceVersion=version) as events:
        for number in ("2", "1"):
            api.merge(f"{five}/p1", {"metadata": {"labels": {"n": number}}})
        api.merge(f"{five}/p2", {"data": {"not": "selected"}})
        api.delete(f"{five}/p1")
        gone, back, deleted = (next(events) for _ in range(3))
    assert [seen(gone), seen(back), seen(deleted)] == [("DELETED", "p1"), ("ADDED", "p1"), ("DELETED", "p1")]
    assert gone["object"]["metadata"]["labels"]["n"] == "1"
    assert int(gone["object"]["metadata"]["resourceVersion"]) > int(version)


def test_one_object_can_be_watched_by_its_name(api: Api, five: str) -> None:
    with api.watch(five, fieldSelector="metadata.name=p3") as events:
        assert seen(next(events)) == ("ADDED", "p3")
        api.merge(f"{five}/p2", {"data": {"a": "1"}})
        api.merge(f"{five}/p3", {"data": {"a": "1"}})
        assert seen(next(events)) == ("MODIFIED", "p3")


def test_a_write_that_changes_nothing_is_no_event(api: Api, five: str) -> None:
    api.apply(five, config("q", {"a": "1"}))
    with api.watch(five, resourceVersion=api.get(five).version) as events:
        api.apply(five, config("q", {"a": "1"}))
        api.merge(f"{five}/q", {"data": {"a": "1"}})
        api.post(five, config("last"))
        assert seen(next(events)) == ("ADDED", "last")


def test_a_watch_ends_in_its_time(api: Api, five: str) -> None:
    with api.watch(five, seconds=1, resourceVersion=api.get(five).version) as events:
        assert list(events) == []


def test_bookmarks_tell_up_to_where_all_was_told(api: Api, five: str) -> None:
    version = api.get(five).version
    query: dict[str, Any] = {
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "labelSelector": "n=none",
    }
    with api.watch(five, seconds=5, **query) as events:
        api.post(five, config("not-selected"))
        marks = [event for event in events if event["type"] == "BOOKMARK"]
    assert marks[-1]["object"]["kind"] == "ConfigMap"
    assert int(marks[-1]["object"]["metadata"]["resourceVersion"]) > int(version)


def test_the_end_of_the_beginning_is_marked_when_asked_for(api: Api, five: str) -> None:
    query: dict[str, Any] = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    with api.watch(five, **query) as events:
        told = [next(events) for _ in range(7)]
    assert [event["type"] for event in told] == ["ADDED"] * 6 + ["BOOKMARK"]
    assert told[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_version_that_is_no_number_cannot_be_watched(api: Api, five: str) -> None:
    assert api.get(five, watch="true", resourceVersion="abc", timeoutSeconds=1).code == 500


def test_things_are_listed_by_kind(api: Api) -> None:
    namespace = api.namespace()
    api.post(f"{NAMESPACES}/{namespace}/secrets", thing("Secret", "same"))
    assert "same" not in api.get(configs(namespace)).names
