"""What an intent means on this cloud: pure, so that `validate` can do it without a connection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from hanse.desired.compiled import Compiled, Problem
from hanse.desired.intent import Directory, Intent, Term
from hanse.desired.kinds import BUILT_IN_PROJECT_ROLES
from hanse.desired.source import document_source, scope_of, tag_sources, term_source
from hanse.model import Find, Key, Personal, Ref, Resource, Tenant, Value, WorkspaceOn
from hanse.platforms.memory.blocks import BUILT_IN_ROLES, NAME_LIMIT, LandingZoneBlock, PlatformBlock


def compile_intent(intent: Intent, directory: Directory, now: datetime) -> Compiled:
    """The resources of one owner at one instant. What is leaving has none."""
    if intent.left_at:
        return Compiled(intent.owner)
    if isinstance(intent.owner, WorkspaceOn):
        return _folder(intent)
    return _Space(intent, directory, now).compiled()


def _folder(intent: Intent) -> Compiled:
    name = _platform_block(intent).names.folder.replace("{workspace}", intent.workspace)
    if not name:
        return Compiled(intent.owner)
    source = document_source("Workspace", intent.workspace)
    attributes: dict[str, Value] = {"name": name, "description": intent.description or intent.display_name}
    folder = Resource(_folder_key(intent), "folder", attributes, intent.owner, sources=(source,))
    return Compiled(intent.owner, (folder,), problems=tuple(_name_problems(folder)))


class _Space:
    """A project's space, and who may use it."""

    def __init__(self, intent: Intent, directory: Directory, now: datetime) -> None:
        owner = intent.owner
        assert isinstance(owner, Tenant)
        self.owner = owner
        self.intent = intent
        self.directory = directory
        self.now = now
        self.platform = _platform_block(intent)
        self.zone = msgspec.convert(intent.landing_zone_block, LandingZoneBlock)
        self.key = Key(intent.organization, owner.workspace, owner.project, "space")
        self.source = document_source("Project", intent.workspace, intent.project)

    def compiled(self) -> Compiled:
        """Everything of this owner."""
        resources = [self.space()]
        roles = {role: self.native_role(role) for role in sorted({term.role for term in self.intent.grants})}
        if self.zone.grants == "direct":
            resources += self.direct_grants({role: native for role, native in roles.items() if native})
        else:
            for role, native in roles.items():
                resources += self.group(role, native) if native else ()
        problems = [problem for resource in resources for problem in _name_problems(resource)]
        problems += [self.unmapped(role) for role, native in roles.items() if not native]
        return Compiled(self.owner, tuple(resources), tuple(self.operators()), tuple(problems))

    def space(self) -> Resource:
        intent = self.intent
        attributes: dict[str, Value] = {
            "name": self.name(self.platform.names.space),
            "description": intent.description or intent.display_name,
            "enabled": True,
            "tags": tuple(
                sorted(
                    f"{name}={value}"
                    for name, values in intent.tags.items()
                    for value in ((values,) if isinstance(values, str) else values)
                )
            ),
        }
        if self.platform.names.folder:
            attributes["folder"] = Ref(_folder_key(intent))
        return Resource(
            self.key, "space", attributes, self.owner,
            sources=(self.source, *tag_sources(intent)), adopt=intent.native,
        )  # fmt: skip

    def group(self, role: str, native: str) -> Iterator[Resource]:
        """A role's group, its grant, and one membership for each person who holds the role now."""
        key = self.key_of("group", role)
        rank = BUILT_IN_PROJECT_ROLES.get(role, 0)
        sources = tuple(self.term_source(term) for term in self.intent.grants if term.role == role)
        name = self.name(self.platform.names.group, role)
        text = f"{role} of {self.intent.workspace}/{self.intent.project}"
        yield Resource(
            key, "group", {"name": name, "description": text}, self.owner, sources=sources, rank=rank
        )
        yield self.assignment(key.child("grant"), Ref(key), native, sources, rank)
        for principal, why in self.holders(role).items():
            attributes: dict[str, Value] = {"group": Ref(key), "user": self.user(principal)}
            yield Resource(
                key.child(f"member/{principal}"), "membership", attributes, self.owner,
                sources=why, principal=principal, rank=rank,
            )  # fmt: skip

    def direct_grants(self, roles: dict[str, str]) -> Iterator[Resource]:
        """One assignment for each person and native role: two project roles may mean the same one here."""
        merged: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}
        for role, native in roles.items():
            for principal, why in self.holders(role).items():
                rank, sources = merged.get((native, principal), (0, ()))
                rank = max(rank, BUILT_IN_PROJECT_ROLES.get(role, 0))
                merged[native, principal] = (rank, sources + why)
        for (native, principal), (rank, sources) in merged.items():
            key = self.key_of("grant", native, principal)
            subject = self.user(principal)
            yield self.assignment(key, subject, native, sources, rank, principal)

    def operators(self) -> Iterator[Resource]:
        """What the platform's operators may hold here without being a local change."""
        for operator in self.intent.operators:
            subject = self.user(operator.user) if operator.user else _user(operator.native or "")
            key = self.key_of("operator", operator.role, operator.user or operator.native or "")
            yield self.assignment(key, subject, operator.role, (), 0)

    def assignment(
        self,
        key: Key,
        subject: Ref | Find,
        role: str,
        sources: tuple[str, ...],
        rank: int,
        principal: str = "",
    ) -> Resource:
        attributes: dict[str, Value] = {
            "subject": subject, "role": Find("role", (("name", role),)), "target": Ref(self.key)
        }  # fmt: skip
        return Resource(
            key, "assignment", attributes, self.owner, sources=sources, principal=principal, rank=rank
        )

    def holders(self, role: str) -> dict[str, tuple[str, ...]]:
        """The active people who hold a role now, each with the grants that give it."""
        holders: dict[str, tuple[str, ...]] = {}
        for term in self.intent.grants:
            if term.role == role and term.in_force(self.now):
                for principal in self.directory.members(term.subject_kind, term.subject):
                    person = self.directory.people.get(principal)
                    if person is not None and person.active:
                        holders[principal] = (*holders.get(principal, ()), self.term_source(term))
        return dict(sorted(holders.items()))

    def user(self, principal: str) -> Find:
        """The cloud's user who is that person. Who has no name there is looked for in vain, and remarked."""
        named_by = self.platform.users.external_id
        if not named_by:
            return _user(principal)
        person = self.directory.people.get(principal)
        return _user(str(person.external_ids.get(named_by, "")) if person else "")

    def native_role(self, role: str) -> str:
        return (BUILT_IN_ROLES | self.zone.roles).get(role, "")

    def unmapped(self, role: str) -> Problem:
        term = next(term for term in self.intent.grants if term.role == role)
        return Problem(
            "error",
            "unmapped-role",
            f"role '{role}' means nothing in landing zone '{self.intent.landing_zone}'",
            f"add it to `memory.roles` there, or grant one of {', '.join(BUILT_IN_ROLES | self.zone.roles)}",
            self.term_source(term),
            ("role",),
        )

    def name(self, pattern: str, role: str = "") -> str:
        words = {"{workspace}": self.intent.workspace, "{project}": self.intent.project, "{role}": role}
        for word, meaning in words.items():
            pattern = pattern.replace(word, meaning)
        return pattern

    def key_of(self, *parts: str) -> Key:
        return Key(self.key.organization, self.key.workspace, self.key.project, "/".join(parts))

    def term_source(self, term: Term) -> str:
        return term_source(scope_of(self.owner), term)


def _platform_block(intent: Intent) -> PlatformBlock:
    return msgspec.convert(intent.platform_block, PlatformBlock)


def _folder_key(intent: Intent) -> Key:
    return Key(intent.organization, intent.owner.workspace, "", "folder")


def _user(name: str) -> Find:
    return Find("user", (("name", Personal(name)),))


def _name_problems(resource: Resource) -> Iterator[Problem]:
    name = str(resource.attributes.get("name", ""))
    if len(name) > NAME_LIMIT:
        yield Problem(
            "error",
            "name-too-long",
            f"the {resource.kind} would be called '{name}', which is longer than {NAME_LIMIT} characters",
            "choose shorter names, or a shorter pattern in the platform's `memory.names`",
            resource.sources[0],
            ("name",),
        )
