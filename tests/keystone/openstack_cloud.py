"""What the tests of the OpenStack platform stand on: a corner of a real Keystone, an organisation, a small executor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from hanse.demo import keystone as starter
from hanse.desired.compiled import Compiled
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.model import Done, Find, Key, Native, Outcome, Personal, Ref, Refused, Step, Tenant, WorkspaceOn
from hanse.observed import Observation
from hanse.plan import Plan, Rules, make
from hanse.platforms.openstack import OpenStack
from hanse.platforms.openstack.client import Keystone, Row
from hanse.ports.platform import Credential, PlatformIdentity, Scope
from hanse.ports.transport import Transport
from hanse.transport import Counters, Fault, Faulty, Metered, Recorded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLATFORM = "openstack-fra"


def credential(running: starter.Keystone, folder: Path, **changes: Any) -> Credential:
    """The administrator's, by a clouds.yaml in that folder."""
    (folder / "clouds.yaml").write_text(running.clouds_yaml("fra"))
    given = {
        "name": "fra-replicator",
        "platform": PLATFORM,
        "endpoint": running.url,
        "source": f"{folder}/clouds.yaml#fra",
        "options": {},
    }
    return Credential(**{**given, **changes})


@dataclass
class Corner:
    """One organisation's part of a Keystone, with all that is needed to change things by hand."""

    transport: Transport
    organization: str = field(default_factory=lambda: f"org-{uuid4().hex[:8]}")
    domain: str = ""
    domain_id: str = ""
    faults: list[Fault] = field(default_factory=list)
    per_workspace: str = ""
    users: dict[str, str] = field(default_factory=dict)
    directory: Directory = field(default_factory=Directory)
    landing_zone: dict[str, Any] = field(default_factory=dict)
    operators: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.by_hand = Keystone(self.transport)
        self.counters = Counters()
        self.recorded = Recorded(Metered(self.transport, self.counters))
        self.faulty = Faulty(self.recorded, self.faults)
        self.platform = self.new_platform()

    def new_platform(self, transport: Transport | None = None) -> OpenStack:
        """As after a restart: nothing is remembered."""
        identity = PlatformIdentity(self.organization, PLATFORM, self.block)
        return OpenStack(identity, transport or self.faulty)

    @property
    def block(self) -> dict[str, Any]:
        """The Platform's block `openstack`."""
        domains = {"perWorkspace": self.per_workspace} if self.per_workspace else {"default": self.domain}
        return {"domains": domains, "users": {"domain": self.domain, "externalId": "fra"}}

    # By hand

    async def furnish(self, people: Iterable[str] = ()) -> Corner:
        """A domain of its own, and users in it who are in the directory too."""
        self.domain = f"domain-{self.organization}"
        self.domain_id = await self.add("domain", name=self.domain)
        for name in people:
            self.users[name] = await self.add("user", name=f"{name}@example.org", domain_id=self.domain_id)
            self.know(name)
        self.platform = self.new_platform()
        return self

    def know(self, name: str, **changes: Any) -> None:
        """A person of the directory."""
        person = Person(name, external_ids={"fra": Personal(f"{name}@example.org")})
        people = {**self.directory.people, name: replace(person, **changes)}
        self.directory = replace(self.directory, people=people)

    async def add(self, kind: str, **attributes: Any) -> str:
        made = await self.by_hand.write("POST", f"/v3/{kind}s", "by hand", {kind: attributes})
        return str(made[kind]["id"])

    async def change(self, kind: str, native_id: str, **attributes: Any) -> None:
        await self.by_hand.write("PATCH", f"/v3/{kind}s/{native_id}", "by hand", {kind: attributes})

    async def do(self, method: str, path: str) -> None:
        await self.by_hand.write(method, f"/v3{path}", "by hand")

    async def get(self, kind: str, native_id: str) -> Row | None:
        return await self.by_hand.find(f"/v3/{kind}s/{native_id}", "by hand")

    async def role(self, name: str) -> str:
        rows = (await self.by_hand.list("/v3/roles", "by hand", (("name", name),))).rows
        return str(rows[0]["id"]) if rows else await self.add("role", name=name)

    # As Hanse does

    def intent(self, name: str = "prod", *terms: Term, workspace: str = "shop", **changes: Any) -> Intent:
        """What is wanted of one tenant."""
        intent = Intent(
            Tenant(PLATFORM, workspace, name),
            self.organization,
            workspace,
            name,
            display_name="Web shop",
            grants=tuple(sorted(terms)),
            landing_zone="production",
            landing_zone_block=self.landing_zone,
            platform_block=self.block,
            operators=self.operators,
        )
        return replace(intent, **changes)

    def on_workspace(self, workspace: str = "shop", **changes: Any) -> Intent:
        """What is wanted of one workspace."""
        owner = WorkspaceOn(PLATFORM, workspace)
        block = self.block
        return replace(Intent(owner, self.organization, workspace, platform_block=block), **changes)

    def compile(self, intent: Intent) -> Compiled:
        return self.platform.compile(intent, self.directory, NOW)

    async def observe(self, *intents: Intent, sweep: bool = False, finds: Iterable[Find] = ()) -> Observation:
        """A look at the owners of some intents, or a sweep that knows what they want."""
        compiled = [self.compile(intent) for intent in intents]
        resources = [*(r for c in compiled for r in c.resources), *(r for c in compiled for r in c.tolerated)]
        wanted = tuple(r for c in compiled for r in c.resources if not sweep or r.adopt)
        all_finds = {v for r in resources for v in r.attributes.values() if isinstance(v, Find)}
        all_finds.update(finds)
        owners = None if sweep else tuple(c.owner for c in compiled)
        return await self.platform.observe(Scope(owners, frozenset(all_finds), wanted))

    async def plan(
        self, intent: Intent, *, sweep: bool = False, may_delete: bool = False
    ) -> tuple[Plan, Observation]:
        """What is to be done, and what it was seen by."""
        observation = await self.observe(intent, sweep=sweep)
        return self.plan_from(intent, observation, may_delete=may_delete), observation

    def plan_from(self, intent: Intent, observation: Observation, *, may_delete: bool = False) -> Plan:
        """What is to be done by an observation."""
        kinds = {spec.name: spec for spec in self.platform.describe().kinds}
        return make(self.compile(intent), observation, Rules(kinds=kinds, may_delete=may_delete))

    async def carry_out(self, plan: Plan, observation: Observation, repeat: int = 0) -> list[Outcome]:
        """All steps in order, with native ids in place of keys; each is repeated until it is done or refused."""
        natives = dict(observation.natives)
        outcomes: list[Outcome] = []
        for step in plan.steps:
            outcome = await self.platform.perform(resolved(step, natives))
            for _ in range(repeat):
                if isinstance(outcome, Done | Refused):
                    break
                outcomes.append(outcome)
                outcome = await self.platform.perform(resolved(step, natives))
            outcomes.append(outcome)
            if isinstance(outcome, Done) and outcome.native_id:
                natives[step.key] = outcome.native_id
        return outcomes

    async def converge(self, intent: Intent, *, sweep: bool = False, may_delete: bool = False) -> Plan:
        """Plan and carry out; every step must be done. Returns the plan."""
        plan, observation = await self.plan(intent, sweep=sweep, may_delete=may_delete)
        outcomes = await self.carry_out(plan, observation)
        assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
        return plan

    async def native(self, part: str = "project", project: str = "prod", workspace: str = "shop") -> str:
        """Native id of one of our things."""
        intent = self.intent(project, workspace=workspace) if project else self.on_workspace(workspace)
        observation = await self.observe(intent)
        return observation.natives[Key(self.organization, workspace, project, part)]


def resolved(step: Step, natives: dict[Key, str]) -> Step:
    """The step as an executor would hand it over."""

    def resolve(value: Any) -> Any:
        return Native("", natives.get(value.key, "")) if isinstance(value, Ref) else value

    return replace(
        step,
        before={name: resolve(value) for name, value in step.before.items()},
        after={name: resolve(value) for name, value in step.after.items()},
    )


def told(plan: Plan) -> list[tuple[str, str]]:
    """Steps in short: what is done to which part."""
    return [(step.action, step.key.part) for step in plan.steps]


def user(name: str, role: str, **changes: Any) -> Term:
    """A grant to one person."""
    return Term("user", name, role, **changes)
