"""Hanse at work on one API server: an organisation of its own, and a hand that changes things behind its back.

Hanse has just the rights that `hanse bootstrap` prints for the landing zones that a test declares; the hand has all.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from api import NAMESPACES, PATIENCE, RBAC, Api, Json, bindings

from hanse.conformance.loop import Loop
from hanse.conformance.world import Hand, World
from hanse.desired.intent import Intent
from hanse.model import Done, NotYet, Outcome, Refused, Remark, Tenant
from hanse.platforms.kubernetes import Kubernetes
from hanse.ports.platform import PlatformIdentity, Zone
from hanse.ports.transport import Call, Reply, Transport
from hanse.transport.http import Http, Tls
from kubernetes_rights import prepare
from kubernetes_server import Bearer, KubernetesServer

OWNER = "shop/prod"
USERS = tuple(f"{name}@example.org" for name in ("ann", "ben", "cat", "dan", "eve"))
ANN, BEN, CAT, DAN, EVE = USERS
ROLES = {"admin": "admin", "user": "edit", "reader": "view"}
TAGS = {"labels": {"a": "example.org/a", "b": "example.org/b"}, "annotations": {"a": "example.org/a-text"}}


@dataclass
class Meanwhile:
    """A transport that lets something happen before calls of one label; it is told how many of these are to come."""

    inner: Transport
    label: str
    times: int
    act: Callable[[int], None]

    async def send(self, call: Call) -> Reply:
        if call.label == self.label and self.times:
            self.times -= 1
            self.act(self.times)
        return await self.inner.send(call)

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        return self.inner.stream(call)

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class Estate:
    """An organisation and its cluster. `api` is the hand."""

    loop: Loop
    api: Api
    bearer: Bearer
    organization: str
    zones: list[Zone] = field(default_factory=list)
    """All that were declared so far: what the former ones brought has to be taken away."""

    @property
    def owner(self) -> Tenant:
        return self.loop.sample.tenant(OWNER)

    @property
    def platform(self) -> Kubernetes:
        return cast("Kubernetes", self.loop.platform.inner)

    @property
    def namespace(self) -> str:
        """The name of the tenant's namespace."""
        return f"{self.organization}-shop-prod"

    @property
    def path(self) -> str:
        return f"{NAMESPACES}/{self.namespace}"

    @property
    def bindings(self) -> str:
        """The path of the tenant's RoleBindings."""
        return bindings(self.namespace)

    # What is wanted

    def project(self, grants: Mapping[str, Sequence[str]] | None = None, **fields: Any) -> Intent:
        """The tenant's intent; `zone` adds to the landing zone's block, `block` to the platform's."""
        zone = {"roles": ROLES, **fields.pop("zone", {})}
        block = {**self.loop.world.identity.block, **fields.pop("block", {})}
        documents = fields.pop("documents", ())
        files = {"zone/objects.yaml": json.dumps(list(documents))} if documents else {}
        return self.loop.sample.project(
            OWNER, grants, landing_zone_block=zone, platform_block=block, landing_zone_files=files, **fields
        )

    async def want(self, grants: Mapping[str, Sequence[str]] | None = None, **fields: Any) -> None:
        """Accept the tenant's intent and do nothing yet."""
        await self.accept(self.project(grants, **fields))

    async def accept(self, *intents: Intent) -> None:
        """Accept exactly these, once Hanse has the rights for their landing zones."""
        found = [Zone("sample", intent.landing_zone_block, intent.landing_zone_files) for intent in intents]
        new = [zone for zone in found if zone not in self.zones]
        if new:
            self.zones += new
            admin = self.join(self.api.server.token)
            self.bearer.token = await prepare(admin, self.join, self.loop.world.identity, self.zones)
            await admin.close()
        await self.loop.want(*intents)

    def join(self, token: str) -> Transport:
        """A way to the API server with a token."""
        return Http(self.api.server.url, Bearer(token), _tls(self.api.server))

    async def hold(self, grants: Mapping[str, Sequence[str]] | None = None, **fields: Any) -> None:
        """Accept the tenant's intent, and converge until nothing is left to do."""
        await self.want(grants, **fields)
        await self.loop.settle()

    async def outcomes(self) -> list[Outcome]:
        """What came of the steps of one pass."""
        return [outcome for _, outcome in (await self.loop.converge()).result.outcomes]

    async def refused(self) -> Refused:
        """The one thing that a pass is refused."""
        [refused] = {outcome for outcome in await self.outcomes() if not isinstance(outcome, Done)}
        assert isinstance(refused, Refused), refused
        assert refused.advice
        return refused

    async def waits_for(self, *words: str) -> str:
        """Why a step is not possible yet, once it is told with these words."""

        async def told() -> str:
            waits = [outcome for outcome in await self.outcomes() if isinstance(outcome, NotYet)]
            return next((one.reason for one in waits if all(word in one.reason for word in words)), "")

        async with asyncio.timeout(PATIENCE):
            while not (reason := await told()):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.1)
        return reason

    async def remark(self, code: str) -> Remark:
        """The one remark of that code."""
        [remark] = (await self.loop.remarks())[code]
        return remark

    def meanwhile(self, label: str, times: int, act: Callable[[int], None]) -> None:
        """Let somebody act before so many calls of that label."""
        self.loop.transport.inner = Meanwhile(self.loop.transport.inner, label, times, act)

    # What is there

    def meta(self) -> Json:
        """Labels and annotations of the namespace."""
        found = self.api.get(self.path)
        assert found.code == 200, found.body
        metadata = found.body["metadata"]
        return {name: metadata.get(name, {}) for name in ("labels", "annotations")}

    def given(self) -> set[tuple[str, str]]:
        """Who holds which role in the namespace."""
        rows = self.api.get(self.bindings).body["items"]
        return {(s["name"], row["roleRef"]["name"]) for row in rows for s in row.get("subjects", ())}

    def by_hand(self, name: str, role: str, *subjects: Json, kind: str = "ClusterRole") -> str:
        """Make a RoleBinding; its path."""
        body = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
            "subjects": list(subjects),
        }
        made = self.api.post(self.bindings, body)
        assert made.code == 201, made.body
        return f"{self.bindings}/{name}"


@asynccontextmanager
async def new_estate(
    server: KubernetesServer, folder: Path, token: str = "", **world: Any
) -> AsyncIterator[Estate]:
    """An organisation that no other test has."""
    organization = f"org-{uuid4().hex[:8]}"
    block = {
        "subjects": {"users": {"externalId": "oidc"}},
        "names": {"namespace": organization + "-{workspace}-{project}"},
        "tags": TAGS,
        "accounts": {name: f"{organization}-{name}" for name in ("namespace", "management", "metering")},
    }
    bearer = Bearer(token or server.token)
    fields: Json = {
        "identity": PlatformIdentity(organization, "k8s-fra", block),
        "transport": Http(server.url, bearer, _tls(server)),
        "join": Kubernetes,
        "hand": cast("Hand", None),
        "landing_zone": {"roles": ROLES},
        "users": USERS,
        "external_id": "oidc",
        "patience_seconds": 0.01,
    }
    loop = Loop(World(**{**fields, **world}), folder)
    try:
        yield Estate(loop, Api(server, server.token), bearer, organization)
    finally:
        await loop.close()


def _tls(server: KubernetesServer) -> Tls:
    return Tls(cacert=str(server.ca_file) if server.ca_file else None)


async def eventually(holds: Callable[[], Any], otherwise: str = "it did not come to hold") -> Any:
    """What a question gives once it gives something."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not (found := holds()):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        raise AssertionError(otherwise) from None


def person(name: str) -> Json:
    return {"kind": "User", "name": name, "apiGroup": RBAC}


def group(name: str) -> Json:
    return {"kind": "Group", "name": name, "apiGroup": RBAC}


def account(namespace: str, name: str = "robot") -> Json:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
