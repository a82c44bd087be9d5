"""The HTTP server of `hanse serve`: what is asked, and what is answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import msgspec
from aiohttp import web

from hanse.api.hooks import FORGES, judge
from hanse.api.metrics import CONTENT_TYPE, Metrics
from hanse.reconcile.news import Failed
from hanse.service.estate import Estate, Trouble
from hanse.service.serve import Listening, ServeNews, Serving

MOST_BYTES = 5 * 2**20
"""Of one webhook."""
MOST_BODIES = 8
"""Webhooks that are read at once; others wait."""
BODY_SECONDS = 10.0
"""How long a webhook may take to come."""
ANSWERS = {
    "push": (202, "the repository is looked at now"),
    "ping": (200, "the secret is right"),
    "other-event": (202, "ignored: only pushes count"),
    "other-repository": (202, "ignored: it is about another repository"),
    "other-branch": (202, "ignored: it is about another branch"),
}
_quiet = logging.getLogger("hanse.api")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


@asynccontextmanager
async def listening(
    estate: Estate,
    serving: Serving,
    secrets: Mapping[str, bytes],
    told: Callable[[ServeNews], None],
) -> AsyncIterator[Callable[[ServeNews], None]]:
    """Answer until the end of the block; what happens meanwhile is to be told to what this yields.

    `secrets` are those of webhooks, by forge. Raises Trouble where nobody can listen there.
    """
    metrics = Metrics(estate, serving, tuple(secrets))
    estate.traffic.listeners.append(metrics.called)
    server = _Server(estate, serving, secrets, told, metrics)
    runner = web.AppRunner(server.app(), access_log=None, logger=_quiet, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, *_address(estate.config.http.listen))
        try:
            await site.start()
        except OSError as error:
            where, why = estate.config.http.listen, error.strerror or type(error).__name__
            raise Trouble(
                f"cannot listen on {where}: {why}", "choose another `http.listen` in server.yaml"
            ) from error
        host, port, *_ = runner.addresses[0]
        told(Listening(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"))
        yield metrics.heard
    finally:
        await runner.cleanup()


def _address(listen: str) -> tuple[str, int]:
    """Host and port. Raises Trouble."""
    host, _, port = listen.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise Trouble(
            f"`http.listen` in server.yaml is {listen}, which is no HOST:PORT",
            "write it as `127.0.0.1:8080`, or with the address of one interface",
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


class _Server:
    """What each path answers."""

    def __init__(
        self,
        estate: Estate,
        serving: Serving,
        secrets: Mapping[str, bytes],
        told: Callable[[ServeNews], None],
        metrics: Metrics,
    ) -> None:
        self._serving = serving
        self._secrets = secrets
        self._told = told
        self._metrics = metrics
        repository = estate.config.repository
        self._url, self._branch = (repository.url, repository.branch) if repository else ("", "")
        self._bodies = asyncio.Semaphore(MOST_BODIES)
        self._unsigned: set[str] = set()
        """Forges whose last webhook was not signed with our secret, which was told."""

    def app(self) -> web.Application:
        """All paths."""
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[self._careful])
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)
        app.router.add_get("/metrics", self._measured)
        for forge in self._secrets:
            app.router.add_post(f"/hooks/{forge}", partial(self._hook, forge))
        return app

    @web.middleware
    async def _careful(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Say nothing of what stands behind, and never end in a mistake of our own."""
        try:
            response = await handler(request)
        except web.HTTPException as answered:
            response = web.Response(
                status=answered.status, text=f"{answered.reason}\n", headers=_allowed(answered)
            )
        except Exception as error:
            words = f"{type(error).__name__}, a mistake of Hanse's own"
            self._told(Failed("a request over HTTP", words, "please report it"))
            response = web.Response(status=500, text="a mistake of Hanse's own\n")
        response.headers["Server"] = "hanse"
        return response

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readiness(self, request: web.Request) -> web.Response:
        waits = self._serving.waits_for()
        body = msgspec.json.encode({"ready": not waits, "waitsFor": waits})
        return web.Response(status=503 if waits else 200, body=body, content_type="application/json")

    async def _measured(self, request: web.Request) -> web.Response:
        return web.Response(body=await self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _hook(self, forge: str, request: web.Request) -> web.Response:
        """Wake the look at the repository, if it is a push to our branch that is signed with our secret."""
        kind = FORGES[forge]
        try:
            async with asyncio.timeout(BODY_SECONDS), self._bodies:
                body = await request.read()
        except TimeoutError:
            return self._answer(forge, "late", 408, f"it took longer than {BODY_SECONDS:.0f} s")
        except web.HTTPRequestEntityTooLarge:
            return self._answer(forge, "too-large", 413, f"it is larger than {MOST_BYTES} bytes")
        if not kind.is_signed(request.headers, body, self._secrets[forge]):
            self._tell_unsigned(forge)
            return self._answer(forge, "unsigned", 401, "it is not signed with the secret that is known here")
        self._unsigned.discard(forge)
        try:
            verdict = judge(kind, request.headers, body, self._url, self._branch)
        except ValueError:
            return self._answer(forge, "broken", 400, "it is no webhook of that forge")
        if verdict == "push":
            self._serving.look_now()
        return self._answer(forge, verdict, *ANSWERS[verdict])

    def _answer(self, forge: str, result: str, status: int, text: str) -> web.Response:
        self._metrics.hook(forge, result)
        return web.Response(status=status, text=f"{text}\n")

    def _tell_unsigned(self, forge: str) -> None:
        """Tell it once, until one comes that is signed: whoever can reach us can send as many as they like."""
        if forge not in self._unsigned:
            self._unsigned.add(forge)
            message = "it is not signed with the secret in server.yaml, and counts for nothing"
            advice = "give the forge the same secret; if nobody sends webhooks, somebody tries to"
            self._told(Failed(f"a webhook at /hooks/{forge}", message, advice))


def _allowed(answered: web.HTTPException) -> dict[str, str]:
    return {"Allow": answered.headers["Allow"]} if "Allow" in answered.headers else {}
