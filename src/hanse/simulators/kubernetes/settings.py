"""What tests may choose about a simulated cluster."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hanse.simulators.kubernetes.schema import Kind, Object


@dataclass(frozen=True)
class Webhook:
    """An admission webhook: what it says no to, and with which code; 400 is the API server's own choice."""

    name: str
    # Takes CREATE, UPDATE or DELETE, the kind and the object; gives the reason for a no, or None.
    denies: Callable[[str, Kind, Object], str | None]
    code: int = 400


@dataclass
class Settings:
    """What tests may choose, at any time."""

    latency: float = 0.0  # seconds that each request takes at least
    namespace_seconds: float = 0.1  # until a deleted namespace is cleared
    controller_seconds: float = 0.01  # until other controllers react
    bookmark_seconds: float = 1.0  # between two bookmarks, where there is something to tell
    page_limit: int = 0  # the most items of one answer to a list, 0 for as many as are asked for
    webhooks: list[Webhook] = field(default_factory=list)
