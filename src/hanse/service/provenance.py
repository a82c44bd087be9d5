"""Who decided what: provenance read from git as far as it is not known yet, and kept in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hanse.desired.kinds import Document
from hanse.desired.load import decode_documents, is_manifest, sound_documents
from hanse.desired.provenance import Decision, FileChange, Reader, State
from hanse.model import Provenance
from hanse.ports.source import Commit, Source
from hanse.service.estate import Estate

BATCH = 200
"""Commits whose changed files are held in memory at once."""
TAKEN_OUT = "taken out: "
"""Before a source in the store: whose decision it was that the declaration is no longer there."""


async def provenance_of(estate: Estate, commit: str, sources: Iterable[str]) -> Mapping[str, Provenance]:
    """Who brought these declarations to their form of that commit, or took them out.

    Nothing is read where nothing is asked. Raises SourceError and StoreError.
    """
    wanted = set(sources)
    if not wanted:
        return {}
    await _catch_up(estate, commit)
    rows = await estate.store.provenance([*wanted, *(TAKEN_OUT + source for source in wanted)])
    return {source.removeprefix(TAKEN_OUT): row for source, row in rows.items()}


async def _catch_up(estate: Estate, commit: str) -> None:
    source, store = estate.source, estate.store
    state = State.decode(await store.provenance_until())
    if state.commit and source.is_ancestor(commit, state.commit):
        return
    if state.commit and not source.is_ancestor(state.commit, commit):
        state = State()  # history was rewritten
    commits = source.commits(state.commit, commit)
    reader = Reader(state)
    for start in range(0, len(commits), BATCH):
        await _read(estate, reader, commits[start : start + BATCH])
        found = reader.finish(set(await store.provenance(reader.sources)))
        taken_out = {TAKEN_OUT + name: row for name, row in found.gone.items()}
        back = [TAKEN_OUT + name for name in found.rows]
        await store.keep_provenance(found.state.encode(), {**found.rows, **taken_out}, [*found.gone, *back])


async def _read(estate: Estate, reader: Reader, commits: Sequence[Commit]) -> None:
    source, store = estate.source, estate.store
    ids = [commit.id for commit in commits]
    signers = source.verify(ids, estate.trust_root) if estate.trust_root else {}
    changes = {
        commit: [FileChange(change.path, change.old, change.new) for change in changed]
        for commit, changed in source.changes(ids).items()
    }
    blobs = reader.blobs(change for changed in changes.values() for change in changed)
    documents = _Documents(estate, await store.parsed(blobs))
    documents.fetch(blobs)
    for commit in commits:
        reader.read(
            _decision(commit, signers.get(commit.id)),
            changes[commit.id],
            documents,
            lambda commit=commit: _files(source, commit.id, documents),  # type: ignore[misc]
        )


def _decision(commit: Commit, signer: str | None) -> Decision:
    return Decision(
        commit.id,
        commit.committed_at,
        f"{commit.author_name} <{commit.author_email}>",
        f"{commit.committer_name} <{commit.committer_email}>",
        commit.message.partition("\n")[0],
        signer,
    )


def _files(source: Source, commit: str, documents: _Documents) -> Mapping[str, str]:
    """All files of the manifest in a commit, about to be read."""
    tree = source.tree(commit).items()
    files = {path: entry.blob for path, entry in tree if entry.is_file and is_manifest(path)}
    documents.fetch(files.values())
    return files


class _Documents:
    """The typed documents of blobs, each read once and many at a time."""

    def __init__(self, estate: Estate, parsed: Mapping[str, bytes]) -> None:
        self._source = estate.source
        self._vocabulary = estate.language.vocabulary
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
        return self._known[blob]
