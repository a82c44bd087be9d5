"""Whether a Keystone can be used by a bound credential: reached, trusted, understood; by which roles.

Only reads. Keystone has no way to ask what one may do, so reading rights are tried, and writing rights are told from
the token's roles by Keystone's own default policies: where an operator has written others, that may be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from hanse.platforms.openstack import auth
from hanse.platforms.openstack.blocks import PlatformBlock
from hanse.platforms.openstack.client import Broken, Failed, Keystone, unavailable
from hanse.platforms.openstack.permissions import (
    ADMIN,
    INFERENCES,
    MANAGER,
    READER,
    Permission,
    mapped_roles,
    permissions,
    why_admin,
)
from hanse.ports.platform import Check, Credential, PlatformIdentity, PlatformUnavailable, State, Zone
from hanse.ports.transport import Call, NoReply, NotAllowed, NotSent

if TYPE_CHECKING:
    from hanse.transport.http import Http

IMPLIED = {ADMIN: {MANAGER, "member", READER}, MANAGER: {"member", READER}, "member": {READER}}
"""Which role brings which along (keystone-manage bootstrap)."""


async def examine(credential: Credential, identity: PlatformIdentity, zones: Sequence[Zone]) -> list[Check]:
    """All checks, in an order in which each stands on those before it; what fails is one of them."""
    try:
        transport = auth.connect(credential)
    except PlatformUnavailable as error:
        return [Check("credential", "error", str(error), error.advice)]
    examination = _Examination(identity, zones, transport)
    try:
        await examination.all(insecure=bool(credential.options.get("insecure")))
    finally:
        await transport.close()
    return examination.checks


class _Examination:
    """The working state of one examination."""

    def __init__(self, identity: PlatformIdentity, zones: Sequence[Zone], transport: Http) -> None:
        self.name = identity.name
        self.block = msgspec.convert(identity.block, PlatformBlock)
        self.zones = zones
        self.transport = transport
        self.client = Keystone(transport)
        self.checks: list[Check] = []

    async def all(self, *, insecure: bool) -> None:
        """Everything, until something fails without which nothing else can be asked."""
        from hanse.transport import checks  # noqa: PLC0415 (its package is slow to load)

        try:
            self.checks += await checks.of_certificate(self.transport, insecure=insecure)
            version = await self.client.version()
            self._add("version", "ok", f"Identity API {version[0]}.{version[1]}")
            asked_at = datetime.now(UTC)
            reply = await self.client.call(Call("GET", auth.WHO_AM_I, (("nocatalog", ""),), label="who am I"))
            self.checks.append(checks.of_clocks(reply, asked_at, datetime.now(UTC)))
            token = msgspec.json.decode(reply.body).get("token") or {}
        except (Failed, Broken, NoReply, NotSent, NotAllowed) as error:
            told = unavailable(error)
            self._add("Keystone", "error", str(told), told.advice)
            return
        except PlatformUnavailable as error:
            self._add("Keystone", "error", str(error), error.advice)
            return
        except (msgspec.DecodeError, AttributeError):
            self._add(
                "Keystone", "error", "the reply is none of the Identity API", "is the bound endpoint right?"
            )
            return
        roles = {str(role.get("name")) for role in token.get("roles") or ()}
        self._who(token, roles)
        for row in permissions(self.block):
            if row.path:
                await self._reading(row, str((token.get("user") or {}).get("id") or ""))
        self._writing(token, roles)
        await self._names()

    def _who(self, token: dict[str, Any], roles: set[str]) -> None:
        user = (token.get("user") or {}).get("name") or "somebody"
        self._add(
            "account",
            "ok",
            f"signed in as {user}, {', '.join(sorted(roles)) or 'without a role'} {_scope(token)}",
        )

    async def _reading(self, row: Permission, user: str) -> None:
        # Assignments come without pages, and a large cloud has millions: those of one account are enough.
        query = (("user.id", user),) if row.rule == "list_role_assignments" else (("limit", "1"),)
        try:
            await self.client.get(row.path, f"try {row.rule}", query)
        except Failed as error:
            if error.status != 403:
                self._add(
                    "right",
                    "error",
                    f"identity:{row.rule} could not be tried: {error}",
                    "see Keystone's own log",
                )
            elif row.rule == INFERENCES:
                self._add(
                    "right", "warning", f"it may not {row.rule}: {row.why}", "see docs/openstack.md, Rights"
                )
            else:
                self._add("right", "error", f"it may not {row.rule}: {row.why}", self._advice())
        except (Broken, NoReply, NotSent, NotAllowed) as error:
            self._add("right", "error", f"identity:{row.rule} could not be tried: {error}", self._advice())
        else:
            self._add("right", "ok", f"{row.rule}: {row.why}")

    def _writing(self, token: dict[str, Any], roles: set[str]) -> None:
        """By the default policies, since nothing can be tried without an effect."""
        rules = [row.rule for row in permissions(self.block) if not row.path]
        reasons = why_admin(self.block, self.zones)
        domain = (token.get("domain") or {}).get("name")
        if ADMIN in roles:
            self._add(
                "right", "ok", f"to write, by the role {ADMIN} in Keystone's default policies; not tried"
            )
            if reasons:
                self._add(
                    "right beyond need",
                    "ok",
                    f"{ADMIN} may do everything, and is needed: {'; '.join(reasons)}",
                )
            else:
                self._add(
                    "right beyond need",
                    "warning",
                    f"{ADMIN} may do everything on this OpenStack; the role {MANAGER} on the domain "
                    f"{self.block.domains.default} would do all but delete projects that left",
                    self._advice(),
                )
        elif MANAGER in roles and not reasons and domain == self.block.domains.default:
            self._add(
                "right", "ok", f"to write, by the role {MANAGER} in Keystone's default policies; not tried"
            )
            extra = sorted(roles - {MANAGER} - IMPLIED[MANAGER])
            if extra:
                told = f"the roles {', '.join(extra)} are for nothing that Hanse does"
                self._add("right beyond need", "warning", told, "take them away")
            else:
                self._add("right beyond need", "ok", "none")
        else:
            why = f" ({'; '.join(reasons)})" if reasons else ""
            self._add(
                "right",
                "error",
                f"it can plan, and change nothing by Keystone's default policies: {', '.join(rules)}{why}",
                self._advice(),
            )

    async def _names(self) -> None:
        """What the manifest names and Keystone has to know."""
        domains = {self.block.users.domain, self.block.domains.default or self.block.users.domain}
        wanted = [("domain", name) for name in sorted(domains)]
        wanted += [("role", name) for name in mapped_roles(self.zones)]
        for kind, name in wanted:
            try:
                rows = (await self.client.list(f"/v3/{kind}s", f"find {kind}", (("name", name),))).rows
            except (Failed, Broken, NoReply, NotSent, NotAllowed):
                continue  # that it may not be read is told above
            if rows:
                self._add(kind, "ok", f"{kind} {name} is there")
            else:
                self._add(
                    kind,
                    "error",
                    f"there is no {kind} {name}, or it may not be seen",
                    "make it, or name another",
                )

    def _advice(self) -> str:
        return f"`hanse bootstrap openstack {self.name}` says what the account needs"

    def _add(self, what: str, state: State, message: str, advice: str = "") -> None:
        self.checks.append(Check(what, state, message, advice))


def _scope(token: dict[str, Any]) -> str:
    for kind in ("project", "domain"):
        if kind in token:
            return f"on the {kind} {token[kind].get('name')}"
    return "on the system" if "system" in token else "on nothing"
