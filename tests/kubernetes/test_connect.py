"""Signing in to an API server in every way that is taken, and what is told where it does not work."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from authority import Authority, Pair
from hanse.demo import kubernetes as starter
from hanse.platforms.kubernetes.auth import connect
from hanse.ports.platform import Credential
from hanse.ports.transport import Call, NotAllowed, NotSent, Transport

real_kubernetes = True  # certificates of people, and an API server that speaks TLS
AUTHORITY = Authority("people")
WHO = Call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body={}, label="who am I")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[starter.ApiServer]:
    """One that takes the certificates of an authority of ours."""
    folder = tmp_path_factory.mktemp("kubernetes")
    authority = folder / "people.crt"
    authority.write_bytes(AUTHORITY.certificate)
    flags = [f"--client-ca-file={authority}"]
    with starter.start(folder / "server", users={"hanse": ()}, arguments=flags) as running:
        yield running


class Desk:
    """Writes kubeconfigs for one API server and signs in by them."""

    def __init__(self, server: starter.ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.open: list[Transport] = []

    def join(self, user: Any, cluster: Any = None, **options: Any) -> Transport:
        trusted = {"certificate-authority": str(self.server.ca_file)} if cluster is None else cluster
        content = {
            "clusters": [{"name": "fra", "cluster": {"server": self.server.url, **trusted}}],
            "users": [{"name": "me", "user": user}],
            "contexts": [{"name": "fra", "context": {"cluster": "fra", "user": "me"}}],
        }
        file = self.folder / "config"
        file.write_text(json.dumps(content))
        return self.by(f"{file}#fra", **options)

    def by(self, source: str, **options: Any) -> Transport:
        self.open.append(connect(Credential("one", "k8s-fra", self.server.url, source, options)))
        return self.open[-1]


@pytest.fixture
async def desk(server: starter.ApiServer, tmp_path: Path) -> AsyncIterator[Desk]:
    found = Desk(server, tmp_path)
    yield found
    for transport in found.open:
        await transport.close()


async def who(transport: Transport) -> tuple[str, list[str]]:
    """Whom the API server takes it for."""
    reply = await transport.send(WHO)
    assert reply.status == 201, reply.body
    info = json.loads(reply.body)["status"]["userInfo"]
    return info["username"], [group for group in info["groups"] if group != "system:authenticated"]


def as_data(pair: Pair) -> dict[str, str]:
    return {
        "client-certificate-data": base64.b64encode(pair.certificate).decode(),
        "client-key-data": base64.b64encode(pair.key).decode(),
    }


async def test_a_client_certificate_signs_in_as_data_and_as_files(desk: Desk) -> None:
    pair = AUTHORITY.sign("ann", ("developers", "auditors"))
    expected = "ann", ["developers", "auditors"]
    assert await who(desk.join(as_data(pair))) == expected
    pair.written(desk.folder, "ann")
    assert await who(desk.join({"client-certificate": "ann.crt", "client-key": "ann.key"})) == expected


async def test_an_expired_client_certificate_is_told_since_when_and_never_sent(desk: Desk) -> None:
    old = AUTHORITY.sign("ann", since=datetime.now(UTC) - timedelta(days=2))
    with pytest.raises(
        NotAllowed, match=r"the client certificate of ann expired at \d{4}-\d\d-\d\d"
    ) as caught:
        await desk.join(as_data(old)).send(WHO)
    assert "have a new one signed" in caught.value.advice


async def test_a_certificate_of_another_authority_and_a_wrong_token_are_not_taken(desk: Desk) -> None:
    for user in (as_data(Authority("strangers").sign("ann")), {"token": "wrong"}):
        assert (await desk.join(user).send(WHO)).status == 401


async def test_the_wrong_authority_for_the_server_is_told_before_anything_is_sent(desk: Desk) -> None:
    wrong = {"certificate-authority-data": base64.b64encode(AUTHORITY.certificate).decode()}
    with pytest.raises(NotSent, match="not the one that signed the server's"):
        await desk.join({"token": desk.server.token}, wrong).send(WHO)
    assert (await who(desk.join({"token": desk.server.token}, wrong, cacert=str(desk.server.ca_file))))[
        0
    ] == "admin"


async def test_the_authority_may_be_data_and_the_server_go_by_another_name(desk: Desk) -> None:
    data = {"certificate-authority-data": base64.b64encode(desk.server.ca_file.read_bytes()).decode()}
    user = {"token": desk.server.token}
    assert (await who(desk.join(user, data)))[0] == "admin"
    assert (await who(desk.join(user, {**data, "tls-server-name": "kubernetes.default.svc"})))[0] == "admin"
    with pytest.raises(NotSent, match="it names another host"):
        await desk.join(user, {**data, "tls-server-name": "elsewhere.example"}).send(WHO)


async def test_the_certificate_is_left_unchecked_only_where_the_server_configuration_says_so_too(
    desk: Desk,
) -> None:
    skip = {"insecure-skip-tls-verify": True}
    assert (await who(desk.join({"token": desk.server.token}, skip, insecure=True)))[0] == "admin"


async def test_a_token_that_is_renewed_in_its_file_is_used_with_the_next_call(desk: Desk) -> None:
    file = desk.folder / "token"
    file.write_text(desk.server.tokens["hanse"] + "\n")
    transport = desk.by(f"token-file:{file}", cacert=str(desk.server.ca_file))
    assert (await who(transport))[0] == "hanse"
    file.write_text(desk.server.token)
    assert (await who(transport))[0] == "admin"


async def test_a_plugin_that_gave_a_stale_token_is_run_again_and_the_call_repeated(desk: Desk) -> None:
    plugin = desk.folder / "plugin"
    told = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    answers = [json.dumps({**told, "status": {"token": token}}) for token in ("stale", desk.server.token)]
    plugin.write_text(
        f"#!/bin/sh\nif mkdir ran 2>/dev/null; then echo '{answers[0]}'; else echo '{answers[1]}'; fi\n"
    )
    plugin.chmod(0o700)
    asked = {"apiVersion": told["apiVersion"], "command": "./plugin", "interactiveMode": "Never"}
    assert (await who(desk.join({"exec": asked}, allowExec=True)))[0] == "admin"


async def test_a_plugins_certificate_is_shown_and_replaced_before_it_expires(desk: Desk) -> None:
    for name, lasts in (("ann", timedelta(seconds=5)), ("ben", timedelta(hours=1))):
        pair = AUTHORITY.sign(name)
        status = {
            "clientCertificateData": pair.certificate.decode(),
            "clientKeyData": pair.key.decode(),
            "expirationTimestamp": (datetime.now(UTC) + lasts).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        told = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
        (desk.folder / f"{name}.json").write_text(json.dumps(told))
    plugin = desk.folder / "plugin"
    plugin.write_text("#!/bin/sh\nif mkdir ran 2>/dev/null; then cat ann.json; else cat ben.json; fi\n")
    plugin.chmod(0o700)
    asked = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./plugin",
        "interactiveMode": "Never",
    }
    transport = desk.join({"exec": asked}, allowExec=True)
    assert [(await who(transport))[0] for _ in range(3)] == ["ann", "ben", "ben"]
