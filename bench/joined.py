"""What `hanse` itself would work on, with every call counted: `main` joins it, the counters can be seen from here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hanse import git, main
from hanse.desired.settings import PlatformSettings, Settings
from hanse.model import Resource
from hanse.ports.platform import Credential, Platform, PlatformIdentity
from hanse.ports.transport import Transport
from hanse.service.estate import Estate
from hanse.service.validate import check_commit
from hanse.transport import Counters, Metered, RateBudget

Around = Callable[[Transport], Transport]


@asynccontextmanager
async def opened(
    folder: Path, counters: Counters, around: Around = lambda inner: inner
) -> AsyncIterator[Estate]:
    """The estate of the server.yaml in that folder; `around` is put around the way to each platform."""
    transports: list[Transport] = []
    async with main.open_estate(str(folder / "server.yaml")) as estate:

        def joined(name: str, settings: Settings, platform: PlatformSettings) -> Platform:
            vendor = main.vendors()[platform.vendor]
            binding = estate.config.credentials[platform.credential]
            options = dict(binding.options)
            credential = Credential(platform.credential, name, binding.endpoint, binding.source, options)
            metered = Metered(vendor.connect(credential), counters)
            budget = RateBudget(metered, platform.pace.requests_per_second, platform.pace.concurrency)
            transports.append(around(budget))
            identity = PlatformIdentity(settings.organization.name, name, platform.block)
            return vendor.platform(identity, transports[-1])

        def connect(settings: Settings) -> Mapping[str, Platform]:
            return {name: joined(name, settings, platform) for name, platform in settings.platforms.items()}

        try:
            yield replace(estate, connect=connect)
        finally:
            for transport in transports:
                await transport.close()


async def compiled(folder: Path, commit: str) -> list[Resource]:
    """Everything that the platforms compile of the repository in that folder."""
    now = datetime.now(UTC)
    language = main.language()
    source = git.Repository.open(str(folder / "repository"))
    checked = await check_commit(source, language, commit, now)
    assert checked.settings is not None, checked.diagnostics[:3]
    platforms = language.offline(checked.settings)
    return [
        resource
        for owner, intent in checked.intents.items()
        for resource in platforms[owner.platform].compile(intent, checked.directory, now).resources
    ]
