"""Further objects of a namespace, from the landing zone's folder of manifests: placeholders, and what is refused. Pure.

A finding about a file is the same for each tenant of the landing zone, so that it is told once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

import msgspec

from hanse.desired.compiled import Problem
from hanse.desired.source import file_source
from hanse.foundation.canonical import encode
from hanse.foundation.diagnostics import suggest
from hanse.platforms.kubernetes.blocks import LABEL_LENGTH, OWN_NAME, QUOTAS, is_reserved
from hanse.platforms.kubernetes.paths import object_part

CLUSTER_SCOPED: dict[str, frozenset[str]] = {
    "": frozenset({"ComponentStatus", "Namespace", "Node", "PersistentVolume"}),
    "admissionregistration.k8s.io": frozenset(
        {
            "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
        }
    ),
    "apiextensions.k8s.io": frozenset({"CustomResourceDefinition"}),
    "apiregistration.k8s.io": frozenset({"APIService"}),
    "authentication.k8s.io": frozenset({"SelfSubjectReview", "TokenReview"}),
    "authorization.k8s.io": frozenset({"SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"}),
    "certificates.k8s.io": frozenset({"CertificateSigningRequest", "ClusterTrustBundle"}),
    "flowcontrol.apiserver.k8s.io": frozenset({"FlowSchema", "PriorityLevelConfiguration"}),
    "internal.apiserver.k8s.io": frozenset({"StorageVersion"}),
    "networking.k8s.io": frozenset({"IPAddress", "IngressClass", "ServiceCIDR"}),
    "node.k8s.io": frozenset({"RuntimeClass"}),
    "policy": frozenset({"PodSecurityPolicy"}),
    "rbac.authorization.k8s.io": frozenset({"ClusterRole", "ClusterRoleBinding"}),
    "resource.k8s.io": frozenset({"DeviceClass", "DeviceTaintRule", "ResourceSlice"}),
    "scheduling.k8s.io": frozenset({"PriorityClass"}),
    "storage.k8s.io": frozenset(
        {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"}
    ),
    "storagemigration.k8s.io": frozenset({"StorageVersionMigration"}),
}  # fmt: skip
"""Kinds of the API itself that lie in no namespace, by group: as discovery of Kubernetes 1.36 names them, and those
that are behind a feature gate or gone since."""
NOT_KEPT = frozenset({("", "Binding"), ("authorization.k8s.io", "LocalSubjectAccessReview")})
"""Kinds in a namespace that can be sent and never read, of the same source."""
MADE_BY_HANSE = frozenset(
    {
        ("", "ResourceQuota"),
        ("", "LimitRange"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
    }
)
"""Kinds of which Hanse makes objects of its own, called `hanse` or `hanse-...`."""
METADATA = ("name", "namespace", "labels", "annotations", "finalizers")
"""Fields of metadata that a manifest may have; the others are the API server's."""
NAMESPACE = "${namespace}"
MAX_LENGTH = 1_500_000
"""Of an object, in characters of its JSON: etcd takes requests of 1.5 MiB (etcd.io, "System limits")."""

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_API_VERSION = re.compile(r"(?:([a-z0-9]([a-z0-9.-]*[a-z0-9])?)/)?v[0-9][a-z0-9]*")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*")
_NAME = re.compile(r"[^/%\s\x00-\x1f]{1,253}")
_LABEL = re.compile(rf"([A-Za-z0-9]([A-Za-z0-9._-]{{0,{LABEL_LENGTH - 2}}}[A-Za-z0-9])?)?")
_WORKLOAD = "system:serviceaccount"
"""What the names of service accounts, and of their groups, begin with as User and Group."""

_Steps = tuple[str | int, ...]


class Object(NamedTuple):
    """One object that a namespace shall hold."""

    api_version: str
    kind: str
    name: str
    manifest: str
    """Canonical JSON of what the file says of it, without name and namespace."""
    path: str
    """The file."""

    @property
    def part(self) -> str:
        """Its part of a key."""
        return object_part(self.api_version, self.kind, self.name)


class Values(NamedTuple):
    """What placeholders stand for in one tenant."""

    plain: Mapping[str, str]
    """By name: namespace, workspace, project, organization."""
    tags: Mapping[str, str]
    quotas: Mapping[str, int]
    project: str
    """The source of the project, for what it lacks."""
    row: tuple[str, ...] = ("tenants",)
    """The way to its tenant."""


def objects(files: Mapping[str, str], values: Values) -> tuple[list[Object], list[Problem]]:
    """The objects of one tenant, and what is wrong with the files or lacking in the project.

    `files` are those of the landing zone by path, each the canonical JSON of its documents.
    """
    found: dict[tuple[str, str, str], Object] = {}
    problems: dict[Problem, None] = {}
    for path, text in sorted(files.items()):
        for number, document in enumerate(_documents(text)):
            reading = _Reading(file_source(path, number), values, problems)
            made = reading.object(document, path)
            if made is None:
                continue
            first = found.setdefault((_group(made.api_version), made.kind, made.name), made)
            if first is not made:
                where = "this file" if first.path == path else first.path
                message = f"{made.kind} '{document['metadata']['name']}' stands in {where} already"
                reading.wrong("second-object", message, "keep one of the two", ("metadata", "name"))
    return list(found.values()), list(problems)


def is_version(value: object) -> TypeGuard[str]:
    """Whether it is written as an `apiVersion` is, such as `apps/v1`."""
    return isinstance(value, str) and _API_VERSION.fullmatch(value) is not None


def is_kind(value: object) -> TypeGuard[str]:
    """Whether it is written as a `kind` is."""
    return isinstance(value, str) and _KIND.fullmatch(value) is not None


class _Reading:
    """One document on its way to an object."""

    def __init__(self, source: str, values: Values, problems: dict[Problem, None]) -> None:
        self.source = source
        self.values = values
        self.problems = problems
        self.sound = True

    def object(self, document: dict[str, Any], path: str) -> Object | None:
        """The object; None where anything is wrong with it, and then that is told."""
        self._head(document)
        if not self.sound:
            return None
        rendered = self._render(document, ())
        if not self.sound:
            return None
        self._names(document, rendered)
        self._content(rendered)
        if not self.sound:
            return None
        metadata = {k: v for k, v in rendered["metadata"].items() if k not in ("name", "namespace") and v}
        rest = {key: value for key, value in rendered.items() if key != "metadata"}
        manifest = encode({**rest, "metadata": metadata} if metadata else rest).decode()
        if len(manifest) > MAX_LENGTH:
            message = f"this object has more than {MAX_LENGTH:,} characters"
            advice = "make several of it: a cluster's etcd takes no request of more than 1.5 MiB"
            self.wrong("too-large", message, advice)
            return None
        return Object(rendered["apiVersion"], rendered["kind"], rendered["metadata"]["name"], manifest, path)

    def wrong(self, code: str, message: str, advice: str, steps: _Steps = ()) -> None:
        """Report an error in this document."""
        self.sound = False
        self._tell(Problem("error", code, message, advice, self.source, steps))

    def _tell(self, problem: Problem) -> None:
        self.problems[problem] = None  # each once, in order

    # What it is, as the file says it

    def _head(self, document: dict[str, Any]) -> None:
        for name, fits, example in (("apiVersion", is_version, "v1"), ("kind", is_kind, "ConfigMap")):
            value = document.get(name)
            if name not in document:
                self.wrong("missing-field", f"missing field '{name}'", f"add '{name}: …', such as {example}")
            elif not fits(value):
                message = f"this is no {name} of Kubernetes"
                self.wrong(
                    "not-allowed", message, f"write one such as {example}, without placeholders", (name,)
                )
        metadata = document.get("metadata")
        if not isinstance(metadata, dict):
            self.wrong(
                "missing-field", "missing field 'metadata'", "add 'metadata: {name: …}'", ("metadata",)
            )
            return
        if "generateName" in metadata:
            advice = "give it a `name`: an object without one cannot be found again"
            self.wrong("not-allowed", "'generateName' is not taken", advice, ("metadata", "generateName"))
        elif not isinstance(metadata.get("name"), str):
            advice = "add 'name: …', as text"
            self.wrong("missing-field", "missing field 'metadata.name'", advice, ("metadata", "name"))
        for name in metadata:
            if name not in METADATA and name != "generateName":
                likely = suggest(name, METADATA)
                advice = f"did you mean '{likely}'?" if likely else "take it out"
                message = f"'metadata.{name}' is not for a manifest: the API server decides it"
                self.wrong("not-allowed", message, advice, ("metadata", name))
        if "status" in document:
            message = "'status' is not for a manifest: the cluster decides it"
            self.wrong("not-allowed", message, "take it out", ("status",))
        if metadata.get("namespace", NAMESPACE) != NAMESPACE:
            advice = f"leave it out, or write {NAMESPACE}"
            message = "an object of a landing zone lies in the tenant's namespace and in no other"
            self.wrong("other-namespace", message, advice, ("metadata", "namespace"))
        if self.sound:
            self._kind(_group(document["apiVersion"]), document["kind"], document)

    def _kind(self, group: str, kind: str, document: dict[str, Any]) -> None:
        if kind in CLUSTER_SCOPED.get(group, ()):
            advice = "leave it to whoever runs the cluster; a landing zone's objects lie in one namespace"
            self.wrong(
                "cluster-scoped", f"{kind} is of the whole cluster, and not of a namespace", advice, ("kind",)
            )
        elif (group, kind) in NOT_KEPT:
            message = f"{kind} is a request and no object: the API server does not keep it"
            self.wrong("not-allowed", message, "take it out", ("kind",))
        elif kind.endswith("List") and "items" in document:
            advice = "write each object as a document of its own, with `---` between them"
            self.wrong("not-allowed", f"{kind} is a list of objects", advice, ("kind",))

    # Placeholders

    def _render(self, value: Any, steps: _Steps) -> Any:
        if isinstance(value, str):
            return self._text(value, steps) if "$" in value else value
        if isinstance(value, list):
            return [self._render(item, (*steps, i)) for i, item in enumerate(value)]
        if isinstance(value, dict):
            rendered = {
                self._text(key, (*steps, key)): self._render(item, (*steps, key))
                for key, item in value.items()
            }
            if len(rendered) < len(value) and self.sound:
                message = "two keys here become the same text"
                self.wrong("duplicate-key", message, "take one out, or use other placeholders", steps)
            return rendered
        return value

    def _text(self, text: str, steps: _Steps) -> str:
        return _PLACEHOLDER.sub(lambda match: self._meaning(match[1], steps), text)

    def _meaning(self, name: str | None, steps: _Steps) -> str:
        if name is None:
            return "${"
        sort, dot, rest = name.partition(".")
        if not dot and name in self.values.plain:
            return self.values.plain[name]
        if sort == "tag" and rest:
            if rest not in self.values.tags:
                self._lacks(
                    f"tag '{rest}'", f"add it to the project's `tags`, or take ${{{name}}} out", ("tags",)
                )
            return self.values.tags.get(rest, "")
        if sort == "quota" and rest in QUOTAS:
            if rest not in self.values.quotas:
                advice = "ask for it in the project's `quotas`, or give a default in the landing zone"
                self._lacks(f"quota '{rest}'", advice, self.values.row)
            return str(self.values.quotas.get(rest, ""))
        known = [*self.values.plain, *(f"quota.{quota}" for quota in QUOTAS), "tag.NAME"]
        likely = suggest(name, known)
        advice = (
            f"did you mean ${{{likely}}}?"
            if likely
            else f"known: {', '.join(known[:4])}, tag.NAME, quota.NAME"
        )
        message = f"unknown placeholder ${{{name}}}"
        self.wrong("unknown-placeholder", message, f"{advice}; $${{ stands for ${{ itself", steps)
        return ""

    def _lacks(self, what: str, advice: str, path: _Steps) -> None:
        self.sound = False
        message = (
            f"the project has no {what}, and {self.source.removeprefix('file ').rpartition('#')[0]} needs it"
        )
        self._tell(Problem("error", "missing-value", message, advice, self.values.project, path))

    # What it says, with all placeholders filled in

    def _names(self, document: dict[str, Any], rendered: dict[str, Any]) -> None:
        kind, name = rendered["kind"], rendered["metadata"]["name"]
        own = name == OWN_NAME or name.startswith(f"{OWN_NAME}-")
        if not _NAME.fullmatch(name) or name in (".", ".."):
            written = document["metadata"]["name"]
            became = f"'{written}'" if written == name else f"'{written}' becomes '{name}', which"
            advice = "use 1 to 253 of a-z, 0-9, '-' and '.'"
            self.wrong("not-allowed", f"{became} is no name of an object", advice, ("metadata", "name"))
        elif own and (_group(rendered["apiVersion"]), kind) in MADE_BY_HANSE:
            message = f"a {kind} of this name is Hanse's own"
            advice = f"choose a name that is not '{OWN_NAME}' and does not begin with '{OWN_NAME}-'"
            self.wrong("reserved-name", message, advice, ("metadata", "name"))
        for field in ("labels", "annotations"):
            self._pairs(field, rendered["metadata"].get(field))

    def _pairs(self, field: str, pairs: Any) -> None:
        if pairs is None:
            return
        if not isinstance(pairs, dict):
            self.wrong(
                "wrong-type", f"'{field}' is no mapping", "write `key: text` below it", ("metadata", field)
            )
            return
        for key, value in pairs.items():
            steps = ("metadata", field, key)
            if is_reserved(key):
                message = f"the key '{key}' is kept for Hanse or for Kubernetes itself"
                self.wrong("reserved-key", message, "take it out", steps)
            elif not isinstance(value, str):
                self.wrong("wrong-type", f"the value of '{key}' is not text", "put it in quotes", steps)
            elif field == "labels" and not _LABEL.fullmatch(value):
                message = f"'{value}' is no value of a label"
                advice = "labels hold 63 letters, digits, '-', '_' and '.'; an annotation holds any text"
                self.wrong("not-allowed", message, advice, steps)

    def _content(self, rendered: dict[str, Any]) -> None:
        check = _CHECKS.get((_group(rendered["apiVersion"]), rendered["kind"]))
        for code, message, advice, steps in check(rendered) if check else ():
            self.wrong(code, message, advice, steps)


_Wrong = tuple[str, str, str, _Steps]


def _secret(rendered: dict[str, Any]) -> Iterator[_Wrong]:
    for field in ("data", "stringData"):
        if rendered.get(field):
            advice = "let a secret store's operator make it, such as an ExternalSecret, and name that here"
            yield "secret-in-git", "a Secret's content does not belong into git", advice, (field,)


def _role_binding(rendered: dict[str, Any]) -> Iterator[_Wrong]:
    subjects = rendered.get("subjects")
    for i, subject in enumerate(subjects if isinstance(subjects, list) else ()):
        of = subject if isinstance(subject, dict) else {}
        if of.get("kind") in ("User", "Group") and not str(of.get("name", "")).startswith(_WORKLOAD):
            advice = (
                "grant people their roles in the project's `access`, and map the role in `kubernetes.roles`"
            )
            message = "this gives people access beside the manifest's grants"
            yield "people-in-binding", message, advice, ("subjects", i)


_CHECKS: dict[tuple[str, str], Callable[[dict[str, Any]], Iterator[_Wrong]]] = {
    ("", "Secret"): _secret,
    ("rbac.authorization.k8s.io", "RoleBinding"): _role_binding,
}


@lru_cache(maxsize=1024)
def _documents(text: str) -> list[dict[str, Any]]:
    """The documents of a file; the same file is read once. Never changed."""
    documents: list[dict[str, Any]] = msgspec.json.decode(text)
    return documents


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]
