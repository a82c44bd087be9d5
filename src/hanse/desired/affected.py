"""What a change of some documents can be felt by: which others are to be judged anew, and what that takes.

Documents are named as in `desired.source`, such as `Project shop/prod`. Who mentions whom is all that is asked of a
manifest here, so the answer can come from an index as well as from memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

from hanse.desired.folders import named_folders
from hanse.desired.kinds import (
    AccessRow,
    Document,
    Grant,
    Group,
    LandingZone,
    Organization,
    PaymentMethod,
    Platform,
    Policy,
    Project,
    Revocation,
    Role,
    Signer,
    TagDefinition,
    Trust,
    User,
    Who,
    Workspace,
)
from hanse.desired.manifest import id_of
from hanse.desired.marks import marked
from hanse.desired.names import trail
from hanse.desired.source import document_source

VERSION = 4
"""To be counted up with every change of what `mentions` says: an index of another version is made anew."""
EVERYWHERE: tuple[type[Document], ...] = (Organization, TagDefinition, Policy, Role)
"""What every other document may stand on: a change of one of these is felt by all."""
LOADED: tuple[type[Document], ...] = (*EVERYWHERE, LandingZone, Revocation)
"""What is few, and looked through as a whole by what is said of others: always at hand."""
_CARRIERS = ("Group ", "Location ", "Platform ", "LandingZone ")
"""What stands on others and is stood on for what they are: a change below is felt above."""
_ON_SCOPES = ("Grant ", "Revocation ")
"""What says of a scope, in a file of its own, who has access: a change of it is one of the scope."""
_ON = "On "
"""How the word for a scope begins under which these mention it."""
_NAMED = ("Project ", "Workspace ")
"""What may have had other names."""
_ONCE = "Once "
"""How the word for such a name begins."""
_TRUST = "Trust"
"""What all documents mention that say who may change what: they are looked at together."""
_TURN = "Turn"
"""How the words for days begin on which a grant or a signer begins or ends."""
_EXTERNAL = "External "
"""How the word begins under which users mention an external id that they have, and platforms the one they read."""
_SELF_CONTAINED = ("Workspace ", "PaymentMethod ")
"""What it mentions is asked for only where it is judged itself."""


class Graph(Protocol):
    """Who mentions whom in a manifest. What is mentioned need not be declared."""

    def mentioning(self, targets: Collection[str]) -> set[str]:
        """The documents that mention any of these."""
        ...

    def mentioned(self, sources: Collection[str]) -> set[str]:
        """What any of these documents mention."""
        ...


def name_of(document: Document) -> str:
    """What a document is called here."""
    return document_source(*id_of(document))


def is_everywhere(name: str) -> bool:
    """Whether a document of that name is one that all others may stand on."""
    return name.partition(" ")[0] in _EVERYWHERE_NAMES


def is_definition(name: str) -> bool:
    """Whether a document of that name defines a tag."""
    return name.startswith("TagDefinition ")


_EVERYWHERE_NAMES = frozenset(kind.__name__ for kind in EVERYWHERE)


def mentions(document: Document) -> set[str]:
    """All that a document mentions. Folders and names that it once had are mentioned under words of their own."""
    return set(_mentions(document))


def is_renaming(changed: Collection[str], graph: Graph) -> bool:
    """Whether any that changes stands or stood for earlier names, which may be anybody's."""
    named = {name for name in changed if name.startswith(_NAMED)}
    return any(word.startswith(_ONCE) for word in graph.mentioned(named))


def turns(start: datetime, end: datetime) -> set[str]:
    """What those documents mention of which something may begin or end between two instants.

    A day is mentioned as it is written, so this takes the days before and after too, as they are in some zone.
    """
    first = start.date() - timedelta(days=1)
    return {f"{_TURN} {first + timedelta(days=day)}" for day in range((end.date() - first).days + 2)}


def folders_above(path: str) -> Iterator[str]:
    """What a landing zone mentions whose folder a file lies below."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield f"Folder {path}"


class United:
    """Two graphs, such as that of what is and that of what was."""

    def __init__(self, one: Graph, other: Graph) -> None:
        """Hold both."""
        self._one, self._other = one, other

    def mentioning(self, targets: Collection[str]) -> set[str]:
        """The documents that mention any of these."""
        return self._one.mentioning(targets) | self._other.mentioning(targets)

    def mentioned(self, sources: Collection[str]) -> set[str]:
        """What any of these documents mention."""
        return self._one.mentioned(sources) | self._other.mentioned(sources)


def affected(changed: Collection[str], graph: Graph, most: int) -> frozenset[str] | None:
    """The documents that are to be judged anew when these change; None where they are more than so many, or all.

    A user is felt by the groups it is in, by their grants, and by the scopes that these are on. The graph knows too
    what those mentioned that are gone or changed.
    """
    grants = {name for name in changed if name.startswith(_ON_SCOPES)}
    on = scopes(grants, graph)
    if any(map(is_everywhere, changed)) or None in on:
        return None
    changed = {*changed, *filter(None, on), *_renamed(grants, graph), *_known_by_changed(changed, graph)}
    changed.update(_namesakes(changed, graph))
    found, wave = set(changed), set(changed)
    wave |= _revoking(changed, graph)
    found |= wave
    while wave:
        carrying = {name for name in wave if name in changed or name.startswith(_CARRIERS)}
        reached = graph.mentioning(carrying)
        reached |= graph.mentioning({_scope(name) for name in wave if name.startswith("Project ")})
        reached |= set(
            filter(None, scopes({name for name in wave | reached if name.startswith(_ON_SCOPES)}, graph))
        )
        if any(map(is_definition, wave)):
            reached |= {name for name in graph.mentioning({_TRUST}) if name.startswith("Organization ")}
        wave = reached - found
        found |= wave
        if len(found) > most:
            return None
    return frozenset(found)


def _known_by_changed(changed: Collection[str], graph: Graph) -> Iterator[str]:
    """The platforms that know people by what nobody has but who changes: it may be that now nobody has it at all."""
    for word in _words(_EXTERNAL, {name for name in changed if name.startswith("User ")}, graph):
        having = graph.mentioning({word})
        if all(name in changed for name in having if name.startswith("User ")):
            yield from (name for name in having if name.startswith("Platform "))


def _namesakes(changed: Collection[str], graph: Graph) -> Iterator[str]:
    """Projects that may once have had the name of one that changes: of two with one name only one is looked at."""
    projects = [name for name in changed if name.startswith("Project ")]
    yield from (name for name in graph.mentioning(set(map(_once, projects))) if name.startswith("Project "))
    homes: dict[str, set[str]] = {}
    for name in projects:
        workspace, _, project = name.removeprefix("Project ").partition("/")
        if workspace not in homes:
            homes[workspace] = graph.mentioning({_once(f"Workspace {workspace}")})
        for home in homes[workspace]:
            if home.startswith("Workspace "):
                yield f"{home.replace('Workspace', 'Project', 1)}/{project}"


def scopes(grants: Collection[str], graph: Graph) -> set[str | None]:
    """The documents that some grants and revocations are on; None for the organisation."""
    found: set[str | None] = set()
    for word in graph.mentioned(grants) if grants else ():
        if word.startswith(_ON):
            workspace, _, project = word.removeprefix(_ON).partition("/")
            kind = "Project" if project else "Workspace"
            found.add(f"{kind} {workspace}/{project}".rstrip("/") if workspace else None)
    return found


def _scope(name: str) -> str:
    """The word under which grants mention the scope that a workspace or a project is."""
    kind, _, names = name.partition(" ")
    return f"{_ON}{names}" if kind == "Project" else f"{_ON}{names}/"


def _renamed(grants: Collection[str], graph: Graph) -> set[str]:
    """What revocations are on by a name that it once had."""
    words = _words(_ONCE, grants, graph)
    return {name for name in graph.mentioning(words) if name.startswith(_NAMED)} if words else set()


def _revoking(changed: Collection[str], graph: Graph) -> set[str]:
    """The revocations that are on changed scopes by names that these once had."""
    scopes = {name for name in changed if name.startswith(_NAMED)}
    scopes |= {name for name in graph.mentioned(scopes) if name.startswith("Workspace ")} if scopes else set()
    words = _words(_ONCE, scopes, graph)
    return {name for name in graph.mentioning(words) if name.startswith("Revocation ")} if words else set()


def _words(beginning: str, sources: Collection[str], graph: Graph) -> set[str]:
    return {word for word in graph.mentioned(sources) if word.startswith(beginning)} if sources else set()


def needed(judged: Collection[str], graph: Graph) -> set[str]:
    """The documents that it takes to judge some: all that they stand on, and the grants on the scopes they are in.

    Not among them: the kinds that are always at hand.
    """
    found, wave = set(judged), set(judged)
    found |= graph.mentioning({f"{_ON}/"})
    while wave:
        asking = {name for name in wave if name in judged or not name.startswith(_SELF_CONTAINED)}
        reached = graph.mentioned(asking)
        scopes = {
            _scope(name)
            for name in wave
            if name.startswith("Workspace ") or (name in judged and name.startswith("Project "))
        }
        reached |= graph.mentioning(scopes)
        if _TRUST in reached:
            reached |= graph.mentioning({_TRUST})
        reached |= graph.mentioning(set(map(_once, wave | reached)))
        wave = reached - found
        found |= wave
    return found


def _once(name: str) -> str:
    """What the documents mention that once had this name, or have it beside earlier ones."""
    kind, _, names = name.partition(" ")
    return f"{_ONCE}{kind} {names.rpartition('/')[2]}"


def _mentions(document: Document) -> Iterator[str]:  # noqa: PLR0912 (one case for each kind)
    match document:
        case Organization():
            yield from _access(document.access)
            yield from _trust(document.trust)
            yield _TRUST
        case Workspace():
            yield from _access(document.access)
        case Project():
            yield f"Workspace {document.workspace}"
            if document.payment_method is not None:
                yield f"PaymentMethod {document.payment_method}"
            for tenant in document.tenants:
                yield f"Platform {tenant.platform}"
                yield f"LandingZone {tenant.platform}/{tenant.landing_zone}"
            yield from _access(document.access)
        case Grant() | Revocation():
            if document.workspace is not None:
                yield f"Workspace {document.workspace}"
                if document.project is not None:
                    yield f"Project {document.workspace}/{document.project}"
            yield f"{_ON}{document.workspace or ''}/{document.project or ''}"
            yield from _access([document])
        case Group():
            yield from (f"User {member}" for member in document.members)
        case Platform():
            if document.location is not None:
                yield f"Location {document.location}"
            yield from (
                f"User {operator.user}" for operator in document.operators if operator.user is not None
            )
            yield from (f"{_EXTERNAL}{key}" for _, key in marked(document, "externalId"))
        case LandingZone():
            yield f"Platform {document.platform}"
            yield from (f"Folder {folder.rstrip('/')}" for _, folder in named_folders(document))
        case PaymentMethod() if document.workspace is not None:
            yield f"Workspace {document.workspace}"
        case TagDefinition() if document.set_by is not None:
            yield from _who(document.set_by)
            yield _TRUST
        case User():
            yield from (f"{_EXTERNAL}{key}" for key, name in document.external_ids.items() if name)
        case Role() | Policy() | _:
            pass
    if isinstance(document, Revocation) and document.workspace is not None:
        yield _once(f"Workspace {document.workspace}")
        if document.project is not None:
            yield _once(f"Project {document.project}")
    if isinstance(document, Workspace) and document.formerly:
        yield from (_once(f"Workspace {name}") for name in (*document.formerly, document.name))
    if isinstance(document, Project) and document.formerly:
        for workspace, name in trail(document):
            yield f"Workspace {workspace}"
            yield _once(f"Project {name}")


def _trust(trust: Trust) -> Iterator[str]:
    yield from (f"User {signer.user}" for signer in trust.signers if signer.user is not None)
    for signer in trust.signers:
        yield from _turns(signer)
    approvals = trust.approvals
    for who in (
        *(rule.changed_by for rule in trust.protected),
        approvals.guard,
        approvals.deletion,
        approvals.revocation,
    ):
        if who is not None:
            yield from _who(who)


def _who(who: Who) -> Iterator[str]:
    yield from (f"User {user}" for user in who.users)
    yield from (f"Group {group}" for group in who.groups)


def _access(rows: Iterable[AccessRow | Grant | Revocation]) -> Iterator[str]:
    for row in rows:
        if row.user is not None:
            yield f"User {row.user}"
        if row.group is not None:
            yield f"Group {row.group}"
        if not isinstance(row, Revocation):
            yield from _turns(row)


def _turns(row: AccessRow | Grant | Signer) -> Iterator[str]:
    for bound in (row.from_, row.until):
        if bound is not None:
            yield f"{_TURN} {bound[:10]}"
