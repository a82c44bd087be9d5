"""Server-side apply: who owns which field. The same on the simulator and on the real API server."""

from typing import Any

import pytest
from api import NAMESPACES, RBAC, Api, binding, bindings, config, configs, eventually, thing, user

from kubernetes_server import KubernetesServer


@pytest.fixture
def api(kubernetes: KubernetesServer) -> Api:
    return Api(kubernetes, kubernetes.token)


def test_applying_what_is_not_there_makes_it(api: Api) -> None:
    namespace = api.namespace()
    reply = api.apply(configs(namespace), config("one", {"a": "1"}, metadata={"labels": {"tier": "x"}}))
    assert (reply.code, reply.body["data"]) == (201, {"a": "1"})
    owned = {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:tier": {}}}}
    assert reply.owners() == {("hanse", "Apply"): owned}


def test_applying_the_same_again_writes_nothing(api: Api) -> None:
    namespace = api.namespace()
    first = api.apply(configs(namespace), config("one", {"a": "1"}))
    again = api.apply(configs(namespace), config("one", {"a": "1"}))
    assert (again.code, again.body) == (200, first.body)


def test_yaml_can_be_applied(api: Api) -> None:
    namespace = api.namespace()
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata:\n  a: 'no'\n"
    reply = api.apply(f"{configs(namespace)}/one", body)
    assert (reply.code, reply.body["data"]) == (201, {"a": "no"})


def test_text_that_is_no_yaml_is_refused(api: Api) -> None:
    reply = api.apply(f"{configs(api.namespace())}/one", b"{no")
    assert (reply.code, reply.body["reason"]) == (400, "BadRequest")


def test_what_another_applied_is_a_conflict(api: Api) -> None:
    namespace = api.namespace()
    first = api.apply(configs(namespace), config("one", {"a": "1", "b": "2"}))
    reply = api.apply(configs(namespace), config("one", {"a": "9"}), "other")
    assert (reply.code, reply.body["reason"]) == (409, "Conflict")
    assert reply.body["message"] == 'Apply failed with 1 conflict: conflict with "hanse": .data.a'
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "hanse"', "field": ".data.a"}
    assert reply.body["details"] == {"causes": [cause]}
    both = api.apply(configs(namespace), config("one", {"a": "9", "b": "9"}), "other")
    lines = 'Apply failed with 2 conflicts: conflicts with "hanse":\n- .data.a\n- .data.b'
    assert both.body["message"] == lines
    assert api.get(f"{configs(namespace)}/one").version == first.version


def test_conflicts_with_several_are_told_by_manager(api: Api) -> None:
    namespace = api.namespace()
    api.apply(configs(namespace), config("one", {"a": "1"}), "zoe")
    api.apply(configs(namespace), config("one", {"b": "1"}), "amy")
    reply = api.apply(configs(namespace), config("one", {"a": "2", "b": "2"}))
    lines = [
        'Apply failed with 2 conflicts: conflicts with "amy":',
        "- .data.b",
        'conflicts with "zoe":',
        "- .data.a",
    ]
    assert reply.body["message"] == "\n".join(lines)


def test_the_same_value_can_be_owned_together(api: Api) -> None:
    namespace = api.namespace()
    api.apply(configs(namespace), config("one", {"a": "1", "b": "2"}))
    reply = api.apply(configs(namespace), config("one", {"a": "1"}), "other")
    assert reply.code == 200
    assert reply.owners()[("other", "Apply")] == {"f:data": {"f:a": {}}}
    alone = api.apply(configs(namespace), config("one"))
    assert alone.body["data"] == {"a": "1"}
    assert list(alone.owners()) == [("other", "Apply")]


def test_what_is_applied_no_more_goes_if_nobody_else_owns_it(api: Api) -> None:
    namespace = api.namespace()
    api.apply(configs(namespace), config("one", {"a": "1", "b": "2"}, metadata={"labels": {"x": "1"}}))
    reply = api.apply(configs(namespace), config("one", {"b": "2"}))
    assert reply.body["data"] == {"b": "2"}
    assert "labels" not in reply.body["metadata"]


def test_force_takes_a_field_over(api: Api) -> None:
    namespace = api.namespace()
    api.apply(configs(namespace), config("one", {"a": "1", "b": "2"}), "other")
    reply = api.apply(configs(namespace), config("one", {"a": "9"}), force="true")
    assert (reply.code, reply.body["data"]) == (200, {"a": "9", "b": "2"})
    assert reply.owners() == {
        ("hanse", "Apply"): {"f:data": {"f:a": {}}},
        ("other", "Apply"): {"f:data": {"f:b": {}}},
    }


def test_a_hand_that_changes_a_field_owns_it(api: Api) -> None:
    namespace = api.namespace()
    api.apply(configs(namespace), config("one", {"a": "1", "b": "2"}))
    changed = api.merge(f"{configs(namespace)}/one", {"data": {"a": "9", "z": "9"}}, fieldManager="hand")
    assert changed.owners() == {
        ("hanse", "Apply"): {"f:data": {"f:b": {}}},
        ("hand", "Update"): {"f:data": {"f:a": {}, "f:z": {}}},
    }
    reply = api.apply(configs(namespace), config("one", {"a": "1", "b": "2"}))
    assert reply.body["message"] == 'Apply failed with 1 conflict: conflict with "hand" using v1: .data.a'
    forced = api.apply(configs(namespace), config("one", {"a": "1", "b": "2"}), force="true")
    assert forced.body["data"] == {"a": "1", "b": "2", "z": "9"}
    assert forced.owners()[("hand", "Update")] == {"f:data": {"f:z": {}}}


def test_what_a_hand_took_away_comes_back_without_force(api: Api) -> None:
    namespace = api.namespace()
    api.apply(configs(namespace), config("one", {"a": "1", "b": "2"}))
    api.merge(f"{configs(namespace)}/one", {"data": {"a": None}}, fieldManager="hand")
    assert api.apply(configs(namespace), config("one", {"a": "1", "b": "2"})).body["data"] == {
        "a": "1",
        "b": "2",
    }


def test_an_update_that_replaces_all_owns_what_it_wrote(api: Api) -> None:
    namespace = api.namespace()
    api.apply(configs(namespace), config("one", {"a": "1"}))
    reply = api.put(f"{configs(namespace)}/one", config("one", {"n": "1"}), fieldManager="hand")
    assert reply.owners() == {("hand", "Update"): {"f:data": {"f:n": {}}}}


def test_who_resets_the_claims_leaves_the_field_to_whoever_was_before(api: Api) -> None:
    namespace = api.namespace()
    api.apply(configs(namespace), config("one", {"a": "1"}))
    reset = api.put(f"{configs(namespace)}/one", config("one", {"a": "1"}, metadata={"managedFields": [{}]}))
    assert "managedFields" not in reset.body["metadata"]
    reply = api.apply(configs(namespace), config("one", {"a": "2"}))
    assert reply.fields == [(".data.a", "FieldManagerConflict")]
    assert 'conflict with "before-first-apply" using v1' in reply.body["message"]
    forced = api.apply(configs(namespace), config("one", {"a": "2"}), force="true")
    assert forced.owners()[("before-first-apply", "Update")] == {"f:data": {}}


def test_subjects_and_the_role_are_owned_as_wholes(api: Api) -> None:
    path = bindings(api.namespace())
    reply = api.apply(path, binding("one", "view", user("a")))
    assert reply.owners() == {("hanse", "Apply"): {"f:roleRef": {}, "f:subjects": {}}}
    other = api.apply(path, binding("one", "view", user("a"), user("b")), "other")
    assert other.fields == [(".subjects", "FieldManagerConflict")]
    changed = api.merge(f"{path}/one", {"subjects": [user("b")]}, fieldManager="hand")
    assert changed.owners()[("hanse", "Apply")] == {"f:roleRef": {}}
    back = api.apply(path, binding("one", "view", user("a")), force="true")
    assert back.body["subjects"] == [user("a")]
    assert list(back.owners()) == [("hanse", "Apply")]


def test_subjects_without_a_group_get_one_and_stay_the_same(api: Api) -> None:
    path = bindings(api.namespace())
    body = binding("one", "view", {"kind": "User", "name": "a"})
    del body["roleRef"]["apiGroup"]
    first = api.apply(path, body)
    assert first.body["subjects"] == [user("a")]
    assert first.body["roleRef"]["apiGroup"] == RBAC
    assert api.apply(path, body).version == first.version


def test_limits_rules_and_types_are_owned_as_wholes(api: Api) -> None:
    namespace = api.namespace()
    limits = f"{NAMESPACES}/{namespace}/limitranges"
    body = thing("LimitRange", "one", spec={"limits": [{"type": "Container", "max": {"cpu": "1000m"}}]})
    first = api.apply(limits, body)
    assert first.owners() == {("hanse", "Apply"): {"f:spec": {"f:limits": {}}}}
    item = {"type": "Container", **{part: {"cpu": "1"} for part in ("max", "default", "defaultRequest")}}
    assert first.body["spec"]["limits"] == [item]
    assert api.apply(limits, body).version == first.version
    policies = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    spec = {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}], "policyTypes": ["Ingress"]}
    policy = api.apply(policies, thing("NetworkPolicy", "one", "networking.k8s.io/v1", spec=spec))
    wholes: dict[str, Any] = {"f:ingress": {}, "f:podSelector": {}, "f:policyTypes": {}}
    assert policy.owners() == {("hanse", "Apply"): {"f:spec": wholes}}
    assert policy.body["spec"]["ingress"] == [{"ports": [{"port": 80, "protocol": "TCP"}]}]
    again = api.apply(policies, thing("NetworkPolicy", "one", "networking.k8s.io/v1", spec=spec))
    assert again.version == policy.version


def test_each_entry_of_a_quota_has_its_owner(api: Api) -> None:
    path = f"{NAMESPACES}/{api.namespace()}/resourcequotas"
    first = api.apply(path, thing("ResourceQuota", "one", spec={"hard": {"cpu": "1000m", "pods": 3}}))
    assert first.owners() == {("hanse", "Apply"): {"f:spec": {"f:hard": {"f:cpu": {}, "f:pods": {}}}}}
    assert first.body["spec"]["hard"] == {"cpu": "1", "pods": "3"}
    eventually(lambda: api.get(f"{path}/one").body["status"].get("used"))
    other = api.apply(
        path, thing("ResourceQuota", "one", spec={"hard": {"cpu": "2", "secrets": "1"}}), "other"
    )
    assert other.fields == [(".spec.hard.cpu", "FieldManagerConflict")]
    more = api.apply(path, thing("ResourceQuota", "one", spec={"hard": {"secrets": "1"}}), "other")
    assert more.body["spec"]["hard"] == {"cpu": "1", "pods": "3", "secrets": "1"}
    less = api.apply(path, thing("ResourceQuota", "one", spec={"hard": {"cpu": "1"}}))
    assert less.body["spec"]["hard"] == {"cpu": "1", "secrets": "1"}


def test_a_quota_written_otherwise_stays_the_same(api: Api) -> None:
    path = f"{NAMESPACES}/{api.namespace()}/resourcequotas"
    body = thing("ResourceQuota", "one", spec={"hard": {"cpu": "1000m", "memory": "1024Mi"}})
    api.apply(path, body)
    eventually(lambda: api.get(f"{path}/one").body["status"].get("used"))
    before = api.get(f"{path}/one")
    assert api.apply(path, body).version == before.version


def test_labels_and_annotations_have_their_owners_one_by_one(api: Api) -> None:
    name = api.namespace(labels={"theirs": "1"}, annotations={"theirs": "1"})
    ours = {"labels": {"ours": "1"}, "annotations": {"ours": "1"}}
    reply = api.apply(NAMESPACES, thing("Namespace", name, metadata=ours))
    assert reply.body["metadata"]["labels"] == {
        "theirs": "1",
        "ours": "1",
        "kubernetes.io/metadata.name": name,
    }
    less = api.apply(NAMESPACES, thing("Namespace", name))
    assert less.body["metadata"]["annotations"] == {"theirs": "1"}


def test_finalizers_and_owners_are_items_of_their_own(api: Api) -> None:
    namespace = api.namespace()
    uid = api.post(configs(namespace), config("owner")).body["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    metadata = {"finalizers": ["example.org/hold"], "ownerReferences": [owner]}
    first = api.apply(configs(namespace), config("one", metadata=metadata))
    assert first.owners()[("hanse", "Apply")]["f:metadata"] == {
        "f:finalizers": {'v:"example.org/hold"': {}},
        "f:ownerReferences": {f'k:{{"uid":"{uid}"}}': {}},
    }
    added = api.apply(
        configs(namespace), config("one", metadata={"finalizers": ["example.org/more"]}), "other"
    )
    assert set(added.body["metadata"]["finalizers"]) == {"example.org/hold", "example.org/more"}
    less = api.apply(configs(namespace), config("one"))
    assert less.body["metadata"]["finalizers"] == ["example.org/more"]
    assert "ownerReferences" not in less.body["metadata"]


def test_an_apply_names_its_manager(api: Api) -> None:
    path = f"{configs(api.namespace())}/one"
    reply = api.call("PATCH", path, config("one"), kind="application/apply-patch+yaml")
    assert (reply.code, reply.fields) == (422, [("fieldManager", "FieldValueRequired")])
    assert 'PatchOptions.meta.k8s.io "" is invalid' in reply.body["message"]
    assert api.apply(configs(api.namespace()), config("one"), "x" * 129).fields == [
        ("fieldManager", "FieldValueTooLong")
    ]


def test_only_an_apply_is_forced(api: Api) -> None:
    reply = api.merge(f"{NAMESPACES}/{api.namespace()}", {}, force="true")
    assert (reply.code, reply.fields) == (422, [("force", "FieldValueForbidden")])


def test_an_apply_says_which_kind_it_is(api: Api) -> None:
    path = f"{configs(api.namespace())}/one"
    for body, shown in (
        ({"apiVersion": "v1", "metadata": {"name": "one"}}, "/v1, Kind="),
        (thing("Secret", "one"), "/v1, Kind=Secret"),
        (thing("ConfigMap", "one", "v2"), "/v2, Kind=ConfigMap"),
    ):
        reply = api.call("PATCH", path, body, kind="application/apply-patch+yaml", fieldManager="hanse")
        assert (reply.code, reply.body["message"]) == (400, f"invalid object type: {shown}")


def test_an_apply_brings_no_claims_of_its_own(api: Api) -> None:
    body = config("one", metadata={"managedFields": []})
    reply = api.apply(configs(api.namespace()), body)
    assert (reply.code, reply.body["message"]) == (400, "metadata.managedFields must be nil")


def test_an_unknown_field_cannot_be_applied(api: Api) -> None:
    path = configs(api.namespace())
    reply = api.apply(path, config("one", more="x"))
    assert reply.code == 500
    assert reply.body["message"].endswith(".more: field not declared in schema")
    assert api.apply(path, config("one", {"a": 1})).code == 500  # type: ignore[dict-item]


def test_an_apply_for_another_version_or_uid_is_refused(api: Api) -> None:
    path = configs(api.namespace())
    made = api.apply(path, config("one", {"a": "1"}))
    api.merge(f"{path}/one", {"data": {"b": "1"}})
    old = config("one", {"a": "2"}, metadata={"resourceVersion": made.version})
    assert api.apply(path, old).body["reason"] == "Conflict"
    assert api.apply(path, config("one", metadata={"uid": "another"})).code == 422
    assert api.apply(path, config("two", metadata={"uid": "another"})).code == 409


def test_the_latest_claims_stand_with_their_time(api: Api) -> None:
    path = configs(api.namespace())
    api.apply(path, config("one", {"a": "1"}))
    entry = api.merge(f"{path}/one", {"data": {"b": "1"}}, fieldManager="hand").body["metadata"][
        "managedFields"
    ]
    assert [(one["manager"], one["operation"], one["apiVersion"], one["fieldsType"]) for one in entry] == [
        ("hanse", "Apply", "v1", "FieldsV1"),
        ("hand", "Update", "v1", "FieldsV1"),
    ]
    assert all(one["time"].endswith("Z") for one in entry)


def test_a_status_has_claims_of_its_own(api: Api) -> None:
    path = f"{NAMESPACES}/{api.namespace()}/resourcequotas"
    api.apply(path, thing("ResourceQuota", "one", spec={"hard": {"pods": "3"}}))
    eventually(lambda: api.get(f"{path}/one").body["status"].get("used"))
    entries = api.get(f"{path}/one").body["metadata"]["managedFields"]
    assert [(one["operation"], one.get("subresource")) for one in entries] == [
        ("Apply", None),
        ("Update", "status"),
    ]
    hidden = api.merge(f"{path}/one", {"status": {"used": {"pods": "9"}}})
    assert hidden.body["status"]["used"] == {"pods": "0"}
    shown = api.merge(f"{path}/one/status", {"status": {"used": {"pods": "9"}}})
    assert shown.body["status"]["used"] == {"pods": "9"}
