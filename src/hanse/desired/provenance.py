"""Who brought each declaration to its present form: the semantic difference of consecutive first-parent commits.

A declaration that is moved to another file, re-ordered or re-formatted keeps its provenance. A document is compared
without its access rows, for each grant counts for itself; copies of one grant, inline and as files, are one
declaration that exists while any of them does. A commit whose changed files cannot all be read is passed over, and
its changes count as those of the next commit that can. A file below a landing zone's folder is one declaration.

It is incremental: a State says how far history was read, and what of it must be remembered. Cost follows the number
of changed files. To drive a Reader (`source` is git, `store` keeps rows and the state):

    reader = Reader(State.decode(await store.provenance_until()))
    for commit in source.commits(reader.state.commit, head):     # oldest first, along first parents
        reader.read(decision, changes, documents, lambda: all_files_of(commit))    # blobs in bulk: reader.blobs
    found = reader.finish(set(await store.provenance(reader.sources)))
    await store.keep_provenance(found.state.encode(), found.rows, found.gone)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hanse.desired.folders import is_below, named_folders
from hanse.desired.intent import Term
from hanse.desired.kinds import AccessRow, Document, Grant, LandingZone, Organization, Project, Workspace
from hanse.desired.load import is_manifest
from hanse.desired.manifest import id_of
from hanse.desired.names import Names
from hanse.desired.paths import glob
from hanse.desired.source import document_source, file_source, term_source
from hanse.desired.terms import read_term
from hanse.foundation.canonical import digest
from hanse.foundation.time import Invalid, parse_zone
from hanse.model import Personal, Provenance, Strength

Documents = Callable[[str], Sequence[Document] | None]
"""The typed documents of a blob; None where anything in it is unsound (`load.sound_documents`).

A Reader asks for the same blob several times: whoever answers keeps them.
"""


class Decision(Struct, frozen=True):
    """One commit, as far as it says who decided."""

    commit: str
    at: datetime
    author: str
    committer: str
    message: str
    """Its first line."""
    signer: str | None = None
    """The principal or machine whose signature was verified; None where there is none that is known."""
    strength: Strength = "claimed-author"


class FileChange(NamedTuple):
    """One file that a commit changed against its first parent; blob ids, empty where there is no such side."""

    path: str
    old: str
    new: str


class State(Struct, frozen=True):
    """How far history was read, and what of it later commits need."""

    commit: str = ""
    """Everything up to this commit is read."""
    timezone: str = "UTC"
    ignore: tuple[str, ...] = ()
    folders: dict[str, tuple[str, ...]] = {}
    """Folders that landing zones name, by platform/name."""
    workspaces: dict[str, tuple[str, ...]] = {}
    """`formerly` of the workspaces that have any."""
    projects: dict[str, tuple[str, ...]] = {}
    """`formerly` of the projects that have any, by workspace/project."""
    copies: dict[str, int] = {}
    """How often a grant is declared, where that is more than once."""
    pending: dict[str, tuple[str, str]] = {}
    """Files that commits changed which were passed over: blob before the first of them, and now."""

    def encode(self) -> str:
        """The state as text, for the store."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, text: str) -> State:
        """The state that `encode` wrote; the beginning of history for an empty text."""
        return msgspec.json.decode(text, type=cls) if text else cls()


@dataclass(frozen=True)
class Found:
    """What a run of a Reader found out."""

    rows: dict[str, Provenance]
    """By source: declarations that came or changed."""
    gone: dict[str, Provenance]
    """Sources that are declared no longer, and whose decision that was."""
    state: State


class _Side(NamedTuple):
    """What the files of a commit declare, or declared before it."""

    documents: list[Document]
    files: dict[str, list[str]]
    """Blob ids of files below landing zones' folders, by source."""


class _Event(NamedTuple):
    """What one commit did to one source."""

    decision: Decision
    more: int
    """Copies more, or (negative) fewer."""
    reason: str


class Reader:
    """Reads commits in order and collects whose each declaration is."""

    def __init__(self, state: State) -> None:
        """Go on from a state."""
        self.state = state
        self._events: dict[str, list[_Event]] = {}
        self._names = _names(state.workspaces, state.projects)

    @property
    def sources(self) -> Collection[str]:
        """All sources that were met; `finish` wants to know for which of them a row is kept."""
        return self._events.keys()

    def blobs(self, changes: Iterable[FileChange]) -> set[str]:
        """Blobs that reading these changes will ask for, so that they can be fetched in bulk."""
        pairs = [(change.old, change.new) for change in changes if is_manifest(change.path)]
        return {blob for pair in (*pairs, *self.state.pending.values()) for blob in pair if blob}

    def read(
        self,
        decision: Decision,
        changes: Iterable[FileChange],
        documents: Documents,
        everything: Callable[[], Mapping[str, str]],
    ) -> None:
        """Take one commit in; commits come oldest first.

        `everything` gives all files of the commit, path to blob id. It is called only where the commit changes how
        all files are read: the organisation's timezone, what it ignores, or folders of landing zones.
        """
        state = self.state
        files = dict(state.pending)
        for path, old, new in changes:
            if is_manifest(path):
                files[path] = (files[path][0] if path in files else old, new)
        state = replace(state, commit=decision.commit, pending=files)
        timezone, ignore = _settings(state, files, documents)
        folders = _folders(state, files, documents)
        if (timezone, ignore, folders) != (state.timezone, state.ignore, state.folders):
            rest = everything().items()
            files = {path: (blob, blob) for path, blob in rest if is_manifest(path)} | files
        old_blobs = {path: old for path, (old, _) in files.items()}
        before = _declared(old_blobs, state.ignore, _all(state.folders), documents)
        new_blobs = {path: new for path, (_, new) in files.items()}
        after = _declared(new_blobs, ignore, _all(folders), documents)
        if after is None:
            self.state = state
            return
        self._compare(decision, before or _Side([], {}), after, timezone)
        self.state = replace(
            self.state, commit=decision.commit, timezone=timezone, ignore=ignore, folders=folders, pending={}
        )

    def finish(self, kept: Collection[str]) -> Found:
        """What became of all sources that were met. `kept` names those of them that the store has a row for."""
        rows: dict[str, Provenance] = {}
        gone: dict[str, Provenance] = {}
        copies = dict(self.state.copies)
        for source, events in self._events.items():
            count = copies.pop(source, 1 if source in kept else 0)
            row: Provenance | None = None
            for event in events:
                anew = count == 0 or event.more == 0
                count = max(0, count + event.more)
                if count and anew:
                    row = _row(event)
            if row is not None and count:
                rows[source] = row
            if not count:
                gone[source] = _row(events[-1])
            elif count > 1:
                copies[source] = count
        self.state = replace(self.state, copies=copies)
        self._events = {}
        return Found(rows, gone, self.state)

    def _compare(self, decision: Decision, before: _Side, after: _Side, timezone: str) -> None:
        old = before.files | _contents(before.documents, self._names, self.state.timezone)
        self._rename(before.documents, after.documents)
        new = after.files | _contents(after.documents, self._names, timezone)
        for source in old.keys() | new.keys():
            was, now = old.get(source, []), new.get(source, [])
            if sorted(was) != sorted(now):
                added = [content for content in now if content not in was]
                reason = next((text for text in added if text), "") if source.startswith("grant ") else ""
                self._events.setdefault(source, []).append(_Event(decision, len(now) - len(was), reason))

    def _rename(self, before: list[Document], after: list[Document]) -> None:
        """Bring the names up to date, where anything of them changed."""
        old = _former(before)
        new = _former(after)
        if old != new:
            workspaces = {k: v for k, v in self.state.workspaces.items() if ("Workspace", k) not in old}
            projects = {k: v for k, v in self.state.projects.items() if ("Project", k) not in old}
            workspaces |= {name: names for (kind, name), names in new.items() if kind == "Workspace"}
            projects |= {name: names for (kind, name), names in new.items() if kind == "Project"}
            self.state = replace(self.state, workspaces=workspaces, projects=projects)
            self._names = _names(workspaces, projects)


def _settings(
    state: State, files: Mapping[str, tuple[str, str]], documents: Documents
) -> tuple[str, tuple[str, ...]]:
    """How files are to be read from this commit on: the organisation's timezone, and what it ignores."""
    found: list[Organization | None] = []
    for old, new in files.values():
        now = [d for d in documents(new) or () if isinstance(d, Organization)] if new else []
        was = [d for d in documents(old) or () if isinstance(d, Organization)] if old else []
        found += now or [None for _ in was]
    if not found:
        return state.timezone, state.ignore
    organization = next((one for one in found if one is not None), None)
    return (organization.timezone, organization.ignore) if organization else ("UTC", ())


def _folders(
    state: State, files: Mapping[str, tuple[str, str]], documents: Documents
) -> dict[str, tuple[str, ...]]:
    """The folders that landing zones name from this commit on."""
    found = dict(state.folders)
    for zone in _landing_zones((old for old, _ in files.values()), documents):
        found.pop(f"{zone.platform}/{zone.name}", None)
    for zone in _landing_zones((new for _, new in files.values()), documents):
        folders = tuple(folder for _, folder in named_folders(zone))
        if folders:
            found[f"{zone.platform}/{zone.name}"] = folders
    return dict(sorted(found.items()))


def _landing_zones(blobs: Iterable[str], documents: Documents) -> Iterator[LandingZone]:
    for blob in blobs:
        yield from (d for d in documents(blob) or () if isinstance(d, LandingZone)) if blob else ()


def _all(folders: Mapping[str, tuple[str, ...]]) -> set[str]:
    return {folder for named in folders.values() for folder in named}


def _declared(
    files: Mapping[str, str], ignore: Sequence[str], folders: Collection[str], documents: Documents
) -> _Side | None:
    """What these files declare that counts; None where a document that counts is unsound."""
    ignored = glob(ignore) if ignore else None
    found = _Side([], {})
    for path, blob in files.items():
        typed = documents(blob) if blob else ()
        if ignored and ignored.fullmatch(path) and not any(isinstance(d, Organization) for d in typed or ()):
            continue
        if is_below(path, folders):
            if blob:
                found.files[file_source(path)] = [blob]
            continue
        if typed is None:
            return None
        found.documents.extend(typed)
    return found


def _contents(documents: Iterable[Document], names: Names, timezone: str) -> dict[str, list[str]]:
    """What is declared, by source: of documents their digests, of grants their reasons; one entry per copy."""
    parsed = parse_zone(timezone)
    zone = ZoneInfo("UTC") if isinstance(parsed, Invalid) else parsed
    found: dict[str, list[str]] = {}
    for document in documents:
        for scope, row in _grants(document, names):
            term = read_term(row, zone)
            if isinstance(term, Term):
                found.setdefault(term_source(scope, term), []).append(row.reason)
        if not isinstance(document, Grant):
            bare = replace(document, access=()) if hasattr(document, "access") else document
            found.setdefault(document_source(*id_of(document)), []).append(digest(bare))
    return found


def _grants(document: Document, names: Names) -> Iterator[tuple[str, AccessRow | Grant]]:
    """The grants of one document, each with its scope by oldest names."""
    if isinstance(document, Organization):
        yield from (("", row) for row in document.access)
    elif isinstance(document, Workspace):
        yield from ((names.scope(document.name, ""), row) for row in document.access)
    elif isinstance(document, Project):
        scope = names.scope(document.workspace, document.name) if document.access else ""
        yield from ((scope, row) for row in document.access)
    elif isinstance(document, Grant):
        yield names.scope(document.workspace or "", document.project or ""), document


def _former(documents: Iterable[Document]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Earlier names by kind and present name, of the documents that have any."""
    return {
        (type(document).__name__, "/".join(id_of(document)[1:])): document.formerly
        for document in documents
        if isinstance(document, Workspace | Project) and document.formerly
    }


def _names(workspaces: Mapping[str, tuple[str, ...]], projects: Mapping[str, tuple[str, ...]]) -> Names:
    return Names(
        (
            Workspace(api_version="hanse/v1", name=name, formerly=former)
            for name, former in workspaces.items()
        ),
        (
            Project(
                api_version="hanse/v1",
                name=name.partition("/")[2],
                workspace=name.partition("/")[0],
                formerly=f,
            )
            for name, f in projects.items()
        ),
    )


def _row(event: _Event) -> Provenance:
    decision = event.decision
    return Provenance(
        commit=decision.commit,
        at=decision.at,
        author=Personal(decision.author),
        committer=Personal(decision.committer),
        message=Personal(decision.message),
        strength=decision.strength,
        signer=Personal(decision.signer) if decision.signer else None,
        reason=Personal(event.reason) if event.reason else None,
    )
