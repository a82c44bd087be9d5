"""From the files of one commit to a manifest and everything that is wrong with it. Opens nothing.

Which files: every `*.yaml` and `*.yml`, except those below a name that begins with a dot (`is_manifest`), and
except what `Organization.ignore` names. A file of these that is no Hanse document is an error, unless it lies below a
folder that a LandingZone names: there its documents are the platform's, and plain values.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from hanse.desired.findings import Finding, Spot, Steps, diagnostics, of_mistake
from hanse.desired.folders import FolderFile, fault, is_below, named_folders, written_folders
from hanse.desired.kinds import Document, LandingZone, Organization
from hanse.desired.manifest import Declared, Elsewhere, Id, Manifest
from hanse.desired.mistakes import mistakes, without
from hanse.desired.paths import MANIFESTS as MANIFESTS
from hanse.desired.paths import glob
from hanse.desired.paths import is_manifest as is_manifest
from hanse.desired.references import check
from hanse.desired.vocabulary import Vocabulary
from hanse.foundation import yaml
from hanse.foundation.canonical import encode
from hanse.foundation.diagnostics import Diagnostic, Place, error, in_order

MISPLACED = "misplaced-document"
_ARRAY = struct.Struct(">BI")  # how msgpack begins an array of any length
_DAMAGED = (msgspec.DecodeError, UnicodeDecodeError)
"""What decoding a damaged row raises; the second where a text in it is none."""


@dataclass(frozen=True)
class Loaded:
    """What became of the files of one commit."""

    manifest: Manifest
    """What is sound; all of it if there are no errors."""
    diagnostics: list[Diagnostic]
    """All errors and warnings, in the order of the files."""
    rows: dict[str, bytes]
    """By path: what to keep for each newly parsed sound file's content, and to give as `known` next time."""
    salvaged: list[Declared]
    """Unsound documents without what is wrong in them, where something is left: what they mention is checked too."""
    counts: Callable[[str], bool]
    """Whether a path is not ignored."""
    doubtful: Mapping[Id, Collection[str]]
    """By document, the tags of which an error is told."""

    def is_own(self, path: str) -> bool:
        """Whether a file is for Hanse's documents: neither ignored, nor below a folder that is a landing zone's."""
        return is_manifest(path) and self.counts(path) and path not in self.manifest.folder_files


def is_seen(path: str) -> bool:
    """Whether no name in a path begins with a dot."""
    return not path.startswith(".") and "/." not in path


def load(
    files: Mapping[str, bytes],
    vocabulary: Vocabulary,
    now: datetime,
    *,
    known: Mapping[str, bytes] | None = None,
    links: Collection[str] = (),
    elsewhere: Elsewhere | None = None,
) -> Loaded:
    """Read all files of a commit and check that they hold together.

    `files` is iterated for paths; the bytes of a path that `known` has a row for are asked for only if an
    error lies in that file, so a mapping that fetches them lazily saves reading what did not change. Rows of
    another version of the language are not used. `links` are symbolic links or submodules, named like files of
    the manifest or leading out of the repository: errors, for what a commit means must stand in it. `now` is
    only used to warn of grants whose time is over. `elsewhere` is the Manifest's: what the whole holds,
    where the files are only a part.
    """
    reading = _Reading(vocabulary)
    recalled = _recalled(known or {}, vocabulary)
    for path in files:
        if is_manifest(path):
            documents = recalled.get(path)
            if documents is None:
                reading.read(path, files[path])
            else:
                reading.declared += [Declared(document, Spot(path, index)) for index, document in documents]
    reading.ignore()
    folder_files = reading.set_folders_apart(files)
    unsound = reading.unsound()
    manifest = Manifest(reading.declared, vocabulary, files, unsound, folder_files, elsewhere)
    findings = reading.findings()
    salvaged = list(reading.salvaged())
    if findings:
        declared = sorted([*reading.declared, *salvaged], key=lambda item: item.spot)
        whole = Manifest(declared, vocabulary, files, unsound, folder_files, elsewhere)
        report = check(whole, now)
        findings += _independent(report.findings, findings)
    else:
        report = check(manifest, now)
        findings = report.findings
    if reading.syntax:
        findings = [*_perhaps_unread(findings, reading.syntax)]
    findings += [told for told in reading.outdated if told.severity == "warning"]
    found = [*reading.syntax, *diagnostics(findings, files), *_links(links, reading.ignored)]
    unread = reading.syntax or any(kind == "Organization" for kind, *_ in unsound)  # it may be in there
    if not manifest.organizations and not unread:
        advice = "add organization.yaml with 'kind: Organization' and a 'name'"
        found.append(error("no-organization", "no organization is declared", advice))
    return Loaded(manifest, in_order(found), reading.rows, salvaged, reading.counts, report.doubtful)


def _independent(findings: Iterable[Finding], of_form: Iterable[Finding]) -> Iterator[Finding]:
    """Findings without those about a whole that has a mistake in it: they may only follow from the mistake."""
    wrong: dict[Spot, list[Finding]] = {}
    for mistake in of_form:
        wrong.setdefault(mistake.spot, []).append(mistake)
    for finding in findings:
        length = len(finding.steps)
        if all(m.steps[:length] != finding.steps for m in wrong.get(finding.spot, ())):
            yield finding


_PLAIN = ("did you mean", "'")
"""How an advice begins that says what is meant."""


def _perhaps_unread(findings: Iterable[Finding], syntax: Sequence[Diagnostic]) -> Iterator[Finding]:
    """Findings; those about what is not declared say that it may stand in a file that could not be read."""
    paths = sorted({found.place.path for found in syntax if found.place})
    for finding in findings:
        if paths and finding.code == "unknown-reference" and not finding.advice.startswith(_PLAIN):
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            advice = f"{finding.advice}; it may stand in {paths[0]}{more}, not read because of an error"
            yield replace(finding, advice=advice)
        else:
            yield finding


class _Unsound(NamedTuple):
    """A document that could not be typed."""

    spot: Spot
    value: dict[str, Any]
    written: Callable[[Steps], Steps]
    """Where a field of it stands in the file."""


class _Reading:
    """The files of one commit as far as they were read."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.declared: list[Declared] = []
        self.rows: dict[str, bytes] = {}
        self.ignored: re.Pattern[str] | None = None
        self._homes: set[str] = set()
        """Where organisations are declared: no pattern ignores these files."""
        self._failed: list[_Unsound] = []
        self.syntax: list[Diagnostic] = []
        """What is not even YAML."""
        self.outdated: list[Finding] = []
        """What is written in an earlier way."""
        self.misplaced: list[Spot] = []
        """Documents of Hanse's where none are read."""

    def read(self, path: str, data: bytes) -> None:
        """Parse and type a file."""
        parsed = yaml.parse(data, path)
        documents: list[tuple[int, Document]] = []
        values: list[tuple[int, dict[str, Any]]] = []
        before = len(self.outdated)
        for item in parsed.documents:
            spot = Spot(path, item.index)
            value, outdated, _ = converted = self.vocabulary.converted(item.value)
            self.outdated += [Finding(*told[:4], spot, told.steps, key=True) for told in outdated]
            try:
                documents.append((item.index, self.vocabulary.typed(value)))
                values.append((item.index, value))
            except msgspec.ValidationError:
                self._failed.append(_Unsound(spot, value, converted.written))
        self.syntax += parsed.diagnostics
        self.declared += [Declared(document, Spot(path, index)) for index, document in documents]
        # What is outdated is to be told each time, so it is not kept.
        if (
            not parsed.diagnostics
            and len(documents) == len(parsed.documents)
            and before == len(self.outdated)
        ):
            self.rows[path] = encode_documents(values, self.vocabulary)

    @property
    def is_sound(self) -> bool:
        """Whether nothing so far is wrong with the form of anything."""
        return not self.syntax and not self.findings()

    def ignore(self) -> None:
        """Forget the files that the organisation ignores; its own file is none of them."""
        patterns: set[str] = set()
        for document, spot in self.declared:
            if isinstance(document, Organization):
                patterns.update(document.ignore)
                self._homes.add(spot.path)
        for failed in self._failed:
            written = failed.value.get("ignore")
            if failed.value.get("kind") == "Organization" and isinstance(written, list):
                patterns.update(pattern for pattern in written if isinstance(pattern, str))
                self._homes.add(failed.spot.path)
        if patterns:
            self.ignored = glob(patterns)
            self._keep(self.counts)

    def counts(self, path: str) -> bool:
        """Whether a file is not ignored."""
        return path in self._homes or not self._is_ignored(path)

    def set_folders_apart(self, files: Mapping[str, bytes]) -> dict[str, FolderFile]:
        """Read what lies below folders that landing zones name as what it is, and forget it as documents of Hanse's."""
        folders = self._folders()
        if not folders:
            return {}
        self._keep(lambda path: not is_below(path, folders))
        found: dict[str, FolderFile] = {}
        for path in files:
            if is_manifest(path) and is_below(path, folders) and not self._is_ignored(path):
                parsed = yaml.parse(files[path], path)
                self.syntax += parsed.diagnostics
                kept: list[yaml.Document] = []
                for item in parsed.documents:
                    if str(item.value.get("apiVersion", "")).startswith("hanse/"):
                        self.misplaced.append(Spot(path, item.index))
                    else:
                        kept.append(item)
                documents = encode([item.value for item in kept]).decode()
                found[path] = FolderFile(documents, tuple(item.index for item in kept))
        return found

    def _folders(self) -> set[str]:
        """Folders that can be meant; one that holds the landing zone which names it cannot."""
        named = {
            (folder, spot.path)
            for document, spot in self.declared
            if isinstance(document, LandingZone)
            for _, folder in named_folders(document)
        }
        kind = self.vocabulary.kinds["LandingZone"]
        for failed in self._failed:
            if failed.value.get("kind") == "LandingZone":
                named.update((folder, failed.spot.path) for folder in written_folders(failed.value, kind))
        return {folder for folder, home in named if fault(folder) is None and not is_below(home, [folder])}

    def _is_ignored(self, path: str) -> bool:
        return self.ignored is not None and self.ignored.fullmatch(path) is not None

    def _keep(self, counts: Callable[[str], bool]) -> None:
        """Forget the files that do not count."""
        self.declared = [item for item in self.declared if counts(item.spot.path)]
        self._failed = [failed for failed in self._failed if counts(failed.spot.path)]
        self.outdated = [told for told in self.outdated if counts(told.spot.path)]
        self.syntax = [d for d in self.syntax if d.place is None or counts(d.place.path)]
        self.rows = {path: row for path, row in self.rows.items() if counts(path)}

    def unsound(self) -> set[Id]:
        """What the unsound documents are called, as far as they say so."""
        found: set[Id] = set()
        for failed in self._failed:
            within = {"Project": "workspace", "LandingZone": "platform"}.get(str(failed.value.get("kind")))
            fields = ("kind", within, "name") if within else ("kind", "name")
            identity = tuple(failed.value.get(name) for name in fields)
            if all(isinstance(name, str) for name in identity):
                found.add(tuple(map(str, identity)))
        return found

    def findings(self) -> list[Finding]:
        """Everything that is wrong with the form of single documents."""
        of_form = [
            of_mistake(replace(mistake, steps=failed.written(mistake.steps)), failed.spot)
            for failed in self._failed
            for mistake in mistakes(failed.value, self.vocabulary)
        ]
        message = "a document of Hanse's lies below a landing zone's folder, and is not read"
        advice = "move it out of the folder"
        wrong = [told for told in self.outdated if told.severity == "error"]
        return (
            of_form + wrong + [Finding("error", MISPLACED, message, advice, spot) for spot in self.misplaced]
        )

    def salvaged(self) -> Iterator[Declared]:
        """Unsound documents without their wrong fields, where they are documents then."""
        for failed in self._failed:
            rest = without(failed.value, mistakes(failed.value, self.vocabulary))
            try:
                yield Declared(self.vocabulary.typed(rest), failed.spot)
            except msgspec.ValidationError:
                continue


def current(rows: Mapping[str, bytes], vocabulary: Vocabulary) -> dict[str, bytes]:
    """The rows that were made under this very language."""
    mark = vocabulary.mark
    return {name: row for name, row in rows.items() if row.startswith(mark)}


def row_of(data: bytes, vocabulary: Vocabulary) -> bytes | None:
    """What to keep of a file's content, and to give as `known`; None where anything in it is wrong or outdated."""
    parsed = yaml.parse(data, "")
    if parsed.diagnostics:
        return None
    values: list[tuple[int, dict[str, Any]]] = []
    for item in parsed.documents:
        converted = vocabulary.converted(item.value)
        if converted.outdated:
            return None
        try:
            vocabulary.typed(converted.value)
        except msgspec.ValidationError:
            return None
        values.append((item.index, converted.value))
    return encode_documents(values, vocabulary)


def parts_of(data: bytes, vocabulary: Vocabulary) -> tuple[list[Document], set[Id]]:
    """The documents of a file as far as they are sound, and what those are called that are not quite."""
    reading = _Reading(vocabulary)
    reading.read("", data)
    return [document for document, _ in (*reading.declared, *reading.salvaged())], reading.unsound()


def sound_documents(data: bytes, vocabulary: Vocabulary) -> list[Document] | None:
    """The documents of one file by itself; None where anything in it is wrong."""
    reading = _Reading(vocabulary)
    reading.read("", data)
    return [document for document, _ in reading.declared] if reading.is_sound else None


def encode_documents(values: list[tuple[int, dict[str, Any]]], vocabulary: Vocabulary) -> bytes:
    """A file's sound documents with their indexes, as a row for the cache: what was written, without the defaults."""
    return vocabulary.mark + msgspec.msgpack.encode(values)


def decode_documents(row: bytes, vocabulary: Vocabulary) -> list[tuple[int, Document]] | None:
    """The documents of a row; None where it was written under another vocabulary or is damaged."""
    if not row.startswith(vocabulary.mark):
        return None
    try:
        return vocabulary.decoder.decode(memoryview(row)[len(vocabulary.mark) :])
    except _DAMAGED:
        return None


def _recalled(known: Mapping[str, bytes], vocabulary: Vocabulary) -> dict[str, list[tuple[int, Document]]]:
    """The documents of rows by path, without those of another language and damaged ones; decoded in one go."""
    ours = current(known, vocabulary)
    lists = b"".join(map(itemgetter(slice(len(vocabulary.mark), None)), ours.values()))
    try:
        found = vocabulary.lists_decoder.decode(_ARRAY.pack(0xDD, len(ours)) + lists)
    except _DAMAGED:
        documents = ((path, decode_documents(row, vocabulary)) for path, row in ours.items())
        return {path: sound for path, sound in documents if sound is not None}
    return dict(zip(ours, found, strict=True))


def _links(links: Iterable[str], ignored: re.Pattern[str] | None) -> Iterable[Diagnostic]:
    for path in links:
        if ignored and ignored.fullmatch(path):
            continue
        if is_manifest(path):
            message = "this is a symbolic link or a submodule, and not read"
        elif is_seen(path):
            message = "this symbolic link leads out of the repository, and is not followed"
        else:
            continue
        advice = "put the file itself here, or name the path in Organization.ignore"
        yield error("not-a-file", message, advice, Place(path, 1, 1))
