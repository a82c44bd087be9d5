"""What is accepted now, but for the owners' intents."""

from __future__ import annotations

import msgspec

from hanse.desired.intent import Directory
from hanse.desired.settings import Settings
from hanse.ports.store import Head, Store


async def accepted_state(store: Store, head: Head | None) -> tuple[Directory, Settings | None]:
    """The directory and the settings that are accepted now. Raises StoreError."""
    if head is None:
        return Directory(), None
    people, settings = await store.blob(head.directory), await store.blob(head.settings)
    assert people is not None, "an acceptance keeps its directory"
    assert settings is not None, "an acceptance keeps its settings"
    return msgspec.json.decode(people, type=Directory), Settings.decode(settings)
