"""HTTP: where calls go, and whether an error means that nothing can have happened."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from authority import Authority, Pair
from hanse.model import Secret
from hanse.ports.transport import Call, NoReply, NotAllowed, NotSent
from hanse.transport.certificate import read
from hanse.transport.http import Http, Tls

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Tokens:
    """Signs in with a numbered token that the server may take no longer."""

    def __init__(self) -> None:
        self.renewed = 0

    async def headers(self, call: Call) -> dict[str, str]:
        return {"X-Token": f"token-{self.renewed}"}

    async def renew(self) -> None:
        self.renewed += 1


@asynccontextmanager
async def serving(
    answer: Answer, tokens: Tokens | None = None, tls: tuple[ssl.SSLContext, Tls] | None = None
) -> AsyncIterator[Http]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls[0] if tls else None).start()
    port = runner.addresses[0][1]
    scheme = "https" if tls else "http"
    http = Http(f"{scheme}://127.0.0.1:{port}/base/", tokens or Tokens(), tls[1] if tls else None)
    try:
        yield http
    finally:
        await http.close()
        await http.close()
        await runner.cleanup()


async def test_a_call_goes_below_the_endpoint_as_json() -> None:
    async def answer(request: web.Request) -> web.Response:
        told = {
            "method": request.method,
            "path": request.raw_path,
            "body": await request.json(),
            "token": request.headers["X-Token"],
        }
        return web.json_response(told, status=201, headers={"X-Some": "Thing"})

    async with serving(answer) as http:
        reply = await http.send(
            Call("POST", "/v3/things/a%2Fb", (("tags", "a=b,c"), ("limit", "10")), {"ä": [1, None]})
        )
    assert reply.status == 201
    assert reply.headers["x-some"] == "Thing"
    assert json.loads(reply.body) == {
        "method": "POST",
        "path": "/base/v3/things/a%2Fb?tags=a%3Db%2Cc&limit=10",
        "body": {"ä": [1, None]},
        "token": "token-0",
    }


async def test_redirects_are_never_followed() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://elsewhere.invalid/"})

    async with serving(answer) as http:
        assert (await http.send(Call("GET", "/"))).status == 302


async def test_an_expired_token_is_renewed_once_for_all_and_the_calls_repeated() -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.01)
        return web.Response(status=200 if request.headers["X-Token"] == "token-1" else 401)

    tokens = Tokens()
    async with serving(answer, tokens) as http:
        replies = await asyncio.gather(*(http.send(Call("POST", f"/{n}")) for n in range(5)))
    assert [reply.status for reply in replies] == [200] * 5
    assert tokens.renewed == 1


async def test_what_stays_unauthorized_is_a_reply() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=401)

    async with serving(answer) as http:
        assert (await http.send(Call("GET", "/"))).status == 401


async def test_no_server_means_not_sent() -> None:
    http = Http("http://127.0.0.1:9", Tokens())
    with pytest.raises(NotSent, match=r"^http://127\.0\.0\.1:9: no connection \(Connection refused\)$"):
        await http.send(Call("POST", "/", body={}))
    await http.close()


async def test_no_such_name_means_not_sent() -> None:
    http = Http("http://keystone.invalid", Tokens())
    with pytest.raises(NotSent, match=r"http://keystone\.invalid: "):
        await http.send(Call("POST", "/"))
    await http.close()


async def test_a_late_reply_means_no_reply() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(1)
        return web.Response()

    async with serving(answer) as http:
        with pytest.raises(NoReply, match="no reply in time"):
            await http.send(Call("POST", "/", timeout=0.1))


async def test_a_connection_that_breaks_after_sending_means_no_reply() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(answer) as http:
        with pytest.raises(NoReply, match="the connection broke"):
            await http.send(Call("POST", "/", body={"password": "hunter2"}))


async def test_a_body_that_breaks_off_means_no_reply() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(answer) as http:
        with pytest.raises(NoReply, match="the connection broke"):
            await http.send(Call("GET", "/"))


async def test_a_plain_server_at_a_tls_endpoint_means_not_sent() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with serving(answer) as http:
        port = http._endpoint.rsplit(":", 1)[1]
        tls = Http(f"https://127.0.0.1:{port}", Tokens())
        with pytest.raises(NotSent, match=r"certificate|no connection"):
            await tls.send(Call("GET", "/"))
        await tls.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with a certificate that signs itself, for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, pkcs8, plain))
    return str(file)


@pytest.mark.parametrize("way", ["system", "cacert", "unverified", "client"])
async def test_certificates_are_checked_as_configured(certificate: str, way: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED if way == "client" else ssl.CERT_NONE
    tls = {
        "system": Tls(),
        "cacert": Tls(cacert=certificate),
        "unverified": Tls(verify=False),
        "client": Tls(cacert=certificate, cert=certificate),
    }[way]
    async with serving(answer, tls=(context, tls)) as http:
        if way == "system":
            with pytest.raises(NotSent, match="its certificate was not accepted"):
                await http.send(Call("GET", "/"))
        else:
            assert (await http.send(Call("GET", "/"))).status == 200


async def test_a_missing_certificate_file_is_told() -> None:
    http = Http("https://127.0.0.1:9", Tokens(), Tls(cacert="/nowhere/ca.pem"))
    with pytest.raises(NotAllowed, match=r"/nowhere/ca\.pem cannot be used \(No such file or directory\)"):
        await http.send(Call("GET", "/"))


@asynccontextmanager
async def showing(pair: Pair, authority: Authority) -> AsyncIterator[tuple[str, list[str]]]:
    """A TLS server with that certificate, and the names of the client certificates that were shown to it."""
    shown: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peer = request.transport.get_extra_info("peercert") or {}
        shown.append(dict(row[0] for row in peer.get("subject", ())).get("commonName", ""))
        return web.Response()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.certificate.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    with TemporaryDirectory() as folder:
        context.load_cert_chain(*pair.written(Path(folder), "server"))
    async with serving(answer, tls=(context, Tls())) as http:
        yield http._endpoint.removesuffix("/base"), shown


def both(pair: Pair) -> Secret:
    return Secret((pair.certificate + pair.key).decode())


async def test_certificates_and_keys_may_be_given_as_data_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    authority = Authority()
    async with showing(authority.sign("server", host="127.0.0.1"), authority) as (url, shown):
        tls = Tls(cadata=authority.certificate.decode(), shown=both(authority.sign("ann")))
        http = Http(url, Tokens(), tls)
        await http.send(Call("GET", "/"))
        await http.close()
    assert shown == ["ann"]
    assert [path.name for path in tmp_path.iterdir()] == []


async def test_a_new_certificate_is_shown_with_the_next_call_and_an_old_one_no_longer() -> None:
    authority = Authority()
    ann, ben = (Tls(verify=False, shown=both(authority.sign(name))) for name in ("ann", "ben"))
    async with showing(authority.sign("server", host="127.0.0.1"), authority) as (url, shown):
        now = [ann]
        http = Http(url, Tokens(), lambda: now[0])
        for tls in (ann, ann, ben, ben, ann):
            now[0] = tls
            await http.send(Call("GET", "/"))
        await http.close()
    assert shown == ["ann", "ann", "ben", "ben", "ann"]


async def test_a_server_may_be_named_otherwise_than_it_is_called() -> None:
    authority = Authority()
    async with showing(authority.sign("server", host="kubernetes.example"), authority) as (url, shown):
        for name, fits in (("kubernetes.example", True), ("other.example", False), (None, False)):
            http = Http(url, Tokens(), Tls(cadata=authority.certificate.decode(), server_name=name))
            if fits:
                await http.send(Call("GET", "/"))
                assert read(await http.certificate()).name == "server"
            else:
                with pytest.raises(NotSent, match="not accepted: it names another"):
                    await http.send(Call("GET", "/"))
                with pytest.raises(NotSent, match="not accepted: it names another"):
                    await http.certificate()
            await http.close()
    assert shown == [""]


@pytest.mark.parametrize(
    ("since", "trusted", "why"),
    [
        (timedelta(days=-3), True, "it has expired, or the clock here is fast"),
        (timedelta(days=3), True, "it is not valid yet, or the clock here is slow"),
        (timedelta(), False, "no authority that is trusted here signed it"),
    ],
)
async def test_why_a_certificate_is_not_accepted_is_told(since: timedelta, trusted: bool, why: str) -> None:
    authority, other = Authority("one"), Authority("two")
    pair = authority.sign("server", host="127.0.0.1", since=datetime.now(UTC) + since)
    async with showing(pair, authority) as (url, shown):
        http = Http(url, Tokens(), Tls(cadata=(authority if trusted else other).certificate.decode()))
        for asked in (http.send(Call("GET", "/")), http.certificate()):
            with pytest.raises(NotSent, match=f"its certificate was not accepted: {why}"):
                await asked
        await http.close()
    assert shown == []


async def test_a_server_without_tls_shows_no_certificate() -> None:
    assert await Http("http://127.0.0.1:9", Tokens()).certificate() == b""


async def test_no_server_shows_no_certificate_and_says_so() -> None:
    with pytest.raises(NotSent, match=r"^https://127\.0\.0\.1:9: no connection \(Connection refused\)$"):
        await Http("https://127.0.0.1:9", Tokens()).certificate()


async def test_a_key_with_a_password_is_an_error_and_asks_nobody(tmp_path: Path) -> None:
    locked = serialization.BestAvailableEncryption(b"hunter2")
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    certificate, file = Pair(Authority().sign("ann").certificate, pem).written(tmp_path, "ann")
    http = Http("https://127.0.0.1:9", Tokens(), Tls(cert=str(certificate), key=str(file)))
    with pytest.raises(NotAllowed, match="a certificate file cannot be used"):
        await http.send(Call("GET", "/"))


async def test_signing_in_that_fails_is_passed_on() -> None:
    class Refused(Tokens):
        async def headers(self, call: Call) -> dict[str, str]:
            raise NotAllowed("wrong", "do this")

    with pytest.raises(NotAllowed) as caught:
        await Http("http://127.0.0.1:9", Refused()).send(Call("GET", "/"))
    assert caught.value.advice == "do this"
