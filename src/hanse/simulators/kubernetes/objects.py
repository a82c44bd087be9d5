"""One object through its life: born, changed, marked for deletion, shown. Functions of values only."""

from datetime import datetime
from uuid import uuid4

from hanse.simulators.kubernetes import answers, ownership, schema
from hanse.simulators.kubernetes.ownership import Claims
from hanse.simulators.kubernetes.requests import Target
from hanse.simulators.kubernetes.rules import defaulted
from hanse.simulators.kubernetes.schema import NAMESPACES, Kind, Object


def shown(kind: Kind, thing: Object) -> Object:
    """An object as it is answered."""
    return {"kind": kind.name, "apiVersion": kind.version, **thing}


def at_version(thing: Object, version: int) -> Object:
    """An object as of a version."""
    return {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(version)}}


def stamp(instant: datetime) -> str:
    """An instant as the API writes it: RFC 3339, whole seconds, UTC."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def born(kind: Kind, namespace: str, thing: Object, claims: Claims, now: str) -> Object:
    """A new object with all that the API server gives it at birth."""
    given = {
        name: part
        for name, part in thing["metadata"].items()
        if name not in ("managedFields", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds")
    }
    metadata = {
        **given,
        **({"namespace": namespace} if kind.namespaced else {}),
        "uid": str(uuid4()),
        **({"generation": 1} if kind.counted else {}),
        "creationTimestamp": now,
    }
    if entries := ownership.entries_of(claims, kind.version):
        metadata["managedFields"] = entries
    thing = defaulted(kind, {**thing, "metadata": metadata})
    if kind.has_status:
        thing["status"] = kind.blank["status"]
    if kind is NAMESPACES:
        return {**thing, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    if kind is schema.CLAIMS:
        finalizers = [*metadata.get("finalizers", []), "kubernetes.io/pvc-protection"]
        return {
            **thing,
            "metadata": {**metadata, "finalizers": finalizers},
            "status": {"phase": "Pending"},
        }
    return thing


def completed(target: Target, live: Object, thing: Object) -> Object:
    """An update with all that only the API server writes, and without what this subresource does not."""
    old, kind = live["metadata"], target.kind
    new = {name: part for name, part in thing["metadata"].items() if name != "managedFields"}
    kept = ["name", "namespace", "uid", "creationTimestamp"]
    metadata = {**{name: old[name] for name in kept if name in old}, **new}
    for name in ("generation", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"):
        metadata.pop(name, None)
        if name in old:
            metadata[name] = old[name]
    if target.subresource == "status":
        return {**live, "metadata": {**unclaimed(live)["metadata"]}, "status": thing.get("status", {})}
    thing = defaulted(kind, {**thing, "metadata": metadata})
    if kind.has_status:
        thing["status"] = live["status"]
    if kind is NAMESPACES:
        thing["spec"] = live["spec"]
    return thing


def blank(kind: Kind) -> Object:
    """What an object is before anything is said of it."""
    return {"metadata": {}, **kind.blank}


def unclaimed(thing: Object) -> Object:
    """Without the record of who owns what."""
    return {
        **thing,
        "metadata": {name: part for name, part in thing["metadata"].items() if name != "managedFields"},
    }


def timeless(thing: Object) -> Object:
    """For comparing: without the times in the record of who owns what."""
    entries = [
        {name: part for name, part in entry.items() if name != "time"}
        for entry in thing["metadata"].get("managedFields", ())
    ]
    entries.sort(key=lambda entry: (entry["operation"], entry["manager"], entry.get("subresource", "")))
    return {**thing, "metadata": {**thing["metadata"], "managedFields": entries}}


def is_held(kind: Kind, thing: Object) -> bool:
    """Whether the namespace controller still has to clear it."""
    return kind is NAMESPACES and bool(thing["spec"].get("finalizers"))


def unprotected(kind: Kind, thing: Object) -> Object:
    """Without the finalizer that a controller takes off a claim that no pod uses."""
    if kind is not schema.CLAIMS:
        return thing
    left = [
        name for name in thing["metadata"].get("finalizers", ()) if name != "kubernetes.io/pvc-protection"
    ]
    metadata = {name: part for name, part in thing["metadata"].items() if name != "finalizers"}
    return {**thing, "metadata": {**metadata, **({"finalizers": left} if left else {})}}


def marked(kind: Kind, live: Object, now: str, policy: str | None = None) -> Object | None:
    """What a deletion leaves: the object marked for it where finalizers hold it, else nothing."""
    metadata = live["metadata"]
    extra = {"Foreground": ["foregroundDeletion"], "Orphan": ["orphan"]}.get(policy or "", [])
    finalizers = [*metadata.get("finalizers", []), *extra]
    if not finalizers and kind is not NAMESPACES:
        return None
    marks = {
        **metadata,
        "deletionTimestamp": now,
        **({} if kind is NAMESPACES else {"deletionGracePeriodSeconds": 0}),
        **({"finalizers": finalizers} if finalizers else {}),
        **({"generation": metadata["generation"] + 1} if kind.counted else {}),
    }
    after = {**live, "metadata": marks}
    if kind is NAMESPACES:
        after["status"] = {**live["status"], "phase": "Terminating"}
    return after


def deletion(kind: Kind, thing: Object, *, is_kept: bool) -> Object:
    """What a DELETE answers."""
    if is_kept or kind.shown_when_deleted:
        return shown(kind, thing)
    metadata = thing["metadata"]
    details = {**answers.details(kind, metadata["name"]), "uid": metadata["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
