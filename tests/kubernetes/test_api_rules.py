"""What the API server fills in and what it lets through: the same on the simulator and on the real API server."""

from typing import Any

import pytest
from api import NAMESPACES, RBAC, Api, binding, bindings, config, configs, thing, user

from kubernetes_server import KubernetesServer

INVALID, REQUIRED, UNKNOWN = "FieldValueInvalid", "FieldValueRequired", "FieldValueNotSupported"
FORBIDDEN, TWICE = "FieldValueForbidden", "FieldValueDuplicate"
Faults = list[tuple[str, str]]


@pytest.fixture(scope="module")
def api(kubernetes: KubernetesServer) -> Api:
    return Api(kubernetes, kubernetes.token)


@pytest.fixture(scope="module")
def namespace(api: Api) -> str:
    return api.namespace()


def refused(reply: Any, faults: Faults) -> None:
    assert (reply.code, reply.body["reason"]) == (422, "Invalid")
    assert sorted(reply.fields) == sorted(faults)


@pytest.mark.parametrize("name", ["A_b", "x" * 64, "-a", "a.b", "a-"])
def test_a_namespace_has_the_name_of_a_dns_label(api: Api, name: str) -> None:
    reply = api.post(NAMESPACES, thing("Namespace", name))
    assert (reply.code, reply.fields[0]) == (422, ("metadata.name", INVALID))
    assert reply.body["details"]["name"] == name
    assert reply.body["details"]["kind"] == "Namespace"
    assert reply.body["message"].startswith(f'Namespace "{name}" is invalid: ')


def test_a_name_of_sixty_three_characters_fits(api: Api) -> None:
    assert api.post(NAMESPACES, thing("Namespace", "x" * 63), dryRun="All").code == 201


def test_there_must_be_a_name(api: Api) -> None:
    refused(api.post(NAMESPACES, {"metadata": {}}), [("metadata.name", REQUIRED)])


@pytest.mark.parametrize(
    ("key", "value", "faults"),
    [
        ("bad key!", "v", 1),
        ("ok", "bad value", 1),
        ("x/y/z", "v", 1),
        ("a", "x" * 64, 1),
        ("-a", "v", 1),
        ("UPPER.x/a", "v", 1),
        ("/a", "v", 1),
        ("x" * 64, "v", 1),
        ("example.org/team_1.x", "Value_1.x", 0),
        ("a", "", 0),
        ("a", "x" * 63, 0),
    ],
)
def test_labels_have_a_syntax(api: Api, key: str, value: str, faults: int) -> None:
    reply = api.post(
        NAMESPACES, thing("Namespace", "labelled", metadata={"labels": {key: value}}), dryRun="All"
    )
    if faults:
        refused(reply, [("metadata.labels", INVALID)] * faults)
    else:
        assert reply.code == 201


def test_annotations_take_any_text_under_a_key_with_a_syntax(api: Api) -> None:
    for key, code in (("example.org/note", 201), ("bad key", 422), ("Example.org/note", 201)):
        body = thing("Namespace", "noted", metadata={"annotations": {key: "any text, ü"}})
        assert api.post(NAMESPACES, body, dryRun="All").code == code


def test_finalizers_have_a_domain(api: Api, namespace: str) -> None:
    reply = api.post(configs(namespace), config("one", metadata={"finalizers": ["nodomain"]}))
    refused(reply, [("metadata.finalizers[0]", INVALID)])


@pytest.mark.parametrize(
    ("label", "value"),
    [("enforce", "bogus"), ("enforce-version", "x"), ("warn", "Restricted"), ("audit-version", "1.2")],
)
def test_pod_security_has_its_levels_and_versions(api: Api, label: str, value: str) -> None:
    key = f"pod-security.kubernetes.io/{label}"
    reply = api.post(
        NAMESPACES, thing("Namespace", "secured", metadata={"labels": {key: value}}), dryRun="All"
    )
    refused(reply, [(f"metadata.labels[{key}]", INVALID)])


def test_pod_security_takes_its_own_words(api: Api) -> None:
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "v1.30",
    }
    assert (
        api.post(NAMESPACES, thing("Namespace", "secured", metadata={"labels": labels}), dryRun="All").code
        == 201
    )


def test_a_config_map_has_its_syntax(api: Api, namespace: str) -> None:
    refused(
        api.post(configs(namespace), config("Y_", {"a b": "1"})),
        [("metadata.name", INVALID), ("data[a b]", INVALID)],
    )
    assert api.post(configs(namespace), config("a.b-c", {"A_b.c-d": "1"}), dryRun="All").code == 201


def test_what_is_immutable_stays(api: Api, namespace: str) -> None:
    for plural, kind, value in (("configmaps", "ConfigMap", "1"), ("secrets", "Secret", "eA==")):
        path = f"{NAMESPACES}/{namespace}/{plural}"
        api.post(path, thing(kind, "fixed", data={"a": value}, immutable=True))
        refused(api.merge(f"{path}/fixed", {"data": {"a": "eQ=="}}), [("data", FORBIDDEN)])
        refused(api.merge(f"{path}/fixed", {"immutable": False}), [("immutable", FORBIDDEN)])
        assert api.merge(f"{path}/fixed", {"metadata": {"labels": {"a": "b"}}}).code == 200
        refused(
            api.apply(path, thing(kind, "fixed", data={"a": "eQ=="}), force="true"), [("data", FORBIDDEN)]
        )


# ---- RBAC


@pytest.mark.parametrize("name", ["a/b", "a%b", "..", "."])
def test_a_binding_has_the_name_of_a_path_segment(api: Api, namespace: str, name: str) -> None:
    refused(api.post(bindings(namespace), binding(name, "view")), [("metadata.name", INVALID)])


def test_a_binding_may_have_a_name_that_is_no_dns_name(api: Api, namespace: str) -> None:
    name = "Team:view@x_y"
    assert api.post(bindings(namespace), binding(name, "view")).code == 201
    assert api.get(f"{bindings(namespace)}/{name}").name == name


def test_a_binding_has_a_role(api: Api, namespace: str) -> None:
    reply = api.post(bindings(namespace), thing("RoleBinding", "one", f"{RBAC}/v1"))
    refused(reply, [("roleRef.kind", UNKNOWN), ("roleRef.name", REQUIRED)])
    assert reply.body["details"]["group"] == RBAC
    refused(api.post(bindings(namespace), binding("one", "view", of="Wrong")), [("roleRef.kind", UNKNOWN)])
    whole = binding("one", "view", kind="ClusterRoleBinding", of="Role")
    refused(api.post(f"/apis/{RBAC}/v1/clusterrolebindings", whole), [("roleRef.kind", UNKNOWN)])


def test_the_role_of_a_binding_cannot_be_changed(api: Api, namespace: str) -> None:
    path = f"{bindings(namespace)}/fixed"
    api.post(bindings(namespace), binding("fixed", "view", user("a")))
    for reply in (
        api.put(path, binding("fixed", "edit", user("a"))),
        api.merge(path, {"roleRef": {"name": "edit"}}),
        api.apply(bindings(namespace), binding("fixed", "edit", user("a")), force="true"),
    ):
        refused(reply, [("roleRef", INVALID)])
        assert reply.body["message"].endswith(
            f'{{"APIGroup":"{RBAC}","Kind":"ClusterRole","Name":"edit"}}: cannot change roleRef'
        )


def test_subjects_have_a_kind_a_name_and_a_group(api: Api, namespace: str) -> None:
    wrong = [
        {"kind": "User", "name": ""},
        {"kind": "Robot", "name": "a"},
        {"kind": "User", "name": "x", "apiGroup": "bad"},
        {"kind": "ServiceAccount", "name": "a", "namespace": "n", "apiGroup": "z"},
        {"kind": "ServiceAccount", "name": "A_b", "namespace": "n"},
    ]
    refused(
        api.post(bindings(namespace), binding("one", "view", *wrong)),
        [
            ("subjects[0].name", REQUIRED),
            ("subjects[1].kind", UNKNOWN),
            ("subjects[2].apiGroup", UNKNOWN),
            ("subjects[3].apiGroup", UNKNOWN),
            ("subjects[4].name", INVALID),
        ],
    )
    whole = binding("one", "view", {"kind": "ServiceAccount", "name": "a"}, kind="ClusterRoleBinding")
    refused(api.post(f"/apis/{RBAC}/v1/clusterrolebindings", whole), [("subjects[0].namespace", REQUIRED)])


@pytest.mark.parametrize(
    ("rules", "faults"),
    [
        ([{"apiGroups": [""], "resources": ["pods"]}], [("rules[0].verbs", REQUIRED)]),
        ([{"verbs": ["get"]}], [("rules[0].apiGroups", REQUIRED), ("rules[0].resources", REQUIRED)]),
        ([{"verbs": ["get"], "resources": ["pods"]}], [("rules[0].apiGroups", REQUIRED)]),
        (
            [{"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"], "apiGroups": [""]}],
            [("rules[0].nonResourceURLs", INVALID)],
        ),
    ],
)
def test_rules_are_whole(api: Api, rules: list[dict[str, Any]], faults: Faults) -> None:
    body = thing("ClusterRole", "one", f"{RBAC}/v1", rules=rules)
    refused(api.post(f"/apis/{RBAC}/v1/clusterroles", body), faults)


def test_a_role_of_a_namespace_says_nothing_of_paths(api: Api, namespace: str) -> None:
    body = thing("Role", "one", f"{RBAC}/v1", rules=[{"verbs": ["get"], "nonResourceURLs": ["/x"]}])
    refused(
        api.post(f"/apis/{RBAC}/v1/namespaces/{namespace}/roles", body),
        [("rules[0].nonResourceURLs", INVALID)],
    )


def test_a_gathered_role_says_of_what(api: Api) -> None:
    body = thing("ClusterRole", "one", f"{RBAC}/v1", aggregationRule={})
    refused(
        api.post(f"/apis/{RBAC}/v1/clusterroles", body), [("aggregationRule.clusterRoleSelectors", REQUIRED)]
    )


# ---- quotas and limits


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        *[
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1e3"),
            (10, "10"),
        ],
        *[
            ("1000", "1k"),
            ("1024", "1024"),
            ("0", "0"),
            ("0.5Gi", "512Mi"),
            ("100M", "100M"),
            ("1500M", "1500M"),
        ],
        *[
            ("2000Mi", "2000Mi"),
            ("1.0", "1"),
            ("0.1", "100m"),
            ("1e6", "1e6"),
            ("10E", "10E"),
            ("1025Ki", "1025Ki"),
        ],
        *[("0.001n", "1m"), ("1.5", "1500m"), ("12e1", "120"), ("0.1Ki", "102400m"), (0.5, "500m")],
    ],
)
def test_quantities_have_one_spelling(api: Api, namespace: str, given: object, kept: str) -> None:
    body = thing("ResourceQuota", "one", spec={"hard": {"requests.cpu": given}})
    reply = api.post(f"{NAMESPACES}/{namespace}/resourcequotas", body, dryRun="All")
    assert (reply.code, reply.body.get("spec")) == (201, {"hard": {"requests.cpu": kept}})


@pytest.mark.parametrize("given", ["1x", "", "one", "1 Gi", "1gi", "--1", "1.2.3", True, {}])
def test_what_is_no_quantity_is_refused(api: Api, namespace: str, given: object) -> None:
    body = thing("ResourceQuota", "one", spec={"hard": {"requests.cpu": given}})
    reply = api.post(f"{NAMESPACES}/{namespace}/resourcequotas", body, dryRun="All")
    assert (reply.code, reply.body["reason"]) == (400, "BadRequest")


def test_a_quota_counts_what_can_be_counted(api: Api, namespace: str) -> None:
    hard = {"requests.cpu": "-1", "bogus": "1", "pods": "1.5", "Bad Name": "1", "example.org/gpu": "1"}
    refused(
        api.post(
            f"{NAMESPACES}/{namespace}/resourcequotas", thing("ResourceQuota", "one", spec={"hard": hard})
        ),
        [
            ("spec.hard[requests.cpu]", INVALID),
            *[("spec.hard[bogus]", INVALID)] * 2,
            ("spec.hard[pods]", INVALID),
            *[("spec.hard[Bad Name]", INVALID)] * 2,
        ],
    )


def limits(*items: dict[str, Any]) -> dict[str, Any]:
    return thing("LimitRange", "one", spec={"limits": list(items)})


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ({"max": {"cpu": "2"}}, {"default": {"cpu": "2"}, "defaultRequest": {"cpu": "2"}}),
        ({"min": {"cpu": "100m"}}, {"defaultRequest": {"cpu": "100m"}}),
        (
            {"max": {"cpu": "2", "memory": "1Gi"}, "min": {"cpu": "1"}, "default": {"memory": "512Mi"}},
            {"default": {"cpu": "2", "memory": "512Mi"}, "defaultRequest": {"cpu": "2", "memory": "512Mi"}},
        ),
        (
            {"max": {"cpu": "2"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"}},
            {"default": {"cpu": "2"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"}},
        ),
    ],
)
def test_limits_of_containers_fill_each_other(
    api: Api, namespace: str, given: dict[str, Any], filled: dict[str, Any]
) -> None:
    reply = api.post(
        f"{NAMESPACES}/{namespace}/limitranges", limits({"type": "Container", **given}), dryRun="All"
    )
    assert reply.body["spec"]["limits"] == [{"type": "Container", **given, **filled}]


@pytest.mark.parametrize(
    ("items", "faults"),
    [
        (
            [
                {
                    "max": {"cpu": "1"},
                    "min": {"cpu": "2"},
                    "default": {"cpu": "3"},
                    "defaultRequest": {"cpu": "4"},
                }
            ],
            [("min[cpu]", INVALID), *[("defaultRequest[cpu]", INVALID)] * 2, ("default[cpu]", INVALID)],
        ),
        (
            [{"min": {"cpu": "500m"}, "default": {"cpu": "100m"}}],
            [("defaultRequest[cpu]", INVALID), ("default[cpu]", INVALID)],
        ),
        (
            [{"max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "0.5"}}],
            [("maxLimitRequestRatio[cpu]", INVALID)],
        ),
        (
            [{"max": {"cpu": "2"}, "min": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "3"}}],
            [("maxLimitRequestRatio[cpu]", INVALID)],
        ),
        (
            [{"type": "Pod", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}],
            [("default", FORBIDDEN), ("defaultRequest", FORBIDDEN)],
        ),
        ([{"type": "PersistentVolumeClaim"}], [("limits", REQUIRED)]),
        ([{"type": "Weird"}], [("type", INVALID)]),
        ([{"type": ""}], [("type", INVALID)] * 2),
        (
            [{"max": {"bogus": "1"}}],
            [(f"{part}[bogus]", INVALID) for part in ("max", "default", "defaultRequest") for _ in range(2)],
        ),
    ],
)
def test_limits_fit_each_other(api: Api, namespace: str, items: list[dict[str, Any]], faults: Faults) -> None:
    body = limits(*({"type": "Container", **item} for item in items))
    reply = api.post(f"{NAMESPACES}/{namespace}/limitranges", body)
    refused(reply, [(f"spec.limits[0].{field}", reason) for field, reason in faults])


def test_limits_are_said_once_for_each_type(api: Api, namespace: str) -> None:
    twice = {"type": "Container", "max": {"cpu": "1"}}
    reply = api.post(f"{NAMESPACES}/{namespace}/limitranges", limits(twice, twice))
    refused(reply, [("spec.limits[1].type", TWICE)])


def test_a_limit_range_without_limits_shows_none(api: Api, namespace: str) -> None:
    reply = api.post(f"{NAMESPACES}/{namespace}/limitranges", thing("LimitRange", "empty"))
    assert reply.body["spec"] == {"limits": None}


# ---- network policies


def policy(**spec: Any) -> dict[str, Any]:
    return thing("NetworkPolicy", "one", "networking.k8s.io/v1", spec={"podSelector": {}, **spec})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {"policyTypes": ["Ingress"]}),
        ({"policyTypes": ["Egress"]}, {}),
        ({"egress": [{}]}, {"policyTypes": ["Ingress", "Egress"]}),
        (
            {"ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}]},
            {
                "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80, "protocol": "TCP"}]}],
                "policyTypes": ["Ingress"],
            },
        ),
        ({"egress": [], "ingress": []}, {"egress": None, "ingress": None, "policyTypes": ["Ingress"]}),
    ],
)
def test_a_network_policy_is_filled_in(
    api: Api, namespace: str, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    reply = api.post(path, policy(**given), dryRun="All")
    expected = {name: part for name, part in {"podSelector": {}, **given, **kept}.items() if part is not None}
    assert reply.body["spec"] == expected


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        ({"podSelector": {"matchLabels": {"bad key": "x"}}}, [("podSelector.matchLabels", INVALID)]),
        ({"policyTypes": ["Foo"]}, [("policyTypes[0]", UNKNOWN)]),
        ({"policyTypes": ["a", "b", "c"]}, [("policyTypes", INVALID)]),
        *[
            ({"ingress": [{"ports": [port]}]}, [(f"ingress[0].ports[0].{field}", reason)])
            for port, field, reason in [
                ({"port": 0}, "port", INVALID),
                ({"protocol": "X"}, "protocol", UNKNOWN),
                ({"port": "Bad_Port"}, "port", INVALID),
                ({"port": 70000}, "port", INVALID),
                ({"port": 5, "endPort": 2}, "endPort", INVALID),
                ({"endPort": 3}, "endPort", INVALID),
            ]
        ],
        *[
            ({"egress": [{"to": [peer]}]}, [(f"egress[0].to[0]{field}", reason)])
            for peer, field, reason in [
                ({}, "", REQUIRED),
                ({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}, "", FORBIDDEN),
                ({"ipBlock": {"cidr": "1.2.3.4/24"}}, ".ipBlock.cidr", INVALID),
                ({"ipBlock": {"cidr": "bad"}}, ".ipBlock.cidr", INVALID),
                ({"ipBlock": {"cidr": ""}}, ".ipBlock.cidr", REQUIRED),
                (
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}},
                    ".ipBlock.except[0]",
                    INVALID,
                ),
                (
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}},
                    ".ipBlock.except[0]",
                    INVALID,
                ),
            ]
        ],
        *[
            (
                {"podSelector": {"matchExpressions": [one]}},
                [(f"podSelector.matchExpressions[0].{field}", reason)],
            )
            for one, field, reason in [
                ({"key": "a", "operator": "In"}, "values", REQUIRED),
                ({"key": "a", "operator": "Bad"}, "operator", INVALID),
                ({"key": "a", "operator": "Exists", "values": ["x"]}, "values", FORBIDDEN),
            ]
        ],
    ],
)
def test_a_network_policy_is_sound(api: Api, namespace: str, spec: dict[str, Any], faults: Faults) -> None:
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    refused(api.post(path, policy(**spec)), [(f"spec.{field}", reason) for field, reason in faults])
