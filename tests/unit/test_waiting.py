"""Why an owner waits: each reason by itself, from what is kept of the owner and was said of its platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from hanse.desired.accepted import AcceptedIntent, Held
from hanse.desired.intent import Intent, Term
from hanse.model import Remark, Tenant
from hanse.ports.store import Condition, OwnerRow, Status, Work, remark_name
from hanse.service.waiting import Reason, is_settled, reasons

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
AGO = NOW - timedelta(minutes=7)
WEB = Tenant("north", "shop", "web")
INTENT = Intent(WEB, "example", "shop", "web")
FINE = Status(applied=INTENT.digest)
SERVED = Condition("north", NOW, rate=20.0, most=20.0)


def a_row(status: Status = FINE, *, intent: Intent = INTENT, held: tuple[Held, ...] = ()) -> OwnerRow:
    return OwnerRow(WEB, AcceptedIntent(intent, "c1", held), status)


def of(
    row: OwnerRow, *conditions: Condition, work: Work | None = None, place: tuple[int, int] | None = None
) -> list[Reason]:
    return reasons(row, work, place, conditions or (SERVED,), NOW)


def codes(found: list[Reason]) -> list[str]:
    return [one.code for one in found]


def test_who_is_as_it_shall_be_waits_for_nothing() -> None:
    assert is_settled(a_row())
    assert of(a_row()) == []
    assert of(a_row(), work=Work(WEB, 2, due=NOW), place=(1, 1)) == [], (
        "it is looked at, and nothing is wrong"
    )


def test_what_a_platform_answered_is_told_in_its_words_and_since_when() -> None:
    status = Status(waits="the domain is not ready", waits_code="not-yet", since={"not-yet": AGO})
    assert of(a_row(status)) == [Reason("not-yet", "the domain is not ready", "", AGO)]


def test_what_was_refused_says_what_to_do() -> None:
    status = Status(waits="the quota is used up", waits_code="refused", advice="ask for a larger one")
    [found] = of(a_row(status))
    assert (found.code, found.advice) == ("refused", "ask for a larger one")


def test_each_approval_is_named_with_the_command_that_gives_it() -> None:
    held = (
        Held("a" * 64, "ceiling", "platform north", Term("user", "u-1", "user")),
        Held("a" * 64, "ceiling", "platform north", Term("user", "u-2", "user")),
        Held("b" * 64, "minimum-admins", "workspace shop", Term("user", "u-3", "admin")),
    )
    many, one = of(a_row(held=held))
    assert many.message == "2 removals are held by a guard (ceiling of the platform north)"
    assert "`hanse approve aaaaaaaaaaaa` lets it happen" in many.advice
    assert one.message == "1 removal is held by a guard (minimum-admins of the workspace shop)"
    assert codes(of(a_row(held=(Held("c" * 64, "history", "organization"),)))) == ["approval"]


def test_a_person_whom_the_platform_does_not_know_is_named_and_nothing_else_waits() -> None:
    remark = Remark(WEB, "unknown-user", "u-9 is not known there yet", "nothing to do", "u-9")
    status = replace(FINE, remarks=(remark,), since={remark_name(remark): AGO})
    row = a_row(status)
    assert is_settled(row)
    assert of(row) == [Reason("unknown-user", remark.message, remark.advice, AGO)]


def test_a_platform_that_is_away_goes_before_the_turn_and_before_what_its_owners_were_told() -> None:
    away = replace(SERVED, away="no connection", advice="look whether it is there", away_since=AGO)
    status = Status(waits="north cannot be read", waits_code="away")
    found = of(a_row(status), away, work=Work(WEB, 1, due=NOW), place=(3, 9))
    assert found == [Reason("away", "north cannot be read: no connection", "look whether it is there", AGO)]
    assert of(a_row(), away) == [], "who is as it shall be does not wait for the platform"
    old = replace(away, at=NOW - timedelta(minutes=2))
    assert codes(of(a_row(status), old)) == ["away"], (
        "what was said long ago does not count; its own word does"
    )
    assert of(a_row(status), old)[0].since is None


def test_a_budget_that_is_used_up_says_how_many_calls_wait_and_for_how_long_in_all_processes() -> None:
    full = replace(SERVED, waiting=300, waiting_since=AGO)
    work = Work(WEB, 1, due=AGO)
    budget, turn = of(a_row(Status()), full, replace(full, waiting=101), work=work, place=(12, 340))
    assert budget.code == "budget"
    assert budget.message == "401 calls wait for the budget of north: 20 a second, so about 20 s"
    assert budget.since == AGO
    assert (turn.code, turn.since) == ("turn", AGO)
    assert turn.message == "its turn: place 12 of 340 that are due on north"
    slow = replace(full, waiting=1, rate=2.5)
    assert "1 call waits" in of(a_row(Status()), slow, work=work, place=(1, 1))[0].message
    assert "2.5 a second instead of 20, since it asked for less" in (
        of(a_row(Status()), slow, work=work, place=(1, 1))[0].message
    )
    other = replace(full, platform="south")
    assert codes(of(a_row(Status()), SERVED, other, work=work, place=(1, 1))) == ["turn"]


def test_where_nobody_serves_it_says_so_and_what_to_start() -> None:
    work = Work(WEB, 1, due=AGO)
    [never] = reasons(a_row(Status()), work, (1, 1), [], NOW)
    assert never.code == "nobody-serves"
    assert "`hanse serve`" in never.advice
    [ended] = of(a_row(Status()), replace(SERVED, at=AGO), work=work, place=(1, 1))
    assert "the last word of it is of 2026-06-01 11:53 UTC" in ended.message


def test_what_was_accepted_and_nobody_looked_at_says_so() -> None:
    assert codes(of(a_row(Status()))) == ["unseen"]
    assert codes(of(a_row(replace(FINE, applied="another")))) == ["unseen"]


def test_a_grant_that_begins_later_is_told_with_its_beginning_and_is_nothing_to_wait_for() -> None:
    begins = NOW + timedelta(days=3)
    terms = (Term("user", "u-1", "user", begins), Term("user", "u-2", "user", AGO))
    intent = replace(INTENT, grants=terms)
    row = a_row(Status(applied=intent.digest), intent=intent)
    assert is_settled(row)
    assert of(row) == [Reason("begins", "user u-1 gets role user", "", None, begins)]
