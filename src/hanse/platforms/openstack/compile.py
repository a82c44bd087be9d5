"""What an intent means in Keystone: a project, a group per project role, its members and its role. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from string import Formatter
from typing import Any, TypeVar

import msgspec

from hanse.desired.compiled import Compiled, Problem, nobody_has
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import BUILT_IN_PROJECT_ROLES, Operator
from hanse.desired.source import document_source, scope_of, tag_sources, term_source
from hanse.foundation.diagnostics import suggest
from hanse.model import Find, Key, Personal, Ref, Resource, Tenant, Value, WorkspaceOn
from hanse.platforms.openstack.blocks import (
    DEFAULT_ROLE,
    NAME_LENGTH,
    QUOTAS,
    TAG_LENGTH,
    TAGS_PER_PROJECT,
    LandingZoneBlock,
    PlatformBlock,
)

DOMAIN, PROJECT = "domain", "project"
_FORBIDDEN_IN_TAGS = str.maketrans("/,", "__")
_Block = TypeVar("_Block", PlatformBlock, LandingZoneBlock)
_ROLE = attrgetter("role")


def compile_intent(intent: Intent, directory: Directory, now: datetime, *, links: bool = True) -> Compiled:
    """The resources that the intent's owner shall have at that instant, and what is wrong with what it asks.

    Without links, these are checked and not made.
    """
    compiling = _Compiling(intent, directory, now, links)
    if compiling.platform is None or compiling.landing_zone is None:
        return Compiled(intent.owner, problems=tuple(compiling.problems))
    if isinstance(intent.owner, WorkspaceOn):
        compiling.workspace()
    else:
        compiling.tenant(intent.owner)
    return Compiled(
        intent.owner,
        () if intent.left_at else tuple(compiling.resources),
        tuple(compiling.tolerated),
        () if intent.left_at else tuple(compiling.problems),
    )


def domain_key(organization: str, workspace: str) -> Key:
    """The key of a workspace's own domain; `workspace` is its oldest name."""
    return Key(organization, workspace, "", DOMAIN)


def project_key(organization: str, owner: Tenant) -> Key:
    """The key of a tenant's project."""
    return Key(organization, owner.workspace, owner.project, PROJECT)


def find_domain(name: str) -> Find:
    """The domain of that name, which is not ours."""
    return _find(DOMAIN, name)


def find_role(name: str) -> Find:
    """The global role of that name."""
    return _find("role", name)


def find_user(domain: str, name: str) -> Find:
    """The user of that name in the domain of that name."""
    return Find("user", ((DOMAIN, domain), ("name", Personal(name))))


@lru_cache(maxsize=1024)
def _find(kind: str, name: str) -> Find:
    return Find(kind, (("name", name),))


class _Compiling:
    """One intent on its way to resources."""

    def __init__(self, intent: Intent, directory: Directory, now: datetime, links: bool) -> None:
        self.intent = intent
        self.directory = directory
        self.now = now
        self.links = links
        self.resources: list[Resource] = []
        self.tolerated: list[Resource] = []
        self.problems: list[Problem] = []
        self.platform_source = document_source("Platform", intent.owner.platform)
        self.landing_zone_source = document_source("LandingZone", intent.owner.platform, intent.landing_zone)
        self.platform = self._block(intent.platform_block, PlatformBlock, self.platform_source)
        self.landing_zone = self._block(intent.landing_zone_block, LandingZoneBlock, self.landing_zone_source)

    # The two sorts of owners

    def workspace(self) -> None:
        """A domain of its own, where the platform gives one to each workspace."""
        assert self.platform is not None
        pattern = self.platform.domains.per_workspace
        if pattern is None:
            return
        intent = self.intent
        key = domain_key(intent.organization, intent.owner.workspace)
        source = document_source("Workspace", intent.workspace)
        name = self._name(pattern, {"workspace": intent.workspace}, ("domains", "perWorkspace"), source)
        attributes: dict[str, Value] = {
            "name": name,
            "description": intent.description or intent.display_name,
            "enabled": True,
        }
        self.resources.append(Resource(key, DOMAIN, attributes, intent.owner, sources=(source,)))
        self._tolerate(key, DOMAIN)

    def tenant(self, owner: Tenant) -> None:
        """The project, and per project role a group with members and a role on the project."""
        assert self.platform is not None
        assert self.landing_zone is not None
        intent, platform = self.intent, self.platform
        names = {"workspace": intent.workspace, "project": intent.project}
        source = document_source("Project", intent.workspace, intent.project)
        sources = (source, self.landing_zone_source)
        key = project_key(intent.organization, owner)
        domain: Value = (
            find_domain(platform.domains.default)
            if platform.domains.default is not None
            else Ref(domain_key(intent.organization, owner.workspace))
        )
        attributes: dict[str, Value] = {
            "name": self._name(platform.names.project, names, ("names", "project"), source),
            "domain": domain,
            "description": intent.description or intent.display_name,
            "enabled": True,
            "tags": self._tags(source),
            "stamp": key.stamp,
        }
        of_project = (*sources, *tag_sources(intent))
        self.resources.append(
            Resource(key, PROJECT, attributes, owner, sources=of_project, adopt=intent.native)
        )
        scope = scope_of(owner)
        for role, terms in _by_role(intent.grants).items():
            named = self._name(platform.names.group, {**names, "role": role}, ("names", "group"), source)
            self._role(role, terms, named, domain, key, scope, sources)
        self._tolerate(key, PROJECT)
        self._quotas(source)

    def _role(
        self, role: str, terms: list[Term], name: str, domain: Value, project: Key, scope: str,
        sources: tuple[str, ...],
    ) -> None:  # fmt: skip
        assert self.platform is not None
        assert self.landing_zone is not None
        owner = self.intent.owner
        rank = BUILT_IN_PROJECT_ROLES.get(role, 0)
        key = Key(project.organization, project.workspace, project.project, f"group/{role}")
        group = Ref(key)
        asking = tuple(term_source(scope, term) for term in terms)
        described = f"Role {role} in {self.intent.workspace}/{self.intent.project}"
        attributes: dict[str, Value] = {"name": name, "domain": domain, "description": described}
        self.resources.append(Resource(key, "group", attributes, owner, sources=asking, rank=rank))
        if self.links:
            native = self.landing_zone.roles.get(role, DEFAULT_ROLE)
            self.resources.append(
                Resource(
                    key.child(f"role/{native}"),
                    "assignment",
                    {"role": find_role(native), "project": Ref(project), "group": group},
                    owner,
                    sources=sources,
                    rank=rank,
                )
            )
        taken: dict[str, str] = {}
        for principal, sources_of_member in self._members(terms, asking).items():
            called = self._called(principal, sources_of_member[0])
            if called is None:
                continue
            if (other := taken.setdefault(called, principal)) != principal:
                self._problem(
                    "warning", "shared-external-id", f"{principal} and {other} have the same external id",
                    "give each User an external id of its own", document_source("User", principal),
                )  # fmt: skip
            elif self.links:
                self.resources.append(
                    Resource(
                        key.child(f"member/{principal}"),
                        "membership",
                        {"group": group, "user": find_user(self.platform.users.domain, called)},
                        owner,
                        sources=sources_of_member,
                        principal=principal,
                        rank=rank,
                    )
                )

    # People

    def _members(self, terms: Iterable[Term], sources: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Active people to whom terms in force now lead, each with the grants that ask for it."""
        members: dict[str, tuple[str, ...]] = {}
        for term, source in zip(terms, sources, strict=True):
            if term.in_force(self.now):
                for principal in self.directory.members(term.subject_kind, term.subject):
                    person = self.directory.people.get(principal)
                    if person is not None and person.active:
                        members[principal] = (*members.get(principal, ()), source)
        return dict(sorted(members.items())) if len(members) > 1 else members

    def _called(self, principal: str, source: str) -> str | None:
        """What a person is called in Keystone; None where it cannot be told."""
        assert self.platform is not None
        users = self.platform.users
        person: Person | None = self.directory.people.get(principal)
        external = person.external_ids.get(users.external_id) if person else None
        if external is None or not external.text:
            known = self.directory.external_ids
            if users.external_id not in known:
                way = ("openstack", "users", "externalId")
                self._tell(nobody_has(users.external_id, known, self.platform_source, way))
                return None
            self._problem(
                "warning",
                "no-external-id",
                f"user '{principal}' has no external id for '{users.external_id}'",
                f"add `externalIds: {{{users.external_id}: ...}}` to the User, the name it has in Keystone",
                source,
            )
            return None
        return external.text

    def _tolerate(self, scope: Key, kind: str) -> None:
        """Operators may hold their role there, and need not."""
        for operator in self.intent.operators:
            user = self._operator(operator)
            if user is None:
                continue
            name = operator.user or f"native:{operator.native}"
            attributes: dict[str, Value] = {"role": find_role(operator.role), kind: Ref(scope), "user": user}
            key = scope.child(f"operator/{name}/role/{operator.role}")
            owner = self.intent.owner
            self.tolerated.append(Resource(key, "assignment", attributes, owner))
            self.tolerated.append(
                Resource(key.child("inherited"), "assignment", {**attributes, "inherited": True}, owner)
            )

    def _operator(self, operator: Operator) -> Find | None:
        assert self.platform is not None
        if operator.native is not None:
            return find_user(self.platform.users.domain, operator.native)
        called = self._called(operator.user or "", self.platform_source)
        return find_user(self.platform.users.domain, called) if called is not None else None

    # Names, tags, quotas

    def _name(self, pattern: str, values: Mapping[str, str], path: tuple[str, ...], source: str) -> str:
        unknown = [name for name in placeholders(pattern) if name not in values]
        if unknown:
            self._problem(
                "error",
                "unknown-placeholder",
                f"the pattern '{pattern}' asks for {{{unknown[0]}}}",
                "use only " + ", ".join(f"{{{name}}}" for name in values),
                self.platform_source,
                ("openstack", *path),
            )
            return pattern
        name = pattern.format_map(values)
        if len(name) > NAME_LENGTH:
            self._problem(
                "error",
                "name-too-long",
                f"'{name}' has {len(name)} characters, and Keystone takes {NAME_LENGTH}",
                f"choose shorter names, or a shorter pattern than '{pattern}' in {self.platform_source}",
                source,
                ("name",),
            )
        return name

    def _tags(self, source: str) -> tuple[str, ...]:
        assert self.platform is not None
        prefix, keys = self.platform.tags.prefix, self.platform.tags.keys
        tags = set()
        for name, said in self.intent.tags.items():
            key = name if keys is None else keys.get(name)
            if key is None:
                continue
            for value in (said,) if isinstance(said, str) else said:
                text = f"{key}={value}"
                tag = prefix + text.translate(_FORBIDDEN_IN_TAGS)
                if tag != prefix + text:
                    message = f"tag '{text}' becomes '{tag}': Keystone's tags hold no '/' and no ','"
                    self._problem("warning", "tag-altered", message, "", source, ("tags", name))
                if len(tag) > TAG_LENGTH:
                    message = f"tag '{name}' has {len(tag)} characters as '{tag[:20]}…'"
                    advice = f"Keystone takes {TAG_LENGTH}; shorten its value"
                    self._problem("error", "tag-too-long", message, advice, source, ("tags", name))
                tags.add(tag)
        if len(tags) >= TAGS_PER_PROJECT:
            self._problem(
                "error", "too-many-tags", f"{len(tags)} tags, and Keystone takes {TAGS_PER_PROJECT} with our stamp",
                "take some out", source, ("tags",),
            )  # fmt: skip
        return tuple(sorted(tags))

    def _quotas(self, source: str) -> None:
        """Say what is asked for and cannot be held yet; nothing of it is forgotten in silence."""
        assert self.landing_zone is not None
        zone = self.landing_zone.quotas
        for limit, amounts in (("default", zone.default), ("max", zone.max)):
            for name in amounts:
                if name not in QUOTAS:
                    likely = suggest(name, QUOTAS)
                    self._problem(
                        "error",
                        "unknown-quota",
                        f"unknown quota '{name}'",
                        f"did you mean '{likely}'?"
                        if likely
                        else f"quotas of OpenStack are {', '.join(QUOTAS)}",
                        self.landing_zone_source,
                        ("openstack", "quotas", limit, name),
                    )
        row = ("tenants", self.intent.owner.platform, "quotas")
        for name, amount in self.intent.quotas.items():
            if name in zone.max and amount > zone.max[name]:
                self._problem(
                    "error",
                    "quota-too-high",
                    f"quota {name} of {amount} is above the {zone.max[name]} of {self.landing_zone_source}",
                    "ask for less, or for a higher maximum in the landing zone",
                    source,
                    (*row, name),
                )
        held_not = sorted({*zone.default, *self.intent.quotas}.intersection(QUOTAS))
        if held_not:
            self._problem(
                "warning",
                "quota-not-held",
                f"quotas cannot be set on OpenStack yet: {', '.join(held_not)}",
                "they are noted; set them by hand until then",
                source,
                row,
            )

    # Blocks and problems

    def _block(self, values: dict[str, Any], block: type[_Block], source: str) -> _Block | None:
        converted: _Block | str = _converted(block, msgspec.json.encode(values))
        if isinstance(converted, str):
            self._problem("error", "invalid-block", converted, "see the reference of `openstack:`", source,
                          ("openstack",))  # fmt: skip
            return None
        return converted

    def _problem(
        self,
        severity: Any,
        code: str,
        message: str,
        advice: str,
        source: str,
        path: tuple[str | int, ...] = (),
    ) -> None:
        self._tell(Problem(severity, code, message, advice, source, path))

    def _tell(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


@lru_cache(maxsize=4096)
def _converted(block: type[_Block], encoded: bytes) -> _Block | str:
    """The typed block, or why it is none; the same bytes are read once."""
    try:
        converted: _Block = msgspec.json.decode(encoded, type=block)
    except msgspec.ValidationError as error:
        return str(error)
    return converted


@lru_cache(maxsize=256)
def placeholders(pattern: str) -> tuple[str, ...]:
    """What stands in braces in a pattern; a malformed pattern asks for something that nobody gives."""
    try:
        fields = [field for field in Formatter().parse(pattern) if field[1] is not None]
    except ValueError:
        return (pattern,)
    return tuple(
        f"{name}{f':{spec}' if spec else ''}{f'!{how}' if how else ''}" for _, name, spec, how in fields
    )


def _by_role(terms: tuple[Term, ...]) -> dict[str, list[Term]]:
    roles: dict[str, list[Term]] = {}
    for term in sorted(terms, key=_ROLE):
        roles.setdefault(term.role, []).append(term)
    return roles
