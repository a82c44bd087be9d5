"""What a proposal would take away, owner by owner: newly, or held already since an earlier judgement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property

from msgspec.structs import replace

from hanse.accept.effective import Holders, Pair, holders, lost
from hanse.desired.accepted import AcceptedIntent, Held
from hanse.desired.intent import Directory, Intent, Term
from hanse.model import Owner


class Facts:
    """One proposal beside the accepted state, as far as they differ in what people hold."""

    def __init__(
        self,
        wanted: Mapping[Owner, Intent],
        accepted: Mapping[Owner, AcceptedIntent],
        wanted_directory: Directory,
        accepted_directory: Directory,
        approved: set[str],
        now: datetime,
    ) -> None:
        """Compare. `approved` holds the subjects of guards' trips that somebody said yes to."""
        self.wanted = wanted
        self.accepted = accepted
        self.wanted_directory = wanted_directory
        self.accepted_directory = accepted_directory
        self.now = now
        self.standing = {owner: a for owner, a in accepted.items() if not a.intent.left_at}
        """Owners that have not left."""
        self.carried: dict[Owner, list[Held]] = {}
        """What was held before and still is: not approved, and still removed by the proposal."""
        self.kept: set[Owner] = set()
        """Owners that the proposal lacks and that earlier trips keep."""
        self.going: set[Owner] = set()
        """Owners that the proposal newly removes."""
        self.losses: dict[Owner, set[Pair]] = {}
        """What people newly lose, where they lose anything."""
        self._judged = {name for name in accepted_directory.held if not wanted_directory.is_active(name)}
        """Whom only held grants keep in the accepted directory: their going was judged, wherever it shows."""
        differences = Differences(accepted_directory, wanted_directory)
        for owner, a in self.standing.items():
            target = wanted.get(owner)
            if (
                target is None
                or a.held
                or target.grants != a.intent.grants
                or differences.concern(target.grants)
            ):
                self._look_at(owner, a, target, [held for held in a.held if held.subject not in approved])

    def before(self, terms: Iterable[Term]) -> Holders:
        """Who holds what by these grants, with the accepted directory."""
        return holders(terms, self.accepted_directory, self.now)

    def after(self, terms: Iterable[Term]) -> Holders:
        """Who holds what by these grants, with the proposed directory."""
        return holders(terms, self.wanted_directory, self.now)

    def carried_terms(self, owner: Owner) -> list[Term]:
        """The grants of an owner that earlier trips still hold."""
        return [held.term for held in self.carried.get(owner, ()) if held.term is not None]

    def targets(self, workspace: str) -> Iterator[tuple[Owner, Intent]]:
        """What a workspace's owners will be, but for what new trips hold."""
        for owner in self._by_workspace.get(workspace, ()):
            intent = self.wanted.get(owner) or self.accepted[owner].intent
            if owner in self.wanted or owner in self.kept:
                yield owner, intent

    @cached_property
    def _by_workspace(self) -> dict[str, list[Owner]]:
        found: dict[str, list[Owner]] = {}
        for owner in {**self.standing, **self.wanted}:
            found.setdefault(owner.workspace, []).append(owner)
        return found

    def _look_at(self, owner: Owner, a: AcceptedIntent, target: Intent | None, waiting: list[Held]) -> None:
        if target is not None:
            self.carried[owner] = self._still_needed(waiting, target)
        elif waiting := [held for held in waiting if held.term is None or not held.term.expired(self.now)]:
            target = a.intent  # what holds a grant of it holds the owner as well, though nothing did so far
            self.kept.add(owner)
            self.carried[owner] = self._still_needed(
                [*waiting, *(replace(held, term=None) for held in waiting)], target, whole=True
            )
        elif a.kept_whole:
            return  # it was judged, and somebody approved
        else:
            self.going.add(owner)
        held_terms = {held.term for held in a.held if held.term is not None}
        base = [term for term in a.intent.grants if term not in held_terms]
        remaining = [*(target.grants if target else ()), *self.carried_terms(owner)]
        gone = lost(self.before(base), self.after(remaining)) - self.before(held_terms).all
        if gone := self._not_judged(gone):
            self.losses[owner] = gone

    def _not_judged(self, pairs: set[Pair]) -> set[Pair]:
        return {pair for pair in pairs if pair[0] not in self._judged} if self._judged else pairs

    def keeping(self, term: Term, granted: Holders) -> tuple[set[Pair], list[Term]]:
        """What people would lose of an accepted grant beside what is granted, and the grants that keep it.

        That is the grant itself, where it still gives them something; who was taken out of its group, or out of
        the directory, is kept by a grant of their own.
        """
        lacking = lost(self.before([term]), granted)
        if term.subject_kind == "group":
            lacking = self._not_judged(lacking)
        given = self.after([term]).all
        alone = [
            Term("user", principal, role, term.start, term.end) for principal, role in sorted(lacking - given)
        ]
        return lacking, [term, *alone] if lacking & given else alone

    def _still_needed(self, waiting: Iterable[Held], target: Intent, *, whole: bool = False) -> list[Held]:
        """Of what is held, what the target lacks; of an owner that is kept whole, all of it."""
        needed: list[Held] = []
        granted = self.after(target.grants)
        for held in waiting:
            if held.term is None:
                needed += [held] if whole else []
            elif not held.term.expired(self.now):
                needed += [held] if whole else []
                needed += [replace(held, term=term) for term in self.keeping(held.term, granted)[1]]
        return list(dict.fromkeys(needed))


class Differences:
    """People and groups that are another in two directories, and the groups with such people."""

    def __init__(self, one: Directory, other: Directory) -> None:
        """Compare two directories."""
        self.people = _differing(one.people, other.people)
        self.groups = _differing(one.groups, other.groups)
        if self.people:
            for groups in (one.groups, other.groups):
                self.groups.update(n for n, members in groups.items() if not self.people.isdisjoint(members))

    def concern(self, terms: Iterable[Term]) -> bool:
        """Whether any of these grants is for one of them."""
        if not self.people and not self.groups:
            return False
        return any(t.subject in (self.people if t.subject_kind == "user" else self.groups) for t in terms)


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    if one == other:
        return set()
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
