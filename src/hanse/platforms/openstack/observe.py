"""Read a Keystone: all that is ours in a few lists, or only what some owners have.

Calls, for P projects with 3 groups each and U users (measured on Keystone 30.0.0):

- a sweep reads projects, groups, users and domains in pages of 1,000, and roles, implied roles and all role
  assignments in one reply each; then memberships, which no list has: one call per user or one per group of ours,
  whichever is less. 1,000 projects and 500 users: 13 + 500 calls.
- one owner: its project by id (by name at first), its role assignments, and two calls per group; what is
  inherited from its domain, and roles, domains and users by name, are remembered for a minute or more. Where a
  project has not the name that it shall have, all projects are listed once a minute to search for its stamp.

A role assignment list with names costs 40 times as much as one with ids, and one with `effective` 50 times as
much; neither is asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hanse.model import Find, Native
from hanse.observed import Observation
from hanse.platforms.openstack.blocks import PlatformBlock
from hanse.platforms.openstack.client import Keystone, unavailable
from hanse.platforms.openstack.compile import PROJECT
from hanse.platforms.openstack.facts import Interpretation
from hanse.platforms.openstack.memory import Memory
from hanse.platforms.openstack.owners import OfOwners
from hanse.platforms.openstack.reading import Reading, Trouble
from hanse.platforms.openstack.sweep import Sweep
from hanse.ports.platform import PlatformIdentity, Scope
from hanse.ports.transport import NotAllowed


async def observe(
    client: Keystone, identity: PlatformIdentity, block: PlatformBlock, memory: Memory, scope: Scope
) -> Observation:
    """One look. Raises PlatformUnavailable where nothing at all can be read."""
    taken_at = datetime.now(UTC)
    try:
        reading, found = await _read(client, identity, block, memory, scope)
    except (NotAllowed, *Trouble) as error:
        raise unavailable(error) from None
    interpretation = Interpretation(reading.facts, identity)
    owners = None if scope.owners is None else frozenset(scope.owners)
    observation = interpretation.observation(taken_at, owners)
    observation.found.update(found)
    memory.projects.update((key.stamp, i) for i, key in interpretation.keys.items() if key.part == PROJECT)
    if scope.owners is None and PROJECT not in observation.incomplete:
        memory.indexed.put("", True)
    return observation


async def _read(
    client: Keystone, identity: PlatformIdentity, block: PlatformBlock, memory: Memory, scope: Scope
) -> tuple[Reading, dict[Find, tuple[Native, ...]]]:
    look = Sweep if scope.owners is None else OfOwners
    reading = look(client, identity, block, memory, scope)
    reading.facts.tags_known = await client.has_tags()
    await reading.who_am_i()
    await reading.read()
    return reading, await reading.find_all()
