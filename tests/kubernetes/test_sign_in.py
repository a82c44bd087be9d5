"""With the settings that bootstrap prints, an API server takes people's tokens and knows them by their subjects."""

import asyncio
import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from authority import Authority
from hanse.demo import kubernetes as starter
from hanse.platforms.kubernetes.auth import connect
from hanse.platforms.kubernetes.bootstrap import bootstrap
from hanse.ports.platform import Credential, PlatformIdentity
from hanse.ports.transport import Call

real_kubernetes = True  # no simulator reads these settings


class Issuer:
    """An OpenID Connect issuer: its discovery document, its key, and tokens that it signs."""

    def __init__(self, folder: Path) -> None:
        authority = Authority("issuers")
        self.ca_file = folder / "issuers.crt"
        self.ca_file.write_bytes(authority.certificate)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.sign("issuer", host="127.0.0.1").written(folder, "issuer"))
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def document(self, path: str) -> Any:
        if path == "/keys":
            public = self.key.public_key().public_numbers()
            key = {
                "kty": "RSA",
                "alg": "RS256",
                "use": "sig",
                "kid": "1",
                "n": number(public.n),
                "e": number(public.e),
            }
            return {"keys": [key]}
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        payload = {"iss": self.url, "aud": "kubernetes", "iat": now, "exp": now + 600, **claims}
        signed = f"{text({'alg': 'RS256', 'kid': '1'})}.{text(payload)}"
        return f"{signed}.{encoded(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def text(value: Any) -> str:
    return encoded(json.dumps(value).encode())


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    found = Issuer(tmp_path_factory.mktemp("issuer"))
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.mark.parametrize("form", ["flags", "config"])
async def test_people_are_known_by_the_names_that_their_bindings_have(
    issuer: Issuer, tmp_path: Path, form: str
) -> None:
    subjects = {
        "users": {"externalId": "sub", "prefix": "mesh:"},
        "groups": {"as": "claim", "prefix": "team:"},
    }
    oidc = {"issuer": issuer.url, "clientId": "kubernetes", "usernameClaim": "oid"}
    identity = PlatformIdentity("example", "k8s-fra", {"subjects": subjects, "oidc": oidc})
    printed = bootstrap(identity, [], form).text
    if form == "flags":
        flags = [*printed.splitlines(), f"--oidc-ca-file={issuer.ca_file}"]
    else:
        # The issuer of this test has no certificate that everybody trusts; a real one has.
        authority = json.dumps(issuer.ca_file.read_text())
        url = f"    url: {json.dumps(issuer.url)}\n"
        assert url in printed
        file = tmp_path / "authentication.yaml"
        file.write_text(printed.replace(url, f"{url}    certificateAuthority: {authority}\n"))
        flags = [f"--authentication-config={file}"]
    with starter.start(tmp_path / "server", arguments=flags) as server:
        for _ in range(100):  # the API server reads the issuer's keys beside its other work
            if await who(server, tmp_path, issuer.token(oid="x")) is not None:
                break
            await asyncio.sleep(0.2)
        assert await who(server, tmp_path, issuer.token(oid="7f3c", groups=["shop", "ops"])) == (
            "mesh:7f3c",
            ["team:shop", "team:ops", "system:authenticated"],
        )
        assert await who(server, tmp_path, issuer.token(oid="7f3c", aud="another")) is None
        assert await who(server, tmp_path, issuer.token(sub="7f3c")) is None


async def who(server: starter.ApiServer, folder: Path, bearer: str) -> tuple[str, list[str]] | None:
    """Whom the API server takes a token for; None where it does not take it."""
    file = folder / "token"
    file.write_text(bearer)
    options = {"cacert": str(server.ca_file)}
    transport = connect(Credential("one", "k8s-fra", server.url, f"token-file:{file}", options))
    call = Call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body={}, label="who am I")
    reply = await transport.send(call)
    await transport.close()
    if reply.status == 401:
        return None
    info = json.loads(reply.body)["status"]["userInfo"]
    return info["username"], info["groups"]
