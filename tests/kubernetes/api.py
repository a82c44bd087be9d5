"""Plain HTTP to a Kubernetes API server, for the tests that hold the simulator to the real one."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from kubernetes_server import KubernetesServer

NAMESPACES = "/api/v1/namespaces"
RBAC = "rbac.authorization.k8s.io"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STEPS = "application/json-patch+json"
PATIENCE = 20.0  # seconds; the real controllers come by every five or so

Json = dict[str, Any]
_numbers = count()


@dataclass(frozen=True)
class Reply:
    """What came back."""

    code: int
    body: Any
    headers: http.client.HTTPMessage

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What was wrong with which field, without the words."""
        return [(one["field"], one["reason"]) for one in self.body["details"]["causes"]]

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.body["items"]]

    def owners(self) -> dict[tuple[str, str], Any]:
        """What each manager owns."""
        entries = self.body["metadata"].get("managedFields", [])
        return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


@dataclass(frozen=True)
class Api:
    """One API server, asked by one user."""

    server: KubernetesServer
    token: str | None

    def call(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json", **query: Any
    ) -> Reply:
        connection, response = self._send(method, path, body, kind, query)
        text = response.read()
        connection.close()
        is_json = response.headers.get_content_type() == "application/json"
        return Reply(response.status, json.loads(text) if is_json else text.decode(), response.headers)

    def get(self, path: str, **query: Any) -> Reply:
        return self.call("GET", path, **query)

    def post(self, path: str, body: object, **query: Any) -> Reply:
        return self.call("POST", path, body, **query)

    def put(self, path: str, body: object, **query: Any) -> Reply:
        return self.call("PUT", path, body, **query)

    def merge(self, path: str, body: object, **query: Any) -> Reply:
        return self.call("PATCH", path, body, kind=MERGE, **query)

    def steps(self, path: str, *steps: Json, **query: Any) -> Reply:
        return self.call("PATCH", path, list(steps), kind=STEPS, **query)

    def apply(self, path: str, body: object, manager: str = "hanse", **query: Any) -> Reply:
        """Server-side apply to a collection's object of the body's name."""
        where = f"{path}/{body['metadata']['name']}" if isinstance(body, dict) else path
        return self.call("PATCH", where, body, kind=APPLY, fieldManager=manager, **query)

    def delete(self, path: str, body: object = None, **query: Any) -> Reply:
        return self.call("DELETE", path, body, **query)

    def as_user(self, name: str) -> "Api":
        return replace(self, token=self.server.tokens[name])

    def with_token(self, token: str | None) -> "Api":
        return replace(self, token=token)

    @contextmanager
    def watch(self, path: str, *, seconds: int = 10, **query: Any) -> Iterator[Iterator[Json]]:
        """The events of a watch, which is open once this returns."""
        connection, response = self._send(
            "GET", path, None, "", {"watch": "true", "timeoutSeconds": seconds, **query}
        )
        assert response.status == 200, response.read()
        try:
            yield (json.loads(line) for line in iter(response.readline, b""))
        finally:
            with suppress(OSError):  # it may be cut already
                connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    def namespace(self, **metadata: Any) -> str:
        """A new namespace of a name that no other test has."""
        name = f"test-{next(_numbers)}"
        made = self.post(NAMESPACES, {"metadata": {"name": name, **metadata}})
        assert made.code == 201, made.body
        return name

    def _send(
        self, method: str, path: str, body: object, kind: str, query: dict[str, object]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        where = urlsplit(self.server.url)
        assert where.hostname
        if where.scheme == "https":
            trust = ssl.create_default_context(cafile=self.server.ca_file)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                where.hostname, where.port, context=trust, timeout=30
            )
        else:
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        headers = {"User-Agent": "tests/1.0 (suite)"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            headers["Content-Type"] = kind
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        target = quote(path, safe="/:") + (f"?{urlencode(query)}" if query else "")
        connection.request(method, target, data, headers)
        return connection, connection.getresponse()


def thing(kind: str, name: str, version: str = "v1", **parts: Any) -> Json:
    """An object with its head; `metadata` adds to the name."""
    metadata = {"name": name, **parts.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def config(name: str, data: dict[str, str] | None = None, **parts: Any) -> Json:
    if data is not None:
        parts["data"] = data
    return thing("ConfigMap", name, **parts)


def configs(namespace: str) -> str:
    return f"{NAMESPACES}/{namespace}/configmaps"


def bindings(namespace: str) -> str:
    return f"/apis/{RBAC}/v1/namespaces/{namespace}/rolebindings"


def user(name: str) -> Json:
    return {"kind": "User", "apiGroup": RBAC, "name": name}


def binding(
    name: str, role: str, *subjects: Json, kind: str = "RoleBinding", of: str = "ClusterRole"
) -> Json:
    ref = {"apiGroup": RBAC, "kind": of, "name": role}
    return thing(kind, name, f"{RBAC}/v1", roleRef=ref, subjects=list(subjects))


def rule(verbs: str, group: str, resources: str, *names: str) -> Json:
    found: Json = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return {**found, "resourceNames": list(names)} if names else found


def give(api: Api, name: str, *rules: Json) -> str:
    """Give a user a cluster role of their own with these rules, and its name."""
    role = f"of-{name}-{next(_numbers)}"
    path = f"/apis/{RBAC}/v1"
    assert (
        api.post(f"{path}/clusterroles", thing("ClusterRole", role, f"{RBAC}/v1", rules=list(rules))).code
        == 201
    )
    bound = binding(role, role, user(name), kind="ClusterRoleBinding")
    assert api.post(f"{path}/clusterrolebindings", bound).code == 201
    # The server sees its own roles through a watch, a moment later.
    ask = {"spec": {"resourceAttributes": _asked(rules[-1])}}
    mine = api.as_user(name)
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    eventually(lambda: mine.post(reviews, ask).body["status"]["allowed"])
    return role


def _asked(what: Json) -> Json:
    resource, _, sub = what["resources"][-1].partition("/")
    return {
        "verb": what["verbs"][-1],
        "group": what["apiGroups"][-1],
        "resource": resource,
        "subresource": sub,
        "name": what.get("resourceNames", [""])[-1],
    }


def eventually(holds: Callable[[], Any]) -> Any:
    """What a question gives once it gives something; fails after `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.02)
    return found


def compact(api: Api) -> None:
    """Make the server forget the history of its objects, as every server does after some minutes."""
    version = api.get(NAMESPACES).version
    forget = getattr(api.server, "cluster", None)
    if forget is not None:
        forget.compact()
        return
    folder: Path = getattr(api.server, "folder")  # noqa: B009 (the simulator has none)
    connection = http.client.HTTPConnection("etcd")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(folder / "clients:0"))
    connection.request("POST", "/v3/kv/compaction", json.dumps({"revision": version, "physical": True}))
    assert connection.getresponse().status == 200
    connection.close()
    # It answers from its memory too, for some time yet.
    api.server.stop_api()
    api.server.start_api()
