"""`hanse` with the simulated clouds of `bench.simulated` as a vendor more: `python -m bench.simulated_vendor serve`."""

from __future__ import annotations

from dataclasses import replace

from hanse import main
from hanse.platforms.memory import MemoryPlatform
from hanse.platforms.memory.platform import VENDOR as IN_MEMORY
from hanse.ports.platform import Credential
from hanse.ports.transport import Call, Transport
from hanse.transport.http import Http


class Platform(MemoryPlatform):
    """The platform in memory, of which nobody tells what changes."""

    hints = None  # type: ignore[assignment]


class _Anybody:
    """Signs nobody in."""

    async def headers(self, call: Call) -> dict[str, str]:
        return {}

    async def renew(self) -> None:
        """Nothing was obtained."""


def connect(credential: Credential) -> Transport:
    """The way to one cloud, which is that of every vendor."""
    return Http(credential.endpoint, _Anybody())


VENDOR = replace(IN_MEMORY, connect=connect, platform=Platform)

if __name__ == "__main__":
    main.VENDORS["memory"] = "bench.simulated_vendor"
    main.run()
