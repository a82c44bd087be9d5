"""Why an owner is not as it shall be, or not yet: made of what is kept of it, and of how its platform is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from hanse.ports.store import Condition, OwnerRow, Work, remark_name

FRESH = timedelta(seconds=60)
"""What a process said of a platform counts for so long. It says it every few seconds; clocks may differ."""


class Reason(Struct, frozen=True, rename="camel"):
    """One thing that an owner waits for."""

    code: str
    """A stable name in kebab-case: docs/operations.md has what each means, and what to do."""
    message: str
    advice: str = ""
    """What somebody can do about it."""
    since: datetime | None = None
    until: datetime | None = None
    """When it is over, where that is known."""


def is_settled(row: OwnerRow) -> bool:
    """Whether an owner is as it shall be, as far as is known, and waits for nobody."""
    is_applied = row.status.applied == row.accepted.intent.digest
    return is_applied and not (row.status.waits or row.accepted.held or row.accepted.intent.left_at)


def reasons(
    row: OwnerRow,
    work: Work | None,
    place: tuple[int, int] | None,
    conditions: Sequence[Condition],
    now: datetime,
) -> list[Reason]:
    """All that an owner waits for: a person first, then its platform, then its turn, and what is still to come.

    `place` is that among those that are due on its platform; `conditions` are all that was said of any platform, newest
    first.
    """
    status = row.status
    found = [*_held(row)]
    ours = [one for one in conditions if one.platform == row.owner.platform and now - one.at < FRESH]
    away = next((one for one in ours if one.away), None)
    unsettled = not is_settled(row)
    if away and (unsettled or place):
        words = f"{away.platform} cannot be read: {away.away}"
        found.append(Reason("away", words, away.advice, away.away_since))
    if status.waits and not (away and status.waits_code == "away"):
        code = status.waits_code or "waits"
        found.append(Reason(code, status.waits, status.advice, status.since.get(status.waits_code)))
    found += _missing(row)
    if unsettled and place and not away:
        found += _budget(ours)
    its_turn = place is not None and (unsettled or bool(work and work.attempts))
    if its_turn and place and not away:
        found.append(_turn(row, work, place, conditions, now))
    elif unsettled and not found:
        advice = "`hanse apply` takes it up, and so does the next sweep of `hanse serve`"
        found.append(Reason("unseen", "nobody has looked at it since it was accepted", advice))
    return found + _to_come(row, now)


def _held(row: OwnerRow) -> Iterable[Reason]:
    """The approvals that removals of this owner wait for."""
    held = row.accepted.held
    for subject in dict.fromkeys(one.subject for one in held):
        here = [one for one in held if one.subject == subject]
        what = "its removal is" if any(one.term is None for one in here) else _many(len(here), "removal")
        guards = ", ".join(dict.fromkeys(f"{one.guard} of the {one.scope}" for one in here))
        advice = f"`hanse approve {subject[:12]}` lets it happen, and `hanse approve` shows all of it"
        yield Reason("approval", f"{what} held by a guard ({guards})", advice)


def _many(number: int, word: str) -> str:
    return f"{number} {word} is" if number == 1 else f"{number} {word}s are"


def _missing(row: OwnerRow) -> Iterable[Reason]:
    """People whom the platform does not know yet: nothing else waits for them."""
    for remark in row.status.remarks:
        if remark.code.startswith("unknown-") and not remark.blocking:
            since = row.status.since.get(remark_name(remark))
            yield Reason(remark.code, remark.message, remark.advice, since)


def _budget(ours: Sequence[Condition]) -> Iterable[Reason]:
    """Whether the platform's budget is used up, in all processes together."""
    full = [one for one in ours if one.waiting and one.rate]
    if not full:
        return
    waiting, rate = sum(one.waiting for one in full), min(one.rate for one in full)
    most = max(one.most for one in full)
    calls = f"{waiting} call{' waits' if waiting == 1 else 's wait'} for the budget of {full[0].platform}"
    pace = f"{rate:.3g} a second"
    if rate < most:
        pace += f" instead of {most:.3g}, since it asked for less"
    since = min((one.waiting_since for one in full if one.waiting_since), default=None)
    advice = "where the platform can take more, `pace.requestsPerSecond` of its document says so"
    yield Reason("budget", f"{calls}: {pace}, so about {max(waiting / rate, 1):.0f} s", advice, since)


def _turn(
    row: OwnerRow, work: Work | None, place: tuple[int, int], conditions: Sequence[Condition], now: datetime
) -> Reason:
    """Its place among those that are due, and whether anybody looks at them."""
    since = work.due if work else None
    number, many = place
    where = f"place {number} of {many} that are due on {row.owner.platform}" if many > 1 else "it is due"
    if any(now - one.at < FRESH for one in conditions):
        return Reason("turn", f"its turn: {where}", "", since)
    last = conditions[0].at if conditions else None
    advice = "start `hanse serve`, or run `hanse apply`"
    seen = "" if last is None else f", the last word of it is of {last:%Y-%m-%d %H:%M} UTC"
    return Reason("nobody-serves", f"no `hanse serve` runs{seen}; {where}", advice, since)


def _to_come(row: OwnerRow, now: datetime) -> list[Reason]:
    """Grants that begin later."""
    if row.accepted.intent.left_at:
        return []
    coming = sorted((one.start, one) for one in row.accepted.intent.grants if one.start and one.start > now)
    return [
        Reason("begins", f"{one.subject_kind} {one.subject} gets role {one.role}", "", None, start)
        for start, one in coming
    ]
