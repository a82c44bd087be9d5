"""Signing in: what is bound to what, what happens to tokens, and that no secret is ever told."""

import json
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from openstack_cloud import Corner, credential, resolved, told, user

from hanse.demo import keystone as starter
from hanse.model import Refused
from hanse.platforms.openstack.auth import connect
from hanse.platforms.openstack.client import Keystone
from hanse.ports.platform import PlatformUnavailable, Scope
from hanse.ports.transport import Call, NotAllowed, NotSent, Transport

EVERYTHING = Scope(None)


def written(folder: Path, cloud: dict[str, Any]) -> str:
    """The source of a clouds.yaml with this one cloud."""
    (folder / "clouds.yaml").write_text(json.dumps({"clouds": {"fra": cloud}}))
    return f"{folder}/clouds.yaml#fra"


def cloud_of(running: starter.Keystone) -> dict[str, Any]:
    cloud: dict[str, Any] = json.loads(running.clouds_yaml("fra"))["clouds"]["fra"]
    return cloud


@asynccontextmanager
async def serving(status: int, body: str) -> AsyncIterator[str]:
    """A server that always answers so."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def transport(keystone: starter.Keystone, tmp_path: Path) -> AsyncIterator[Transport]:
    transport = connect(credential(keystone, tmp_path))
    yield transport
    await transport.close()


async def test_discovery_tells_the_version_of_the_api(transport: Transport) -> None:
    assert await Keystone(transport).version() >= (3, 14)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "{}"),
        (200, '{"version": {"id": "v2.0"}}'),
        (200, "<html>hello</html>"),
        (200, "[]"),
        (302, ""),
    ],
)
async def test_whatever_is_no_identity_api_3_is_told_clearly(
    keystone: starter.Keystone, transport: Transport, status: int, body: str
) -> None:
    async with serving(status, body) as url:
        signed_in = await transport.send(Call("GET", "/v3"))  # a token is there, from the real one
        assert signed_in.status == 200
        transport._endpoint = url  # type: ignore[attr-defined]
        corner = Corner(transport, domain="Default")
        with pytest.raises(PlatformUnavailable, match="no Identity API v3 answers") as caught:
            await corner.new_platform().observe(EVERYTHING)
    assert "3.0" in caught.value.advice


@pytest.mark.parametrize("suffix", ["", "/", "/v3", "/v3/"])
async def test_the_endpoint_may_end_as_people_write_it(
    keystone: starter.Keystone, tmp_path: Path, suffix: str
) -> None:
    endpoint = keystone.url.removesuffix("/v3") + suffix
    transport = connect(credential(keystone, tmp_path, endpoint=endpoint))
    assert (await transport.send(Call("GET", "/v3/projects", (("limit", "1"),)))).status == 200
    await transport.close()


@pytest.mark.parametrize("auth_type", ["password", "v3password", None])
async def test_auth_types_of_a_password(
    keystone: starter.Keystone, tmp_path: Path, auth_type: str | None
) -> None:
    cloud = {name: value for name, value in cloud_of(keystone).items() if name != "auth_type"}
    source = written(tmp_path, cloud if auth_type is None else {**cloud, "auth_type": auth_type})
    transport = connect(credential(keystone, tmp_path / "..", source=source))
    assert (await transport.send(Call("GET", "/v3/projects", (("limit", "1"),)))).status == 200
    await transport.close()


async def test_an_application_credential_and_a_token_sign_in(
    keystone: starter.Keystone, tmp_path: Path, transport: Transport
) -> None:
    client = Keystone(transport)
    me = (await client.get("/v3/auth/tokens", "who"))["token"]["user"]["id"]
    body = {"application_credential": {"name": uuid4().hex, "unrestricted": True}}
    made = (await client.write("POST", f"/v3/users/{me}/application_credentials", "make", body))[
        "application_credential"
    ]
    signer: Any = transport
    token = (await signer._authenticator.headers(Call("GET", "/")))["X-Auth-Token"]
    for auth_type, auth in (
        (
            "v3applicationcredential",
            {"application_credential_id": made["id"], "application_credential_secret": made["secret"]},
        ),
        ("token", {"token": token, "project_name": "admin", "project_domain_id": "default"}),
    ):
        source = written(tmp_path, {"auth_type": auth_type, "auth": {"auth_url": keystone.url, **auth}})
        other = connect(credential(keystone, tmp_path / "..", source=source))
        assert (await other.send(Call("GET", "/v3/projects", (("limit", "1"),)))).status == 200
        await other.close()


async def test_variables_of_the_environment_sign_in(
    keystone: starter.Keystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud_of(keystone)["auth"].items():
        monkeypatch.setenv(f"OS_{name.upper()}", value)
    transport = connect(credential(keystone, tmp_path, source="env"))
    assert (await transport.send(Call("GET", "/v3/projects", (("limit", "1"),)))).status == 200
    await transport.close()


async def test_a_clouds_yaml_is_found_where_openstacksdk_finds_it(
    keystone: starter.Keystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = credential(keystone, tmp_path, source="clouds.yaml#fra")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    transport = connect(given)
    assert (await transport.send(Call("GET", "/v3/projects", (("limit", "1"),)))).status == 200
    await transport.close()


@pytest.mark.parametrize(
    ("changes", "message", "advice"),
    [
        ({"source": "{folder}/clouds.yaml#ber"}, "there is no such cloud", "known are: fra"),
        ({"source": "{folder}/nowhere.yaml#fra"}, "there is no such file", "check the path"),
        ({"source": "vault:fra"}, "unknown source", "clouds.yaml#NAME"),
        ({"source": "env"}, "there is no such cloud", "set the OS_"),
        (
            {"endpoint": "https://keystone.example.org:5000"},
            "is bound to https://keystone.example.org:5000",
            "bind",
        ),
        ({"endpoint": "keystone.example.org"}, "is no address", "write it as https://"),
        ({"endpoint": "https://me:secret@keystone.example.org"}, "is no address", "write it as https://"),
    ],
)
async def test_a_credential_that_does_not_fit_is_refused(
    keystone: starter.Keystone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    message: str,
    advice: str,
) -> None:
    for name in ("OS_CLOUD", "OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    given = {name: value.format(folder=tmp_path) for name, value in changes.items()}
    with pytest.raises(PlatformUnavailable, match=message) as caught:
        connect(credential(keystone, tmp_path, **given))
    assert advice in caught.value.advice
    assert "secret" not in str(caught.value)


async def test_a_cloud_without_a_password_is_told_what_it_lacks(
    keystone: starter.Keystone, tmp_path: Path
) -> None:
    cloud = cloud_of(keystone)
    del cloud["auth"]["auth_url"]
    with pytest.raises(PlatformUnavailable, match="has no auth_url"):
        connect(credential(keystone, tmp_path / "..", source=written(tmp_path, cloud)))
    cloud = {**cloud_of(keystone), "auth_type": "v3applicationcredential"}
    with pytest.raises(PlatformUnavailable, match="You must provide either an application credential ID"):
        connect(credential(keystone, tmp_path / "..", source=written(tmp_path, cloud)))


async def test_a_broken_clouds_yaml_is_told_without_its_content(
    keystone: starter.Keystone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds: {fra: {auth: {password: canary-1\n - x")
    with pytest.raises(PlatformUnavailable, match="there is no such cloud") as caught:
        connect(credential(keystone, tmp_path / "..", source=f"{tmp_path}/clouds.yaml#fra"))
    assert "well-formed" in caught.value.advice
    assert "canary" not in "".join(traceback.format_exception(caught.value)) + caplog.text


async def test_a_wrong_password_is_told_without_it(keystone: starter.Keystone, tmp_path: Path) -> None:
    cloud = cloud_of(keystone)
    cloud["auth"]["password"] = "canary-2"
    transport = connect(credential(keystone, tmp_path / "..", source=written(tmp_path, cloud)))
    corner = Corner(transport, domain="Default")
    with pytest.raises(PlatformUnavailable, match="the account or its password was not accepted") as caught:
        await corner.new_platform().observe(EVERYTHING)
    assert "clouds.yaml#fra" in caught.value.advice
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert "canary" not in repr(vars(transport)) + repr(vars(transport._authenticator))
    await transport.close()


async def test_a_server_that_repeats_secrets_is_not_quoted(
    keystone: starter.Keystone, tmp_path: Path
) -> None:
    canary = json.dumps({"error": {"code": 1, "title": "canary-3", "message": "password canary-3 of admin"}})
    for status in (400, 401, 403, 404, 409, 500, 503):
        async with serving(status, canary) as url:
            cloud = cloud_of(keystone)
            cloud["auth"]["auth_url"] = f"{url}/v3"
            source = written(tmp_path, cloud)
            transport = connect(credential(keystone, tmp_path / "..", source=source, endpoint=url))
            with pytest.raises((NotAllowed, NotSent)) as caught:
                await transport.send(Call("GET", "/v3"))
            assert "canary" not in "".join(traceback.format_exception(caught.value))
            await transport.close()


async def test_no_keystone_there_is_told(keystone: starter.Keystone, tmp_path: Path) -> None:
    cloud = cloud_of(keystone)
    cloud["auth"]["auth_url"] = "http://127.0.0.1:9/v3"
    given = credential(
        keystone, tmp_path / "..", source=written(tmp_path, cloud), endpoint="http://127.0.0.1:9"
    )
    transport = connect(given)
    with pytest.raises(PlatformUnavailable, match=r"http://127\.0\.0\.1:9: signing in: no connection"):
        await Corner(transport, domain="Default").new_platform().observe(EVERYTHING)
    await transport.close()


async def test_a_token_that_ends_in_the_middle_is_renewed_once(transport: Transport) -> None:
    corner = await Corner(transport).furnish(["ann"])
    signer: Any = transport
    intent = corner.intent("prod", user("ann", "user"))
    plan, observation = await corner.plan(intent)
    headers = await signer._authenticator.headers(Call("GET", "/v3/auth/tokens"))
    await transport.send(Call("DELETE", "/v3/auth/tokens"))  # Keystone revokes the token that is the subject
    outcomes = await corner.carry_out(plan, observation)
    assert {type(outcome).__name__ for outcome in outcomes} == {"Done"}
    renewed = await signer._authenticator.headers(Call("GET", "/"))
    assert renewed["X-Auth-Token"] != headers["X-Auth-Token"]
    assert not (await corner.plan(intent))[0].steps


async def test_a_reader_can_plan_and_is_told_what_it_lacks_to_apply(
    keystone: starter.Keystone, tmp_path: Path, transport: Transport
) -> None:
    corner = await Corner(transport).furnish(["ann"])
    reader = await corner.add("user", name="reading", password="pass-word", domain_id=corner.domain_id)
    await corner.do("PUT", f"/system/users/{reader}/roles/{await corner.role('reader')}")
    auth = {
        "auth_url": keystone.url,
        "user_id": reader,
        "password": "pass-word",
        "system_scope": "all",
    }
    source = written(tmp_path, {"auth_type": "v3password", "auth": auth})
    reading = connect(credential(keystone, tmp_path / "..", source=source))
    corner.platform = corner.new_platform(reading)
    intent = corner.intent("prod", user("ann", "user"))
    for sweep in (False, True):
        plan, observation = await corner.plan(intent, sweep=sweep)
        assert observation.incomplete == {}
        assert len(plan.steps) == 4
    outcome = await corner.platform.perform(resolved(plan.steps[0], {}))
    assert isinstance(outcome, Refused)
    assert "identity:create_project" in outcome.advice
    assert told(plan)[0] == ("create", "project")
    await reading.close()


async def test_an_account_without_any_right_is_told_so(
    keystone: starter.Keystone, tmp_path: Path, transport: Transport
) -> None:
    corner = await Corner(transport).furnish()
    nobody = await corner.add("user", name="nobody", password="pass-word", domain_id=corner.domain_id)
    auth = {"auth_url": keystone.url, "user_id": nobody, "password": "pass-word", "unscoped": True}
    source = written(tmp_path, {"auth_type": "v3password", "auth": auth})
    powerless = connect(credential(keystone, tmp_path / "..", source=source))
    with pytest.raises(PlatformUnavailable, match="the account may not read it") as caught:
        await corner.new_platform(powerless).observe(EVERYTHING)
    assert "reader on the system" in caught.value.advice
    await powerless.close()


async def test_hanses_own_links_are_never_planned_away(transport: Transport) -> None:
    corner = await Corner(transport).furnish(["ann"])
    intent = corner.intent("prod", user("ann", "user"))
    await corner.converge(intent)
    me = (await corner.by_hand.get("/v3/auth/tokens", "who"))["token"]["user"]["id"]
    project = await corner.native()
    await corner.do("PUT", f"/projects/{project}/users/{me}/roles/{await corner.role('admin')}")
    await corner.do("PUT", f"/groups/{await corner.native('group/user')}/users/{me}")
    for sweep in (False, True):
        plan, _ = await corner.plan(intent, sweep=sweep)
        assert not plan.steps
        assert [remark.code for remark in plan.remarks] == ["workload", "workload"]


def test_a_manifest_in_the_working_directory_changes_no_credential(
    keystone: starter.Keystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = credential(keystone, tmp_path)
    repository = tmp_path / "repository"
    repository.mkdir()
    for name in ("clouds.yaml", "secure.yaml", "clouds-public.yaml"):
        (repository / name).write_text(json.dumps({"clouds": {"fra": {"verify": False}, "theirs": {}}}))
    monkeypatch.chdir(repository)
    made: Any = connect(bound)
    assert made._tls.verify
    with pytest.raises(PlatformUnavailable, match="no such cloud"):
        connect(credential(keystone, tmp_path, source="clouds.yaml#theirs"))
