"""What rules of the cluster say no to is told with the rule's name; a rule that cannot be asked is waited for.

On the real API server: policies and webhooks are no part of the simulator, but for a no.
"""

import base64
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from api import Api, Json, config, configs, thing
from estate import Estate, eventually, new_estate

from authority import Authority
from kubernetes_server import KubernetesServer

real_kubernetes = True
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
async def estate(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Estate]:
    async with new_estate(kubernetes, tmp_path) as estate:
        yield estate


def only(estate: Estate) -> Json:
    """Which namespaces a rule is about: the tenant's."""
    return {"matchLabels": {"kubernetes.io/metadata.name": estate.namespace}}


def rules(*operations: str) -> list[Json]:
    return [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": ["configmaps"],
            "operations": list(operations),
        }
    ]


@contextmanager
def made(api: Api, path: str, body: Json) -> Iterator[None]:
    """Something of the whole cluster, for a while."""
    reply = api.post(path, body)
    assert reply.code == 201, reply.body
    try:
        yield
    finally:
        api.delete(f"{path}/{body['metadata']['name']}")


@contextmanager
def webhook(estate: Estate, name: str, url: str, authority: bytes) -> Iterator[None]:
    one = {
        "name": name,
        "clientConfig": {"url": url, "caBundle": base64.b64encode(authority).decode()},
        "rules": rules("CREATE", "UPDATE"),
        "namespaceSelector": only(estate),
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    body = thing(
        "ValidatingWebhookConfiguration",
        estate.organization,
        "admissionregistration.k8s.io/v1",
        webhooks=[one],
    )
    with made(estate.api, f"{ADMISSION}/validatingwebhookconfigurations", body):
        yield


def probe(estate: Estate) -> int:
    """What comes of making something that the rules are about."""
    return estate.api.post(configs(estate.namespace), config("probe", {}), dryRun="All").code


class Guard(BaseHTTPRequestHandler):
    """Says no to everything, and repeats what it was asked."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        why = f"not here: {asked['object'].get('data')}"
        review = {"uid": asked["uid"], "allowed": False, "status": {"code": 400, "message": why}}
        body = json.dumps(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": review}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


async def test_what_a_webhook_denies_is_refused_with_its_name_and_not_its_words(
    estate: Estate, tmp_path: Path
) -> None:
    await estate.hold()
    authority = Authority()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.sign("guard", host="127.0.0.1").written(tmp_path, "guard"))
    with HTTPServer(("127.0.0.1", 0), Guard) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"https://127.0.0.1:{server.server_port}/"
            with webhook(estate, "guard.example.org", url, authority.certificate):
                await eventually(lambda: probe(estate) == 400)
                await estate.want(documents=[config("settings", {"word": "s3cret"})])
                refused = await estate.refused()
        finally:
            server.shutdown()
            thread.join()
    assert "guard.example.org" in refused.reason
    assert "s3cret" not in str(refused)


async def test_a_webhook_that_cannot_be_called_is_waited_for_by_name(estate: Estate) -> None:
    await estate.hold()
    with webhook(estate, "away.example.org", "https://127.0.0.1:1/", b""):
        await eventually(lambda: probe(estate) == 500)
        await estate.want({"admin": ["ann"]}, documents=[config("settings", {"a": "b"})])
        await estate.waits_for("away.example.org", "cannot reach")
        assert estate.given(), "what the webhook is not asked about is done"
    await eventually(lambda: probe(estate) == 201)
    await estate.loop.settle()


async def test_what_a_policy_denies_is_refused_with_its_name(estate: Estate) -> None:
    await estate.hold()
    name = f"{estate.organization}.example.org"
    policy = {
        "matchConstraints": {"namespaceSelector": only(estate), "resourceRules": rules("CREATE", "UPDATE")},
        "validations": [{"expression": "false", "message": "no settings here"}],
    }
    bound = {"policyName": name, "validationActions": ["Deny"]}
    version = "admissionregistration.k8s.io/v1"
    with (
        made(
            estate.api,
            f"{ADMISSION}/validatingadmissionpolicies",
            thing("ValidatingAdmissionPolicy", name, version, spec=policy),
        ),
        made(
            estate.api,
            f"{ADMISSION}/validatingadmissionpolicybindings",
            thing("ValidatingAdmissionPolicyBinding", name, version, spec=bound),
        ),
    ):
        await eventually(lambda: probe(estate) == 422)
        await estate.want({"admin": ["ann"]}, documents=[config("settings", {"a": "b"})])
        assert name in (await estate.refused()).reason
        assert estate.given()
    await eventually(lambda: probe(estate) == 201)
    await estate.loop.settle()


async def test_pods_that_the_namespaces_level_forbids_are_refused_by_rule_and_not_by_rights(
    estate: Estate,
) -> None:
    spec = {"hostNetwork": True, "containers": [{"name": "one", "image": "example.org/one"}]}
    await estate.want(documents=[thing("Pod", "one", spec=spec)], zone={"podSecurity": "restricted"})
    refused = await estate.refused()
    assert "admission rule" in refused.reason
    assert "hanse doctor" not in refused.advice


def widgets(group: str, kind: str) -> Json:
    plural = f"{kind.lower()}s"
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
        "versions": [version],
    }
    return thing("CustomResourceDefinition", f"{plural}.{group}", "apiextensions.k8s.io/v1", spec=spec)


async def test_a_kind_that_comes_later_is_met_and_one_that_goes_takes_its_objects_along(
    estate: Estate,
) -> None:
    group = f"{estate.organization}.example.org"
    version = f"{group}/v1"
    objects = [
        thing("Gadget", "one", version, spec={"size": 1}), thing("Widget", "one", version, spec={"size": 1})
    ]  # fmt: skip
    path = f"/apis/{version}/namespaces/{estate.namespace}/widgets"
    with made(estate.api, CRDS, widgets(group, "Gadget")):
        await eventually(lambda: estate.api.get(path.replace("widgets", "gadgets")).code == 200)
        await estate.want(documents=objects)
        assert "no Widget" in (await estate.refused()).reason
        with made(estate.api, CRDS, widgets(group, "Widget")):
            await eventually(lambda: estate.api.get(path).code == 200)
            await estate.loop.settle()
            assert estate.api.get(f"{path}/one").body["spec"] == {"size": 1}
            estate.api.merge(f"{path}/one", {"spec": {"size": 2}}, fieldManager="by-hand")
            await estate.loop.settle()
            assert estate.api.get(f"{path}/one").body["spec"] == {"size": 1}
        await eventually(lambda: estate.api.get(path).code == 404)
        assert "no Widget" in (await estate.refused()).reason
        await estate.hold(documents=objects[:1])
        await estate.hold()
        assert not estate.api.get(path.replace("widgets", "gadgets")).body["items"]
