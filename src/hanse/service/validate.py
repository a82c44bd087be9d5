"""Check a manifest: load it and compile every owner. Needs no store, no credential and no cloud."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from hanse.desired.compiled import Compiled, Problem
from hanse.desired.intent import Directory, Intent
from hanse.desired.intents import directory, intents, samples, settings
from hanse.desired.load import MANIFESTS, Loaded, is_manifest, is_row, load, row_of
from hanse.desired.manifest import Manifest
from hanse.desired.settings import Settings
from hanse.desired.source import document_source
from hanse.foundation.diagnostics import Diagnostic, has_errors, in_order
from hanse.foundation.yaml import MAX_BYTES
from hanse.model import Owner
from hanse.observed import mark
from hanse.ports.platform import Platform
from hanse.ports.source import Source, SourceError
from hanse.ports.store import Rows
from hanse.service.estate import Language
from hanse.service.halves import in_parts

MAX_FILES = 500_000
"""Files that one manifest may have."""


@dataclass(frozen=True, repr=False)
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


def check_worktree(source: Source, language: Language, now: datetime) -> Checked:
    """Check the files as they are in the working tree. Raises SourceError."""
    with _without_looking_for_garbage():
        files, links = source.worktree()
        return _checked("", load(files, language.vocabulary, now, links=links), language, now)


async def check_commit(
    source: Source, language: Language, commit: str, now: datetime, rows: Rows | None = None
) -> Checked:
    """Check a commit; with rows of an earlier check, what was parsed then is not parsed again. Raises SourceError."""
    with _without_looking_for_garbage():
        entries = {
            path: entry
            for path, entry in source.tree(commit, suffixes=MANIFESTS).items()
            if is_manifest(path)
        }
        _not_too_many(len(entries))
        files = _Blobs(source, {path: entry.blob for path, entry in entries.items() if entry.is_file})
        known = await _known(source, language, set(files.blobs.values()), rows)
        loaded = load(
            files,
            language.vocabulary,
            now,
            known={path: known[blob] for path, blob in files.blobs.items() if blob in known},
            links=[path for path, entry in entries.items() if not entry.is_file],
        )
        return _checked(commit, loaded, language, now)


async def _known(source: Source, language: Language, blobs: set[str], rows: Rows | None) -> dict[str, bytes]:
    """What is to be known of these files' contents, but of those in which something is wrong."""
    kept = await rows.parsed(blobs) if rows else {}
    known = {blob: row for blob, row in kept.items() if is_row(row, language.vocabulary)}
    missing = sorted(blobs - known.keys())

    def parse(part: int, parts: int) -> dict[str, bytes]:
        made = {}
        for blob, content in source.read(missing[part::parts], limit=MAX_BYTES):
            row = row_of(content, language.vocabulary)
            if row is not None:
                made[blob] = row
        return made

    made = {blob: row for part in in_parts(parse, len(missing), 5_000) for blob, row in part.items()}
    if rows and made:
        await rows.keep_parsed(made)
    return known | made


def _not_too_many(count: int) -> None:
    if count > MAX_FILES:
        raise SourceError(
            f"the manifest would have {count:,} files, and Hanse reads {MAX_FILES:,}",
            "keep in this repository what the organisation declares, several documents in one file where they are many",
        )


@contextmanager
def _without_looking_for_garbage() -> Iterator[None]:
    """Next to nothing that a check makes is garbage before its end; to look for it is a fifth of the work."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


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
    unique = {
        name: {spec.name: spec.unique for spec in platform.describe().kinds}
        for name, platform in platforms.items()
    }
    owners = sorted(wanted, key=str)

    def compile_some(part: int, parts: int) -> list[_Made]:
        return [
            _made(platforms[owner.platform].compile(wanted[owner], people, now), unique[owner.platform])
            for owner in owners[part::parts]
        ]

    halves = in_parts(compile_some, len(owners), 2_000)
    holders: dict[tuple[str, ...], Owner] = {}
    for number, owner in enumerate(owners):
        made = halves[number % len(halves)][number // len(halves)]
        problems += made.problems
        for names in made.names:
            holder = holders.setdefault((owner.platform, *names), owner)
            if holder != owner:
                problems.append(_collision(manifest, wanted[owner], wanted[holder], f"{names[0]} {names[1]}"))
    found = in_order(
        [*loaded.diagnostics, *(manifest.diagnostic(problem) for problem in dict.fromkeys(problems))]
    )
    return Checked(commit, manifest, found, wanted, people, setting)


class _Made(NamedTuple):
    """What is to be known of one compiled owner."""

    problems: tuple[Problem, ...]
    names: list[tuple[str, ...]]
    """Of each thing that no other owner may have under the same name: kind, name, and what makes it the same."""


def _made(compiled: Compiled, unique: Mapping[str, tuple[str, ...]]) -> _Made:
    return _Made(
        compiled.problems,
        [
            (
                resource.kind,
                str(resource.attributes.get("name")),
                *(mark(resource.attributes.get(part)) for part in unique[resource.kind]),
            )
            for resource in compiled.resources
            if unique[resource.kind]
        ],
    )


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
    """The manifest's files of one commit, each read when it is asked for."""

    def __init__(self, source: Source, blobs: Mapping[str, str]) -> None:
        self.blobs = blobs
        self._source = source
        self._contents: dict[str, bytes] = {}

    def __getitem__(self, path: str) -> bytes:
        """The file's content. Of one that is too large, just so much that this is told as the error."""
        blob = self.blobs[path]
        if blob not in self._contents:
            read = dict(self._source.read([blob], limit=MAX_BYTES))
            self._contents[blob] = read.get(blob, b" " * (MAX_BYTES + 1))
        return self._contents[blob]

    def __iter__(self) -> Iterator[str]:
        return iter(self.blobs)

    def __len__(self) -> int:
        return len(self.blobs)
