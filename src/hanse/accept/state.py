"""What becomes of every owner once the trips are known: the union of what is wanted and what is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from hanse.accept.acceptance import Trip
from hanse.accept.effective import Pair, people
from hanse.accept.facts import Facts
from hanse.desired.accepted import AcceptedIntent, Held
from hanse.desired.intent import Directory, Intent, Person
from hanse.desired.terms import sort_key
from hanse.model import Owner, WorkspaceOn


def accepted_state(facts: Facts, trips: Iterable[Trip], commit: str) -> dict[Owner, AcceptedIntent]:
    """The accepted intent of every owner, leaving ones included. `trips` are the new ones."""
    holds = {owner: list(helds) for owner, helds in facts.carried.items()}
    kept = set(facts.kept)
    for trip in trips:
        for owner, pairs in _by_owner(trip).items():
            if owner not in facts.wanted:
                kept.add(owner)
                holds.setdefault(owner, []).append(Held(trip.subject, trip.guard, trip.scope))
            holds.setdefault(owner, []).extend(_hold(facts, owner, pairs, trip))
    _keep_shared(facts, kept, holds)
    state = {
        owner: _accepted(facts.accepted.get(owner), intent, holds.get(owner, ()), commit)
        for owner, intent in facts.wanted.items()
    }
    for owner, a in facts.accepted.items():
        if owner in kept:
            state[owner] = _accepted(a, a.intent, holds[owner], commit)
        elif owner not in facts.wanted:
            leaves = owner in facts.standing
            state[owner] = AcceptedIntent(_leaving(a.intent, commit), commit) if leaves else a
    return state


def with_held_people(
    state: Mapping[Owner, AcceptedIntent], proposed: Directory, accepted: Directory
) -> Directory:
    """The proposed directory, with the people of held grants as they were if they would be gone or disabled."""
    back: dict[str, Person] = {}
    for a in state.values():
        for held in a.held:
            term = held.term
            if term is not None and term.subject_kind == "user" and not people(term, proposed):
                back.update((name, accepted.people[name]) for name in people(term, accepted))
    return Directory({**proposed.people, **back}, proposed.groups, tuple(sorted(back))) if back else proposed


def _by_owner(trip: Trip) -> dict[Owner, set[Pair]]:
    found: dict[Owner, set[Pair]] = {}
    for removal in trip.removals:
        pairs = found.setdefault(removal.owner, set())
        if removal.principal:
            pairs.add((removal.principal, removal.role))
    return found


def _hold(facts: Facts, owner: Owner, pairs: set[Pair], trip: Trip) -> Iterator[Held]:
    """The grants that keep these pairs, beside what is wanted."""
    before = facts.standing[owner].intent
    granted = facts.after((facts.wanted.get(owner) or before).grants)
    for accepted in before.grants:
        lacking, terms = facts.keeping(accepted, granted)
        if lacking & pairs:
            yield from (Held(trip.subject, trip.guard, trip.scope, term) for term in terms)


def _keep_shared(facts: Facts, kept: set[Owner], holds: dict[Owner, list[Held]]) -> None:
    """What a workspace's tenants share stays as long as one of them is kept."""
    shared = {
        (owner.platform, facts.standing[owner].intent.workspace): owner
        for owner in facts.going
        if isinstance(owner, WorkspaceOn)
    }
    for owner in sorted(kept, key=str) if shared else ():
        home = shared.get((owner.platform, facts.standing[owner].intent.workspace))
        if home is not None and home != owner:
            kept.add(home)
            holds.setdefault(home, []).extend(replace(held, term=None) for held in holds[owner])


def _accepted(
    before: AcceptedIntent | None, intent: Intent, helds: Iterable[Held], commit: str
) -> AcceptedIntent:
    """The intent with what is held of it; unchanged, it is still of the commit that brought it."""
    unique = tuple(dict.fromkeys(helds))
    terms = {held.term for held in unique if held.term is not None}
    if not terms.issubset(intent.grants):
        intent = replace(intent, grants=tuple(sorted(terms.union(intent.grants), key=sort_key)))
    if before is not None and before.intent == intent and before.held == unique:
        return before
    return AcceptedIntent(intent, commit, unique)


def _leaving(intent: Intent, commit: str) -> Intent:
    """Access goes at once; the rest goes by the deletion rule of the last landing zone, which the intent keeps."""
    return replace(intent, grants=(), left_at=commit)
