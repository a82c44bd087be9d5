"""Who decided what: provenance read from git as far as it is not known yet, and kept in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hanse.accept.trust import Signers
from hanse.desired.load import is_manifest
from hanse.desired.provenance import Decision, FileChange, Reader, State
from hanse.model import Provenance, Strength, Verdict
from hanse.ports.source import Commit, Source
from hanse.service.accepted import accepted_state
from hanse.service.documents import Documents
from hanse.service.estate import Estate

BATCH = 200
"""Commits whose changed files are held in memory at once."""
UNSIGNED = Verdict("unsigned")
TAKEN_OUT = "taken out: "
"""Before a source in the store: whose decision it was that the declaration is no longer there."""


async def provenance_of(estate: Estate, commit: str, sources: Iterable[str]) -> Mapping[str, Provenance]:
    """Who brought these declarations to their form of that commit, or took them out.

    Nothing is read where nothing is asked. Raises SourceError and StoreError.
    """
    wanted = set(sources)
    if not wanted:
        return {}
    if estate.source.has(commit):  # else the repository is another one now, and tells nothing of what stands
        await _catch_up(estate, commit)
    rows = await estate.store.provenance([*wanted, *(TAKEN_OUT + source for source in wanted)])
    return {source.removeprefix(TAKEN_OUT): row for source, row in rows.items()}


async def _catch_up(estate: Estate, commit: str) -> None:
    source, store = estate.source, estate.store
    state = State.decode(await store.provenance_until())
    if not state.commit or not source.has(state.commit):
        state = State()
    elif source.is_ancestor(commit, state.commit):
        return
    elif not source.is_ancestor(state.commit, commit):
        state = State()  # history was rewritten
    commits = source.commits(state.commit, commit)
    reader = Reader(state)
    directory, settings = await accepted_state(store, await store.head())
    signers = Signers(settings, directory, estate.now())
    for start in range(0, len(commits), BATCH):
        await _read(estate, reader, signers, commits[start : start + BATCH])
        found = reader.finish(set(await store.provenance(reader.sources)))
        taken_out = {TAKEN_OUT + name: row for name, row in found.gone.items()}
        back = [TAKEN_OUT + name for name in found.rows]
        await store.keep_provenance(found.state.encode(), {**found.rows, **taken_out}, [*found.gone, *back])


async def _read(estate: Estate, reader: Reader, signers: Signers, commits: Sequence[Commit]) -> None:
    source, store = estate.source, estate.store
    ids = [commit.id for commit in commits]
    signed = signers.keys or estate.trust_root
    verdicts = source.verify(ids, signers.keys, estate.trust_root) if signed else {}
    own = estate.writer.signer() if signed else ""
    changes = {
        commit: [FileChange(change.path, change.old, change.new) for change in changed]
        for commit, changed in source.changes(ids).items()
    }
    blobs = reader.blobs(change for changed in changes.values() for change in changed)
    documents = Documents(source, estate.language.vocabulary, await store.parsed(blobs))
    documents.fetch(blobs)
    for commit in commits:
        reader.read(
            _decision(commit, verdicts.get(commit.id, UNSIGNED), signers, own),
            changes[commit.id],
            documents,
            lambda commit=commit: _files(source, commit.id, documents),  # type: ignore[misc]
        )


def _decision(commit: Commit, verdict: Verdict, signers: Signers, own: str) -> Decision:
    """What one commit says of who decided; `own` is the key that Hanse signs with."""
    signer = signers.signatory(verdict)
    strength: Strength = "claimed-author"
    if signer is not None:
        by_machine: Strength = "server-commit" if verdict.key == own else "forge-merge"
        strength = by_machine if signer.kind == "machine" else "verified-signer"
    return Decision(
        commit.id,
        commit.committed_at,
        f"{commit.author_name} <{commit.author_email}>",
        f"{commit.committer_name} <{commit.committer_email}>",
        commit.message.partition("\n")[0],
        signer.name if signer else None,
        strength,
    )


def _files(source: Source, commit: str, documents: Documents) -> Mapping[str, str]:
    """All files of the manifest in a commit, about to be read."""
    tree = source.tree(commit).items()
    files = {path: entry.blob for path, entry in tree if entry.is_file and is_manifest(path)}
    documents.fetch(files.values())
    return files
