"""Calls over HTTP to one bound endpoint; errors tell whether the call can have had an effect."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
from yarl import URL

from hanse.model import Secret
from hanse.ports.transport import Call, NoReply, NotAllowed, NotSent, NotStreamed, Reply

CONNECT_SECONDS = 10.0
REPLY_SECONDS = 60.0
LINE_BYTES = 16 * 1024 * 1024
"""The longest line of a stream that is taken."""
OK, UNAUTHORIZED = 200, 401


class Authenticator(Protocol):
    """Proves to the platform who is calling."""

    async def headers(self, call: Call) -> dict[str, str]:
        """The headers that sign this call in. Raises NotAllowed, or NotSent where it cannot be done now."""
        ...

    async def renew(self) -> None:
        """Forget what was obtained before: the platform takes it no longer. Does not call the network."""
        ...


@dataclass(frozen=True)
class Tls:
    """How the server's certificate is checked and ours is shown; from the server's own configuration only."""

    verify: bool = True
    cacert: str | None = None
    """A file of certificates that are trusted instead of the system's."""
    cert: str | None = None
    key: str | None = None
    cadata: str | None = None
    """As `cacert`, the certificates themselves, in PEM."""
    shown: Secret | None = None
    """As `cert` and `key`, the two themselves, in PEM."""
    server_name: str | None = None
    """Whom the server's certificate has to name, if not the endpoint's host."""

    def context(self) -> ssl.SSLContext:
        """What the ssl module makes of it. Raises OSError where a file, or data, cannot be used."""
        context = ssl.create_default_context(cafile=self.cacert, cadata=self.cadata)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.shown:
            # The ssl module takes a key from nothing but a file. This one is for our eyes only, and gone at once.
            with tempfile.NamedTemporaryFile(mode="w", suffix=".pem") as file:
                file.write(self.shown.reveal())
                file.flush()
                context.load_cert_chain(file.name, password="")
        elif self.cert:
            # Without a password of its own, the ssl module would ask for a key's at the terminal.
            context.load_cert_chain(self.cert, self.key, password="")
        return context


class Http:
    """Sends calls below one endpoint and to nowhere else: redirects come back as replies, never followed.

    A call answered with 401 is signed in anew and sent once more: 401 means that it had no effect. However
    many calls meet an expired token at once, it is renewed once.
    """

    def __init__(
        self, endpoint: str, authenticator: Authenticator, tls: Tls | Callable[[], Tls] | None = None
    ) -> None:
        """Bind to the endpoint, such as `https://keystone.example.org:5000`; nothing is opened yet.

        Where the certificate that is shown may change, `tls` tells the present settings once a call is signed in. While
        they are the same object, connections are kept.
        """
        self._endpoint = endpoint.rstrip("/")
        self._authenticator = authenticator
        self._tls = tls or Tls()
        self._in_use: Tls | None = None
        self._session: aiohttp.ClientSession | None = None
        self._former: aiohttp.ClientSession | None = None
        self._renewals = 0
        self._renewing = asyncio.Lock()

    async def send(self, call: Call) -> Reply:
        """The reply, of any status. Raises NotSent, NoReply or NotAllowed."""
        renewals = self._renewals
        reply = await self._once(call)
        if reply.status != UNAUTHORIZED:
            return reply
        await self._renew(renewals)
        return await self._once(call)

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The lines of a reply that goes on. Raises as `send`, and NotStreamed where the status is not 200."""
        renewals = self._renewals
        try:
            async for line in self._lines(call):
                yield line
        except NotStreamed as answered:
            if answered.reply.status != UNAUTHORIZED:
                raise
            await self._renew(renewals)
            async for line in self._lines(call):
                yield line

    async def close(self) -> None:
        """Let go of connections. May be called twice."""
        sessions, self._session, self._former = (self._session, self._former), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    async def certificate(self) -> bytes:
        """The certificate that the server shows now, in DER; empty where it speaks no TLS.

        Raises NotSent, also where it is not to be trusted, and NotAllowed.
        """
        address = urlsplit(self._endpoint)
        if address.scheme != "https":
            return b""
        tls = self._settings()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(
                    address.hostname,
                    address.port or 443,
                    ssl=self._context(tls),
                    server_hostname=tls.server_name or address.hostname,
                )
        except ssl.SSLError as error:
            raise NotSent(f"{self._endpoint}: {_in_short(error)}") from None
        except OSError as error:  # TimeoutError is one
            raise NotSent(f"{self._endpoint}: no connection ({_of_system(error)})") from None
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return shown

    async def _renew(self, renewals: int) -> None:
        async with self._renewing:
            if renewals == self._renewals:
                await self._authenticator.renew()
                self._renewals += 1

    async def _once(self, call: Call) -> Reply:
        patience = aiohttp.ClientTimeout(total=call.timeout or REPLY_SECONDS, sock_connect=CONNECT_SECONDS)
        async with self._response(call, patience) as response:
            return await _reply(response)

    async def _lines(self, call: Call) -> AsyncIterator[bytes]:
        patience = aiohttp.ClientTimeout(
            sock_connect=CONNECT_SECONDS, sock_read=call.timeout or REPLY_SECONDS
        )
        async with self._response(call, patience) as response:
            if response.status != OK:
                raise NotStreamed(f"{call.label}: answered {response.status}", await _reply(response))
            parts: list[bytes] = []
            async for chunk in response.content.iter_any():
                *ended, rest = chunk.split(b"\n")
                for line in ended:
                    yield b"".join((*parts, line))
                    parts = []
                parts = [*parts, rest] if rest else parts
                if sum(map(len, parts)) > LINE_BYTES:
                    raise NoReply(f"{self._endpoint}: a line of the stream does not end")

    @asynccontextmanager
    async def _response(
        self, call: Call, patience: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = await self._authenticator.headers(call)
        data = None
        if call.body is not None:
            data = msgspec.json.encode(call.body)
            headers = {**headers, "Content-Type": call.content_type}
        sent = SimpleNamespace(any=False)
        try:
            session = await self._connected()
            async with session.request(
                call.method,
                self._url(call),
                data=data,
                headers=headers,
                allow_redirects=False,
                server_hostname=self._settings().server_name,
                timeout=patience,
                trace_request_ctx=sent,
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = f"{self._endpoint}: {_in_short(error)}"
            raise (NoReply if sent.any else NotSent)(told) from None

    def _url(self, call: Call) -> URL:
        query = f"?{urlencode(call.query)}" if call.query else ""
        return URL(f"{self._endpoint}{call.path}{query}", encoded=True)

    async def _connected(self) -> aiohttp.ClientSession:
        tls = self._settings()
        if self._session is None or tls is not self._in_use:
            # Calls may be under way on the former one; but who rotates twice while one is, has waited long enough.
            former, self._former, self._session = self._former, self._session, self._opened(tls)
            self._in_use = tls
            if former is not None:
                await former.close()
        return self._session

    def _opened(self, tls: Tls) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_sent)
        context = self._context(tls) if urlsplit(self._endpoint).scheme == "https" else True
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _settings(self) -> Tls:
        return self._tls() if callable(self._tls) else self._tls

    def _context(self, tls: Tls) -> ssl.SSLContext:
        try:
            return tls.context()
        except OSError as error:
            closed = [
                path for path in (tls.cacert, tls.cert, tls.key) if path and not os.access(path, os.R_OK)
            ]
            which = " and ".join(closed) or "a certificate file"
            raise NotAllowed(
                f"{self._endpoint}: {which} cannot be used ({error.strerror or 'no such data'})",
                "check the certificates and keys of the credential, and `cacert`, `cert` and `key` in the server's own "
                "configuration",
            ) from None


async def _reply(response: aiohttp.ClientResponse) -> Reply:
    body = await response.read()
    return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, body)


async def _note_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
    """Remember that bytes of the request may have left: from now on its effect is possible."""
    context.trace_request_ctx.any = True


_DISTRUST = {
    9: "it is not valid yet, or the clock here is slow",
    10: "it has expired, or the clock here is fast",
    62: "it names another host",
    64: "it names another address",
    **dict.fromkeys(
        (2, 18, 19, 20, 21),
        "no authority that is trusted here signed it; "
        "the CA given for this server is not the one that signed the server's",
    ),
}
"""OpenSSL's X509_V_ERR_*, from x509_vfy.h, in words that say what to look at."""


def _in_short(error: BaseException) -> str:
    """What went wrong in words that hold no header, no query and no body."""
    match error:
        case ssl.SSLError() | aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            why = _DISTRUST.get(_verify_code(error))
            return "its certificate was not accepted" + (f": {why}" if why else "")
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ServerFingerprintMismatch():
            return "its certificate is another one"
        case aiohttp.ConnectionTimeoutError():
            return "no connection in time"
        case aiohttp.ClientConnectorError():
            return f"no connection ({_of_system(error.os_error)})"
        case TimeoutError():
            return "no reply in time"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | aiohttp.ClientOSError():
            return "the connection broke"
        case _:
            return type(error).__name__


def _of_system(error: OSError) -> str:
    """The system's own words for it; those of asyncio repeat the address."""
    known = error.errno is not None and error.errno > 0  # below zero are those of looking up a name
    return os.strerror(error.errno or 0) if known else error.strerror or type(error).__name__


def _verify_code(error: BaseException) -> int:
    inner = getattr(error, "certificate_error", error)
    return inner.verify_code if isinstance(inner, ssl.SSLCertVerificationError) else 0
