"""Check a manifest: load it and compile every owner. Needs no store, no credential and no cloud."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import NamedTuple, Protocol

from hanse.desired.compiled import Compiled, Problem
from hanse.desired.findings import Lazy
from hanse.desired.intent import Directory, Intent
from hanse.desired.intents import directory, intents, samples, settings
from hanse.desired.load import MANIFESTS, Loaded, current, is_manifest, load, row_of
from hanse.desired.manifest import Elsewhere, Manifest
from hanse.desired.settings import Settings
from hanse.desired.source import document_source
from hanse.foundation.diagnostics import Diagnostic, has_errors, in_order
from hanse.foundation.yaml import MAX_BYTES
from hanse.model import Owner, WorkspaceOn
from hanse.observed import mark
from hanse.policy import MISTAKEN, check_policies
from hanse.ports.source import Source
from hanse.ports.store import Rows
from hanse.service.estate import Language
from hanse.service.halves import in_parts, share


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
    names: dict[Owner, list[str]] = field(default_factory=dict)
    """What each owner's things will be called, each as a text that no other may have."""
    since: str = ""
    """The earlier commit that the findings about everything else are from; what else is here is a part then."""

    @cached_property
    def natives(self) -> dict[str, set[str]]:
        """The same by declaring document."""
        found: dict[str, set[str]] = {}
        for owner, names in self.names.items():
            if names:
                found.setdefault(source_of(self.intents[owner]), set()).update(names)
        return found

    @property
    def is_sound(self) -> bool:
        """Whether it can be accepted."""
        return self.settings is not None and not has_errors(self.diagnostics)


class Selection(Protocol):
    """Which documents a check is about, by their names as in `desired.source`."""

    @property
    def judged(self) -> Collection[str] | None:
        """Those whose owners are compiled; None: all."""
        ...

    def told(self, name: str) -> bool:
        """Whether findings about this document are told."""
        ...

    def tells(self, diagnostic: Diagnostic) -> bool:
        """Whether this finding is."""
        ...


def check_worktree(source: Source, language: Language, now: datetime) -> Checked:
    """Check the files as they are in the working tree. Raises SourceError."""
    with without_looking_for_garbage():
        files, links = source.worktree()
        return checked("", load(files, language.vocabulary, now, links=links), language, now)


async def check_commit(
    source: Source, language: Language, commit: str, now: datetime, rows: Rows | None = None
) -> Checked:
    """Check a commit; with rows of an earlier check, what was parsed then is not parsed again. Raises SourceError."""
    with without_looking_for_garbage():
        return checked(commit, await load_commit(source, language, commit, now, rows), language, now)


async def load_commit(
    source: Source, language: Language, commit: str, now: datetime, rows: Rows | None = None
) -> Loaded:
    """Load a commit's files, and compile nothing of it. Raises SourceError."""
    files, links = manifest_files(source, commit)
    known = await known_rows(source, language, files.blobs.values(), rows)
    return load_blobs(files, language, now, known, links)


def manifest_files(source: Source, commit: str) -> tuple[Blobs, list[str]]:
    """The manifest's files of a commit, and what is named like one and is a link. Raises SourceError."""
    tree = source.tree(commit, suffixes=MANIFESTS)
    links = [path for path, entry in tree.items() if not entry.is_file]
    others = set(links)
    blobs = {path: entry.blob for path, entry in tree.items() if path not in others and is_manifest(path)}
    return Blobs(source, blobs), links


def load_blobs(
    files: Blobs,
    language: Language,
    now: datetime,
    rows: Mapping[str, bytes],
    links: Collection[str],
    elsewhere: Elsewhere | None = None,
) -> Loaded:
    """Load files of a commit, with what is known of their contents."""
    known = {path: rows[blob] for path, blob in files.blobs.items() if blob in rows}
    files.fetch([path for path in files.blobs if path not in known])
    return load(files, language.vocabulary, now, known=known, links=links, elsewhere=elsewhere)


async def known_rows(
    source: Source, language: Language, wanted: Collection[str], rows: Rows | None
) -> dict[str, bytes]:
    """What is to be known of these files' contents, but of those in which something is wrong."""
    blobs = set(wanted)
    kept = await rows.parsed(blobs) if rows else {}
    known = current(kept, language.vocabulary)
    missing = sorted(blobs - known.keys())

    def parse(part: int, parts: int) -> dict[str, bytes]:
        made = {}
        for blob, content in source.read(share(missing, part, parts), limit=MAX_BYTES):
            row = row_of(content, language.vocabulary)
            if row is not None:
                made[blob] = row
        return made

    made = {blob: row for part in in_parts(parse, len(missing), 5_000) for blob, row in part.items()}
    if rows and made:
        await rows.keep_parsed(made)
    return known | made


@contextmanager
def without_looking_for_garbage() -> Iterator[None]:
    """Next to nothing that a check makes is garbage before its end; to look for it is a fifth of the work."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def checked(
    commit: str, loaded: Loaded, language: Language, now: datetime, selection: Selection | None = None
) -> Checked:
    """Compile what is wanted of every owner, or of those that a selection names, and collect all that is to be said."""
    manifest = loaded.manifest
    diagnostics = [d for d in loaded.diagnostics if selection is None or selection.tells(d)]
    if manifest.organization is None:
        return Checked(commit, manifest, diagnostics)
    wanted, people, setting = intents(manifest), directory(manifest), settings(manifest)
    platforms = language.offline(setting)
    problems = [
        problem
        for sample in samples(manifest)
        if selection is None or selection.told(_zone(sample))
        for problem in platforms[sample.owner.platform].compile(sample, people, now).problems
        if problem.source.startswith(("LandingZone ", "file "))
    ]
    unique = {
        name: {spec.name: spec.unique for spec in platform.describe().kinds}
        for name, platform in platforms.items()
    }
    owners = list(_judged(wanted, selection))

    def compile_some(part: int, parts: int) -> list[_Made]:
        return [
            _made(
                platforms[owner.platform].compile(wanted[owner], people, now, links=False),
                owner.platform,
                unique[owner.platform],
            )
            for owner in share(owners, part, parts)
        ]

    answers = chain.from_iterable(in_parts(compile_some, len(owners), 2_000))
    made = dict(zip(owners, answers, strict=True))
    shared: dict[str, set[Owner]] = {}
    holders: dict[str, Owner] = {}
    for owner, (wrong, names) in made.items():
        if wrong and (
            selection is None or selection.told(source_of(wanted[owner])) or isinstance(owner, WorkspaceOn)
        ):
            problems += wrong
        for name in names:
            if holders.setdefault(name, owner) is not owner:
                shared.setdefault(name, {holders[name]}).add(owner)
    for name, several in shared.items():
        first, *others = sorted(several, key=str)
        problems += [
            _collision(manifest, wanted[other], wanted[first], " ".join(name.split("\n")[1:3]))
            for other in others
            if selection is None
            or isinstance(other, WorkspaceOn)
            or selection.told(source_of(wanted[other]))
            or selection.told(source_of(wanted[first]))
        ]
    # Placed file by file, so that each is composed once.
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.source)
    mistaken = {one.place for one in diagnostics if one.severity == "error" and one.place}
    compiled = [
        one for one in manifest.diagnostics(ordered) if one.place not in mistaken
    ]  # else it only follows
    found = in_order([*diagnostics, *compiled, *_policies(loaded, selection)])
    names_of = {owner: one.names for owner, one in made.items()}
    return Checked(commit, manifest, found, wanted, people, setting, names_of)


def _policies(loaded: Loaded, selection: Selection | None) -> list[Diagnostic]:
    """What policies say of what is told, and what is wrong with policies that are."""
    manifest, doubtful = loaded.manifest, loaded.doubtful
    if selection is None:
        return check_policies(manifest, doubtful=doubtful)
    found = check_policies(
        manifest, lambda identity: selection.told(document_source(*identity)), doubtful=doubtful
    )
    return [d for d in found if d.code != MISTAKEN or selection.tells(d)]


def _judged(wanted: Mapping[Owner, Intent], selection: Selection | None) -> Iterable[Owner]:
    """The owners to be compiled; with a project its workspace, which may have come to its platform only now."""
    if selection is None or selection.judged is None:
        return wanted
    found = [owner for owner, intent in wanted.items() if source_of(intent) in selection.judged]
    homes = {(owner.platform, owner.workspace) for owner in found}
    return {*found, *(o for o in wanted if isinstance(o, WorkspaceOn) and (o.platform, o.workspace) in homes)}


class _Made(NamedTuple):
    """What is to be known of one compiled owner."""

    problems: tuple[Problem, ...]
    names: list[str]
    """Of each thing that no other owner may have under the same name, a line each: platform, kind, name, and what
    makes it the same."""


def _made(compiled: Compiled, platform: str, unique: Mapping[str, tuple[str, ...]]) -> _Made:
    names = []
    for resource in compiled.resources:
        if parts := unique[resource.kind]:
            attributes = resource.attributes
            marks = [mark(attributes.get(part)) for part in parts]
            names.append("\n".join((platform, resource.kind, str(attributes.get("name")), *marks)))
    return _Made(compiled.problems, names)


def _collision(manifest: Manifest, intent: Intent, other: Intent, name: str) -> Problem:
    first = manifest.place(source_of(other), ("name",))
    return Problem(
        "error",
        "name-collision",
        f"{name} on {intent.owner.platform} would be the same as that of {source_of(other)}, declared at {first}",
        "rename one of the two, or use a name pattern that keeps them apart",
        source_of(intent),
        ("name",),
    )


def _zone(intent: Intent) -> str:
    return document_source("LandingZone", intent.owner.platform, intent.landing_zone)


def source_of(intent: Intent) -> str:
    """The document that an owner is declared by."""
    if intent.project:
        return document_source("Project", intent.workspace, intent.project)
    return document_source("Workspace", intent.workspace)


class Blobs(Lazy):
    """The manifest's files of one commit, each read when it is asked for."""

    def __init__(self, source: Source, blobs: Mapping[str, str]) -> None:
        self.blobs = blobs
        self._source = source
        self._contents: dict[str, bytes] = {}
        self._room = MOST_HELD

    def fetch(self, paths: Collection[str]) -> None:
        """Read these files at once, as far as there is room for them."""
        wanted = {self.blobs[path] for path in paths if path in self.blobs} - self._contents.keys()
        for blob, content in self._source.read(sorted(wanted), limit=MAX_BYTES) if wanted else ():
            self._contents[blob] = content
            self._room -= len(content)
            if self._room < 0:
                break

    def __getitem__(self, path: str) -> bytes:
        """The file's content. Of one that is too large, just so much that this is told as the error."""
        blob = self.blobs[path]
        if blob in self._contents:
            return self._contents[blob]
        content = dict(self._source.read([blob], limit=MAX_BYTES)).get(blob, _TOO_LARGE)
        if self._room > 0:
            self._contents[blob] = content
            self._room -= len(content)
        return content

    def __iter__(self) -> Iterator[str]:
        return iter(self.blobs)

    def __len__(self) -> int:
        return len(self.blobs)


MOST_HELD = 200_000_000
"""Bytes of files that are held for those who ask again."""
_TOO_LARGE = b" " * (MAX_BYTES + 1)
