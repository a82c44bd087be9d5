"""Laws of acceptance, over organisations that change at will."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.accept import Acceptance, judge
from hanse.accept.effective import holders, lost
from hanse.desired.accepted import AcceptedIntent
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import Guards
from hanse.desired.terms import sort_key
from hanse.foundation.canonical import encode
from hanse.model import Approval, Owner, Personal, Tenant, WorkspaceOn

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NAMES = [f"u-{i}" for i in range(6)]
TIMES = [
    None,
    NOW - timedelta(days=2),
    NOW - timedelta(days=1),
    NOW + timedelta(days=1),
    NOW + timedelta(days=2),
]

owners: st.SearchStrategy[Owner] = st.one_of(
    st.builds(
        Tenant, st.sampled_from(["north", "south"]), st.sampled_from(["shop", "hub"]), st.sampled_from("ab")
    ),
    st.builds(WorkspaceOn, st.sampled_from(["north", "south"]), st.sampled_from(["shop", "hub"])),
)
subjects = st.one_of(
    st.tuples(st.just("user"), st.sampled_from(NAMES)),
    st.tuples(st.just("group"), st.sampled_from(["g", "h"])),
)
terms = st.builds(
    lambda subject, role, start, end: Term(subject[0], subject[1], role, start, end),
    subjects,
    st.sampled_from(["admin", "user"]),
    st.sampled_from(TIMES),
    st.sampled_from(TIMES),
)
directories = st.builds(
    Directory,
    st.dictionaries(st.sampled_from(NAMES), st.booleans(), min_size=2).map(
        lambda people: {name: Person(name, active=active) for name, active in people.items()}
    ),
    st.fixed_dictionaries(
        {}, optional={g: st.lists(st.sampled_from(NAMES), unique=True).map(tuple) for g in "gh"}
    ),
)
guards = st.builds(Guards, removal_percent=st.sampled_from([0, 25, 100]), removal_at_least=st.integers(0, 3))


def intent(owner: Owner, grants: list[Term]) -> Intent:
    project = owner.project if isinstance(owner, Tenant) else ""
    return Intent(owner, "example", owner.workspace, project, grants=tuple(sorted(set(grants), key=sort_key)))


proposals = st.dictionaries(owners, st.lists(terms, max_size=6), max_size=6).map(
    lambda found: {owner: intent(owner, grants) for owner, grants in found.items()}
)
histories = st.lists(st.tuples(proposals, directories), min_size=2, max_size=4)


class World:
    """What is accepted, moved on judgement by judgement."""

    def __init__(self, limits: Guards) -> None:
        self.guards = limits
        self.state: dict[Owner, AcceptedIntent] = {}
        self.directory = Directory()
        self.commits = 0

    def accept(
        self, proposal: dict[Owner, Intent], directory: Directory, approved: tuple[str, ...] = ()
    ) -> Acceptance:
        self.commits += 1
        yes = {s: Approval(s, "guard", Personal("ops"), "local-operator", NOW) for s in approved}
        found = judge(
            proposal,
            self.state,
            directory,
            self.directory,
            self.guards,
            yes,
            descends=True,
            commit=f"c{self.commits}",
            now=NOW,
        )
        self.state = {**self.state, **found.changed}
        self.directory = msgspec.json.decode(encode(found.directory), type=Directory)  # as a store keeps it
        return found


@settings(max_examples=150, deadline=None)
@given(histories, guards)
def test_judging_the_same_again_changes_nothing_and_waits_for_the_same(
    history: list[tuple[dict[Owner, Intent], Directory]], limits: Guards
) -> None:
    world = World(limits)
    for proposal, directory in history:
        first = world.accept(proposal, directory)
        again = world.accept(proposal, directory)
        assert again.changed == {}
        assert again.directory == first.directory
        assert again.held == first.held
        assert all(trip.carried for trip in again.trips)


@settings(max_examples=150, deadline=None)
@given(histories, guards)
def test_nobody_loses_what_a_trip_holds(
    history: list[tuple[dict[Owner, Intent], Directory]], limits: Guards
) -> None:
    world = World(limits)
    for proposal, directory in history:
        before, people = world.state, world.directory
        found = world.accept(proposal, directory)
        for trip in found.trips:
            for removal in trip.removals:
                assert not world.state[removal.owner].intent.left_at
                if removal.principal:
                    old = holders(before[removal.owner].intent.grants, people, NOW)
                    new = holders(world.state[removal.owner].intent.grants, world.directory, NOW)
                    pair = removal.principal, removal.role
                    assert pair in new.all if trip.carried else pair not in lost(old, new)


@settings(max_examples=150, deadline=None)
@given(histories, guards)
def test_whatever_waits_once_approved_the_proposal_itself_is_accepted(
    history: list[tuple[dict[Owner, Intent], Directory]], limits: Guards
) -> None:
    world = World(limits)
    for proposal, directory in history:
        found = world.accept(proposal, directory)
    done = world.accept(proposal, directory, found.held)
    assert done.trips == ()
    assert world.directory == directory
    for owner, a in world.state.items():
        assert a.held == ()
        assert a.intent == proposal[owner] if owner in proposal else a.intent.left_at
