"""Names against what is accepted: a rename must not look like a removal and a new thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hanse.desired.accepted import AcceptedIntent
from hanse.desired.compiled import Problem
from hanse.desired.intent import Intent
from hanse.desired.source import document_source
from hanse.model import Owner, Tenant, WorkspaceOn

Names = tuple[str, str]
"""Workspace and project; the project is empty for a workspace."""


def check_identity(
    proposed: Mapping[Owner, Intent], accepted: Mapping[Owner, AcceptedIntent]
) -> list[Problem]:
    """Errors where a `formerly` lost the name that a thing is known by; warnings where a rename may be meant."""
    standing = {owner: a.intent for owner, a in accepted.items() if not a.intent.left_at}
    new = {owner: intent for owner, intent in proposed.items() if owner not in standing}
    if not new:
        return []
    return [*_lost_names(new, standing), *_renames(new, proposed, standing)]


def _lost_names(new: Mapping[Owner, Intent], standing: Mapping[Owner, Intent]) -> Iterator[Problem]:
    """A new owner that is called as an accepted one is: the same thing under another key."""
    called = {(owner.platform, i.workspace, i.project): owner for owner, i in standing.items()}
    told: set[Names] = set()
    for owner in sorted(
        new, key=lambda o: (isinstance(o, Tenant), str(o))
    ):  # workspaces before their projects
        intent = new[owner]
        known = called.get((owner.platform, intent.workspace, intent.project))
        names = intent.workspace, intent.project
        if known is None or names in told or (intent.workspace, "") in told:
            continue
        told.add(names)
        kind = "Project" if isinstance(owner, Tenant) else "Workspace"
        name = intent.project or intent.workspace
        oldest = _oldest(known, intent)
        yield Problem(
            "error",
            "formerly-dropped",
            f"{kind.lower()} '{name}' is accepted as '{oldest}', which its 'formerly' does not begin with",
            f"write '{oldest}' first in its 'formerly'; entries are never taken out",
            document_source(kind, *(part for part in names if part)),
            ("formerly",),
        )


def _oldest(owner: Owner, intent: Intent) -> str:
    """An oldest name as an entry of `formerly` writes it."""
    if isinstance(owner, WorkspaceOn):
        return owner.workspace
    return owner.project if owner.workspace == intent.workspace else f"{owner.workspace}/{owner.project}"


def _renames(
    new: Mapping[Owner, Intent], proposed: Mapping[Owner, Intent], standing: Mapping[Owner, Intent]
) -> Iterator[Problem]:
    """One project that goes and one that comes, in one workspace, with the same grants in the same places."""
    gone = _by_likeness({owner: intent for owner, intent in standing.items() if owner not in proposed})
    for likeness, names in _by_likeness(new).items():
        before = gone.get(likeness, set())
        if len(names) == 1 and len(before) == 1:
            (workspace, project), (_, old) = *names, *before
            if project != old:
                yield Problem(
                    "warning",
                    "looks-like-rename",
                    f"project '{old}' goes and '{project}' comes with the same grants on the same platforms",
                    f"if it is the same project, write 'formerly: [{old}]' in '{project}'",
                    document_source("Project", workspace, project),
                    ("name",),
                )


def _by_likeness(intents: Mapping[Owner, Intent]) -> dict[object, set[Names]]:
    projects: dict[Names, list[Intent]] = {}
    for owner, intent in intents.items():
        if isinstance(owner, Tenant) and intent.grants:
            projects.setdefault((intent.workspace, intent.project), []).append(intent)
    found: dict[object, set[Names]] = {}
    for names, tenants in projects.items():
        places = frozenset((i.owner.platform, i.landing_zone, i.grants) for i in tenants)
        found.setdefault((names[0], places), set()).add(names)
    return found
