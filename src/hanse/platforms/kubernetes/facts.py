"""From objects of the API server to things of ours: what carries our mark, and the part of it that we decide. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from hanse.foundation import canonical
from hanse.model import Foreign, Key, Native, Personal, Ref, Resource, Tenant, Value, owner_of
from hanse.platforms.kubernetes.blocks import FIELD_MANAGER, KEY_ANNOTATION, MANAGED_BY, OWN_NAME, STAMP_LABEL
from hanse.platforms.kubernetes.wire import Binding, ClusterBinding, Managed, Meta, Namespace, Object, Subject

NAMESPACE = "namespace"
ACTIVE = "Active"
NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server puts it on every namespace by itself."""
MANIFEST_ANNOTATION = "hanse/manifest"
"""Digest of the landing-zone manifest that an object was made from."""
FIELDS_ANNOTATION = "hanse/fields"
"""Digest of the fields that were ours when it was applied: who changes one of them takes it over, and this differs."""
MADE_ANNOTATION = "hanse/made"
"""On objects that were not there before: they go away with the manifest, others only lose what we set."""
_BINDINGS = "bindings"
"""Attribute of an observed link: the RoleBindings that give it."""
_BETWEEN = "/"
"""No name of a RoleBinding has it (k8s.io/apimachinery, pkg/api/validation/path)."""
_SERVICE_GROUPS = ("system:serviceaccounts", "system:nodes", "system:bootstrappers")
_SERVICE_USER, _ANYBODY = "system:", "system:anonymous"


def namespace_key(organization: str, owner: Tenant) -> Key:
    """The key of a tenant's namespace."""
    return Key(organization, owner.workspace, owner.project, NAMESPACE)


def key_of(meta: Meta, organization: str, stamps: Mapping[str, Key]) -> Key | None:
    """Whose namespace it is: by its annotation, or by its label where the annotation was taken off."""
    key = Key.parse(meta.annotations.get(KEY_ANNOTATION, ""))
    if key is None or key.part != NAMESPACE:
        key = stamps.get(meta.labels.get(STAMP_LABEL, ""))
    return key if key is not None and key.organization == organization else None


def namespace(seen: Namespace, key: Key, platform: str, wanted: Resource | None) -> Resource:
    """A namespace of ours, with those labels and annotations that we set or want."""
    meta = seen.metadata
    labels, annotations = _owned(meta.managed_fields)
    if wanted is not None:
        labels |= _keys(wanted.attributes.get("labels"))
        annotations |= _keys(wanted.attributes.get("annotations"))
    stamp = key.stamp
    whole = meta.labels.get(STAMP_LABEL) == stamp and meta.annotations.get(KEY_ANNOTATION) == str(key)
    going = meta.deletion_timestamp is not None or seen.status.phase == "Terminating"
    attributes: dict[str, Value] = {
        "name": meta.name,
        "labels": _pairs(meta.labels, labels - {STAMP_LABEL, NAME_LABEL}),
        "annotations": _pairs(meta.annotations, annotations - {KEY_ANNOTATION}),
        "stamp": stamp if whole else "",
        "phase": "Terminating" if going else ACTIVE,
    }
    return Resource(key, NAMESPACE, attributes, owner_of(key, platform), meta.name)


def _keys(pairs: Value) -> set[str]:
    return {pair.partition("=")[0] for pair in pairs} if isinstance(pairs, tuple) else set()


def _pairs(values: Mapping[str, str], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(f"{key}={values[key]}" for key in keys if key in values))


def _owned(entries: Iterable[Managed]) -> tuple[set[str], set[str]]:
    """Keys of the labels and annotations that were set by us last (`fieldsV1` of managedFields)."""
    labels: set[str] = set()
    annotations: set[str] = set()
    for entry in entries:
        if entry.manager == FIELD_MANAGER and not entry.subresource:
            of_labels, of_annotations = _named(bytes(entry.fields))
            labels |= of_labels
            annotations |= of_annotations
    return labels, annotations


@lru_cache(maxsize=256)
def _named(fields: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """As `_owned`, of one entry. Those of most namespaces are the same, to the byte."""
    metadata = msgspec.json.decode(fields).get("f:metadata", {})
    return _names(metadata.get("f:labels", {})), _names(metadata.get("f:annotations", {}))


def _names(fields: Iterable[str]) -> frozenset[str]:
    return frozenset(name[2:] for name in fields if name.startswith("f:"))


# Things within a namespace


def is_managed(meta: Meta) -> bool:
    """Whether an object within a namespace of ours says that we keep it."""
    return meta.labels.get(MANAGED_BY[0]) == MANAGED_BY[1]


def hard(spec: Any) -> tuple[str, ...]:
    """The limits of a ResourceQuota's spec; and by their fields' names what would narrow it, such as scopes."""
    fields = _mapping(spec)
    found = {name: str(quantity) for name, quantity in _mapping(fields.get("hard")).items()}
    found |= {name: text(value) for name, value in fields.items() if name != "hard"}
    return tuple(sorted(f"{name}={value}" for name, value in found.items()))


def limits(spec: Any) -> tuple[str, ...]:
    """The rows of a LimitRange's spec, such as `Container.default.cpu=500m`."""
    rows = _mapping(spec).get("limits")
    return tuple(
        sorted(
            f"{item.get('type')}.{section}.{name}={quantity}"
            for item in (rows if isinstance(rows, list) else [])
            for section, amounts in _mapping(item).items()
            if isinstance(amounts, dict)
            for name, quantity in amounts.items()
        )
    )


def text(value: Any) -> str:
    """A value as canonical JSON."""
    return canonical.encode(value).decode()


def fields_digest(meta: Meta) -> str:
    """Names the fields that are ours by server-side apply."""
    for entry in meta.managed_fields:
        if entry.manager == FIELD_MANAGER and entry.operation == "Apply" and not entry.subresource:
            return canonical.digest(msgspec.json.decode(entry.fields))
    return ""


def manifest(meta: Meta, wanted: Resource | None) -> str:
    """The manifest that an object was made from, if it still is what was applied; else words that say what it is."""
    made_from = meta.annotations.get(MANIFEST_ANNOTATION, "")
    if not made_from:
        return ""
    if meta.annotations.get(FIELDS_ANNOTATION) != fields_digest(meta):
        return "(changed by hand)"
    asked = str(wanted.attributes.get("manifest", "")) if wanted is not None else ""
    return asked if asked and canonical.digest_bytes(asked.encode()) == made_from else f"sha256:{made_from}"


def thing(kind: str, key: Key, namespace_: Key, seen: Object, platform: str, **attributes: Value) -> Resource:
    """A thing within a namespace of ours."""
    meta = seen.metadata
    return Resource(
        key,
        kind,
        {"name": meta.name, "namespace": Ref(namespace_), **attributes},
        owner_of(key, platform),
        f"{meta.namespace}/{meta.name}",
    )


def beside(namespace_: Key, part: str) -> Key:
    """The key of a thing within a namespace."""
    return Key(namespace_.organization, namespace_.workspace, namespace_.project, part)


def _quota(seen: Object) -> tuple[str, dict[str, Value]]:
    return ("quota" if seen.metadata.name == OWN_NAME else "", {"hard": hard(seen.spec)})


def _limits(seen: Object) -> tuple[str, dict[str, Value]]:
    return ("limits" if seen.metadata.name == OWN_NAME else "", {"limits": limits(seen.spec)})


def _policy(seen: Object) -> tuple[str, dict[str, Value]]:
    prefix, _, name = seen.metadata.name.partition("-")
    return (f"network-policy/{name}" if prefix == OWN_NAME and name else "", {"spec": text(seen.spec)})


PARTS: dict[str, Callable[[Object], tuple[str, dict[str, Value]]]] = {
    "quota": _quota,
    "limits": _limits,
    "network-policy": _policy,
}
"""By kind: the part of the key that an object's name stands for (empty: none of ours), and what we decide of it."""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# Who may do what


def role(kind: str, name: str) -> Native:
    """A ClusterRole, or a Role of the namespace."""
    return Native("role", f"{kind}/{name}", name)


def subject(one: Subject, home: str = "") -> Native:
    """A person, a group or a service account, as the API server knows it.

    An account without a namespace is of the binding's own, `home` (k8s.io/kubernetes, pkg/registry/rbac/validation).
    """
    if one.kind == "ServiceAccount":
        return Native("ServiceAccount", f"{one.namespace or home}/{one.name}", one.name)
    return Native(one.kind, "", Personal(one.name) if one.kind == "User" else one.name)


def is_workload(one: Subject) -> bool:
    """Whether a subject is a program: a service account, a node, a part of Kubernetes.

    `system:authenticated`, `system:unauthenticated` and `system:masters` are people, and anybody at that, as is
    `system:anonymous`.
    """
    if one.kind == "Group":
        return one.name.startswith(_SERVICE_GROUPS)
    return one.kind == "ServiceAccount" or (one.name.startswith(_SERVICE_USER) and one.name != _ANYBODY)


def inherited(binding: ClusterBinding, number: int, one: Subject) -> Foreign:
    """What a binding to the whole cluster gives one of its subjects.

    Its ids are such that no namespace has one: a namespace may be called as a group is, and lies in none for that.
    """
    who = subject(one)
    given = role(binding.role_ref.kind, binding.role_ref.name)
    return Foreign("cluster-binding", f"{binding.metadata.name}#{number}", {"role": given, "subject": who})


def links(namespace_: Key, bindings: Iterable[Binding], platform: str) -> list[Resource]:
    """Who holds what in a namespace of ours: one link for each role and subject, with the bindings that give it."""
    found: dict[tuple[str, str, str], tuple[Native, Native, bool, list[str]]] = {}
    for binding in bindings:
        given = role(binding.role_ref.kind, binding.role_ref.name)
        for one in binding.subjects or ():
            who = subject(one, binding.metadata.namespace)
            row = found.setdefault((given.id, who.kind, who.identity), (given, who, is_workload(one), []))
            row[3].append(binding.metadata.name)
    owner = owner_of(namespace_, platform)
    at = Ref(namespace_)
    return [
        # No name of a role or person begins with '=', so that an observed link never has the key of a desired one.
        Resource(
            Key(
                namespace_.organization,
                namespace_.workspace,
                namespace_.project,
                f"binding/={given.id}/={_told_apart(who)}",
            ),
            "binding",
            {"namespace": at, "role": given, "subject": who, _BINDINGS: _together(names)},
            owner,
            principal=who.identity,
            workload=workload,
        )
        for given, who, workload, names in found.values()
    ]


def _together(names: Iterable[str]) -> Personal:
    """Names of RoleBindings. People and tools call them after those who get the role, so they are text about people."""
    return Personal(_BETWEEN.join(names))


def binding_names(values: Mapping[str, Value]) -> tuple[str, ...]:
    """The bindings that give what a link says; none where that was not looked at."""
    together = values.get(_BINDINGS)
    return tuple(together.text.split(_BETWEEN)) if isinstance(together, Personal) else ()


def _told_apart(who: Native) -> str:
    """A digest in place of a name: keys go into the journal's chain, which holds no text about people."""
    return hashlib.sha256(f"{who.kind} {who.identity}".encode()).hexdigest()[:12]
