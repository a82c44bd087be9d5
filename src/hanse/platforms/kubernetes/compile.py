"""What an intent means in Kubernetes: a namespace, what it may use, and who may do what in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, Literal, TypeVar

import msgspec

from hanse.desired.compiled import Compiled, Problem, nobody_has
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import BUILT_IN_PROJECT_ROLES
from hanse.desired.source import document_source, file_source, scope_of, tag_sources, term_source
from hanse.foundation.canonical import encode
from hanse.foundation.diagnostics import suggest
from hanse.model import Find, Key, Native, Personal, Ref, Resource, Tenant, Value
from hanse.platforms.kubernetes.blocks import (
    BUILT_IN_ROLES,
    DESCRIPTION_TEXT,
    DISPLAY_NAME,
    LABEL_LENGTH,
    MANAGED_BY,
    NAME_LENGTH,
    OWN_NAME,
    POD_SECURITY,
    QUOTAS,
    RESERVED_SUBJECTS,
    LandingZoneBlock,
    PlatformBlock,
    is_kept,
)
from hanse.platforms.kubernetes.facts import NAMESPACE, namespace_key
from hanse.platforms.kubernetes.limits import Wrong, limit_range
from hanse.platforms.kubernetes.objects import Object, Values, objects
from hanse.platforms.kubernetes.quantity import canonical

QUOTA, LIMITS = "quota", "limits"
NETWORK_POLICY, OBJECT, BINDING = "network-policy", "object", "binding"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9._-]")
_PRIVATE = {
    "0.0.0.0/0": ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"],
    "::/0": ["fc00::/7", "fe80::/10"],
}
"""All addresses, without private ones (RFC 1918, 4193), shared ones (RFC 6598) and link-local ones (RFC 3927, 4291)."""
_OWN_PODS: dict[str, Any] = {"podSelector": {}}
_DNS: dict[str, Any] = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
_OPENS = {
    "allow-same-namespace": ("deny-ingress", "deny-egress"),
    "allow-dns": ("deny-egress",),
    "allow-internet": ("deny-egress",),
}
"""A policy that allows something to the denials that it makes an exception of."""
SubjectKind = Literal["User", "Group"]
_ROLE = attrgetter("role")
_Path = tuple[str | int, ...]
_Block = TypeVar("_Block", PlatformBlock, LandingZoneBlock)


def compile_intent(intent: Intent, directory: Directory, now: datetime, *, links: bool = True) -> Compiled:
    """The resources that the intent's owner shall have at that instant, and what is wrong with what it asks.

    What a workspace's tenants share is nothing here. Without links, these are checked and not made.
    """
    if intent.left_at or not isinstance(intent.owner, Tenant):
        return Compiled(intent.owner)
    compiling = _Compiling(intent, intent.owner, directory, now, links)
    compiling.tenant()
    return Compiled(
        intent.owner, tuple(compiling.resources), tuple(compiling.tolerated), tuple(compiling.problems)
    )


@lru_cache(maxsize=1024)
def find_role(name: str) -> Find:
    """The ClusterRole of that name, which is not ours."""
    return Find("role", (("name", f"ClusterRole/{name}"),))


class _Compiling:
    """One tenant's intent on its way to resources."""

    def __init__(
        self, intent: Intent, owner: Tenant, directory: Directory, now: datetime, links: bool
    ) -> None:
        self.intent = intent
        self.owner = owner
        self.directory = directory
        self.now = now
        self.links = links
        self.key = namespace_key(intent.organization, owner)
        self.namespace = Ref(self.key)
        self.source = document_source("Project", intent.workspace, intent.project)
        self.row = ("tenants", owner.platform)
        self.platform_source = document_source("Platform", owner.platform)
        self.landing_zone_source = document_source("LandingZone", owner.platform, intent.landing_zone)
        self.resources: list[Resource] = []
        self.tolerated: list[Resource] = []
        self.problems: list[Problem] = []
        self._holders: dict[str, str] = {}
        """Whose a name of a user is."""

    def tenant(self) -> None:
        """The namespace with all that lies in it."""
        of_platform = msgspec.json.encode(self.intent.platform_block)
        of_zone = msgspec.json.encode(self.intent.landing_zone_block)
        platform = self._block(of_platform, PlatformBlock, self.platform_source)
        zone = self._block(of_zone, LandingZoneBlock, self.landing_zone_source)
        if platform is None or zone is None:
            return
        self.platform, self.zone = platform, zone
        self._namespace()
        self._quota()
        self._limits(of_zone)
        self._network_policies()
        self._objects()
        self._bindings()
        self._operators()

    # The namespace

    def _namespace(self) -> None:
        self._check_name()
        intent, tags = self.intent, self.platform.tags
        level = self.zone.pod_security
        labels = dict([MANAGED_BY])
        if level is not None:
            labels |= {f"{POD_SECURITY}/{mode}": level for mode in ("audit", "enforce", "warn")}
        for tag, key in tags.labels.items():
            if tag in intent.tags:
                labels[key] = self._label_value(tag, key)
        annotations = {DISPLAY_NAME: intent.display_name, DESCRIPTION_TEXT: intent.description}
        annotations = {key: text for key, text in annotations.items() if text}
        annotations |= {key: self.tags[tag] for tag, key in tags.annotations.items() if tag in self.tags}
        attributes: dict[str, Value] = {
            "name": self.name,
            "labels": _pairs(labels),
            "annotations": _pairs(annotations),
            "stamp": self.key.stamp,
            "phase": "Active",
        }
        sources = (self.source, self.landing_zone_source, *tag_sources(intent))
        self.resources.append(
            Resource(self.key, NAMESPACE, attributes, self.owner, sources=sources, adopt=intent.native)
        )

    @cached_property
    def tags(self) -> dict[str, str]:
        """The project's tags as text; several values with `,` between them."""
        return {
            name: said if isinstance(said, str) else ",".join(said) for name, said in self.intent.tags.items()
        }

    @cached_property
    def name(self) -> str:
        """The namespace's name: by the pattern, or of one that is taken over, for a namespace keeps its name."""
        intent = self.intent
        values = {"workspace": intent.workspace, "project": intent.project}
        return intent.native or self.platform.names.namespace.format_map(values)

    def _check_name(self) -> None:
        name, accounts = self.name, self.platform.accounts.namespace
        where: _Path
        if self.intent.native:
            where, whence = (*self.row, "native", "id"), "of `native`"
            advice = "give the name of a namespace that can be a tenant's"
        else:
            where = ("name",)
            whence = f"by the pattern '{self.platform.names.namespace}' of {self.platform_source}"
            advice = "choose another name, or another pattern"
        if len(name) > NAME_LENGTH:
            code, why = "name-too-long", f"has {len(name)} characters, and Kubernetes takes {NAME_LENGTH}"
        elif not _NAME.fullmatch(name):
            code, why = "not-allowed", "is no name: that is a-z, 0-9 and '-', with no '-' at either end"
        elif name == accounts:
            code, why = "reserved-name", "is that of Hanse's own accounts"
        elif is_kept(name):
            code, why = "reserved-name", "is kept for the cluster itself"
        else:
            return
        message = f"the namespace '{name}', {whence}, {why}"
        self._problem("error", code, message, advice, self.source, where)

    def _label_value(self, tag: str, key: str) -> str:
        """A tag's value as a label's: at most 63 letters, digits, '-', '_' and '.', the first and last no sign."""
        said = self.intent.tags[tag]
        written = said if isinstance(said, str) else "_".join(said)
        value = _NOT_IN_LABELS.sub("_", written)[:LABEL_LENGTH].strip("._-")
        if value != written:
            message = f"tag '{tag}' becomes the label {key}={value}"
            advice = "labels hold 63 letters, digits, '-', '_' and '.'; map the tag to an annotation to keep its text"
            self._problem("warning", "tag-altered", message, advice, self.source, ("tags", tag))
        return value

    # What may be used

    def _quota(self) -> None:
        quotas = self.zone.quotas
        for limit, amounts in (("default", quotas.default), ("max", quotas.max)):
            for name in amounts:
                if name not in QUOTAS:
                    likely = suggest(name, QUOTAS)
                    known = f"quotas of Kubernetes are {', '.join(QUOTAS)}"
                    advice = f"did you mean '{likely}'?" if likely else known
                    where = ("kubernetes", "quotas", limit, name)
                    message = f"unknown quota '{name}'"
                    self._problem("error", "unknown-quota", message, advice, self.landing_zone_source, where)
        for name, given in quotas.default.items():
            if name in quotas.max and given > quotas.max[name]:
                message = f"default {name} of {given} is more than max of {quotas.max[name]}"
                where = ("kubernetes", "quotas", "default", name)
                self._problem(
                    "error",
                    "out-of-range",
                    message,
                    "lower it, or raise max",
                    self.landing_zone_source,
                    where,
                )
        for name, asked in self.intent.quotas.items():
            if name in quotas.max and asked > quotas.max[name]:
                message = (
                    f"quota {name} of {asked} is above the {quotas.max[name]} of {self.landing_zone_source}"
                )
                advice = "ask for less, or for a higher maximum in the landing zone"
                where = (*self.row, "quotas", name)
                self._problem("error", "quota-too-high", message, advice, self.source, where)
        hard = {
            QUOTAS[name][0]: canonical(f"{most}{QUOTAS[name][1]}")
            for name, most in self.quotas.items()
            if name in QUOTAS
        }
        self._within(QUOTA, QUOTA, OWN_NAME, {"hard": _pairs(hard)} if hard else {})

    @property
    def quotas(self) -> dict[str, int]:
        """What the tenant gets: what it asks for, else the default, else the most that it could ask for."""
        return {**self.zone.quotas.max, **self.zone.quotas.default, **self.intent.quotas}

    def _limits(self, encoded: bytes) -> None:
        rows, wrong = _limit_range(encoded)
        for one in wrong:
            self._problem("error", one.code, one.message, one.advice, self.landing_zone_source, one.path)
        self._within(LIMITS, LIMITS, OWN_NAME, {"limits": rows} if rows else {})

    def _network_policies(self) -> None:
        named = self.zone.network_policies
        for i, policy in enumerate(named):
            if policy in _OPENS and not set(_OPENS[policy]).intersection(named):
                message = f"'{policy}' alone would close everything else in silence"
                advice = f"name {' or '.join(_OPENS[policy])} too, of which it is the exception"
                path = ("kubernetes", "networkPolicies", i)
                self._problem("error", "policy-alone", message, advice, self.landing_zone_source, path)
        for policy in sorted(set(named)):
            spec = {"spec": _policy_text(policy, named)}
            self._within(NETWORK_POLICY, f"{NETWORK_POLICY}/{policy}", f"{OWN_NAME}-{policy}", spec)

    def _objects(self) -> None:
        """What the landing zone's manifests add."""
        intent = self.intent
        if not intent.landing_zone_files:
            return
        plain = {
            "namespace": self.name,
            "workspace": intent.workspace,
            "project": intent.project,
            "organization": intent.organization,
        }
        values = Values(plain, self.tags, self.quotas, self.source, self.row)
        found, problems = objects(intent.landing_zone_files, values)
        self.problems += problems
        for made in found:
            attributes: dict[str, Value] = {
                "name": made.name,
                "namespace": Ref(self.key),
                "api_version": made.api_version,
                "object_kind": made.kind,
                "manifest": made.manifest,
            }
            asking = (self.source, self.landing_zone_source, file_source(made.path))
            sources = (*asking, *tag_sources(self.intent))
            self.resources.append(
                Resource(self._part(made.part), OBJECT, attributes, self.owner, sources=sources)
            )
            if made.kind == "RoleBinding":
                self._workloads(made)

    def _workloads(self, made: Object) -> None:
        """The service accounts that a landing zone itself gives a role are nothing to be told each time."""
        binding = msgspec.json.decode(made.manifest)
        ref, subjects = binding.get("roleRef"), binding.get("subjects")
        if not isinstance(ref, dict) or not isinstance(subjects, list):
            return  # which the API server refuses
        role = Native("role", f"{ref.get('kind')}/{ref.get('name')}", str(ref.get("name")))
        for number, subject in enumerate(one for one in subjects if isinstance(one, dict)):
            name = str(subject.get("name"))
            account = Native("ServiceAccount", f"{subject.get('namespace') or self.name}/{name}", name)
            attributes: dict[str, Value] = {"namespace": Ref(self.key), "role": role, "subject": account}
            key = self._part(f"{made.part}/{number}")
            self.tolerated.append(Resource(key, BINDING, attributes, self.owner))

    def _within(self, kind: str, part: str, name: str, content: Mapping[str, Value]) -> None:
        """Something in the namespace; nothing where it would be empty."""
        if content:
            attributes: dict[str, Value] = {"name": name, "namespace": Ref(self.key), **content}
            sources = (self.source, self.landing_zone_source)
            self.resources.append(Resource(self._part(part), kind, attributes, self.owner, sources=sources))

    # Who may do what

    def _bindings(self) -> None:
        """One link for each native role and subject: two project roles may mean the same one here."""
        merged: dict[tuple[str, str], Resource] = {}
        for term in sorted(self.intent.grants, key=_ROLE):
            native = self._native_role(term)
            if native is None or not term.in_force(self.now):
                continue
            if not self.links:
                for _ in self._names(term):
                    pass
                continue
            asking = term_source(scope_of(self.owner), term)
            rank = BUILT_IN_PROJECT_ROLES.get(term.role, 0)
            for part, subject, principal in self._subjects(term):
                before = merged.get((native, part))
                sources = (*before.sources, asking) if before else (asking,)
                merged[native, part] = self._binding(
                    f"{BINDING}/{native}/{part}",
                    native,
                    subject,
                    sources,
                    principal,
                    max(rank, before.rank) if before else rank,
                )
        self.resources += [merged[names] for names in sorted(merged)]

    def _native_role(self, term: Term) -> str | None:
        native = self.zone.roles.get(term.role) or BUILT_IN_ROLES.get(term.role)
        if native is not None:
            return native
        roles = BUILT_IN_ROLES | self.zone.roles
        self._problem(
            "error",
            "unmapped-role",
            f"role '{term.role}' means nothing in landing zone '{self.intent.landing_zone}'",
            f"add it to `kubernetes.roles` of {self.landing_zone_source}, or grant one of {', '.join(roles)}",
            term_source(scope_of(self.owner), term),
            ("role",),
        )
        return None

    def _subjects(self, term: Term) -> Iterator[tuple[str, Native, str]]:
        """Whom a grant is for: the last part of the link's key, the subject, and the principal if it is a person."""
        for name, principal in self._names(term):
            if principal:
                yield f"user/{principal}", Native("User", "", Personal(name)), principal
            else:
                yield f"group/{term.subject}", Native("Group", "", name), ""

    def _names(self, term: Term) -> Iterator[tuple[str, str]]:
        """What those are called whom a grant is for, each with its principal; a group that tokens claim has none."""
        groups = self.platform.subjects.groups
        if term.subject_kind == "group" and groups.as_ == "claim":
            name = groups.prefix + groups.pattern.replace("{group}", term.subject)
            if self._allowed(name, f"group '{term.subject}'", term):
                yield name, ""
            return
        people, holders, called = self.directory.people, self._holders, self._called
        members = self.directory.members(term.subject_kind, term.subject)
        for principal in sorted(set(members)) if len(members) > 1 else members:
            person = people.get(principal)
            if person is not None and person.active:
                own = called(principal, person, term)
                if own is None:
                    continue
                if (other := holders.setdefault(own, principal)) == principal:
                    yield own, principal
                else:
                    self._problem(
                        "warning", "shared-external-id", f"{principal} and {other} have the same external id",
                        "give each User an external id of its own", document_source("User", principal),
                    )  # fmt: skip

    def _called(self, principal: str, person: Person | None, asking: Term | None) -> str | None:
        """What somebody is called here; None where it cannot be told, or may not be so."""
        users = self.platform.subjects.users
        external = person.external_ids.get(users.external_id) if person else None
        if external is None or not external.text:
            known = self.directory.external_ids
            if users.external_id not in known:
                way = ("kubernetes", "subjects", "users", "externalId")
                self._tell(nobody_has(users.external_id, known, self.platform_source, way))
                return None
            self._problem(
                "warning",
                "no-external-id",
                f"user '{principal}' has no external id for '{users.external_id}'",
                f"add `externalIds: {{{users.external_id}: ...}}` to the User, the name in its tokens",
                self._source_of(asking),
            )
            return None
        name = users.prefix + external.text
        if not name.startswith(RESERVED_SUBJECTS) or self._allowed(name, f"user '{principal}'", asking):
            return name
        return None

    def _allowed(self, name: str, who: str, asking: Term | None) -> bool:
        """Whether that name is not one that the API server gives a meaning of its own."""
        if not name.startswith(RESERVED_SUBJECTS):
            return True
        self._problem(
            "warning",
            "reserved-subject",
            f"{who} would be called '{RESERVED_SUBJECTS}…' by the API server, which means somebody of its own",
            f"use another prefix in `kubernetes.subjects` of {self.platform_source}",
            self._source_of(asking),
        )
        return False

    def _source_of(self, asking: Term | None) -> str:
        """The grant that asks for somebody; or the platform, which names operators."""
        return term_source(scope_of(self.owner), asking) if asking else self.platform_source

    def _operators(self) -> None:
        """Operators may hold their role here, and need not. A native name may be a user's or a group's."""
        for operator in self.intent.operators:
            if operator.native is not None:
                found = [
                    Native("User", "", Personal(operator.native)),
                    Native("Group", "", operator.native),
                ]
            else:
                person = self.directory.people.get(operator.user or "")
                called = self._called(operator.user or "", person, None)
                found = [Native("User", "", Personal(called))] if called is not None else []
            name = operator.user or f"native:{operator.native}"
            self.tolerated += [
                self._binding(
                    f"operator/{operator.role}/{subject.kind.lower()}/{name}", operator.role, subject
                )
                for subject in found
            ]

    def _binding(
        self,
        part: str,
        role: str,
        subject: Native,
        sources: tuple[str, ...] = (),
        principal: str = "",
        rank: int = 0,
    ) -> Resource:
        attributes: dict[str, Value] = {
            "namespace": self.namespace, "role": find_role(role), "subject": subject
        }  # fmt: skip
        return Resource(
            self._part(part), BINDING, attributes, self.owner, sources=sources, principal=principal, rank=rank
        )

    # Keys, blocks and problems

    def _part(self, part: str) -> Key:
        return Key(self.key.organization, self.key.workspace, self.key.project, part)

    def _block(self, encoded: bytes, block: type[_Block], source: str) -> _Block | None:
        converted: _Block | str = _converted(block, encoded)
        if isinstance(converted, str):
            advice = "see the reference of `kubernetes:`"
            self._problem("error", "invalid-block", converted, advice, source, ("kubernetes",))
            return None
        return converted

    def _problem(
        self,
        severity: Literal["error", "warning"],
        code: str,
        message: str,
        advice: str,
        source: str,
        path: _Path = (),
    ) -> None:
        self._tell(Problem(severity, code, message, advice, source, path))

    def _tell(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def network_policy(policy: str, named: tuple[str, ...]) -> dict[str, Any]:
    """The spec of one of our policies, written as the API server holds it, beside the others that are named.

    An exception is about just the directions that are denied: it would close the other one.
    """
    spec: dict[str, Any] = {"podSelector": {}, "policyTypes": []}
    opened = {
        "allow-same-namespace": [_OWN_PODS],
        "allow-dns": [_DNS],
        "allow-internet": [
            {"ipBlock": {"cidr": cidr, "except": private}} for cidr, private in _PRIVATE.items()
        ],
    }.get(policy)
    for direction, key, peers in (("ingress", "Ingress", "from"), ("egress", "Egress", "to")):
        denial = f"deny-{direction}"
        if policy == denial or (denial in _OPENS.get(policy, ()) and denial in named):
            spec["policyTypes"].append(key)
            if opened is not None:
                spec[direction] = [{peers: opened}]
    if policy == "allow-dns" and "egress" in spec:
        spec["egress"][0]["ports"] = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    return spec


@lru_cache(maxsize=4096)
def _converted(block: type[_Block], encoded: bytes) -> _Block | str:
    """The typed block, or why it is none; the same bytes are read once."""
    try:
        converted: _Block = msgspec.json.decode(encoded, type=block)
    except msgspec.ValidationError as error:
        return str(error)
    return converted


@lru_cache(maxsize=4096)
def _limit_range(encoded: bytes) -> tuple[tuple[str, ...], tuple[Wrong, ...]]:
    """The LimitRange of a landing zone, as `limit_range`; the same bytes are read once."""
    zone: LandingZoneBlock | str = _converted(LandingZoneBlock, encoded)
    return ((), ()) if isinstance(zone, str) else limit_range(zone.limits)


@lru_cache(maxsize=4096)
def _policy_text(policy: str, named: tuple[str, ...]) -> str:
    """The spec of one of our policies, as text that is compared."""
    return encode(network_policy(policy, named)).decode()


def _pairs(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(f"{key}={value}" for key, value in values.items()))
