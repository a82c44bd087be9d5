"""Kubernetes: a namespace per tenant, a RoleBinding per person and role, on vanilla core/v1 and RBAC v1.

Ours is a namespace that carries the stamp (label `hanse/stamp`, annotation `hanse/key`), and within it what lies at
the places that we fill. A RoleBinding carries no mark that counts: whoever gets access in a namespace of ours by
whichever binding is compared with who shall have it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import datetime

from hanse.desired.compiled import Compiled
from hanse.desired.intent import Directory, Intent
from hanse.model import Access, Outcome, Owner, Step
from hanse.observed import Observation
from hanse.platforms.kubernetes.access import access
from hanse.platforms.kubernetes.auth import connect
from hanse.platforms.kubernetes.blocks import DESCRIPTION
from hanse.platforms.kubernetes.bootstrap import bootstrap
from hanse.platforms.kubernetes.client import ROWS
from hanse.platforms.kubernetes.client import Kubernetes as Client
from hanse.platforms.kubernetes.compile import compile_intent
from hanse.platforms.kubernetes.doctor import examine
from hanse.platforms.kubernetes.hints import hints
from hanse.platforms.kubernetes.memory import Memory
from hanse.platforms.kubernetes.observe import observe, sweep
from hanse.platforms.kubernetes.perform import perform
from hanse.ports.platform import Description, PlatformIdentity, Scope, Vendor
from hanse.ports.transport import Transport


class Kubernetes:
    """One cluster. What it remembers between looks can be thrown away at any time."""

    def __init__(self, identity: PlatformIdentity, transport: Transport, rows: int = ROWS) -> None:
        """Join to a transport that is bound to the API server; lists are read in pages of so many rows."""
        self._identity = identity
        self._client = Client(transport, rows)
        self._memory = Memory()

    def describe(self) -> Description:
        """Kinds, blocks, pace."""
        return DESCRIPTION

    def compile(self, intent: Intent, directory: Directory, now: datetime, *, links: bool = True) -> Compiled:
        """What the intent means in a cluster. Pure."""
        return compile_intent(intent, directory, now, links=links)

    async def observe(self, scope: Scope) -> Observation:
        """What exists. Raises PlatformUnavailable where nothing can be read."""
        return await observe(self._client, self._identity, self._memory, scope)

    async def sweep(self, scope: Awaitable[Scope]) -> Observation:
        """What exists, all of it. Raises PlatformUnavailable where nothing can be read."""
        return await sweep(self._client, self._identity, self._memory, scope)

    def access(self, observation: Observation) -> Sequence[Access]:
        """Who can do what, from an observation alone. Pure."""
        return access(observation)

    async def perform(self, step: Step) -> Outcome:
        """Carry out one step whose Refs are resolved to Natives; idempotent."""
        return await perform(self._client, self._memory, self._identity, step)

    def hints(self) -> AsyncIterator[frozenset[Owner] | None]:
        """Owners on whose things something happened, by watches."""
        return hints(self._client, self._memory, self._identity)


VENDOR = Vendor(DESCRIPTION, connect, Kubernetes, bootstrap, examine)
