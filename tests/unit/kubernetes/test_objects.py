"""Objects of a landing zone's manifests: placeholders, what is refused, and where that is told."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.desired.compiled import Problem
from hanse.foundation.canonical import encode
from hanse.platforms.kubernetes.objects import CLUSTER_SCOPED, MAX_LENGTH, Object, Values, objects

PATH = "zones/base.yaml"
PLAIN = {"namespace": "shop-prod", "workspace": "shop", "project": "prod", "organization": "ex"}
VALUES = Values(PLAIN, {"cost": "4711", "a.b": "x"}, {"pods": 20}, "Project shop/prod")


def a_map(**more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, **more}


def made(*documents: dict[str, Any], values: Values = VALUES) -> tuple[list[Object], list[Problem]]:
    return objects({PATH: encode(list(documents)).decode()}, values)


def content(*documents: dict[str, Any]) -> list[Any]:
    found, problems = made(*documents)
    assert problems == []
    return [json.loads(each.manifest) for each in found]


def refused(*documents: dict[str, Any]) -> list[tuple[str, str, tuple[str | int, ...]]]:
    found, problems = made(*documents)
    assert len(found) < len(documents)
    assert all(problem.severity == "error" and problem.advice for problem in problems)
    return [(problem.code, problem.source, problem.path) for problem in problems]


def test_an_object_is_what_the_file_says_without_its_name_and_namespace() -> None:
    metadata = {"name": "m", "namespace": "${namespace}", "labels": {"a": "b"}}
    document = a_map(metadata=metadata, data={"b": "2", "a": "1"})
    ((found,), _) = made(document)
    assert (found.api_version, found.kind, found.name, found.path) == ("v1", "ConfigMap", "m", PATH)
    assert found.manifest == (
        '{"apiVersion":"v1","data":{"a":"1","b":"2"},"kind":"ConfigMap","metadata":{"labels":{"a":"b"}}}'
    )
    assert found.part == "object/configmap.core/m"


def test_an_object_of_a_group_is_named_by_it() -> None:
    ((found,), _) = made({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"}})
    assert found.part == "object/cronjob.batch/x"


def test_placeholders_stand_in_any_text_and_in_keys() -> None:
    data = {
        "all": "${workspace}/${project} ${namespace} ${organization}",
        "list": ["${tag.cost}", {"${tag.a.b}": "${quota.pods}"}, 7, None, True],
        "kept": "$${workspace} $$ $x ${",
    }
    assert content(a_map(data=data))[0]["data"] == {
        "all": "shop/prod shop-prod ex",
        "list": ["4711", {"x": "20"}, 7, None, True],
        "kept": "${workspace} $$ $x ${",
    }


def test_a_value_of_a_placeholder_is_not_read_again() -> None:
    values = VALUES._replace(tags={"cost": "${workspace}"})
    found, _ = made(a_map(data={"a": "${tag.cost}"}), values=values)
    assert json.loads(found[0].manifest)["data"] == {"a": "${workspace}"}


@given(st.text().filter(lambda text: "${" not in text))
def test_text_without_placeholders_stays_as_it_is(text: str) -> None:
    assert content(a_map(data={"a": text, "b": text.replace("$", "")}))[0]["data"]["a"] == text


@pytest.mark.parametrize(
    "name", ["nonsense", "", "tag", "tag.", "quota.nonsense", "namespace.x", "Workspace"]
)
def test_an_unknown_placeholder_is_an_error_where_it_stands(name: str) -> None:
    document = a_map(data={"a": {"list": ["x", f"y ${{{name}}}"]}})
    assert refused(a_map(metadata={"name": "n"}), document) == [
        ("unknown-placeholder", f"file {PATH}#1", ("data", "a", "list", 1))
    ]


def test_a_misspelt_placeholder_is_guessed() -> None:
    _, problems = made(a_map(data={"a": "${namespce}"}))
    assert problems[0].advice == "did you mean ${namespace}?; $${ stands for ${ itself"


@pytest.mark.parametrize(
    ("placeholder", "what", "field"),
    [("tag.nope", "tag 'nope'", "tags"), ("quota.jobs", "quota 'jobs'", "tenants")],
)
def test_what_the_project_lacks_is_told_at_the_project_with_the_file(
    placeholder: str, what: str, field: str
) -> None:
    found, problems = made(a_map(data={"a": f"${{{placeholder}}}"}))
    assert found == []
    assert [(p.code, p.source, p.path) for p in problems] == [
        ("missing-value", "Project shop/prod", (field,))
    ]
    assert problems[0].message == f"the project has no {what}, and {PATH} needs it"


def test_two_keys_that_become_one_are_an_error() -> None:
    assert refused(a_map(data={"${workspace}": "1", "shop": "2"})) == [
        ("duplicate-key", f"file {PATH}#0", ("data",))
    ]


@pytest.mark.parametrize(
    ("group", "kind"), [(g, kind) for g, kinds in CLUSTER_SCOPED.items() for kind in sorted(kinds)]
)
def test_what_is_of_the_whole_cluster_is_refused(group: str, kind: str) -> None:
    version = f"{group}/v1" if group else "v1"
    document = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}}
    assert refused(document) == [("cluster-scoped", f"file {PATH}#0", ("kind",))]


def test_a_kind_of_another_group_may_be_called_the_same() -> None:
    assert len(content({"apiVersion": "example.org/v1", "kind": "Node", "metadata": {"name": "x"}})) == 1


@pytest.mark.parametrize(
    ("document", "code", "steps"),
    [
        ({"kind": "ConfigMap", "metadata": {"name": "m"}}, "missing-field", ()),
        ({"apiVersion": "v1", "metadata": {"name": "m"}}, "missing-field", ()),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "missing-field", ("metadata",)),
        (a_map(metadata=[]), "missing-field", ("metadata",)),
        (a_map(metadata={}), "missing-field", ("metadata", "name")),
        (a_map(metadata={"name": 7}), "missing-field", ("metadata", "name")),
        (a_map(apiVersion="V1"), "not-allowed", ("apiVersion",)),
        (a_map(apiVersion="a/b/v1"), "not-allowed", ("apiVersion",)),
        (a_map(apiVersion="v1/${tag.cost}"), "not-allowed", ("apiVersion",)),
        (a_map(kind="configmaps"), "not-allowed", ("kind",)),
        (a_map(kind="../x"), "not-allowed", ("kind",)),
        (a_map(metadata={"generateName": "m-"}), "not-allowed", ("metadata", "generateName")),
        (a_map(metadata={"name": "m", "uid": "1"}), "not-allowed", ("metadata", "uid")),
        (
            a_map(metadata={"name": "m", "resourceVersion": "1"}),
            "not-allowed",
            ("metadata", "resourceVersion"),
        ),
        (a_map(metadata={"name": "m", "managedFields": []}), "not-allowed", ("metadata", "managedFields")),
        (a_map(metadata={"name": "m", "lables": {}}), "not-allowed", ("metadata", "lables")),
        (a_map(status={}), "not-allowed", ("status",)),
        (
            a_map(metadata={"name": "m", "namespace": "kube-system"}),
            "other-namespace",
            ("metadata", "namespace"),
        ),
        (
            a_map(metadata={"name": "m", "namespace": "shop-prod"}),
            "other-namespace",
            ("metadata", "namespace"),
        ),
        (a_map(metadata={"name": "a/b"}), "not-allowed", ("metadata", "name")),
        (a_map(metadata={"name": ".."}), "not-allowed", ("metadata", "name")),
        (a_map(metadata={"name": ""}), "not-allowed", ("metadata", "name")),
        (a_map(metadata={"name": "x" * 254}), "not-allowed", ("metadata", "name")),
        (a_map(metadata={"name": "m", "labels": ["a"]}), "wrong-type", ("metadata", "labels")),
        (a_map(metadata={"name": "m", "labels": {"a": 1}}), "wrong-type", ("metadata", "labels", "a")),
        (a_map(metadata={"name": "m", "labels": {"a": "b c"}}), "not-allowed", ("metadata", "labels", "a")),
        (
            a_map(metadata={"name": "m", "annotations": {"a": True}}),
            "wrong-type",
            ("metadata", "annotations", "a"),
        ),
        (
            a_map(metadata={"name": "m", "labels": {"hanse/stamp": "x"}}),
            "reserved-key",
            ("metadata", "labels", "hanse/stamp"),
        ),
        (
            a_map(metadata={"name": "m", "labels": {"app.kubernetes.io/managed-by": "me"}}),
            "reserved-key",
            ("metadata", "labels", "app.kubernetes.io/managed-by"),
        ),
        (a_map(kind="ConfigMapList", items=[]), "not-allowed", ("kind",)),
        (a_map(kind="List", items=[]), "not-allowed", ("kind",)),
        (a_map(kind="Binding"), "not-allowed", ("kind",)),
        (a_map(kind="Secret", data={"a": "eA=="}), "secret-in-git", ("data",)),
        (a_map(kind="Secret", stringData={"a": "x"}), "secret-in-git", ("stringData",)),
        (a_map(kind="ResourceQuota", metadata={"name": "hanse"}), "reserved-name", ("metadata", "name")),
        (a_map(kind="LimitRange", metadata={"name": "hanse"}), "reserved-name", ("metadata", "name")),
    ],
)
def test_what_cannot_be_an_object_is_refused_at_its_place(
    document: dict[str, Any], code: str, steps: tuple[str | int, ...]
) -> None:
    assert refused(a_map(metadata={"name": "before"}), document) == [(code, f"file {PATH}#1", steps)]


def test_names_of_hanse_are_its_own_also_where_a_placeholder_gives_them() -> None:
    values = VALUES._replace(tags={"x": "hanse-deny-egress"})
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "${tag.x}"}, "spec": {}
    }  # fmt: skip
    _, problems = made(policy, values=values)
    assert [problem.code for problem in problems] == ["reserved-name"]


def test_an_empty_secret_and_a_token_of_an_account_are_no_secrets_of_git() -> None:
    token = a_map(kind="Secret", type="kubernetes.io/service-account-token", data={})
    assert len(content(token)) == 1


def binding(*subjects: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "ci"},
        "roleRef": {"kind": "ClusterRole", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": list(subjects),
    }


def test_a_binding_for_service_accounts_is_fine() -> None:
    account = {"kind": "ServiceAccount", "name": "ci", "namespace": "${namespace}"}
    all_of_them = {"kind": "Group", "name": "system:serviceaccounts:${namespace}"}
    assert (
        content(binding(account, all_of_them))[0]["subjects"][1]["name"] == "system:serviceaccounts:shop-prod"
    )


@pytest.mark.parametrize("kind", ["User", "Group"])
def test_a_binding_for_people_is_refused(kind: str) -> None:
    account = {"kind": "ServiceAccount", "name": "ci"}
    assert refused(binding(account, {"kind": kind, "name": "system:masters"})) == [
        ("people-in-binding", f"file {PATH}#0", ("subjects", 1))
    ]


def test_the_same_object_twice_is_an_error_at_the_second_and_names_the_first_file() -> None:
    one, other = a_map(), {**a_map(), "metadata": {"name": "m"}}
    files = {"zones/b.yaml": encode([one]).decode(), "zones/a.yaml": encode([other]).decode()}
    found, problems = objects(files, VALUES)
    assert [each.path for each in found] == ["zones/a.yaml"]
    assert [(p.source, p.path, p.message) for p in problems] == [
        ("file zones/b.yaml#0", ("metadata", "name"), "ConfigMap 'm' stands in zones/a.yaml already")
    ]


def test_an_object_in_two_versions_is_the_same_object() -> None:
    versions = [
        {"apiVersion": f"batch/{version}", "kind": "CronJob", "metadata": {"name": "x"}}
        for version in ("v1", "v1beta1")
    ]
    assert refused(*versions) == [("second-object", f"file {PATH}#1", ("metadata", "name"))]


def test_an_object_that_no_cluster_could_keep_is_refused_also_where_placeholders_make_it_so() -> None:
    assert refused(a_map(data={"a": "x" * MAX_LENGTH})) == [("too-large", f"file {PATH}#0", ())]
    some = "${tag.cost}" * (MAX_LENGTH // 255 + 1)
    values = VALUES._replace(tags={"cost": "x" * 255})
    found, problems = made(a_map(data={"a": some}), values=values)
    assert (found, [problem.code for problem in problems]) == ([], ["too-large"])
    assert len(made(a_map(data={"a": "x" * (MAX_LENGTH - 100)}))[0]) == 1


def test_many_findings_are_told_in_a_time_that_grows_with_their_number() -> None:
    began = time.process_time()
    _, problems = made(*({"kind": "X", "metadata": {"name": "x"}} for _ in range(30_000)))
    assert len(problems) == 30_000
    assert time.process_time() - began < 10  # a look at all others for each took minutes


def test_a_finding_about_a_file_is_the_same_for_each_tenant() -> None:
    document = a_map(data={"a": "${nonsense}"}, status={})
    other = Values(dict.fromkeys(PLAIN, "other"), {}, {}, "Project other/other")
    assert made(document)[1] == made(document, values=other)[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8) | st.just("${tag.cost} ${x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELD = st.sampled_from(["apiVersion", "kind", "metadata", "data", "subjects", "status", "items"])


@given(st.dictionaries(FIELD, JSON | st.sampled_from(["v1", "Secret", "RoleBinding", "Node"])), JSON)
def test_whatever_a_file_holds_is_an_object_or_told(document: dict[str, Any], metadata: Any) -> None:
    for each in (document, {**a_map(), **document}, {**a_map(), "metadata": metadata}):
        found, problems = made(each)
        assert bool(found) != bool(problems)
