"""What an administrator applies once, so that Hanse has its accounts and just the rights that it needs. Pure.

YAML is written here line by line, since the comments in it are the point: each rule says why it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from hanse.platforms.kubernetes.blocks import MANAGED_BY, OWN_NAME, Oidc, PlatformBlock
from hanse.platforms.kubernetes.permissions import RBAC_GROUP, Permission, permissions
from hanse.ports.platform import Bootstrap, PlatformIdentity, PlatformUnavailable, Zone

HOURS = 24 * 30
"""How long the token holds that is advised; the API server may give it a shorter life."""


def bootstrap(identity: PlatformIdentity, zones: Sequence[Zone], sign_in: str = "") -> Bootstrap:
    """Accounts and rights as YAML for `kubectl apply -f -`, and beside it how to go on.

    `sign_in`: instead, how the API server is told whose tokens people sign in with: `flags` of kube-apiserver, or a
    `config` for its --authentication-config. Raises PlatformUnavailable where the manifest does not say whose.
    """
    block = msgspec.convert(identity.block, PlatformBlock)
    if sign_in:
        return _sign_in(identity.name, block, sign_in)
    return Bootstrap("---\n".join(_objects(identity.name, block, zones)), _how_to_go_on(identity.name, block))


# ---- accounts and rights


def _objects(platform: str, block: PlatformBlock, zones: Sequence[Zone]) -> Iterator[str]:
    accounts = block.accounts
    names = {"management": accounts.management, "metering": accounts.metering}
    yield _lines(
        f"# Hanse's accounts for the platform {platform}, and all the rights that they need: for `kubectl apply -f -`.",
        "# They follow the landing zones: apply this anew when one maps another role or brings another kind of object.",
        *_object("v1", "Namespace", accounts.namespace),
    )
    for name in names.values():
        yield _lines(*_object("v1", "ServiceAccount", name, accounts.namespace))
    for account, rows in groupby(permissions(zones), lambda row: row.account):
        yield _lines(
            *_object(f"{RBAC_GROUP}/v1", "ClusterRole", _of_all(names[account])), "rules:", *_rules(rows)
        )
    for name in names.values():
        yield _lines(
            *_object(f"{RBAC_GROUP}/v1", "ClusterRoleBinding", _of_all(name)),
            "# To the whole cluster, since namespaces come and go and RBAC knows no pattern for their names.",
            f"roleRef: {{apiGroup: {RBAC_GROUP}, kind: ClusterRole, name: {_text(_of_all(name))}}}",
            "subjects:",
            f"- {{kind: ServiceAccount, name: {_text(name)}, namespace: {_text(accounts.namespace)}}}",
        )


def _of_all(account: str) -> str:
    """What an account's ClusterRole and ClusterRoleBinding are called: no commit can name it `cluster-admin`."""
    return f"{OWN_NAME}:{account}"


def _object(version: str, kind: str, name: str, namespace: str = "") -> Iterator[str]:
    yield f"apiVersion: {version}"
    yield f"kind: {kind}"
    yield "metadata:"
    yield f"  name: {_text(name)}"
    if namespace:
        yield f"  namespace: {_text(namespace)}"
    yield f"  labels: {{{MANAGED_BY[0]}: {MANAGED_BY[1]}-bootstrap}}"


def _rules(rows: Iterable[Permission]) -> Iterator[str]:
    for row in rows:
        yield f"# {' '.join(row.why.split())}"
        yield f"- apiGroups: [{_text(row.group)}]"
        yield f"  resources: [{', '.join(map(_text, row.resources))}]"
        if row.names:
            yield f"  resourceNames: [{', '.join(map(_text, row.names))}]"
        yield f"  verbs: [{', '.join(map(_text, row.verbs))}]"


def _how_to_go_on(platform: str, block: PlatformBlock) -> str:
    accounts = block.accounts
    return _lines(
        "1. As an administrator of the cluster: put this through `kubectl apply -f -`.",
        f"2. Get a token of the account {accounts.management}, by TokenRequest:",
        f"       kubectl create token {accounts.management} -n {accounts.namespace} --duration {HOURS}h > FILE",
        "   The API server may give it a shorter life. Renew it in time: the file is read again when it changes.",
        "   A Hanse that runs in this cluster under that account needs none: `source: in-cluster`.",
        f"3. In server.yaml, bind the credential of {platform} to `source: token-file:FILE`, the endpoint, the",
        "   platform, and `options: {cacert: FILE}` with the certificate of the cluster's authority.",
        f"4. `hanse doctor {platform}` says whether all of it fits.",
    )


# ---- how people sign in


def _sign_in(platform: str, block: PlatformBlock, form: str) -> Bootstrap:
    if block.oidc is None:
        raise PlatformUnavailable(
            f"the platform {platform} does not say whose tokens people sign in with",
            "add `oidc: {issuer: ..., clientId: ...}` to its block `kubernetes`",
        )
    if form == "flags":
        flags = _lines(*_flags(block, block.oidc))
        return Bootstrap(
            flags, "Give these to kube-apiserver; they and --authentication-config exclude each other.\n"
        )
    return Bootstrap(
        _lines(*_configuration(block, block.oidc)),
        "Give the file to kube-apiserver as --authentication-config; it reads it anew when it changes.\n",
    )


def _flags(block: PlatformBlock, oidc: Oidc) -> Iterator[str]:
    """Flags of kube-apiserver (k8s.io/kubernetes, pkg/kubeapiserver/options/authentication.go)."""
    subjects = block.subjects
    yield f"--oidc-issuer-url={oidc.issuer}"
    yield f"--oidc-client-id={oidc.client_id}"
    yield f"--oidc-username-claim={oidc.username_claim}"
    # Without a prefix the issuer's address would stand before each name; `-` is how to say that there is none.
    yield f"--oidc-username-prefix={subjects.users.prefix or '-'}"
    if subjects.groups.as_ == "claim":
        yield f"--oidc-groups-claim={oidc.groups_claim}"
        if subjects.groups.prefix:
            yield f"--oidc-groups-prefix={subjects.groups.prefix}"


def _configuration(block: PlatformBlock, oidc: Oidc) -> Iterator[str]:
    """AuthenticationConfiguration (k8s.io/apiserver, pkg/apis/apiserver/v1; v1beta1 from 1.30 to 1.33 is the same)."""
    subjects = block.subjects
    yield "# From 1.30 to 1.33 write apiserver.config.k8s.io/v1beta1."
    yield "apiVersion: apiserver.config.k8s.io/v1"
    yield "kind: AuthenticationConfiguration"
    yield "jwt:"
    yield "- issuer:"
    yield f"    url: {_text(oidc.issuer)}"
    yield f"    audiences: [{_text(oidc.client_id)}]"
    yield "  claimMappings:"
    yield f"    username: {{claim: {_text(oidc.username_claim)}, prefix: {_text(subjects.users.prefix)}}}"
    if subjects.groups.as_ == "claim":
        yield f"    groups: {{claim: {_text(oidc.groups_claim)}, prefix: {_text(subjects.groups.prefix)}}}"
    yield "  userValidationRules:"
    yield "  # Names of the cluster's own parts must come from nowhere but the cluster."
    yield "  - expression: \"!user.username.startsWith('system:')\""
    yield "    message: 'a name may not begin with system:'"
    yield "  - expression: \"user.groups.all(group, !group.startsWith('system:'))\""
    yield "    message: 'a group may not begin with system:'"


def _text(value: str) -> str:
    """A text as YAML: JSON is YAML, but for signs that YAML has not and a terminal may obey."""
    return "".join(
        c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(value, ensure_ascii=False)
    )


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
