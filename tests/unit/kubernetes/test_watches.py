"""What a watch tells, line by line: on a server that says exactly what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import msgspec
import pytest

from hanse.model import Key, Owner, Tenant
from hanse.platforms.kubernetes import Kubernetes
from hanse.platforms.kubernetes.paths import BINDINGS, NAMESPACES
from hanse.ports.platform import PlatformIdentity
from hanse.ports.transport import Call, NoReply, NotStreamed, Reply

OWNER = Tenant("k8s", "shop", "prod")
KEY = Key("example", "shop", "prod", "namespace")
NAMESPACE = {
    "metadata": {"name": "ours", "labels": {"hanse/stamp": KEY.stamp}, "annotations": {"hanse/key": str(KEY)}}
}
GONE: dict[str, object] = {"type": "ERROR", "object": {"code": 410, "metadata": {}}}
BROKEN: dict[str, object] = {"type": "ERROR", "object": {"code": 500, "metadata": {}}}
Line = bytes | Exception
Hint = frozenset[Owner] | None


def binding(name: str, version: int, kind: str = "ADDED") -> bytes:
    """A line about a RoleBinding in our namespace."""
    metadata = {"name": name, "namespace": "ours", "resourceVersion": str(version)}
    return line({"type": kind, "object": {"metadata": metadata, "subjects": [version]}})


def line(event: dict[str, object]) -> bytes:
    return msgspec.json.encode(event)


class Server:
    """Answers lists with one namespace of ours, and watches of RoleBindings with what a test gives, one after another.

    After the last one they are silent.
    """

    def __init__(self, *streams: list[Line]) -> None:
        self.streams = list(streams)
        self.opened: list[str] = []
        """The versions from which RoleBindings were watched."""

    async def send(self, call: Call) -> Reply:
        items = [NAMESPACE] if call.path == NAMESPACES else []
        return Reply(200, {}, msgspec.json.encode({"metadata": {"resourceVersion": "100"}, "items": items}))

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        if call.path == BINDINGS:
            self.opened.append(dict(call.query)["resourceVersion"])
            await asyncio.sleep(0.02)  # by then the others are watched too
            for said in self.streams.pop(0) if self.streams else ():
                if isinstance(said, Exception):
                    raise said
                yield said
            if self.streams:
                return
        await asyncio.sleep(3600)
        yield b""

    async def close(self) -> None:
        pass


async def heard(server: Server, enough: Callable[[list[Hint]], bool], seconds: float = 5.0) -> list[Hint]:
    """What is told until it is enough."""
    told: list[Hint] = []
    platform = Kubernetes(PlatformIdentity("example", "k8s", {}), server)
    async with asyncio.timeout(seconds), aclosing(platform.hints()) as hints:  # type: ignore[type-var]
        async for hint in hints:
            told.append(hint)
            if enough(told):
                return told
    raise AssertionError("it ended")


def count(number: int) -> Callable[[list[Hint]], bool]:
    return lambda told: len(told) == number


async def test_the_first_that_is_told_is_that_it_listens() -> None:
    assert await heard(Server([binding("one", 101)]), count(2)) == [None, frozenset({OWNER})]


@pytest.mark.parametrize(
    "end",
    [[line(GONE)], [NotStreamed("gone", Reply(410, {}, b"{}"))]],
    ids=["told", "answered"],
)
async def test_a_version_that_the_server_forgot_means_that_anything_may_have_happened(
    end: list[Line],
) -> None:
    server = Server([binding("one", 101), *end], [])
    assert await heard(server, lambda told: told.count(None) == 2)
    assert set(server.opened) == {"100"}, "from the list on, and not from where it was"


@pytest.mark.parametrize(
    "end",
    [
        [b'{"type": "ADDED", "object": {"metad'],
        [NoReply("the connection broke")],
        [line(BROKEN)],
        [NotStreamed("too many", Reply(429, {}, b"{}"))],
        [],
    ],
    ids=["half a line", "broken", "error", "throttled", "ended"],
)
async def test_a_watch_that_ends_goes_on_where_it_was(end: list[Line]) -> None:
    server = Server([binding("one", 105), *end], [binding("two", 106)], [])
    told = await heard(server, count(3))
    assert told == [None, frozenset({OWNER}), frozenset({OWNER})]
    assert server.opened[:2] == ["100", "105"]


@pytest.mark.parametrize("end", [[], [line(BROKEN)], [line(GONE)]], ids=["nothing", "error", "gone"])
async def test_a_server_that_ends_each_watch_at_once_is_not_asked_without_pause(end: list[Line]) -> None:
    server = Server(*([end] * 1000))
    with pytest.raises(TimeoutError):
        await heard(server, lambda told: False, seconds=1.0)
    assert 2 <= len(server.opened) < 10


async def test_what_is_told_of_our_own_change_while_it_is_under_way_waits_for_its_end() -> None:
    """A watch may tell of a write before the write itself is answered."""
    platform = Kubernetes(PlatformIdentity("example", "k8s", {}), Server())
    memory = platform._memory
    looked: list[str] = []
    with memory.writing(BINDINGS, "ours", "one"):
        memory.when_written(BINDINGS, "ours", "one", lambda: looked.append("one"))
        memory.when_written(BINDINGS, "ours", "two", lambda: looked.append("two"))
        assert looked == ["two"]
    assert looked == ["two", "one"]
    memory.when_written(BINDINGS, "ours", "one", lambda: looked.append("later"))
    assert looked[-1] == "later"
