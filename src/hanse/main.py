"""The one place where concrete things are chosen and joined."""

from __future__ import annotations

import gc
import importlib
import os
import pwd
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from hanse.cli import cli, modules
from hanse.cli.session import Joined
from hanse.config import ServerConfig, read_config
from hanse.desired.settings import PlatformSettings, Settings
from hanse.desired.vocabulary import Blocks, Vocabulary
from hanse.foundation.diagnostics import render
from hanse.ports.platform import (
    Platform,
    PlatformIdentity,
    PlatformUnavailable,
    Vendor,
)
from hanse.ports.source import Source, SourceError
from hanse.ports.store import Index, StoreError
from hanse.ports.transport import Call, NotAllowed, Reply, Transport
from hanse.service.estate import Estate, Language, Trouble, bound

VENDORS = {"kubernetes": "hanse.platforms.kubernetes", "openstack": "hanse.platforms.openstack"}
"""Vendors by the name of their block in the manifest. Adding one is adding its folder and a line here."""


def run() -> None:
    """The command `hanse`."""
    # What a pass reads lives until its end: to look through it for garbage every 700 objects is a quarter of its work.
    gc.set_threshold(100_000)
    modules["demo"] = "hanse.demo.command"
    troubles = (Trouble, SourceError, StoreError, PlatformUnavailable)
    cli(
        obj={
            "joined": Joined(
                open_estate,
                open_source,
                open_cache,
                language,
                new_repository,
                operator,
                config_folder,
                troubles,
            )
        }
    )


@cache
def vendors() -> Mapping[str, Vendor]:
    """All vendors, imported when the first manifest is read."""
    found: dict[str, Vendor] = {}
    for name, module in VENDORS.items():
        vendor: Vendor = importlib.import_module(module).VENDOR
        found[name] = vendor
    return found


@cache
def language() -> Language:
    """The manifest's language with all vendors' blocks."""
    blocks = {
        name: Blocks(
            v.description.platform_block,
            v.description.landing_zone_block,
            v.description.quotas,
            v.description.pace,
        )
        for name, v in vendors().items()
    }
    return Language(
        Vocabulary(blocks), lambda settings: _platforms(settings, lambda _: _Offline()), vendors()
    )


def open_source(location: str) -> Source:
    """The git repository there. Raises SourceError."""
    from hanse.git import Repository  # noqa: PLC0415 (commands that read no repository start quicker)

    return Repository.open(location, mirror_folder=_data_folder() / "mirrors")


def open_cache(source: Source) -> Index:
    """What earlier checks of a repository remembered."""
    from hanse.store.cache import Cache  # noqa: PLC0415

    return Cache.open(_cache_folder() / "validate", source.place)


def new_repository(folder: Path, files: Mapping[str, bytes], message: str) -> None:
    """Make a git repository with one commit. Raises SourceError."""
    from hanse import git  # noqa: PLC0415

    who = operator()
    git.init(folder, files, message, git.Author(who, f"{who}@localhost"))


@asynccontextmanager
async def open_estate(path: str | None) -> AsyncIterator[Estate]:
    """Everything for one server configuration; closed at the end. Raises Trouble, SourceError and StoreError."""
    from hanse.store import SqliteStore  # noqa: PLC0415 (not for --help)

    config, folder = _config(path)
    if config.repository is None:
        raise Trouble("server.yaml names no repository", "add `repository: {url: ...}`")
    source = open_source(_beside(folder, config.repository.url))
    store = SqliteStore.open(
        Path(_beside(folder, config.store)) if config.store else _data_folder() / "hanse.db"
    )
    connected: list[tuple[Platform, Transport]] = []

    def connect(settings: Settings) -> Mapping[str, Platform]:
        transports = {name: _transport(config, platform) for name, platform in settings.platforms.items()}
        platforms = _platforms(settings, lambda platform: transports[platform.name])
        connected.extend((platform, transports[name]) for name, platform in platforms.items())
        return platforms

    async def let_go(platform: Platform) -> None:
        for joined in [joined for joined in connected if joined[0] is platform]:
            connected.remove(joined)
            await joined[1].close()

    trust = str(folder / config.repository.trust_root) if config.repository.trust_root else ""
    try:
        yield Estate(
            config,
            source,
            store,
            language(),
            connect,
            lambda: datetime.now(UTC),
            operator(),
            trust,
            let_go=let_go,
        )
    finally:
        for _, transport in connected:
            await transport.close()
        await store.close()


def _platforms(
    settings: Settings, transport: Callable[[PlatformSettings], Transport]
) -> Mapping[str, Platform]:
    organization = settings.organization.name
    return {
        name: vendors()[platform.vendor].platform(
            PlatformIdentity(organization, name, platform.block), transport(platform)
        )
        for name, platform in settings.platforms.items()
    }


def _transport(config: ServerConfig, platform: PlatformSettings) -> Transport:
    """The way to one platform, with its budget around it. What is misconfigured is told when it is first used."""
    from hanse.transport import Metered, RateBudget  # noqa: PLC0415 (aiohttp is slow to import)

    try:
        inner = vendors()[platform.vendor].connect(bound(config, platform))
    except PlatformUnavailable as error:
        return _Offline(str(error), error.advice)
    return Metered(RateBudget(inner, platform.pace.requests_per_second, platform.pace.concurrency))


class _Offline:
    """Stands where no call can or shall be made."""

    def __init__(self, message: str = "this needs no cloud", advice: str = "") -> None:
        self._error = NotAllowed(message, advice)

    async def send(self, call: Call) -> Reply:
        raise self._error

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        raise self._error

    async def close(self) -> None:
        """Nothing is open."""


def _config(path: str | None) -> tuple[ServerConfig, Path]:
    file = Path(path).expanduser() if path else config_folder() / "server.yaml"
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Trouble(
            f"cannot read {file}: {error.strerror}",
            "name it with --config or HANSE_CONFIG, or make one with `hanse init`; docs/server.md shows all of it",
        ) from error
    config, problems = read_config(str(file), data)
    if config is None:
        raise Trouble("\n".join(map(render, problems)), "docs/server.md shows every field")
    return config, file.parent


def _beside(folder: Path, location: str) -> str:
    """A path of server.yaml, which is relative to that file; an address as it is."""
    found = folder / Path(location).expanduser()
    return location if "://" in location or (":" in location and not found.exists()) else str(found)


def operator() -> str:
    """The account that runs this process, as the system knows it: variables such as LOGNAME could say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account without a name, as containers have it
        return str(os.getuid())


def config_folder() -> Path:
    """Where the user's configuration is, by the XDG convention."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "hanse"


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hanse"


def _data_folder() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "hanse"
