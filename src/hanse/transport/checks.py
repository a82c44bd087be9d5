"""What can be checked of a connection to any platform: the server's certificate, the clocks, how long a thing holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from hanse.ports.platform import Check
from hanse.ports.transport import Reply
from hanse.transport.certificate import read

if TYPE_CHECKING:
    from hanse.transport.http import Http

SOON = timedelta(days=14)
"""A certificate's end that is nearer is told as a warning."""
CLOCK_SECONDS, CLOCK_LIMIT = 5.0, 30.0
"""Clocks that are further apart than the first are told; beyond the second, new tokens and certificates do not hold."""


async def of_certificate(http: Http, *, insecure: bool) -> list[Check]:
    """Checks of the server's certificate, which this connects for. Raises NotSent and NotAllowed."""
    what, shown = "certificate", await http.certificate()
    if not shown:
        return [
            Check(
                what,
                "warning",
                "the connection is without TLS: who is on the way can read and change all of it",
            )
        ]
    try:
        found = [
            ending(what, "the server's certificate", read(shown).until, SOON, "have it renewed on the server")
        ]
    except ValueError:
        found = [Check(what, "warning", "the server's certificate cannot be read")]
    if insecure:
        message = "the server's certificate is not checked: who is on the way can read the credential"
        advice = "take `insecure` out of the credential's options, and give `cacert`"
        found.insert(0, Check(what, "warning", message, advice))
    return found


def of_clocks(reply: Reply, asked_at: datetime, answered_at: datetime) -> Check:
    """Whether the clock here and the one that wrote the reply's Date header (RFC 9110, 6.6.1) go alike."""
    try:
        told = parsedate_to_datetime(reply.headers.get("date", "")).replace(tzinfo=UTC)
    except ValueError:
        return Check("clock", "warning", "the server does not tell its time")
    # The header has whole seconds, cut off, and was written at some moment between.
    apart = max((asked_at - told).total_seconds() - 1, (told - answered_at).total_seconds(), 0)
    if apart <= CLOCK_SECONDS:
        return Check("clock", "ok", "the clock here and the server's go alike")
    message = f"the clocks here and there are {apart:.0f} s apart"
    return Check(
        "clock",
        "error" if apart > CLOCK_LIMIT else "warning",
        message,
        "let both follow a time server (NTP)",
    )


def ending(what: str, whose: str, until: datetime, soon: timedelta, advice: str) -> Check:
    """How long something holds; a warning where the end is nearer than `soon`."""
    left = until - datetime.now(UTC)
    if left <= timedelta():
        return Check(what, "error", f"{whose} expired at {until:%Y-%m-%d %H:%M} UTC", advice)
    said = f"{whose} holds until {until:%Y-%m-%d %H:%M} UTC"
    return Check(what, "warning", said, advice) if left < soon else Check(what, "ok", said)
