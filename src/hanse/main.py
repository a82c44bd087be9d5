"""The one place where concrete things are chosen and joined."""

from __future__ import annotations

import atexit
import gc
import hashlib
import importlib
import os
import pwd
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

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
from hanse.ports.source import Source, SourceError, TrustRoot
from hanse.ports.store import Backup, Index, Store, StoreError
from hanse.ports.transport import Call, NotAllowed, Reply, Traffic, Transport
from hanse.service.estate import Estate, Language, Trouble, bound, operator_of

if TYPE_CHECKING:
    from hanse.git import Repository
    from hanse.service.serve import ServeNews, Serving
    from hanse.service.write import Writing
    from hanse.store import SqlStore

VENDORS = {"kubernetes": "hanse.platforms.kubernetes", "openstack": "hanse.platforms.openstack"}
"""Vendors by the name of their block in the manifest. Adding one is adding its folder and a line here."""

SHORTEST_SECRET = 16
"""Characters of a webhook's secret; a shorter one can be guessed."""
WATCH_MS = 200
"""How long `edits` waits for a change before it looks whether it is still wanted."""


def run() -> None:
    """The command `hanse`."""
    # What a pass reads lives until its end: to look through it for garbage every 700 objects is a quarter of its work.
    gc.set_threshold(100_000)
    modules["demo"] = "hanse.demo.command"
    try:
        cli(obj={"joined": joined()})
    except SystemExit as end:
        _leave(end.code)
        raise


def _leave(code: object) -> None:
    """End the process at once, where nothing is left to be waited for: to free a large estate takes half a second."""
    if not isinstance(code, int) or threading.active_count() > 1:
        return
    atexit._run_exitfuncs()  # nothing public runs them
    with suppress(OSError, ValueError):  # else Python says what cannot be written
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def joined() -> Joined:
    """What the commands get."""
    troubles = (Trouble, SourceError, StoreError, PlatformUnavailable)
    return Joined(
        open_estate,
        open_source,
        edits,
        open_writing,
        open_cache,
        language,
        new_repository,
        operator,
        config_folder,
        copy_store,
        back_up,
        restore,
        open_listening,
        troubles,
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
            v.description.moved,
        )
        for name, v in vendors().items()
    }
    return Language(
        Vocabulary(blocks), lambda settings: _platforms(settings, lambda _: _Offline()), vendors()
    )


def open_source(location: str) -> Repository:
    """The git repository there. Raises SourceError."""
    from hanse.git import Repository  # noqa: PLC0415 (commands that read no repository start quicker)

    return Repository.open(location, mirror_folder=_data_folder() / "mirrors")


def edits(location: str) -> Iterator[None]:
    """Comes back at once, and then each time that files of the manifest in that working tree were changed.

    Raises SourceError, and Trouble where there is none.
    """
    import watchfiles  # noqa: PLC0415 (only who watches pays for it)

    from hanse.desired.load import is_manifest  # noqa: PLC0415
    from hanse.git import Repository  # noqa: PLC0415

    repository = Repository.open(location)
    if repository.bare:
        raise Trouble(f"{repository.folder} has no working tree", "clone it, and name the clone")
    folder = repository.folder

    def counts(change: watchfiles.Change, path: str) -> bool:
        # Of a new folder nobody hears what came into it before it was watched, so it counts itself.
        is_new_folder = change == watchfiles.Change.added and os.path.isdir(path)  # noqa: PTH112 (of text)
        name = os.path.relpath(path, folder)
        return is_manifest(f"{name}/any.yaml" if is_new_folder else name)

    # The first comes when the watch stands, so that nothing is missed that is saved while it is looked at.
    watch = watchfiles.watch(folder, watch_filter=counts, rust_timeout=WATCH_MS, yield_on_timeout=True)
    for number, changes in enumerate(watch):
        if changes or number == 0:
            yield


def open_writing(location: str) -> Writing:
    """Who writes commits to the git repository there, with no server configuration. Raises SourceError."""
    from hanse.git import Writer  # noqa: PLC0415
    from hanse.service.write import ParsedInMemory, Writing  # noqa: PLC0415 (few commands write)

    source = open_source(location)
    return Writing(
        source,
        Writer(source),
        language(),
        "",
        operator(),
        lambda: datetime.now(UTC),
        secrets.token_bytes,
        ParsedInMemory(),
    )


def open_cache(source: Source) -> Index:
    """What earlier checks of a repository remembered."""
    return _index("validate", source.top)


def _index(use: str, of: str) -> Index:
    from hanse.store.cache import Cache  # noqa: PLC0415

    return Cache.open(_cache_folder() / use, of, _program())


def _program() -> str:
    """Tells this program from others, and from itself on other libraries: its files, and how old they are."""
    here = Path(__file__).parent
    places = (here.parent, Path(msgspec.__file__).parent.parent, *sorted(here.rglob("*.py")))
    known = [(str(place), (found := place.stat()).st_size, found.st_mtime_ns) for place in places]
    return hashlib.sha256(repr(known).encode()).hexdigest()


async def copy_store(store: Store, location: str) -> int:
    """Copy everything that a store keeps into an empty one; how many records the journal has. Raises StoreError."""
    from hanse.store import SqlStore, open_store  # noqa: PLC0415
    from hanse.store.copying import copy  # noqa: PLC0415

    assert isinstance(store, SqlStore)
    target = open_store(location)
    try:
        return await copy(store, target)
    finally:
        await target.close()


@asynccontextmanager
async def _open_home(path: str | None, database: str) -> AsyncIterator[tuple[ServerConfig, SqlStore]]:
    """The store alone: what is done for bad days needs no repository. Raises Trouble and StoreError."""
    from hanse.store import open_store  # noqa: PLC0415

    config, folder = _config(path)
    store = open_store(database or _home_of_store(config, folder))
    try:
        yield config, store
    finally:
        await store.close()


async def back_up(path: str | None, database: str, file: Path, replace: bool) -> Backup:
    """Write one state of the store into a file, and prove it. Raises Trouble and StoreError."""
    from hanse.store import backup  # noqa: PLC0415

    async with _open_home(path, database) as (_, store):
        return await backup.back_up(store, file, datetime.now(UTC), replace=replace)


async def restore(path: str | None, database: str, file: Path, replace: bool, unproven: bool) -> Backup:
    """Put a backup back into the store. Raises Trouble and StoreError.

    One whose journal was not whole when it was taken is refused unless `unproven` says that it shall be put back.
    """
    from hanse.store import backup  # noqa: PLC0415

    found = backup.look(file)
    if found.findings and not unproven:
        raise StoreError(
            f"the journal in {file} was not whole when the backup was taken: {found.findings[0]}",
            "take an earlier one; with --unproven it is put back as it is",
        )
    async with _open_home(path, database) as (config, store):
        by = operator_of(config, operator())
        await backup.restore(store, file, by, datetime.now(UTC), replace=replace)
    return found


def new_repository(folder: Path, files: Mapping[str, bytes], message: str) -> None:
    """Make a git repository with one commit. Raises SourceError."""
    from hanse import git  # noqa: PLC0415

    git.init(folder, files, message, operator())


@asynccontextmanager
async def open_estate(path: str | None, database: str = "") -> AsyncIterator[Estate]:
    """Everything for one server configuration; closed at the end. Raises Trouble, SourceError and StoreError.

    `database` is the home of the store where it shall not be the one that the configuration names.
    """
    from hanse.git import Writer  # noqa: PLC0415 (not for --help)
    from hanse.store import open_store  # noqa: PLC0415

    config, folder = _config(path)
    if config.repository is None:
        raise Trouble("server.yaml names no repository", "add `repository: {url: ...}`")
    home = _beside(folder, config.repository.url)
    source = open_source(home)
    key = (
        str(folder / Path(config.repository.signing_key).expanduser())
        if config.repository.signing_key
        else ""
    )
    files = (config.repository.trust_root, config.repository.trust_root_gpg)
    root = TrustRoot(
        *(_outside(Path(home), folder / Path(file).expanduser()) if file else "" for file in files)
    )
    kept = database or _home_of_store(config, folder)
    store = open_store(kept)
    connected: list[tuple[Platform, Transport]] = []
    traffic = Traffic()

    def connect(settings: Settings) -> Mapping[str, Platform]:
        transports = {
            name: _transport(config, platform, traffic, store)
            for name, platform in settings.platforms.items()
        }
        platforms = _platforms(settings, lambda platform: transports[platform.name])
        connected.extend((platform, transports[name]) for name, platform in platforms.items())
        return platforms

    async def let_go(platform: Platform) -> None:
        for joined in [joined for joined in connected if joined[0] is platform]:
            connected.remove(joined)
            await joined[1].close()

    try:
        yield Estate(
            config,
            source,
            Writer(source, key),
            store,
            language(),
            connect,
            lambda: datetime.now(UTC),
            operator(),
            root,
            let_go=let_go,
            traffic=traffic,
            open_index=lambda: _index("serve", f"{home} {kept}"),
        )
    finally:
        for _, transport in connected:
            await transport.close()
        await store.close()


@asynccontextmanager
async def open_listening(
    path: str | None, estate: Estate, serving: Serving, told: Callable[[ServeNews], None]
) -> AsyncIterator[Callable[[ServeNews], None]]:
    """Answer over HTTP until the end of the block, if the server configuration says where, and send traces if asked to.

    Raises Trouble.
    """
    hears: list[Callable[[ServeNews], None]] = []

    def heard(news: ServeNews) -> None:
        for hear in hears:
            hear(news)

    async with AsyncExitStack() as opened:
        if asks_for_traces(os.environ):
            hears.append(await opened.enter_async_context(_open_tracing(estate, told)))
        if estate.config.http.listen:
            from hanse.api import listening  # noqa: PLC0415 (only who listens pays for it)

            _, folder = _config(path)
            files = msgspec.structs.asdict(estate.config.http.hooks)
            secrets = {
                forge: _secret(folder / Path(file).expanduser()) for forge, file in files.items() if file
            }
            hears.append(await opened.enter_async_context(listening(estate, serving, secrets, told)))
        yield heard


def asks_for_traces(environment: Mapping[str, str]) -> bool:
    """Whether the variables that OpenTelemetry has for all programs say where to send traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter == "otlp" or (not exporter and any(environment.get(name) for name in names))


def _open_tracing(
    estate: Estate, told: Callable[[ServeNews], None]
) -> AbstractAsyncContextManager[Callable[[ServeNews], None]]:
    try:
        from hanse.api.tracing import tracing  # noqa: PLC0415 (only who asks for traces pays for it)
    except ModuleNotFoundError as error:
        raise Trouble(
            f"OTEL_* variables ask for traces, and {error.name} is not installed",
            "`pip install 'hanse[otel]'`, or set OTEL_TRACES_EXPORTER=none",
        ) from error
    return tracing(estate.now, os.environ, estate.traffic.listeners, told)


def _secret(file: Path) -> bytes:
    """The secret in a file, without the line's end. Raises Trouble."""
    try:
        found = file.read_bytes().strip()
    except OSError as error:
        raise Trouble(
            f"cannot read the secret {file}: {error.strerror}", "server.yaml names it under `http.hooks`"
        ) from error
    if len(found) < SHORTEST_SECRET:
        raise Trouble(
            f"the secret in {file} has fewer than {SHORTEST_SECRET} characters",
            f"make one with `openssl rand -hex 32 > {file}`, and give it to the forge",
        )
    return found


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


def _transport(config: ServerConfig, platform: PlatformSettings, traffic: Traffic, store: Store) -> Transport:
    """The way to one platform, with its budget around it. What is misconfigured is told when it is first used."""
    from hanse.transport import Metered, RateBudget  # noqa: PLC0415 (aiohttp is slow to import)

    try:
        inner = vendors()[platform.vendor].connect(bound(config, platform))
    except PlatformUnavailable as error:
        return _Offline(str(error), error.advice)
    metered = Metered(inner, platform=platform.name, traffic=traffic)
    pace = platform.pace
    budget = RateBudget(
        metered, pace.requests_per_second, pace.concurrency, draw=partial(store.draw, platform.name)
    )
    traffic.budgets[platform.name] = budget
    return budget


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
            "name it with --config or HANSE_CONFIG, or make one with `hanse init`; `hanse explain server` shows it",
        ) from error
    config, problems = read_config(str(file), data)
    if config is None:
        raise Trouble("\n".join(map(render, problems)))
    return config, file.parent


def _outside(home: Path, file: Path) -> str:
    """A file of the trust root. Raises Trouble where it lies within what it shall guard."""
    if home.is_dir() and file.resolve().is_relative_to(home.resolve()):
        raise Trouble(
            f"the trust root {file} lies in the repository that it shall guard", "move it out of there"
        )
    return str(file)


def _beside(folder: Path, location: str) -> str:
    """A path of server.yaml, which is relative to that file; an address as it is."""
    found = folder / Path(location).expanduser()
    return location if "://" in location or (":" in location and not found.exists()) else str(found)


def _home_of_store(config: ServerConfig, folder: Path) -> str:
    return _beside(folder, config.store) if config.store else str(_data_folder() / "hanse.db")


def operator() -> str:
    """The account that runs this process, as the system knows it: variables such as LOGNAME could say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account without a name, as containers have it
        return str(os.getuid())


def config_folder() -> Path:
    """Where the user's configuration is, by the XDG convention."""
    return _home("XDG_CONFIG_HOME", "~/.config")


def _cache_folder() -> Path:
    return _home("XDG_CACHE_HOME", "~/.cache")


def _data_folder() -> Path:
    return _home("XDG_DATA_HOME", "~/.local/share")


def _home(variable: str, default: str) -> Path:
    """A folder of the user's. A relative one counts for nothing (XDG base directories): it could be a repository's."""
    named = os.environ.get(variable, "")
    return Path(named if named.startswith("/") else default).expanduser() / "hanse"
