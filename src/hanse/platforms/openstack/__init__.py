"""OpenStack identity: a project per tenant, a group per project role, on vanilla Keystone (Identity API v3).

Ours is what carries the stamp: on a project the tag `hanse=` and 32 hex digits, and on every project, group and
domain the extra attribute `hanse` with the key. Role assignments and memberships can carry nothing; they are ours
where they are on a project or domain of ours, or in a group of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from hanse.desired.compiled import Compiled
from hanse.desired.intent import Directory, Intent
from hanse.model import Access, Outcome, Step
from hanse.observed import Observation
from hanse.platforms.openstack.access import access
from hanse.platforms.openstack.auth import connect
from hanse.platforms.openstack.blocks import DESCRIPTION, PlatformBlock
from hanse.platforms.openstack.client import Keystone
from hanse.platforms.openstack.compile import compile_intent
from hanse.platforms.openstack.doctor import examine
from hanse.platforms.openstack.memory import Memory
from hanse.platforms.openstack.observe import observe
from hanse.platforms.openstack.perform import perform
from hanse.platforms.openstack.permissions import bootstrap
from hanse.ports.platform import Description, PlatformIdentity, PlatformUnavailable, Scope, Vendor
from hanse.ports.transport import Transport


class OpenStack:
    """One account on one Keystone. What it remembers between looks can be thrown away at any time."""

    def __init__(self, identity: PlatformIdentity, transport: Transport) -> None:
        """Join to a transport that is bound to Keystone's endpoint."""
        self._identity = identity
        self._client = Keystone(transport)
        self._memory = Memory()

    def describe(self) -> Description:
        """Kinds, blocks, limits."""
        return DESCRIPTION

    def compile(self, intent: Intent, directory: Directory, now: datetime, *, links: bool = True) -> Compiled:
        """What the intent means in Keystone. Pure."""
        return compile_intent(intent, directory, now, links=links)

    async def observe(self, scope: Scope) -> Observation:
        """What exists. Raises PlatformUnavailable where nothing can be read."""
        try:
            block = msgspec.convert(self._identity.block, PlatformBlock)
        except msgspec.ValidationError as error:
            raise PlatformUnavailable(f"the block `openstack` is wrong: {error}") from None
        return await observe(self._client, self._identity, block, self._memory, scope)

    def access(self, observation: Observation) -> Sequence[Access]:
        """Who can do what, from an observation alone. Pure."""
        return access(observation)

    async def perform(self, step: Step) -> Outcome:
        """Carry out one step whose Refs are resolved to Natives; idempotent."""
        return await perform(self._client, self._memory, step)


VENDOR = Vendor(DESCRIPTION, connect, OpenStack, bootstrap, examine)
