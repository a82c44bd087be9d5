"""Organisations to try a platform with, built in a line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from hanse.conformance.world import World
from hanse.desired.findings import Spot
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import PaymentMethod, Project, Tags, Workspace
from hanse.desired.manifest import Declared, Manifest
from hanse.desired.tags import TagTexts, effective_tags, tag_texts
from hanse.desired.vocabulary import Vocabulary
from hanse.model import Personal, Tenant, WorkspaceOn

Grants = Mapping[str, Iterable[str]] | tuple[Term, ...]
"""Role to the principals who hold it, where `@team` is a group; or terms as they are."""


class Sample:
    """Builds intents and a directory for one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.users = dict(zip(("ann", "ben", "cat", "dan", "eve"), world.users, strict=True))
        """Principal to the name that the cloud knows."""
        self.unknown = {"new": "newcomer@example.org"}
        """A principal whom the cloud does not know yet."""

    def name_of(self, principal: str) -> str:
        """What the cloud calls a principal."""
        return (self.users | self.unknown)[principal]

    def directory(self, team: Iterable[str] = ("ann", "ben")) -> Directory:
        """All people, and one group."""
        key = self.world.external_id
        people = {
            self.principal(name): Person(
                self.principal(name), external_ids={key: Personal(self.name_of(name))} if key else {}
            )
            for name in self.users | self.unknown
        }
        return Directory(people, {"team": tuple(self.principal(name) for name in team)})

    def principal(self, name: str) -> str:
        """The principal's id: its name on the cloud, unless the platform reads another key."""
        return name if self.world.external_id else self.name_of(name)

    def tenant(self, name: str) -> Tenant:
        """The owner of `workspace/project`."""
        workspace, project = name.split("/")
        return Tenant(self.world.identity.name, workspace, project)

    def project(self, name: str, grants: Grants | None = None, **fields: Any) -> Intent:
        """An intent for `workspace/project`."""
        owner = self.tenant(name)
        return self._intent(owner, {"project": owner.project, "grants": self.terms(grants or {})} | fields)

    def workspace(self, name: str, **fields: Any) -> Intent:
        """An intent for what the projects of a workspace share."""
        return self._intent(WorkspaceOn(self.world.identity.name, name), fields)

    def terms(self, grants: Grants) -> tuple[Term, ...]:
        """Grants without an end, unless they are terms already."""
        if isinstance(grants, tuple):
            return grants
        return tuple(
            sorted(
                Term("group", who[1:], role)
                if who.startswith("@")
                else Term("user", self.principal(who), role)
                for role, people in grants.items()
                for who in people
            )
        )

    def tags(self, **of: Tags) -> TagTexts:
        """The tags of a tenant whose `workspace`, `payment_method` and `project` have these."""
        version: Literal["hanse/v1"] = "hanse/v1"
        workspace = Workspace(api_version=version, name="shop", tags=of.get("workspace", {}))
        method = PaymentMethod(api_version=version, name="cc", tags=of.get("payment_method", {}))
        project = Project(
            api_version=version,
            name="prod",
            workspace="shop",
            payment_method="cc",
            tags=of.get("project", {}),
        )
        declared = [Declared(document, Spot("", 0)) for document in (workspace, method, project)]
        return tag_texts(effective_tags(Manifest(declared, Vocabulary({}), {}), project))

    def organization(self, *intents: Intent) -> list[Intent]:
        """These projects with the workspaces that they need."""
        workspaces = sorted({intent.workspace for intent in intents if isinstance(intent.owner, Tenant)})
        return [*(self.workspace(name) for name in workspaces), *intents]

    def _intent(self, owner: Tenant | WorkspaceOn, fields: dict[str, Any]) -> Intent:
        known: dict[str, Any] = {
            "owner": owner,
            "organization": self.world.identity.organization,
            "workspace": owner.workspace,
            "landing_zone": "sample",
            "landing_zone_block": self.world.landing_zone,
            "platform_block": self.world.identity.block,
            "deletion": "automatic",
        }
        return Intent(**(known | fields))
