"""What was read of a Keystone, and what that means: which things are ours, and who is linked to them. Pure.

What could not be told apart, because a list was not read to its end, is left out and its kind is incomplete.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from hanse.model import Foreign, Key, Native, Owner, Personal, Ref, Resource, Value, owner_of
from hanse.observed import Observation
from hanse.platforms.openstack.blocks import STAMP
from hanse.platforms.openstack.client import Row
from hanse.platforms.openstack.compile import DOMAIN, PROJECT
from hanse.ports.platform import PlatformIdentity

STAMP_TAG = f"{STAMP}="


@dataclass
class Facts:
    """Rows as Keystone gave them, by id, and how far they go."""

    tags_known: bool = True
    """Whether this Keystone has project tags (Identity API 3.9)."""
    tag_prefix: str = f"{STAMP}:"
    user_domain: str = ""
    """Name of the domain in which people are."""
    own_user: str = ""
    """Id of the account that Hanse itself uses."""
    domains: dict[str, Row] = field(default_factory=dict)
    projects: dict[str, Row] = field(default_factory=dict)
    groups: dict[str, Row] = field(default_factory=dict)
    users: dict[str, Row | None] = field(default_factory=dict)
    """None: there is surely no such user."""
    roles: dict[str, Row] = field(default_factory=dict)
    assignments: list[Row] = field(default_factory=list)
    members: dict[str, set[str]] = field(default_factory=dict)
    """User ids by group id."""
    passing: dict[str, set[str]] = field(default_factory=dict)
    """Memberships that an identity provider gives for a time, and that nobody else can end."""
    above: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of the projects above a project, nearest first; only where there are any."""
    implied: list[tuple[str, str]] = field(default_factory=list)
    """Role ids: who has the first has the second."""
    stamps: dict[str, Key] = field(default_factory=dict)
    """Keys of projects that are known by their digests."""
    incomplete: dict[str, str] = field(default_factory=dict)

    def scope_of(self, assignment: Row) -> tuple[str, str]:
        """Kind and id of what a role assignment is on."""
        scope = assignment.get("scope") or {}
        for kind in (PROJECT, DOMAIN):
            if kind in scope:
                return kind, scope[kind]["id"]
        return "system", ""


def key_of(row: Row, kind: str, organization: str) -> Key | None:
    """The key that a thing of that kind carries in its extra attribute, if it is one of this organization."""
    text = row.get(STAMP)
    key = Key.parse(text) if isinstance(text, str) else None
    if key is None or key.organization != organization:
        return None
    fits = {
        DOMAIN: key.part == DOMAIN and not key.project,
        PROJECT: key.part == PROJECT and bool(key.project),
        "group": key.part.startswith("group/") and key.part.count("/") == 1 and bool(key.project),
    }
    return key if fits[kind] else None


def stamp_tags(row: Row) -> list[str]:
    """Digests in the tags of a project that look like stamps."""
    return [tag.removeprefix(STAMP_TAG) for tag in row.get("tags") or () if tag.startswith(STAMP_TAG)]


class Interpretation:
    """The facts of one look, on their way to an observation."""

    def __init__(self, facts: Facts, identity: PlatformIdentity) -> None:
        self.facts = facts
        self.identity = identity
        self.keys: dict[str, Key] = {}
        """Of our things, by native id."""
        self.twins: dict[Key, set[str]] = defaultdict(set)
        self.resources: dict[Owner, list[Resource]] = defaultdict(list)
        self.foreign: list[Foreign] = []
        self.own_domains: frozenset[str] = frozenset()
        self._identify()

    def observation(self, taken_at: datetime, owners: frozenset[Owner] | None) -> Observation:
        """All of it, but for what was to be found."""
        self._things()
        self._assignments()
        self._memberships()
        self._implications()
        return Observation(
            platform=self.identity.name,
            taken_at=taken_at,
            owners=owners,
            resources={owner: tuple(many) for owner, many in self.resources.items()},
            foreign=tuple(self.foreign),
            incomplete=dict(self.facts.incomplete),
            twins=tuple(sorted((key, tuple(sorted(ids))) for key, ids in self.twins.items())),
        )

    # Whose is what

    def _identify(self) -> None:
        facts, organization = self.facts, self.identity.organization
        holders: dict[Key, list[str]] = defaultdict(list)
        for kind, rows in ((DOMAIN, facts.domains), ("group", facts.groups)):
            for row_id, row in rows.items():
                if (key := key_of(row, kind, organization)) is not None:
                    holders[key].append(row_id)
                    if kind == "group":
                        project = Key(key.organization, key.workspace, key.project, PROJECT)
                        facts.stamps.setdefault(project.stamp, project)
        for row_id, row in facts.projects.items():
            for key in self._project_keys(row):
                holders[key].append(row_id)
        for key, ids in holders.items():
            if len(ids) > 1:
                self.twins[key].update(ids)
        twins = {row_id for ids in self.twins.values() for row_id in ids}
        self.keys = {i: key for key, ids in holders.items() for i in ids if i not in twins}
        self.own_domains = frozenset(facts.domains.keys() & self.keys.keys())

    def _project_keys(self, row: Row) -> list[Key]:
        """The key of a project of ours: one, or several where its marks contradict each other."""
        key = key_of(row, PROJECT, self.identity.organization)
        tagged = stamp_tags(row)
        known = [self.facts.stamps[tag] for tag in tagged if tag in self.facts.stamps]
        if key is None:
            # Of another organization, or its attribute was taken away: then the tag alone tells.
            return [] if row.get(STAMP) else known
        if any(tag != key.stamp for tag in tagged):
            self.twins[key].add(row["id"])
            for other in known:
                self.twins[other].add(row["id"])
        return [key]

    # Things

    def _things(self) -> None:
        for row_id, row in self.facts.domains.items():
            attributes = _attributes(row, "name", "description", "enabled")
            if row_id in self.keys:
                self._add(row_id, DOMAIN, attributes)
            else:
                self.foreign.append(Foreign(DOMAIN, row_id, attributes))
        for row_id, row in self.facts.projects.items():
            self._add_within(row_id, PROJECT, row, self._project(row))
        for row_id, row in self.facts.groups.items():
            self._add_within(row_id, "group", row, _attributes(row, "name", "description"))
        for row_id, user in self.facts.users.items():
            # Whoever is in a domain of ours keeps it from being deleted.
            if user is not None and user.get("domain_id") in self.own_domains:
                self.foreign.append(Foreign("user", row_id, {DOMAIN: Native(DOMAIN, user["domain_id"])}))

    def _add(self, row_id: str, kind: str, attributes: dict[str, Value]) -> None:
        key = self.keys[row_id]
        owner = owner_of(key, self.identity.name)
        self.resources[owner].append(Resource(key, kind, attributes, owner, row_id))

    def _add_within(self, row_id: str, kind: str, row: Row, attributes: dict[str, Value]) -> None:
        domain = row.get("domain_id") or ""
        named = Native(DOMAIN, domain, self._name(self.facts.domains, domain))
        if row_id in self.keys:
            attributes[DOMAIN] = Ref(self.keys[domain]) if domain in self.keys else named
            self._add(row_id, kind, attributes)
        else:
            self.foreign.append(Foreign(kind, row_id, {**attributes, DOMAIN: named}))

    def _project(self, row: Row) -> dict[str, Value]:
        attributes = _attributes(row, "name", "description", "enabled")
        tags: list[str] = row.get("tags") or []
        prefix = self.facts.tag_prefix
        attributes["tags"] = tuple(
            sorted(tag for tag in tags if tag.startswith(prefix) and not tag.startswith(STAMP_TAG))
        )
        key = self.keys.get(row["id"])
        if key is not None:
            whole = row.get(STAMP) == str(key) and (key.stamp in stamp_tags(row) or not self.facts.tags_known)
            attributes["stamp"] = key.stamp if whole else ""
        if above := self.facts.above.get(row["id"]):
            attributes["above"] = above
        return attributes

    # Links

    def _assignments(self) -> None:
        seen: set[str] = set()
        for row in self.facts.assignments:
            kind, scope_id = self.facts.scope_of(row)
            inherited = "OS-INHERIT:inherited_to" in (row.get("scope") or {})
            subject_kind = "group" if "group" in row else "user"
            subject_id = (row.get(subject_kind) or {}).get("id", "")
            role_id = row["role"]["id"]
            ours = scope_id in self.keys
            if kind not in (PROJECT, DOMAIN) or not (ours or inherited):
                continue
            subject = self._subject(subject_kind, subject_id)
            if subject is None:
                self.facts.incomplete.setdefault("assignment", f"not every {subject_kind} could be looked up")
                continue
            attributes: dict[str, Value] = {
                "role": Native("role", role_id, self._name(self.facts.roles, role_id)),
                kind: Ref(self.keys[scope_id])
                if ours
                else Native(kind, scope_id, self._scope_name(scope_id)),
                subject_kind: subject,
            }
            if inherited:
                attributes["inherited"] = True
            name = f"{scope_id}/{subject_kind}/{subject_id}/{role_id}/{inherited}"
            if name in seen:
                continue
            seen.add(name)
            if ours:
                self._add_assignment(scope_id, attributes, role_id, subject_id)
            else:
                self.foreign.append(Foreign("assignment", name, attributes))

    def _add_assignment(self, scope_id: str, attributes: dict[str, Value], role: str, subject: str) -> None:
        scope = self.keys[scope_id]
        owner = owner_of(scope, self.identity.name)
        group = attributes.get("group")
        if isinstance(group, Ref) and owner_of(group.key, self.identity.name) == owner:
            key = group.key.child(f"role/{role}")
        else:
            key = scope.child(f"{'group' if group else 'user'}/{subject}/role/{role}")
        if "inherited" in attributes:
            key = key.child("inherited")
        self.resources[owner].append(
            Resource(
                key,
                "assignment",
                attributes,
                owner,
                principal="" if group else subject,
                workload=group is None and self._is_workload(subject, self._domain_of(scope_id)),
            )
        )

    def _memberships(self) -> None:
        for group_id, members in self.facts.members.items():
            for user_id in sorted(members):
                self._add_membership(group_id, user_id)
        for group_id, members in self.facts.passing.items():
            for user_id in sorted(members):
                self._add_foreign_membership(group_id, user_id)

    def _add_membership(self, group_id: str, user_id: str) -> None:
        group = self.keys.get(group_id)
        if group is None:
            self._add_foreign_membership(group_id, user_id)
            return
        user = self._subject("user", user_id)
        if user is None:
            self.facts.incomplete.setdefault("membership", "not every user could be looked up")
            return
        owner = owner_of(group, self.identity.name)
        domain = self.facts.groups[group_id].get("domain_id") or ""
        self.resources[owner].append(
            Resource(
                group.child(f"member/{user_id}"),
                "membership",
                {"group": Ref(group), "user": user},
                owner,
                principal=user_id,
                workload=self._is_workload(user_id, domain),
            )
        )

    def _add_foreign_membership(self, group_id: str, user_id: str) -> None:
        """One that we may not end: of a foreign group with a role on our things, or one that passes by itself."""
        group: Value = Ref(self.keys[group_id]) if group_id in self.keys else Native("group", group_id)
        self.foreign.append(
            Foreign("membership", f"{group_id}/{user_id}", {"group": group, "user": Native("user", user_id)})
        )

    def _implications(self) -> None:
        for prior, implied in self.facts.implied:
            self.foreign.append(
                Foreign(
                    "implication",
                    f"{prior}/{implied}",
                    {
                        "role": Native("role", prior, self._name(self.facts.roles, prior)),
                        "implies": Native("role", implied, self._name(self.facts.roles, implied)),
                    },
                )
            )

    # Small questions

    def _subject(self, kind: str, subject_id: str) -> Value:
        """The group or user at the end of a link; None where nobody could tell who it is."""
        if kind == "group":
            if subject_id in self.keys:
                return Ref(self.keys[subject_id])
            if subject_id in self.facts.groups or "group" not in self.facts.incomplete:
                return Native("group", subject_id, self._name(self.facts.groups, subject_id))
            return None
        if subject_id not in self.facts.users:
            return None
        user = self.facts.users[subject_id]
        return Native("user", subject_id, Personal(str(user.get("name") or "")) if user else "")

    def _is_workload(self, user_id: str, domain_id: str) -> bool:
        """Whether a user is a service account and no person.

        People are in the declared domain of users, in the domain of the thing concerned, or in Keystone's default
        domain. Services that make accounts for themselves, such as Heat for its stacks, keep them in a domain of
        their own, and taking those out would break what people have built. Nor is Hanse's own account touched.
        """
        if user_id == self.facts.own_user:
            return True
        user = self.facts.users.get(user_id)
        if user is None:
            return False
        home = user.get("domain_id") or ""
        return (
            home not in ("default", domain_id)
            and self._name(self.facts.domains, home) != self.facts.user_domain
        )

    def _domain_of(self, scope_id: str) -> str:
        row = self.facts.projects.get(scope_id)
        return str(row.get("domain_id")) if row else scope_id

    def _scope_name(self, scope_id: str) -> str:
        return self._name(self.facts.domains, scope_id) or self._name(self.facts.projects, scope_id)

    @staticmethod
    def _name(rows: dict[str, Row], row_id: str) -> str:
        row = rows.get(row_id)
        return str(row.get("name") or "") if row else ""


def _attributes(row: Row, *names: str) -> dict[str, Value]:
    """These attributes of a row; a description that is null is an empty one."""
    return {name: row.get(name, True) if name == "enabled" else row.get(name) or "" for name in names}
