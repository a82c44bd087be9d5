"""Calls over HTTP to one bound endpoint; errors tell whether the call can have had an effect."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
from yarl import URL

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

    def context(self) -> ssl.SSLContext:
        """What the ssl module makes of it. Raises OSError where a file cannot be used."""
        context = ssl.create_default_context(cafile=self.cacert)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        return context


class Http:
    """Sends calls below one endpoint and to nowhere else: redirects come back as replies, never followed.

    A call answered with 401 is signed in anew and sent once more: 401 means that it had no effect. However
    many calls meet an expired token at once, it is renewed once.
    """

    def __init__(self, endpoint: str, authenticator: Authenticator, tls: Tls | None = None) -> None:
        """Bind to the endpoint, such as `https://keystone.example.org:5000`; nothing is opened yet."""
        self._endpoint = endpoint.rstrip("/")
        self._authenticator = authenticator
        self._tls = tls or Tls()
        self._session: aiohttp.ClientSession | None = None
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
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

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
            async with self._connected().request(
                call.method,
                self._url(call),
                data=data,
                headers=headers,
                allow_redirects=False,
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

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_note_sent)
            tls = self._context() if urlsplit(self._endpoint).scheme == "https" else True
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=tls),
                trace_configs=[trace],
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _context(self) -> ssl.SSLContext:
        try:
            return self._tls.context()
        except OSError as error:
            raise NotAllowed(
                f"{self._endpoint}: a certificate file cannot be used ({error.strerror or 'no such data'})",
                "check cacert, cert and key in the server's own configuration",
            ) from None


async def _reply(response: aiohttp.ClientResponse) -> Reply:
    body = await response.read()
    return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, body)


async def _note_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
    """Remember that bytes of the request may have left: from now on its effect is possible."""
    context.trace_request_ctx.any = True


def _in_short(error: BaseException) -> str:
    """What went wrong in words that hold no header, no query and no body."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "its certificate was not accepted"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ServerFingerprintMismatch():
            return "its certificate is another one"
        case aiohttp.ConnectionTimeoutError():
            return "no connection in time"
        case aiohttp.ClientConnectorError():
            return f"no connection ({error.os_error.strerror or type(error.os_error).__name__})"
        case TimeoutError():
            return "no reply in time"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | aiohttp.ClientOSError():
            return "the connection broke"
        case _:
            return type(error).__name__
