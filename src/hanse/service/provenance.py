"""Who decided what: provenance read from git as far as it is not known yet, and kept in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hanse.model import Provenance
from hanse.service.estate import Estate


async def provenance_of(estate: Estate, commit: str, sources: Iterable[str]) -> Mapping[str, Provenance]:
    """Provenance of these declarations as of a commit. Raises SourceError and StoreError."""
    return await estate.store.provenance(sources)
