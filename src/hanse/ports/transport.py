"""One call to a platform, and the seam at which budgets, metrics, recordings and faults are put around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
