"""Which tags a commit touches, of those of which it is said who may set them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from hanse.desired.kinds import Document, Project, TagDefinition, Workspace
from hanse.desired.manifest import id_of
from hanse.desired.names import Names
from hanse.foundation.canonical import digest


def touched_tags(
    before: Iterable[Document], after: Iterable[Document], names: Collection[str]
) -> tuple[str, ...]:
    """The tags of these names that are given, changed or taken away between the documents of the changed files.

    A definition of such a tag that is changed or gone touches it too. What is only moved or renamed stays what it was.
    """
    old, new = list(before), list(after)
    present = Names(
        [document for document in new if isinstance(document, Workspace)],
        [document for document in new if isinstance(document, Project)],
    )
    was, becomes = _said(old, present, names), _said(new, present, names)
    return tuple(sorted({name for name, *_ in (was - becomes) | (becomes - was)}))


def _said(documents: Iterable[Document], present: Names, names: Collection[str]) -> Counter[tuple[str, ...]]:
    """What is said of these tags, and where, by oldest names."""
    found: Counter[tuple[str, ...]] = Counter()
    for document in documents:
        if isinstance(document, TagDefinition):
            if document.name in names:
                found[document.name, "", digest(document)] += 1
            continue
        for name, value in getattr(document, "tags", {}).items():
            if name in names:
                found[name, *_identity(document, present), digest(value)] += 1
    return found


def _identity(document: Document, present: Names) -> tuple[str, ...]:
    if isinstance(document, Project):
        return "Project", *present.project(document.workspace, document.name)
    if isinstance(document, Workspace):
        return "Workspace", present.workspace(document.name)
    return id_of(document)
