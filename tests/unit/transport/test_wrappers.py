"""What is put around a transport keeps its promises, on a clock that only sleeping moves."""

import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import pytest

from hanse.ports.transport import Call, NoReply, NotSent, Reply, Transport
from hanse.transport import Fault, Faulty, Metered, RateBudget, Recorded

OK = Reply(200, {}, b"{}")
BUSY = Reply(429, {}, b"")
READ = Call("GET", "/things", label="list things")
WRITE = Call("POST", "/things", body={"name": "a"}, label="create thing")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Scripted:
    """Answers with the given replies in turn (the last one for ever) or raises them."""

    def __init__(self, *replies: Reply | Exception) -> None:
        self.replies = list(replies)
        self.calls: list[Call] = []
        self.closed = 0

    async def send(self, call: Call) -> Reply:
        self.calls.append(call)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed += 1


class Time:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def clock(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def budget(inner: Transport, time: Time, per_second: float = 10.0, patience: float = 60.0) -> RateBudget:
    return RateBudget(
        inner,
        per_second,
        4,
        patience,
        clock=time.clock,
        now=lambda: NOW,
        sleep=time.sleep,
        jitter=lambda: 1.0,
    )


async def test_a_budget_lets_a_seconds_worth_through_at_once_and_then_keeps_the_rate() -> None:
    time, inner = Time(), Scripted(OK)
    limited = budget(inner, time, per_second=10.0)
    for _ in range(10):
        await limited.send(READ)
    assert time.seconds == 1000.0
    for _ in range(20):
        await limited.send(READ)
    assert 1001.9 <= time.seconds <= 1002.1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Thu, 01 Jan 2026 00:00:05 GMT", 5.0), ("Wed, 31 Dec 2025 23:00:00 GMT", 0.5)],
)
async def test_a_throttled_call_waits_as_long_as_asked_and_is_sent_again(header: str, seconds: float) -> None:
    time, inner = Time(), Scripted(Reply(429, {"retry-after": header}, b""), OK)
    assert await budget(inner, time).send(WRITE) == OK
    assert len(inner.calls) == 2
    assert time.seconds == 1000.0 + seconds


@pytest.mark.parametrize("header", ["", "soon", "-3", "1e9"])
async def test_without_a_usable_header_pauses_grow_and_patience_ends_them(header: str) -> None:
    time, inner = Time(), Scripted(Reply(503, {"retry-after": header}, b""))
    reply = await budget(inner, time, patience=10.0).send(READ)
    assert reply.status == 503
    assert len(inner.calls) == 5  # after 0.5, 1, 2 and 4 seconds; 8 more would be too long
    assert time.seconds == 1007.5


async def test_an_endless_retry_after_is_bounded() -> None:
    time, inner = Time(), Scripted(Reply(429, {"retry-after": "86400"}, b""), OK)
    assert await budget(inner, time).send(READ) == OK
    assert time.seconds == 1060.0


async def test_the_rate_is_halved_when_throttled_and_recovers() -> None:
    time, inner = Time(), Scripted(BUSY, OK)
    limited = budget(inner, time, per_second=10.0)
    await limited.send(READ)
    assert 5.0 <= limited.rate <= 5.1
    for _ in range(100):
        await limited.send(READ)
    assert limited.rate == 10.0


async def test_a_pause_holds_for_every_call() -> None:
    time, inner = Time(), Scripted(Reply(429, {"retry-after": "30"}, b""), OK)
    limited = budget(inner, time, patience=10.0)
    assert (await limited.send(READ)).status == 429  # its own patience is shorter
    await limited.send(READ)
    assert len(inner.calls) == 2


async def test_errors_pass_through_a_budget_at_once() -> None:
    for error in (NoReply("x"), NotSent("x")):
        with pytest.raises(type(error)):
            await budget(Scripted(error), Time()).send(READ)


async def test_metrics_count_by_label_and_end() -> None:
    metered = Metered(Scripted(OK, Reply(404, {}, b""), NoReply("x"), OK))
    await metered.send(READ)
    await metered.send(WRITE)
    with pytest.raises(NoReply):
        await metered.send(WRITE)
    await metered.send(READ)
    counters = metered.counters
    assert counters.calls == {
        ("list things", "200"): 2,
        ("create thing", "404"): 1,
        ("create thing", "NoReply"): 1,
    }
    assert (counters.reads, counters.writes, counters.total) == (2, 2, 4)
    assert counters.labelled("create thing") == 2
    assert set(counters.seconds) == {"list things", "create thing"}
    counters.clear()
    assert counters.total == 0


async def test_a_recording_tells_calls_and_ends() -> None:
    recorded = Recorded(Scripted(OK, NotSent("x")))
    await recorded.send(READ)
    with pytest.raises(NotSent):
        await recorded.send(WRITE)
    assert [(e.call.label, e.ended) for e in recorded.entries] == [
        ("list things", "200"),
        ("create thing", "NotSent"),
    ]
    assert recorded.writes == [WRITE]


async def sent(inner: Scripted, faults: Iterable[Fault], *calls: Call) -> list[Reply | str]:
    faulty = Faulty(inner, list(faults))
    ends: list[Reply | str] = []
    for call in calls:
        try:
            ends.append(await faulty.send(call))
        except (NoReply, NotSent) as error:
            ends.append(type(error).__name__)
    return ends


@pytest.mark.parametrize(
    ("kind", "end", "forwarded"),
    [
        ("error-500", 500, 0),
        ("throttled-429", 429, 0),
        ("lost-before", "NoReply", 0),
        ("cut", "NotSent", 0),
        ("lost-after", "NoReply", 1),
    ],
)
async def test_faults_end_calls_before_or_after_their_effect(
    kind: str, end: int | str, forwarded: int
) -> None:
    inner = Scripted(OK)
    [got] = await sent(inner, [Fault(kind, retry_after="3")], WRITE)  # type: ignore[arg-type]
    assert (got.status if isinstance(got, Reply) else got) == end
    assert len(inner.calls) == forwarded
    if kind == "throttled-429":
        assert isinstance(got, Reply)
        assert got.headers == {"retry-after": "3"}


async def test_a_short_page_is_well_formed_and_has_no_next() -> None:
    page = {"things": [1, 2, 3, 4, 5], "links": {"next": "http://x/2", "self": "http://x"}, "truncated": True}
    [got] = await sent(Scripted(Reply(200, {}, json.dumps(page).encode())), [Fault("short-page")], READ)
    assert isinstance(got, Reply)
    assert json.loads(got.body) == {"things": [1, 2], "links": {"self": "http://x"}}


async def test_a_broken_body_is_cut_in_its_middle() -> None:
    [got] = await sent(Scripted(Reply(200, {}, b'{"a": 1}')), [Fault("broken-body")], READ)
    assert isinstance(got, Reply)
    assert got.body == b'{"a"'


@pytest.mark.parametrize("asked", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_a_server_that_asks_for_no_pause_is_not_asked_for_ever(asked: str) -> None:
    time, inner = Time(), Scripted(Reply(503, {"retry-after": asked}, b""))
    reply = await budget(inner, time, patience=60.0).send(READ)
    assert reply.status == 503
    assert time.seconds < 1000.0 + 300.0


async def test_faults_choose_calls_by_label_and_count() -> None:
    inner = Scripted(OK)
    ends = await sent(
        inner, [Fault("cut", label="create thing", nth=2, times=2)], WRITE, READ, WRITE, WRITE, WRITE
    )
    assert ends == [OK, OK, "NotSent", "NotSent", OK]


async def test_closing_goes_through_all_layers() -> None:
    inner = Scripted(OK)
    await RateBudget(Metered(Recorded(Faulty(inner)))).close()
    assert inner.closed == 1
