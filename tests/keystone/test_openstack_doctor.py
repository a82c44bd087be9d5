"""What doctor says of a Keystone and an account, and what the least account that bootstrap names can really do."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from openstack_cloud import Corner, credential, user

from hanse.demo import keystone as starter
from hanse.platforms.openstack.auth import connect
from hanse.platforms.openstack.doctor import examine
from hanse.platforms.openstack.permissions import bootstrap
from hanse.ports.platform import Check, Credential, PlatformIdentity, PlatformUnavailable, Zone

BASE = Zone("production", {"roles": {"reader": "reader"}})


class Account:
    """An account in a corner of a Keystone, and how it signs in."""

    def __init__(self, running: starter.Keystone, corner: Corner, folder: Path) -> None:
        self.running = running
        self.corner = corner
        self.folder = folder
        self.name = f"hanse-{corner.organization}"

    @property
    def identity(self) -> PlatformIdentity:
        return PlatformIdentity(self.corner.organization, "openstack-fra", self.corner.block)

    async def made(self) -> None:
        self.id = await self.corner.add(
            "user", name=self.name, domain_id=self.corner.domain_id, password="pw"
        )

    async def given(self, role: str, *, system: bool = False) -> Credential:
        """With just this role, on the corner's domain or on the system."""
        place = "system" if system else f"domains/{self.corner.domain_id}"
        await self.corner.do("PUT", f"/{place}/users/{self.id}/roles/{await self.corner.role(role)}")
        scope = {"system_scope": "all"} if system else {"domain_id": self.corner.domain_id}
        return self.credential(scope, "pw")

    def credential(self, scope: dict[str, str], password: str) -> Credential:
        auth = {"auth_url": self.running.url, "username": self.name, "password": password, **scope}
        cloud = {"auth": {**auth, "user_domain_id": self.corner.domain_id}}
        file = self.folder / "account.yaml"
        file.write_text(json.dumps({"clouds": {"it": cloud}}))
        return credential(self.running, self.folder, source=f"{file}#it")

    async def examined(self, bound: Credential, *zones: Zone) -> list[Check]:
        return list(await examine(bound, self.identity, zones or (BASE,)))


@pytest.fixture
async def account(keystone: starter.Keystone, tmp_path: Path) -> AsyncIterator[Account]:
    admin = connect(credential(keystone, tmp_path))
    found = Account(keystone, await Corner(admin).furnish(["ann"]), tmp_path)
    await found.made()
    yield found
    await admin.close()


def of(checks: Sequence[Check], what: str, *states: str) -> list[str]:
    return [check.message for check in checks if check.what == what and check.state in states]


async def test_the_manager_of_a_domain_lacks_only_what_no_account_of_a_domain_can_have(
    account: Account,
) -> None:
    checks = await account.examined(await account.given("manager"))
    assert [(check.what, check.state) for check in checks if check.state != "ok"] == [
        ("certificate", "warning"),  # the test's Keystone speaks no TLS
        ("right", "warning"),
    ]
    assert of(checks, "right", "warning") == [
        "it may not list_role_inference_rules: without it projects that left are kept"
    ]
    assert of(checks, "account", "ok") == [
        f"signed in as {account.name}, manager, member, reader on the domain {account.corner.domain}"
    ]
    assert of(checks, "clock", "ok")
    assert of(checks, "role", "ok") == ["role member is there", "role reader is there"]


async def test_as_manager_of_a_domain_a_tenant_is_made_and_its_people_come_and_go(account: Account) -> None:
    corner = account.corner
    transport = connect(await account.given("manager"))
    corner.platform = corner.new_platform(transport)
    intent = corner.intent("prod", user("ann", "user"))
    assert (await corner.converge(intent)).steps
    assert (await corner.plan(intent, sweep=True))[0].steps == ()
    left = corner.intent("prod", left_at="0" * 40)
    await corner.converge(left, may_delete=True)
    plan, observation = await corner.plan(left, may_delete=True)
    assert plan.steps == ()
    assert [remark.message for remark in plan.remarks] == [
        "cannot tell whether project shop-prod is empty; it is kept"
    ]
    assert set(observation.incomplete) == {"implication"}
    await transport.close()


async def test_a_reader_can_plan_and_is_told_that_it_can_do_no_more(account: Account) -> None:
    checks = await account.examined(await account.given("reader", system=True))
    (message,) = of(checks, "right", "error")
    assert message.startswith("it can plan, and change nothing")
    assert "create_project" in message
    assert not of(checks, "right", "warning")


async def test_more_than_is_needed_is_a_warning_only_where_less_would_do(account: Account) -> None:
    bound = credential(account.running, account.folder)  # the administrator
    assert "admin may do everything" in of(await account.examined(bound), "right beyond need", "warning")[0]
    checks = await account.examined(bound, Zone("a", {"roles": {"user": "operator"}}))
    assert "is needed: landing zones map operator" in of(checks, "right beyond need", "ok")[0]
    assert "there is no role operator" in of(checks, "role", "error")[0]
    await account.given("manager")
    both = await account.given(await _made(account, "swift"))
    assert (
        f"the roles swift-{account.corner.organization} are for nothing"
        in (of(await account.examined(both), "right beyond need", "warning")[0])
    )


async def _made(account: Account, name: str) -> str:
    name = f"{name}-{account.corner.organization}"
    await account.corner.add("role", name=name)
    return name


async def test_a_password_that_is_not_taken_and_a_source_that_does_not_fit_are_told(account: Account) -> None:
    (check,) = (c for c in await account.examined(account.credential({}, "hunter2")) if c.state == "error")
    assert "the account or its password was not accepted" in check.message
    assert "hunter2" not in str(check)
    (check,) = await account.examined(credential(account.running, account.folder, source="nothing"))
    assert (check.what, check.state) == ("credential", "error")


async def test_a_domain_that_is_not_there_is_told(account: Account) -> None:
    account.corner.domain = "gone"
    checks = await account.examined(credential(account.running, account.folder))
    assert of(checks, "domain", "error") == ["there is no domain gone, or it may not be seen"]


# ---- bootstrap


def platform(**more: Any) -> PlatformIdentity:
    users = {"domain": "corporate", "externalId": "x"}
    return PlatformIdentity("example", "fra", {"users": users, "domains": {"default": "corporate"}, **more})


def test_manager_is_asked_for_where_it_is_enough() -> None:
    text = bootstrap(platform(), [BASE]).text
    assert "openstack role add --user hanse --user-domain corporate --domain corporate manager\n" in text
    assert " admin\n" not in text


@pytest.mark.parametrize(
    ("more", "zone", "why"),
    [
        ({"domains": {"perWorkspace": "{workspace}"}}, BASE, "domains are made for workspaces"),
        (
            {"domains": {"default": "Default"}},
            BASE,
            "people are in the domain corporate, projects in Default",
        ),
        ({}, Zone("a", {"roles": {"user": "heat_stack_owner"}}), "landing zones map heat_stack_owner"),
    ],
)
def test_admin_is_asked_for_only_with_a_reason(more: dict[str, Any], zone: Zone, why: str) -> None:
    text = bootstrap(platform(**more), [zone]).text
    assert f"# - {why}\n" in text
    assert " admin\n" in text
    assert " manager\n" not in text


def test_a_name_is_one_word_of_the_shell() -> None:
    odd = {"users": {"domain": "a'; b $(c)", "externalId": "x"}, "domains": {"default": "a'; b $(c)"}}
    text = bootstrap(PlatformIdentity("example", "fra", odd), [BASE]).text
    assert """--domain 'a'"'"'; b $(c)' """ in text


def test_there_is_no_sign_in_to_print() -> None:
    with pytest.raises(PlatformUnavailable, match="not told by Hanse"):
        bootstrap(platform(), [], "flags")
