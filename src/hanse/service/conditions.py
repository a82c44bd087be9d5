"""How the platforms are while `hanse serve` runs, said in the store: `hanse status`, which asks, is another process."""

from __future__ import annotations

from datetime import datetime

from hanse.ports.store import Condition, StoreError
from hanse.reconcile.news import Away, Back, Swept
from hanse.service.estate import Estate

LOOK_SECONDS = 1.0
"""Between two looks at the budgets."""
SAY_SECONDS, REST_SECONDS = 2.0, 10.0
"""Between two words while something is in the way, and while nothing is."""


class Conditions:
    """What this process knows of its platforms."""

    def __init__(self, estate: Estate) -> None:
        """Begin with no word of any."""
        self._estate = estate
        self._away: dict[str, tuple[Away, datetime]] = {}
        self._waiting: dict[str, datetime] = {}
        """Since when calls to a platform always waited."""
        self._said: list[tuple[str, bool, bool]] = []
        self._said_at: datetime | None = None

    def heard(self, news: object) -> None:
        """Something happened."""
        match news:
            case Away(platform=platform):
                self._away.setdefault(platform, (news, self._estate.now()))
            case Back(platform) | Swept(platform=platform):
                self._away.pop(platform, None)
            case _:
                pass

    async def keep_saying(self, platforms: list[str]) -> None:
        """Say it, for ever: at once where it changes, and now and then where not, so that one sees that we live.

        A store that cannot be written now is told of by whoever has to write more than this.
        """
        while True:
            try:
                await self.say(platforms)
            except StoreError:
                self._said_at = None
            await self._estate.sleep(LOOK_SECONDS)

    async def say(self, platforms: list[str]) -> None:
        """Say it, if it is time. Raises StoreError."""
        now = self._estate.now()
        budgets = self._estate.traffic.budgets
        names = sorted({*platforms, *budgets, *self._away})
        for name in names:
            if name in budgets and budgets[name].waiting:
                self._waiting.setdefault(name, now)
            else:
                self._waiting.pop(name, None)
        state = [(name, name in self._away, name in self._waiting) for name in names]
        pause = SAY_SECONDS if self._away or self._waiting else REST_SECONDS
        since = (now - self._said_at).total_seconds() if self._said_at else pause
        if state == self._said and 0 <= since < pause:
            return
        await self._estate.store.keep_conditions([self._of(name, now) for name in names])
        self._said, self._said_at = state, now

    def _of(self, name: str, now: datetime) -> Condition:
        away, away_since = self._away.get(name, (None, None))
        budget = self._estate.traffic.budgets.get(name)
        return Condition(
            name,
            now,
            away.message if away else "",
            away.advice if away else "",
            away_since,
            budget.waiting if budget else 0,
            self._waiting.get(name),
            budget.rate if budget else 0.0,
            budget.most if budget else 0.0,
        )
