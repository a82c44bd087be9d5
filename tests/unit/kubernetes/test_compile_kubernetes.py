"""What an intent means in Kubernetes, as a pure function."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hanse.desired.compiled import Compiled, Problem
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import Operator
from hanse.foundation.canonical import encode
from hanse.model import Key, Native, Personal, Ref, Resource, Tenant, Value, WorkspaceOn
from hanse.platforms.kubernetes.blocks import (
    DESCRIPTION,
    QUOTAS,
    LandingZoneBlock,
    PlatformBlock,
    binding_name,
    is_reserved,
)
from hanse.platforms.kubernetes.compile import compile_intent, find_role, network_policy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECTS = {"users": {"externalId": "sub", "prefix": "mesh:"}}
BLOCK: dict[str, Any] = {"subjects": SUBJECTS}
PEOPLE = {name: Person(name, external_ids={"sub": Personal(f"{name}-7")}) for name in ("ann", "ben", "cleo")}
DIRECTORY = Directory(PEOPLE, {"crew": ("ann", "ben"), "others": ("ben", "cleo")})
OWNER = Tenant("k8s", "shop", "prod")
NAMESPACE = Key("ex", "shop", "prod", "namespace")
PROJECT, ZONE = "Project shop/prod", "LandingZone k8s/lz"
ROW = ("tenants", "k8s")


def intent(*terms: Term, zone: dict[str, Any] | None = None, **changes: Any) -> Intent:
    base = Intent(
        OWNER,
        "ex",
        "shop",
        "prod",
        grants=tuple(sorted(terms, key=repr)),
        landing_zone="lz",
        landing_zone_block=zone or {},
        platform_block=BLOCK,
    )
    return replace(base, **changes)


def compiled(given: Intent, directory: Directory = DIRECTORY, now: datetime = NOW) -> Compiled:
    result = compile_intent(given, directory, now)
    checked = compile_intent(given, directory, now, links=False)
    assert checked.problems == result.problems  # whatever is compiled here
    assert checked.resources == tuple(one for one in result.resources if one.kind != "binding")
    return result


def parts(result: Compiled) -> dict[str, Resource]:
    return {resource.key.part: resource for resource in result.resources}


def attribute(result: Compiled, part: str, name: str) -> Value:
    return parts(result)[part].attributes[name]


def problem(result: Compiled) -> tuple[str, str, str, tuple[str | int, ...]]:
    """The one problem: severity, code, source, path."""
    (only,) = result.problems
    return only.severity, only.code, only.source, only.path


def links(result: Compiled) -> dict[str, tuple[str, str]]:
    """Bindings by the part of their key: the role, and kind and name of the subject."""
    found = {}
    for part, link in parts(result).items():
        if link.kind == "binding":
            subject = link.attributes["subject"]
            assert isinstance(subject, Native)
            found[part] = (str(link.attributes["role"]), f"{subject.kind} {subject.identity}")
    return found


def user(name: str, role: str, start: datetime | None = None, end: datetime | None = None) -> Term:
    return Term("user", name, role, start, end)


def test_a_tenant_is_a_namespace_with_what_people_read() -> None:
    given = intent(display_name="Web shop", description="Sells = earns", tags={"cost": "4711"})
    namespace = parts(compiled(given))["namespace"]
    assert namespace == Resource(
        NAMESPACE,
        "namespace",
        {
            "name": "shop-prod",
            "labels": ("app.kubernetes.io/managed-by=hanse",),
            "annotations": ("hanse/description=Sells = earns", "hanse/display-name=Web shop"),
            "stamp": NAMESPACE.stamp,
            "phase": "Active",
        },
        OWNER,
        sources=(PROJECT, ZONE, "Workspace shop", "TagDefinition cost"),
    )


def test_a_landing_zone_that_says_nothing_gives_a_namespace_and_nothing_else() -> None:
    assert list(parts(compiled(intent()))) == ["namespace"]


def test_a_service_account_that_the_landing_zone_binds_is_expected() -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "deployers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer"}],
    }
    document = encode([binding]).decode()
    result = compiled(intent(zone={"manifests": "f"}, landing_zone_files={"f/a.yaml": document}))
    [expected] = [link for link in result.tolerated if link.kind == "binding"]
    assert expected.attributes["role"] == Native("role", "ClusterRole/edit")
    assert expected.attributes["subject"] == Native("ServiceAccount", "shop-prod/deployer")


@pytest.mark.parametrize(
    "changes",
    [
        {"subjects": ["x"]},
        {"subjects": {"kind": "User"}},
        {"subjects": 7},
        {"roleRef": "edit"},
        {"roleRef": []},
    ],
)
def test_a_binding_that_is_none_breaks_nothing(changes: dict[str, Any]) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "deployers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer"}],
    }
    document = encode([binding | changes]).decode()
    result = compiled(intent(zone={"manifests": "f"}, landing_zone_files={"f/a.yaml": document}))
    assert "object/rolebinding.rbac.authorization.k8s.io/deployers" in parts(result)
    assert result.tolerated == ()


def test_what_tenants_of_a_workspace_share_is_nothing() -> None:
    assert compiled(intent(owner=WorkspaceOn("k8s", "shop"))) == Compiled(WorkspaceOn("k8s", "shop"))


def test_what_is_leaving_has_no_resources() -> None:
    assert compiled(
        intent(user("ann", "admin"), left_at="c1", zone={"quotas": {"default": {"pods": 1}}})
    ) == (Compiled(OWNER))


def test_every_resource_but_the_namespace_lies_within_it() -> None:
    zone = {
        "quotas": {"default": {"pods": 1}},
        "limits": {"pod": {"max": {"cpu": 1}}},
        "networkPolicies": ["deny-ingress"],
    }
    document = '[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"}}]'
    result = compiled(intent(user("ann", "admin"), zone=zone, landing_zone_files={"f.yaml": document}))
    kinds = [resource.kind for resource in result.resources]
    assert kinds == [spec.name for spec in DESCRIPTION.kinds]
    for resource in result.resources[1:]:
        assert resource.attributes["namespace"] == Ref(NAMESPACE)


# Names


@pytest.mark.parametrize(
    ("workspace", "project", "pattern", "code", "told"),
    [
        (
            "w" * 40,
            "p" * 23,
            "{workspace}-{project}",
            "name-too-long",
            "has 64 characters, and Kubernetes takes 63",
        ),
        ("shop", "prod", "-{workspace}{project}", "not-allowed", "is no name"),
        ("shop", "prod", "{workspace}-{project}-", "not-allowed", "is no name"),
        ("kube", "system", "{workspace}-{project}", "reserved-name", "is kept for the cluster itself"),
        ("shop", "default", "{project}", "reserved-name", "is kept for the cluster itself"),
        ("hanse", "system", "{workspace}-{project}", "reserved-name", "is that of Hanse's own accounts"),
    ],
)
def test_a_name_that_a_namespace_cannot_have_is_an_error_at_the_projects_name(
    workspace: str, project: str, pattern: str, code: str, told: str
) -> None:
    block = {**BLOCK, "names": {"namespace": pattern}}
    result = compiled(intent(workspace=workspace, project=project, platform_block=block))
    assert problem(result) == ("error", code, f"Project {workspace}/{project}", ("name",))
    assert f"by the pattern '{pattern}' of Platform k8s" in result.problems[0].message
    assert told in result.problems[0].message


def test_a_name_of_63_characters_fits() -> None:
    result = compiled(intent(workspace="w" * 40, project="p" * 22))
    assert result.problems == ()
    assert attribute(result, "namespace", "name") == f"{'w' * 40}-{'p' * 22}"


def test_a_namespace_that_is_taken_over_keeps_its_name() -> None:
    namespace = parts(compiled(intent(native="legacy")))["namespace"]
    assert (namespace.adopt, namespace.attributes["name"]) == ("legacy", "legacy")
    assert problem(compiled(intent(native="kube-system"))) == (
        "error",
        "reserved-name",
        PROJECT,
        (*ROW, "native", "id"),
    )
    assert problem(compiled(intent(native="a/b"))) == (
        "error",
        "not-allowed",
        PROJECT,
        (*ROW, "native", "id"),
    )


# Labels and annotations


def tagged(**tags: str | tuple[str, ...]) -> Compiled:
    block = {
        **BLOCK,
        "tags": {"labels": {"cost": "example.org/cost"}, "annotations": {"note": "example.org/note"}},
    }
    return compiled(intent(platform_block=block, tags=tags))


def test_mapped_tags_are_labels_and_annotations_and_others_are_not() -> None:
    result = tagged(cost="4711", note="any text: /?=", other="x")
    assert result.problems == ()
    assert attribute(result, "namespace", "labels") == (
        "app.kubernetes.io/managed-by=hanse",
        "example.org/cost=4711",
    )
    assert attribute(result, "namespace", "annotations") == ("example.org/note=any text: /?=",)


def test_several_values_are_joined_by_what_is_legal() -> None:
    result = tagged(cost=("a", "b"), note=("a", "b"))
    assert result.problems == ()
    assert "example.org/cost=a_b" in str(attribute(result, "namespace", "labels"))
    assert attribute(result, "namespace", "annotations") == ("example.org/note=a,b",)


def test_a_tag_that_the_project_lacks_gives_none() -> None:
    result = tagged()
    assert attribute(result, "namespace", "labels") == ("app.kubernetes.io/managed-by=hanse",)
    assert attribute(result, "namespace", "annotations") == ()


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("a b/c", "a_b_c"),
        ("(x)", "x"),
        ("é", ""),
        ("y" * 70, "y" * 63),
        ("z" * 62 + "..", "z" * 62),
        (".a.", "a"),
    ],
)
def test_a_value_that_no_label_holds_is_altered_and_told(value: str, becomes: str) -> None:
    result = tagged(cost=value)
    assert f"example.org/cost={becomes}" in str(attribute(result, "namespace", "labels"))
    assert problem(result) == ("warning", "tag-altered", PROJECT, ("tags", "cost"))


@given(st.text())
def test_whatever_a_tag_holds_its_label_is_one(value: str) -> None:
    labels = attribute(tagged(cost=value), "namespace", "labels")
    assert isinstance(labels, tuple)
    text = labels[1].partition("=")[2]
    assert len(text) <= 63
    assert text == "" or (text[0].isalnum() and text[-1].isalnum() and text.isascii())


@pytest.mark.parametrize(
    "key", ["hanse/x", "app.kubernetes.io/managed-by", "pod-security.kubernetes.io/warn", "k8s.io/a"]
)
def test_a_tag_cannot_be_mapped_to_a_key_of_hanse_or_of_the_cluster(key: str) -> None:
    assert is_reserved(key)
    with pytest.raises(msgspec.ValidationError, match=f"the key '{key}' is kept"):
        msgspec.convert({**BLOCK, "tags": {"labels": {"a": key}}}, PlatformBlock)


def test_two_tags_cannot_become_one_label() -> None:
    with pytest.raises(msgspec.ValidationError, match="two tags become 'x'"):
        msgspec.convert({**BLOCK, "tags": {"labels": {"a": "x", "b": "x"}}}, PlatformBlock)


def test_pod_security_is_enforced_told_and_noted() -> None:
    assert attribute(compiled(intent(zone={"podSecurity": "restricted"})), "namespace", "labels") == (
        "app.kubernetes.io/managed-by=hanse",
        "pod-security.kubernetes.io/audit=restricted",
        "pod-security.kubernetes.io/enforce=restricted",
        "pod-security.kubernetes.io/warn=restricted",
    )


# Quotas and limits


def test_a_quota_is_what_is_asked_else_the_default_else_the_most() -> None:
    zone = {
        "quotas": {"default": {"cores": 4, "ramGiB": 8}, "max": {"cores": 8, "pods": 50, "storageGiB": 2048}}
    }
    result = compiled(intent(zone=zone, quotas={"cores": 6, "secrets": 0}))
    assert result.problems == ()
    assert parts(result)["quota"].attributes == {
        "name": "hanse",
        "namespace": Ref(NAMESPACE),
        "hard": ("pods=50", "requests.cpu=6", "requests.memory=8Gi", "requests.storage=2Ti", "secrets=0"),
    }


def test_every_quota_has_a_resource_of_its_own() -> None:
    result = compiled(intent(quotas=dict.fromkeys(QUOTAS, 3)))
    hard = attribute(result, "quota", "hard")
    assert isinstance(hard, tuple)
    assert len(hard) == len(QUOTAS)
    assert DESCRIPTION.quotas == tuple(QUOTAS)


@pytest.mark.parametrize(
    ("zone", "asked", "found"),
    [
        ({"max": {"pods": 5}}, {"pods": 6}, ("error", "quota-too-high", PROJECT, (*ROW, "quotas", "pods"))),
        (
            {"default": {"pods": 6}, "max": {"pods": 5}},
            {},
            ("error", "out-of-range", ZONE, ("kubernetes", "quotas", "default", "pods")),
        ),
        (
            {"default": {"core": 1}},
            {},
            ("error", "unknown-quota", ZONE, ("kubernetes", "quotas", "default", "core")),
        ),
        ({"max": {"core": 1}}, {}, ("error", "unknown-quota", ZONE, ("kubernetes", "quotas", "max", "core"))),
    ],
)
def test_a_quota_that_cannot_be_is_an_error(
    zone: dict[str, Any], asked: dict[str, int], found: object
) -> None:
    result = compiled(intent(zone={"quotas": zone}, quotas=asked))
    assert problem(result) == found


def test_limits_are_complete_as_the_api_server_holds_them() -> None:
    limits = {
        "container": {
            "default": {"cpu": 0.5, "memory": "512Mi"},
            "defaultRequest": {"cpu": "100m"},
            "min": {"cpu": "10m", "ephemeral-storage": "1Mi"},
            "max": {"cpu": 2, "memory": "2048Mi", "example.org/gpu": "1"},
            "maxLimitRequestRatio": {"cpu": 10},
        },
        "pod": {"max": {"cpu": 4}},
        "persistentVolumeClaim": {"max": {"storage": "0.5Ti"}},
    }
    result = compiled(intent(zone={"limits": limits}))
    assert result.problems == ()
    assert attribute(result, "limits", "limits") == (
        "Container.default.cpu=500m",
        "Container.default.example.org/gpu=1",
        "Container.default.memory=512Mi",
        "Container.defaultRequest.cpu=100m",
        "Container.defaultRequest.ephemeral-storage=1Mi",
        "Container.defaultRequest.example.org/gpu=1",
        "Container.defaultRequest.memory=512Mi",
        "Container.max.cpu=2",
        "Container.max.example.org/gpu=1",
        "Container.max.memory=2Gi",
        "Container.maxLimitRequestRatio.cpu=10",
        "Container.min.cpu=10m",
        "Container.min.ephemeral-storage=1Mi",
        "PersistentVolumeClaim.max.storage=512Gi",
        "Pod.max.cpu=4",
    )


@pytest.mark.parametrize(
    ("limits", "code", "steps", "told"),
    [
        (
            {"container": {"max": {"cpu": "2 cores"}}},
            "not-a-quantity",
            ("container", "max", "cpu"),
            "no quantity",
        ),
        (
            {"container": {"max": {"cpu": -1}}},
            "not-a-quantity",
            ("container", "max", "cpu"),
            "less than nothing",
        ),
        ({"pod": {"max": {"cpu": "1u"}}}, "not-a-quantity", ("pod", "max", "cpu"), "finer than a thousandth"),
        (
            {"container": {"min": {"cpu": "2"}, "max": {"cpu": "1500m"}}},
            "out-of-range",
            ("container", "min", "cpu"),
            "min cpu of 2 is more than max of 1500m",
        ),
        (
            {"container": {"defaultRequest": {"memory": "1G"}, "default": {"memory": "512Mi"}}},
            "out-of-range",
            ("container", "defaultRequest", "memory"),
            "defaultRequest memory of 1G is more than default of 512Mi",
        ),
        (
            {"persistentVolumeClaim": {"min": {"storage": "2Gi"}, "max": {"storage": "1Gi"}}},
            "out-of-range",
            ("persistentVolumeClaim", "min", "storage"),
            "min storage of 2Gi is more than max of 1Gi",
        ),
    ],
)
def test_a_limit_that_the_api_server_would_refuse_is_an_error_at_its_field(
    limits: dict[str, Any], code: str, steps: tuple[str, ...], told: str
) -> None:
    result = compiled(intent(zone={"limits": limits}))
    assert problem(result) == ("error", code, ZONE, ("kubernetes", "limits", *steps))
    assert told in result.problems[0].message


# Network policies


def specs(*named: str) -> dict[str, Any]:
    result = compiled(intent(zone={"networkPolicies": list(named)}))
    assert result.problems == ()
    found = {
        str(r.attributes["name"]): r.attributes["spec"]
        for r in result.resources
        if r.kind == "network-policy"
    }
    return {name: json.loads(str(spec)) for name, spec in found.items()}


def test_what_is_denied_is_closed_for_all_pods() -> None:
    assert specs("deny-ingress", "deny-egress") == {
        "hanse-deny-ingress": {"podSelector": {}, "policyTypes": ["Ingress"]},
        "hanse-deny-egress": {"podSelector": {}, "policyTypes": ["Egress"]},
    }


def test_an_exception_closes_no_direction_that_is_not_denied() -> None:
    own: list[Any] = [{"podSelector": {}}]
    assert specs("deny-ingress", "allow-same-namespace")["hanse-allow-same-namespace"] == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": own}],
    }
    assert specs("deny-egress", "deny-ingress", "allow-same-namespace")["hanse-allow-same-namespace"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": own}],
        "egress": [{"to": own}],
    }


def test_names_are_resolved_by_the_clusters_own_dns_and_no_other() -> None:
    spec = specs("deny-egress", "allow-dns")["hanse-allow-dns"]
    assert spec["policyTypes"] == ["Egress"]
    (rule,) = spec["egress"]
    assert rule["ports"] == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    (peer,) = rule["to"]
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}


def test_the_internet_is_no_private_address() -> None:
    (rule,) = network_policy("allow-internet", ("deny-egress",))["egress"]
    blocks = {peer["ipBlock"]["cidr"]: peer["ipBlock"]["except"] for peer in rule["to"]}
    assert "169.254.0.0/16" in blocks["0.0.0.0/0"]
    assert "fc00::/7" in blocks["::/0"]


@pytest.mark.parametrize(
    "named", [["allow-same-namespace"], ["allow-dns"], ["deny-ingress", "allow-internet"]]
)
def test_an_exception_without_its_denial_is_an_error(named: list[str]) -> None:
    result = compiled(intent(zone={"networkPolicies": named}))
    path = ("kubernetes", "networkPolicies", len(named) - 1)
    assert problem(result) == ("error", "policy-alone", ZONE, path)


# People


def test_a_grant_is_a_binding_of_the_mapped_role_for_the_name_in_the_token() -> None:
    result = compiled(intent(user("ann", "admin"), user("ben", "user"), user("cleo", "reader")))
    assert links(result) == {
        "binding/admin/user/ann": ("role name ClusterRole/admin", "User mesh:ann-7"),
        "binding/edit/user/ben": ("role name ClusterRole/edit", "User mesh:ben-7"),
        "binding/view/user/cleo": ("role name ClusterRole/view", "User mesh:cleo-7"),
    }
    link = parts(result)["binding/admin/user/ann"]
    assert (link.principal, link.rank, link.sources) == ("ann", 3, ("grant shop/prod user:ann admin ..",))


def test_a_grant_gives_access_only_while_it_is_in_force() -> None:
    term = user("ann", "admin", NOW, NOW + timedelta(days=1))
    at = [NOW - timedelta(seconds=1), NOW, NOW + timedelta(days=1)]
    assert [len(links(compiled(intent(term), now=now))) for now in at] == [0, 1, 0]


def test_a_group_is_its_active_members() -> None:
    people = {**PEOPLE, "ben": replace(PEOPLE["ben"], active=False)}
    result = compiled(intent(Term("group", "crew", "admin")), Directory(people, DIRECTORY.groups))
    assert list(links(result)) == ["binding/admin/user/ann"]


def test_two_roles_that_mean_one_are_one_binding_with_both_reasons() -> None:
    terms = (user("ann", "reader"), user("ann", "auditor"), Term("group", "crew", "auditor"))
    result = compiled(intent(*terms, zone={"roles": {"auditor": "view"}}))
    assert list(links(result)) == ["binding/view/user/ann", "binding/view/user/ben"]
    link = parts(result)["binding/view/user/ann"]
    assert link.rank == 1
    assert sorted(link.sources) == [
        "grant shop/prod group:crew auditor ..",
        "grant shop/prod user:ann auditor ..",
        "grant shop/prod user:ann reader ..",
    ]


def claimed(**more: str) -> dict[str, Any]:
    return {"subjects": {**SUBJECTS, "groups": {"as": "claim", **more}}}


def test_a_group_of_the_token_is_one_binding_and_users_stay_direct() -> None:
    block = claimed(pattern="team-{group}", prefix="mesh:")
    result = compiled(intent(Term("group", "crew", "admin"), user("cleo", "admin"), platform_block=block))
    assert links(result) == {
        "binding/admin/group/crew": ("role name ClusterRole/admin", "Group mesh:team-crew"),
        "binding/admin/user/cleo": ("role name ClusterRole/admin", "User mesh:cleo-7"),
    }
    link = parts(result)["binding/admin/group/crew"]
    assert (link.principal, link.rank) == ("", 3)


def test_a_role_that_is_not_mapped_is_an_error_at_the_grant() -> None:
    result = compiled(intent(user("ann", "auditor"), zone={"roles": {"owner": "admin"}}))
    assert links(result) == {}
    assert problem(result) == ("error", "unmapped-role", "grant shop/prod user:ann auditor ..", ("role",))
    assert "admin, user, reader, owner" in result.problems[0].advice


def test_the_landing_zone_can_map_the_built_in_roles_otherwise() -> None:
    result = compiled(intent(user("ann", "admin"), zone={"roles": {"admin": "tenant-admin"}}))
    assert list(links(result)) == ["binding/tenant-admin/user/ann"]


def test_who_has_no_name_in_the_cluster_is_told_and_others_keep_their_access() -> None:
    people = {**PEOPLE, "ann": Person("ann"), "ben": Person("ben", external_ids={"sub": Personal("")})}
    result = compiled(
        intent(Term("group", "crew", "admin"), user("cleo", "admin")), Directory(people, DIRECTORY.groups)
    )
    assert list(links(result)) == ["binding/admin/user/cleo"]
    assert [p.code for p in result.problems] == ["no-external-id", "no-external-id"]
    assert {p.severity for p in result.problems} == {"warning"}


def test_two_people_with_one_name_are_told_and_only_one_of_them_counts() -> None:
    people = {**PEOPLE, "ben": replace(PEOPLE["ben"], external_ids=PEOPLE["ann"].external_ids)}
    result = compiled(intent(user("ann", "admin"), user("ben", "user")), Directory(people))
    assert list(links(result)) == ["binding/admin/user/ann"]
    assert problem(result) == ("warning", "shared-external-id", "User ben", ())


@pytest.mark.parametrize("prefix", ["system:", "syst"])
def test_nobody_becomes_somebody_of_the_clusters_own(prefix: str) -> None:
    people = {"ann": Person("ann", external_ids={"sub": Personal("em:masters"[len(prefix) - 4 :])})}
    block = {"subjects": {"users": {"externalId": "sub", "prefix": prefix}}}
    result = compiled(intent(user("ann", "admin"), platform_block=block), Directory(people))
    assert links(result) == {}
    assert problem(result)[:2] == ("warning", "reserved-subject")
    assert "masters" not in str(result.problems)


def test_a_group_of_the_token_is_none_of_the_clusters_own() -> None:
    result = compiled(
        intent(Term("group", "masters", "admin"), platform_block=claimed(pattern="system:{group}"))
    )
    assert links(result) == {}
    assert problem(result)[:2] == ("warning", "reserved-subject")


def test_operators_may_hold_their_role_and_need_not() -> None:
    operators = (Operator(user="ann", role="view"), Operator(native="oidc:sre", role="cluster-admin"))
    result = compiled(intent(operators=operators))
    assert links(result) == {}
    assert [(r.attributes["role"], r.attributes["subject"]) for r in result.tolerated] == [
        (find_role("view"), Native("User", "", "mesh:ann-7")),
        (find_role("cluster-admin"), Native("User", "", "oidc:sre")),
        (find_role("cluster-admin"), Native("Group", "", "oidc:sre")),
    ]
    assert len({r.key for r in result.tolerated}) == 3


# Objects


def test_manifests_become_objects_with_the_file_among_their_sources() -> None:
    text = json.dumps(
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "m"},
                "data": {"n": "${namespace} ${quota.pods}"},
            }
        ]
    )
    zone = {"quotas": {"max": {"pods": 9}}}
    result = compiled(intent(landing_zone_files={"zones/a.yaml": text}, zone=zone))
    found = parts(result)["object/configmap.core/m"]
    assert found.attributes == {
        "name": "m",
        "namespace": Ref(NAMESPACE),
        "api_version": "v1",
        "object_kind": "ConfigMap",
        "manifest": '{"apiVersion":"v1","data":{"n":"shop-prod 9"},"kind":"ConfigMap"}',
    }
    assert found.sources[:3] == (PROJECT, ZONE, "file zones/a.yaml")


def test_problems_of_manifests_are_problems_of_the_intent() -> None:
    result = compiled(intent(landing_zone_files={"zones/a.yaml": '[{"kind":"Node"}]'}))
    assert {p.source for p in result.problems} == {"file zones/a.yaml#0"}


# Names of bindings, blocks


def test_a_binding_is_named_by_what_it_connects() -> None:
    name = binding_name("edit", "User", "mesh:ann@example.org/x")
    assert name == binding_name("edit", "User", "mesh:ann@example.org/x")
    assert name.startswith("hanse-edit-")
    others = [("view", "User", "a"), ("edit", "Group", "a"), ("edit", "User", "b"), ("edit", "User", "a")]
    assert len({binding_name(*each) for each in others}) == 4


@given(st.text(), st.sampled_from(["User", "Group"]))
def test_the_name_of_a_binding_is_a_segment_of_a_path_whoever_gets_it(subject: str, kind: str) -> None:
    name = binding_name("system:aggregate-to-edit", kind, subject)
    assert "/" not in name
    assert "%" not in name


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ({}, "missing required field `subjects`"),
        ({"subjects": {"users": {}}}, "missing required field `externalId`"),
        ({**BLOCK, "names": {"namespace": "{workspace}_{project}"}}, "matching regex"),
        ({**BLOCK, "names": {"namespace": "{role}"}}, "matching regex"),
        ({"subjects": {**SUBJECTS, "groups": {"as": "claim", "pattern": "all"}}}, "matching regex"),
        ({**BLOCK, "tags": {"labels": {"a": "/x"}}}, "matching regex"),
        ({**BLOCK, "oidc": {"issuer": "http://x", "clientId": "c"}}, "matching regex"),
        ({**BLOCK, "nonsense": 1}, "unknown field `nonsense`"),
    ],
)
def test_a_platform_block_that_cannot_be_is_refused(block: dict[str, Any], told: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=told):
        msgspec.convert(block, PlatformBlock)


@pytest.mark.parametrize(
    "block",
    [
        {"roles": {"admin": "a/b"}},
        {"networkPolicies": ["allow-everything"]},
        {"podSecurity": "strict"},
        {"limits": {"persistentVolumeClaim": {"max": {"cpu": 1}}}},
        {"limits": {"pod": {"default": {"cpu": 1}}}},
        {"quotas": {"default": {"pods": -1}}},
    ],
)
def test_a_landing_zone_block_that_cannot_be_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(block, LandingZoneBlock)


def test_an_accepted_block_of_an_older_language_is_told_and_breaks_nothing() -> None:
    result = compiled(intent(zone={"gone": 1}))
    assert problem(result) == ("error", "invalid-block", ZONE, ("kubernetes",))
    assert result.resources == ()


# Laws

TERMS = st.builds(
    Term,
    st.just("group"),
    st.sampled_from(["crew", "others"]),
    st.sampled_from(["admin", "user", "reader", "auditor"]),
) | st.builds(user, st.sampled_from(["ann", "ben", "cleo"]), st.sampled_from(["admin", "user", "reader"]))


@given(st.lists(TERMS, max_size=8, unique=True), st.booleans())
def test_no_two_bindings_connect_the_same_and_no_two_keys_are_one(terms: list[Term], claim: bool) -> None:
    result = compiled(
        intent(*terms, zone={"roles": {"auditor": "view"}}, platform_block=claimed() if claim else BLOCK)
    )
    assert result.problems == ()
    assert len(set(links(result).values())) == len(links(result))
    assert len({resource.key for resource in result.resources}) == len(result.resources)


@given(st.lists(TERMS, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_grants_means_nothing(terms: list[Term], random: Any) -> None:
    shuffled = random.sample(terms, len(terms))
    one, other = (compiled(intent(grants=tuple(order))) for order in (terms, shuffled))
    assert links(one) == links(other)
    assert {p: (r.rank, set(r.sources)) for p, r in parts(one).items()} == {
        p: (r.rank, set(r.sources)) for p, r in parts(other).items()
    }


def test_a_problem_is_told_once() -> None:
    terms = (user("ann", "auditor"), user("ann", "auditor", NOW))
    problems: tuple[Problem, ...] = compiled(intent(*terms)).problems
    assert len(problems) == len(set(problems)) == 2
