"""Carry out one step. Doing it twice changes nothing more, and nothing is chosen here.

A namespace is made by POST, which fails where there is one of that name: server-side apply would take it over. All
else is server-side apply under one field manager, by force: within a namespace of ours the declaration decides. What
an apply leaves standing, since somebody else put it beside ours, is then taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hanse.foundation import canonical
from hanse.model import Done, Native, NotYet, Outcome, Refused, Step, Unsure, Value
from hanse.platforms.kubernetes import facts
from hanse.platforms.kubernetes.blocks import (
    KEY_ANNOTATION,
    MANAGED_BY,
    STAMP_LABEL,
    binding_name,
)
from hanse.platforms.kubernetes.client import CONFLICT, NOT_FOUND, Broken, Failed, Kubernetes
from hanse.platforms.kubernetes.memory import Memory
from hanse.platforms.kubernetes.paths import (
    BINDINGS,
    NAMESPACES,
    RBAC,
    RBAC_GROUP,
    SORTS,
    THINGS,
    collection,
    path_of,
    within,
)
from hanse.platforms.kubernetes.wire import Namespace, Object, Subject, Traced, Versioned
from hanse.ports.platform import PlatformIdentity
from hanse.ports.transport import NoReply, NotAllowed, NotSent

SOON, LATER = 2.0, 30.0
"""Seconds: a hiccup of the server or a controller at work; something that a new look must tell first."""
FORBIDDEN, UNPROCESSABLE = 403, 422
SCOPES = "spec.scope"
"""What the names of fields begin with that say for which pods a ResourceQuota counts; they cannot be changed."""
TRIES = 3
"""How often an object is read again that changes while it is looked at."""
_KEEPING = ("NamespaceContentRemaining", "NamespaceFinalizersRemaining", "NamespaceDeletionDiscoveryFailure")
_FINALIZER = re.compile(r"([A-Za-z0-9./_-]{1,253}) (?:in|has) \d+ resource instances")
"""As the namespace controller words it (k8s.io/kubernetes, pkg/controller/namespace/deletion)."""
OWN_FINALIZER = "kubernetes"
"""What every namespace has in its spec, and the namespace controller takes out last."""
_DOING = {"create": "make", "update": "change", "adopt": "take over", "delete": "delete"}


async def perform(client: Kubernetes, memory: Memory, identity: PlatformIdentity, step: Step) -> Outcome:
    """The outcome of the step; every answer of the API server and every failure of the way there has one."""
    try:
        match step.kind:
            case "namespace":
                return await _OnNamespace(client, memory, identity, step).perform()
            case "binding":
                return await _OnBinding(client, memory, step).perform()
            case "object":
                return await _OnObject(client, memory, step).perform()
            case _:
                return await _OnThing(client, memory, step).perform()
    except Failed as error:
        return outcome(step, error)
    except (Broken, NoReply) as error:
        return Unsure(str(error))
    except NotSent as error:
        return NotYet(SOON, str(error))
    except NotAllowed as error:
        return Refused(str(error), error.advice)


def outcome(step: Step, error: Failed) -> Outcome:  # noqa: PLR0911, PLR0912
    """What an error of the API server means for the step."""
    what = f"{_DOING[step.action]} {step.kind}"
    if error.denied_by:
        return Refused(
            f"{what}: the cluster's own rule {error.denied_by} does not admit it",
            "its owner knows what it asks for; change the landing zone or the project to fit, or the rule",
        )
    if error.unreachable_webhook:
        return NotYet(
            LATER, f"{what}: the API server cannot reach the admission webhook {error.unreachable_webhook}"
        )
    if error.is_malformed:
        return _not_taken(step, what, error)
    match error.code:
        case 401:
            return Refused(
                f"{what}: the API server does not accept the credential", "make and bind a new one"
            )
        case 403 if "NamespaceTerminating" in error.causes:
            return NotYet(SOON, f"{what}: its namespace is being deleted")
        case 403 if error.is_over_quota:
            return Refused(
                f"{what}: a ResourceQuota of the namespace leaves no room for it",
                "raise the quota in the landing zone",
            )
        case 403 if step.kind == "binding" and step.action != "delete":
            role = step.after["role"]
            name = role.name if isinstance(role, Native) else role
            return Refused(
                f"{what}: the API server does not let the account give {name}",
                f"it needs the verb `bind` on ClusterRole {name}: name the role in a landing zone's `roles`, and apply "
                "what `hanse bootstrap kubernetes` prints then",
            )
        case 403 if not error.lacks_right:
            return Refused(
                f"{what}: an admission rule of the cluster does not allow it",
                f"ask who runs the cluster, or: {_mend(step)}",
            )
        case 403:
            return Refused(
                f"{what}: the API server does not allow it",
                "`hanse doctor` says which right the account lacks; `hanse bootstrap kubernetes` prints what gives it",
            )
        case 404:
            return NotYet(LATER, f"{what}: its namespace, role or sort is not there; the next look tells")
        case 409:
            return NotYet(SOON, f"{what}: it was changed at the same time")
        case 429 | 503:
            return NotYet(error.retry_seconds or SOON, f"{what}: the API server answered {error.code}")
        case 504:
            return Unsure(f"{what}: the API server did not end it in time (504)")
        case code if code >= 500:
            return NotYet(SOON, f"{what}: the API server answered {code}")
        case 400 | 422:
            return _not_taken(step, what, error)
        case code:
            return Refused(f"{what}: the API server answered {code}", "its audit log says why")


def _not_taken(step: Step, what: str, error: Failed) -> Refused:
    fields = f": {', '.join(error.fields)}" if error.fields else ""
    return Refused(f"{what}: the API server does not take it{fields} ({error.code})", _mend(step))


def _mend(step: Step) -> str:
    if step.kind != "object":
        return "change what is declared of it in the landing zone"
    _, sort = _sort(step)
    if step.action == "update":
        return (
            f"mend the landing zone's manifest of {sort}; where it changes a field that is set once and for all, "
            "give it a new name, or delete the object by hand"
        )
    return f"mend the landing zone's manifest of {sort}; `kubectl apply --dry-run=server` tells more"


class _OnNamespace:
    """Namespaces: never one that is not ours."""

    def __init__(self, client: Kubernetes, memory: Memory, identity: PlatformIdentity, step: Step) -> None:
        self.client = client
        self.memory = memory
        self.organization = identity.organization
        self.step = step
        self.name = step.native_id or str(step.after.get("name", ""))
        self.path = path_of(NAMESPACES, self.name)

    async def perform(self) -> Outcome:
        with self.memory.writing(NAMESPACES, "", self.name):
            match self.step.action:
                case "create":
                    return await self._create()
                case "delete":
                    return await self._delete()
                case _:
                    return await self._change()

    async def _create(self) -> Outcome:
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.name, **self._metadata(self.step.after)},
        }
        try:
            made = await self.client.create(NAMESPACES, body, Traced, "create namespace")
        except Failed as error:
            if error.code != CONFLICT:
                raise
            # Either an earlier try of ours was done and nobody heard of it, or it is somebody else's.
            return await self._is_there()
        self._ours(made)
        return Done(self.name)

    async def _is_there(self) -> Outcome:
        one = await self.client.find(self.path, Namespace, "get namespace")
        if one is None:
            return NotYet(SOON, f"namespace {self.name} was there a moment ago")
        if one.metadata.deletion_timestamp is not None:
            return _terminating(one)
        if not self._is_ours(one):
            return Refused(
                f"there is a namespace {self.name} already, and it is not ours",
                f"take it over with `native: {{id: {self.name}}}` in the tenant, or choose another name",
            )
        self.memory.note(self.step.key, self.name)
        return Done(self.name)

    async def _change(self) -> Outcome:
        step = self.step
        for _ in range(TRIES):
            one = await self.client.find(self.path, Namespace, "get namespace")
            if one is None:
                return NotYet(SOON, f"namespace {self.name} is gone")
            if one.metadata.deletion_timestamp is not None:
                return _terminating(one)
            if step.action == "adopt" and self._is_marked(one) and not self._is_ours(one):
                return Refused(
                    f"namespace {self.name} carries another's mark",
                    "what another declaration owns cannot be taken over; look up the name",
                )
            if step.action == "update" and not self._is_ours(one):
                return NotYet(LATER, f"namespace {self.name} lost its mark; the next look tells")
            metadata = self._merge(one)
            try:
                made, _ = await self.client.patch(
                    self.path, {"metadata": metadata}, Traced, f"{_DOING[step.action]} namespace", "merge"
                )
            except Failed as error:
                if error.code != CONFLICT:
                    raise
                continue
            self._ours(made)
            return Done(self.name)
        return NotYet(SOON, f"namespace {self.name} changes all the time")

    async def _delete(self) -> Outcome:
        one = await self.client.find(self.path, Namespace, "get namespace")
        if one is None:
            self.memory.forget(self.name)
            return Done()
        if not self._is_ours(one):
            return Refused(
                f"namespace {self.name} is not ours any more", "it lost its mark; delete it by hand"
            )
        if one.metadata.deletion_timestamp is None:
            # Only as it was read: whoever takes our mark off now keeps what is in it.
            meta = one.metadata
            await self.client.delete(self.path, "delete namespace", meta.uid, meta.resource_version)
            one = await self.client.find(self.path, Namespace, "get namespace")
            if one is None:
                self.memory.forget(self.name)
                return Done()
        return _terminating(one)

    def _metadata(self, values: Mapping[str, Value]) -> dict[str, dict[str, str]]:
        return {
            "labels": {
                **_mapping(values.get("labels")), MANAGED_BY[0]: MANAGED_BY[1], STAMP_LABEL: self.step.key.stamp
            },
            "annotations": {**_mapping(values.get("annotations")), KEY_ANNOTATION: str(self.step.key)},
        }  # fmt: skip

    def _merge(self, one: Namespace) -> dict[str, Any]:
        """What is to be set, and as null what is to go; only if nobody changed it since it was read."""
        metadata: dict[str, Any] = {"resourceVersion": one.metadata.resource_version}
        for name, values in self._metadata(self.step.after).items():
            gone = (
                _mapping(self.step.before.get(name)).keys() - values.keys()
                if name in self.step.after
                else set()
            )
            metadata[name] = {**values, **dict.fromkeys(gone)}
        return metadata

    def _is_ours(self, one: Namespace) -> bool:
        stamps = {self.step.key.stamp: self.step.key}
        return facts.key_of(one.metadata, self.organization, stamps) == self.step.key

    def _is_marked(self, one: Namespace) -> bool:
        return KEY_ANNOTATION in one.metadata.annotations or STAMP_LABEL in one.metadata.labels

    def _ours(self, made: Traced) -> None:
        self.memory.note(self.step.key, self.name)
        self.memory.saw(NAMESPACES, made)


def _terminating(one: Namespace) -> NotYet:
    """A namespace that is being deleted, and what keeps it."""
    waits = [c for c in one.status.conditions if c.status == "True" and c.type in _KEEPING]
    keeping = sorted({name.rstrip(".") for c in waits for name in _FINALIZER.findall(c.message)})
    keeping += sorted({*one.metadata.finalizers, *one.spec.finalizers} - {OWN_FINALIZER})
    why = f": it waits for {', '.join(keeping)}" if keeping else ""
    if not keeping and any(c.type == "NamespaceDeletionDiscoveryFailure" for c in waits):
        why = ": the cluster cannot list all sorts of objects; an APIService may be down"
    return NotYet(SOON, f"namespace {one.metadata.name} is being deleted{why}")


def _mapping(pairs: Value) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in pairs) if isinstance(pairs, tuple) else {}


def _sort(step: Step) -> tuple[str, str]:
    """API version and kind of a landing zone's object; of one that is changed, the manifest alone says them."""
    if "manifest" in step.after:
        manifest = msgspec.json.decode(str(step.after["manifest"]))
        return manifest["apiVersion"], manifest["kind"]
    return str(step.before["api_version"]), str(step.before["object_kind"])


def _place(step: Step) -> tuple[str, str]:
    """Namespace and name of a thing within a namespace."""
    if step.native_id:
        namespace, _, name = step.native_id.partition("/")
        return namespace, name
    return _id(step.after["namespace"]), str(step.after["name"])


def _id(value: Value) -> str:
    return value.id if isinstance(value, Native) else ""


class _OnThing:
    """A ResourceQuota, a LimitRange or a NetworkPolicy: its spec is as declared, and holds nothing else."""

    def __init__(self, client: Kubernetes, memory: Memory, step: Step) -> None:
        self.client = client
        self.memory = memory
        self.step = step
        self.namespace, self.name = _place(step)
        self.collection = THINGS[step.kind]
        self.path = path_of(within(self.collection, self.namespace), self.name)

    async def perform(self) -> Outcome:
        with self.memory.writing(self.collection, self.namespace, self.name):
            return await (self._delete() if self.step.action == "delete" else self._apply())

    async def _apply(self) -> Outcome:
        step = self.step
        api_version, sort, _ = SORTS[step.kind]
        spec = _SPEC[step.kind](step.after)
        body = {
            "apiVersion": api_version,
            "kind": sort,
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": dict([MANAGED_BY])},
            "spec": spec,
        }
        try:
            seen = await self._put(body, spec)
        except Failed as error:
            if error.code != UNPROCESSABLE or not any(name.startswith(SCOPES) for name in error.fields):
                raise
            # What narrows a quota is set once and for all: it goes with the object.
            await self._delete()
            seen = await self._put(body, spec)
        self.memory.saw(self.collection, seen)
        return Done(f"{self.namespace}/{self.name}")

    async def _put(self, body: Any, spec: Any) -> Traced:
        """Apply, and take out what an apply leaves standing."""
        seen, _ = await self.client.patch(self.path, body, Traced, f"apply {self.step.kind}")
        if _holds_more(msgspec.json.decode(seen.spec), spec):
            put = [{"op": "replace", "path": "/spec", "value": spec}]
            seen, _ = await self.client.patch(self.path, put, Traced, f"strip {self.step.kind}", "json")
        return seen

    async def _delete(self) -> Outcome:
        try:
            await self.client.delete(self.path, f"delete {self.step.kind}")
        except Failed as error:
            if error.code != NOT_FOUND:
                raise
        else:
            self.memory.deleted(self.collection, self.namespace, self.name)
        return Done()


def _hard(values: Mapping[str, Value]) -> Any:
    return {"hard": _mapping(values["hard"])}


def _limits(values: Mapping[str, Value]) -> Any:
    items: dict[str, dict[str, Any]] = {}
    for row, quantity in _mapping(values["limits"]).items():
        sort, section, resource = row.split(".", 2)
        items.setdefault(sort, {"type": sort}).setdefault(section, {})[resource] = quantity
    return {"limits": [items[sort] for sort in sorted(items)]}


def _policy(values: Mapping[str, Value]) -> Any:
    return msgspec.json.decode(str(values["spec"]))


_SPEC: dict[str, Callable[[Mapping[str, Value]], Any]] = {
    "quota": _hard,
    "limits": _limits,
    "network-policy": _policy,
}


def _holds_more(seen: Any, wanted: Any) -> bool:
    """Whether a spec has keys that were not asked for, or a list another length."""
    if isinstance(seen, dict) and isinstance(wanted, dict):
        return bool(seen.keys() - wanted.keys()) or any(
            _holds_more(value, wanted[key]) for key, value in seen.items()
        )
    if isinstance(seen, list) and isinstance(wanted, list):
        return len(seen) != len(wanted) or any(map(_holds_more, seen, wanted))
    return False


class _OnObject:
    """An object of a landing zone: the fields that its manifest names are ours, others may be others'."""

    def __init__(self, client: Kubernetes, memory: Memory, step: Step) -> None:
        self.client = client
        self.memory = memory
        self.step = step
        self.namespace, self.name = _place(step)

    async def perform(self) -> Outcome:
        api_version, sort = _sort(self.step)
        known = await self.client.resource(api_version, sort)
        if known is None:
            if self.step.action == "delete":
                return Done()  # the cluster has forgotten the sort, and all its objects with it
            return Refused(
                f"the cluster knows no {sort} of {api_version}",
                "install what brings it, or take the manifest out of the landing zone",
            )
        if not known.namespaced:
            return Refused(
                f"{sort} of {api_version} belongs to the whole cluster, not to a namespace",
                "take the manifest out of the landing zone",
            )
        path = collection(api_version, known.name)
        at = path_of(within(path, self.namespace), self.name)
        how = self._delete if self.step.action == "delete" else self._apply
        with self.memory.writing(path, self.namespace, self.name):
            return await how(path, at, api_version, sort)

    async def _apply(self, path: str, at: str, api_version: str, sort: str) -> Outcome:
        """First as a rehearsal, which tells the fields that will be ours: their digest goes with the object."""
        asked = str(self.step.after["manifest"])
        body = msgspec.json.decode(asked)
        metadata = {**body.get("metadata", {}), "name": self.name, "namespace": self.namespace}
        metadata["labels"] = {**metadata.get("labels", {}), MANAGED_BY[0]: MANAGED_BY[1]}
        metadata["annotations"] = {
            **metadata.get("annotations", {}),
            facts.MANIFEST_ANNOTATION: canonical.digest_bytes(asked.encode()),
            facts.FIELDS_ANNOTATION: "",
            facts.MADE_ANNOTATION: "true",
        }
        body = {**body, "apiVersion": api_version, "kind": sort, "metadata": metadata}
        rehearsed, is_new = await self.client.patch(at, body, Object, "rehearse object", dry=True)
        if not is_new:
            live = await self.client.get(at, Object, "get object")
            if live.metadata.annotations.get(facts.MADE_ANNOTATION) != "true":
                metadata["annotations"][facts.MADE_ANNOTATION] = "false"
        metadata["annotations"][facts.FIELDS_ANNOTATION] = facts.fields_digest(rehearsed.metadata)
        seen, _ = await self.client.patch(at, body, Traced, "apply object")
        self.memory.saw(path, seen)
        return Done(f"{self.namespace}/{self.name}")

    async def _delete(self, path: str, at: str, api_version: str, sort: str) -> Outcome:
        """Remove what we made; give back what was there before, by an apply that names no field."""
        live = await self.client.find(at, Object, "get object")
        if live is None:
            return Done()
        if live.metadata.annotations.get(facts.MADE_ANNOTATION) == "true":
            keeping = await self.client.delete(at, "delete object", live.metadata.uid)
            if keeping:
                waits = f"{sort} {self.name} is being deleted: it waits for {', '.join(keeping)}"
                return NotYet(LATER, waits)
            self.memory.deleted(path, self.namespace, self.name)
            return Done()
        body = {
            "apiVersion": api_version,
            "kind": sort,
            "metadata": {"name": self.name, "namespace": self.namespace},
        }
        seen, _ = await self.client.patch(at, body, Traced, "give back object")
        self.memory.saw(path, seen)
        return Done()


class _OnBinding:
    """Who holds which role in a namespace: one RoleBinding of ours for each, and whatever others made."""

    def __init__(self, client: Kubernetes, memory: Memory, step: Step) -> None:
        self.client = client
        self.memory = memory
        self.step = step
        values = step.after or step.before
        self.collection = within(BINDINGS, _id(values["namespace"]))
        self.namespace = _id(values["namespace"])
        role, subject = values["role"], values["subject"]
        assert isinstance(role, Native)
        assert isinstance(subject, Native)
        self.role, self.subject = role, subject

    async def perform(self) -> Outcome:
        if not self.namespace:
            return NotYet(LATER, "the namespace of the binding is not known yet")
        if self.step.action == "delete":
            return await self._delete()
        kind, _, name = self.role.id.partition("/")
        at = binding_name(name, self.subject.kind, self.subject.identity)
        body = {
            "apiVersion": RBAC,
            "kind": "RoleBinding",
            "metadata": {"name": at, "namespace": self.namespace, "labels": dict([MANAGED_BY])},
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": name},
            "subjects": [{"apiGroup": RBAC_GROUP, "kind": self.subject.kind, "name": self.subject.identity}],
        }
        with self.memory.writing(BINDINGS, self.namespace, at):
            self.memory.saw(BINDINGS, await self._put(path_of(self.collection, at), body))
        return Done()

    async def _put(self, path: str, body: Any) -> Traced:
        """Apply a binding of ours."""
        try:
            seen, _ = await self.client.patch(path, body, Traced, "apply rolebinding")
        except Failed as error:
            if error.code != UNPROCESSABLE or "roleRef" not in error.fields:
                raise
            # Somebody put another role under the name of ours: a role cannot be changed, only made anew.
            await self.client.delete(path, "delete rolebinding")
            seen, _ = await self.client.patch(path, body, Traced, "apply rolebinding")
        return seen

    async def _delete(self) -> Outcome:
        for name in facts.binding_names(self.step.before):
            with self.memory.writing(BINDINGS, self.namespace, name):
                done = await self._take_out(name)
            if not isinstance(done, Done):
                return done
        return Done()

    async def _take_out(self, name: str) -> Outcome:
        """Take the subject out of a binding, and the binding away where it was the last."""
        at = path_of(self.collection, name)
        for _ in range(TRIES):
            live = await self.client.find(at, Versioned, "get rolebinding")
            if live is None or facts.role(live.role_ref.kind, live.role_ref.name) != self.role:
                return Done()
            subjects = live.subjects or ()
            kept = [one for one in subjects if facts.subject(one) != self.subject]
            if len(kept) == len(subjects):
                return Done()
            meta = live.metadata
            try:
                if kept:
                    body = {
                        "metadata": {"resourceVersion": meta.resource_version},
                        "subjects": list(map(_plain, kept)),
                    }
                    seen, _ = await self.client.patch(at, body, Traced, "strip rolebinding", "merge")
                    self.memory.saw(BINDINGS, seen)
                else:
                    await self.client.delete(at, "delete rolebinding", meta.uid, meta.resource_version)
                    self.memory.deleted(BINDINGS, self.namespace, name)
            except Failed as error:
                if error.code == NOT_FOUND:
                    return Done()
                if error.code == FORBIDDEN and kept:
                    return self._shared_with_others(name)
                if error.code != CONFLICT:
                    raise
                continue
            return Done()
        return NotYet(SOON, f"rolebinding {name} changes all the time")

    def _shared_with_others(self, name: str) -> Refused:
        """Who may not give a role may not change a binding of it either, but only delete the whole of it."""
        return Refused(
            f"rolebinding {name} gives {self.role.name} to others too: only who may `bind` that role may change it",
            f"take the one out by hand; or map {self.role.name} in a landing zone, and apply what "
            "`hanse bootstrap kubernetes` prints then",
        )


def _plain(one: Subject) -> dict[str, str]:
    """A subject as it is written."""
    if one.kind == "ServiceAccount":
        return {"kind": one.kind, "name": one.name, "namespace": one.namespace}
    return {"kind": one.kind, "name": one.name, "apiGroup": RBAC_GROUP}
