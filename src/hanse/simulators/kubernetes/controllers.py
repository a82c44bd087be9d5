"""What the controllers of a cluster do, each a moment after something was written."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from hanse.simulators.kubernetes import ownership, schema, selectors
from hanse.simulators.kubernetes.objects import blank, born, is_held, marked, stamp, unclaimed, unprotected
from hanse.simulators.kubernetes.ownership import Manager
from hanse.simulators.kubernetes.rules import defaulted
from hanse.simulators.kubernetes.schema import KINDS, NAMESPACES, Kind, Object
from hanse.simulators.kubernetes.settings import Settings
from hanse.simulators.kubernetes.storage import Event, Store

Later = Callable[[float, Callable[[], None]], object]


class Controllers:
    """They react to writes; `later` runs a reaction after that many seconds."""

    def __init__(self, store: Store, settings: Settings, later: Later) -> None:
        self._store, self._settings, self._later = store, settings, later
        self._counting: set[str] = set()
        store.react = self.react

    def react(self, kind: Kind, event: Event, metadata: Object) -> None:
        """Have each controller look at what was written, a moment later."""
        soon, namespace = self._settings.controller_seconds, metadata.get("namespace", "")
        is_new_or_gone = event.before is None or event.after is None
        if kind is NAMESPACES and event.after is not None:
            if event.before is None:
                self._later(soon, lambda: self._furnish(event.key))
            elif "deletionTimestamp" in metadata and "deletionTimestamp" not in event.before["metadata"]:
                self._later(self._settings.namespace_seconds, lambda: self._clear(event.key))
        if event.after is None and kind in (schema.SERVICE_ACCOUNTS, schema.CONFIG_MAPS):
            self._later(soon, lambda: self._furnish(namespace))
        if kind is schema.CLUSTER_ROLES:
            self._later(soon, self.aggregate)
        if namespace and (is_new_or_gone or kind is schema.QUOTAS):
            self._count_soon(namespace)
        if (
            set(metadata.get("finalizers", ())) & {"foregroundDeletion", "orphan"}
            and "deletionTimestamp" in metadata
        ):
            self._later(soon, lambda: self._release(kind, event.key))

    def make(self, kind: Kind, namespace: str, thing: Object, manager: str) -> Object:
        """An object that a controller makes, past all checks."""
        thing = defaulted(kind, thing)
        by = Manager(manager, "Update")
        claims = ownership.updated(kind.node, blank(kind), thing, {}, by, _now())
        return self._store.write(kind, None, born(kind, namespace, thing, claims, _now()))

    def _furnish(self, namespace: str) -> None:
        """Give a namespace the account and the certificate that each has."""
        found = self._store.collections[NAMESPACES].objects.get(namespace)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        if f"{namespace}/default" not in self._store.collections[schema.SERVICE_ACCOUNTS].objects:
            self.make(
                schema.SERVICE_ACCOUNTS,
                namespace,
                {"metadata": {"name": "default"}},
                "kube-controller-manager",
            )
        if f"{namespace}/kube-root-ca.crt" not in self._store.collections[schema.CONFIG_MAPS].objects:
            certificate = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}}
            self.make(schema.CONFIG_MAPS, namespace, certificate, "kube-controller-manager")

    def aggregate(self) -> None:
        """Gather the rules of the ClusterRoles that others are made of, until nothing changes."""
        roles = self._store.collections[schema.CLUSTER_ROLES]
        changed = True
        while changed:
            changed = False
            for role in list(roles.objects.values()):
                if "aggregationRule" not in role:
                    continue
                parts = [
                    other
                    for name, other in sorted(roles.objects.items())
                    if name != role["metadata"]["name"]
                    and any(
                        selectors.matches(one, other["metadata"].get("labels", {}))
                        for one in role["aggregationRule"].get("clusterRoleSelectors", ())
                    )
                ]
                rules = [rule for part in parts for rule in part.get("rules") or ()]
                rules = [rule for place, rule in enumerate(rules) if rule not in rules[:place]]
                if rules != (role.get("rules") or []):
                    manager = Manager("clusterrole-aggregation-controller", "Apply")
                    self._owned_write(schema.CLUSTER_ROLES, role, {**role, "rules": rules or None}, manager)
                    changed = True

    def _owned_write(self, kind: Kind, live: Object, after: Object, manager: Manager) -> Object:
        claims = ownership.updated(
            kind.node,
            unclaimed(live),
            unclaimed(after),
            ownership.claims_of(live["metadata"]),
            manager,
            _now(),
        )
        metadata = {**after["metadata"], "managedFields": ownership.entries_of(claims, kind.version)}
        return self._store.write(kind, live, {**after, "metadata": metadata})

    def _count_soon(self, namespace: str) -> None:
        if namespace not in self._counting and self._store.collections[schema.QUOTAS].count(f"{namespace}/"):
            self._counting.add(namespace)
            self._later(self._settings.controller_seconds, lambda: self._count(namespace))

    def _count(self, namespace: str) -> None:
        """Write into each quota what is used of it: counts of objects, and nothing of what pods would use."""
        self._counting.discard(namespace)
        prefix = f"{namespace}/"
        counts = {
            kind.qualified: self._store.collections[kind].count(prefix) for kind in KINDS if kind.namespaced
        }
        for quota in list(self._store.collections[schema.QUOTAS].select(prefix, "", self._store.version)):
            hard = quota["spec"].get("hard", {})
            used = {name: str(counts.get(name.removeprefix("count/"), 0)) for name in hard}
            status = {"hard": hard, "used": used} if hard else {}
            if status != quota["status"]:
                manager = Manager("kube-controller-manager", "Update", "status")
                self._owned_write(schema.QUOTAS, quota, {**quota, "status": status}, manager)

    def _release(self, kind: Kind, key: str) -> None:
        """What the garbage collector does for an object that has no dependents."""
        live = self._store.collections[kind].objects.get(key)
        if live is None:
            return
        left = [
            name
            for name in live["metadata"].get("finalizers", ())
            if name not in ("foregroundDeletion", "orphan")
        ]
        metadata = {name: part for name, part in live["metadata"].items() if name != "finalizers"}
        after = {**live, "metadata": {**metadata, **({"finalizers": left} if left else {})}}
        self._store.write(kind, live, after if left or is_held(kind, after) else None)

    def _clear(self, name: str) -> None:
        """Delete what is in a namespace and then the namespace; come back while finalizers hold something."""
        live = self._store.collections[NAMESPACES].objects.get(name)
        if live is None or not is_held(NAMESPACES, live):
            return
        for kind in KINDS:
            if kind.namespaced:
                for thing in list(self._store.collections[kind].select(f"{name}/", "", self._store.version)):
                    if "deletionTimestamp" not in thing["metadata"]:
                        self._store.write(kind, thing, marked(kind, unprotected(kind, thing), _now()))
        left = {
            kind: list(self._store.collections[kind].select(f"{name}/", "", self._store.version))
            for kind in KINDS
            if kind.namespaced
        }
        conditions = _conditions(left, live["status"].get("conditions", []), _now())
        after = {**live, "status": {**live["status"], "conditions": conditions}}
        if after != live:
            manager = Manager("kube-controller-manager", "Update", "status")
            live = self._owned_write(NAMESPACES, live, after, manager)
        if any(left.values()):
            self._later(self._settings.namespace_seconds, lambda: self._clear(name))
        elif live["metadata"].get("finalizers"):
            self._store.write(NAMESPACES, live, {**live, "spec": {}})
        else:
            self._store.write(NAMESPACES, live, None)


def _now() -> str:
    return stamp(datetime.now(UTC))


def _conditions(left: Mapping[Kind, list[Object]], before: list[Object], now: str) -> list[Object]:
    """The conditions of a namespace that is being cleared, as its controller words them."""
    resources = sorted(
        f"{kind.plural}.{kind.group} has {len(things)} resource instances"
        for kind, things in left.items()
        if things
    )
    counts: dict[str, int] = {}
    for things in left.values():
        for thing in things:
            for finalizer in thing["metadata"].get("finalizers", ()):
                counts[finalizer] = counts.get(finalizer, 0) + 1
    holding = [f"{name} in {count} resource instances" for name, count in sorted(counts.items())]
    content = "Some resources are remaining: " + ", ".join(resources)
    finalizers = "Some content in the namespace has finalizers remaining: " + ", ".join(holding)
    told = [
        (
            "NamespaceDeletionDiscoveryFailure",
            False,
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            False,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            False,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("NamespaceContentRemaining", True, "SomeResourcesRemain", content)
        if resources
        else ("NamespaceContentRemaining", False, "ContentRemoved", "All content successfully removed"),
        ("NamespaceFinalizersRemaining", True, "SomeFinalizersRemain", finalizers)
        if holding
        else (
            "NamespaceFinalizersRemaining",
            False,
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    ]
    since = {one["type"]: one["lastTransitionTime"] for one in before}
    was = {one["type"]: one["status"] for one in before}
    return [
        {
            "type": sort,
            "status": str(is_so),
            "lastTransitionTime": since[sort] if was.get(sort) == str(is_so) else now,
            "reason": reason,
            "message": message,
        }
        for sort, is_so, reason, message in told
    ]
