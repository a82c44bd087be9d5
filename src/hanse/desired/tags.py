"""What the tags of a document are when all is said: its own, those that a project inherits, and defaults.

What may be written at all says `desired.tag_checks`. Here everything is taken as it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from hanse.desired.kinds import (
    Group,
    LandingZone,
    Location,
    PaymentMethod,
    Platform,
    Project,
    SingleTagValue,
    Tags,
    TagValue,
    User,
    Workspace,
)
from hanse.desired.manifest import Manifest

Tagged = Location | Platform | LandingZone | Workspace | User | Group | Project | PaymentMethod
TagTexts = dict[str, str | tuple[str, ...]]
"""Tags in the one form that platforms get: a text, or of several values a tuple."""
TENANT_KINDS = ("Workspace", "PaymentMethod", "Project")
"""Whose tags a tenant carries; a later one wins."""
_EXACT = 2.0**64
"""Whole numbers below this are written without an exponent: so far go the ones that a file may hold."""


def effective_tags(manifest: Manifest, document: Tagged) -> Tags:
    """Its own tags, with the defaults of those that it has none of.

    A project has those of its workspace and of its payment method too: what the project says wins, then what the
    payment method says, then what the workspace says. A default gives way to all of them.
    """
    givers = [giver for giver in given_by(manifest, document) if giver.tags or manifest.tag_defaults]
    found: Tags = {}
    if manifest.tag_defaults:
        for giver in givers:
            found.update(manifest.tag_defaults.get(type(giver).__name__, ()))
    for giver in givers:
        found.update(giver.tags)
    for name in [name for name, value in found.items() if isinstance(value, tuple)]:
        values = found[name]
        if values:
            found[name] = tuple(sorted(set(cast("tuple[str, ...]", values))))
        else:
            del found[name]
    return found


def given_by(manifest: Manifest, document: Tagged) -> Iterator[Tagged]:
    """The documents whose tags a document has, itself among them: what a later one says wins."""
    if isinstance(document, Project):
        workspace = manifest.workspaces.get(document.workspace)
        if workspace is not None:
            yield workspace
        method = manifest.payment_methods.get(document.payment_method or "")
        if method is not None:
            yield method
    yield document


def tag_texts(tags: Tags) -> TagTexts:
    """Tags as texts: `true` and `false`, numbers in one form however they were written."""
    return {name: value if isinstance(value, str) else text_of(value) for name, value in tags.items()}


def text_of(value: TagValue) -> str | tuple[str, ...]:
    """A tag's value as text, or of several values a tuple."""
    return value if isinstance(value, str | tuple) else single_text(value)


def single_text(value: SingleTagValue) -> str:
    """One value as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return repr(value)
