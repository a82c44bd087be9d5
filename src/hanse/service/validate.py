"""Check a manifest: load it and compile every owner. Needs no store, no credential and no cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hanse.desired.compiled import Compiled, Problem
from hanse.desired.intent import Directory, Intent
from hanse.desired.intents import directory, intents, samples, settings
from hanse.desired.load import Loaded, is_manifest, load
from hanse.desired.manifest import Manifest
from hanse.desired.settings import Settings
from hanse.desired.source import document_source
from hanse.foundation.diagnostics import Diagnostic, has_errors, in_order
from hanse.foundation.yaml import MAX_BYTES
from hanse.model import Owner
from hanse.observed import mark
from hanse.policy import check_policies
from hanse.ports.platform import Platform
from hanse.ports.source import Entry, Source
from hanse.service.estate import Language


@dataclass(frozen=True)
class Checked:
    """A manifest and everything that is to be said about it."""

    commit: str
    """Empty: the working tree."""
    manifest: Manifest
    diagnostics: list[Diagnostic]
    intents: dict[Owner, Intent] = field(default_factory=dict)
    directory: Directory = field(default_factory=Directory)
    settings: Settings | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it can be accepted."""
        return self.settings is not None and not has_errors(self.diagnostics)


class ParseCache(Protocol):
    """What remembers files that were parsed before: the store, or memory."""

    async def parsed(self, blob_ids: Iterable[str]) -> dict[str, bytes]:
        """Cached parse results by git blob id."""
        ...

    async def keep_parsed(self, rows: Mapping[str, bytes]) -> None:
        """Cache parse results by git blob id."""
        ...


def check_worktree(source: Source, language: Language, now: datetime) -> Checked:
    """Check the files as they are in the working tree. Raises SourceError."""
    files, links = source.worktree()
    return _checked("", load(files, language.vocabulary, now, links=links), language, now)


async def check_commit(
    source: Source, language: Language, commit: str, now: datetime, store: ParseCache | None = None
) -> Checked:
    """Check a commit; with a store, files that were parsed before are not parsed again. Raises SourceError."""
    return _checked(commit, await load_commit(source, language, commit, now, store), language, now)


async def load_commit(
    source: Source, language: Language, commit: str, now: datetime, store: ParseCache | None = None
) -> Loaded:
    """Load a commit's files, and compile nothing of it. Raises SourceError."""
    entries = {path: entry for path, entry in source.tree(commit).items() if is_manifest(path)}
    files = _Blobs(source, {path: entry for path, entry in entries.items() if entry.is_file})
    rows = await store.parsed({entry.blob for entry in files.entries.values()}) if store else {}
    known = {path: rows[entry.blob] for path, entry in files.entries.items() if entry.blob in rows}
    files.fetch(path for path in files.entries if path not in known)
    links = [path for path, entry in entries.items() if not entry.is_file]
    loaded = load(files, language.vocabulary, now, known=known, links=links)
    if store and loaded.rows:
        await store.keep_parsed({files.entries[path].blob: row for path, row in loaded.rows.items()})
    return loaded


def _checked(commit: str, loaded: Loaded, language: Language, now: datetime) -> Checked:
    manifest = loaded.manifest
    if manifest.organization is None:
        return Checked(commit, manifest, loaded.diagnostics)
    wanted, people, setting = intents(manifest), directory(manifest), settings(manifest)
    platforms = language.offline(setting)
    problems = [
        problem
        for sample in samples(manifest)
        for problem in platforms[sample.owner.platform].compile(sample, people, now).problems
        if problem.source.startswith(("LandingZone ", "file "))
    ]
    holders: dict[tuple[str, ...], Owner] = {}
    for owner in sorted(wanted, key=str):
        platform = platforms[owner.platform]
        compiled = platform.compile(wanted[owner], people, now)
        problems += compiled.problems
        for name, holder in _collisions(owner, compiled, platform, holders):
            problems.append(_collision(manifest, wanted[owner], wanted[holder], name))
    found = in_order(
        [
            *loaded.diagnostics,
            *(manifest.diagnostic(problem) for problem in dict.fromkeys(problems)),
            *check_policies(manifest),
        ]
    )
    return Checked(commit, manifest, found, wanted, people, setting)


def _collisions(
    owner: Owner, compiled: Compiled, platform: Platform, holders: dict[tuple[str, ...], Owner]
) -> Iterator[tuple[str, Owner]]:
    """Things that would have one native name with another owner's, after the platform's name pattern."""
    unique = {spec.name: spec.unique for spec in platform.describe().kinds}
    for resource in compiled.resources:
        if unique[resource.kind]:
            marks = (mark(resource.attributes.get(part)) for part in unique[resource.kind])
            holder = holders.setdefault((owner.platform, resource.kind, *marks), owner)
            if holder != owner:
                yield f"{resource.kind} {resource.attributes.get('name')}", holder


def _collision(manifest: Manifest, intent: Intent, other: Intent, name: str) -> Problem:
    first = manifest.place(_source(other), ("name",))
    return Problem(
        "error",
        "name-collision",
        f"{name} on {intent.owner.platform} would be the same as that of {_source(other)}, declared at {first}",
        "rename one of the two, or use a name pattern that keeps them apart",
        _source(intent),
        ("name",),
    )


def _source(intent: Intent) -> str:
    if intent.project:
        return document_source("Project", intent.workspace, intent.project)
    return document_source("Workspace", intent.workspace)


class _Blobs(Mapping[str, bytes]):
    """The manifest's files of one commit, read in bulk where they are surely needed and singly on errors."""

    def __init__(self, source: Source, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self._source = source
        self._contents: dict[str, bytes] = {}

    def fetch(self, paths: Iterator[str]) -> None:
        """Read these files at once."""
        blobs = {self.entries[path].blob for path in paths if self.entries[path].size <= MAX_BYTES}
        self._contents.update(self._source.read(sorted(blobs)))

    def __getitem__(self, path: str) -> bytes:
        """The file's content. Of one that is too large, just so much that its size is told as the error."""
        entry = self.entries[path]
        if entry.size > MAX_BYTES:
            return b" " * (MAX_BYTES + 1)
        if entry.blob not in self._contents:
            self._contents.update(self._source.read([entry.blob]))
        return self._contents[entry.blob]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)
