"""What a use case works on: configuration, repository, store and vendors, joined by main."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hanse.config import ServerConfig
from hanse.desired.settings import PlatformSettings, Settings
from hanse.desired.vocabulary import Vocabulary
from hanse.model import Personal
from hanse.ports.platform import Credential, Platform, PlatformUnavailable, Vendor
from hanse.ports.source import NO_ROOT, Source, TrustRoot
from hanse.ports.store import Index, Store
from hanse.ports.transport import Traffic
from hanse.ports.writer import Writer


class Trouble(Exception):
    """Something a person has to mend before the command can go on. The text says what, `advice` what to do."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True)
class Language:
    """The manifest's language, with the vendors that are joined on, and what their blocks mean."""

    vocabulary: Vocabulary
    offline: Callable[[Settings], Mapping[str, Platform]]
    """Platforms that can compile and nothing else."""
    vendors: Mapping[str, Vendor] = field(default_factory=dict)
    """By the names of their blocks."""


def typed(text: str) -> str:
    """Let through what was typed, if it can be kept. Raises Trouble."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Trouble(
            "what was typed is no valid UTF-8", "set the terminal to UTF-8, and type it again"
        ) from None
    return text


async def _keep(platform: Platform) -> None:
    """Nothing is open that had to be closed."""


@dataclass(frozen=True)
class Estate:
    """Everything that is joined for one server configuration."""

    config: ServerConfig
    source: Source
    writer: Writer
    store: Store
    language: Language
    connect: Callable[[Settings], Mapping[str, Platform]]
    """Platforms by name, each with its transport; nothing is called yet."""
    now: Callable[[], datetime]
    operator: str
    """The operating-system account that runs the command."""
    trust_root: TrustRoot = NO_ROOT
    """Whose signatures count whatever is accepted."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """How it waits for what is not possible yet."""
    chance: Callable[[int], bytes] = secrets.token_bytes
    """So many random bytes."""
    let_go: Callable[[Platform], Awaitable[None]] = _keep
    """Closes what `connect` opened for a platform that is not used any more; at the end all are closed."""
    traffic: Traffic = field(default_factory=Traffic)
    """What goes to the platforms that `connect` made."""
    open_index: Callable[[], Index] | None = None
    """What a server remembers of the commit it judged last: a cache."""

    @property
    def who(self) -> Personal:
        """Who runs the command, as the journal keeps it: the account, and whose it is where that is known."""
        return operator_of(self.config, self.operator)


def operator_of(config: ServerConfig, account: str) -> Personal:
    """Who has an account, as the journal keeps it."""
    person = config.accounts.get(account)
    return Personal(f"{person} (account {account})" if person else account)


def bound(config: ServerConfig, platform: PlatformSettings) -> Credential:
    """The platform's credential, as server.yaml binds it. Raises PlatformUnavailable where it does not."""
    binding = config.credentials.get(platform.credential)
    if binding is None:
        raise PlatformUnavailable(
            f"the credential {platform.credential} is not bound in server.yaml",
            "bind it under `credentials` to its source, endpoint and platform",
        )
    if binding.platform != platform.name:
        raise PlatformUnavailable(
            f"the credential {platform.credential} is bound to the platform {binding.platform}",
            f"a credential is for one platform; bind one of its own to {platform.name}",
        )
    return Credential(
        platform.credential, binding.platform, binding.endpoint, binding.source, dict(binding.options)
    )
