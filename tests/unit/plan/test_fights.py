"""Where somebody else keeps changing what is mended: access is mended for ever, attributes have a truce."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hanse.desired.intent import Intent
from hanse.model import Cause, Key, KindSpec, Native, Reason, Ref, Step, Tenant, Value
from hanse.model.step import Action
from hanse.plan import Fights, Plan
from hanse.plan.fights import MANY

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Tenant("fra", "shop", "prod")
GROUP = Key("acme", "shop", "prod", "group/user")
KINDS = {
    "project": KindSpec("project", guarded=True),
    "group": KindSpec("group"),
    "binding": KindSpec("binding", subject="subjects"),
    "membership": KindSpec("membership", ends=("group", "user"), subject="user"),
}
INTENT = Intent(OWNER, "acme", "shop", "prod")
OTHER = Intent(OWNER, "acme", "shop", "prod", description="another wish")


def second(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def a_step(
    action: Action, kind: str, key: Key, after: dict[str, Value], cause: Cause = "local-change"
) -> Step:
    return Step(action, kind, key, OWNER, "n-1", {}, after, (), Reason(cause))


def member(user: str = "dan", action: Action = "delete", cause: Cause = "local-change") -> Step:
    ends: dict[str, Value] = {"group": Ref(GROUP), "user": Native("user", user)}
    return Step(action, "membership", GROUP.child(f"member/={user}"), OWNER, "", ends, {}, (), Reason(cause))


def description(key: Key = GROUP, cause: Cause = "local-change") -> Step:
    return a_step("update", "group", key, {"description": "as it was"}, cause)


def fight(step: Step, until: int, change: Callable[[int], bool] = lambda _: True) -> tuple[Fights, list[int]]:
    """Somebody changes it each second where `change` says so; the seconds at which it is put back."""
    fights, broken = Fights(), False
    mended: list[int] = []
    for number in range(until):
        broken = broken or change(number)
        plan = fights.restrain(Plan(OWNER, (step,) if broken else ()), KINDS, INTENT, second(number))
        if plan.steps:
            fights.repaired(step, KINDS, INTENT, second(number))
            mended.append(number)
            broken = False
    return fights, mended


def test_access_repair_never_stops() -> None:
    hour = 3600
    for step in (
        member(),
        member(action="create"),
        a_step("create", "group", GROUP, {}),
        a_step("update", "binding", GROUP, {"subjects": ()}),
    ):
        _, mended = fight(step, hour)
        assert mended[:MANY] == [0, 1, 2, 3, 4]
        pauses = {later - one for one, later in zip(mended[MANY - 1 :], mended[MANY:], strict=False)}
        assert pauses == {30}, "never longer than half a minute, and no shorter while the fight goes on"
        assert mended[-1] > hour - 31


def test_attributes_stop_being_put_back_after_five_times_and_it_is_told() -> None:
    fights, mended = fight(description(), 600)
    assert mended == [0, 1, 2, 3, 4]
    plan = fights.restrain(Plan(OWNER, (description(),)), KINDS, INTENT, second(600))
    assert plan.steps == ()
    assert plan.withheld == (description(),)
    [remark] = plan.remarks
    assert remark.code == "fight"
    assert "group group/user" in remark.message
    assert "5 times in a minute" in remark.message
    assert "10 minutes" in remark.message
    assert remark.advice
    assert not remark.blocking


def test_attributes_are_put_back_again_after_ten_minutes() -> None:
    _, mended = fight(description(), 1300)
    assert mended == [0, 1, 2, 3, 4, 604, 605, 606, 607, 608, 1208, 1209, 1210, 1211, 1212]


def test_attributes_are_put_back_at_once_where_something_else_is_wanted() -> None:
    fights, _ = fight(description(), 10)
    plan = Plan(OWNER, (description(),))
    assert not fights.restrain(plan, KINDS, INTENT, second(11)).steps
    assert fights.restrain(plan, KINDS, OTHER, second(11)) == plan


def test_what_is_changed_seldom_is_no_fight() -> None:
    for step in (description(), member()):
        fights, mended = fight(step, 600, lambda number: number % 15 == 0)
        assert mended == list(range(0, 600, 15)), "four times in a minute"
        assert fights.next_look(OWNER, second(600)) is None


def test_a_thing_that_was_quiet_for_a_minute_is_put_back_at_once_again() -> None:
    _, mended = fight(member(), 200, lambda number: number < 10 or number >= 100)
    assert mended[:7] == [0, 1, 2, 3, 4, 34, 100]
    assert mended[7:11] == [101, 102, 103, 104]


def test_many_things_of_one_owner_that_are_changed_once_are_no_fight() -> None:
    fights = Fights()
    for number in range(20):
        step = member(f"user-{number}")
        assert fights.repaired(step, KINDS, INTENT, second(number)) is None
    assert fights.restrain(Plan(OWNER, (member(),)), KINDS, INTENT, second(21)).steps
    assert not fights.resting(OWNER, second(21))


def test_a_fight_is_told_once_when_it_begins() -> None:
    fights = Fights()
    begun = [fights.repaired(member(), KINDS, INTENT, second(number)) for number in range(8)]
    assert [fight is not None for fight in begun] == [False] * 4 + [True] + [False] * 3
    assert begun[4] is not None
    assert (begun[4].owner, begun[4].key) == (OWNER, member().key)


def test_a_fight_over_attributes_holds_back_nothing_else_of_the_owner() -> None:
    fights, _ = fight(description(), 10)
    others = (member(), description(GROUP.child("other")), description(GROUP, cause="declared"))
    plan = fights.restrain(Plan(OWNER, (description(), *others)), KINDS, INTENT, second(10))
    assert plan.steps == others
    assert not fights.resting(OWNER, second(10))


def test_a_fight_over_access_makes_all_repairs_of_the_owner_rarer_and_no_change_that_is_asked_for() -> None:
    fights, mended = fight(member(), 6)
    asked = (member("eve", "create", "declared"), member("ben", "delete", "expired"))
    other = member("cat", "create")
    plan = Plan(OWNER, (member(), other, *asked))
    assert fights.restrain(plan, KINDS, INTENT, second(6)).steps == asked
    assert fights.resting(OWNER, second(6))
    again = mended[-1] + 30
    assert fights.next_look(OWNER, second(6)) == second(again)
    assert fights.restrain(plan, KINDS, INTENT, second(again)).steps == plan.steps


def test_other_owners_have_no_part_in_a_fight() -> None:
    fights, _ = fight(member(), 6)
    other = Tenant("fra", "shop", "test")
    plan = Plan(other, (member(),))
    assert fights.restrain(plan, KINDS, INTENT, second(6)) == plan
    assert fights.next_look(other, second(6)) is None


def test_there_is_a_next_look_until_a_fight_is_over_and_then_it_is_forgotten() -> None:
    for step in (member(), description()):
        fights, _ = fight(step, 6)
        at, looks = second(6), 0
        while (later := fights.next_look(OWNER, at)) is not None:
            assert at < later
            at, looks = later, looks + 1
        assert looks <= 2
        plan = Plan(OWNER, (step,))
        assert fights.restrain(plan, KINDS, INTENT, at) == plan


def test_a_clock_that_is_set_back_stops_no_repair() -> None:
    fights, _ = fight(member(), 10)
    assert fights.resting(OWNER, second(10))
    an_hour_ago = second(-3600)
    assert not fights.resting(OWNER, an_hour_ago)
    plan = fights.restrain(Plan(OWNER, (member(),)), KINDS, INTENT, an_hour_ago)
    assert plan.steps == (member(),)
    assert fights.repaired(member(), KINDS, INTENT, an_hour_ago) is None, "one repair since makes no fight"
    assert fights.next_look(OWNER, an_hour_ago) is None
