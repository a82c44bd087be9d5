"""Revocations: grants taken away ahead of any commit are subtracted from what commits propose."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from hanse.desired.intent import Intent, Term
from hanse.desired.settings import Settings
from hanse.journal.events import GrantRevoked
from hanse.journal.revocation import Revocation


def revokes(event: GrantRevoked, intent: Intent, term: Term) -> bool:
    """Whether a revocation is about this grant of this intent. It may name present or oldest names.

    Without a project it is about grants on the workspace itself, and with no role about every role.
    """
    return (
        event.subject == term.subject
        and event.subject_kind == term.subject_kind
        and event.role in ("", term.role)
        and event.workspace in (intent.workspace, intent.owner.workspace)
        and event.project in (intent.project, getattr(intent.owner, "project", ""))
    )


class Subtraction:
    """Subtracts revocations from many intents and notes which of them still had something to subtract from."""

    def __init__(self, revocations: Iterable[Revocation]) -> None:
        """Sort revocations by whom they concern, so that intents without such a grant cost next to nothing."""
        self._all = list(revocations)
        self._by_subject: dict[tuple[str, str], list[Revocation]] = {}
        for revocation in self._all:
            event = revocation.event
            self._by_subject.setdefault((event.subject_kind, event.subject), []).append(revocation)
        self._used: set[str] = set()

    def apply(self, intent: Intent) -> Intent:
        """The intent without what is revoked."""
        if not self._all:
            return intent
        kept = self._kept(intent.grants, lambda event, term: revokes(event, intent, term))
        return intent if len(kept) == len(intent.grants) else replace(intent, grants=kept)

    def apply_to_settings(self, settings: Settings) -> Settings:
        """The settings without what is revoked on the organisation and on workspaces, with tenants or without."""
        if not self._all:
            return settings

        def kept(scope: str, terms: tuple[Term, ...]) -> tuple[Term, ...]:
            return self._kept(
                terms, lambda event, term: event.scope == scope and event.role in ("", term.role)
            )

        on_workspaces = {name: kept(name, terms) for name, terms in settings.workspace_grants.items()}
        return replace(
            settings,
            grants=kept("", settings.grants),
            workspace_grants={name: terms for name, terms in on_workspaces.items() if terms},
        )

    def _kept(
        self, terms: tuple[Term, ...], revokes: Callable[[GrantRevoked, Term], bool]
    ) -> tuple[Term, ...]:
        kept: list[Term] = []
        for term in terms:
            concerned = self._by_subject.get((term.subject_kind, term.subject), ())
            hits = [r.digest for r in concerned if revokes(r.event, term)]
            self._used.update(hits)
            if not hits:
                kept.append(term)
        return tuple(kept)

    @property
    def lapsed(self) -> tuple[str, ...]:
        """Digests of those for which nothing given so far had a grant."""
        return tuple(r.digest for r in self._all if r.digest not in self._used)
