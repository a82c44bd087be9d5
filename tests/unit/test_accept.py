"""What becomes of a commit at accept: guards, held removals, leaving and returning, revocations, names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from hanse.accept import Acceptance, Subtraction, deletion_subject, judge
from hanse.desired.accepted import AcceptedIntent
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import Guards
from hanse.journal.events import GrantRevoked
from hanse.journal.revocation import Revocation
from hanse.model import Approval, Owner, Personal, Tenant, WorkspaceOn

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YESTERDAY, TOMORROW = NOW - timedelta(days=1), NOW + timedelta(days=1)
PEOPLE = {f"u-{i}": Person(f"u-{i}") for i in range(40)}
EVERYBODY = Directory(PEOPLE, {"makers": ("u-1", "u-2"), "all": tuple(PEOPLE)})
GUARDS = Guards(removal_percent=25, removal_at_least=5, minimum_admins=1)
SHOP = Tenant("north", "shop", "prod")
SHOP_ON_NORTH = WorkspaceOn("north", "shop")

Proposal = dict[Owner, Intent]
State = Mapping[Owner, AcceptedIntent]


def user(number: int, role: str = "user", start: datetime | None = None, end: datetime | None = None) -> Term:
    return Term("user", f"u-{number}", role, start, end)


def group(name: str, role: str = "user") -> Term:
    return Term("group", name, role)


def users(*numbers: int, role: str = "user") -> list[Term]:
    return [user(number, role) for number in numbers]


def intent(owner: Owner, grants: Iterable[Term] = (), **fields: str) -> Intent:
    names = {"workspace": owner.workspace, "project": getattr(owner, "project", ""), **fields}
    return Intent(
        owner,
        "example",
        names["workspace"],
        names["project"],
        grants=tuple(sorted(grants, key=str)),
        deletion="automatic",
    )


def proposal(*intents: Intent) -> Proposal:
    return {one.owner: one for one in intents}


def judged(
    proposed: Proposal,
    state: State,
    *,
    directory: Directory = EVERYBODY,
    before: Directory = EVERYBODY,
    guards: Guards = GUARDS,
    approved: Iterable[str] = (),
    revocations: Iterable[Revocation] = (),
    descends: bool = True,
    commit: str = "c2",
) -> Acceptance:
    yes = {s: Approval(s, "guard", Personal("ops"), "local-operator", YESTERDAY, TOMORROW) for s in approved}
    return judge(
        proposed,
        state,
        directory,
        before,
        guards,
        yes,
        revocations,
        descends=descends,
        commit=commit,
        now=NOW,
    )


def after(state: State, acceptance: Acceptance) -> dict[Owner, AcceptedIntent]:
    return {**state, **acceptance.changed}


def accepted(*intents: Intent, commit: str = "c1") -> dict[Owner, AcceptedIntent]:
    return {one.owner: AcceptedIntent(one, commit) for one in intents}


def held(a: AcceptedIntent) -> set[Term | None]:
    return {one.term for one in a.held}


# --- what changes -------------------------------------------------------------------------------------------


def test_the_first_acceptance_takes_everything_without_guards() -> None:
    wanted = proposal(intent(SHOP, users(1)))
    acceptance = judged(wanted, {})
    assert acceptance.changed == {SHOP: AcceptedIntent(wanted[SHOP], "c2")}
    assert (acceptance.trips, acceptance.refused) == ((), None)


def test_what_is_unchanged_keeps_the_commit_that_brought_it() -> None:
    same, other = intent(SHOP, users(1)), intent(Tenant("north", "shop", "test"), users(1))
    acceptance = judged(proposal(same, intent(other.owner, users(1, 2))), accepted(same, other))
    assert set(acceptance.changed) == {other.owner}
    assert acceptance.changed[other.owner].commit == "c2"


def test_small_removals_pass() -> None:
    acceptance = judged(proposal(intent(SHOP, users(0))), accepted(intent(SHOP, users(0, 1, 2, 3, 4, 5))))
    assert acceptance.trips == ()
    assert acceptance.changed[SHOP].intent.grants == tuple(users(0))


# --- leaving and returning ----------------------------------------------------------------------------------


def test_an_owner_taken_out_leaves_without_access_and_keeps_its_deletion_rule() -> None:
    state = accepted(intent(SHOP, users(1)), intent(Tenant("north", "shop", "test"), users(1, role="admin")))
    acceptance = judged(
        {Tenant("north", "shop", "test"): state[Tenant("north", "shop", "test")].intent}, state
    )
    leaving = acceptance.changed[SHOP].intent
    assert (leaving.grants, leaving.left_at, leaving.deletion) == ((), "c2", "automatic")
    assert acceptance.trips == ()


def test_an_owner_that_leaves_already_stays_as_it_is() -> None:
    other = intent(Tenant("north", "shop", "test"), users(1))
    state = accepted(intent(SHOP, users(1)), other)
    state = after(state, judged(proposal(other), state))
    assert judged(proposal(other), state, commit="c3").changed == {}


def test_an_owner_put_back_resumes_and_its_deletion_is_another_subject_the_next_time() -> None:
    shop, other = intent(SHOP, users(1)), intent(Tenant("north", "shop", "test"), users(1))
    state = accepted(shop, other)
    state = after(state, judged(proposal(other), state, commit="c2"))
    first = deletion_subject(state[SHOP].intent)
    state = after(state, judged(proposal(shop, other), state, commit="c3"))
    assert state[SHOP] == AcceptedIntent(shop, "c3")
    state = after(state, judged(proposal(other), state, commit="c4"))
    assert deletion_subject(state[SHOP].intent) != first


# --- the ceiling --------------------------------------------------------------------------------------------


def test_the_ceiling_holds_removals_of_a_workspace_and_lets_additions_through() -> None:
    state = accepted(intent(SHOP, users(*range(10))))
    acceptance = judged(proposal(intent(SHOP, users(0, 1, 20))), state)
    now = acceptance.changed[SHOP]
    assert {t.subject for t in now.intent.grants} == {f"u-{i}" for i in [*range(10), 20]}
    assert held(now) == set(users(*range(2, 10)))
    assert {(t.guard, t.scope, len(t.removals)) for t in acceptance.trips} == {
        ("ceiling", "platform north", 8),
        ("ceiling", "workspace shop", 8),
    }


def test_exactly_the_ceiling_passes_and_one_more_trips() -> None:
    state = accepted(intent(SHOP, users(*range(20))))
    assert judged(proposal(intent(SHOP, users(*range(5, 20)))), state).trips == ()
    assert judged(proposal(intent(SHOP, users(*range(6, 20)))), state).trips != ()


def test_a_share_of_few_grants_is_no_trip_and_many_of_very_many_are_none() -> None:
    few = accepted(intent(SHOP, users(0, 1, 2, 3)))
    assert judged(proposal(intent(SHOP, users(0))), few).trips == ()
    many = accepted(intent(SHOP, users(*range(40))))
    assert judged(proposal(intent(SHOP, users(*range(10, 40)))), many).trips == ()


def test_too_many_tenants_of_one_platform_stay_as_they_were() -> None:
    tenants = [intent(Tenant("north", f"w{i}", "p"), users(1, role="admin")) for i in range(12)]
    state = accepted(*tenants)
    acceptance = judged(proposal(*tenants[:4]), state)
    (trip,) = acceptance.trips
    assert (trip.scope, len(trip.removals)) == ("platform north", 16)
    for tenant in tenants[4:]:
        assert acceptance.changed[tenant.owner].intent == tenant
        assert acceptance.changed[tenant.owner].kept_whole


def test_what_tenants_share_stays_with_them() -> None:
    tenants = [intent(Tenant("north", f"w{i}", "p"), users(1, role="admin")) for i in range(12)]
    shared = [intent(WorkspaceOn("north", f"w{i}"), users(2, role="owner")) for i in range(12)]
    acceptance = judged(proposal(*tenants[:4], *shared[:4]), accepted(*tenants, *shared))
    assert all(acceptance.changed[one.owner].kept_whole for one in shared[4:])


def test_a_grant_for_a_group_counts_for_each_person_and_is_held_as_the_group() -> None:
    state = accepted(intent(SHOP, [group("all"), user(1, "admin")]))
    acceptance = judged(proposal(intent(SHOP, [user(1, "admin")])), state)
    assert len(acceptance.trips[0].removals) == 40
    assert held(acceptance.changed[SHOP]) == {group("all")}


def test_what_people_hold_by_another_grant_is_no_removal() -> None:
    state = accepted(intent(SHOP, [group("all"), *users(*range(40))]))
    assert judged(proposal(intent(SHOP, users(*range(40)))), state).trips == ()


def test_people_taken_out_of_a_group_are_held_as_users() -> None:
    shop = intent(SHOP, [group("all")])
    smaller = Directory(PEOPLE, {"all": ("u-1",), "makers": ("u-1", "u-2")})
    acceptance = judged(proposal(shop), accepted(shop), directory=smaller)
    assert {t.scope for t in acceptance.trips} == {"platform north", "workspace shop"}
    assert held(acceptance.changed[SHOP]) == {user(i) for i in range(40) if i != 1}
    assert acceptance.directory == smaller


def test_people_who_vanish_are_kept_in_the_directory_while_their_grants_are_held() -> None:
    shop = intent(SHOP, users(*range(20)))
    fewer = Directory({name: p for name, p in PEOPLE.items() if int(name[2:]) >= 10}, {})
    disabled = {**PEOPLE, **{f"u-{i}": Person(f"u-{i}", active=False) for i in range(10)}}
    gone = judged(proposal(intent(SHOP, users(*range(10, 20)))), accepted(shop), directory=fewer)
    off = judged(proposal(shop), accepted(shop), directory=Directory(disabled, EVERYBODY.groups))
    for acceptance in (gone, off):
        assert acceptance.directory.people["u-3"] == PEOPLE["u-3"]
        assert set(users(*range(10))) == held(acceptance.changed[SHOP])


def test_somebody_held_who_then_goes_is_asked_about_wherever_else_they_lose_something() -> None:
    shop, hub = intent(SHOP, [group("all")]), intent(Tenant("south", "hub", "prod"), users(*range(2, 10)))
    both, state = proposal(shop, hub), accepted(shop, hub)
    smaller = Directory(PEOPLE, {"all": ("u-0", "u-1")})
    first = judged(both, state, directory=smaller)
    state = after(state, first)
    assert (held(state[SHOP]), first.directory.held) == ({user(i) for i in range(2, 40)}, ())
    fewer = Directory({name: PEOPLE[name] for name in ("u-0", "u-1")}, smaller.groups)
    second = judged(both, state, directory=fewer, before=smaller, commit="c3")
    assert {trip.scope for trip in second.trips if not trip.carried} == {"platform south", "workspace hub"}
    assert held(after(state, second)[hub.owner]) == set(hub.grants)


def test_whose_going_was_judged_is_not_asked_about_again_before_they_were_back() -> None:
    limits = Guards(removal_percent=25, removal_at_least=1, minimum_admins=0)
    shop = intent(SHOP, users(1, 2, 3))
    hub = intent(Tenant("south", "hub", "prod"), [group("makers"), *users(*range(20, 30))])
    both, state, people = proposal(shop, hub), accepted(shop, hub), EVERYBODY
    gone = Directory(PEOPLE | {f"u-{i}": Person(f"u-{i}", active=False) for i in (1, 2)}, EVERYBODY.groups)
    less = proposal(shop, intent(hub.owner, users(*range(22, 30))))
    for proposed, directory, held_people, trips in (
        (both, gone, ("u-1", "u-2"), 2),  # shop: its platform and workspace; of hub two of twelve
        (less, gone, ("u-1", "u-2"), 2),  # two more of hub, and not four
        (both, EVERYBODY, (), 0),
        (less, gone, ("u-1", "u-2"), 4),  # now four
    ):
        found = judged(proposed, state, directory=directory, before=people, guards=limits)
        state, people = after(state, found), found.directory
        assert people.held == held_people
        assert len(found.trips) == trips
        assert bool(held(state[hub.owner])) == (trips == 4)


def test_declared_expiry_and_grants_to_nobody_do_not_count() -> None:
    gone = [user(i, end=YESTERDAY) for i in range(10)]
    nobody = [Term("user", f"x-{i}", "user") for i in range(10)]
    state = accepted(intent(SHOP, [*gone, *nobody, *users(20, 21)]))
    assert judged(proposal(intent(SHOP, users(20, 21))), state).trips == ()


def test_an_end_in_the_future_is_declared_expiry_and_one_in_the_past_is_a_removal() -> None:
    state = accepted(intent(SHOP, users(*range(10))))
    assert judged(proposal(intent(SHOP, [user(i, end=TOMORROW) for i in range(10)])), state).trips == ()
    past = judged(proposal(intent(SHOP, [user(i, end=YESTERDAY) for i in range(10)])), state)
    assert set(users(*range(10))) == held(past.changed[SHOP])


def test_a_grant_in_force_that_is_moved_to_a_later_time_is_a_removal() -> None:
    state = accepted(intent(SHOP, users(*range(10))))
    later = proposal(intent(SHOP, [user(i, start=TOMORROW) for i in range(10)]))
    acceptance = judged(later, state)
    assert held(acceptance.changed[SHOP]) == set(users(*range(10)))
    again = judged(later, after(state, acceptance), before=acceptance.directory, commit="c3")
    assert again.changed == {}


def test_guards_count_the_accepted_state_only() -> None:
    state = accepted(intent(SHOP, users(0)))
    wanted = proposal(intent(SHOP, users(*range(20))))
    state = after(state, judged(wanted, state))
    assert judged(proposal(intent(SHOP, users(0))), accepted(intent(SHOP, users(0)))).trips == ()
    assert judged(proposal(intent(SHOP, users(0))), state).trips != ()


# --- approvals ----------------------------------------------------------------------------------------------


def test_an_approval_lets_exactly_the_held_removals_go() -> None:
    state = accepted(intent(SHOP, users(*range(10))))
    wanted = proposal(intent(SHOP, users(0, 1)))
    first = judged(wanted, state)
    state = after(state, first)
    waiting = judged(wanted, state, commit="c3")
    assert waiting.changed == {}
    assert {t.subject for t in waiting.trips} == {t.subject for t in first.trips}
    assert all(t.carried and len(t.removals) == 8 for t in waiting.trips)
    half = judged(wanted, state, approved=[first.trips[0].subject])
    assert held(half.changed[SHOP]) == set(users(*range(2, 10)))
    done = judged(wanted, state, approved=first.held)
    assert done.changed[SHOP] == AcceptedIntent(wanted[SHOP], "c2")
    assert done.trips == ()


def test_later_merges_do_not_void_an_approval_and_small_removals_still_pass() -> None:
    state = accepted(intent(SHOP, users(*range(20))))
    first = judged(proposal(intent(SHOP, users(*range(10)))), state)
    state = after(state, first)
    later = proposal(intent(SHOP, users(*range(1, 10), 30)))  # one more goes, one comes
    second = judged(later, state, commit="c3")
    assert second.held == first.held
    assert user(0) not in second.changed[SHOP].intent.grants
    state = after(state, second)
    done = judged(later, state, approved=first.held, commit="c4")
    assert done.changed[SHOP].intent.grants == later[SHOP].grants


def test_an_approval_of_kept_tenants_stands_through_later_merges() -> None:
    tenants = [intent(Tenant("north", f"w{i}", "p"), users(1, role="admin")) for i in range(12)]
    state = accepted(*tenants)
    first = judged(proposal(*tenants[:4]), state)
    state = after(state, first)
    more = proposal(*tenants[:3])
    done = judged(more, state, approved=first.held, commit="c3")
    assert done.trips == ()
    assert all(after(state, done)[one.owner].intent.left_at == "c3" for one in tenants[3:])


def test_what_is_put_back_is_no_longer_held() -> None:
    full = intent(SHOP, users(*range(10)))
    state = accepted(full)
    state = after(state, judged(proposal(intent(SHOP, users(0))), state))
    acceptance = judged(proposal(full), state, commit="c3")
    assert acceptance.changed == {SHOP: AcceptedIntent(full, "c3")}
    assert acceptance.trips == ()


def test_removing_an_owner_does_not_let_its_held_grants_go() -> None:
    other = intent(Tenant("north", "shop", "test"), users(1, role="admin"))
    state = accepted(intent(SHOP, users(*range(10))), other)
    state = after(state, judged(proposal(intent(SHOP, users(0)), other), state))
    acceptance = judged(proposal(other), state, commit="c3")
    assert after(state, acceptance)[SHOP].kept_whole
    assert len(after(state, acceptance)[SHOP].intent.grants) == 10


def test_approvals_of_another_rule_or_out_of_date_let_nothing_go() -> None:
    state = accepted(intent(SHOP, users(*range(10))))
    wanted = proposal(intent(SHOP, users(0)))
    subjects = judged(wanted, state).held
    for rule, end in (("deletion", TOMORROW), ("guard", NOW)):
        yes = {
            s: Approval(s, rule, Personal("ops"), "local-operator", YESTERDAY, end)  # type: ignore[arg-type]
            for s in subjects
        }
        acceptance = judge(
            wanted, state, EVERYBODY, EVERYBODY, GUARDS, yes, descends=True, commit="c2", now=NOW
        )
        assert acceptance.held == subjects


# --- minimum admins -----------------------------------------------------------------------------------------


def test_the_last_admin_of_a_workspace_is_held_and_nobody_else() -> None:
    state = accepted(intent(SHOP, [user(1, "admin"), user(2)]))
    acceptance = judged(proposal(intent(SHOP, users(3))), state)
    (trip,) = acceptance.trips
    assert (trip.guard, trip.scope) == ("minimum-admins", "workspace shop")
    assert held(acceptance.changed[SHOP]) == {user(1, "admin")}
    assert user(2) not in acceptance.changed[SHOP].intent.grants


def test_an_admin_by_a_group_or_by_a_workspace_role_counts() -> None:
    for one in (intent(SHOP, [group("makers", "admin")]), intent(SHOP_ON_NORTH, [user(5, "owner")])):
        both = proposal(intent(SHOP), one)
        state = accepted(intent(SHOP, users(1, role="admin")), *([one] if one.owner != SHOP else []))
        assert judged(both, state).trips == ()


def test_the_last_member_taken_out_of_the_admins_group_is_held() -> None:
    shop = intent(SHOP, [group("makers", "admin")])
    empty = Directory(PEOPLE, {"makers": ()})
    acceptance = judged(proposal(shop), accepted(shop), directory=empty)
    assert held(acceptance.changed[SHOP]) == {user(1, "admin"), user(2, "admin")}


def test_a_workspace_that_had_too_few_admins_before_may_stay_so() -> None:
    state = accepted(intent(SHOP, users(1)))
    assert judged(proposal(intent(SHOP, users(2))), state).trips == ()


def test_a_workspace_that_goes_altogether_needs_no_admins() -> None:
    other = intent(Tenant("north", "hub", "p"), users(1, role="admin"))
    state = accepted(intent(SHOP, users(1, role="admin")), other)
    assert judged(proposal(other), state).trips == ()


# --- the whole ----------------------------------------------------------------------------------------------


def test_an_empty_organization_keeps_everything() -> None:
    state = accepted(intent(SHOP, users(1)), intent(SHOP_ON_NORTH))
    acceptance = judged({}, state)
    assert [t.guard for t in acceptance.trips] == ["empty-organization"]
    now = after(state, acceptance)
    assert now[SHOP].intent == state[SHOP].intent
    assert now[SHOP_ON_NORTH].kept_whole
    state = after(now, judged({}, now, approved=acceptance.held, commit="c3"))
    assert all(a.intent.left_at == "c3" for a in state.values())


def test_a_history_without_the_accepted_commit_is_refused_as_a_whole() -> None:
    state = accepted(intent(SHOP, users(1)))
    wanted = proposal(intent(SHOP, users(2)))
    acceptance = judged(wanted, state, descends=False)
    assert acceptance.refused is not None
    assert acceptance.changed == {}
    (trip,) = acceptance.trips
    assert trip.guard == "history"
    allowed = judged(wanted, state, descends=False, approved=[trip.subject])
    assert (allowed.refused, set(allowed.changed)) == (None, {SHOP})
    assert judged(wanted, state, descends=False, approved=[trip.subject], commit="c9").refused is not None


def revocation(
    subject: str = "u-1", role: str = "", project: str = "prod", workspace: str = "shop"
) -> Revocation:
    event = GrantRevoked(
        workspace, project, "user", subject, role, Personal("ops"), "local-operator", Personal("left")
    )
    return Revocation(f"r-{subject}-{role}", NOW, event)


def test_a_revocation_subtracts_until_a_commit_no_longer_has_the_grant() -> None:
    shop = intent(SHOP, [*users(1, 2), user(1, "reader")])
    state = accepted(Subtraction([revocation()]).apply(shop))
    acceptance = judged(proposal(shop), state, revocations=[revocation()])
    assert (acceptance.changed, acceptance.lapsed) == ({}, ())
    acceptance = judged(proposal(intent(SHOP, users(2))), state, revocations=[revocation()])
    assert acceptance.lapsed == ("r-u-1-",)


def test_a_revocation_of_one_role_leaves_the_others() -> None:
    shop = intent(SHOP, [user(1), user(1, "reader")])
    assert Subtraction([revocation(role="user")]).apply(shop).grants == (user(1, "reader"),)
    assert Subtraction([revocation(project="")]).apply(shop) is shop


def test_revoked_grants_are_no_removals_and_are_never_held() -> None:
    state = accepted(intent(SHOP, users(*range(10))))
    revoked = [revocation(f"u-{i}") for i in range(8)]
    acceptance = judged(proposal(intent(SHOP, users(8, 9))), state, revocations=revoked)
    assert acceptance.trips == ()
    assert acceptance.changed[SHOP].intent.grants == tuple(users(8, 9))


def test_a_held_grant_can_be_revoked() -> None:
    state = accepted(intent(SHOP, users(*range(10))))
    wanted = proposal(intent(SHOP, users(0)))
    state = after(state, judged(wanted, state))
    acceptance = judged(wanted, state, revocations=[revocation("u-5")], commit="c3")
    assert user(5) not in acceptance.changed[SHOP].intent.grants
    assert user(6) in held(acceptance.changed[SHOP])


# --- names --------------------------------------------------------------------------------------------------


def test_dropping_the_oldest_name_from_formerly_refuses_the_commit() -> None:
    live = Tenant("north", "shop", "live")
    state = accepted(intent(live, users(1), project="prod"))
    acceptance = judged(proposal(intent(SHOP, users(1))), state)
    assert acceptance.refused is not None
    (finding,) = acceptance.findings
    assert (finding.code, finding.source, finding.path) == (
        "formerly-dropped",
        "Project shop/prod",
        ("formerly",),
    )
    assert "'live'" in finding.advice


def test_two_projects_that_exchange_names_are_refused() -> None:
    live = Tenant("north", "shop", "live")
    state = accepted(intent(live, users(1), project="prod"))
    swapped = proposal(intent(live, users(1), project="live"), intent(SHOP, users(2), project="prod"))
    assert judged(swapped, state).refused is not None


def test_a_workspace_that_loses_its_formerly_is_told_once() -> None:
    old = [intent(Tenant("north", "store", f"p{i}"), users(1), workspace="shop") for i in range(3)]
    state = accepted(*old, intent(WorkspaceOn("north", "store"), workspace="shop"))
    new = [intent(Tenant("north", "shop", f"p{i}"), users(1)) for i in range(3)]
    (finding,) = judged(proposal(*new, intent(SHOP_ON_NORTH)), state).findings
    assert finding.source == "Workspace shop"


def test_a_rename_without_formerly_is_a_remark() -> None:
    state = accepted(intent(Tenant("north", "shop", "live"), [user(1, "admin")]))
    acceptance = judged(proposal(intent(SHOP, [user(1, "admin")])), state)
    assert acceptance.refused is None
    (finding,) = acceptance.findings
    assert (finding.severity, finding.code) == ("warning", "looks-like-rename")
    assert "formerly: [live]" in finding.advice


def test_a_rename_with_formerly_is_an_update_without_findings() -> None:
    live = Tenant("north", "shop", "live")
    acceptance = judged(proposal(intent(live, users(1), project="prod")), accepted(intent(live, users(1))))
    assert (acceptance.findings, set(acceptance.changed)) == ((), {live})
