"""What Prometheus is told: counted from the news and the calls as they come, and asked of the store when it is scraped.

Labels are names of platforms, sorts of calls and of things, and how something ended: never a person, never a project.
"""

from __future__ import annotations

import platform as machine
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from hanse.model import Done, Key, Outcome, Owner, Step
from hanse.ports.store import StoreError
from hanse.ports.transport import Called
from hanse.reconcile.news import Away, Back, Failed, Fought, Looking, Settled, Stepped, Swept
from hanse.service.estate import Estate
from hanse.service.serve import Found, Judged, ServeNews, Serving

QUICK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
"""Upper ends of a histogram's ranges, in seconds."""
CONTENT_TYPE = CONTENT_TYPE_LATEST
USED_SECONDS = 10.0
MOST_RECENT = 10_000
"""Calls whose instants are remembered: more than any platform answers in that time."""
MOST_SORTS = 500
"""Of calls on one platform, with how they ended. What comes after that is counted as `other`."""


class Metrics:
    """All that is measured of one `hanse serve`."""

    def __init__(self, estate: Estate, serving: Serving, forges: Iterable[str] = ()) -> None:
        """Count from now on. Webhooks may come from these forges.

        What an alert asks for the increase of is told as 0 before there is any: the first would be no increase else.
        """
        self._estate = estate
        self._serving = serving
        self._registry = registry = CollectorRegistry()
        self._sorts: dict[str, set[tuple[str, str]]] = {}
        self._recent: dict[str, deque[datetime]] = {}
        """By platform, when its last calls were over."""
        self._drifted: dict[Owner, set[Key]] = {}
        """What was found to be changed, and is not put back yet."""
        self._merged: tuple[str, datetime] | None = None
        """The newest commit whose first write did not come yet, and when it was said to be there."""
        self._passes: set[str] = set()
        """Passes that it brought."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # beside each counter, when it began: nobody asks for it
        ProcessCollector(registry=registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"hanse_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"hanse_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"hanse_{name}", what, labels, registry=registry, buckets=buckets)

        build = gauge("build_info", "Which Hanse this is.", "version", "python")
        build.labels(version("hanse"), machine.python_version()).set(1)
        self._ready = gauge("ready", "1 when everything is in force and looked after, as /readyz says.")
        self._due = gauge("work_due", "Owners that are due now.", "platform")
        self._oldest = gauge(
            "work_oldest_seconds", "For how long the first of them has been due.", "platform"
        )
        self._retried = gauge("work_retried", "Owners whose last look left something waiting.", "platform")
        self._rate = gauge("budget_calls_per_second", "Calls a second that are allowed now.", "platform")
        self._most = gauge(
            "budget_limit_calls_per_second", "Calls a second that are allowed at most.", "platform"
        )
        self._used = gauge(
            "budget_used_calls_per_second",
            f"Calls a second of this process, over the last {USED_SECONDS:.0f} seconds.",
            "platform",
        )
        self._waiting = gauge("budget_waiting_calls", "Calls that wait for their turn.", "platform")
        self._calls = counter("calls", "Calls to platforms.", "platform", "call", "ended")
        self._call_seconds = histogram("call_seconds", "How long calls took.", QUICK, "platform")
        self._steps = counter("steps", "Steps that were tried.", "platform", "kind", "action", "outcome")
        self._found = counter(
            "drift_found", "What somebody changed on a platform, and a step was tried to undo.", "platform"
        )
        self._undone = counter(
            "drift_undone", "What of that is as it shall be again, whoever put it back.", "platform"
        )
        self._fights = counter("fights", "Things that somebody else keeps changing.", "platform")
        self._differences = counter(
            "sweep_differences", "Owners that sweeps found not to be as they shall be.", "platform"
        )
        self._swept = gauge("last_sweep_timestamp_seconds", "When the last sweep ended.", "platform")
        self._sweep_seconds = gauge("last_sweep_seconds", "How long the last sweep took.", "platform")
        self._owners = gauge("owners", "Owners that the last sweep looked at.", "platform")
        self._away = gauge("platform_away", "1 while a platform cannot be read.", "platform")
        self._converged = histogram(
            "converged_seconds",
            "From when an owner was due, as by an acceptance, until it was as it shall be.",
            LONG,
            "platform",
        )
        self._merge = histogram(
            "merge_to_first_write_seconds", "From a webhook, or a look at the repository, to its write.", LONG
        )
        self._commits = counter("commits", "Commits that were judged.", "result")
        self._failures = counter("failures", "What went wrong and is tried again.")
        self._hooks = counter("hooks", "Webhooks that came.", "forge", "result")
        for result in ("accepted", "refused"):
            self._commits.labels(result)
        for forge in forges:
            self._hooks.labels(forge, "unsigned")

    def hook(self, forge: str, result: str) -> None:
        """A webhook came."""
        self._hooks.labels(forge, result).inc()

    def called(self, called: Called) -> None:
        """A call to a platform is over."""
        sort, known = (called.call, called.ended), self._sorts.setdefault(called.platform, set())
        if sort not in known and len(known) >= MOST_SORTS:
            sort = ("other", "other")
        known.add(sort)
        self._calls.labels(called.platform, *sort).inc()
        self._recent.setdefault(called.platform, deque(maxlen=MOST_RECENT)).append(self._estate.now())
        self._call_seconds.labels(called.platform).observe(called.seconds)
        if called.write and called.pass_id in self._passes and self._merged is not None:
            since = (self._estate.now() - self._merged[1]).total_seconds() - called.seconds
            self._merge.observe(max(since, 0.0))
            self._merged = None
            self._passes.clear()

    def heard(self, news: ServeNews) -> None:  # noqa: PLR0912 (one for each sort of news)
        """Something happened."""
        match news:
            case Stepped(step=step, outcome=outcome):
                name = step.owner.platform
                how = str(outcome.__struct_config__.tag)
                self._steps.labels(name, step.kind, step.action, how).inc()
                if step.reason.cause == "local-change":
                    self._drift(step, outcome)
            case Settled(owner=owner, seconds=seconds):
                mended = self._drifted.pop(owner, ())
                self._undone.labels(owner.platform).inc(len(mended))  # by somebody else, or on the way
                self._converged.labels(owner.platform).observe(seconds)
            case Looking(pass_id=pass_id, why=why):
                if self._merged is not None and f"commit {self._merged[0][:8]}" in why:
                    self._passes.add(pass_id)
            case Swept(platform, owners, seconds, differences):
                self._swept.labels(platform).set(self._estate.now().timestamp())
                self._differences.labels(platform).inc(differences)
                self._sweep_seconds.labels(platform).set(seconds)
                self._owners.labels(platform).set(owners)
                self._away.labels(platform).set(0)
            case Found(commit, _, seconds):
                self._merged = (commit, self._estate.now() - timedelta(seconds=seconds))
                self._passes.clear()
            case Judged(proposal, owners):
                self._commits.labels("accepted" if proposal.checked is not None else "refused").inc()
                if self._merged is not None and proposal.commit == self._merged[0] and not owners:
                    self._merged = None
            case Fought(owner=owner):
                self._fights.labels(owner.platform).inc()
            case Away(platform=platform):
                self._away.labels(platform).set(1)
            case Back(platform):
                self._away.labels(platform).set(0)
            case Failed():
                self._failures.inc()
            case _:
                pass

    def _drift(self, step: Step, outcome: Outcome) -> None:
        """Count what was found once, however often it is tried to put it back."""
        name, known = step.owner.platform, self._drifted.setdefault(step.owner, set())
        if step.key not in known:
            self._found.labels(name).inc()
            known.add(step.key)
        if isinstance(outcome, Done):
            self._undone.labels(name).inc()
            known.discard(step.key)
        if not known:
            del self._drifted[step.owner]

    async def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        now = self._estate.now()
        self._ready.set(not self._serving.waits_for())
        asked = (self._due, self._oldest, self._retried, self._rate, self._most, self._used, self._waiting)
        for gauge in asked:
            gauge.clear()
        try:
            backlog = await self._estate.store.backlog(now)
        except StoreError:  # /readyz and the log say so; what was counted is told all the same
            backlog = {}
        for name, work in backlog.items():
            age = (now - work.oldest).total_seconds() if work.oldest else 0.0
            self._due.labels(name).set(work.due)
            self._oldest.labels(name).set(max(age, 0.0))
            self._retried.labels(name).set(work.retried)
        for name, budget in self._estate.traffic.budgets.items():
            for counter in (self._fights, self._found, self._undone):
                counter.labels(name)
            self._rate.labels(name).set(budget.rate)
            self._most.labels(name).set(budget.most)
            self._waiting.labels(name).set(budget.waiting)
            recent = self._recent.get(name, ())
            used = sum(0 <= (now - at).total_seconds() < USED_SECONDS for at in recent)
            self._used.labels(name).set(used / USED_SECONDS)
        return generate_latest(self._registry)
