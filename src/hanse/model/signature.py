"""What the signature of a commit proves."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Fault = Literal["unsigned", "unknown-key", "bad", "expired", "revoked", "unreadable"]
"""Why a signature proves nothing. `unreadable`: it is neither of OpenSSH nor of OpenPGP, or is damaged."""


class Verdict(Struct, frozen=True):
    """What was found out about one commit's signature."""

    fault: Fault | None = None
    """None where a key that counts made it."""
    key: str = ""
    """The fingerprint of the key, as far as it can be told."""
    root: str = ""
    """What the trust root calls the key; empty for a key that the organisation declares."""
