"""The guards: each looks at what is newly removed, and trips or does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hanse.accept.acceptance import Removal, Trip, trip_of
from hanse.accept.effective import Pair
from hanse.accept.facts import Facts
from hanse.desired.kinds import Guards
from hanse.model import Owner, Tenant, WorkspaceOn

ADMIN = "admin"


def tripped(facts: Facts, guards: Guards) -> list[Trip]:
    """Every guard that trips on what the proposal newly removes."""
    trips = [*_empty_organization(facts), *_ceilings(facts, guards)]
    if guards.minimum_admins:
        trips += _minimum_admins(facts, guards.minimum_admins)
    return trips


def carried(facts: Facts) -> list[Trip]:
    """The trips of earlier judgements that still wait, with what they hold now."""
    found: dict[str, tuple[Trip, list[Removal]]] = {}
    for owner, helds in facts.carried.items():
        for held in helds:
            trip = Trip(held.guard, held.scope, held.subject, (), carried=True)
            _, removals = found.setdefault(held.subject, (trip, []))
            if held.term is None:
                removals.append(Removal(owner))
            else:
                removals += [Removal(owner, *pair) for pair in facts.before([held.term]).all]
    return [
        Trip(
            trip.guard, trip.scope, subject, trip_of(trip.guard, trip.scope, removals).removals, carried=True
        )
        for subject, (trip, removals) in sorted(found.items())
    ]


def _empty_organization(facts: Facts) -> Iterator[Trip]:
    left = any(isinstance(owner, Tenant) for owner in facts.wanted)
    if not left and any(isinstance(owner, Tenant) for owner in facts.going):
        yield trip_of("empty-organization", "organization", _removals(facts, facts.standing))


def _ceilings(facts: Facts, guards: Guards) -> Iterator[Trip]:
    removed: dict[str, list[Owner]] = {}
    for owner in {**facts.losses, **dict.fromkeys(facts.going)}:
        for scope in _scopes(owner):
            removed.setdefault(scope, []).append(owner)
    counts: dict[str, tuple[int, int]] = {}
    for scope, owners in removed.items():
        tenants = sum(isinstance(owner, Tenant) and owner in facts.going for owner in owners)
        grants = sum(len(facts.losses.get(owner, ())) for owner in owners)
        if max(tenants, grants) > guards.removal_at_least:  # else no need to count what there is
            counts[scope] = tenants, grants
    totals = _totals(facts, counts)
    for scope in sorted(counts):
        if any(
            part > guards.removal_at_least and part * 100 > guards.removal_percent * whole
            for part, whole in zip(counts[scope], totals[scope], strict=True)
        ):
            yield trip_of("ceiling", scope, _removals(facts, removed[scope]))


def _totals(facts: Facts, scopes: Iterable[str]) -> dict[str, tuple[int, int]]:
    """How many tenants and effective grants are accepted in each of these scopes."""
    totals = dict.fromkeys(scopes, (0, 0))
    for owner, a in facts.standing.items() if totals else ():
        concerned = [scope for scope in _scopes(owner) if scope in totals]
        if concerned:
            grants = len(facts.before(a.intent.grants).all)
            for scope in concerned:
                tenants, so_far = totals[scope]
                totals[scope] = tenants + isinstance(owner, Tenant), so_far + grants
    return totals


def _minimum_admins(facts: Facts, minimum: int) -> Iterator[Trip]:
    losing: dict[str, list[Owner]] = {}
    for owner, pairs in facts.losses.items():
        if _admins(owner, pairs):
            losing.setdefault(owner.workspace, []).append(owner)
    staying = {owner.workspace for owner in facts.wanted if isinstance(owner, Tenant)} if losing else set()
    before: dict[str, set[str]] = {workspace: set() for workspace in losing.keys() & staying}
    for owner, a in facts.standing.items() if before else ():
        if owner.workspace in before:
            before[owner.workspace] |= _admins(owner, facts.before(a.intent.grants).now)
    for workspace in sorted(before):
        after: set[str] = set()
        for owner, intent in facts.targets(workspace):
            after |= _admins(owner, facts.after([*intent.grants, *facts.carried_terms(owner)]).now)
        removals = [
            Removal(owner, principal, role)
            for owner in losing[workspace]
            for principal, role in facts.losses[owner]
            if principal not in after and _admins(owner, [(principal, role)])
        ]
        if removals and len(after) < min(minimum, len(before[workspace])):
            yield trip_of("minimum-admins", f"workspace {workspace}", removals)


def _removals(facts: Facts, owners: Iterable[Owner]) -> list[Removal]:
    found: list[Removal] = []
    for owner in owners:
        found += [Removal(owner, principal, role) for principal, role in facts.losses.get(owner, ())]
        if owner in facts.going:
            found.append(Removal(owner))
    return found


def _scopes(owner: Owner) -> tuple[str, str]:
    return f"platform {owner.platform}", f"workspace {owner.workspace}"


def _admins(owner: Owner, pairs: Iterable[Pair]) -> set[str]:
    return {principal for principal, role in pairs if role == ADMIN or isinstance(owner, WorkspaceOn)}
