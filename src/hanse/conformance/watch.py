"""What stands around a platform while the suite runs: it sees every call, checks the rules, and can kill."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from hanse.desired.compiled import Compiled
from hanse.desired.intent import Directory, Intent
from hanse.model import Access, Outcome, Step
from hanse.observed import Observation
from hanse.ports.platform import Description, Platform, Scope, Sweeps
from hanse.ports.store import Store
from hanse.ports.transport import Call, NotAllowed, Reply, Transport

_step: ContextVar[Step | None] = ContextVar("step", default=None)


class Kill(BaseException):
    """Ends everything at once, as a killed process does: nobody catches it."""


@dataclass
class WatchedTransport:
    """Notes every call. A call that writes outside of a step is a broken promise."""

    inner: Transport
    calls: list[Call] = field(default_factory=list)
    streams: list[Call] = field(default_factory=list)
    """Calls for a stream."""
    locked: bool = False
    """The account is not accepted any more."""

    async def send(self, call: Call) -> Reply:
        """The inner transport's reply."""
        self.calls.append(call)
        assert not call.is_write or _step.get() is not None, f"a write outside of a step: {call.label}"
        if self.locked:
            raise NotAllowed("the password was not accepted", "give the account its new password")
        return await self.inner.send(call)

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The inner transport's lines."""
        self.streams.append(call)
        async for line in self.inner.stream(call):
            yield line

    async def close(self) -> None:
        """Let go of connections."""
        await self.inner.close()

    @property
    def writes(self) -> list[Call]:
        """Calls that can change the cloud."""
        return [call for call in self.calls if call.is_write]


@dataclass
class WatchedPlatform:
    """A platform whose every step must stand in the journal before it is performed."""

    inner: Platform
    store: Store
    performed: list[Step] = field(default_factory=list)
    """In the order in which they were begun."""
    finished: list[Step] = field(default_factory=list)
    """In the order in which their outcome was known."""
    kill_at: int = 0
    """The step, counted from 1, at which to kill; 0: never."""
    kill: Literal["before", "after"] = "before"
    """Before or after the step has its effect."""

    def describe(self) -> Description:
        """As the inner one."""
        return self.inner.describe()

    def compile(self, intent: Intent, directory: Directory, now: datetime, *, links: bool = True) -> Compiled:
        """As the inner one."""
        return self.inner.compile(intent, directory, now, links=links)

    async def observe(self, scope: Scope) -> Observation:
        """As the inner one."""
        return await self.inner.observe(scope)

    async def sweep(self, scope: Awaitable[Scope]) -> Observation:
        """As the inner one, if it can."""
        if isinstance(self.inner, Sweeps):
            return await self.inner.sweep(scope)
        return await self.inner.observe(await scope)

    def access(self, observation: Observation) -> Sequence[Access]:
        """As the inner one."""
        return self.inner.access(observation)

    async def perform(self, step: Step) -> Outcome:
        """Check the journal, and die where it is asked for."""
        intended = {(open_.action, open_.key) for _, open_ in await self.store.open_steps()}
        assert (step.action, step.key) in intended, f"no intent in the journal: {step.action} {step.key}"
        open_needs = {other.key for other in self.performed} - {other.key for other in self.finished}
        assert open_needs.isdisjoint(step.needs), f"{step.key} was begun before what it needs was done"
        self.performed.append(step)
        number = len(self.performed)
        if number == self.kill_at and self.kill == "before":
            raise Kill
        token = _step.set(step)
        try:
            outcome = await self.inner.perform(step)
        finally:
            _step.reset(token)
        self.finished.append(step)
        if number == self.kill_at:
            raise Kill
        return outcome
