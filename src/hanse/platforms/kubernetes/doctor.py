"""Whether a cluster can be used by a bound credential: reached, trusted, understood; with just the rights it takes.

Only reads, and asks the API server what it would allow (reviews of the account itself, which change nothing). The
rights are those of `permissions`, so what `bootstrap` gives is what is looked for here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from hanse.platforms.kubernetes import auth
from hanse.platforms.kubernetes.blocks import PlatformBlock
from hanse.platforms.kubernetes.client import Broken, Failed, Kubernetes, unavailable
from hanse.platforms.kubernetes.paths import CLUSTER_ROLES, path_of
from hanse.platforms.kubernetes.permissions import (
    MANAGEMENT,
    RBAC_GROUP,
    Permission,
    manifests,
    mapped_roles,
    permissions,
    resource_of,
)
from hanse.ports.platform import Check, Credential, PlatformIdentity, PlatformUnavailable, State, Zone
from hanse.ports.transport import Call, NotAllowed, NotSent, TransportError

if TYPE_CHECKING:
    from hanse.transport.http import Http

AT_ONCE = 8
TOKEN_SOON = timedelta(minutes=10)
"""A kubelet renews a pod's token, which lives for an hour, when a fifth of that is left."""
APPLY_SINCE = (1, 22)
"""Server-side apply is general from there on (Kubernetes 1.22, release notes)."""
SHOWN = 6
_VERSION = re.compile(r"v(\d{1,3})\.(\d{1,4})[0-9A-Za-z.+-]{0,60}")
_SELF = {
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("certificates.k8s.io", "clustertrustbundles"),
}
"""What every account may do (bootstrappolicy/policy.go: system:basic-user, system:cluster-trust-bundle-discovery)."""


class Right(NamedTuple):
    """One thing that may be done."""

    group: str
    resource: str
    verb: str
    name: str = ""
    """Empty: to all of them."""


async def examine(credential: Credential, identity: PlatformIdentity, zones: Sequence[Zone]) -> list[Check]:
    """All checks, in an order in which each stands on those before it; what fails is one of them."""
    try:
        account = auth.sign_in(credential)
    except PlatformUnavailable as error:
        return [Check("credential", "error", str(error), error.advice)]
    transport = auth.carried_for(account, credential)
    examination = _Examination(identity, zones, account)
    try:
        await examination.all(transport, credential)
    finally:
        await transport.close()
    return examination.checks


class _Version(Struct, frozen=True, rename="camel"):
    git_version: str = ""


class _Person(Struct, frozen=True, rename="camel"):
    username: str = ""
    groups: tuple[str, ...] = ()


class _WhoStatus(Struct, frozen=True, rename="camel"):
    user_info: _Person = _Person()


class _Who(Struct, frozen=True):
    status: _WhoStatus = _WhoStatus()


class _MayStatus(Struct, frozen=True):
    allowed: bool = False


class _May(Struct, frozen=True):
    status: _MayStatus = _MayStatus()


class _Rule(Struct, frozen=True, rename="camel"):
    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


class _RulesStatus(Struct, frozen=True, rename="camel"):
    resource_rules: tuple[_Rule, ...] = ()
    incomplete: bool = False


class _Rules(Struct, frozen=True):
    status: _RulesStatus = _RulesStatus()


class _ClusterRole(Struct, frozen=True):
    rules: tuple[_Rule, ...] | None = None


_T = TypeVar("_T")


class _Examination:
    """The working state of one examination."""

    def __init__(self, identity: PlatformIdentity, zones: Sequence[Zone], account: auth.Account) -> None:
        self.identity = identity
        self.block = msgspec.convert(identity.block, PlatformBlock)
        self.zones = zones
        self.account = account
        self.checks: list[Check] = []
        self.needed = [row for row in permissions(zones) if row.account == MANAGEMENT]

    async def all(self, transport: Http, credential: Credential) -> None:
        """Everything, until something fails without which nothing else can be asked."""
        try:
            await self._connection(transport, credential)
            self.client = Kubernetes(transport)
            await self._server()
            await self._who()
            await self._rights()
            await self._beyond()
            for name in mapped_roles(self.zones):
                await self._role(name)
            for version, kind in dict.fromkeys((v, k) for zone in self.zones for v, k, _ in manifests(zone)):
                await self._kind(version, kind)
        except PlatformUnavailable as error:
            self._add("API server", "error", str(error), error.advice)
        except (Failed, Broken, TransportError) as error:
            told = unavailable(error)
            self._add("API server", "error", str(told), told.advice)

    # What is looked at

    async def _connection(self, transport: Http, credential: Credential) -> None:
        from hanse.transport import checks  # noqa: PLC0415 (its package is slow to load)

        try:
            insecure = credential.options.get("insecure") is True
            self.checks += await checks.of_certificate(transport, insecure=insecure)
        except NotSent as error:
            advice = (
                "give the certificate of the cluster's authority: `certificate-authority` in the kubeconfig, or "
                "`options: {cacert: FILE}` in server.yaml"
                if "certificate" in str(error)
                else "is the bound endpoint right, and the API server running?"
            )
            raise PlatformUnavailable(str(error), advice) from None
        except NotAllowed as error:
            raise PlatformUnavailable(str(error), error.advice) from None

    async def _server(self) -> None:
        from hanse.transport import checks  # noqa: PLC0415 (as above)

        asked_at = datetime.now(UTC)
        reply = await self.client.call(Call("GET", "/version", label="version"))
        self.checks.append(checks.of_clocks(reply, asked_at, datetime.now(UTC)))
        try:
            found = _VERSION.fullmatch(msgspec.json.decode(reply.body, type=_Version).git_version)
        except msgspec.DecodeError:
            found = None
        if found is None:
            raise PlatformUnavailable(
                "no Kubernetes API server answers at the bound endpoint", "bind the address of one"
            )
        try:
            await self.client.discover()
        except Failed as error:
            if error.code != 403:
                raise
            raise PlatformUnavailable(
                "the API server takes who calls for nobody: it does not even tell which kinds it has",
                "is the client certificate signed by the cluster's own authority? If it is, the account lacks the "
                "ClusterRole system:discovery, which every account has by default",
            ) from None
        if (int(found[1]), int(found[2])) < APPLY_SINCE:
            self._add(
                "version",
                "error",
                f"Kubernetes {found[0]} has no server-side apply that can be relied on",
                "update it to 1.22 or later",
            )
        else:
            self._add("version", "ok", f"Kubernetes {found[0]}, with core v1 and {RBAC_GROUP}/v1")

    async def _who(self) -> None:
        from hanse.transport import checks  # noqa: PLC0415 (as above)

        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        try:
            who = (await self._ask(path, "who am I", {}, _Who)).status.user_info
        except Failed as error:
            if error.code != 404:
                raise
            self._add("account", "ok", "accepted; the server is too old to say whose it is (before 1.28)")
        else:
            if "system:masters" in who.groups:
                self._add(
                    "account",
                    "warning",
                    f"signed in as {who.username}, in the group system:masters, which may do everything",
                    f"use an account of its own: `hanse bootstrap kubernetes {self.identity.name}`",
                )
            else:
                self._add("account", "ok", f"signed in as {who.username}")
        for proof in self.account.validity():
            soon = TOKEN_SOON if proof.what == "the token" else checks.SOON
            self.checks.append(
                checks.ending("credential", proof.what, proof.until, soon, "have a new one made")
            )

    async def _rights(self) -> None:
        """One check for each row of the table; each right is asked for by itself."""
        asked = [(row, right) for row in self.needed for right in rights(row)]
        allowed = await _each(self._may(right) for _, right in asked)
        lacking: dict[Permission, list[Right]] = {row: [] for row in self.needed}
        for (row, right), yes in zip(asked, allowed, strict=True):
            if not yes:
                lacking[row].append(right)
        for row, missing in lacking.items():
            if missing:
                self._add(
                    "right",
                    "error",
                    f"it may not {_some(missing)}: {row.why}",
                    f"apply what `hanse bootstrap kubernetes {self.identity.name}` prints",
                )
            else:
                self._add("right", "ok", f"{_some(rights(row))}: {row.why}")

    async def _beyond(self) -> None:
        namespace = self.block.accounts.namespace
        review = await self._ask(
            "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
            "list rights",
            {"namespace": namespace},
            _Rules,
        )
        extra = [r for rule in review.status.resource_rules for r in _spread(rule) if not self._is_needed(r)]
        grave: dict[str, list[Right]] = {}
        for right in dict.fromkeys(extra):
            grave.setdefault(_danger(right), []).append(right)
        advice = (
            f"take it away: what is needed is printed by `hanse bootstrap kubernetes {self.identity.name}`"
        )
        for danger, some in sorted(grave.items(), reverse=True):
            told = f"it may {_some(some)}, and needs not"
            self._add("right beyond need", "warning", told + (f": {danger}" if danger else ""), advice)
        if review.status.incomplete:
            self._add(
                "right beyond need",
                "warning",
                "the server cannot list all rights: it asks others than RBAC too",
            )
        elif not extra:
            self._add("right beyond need", "ok", f"none, as seen from namespace {namespace}")

    def _is_needed(self, right: Right) -> bool:
        if (right.group, right.resource) in _SELF:
            return True
        return any(
            right.group == row.group
            and right.resource in row.resources
            and right.verb in row.verbs
            and (not row.names or right.name in row.names)
            for row in self.needed
        )

    async def _role(self, name: str) -> None:
        try:
            role = await self.client.find(path_of(CLUSTER_ROLES, name), _ClusterRole, "get clusterrole")
        except Failed as error:
            if error.code != 403:
                raise
            return  # the right is missing, which is told above
        zones = [zone.name for zone in self.zones if name in mapped_roles([zone])]
        if role is None:
            self._add(
                "role",
                "error",
                f"there is no ClusterRole {name}, which is mapped by landing zone {', '.join(zones)}",
                "make it, or map another one in `kubernetes.roles`",
            )
        elif not role.rules:
            self._add("role", "warning", f"the ClusterRole {name} gives no right at all", "give it rules")
        else:
            self._add("role", "ok", f"ClusterRole {name} is there")

    async def _kind(self, version: str, kind: str) -> None:
        known, what = await self.client.resource(version, kind), f"{kind} of {version}"
        if known is None:
            advice = "install what brings it, or take it out of the landing zone's manifests"
            self._add("kind", "error", f"the server knows no {what}", advice)
        elif not known.namespaced:
            advice = "take it out of the landing zone's manifests"
            self._add("kind", "error", f"{what} belongs to the whole cluster, not to a namespace", advice)
        elif known.name != resource_of(kind):
            self._add(
                "kind",
                "warning",
                f"the server calls {what} {known.name}, and bootstrap prints rights for {resource_of(kind)}",
                f"in what bootstrap prints, write {known.name} instead",
            )
        else:
            self._add("kind", "ok", f"{what} is known, as {known.name}")

    # Small things

    async def _may(self, right: Right) -> bool:
        attributes = {
            "group": right.group,
            "resource": right.resource,
            "verb": right.verb,
            "name": right.name,
        }
        body = {"resourceAttributes": {name: value for name, value in attributes.items() if value}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return (await self._ask(path, "ask for a right", body, _May)).status.allowed

    async def _ask(self, path: str, label: str, spec: Mapping[str, object], kind: type[_T]) -> _T:
        """A review: a POST that changes nothing. Raises as the client's `get`."""
        reply = await self.client.call(Call("POST", path, body={"spec": spec}, label=label))
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except msgspec.DecodeError:
            raise Broken(f"{label}: the reply is none of the API") from None

    def _add(self, what: str, state: State, message: str, advice: str = "") -> None:
        self.checks.append(Check(what, state, message, advice))


def rights(row: Permission) -> Iterator[Right]:
    """Each single right of a rule."""
    for resource in row.resources:
        for verb in row.verbs:
            for name in row.names or ("",):
                yield Right(row.group, resource, verb, name)


def _spread(rule: _Rule) -> Iterator[Right]:
    for group in rule.api_groups:
        for resource in rule.resources:
            for verb in rule.verbs:
                for name in rule.resource_names or ("",):
                    yield Right(group, resource, verb, name)


def _danger(right: Right) -> str:
    """What could be done with a right that nobody needs; empty where it is not much."""
    if "*" in (right.group, right.resource, right.verb):
        return "* is everything"
    match right.group, right.resource, right.verb:
        case _, "clusterroles" | "roles", "bind":
            return "it could give roles that no landing zone maps"
        case _, "clusterroles" | "roles", "escalate":
            return "it could give itself and others every right"
        case _, _, "impersonate":
            return "it could act as somebody else"
        case _, "clusterroles" | "roles" | "clusterrolebindings", "create" | "update" | "patch":
            return "it could change what others may do everywhere"
        case "", "secrets", "get" | "list" | "watch":
            return "it could read passwords and keys"
        case "", "serviceaccounts/token" | "pods/exec" | "pods/attach" | "nodes/proxy", _:
            return "it could act as what runs in the cluster"
    return ""


def _some(found: Iterable[Right]) -> str:
    """Rights in short: what is allowed of one thing together, then the things and names of which the same is."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in found:
        what = f"{right.resource}.{right.group}" if right.group else right.resource
        verbs.setdefault((what, right.name), []).append(right.verb)
    names: dict[tuple[str, str], list[str]] = {}
    for (what, name), some in verbs.items():
        names.setdefault((", ".join(some), what), []).append(name)
    things: dict[str, list[str]] = {}
    for (some_verbs, what), some in names.items():
        things.setdefault(some_verbs, []).append(
            " ".join(filter(None, (what, ", ".join(filter(None, some)))))
        )
    told = [f"{some_verbs} {', '.join(whats)}" for some_verbs, whats in things.items()]
    rest = len(told) - SHOWN
    return "; ".join(told[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


async def _each(work: Iterable[Awaitable[_T]]) -> list[_T]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: Awaitable[_T]) -> _T:
        async with places:
            return await item

    return await asyncio.gather(*map(one, work))
