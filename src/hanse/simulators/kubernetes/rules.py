"""What the API server fills in of its own, and what it does not let through.

The rules and their words are those of k8s.io/kubernetes/pkg/apis/*/validation and */v1/defaults of 1.36; each was
asked of the real server.
"""

import base64
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hanse.simulators.kubernetes import schema
from hanse.simulators.kubernetes.answers import Fault, forbidden_field, invalid, required, unsupported
from hanse.simulators.kubernetes.quantity import value
from hanse.simulators.kubernetes.schema import RBAC, Kind, Object

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_LONGEST_LABEL, _LONGEST_SUBDOMAIN = 63, 253
_MAX_PORT = 65535
_AN_END = "and must start and end with an alphanumeric character"
_METADATA_NAME = "kubernetes.io/metadata.name"
_POD_SECURITY = re.compile(r"pod-security\.kubernetes\.io/(enforce|audit|warn)(-version)?")


def _regex(examples: list[str], pattern: str) -> str:
    such = ",  or ".join(f"'{one}'" for one in examples)
    return f"(e.g. {such}, regex used for validation is '{pattern}')"


def _label_faults(name: str) -> Iterator[str]:
    if len(name) > _LONGEST_LABEL:
        yield "must be no more than 63 characters"
    if not re.fullmatch(_LABEL, name):
        yield (
            f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_AN_END} "
            + _regex(["my-name", "123-abc"], _LABEL)
        )


def _subdomain_faults(name: str) -> Iterator[str]:
    if len(name) > _LONGEST_SUBDOMAIN:
        yield "must be no more than 253 characters"
    if not re.fullmatch(_SUBDOMAIN, name):
        yield (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            f"{_AN_END} " + _regex(["example.com"], _SUBDOMAIN)
        )


def _segment_faults(name: str) -> Iterator[str]:
    if name in (".", ".."):
        yield f"may not be '{name}'"
    yield from (f"may not contain '{sign}'" for sign in "/%" if sign in name)


def _qualified_faults(name: str) -> Iterator[str]:
    """The rule for label keys and resource names: an optional DNS prefix, and a name."""
    prefix, slash, last = name.rpartition("/")
    if prefix.count("/"):
        yield (
            f"a valid label key must consist of alphanumeric characters, '-', '_' or '.', {_AN_END} "
            + _regex(["MyName", "my.name", "123-abc"], _NAME)
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash:
        yield from (f"prefix part {fault}" for fault in _subdomain_faults(prefix))
    if not last:
        yield "name part must be non-empty"
    elif len(last) > _LONGEST_LABEL:
        yield "must be no more than 63 bytes"
    if not re.fullmatch(_NAME, last):
        yield (
            f"name part must consist of alphanumeric characters, '-', '_' or '.', {_AN_END} "
            + _regex(["MyName", "my.name", "123-abc"], _NAME)
        )


def _label_value_faults(text: str) -> Iterator[str]:
    if len(text) > _LONGEST_LABEL:
        yield "must be no more than 63 bytes"
    if not re.fullmatch(f"({_NAME})?", text):
        yield (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            f"{_AN_END} " + _regex(["MyValue", "my_value", "12345"], f"({_NAME})?")
        )


_NAME_FAULTS = {"label": _label_faults, "subdomain": _subdomain_faults, "segment": _segment_faults}


def _labels(labels: Mapping[str, str], at: str) -> Iterator[Fault]:
    for key, text in labels.items():
        yield from (invalid(at, key, why) for why in _qualified_faults(key))
        yield from (invalid(at, text, why) for why in _label_value_faults(text))


def _metadata(kind: Kind, metadata: Object) -> Iterator[Fault]:
    name = metadata.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from (invalid("metadata.name", name, why) for why in _NAME_FAULTS[kind.names](name))
    yield from _labels(metadata.get("labels", {}), "metadata.labels")
    for key in metadata.get("annotations", {}):
        yield from (invalid("metadata.annotations", key, why) for why in _qualified_faults(key.lower()))
    for place, finalizer in enumerate(metadata.get("finalizers", ())):
        at = f"metadata.finalizers[{place}]"
        yield from (invalid(at, finalizer, why) for why in _qualified_faults(finalizer))
        if "/" not in finalizer and finalizer not in ("foregroundDeletion", "orphan"):
            yield invalid(
                at, finalizer, "name is neither a standard finalizer name nor is it fully qualified"
            )


def faults(kind: Kind, thing: Object, before: Object | None = None) -> list[Fault]:
    """What is wrong with an object, or with making this one of `before`."""
    found = list(_metadata(kind, thing["metadata"]))
    if before is not None:
        # Written twice by the real server too: once for all kinds, once for this one.
        found += [*_changed_metadata(thing["metadata"], before["metadata"])] * 2
    return [*found, *_OWN.get(kind, _nothing)(thing, before)]


def _changed_metadata(new: Object, old: Object) -> Iterator[Fault]:
    for name in ("uid", "creationTimestamp", "deletionTimestamp"):
        if new.get(name) != old.get(name):
            yield invalid(f"metadata.{name}", new.get(name), "field is immutable")
    added = [name for name in new.get("finalizers", ()) if name not in old.get("finalizers", ())]
    if added and "deletionTimestamp" in old:
        shown = ", ".join(f'"{name}"' for name in added)
        yield forbidden_field(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{shown}}}",
        )


def _nothing(_: Object, __: Object | None) -> Iterable[Fault]:
    return ()


def _namespace(thing: Object, _: Object | None) -> Iterator[Fault]:
    for key, text in thing["metadata"].get("labels", {}).items():
        found = _POD_SECURITY.fullmatch(key)
        if found and found[2] and not re.fullmatch(r"latest|v1\.(0|[1-9][0-9]*)", text):
            yield invalid(f"metadata.labels[{key}]", text, 'must be "latest" or "v1.x"')
        elif found and not found[2] and text not in ("privileged", "baseline", "restricted"):
            yield invalid(f"metadata.labels[{key}]", text, "must be one of privileged, baseline, restricted")


def _config(thing: Object, before: Object | None) -> Iterator[Fault]:
    for part in ("data", "binaryData"):
        for key in thing.get(part, {}):
            if not re.fullmatch(_CONFIG_KEY, key):
                yield invalid(
                    f"{part}[{key}]",
                    key,
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                    + _regex(["key.name", "KEY_NAME", "key-name"], _CONFIG_KEY),
                )
    if before is not None and before.get("immutable"):
        why = "field is immutable when `immutable` is set"
        if not thing.get("immutable"):
            yield forbidden_field("immutable", why)
        for part in ("data", "binaryData"):
            if thing.get(part) != before.get(part):
                yield forbidden_field(part, why)


def _secret(thing: Object, before: Object | None) -> Iterator[Fault]:
    yield from _config(thing, before)
    if before is not None and thing.get("type") != before.get("type"):
        yield invalid("type", thing.get("type", ""), "field is immutable")


# ---- RBAC


def _rules(thing: Object, *, urls: bool) -> Iterator[Fault]:
    for place, rule in enumerate(thing.get("rules") or ()):
        at = f"rules[{place}]"
        if not rule.get("verbs"):
            yield required(f"{at}.verbs", "verbs must contain at least one value")
        if paths := rule.get("nonResourceURLs"):
            shown = "[" + ",".join(f'"{path}"' for path in paths) + "]"
            if not urls:
                why = "namespaced rules cannot apply to non-resource URLs"
                yield Fault("FieldValueInvalid", f"{at}.nonResourceURLs", f"Invalid value: {shown}: {why}")
            elif rule.get("apiGroups") or rule.get("resources"):
                why = "rules cannot apply to both regular resources and non-resource URLs"
                yield Fault("FieldValueInvalid", f"{at}.nonResourceURLs", f"Invalid value: {shown}: {why}")
            continue
        for part, what in (("apiGroups", "api group"), ("resources", "resource")):
            if not rule.get(part):
                yield required(f"{at}.{part}", f"resource rules must supply at least one {what}")


def _role(thing: Object, _: Object | None) -> Iterator[Fault]:
    yield from _rules(thing, urls=False)


def _cluster_role(thing: Object, _: Object | None) -> Iterator[Fault]:
    yield from _rules(thing, urls=True)
    if "aggregationRule" not in thing:
        return
    at = "aggregationRule.clusterRoleSelectors"
    selectors = thing["aggregationRule"].get("clusterRoleSelectors", ())
    if not selectors:
        yield required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for place, selector in enumerate(selectors):
        yield from _selector(selector, f"{at}[{place}]")


def _binding(thing: Object, before: Object | None, *roles: str) -> Iterator[Fault]:
    ref = thing["roleRef"]
    if ref.get("apiGroup") != RBAC:
        yield unsupported("roleRef.apiGroup", ref.get("apiGroup", ""), [RBAC])
    if ref.get("kind") not in roles:
        yield unsupported("roleRef.kind", ref.get("kind", ""), list(roles))
    if not ref.get("name"):
        yield required("roleRef.name")
    else:
        yield from (invalid("roleRef.name", ref["name"], why) for why in _segment_faults(ref["name"]))
    for place, subject in enumerate(thing.get("subjects", ())):
        yield from _subject(subject, f"subjects[{place}]", "namespace" in thing["metadata"])
    if before is not None and before["roleRef"] != ref:
        shown = ",".join(f'"{name[0].upper()}{name[1:]}":"{ref.get(name, "")}"' for name in ("kind", "name"))
        group = f'"APIGroup":"{ref.get("apiGroup", "")}"'
        yield Fault(
            "FieldValueInvalid", "roleRef", f"Invalid value: {{{group},{shown}}}: cannot change roleRef"
        )


def _subject(subject: Object, at: str, namespaced: bool) -> Iterator[Fault]:
    if not subject.get("name"):
        yield required(f"{at}.name")
    group = subject.get("apiGroup", "")
    match subject.get("kind", ""):
        case "ServiceAccount":
            if subject.get("name"):
                yield from (
                    invalid(f"{at}.name", subject["name"], why) for why in _subdomain_faults(subject["name"])
                )
            if group:
                yield unsupported(f"{at}.apiGroup", group, [""])
            if not namespaced and not subject.get("namespace"):
                yield required(f"{at}.namespace")
        case "User" | "Group":
            if group != RBAC:
                yield unsupported(f"{at}.apiGroup", group, [RBAC])
        case other:
            yield unsupported(f"{at}.kind", other, ["ServiceAccount", "User", "Group"])


# ---- quotas and limits

_COMPUTE = ["cpu", "memory", "ephemeral-storage"]
_COUNTED = [
    *("pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "persistentvolumeclaims"),
    *("configmaps", "services.nodeports", "services.loadbalancers"),
]
_QUOTA_NAMES = {
    *_COUNTED,
    "requests.storage",
    *(f"{prefix}{name}" for prefix in ("", "requests.", "limits.") for name in _COMPUTE),
}
_STANDARD_NAMES = {*_QUOTA_NAMES, "storage"}
_SCOPES = ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass"]


def _quota(thing: Object, before: Object | None) -> Iterator[Fault]:
    spec = thing["spec"]
    for name, amount in spec.get("hard", {}).items():
        at = f"spec.hard[{name}]"
        yield from _resource_name(name, at, _QUOTA_NAMES, "quota")
        if value(amount) < 0:
            yield invalid(at, amount, "must be greater than or equal to 0")
        if (name in _COUNTED or name.startswith("count/")) and value(amount).denominator != 1:
            yield invalid(at, amount, "must be an integer")
    for scope in spec.get("scopes", ()):
        if scope not in _SCOPES and scope != "CrossNamespacePodAffinity":
            yield invalid("spec.scopes", list(spec["scopes"]), "unsupported scope")
    if before is not None and before["spec"].get("scopes") != spec.get("scopes"):
        yield invalid("spec.scopes", spec.get("scopes"), "field is immutable")


def _resource_name(name: str, at: str, known: set[str], what: str) -> Iterator[Fault]:
    wrong = list(_qualified_faults(name))
    yield from (invalid(at, name, why) for why in wrong)
    if "/" in name:
        return
    if not wrong and name not in _STANDARD_NAMES:
        yield invalid(at, name, "must be a standard resource type or fully qualified")
    if name not in known:
        yield invalid(at, name, f"must be a standard resource for {what}")


_LIMIT_TYPES = ["Pod", "Container", "PersistentVolumeClaim"]


def _limit_range(thing: Object, _: Object | None) -> Iterator[Fault]:
    seen: set[str] = set()
    for place, limit in enumerate(thing["spec"].get("limits") or ()):
        at, sort = f"spec.limits[{place}]", limit.get("type", "")
        wrong = list(_qualified_faults(sort))
        yield from (invalid(f"{at}.type", sort, why) for why in wrong)
        if not wrong and "/" not in sort and sort not in _LIMIT_TYPES:
            yield invalid(f"{at}.type", sort, "must be a standard limit type or fully qualified")
        if sort in seen:
            yield Fault("FieldValueDuplicate", f"{at}.type", f'Duplicate value: "{sort}"')
        seen.add(sort)
        yield from _limit(limit, at)


def _limit(limit: Object, at: str) -> Iterator[Fault]:
    sort = limit.get("type", "")
    parts = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
    for part in parts:
        if sort == "Pod" and part.startswith("default"):
            if limit.get(part):
                yield forbidden_field(f"{at}.{part}", "may not be specified when `type` is 'Pod'")
            continue
        for name in limit.get(part, {}):
            if sort == "Container":
                yield from _resource_name(name, f"{at}.{part}[{name}]", set(_COMPUTE), "containers")
            else:
                yield from (invalid(f"{at}.{part}[{name}]", name, why) for why in _qualified_faults(name))
    if sort == "PersistentVolumeClaim" and not any(
        "storage" in limit.get(part, {}) for part in ("min", "max")
    ):
        yield required(
            f"{at}.limits", "either minimum or maximum storage value is required, but neither was provided"
        )
    for name in {name: None for part in parts for name in limit.get(part, {})}:
        given = {part: limit[part][name] for part in parts if name in limit.get(part, {})}
        yield from _limit_order(given, at, name)


# Where it is told, what must not be greater than what, and which of the two is shown.
_ORDER = [
    ("min", "min", "max", "min", "min value {} is greater than max value {}"),
    (
        "defaultRequest",
        "min",
        "defaultRequest",
        "defaultRequest",
        "min value {} is greater than default request value {}",
    ),
    (
        "defaultRequest",
        "defaultRequest",
        "max",
        "defaultRequest",
        "default request value {} is greater than max value {}",
    ),
    (
        "defaultRequest",
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {} is greater than default limit value {}",
    ),
    ("default", "min", "default", "min", "min value {} is greater than default value {}"),
    ("default", "default", "max", "max", "default value {} is greater than max value {}"),
]


def _limit_order(given: Mapping[str, str], at: str, name: str) -> Iterator[Fault]:
    for told, less, more, shown, why in _ORDER:
        if less in given and more in given and value(given[less]) > value(given[more]):
            yield invalid(f"{at}.{told}[{name}]", given[shown], why.format(given[less], given[more]))
    if "maxLimitRequestRatio" not in given:
        return
    ratio, told = given["maxLimitRequestRatio"], f"{at}.maxLimitRequestRatio[{name}]"
    if value(ratio) < 1:
        yield invalid(told, ratio, f"ratio {ratio} is less than 1")
    if (
        "min" in given
        and "max" in given
        and value(ratio) > (most := value(given["max"]) / value(given["min"]))
    ):
        yield invalid(told, ratio, f"ratio {ratio} is greater than max/min = {float(most):f}")


# ---- network policies


def _network_policy(thing: Object, _: Object | None) -> Iterator[Fault]:
    spec = thing["spec"]
    yield from _selector(spec["podSelector"], "spec.podSelector")
    for way, peers in (("ingress", "from"), ("egress", "to")):
        for place, rule in enumerate(spec.get(way, ())):
            at = f"spec.{way}[{place}]"
            for number, port in enumerate(rule.get("ports", ())):
                yield from _port(port, f"{at}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers, ())):
                yield from _peer(peer, f"{at}.{peers}[{number}]")
    types = spec.get("policyTypes", [])
    if len(types) > 2:  # noqa: PLR2004 (there are two)
        shown = "[" + ",".join(f'"{sort}"' for sort in types) + "]"
        why = "may not specify more than two policyTypes"
        yield Fault("FieldValueInvalid", "spec.policyTypes", f"Invalid value: {shown}: {why}")
        return
    for place, sort in enumerate(types):
        if sort not in ("Ingress", "Egress"):
            yield unsupported(f"spec.policyTypes[{place}]", sort, ["Ingress", "Egress"])


def _port(port: Object, at: str) -> Iterator[Fault]:
    if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
        yield unsupported(f"{at}.protocol", port.get("protocol", ""), ["TCP", "UDP", "SCTP"])
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, int):
        if not 1 <= number <= _MAX_PORT:
            yield invalid(f"{at}.port", number, "must be between 1 and 65535, inclusive")
        if end is not None and end < number:
            yield invalid(f"{at}.endPort", number, "must be greater than or equal to `port`")
    elif number is not None and not re.fullmatch("[-a-z0-9]+", number):
        yield invalid(
            f"{at}.port", number, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        )
    elif end is not None:
        why = "may not be specified when `port` is "
        yield invalid(f"{at}.endPort", end, why + ("not specified" if number is None else "non-numeric"))


def _peer(peer: Object, at: str) -> Iterator[Fault]:
    if not peer:
        yield required(at, "must specify a peer")
    for part in ("podSelector", "namespaceSelector"):
        if part in peer:
            yield from _selector(peer[part], f"{at}.{part}")
    if "ipBlock" in peer:
        yield from _block(peer["ipBlock"], f"{at}.ipBlock")
        if len(peer) > 1:
            yield forbidden_field(at, "may not specify both ipBlock and another peer")


def _block(block: Object, at: str) -> Iterator[Fault]:
    cidr = block.get("cidr", "")
    if not cidr:
        yield required(f"{at}.cidr")
        return
    whole = _network(cidr)
    if whole is None:
        yield invalid(f"{at}.cidr", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
        return
    if str(whole) != cidr:
        yield invalid(f"{at}.cidr", cidr, "must not have bits set beyond the prefix length")
    for place, text in enumerate(block.get("except", ())):
        part = _network(text)
        told = f"{at}.except[{place}]"
        if part is None:
            yield invalid(told, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
        elif part == whole or part.version != whole.version or not part.subnet_of(whole):  # type: ignore[arg-type]
            yield invalid(told, text, "must be a strict subset of `cidr`")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _selector(selector: Object, at: str) -> Iterator[Fault]:
    yield from _labels(selector.get("matchLabels", {}), f"{at}.matchLabels")
    for place, one in enumerate(selector.get("matchExpressions", ())):
        told, values = f"{at}.matchExpressions[{place}]", one.get("values")
        match one.get("operator", ""):
            case "In" | "NotIn":
                if not values:
                    yield required(f"{told}.values", "must be specified when `operator` is 'In' or 'NotIn'")
            case "Exists" | "DoesNotExist":
                if values:
                    why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                    yield forbidden_field(f"{told}.values", why)
            case other:
                yield invalid(f"{told}.operator", other, "not a valid selector operator")
        yield from (
            invalid(f"{told}.key", one.get("key", ""), why) for why in _qualified_faults(one.get("key", ""))
        )


_OWN: Mapping[Kind, Callable[[Object, Object | None], Iterable[Fault]]] = {
    schema.NAMESPACES: _namespace,
    schema.CONFIG_MAPS: _config,
    schema.SECRETS: _secret,
    schema.ROLES: _role,
    schema.CLUSTER_ROLES: _cluster_role,
    schema.ROLE_BINDINGS: lambda thing, before: _binding(thing, before, "Role", "ClusterRole"),
    schema.CLUSTER_ROLE_BINDINGS: lambda thing, before: _binding(thing, before, "ClusterRole"),
    schema.QUOTAS: _quota,
    schema.LIMIT_RANGES: _limit_range,
    schema.NETWORK_POLICIES: _network_policy,
}


# ---- what is filled in


def defaulted(kind: Kind, thing: Object) -> Object:
    """An object in its normal form, with what the API server fills in where nothing is said."""
    thing = {**thing, **{name: _over(part, thing.get(name)) for name, part in kind.blank.items()}}
    match kind:
        case schema.NAMESPACES if name := thing["metadata"].get("name"):
            labels = {**thing["metadata"].get("labels", {}), _METADATA_NAME: name}
            thing["metadata"] = {**thing["metadata"], "labels": labels}
        case schema.SECRETS:
            thing["type"] = thing.get("type") or "Opaque"
            texts = {
                name: base64.b64encode(text.encode()).decode()
                for name, text in thing.pop("stringData", {}).items()
            }
            if texts:
                thing["data"] = {**thing.get("data", {}), **texts}
        case schema.ROLE_BINDINGS | schema.CLUSTER_ROLE_BINDINGS:
            thing["roleRef"] = {"apiGroup": RBAC, **thing["roleRef"]}
            if "subjects" in thing:
                thing["subjects"] = [
                    {"apiGroup": RBAC, **one} if one.get("kind") in ("User", "Group") else one
                    for one in thing["subjects"]
                ]
        case schema.CLAIMS:
            thing["spec"] = {"volumeMode": "Filesystem", **thing["spec"]}
        case schema.LIMIT_RANGES:
            limits = thing["spec"].get("limits")
            thing["spec"] = {"limits": [_limit_defaults(one) for one in limits] if limits else None}
        case schema.NETWORK_POLICIES:
            thing["spec"] = _policy_defaults(thing["spec"])
    return thing


def _over(blank: Any, given: Any) -> Any:
    if not isinstance(blank, dict):
        return blank if given is None else given
    given = given or {}
    return {**given, **{name: _over(part, given.get(name)) for name, part in blank.items()}}


def _limit_defaults(limit: Object) -> Object:
    if limit.get("type") != "Container":
        return limit
    default = {**limit.get("max", {}), **limit.get("default", {})}
    request = {**limit.get("min", {}), **default, **limit.get("defaultRequest", {})}
    return {
        **limit,
        **({"default": default} if default else {}),
        **({"defaultRequest": request} if request else {}),
    }


def _policy_defaults(spec: Object) -> Object:
    made = dict(spec)
    for way in ("ingress", "egress"):
        if way in spec:
            made[way] = [
                {**rule, "ports": [{"protocol": "TCP", **port} for port in rule["ports"]]}
                if "ports" in rule
                else rule
                for rule in spec[way]
            ]
    if not spec.get("policyTypes"):
        made["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return made
