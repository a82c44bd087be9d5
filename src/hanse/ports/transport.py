"""One call to a platform, and the seam at which budgets, metrics, recordings and faults are put around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct


class Call(Struct, frozen=True):
    """One request, before authentication is added."""

    method: str
    path: str
    """Below the platform's bound endpoint, beginning with `/`."""
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    """Plain values, sent as JSON; None for no body."""
    label: str = ""
    """What sort of call it is, such as `list projects`: for metrics, faults and budgets."""
    timeout: float | None = None
    """Seconds until the whole reply is there, or a stream's next line; None leaves it to the transport."""
    content_type: str = "application/json"
    """Of the body, which is JSON in any case: `application/merge-patch+json` and the like."""

    @property
    def is_write(self) -> bool:
        """Whether it can change the platform."""
        return self.method not in ("GET", "HEAD")


class Reply(Struct, frozen=True):
    """What came back, whatever the status."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


PASS_ID: ContextVar[str] = ContextVar("pass_id", default="")
"""The pass that the calls of a task belong to; empty where they belong to none, such as those of a sweep."""
STEP_ID: ContextVar[str] = ContextVar("step_id", default="")
"""The digest of the step that they belong to; empty where they only look."""


class Called(Struct, frozen=True, tag_field="event", tag="called", rename="camel"):
    """A call is over. Nothing in it is from a reply but the number of the status."""

    pass_id: str
    platform: str
    call: str
    """The call's label."""
    write: bool
    ended: str
    """The status, or the error's name where no reply came."""
    seconds: float
    step: str = ""
    """The digest of the step that it was made for, as in the journal; empty where it only looked."""


class Budget(Protocol):
    """What limits the calls to one platform."""

    @property
    def most(self) -> float:
        """Calls a second that are allowed when all is well."""
        ...

    @property
    def rate(self) -> float:
        """Calls a second that are allowed at present."""
        ...

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        ...

    def share(self, processes: int) -> None:
        """From now on so many processes make calls to it, this one among them."""
        ...


@dataclass
class Traffic:
    """What goes to the platforms while a process runs."""

    listeners: list[Callable[[Called], None]] = field(default_factory=list)
    """Called with each call that is over."""
    budgets: dict[str, Budget] = field(default_factory=dict)
    """By platform: the one that is in use."""


class TransportError(Exception):
    """No usable reply came. The text names the platform's address and never holds a secret."""


class NotSent(TransportError):
    """The call surely had no effect: no connection, no name, refused before a byte was sent."""


class NoReply(TransportError):
    """The call may have had its effect: time ran out or the connection broke after it was sent."""


class NotStreamed(TransportError):
    """The platform answered a call for a stream with something else, such as an error."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply


class NotAllowed(TransportError):
    """Signing in failed: wrong password, unknown account. `advice` says what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class Transport(Protocol):
    """Carries calls to one platform account."""

    async def send(self, call: Call) -> Reply:
        """The reply, of any status. Raises NotSent, NoReply or NotAllowed."""
        ...

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        """The lines of a reply that goes on, as they come; ends where the platform ends it.

        Raises as `send` does, and NotStreamed where the status is not 200. Close it (`aclosing`) to let go of it.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. May be called twice."""
        ...
