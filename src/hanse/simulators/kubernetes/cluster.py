"""The state of a simulated cluster: takes a request, gives an answer or opens a watch. Knows no HTTP and no thread."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hanse.simulators.kubernetes import access, answers, discovery, ownership, patches, schema, selectors
from hanse.simulators.kubernetes.access import ANONYMOUS, Roles, Rule, User
from hanse.simulators.kubernetes.answers import RefusedError, bad_request
from hanse.simulators.kubernetes.controllers import Controllers, Later
from hanse.simulators.kubernetes.objects import (
    blank,
    born,
    completed,
    deletion,
    is_held,
    marked,
    shown,
    stamp,
    timeless,
    unclaimed,
)
from hanse.simulators.kubernetes.ownership import Claims, Manager
from hanse.simulators.kubernetes.requests import Request, Target, no_media, target_of, verb_of
from hanse.simulators.kubernetes.rules import faults
from hanse.simulators.kubernetes.schema import NAMESPACES, Kind, Object
from hanse.simulators.kubernetes.sending import (
    configuration,
    continued,
    decoded,
    encoded,
    expect,
    expect_place,
    options_of,
    parsed,
    token_of,
    typed,
    version_of,
)
from hanse.simulators.kubernetes.settings import Settings
from hanse.simulators.kubernetes.storage import Collection, Store, key_of
from hanse.simulators.kubernetes.watching import Watch, bookmark_of, told_of

_KEPT = ("default", "kube-system", "kube-public")
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LEAST_TOKEN_SECONDS = 600
_ISSUER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class Answer:
    """What goes back: JSON, or plain text."""

    code: int
    body: Object | str
    warnings: tuple[str, ...] = ()


class Cluster:
    """One cluster. All calls come from one thread; `later` runs what controllers do, in the same one."""

    def __init__(self, tokens: Mapping[str, User], later: Later, *, history: int = 10_000) -> None:
        """Take who stands behind which token, and how many events each collection keeps."""
        self.settings = Settings()
        self.store = Store(history)
        self.controllers = Controllers(self.store, self.settings, later)
        self.roles = Roles(self._rules_of, self._bindings_in)
        self._tokens = dict(tokens)
        self._bound: dict[str, tuple[Object, datetime]] = {}
        for role, binding in access.first_roles():
            self.controllers.make(schema.CLUSTER_ROLES, "", role, "kube-apiserver")
            if binding is not None:
                self.controllers.make(schema.CLUSTER_ROLE_BINDINGS, "", binding, "kube-apiserver")
        self.controllers.aggregate()
        for name in (*_KEPT, "kube-node-lease"):
            self.controllers.make(NAMESPACES, "", {"metadata": {"name": name}}, "kube-apiserver")

    # ---- what tests need beyond the API

    def compact(self, *, watches_only: bool = False) -> None:
        """Forget all history: what is older can no longer be watched, nor listed if not `watches_only`."""
        for collection in self.store.collections.values():
            collection.forget(self.store.version, watches_only=watches_only)

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
            live = self.store.collections[schema.SERVICE_ACCOUNTS].objects.get(f"{namespace}/{name}")
            if live is not None and live["metadata"]["uid"] == metadata["uid"]:
                return User(
                    f"system:serviceaccount:{namespace}:{name}",
                    ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
                    metadata["uid"],
                )
        raise RefusedError(401, "Unauthorized", "Unauthorized")

    def _rules_of(self, ref: Rule, namespace: str) -> list[Rule] | None:
        kind = schema.ROLES if ref["kind"] == "Role" else schema.CLUSTER_ROLES
        role = self.store.collections[kind].objects.get(key_of(kind, namespace, ref["name"]))
        return None if role is None else role.get("rules") or []

    def _bindings_in(self, namespace: str) -> Iterator[tuple[Kind, Object]]:
        for binding in self.store.collections[schema.CLUSTER_ROLE_BINDINGS].objects.values():
            yield schema.CLUSTER_ROLE_BINDINGS, binding
        if namespace:
            bindings = self.store.collections[schema.ROLE_BINDINGS]
            for binding in bindings.select(f"{namespace}/", "", self.store.version):
                yield schema.ROLE_BINDINGS, binding

    # ---- reading

    def _found(self, target: Target) -> Object:
        found = self.store.collections[target.kind].objects.get(
            key_of(target.kind, target.namespace, target.name)
        )
        if found is None:
            raise answers.not_found(target.kind, target.name)
        return found

    def _list(self, target: Target, request: Request) -> Answer:
        kind, collection = target.kind, self.store.collections[target.kind]
        prefix = f"{target.namespace}/" if target.namespace else ""
        limit, version, after = request.number("limit"), self.store.version, ""
        if self.settings.page_limit and limit > self.settings.page_limit:
            limit = self.settings.page_limit
        wanted = version_of(request, "invalid resource version: ")
        if token := request.query.get("continue"):
            if wanted:
                raise bad_request("specifying resource version is not allowed when using continue")
            said, after = continued(token, prefix)
            version = self.store.version if said < 0 else said
            if version < collection.listable_from:
                raise answers.expired(
                    "The provided continue parameter is too old to display a consistent list result. "
                    "You can start a new list without the continue parameter.",
                    restart=token_of(-1, after[len(prefix) :]),
                )
        elif wanted > self.store.version:
            raise RefusedError(
                504,
                "Timeout",
                f"Timeout: Too large resource version: {wanted}, current: {self.store.version}",
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
        for thing in collection.select(prefix, after, version):
            if 0 < limit <= len(items):
                last = items[-1]["metadata"]
                start = key_of(kind, last.get("namespace", ""), last["name"]) + "\0"
                metadata["continue"] = token_of(version, start[len(prefix) :])
                if not is_selected:
                    metadata["remainingItemCount"] = collection.count_after(prefix, start, version)
                break
            if test(thing):
                items.append(thing)
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
        kind, collection = target.kind, self.store.collections[target.kind]
        prefix = f"{target.namespace}/" if target.namespace else ""
        version, (test, _) = version_of(request, ""), self._test(target.kind, request)
        bookmarks = request.is_on("allowWatchBookmarks")
        seconds = request.number("timeoutSeconds") or None
        first: list[Object]
        if not version:
            there = collection.select(prefix, "", self.store.version)
            first = [{"type": "ADDED", "object": shown(kind, thing)} for thing in there if test(thing)]
            if bookmarks and request.is_on("sendInitialEvents"):
                first.append(bookmark_of(kind, self.store.version, {"k8s.io/initial-events-end": "true"}))
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
        thing, warnings = decoded(target.kind, request)
        if thing["metadata"].get("resourceVersion"):
            raise RefusedError(500, "", "resourceVersion should not be set on objects to be created")
        claims = ownership.updated(target.kind.node, blank(target.kind), thing, {}, manager, self._stamp())
        made = self._create(user, target, thing, claims, is_dry=is_dry)
        return Answer(201, shown(target.kind, made), warnings)

    def _put(self, user: User, target: Target, request: Request) -> Answer:
        manager, is_dry = Manager(request.manager(), "Update", target.subresource), request.is_dry()
        thing, warnings = decoded(target.kind, request)
        key = key_of(target.kind, target.namespace, target.name)
        live = self.store.collections[target.kind].objects.get(key)
        expect_place(target, thing["metadata"])
        if live is None and target.kind.made_by_put and not target.subresource:
            self.roles.require(user, target.ask("create"), target.kind)
            claims = ownership.updated(
                target.kind.node, blank(target.kind), thing, {}, manager, self._stamp()
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
        patch = parsed(request.body, target.kind)
        changed = ways[request.content_type](shown(target.kind, live), patch)
        thing, warnings = typed(target.kind, changed, strict=request.query.get("fieldValidation") == "Strict")
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
        thing = completed(target, live, thing)
        if claims:
            claims = ownership.updated(
                target.kind.node, unclaimed(live), unclaimed(thing), claims, manager, self._stamp()
            )
        made = self._change(user, target, live, thing, claims, is_dry=is_dry)
        return Answer(200, shown(target.kind, made), warnings)

    def _apply(self, user: User, target: Target, request: Request) -> Answer:
        kind = target.kind
        manager, is_dry = Manager(request.manager(), "Apply", target.subresource), request.is_dry()
        config = configuration(target, request.body)
        key = key_of(kind, target.namespace, target.name)
        live = self.store.collections[kind].objects.get(key)
        if live is None:
            if target.subresource:
                raise answers.not_found(kind, target.name)
            self.roles.require(user, target.ask("create"), kind)
        base = blank(kind) if live is None else unclaimed(live)
        claims: Claims = {} if live is None else ownership.claims_of(live["metadata"])
        if live is not None and not claims:
            first = Manager("before-first-apply", "Update")
            claims = ownership.updated(kind.node, blank(kind), base, {}, first, self._stamp())
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
        thing, warnings = typed(kind, shown(kind, new), strict=False)
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
        made = self._change(user, target, live, completed(target, live, thing), claims, is_dry=is_dry)
        return Answer(200, shown(kind, made), warnings)

    def _create(self, user: User, target: Target, thing: Object, claims: Claims, *, is_dry: bool) -> Object:
        kind, metadata = target.kind, thing["metadata"]
        expect_place(target, metadata, is_new=True)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_LETTERS) for _ in range(5))
        name = metadata.get("name", "")
        if kind.namespaced:
            self._expect_namespace(kind, name, target.namespace)
        thing = born(kind, target.namespace, thing, claims, self._stamp())
        self._admit("CREATE", kind, thing)
        self._forbid_escalation(user, kind, thing)
        if wrong := faults(kind, thing):
            raise answers.faulty(kind, name, wrong)
        there = self.store.collections[kind].objects.get(key_of(kind, target.namespace, name))
        if there is not None:
            raise answers.exists(kind, name, leaving="deletionTimestamp" in there["metadata"])
        return thing if is_dry else self.store.write(kind, None, thing)

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
        if unclaimed(thing) != unclaimed(live) and not target.subresource:
            self._forbid_escalation(user, kind, thing)
        if wrong := faults(kind, thing, live):
            raise answers.faulty(kind, target.name, wrong)
        metadata = thing["metadata"]
        if kind.counted and not target.subresource and thing.get("spec") != live.get("spec"):
            metadata["generation"] = old["generation"] + 1
        if entries := ownership.entries_of(claims, kind.version):
            metadata["managedFields"] = entries
        if timeless(thing) == timeless(live):
            return live
        if is_dry:
            return thing
        if "deletionTimestamp" in old and not metadata.get("finalizers") and not is_held(kind, thing):
            self.store.write(kind, live, None)
            return thing
        return self.store.write(kind, live, thing)

    def _admit(self, operation: str, kind: Kind, thing: Object) -> None:
        for webhook in self.settings.webhooks:
            if (why := webhook.denies(operation, kind, thing)) is not None:
                message = f'admission webhook "{webhook.name}" denied the request: {why}'
                raise RefusedError(webhook.code, "", message)

    def _expect_namespace(self, kind: Kind, name: str, namespace: str) -> None:
        found = self.store.collections[NAMESPACES].objects.get(namespace)
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
        options = options_of(request)
        if kind is NAMESPACES and target.name in _KEPT[:3]:
            raise answers.forbidden(kind, target.name, "this namespace may not be deleted")
        live = self._found(target)
        expect(kind, live["metadata"], options.get("preconditions") or {})
        self._admit("DELETE", kind, live)
        if "deletionTimestamp" in live["metadata"]:
            return Answer(200, shown(kind, live))
        held = marked(kind, live, self._stamp(), options.get("propagationPolicy"))
        shown_as = held or live
        if not options["dryRun"]:
            shown_as = self.store.write(kind, live, held)
        return Answer(200, deletion(kind, shown_as, is_kept=held is not None))

    # ---- tokens and reviews

    def _token(self, target: Target, request: Request) -> Answer:
        account = self._found(replace(target, subresource=""))
        spec = (parsed(request.body, target.kind) if request.body else {}).get("spec") or {}
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
        parts = [encoded({"alg": "none"}), encoded(claims), secrets.token_urlsafe(32)]
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
                "status": {"token": token, "expirationTimestamp": stamp(until)},
            },
        )

    def _review(self, user: User, kind: Kind, request: Request) -> Answer:
        if request.method != "POST":
            raise answers.no_method()
        self.roles.require(user, access.Ask("create", kind.group, kind.plural), kind)
        body = parsed(request.body, kind)
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

    def _now(self) -> datetime:
        return datetime.now(UTC)

    def _stamp(self) -> str:
        return stamp(self._now())


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
