"""The tags that hold of a document, where it inherits some."""

from __future__ import annotations

from typing import Any

from hanse.desired.kinds import Project, Tags
from hanse.desired.manifest import Manifest


def effective_tags(manifest: Manifest, document: Any) -> Tags:
    """Its own; of a project those of its workspace and payment method too, a later one winning; and defaults."""
    givers = [document]
    if isinstance(document, Project):
        workspace = manifest.workspaces.get(document.workspace)
        method = manifest.payment_methods.get(document.payment_method or "")
        givers = [giver for giver in (workspace, method) if giver] + givers
    found: Tags = {}
    for giver in givers:
        for definition in manifest.tag_definitions.values():
            if definition.default is not None and type(giver).__name__ in definition.kinds:
                found[definition.name] = definition.default
    for giver in givers:
        found.update(giver.tags)
    return found
