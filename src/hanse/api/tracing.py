"""Traces for OpenTelemetry, where OTEL_* variables ask for them: commit, judgement, pass, step, call.

Fed by the same news as the log and the metrics. What is told when it is over, with how long it took, becomes a span
then; a pass is over when the task that told of it ends. Spans name owners and kinds of things, and hold no value.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from hanse.journal.record import step_digest
from hanse.model import Done
from hanse.ports.transport import Called
from hanse.reconcile.news import Failed, Looking, Settled, Stepped, Swept
from hanse.service.estate import Trouble
from hanse.service.serve import Found, Judged, ServeNews

MOST_COMMITS = 16
"""So many commits are remembered, for passes that they bring."""
WRONG = 400
"""The least status of a call that was not answered as it was meant."""
CLOSE_SECONDS = 5
"""How long what is not sent yet may take at the end."""


@asynccontextmanager
async def tracing(
    now: Callable[[], datetime],
    environment: Mapping[str, str],
    listeners: list[Callable[[Called], None]],
    told: Callable[[ServeNews], None],
) -> AsyncIterator[Callable[[ServeNews], None]]:
    """Send traces until the end of the block; what happens meanwhile is to be told to what this yields.

    Where they go is up to the standard variables. Raises Trouble where what they ask for is not there.
    """
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
    )
    if protocol != "http/protobuf":
        raise Trouble(
            f"OTEL_EXPORTER_OTLP_PROTOCOL asks for {protocol}, and traces are sent as http/protobuf alone",
            "set it to http/protobuf; every collector takes that, at port 4318 as a rule",
        )
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    logging.getLogger("opentelemetry").propagate = False  # what fails is told in our own words
    sender = _Sender(OTLPSpanExporter(), asyncio.get_running_loop(), told)
    resource = Resource.create({"service.name": "hanse", "service.version": version("hanse")})
    if name := environment.get("OTEL_SERVICE_NAME"):
        resource = resource.merge(Resource({"service.name": name}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(sender))
    traces = Traces(provider, now)
    listeners.append(traces.called)
    try:
        yield traces.heard
    finally:
        listeners.remove(traces.called)
        traces.close()
        await asyncio.to_thread(_close, provider)


def _close(provider: TracerProvider) -> None:
    provider.force_flush(CLOSE_SECONDS * 1000)
    provider.shutdown()


class _Sender(SpanExporter):
    """Sends, and tells once when that fails, until it goes well again."""

    def __init__(
        self, inner: SpanExporter, loop: asyncio.AbstractEventLoop, told: Callable[[ServeNews], None]
    ) -> None:
        self._inner = inner
        self._loop = loop
        self._told = told
        self._failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As the inner one. Called by a thread of its own."""
        try:
            result = self._inner.export(spans)
        except Exception:  # whatever it is, its text may hold what the address holds
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failed and not self._loop.is_closed():
            advice = "look whether OTEL_EXPORTER_OTLP_ENDPOINT is right, and the collector there"
            news = Failed("traces", "they cannot be sent, and are dropped", advice)
            self._loop.call_soon_threadsafe(self._told, news)
        self._failed = failed
        return result

    def shutdown(self) -> None:
        """As the inner one."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the inner one."""
        return self._inner.force_flush(timeout_millis)


class Traces:
    """What is under way, as spans."""

    def __init__(self, provider: TracerProvider, now: Callable[[], datetime]) -> None:
        """Make spans with a provider, on a clock."""
        self._tracer = provider.get_tracer("hanse", version("hanse"))
        self._now = now
        self._found: tuple[str, datetime] | None = None
        self._commits: OrderedDict[str, Context] = OrderedDict()
        """By what marks owners for it."""
        self._passes: dict[str, Span] = {}
        self._steps: dict[tuple[str, str], Span] = {}
        """Steps that calls came of and nothing else yet, by pass and digest."""

    def heard(self, news: ServeNews) -> None:
        """Something happened."""
        match news:
            case Found(commit, _, seconds):
                self._found = (commit, self._now() - timedelta(seconds=seconds))
            case Judged():
                self._judged(news)
            case Looking():
                self._looking(news)
            case Stepped():
                self._stepped(news)
            case Settled(pass_id=pass_id, owner=owner, seconds=seconds) if pass_id in self._passes:
                attributes: dict[str, Any] = {"hanse.owner": str(owner), "hanse.seconds": seconds}
                self._passes[pass_id].add_event("settled", attributes, _ns(self._now()))
            case Swept(platform, owners, seconds, differences):
                self._tracer.start_span(
                    "sweep",
                    attributes={
                        "hanse.platform": platform,
                        "hanse.owners": owners,
                        "hanse.differences": differences,
                    },
                    start_time=_ns(self._now() - timedelta(seconds=seconds)),
                ).end(_ns(self._now()))
            case _:
                pass

    def called(self, called: Called) -> None:
        """A call to a platform is over. Those of sweeps, which are many, are in the metrics alone."""
        run = self._passes.get(called.pass_id)
        if run is None:
            return
        now = self._now()
        began = _ns(now - timedelta(seconds=called.seconds))
        parent = run
        if called.step:
            key = (called.pass_id, called.step)
            if key not in self._steps:
                self._steps[key] = self._tracer.start_span("step", set_span_in_context(run), start_time=began)
            parent = self._steps[key]
        attributes: dict[str, Any] = {
            "hanse.pass.id": called.pass_id,
            "hanse.platform": called.platform,
            "hanse.write": called.write,
            "hanse.ended": called.ended,
        }
        span = self._tracer.start_span(
            called.call or "call", set_span_in_context(parent), SpanKind.CLIENT, attributes, start_time=began
        )
        if not called.ended.isdigit() or int(called.ended) >= WRONG:
            span.set_status(Status(StatusCode.ERROR, called.ended))
        span.end(_ns(now))

    def close(self) -> None:
        """End what is under way."""
        for span in (*self._steps.values(), *self._passes.values()):
            span.end()

    def _judged(self, news: Judged) -> None:
        now, commit = self._now(), news.proposal.commit
        began = self._found[1] if self._found and self._found[0] == commit else now
        self._found = None
        accepted = news.proposal.checked is not None
        attributes: dict[str, Any] = {
            "hanse.commit": commit,
            "hanse.accepted": accepted,
            "hanse.owners": news.owners,
        }
        root = self._tracer.start_span("commit", Context(), attributes=attributes, start_time=_ns(began))
        context = set_span_in_context(root)
        judged = self._tracer.start_span("judge", context, attributes=attributes, start_time=_ns(began))
        if not accepted:
            judged.set_status(Status(StatusCode.ERROR, "it is not accepted"))
        judged.end(_ns(now))
        root.end(_ns(now))
        self._commits[f"commit {commit[:8]}"] = context
        while len(self._commits) > MOST_COMMITS:
            self._commits.popitem(last=False)

    def _looking(self, news: Looking) -> None:
        context = next((self._commits[why] for why in news.why if why in self._commits), Context())
        attributes: dict[str, Any] = {
            "hanse.pass.id": news.pass_id,
            "hanse.commit": news.commit,
            "hanse.platform": news.platform,
            "hanse.owners": [*map(str, news.owners)],
            "hanse.count": news.count,
            "hanse.why": [*news.why],
        }
        span = self._tracer.start_span("pass", context, attributes=attributes, start_time=_ns(self._now()))
        self._passes[news.pass_id] = span
        task = asyncio.current_task()
        if task is not None:
            task.add_done_callback(lambda _: self._ended(news.pass_id))

    def _ended(self, pass_id: str) -> None:
        for key in [key for key in self._steps if key[0] == pass_id]:
            self._steps.pop(key).end(_ns(self._now()))
        if span := self._passes.pop(pass_id, None):
            span.end(_ns(self._now()))

    def _stepped(self, news: Stepped) -> None:
        run = self._passes.get(news.pass_id)
        if run is None:
            return
        step, now = news.step, self._now()
        digest = step_digest(step)
        span = self._steps.pop((news.pass_id, digest), None)
        if span is None:  # it came to no call
            span = self._tracer.start_span("step", set_span_in_context(run), start_time=_ns(now))
        span.update_name(f"{step.action} {step.kind}")
        span.set_attributes(
            {
                "hanse.pass.id": news.pass_id,
                "hanse.owner": str(step.owner),
                "hanse.key": str(step.key),
                "hanse.step": digest,
                "hanse.cause": step.reason.cause,
                "hanse.outcome": str(news.outcome.__struct_config__.tag),
            }
        )
        if not isinstance(news.outcome, Done):
            span.set_status(Status(StatusCode.ERROR, str(news.outcome.__struct_config__.tag)))
        span.end(_ns(now))


def _ns(at: datetime) -> int:
    """Nanoseconds since 1970."""
    return int(at.timestamp() * 1_000_000) * 1000
