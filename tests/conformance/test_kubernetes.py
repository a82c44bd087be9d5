"""The Kubernetes platform keeps the contract: on the simulator, and with HANSE_KUBERNETES=real on the real API server.

Faults strike at the calls of `STRUCK` only. On the real one, where a namespace takes five seconds to go, what is in
`LONG` is left out. With HANSE_CONFORMANCE=whole nothing is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Container, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from kubernetes_hand import ROLES, KubernetesHand

from hanse.conformance import PlatformConformance, World
from hanse.platforms.kubernetes import Kubernetes
from hanse.ports.platform import PlatformIdentity
from hanse.ports.transport import Call, Reply, Transport
from hanse.transport import Fault
from hanse.transport.http import Http, Tls
from kubernetes_server import REAL, Bearer, KubernetesServer

WHOLE = os.environ.get("HANSE_CONFORMANCE") == "whole"
STRUCK = ("list rolebindings", "create namespace", "apply rolebinding")
"""Where faults strike by default: at the list that tells who can do what, and at writes."""
LONG = (
    "test_every_call_fails_in_turn_and_nothing_is_lost",
    "test_a_kill_at_every_step_loses_nothing",
)
"""Tests that make a world for each call or step: up to three minutes each on the real server."""
ROWS = 5
"""In a page, in place of 500: then lists take several calls here too."""
USERS = tuple(f"{name}@example.org" for name in ("ann", "ben", "cat", "dan", "eve"))
LANDING_ZONE: Mapping[str, Any] = {
    "roles": ROLES,
    "quotas": {"default": {"cores": 8, "ramGiB": 32}},
    "limits": {"container": {"default": {"cpu": "1", "memory": "512Mi"}}},
    "networkPolicies": ["deny-ingress", "allow-same-namespace"],
    "podSecurity": "baseline",
}


class Tidy:
    """A transport that leaves no namespace of its world behind when it is closed."""

    def __init__(self, inner: Transport, hand: KubernetesHand) -> None:
        self.inner = inner
        self.hand = hand

    async def send(self, call: Call) -> Reply:
        return await self.inner.send(call)

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        return self.inner.stream(call)

    async def close(self) -> None:
        await self.hand.clear()
        await self.inner.close()
        await self.hand.transport.close()


class AllBut:
    """All names that do not begin with one of these."""

    def __init__(self, beginnings: tuple[str, ...]) -> None:
        self.beginnings = beginnings

    def __contains__(self, name: object) -> bool:
        return not str(name).startswith(self.beginnings)


class TestKubernetes(PlatformConformance):
    """A namespace for each project, with everything that a landing zone can put into it."""

    exhaustive = False
    always: ClassVar[Container[str] | None] = AllBut(LONG) if REAL and not WHOLE else None
    lacks: ClassVar[Mapping[str, str]] = {
        "groups": "the API server has no groups of its own: people are subjects of bindings",
        "workspace things": "namespaces do not lie in anything",
        "disabling": "a namespace cannot be switched off",
        "renaming": "a namespace keeps its name",
        "known people": "the API server knows nobody before a token shows a name",
        "page counts": "a list that fits into one page says nothing of its length",
    }

    @pytest.fixture(autouse=True)
    def _surroundings(self, kubernetes: KubernetesServer) -> None:
        self.server = kubernetes

    def http(self, token: str) -> Http:
        cacert = str(self.server.ca_file) if self.server.ca_file else None
        return Http(self.server.url, Bearer(token), Tls(cacert=cacert))

    async def world(self) -> World:
        organization = f"org-{uuid4().hex[:8]}"
        hand = KubernetesHand(self.http(self.server.token), organization)
        await hand.furnish()
        block: dict[str, Any] = {
            "subjects": {"users": {"externalId": "oidc"}},
            "names": {"namespace": organization + "-{workspace}-{project}"},
            "tags": {"labels": {"a": "example.org/a"}},
        }
        return World(
            PlatformIdentity(organization, "k8s-fra", block),
            Tidy(self.http(self.server.token), hand),
            partial(Kubernetes, rows=ROWS),
            hand,
            dict(LANDING_ZONE),
            USERS,
            "oidc",
            sleep=asyncio.sleep if REAL else self.short,
            patience_seconds=60,
            page_size=ROWS,
        )

    async def short(self, seconds: float) -> None:
        """The simulated namespace controller works faster than the real one."""
        await asyncio.sleep(seconds / 40)

    def places(self, labels: list[str]) -> Iterator[Fault]:
        return (fault for fault in super().places(labels) if WHOLE or fault.label in STRUCK)
