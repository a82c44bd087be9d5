"""What the planner has to know of this vendor's kinds, from the outermost to the innermost."""

from __future__ import annotations

from hanse.model import KindSpec

FOLDER = KindSpec("folder", unique=("name",), guarded=True)
SPACE = KindSpec("space", unique=("folder", "name"), immutable=("folder",), guarded=True)
GROUP = KindSpec("group", unique=("name",))
MEMBERSHIP = KindSpec("membership", ends=("group", "user"), within=("group",), subject="user")
ASSIGNMENT = KindSpec(
    "assignment", ends=("subject", "role", "target"), within=("subject", "target"), subject="subject"
)

KINDS = (FOLDER, SPACE, GROUP, MEMBERSHIP, ASSIGNMENT)
THINGS = tuple(kind.name for kind in KINDS if not kind.is_link)
COLLECTION = {kind.name: f"{kind.name}s" for kind in KINDS}
"""Where the cloud keeps each kind."""
