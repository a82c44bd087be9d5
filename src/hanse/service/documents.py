"""The typed documents of single files, wherever in history they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hanse.desired.kinds import Document
from hanse.desired.load import decode_documents, sound_documents
from hanse.desired.vocabulary import Vocabulary
from hanse.ports.source import Source


class Documents:
    """The typed documents of blobs, each read once and many at a time."""

    def __init__(self, source: Source, vocabulary: Vocabulary, parsed: Mapping[str, bytes]) -> None:
        self._source = source
        self._vocabulary = vocabulary
        self._known: dict[str, Sequence[Document] | None] = {}
        for blob, row in parsed.items():
            found = decode_documents(row, self._vocabulary)
            if found is not None:
                self._known[blob] = [document for _, document in found]

    def fetch(self, blobs: Iterable[str]) -> None:
        """Read those that are not known yet."""
        missing = sorted(set(blobs) - self._known.keys())
        for blob, content in self._source.read(missing) if missing else ():
            self._known[blob] = sound_documents(content, self._vocabulary)

    def __call__(self, blob: str) -> Sequence[Document] | None:
        """Those of one blob that was fetched; None where anything in it is wrong."""
        return self._known[blob]
