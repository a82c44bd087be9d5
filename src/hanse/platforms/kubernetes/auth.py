"""Signing in to an API server: a context of a kubeconfig, the account of the pod that we run in, or a token in a file.

All calls go to the endpoint that the server's own configuration binds. A kubeconfig may be in many hands and may run
programs: what it asks for beyond a credential (another endpoint, a proxy, no checking of certificates, another
identity, a program) is refused, or needs a switch of the server's own configuration. No secret comes into a text.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from hanse.model import Secret
from hanse.platforms.kubernetes import kubeconfig
from hanse.platforms.kubernetes.kubeconfig import Exec, Login
from hanse.ports.platform import Credential, PlatformUnavailable
from hanse.ports.transport import Call, NotAllowed

if TYPE_CHECKING:
    from hanse.transport.http import Http, Tls

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its account (Kubernetes documentation, 'Accessing the Kubernetes API from a Pod')."""
IN_CLUSTER, ANY_FILES, TOKEN_FILE = "in-cluster", "kubeconfig", "token-file:"
OPTIONS = {"cacert", "insecure", "allowExec"}
EXEC_SECONDS = 60.0
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
EXEC_BYTES = 1_000_000
STALE = timedelta(seconds=30)
"""What an exec plugin gave is asked for anew so long before it expires."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def connect(credential: Credential) -> Http:
    """The transport for a bound credential; nothing is called yet.

    Its source is `kubeconfig#CONTEXT` (the files that kubectl reads), `PATH#CONTEXT`, either without a name for the
    current context, `in-cluster`, or `token-file:PATH`. Options of the server's own configuration: `cacert` (goes
    before the kubeconfig's), `insecure` and `allowExec`.

    Raises PlatformUnavailable, with advice, where the source does not fit or its endpoint is another one.
    """
    return carried_for(sign_in(credential), credential)


def carried_for(account: Account, credential: Credential) -> Http:
    """The transport on which the account calls."""
    from hanse.transport.http import Http  # noqa: PLC0415 (slow to load; validate makes no connection)

    return Http(credential.endpoint, account, account.tls)


def sign_in(credential: Credential, environment: Mapping[str, str] | None = None) -> Account:
    """Who calls; nothing is read yet but kubeconfigs. Raises PlatformUnavailable."""
    environment = os.environ if environment is None else environment
    _check_binding(credential)
    try:
        if credential.source == IN_CLUSTER:
            return _in_cluster(credential, environment)
        if credential.source.startswith(TOKEN_FILE):
            path = _absolute(credential.source.removeprefix(TOKEN_FILE))
            return Account(credential, _tls(credential), TokenFile(path, f"in {credential.source}"))
        return _of_kubeconfig(credential, environment)
    except PlatformUnavailable as error:
        raise PlatformUnavailable(f"{_told(credential)}: {error}", error.advice) from None


class Proof(Protocol):
    """What proves who is calling."""

    async def obtain(self) -> Proven:
        """The proof as it is now. Raises NotAllowed or NotSent."""
        ...

    def forget(self) -> None:
        """The server takes the present one no longer."""
        ...


@dataclass(frozen=True)
class Proven:
    """A token, a client certificate, or both."""

    token: Secret | None = None
    certificate: str = ""
    """In PEM; may be followed by those that signed it."""
    key: Secret | None = None
    until: datetime | None = None
    """When whoever gave it said that it ends."""


@dataclass(frozen=True)
class Validity:
    """How long a proof holds, as far as can be seen from here."""

    what: str
    """Such as `the client certificate of NAME`."""
    until: datetime


class Account:
    """Signs calls in with what its proof gives, and shows the client certificate that it gives."""

    def __init__(self, credential: Credential, tls: Tls, proof: Proof) -> None:
        """Nothing is read yet."""
        self._credential = credential
        self._plain = tls
        self._tls = tls
        self._proof = proof
        self._proven = Proven()
        self._obtaining = asyncio.Lock()

    async def headers(self, call: Call) -> dict[str, str]:
        """The token, as a header. Raises NotAllowed or NotSent."""
        async with self._obtaining:
            proven = await self._proof.obtain()
            if proven.certificate != self._proven.certificate and proven.key:
                self._tls = replace(
                    self._plain, shown=Secret(f"{proven.certificate}\n{proven.key.reveal()}\n")
                )
            self._proven = proven
        self._refuse_expired()
        token = proven.token
        return {"Authorization": f"Bearer {token.reveal()}"} if token else {}

    async def renew(self) -> None:
        """Forget what was obtained before: the API server takes it no longer."""
        self._proof.forget()

    def tls(self) -> Tls:
        """How to connect, with the client certificate that was obtained last: the same object while it is the same."""
        return self._tls

    def validity(self) -> list[Validity]:
        """How long what was obtained last holds, as far as it can be read."""
        proven, found = self._proven, []
        if proven.certificate:
            certificate = self._certificate()
            found.append(Validity(f"the client certificate of {certificate.name}", certificate.until))
        if proven.token and (until := _expiry(proven.token)):
            found.append(Validity("the token", until))
        elif proven.token and proven.until:
            found.append(Validity("the token", proven.until))
        return found

    def _refuse_expired(self) -> None:
        if not self._proven.certificate:
            return
        certificate = self._certificate()
        now = datetime.now(UTC)
        if certificate.until <= now:
            raise NotAllowed(
                f"{_told(self._credential)}: the client certificate of {certificate.name} expired at "
                f"{certificate.until:%Y-%m-%d %H:%M} UTC",
                "have a new one signed and put it into the kubeconfig",
            )
        if certificate.since > now:
            raise NotAllowed(
                f"{_told(self._credential)}: the client certificate of {certificate.name} holds only from "
                f"{certificate.since:%Y-%m-%d %H:%M} UTC on",
                "wait until then, or set the clock of this machine",
            )

    def _certificate(self) -> Any:
        from hanse.transport.certificate import read_pem  # noqa: PLC0415 (as in connect)

        try:
            return read_pem(self._proven.certificate)
        except ValueError:
            raise NotAllowed(
                f"{_told(self._credential)}: the client certificate cannot be read",
                "it has to be in PEM: BEGIN CERTIFICATE",
            ) from None


# ---- proofs


class Fixed:
    """A token that is written in the kubeconfig, or nothing: the certificate alone proves, or nobody asks."""

    def __init__(self, token: str, told: str) -> None:
        """`told` says whose the token is."""
        self._token = token
        self._told = told

    async def obtain(self) -> Proven:
        """The same for ever. Raises NotAllowed."""
        return Proven(_token(self._token, self._told) if self._token else None)

    def forget(self) -> None:
        """There is no other."""


class TokenFile:
    """A token in a file that somebody renews: it is read again when the file changes, or the token is not taken."""

    def __init__(self, path: Path, told: str) -> None:
        """Nothing is read yet."""
        self._path = path
        self._told = told
        self._seen: tuple[int, int, int] | None = None
        self._proven = Proven()

    async def obtain(self) -> Proven:
        """What the file holds now. Raises NotAllowed."""
        try:
            found = self._path.stat()
            mark = (found.st_mtime_ns, found.st_ino, found.st_size)
            if mark != self._seen:
                self._proven = Proven(_token(self._path.read_text(), self._told))
                self._seen = mark
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise NotAllowed(
                f"the token {self._told} cannot be read: {why}",
                "check the path, and that the account which runs Hanse may read it",
            ) from None
        return self._proven

    def forget(self) -> None:
        """Read the file again next time."""
        self._seen = None


class ClientCertificate:
    """A client certificate and its key, in files or as data, perhaps beside a token."""

    def __init__(self, read: Callable[[], tuple[bytes, bytes]], beside: Proof) -> None:
        """`read` gives certificate and key in PEM; it may raise OSError."""
        self._read = read
        self._beside = beside
        self._pair: tuple[str, Secret] | None = None

    async def obtain(self) -> Proven:
        """The pair as it was read last. Raises NotAllowed."""
        if self._pair is None:
            try:
                certificate, key = self._read()
                self._pair = certificate.decode(), Secret(key.decode())
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is no PEM"
                raise NotAllowed(
                    f"the client certificate or its key cannot be read: {why}",
                    "check client-certificate and client-key in the kubeconfig",
                ) from None
        beside = await self._beside.obtain()
        return replace(beside, certificate=self._pair[0], key=self._pair[1])

    def forget(self) -> None:
        """Read the files again next time."""
        self._pair = None
        self._beside.forget()


class _Status(Struct, frozen=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(Struct, frozen=True):
    api_version: str = field(name="apiVersion", default="")
    kind: str = ""
    status: _Status | None = None


class Plugin:
    """A program that prints an ExecCredential (client.authentication.k8s.io), as kubectl runs it."""

    def __init__(self, asked: Exec, login: Login, endpoint: str) -> None:
        """Nothing is run yet."""
        self._asked = asked
        self._login = login
        self._endpoint = endpoint
        self._proven: Proven | None = None

    async def obtain(self) -> Proven:
        """What it gave last, or gives now. Raises NotAllowed."""
        proven = self._proven
        if proven is None or (proven.until and proven.until - STALE <= datetime.now(UTC)):
            proven = self._proven = self._read(await self._run())
        return proven

    def forget(self) -> None:
        """Run it again next time."""
        self._proven = None

    async def _run(self) -> bytes:
        """What it prints. Its words on standard error may hold secrets, and go nowhere."""
        asked = self._asked
        program = shutil.which(asked.command)
        if program is None:
            hint = " ".join(asked.install_hint.split())
            raise self._failed("is not there", hint or "install it, or name it by its whole path")
        environment = {**os.environ, **{row.name: row.value for row in asked.env}}
        environment["KUBERNETES_EXEC_INFO"] = self._info()
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *asked.args,
                env=environment,
                cwd=self._login.folder,  # the working directory may be the manifest's
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except (OSError, ValueError) as error:  # such as a file that is no program, or a NUL in an argument
            why = error.strerror if isinstance(error, OSError) else "no such command line is possible"
            raise self._failed(f"cannot be run: {why}", _BY_HAND) from None
        try:
            async with asyncio.timeout(EXEC_SECONDS):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise self._failed(f"gave no answer in {EXEC_SECONDS:.0f} s", _BY_HAND) from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise self._failed(f"ended with {process.returncode}", _BY_HAND)
        return printed

    def _read(self, printed: bytes) -> Proven:
        try:
            credential = msgspec.json.decode(printed[:EXEC_BYTES], type=_ExecCredential)
        except msgspec.DecodeError:
            raise self._failed("printed no ExecCredential", _BY_HAND) from None
        status = credential.status or _Status()
        if credential.api_version != self._asked.api_version:
            raise self._failed("printed another apiVersion than the kubeconfig asks for", _BY_HAND)
        if bool(status.client_certificate_data) != bool(status.client_key_data):
            raise self._failed("printed a certificate or a key, and not both", _BY_HAND)
        if not status.token and not status.client_key_data:
            raise self._failed("printed neither a token nor a certificate", _BY_HAND)
        until = status.expiration_timestamp
        return Proven(
            _token(status.token, f"of the exec plugin {self._name}") if status.token else None,
            status.client_certificate_data,
            Secret(status.client_key_data) if status.client_key_data else None,
            until.replace(tzinfo=until.tzinfo or UTC) if until else None,
        )

    def _info(self) -> str:
        spec: dict[str, Any] = {"interactive": False}
        if self._asked.provide_cluster_info:
            cluster = self._login.cluster
            try:
                authority = cluster.certificate_authority_data or (
                    Path(cluster.certificate_authority).read_bytes() if cluster.certificate_authority else b""
                )
            except OSError as error:
                raise self._failed(
                    f"cannot be told the cluster's authority: {error.strerror}",
                    "check certificate-authority in the kubeconfig",
                ) from None
            spec["cluster"] = {"server": self._endpoint} | (
                {"certificate-authority-data": base64.b64encode(authority).decode()} if authority else {}
            )
        return json.dumps({"apiVersion": self._asked.api_version, "kind": "ExecCredential", "spec": spec})

    @property
    def _name(self) -> str:
        return Path(self._asked.command).name

    def _failed(self, what: str, advice: str) -> NotAllowed:
        return NotAllowed(f"the exec plugin {self._name} of the user {self._login.user_name} {what}", advice)


_BY_HAND = (
    "run it by hand as the account that runs Hanse; what it says is not shown here, as it may hold secrets"
)


# ---- sources


def _in_cluster(credential: Credential, environment: Mapping[str, str]) -> Account:
    if not (SERVICE_ACCOUNT / "token").exists() or not environment.get("KUBERNETES_SERVICE_HOST"):
        raise PlatformUnavailable(
            "this is no pod, or one without a service account",
            "run Hanse in the cluster with automountServiceAccountToken, or bind a kubeconfig or a token file",
        )
    tls = _tls(credential, cacert=str(SERVICE_ACCOUNT / "ca.crt"))
    return Account(credential, tls, TokenFile(SERVICE_ACCOUNT / "token", "of the pod's service account"))


def _of_kubeconfig(credential: Credential, environment: Mapping[str, str]) -> Account:
    files, mark, context = credential.source.partition("#")
    if not mark or not files:
        raise PlatformUnavailable(
            "this is no source of a credential for Kubernetes",
            f"write `{ANY_FILES}#CONTEXT`, `/a/path/kubeconfig#CONTEXT`, `{TOKEN_FILE}/a/path/token` or `{IN_CLUSTER}`",
        )
    if files == ANY_FILES:
        home = Path(environment.get("HOME") or Path.home())
        paths = kubeconfig.search_path(home, environment.get(kubeconfig.VARIABLE, ""))
    else:
        paths = [_absolute(files)]
    login = kubeconfig.login(paths, context)
    _check_cluster(credential, login)
    _check_user(credential, login)
    cluster = login.cluster
    tls = _tls(
        credential,
        cacert=None if cluster.certificate_authority_data else cluster.certificate_authority or None,
        cadata=_pem(cluster.certificate_authority_data),
        server_name=cluster.tls_server_name or None,
    )
    return Account(credential, tls, _proof(credential, login))


def _proof(credential: Credential, login: Login) -> Proof:
    user = login.user
    if user.exec:
        return Plugin(user.exec, login, credential.endpoint)
    # As client-go has it: a file that can be read goes before a token beside it (its comment on AuthInfo.TokenFile).
    whose = f"of the user {login.user_name}"
    proof: Proof = TokenFile(Path(user.token_file), whose) if user.token_file else Fixed(user.token, whose)
    if user.client_certificate or user.client_certificate_data:

        def read() -> tuple[bytes, bytes]:
            return (
                user.client_certificate_data or Path(user.client_certificate).read_bytes(),
                user.client_key_data or Path(user.client_key).read_bytes(),
            )

        return ClientCertificate(read, proof)
    return proof


# ---- what is not taken


def _check_binding(credential: Credential) -> None:
    try:
        parts = urlsplit(credential.endpoint)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        fits = fits and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        fits = False
    if not fits:
        raise PlatformUnavailable(
            f"{_told(credential)}: the bound endpoint is no address",
            "write it as https://kubernetes.example.org:6443",
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise PlatformUnavailable(
            f"{_told(credential)}: the bound endpoint is without TLS: everybody on the way could read the token",
            "bind the address with https; http is taken for this machine alone",
        )
    if unknown := sorted(credential.options.keys() - OPTIONS):
        raise PlatformUnavailable(
            f"{_told(credential)}: unknown options: {', '.join(unknown)}",
            f"known are {', '.join(sorted(OPTIONS))}",
        )
    for name in sorted(credential.options):
        wanted, words = (str, "the path of a file") if name == "cacert" else (bool, "true or false")
        if not isinstance(credential.options[name], wanted):
            raise PlatformUnavailable(
                f"{_told(credential)}: the option {name} is not {words}", f"write {words}, without quotes"
            )


def _check_cluster(credential: Credential, login: Login) -> None:
    cluster = login.cluster
    if _address(cluster.server) != _address(credential.endpoint):
        raise PlatformUnavailable(
            f"the context {login.context} is of {_shown(cluster.server)}, but the credential is bound to "
            f"{_shown(credential.endpoint)}",
            "bind it to the server that the context has, in the server's own configuration",
        )
    if cluster.proxy_url:
        raise PlatformUnavailable(
            "the kubeconfig asks for a proxy (proxy-url), which would see where calls go",
            "take it out; Hanse connects to the bound endpoint directly",
        )
    if cluster.insecure_skip_tls_verify and credential.options.get("insecure") is not True:
        raise PlatformUnavailable(
            "the kubeconfig asks not to check the server's certificate (insecure-skip-tls-verify)",
            "give it certificate-authority; or say `options: {insecure: true}` in the server's own configuration",
        )


def _check_user(credential: Credential, login: Login) -> None:
    user, whose = login.user, f"the user {login.user_name}"
    if user.username or user.password:
        raise PlatformUnavailable(
            f"{whose} signs in with a password, which Kubernetes takes no longer since 1.19",
            "use a service account's token: `hanse bootstrap kubernetes` says how",
        )
    if user.auth_provider is not None:
        raise PlatformUnavailable(
            f"{whose} has an auth-provider, which Kubernetes knows no longer since 1.26",
            "use an exec plugin of the provider, or a service account's token",
        )
    if user.impersonate or user.impersonate_uid or user.impersonate_groups or user.impersonate_extra:
        raise PlatformUnavailable(
            f"{whose} acts as somebody else (`as`)", "bind a credential of the account that shall act"
        )
    if user.exec:
        _check_plugin(credential, user.exec, whose)
    elif bool(user.client_certificate or user.client_certificate_data) != bool(
        user.client_key or user.client_key_data
    ):
        raise PlatformUnavailable(
            f"{whose} has a client certificate or a key, and not both", "give both, as files or as data"
        )
    elif not (user.client_certificate or user.client_certificate_data or user.token or user.token_file):
        raise PlatformUnavailable(
            f"{whose} has nothing to sign in with",
            "give it a token, tokenFile, or client-certificate and client-key",
        )


def _check_plugin(credential: Credential, asked: Exec, whose: str) -> None:
    if credential.options.get("allowExec") is not True:
        raise PlatformUnavailable(
            f"{whose} signs in by a program ({Path(asked.command).name}), which a kubeconfig alone may not make us run",
            "say `options: {allowExec: true}` in the server's own configuration if you trust the file, or use a token",
        )
    if asked.api_version not in EXEC_VERSIONS:
        raise PlatformUnavailable(
            f"the exec plugin of {whose} has an unknown apiVersion",
            f"known are {' and '.join(EXEC_VERSIONS)}",
        )
    if asked.interactive_mode not in ("Never", "IfAvailable") and (
        asked.interactive_mode or asked.api_version == EXEC_VERSIONS[0]
    ):
        raise PlatformUnavailable(
            f"the exec plugin of {whose} wants to ask somebody (interactiveMode)",
            "Hanse has nobody to ask: use one with interactiveMode Never or IfAvailable",
        )


# ---- small things


def _tls(
    credential: Credential,
    cacert: str | None = None,
    cadata: str | None = None,
    server_name: str | None = None,
) -> Tls:
    from hanse.transport.http import Tls  # noqa: PLC0415 (as in connect)

    if given := credential.options.get("cacert"):
        cacert, cadata = str(_absolute(given)), None
    verify = credential.options.get("insecure") is not True
    return Tls(verify, cacert, cadata=cadata, server_name=server_name)


def _absolute(path: str) -> Path:
    """A path of the server's own configuration. Raises PlatformUnavailable for a relative one."""
    found = Path(path).expanduser()
    if not found.is_absolute():
        raise PlatformUnavailable(
            f"{path} is a relative path", "write it absolute: the working directory may be anybody's"
        )
    return found


def _token(text: str, told: str) -> Secret:
    """The token, fit to be a header. Raises NotAllowed."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise NotAllowed(f"the token {told} is empty or no token", "put the token alone into it")
    return Secret(token)


def _expiry(token: Secret) -> datetime | None:
    """When a JSON Web Token says that it ends (RFC 7519, `exp`); None where it says nothing, or is none."""
    try:
        _, payload, _ = token.reveal().split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, binascii.Error):
        return None


def _pem(data: bytes) -> str | None:
    if not data:
        return None
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise PlatformUnavailable(
            "certificate-authority-data is no PEM", "it is the base64 of a file with BEGIN CERTIFICATE"
        ) from None


def _address(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path; of what is no address nothing that equals one."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")  # so does client-go (rest/url_utils.go)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return "", "", -1, ""
    return parts.scheme, parts.hostname or "", port, parts.path.rstrip("/")


def _shown(url: str) -> str:
    scheme, host, port, path = _address(url)
    return f"{scheme}://{host}:{port}{path}"


def _told(credential: Credential) -> str:
    return f"credential {credential.name} ({credential.source})"
