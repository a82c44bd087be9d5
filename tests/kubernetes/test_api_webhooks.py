"""What an admission webhook refuses: a setting of the simulator, and a webhook that is one for the real API server."""

import http.server
import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from api import Api, config, configs, eventually, thing

from authority import Authority
from hanse.simulators import kubernetes as simulated
from kubernetes_server import KubernetesServer

NAME = "no.example.org"
REASON = "not today"


class Webhook(http.server.BaseHTTPRequestHandler):
    """Says no to everything."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"uid": review["request"]["uid"], "allowed": False, "status": {"message": REASON}}
        body = json.dumps({**review, "request": None, "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def refusing(kubernetes: KubernetesServer, tmp_path: Path) -> Iterator[Api]:
    """A server on which a webhook refuses all config maps of namespaces labelled `refuse`."""
    api = Api(kubernetes, kubernetes.token)
    if isinstance(kubernetes, simulated.Simulator):
        cluster = kubernetes.cluster
        cluster.settings.webhooks.append(
            simulated.Webhook(NAME, lambda _, kind, thing: REASON if kind.name == "ConfigMap" else None)
        )
        yield api
        cluster.settings.webhooks.clear()
        return
    authority = Authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("webhook", host="127.0.0.1").written(tmp_path, "webhook"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = {
            "url": f"https://127.0.0.1:{server.server_port}/",
            "caBundle": b64encode(authority.certificate).decode(),
        }
        webhook = {
            "name": NAME,
            "clientConfig": client,
            "rules": [
                {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"refuse": "yes"}},
        }
        path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        body = thing(
            "ValidatingWebhookConfiguration", "no", "admissionregistration.k8s.io/v1", webhooks=[webhook]
        )
        assert api.post(path, body).code == 201
        yield api
        api.delete(f"{path}/no")
        server.shutdown()


def test_what_a_webhook_refuses_is_told_with_its_name_and_reason(refusing: Api) -> None:
    namespace = refusing.namespace(labels={"refuse": "yes"})
    eventually(lambda: refusing.post(configs(namespace), config("one"), dryRun="All").code == 400)
    for reply in (
        refusing.post(configs(namespace), config("one")),
        refusing.apply(configs(namespace), config("one")),
    ):
        assert (reply.code, reply.body["status"], reply.body.get("reason")) == (400, "Failure", None)
        assert reply.body["message"] == f'admission webhook "{NAME}" denied the request: {REASON}'
    assert refusing.get(f"{configs(namespace)}/one").code == 404
    secret = thing("Secret", "one")
    assert refusing.post(configs(namespace).replace("configmaps", "secrets"), secret).code == 201
