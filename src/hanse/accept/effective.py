"""Effective grants: who really holds which role on an owner, after groups are expanded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from hanse.desired.intent import Directory, Term

Pair = tuple[str, str]
"""Principal and role."""


class Holders(NamedTuple):
    """Who holds what: in force now, and to come into force later."""

    now: set[Pair]
    later: set[Pair]

    @property
    def all(self) -> set[Pair]:
        """Now or later."""
        return self.now | self.later


def holders(terms: Iterable[Term], directory: Directory, now: datetime) -> Holders:
    """The active people behind grants. Grants whose time is over give nothing; that is no removal."""
    found = Holders(set(), set())
    for term in terms:
        if not term.expired(now):
            pairs = found.now if term.in_force(now) else found.later
            pairs.update((principal, term.role) for principal in people(term, directory))
    return found


def people(term: Term, directory: Directory) -> list[str]:
    """The active people that a grant is for."""
    return [name for name in directory.members(term.subject_kind, term.subject) if directory.is_active(name)]


def lost(before: Holders, after: Holders) -> set[Pair]:
    """What people hold and will not hold any more.

    A grant in force counts as lost also where it is moved to a later time; one to come only where it is gone.
    """
    return (before.now - after.now) | (before.later - before.now - after.all)
