"""Somebody else keeps changing what we keep mending: what is done about it, thing by thing.

Attributes stop being put back after five times in a minute, until ten minutes are over or something else is wanted.
Access, and the things that people's access hangs on, is mended for ever: the owner's repairs only become rarer, one
in half a minute, until a minute was quiet.

This is the memory of one process. It knows no clock: instants are arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from hanse.desired.intent import Intent
from hanse.model import Key, KindSpec, Owner, Remark, Step
from hanse.plan.make import mark_of
from hanse.plan.plan import Plan

MANY = 5
"""Repairs of one thing that make a fight, where they lie within the span."""
FIGHT = "fight"
"""The code of the remark on one."""
WITHIN = timedelta(minutes=1)
TRUCE = timedelta(minutes=10)
"""How long attributes are left as somebody else makes them."""
PAUSE = timedelta(seconds=30)
"""Between two repairs of access that somebody fights for."""


@dataclass
class Fight:
    """One thing that was repaired of late."""

    owner: Owner
    key: Key
    kind: str
    access: bool
    intent: str
    """Digest of what was wanted when it began."""
    repairs: list[datetime] = field(default_factory=list)
    """Within the last minute."""
    since: datetime | None = None
    """When it became a fight; None: it is none."""

    def until(self) -> datetime:
        """When it is over, or forgotten, unless it is repaired again before."""
        return self.repairs[-1] + WITHIN if self.access or self.since is None else self.since + TRUCE

    def lasts(self, at: datetime) -> bool:
        """Whether it is neither over nor still to come, as it is where the clock was set back."""
        return self.repairs[-1] <= at < self.until()


class Fights:
    """What was repaired of late, by owner and thing."""

    def __init__(self) -> None:
        self._things: dict[Owner, dict[str, Fight]] = {}
        self._mended: dict[Owner, datetime] = {}
        """The last repair of access of an owner."""
        self._tidied: datetime | None = None

    def repaired(
        self, step: Step, kinds: Mapping[str, KindSpec], intent: Intent, at: datetime
    ) -> Fight | None:
        """Count a step that is done, if it put back a local change. The fight, where one begins by it."""
        if step.reason.cause != "local-change":
            return None
        self._tidy(at)
        things = self._things.setdefault(step.owner, {})
        name = mark_of(step, kinds)
        access = _is_access(step, kinds)
        fight = things.get(name)
        if fight is None or (fight.intent, fight.access) != (intent.digest, access) or not fight.lasts(at):
            fight = things[name] = Fight(step.owner, step.key, step.kind, access, intent.digest)
        fight.repairs = [*(one for one in fight.repairs if at - one < WITHIN), at]
        if access:
            self._mended[step.owner] = at
        if fight.since is not None or len(fight.repairs) < MANY:
            return None
        fight.since = at
        return fight

    def restrain(self, plan: Plan, kinds: Mapping[str, KindSpec], intent: Intent, at: datetime) -> Plan:
        """The plan without repairs that a fight stops for now, and with a remark on each fight."""
        if plan.owner not in self._things:
            return plan
        fights = {
            name: fight for name, fight in self._active(plan.owner, at) if fight.intent == intent.digest
        }
        if not fights:
            return plan
        rests = at < self._rests_until(plan.owner, at)
        withheld = tuple(
            step
            for step in plan.steps
            if step.reason.cause == "local-change"
            and (rests if _is_access(step, kinds) else mark_of(step, kinds) in fights)
        )
        steps = tuple(step for step in plan.steps if step not in withheld)
        remarks = tuple(_remark(fight) for fight in fights.values())
        return replace(plan, steps=steps, remarks=plan.remarks + remarks, withheld=withheld)

    def resting(self, owner: Owner, at: datetime) -> bool:
        """Whether the owner's repairs have their pause, so that looking at it would mend nothing."""
        return at < self._rests_until(owner, at)

    def next_look(self, owner: Owner, at: datetime) -> datetime | None:
        """When what a fight stops now may be done again, or the fight is over; None: there is none."""
        rests = self._rests_until(owner, at)
        ends = [fight.until() for _, fight in self._active(owner, at)]
        return min([*ends, rests] if rests > at else ends, default=None)

    def _rests_until(self, owner: Owner, at: datetime) -> datetime:
        fought = any(fight.access for _, fight in self._active(owner, at))
        return self._mended[owner] + PAUSE if fought else at

    def _active(self, owner: Owner, at: datetime) -> Iterator[tuple[str, Fight]]:
        for name, fight in self._things.get(owner, {}).items():
            if fight.since is not None and fight.lasts(at):
                yield name, fight

    def _tidy(self, at: datetime) -> None:
        """Now and then, let go of what is over: only the last minutes are kept."""
        if self._tidied is not None and timedelta() <= at - self._tidied < WITHIN:
            return
        self._tidied = at
        for owner, things in [*self._things.items()]:
            kept = {name: fight for name, fight in things.items() if fight.lasts(at)}
            if kept:
                self._things[owner] = kept
            else:
                del self._things[owner]
                self._mended.pop(owner, None)


def _is_access(step: Step, kinds: Mapping[str, KindSpec]) -> bool:
    """Whether people's access is, or hangs on, what the step mends: links, and things that were made or removed."""
    spec = kinds[step.kind]
    return step.action != "update" or spec.is_link or bool(spec.subject)


def _remark(fight: Fight) -> Remark:
    what = f"{fight.kind} {fight.key.part} was changed by hand and put back {len(fight.repairs)} times in a minute"
    if fight.access:
        message, means = f"{what}; it is put back once in {PAUSE.seconds} seconds now", "access to it"
    else:
        message = f"{what}; it is left as it is for {TRUCE.seconds // 60} minutes"
        means = "its attributes"
    advice = (
        f"find who or what else sets {means} on the platform, such as another controller or a script, and stop it, "
        "or declare what it wants"
    )
    return Remark(fight.owner, FIGHT, message, advice, str(fight.key))
