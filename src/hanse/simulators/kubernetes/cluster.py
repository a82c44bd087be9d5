"""The state of a simulated cluster: takes a request, gives an answer or opens a watch. Knows no HTTP and no thread."""

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from hanse.foundation import yaml
from hanse.simulators.kubernetes import access, answers, discovery, ownership, patches, schema, selectors
from hanse.simulators.kubernetes.access import ANONYMOUS, Roles, Rule, User
from hanse.simulators.kubernetes.answers import RefusedError, bad_request
from hanse.simulators.kubernetes.ownership import Claims, Manager
from hanse.simulators.kubernetes.quantity import QuantityError
from hanse.simulators.kubernetes.requests import Request, Target, no_media, target_of, verb_of
from hanse.simulators.kubernetes.rules import defaulted, faults
from hanse.simulators.kubernetes.schema import KINDS, NAMESPACES, Kind, MistypedError, Object
from hanse.simulators.kubernetes.storage import Collection, Event, key_of

Later = Callable[[float, Callable[[], None]], object]
_KEPT = ("default", "kube-system", "kube-public")
_SECOND_PAGE = "meta.k8s.io/v1"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LEAST_TOKEN_SECONDS = 600
_ISSUER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class Answer:
    """What goes back: JSON, or plain text."""

    code: int
    body: Object | str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Webhook:
    """An admission webhook: what it says no to, and with which code; 400 is the API server's own choice."""

    name: str
    # Takes CREATE, UPDATE or DELETE, the kind and the object; gives the reason for a no, or None.
    denies: Callable[[str, Kind, Object], str | None]
    code: int = 400


@dataclass
class Settings:
    """What tests may choose, at any time."""

    latency: float = 0.0  # seconds that each request takes at least
    namespace_seconds: float = 0.1  # until a deleted namespace is cleared
    controller_seconds: float = 0.01  # until other controllers react
    bookmark_seconds: float = 1.0  # between two bookmarks, where there is something to tell
    page_limit: int = 0  # the most items of one answer to a list, 0 for as many as are asked for
    webhooks: list[Webhook] = field(default_factory=list)


class Watch:
    """An opened watch: `start` tells what there is to tell already and then each event as it happens."""

    def __init__(
        self,
        collection: Collection,
        kind: Kind,
        prefix: str,
        test: selectors.Test,
        first: Iterable[Object],
        *,
        bookmarks: bool,
        seconds: float | None,
    ) -> None:
        self.bookmarks, self.seconds = bookmarks, seconds
        self._collection, self._kind, self._prefix, self._test, self._first = (
            collection,
            kind,
            prefix,
            test,
            first,
        )
        self._send: Callable[[Object], None] = lambda _: None

    def start(self, send: Callable[[Object], None]) -> None:
        """Send what is known, and all that follows until `stop`."""
        for event in self._first:
            send(event)
        self._send = send
        self._collection.watchers.append(self._see)

    def stop(self) -> None:
        """Send no more."""
        if self._see in self._collection.watchers:
            self._collection.watchers.remove(self._see)

    def _see(self, event: Event) -> None:
        if (
            event.key.startswith(self._prefix)
            and (told := told_of(self._kind, event, self._test)) is not None
        ):
            self._send(told)

    def bookmark(self, version: int, annotations: Object | None = None) -> Object:
        """The event that says up to where everything was told."""
        return bookmark_of(self._kind, version, annotations)


def bookmark_of(kind: Kind, version: int, annotations: Object | None = None) -> Object:
    """A bookmark."""
    metadata = {"resourceVersion": str(version), **({"annotations": annotations} if annotations else {})}
    return {"type": "BOOKMARK", "object": shown(kind, {**kind.blank, "metadata": metadata})}


def shown(kind: Kind, thing: Object) -> Object:
    """An object as it is answered."""
    return {"kind": kind.name, "apiVersion": kind.version, **thing}


def told_of(kind: Kind, event: Event, test: selectors.Test) -> Object | None:
    """What a watcher with this selector is told of an event; what leaves the selector is deleted for it."""
    was = event.before is not None and test(event.before)
    if event.after is not None and test(event.after):
        return {"type": "MODIFIED" if was else "ADDED", "object": shown(kind, event.after)}
    if not was or event.before is None:
        return None
    return {"type": "DELETED", "object": shown(kind, _at(event.before, event.version))}


def _at(thing: Object, version: int) -> Object:
    return {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(version)}}


class Cluster:
    """One cluster. All calls come from one thread; `later` runs what controllers do, in the same one."""

    def __init__(self, tokens: Mapping[str, User], later: Later, *, history: int = 10_000) -> None:
        """Take who stands behind which token, and how many events each collection keeps."""
        self.settings = Settings()
        self.version = 1
        self._tokens = dict(tokens)
        self._bound: dict[str, tuple[Object, datetime]] = {}
        self._later = later
        self._collections = {kind: Collection(history) for kind in KINDS}
        self.roles = Roles(self._rules_of, self._bindings_in)
        self._counting: set[str] = set()
        for role, binding in access.first_roles():
            self._make(schema.CLUSTER_ROLES, "", role, "kube-apiserver")
            if binding is not None:
                self._make(schema.CLUSTER_ROLE_BINDINGS, "", binding, "kube-apiserver")
        self._aggregate()
        for name in (*_KEPT, "kube-node-lease"):
            self._make(NAMESPACES, "", {"metadata": {"name": name}}, "kube-apiserver")

    # ---- what tests need beyond the API

    def compact(self, *, watches_only: bool = False) -> None:
        """Forget all history: what is older can no longer be watched, nor listed if not `watches_only`."""
        for collection in self._collections.values():
            collection.forget(self.version, watches_only=watches_only)

    # ---- requests

    def handle(self, request: Request) -> Answer | Watch:
        """The answer to a request."""
        try:
            return self._handle(request)
        except RefusedError as refused:
            return Answer(refused.code, refused.status)

    def _handle(self, request: Request) -> Answer | Watch:  # noqa: PLR0911 (one for each verb)
        user = self._user(request.token)
        review = discovery.review_of(request.path)
        if review is not None:
            return self._review(user, review, request)
        target = target_of(request.path)
        if target is None:
            return self._elsewhere(user, request)
        verb = verb_of(request, target)
        self.roles.require(user, target.ask(verb), target.kind)
        match verb:
            case "get":
                return Answer(200, shown(target.kind, self._found(target)))
            case "list":
                return self._list(target, request)
            case "watch":
                return self._watch(target, request)
            case "create" if target.subresource:
                return self._token(target, request)
            case "create":
                return self._post(user, target, request)
            case "update":
                return self._put(user, target, request)
            case "patch":
                return self._patch(user, target, request)
            case "delete":
                return self._delete(target, request)
            case _:
                raise answers.no_method()

    def _elsewhere(self, user: User, request: Request) -> Answer:
        self.roles.require(user, access.Ask("get", path=request.path))
        body = discovery.document(request.path)
        return Answer(404, "404 page not found\n") if body is None else Answer(200, body)

    def _user(self, token: str | None) -> User:
        if token is None:
            return ANONYMOUS
        if token in self._tokens:
            return self._tokens[token]
        account, until = self._bound.get(token, (None, self._now()))
        if account is not None and until > self._now():
            metadata = account["metadata"]
            namespace, name = metadata["namespace"], metadata["name"]
            live = self._collections[schema.SERVICE_ACCOUNTS].objects.get(f"{namespace}/{name}")
            if live is not None and live["metadata"]["uid"] == metadata["uid"]:
                return User(
                    f"system:serviceaccount:{namespace}:{name}",
                    ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
                    metadata["uid"],
                )
        raise RefusedError(401, "Unauthorized", "Unauthorized")

    def _rules_of(self, ref: Rule, namespace: str) -> list[Rule] | None:
        kind = schema.ROLES if ref["kind"] == "Role" else schema.CLUSTER_ROLES
        role = self._collections[kind].objects.get(key_of(kind, namespace, ref["name"]))
        return None if role is None else role.get("rules") or []

    def _bindings_in(self, namespace: str) -> Iterator[tuple[Kind, Object]]:
        for binding in self._collections[schema.CLUSTER_ROLE_BINDINGS].objects.values():
            yield schema.CLUSTER_ROLE_BINDINGS, binding
        if namespace:
            bindings = self._collections[schema.ROLE_BINDINGS]
            for binding in bindings.select(f"{namespace}/", "", self.version):
                yield schema.ROLE_BINDINGS, binding

    # ---- reading

    def _found(self, target: Target) -> Object:
        found = self._collections[target.kind].objects.get(key_of(target.kind, target.namespace, target.name))
        if found is None:
            raise answers.not_found(target.kind, target.name)
        return found

    def _list(self, target: Target, request: Request) -> Answer:  # noqa: PLR0912 (one for each parameter)
        kind, collection = target.kind, self._collections[target.kind]
        prefix = f"{target.namespace}/" if target.namespace else ""
        limit, version, after = request.number("limit"), self.version, ""
        if self.settings.page_limit and limit > self.settings.page_limit:
            limit = self.settings.page_limit
        wanted = _version(request, "invalid resource version: ")
        if token := request.query.get("continue"):
            if wanted:
                raise bad_request("specifying resource version is not allowed when using continue")
            said, after = _continued(token, prefix)
            version = self.version if said < 0 else said
            if version < collection.listable_from:
                raise answers.expired(
                    "The provided continue parameter is too old to display a consistent list result. "
                    "You can start a new list without the continue parameter.",
                    restart=_token(-1, after[len(prefix) :]),
                )
        elif wanted > self.version:
            raise RefusedError(
                504,
                "Timeout",
                f"Timeout: Too large resource version: {wanted}, current: {self.version}",
                details={
                    "causes": [
                        {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
                    ],
                    "retryAfterSeconds": 1,
                },
            )
        elif request.query.get("resourceVersion") == "0":
            limit = 0
        elif request.query.get("resourceVersionMatch") == "Exact":
            version = wanted
            if version < collection.listable_from:
                raise answers.expired("The resourceVersion for the provided list is too old.")
        test, is_selected = self._test(kind, request)
        items: list[Object] = []
        metadata: Object = {"resourceVersion": str(version)}
        left = 0
        for thing in collection.select(prefix, after, version):
            if 0 < limit <= len(items):
                left += 1
                if is_selected:
                    break
            elif test(thing):
                items.append(thing)
        if left:
            last = items[-1]["metadata"]
            metadata["continue"] = _token(
                version, key_of(kind, last.get("namespace", ""), last["name"])[len(prefix) :] + "\0"
            )
            if not is_selected:
                metadata["remainingItemCount"] = left
        return Answer(
            200,
            {"kind": f"{kind.name}List", "apiVersion": kind.version, "metadata": metadata, "items": items},
        )

    def _test(self, kind: Kind, request: Request) -> tuple[selectors.Test, bool]:
        label, asked = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        by_label, by_field = selectors.labels(label), selectors.fields(asked, kind)
        if not (label or asked):
            return lambda _: True, False
        return lambda thing: by_label(thing) and by_field(thing), True

    def _watch(self, target: Target, request: Request) -> Watch:
        kind, collection = target.kind, self._collections[target.kind]
        prefix = f"{target.namespace}/" if target.namespace else ""
        version, (test, _) = _version(request, ""), self._test(target.kind, request)
        bookmarks = request.is_on("allowWatchBookmarks")
        seconds = request.number("timeoutSeconds") or None
        first: list[Object]
        if not version:
            there = collection.select(prefix, "", self.version)
            first = [{"type": "ADDED", "object": shown(kind, thing)} for thing in there if test(thing)]
            if bookmarks and request.is_on("sendInitialEvents"):
                first.append(bookmark_of(kind, self.version, {"k8s.io/initial-events-end": "true"}))
        elif version < collection.watchable_from:
            gone = answers.expired(f"too old resource version: {version} ({collection.watchable_from})")
            return Watch(
                Collection(0),
                kind,
                prefix,
                test,
                [{"type": "ERROR", "object": gone.status}],
                bookmarks=False,
                seconds=0,
            )
        else:
            events = (event for event in collection.since(version) if event.key.startswith(prefix))
            first = [told for event in events if (told := told_of(kind, event, test)) is not None]
        return Watch(collection, kind, prefix, test, first, bookmarks=bookmarks, seconds=seconds)

    # ---- writing

    def _post(self, user: User, target: Target, request: Request) -> Answer:
        manager, is_dry = Manager(request.manager(), "Update"), request.is_dry()
        thing, warnings = _decoded(target.kind, request)
        if thing["metadata"].get("resourceVersion"):
            raise RefusedError(500, "", "resourceVersion should not be set on objects to be created")
        claims = ownership.updated(target.kind.node, _blank(target.kind), thing, {}, manager, self._stamp())
        made = self._create(user, target, thing, claims, is_dry=is_dry)
        return Answer(201, shown(target.kind, made), warnings)

    def _put(self, user: User, target: Target, request: Request) -> Answer:
        manager, is_dry = Manager(request.manager(), "Update", target.subresource), request.is_dry()
        thing, warnings = _decoded(target.kind, request)
        key = key_of(target.kind, target.namespace, target.name)
        live = self._collections[target.kind].objects.get(key)
        _expect_place(target, thing["metadata"])
        if live is None and target.kind.made_by_put and not target.subresource:
            self.roles.require(user, target.ask("create"), target.kind)
            claims = ownership.updated(
                target.kind.node, _blank(target.kind), thing, {}, manager, self._stamp()
            )
            return Answer(
                201, shown(target.kind, self._create(user, target, thing, claims, is_dry=is_dry)), warnings
            )
        live = self._found(target)
        uid = thing["metadata"].get("uid", live["metadata"]["uid"])
        if uid != live["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live['metadata']['uid']}"
            raise answers.conflict(target.kind, target.name, why)
        return self._updated(user, target, live, thing, manager, is_dry=is_dry, warnings=warnings)

    def _patch(self, user: User, target: Target, request: Request) -> Answer:
        if request.is_apply:
            return self._apply(user, target, request)
        ways = {
            "application/merge-patch+json": patches.merged,
            "application/json-patch+json": patches.patched,
        }
        if request.content_type not in ways:
            raise no_media()
        manager, is_dry = Manager(request.manager(), "Update", target.subresource), request.is_dry()
        live = self._found(target)
        patch = _parsed(request.body, target.kind)
        changed = ways[request.content_type](shown(target.kind, live), patch)
        thing, warnings = _typed(
            target.kind, changed, strict=request.query.get("fieldValidation") == "Strict"
        )
        return self._updated(user, target, live, thing, manager, is_dry=is_dry, warnings=warnings)

    def _updated(
        self,
        user: User,
        target: Target,
        live: Object,
        thing: Object,
        manager: Manager,
        *,
        is_dry: bool,
        warnings: tuple[str, ...],
    ) -> Answer:
        given = thing["metadata"].get("managedFields")
        claims: Claims = ownership.claims_of(live["metadata"])
        if given is not None and given in ([], [{}]):
            claims = {}
        elif given and not target.subresource:
            claims = ownership.claims_of(thing["metadata"])
        thing = _completed(target, live, thing)
        if claims:
            claims = ownership.updated(
                target.kind.node, _unclaimed(live), _unclaimed(thing), claims, manager, self._stamp()
            )
        made = self._change(user, target, live, thing, claims, is_dry=is_dry)
        return Answer(200, shown(target.kind, made), warnings)

    def _apply(self, user: User, target: Target, request: Request) -> Answer:
        kind = target.kind
        manager, is_dry = Manager(request.manager(), "Apply", target.subresource), request.is_dry()
        config = _configuration(target, request.body)
        key = key_of(kind, target.namespace, target.name)
        live = self._collections[kind].objects.get(key)
        if live is None:
            if target.subresource:
                raise answers.not_found(kind, target.name)
            self.roles.require(user, target.ask("create"), kind)
        base = _blank(kind) if live is None else _unclaimed(live)
        claims: Claims = {} if live is None else ownership.claims_of(live["metadata"])
        if live is not None and not claims:
            first = Manager("before-first-apply", "Update")
            claims = ownership.updated(kind.node, _blank(kind), base, {}, first, self._stamp())
        try:
            new, claims = ownership.applied(
                kind.node,
                base,
                config,
                claims,
                manager,
                force=request.is_on("force"),
                now=self._stamp(),
                version=kind.version,
            )
        except ownership.ConflictsError as conflicts:
            raise _conflicting(conflicts) from None
        thing, warnings = _typed(kind, shown(kind, new), strict=False)
        if live is None:
            thing["metadata"] = {**thing["metadata"], "name": target.name}
            thing["metadata"].pop("resourceVersion", None)
            if uid := thing["metadata"].pop("uid", ""):
                why = (
                    f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                )
                raise answers.conflict(kind, target.name, why)
            return Answer(
                201, shown(kind, self._create(user, target, thing, claims, is_dry=is_dry)), warnings
            )
        made = self._change(user, target, live, _completed(target, live, thing), claims, is_dry=is_dry)
        return Answer(200, shown(kind, made), warnings)

    def _create(self, user: User, target: Target, thing: Object, claims: Claims, *, is_dry: bool) -> Object:
        kind, metadata = target.kind, thing["metadata"]
        _expect_place(target, metadata, is_new=True)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_LETTERS) for _ in range(5))
        name = metadata.get("name", "")
        if kind.namespaced:
            self._expect_namespace(kind, name, target.namespace)
        thing = self._born(kind, target.namespace, thing, claims)
        self._admit("CREATE", kind, thing)
        self._forbid_escalation(user, kind, thing)
        if wrong := faults(kind, thing):
            raise answers.faulty(kind, name, wrong)
        there = self._collections[kind].objects.get(key_of(kind, target.namespace, name))
        if there is not None:
            raise answers.exists(kind, name, leaving="deletionTimestamp" in there["metadata"])
        return thing if is_dry else self._write(kind, None, thing)

    def _born(self, kind: Kind, namespace: str, thing: Object, claims: Claims) -> Object:
        """A new object with all that the API server gives it at birth."""
        given = {
            name: part
            for name, part in thing["metadata"].items()
            if name
            not in ("managedFields", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds")
        }
        metadata = {
            **given,
            **({"namespace": namespace} if kind.namespaced else {}),
            "uid": str(uuid4()),
            **({"generation": 1} if kind.counted else {}),
            "creationTimestamp": self._stamp(),
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

    def _change(
        self, user: User, target: Target, live: Object, thing: Object, claims: Claims, *, is_dry: bool
    ) -> Object:
        kind, old = target.kind, live["metadata"]
        wanted = thing["metadata"].get("resourceVersion", old["resourceVersion"])
        if wanted != old["resourceVersion"]:
            why = (
                "the object has been modified; please apply your changes to the latest version and try again"
            )
            raise answers.conflict(kind, target.name, why)
        thing = {**thing, "metadata": {**thing["metadata"], "resourceVersion": wanted}}
        self._admit("UPDATE", kind, thing)
        if _unclaimed(thing) != _unclaimed(live) and not target.subresource:
            self._forbid_escalation(user, kind, thing)
        if wrong := faults(kind, thing, live):
            raise answers.faulty(kind, target.name, wrong)
        metadata = thing["metadata"]
        if kind.counted and not target.subresource and thing.get("spec") != live.get("spec"):
            metadata["generation"] = old["generation"] + 1
        if entries := ownership.entries_of(claims, kind.version):
            metadata["managedFields"] = entries
        if _timeless(thing) == _timeless(live):
            return live
        if is_dry:
            return thing
        if "deletionTimestamp" in old and not metadata.get("finalizers") and not _is_held(kind, thing):
            self._write(kind, live, None)
            return thing
        return self._write(kind, live, thing)

    def _write(self, kind: Kind, before: Object | None, after: Object | None) -> Object:
        self.version += 1
        written = None if after is None else _at(after, self.version)
        thing = written or before
        assert thing is not None
        metadata = thing["metadata"]
        key = key_of(kind, metadata.get("namespace", ""), metadata["name"])
        event = Event(self.version, key, written, before)
        self._collections[kind].write(event)
        self._react(kind, event, metadata)
        return written or _at(thing, self.version)

    def _admit(self, operation: str, kind: Kind, thing: Object) -> None:
        for webhook in self.settings.webhooks:
            if (why := webhook.denies(operation, kind, thing)) is not None:
                message = f'admission webhook "{webhook.name}" denied the request: {why}'
                raise RefusedError(webhook.code, "", message)

    def _expect_namespace(self, kind: Kind, name: str, namespace: str) -> None:
        found = self._collections[NAMESPACES].objects.get(namespace)
        if found is None:
            raise answers.not_found(NAMESPACES, namespace)
        if "deletionTimestamp" in found["metadata"]:
            raise answers.forbidden(
                kind,
                name,
                f"unable to create new content in namespace {namespace} because it is being terminated",
                causes=[
                    {
                        "reason": "NamespaceTerminating",
                        "message": f"namespace {namespace} is being terminated",
                        "field": "metadata.namespace",
                    }
                ],
            )

    def _forbid_escalation(self, user: User, kind: Kind, thing: Object) -> None:
        """Nobody grants what they do not hold, but by the verbs bind and escalate."""
        if access.MASTERS in user.groups or kind.group != schema.RBAC:
            return
        name, namespace = thing["metadata"].get("name", ""), thing["metadata"].get("namespace", "")
        if kind in (schema.ROLES, schema.CLUSTER_ROLES):
            ask = access.Ask("escalate", schema.RBAC, kind.plural, "", namespace, name)
            if self.roles.why_allowed(user, ask) is not None:
                return
            self.roles.forbid_escalation(user, kind, name, namespace, thing.get("rules") or [])
            everything = access.CLUSTER_ROLES["cluster-admin"]["rules"]
            if "aggregationRule" in thing:
                try:
                    self.roles.forbid_escalation(user, kind, name, namespace, everything)
                except RefusedError:
                    why = "must have cluster-admin privileges to use the aggregationRule"
                    raise answers.forbidden(kind, name, why) from None
            return
        ref = thing["roleRef"]
        role = schema.ROLES if ref.get("kind") == "Role" else schema.CLUSTER_ROLES
        ask = access.Ask("bind", schema.RBAC, role.plural, "", namespace, ref.get("name", ""))
        if self.roles.why_allowed(user, ask) is not None:
            return
        rules = self._rules_of({"kind": role.name, "name": ref.get("name", "")}, namespace)
        if rules is None:
            raise answers.not_found(kind, ref.get("name", ""))
        self.roles.forbid_escalation(user, kind, name, namespace, rules)

    # ---- deleting

    def _delete(self, target: Target, request: Request) -> Answer:
        kind = target.kind
        options = _options(request)
        if kind is NAMESPACES and target.name in _KEPT[:3]:
            raise answers.forbidden(kind, target.name, "this namespace may not be deleted")
        live = self._found(target)
        _expect(kind, live["metadata"], options.get("preconditions") or {})
        self._admit("DELETE", kind, live)
        if "deletionTimestamp" in live["metadata"]:
            return Answer(200, shown(kind, live))
        marked = self._marked(kind, live, options.get("propagationPolicy"))
        if not options["dryRun"]:
            written = self._write(kind, live, marked)
            return Answer(200, _deletion(kind, written, is_kept=marked is not None))
        return Answer(200, _deletion(kind, marked or live, is_kept=marked is not None))

    def _marked(self, kind: Kind, live: Object, policy: str | None = None) -> Object | None:
        """What a deletion leaves: the object marked for it where finalizers hold it, else nothing."""
        metadata = live["metadata"]
        extra = {"Foreground": ["foregroundDeletion"], "Orphan": ["orphan"]}.get(policy or "", [])
        finalizers = [*metadata.get("finalizers", []), *extra]
        if not finalizers and kind is not NAMESPACES:
            return None
        marks = {
            **metadata,
            "deletionTimestamp": self._stamp(),
            **({} if kind is NAMESPACES else {"deletionGracePeriodSeconds": 0}),
            **({"finalizers": finalizers} if finalizers else {}),
            **({"generation": metadata["generation"] + 1} if kind.counted else {}),
        }
        after = {**live, "metadata": marks}
        if kind is NAMESPACES:
            after["status"] = {**live["status"], "phase": "Terminating"}
        return after

    # ---- tokens and reviews

    def _token(self, target: Target, request: Request) -> Answer:
        account = self._found(replace(target, subresource=""))
        spec = (_parsed(request.body, target.kind) if request.body else {}).get("spec") or {}
        seconds = spec.get("expirationSeconds") or 3600
        if seconds < _LEAST_TOKEN_SECONDS:
            review = Kind("authentication.k8s.io", "TokenRequest", "", {})
            why = "may not specify a duration less than 10 minutes"
            raise answers.faulty(review, "", [answers.invalid("spec.expirationSeconds", seconds, why)])
        now = self._now()
        until = now + timedelta(seconds=seconds)
        metadata = account["metadata"]
        claims = {
            "aud": spec.get("audiences") or [_ISSUER],
            "exp": int(until.timestamp()),
            "iat": int(now.timestamp()),
            "iss": _ISSUER,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        parts = [_base64({"alg": "none"}), _base64(claims), secrets.token_urlsafe(32)]
        token = ".".join(parts)
        self._bound[token] = account, until
        return Answer(
            201,
            {
                "kind": "TokenRequest",
                "apiVersion": "authentication.k8s.io/v1",
                "metadata": {
                    **{name: metadata[name] for name in ("name", "namespace", "uid")},
                    "creationTimestamp": self._stamp(),
                },
                "spec": {"audiences": claims["aud"], "expirationSeconds": seconds, "boundObjectRef": None},
                "status": {"token": token, "expirationTimestamp": _stamp(until)},
            },
        )

    def _review(self, user: User, kind: Kind, request: Request) -> Answer:
        if request.method != "POST":
            raise answers.no_method()
        self.roles.require(user, access.Ask("create", kind.group, kind.plural), kind)
        body = _parsed(request.body, kind)
        spec = body.get("spec") or {}
        head = {"kind": kind.name, "apiVersion": kind.version, "metadata": {}}
        if kind is discovery.SELF_SUBJECT:
            info = {
                "username": user.name,
                **({"uid": user.uid} if user.uid else {}),
                "groups": list(user.groups),
            }
            head["metadata"] = {"creationTimestamp": self._stamp()}
            return Answer(201, {**head, "status": {"userInfo": info}})
        if kind is discovery.SELF_RULES:
            namespace = spec.get("namespace")
            if not namespace:
                raise bad_request("no namespace on request")
            held = self.roles.held(user, namespace)
            status = {
                "resourceRules": [rule for rule in held if "resources" in rule],
                "nonResourceRules": [rule for rule in held if "nonResourceURLs" in rule],
                "incomplete": False,
            }
            return Answer(201, {**head, "spec": {}, "status": status})
        ask = discovery.asked(spec)
        who = user
        if kind is discovery.SUBJECT_ACCESS:
            if not (spec.get("user") or spec.get("groups")):
                why = "at least one of user or group must be specified"
                raise discovery.wrong_review(answers.invalid("spec.user", "", why))
            who = User(spec.get("user", ""), tuple(spec.get("groups", ())))
        why_allowed = self.roles.why_allowed(who, ask)
        status = {"allowed": why_allowed is not None, **({"reason": why_allowed} if why_allowed else {})}
        return Answer(201, {**head, "spec": spec, "status": status})

    # ---- controllers

    def _react(self, kind: Kind, event: Event, metadata: Object) -> None:
        """Have each controller look at what was written, a moment later."""
        soon, namespace = self.settings.controller_seconds, metadata.get("namespace", "")
        is_new_or_gone = event.before is None or event.after is None
        if kind is NAMESPACES and event.after is not None:
            if event.before is None:
                self._later(soon, lambda: self._furnish(event.key))
            elif "deletionTimestamp" in metadata and "deletionTimestamp" not in event.before["metadata"]:
                self._later(self.settings.namespace_seconds, lambda: self._clear(event.key))
        if event.after is None and kind in (schema.SERVICE_ACCOUNTS, schema.CONFIG_MAPS):
            self._later(soon, lambda: self._furnish(namespace))
        if kind is schema.CLUSTER_ROLES:
            self._later(soon, self._aggregate)
        if namespace and (is_new_or_gone or kind is schema.QUOTAS):
            self._count_soon(namespace)
        if (
            set(metadata.get("finalizers", ())) & {"foregroundDeletion", "orphan"}
            and "deletionTimestamp" in metadata
        ):
            self._later(soon, lambda: self._release(kind, event.key))

    def _make(self, kind: Kind, namespace: str, thing: Object, manager: str) -> Object:
        """An object that a controller makes, past all checks."""
        thing = defaulted(kind, thing)
        by = Manager(manager, "Update")
        claims = ownership.updated(kind.node, _blank(kind), thing, {}, by, self._stamp())
        return self._write(kind, None, self._born(kind, namespace, thing, claims))

    def _furnish(self, namespace: str) -> None:
        """Give a namespace the account and the certificate that each has."""
        found = self._collections[NAMESPACES].objects.get(namespace)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        if f"{namespace}/default" not in self._collections[schema.SERVICE_ACCOUNTS].objects:
            self._make(
                schema.SERVICE_ACCOUNTS,
                namespace,
                {"metadata": {"name": "default"}},
                "kube-controller-manager",
            )
        if f"{namespace}/kube-root-ca.crt" not in self._collections[schema.CONFIG_MAPS].objects:
            certificate = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}}
            self._make(schema.CONFIG_MAPS, namespace, certificate, "kube-controller-manager")

    def _aggregate(self) -> None:
        """Gather the rules of the ClusterRoles that others are made of, until nothing changes."""
        roles = self._collections[schema.CLUSTER_ROLES]
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
            _unclaimed(live),
            _unclaimed(after),
            ownership.claims_of(live["metadata"]),
            manager,
            self._stamp(),
        )
        metadata = {**after["metadata"], "managedFields": ownership.entries_of(claims, kind.version)}
        return self._write(kind, live, {**after, "metadata": metadata})

    def _count_soon(self, namespace: str) -> None:
        if namespace not in self._counting and self._collections[schema.QUOTAS].count(f"{namespace}/"):
            self._counting.add(namespace)
            self._later(self.settings.controller_seconds, lambda: self._count(namespace))

    def _count(self, namespace: str) -> None:
        """Write into each quota what is used of it: counts of objects, and nothing of what pods would use."""
        self._counting.discard(namespace)
        prefix = f"{namespace}/"
        counts = {kind.qualified: self._collections[kind].count(prefix) for kind in KINDS if kind.namespaced}
        for quota in list(self._collections[schema.QUOTAS].select(prefix, "", self.version)):
            hard = quota["spec"].get("hard", {})
            used = {name: str(counts.get(name.removeprefix("count/"), 0)) for name in hard}
            status = {"hard": hard, "used": used} if hard else {}
            if status != quota["status"]:
                manager = Manager("kube-controller-manager", "Update", "status")
                self._owned_write(schema.QUOTAS, quota, {**quota, "status": status}, manager)

    def _release(self, kind: Kind, key: str) -> None:
        """What the garbage collector does for an object that has no dependents."""
        live = self._collections[kind].objects.get(key)
        if live is None:
            return
        left = [
            name
            for name in live["metadata"].get("finalizers", ())
            if name not in ("foregroundDeletion", "orphan")
        ]
        metadata = {name: part for name, part in live["metadata"].items() if name != "finalizers"}
        after = {**live, "metadata": {**metadata, **({"finalizers": left} if left else {})}}
        self._write(kind, live, after if left or _is_held(kind, after) else None)

    def _clear(self, name: str) -> None:
        """Delete what is in a namespace and then the namespace; come back while finalizers hold something."""
        live = self._collections[NAMESPACES].objects.get(name)
        if live is None or not _is_held(NAMESPACES, live):
            return
        for kind in KINDS:
            if kind.namespaced:
                for thing in list(self._collections[kind].select(f"{name}/", "", self.version)):
                    if "deletionTimestamp" not in thing["metadata"]:
                        self._write(kind, thing, self._marked(kind, _unprotected(kind, thing)))
        left = {
            kind: list(self._collections[kind].select(f"{name}/", "", self.version))
            for kind in KINDS
            if kind.namespaced
        }
        conditions = _conditions(left, live["status"].get("conditions", []), self._stamp())
        after = {**live, "status": {**live["status"], "conditions": conditions}}
        if after != live:
            manager = Manager("kube-controller-manager", "Update", "status")
            live = self._owned_write(NAMESPACES, live, after, manager)
        if any(left.values()):
            self._later(self.settings.namespace_seconds, lambda: self._clear(name))
        elif live["metadata"].get("finalizers"):
            self._write(NAMESPACES, live, {**live, "spec": {}})
        else:
            self._write(NAMESPACES, live, None)

    def _now(self) -> datetime:
        return datetime.now(UTC)

    def _stamp(self) -> str:
        return _stamp(self._now())


def _stamp(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _base64(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


# ---- what was sent


def _parsed(body: bytes, kind: Kind) -> Any:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind.name}): not JSON"
        ) from None
    if not isinstance(found, dict | list):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.name})")
    return found


def _decoded(kind: Kind, request: Request) -> tuple[Object, tuple[str, ...]]:
    if request.content_type not in ("application/json", ""):
        raise no_media()
    return _typed(kind, _parsed(request.body, kind), strict=request.query.get("fieldValidation") == "Strict")


def _typed(kind: Kind, sent: Any, *, strict: bool) -> tuple[Object, tuple[str, ...]]:
    """An object in its normal form with its defaults, and a warning for each field that is not known."""
    if not isinstance(sent, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind.name})")
    called, version = sent.get("kind") or kind.name, sent.get("apiVersion") or kind.version
    cannot = f'{called} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind.name}'
    if called != kind.name or version != kind.version:
        raise bad_request(f"{cannot}: no such kind is served here")
    unknown: list[str] = []
    plain = {name: part for name, part in sent.items() if name not in ("kind", "apiVersion")}
    entries = (
        (plain.get("metadata") or {}).get("managedFields")
        if isinstance(plain.get("metadata"), dict)
        else None
    )
    try:
        thing = schema.normal(kind.node, plain, "", unknown)
    except MistypedError as mistyped:
        raise bad_request(
            f"{cannot}: json: cannot unmarshal into Go struct field {mistyped.path}: {mistyped.message}"
        ) from None
    except QuantityError as wrong:
        raise bad_request(f"{cannot}: {wrong}") from None
    if strict and unknown:
        said = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise bad_request(f"{cannot}: strict decoding error: {said}")
    thing["metadata"] = dict(thing.get("metadata", {}))
    if entries is not None:
        thing["metadata"]["managedFields"] = entries
    return defaulted(kind, thing), tuple(f'unknown field "{path}"' for path in unknown)


def _configuration(target: Target, body: bytes) -> Object:
    """What is applied, as it was written."""
    kind = target.kind
    try:
        sent = msgspec.json.decode(body)
    except msgspec.DecodeError:
        parsed = yaml.parse(body, "patch.yaml")
        if parsed.diagnostics or len(parsed.documents) != 1:
            raise bad_request("error decoding YAML") from None
        sent = parsed.documents[0].value
    if not isinstance(sent, dict):
        raise bad_request("error decoding YAML: expected an object")
    group, _, version = str(sent.get("apiVersion", "")).rpartition("/")
    if sent.get("kind") != kind.name or sent.get("apiVersion") != kind.version:
        raise bad_request(f"invalid object type: {group}/{version}, Kind={sent.get('kind', '')}")
    config = {name: part for name, part in sent.items() if name not in ("kind", "apiVersion")}
    metadata = config.get("metadata") or {}
    if isinstance(metadata, dict):
        if metadata.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        _expect_place(target, metadata)
    if (fault := schema.undeclared(kind.node, config)) is not None:
        where = (
            f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {group}/{version}, Kind={kind.name}"
        )
        raise RefusedError(500, "", f"failed to create typed patch object ({where}): {fault}")
    config["metadata"] = metadata
    return config


def _expect_place(target: Target, metadata: Object, *, is_new: bool = False) -> None:
    name, namespace = metadata.get("name", ""), metadata.get("namespace", target.namespace)
    if not is_new and name and name != target.name:
        raise bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({target.name})"
        )
    if namespace != target.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _completed(target: Target, live: Object, thing: Object) -> Object:
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
        return {**live, "metadata": {**_unclaimed(live)["metadata"]}, "status": thing.get("status", {})}
    thing = defaulted(kind, {**thing, "metadata": metadata})
    if kind.has_status:
        thing["status"] = live["status"]
    if kind is NAMESPACES:
        thing["spec"] = live["spec"]
    return thing


def _blank(kind: Kind) -> Object:
    return {"metadata": {}, **kind.blank}


def _unclaimed(thing: Object) -> Object:
    return {
        **thing,
        "metadata": {name: part for name, part in thing["metadata"].items() if name != "managedFields"},
    }


def _timeless(thing: Object) -> Object:
    entries = [
        {name: part for name, part in entry.items() if name != "time"}
        for entry in thing["metadata"].get("managedFields", ())
    ]
    entries.sort(key=lambda entry: (entry["operation"], entry["manager"], entry.get("subresource", "")))
    return {**thing, "metadata": {**thing["metadata"], "managedFields": entries}}


def _conflicting(found: ownership.ConflictsError) -> RefusedError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, path in found.causes
    ]
    if len(found.causes) == 1:
        who, path = found.causes[0]
        said = f"1 conflict: conflict with {who}: {path}"
    else:
        lines: dict[str, list[str]] = {}
        for who, path in found.causes:
            lines.setdefault(who, []).append(f"- {path}")
        parts = [line for who, paths in lines.items() for line in (f"conflicts with {who}:", *paths)]
        said = f"{len(found.causes)} conflicts: " + "\n".join(parts)
    return RefusedError(409, "Conflict", f"Apply failed with {said}", details={"causes": causes})


# ---- lists


def _version(request: Request, before: str) -> int:
    text = request.query.get("resourceVersion") or "0"
    if not text.isdigit():
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        if before:
            raise bad_request(before + why)
        raise RefusedError(500, "", why)
    return int(text)


def _token(version: int, start: str) -> str:
    return _base64({"v": _SECOND_PAGE, "rv": version, "start": f"/{start}"})


def _continued(token: str, prefix: str) -> tuple[int, str]:
    try:
        said = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if said["v"] == _SECOND_PAGE:
            return int(said["rv"]), prefix + said["start"].removeprefix("/")
    except (ValueError, KeyError, TypeError):
        pass
    raise bad_request("invalid continue token: continue key is not valid")


# ---- deletion


def _options(request: Request) -> Object:
    """DeleteOptions from body and parameters. Raises a 422 RefusedError."""
    sent: Object = msgspec.json.decode(request.body) if request.body else {}
    options = {
        **sent,
        **{name: request.query[name] for name in ["propagationPolicy"] if name in request.query},
    }
    policy = options.get("propagationPolicy")
    if policy not in (None, "Foreground", "Background", "Orphan"):
        names = ["Foreground", "Background", "Orphan", "nil"]
        raise answers.bad_option("DeleteOptions", answers.unsupported("propagationPolicy", policy, names))
    return {**options, "dryRun": request.is_dry() or sent.get("dryRun") == ["All"]}


def _expect(kind: Kind, metadata: Object, preconditions: Object) -> None:
    """Raise a 409 RefusedError where a deletion is meant for another object, or another version of it."""
    name = metadata["name"]
    for part, called, hint in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        wanted, is_so = preconditions.get(part), metadata[part]
        if wanted in (None, is_so):
            continue
        if kind is NAMESPACES:  # they have a way of deleting, and words, of their own
            why = f"Precondition failed: {called} in precondition: {wanted}, {called} in object meta: {is_so}"
            raise answers.conflict(kind, name, why)
        why = (
            f"the {called} in the precondition ({wanted}) does not match the {called} in record ({is_so}). "
            f"The object might have been {hint}"
        )
        raise answers.conflict(kind, name, why, what=kind.name)


def _deletion(kind: Kind, thing: Object, *, is_kept: bool) -> Object:
    if is_kept or kind.shown_when_deleted:
        return shown(kind, thing)
    metadata = thing["metadata"]
    details = {**answers.details(kind, metadata["name"]), "uid": metadata["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _is_held(kind: Kind, thing: Object) -> bool:
    return kind is NAMESPACES and bool(thing["spec"].get("finalizers"))


def _unprotected(kind: Kind, thing: Object) -> Object:
    """Without the finalizer that a controller takes off a claim that no pod uses."""
    if kind is not schema.CLAIMS:
        return thing
    left = [
        name for name in thing["metadata"].get("finalizers", ()) if name != "kubernetes.io/pvc-protection"
    ]
    metadata = {name: part for name, part in thing["metadata"].items() if name != "finalizers"}
    return {**thing, "metadata": {**metadata, **({"finalizers": left} if left else {})}}


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
