"""What is accepted beside intents and directory: the organisation, its platforms, its roles, its rights."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from hanse.desired.intent import Term
from hanse.desired.kinds import LocalChanges, Operator, Organization, Role, Who
from hanse.foundation.canonical import digest_bytes, encode


class Pace(Struct, frozen=True):
    """How hard a platform is driven."""

    requests_per_second: float = 20.0
    """Calls that are begun in one second."""
    concurrency: int = 4
    """Calls under way at once."""


USUAL_PACE = Pace()


class PlatformSettings(Struct, frozen=True):
    """One Platform document, its vendor's block as plain values."""

    name: str
    vendor: str
    block: dict[str, Any]
    credential: str
    display_name: str = ""
    location: str = ""
    local_changes: LocalChanges = "rollback"
    operators: tuple[Operator, ...] = ()
    """Sorted, without repetition."""
    pace: Pace = Pace()


class Settings(Struct, frozen=True):
    """What is accepted beside intents and directory: how Hanse itself behaves and who has rights in it."""

    organization: Organization
    """Without its access rows, which are in `grants`."""
    grants: tuple[Term, ...] = ()
    """On the organisation, from rows and files; sorted, without repetition."""
    workspace_grants: dict[str, tuple[Term, ...]] = {}
    """By the workspace's oldest name, where there are any."""
    platforms: dict[str, PlatformSettings] = {}
    roles: dict[str, Role] = {}
    set_by: dict[str, Who] = {}
    """Who may set a tag, of the tags for which that is said."""
    disabled: tuple[str, ...] = ()
    """Of those whom trust names: who is disabled. A guard may hold what they have, and never what they may do here."""

    def encode(self) -> bytes:
        """The settings as a blob: canonical JSON."""
        return encode(self)

    @classmethod
    def decode(cls, blob: bytes) -> Settings:
        """The settings that `encode` wrote. Raises msgspec.DecodeError or msgspec.ValidationError."""
        return msgspec.json.decode(blob, type=cls)

    @property
    def digest(self) -> str:
        """Content address: equal settings have equal digests."""
        return digest_bytes(self.encode())
