"""What there is: all of it by lists in pages for a sweep, or just the namespaces of some owners.

Nothing is guessed: a list that cannot be read to its end makes its kind incomplete.

A sweep costs the pages of six lists, and of one more for each kind that landing zones bring. One owner costs its
namespace and four lists in it, and as many more. Roles, and bindings to the whole cluster, are read once a minute.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from hanse.model import Find, Foreign, Key, Native, Owner, Resource, Tenant
from hanse.observed import Observation
from hanse.platforms.kubernetes import facts
from hanse.platforms.kubernetes.blocks import FIELD_MANAGER, MANAGED_BY, STAMP_LABEL
from hanse.platforms.kubernetes.client import (
    NOT_FOUND,
    Failed,
    Kubernetes,
    Listing,
    Query,
    Trouble,
    unavailable,
)
from hanse.platforms.kubernetes.facts import NAMESPACE
from hanse.platforms.kubernetes.memory import Memory
from hanse.platforms.kubernetes.paths import (
    BINDINGS,
    CLUSTER_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    THINGS,
    collection,
    object_part,
    path_of,
    within,
)
from hanse.platforms.kubernetes.wire import Binding, ClusterBinding, Named, Namespace, Object
from hanse.ports.platform import PlatformIdentity, Scope
from hanse.ports.transport import NotAllowed

T = TypeVar("T")
MANAGED: Query = (("labelSelector", "=".join(MANAGED_BY)),)
BOOTSTRAPPED = "kubernetes.io/bootstrapping"
"""Label of what the API server makes by itself (k8s.io/kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy)."""
STAMPS_AT_ONCE = 50
"""In one label selector: an address of 2,000 characters."""
AT_ONCE = 16
"""Owners that are looked at together; the platform's budget holds below it."""


async def observe(
    client: Kubernetes, identity: PlatformIdentity, memory: Memory, scope: Scope
) -> Observation:
    """One look. Raises PlatformUnavailable where nothing at all can be read."""
    reading = _Reading(client, identity, memory)
    if scope.owners is None:
        known: asyncio.Future[Scope] = asyncio.get_running_loop().create_future()
        known.set_result(scope)
        return await reading.look(partial(reading.everything, known))
    return await reading.look(partial(reading.of_owners, scope, scope.owners))


async def sweep(
    client: Kubernetes, identity: PlatformIdentity, memory: Memory, scope: Awaitable[Scope]
) -> Observation:
    """A look at everything whose scope comes while it reads. Raises as `observe`."""
    reading = _Reading(client, identity, memory)
    return await reading.look(partial(reading.everything, scope))


class _Reading:
    """The working state of one look."""

    def __init__(self, client: Kubernetes, identity: PlatformIdentity, memory: Memory) -> None:
        self.client = client
        self.platform = identity.name
        self.organization = identity.organization
        self.memory = memory
        self.scope = Scope(None)
        self.taken_at = datetime.now(UTC)
        self.wanted: dict[Key, Resource] = {}
        self.sorts: set[tuple[str, str]] = set(memory.sorts)
        self.stamps: dict[str, Key] = {}
        self.names: set[str] = set()
        """Names that namespaces of ours shall have."""
        self.adopted: set[str] = set()
        self.ours: dict[str, Key] = {}
        """Namespaces of ours, by name."""
        self.names_of: defaultdict[Key, list[str]] = defaultdict(list)
        """The same the other way round; several are twins, and nothing is said of what is in the second."""
        self.resources: dict[Owner, list[Resource]] = {}
        self.foreign: list[Foreign] = []
        self.found: dict[Find, tuple[Native, ...]] = {}
        self.incomplete: dict[str, str] = {}
        self.first_error: Exception | None = None
        self.answered = False

    async def look(self, read: Callable[[], Awaitable[None]]) -> Observation:
        """Read, and say what was seen. Raises PlatformUnavailable where nothing at all can be read."""
        try:
            await self.client.discover()
            await read()
        except (*Trouble, NotAllowed) as error:
            raise unavailable(error) from None
        except ExceptionGroup as many:  # of what was read at once: told once, as what it is
            first = many.exceptions[0]
            raise (unavailable(first) if isinstance(first, NotAllowed) else first) from None
        if self.first_error is not None and not self.answered:
            raise unavailable(self.first_error)
        return self.observation()

    def aim(self, scope: Scope) -> None:
        """Know what is wanted."""
        self.scope = scope
        for resource in scope.wanted:
            self.wanted.setdefault(resource.key, resource)
            if resource.adopt:
                self.adopted.add(resource.adopt)
            if resource.kind == NAMESPACE:
                self.stamps[resource.key.stamp] = resource.key
                self.names.add(str(resource.attributes["name"]))
            elif resource.kind == "object":
                api, kind = resource.attributes["api_version"], resource.attributes["object_kind"]
                self.sorts.add((str(api), str(kind)))
        self.memory.sorts |= self.sorts

    # The two sorts of looks

    async def everything(self, coming: Awaitable[Scope]) -> None:
        """Read all lists to their ends, several at once; what is wanted may come while they are on their way."""
        async with asyncio.TaskGroup() as group:
            listed = group.create_task(self._list(NAMESPACES, Namespace, "list namespaces", NAMESPACE))
            bound = group.create_task(self._list(BINDINGS, Binding, "list rolebindings", "binding"))
            group.create_task(self._inherited())
            things = [
                group.create_task(self._list(path, Object, f"list {_plural(path)}", kind, MANAGED))
                for kind, path in THINGS.items()
            ]
            self.aim(await coming)
            group.create_task(self._roles())
            selected = sorted(self.sorts)
            objects = [group.create_task(self._objects(api, kind)) for api, kind in selected]
            for one in await listed:  # bindings are more, and still on their way meanwhile
                self._note_namespace(one)
        by_namespace: defaultdict[str, list[Binding]] = defaultdict(list)
        ours = self.ours
        for binding in bound.result():
            if binding.metadata.namespace in ours:
                by_namespace[binding.metadata.namespace].append(binding)
        for name, some in by_namespace.items():
            self._note_links(name, some)
        for kind, task in zip(THINGS, things, strict=True):
            self._note_things(kind, task.result())
        for sort, found in zip(selected, objects, strict=True):
            self._note_objects(sort, found.result())
        if NAMESPACE in self.incomplete:
            for kind in ("binding", *THINGS, "object"):
                self.incomplete.setdefault(kind, "not all namespaces were read")

    async def of_owners(self, scope: Scope, owners: Sequence[Owner]) -> None:
        """Read the namespaces of some owners, and what is in them."""
        self.aim(scope)
        tenants = [owner for owner in owners if isinstance(owner, Tenant)]
        keys = [facts.namespace_key(self.organization, tenant) for tenant in tenants]
        self.stamps.update((key.stamp, key) for key in keys)
        await asyncio.gather(
            self._inherited(),
            self._roles(),
            self._namespaces(keys),
            each(sorted(self.adopted), self._by_name),
        )
        await each(sorted(self.ours), self._contents)

    async def _namespaces(self, keys: Sequence[Key]) -> None:
        """Find each by its name; those that are not there by their stamps."""
        likely: set[str] = set()
        for key in keys:
            likely |= self.memory.names.get(key, set())
            if (wanted := self.wanted.get(key)) is not None:
                likely.add(str(wanted.attributes["name"]))
        await each(sorted(likely), self._by_name)
        missing = sorted({key.stamp for key in keys} - {key.stamp for key in self.ours.values()})
        for start in range(0, len(missing), STAMPS_AT_ONCE):
            some = ",".join(missing[start : start + STAMPS_AT_ONCE])
            query: Query = (("labelSelector", f"{STAMP_LABEL} in ({some})"),)
            for one in await self._list(NAMESPACES, Namespace, "find namespaces", NAMESPACE, query):
                self._note_namespace(one)

    async def _by_name(self, name: str) -> None:
        if name in self.ours:
            return
        try:
            one = await self.client.find(path_of(NAMESPACES, name), Namespace, "get namespace")
        except Trouble as error:
            self._cannot(NAMESPACE, error)
            return
        self.answered = True
        if one is None:
            self.memory.forget(name)
        else:
            self._note_namespace(one)

    async def _contents(self, name: str) -> None:
        """What is in a namespace of ours."""
        sorts = sorted(self.sorts)
        bindings, things, objects = await asyncio.gather(
            self._list(within(BINDINGS, name), Binding, "list rolebindings of a namespace", "binding"),
            asyncio.gather(
                *(
                    self._list(
                        within(path, name), Object, f"list {_plural(path)} of a namespace", kind, MANAGED
                    )
                    for kind, path in THINGS.items()
                )
            ),
            asyncio.gather(*(self._objects(api, kind, name) for api, kind in sorts)),
        )
        self._note_links(name, bindings)
        for kind, rows in zip(THINGS, things, strict=True):
            self._note_things(kind, rows)
        for sort, found in zip(sorts, objects, strict=True):
            self._note_objects(sort, found)

    # Calls

    async def _list(self, path: str, kind: type[T], label: str, what: str, query: Query = ()) -> Sequence[T]:
        """A list; where it cannot be read to its end, what it is about is incomplete."""
        try:
            return await self._read(path, kind, label, what, query)
        except Trouble as error:
            self._cannot(what, error)
            return ()

    async def _read(self, path: str, kind: type[T], label: str, what: str, query: Query = ()) -> Sequence[T]:
        listing: Listing[T] = await self.client.list(path, kind, label, query)
        self.answered = True
        if listing.cut:
            self.incomplete.setdefault(what, listing.cut)
        return listing.rows

    async def _objects(self, api_version: str, kind: str, name: str = "") -> Sequence[Object]:
        """Objects of a landing zone's kind. One that the server does not know has none."""
        try:
            known = await self.client.resource(api_version, kind)
        except Trouble as error:
            self._cannot("object", error)
            return ()
        if known is None or not known.namespaced:
            return ()
        path = collection(api_version, known.name)
        try:
            return await self._read(
                within(path, name) if name else path, Object, f"list {known.name}", "object", MANAGED
            )
        except Trouble as error:
            if isinstance(error, Failed) and error.code == NOT_FOUND:
                self.client.forget(api_version)  # the cluster knows the kind no more, and has no object of it
            else:
                self._cannot("object", error)
            return ()

    async def _inherited(self) -> None:
        """Bindings to the whole cluster: what they give holds in our namespaces too.

        What every cluster is born with, such as all rights for `system:masters`, is not worth a word. As it is told
        and never touched, who looks at some owners relies on what was read a moment ago.
        """
        found = None if self.scope.owners is None else self.memory.inherited
        if found is None:
            listed = await self._list(
                CLUSTER_BINDINGS, ClusterBinding, "list clusterrolebindings", "cluster-binding"
            )
            found = tuple(
                facts.inherited(binding, number, one)
                for binding in listed
                for number, one in enumerate(binding.subjects or ())
                if not facts.is_workload(one)
                and not (BOOTSTRAPPED in binding.metadata.labels and one.name.startswith("system:"))
            )
            if "cluster-binding" not in self.incomplete:
                self.memory.keep_inherited(found)
        self.foreign += found

    async def _roles(self) -> None:
        """Look up the roles that bindings are to give."""
        await each(sorted(self.scope.finds, key=str), self._role)

    async def _role(self, find: Find) -> None:
        native = self.memory.role(find)
        if native is None:
            kind, _, name = str(dict(find.by)["name"]).partition("/")
            try:
                there = await self.client.find(path_of(CLUSTER_ROLES, name), Named, "get clusterrole")
            except Trouble as error:
                self._cannot("role", error)
                self.found[find] = ()
                return
            self.answered = True
            if there is None:
                self.found[find] = ()
                return
            native = facts.role(kind, name)
            self.memory.keep_role(find, native)
        self.found[find] = (native,)

    def _cannot(self, what: str, error: Exception) -> None:
        self.first_error = self.first_error or error
        advice = (
            "; `hanse doctor` says which right it lacks"
            if isinstance(error, Failed) and error.code == 403
            else ""
        )
        self.incomplete.setdefault(what, f"{error}{advice}")

    # What was read

    def _note_namespace(self, one: Namespace) -> None:
        name = one.metadata.name
        if name in self.ours:
            return
        key = facts.key_of(one.metadata, self.organization, self.stamps)
        if key is None:
            if name in self.names or name in self.adopted:
                self.foreign.append(Foreign(NAMESPACE, name, {"name": name}))
            return
        self.ours[name] = key
        self.names_of[key].append(name)
        self.memory.note(key, name)
        if self._is_first(name):
            self._add(facts.namespace(one, key, self.platform, self.wanted.get(key)))

    def _note_links(self, name: str, bindings: Iterable[Binding]) -> None:
        if self._is_first(name):
            for link in facts.links(self.ours[name], bindings, self.platform):
                self._add(link)

    def _note_things(self, kind: str, rows: Iterable[Object]) -> None:
        for row in rows:
            key = self._key_within(row)
            if key is None or not facts.is_managed(row.metadata):
                continue
            part, attributes = facts.PARTS[kind](row)
            if part:
                self._add(facts.thing(kind, facts.beside(key, part), key, row, self.platform, **attributes))

    def _note_objects(self, sort: tuple[str, str], rows: Iterable[Object]) -> None:
        api_version, kind = sort
        for row in rows:
            at = self._key_within(row)
            if at is None or not any(entry.manager == FIELD_MANAGER for entry in row.metadata.managed_fields):
                continue
            key = facts.beside(at, object_part(api_version, kind, row.metadata.name))
            said = facts.manifest(row.metadata, self.wanted.get(key))
            if said:
                self._add(
                    facts.thing(
                        "object",
                        key,
                        at,
                        row,
                        self.platform,
                        api_version=api_version,
                        object_kind=kind,
                        manifest=said,
                    )
                )

    def _key_within(self, row: Object) -> Key | None:
        """Whose namespace an object is in."""
        name = row.metadata.namespace
        return self.ours[name] if name in self.ours and self._is_first(name) else None

    def _is_first(self, name: str) -> bool:
        return self.names_of[self.ours[name]][0] == name

    def _add(self, resource: Resource) -> None:
        self.resources.setdefault(resource.owner, []).append(resource)

    def observation(self) -> Observation:
        """All together."""
        return Observation(
            self.platform,
            self.taken_at,
            None if self.scope.owners is None else frozenset(self.scope.owners),
            {owner: tuple(many) for owner, many in self.resources.items()},
            tuple(self.foreign),
            self.found,
            self.incomplete,
            tuple(
                (key, tuple(sorted(names))) for key, names in sorted(self.names_of.items()) if len(names) > 1
            ),
        )


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do some work on each item, with so many under way at once."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with places:
            await work(item)

    await asyncio.gather(*map(one, items))


def _plural(path: str) -> str:
    """The last part of a collection's path, which is how it is called."""
    return path.rpartition("/")[2]
