"""The HTTP front of a simulated cluster, on 127.0.0.1 in a thread of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from secrets import token_urlsafe
from typing import Any, Self, TypeVar

import msgspec
from aiohttp import web

from hanse.simulators.kubernetes.access import MASTERS, User
from hanse.simulators.kubernetes.cluster import Answer, Cluster
from hanse.simulators.kubernetes.requests import Request
from hanse.simulators.kubernetes.watching import Watch

_T = TypeVar("_T")
_LOOPBACK = "127.0.0.1"
_AUTHENTICATED = "system:authenticated"
_MAX_BODY = 3 * 2**20  # as the API server has it


class Simulator:
    """A simulated API server that runs; made by `start`."""

    ca_file: None = None  # plain HTTP

    def __init__(self, users: Mapping[str, Sequence[str]], page_limit: int, history: int, port: int) -> None:
        self.token = token_urlsafe(24)
        self.tokens = {name: token_urlsafe(24) for name in users}
        known = {
            self.token: User("admin", (MASTERS, _AUTHENTICATED)),
            **{self.tokens[name]: User(name, (*groups, _AUTHENTICATED)) for name, groups in users.items()},
        }
        self._loop = asyncio.new_event_loop()
        self._port = port
        self._front: _Front | None = None
        self._thread = threading.Thread(target=self._run, name="kubernetes-simulator", daemon=True)
        self._thread.start()
        self.cluster = self._call(lambda: Cluster(known, self._loop.call_later, history=history))
        self.cluster.settings.page_limit = page_limit
        self.start_api()

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://{_LOOPBACK}:{self._port}"

    def kubeconfig(self, name: str, *, token: str | None = None, namespace: str | None = None) -> str:
        """A kubeconfig of one context of this name, as YAML (JSON is YAML); by default the administrator's."""
        context = {"cluster": name, "user": name, **({"namespace": namespace} if namespace else {})}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {"token": token or self.token}}],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        }
        return msgspec.json.format(msgspec.json.encode(config)).decode()

    def start_api(self) -> None:
        """Listen, on the port of before; what was written is still there, what was watched is forgotten."""

        async def start() -> tuple[_Front, int]:
            front = _Front(self.cluster)
            return front, await front.listen(self._port)

        self._call(lambda: self.cluster.compact(watches_only=True))
        self._front, self._port = self._await(start())

    def stop_api(self) -> None:
        """Stop listening and cut all connections."""
        front, self._front = self._front, None
        if front is not None:
            self._await(front.close())

    def stop(self) -> None:
        """End; nothing is kept."""
        self.stop_api()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _await(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def _call(self, what: Callable[[], _T]) -> _T:
        done: Future[_T] = Future()
        self._loop.call_soon_threadsafe(lambda: done.set_result(what()))
        return done.result()


def start(
    users: Mapping[str, Sequence[str]] | None = None,
    *,
    page_limit: int = 0,
    history: int = 10_000,
    port: int = 0,
) -> Simulator:
    """Start a simulated API server with these users and their groups, beside an administrator.

    `page_limit` is the most items of one page (0: as many as are asked for), `history` the number of events that each
    collection keeps for watches and for pages of an older version, `port` where to listen (0: any that is free).
    """
    return Simulator(users or {}, page_limit, history, port)


class _Front:
    """One run of the HTTP server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0)
        self._streams: set[asyncio.Task[Any]] = set()

    async def listen(self, port: int) -> int:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_LOOPBACK, port))
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()
        bound: int = sock.getsockname()[1]
        return bound

    async def close(self) -> None:
        for stream in list(self._streams):
            stream.cancel()
        await self._runner.cleanup()

    async def _serve(self, call: web.BaseRequest) -> web.StreamResponse:
        if self._cluster.settings.latency:
            await asyncio.sleep(self._cluster.settings.latency)
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        request = Request(
            call.method,
            call.path,
            dict(call.query),
            await call.read(),
            call.content_type if call.body_exists else "",
            token.strip() if scheme.lower() == "bearer" else None,
            call.headers.get("User-Agent", "unknown"),
        )
        answer = self._cluster.handle(request)
        if isinstance(answer, Watch):
            return await self._stream(call, answer)
        return _response(answer)

    async def _stream(self, call: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        """Send events until the time is over, the client is gone or the server stops."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        events: asyncio.Queue[Any] = asyncio.Queue()
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        try:
            await response.prepare(call)
            watch.start(events.put_nowait)
            try:
                async with asyncio.timeout(watch.seconds):
                    await self._tell(response, watch, events)
            except TimeoutError:
                while not events.empty():
                    await response.write(_line(events.get_nowait()))
            await response.write_eof()
        except ConnectionError:
            pass
        finally:
            watch.stop()
            self._streams.discard(task)
        return response

    async def _tell(self, response: web.StreamResponse, watch: Watch, events: "asyncio.Queue[Any]") -> None:
        told = 0
        while True:
            pause = self._cluster.settings.bookmark_seconds if watch.bookmarks else None
            try:
                async with asyncio.timeout(pause):
                    event = await events.get()
            except TimeoutError:
                if told < self._cluster.store.version:
                    told = self._cluster.store.version
                    await response.write(_line(watch.bookmark(told)))
                continue
            await response.write(_line(event))


def _line(event: Any) -> bytes:
    return msgspec.json.encode(event) + b"\n"


def _response(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(status=answer.code, text=answer.body)
    response = web.Response(
        status=answer.code, body=msgspec.json.encode(answer.body), content_type="application/json"
    )
    for warning in answer.warnings:
        response.headers.add("Warning", "299 - " + msgspec.json.encode(warning).decode())
    if answer.code == 401:  # noqa: PLR2004 (HTTP's own number)
        response.headers["WWW-Authenticate"] = 'Bearer realm="kubernetes"'
    return response
