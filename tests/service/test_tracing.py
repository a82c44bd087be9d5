"""Traces of `hanse serve`, as a receiver of OTLP over HTTP gets them."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hanse import main
from hanse.reconcile.news import Failed, Looking, Stepped
from hanse.service.estate import Trouble
from service.test_http import answering, bare, has, push, pushed
from service.test_http import github as signed
from service.world import SECRET, World

__all__ = ["bare"]

# OpenTelemetry's exporter leaves its connection to whoever looks for garbage.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass
class Receiver:
    """A collector: what it was sent, decoded by the standard's own types."""

    address: str = ""
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    bodies: list[bytes] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """One batch."""
        body = await request.read()
        body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        self.bodies.append(body)
        batch = ExportTraceServiceRequest.FromString(body)
        for resource in batch.resource_spans:
            self.services |= {
                one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response(body=b"", content_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def above(self, span: Span) -> Span:
        """The span that one is within."""
        [found] = [one for one in self.spans if one.span_id == span.parent_span_id]
        return found


def value(span: Span, name: str) -> str:
    """An attribute as text; empty where it is not there."""
    return next((one.value.string_value for one in span.attributes if one.key == name), "")


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port, *_ = runner.addresses[0]
    found.address = f"http://{host}:{port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.address)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    yield found
    await runner.cleanup()


async def test_one_trace_leads_from_a_commit_to_each_call_with_the_ids_of_the_log(
    bare: World, receiver: Receiver
) -> None:
    async with answering(bare) as serve:
        commit = await pushed(serve)
        await serve.send("github", push(), signed(push()))
        await serve.until(has(bare, "u-4"), 5)
        await serve.quiet(2)
        [looking] = [one for one in serve.of(Looking) if f"commit {commit[:8]}" in one.why]
        steps = [one for one in serve.of(Stepped) if one.pass_id == looking.pass_id]
    assert receiver.services == {"hanse"}
    [root] = [one for one in receiver.named("commit") if value(one, "hanse.commit") == commit]
    [judge] = [one for one in receiver.named("judge") if one.trace_id == root.trace_id]
    assert receiver.above(judge) == root
    [run] = [one for one in receiver.named("pass") if value(one, "hanse.pass.id") == looking.pass_id]
    assert receiver.above(run) == root
    found = [one for one in receiver.spans if one.parent_span_id == run.span_id and value(one, "hanse.step")]
    assert sorted(one.name for one in found) == sorted(f"{one.step.action} {one.step.kind}" for one in steps)
    for step in found:
        assert value(step, "hanse.outcome") == "done"
        [call] = [one for one in receiver.spans if one.parent_span_id == step.span_id]
        assert value(call, "hanse.pass.id") == looking.pass_id
        assert call.kind == Span.SPAN_KIND_CLIENT
        assert step.start_time_unix_nano <= call.start_time_unix_nano
        assert call.end_time_unix_nano <= step.end_time_unix_nano <= run.end_time_unix_nano
    reads = [one for one in receiver.spans if one.parent_span_id == run.span_id and one not in found]
    assert reads, "what a pass reads belongs to it, and to no step"
    assert {one.trace_id for one in (judge, run, *found, *reads)} == {root.trace_id}
    for body in receiver.bodies:
        assert SECRET.encode() not in body


async def test_a_repair_has_a_trace_of_its_own(bare: World, receiver: Receiver) -> None:
    async with answering(bare) as serve:
        bare.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: bare.members("shop-web-admin") == {"u-1", "u-2"}, 2)
        await serve.quiet(2)
    [step] = [one for one in receiver.spans if value(one, "hanse.cause") == "local-change"]
    run = receiver.above(step)
    assert (run.name, run.parent_span_id) == ("pass", b"")
    assert receiver.named("sweep")


async def test_where_nobody_takes_traces_it_is_told_once_and_nothing_else_is_held_up(
    bare: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    async with answering(bare) as serve:
        for person in ("u-8", "u-7"):
            bare.join_by_hand("shop-web-admin", person)
            await serve.until(lambda: bare.members("shop-web-admin") == {"u-1", "u-2"}, 2)
            await asyncio.sleep(1.5)
            await serve.quiet(1)
        assert [failed.what for failed in serve.of(Failed)] == ["traces"]


async def test_what_is_asked_for_and_is_not_there_is_said(
    bare: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(Trouble, match="http/protobuf alone"):
        async with answering(bare):
            pass
    monkeypatch.setitem(sys.modules, "hanse.api.tracing", None)
    with pytest.raises(Trouble, match="is not installed") as raised:
        async with answering(bare):
            pass
    assert "hanse[otel]" in raised.value.advice


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "hanse"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_only_the_standard_variables_ask_for_traces(variables: dict[str, str], asked: bool) -> None:
    assert main.asks_for_traces(variables) is asked


def test_who_does_not_ask_for_traces_imports_nothing_of_it() -> None:
    program = (
        "import sys, hanse.main, hanse.api, hanse.cli.serve, hanse.service.serve\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"
