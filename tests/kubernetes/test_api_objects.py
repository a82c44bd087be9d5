"""Creating, reading, changing and deleting objects: the same on the simulator and on the real API server."""

import pytest
from api import NAMESPACES, RBAC, Api, binding, bindings, config, configs, eventually, thing, user

from kubernetes_server import KubernetesServer


@pytest.fixture
def api(kubernetes: KubernetesServer) -> Api:
    return Api(kubernetes, kubernetes.token)


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz"])
def test_it_says_that_it_is_ready(api: Api, path: str) -> None:
    reply = api.with_token(None).get(path)
    assert (reply.code, reply.body) == (200, "ok")


def test_its_version_is_told_to_everybody(api: Api) -> None:
    assert (api.with_token(None).get("/version").body | {})["minor"] == "36"


def test_discovery_names_groups_and_resources(api: Api) -> None:
    assert api.get("/api").body["versions"] == ["v1"]
    groups = {group["name"]: group["preferredVersion"] for group in api.get("/apis").body["groups"]}
    assert groups[RBAC] == {"groupVersion": f"{RBAC}/v1", "version": "v1"}
    assert {"networking.k8s.io", "authorization.k8s.io", "authentication.k8s.io"} <= groups.keys()
    assert api.get(f"/apis/{RBAC}").body["versions"] == [groups[RBAC]]


CORE = [
    *("configmaps", "limitranges", "namespaces", "namespaces/status", "persistentvolumeclaims", "pods"),
    *("resourcequotas", "resourcequotas/status", "secrets", "serviceaccounts", "serviceaccounts/token"),
]


@pytest.mark.parametrize(
    ("path", "group", "names"),
    [
        ("/api/v1", "v1", CORE),
        (f"/apis/{RBAC}/v1", f"{RBAC}/v1", ["clusterrolebindings", "clusterroles", "rolebindings", "roles"]),
        ("/apis/networking.k8s.io/v1", "networking.k8s.io/v1", ["networkpolicies"]),
        (
            "/apis/authorization.k8s.io/v1",
            "authorization.k8s.io/v1",
            ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"],
        ),
        ("/apis/authentication.k8s.io/v1", "authentication.k8s.io/v1", ["selfsubjectreviews"]),
    ],
)
def test_a_group_lists_its_resources(api: Api, path: str, group: str, names: list[str]) -> None:
    body = api.get(path).body
    assert (body["kind"], body["groupVersion"]) == ("APIResourceList", group)
    found = {one["name"]: one for one in body["resources"]}
    assert set(names) <= found.keys()
    verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    for name in names:
        one = found[name]
        is_kept = "/" not in name and "review" not in name
        assert ("list" in one["verbs"]) is is_kept
        if is_kept and name != "namespaces":
            assert one["verbs"] == verbs
        assert one["namespaced"] is not ("clusterrole" in name or "namespaces" in name or "review" in name)


@pytest.mark.parametrize("path", ["/apis/nothing.example/v1", "/nothing", "/api/v2"])
def test_a_path_that_is_none_is_not_found(api: Api, path: str) -> None:
    assert api.get(path).code == 404


def test_an_unknown_resource_is_told_as_a_status(api: Api) -> None:
    for path in ("/api/v1/nothings", f"{configs('default')}/a/nothing"):
        reply = api.get(path)
        assert (reply.code, reply.body["kind"], reply.body["reason"]) == (404, "Status", "NotFound")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{NAMESPACES}/default"),
        ("PUT", NAMESPACES),
        ("POST", "/api/v1/configmaps"),
        ("GET", f"{NAMESPACES}/default/serviceaccounts/default/token"),
    ],
)
def test_a_method_that_a_resource_has_not_is_refused(api: Api, method: str, path: str) -> None:
    reply = api.call(method, path, {} if method != "GET" else None)
    assert (reply.code, reply.body["reason"]) == (405, "MethodNotAllowed")


def test_what_is_created_is_given_back_whole(api: Api) -> None:
    namespace = api.namespace()
    reply = api.post(configs(namespace), config("one", {"a": "1"}))
    assert reply.code == 201
    metadata = reply.body["metadata"]
    assert metadata["namespace"] == namespace
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert (reply.body["kind"], reply.body["apiVersion"], reply.body["data"]) == (
        "ConfigMap",
        "v1",
        {"a": "1"},
    )
    assert api.get(f"{configs(namespace)}/one").body == reply.body
    assert reply.owners() == {("tests", "Update"): {"f:data": {".": {}, "f:a": {}}}}


def test_kind_and_version_may_be_left_out(api: Api) -> None:
    namespace = api.namespace()
    assert api.post(configs(namespace), {"metadata": {"name": "one"}}).body["kind"] == "ConfigMap"


def test_the_manager_is_whom_the_request_names(api: Api) -> None:
    namespace = api.namespace()
    reply = api.post(configs(namespace), config("one", {"a": "1"}), fieldManager="somebody")
    assert list(reply.owners()) == [("somebody", "Update")]


def test_a_name_can_be_made(api: Api) -> None:
    namespace = api.namespace()
    body = {"metadata": {"generateName": "made-"}}
    one, other = api.post(configs(namespace), body), api.post(configs(namespace), body)
    assert one.name != other.name
    assert one.name.startswith("made-")
    assert len(one.name) == len("made-") + 5


def test_a_name_is_taken_once(api: Api) -> None:
    namespace = api.namespace()
    reply = api.post(NAMESPACES, thing("Namespace", namespace))
    assert (reply.code, reply.body["reason"]) == (409, "AlreadyExists")
    assert reply.body["message"] == f'namespaces "{namespace}" already exists'
    assert reply.body["details"] == {"name": namespace, "kind": "namespaces"}
    api.post(bindings(namespace), binding("one", "view"))
    again = api.post(bindings(namespace), binding("one", "view"))
    assert again.body["details"] == {"name": "one", "group": RBAC, "kind": "rolebindings"}
    assert again.body["message"] == f'rolebindings.{RBAC} "one" already exists'


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_not_there_is_not_found(api: Api, method: str) -> None:
    namespace = api.namespace()
    reply = api.call(method, f"{configs(namespace)}/none", config("none") if method == "PUT" else None)
    assert (reply.code, reply.body["message"]) == (404, 'configmaps "none" not found')
    assert reply.body["details"] == {"name": "none", "kind": "configmaps"}


def test_a_merge_patch_needs_an_object(api: Api) -> None:
    assert api.merge(f"{configs(api.namespace())}/none", {}).code == 404


def test_there_is_nothing_in_a_namespace_that_is_not_there(api: Api) -> None:
    assert api.get(configs("no-such-namespace")).body["items"] == []
    reply = api.post(configs("no-such-namespace"), config("one"))
    assert (reply.code, reply.body["message"]) == (404, 'namespaces "no-such-namespace" not found')


def test_another_kind_is_refused(api: Api) -> None:
    namespace = api.namespace()
    for body in (thing("Secret", "one"), thing("ConfigMap", "one", "v2")):
        reply = api.post(configs(namespace), body)
        assert (reply.code, reply.body["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize("body", [b"{no", b"[]"])
def test_what_is_no_object_is_refused(api: Api, body: bytes) -> None:
    reply = api.post(NAMESPACES, body)
    assert (reply.code, reply.body["reason"]) == (400, "BadRequest")


def test_a_value_of_a_wrong_type_is_refused(api: Api) -> None:
    namespace = api.namespace()
    for body in (config("one", {"a": 1}), {"metadata": "one"}, config("one", metadata={"labels": {"a": 1}})):  # type: ignore[dict-item]
        assert api.post(configs(namespace), body).code == 400


def test_an_unknown_field_is_dropped_with_a_warning_or_refused_when_asked(api: Api) -> None:
    namespace = api.namespace()
    reply = api.post(configs(namespace), config("one", more="x"))
    assert "more" not in reply.body
    assert reply.headers.get_all("Warning") == ['299 - "unknown field \\"more\\""']
    strict = api.post(configs(namespace), config("two", more="x"), fieldValidation="Strict")
    assert (strict.code, 'strict decoding error: unknown field "more"' in strict.body["message"]) == (
        400,
        True,
    )


def test_the_names_in_path_and_object_are_the_same(api: Api) -> None:
    namespace = api.namespace()
    api.post(configs(namespace), config("one"))
    reply = api.put(f"{configs(namespace)}/one", config("two"))
    assert (reply.code, reply.body["reason"]) == (400, "BadRequest")
    assert "does not match the name on the URL" in reply.body["message"]
    elsewhere = config("three", metadata={"namespace": "default"})
    assert api.post(configs(namespace), elsewhere).code == 400


def test_an_update_needs_the_latest_version_if_it_names_one(api: Api) -> None:
    namespace = api.namespace()
    path = f"{configs(namespace)}/one"
    first = api.post(configs(namespace), config("one"))
    version = {"resourceVersion": first.version}
    second = api.put(path, config("one", {"a": "1"}, metadata=version))
    assert second.code == 200
    assert second.version != first.version
    stale = api.put(path, config("one", {"a": "2"}, metadata=version))
    assert (stale.code, stale.body["reason"]) == (409, "Conflict")
    assert stale.body["message"].startswith(
        'Operation cannot be fulfilled on configmaps "one": the object has been'
    )
    assert stale.body["details"] == {"name": "one", "kind": "configmaps"}
    assert api.merge(path, {"metadata": version, "data": {"a": "3"}}).code == 409
    assert api.put(path, config("one", {"a": "4"})).body["data"] == {"a": "4"}


def test_an_update_for_another_uid_is_a_conflict(api: Api) -> None:
    namespace = api.namespace()
    api.post(configs(namespace), config("one"))
    reply = api.put(f"{configs(namespace)}/one", config("one", metadata={"uid": "another"}))
    assert (reply.code, reply.body["reason"]) == (409, "Conflict")


def test_a_uid_cannot_be_patched(api: Api) -> None:
    namespace = api.namespace()
    api.post(configs(namespace), config("one"))
    reply = api.merge(f"{configs(namespace)}/one", {"metadata": {"uid": "another"}})
    assert (reply.code, reply.body["reason"]) == (422, "Invalid")
    assert set(reply.fields) == {("metadata.uid", "FieldValueInvalid")}


def test_an_update_that_changes_nothing_writes_nothing(api: Api) -> None:
    namespace = api.namespace()
    path = f"{configs(namespace)}/one"
    first = api.post(configs(namespace), config("one", {"a": "1"}))
    assert api.put(path, config("one", {"a": "1"})).version == first.version
    assert api.merge(path, {"data": {"a": "1"}}).version == first.version


def test_a_merge_patch_adds_changes_and_takes_away(api: Api) -> None:
    namespace = api.namespace()
    api.post(configs(namespace), config("one", {"a": "1", "b": "2"}))
    reply = api.merge(f"{configs(namespace)}/one", {"data": {"a": None, "b": "3", "c": "4"}})
    assert (reply.code, reply.body["data"]) == (200, {"b": "3", "c": "4"})


def test_a_json_patch_is_done_whole_or_not_at_all(api: Api) -> None:
    namespace = api.namespace(labels={"tier": "1"})
    path = f"{NAMESPACES}/{namespace}"
    test = {"op": "test", "path": "/metadata/labels/tier", "value": "1"}
    add = {"op": "add", "path": "/metadata/labels/example.org~1team", "value": "x"}
    reply = api.steps(path, test, add, {"op": "remove", "path": "/metadata/labels/tier"})
    assert reply.code == 200
    assert reply.body["metadata"]["labels"].items() >= {"example.org/team": "x"}.items()
    assert "tier" not in reply.body["metadata"]["labels"]
    for wrong in (
        test,
        {"op": "remove", "path": "/metadata/labels/none"},
        {"op": "jump", "path": "/metadata"},
    ):
        refused = api.steps(path, {"op": "add", "path": "/metadata/labels/late", "value": "x"}, wrong)
        assert refused.code in (400, 422)
    assert "late" not in api.get(path).body["metadata"]["labels"]


def test_a_failed_test_of_a_json_patch_is_told_as_invalid(api: Api) -> None:
    namespace = api.namespace()
    wrong = {"op": "test", "path": "/metadata/name", "value": "another"}
    reply = api.steps(f"{NAMESPACES}/{namespace}", wrong)
    assert (reply.code, reply.body["reason"]) == (422, "Invalid")


def test_a_patch_of_another_media_type_is_refused(api: Api) -> None:
    reply = api.call("PATCH", f"{NAMESPACES}/default", {}, kind="application/json")
    assert (reply.code, reply.body["reason"]) == (415, "UnsupportedMediaType")


def test_deleting_tells_what_was_deleted(api: Api) -> None:
    namespace = api.namespace()
    made = api.post(configs(namespace), config("one"))
    reply = api.delete(f"{configs(namespace)}/one")
    assert (reply.code, reply.body["kind"], reply.body["status"]) == (200, "Status", "Success")
    uid = made.body["metadata"]["uid"]
    assert reply.body["details"] == {"name": "one", "kind": "configmaps", "uid": uid}
    assert api.get(f"{configs(namespace)}/one").code == 404
    api.post(bindings(namespace), binding("one", "view", user("x")))
    assert api.delete(f"{bindings(namespace)}/one").body["details"]["group"] == RBAC


@pytest.mark.parametrize("kind", ["serviceaccounts", "resourcequotas"])
def test_some_kinds_are_shown_when_they_are_deleted(api: Api, kind: str) -> None:
    namespace = api.namespace()
    path = f"{NAMESPACES}/{namespace}/{kind}"
    made = api.post(path, {"metadata": {"name": "one"}})
    reply = api.delete(f"{path}/one")
    assert (reply.code, reply.body["kind"]) == (200, made.body["kind"])
    assert reply.body["metadata"]["uid"] == made.body["metadata"]["uid"]


def test_a_deletion_has_preconditions(api: Api) -> None:
    namespace = api.namespace()
    made = api.post(configs(namespace), config("one"))
    path = f"{configs(namespace)}/one"
    for wrong in ({"uid": "another"}, {"resourceVersion": "1"}):
        reply = api.delete(path, {"preconditions": wrong})
        assert (reply.code, reply.body["reason"]) == (409, "Conflict")
        assert reply.body["details"] == {"name": "one", "kind": "ConfigMap"}
    right = {"uid": made.body["metadata"]["uid"], "resourceVersion": made.version}
    assert api.delete(path, {"preconditions": right}).code == 200


def test_an_unknown_way_of_deleting_is_refused(api: Api) -> None:
    namespace = api.namespace()
    api.post(configs(namespace), config("one"))
    for option in ({"propagationPolicy": "Sideways"}, {"dryRun": "Maybe"}):
        reply = api.delete(f"{configs(namespace)}/one", **option)
        assert (reply.code, reply.fields[0][1]) == (422, "FieldValueNotSupported")


def test_finalizers_hold_an_object_until_they_are_taken_off(api: Api) -> None:
    namespace = api.namespace()
    path = f"{configs(namespace)}/one"
    api.post(configs(namespace), config("one", metadata={"finalizers": ["example.org/hold"]}))
    marked = api.delete(path)
    assert (marked.code, marked.body["kind"]) == (200, "ConfigMap")
    assert marked.body["metadata"]["deletionTimestamp"]
    assert marked.body["metadata"]["deletionGracePeriodSeconds"] == 0
    assert api.delete(path).version == marked.version
    more = api.merge(path, {"metadata": {"finalizers": ["example.org/hold", "example.org/more"]}})
    assert (more.code, more.fields[0]) == (422, ("metadata.finalizers", "FieldValueForbidden"))
    assert api.merge(path, {"data": {"a": "1"}}).code == 200
    assert api.merge(path, {"metadata": {"finalizers": None}}).code == 200
    assert api.get(path).code == 404


@pytest.mark.parametrize("policy", ["Foreground", "Background", "Orphan"])
def test_what_has_no_dependents_goes_by_every_policy(api: Api, policy: str) -> None:
    namespace = api.namespace()
    path = f"{configs(namespace)}/one"
    api.post(configs(namespace), config("one"))
    assert api.delete(path, propagationPolicy=policy).code == 200
    eventually(lambda: api.get(path).code == 404)


def test_a_dry_run_answers_and_keeps_nothing(api: Api) -> None:
    namespace = api.namespace()
    path = f"{configs(namespace)}/one"
    made = api.post(configs(namespace), config("one"), dryRun="All")
    assert made.code == 201
    assert "resourceVersion" not in made.body["metadata"]
    assert api.get(path).code == 404
    first = api.post(configs(namespace), config("one"))
    assert api.merge(path, {"data": {"a": "1"}}, dryRun="All").body["data"] == {"a": "1"}
    assert api.put(path, config("one", {"a": "1"}), dryRun="All").code == 200
    assert api.apply(configs(namespace), config("one", {"a": "1"}), dryRun="All").code == 200
    assert api.apply(configs(namespace), config("two"), dryRun="All").code == 201
    assert api.delete(path, dryRun="All").code == 200
    assert api.get(path).version == first.version
    assert api.get(f"{configs(namespace)}/two").code == 404


def test_a_dry_run_is_validated(api: Api) -> None:
    namespace = api.namespace()
    assert api.post(configs(namespace), config("No_Name"), dryRun="All").code == 422
    assert api.post(configs(namespace), config("one"), dryRun="Maybe").code == 422


def test_a_role_can_be_made_by_an_update_and_a_config_map_cannot(api: Api) -> None:
    namespace = api.namespace()
    path = f"/apis/{RBAC}/v1/namespaces/{namespace}/roles/one"
    assert api.put(path, thing("Role", "one", f"{RBAC}/v1")).code == 201
    assert api.put(f"{configs(namespace)}/one", config("one")).code == 404


def test_pods_and_claims_are_kept(api: Api) -> None:
    namespace = api.namespace()
    path = f"{NAMESPACES}/{namespace}"
    eventually(lambda: api.get(f"{path}/serviceaccounts/default").code == 200)
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}}}
    pod = api.post(f"{path}/pods", thing("Pod", "one", spec={"containers": [container]}))
    assert (pod.code, pod.body["status"]["phase"]) == (201, "Pending")
    assert pod.body["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "100m"}}
    assert api.get(f"{path}/pods").names == ["one"]
    assert api.delete(f"{path}/pods/one").body["kind"] == "Pod"
    assert api.get(f"{path}/pods/one").code == 404
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}
    claim = api.post(f"{path}/persistentvolumeclaims", thing("PersistentVolumeClaim", "one", spec=spec))
    assert claim.body["status"] == {"phase": "Pending"}
    assert claim.body["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
    assert claim.body["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


def test_the_generation_counts_changes_of_the_spec(api: Api) -> None:
    namespace = api.namespace()
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    made = api.post(path, thing("NetworkPolicy", "one", "networking.k8s.io/v1"))
    assert made.body["metadata"]["generation"] == 1
    labelled = api.merge(f"{path}/one", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.body["metadata"]["generation"] == 1
    changed = api.merge(f"{path}/one", {"spec": {"policyTypes": ["Egress"]}})
    assert changed.body["metadata"]["generation"] == 2


def test_a_secrets_text_is_kept_as_base64(api: Api) -> None:
    path = f"{NAMESPACES}/{api.namespace()}/secrets"
    made = api.post(path, thing("Secret", "one", stringData={"a": "x"}))
    assert (made.body["data"], made.body["type"]) == ({"a": "eA=="}, "Opaque")
    assert "stringData" not in made.body
