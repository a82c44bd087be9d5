"""All sound documents of one commit, by kind and name, and where each of them stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar, cast
from zoneinfo import ZoneInfo

from hanse.desired.compiled import Problem
from hanse.desired.findings import Spot, Steps, about_to_read, place_of
from hanse.desired.folders import FolderFile
from hanse.desired.intent import Term
from hanse.desired.kinds import (
    AccessRow,
    Document,
    Grant,
    Group,
    LandingZone,
    Location,
    Organization,
    PaymentMethod,
    Platform,
    Policy,
    Project,
    Revocation,
    Role,
    TagDefinition,
    Tags,
    User,
    Workspace,
)
from hanse.desired.names import Names, ProjectName
from hanse.desired.paths import is_manifest
from hanse.desired.source import document_source, term_source
from hanse.desired.terms import read_term
from hanse.desired.vocabulary import Vocabulary
from hanse.foundation.diagnostics import Diagnostic, Place
from hanse.foundation.time import Invalid, parse_zone

D = TypeVar("D", bound=Document)
Id = tuple[str, ...]
"""A kind and the names that tell one document of it from the others."""
Scope = tuple[str, str]
"""Present workspace and project of a grant; empty where it is on the workspace or on the organisation."""


class Declared(NamedTuple):
    """A document and where it stands."""

    document: Document
    spot: Spot


class Taken(NamedTuple):
    """A grant that is declared and revoked."""

    scope: Scope
    term: Term
    identity: Id
    """The document that it stands in."""
    steps: Steps
    """The way to it."""
    by: list[Revocation]


def _whom(row: AccessRow | Grant | Revocation) -> tuple[str, str]:
    return ("user", row.user) if row.user is not None else ("group", row.group or "")


def id_of(document: Document) -> Id:
    """What a document is called: its kind and names."""
    kind = type(document).__name__
    if isinstance(document, Project):
        return kind, document.workspace, document.name
    if isinstance(document, LandingZone):
        return kind, document.platform, document.name
    return kind, cast("Any", document).name


class Elsewhere(Protocol):
    """What the whole holds of which a manifest is a part."""

    def declared(self, kind: str) -> Collection[str]:
        """The names of all documents of a kind, without the kind."""
        ...

    def below(self, folder: str) -> Collection[str]:
        """All files in a folder, at whatever depth; in the empty one: all that there are."""
        ...


class Manifest:
    """The documents of one commit. Where it has errors, what is sound of it."""

    def __init__(
        self,
        declared: Iterable[Declared],
        vocabulary: Vocabulary,
        files: Mapping[str, bytes],
        unsound: Iterable[Id] = (),
        folder_files: Mapping[str, FolderFile] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Sort documents by kind and name; of several with one name the first counts.

        `files` is asked for a file's bytes only when a place in it is wanted. `unsound` names documents that
        are there but could not be typed, so that references to them are not called dangling. `folder_files` are
        the files below folders that landing zones name, by path. Of a manifest that is only a part, `elsewhere` knows
        what the whole holds, so that the same is said and suggested as of the whole.
        """
        self.vocabulary = vocabulary
        self.files = files
        self.unsound = frozenset(unsound)
        self.folder_files = dict(sorted((folder_files or {}).items()))
        self._counts: Counter[str] | None = None
        self._elsewhere = elsewhere
        self.repeated: list[Declared] = []
        """Documents whose name another one had already."""
        self._declared: dict[Id, Declared] = {}
        for item in declared:
            if self._declared.setdefault(id_of(item[0]), item) is not item:
                self.repeated.append(item)
        sorts: dict[str, dict[Any, Any]] = {kind: {} for kind in vocabulary.kinds}
        for (kind, *names), (document, _) in self._declared.items():
            sorts[kind][names[0] if len(names) == 1 else tuple(names)] = document
        self.organizations: dict[str, Organization] = sorts["Organization"]
        self.locations: dict[str, Location] = sorts["Location"]
        self.platforms: dict[str, Platform] = sorts["Platform"]
        self.landing_zones: dict[tuple[str, str], LandingZone] = sorts["LandingZone"]
        """By platform and name."""
        self.tag_definitions: dict[str, TagDefinition] = sorts["TagDefinition"]
        self.policies: dict[str, Policy] = sorts["Policy"]
        self.roles: dict[str, Role] = sorts["Role"]
        self.workspaces: dict[str, Workspace] = sorts["Workspace"]
        self.users: dict[str, User] = sorts["User"]
        self.groups: dict[str, Group] = sorts["Group"]
        self.projects: dict[ProjectName, Project] = sorts["Project"]
        """By workspace and name."""
        self.grants: dict[str, Grant] = sorts["Grant"]
        self.revocations: dict[str, Revocation] = sorts["Revocation"]
        self.payment_methods: dict[str, PaymentMethod] = sorts["PaymentMethod"]
        self.names = Names(self.workspaces.values(), self.projects.values())

    @property
    def organization(self) -> Organization | None:
        """The organisation, where exactly one is declared soundly (of several: the first)."""
        return next(iter(self.organizations.values()), None)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone of bare dates; UTC where the organisation names none that exists."""
        zone = parse_zone(self.organization.timezone) if self.organization else None
        return ZoneInfo("UTC") if zone is None or isinstance(zone, Invalid) else zone

    @cached_property
    def tags_of(self) -> dict[str, dict[str, TagDefinition]]:
        """By kind of documents: the tags that are defined for it, by name."""
        found: dict[str, dict[str, TagDefinition]] = {}
        for name, definition in self.tag_definitions.items():
            for kind in definition.kinds:
                found.setdefault(kind, {})[name] = definition
        return found

    @cached_property
    def tag_defaults(self) -> dict[str, Tags]:
        """By kind of documents: what holds where a tag is absent."""
        return {
            kind: {name: one.default for name, one in defined.items() if one.default is not None}
            for kind, defined in self.tags_of.items()
        }

    @cached_property
    def terms(self) -> dict[Scope, list[Term]]:
        """Sound grants by scope, inline ones and files together, in no order and with repetitions.

        What a Revocation takes away is none of them.
        """
        found: dict[Scope, list[Term]] = {}
        for scope, term, _ in self.sound_terms():
            if not self._revocations or not self.revocations_of(scope, term):
                found.setdefault(scope, []).append(term)
        return found

    def sound_terms(self, whose: tuple[str, str] | None = None) -> Iterator[tuple[Scope, Term, Id]]:
        """Every sound grant that is declared, revoked or not, with the document that it stands in; or one subject's."""
        for scope, row, identity, _ in self.access_rows():
            if (row.user is None) != (row.group is None) and (whose is None or whose == _whom(row)):
                term = read_term(row, self.zone)
                if isinstance(term, Term):
                    yield scope, term, identity

    def revocations_of(self, scope: Scope, term: Term) -> list[Revocation]:
        """All Revocations that take this grant away."""
        concerned = self._revocations.get((term.subject_kind, term.subject))
        if not concerned:
            return []
        oldest = self.names.scope(*scope)
        return [one for place, one in concerned if place == oldest and one.role in (None, term.role)]

    @cached_property
    def _revocations(self) -> dict[tuple[str, str], list[tuple[str, Revocation]]]:
        """By whose grants they take away, with their scopes by oldest names; those that name nobody take nothing."""
        found: dict[tuple[str, str], list[tuple[str, Revocation]]] = {}
        for one in self.revocations.values():
            if (one.user is None) != (one.group is None) and (one.workspace or not one.project):
                scope = self.names.scope(one.workspace or "", one.project or "")
                found.setdefault(_whom(one), []).append((scope, one))
        return found

    @cached_property
    def taken(self) -> list[Taken]:
        """The grants that Revocations take away, each with all that do."""
        found = []
        for scope, row, identity, steps in self.access_rows() if self._revocations else ():
            if _whom(row) in self._revocations and (row.user is None) != (row.group is None):
                term = read_term(row, self.zone)
                if isinstance(term, Term) and (by := self.revocations_of(scope, term)):
                    found.append(Taken(scope, term, identity, steps, by))
        return found

    @cached_property
    def revoked(self) -> dict[str, str]:
        """The grants that Revocations take away, and by which: names as of `desired.source`."""
        return {
            term_source(self.names.scope(*scope), term): document_source("Revocation", by[0].name)
            for scope, term, _, _, by in self.taken
        }

    def access_rows(self) -> Iterable[tuple[Scope, AccessRow | Grant, Id, Steps]]:
        """Every grant that is declared: its scope, and where it stands (document and way to it)."""
        for name, organization in self.organizations.items():
            for i, row in enumerate(organization.access):
                yield ("", ""), row, ("Organization", name), ("access", i)
        for name, workspace in self.workspaces.items():
            for i, row in enumerate(workspace.access):
                yield (name, ""), row, ("Workspace", name), ("access", i)
        for names, project in self.projects.items():
            if project.access:
                identity = ("Project", *names)
                for i, row in enumerate(project.access):
                    yield names, row, identity, ("access", i)
        for name, grant in self.grants.items():
            yield (grant.workspace or "", grant.project or ""), grant, ("Grant", name), ()

    def known(self, kind: str) -> Collection[str]:
        """The names of all documents of a kind, such as `shop/prod`, for suggestions."""
        names = {"/".join(names) for other, *names in self._declared if other == kind}
        if self._elsewhere is not None:
            names.update(self._elsewhere.declared(kind))
        return names

    def files_below(self, folder: str) -> Collection[str]:
        """All files of the manifest in a folder, at whatever depth; in the empty one: all that there are."""
        if self._elsewhere is not None:
            return self._elsewhere.below(folder)
        begin = f"{folder}/" if folder else ""
        return [path for path in self.files if path.startswith(begin) and is_manifest(path)]

    def documents(self) -> Iterable[Declared]:
        """All documents and where they stand, those included whose name another one had already."""
        return [*self._declared.values(), *self.repeated]

    def spot(self, identity: Id) -> Spot:
        """Where the document of that kind and name stands. Raises KeyError."""
        return self._declared[identity].spot

    def is_alone(self, identity: Id) -> bool:
        """Whether the document is the only one of its file. Of a file with errors this is not known."""
        if self._counts is None:
            self._counts = Counter(spot.path for _, spot in (*self._declared.values(), *self.repeated))
        return self._counts[self.spot(identity).path] == 1

    def declared(self, identity: Id) -> bool:
        """Whether a document of that kind and name is there, sound or not."""
        return identity in self._declared or identity in self.unsound

    def place(self, source: str, path: Steps = (), *, key: bool = False) -> Place | None:
        """Where a declaration (named as in `desired.source`, by present or oldest names) or its field stands.

        None where this manifest does not declare it.
        """
        found = self._spot_of(source)
        if found is None:
            return None
        spot, steps = found
        return place_of(self.files, spot, (*steps, *self._counted(source, path)), key=key)

    def _counted(self, source: str, path: Steps) -> Steps:
        """The way to a field, where a row of `tenants` is named by its platform: with its number instead."""
        match path:
            case ("tenants", str(platform), *rest):
                project = self._declared[self._identity(source)].document
                rows = project.tenants if isinstance(project, Project) else ()
                number = next((i for i, row in enumerate(rows) if row.platform == platform), 0)
                return ("tenants", number, *rest)
        return path

    def _spot_of(self, source: str) -> tuple[Spot, Steps] | None:
        if source.startswith("grant "):
            grant = self._grants_by_source.get(source)
            return (self.spot(grant[0]), grant[1]) if grant else None
        if source.startswith("file "):
            spot = self._spot_of_file(source.removeprefix("file "))
            return (spot, ()) if spot else None
        identity = self._identity(source)
        return (self.spot(identity), ()) if identity in self._declared else None

    def _identity(self, source: str) -> Id:
        """What a document is called now that is named so, by present or oldest names."""
        kind, _, names = source.partition(" ")
        identity = (kind, *names.split("/"))
        if identity not in self._declared and kind in ("Workspace", "Project"):
            holder = self.names.holder(*identity[1:])
            return id_of(holder) if holder else identity
        return identity

    def _spot_of_file(self, name: str) -> Spot | None:
        """Where a file below a landing zone's folder, or one of its documents, stands."""
        if name in self.folder_files:
            return Spot(name, 0)
        path, _, number = name.rpartition("#")
        file = self.folder_files.get(path)
        return Spot(path, file.indexes[int(number)]) if file else None

    def diagnostic(self, problem: Problem) -> Diagnostic:
        """A finding of compile, placed in the file that declares what it is about."""
        return self.diagnostics([problem])[0]

    def diagnostics(self, problems: Iterable[Problem]) -> list[Diagnostic]:
        """The same of many, whose files are read at once."""
        problems = list(problems)
        spots = (self._spot_of(problem.source) for problem in problems)
        about_to_read(self.files, {found[0].path for found in spots if found})
        return [
            Diagnostic(p.severity, p.code, p.message, p.advice, self.place(p.source, p.path))
            for p in problems
        ]

    @cached_property
    def _grants_by_source(self) -> dict[str, tuple[Id, Steps]]:
        found: dict[str, tuple[Id, Steps]] = {}
        for scope, row, identity, steps in self.access_rows():
            term = read_term(row, self.zone)
            if isinstance(term, Term):
                found.setdefault(term_source(self.names.scope(*scope), term), (identity, steps))
        return found
