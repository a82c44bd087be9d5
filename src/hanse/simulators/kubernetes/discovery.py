"""What the API says about itself, and the reviews: kinds that are asked and never kept."""

import re

from hanse.simulators.kubernetes.access import Ask
from hanse.simulators.kubernetes.answers import Fault, RefusedError, faulty, invalid
from hanse.simulators.kubernetes.schema import KINDS, NETWORKING, RBAC, SERVICE_ACCOUNTS, Kind, Object

_AUTHORIZATION, _AUTHENTICATION = "authorization.k8s.io", "authentication.k8s.io"
SELF_ACCESS = Kind(
    _AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews", {}, namespaced=False
)
SELF_RULES = Kind(_AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews", {}, namespaced=False)
SUBJECT_ACCESS = Kind(_AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews", {}, namespaced=False)
SELF_SUBJECT = Kind(_AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews", {}, namespaced=False)
REVIEWS = (SELF_ACCESS, SELF_RULES, SUBJECT_ACCESS, SELF_SUBJECT)
_GROUPS = (_AUTHENTICATION, _AUTHORIZATION, NETWORKING, RBAC)
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
VERSION: Object = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0-simulated",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}


def review_of(path: str) -> Kind | None:
    """The review that is made by a POST to this path."""
    return next((kind for kind in REVIEWS if path == f"/apis/{kind.version}/{kind.plural}"), None)


def document(path: str) -> Object | str | None:
    """What there is at a path that is no resource, or None."""
    match path.rstrip("/"):
        case "/version":
            return VERSION
        case "/readyz" | "/livez" | "/healthz":
            return "ok"
        case "/api":
            return {
                "kind": "APIVersions",
                "apiVersion": "v1",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [],
            }
        case "/apis":
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in _GROUPS]}
        case "/api/v1":
            return _resources("")
    found = re.fullmatch(r"/apis/([^/]+)(/v1)?/?", path)
    if found is None or found[1] not in _GROUPS:
        return None
    if found[2]:
        return _resources(found[1])
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(found[1])}


def _group(name: str) -> Object:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Object:
    found: list[Object] = []
    for kind in KINDS:
        if kind.group != group:
            continue
        # A namespace's content goes by its controller only.
        verbs = [verb for verb in _VERBS if verb != "deletecollection" or kind.namespaced or kind.group]
        found.append(_resource(kind, kind.plural, verbs))
        if kind.has_status:
            found.append(_resource(kind, f"{kind.plural}/status", ["get", "patch", "update"]))
        if kind is SERVICE_ACCOUNTS:
            token = {**_resource(kind, "serviceaccounts/token", ["create"]), "kind": "TokenRequest"}
            found.append({**token, "group": _AUTHENTICATION, "version": "v1"})
    found += [_resource(kind, kind.plural, ["create"]) for kind in REVIEWS if kind.group == group]
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if group else {}),
        "groupVersion": f"{group}/v1" if group else "v1",
        "resources": found,
    }


def _resource(kind: Kind, name: str, verbs: list[str]) -> Object:
    is_main = "/" not in name
    return {
        "name": name,
        "singularName": kind.name.lower() if is_main else "",
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": verbs,
        **({"shortNames": list(kind.short)} if kind.short and is_main else {}),
    }


def asked(spec: Object) -> Ask:
    """What an access review asks. Raises a 422 RefusedError."""
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) is (other is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise wrong_review(invalid("spec.resourceAttributes", "null", why))
    if other is not None:
        return Ask(other.get("verb", ""), path=other.get("path", ""))
    assert resource is not None
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Ask(*(resource.get(name, "") for name in names))


def wrong_review(fault: Fault) -> RefusedError:
    """422: a review that asks nothing."""
    return faulty(Kind(_AUTHORIZATION, "", "", {}), "", [fault])
