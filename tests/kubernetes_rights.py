"""What an administrator does with the output of `hanse bootstrap`, by calls to the API: gives Hanse just its rights."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from hanse.foundation import yaml
from hanse.platforms.kubernetes.auth import connect
from hanse.platforms.kubernetes.bootstrap import bootstrap
from hanse.platforms.kubernetes.doctor import Right, rights
from hanse.platforms.kubernetes.permissions import MANAGEMENT, permissions
from hanse.ports.platform import Credential, PlatformIdentity, Zone
from hanse.ports.transport import Call, Transport
from kubernetes_server import KubernetesServer

RBAC = "/apis/rbac.authorization.k8s.io/v1"
COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
}


class Cluster:
    """An API server as its administrator sees it, and accounts of Hanse that no other test has."""

    def __init__(self, server: KubernetesServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.mark = uuid4().hex[:8]
        self.home, self.management, self.metering = (
            f"{name}-{self.mark}" for name in ("hanse", "keeper", "counter")
        )
        accounts = {"namespace": self.home, "management": self.management, "metering": self.metering}
        block = {"subjects": {"users": {"externalId": "sub"}}, "accounts": accounts}
        self.identity = PlatformIdentity("example", "k8s-fra", block)
        self._joined: list[Transport] = []
        self.admin = self.join(server.token)

    def credential(self, bearer: str, **changes: Any) -> Credential:
        """A token in a file, bound to the server."""
        file = self.folder / f"token-{uuid4().hex}"
        file.write_text(bearer)
        options = {"cacert": str(self.server.ca_file)} if self.server.ca_file else {}
        given = {"name": "one", "platform": "k8s-fra", "endpoint": self.server.url, "options": options}
        return Credential(**{**given, "source": f"token-file:{file}", **changes})

    def join(self, bearer: str) -> Transport:
        """Signed in by a token, until the test ends."""
        self._joined.append(connect(self.credential(bearer)))
        return self._joined[-1]

    async def prepared(self, *zones: Zone) -> str:
        """An administrator has applied what is printed; a token of the management account."""
        return await prepare(self.admin, self.join, self.identity, zones)

    async def account(self, name: str) -> Transport:
        """Signed in anew as one of the accounts."""
        return self.join(await token(self.admin, self.home, name))

    async def role(self, name: str, *rules: Any) -> str:
        """A ClusterRole, and its name, which no other test has."""
        body = {"metadata": {"name": f"{name}-{self.mark}"}, "rules": list(rules)}
        await call(self.admin, "POST", f"{RBAC}/clusterroles", body)
        return f"{name}-{self.mark}"

    async def close(self) -> None:
        """Let go of all connections."""
        for transport in self._joined:
            await transport.close()


async def prepare(
    admin: Transport, join: Callable[[str], Transport], identity: PlatformIdentity, zones: Sequence[Zone]
) -> str:
    """Apply what is printed; a token of the management account, once the API server knows of its rights.

    `join` makes the transport that a token calls on.
    """
    for document in yaml.parse(bootstrap(identity, zones).text.encode(), "bootstrap").documents:
        body = document.value
        at = COLLECTIONS[body["kind"]].format(namespace=body["metadata"].get("namespace"))
        await call(admin, "PATCH", f"{at}/{body['metadata']['name']}?fieldManager=admin&force=true", body)
    accounts = identity.block.get("accounts", {})
    given = await token(
        admin, accounts.get("namespace", "hanse-system"), accounts.get("management", "hanse-management")
    )
    needed = [right for row in permissions(zones) if row.account == MANAGEMENT for right in rights(row)]
    await allowed(join(given), needed)
    return given


async def token(admin: Transport, namespace: str, account: str, seconds: int = 3600) -> str:
    """A token by TokenRequest."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    given = await call(admin, "POST", path, {"spec": {"expirationSeconds": seconds}})
    return str(given["status"]["token"])


async def allowed(transport: Transport, needed: Iterable[Right], *, yes: bool = True) -> None:
    """Wait until the API server allows them, or no more: its authorizer learns of roles by a watch. Closes."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for right in needed:
        asked = {"group": right.group, "resource": right.resource, "verb": right.verb, "name": right.name}
        for _ in range(200):
            reviewed = await call(transport, "POST", path, {"spec": {"resourceAttributes": asked}})
            if reviewed["status"]["allowed"] == yes:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError(f"{right} did not become {yes}")
    await transport.close()


async def call(transport: Transport, method: str, path: str, body: Any = None) -> Any:
    """The document that comes back of a call that has to go well."""
    bare, _, query = path.partition("?")
    content_type = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
    pairs = tuple(
        (name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    reply = await transport.send(Call(method, bare, pairs, body, label="by hand", content_type=content_type))
    assert reply.status < 300, (method, path, reply.body)
    return msgspec.json.decode(reply.body)
