"""Who may do what: RBAC over the stored roles and bindings, and the check that nobody grants more than they hold.

The rules are those of k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac and pkg/registry/rbac/validation
(https://kubernetes.io/docs/reference/access-authn-authz/rbac/).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hanse.simulators.kubernetes.answers import RefusedError, forbidden
from hanse.simulators.kubernetes.schema import RBAC, Kind, Object

MASTERS = "system:masters"
Rule = Mapping[str, Any]
_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True)
class User:
    """Who asks, as the token told."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: Mapping[str, list[str]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


class Ask(NamedTuple):
    """What somebody wants to do, with a resource or (`path`) with something else."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def what(self) -> str:
        """The resource as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Roles:
    """The roles and bindings of a cluster, through which it is asked."""

    def __init__(
        self,
        rules: Callable[[Rule, str], Iterable[Rule] | None],
        bindings: Callable[[str], Iterable[tuple[Kind, Object]]],
    ) -> None:
        """Take `rules` of a roleRef in a namespace (None: no such role) and the bindings that count in a namespace."""
        self._rules, self._bindings = rules, bindings

    def _held(self, user: User, namespace: str) -> Iterator[tuple[str, Rule]]:
        """Each rule that a user holds in a namespace, and by which way, in the API server's words."""
        for kind, binding in self._bindings(namespace):
            metadata, role = binding["metadata"], binding["roleRef"]
            within = metadata.get("namespace", "")
            through = next(
                (one for one in binding.get("subjects", ()) if _is(one, user, within)),
                None,
            )
            if through is None:
                continue
            name = f"{metadata['name']}/{within}" if within else metadata["name"]
            subject = (
                f"{through['name']}/{through.get('namespace', within)}"
                if through["kind"] == "ServiceAccount"
                else through["name"]
            )
            how = (
                f'RBAC: allowed by {kind.name} "{name}" of {role["kind"]} "{role["name"]}" '
                f'to {through["kind"]} "{subject}"'
            )
            for rule in self._rules(role, within) or ():
                yield how, rule

    def why_allowed(self, user: User, ask: Ask) -> str | None:
        """By which way it is allowed; None where it is not."""
        if MASTERS in user.groups:
            return ""
        return next((how for how, rule in self._held(user, ask.namespace) if _allows(rule, ask)), None)

    def held(self, user: User, namespace: str) -> list[Rule]:
        """All rules that a user holds in a namespace."""
        if MASTERS in user.groups:
            return [
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ]
        return [rule for _, rule in self._held(user, namespace)]

    def require(self, user: User, ask: Ask, kind: Kind | None = None) -> None:
        """Raise a 403 RefusedError where it is not allowed."""
        if self.why_allowed(user, ask) is not None:
            return
        if ask.path:
            message = f'forbidden: User "{user.name}" cannot {ask.verb} path "{ask.path}"'
            raise RefusedError(403, "Forbidden", message, details={})
        scope = f'in the namespace "{ask.namespace}"' if ask.namespace else "at the cluster scope"
        assert kind is not None
        raise forbidden(
            kind,
            ask.name,
            f'User "{user.name}" cannot {ask.verb} resource "{ask.what}" in API group "{ask.group}" {scope}',
        )

    def forbid_escalation(
        self, user: User, kind: Kind, name: str, namespace: str, wanted: Iterable[Rule]
    ) -> None:
        """Raise a 403 RefusedError where the rules say more than the user holds."""
        held = self.held(user, namespace)
        missing = [
            part for rule in wanted for part in _parts(rule) if not any(_covers(own, part) for own in held)
        ]
        if missing:
            groups = " ".join(f'"{group}"' for group in user.groups)
            raise forbidden(
                kind,
                name,
                f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
                + "\n".join(sorted(map(_shown, _together(missing)))),
            )


def _is(subject: Rule, user: User, namespace: str) -> bool:
    match subject["kind"]:
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case _:
            own = f"{_SERVICE_ACCOUNT}{subject.get('namespace', namespace)}:{subject['name']}"
            return own == user.name


def _has(names: Iterable[str], name: str) -> bool:
    return "*" in names or name in names


def _allows(rule: Rule, ask: Ask) -> bool:
    if not _has(rule["verbs"], ask.verb):
        return False
    if ask.path:
        return any(
            url == ask.path or (url.endswith("*") and ask.path.startswith(url[:-1]))
            for url in rule.get("nonResourceURLs", ())
        )
    resources = rule.get("resources", ())
    named = rule.get("resourceNames", ())
    return (
        _has(rule.get("apiGroups", ()), ask.group)
        and (_has(resources, ask.what) or (bool(ask.subresource) and f"*/{ask.subresource}" in resources))
        and (not named or ask.name in named)
    )


class _Part(NamedTuple):
    """The smallest rule: one verb on one thing."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str = ""
    url: str = ""


def _parts(rule: Rule) -> Iterator[_Part]:
    for group in rule.get("apiGroups", ()):
        for resource in rule.get("resources", ()):
            for name in rule.get("resourceNames") or [""]:
                yield from (_Part(verb, group, resource, name) for verb in rule["verbs"])
    for url in rule.get("nonResourceURLs", ()):
        yield from (_Part(verb, url=url) for verb in rule["verbs"])


def _covers(rule: Rule, part: _Part) -> bool:
    if part.url:
        urls = rule.get("nonResourceURLs", ())
        return _has(rule["verbs"], part.verb) and any(
            url == part.url or (url.endswith("*") and part.url.startswith(url[:-1])) for url in urls
        )
    named = rule.get("resourceNames", ())
    resources = rule.get("resources", ())
    wild = f"*/{part.resource.partition('/')[2]}"
    return (
        _has(rule["verbs"], part.verb)
        and _has(rule.get("apiGroups", ()), part.group)
        and (_has(resources, part.resource) or ("/" in part.resource and wild in resources))
        and (not named or (bool(part.name) and part.name in named))
    )


def _together(parts: Iterable[_Part]) -> Iterator[tuple[_Part, list[str]]]:
    """The verbs on each thing, in the order in which they came."""
    found: dict[_Part, list[str]] = {}
    for part in parts:
        verbs = found.setdefault(part._replace(verb=""), [])
        if part.verb not in verbs:
            verbs.append(part.verb)
    yield from found.items()


def _shown(one: tuple[_Part, list[str]]) -> str:
    part, verbs = one
    what = (
        [("NonResourceURLs", [part.url])]
        if part.url
        else [
            ("APIGroups", [part.group]),
            ("Resources", [part.resource]),
            *([("ResourceNames", [part.name])] if part.name else []),
        ]
    )
    said = [f"{name}:[{' '.join(map(json.dumps, values))}]" for name, values in [*what, ("Verbs", verbs)]]
    return "{" + ", ".join(said) + "}"


# ---- the roles that every cluster has

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]


def _rule(verbs: list[str], group: str, *resources: str) -> Rule:
    return {"verbs": verbs, "apiGroups": [group], "resources": list(resources)}


_VIEW = [
    _rule(_READ, "", "configmaps", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods"),
    _rule(_READ, "", "serviceaccounts", "limitranges", "namespaces", "namespaces/status", "pods/status"),
    _rule(_READ, "", "resourcequotas", "resourcequotas/status"),
    _rule(_READ, "networking.k8s.io", "networkpolicies"),
]
_EDIT = [
    _rule(_READ, "", "secrets"),
    _rule(["impersonate"], "", "serviceaccounts"),
    _rule(_WRITE, "", "configmaps", "persistentvolumeclaims", "pods", "secrets", "serviceaccounts"),
    _rule(["create"], "", "serviceaccounts/token"),
    _rule(_WRITE, "networking.k8s.io", "networkpolicies"),
]
_ADMIN = [
    _rule(["create"], "authorization.k8s.io", "localsubjectaccessreviews"),
    _rule([*_WRITE, *_READ], RBAC, "rolebindings", "roles"),
]
_INFORMATION = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]
_INTO = "rbac.authorization.k8s.io/aggregate-to-"
_EVERYBODY = ("system:authenticated", "system:unauthenticated")
_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")

# Of admin, edit and view only what concerns the resources that are simulated.
CLUSTER_ROLES: Mapping[str, Object] = {
    "cluster-admin": {
        "rules": [_rule(["*"], "*", "*"), {"verbs": ["*"], "nonResourceURLs": ["*"]}],
    },
    "admin": {"from": "admin", "labels": {}},
    "edit": {"from": "edit", "labels": {f"{_INTO}admin": "true"}},
    "view": {"from": "view", "labels": {f"{_INTO}edit": "true"}},
    "system:aggregate-to-admin": {"rules": _ADMIN, "labels": {f"{_INTO}admin": "true"}},
    "system:aggregate-to-edit": {"rules": _EDIT, "labels": {f"{_INTO}edit": "true"}},
    "system:aggregate-to-view": {"rules": _VIEW, "labels": {f"{_INTO}view": "true"}},
    "system:basic-user": {
        "rules": [
            _rule(["create"], "authorization.k8s.io", *_REVIEWS),
            _rule(["create"], "authentication.k8s.io", "selfsubjectreviews"),
        ],
        "for": _EVERYBODY[:1],
    },
    "system:discovery": {
        "rules": [{"verbs": ["get"], "nonResourceURLs": [*_DISCOVERY, *_INFORMATION]}],
        "for": _EVERYBODY[:1],
    },
    "system:public-info-viewer": {
        "rules": [{"verbs": ["get"], "nonResourceURLs": _INFORMATION}],
        "for": _EVERYBODY,
    },
}


def first_roles() -> Iterator[tuple[Object, Object | None]]:
    """Each ClusterRole that a new cluster has, and the ClusterRoleBinding of the same name where it has one."""
    automatic = {"rbac.authorization.kubernetes.io/autoupdate": "true"}
    for name, what in CLUSTER_ROLES.items():
        metadata = {
            "name": name,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults", **what.get("labels", {})},
            "annotations": automatic,
        }
        aggregated = {"clusterRoleSelectors": [{"matchLabels": {f"{_INTO}{what.get('from')}": "true"}}]}
        role = {
            "metadata": metadata,
            **({"aggregationRule": aggregated} if "from" in what else {}),
            "rules": what.get("rules"),
        }
        groups = (MASTERS,) if name == "cluster-admin" else what.get("for", ())
        subjects = [{"kind": "Group", "apiGroup": RBAC, "name": group} for group in groups]
        ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
        yield role, {"metadata": metadata, "subjects": subjects, "roleRef": ref} if subjects else None
