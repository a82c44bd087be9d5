"""What a change of the manifest broke: only that is looked at which the change can be felt by.

Told is what may be another since a commit that somebody names; or everything, by what the last sound check found of the
rest.

An index of one commit tells who mentions whom. It is moved along with the commits that are checked, so that the cost
grows with what changed. Where there is none yet, or where nearly everything is affected, all is checked and only
what the change can be felt by is told. The index is a cache: it says what is looked at, never what is found there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from hanse.desired.affected import (
    LOADED,
    VERSION,
    Graph,
    United,
    affected,
    folders_above,
    is_definition,
    is_renaming,
    mentions,
    name_of,
    needed,
    turns,
)
from hanse.desired.compiled import UNKNOWN_EXTERNAL_ID
from hanse.desired.kinds import Document
from hanse.desired.load import MISPLACED, Loaded, decode_documents, is_manifest, load, parts_of
from hanse.desired.manifest import Declared, Id
from hanse.desired.source import document_source
from hanse.desired.trust import PROTECTS_NOTHING
from hanse.foundation.canonical import digest
from hanse.foundation.diagnostics import Diagnostic, in_order
from hanse.foundation.yaml import MAX_BYTES, parse
from hanse.policy import BROKEN, FAILED, MAX_TOLD, MORE
from hanse.ports.source import Source, SourceError, blob_id
from hanse.ports.store import Head, Index, Noted, Remembered, Rows, StoreError
from hanse.service.estate import Language
from hanse.service.halves import beside
from hanse.service.validate import (
    Blobs,
    Checked,
    checked,
    known_rows,
    load_blobs,
    manifest_files,
    without_looking_for_garbage,
)

MOST = 5_000
"""Where more documents than these are affected, all are looked at."""


MOST_FINDINGS = 10_000
"""Of a commit with more findings nothing is remembered."""
MOST_DAYS = 400
"""So long a check is remembered."""
FEW = 5_000
"""Where there are fewer files than these, the index is made in no process of its own."""


async def check_since(
    source: Source, language: Language, since: str, commit: str, now: datetime, index: Index
) -> Checked:
    """Check what of a commit may be another since an earlier one. Raises SourceError."""
    look = _Look(source, language, commit, now, index)
    with without_looking_for_garbage():
        with suppress(StoreError, _AllError), index.transaction():
            checked, _ = await look.at_some(await look.changed(since))
            return checked
        return await look.at_all(since)


async def check_again(
    source: Source, language: Language, commit: str, now: datetime, index: Index
) -> Checked:
    """Check a commit, but look only at what may be another since the last sound one. Raises SourceError.

    The findings are those of a check of everything; of what was not looked at, as they are remembered.
    """
    look = _Look(source, language, commit, now, index)
    with without_looking_for_garbage():
        with suppress(StoreError, _AllError), index.transaction():
            checked, _ = await look.again()
            return checked
        return await look.at_all()


async def check_all(source: Source, language: Language, commit: str, now: datetime, index: Index) -> Checked:
    """Check all of a commit, and make the index anew. Raises SourceError."""
    with without_looking_for_garbage():
        return await _Look(source, language, commit, now, index).at_all()


@dataclass(frozen=True)
class Change:
    """A commit, checked by what changed since the accepted one."""

    checked: Checked
    """The intents are those of what this can be felt by, and of what that stands on."""
    changed: frozenset[str]
    """The documents that came, went, or are others now."""
    felt: frozenset[str]
    """All documents that this can be felt by."""


async def check_change(
    source: Source, language: Language, accepted: Head, commit: str, now: datetime, index: Index
) -> Change | None:
    """Check a commit that follows the accepted one, or is it, as `check_again` does.

    None where all is to be looked at, where the manifest revokes anything, or where it is not known that the accepted
    commit is accepted just as it is written. Raises SourceError and StoreError.
    """
    look = _Look(source, language, commit, now, index)
    with without_looking_for_garbage(), suppress(_AllError), index.transaction():
        last = index.remembered(look.mark)
        if last is None or (last.commit, last.accepted) != (accepted.commit, digest(accepted)):
            return None
        if index.commit(look.mark) != accepted.commit or index.declared("Revocation"):
            return None
        changed = await look.changed(accepted.commit)
        if changed.links or _zones(changed, index):
            return None
        checked, selection = await look.again()
        return Change(checked, frozenset(changed.names), frozenset(selection.judged or ()))
    return None


def note_accepted(language: Language, accepted: Head, index: Index) -> None:
    """Remember that a commit that was checked last is accepted just as it is written. Raises StoreError."""
    mark = _mark(language)
    with index.transaction():
        last = index.remembered(mark)
        if last is not None and last.commit == accepted.commit:
            index.remember(mark, Remembered(last.commit, last.at, last.findings, digest(accepted)))


def check_worktree_since(source: Source, language: Language, since: str, now: datetime) -> Checked:
    """Check what of the working tree may be another since a commit. Raises SourceError.

    All of it is looked at, for nobody knows beforehand what lies there.
    """
    with without_looking_for_garbage():
        files, links = source.worktree()
        loaded = load(files, language.vocabulary, now, links=links)
        old, _ = manifest_files(source, since)
        ids = {path: blob_id(content, len(since)) for path, content in files.items() if is_manifest(path)}
        differing = [path for path in ids.keys() | old.blobs.keys() if ids.get(path) != old.blobs.get(path)]
        before = dict(source.read({old.blobs[p] for p in differing if p in old.blobs}, limit=MAX_BYTES))
        comparing = _Comparing()
        for path in differing:
            contents = before.get(old.blobs.get(path, ""), b""), files.get(path, b"")
            comparing.add(path, *(parts_of(content, language.vocabulary) for content in contents))
        blobs = {path: ids.get(path, "") for path in differing}
        came_or_went = ids.keys() != old.blobs.keys()
        asked = comparing.changed(blobs, links, [], came_or_went)
        graph = _Memory(_all_noted(loaded, ids))
        selection = _Selection(_Felt(graph, len(ids) + MOST, asked), None, asked, loaded)
        return checked("", loaded, language, now, selection)


def _mark(language: Language) -> str:
    """Changes with all that an index is made by."""
    return f"{language.vocabulary.mark.decode()}/{VERSION}"


class _AllError(Exception):
    """All is to be looked at, and nothing noted of what was seen so far."""


@dataclass(frozen=True)
class _Changed:
    """What differs between two commits."""

    blobs: dict[str, str]
    """By path: the content now, empty where there is none."""
    links: list[str]
    names: set[str]
    """The documents that were added, changed, moved or taken out."""
    noted: list[Noted]
    before: list[Noted]
    """Of these documents, what they mentioned before."""
    came_or_went: bool
    """Whether any file was added or taken out."""
    touched: set[str]
    """All documents of changed files, of earlier ones too."""
    since: str
    """The earlier commit."""


class _Look:
    """One look at a commit, for what may be another since an earlier one."""

    def __init__(self, source: Source, language: Language, commit: str, now: datetime, index: Index) -> None:
        self._source = source
        self._language = language
        self._commit = commit
        self._now = now
        self._index = index
        self.mark = _mark(language)

    async def again(self) -> tuple[Checked, _Selection]:
        """Look at what is affected since the last sound commit. Raises _AllError where that cannot be."""
        last = self._index.remembered(self.mark)
        if last is None or not last.at <= self._now < last.at + timedelta(days=MOST_DAYS):
            raise _AllError
        try:
            changed = await self.changed(last.commit)
        except SourceError:  # the repository has lost that commit
            raise _AllError from None
        # In a changed file something may lie on another line now, though nothing else of it changed.
        changed = replace(changed, names=changed.names | changed.touched)
        checked, selection = await self.at_some(changed, turns(last.at, self._now))
        kept = [found for found in last.findings if not selection.renews(found)]
        if any(path in found.message for found in kept for path in changed.blobs):
            raise _AllError
        # Of a platform some things are told as long as anybody is on it, and of a person as long as two meet.
        where = self._index.within({found.place.path for found in kept if found.place})
        if selection.changed and any(name.startswith(("Platform ", "User ")) for name in where):
            raise _AllError
        found = in_order(dict.fromkeys([*checked.diagnostics, *kept]))
        codes = Counter(one.code for one in found)
        if codes[BROKEN] > MAX_TOLD or not codes.keys().isdisjoint(_OF_ALL):
            raise _AllError
        checked = replace(checked, diagnostics=found, since=last.commit)
        self._remember(checked)
        return checked, selection

    def _remember(self, checked: Checked) -> None:
        if checked.is_sound and len(checked.diagnostics) <= MOST_FINDINGS:
            self._index.remember(self.mark, Remembered(self._commit, self._now, tuple(checked.diagnostics)))

    async def at_some(self, asked: _Changed, turning: Collection[str] = ()) -> tuple[Checked, _Selection]:
        """Look at what is affected alone, and move the index. Raises _AllError where that cannot be.

        What mentions any of `turning` counts as changed.
        """
        index = self._index
        known = index.commit(self.mark)
        if not known:
            raise _AllError
        try:
            moved = asked if known == asked.since else await self.changed(known)
        except SourceError:  # the repository has lost that commit
            raise _AllError from None
        index.move(self._commit, moved.blobs, moved.noted)
        asked = replace(asked, names=asked.names | index.mentioning(turning))
        felt, by_all = _Felt(index, MOST, asked), _Felt(index, MOST, asked, moved)
        judged = by_all.names
        if felt.names is None or judged is None or by_all.is_renaming:
            raise _AllError
        always = {f"{kind.__name__} {name}" for kind in LOADED for name in index.declared(kind.__name__)}
        # Whether a tag is defined soundly is felt by all, so what the definitions stand on is needed too.
        # What is gone is judged with what it stood on.
        graph = United(index, _Memory([*asked.before, *moved.before]))
        names = always | needed({*judged, *filter(is_definition, always)}, graph)
        unsound = index.unsound()  # of two documents with one name, the second; the first is what counts
        found = index.declaring(names | index.within(unsound)) | unsound
        for folder in (name.removeprefix("Folder ") for name in names if name.startswith("Folder ")):
            found |= index.below(folder)
        found |= {path: blob for path, blob in asked.blobs.items() if blob}
        files = Blobs(self._source, dict(sorted(found.items(), key=lambda item: item[0].encode())))
        rows = await self._rows(files.blobs.values())
        loaded = load_blobs(files, self._language, self._now, rows, asked.links, index)
        if loaded.manifest.organization is None:
            raise _AllError
        wrong = _wrong(loaded.diagnostics)
        settled = [
            Noted(n.path, n.blob, sound=True, mentions=n.mentions if loaded.is_own(n.path) else {})
            for n in moved.noted
            if not n.sound and n.path not in wrong
        ]
        index.move(self._commit, [noted.path for noted in settled], settled)
        selection = _Selection(felt, judged, asked, loaded)
        result = checked(self._commit, loaded, self._language, self._now, selection)
        if any(one.code == UNKNOWN_EXTERNAL_ID for one in result.diagnostics):
            raise _AllError  # only among all people it is known that nobody has it
        mine = {name for names in result.natives.values() for name in names}
        if any(sources - judged - result.natives.keys() for sources in index.holding(mine).values()):
            raise _AllError  # somebody who was not looked at has that name already
        index.keep_natives(
            {name for name in judged if name.startswith("Project ")} | moved.names, result.natives
        )
        return result, selection

    async def at_all(self, since: str = "") -> Checked:
        """Look at everything, and make the index anew. Of a check since a commit tell what may be another."""
        files, links = manifest_files(self._source, self._commit)
        later = _Later(self._index)
        rows = await known_rows(self._source, self._language, files.blobs.values(), later)

        def keep() -> None:
            self._index.reopen()
            self._index.keep(later.made)
            self._index.close()

        self._index.close()
        with beside(keep, len(later.made), FEW):
            loaded = load_blobs(files, self._language, self._now, rows, links)
        selection = None
        if since:
            self._index.reopen()
            asked = await self.changed(since)
            graph = _Memory(_all_noted(loaded, files.blobs))
            selection = _Selection(_Felt(graph, len(files) + MOST, asked), None, asked, loaded)

        def fill() -> None:
            self._index.reopen()
            with suppress(StoreError), self._index.transaction():
                self._index.fill(self._commit, self.mark, _all_noted(loaded, files.blobs))
            self._index.close()  # which takes long where much was written

        self._index.close()
        with beside(fill, len(files), FEW):
            result = checked(self._commit, loaded, self._language, self._now, selection)
        self._index.reopen()
        with suppress(StoreError), self._index.transaction():
            self._index.fill_natives(self._commit, result.natives)
            if selection is None:
                self._remember(result)
        return result

    async def changed(self, since: str) -> _Changed:
        """What differs from an earlier commit. Raises SourceError."""
        changes, links = self._source.difference(since, self._commit)
        changes = [change for change in changes if is_manifest(change.path)]
        rows = await self._rows({blob for change in changes for blob in (change.old, change.new) if blob})

        def read(blob: str) -> _Documents:
            if not blob or blob in rows:
                known = decode_documents(rows.get(blob, b""), self._language.vocabulary) or ()
                return [document for _, document in known], set()
            content = dict(self._source.read([blob], limit=MAX_BYTES)).get(blob, b"")
            return parts_of(content, self._language.vocabulary)

        comparing = _Comparing()
        noted = []
        for change in changes:
            new = read(change.new)
            comparing.add(change.path, read(change.old), new)
            if change.new:
                noted.append(_noted(change.path, change.new, new[0], sound=change.new in rows))
        blobs = {change.path: change.new for change in changes}
        came_or_went = any(not (change.old and change.new) for change in changes)
        return comparing.changed(blobs, links, noted, came_or_went, since)

    async def _rows(self, blobs: Collection[str]) -> Mapping[str, bytes]:
        return await known_rows(self._source, self._language, blobs, self._index)


class _Later:
    """What was parsed of some files; what is parsed now is kept later."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.made: Mapping[str, bytes] = {}

    async def parsed(self, blob_ids: Iterable[str]) -> dict[str, bytes]:
        """Cached parse results by git blob id."""
        return await self._rows.parsed(blob_ids)

    async def keep_parsed(self, rows: Mapping[str, bytes]) -> None:
        """Note what is to be cached."""
        self.made = rows


_OF_ALL = {FAILED, MORE, MISPLACED}
"""Findings that tell of several documents together, or of what is none for the rest."""
_Documents = tuple[list[Document], set[Id]]
"""The documents of a file, and what those are called that are not quite sound."""


class _Comparing:
    """Two sides of some files, document by document."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._before: dict[str, list[tuple[str, Document]]] = {}
        self._after: dict[str, list[tuple[str, Document]]] = {}

    def add(self, path: str, old: _Documents, new: _Documents) -> None:
        """Compare one file's; what is not quite sound counts as changed."""
        for side, (documents, unsound) in ((self._before, old), (self._after, new)):
            self._names.update(document_source(*identity) for identity in unsound)
            for document in documents:
                side.setdefault(name_of(document), []).append((path, document))

    def changed(
        self,
        blobs: dict[str, str],
        links: list[str],
        noted: list[Noted],
        came_or_went: bool,
        since: str = "",
    ) -> _Changed:
        """What came out."""
        before, after = self._before, self._after
        names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        former = (_noted("", "", (d for _, d in before[name]), sound=True) for name in names & before.keys())
        touched = self._names | before.keys() | after.keys()
        return _Changed(blobs, links, self._names | names, noted, list(former), came_or_went, touched, since)


class _Selection:
    """What is told: findings about affected documents, and what is wrong with changed files themselves."""

    def __init__(
        self,
        felt: _Felt,
        judged: Collection[str] | None,
        asked: _Changed,
        loaded: Loaded,
    ) -> None:
        self.judged = judged
        self._told = felt.names
        self._is_renaming = felt.is_renaming
        self.changed = bool(asked.names)
        """Whether any document counts as changed."""
        self._asked = asked
        self._loaded = loaded

    def told(self, name: str) -> bool:
        """Whether findings about this document are told."""
        return self._told is None or name in self._told

    def tells(self, diagnostic: Diagnostic) -> bool:
        """Whether this finding is."""
        place = diagnostic.place
        if place is None or self._told is None or (self._is_renaming and diagnostic.code == "former-name"):
            return True
        if self._asked.came_or_went and diagnostic.code == PROTECTS_NOTHING:
            return True
        if place.path in self._asked.links or place.path in self._loaded.manifest.folder_files:
            return True
        here = self._names.get(place.path, {})
        number = 0
        if here.keys() != {0} or place.path in self._asked.blobs:
            documents = parse(self._loaded.manifest.files[place.path], "").documents
            number = max((d.index for d in documents if d.line <= place.line), default=-1)
        changed = place.path in self._asked.blobs
        return self.told(here[number]) if number in here else changed

    def renews(self, finding: Diagnostic) -> bool:
        """Whether this finding of the earlier commit, all of whose changed files are told, is found anew or gone."""
        place = finding.place
        if place is None or place.path in self._asked.blobs:
            return True
        return place.path in self._names and self.tells(finding)

    @cached_property
    def _names(self) -> dict[str, dict[int, str]]:
        found: dict[str, dict[int, str]] = {}
        for document, spot in _documents(self._loaded):
            found.setdefault(spot.path, {})[spot.number] = name_of(document)
        return found


class _Memory:
    """Who mentions whom in a manifest that was read whole."""

    def __init__(self, files: Iterable[Noted]) -> None:
        self._mentioning: dict[str, set[str]] = {}
        self._mentioned: dict[str, set[str]] = {}
        for file in files:
            for name, targets in file.mentions.items():
                self._mentioned.setdefault(name, set()).update(targets)
                for target in targets:
                    self._mentioning.setdefault(target, set()).add(name)

    def mentioning(self, targets: Collection[str]) -> set[str]:
        """The documents that mention any of these."""
        return set().union(*(self._mentioning.get(target, ()) for target in targets))

    def mentioned(self, sources: Collection[str]) -> set[str]:
        """What any of these documents mention."""
        return set().union(*(self._mentioned.get(source, ()) for source in sources))


def _documents(loaded: Loaded) -> Iterable[Declared]:
    return [*loaded.manifest.documents(), *loaded.salvaged]


class _Felt:
    """What some changes can be felt by."""

    def __init__(self, graph: Graph, most: int, *changes: _Changed) -> None:
        names: set[str] = set()
        now, before = graph, _Memory([noted for change in changes for noted in change.before])
        for change in changes:
            names |= change.names | _zones(change, graph)
            graph = United(graph, _Memory(change.before))
        self.is_renaming = is_renaming(names, graph)
        """Whether one of them has or had an earlier name."""
        # What lies below another folder is another's document now, or none any more, though nothing of it changed.
        moving = _folders(names, now) != _folders(names, before)
        self.names = None if moving else affected(names, graph, most)
        """None where it is more than so many documents, or all."""


def _zones(changed: _Changed, graph: Graph) -> set[str]:
    """The landing zones below whose folders something changed."""
    return graph.mentioning({folder for path in changed.blobs for folder in folders_above(path)})


def _folders(names: Iterable[str], graph: Graph) -> set[str]:
    """The folders that landing zones among these documents name."""
    zones = {name for name in names if name.startswith("LandingZone ")}
    return {word for word in graph.mentioned(zones) if word.startswith("Folder ")}


def _noted(path: str, blob: str, documents: Iterable[Document], *, sound: bool) -> Noted:
    found: dict[str, tuple[str, ...]] = {}
    for document in documents:
        name = name_of(document)
        found[name] = (*found.get(name, ()), *mentions(document))
    return Noted(path, blob, sound, found)


def _all_noted(loaded: Loaded, blobs: Mapping[str, str]) -> list[Noted]:
    documents: dict[str, list[Document]] = {}
    for document, spot in _documents(loaded):
        documents.setdefault(spot.path, []).append(document)
    wrong = _wrong(loaded.diagnostics)
    return [
        _noted(path, blob, documents.get(path, ()), sound=path not in wrong) for path, blob in blobs.items()
    ]


def _wrong(diagnostics: Iterable[Diagnostic]) -> set[str]:
    return {d.place.path for d in diagnostics if d.place and d.severity == "error"}
