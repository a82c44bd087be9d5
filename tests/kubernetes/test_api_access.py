"""Who may do what, and that nobody grants more than they hold: the same on the simulator and the real API server."""

import functools

import pytest
from api import NAMESPACES, RBAC, Api, binding, bindings, config, configs, eventually, give, rule, thing, user

from kubernetes_server import KubernetesServer

REVIEWS = "/apis/authorization.k8s.io/v1"
ROLES = f"/apis/{RBAC}/v1"
WRITE_BINDINGS = rule("create get list update patch delete", RBAC, "rolebindings")


@pytest.fixture
def api(kubernetes: KubernetesServer) -> Api:
    return Api(kubernetes, kubernetes.token)


def allowed(api: Api, verb: str, resource: str, namespace: str = "", group: str = "", name: str = "") -> bool:
    ask = {"verb": verb, "resource": resource, "namespace": namespace, "group": group, "name": name}
    reply = api.post(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": ask}})
    assert reply.code == 201
    return bool(reply.body["status"]["allowed"])


def test_a_token_of_nobody_is_refused(api: Api) -> None:
    reply = api.with_token("nobody's").get(NAMESPACES)
    assert (reply.code, reply.body["reason"], reply.body["message"]) == (401, "Unauthorized", "Unauthorized")


def test_who_shows_no_token_is_anonymous(api: Api) -> None:
    reply = api.with_token(None).get(NAMESPACES)
    assert (reply.code, 'User "system:anonymous" cannot list' in reply.body["message"]) == (403, True)
    assert api.with_token(None).get("/api").code == 403


def test_a_user_without_rights_is_told_which_is_missing(api: Api) -> None:
    mine, namespace = api.as_user("cat"), api.namespace()
    reply = mine.get(NAMESPACES)
    lacking = 'User "cat" cannot list resource "namespaces" in API group "" at the cluster scope'
    assert (reply.code, reply.body["reason"]) == (403, "Forbidden")
    assert reply.body["message"] == f"namespaces is forbidden: {lacking}"
    assert reply.body["details"] == {"kind": "namespaces"}
    one = mine.get(f"{configs(namespace)}/one")
    lacking = f'User "cat" cannot get resource "configmaps" in API group "" in the namespace "{namespace}"'
    assert one.body["message"] == f'configmaps "one" is forbidden: {lacking}'
    assert one.body["details"] == {"name": "one", "kind": "configmaps"}
    made = mine.post(bindings(namespace), binding("one", "view"))
    assert made.body["message"].startswith(
        f'rolebindings.{RBAC} is forbidden: User "cat" cannot create resource'
    )
    assert made.body["details"] == {"group": RBAC, "kind": "rolebindings"}
    assert mine.get("/metrics").body["message"] == 'forbidden: User "cat" cannot get path "/metrics"'


def test_whoever_is_known_may_discover_and_ask_about_themselves(api: Api) -> None:
    mine = api.as_user("cat")
    for path in ("/api", "/apis", "/api/v1", f"/apis/{RBAC}/v1"):
        assert mine.get(path).code == 200
    who = mine.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert who.body["status"]["userInfo"]["username"] == "cat"
    assert api.as_user("ben").post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).body["status"][
        "userInfo"
    ]["groups"] == ["developers", "auditors", "system:authenticated"]
    assert not allowed(mine, "list", "namespaces")


def has_rights(api: Api, namespace: str, person: str, rights: list[bool]) -> bool:
    """Whether a person may list config maps, create them, read secrets and bind roles: just these."""
    asks = [
        ("list", "configmaps", ""),
        ("create", "configmaps", ""),
        ("get", "secrets", ""),
        ("create", "rolebindings", RBAC),
    ]
    found = []
    for verb, resource, group in asks:
        attributes = {"verb": verb, "resource": resource, "group": group, "namespace": namespace}
        body = {"spec": {"resourceAttributes": attributes, "user": person}}
        found.append(api.post(f"{REVIEWS}/subjectaccessreviews", body).body["status"]["allowed"])
    return found == rights


def test_admin_edit_and_view_have_their_rules(api: Api) -> None:
    namespace = api.namespace()
    expected = {
        "view": [True, False, False, False],
        "edit": [True, True, True, False],
        "admin": [True, True, True, True],
    }
    for role, rights in expected.items():
        person = f"person-{role}"
        api.post(bindings(namespace), binding(role, role, user(person)))

        eventually(functools.partial(has_rights, api, namespace, person, rights))


def test_a_binding_holds_in_its_namespace_only_and_as_long_as_it_is_there(api: Api) -> None:
    here, elsewhere = api.namespace(), api.namespace()
    mine = api.as_user("ann")
    api.post(bindings(here), binding("one", "view", user("ann")))
    eventually(lambda: mine.get(configs(here)).code == 200)
    assert mine.get(f"{NAMESPACES}/{here}").code == 200
    assert mine.get(configs(elsewhere)).code == 403
    assert mine.post(configs(here), config("one")).code == 403
    api.delete(f"{bindings(here)}/one")
    eventually(lambda: mine.get(configs(here)).code == 403)


def test_a_group_has_the_rights_of_its_binding(api: Api) -> None:
    namespace = api.namespace()
    api.post(
        bindings(namespace), binding("one", "view", {"kind": "Group", "apiGroup": RBAC, "name": "auditors"})
    )
    eventually(lambda: api.as_user("ben").get(configs(namespace)).code == 200)
    assert api.as_user("ann").get(configs(namespace)).code == 403


def test_rights_by_name_hold_for_that_name(api: Api) -> None:
    namespace = api.namespace()
    role = thing("Role", "one", f"{RBAC}/v1", rules=[rule("get", "", "configmaps", "mine")])
    api.post(f"{ROLES}/namespaces/{namespace}/roles", role)
    api.post(bindings(namespace), binding("one", "one", user("cat"), of="Role"))
    api.post(configs(namespace), config("mine"))
    eventually(lambda: api.as_user("cat").get(f"{configs(namespace)}/mine").code == 200)
    assert api.as_user("cat").get(f"{configs(namespace)}/other").code == 403
    assert api.as_user("cat").get(configs(namespace)).code == 403


# ---- the escalation check


def test_who_may_bind_a_role_binds_that_role_and_no_other(api: Api) -> None:
    namespace = api.namespace()
    mine = api.as_user("hanse")
    give(api, "hanse", WRITE_BINDINGS, rule("bind", RBAC, "clusterroles", "view", "edit"))
    for role in ("view", "edit"):
        assert mine.apply(bindings(namespace), binding(role, role, user("x"))).code == 201
    assert mine.merge(f"{bindings(namespace)}/view", {"subjects": [user("y")]}).code == 200
    for role in ("admin", "cluster-admin"):
        for refused in (
            mine.apply(bindings(namespace), binding(role, role, user("x"))),
            mine.post(bindings(namespace), binding(role, role, user("x"))),
        ):
            assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
            begin = f'rolebindings.{RBAC} "{role}" is forbidden: user "hanse" (groups=["system:authenticated"]) is '
            assert refused.body["message"].startswith(
                f"{begin}attempting to grant RBAC permissions not currently held:\n{{"
            )
            assert refused.body["details"] == {"name": role, "group": RBAC, "kind": "rolebindings"}
    assert refused.body["message"].endswith(
        '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}'
    )


def test_once_bind_is_withdrawn_the_same_binding_is_refused(api: Api) -> None:
    namespace = api.namespace()
    mine = api.as_user("ann")
    role = give(api, "ann", WRITE_BINDINGS, rule("bind", RBAC, "clusterroles", "view"))
    assert mine.post(bindings(namespace), binding("one", "view", user("x"))).code == 201
    api.merge(f"{ROLES}/clusterroles/{role}", {"rules": [WRITE_BINDINGS]})
    eventually(lambda: not allowed(mine, "bind", "clusterroles", group=RBAC, name="view"))
    assert mine.post(bindings(namespace), binding("two", "view", user("x"))).code == 403
    assert mine.merge(f"{bindings(namespace)}/one", {"subjects": [user("y")]}).code == 403
    assert mine.delete(f"{bindings(namespace)}/one").code == 200


def test_who_holds_all_rights_of_a_role_may_bind_it(api: Api) -> None:
    namespace = api.namespace()
    mine = api.as_user("ben")
    reader = f"reader-{namespace}"
    api.post(
        f"{ROLES}/clusterroles",
        thing("ClusterRole", reader, f"{RBAC}/v1", rules=[rule("get", "", "secrets")]),
    )
    role = give(api, "ben", WRITE_BINDINGS, rule("get", "", "configmaps"))
    eventually(lambda: mine.post(bindings(namespace), binding("one", reader)).code == 403)
    refused = mine.post(bindings(namespace), binding("one", reader))
    assert refused.body["message"].endswith('\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}')
    api.merge(f"{ROLES}/clusterroles/{role}", {"rules": [WRITE_BINDINGS, rule("get", "", "secrets")]})
    eventually(lambda: mine.post(bindings(namespace), binding("one", reader)).code == 201)


def test_who_binds_what_is_not_there_needs_the_right_to_bind(api: Api) -> None:
    namespace = api.namespace()
    give(api, "cat", WRITE_BINDINGS)
    reply = api.as_user("cat").post(bindings(namespace), binding("one", "no-such-role"))
    assert (reply.code, reply.body["message"]) == (404, f'rolebindings.{RBAC} "no-such-role" not found')
    assert api.post(bindings(namespace), binding("one", "no-such-role")).code == 201


def test_who_writes_roles_holds_their_rights_or_may_escalate(api: Api) -> None:
    namespace = api.namespace()
    path = f"{ROLES}/namespaces/{namespace}/roles"
    mine = api.as_user("cat")
    give(api, "cat", rule("get", "", "configmaps"), rule("create", RBAC, "roles"))
    more = thing("Role", "more", f"{RBAC}/v1", rules=[rule("get list", "", "configmaps secrets")])
    refused = mine.post(path, more)
    assert refused.code == 403
    assert refused.body["message"].split("\n")[1:] == [
        '{APIGroups:[""], Resources:["configmaps"], Verbs:["list"]}',
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
    ]
    held = thing("Role", "held", f"{RBAC}/v1", rules=[rule("get", "", "configmaps")])
    assert mine.post(path, held).code == 201
    give(api, "cat", rule("escalate", RBAC, "roles"))
    assert mine.post(path, more).code == 201


def test_only_whoever_may_do_everything_writes_aggregated_roles(api: Api) -> None:
    give(api, "cat", rule("create", RBAC, "clusterroles"))
    selector = {"clusterRoleSelectors": [{"matchLabels": {"example.org/part": "yes"}}]}
    body = thing("ClusterRole", "gathered", f"{RBAC}/v1", aggregationRule=selector)
    refused = api.as_user("cat").post(f"{ROLES}/clusterroles", body)
    assert refused.code == 403
    assert refused.body["message"].endswith("must have cluster-admin privileges to use the aggregationRule")


def test_aggregated_roles_gather_the_rules_of_their_parts(api: Api) -> None:
    selector = {"clusterRoleSelectors": [{"matchLabels": {"example.org/of": "whole"}}]}
    path = f"{ROLES}/clusterroles"
    api.post(path, thing("ClusterRole", "whole", f"{RBAC}/v1", aggregationRule=selector))
    labels = {"labels": {"example.org/of": "whole"}}
    part = thing("ClusterRole", "part", f"{RBAC}/v1", metadata=labels, rules=[rule("get", "", "pods")])
    api.post(path, part)
    eventually(lambda: api.get(f"{path}/whole").body["rules"] == [rule("get", "", "pods")])
    api.delete(f"{path}/part")
    eventually(lambda: not api.get(f"{path}/whole").body["rules"])


def test_who_applies_what_is_not_there_needs_the_right_to_create(api: Api) -> None:
    namespace = api.namespace()
    give(api, "ann", rule("get patch", "", "limitranges"))
    path = f"{NAMESPACES}/{namespace}/limitranges"
    reply = api.as_user("ann").apply(path, thing("LimitRange", "one"))
    assert (reply.code, 'cannot create resource "limitranges"' in reply.body["message"]) == (403, True)
    api.post(path, thing("LimitRange", "one"))
    assert (
        api.as_user("ann").apply(path, thing("LimitRange", "one", metadata={"labels": {"a": "b"}})).code
        == 200
    )


# ---- reviews and tokens


def test_a_review_says_why(api: Api) -> None:
    role = give(api, "ann", rule("get", "", "resourcequotas"))
    ask = {"resourceAttributes": {"verb": "get", "resource": "resourcequotas"}}
    reply = api.as_user("ann").post(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": ask})
    reason = f'RBAC: allowed by ClusterRoleBinding "{role}" of ClusterRole "{role}" to User "ann"'
    assert reply.body["status"] == {"allowed": True, "reason": reason}
    assert reply.body["spec"] == ask
    path = {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}
    assert api.as_user("ann").post(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": path}).body["status"] == {
        "allowed": False
    }
    assert api.as_user("ann").post(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {}}).code == 422


def test_only_whoever_may_asks_about_others(api: Api) -> None:
    ask = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    spec = {**ask, "user": "somebody", "groups": ["system:masters"]}
    assert api.post(f"{REVIEWS}/subjectaccessreviews", {"spec": spec}).body["status"]["allowed"]
    assert api.post(f"{REVIEWS}/subjectaccessreviews", {"spec": ask}).fields == [
        ("spec.user", "FieldValueInvalid")
    ]
    assert api.as_user("cat").post(f"{REVIEWS}/subjectaccessreviews", {"spec": spec}).code == 403


def test_all_rules_in_a_namespace_can_be_asked_for(api: Api) -> None:
    namespace = api.namespace()
    api.post(bindings(namespace), binding("one", "view", user("ben")))

    def rules() -> list[dict[str, list[str]]]:
        body = (
            api.as_user("ben")
            .post(f"{REVIEWS}/selfsubjectrulesreviews", {"spec": {"namespace": namespace}})
            .body
        )
        assert body["status"]["nonResourceRules"]
        return list(body["status"]["resourceRules"])

    eventually(
        lambda: any(
            "limitranges" in one["resources"] and one["verbs"] == ["get", "list", "watch"] for one in rules()
        )
    )
    assert api.as_user("ben").post(f"{REVIEWS}/selfsubjectrulesreviews", {"spec": {}}).code == 400


def test_a_service_account_gets_a_token_and_has_the_rights_of_its_bindings(api: Api) -> None:
    namespace = api.namespace()
    path = f"{NAMESPACES}/{namespace}/serviceaccounts"
    account = api.post(path, thing("ServiceAccount", "bot"))
    reply = api.post(f"{path}/bot/token", {"spec": {"expirationSeconds": 3600}})
    assert (reply.code, reply.body["kind"]) == (201, "TokenRequest")
    assert reply.body["status"]["expirationTimestamp"].endswith("Z")
    token = reply.body["status"]["token"]
    assert token.count(".") == 2
    bot = api.with_token(token)
    info = bot.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).body["status"]["userInfo"]
    assert info["username"] == f"system:serviceaccount:{namespace}:bot"
    assert info["uid"] == account.body["metadata"]["uid"]
    assert info["groups"] == [
        "system:serviceaccounts",
        f"system:serviceaccounts:{namespace}",
        "system:authenticated",
    ]
    assert bot.get(configs(namespace)).code == 403
    subject = {"kind": "ServiceAccount", "name": "bot", "namespace": namespace}
    api.post(bindings(namespace), binding("bot", "view", subject))
    eventually(lambda: bot.get(configs(namespace)).code == 200)
    api.delete(f"{path}/bot")
    eventually(lambda: bot.get(configs(namespace)).code == 401)


def test_a_token_lives_for_ten_minutes_at_least(api: Api) -> None:
    path = f"{NAMESPACES}/{api.namespace()}/serviceaccounts"
    api.post(path, thing("ServiceAccount", "bot"))
    reply = api.post(f"{path}/bot/token", {"spec": {"expirationSeconds": 60}})
    assert (reply.code, reply.fields) == (422, [("spec.expirationSeconds", "FieldValueInvalid")])
    assert api.post(f"{path}/none/token", {"spec": {}}).code == 404
    assert api.as_user("cat").post(f"{path}/bot/token", {"spec": {}}).code == 403
