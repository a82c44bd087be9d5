"""Names of declarations: what a reason, a diagnostic and a provenance row point at.

A document is named by kind and name. A grant is named by its content, so that moving it between a document and a
file of its own changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from hanse.desired.intent import Intent, Term
from hanse.foundation.time import format_instant
from hanse.model import Tenant, WorkspaceOn


def document_source(kind: str, *names: str) -> str:
    """Such as `Project shop/prod` or `LandingZone openstack-fra/production`."""
    return f"{kind} {'/'.join(names)}"


def term_source(scope: str, term: Term) -> str:
    """Such as `grant shop/prod user:u-1001 admin 2026-01-01T00:00:00Z..`; scope is workspace/project or less."""
    start = format_instant(term.start) if term.start else ""
    end = format_instant(term.end) if term.end else ""
    return f"grant {scope} {term.subject_kind}:{term.subject} {term.role} {start}..{end}"


def file_source(path: str, number: int | None = None) -> str:
    """A file below a landing zone's folder, or the document of it with that number, counted from 0 without empty ones.

    Such as `file landing-zones/production/base.yaml#2`.
    """
    return f"file {path}" if number is None else f"file {path}#{number}"


def people_sources(grants: Iterable[str], principal: str = "") -> tuple[str, ...]:
    """The groups and users that these grants are for, and a person: what decides who gets access by them."""
    subjects = [source.split(" ")[2].partition(":") for source in grants if source.startswith("grant ")]
    found = [document_source(kind.capitalize(), name) for kind, _, name in subjects]
    return tuple(dict.fromkeys([*found, *([document_source("User", principal)] if principal else [])]))


def tag_sources(intent: Intent) -> tuple[str, ...]:
    """What can have decided a tenant's tags beside its project: workspace, payment method, the tags' definitions."""
    found = [document_source("Workspace", intent.workspace)]
    if intent.payment_method:
        found.append(document_source("PaymentMethod", intent.payment_method))
    return (*found, *(document_source("TagDefinition", name) for name in sorted(intent.tags)))


def scope_of(owner: Tenant | WorkspaceOn) -> str:
    """The scope that an owner's grants are declared in, by its oldest names."""
    return f"{owner.workspace}/{owner.project}" if isinstance(owner, Tenant) else owner.workspace
