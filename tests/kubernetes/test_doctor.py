"""What doctor says of an API server: just that which is so, with advice, and with no more than it may read."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hanse.platforms.kubernetes.doctor import Right, examine
from hanse.ports.platform import Check, Credential, PlatformIdentity, Zone
from kubernetes_rights import RBAC, Cluster, allowed, call, token
from kubernetes_server import KubernetesServer

GROUP = "rbac.authorization.k8s.io"
BASE = Zone("production", {}, {})


class Patient(Cluster):
    """A cluster that is examined."""

    async def examined(self, bearer: str, *zones: Zone, **changes: Any) -> list[Check]:
        return list(await examine(self.credential(bearer, **changes), self.identity, zones))

    async def give(self, bearer: str, rule: dict[str, Any]) -> None:
        """Hanse's account gets a right more than bootstrap gives it."""
        name = await self.role("extra", rule)
        subject = {"kind": "ServiceAccount", "name": self.management, "namespace": self.home}
        ref = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
        body = {"metadata": {"name": name}, "roleRef": ref, "subjects": [subject]}
        await call(self.admin, "POST", f"{RBAC}/clusterrolebindings", body)
        group, resource, verb = (rule[part][-1] for part in ("apiGroups", "resources", "verbs"))
        await allowed(self.join(bearer), [Right(group, resource, verb, rule.get("resourceNames", [""])[-1])])


@pytest.fixture
async def patient(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Patient]:
    found = Patient(kubernetes, tmp_path)
    yield found
    await found.close()


def of(checks: Sequence[Check], what: str, *states: str) -> list[str]:
    return [check.message for check in checks if check.what == what and (not states or check.state in states)]


def wrong(checks: Sequence[Check]) -> list[tuple[str, str, str]]:
    """All that is not as it has to be, but that the simulator speaks no TLS."""
    plain = "the connection is without TLS"
    return [
        (c.what, c.state, c.message) for c in checks if c.state != "ok" and not c.message.startswith(plain)
    ]


async def test_with_the_rights_that_bootstrap_prints_nothing_is_wrong(patient: Patient) -> None:
    zone = Zone("production", {}, {"a.yaml": json.dumps([{"apiVersion": "v1", "kind": "ServiceAccount"}])})
    checks = await patient.examined(await patient.prepared(zone), zone)
    assert wrong(checks) == []
    assert of(checks, "account") == [
        f"signed in as system:serviceaccount:{patient.home}:{patient.management}"
    ]
    assert of(checks, "right beyond need") == [f"none, as seen from namespace {patient.home}"]
    assert {"version", "clock", "role", "kind", "right"} <= {check.what for check in checks}


async def test_an_account_without_rights_is_told_each_that_it_lacks_and_why(patient: Patient) -> None:
    checks = await patient.examined(patient.server.tokens["hanse"], BASE)
    assert {check.what for check in checks if check.state == "error"} == {"right"}
    lacking = of(checks, "right", "error")
    assert (
        "it may not get, list, watch, create, patch, delete namespaces: each tenant is a namespace" in lacking
    )
    assert any(f"bind clusterroles.{GROUP} admin, edit, view" in message for message in lacking)
    assert len(lacking) == len(of(checks, "right"))
    assert all(
        "hanse bootstrap kubernetes k8s-fra" in check.advice for check in checks if check.state == "error"
    )


async def test_a_landing_zone_that_came_later_shows_what_bootstrap_has_to_give(patient: Patient) -> None:
    bearer = await patient.prepared(BASE)
    later = Zone(
        "later", {"roles": {"deployer": "deployer"}}, {"a.yaml": '[{"apiVersion": "v1", "kind": "Secret"}]'}
    )
    checks = await patient.examined(bearer, BASE, later)
    assert of(checks, "right", "error") == [
        f"it may not bind clusterroles.{GROUP} deployer: the roles that landing zones map; no other can be given",
        "it may not get, list, watch, create, patch, delete secrets: objects in the manifests of landing zone later",
    ]
    assert of(checks, "role", "error") == [
        "there is no ClusterRole deployer, which is mapped by landing zone later"
    ]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            "it may * *.*, and needs not: * is everything",
        ),
        (
            {"apiGroups": [GROUP], "resources": ["clusterroles"], "verbs": ["bind"]},
            "could give roles that no landing",
        ),
        (
            {
                "apiGroups": [GROUP],
                "resources": ["clusterroles"],
                "verbs": ["bind"],
                "resourceNames": ["cluster-admin"],
            },
            f"it may bind clusterroles.{GROUP} cluster-admin, and needs not: it could give roles that no landing",
        ),
        (
            {"apiGroups": [GROUP], "resources": ["roles"], "verbs": ["escalate"]},
            "could give itself and others every",
        ),
        (
            {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},
            "it could act as somebody else",
        ),
        (
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]},
            "it could read passwords and keys",
        ),
        (
            {"apiGroups": [GROUP], "resources": ["clusterrolebindings"], "verbs": ["create"]},
            "others may do everywhere",
        ),
        (
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
            "it may get configmaps, and needs not",
        ),
    ],
)
async def test_a_right_beyond_need_is_a_warning_that_says_what_could_be_done_with_it(
    patient: Patient, rule: dict[str, Any], told: str
) -> None:
    bearer = await patient.prepared(BASE)
    await patient.give(bearer, rule)
    checks = await patient.examined(bearer, BASE)
    (message,) = of(checks, "right beyond need")
    assert told in message
    assert [what for what, _, _ in wrong(checks)] == ["right beyond need"]


async def test_the_administrator_is_told_that_this_is_no_account_for_hanse(patient: Patient) -> None:
    checks = await patient.examined(patient.server.token, BASE)
    assert [(what, state) for what, state, _ in wrong(checks)] == [
        ("account", "warning"),
        ("right beyond need", "warning"),
    ]
    assert "system:masters" in of(checks, "account")[0]


async def test_kinds_that_cannot_be_kept_are_told(patient: Patient) -> None:
    documents = [{"apiVersion": "example.org/v1", "kind": "Thing"}, {"apiVersion": "v1", "kind": "Namespace"}]
    checks = await patient.examined(patient.server.token, Zone("a", {}, {"a.yaml": json.dumps(documents)}))
    assert of(checks, "kind", "error") == [
        "the server knows no Thing of example.org/v1",
        "Namespace of v1 belongs to the whole cluster, not to a namespace",
    ]


async def test_a_mapped_role_that_gives_nothing_is_a_warning(patient: Patient) -> None:
    name = await patient.role("empty")
    checks = await patient.examined(patient.server.token, Zone("a", {"roles": {"user": name}}))
    assert of(checks, "role", "warning") == [f"the ClusterRole {name} gives no right at all"]


async def test_how_long_the_token_holds_is_told_and_a_near_end_is_a_warning(patient: Patient) -> None:
    await patient.prepared(BASE)
    for seconds, state in ((600, "warning"), (7200, "ok")):
        bearer = await token(patient.admin, patient.home, patient.management, seconds)
        (check,) = (c for c in await patient.examined(bearer, BASE) if c.what == "credential")
        assert check.state == state
        ends = datetime.strptime(check.message, "the token holds until %Y-%m-%d %H:%M UTC").replace(
            tzinfo=UTC
        )
        assert abs(ends - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(minutes=2)


# ---- where nothing can be asked


async def test_a_token_that_is_not_taken_is_told(patient: Patient) -> None:
    checks = await patient.examined("wrong", BASE)
    assert [c.message for c in checks if c.state == "error"] == [
        "the API server does not accept the credential"
    ]


async def test_a_source_that_does_not_fit_is_a_check_too(patient: Patient) -> None:
    (check,) = await patient.examined("x", BASE, source="env")
    assert (check.what, check.state) == ("credential", "error")
    assert "kubeconfig#CONTEXT" in check.advice


async def test_no_server_is_told() -> None:
    credential = Credential("one", "k8s-fra", "https://127.0.0.1:9", "token-file:/dev/null", {})
    identity = PlatformIdentity("example", "k8s-fra", {"subjects": {"users": {"externalId": "sub"}}})
    (check,) = await examine(credential, identity, [BASE])
    assert check.state == "error"
    assert "no connection" in check.message
    assert "is the bound endpoint right" in check.advice


@asynccontextmanager
async def serving(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    """A server that answers so."""

    async def answered(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answered)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_server_that_takes_the_caller_for_nobody_is_told_and_doctor_is_not_named_again(
    patient: Patient,
) -> None:
    def answer(request: web.Request) -> web.Response:
        if request.path == "/version":
            return web.json_response({"gitVersion": "v1.36.3"})
        return web.json_response({"message": "hunter2"}, status=403)

    async with serving(answer) as url:
        checks = await patient.examined("x", BASE, endpoint=url)
    assert checks[-1].message.startswith("the API server takes who calls for nobody")
    assert "client certificate" in checks[-1].advice
    assert "hunter2" not in str(checks)
    assert "hanse doctor" not in str(checks)


@pytest.mark.parametrize("body", ["", "<html>hunter2</html>", "[]", '{"gitVersion": "hunter2"}'])
async def test_another_server_is_told_without_its_words(patient: Patient, body: str) -> None:
    async with serving(lambda _: web.Response(text=body, content_type="application/json")) as url:
        checks = await patient.examined("x", BASE, endpoint=url)
    assert checks[-1].message == "no Kubernetes API server answers at the bound endpoint"
    assert "hunter2" not in str(checks)


@pytest.mark.parametrize(
    ("apart", "state"),
    [(0, "ok"), (-3, "ok"), (10, "warning"), (-10, "warning"), (90, "error"), (-90, "error")],
)
async def test_clocks_that_differ_are_told(patient: Patient, apart: int, state: str) -> None:
    def answer(_: web.Request) -> web.Response:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=apart), usegmt=True)
        return web.json_response({"gitVersion": "v1.36.3"}, headers={"Date": date})

    async with serving(answer) as url:
        checks = await patient.examined("x", BASE, endpoint=url)
    (clock,) = [check for check in checks if check.what == "clock"]
    assert clock.state == state
    if state != "ok":
        assert abs(float(clock.message.split()[-3]) - abs(apart)) <= 2


async def test_reading_is_all_that_it_does(patient: Patient) -> None:
    async def versions() -> Any:
        lists = (
            "/api/v1/namespaces",
            f"{RBAC}/clusterroles",
            f"{RBAC}/clusterrolebindings",
            f"{RBAC}/rolebindings",
        )
        found = await asyncio.gather(*(call(patient.admin, "GET", path) for path in lists))
        return [
            [(i["metadata"]["name"], i["metadata"]["resourceVersion"]) for i in one["items"]
             if patient.mark in str(i["metadata"])]
            for one in found
        ]  # fmt: skip

    bearer = await patient.prepared(BASE)
    before = await versions()
    await patient.examined(bearer, BASE)
    assert await versions() == before
    assert before[0]
