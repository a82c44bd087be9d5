"""The rights that are asked for follow the landing zones, and are never more than these need."""

import json
from typing import Any

import msgspec
import pytest

from hanse.foundation import yaml
from hanse.platforms.kubernetes.bootstrap import bootstrap
from hanse.platforms.kubernetes.permissions import RBAC_GROUP, Permission, permissions, resource_of
from hanse.ports.platform import PlatformIdentity, PlatformUnavailable, Zone


def zone(name: str = "production", roles: dict[str, str] | None = None, *objects: Any) -> Zone:
    block: dict[str, Any] = {"roles": roles or {}}
    return Zone(name, block, {"zone/objects.yaml": json.dumps(objects)} if objects else {})


def platform(**more: Any) -> PlatformIdentity:
    block = {"subjects": {"users": {"externalId": "sub", "prefix": "mesh:"}}, **more}
    return PlatformIdentity("example", "k8s-fra", block)


def of(rows: tuple[Permission, ...], resource: str, verb: str) -> list[Permission]:
    return [row for row in rows if resource in row.resources and verb in row.verbs]


def test_just_the_mapped_roles_can_be_given() -> None:
    rows = permissions(
        [zone(roles={"user": "developer", "deployer": "example:deploy"}), zone("test", {"reader": "look"})]
    )
    (bind,) = of(rows, "clusterroles", "bind")
    assert bind.names == ("admin", "developer", "edit", "example:deploy", "look", "view")


def test_without_a_landing_zone_no_role_can_be_given() -> None:
    assert of(permissions([]), "clusterroles", "bind") == []


def test_no_row_has_a_star_and_none_may_escalate_or_write_what_holds_everywhere() -> None:
    rows = permissions([zone()])
    assert not [row for row in rows if "*" in (row.group, *row.resources, *row.verbs)]
    assert not [row for row in rows if {"escalate", "impersonate"} & {*row.verbs}]
    everywhere = [row for row in rows if {"clusterroles", "clusterrolebindings"} & {*row.resources}]
    assert {verb for row in everywhere for verb in row.verbs} == {"get", "list", "watch", "bind"}
    assert [row.resources for row in rows if "secrets" in row.resources] == []


def test_metering_reads_and_nothing_else() -> None:
    verbs = {verb for row in permissions([zone()]) if row.account == "metering" for verb in row.verbs}
    assert verbs == {"get", "list"}


def test_what_was_declared_before_can_still_be_taken_away() -> None:
    rows = permissions([])
    for resource in ("namespaces", "rolebindings", "resourcequotas", "limitranges", "networkpolicies"):
        assert of(rows, resource, "delete"), resource


def test_each_kind_of_the_manifests_gets_rights_of_its_own_once() -> None:
    config_map = {"apiVersion": "v1", "kind": "ConfigMap"}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    thing = {"apiVersion": "example.org/v2", "kind": "Thing"}
    before = permissions([zone()])
    rows = permissions([zone("a", None, config_map, policy, thing), zone("b", None, config_map)])
    added = [(row.group, row.resources) for row in rows if row not in before]
    assert added == [("", ("configmaps",)), ("example.org", ("things",))]


def test_a_role_in_the_manifests_needs_what_it_gives_and_never_the_verb_escalate() -> None:
    role = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "Role",
        "rules": [
            {"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["one"]}
        ],
    }
    rows = permissions([zone("a", None, role)])
    assert [(row.group, row.names) for row in of(rows, "pods", "get") if row.account == "management"] == [
        ("", ("one",)),
        ("apps", ("one",)),
    ]
    assert of(rows, "roles", "create")


def test_a_rolebinding_in_the_manifests_needs_to_bind_just_its_role() -> None:
    def binding(kind: str) -> dict[str, Any]:
        return {
            "apiVersion": f"{RBAC_GROUP}/v1",
            "kind": "RoleBinding",
            "roleRef": {"kind": kind, "name": "monitor"},
        }

    def bound(kind: str) -> list[tuple[str, ...]]:
        return [
            row.names for row in of(permissions([zone("a", None, binding(kind))]), "clusterroles", "bind")
        ]

    assert bound("ClusterRole") == [("admin", "edit", "view"), ("monitor",)]
    assert bound("Role") == [("admin", "edit", "view")]  # whose rules are held, or it is refused


def test_what_a_placeholder_becomes_is_not_guessed_and_never_widened_to_all() -> None:
    role = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "Role",
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["secrets"],
                "verbs": ["get"],
                "resourceNames": names,
            }
            for names in (["of-${project}"], ["one", "of-${project}"], 7, "one", {"one": 1})
        ],
    }
    binding = {**role, "kind": "RoleBinding", "roleRef": {"kind": "ClusterRole", "name": "of-${workspace}"}}
    mapped = {**binding, "roleRef": {"kind": "ClusterRole", "name": "edit"}}
    rows = permissions([zone("a", None, role, binding, mapped)])
    assert of(rows, "secrets", "get") == []
    empty = [{"apiGroups": [""], "resources": ["${tag.x}"], "verbs": ["get"]}, {"apiGroups": [""]}]
    without = permissions([zone("a", None, {**role, "rules": []}, binding, mapped)])
    assert permissions([zone("a", None, {**role, "rules": empty}, binding, mapped)]) == without
    assert [row.names for row in of(rows, "clusterroles", "bind")] == [("admin", "edit", "view")]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"kind": 5, "apiVersion": "v1"},
        {"kind": "Pod", "apiVersion": "../v1"},
        {"kind": "../x", "apiVersion": "v1"},
        {"apiVersion": f"{RBAC_GROUP}/v1", "kind": "Role", "rules": 7},
    ],
)
def test_what_is_no_object_asks_for_nothing_more_than_its_kind(broken: Any) -> None:
    rows = permissions([zone("a", None, broken)])
    assert {r for row in rows for r in row.resources} - {
        r for row in permissions([zone()]) for r in row.resources
    } <= {"roles"}


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("Pod", "pods"),
        ("NetworkPolicy", "networkpolicies"),
        ("Ingress", "ingresses"),
        ("Endpoints", "endpoints"),
        ("Gateway", "gateways"),
        ("StorageClass", "storageclasses"),
        ("PriorityClass", "priorityclasses"),
    ],
)
def test_resources_are_called_as_kubernetes_calls_them(kind: str, resource: str) -> None:
    assert resource_of(kind) == resource


# ---- bootstrap


def test_what_is_printed_is_the_table_and_nothing_else() -> None:
    role = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "Role",
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    zones = [zone("a", {"x": 'odd:"name"#1'}, role)]
    parsed = yaml.parse(bootstrap(platform(), zones).text.encode(), "out")
    assert parsed.diagnostics == []
    objects = [document.value for document in parsed.documents]
    rules = [
        (o["metadata"]["name"], rule) for o in objects if o["kind"] == "ClusterRole" for rule in o["rules"]
    ]
    assert rules == [
        (
            f"hanse:hanse-{row.account}",
            {"apiGroups": [row.group], "resources": [*row.resources], "verbs": [*row.verbs]}
            | ({"resourceNames": [*row.names]} if row.names else {}),
        )
        for row in permissions(zones)
    ]
    assert [o["kind"] for o in objects] == [
        "Namespace", "ServiceAccount", "ServiceAccount", "ClusterRole", "ClusterRole", "ClusterRoleBinding",
        "ClusterRoleBinding",
    ]  # fmt: skip


def test_accounts_are_called_as_the_platform_says() -> None:
    made = bootstrap(
        platform(accounts={"namespace": "ops", "management": "keeper", "metering": "counter"}), [zone()]
    )
    objects = [document.value for document in yaml.parse(made.text.encode(), "out").documents]
    assert {o["metadata"]["name"] for o in objects} == {
        "ops",
        "keeper",
        "counter",
        "hanse:keeper",
        "hanse:counter",
    }
    assert "kubectl create token keeper -n ops" in made.notes


def test_no_commit_can_name_an_account_so_that_a_role_of_the_cluster_is_overwritten() -> None:
    made = bootstrap(platform(accounts={"management": "cluster-admin", "metering": "view"}), [zone()])
    objects = [document.value for document in yaml.parse(made.text.encode(), "out").documents]
    of_all = {o["metadata"]["name"] for o in objects if o["kind"].startswith("ClusterRole")}
    assert of_all == {"hanse:cluster-admin", "hanse:view"}
    assert {o["roleRef"]["name"] for o in objects if "roleRef" in o} == of_all


@pytest.mark.parametrize(
    "accounts",
    [
        {"management": "hanse", "metering": "hanse"},  # the second role would overwrite the first
        {"namespace": "kube-system"},
        {"namespace": "default"},
        {"namespace": "hanse\n"},
    ],
)
def test_accounts_are_two_and_not_among_the_clusters_own(accounts: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        bootstrap(platform(accounts=accounts), [zone()])


def test_signs_that_a_terminal_obeys_are_not_printed_and_mean_the_same() -> None:
    role = 'a\x1b[2J\x9b\x7f"\U000e0001b😀'
    made = bootstrap(platform(), [zone(roles={"user": role})]).text
    assert made.replace("\n", "").isprintable()
    objects = [document.value for document in yaml.parse(made.encode(), "out").documents]
    names = [n for o in objects for rule in o.get("rules", ()) for n in rule.get("resourceNames", ())]
    assert role in names


def test_every_rule_says_why() -> None:
    lines = bootstrap(platform(), [zone()]).text.splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("- apiGroups")]
    assert len(rules) > 5
    assert all(lines[number - 1].startswith("# ") for number in rules)


def test_a_landing_zones_name_cannot_write_yaml() -> None:
    odd = Zone("a\n- apiGroups: ['*']", {}, {"f": '[{"apiVersion": "v1\\n# x", "kind": "A: b"}]'})
    parsed = yaml.parse(bootstrap(platform(), [odd]).text.encode(), "out")
    assert parsed.diagnostics == []
    assert "*" not in [rule["apiGroups"][0] for d in parsed.documents for rule in d.value.get("rules", ())]


OIDC = {"issuer": "https://id.example.org", "clientId": "kubernetes", "usernameClaim": "oid"}
CLAIM = {"users": {"externalId": "sub", "prefix": "mesh:"}, "groups": {"as": "claim", "prefix": "team:"}}


def test_sign_in_is_printed_so_that_names_are_those_of_the_subjects() -> None:
    flags = bootstrap(platform(oidc=OIDC, subjects=CLAIM), [], "flags").text.splitlines()
    assert flags == [
        "--oidc-issuer-url=https://id.example.org",
        "--oidc-client-id=kubernetes",
        "--oidc-username-claim=oid",
        "--oidc-username-prefix=mesh:",
        "--oidc-groups-claim=groups",
        "--oidc-groups-prefix=team:",
    ]
    text = bootstrap(platform(oidc=OIDC, subjects=CLAIM), [], "config").text
    (document,) = yaml.parse(text.encode(), "out").documents
    (jwt,) = document.value["jwt"]
    assert jwt["issuer"] == {"url": "https://id.example.org", "audiences": ["kubernetes"]}
    assert jwt["claimMappings"] == {
        "username": {"claim": "oid", "prefix": "mesh:"},
        "groups": {"claim": "groups", "prefix": "team:"},
    }


def test_no_prefix_is_said_and_groups_that_nobody_reads_are_not_asked_for() -> None:
    plain = platform(oidc=OIDC, subjects={"users": {"externalId": "sub"}})
    flags = bootstrap(plain, [], "flags").text
    assert "--oidc-username-prefix=-\n" in flags  # else the issuer's address would be the prefix
    assert "groups" not in flags
    (document,) = yaml.parse(bootstrap(plain, [], "config").text.encode(), "out").documents
    assert document.value["jwt"][0]["claimMappings"] == {"username": {"claim": "oid", "prefix": ""}}


@pytest.mark.parametrize(
    "oidc",
    [
        {"clientId": "kubernetes\n--anonymous-auth=true"},
        {"usernameClaim": "sub --insecure-port=1"},
        {"groupsClaim": "g\n"},
        {"issuer": "https://id.example.org\n"},
    ],
)
def test_no_value_can_write_a_second_flag(oidc: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        bootstrap(platform(oidc=OIDC | oidc), [], "flags")


def test_without_an_issuer_there_is_no_sign_in_to_print() -> None:
    with pytest.raises(PlatformUnavailable, match="does not say whose tokens") as caught:
        bootstrap(platform(), [], "flags")
    assert "oidc" in caught.value.advice
