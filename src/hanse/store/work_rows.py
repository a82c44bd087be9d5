"""The rows that say what is to be looked at, who looks at it just now, and how platforms are meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter

import msgspec

from hanse.foundation import canonical
from hanse.model import Owner, parse_owner
from hanse.ports.store import ANY_NUMBER, MARKED, Backlog, Condition, Work
from hanse.store.database import Engine, Row, Sql
from hanse.store.database import instant as _instant
from hanse.store.database import microseconds as _microseconds

_condition = msgspec.json.Decoder(Condition)


class WorkRows:
    """The part of a store that is the queue."""

    def __init__(self, engine: Engine) -> None:
        """Take over an engine, whose tables are there."""
        self.engine = engine
        self._writer = engine.writer

    async def mark(self, owners: Iterable[Owner], due: datetime, why: str) -> None:
        """Ask for a look at these owners, at `due` at the latest."""
        marked = list(owners)
        if marked:
            await self.engine.write(partial(mark, marked, due, why))

    async def backlog(self, now: datetime) -> dict[str, Backlog]:
        """By platform, how much there is to be looked at."""
        rows = await self.engine.read(
            lambda sql: sql.run(
                "SELECT platform, count(CASE WHEN due <= $1 THEN 1 END), min(CASE WHEN due <= $1 THEN due END),"
                " count(CASE WHEN attempts > 0 THEN 1 END) FROM work GROUP BY platform",
                _microseconds(now),
            )
        )
        return {
            platform: Backlog(due, None if oldest is None else _instant(oldest), retried)
            for platform, due, oldest, retried in rows
        }

    async def count_due(self, platform: str, now: datetime) -> int:
        """How many owners are due on a platform."""
        rows = await self.engine.read(
            lambda sql: sql.run(
                "SELECT count(*) FROM work WHERE platform = $1 AND due <= $2", platform, _microseconds(now)
            )
        )
        return int(rows[0][0])

    async def under_way(self, platform: str) -> set[Owner]:
        """The owners of a platform that are claimed just now."""

        async def job(sql: Sql) -> list[Row]:
            return await sql.run(
                "SELECT owner FROM work WHERE platform = $1 AND claimed_until > $2", platform, await sql.now()
            )

        return {parse_owner(name) for (name,) in await self.engine.read(job)}

    async def next_due(self, platform: str, after: datetime) -> datetime | None:
        """When the first of what is not due yet will be."""
        rows = await self.engine.read(
            lambda sql: sql.run(
                "SELECT min(due) FROM work WHERE platform = $1 AND due > $2", platform, _microseconds(after)
            )
        )
        return None if rows[0][0] is None else _instant(rows[0][0])

    async def looked(self, looks: Iterable[Work]) -> None:
        """Note looks that are over, and what comes next."""
        rows = [
            (
                *(str(look.owner), look.owner.platform, look.owner.workspace, look.generation),
                *(look.due and _microseconds(look.due), look.attempts, look.why, self._writer),
            )
            for look in looks
        ]
        rows.sort(key=itemgetter(0))
        await self.engine.write(
            lambda sql: sql.run_many(
                "INSERT INTO work (owner, platform, workspace, generation, seen, due, attempts, why)"
                " SELECT owner, $2, $3, $4, $4, $5, $6, $7 FROM owner WHERE owner = $1"
                " ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen, attempts = excluded.attempts,"
                " due = CASE WHEN work.generation > excluded.seen THEN work.due ELSE excluded.due END,"
                " why = CASE WHEN work.generation > excluded.seen THEN work.why ELSE excluded.why END,"
                " holder = '', claimed_until = NULL WHERE work.holder IN ('', $8)",
                rows,
            )
        )

    async def claim(
        self, platform: str, now: datetime, most: int, seconds: float, each: int = ANY_NUMBER
    ) -> list[Work]:
        """Take what is due on a platform and nobody looks at: for so many seconds it is ours."""

        async def job(sql: Sql) -> list[Row]:
            at = await sql.now()
            return await sql.run(
                "WITH waiting AS (SELECT owner, due, row_number() OVER (PARTITION BY workspace"  # noqa: S608
                " ORDER BY CASE WHEN claimed_until > $3 THEN 0 ELSE 1 END, due, owner) AS turn"
                " FROM work WHERE platform = $1 AND due <= $2),"
                " free AS MATERIALIZED (SELECT work.owner FROM waiting JOIN work ON work.owner = waiting.owner"
                " WHERE turn <= $7 AND work.due <= $2"
                " AND (work.claimed_until IS NULL OR work.claimed_until <= $3) AND NOT EXISTS (SELECT 1"
                " FROM work AS shared WHERE shared.platform = $1 AND shared.claimed_until > $3"
                " AND work.owner > shared.owner || '/' AND work.owner < shared.owner || '0')"
                f" ORDER BY turn, waiting.due, work.owner LIMIT $4 {sql.unlocked})"
                " UPDATE work SET holder = $5, claimed_until = $6, claims = claims + 1"
                " FROM free WHERE work.owner = free.owner"
                " RETURNING work.owner, generation, seen, due, attempts, why, claims",
                *(platform, _microseconds(now), at, most, self._writer, at + _microseconds_of(seconds), each),
            )

        rows = await self.engine.write(job)
        return [_work(row) for row in sorted(rows, key=lambda row: (row[3], row[0]))]

    async def take(self, claims: Mapping[Owner, int], seconds: float) -> set[Owner]:
        """Claim these owners, due or not, of those that nobody has claimed since they had so many claims."""
        ours = {str(owner): owner for owner in claims}

        async def job(sql: Sql) -> list[Row]:
            at = await sql.now()
            until = at + _microseconds_of(seconds)
            rows = [
                (name, owner.platform, owner.workspace, self._writer, until, claims[owner], at)
                for name, owner in sorted(ours.items())
            ]
            await sql.run_many(
                "INSERT INTO work (owner, platform, workspace, generation, holder, claimed_until, claims)"
                " SELECT owner, $2, $3, 0, $4, $5, 1 FROM owner WHERE owner = $1"
                " ON CONFLICT (owner) DO UPDATE SET holder = excluded.holder, claims = work.claims + 1,"
                " claimed_until = excluded.claimed_until WHERE work.claims = $6"
                " AND (work.claimed_until IS NULL OR work.claimed_until <= $7)",
                rows,
            )
            # By the instant it is told from what a look of ours has.
            return await sql.run(
                "SELECT owner FROM work WHERE holder = $1 AND claimed_until = $2", self._writer, until
            )

        return {ours[name] for (name,) in await self.engine.write(job) if name in ours}

    async def keep(self, owners: Iterable[Owner], seconds: float) -> set[Owner]:
        """Have claims last for so many seconds from now; those that are ours still."""
        ours = {str(owner): owner for owner in owners}

        async def job(sql: Sql) -> list[Row]:
            until = await sql.now() + _microseconds_of(seconds)
            rows = [(name, self._writer, until) for name in sorted(ours)]
            await sql.run_many("UPDATE work SET claimed_until = $3 WHERE owner = $1 AND holder = $2", rows)
            return await sql.run("SELECT owner FROM work WHERE holder = $1", self._writer)

        return {ours[name] for (name,) in await self.engine.write(job) if name in ours}

    async def let_go(self, owners: Iterable[Owner]) -> None:
        """Give claims back without a look."""
        rows = sorted((str(owner), self._writer) for owner in owners)
        await self.engine.write(
            lambda sql: sql.run_many(
                "UPDATE work SET holder = '', claimed_until = NULL WHERE owner = $1 AND holder = $2", rows
            )
        )

    async def lease(self, name: str, seconds: float) -> bool:
        """Be the only one who does that, for so many seconds from now; 0 gives it back. False: somebody else is."""

        async def job(sql: Sql) -> bool:
            at = await sql.now()
            rows = await sql.run(
                "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3) ON CONFLICT (name)"
                " DO UPDATE SET holder = excluded.holder, until = excluded.until"
                " WHERE lease.holder = excluded.holder OR lease.until <= $4 RETURNING name",
                *(name, self._writer, at + _microseconds_of(seconds), at),
            )
            return bool(rows)

        return await self.engine.write(job)

    async def draw(self, platform: str, count: int, per_second: float) -> float:
        """Take so many calls out of the budget that all have for a platform; in how many seconds the first may go."""

        async def job(sql: Sql) -> int:
            at = await sql.now()
            ((until,),) = await sql.run(
                "INSERT INTO budget (platform, until) VALUES ($1, $2) ON CONFLICT (platform) DO UPDATE SET until ="
                " CASE WHEN budget.until > $3 THEN budget.until ELSE $3 END + $4 RETURNING until",
                *(platform, at + spent, at, spent),
            )
            return int(until) - spent - at - _microseconds_of(max(0.0, 1.0 - 1.0 / per_second))

        spent = _microseconds_of(count / per_second)
        return await self.engine.write(job) / 1_000_000

    async def work(self, platform: str = "") -> dict[Owner, Work]:
        """All of it, or that of one platform."""
        where, values = (" WHERE platform = $1", [platform]) if platform else ("", [])
        rows = await self.engine.read(lambda sql: sql.run(_WORK_ROWS + where, *values))
        return {work.owner: work for work in map(_work, rows)}

    async def work_of(self, owners: Iterable[Owner]) -> dict[Owner, Work]:
        """That of these owners, for people."""
        wanted = list(map(str, owners))
        rows = await self.engine.read(lambda sql: sql.run_in(f"{_WORK_ROWS} WHERE owner", wanted))
        return {work.owner: work for work in map(_work, rows)}

    async def places(self, owners: Iterable[Owner], now: datetime) -> dict[Owner, tuple[int, int]]:
        """Of these owners, those that are due: their place on the platform, longest wait first, and of how many."""
        wanted, at = list(owners), _microseconds(now)

        async def job(sql: Sql) -> dict[Owner, tuple[int, int]]:
            found = [(owner, await sql.run(_PLACE, str(owner), at)) for owner in wanted]
            return {owner: (int(rows[0][0]), int(rows[0][1])) for owner, rows in found if rows}

        return await self.engine.read(job)

    async def keep_conditions(self, conditions: Iterable[Condition]) -> None:
        """Say how platforms are, in the place of what this process said before."""
        rows = sorted(
            (f"{self._writer}/{one.platform}", _microseconds(one.at), canonical.encode(one))
            for one in conditions
        )
        old = max((at for _, at, _ in rows), default=0) - 3_600_000_000

        async def job(sql: Sql) -> None:
            await sql.run("DELETE FROM serving WHERE at < $1", old)
            await sql.run_many(
                "INSERT INTO serving (name, at, content) VALUES ($1, $2, $3)"
                " ON CONFLICT (name) DO UPDATE SET at = excluded.at, content = excluded.content",
                rows,
            )

        await self.engine.write(job)

    async def conditions(self) -> list[Condition]:
        """What processes that serve said last of platforms, newest first."""
        rows = await self.engine.read(lambda sql: sql.run("SELECT content FROM serving ORDER BY at DESC"))
        return [_condition.decode(content) for (content,) in rows]


_WORK_ROWS = "SELECT owner, generation, seen, due, attempts, why, claims FROM work"
_PLACE = (
    "SELECT (SELECT count(*) FROM work AS other WHERE other.platform = work.platform AND"
    " (other.due < work.due OR other.due = work.due AND other.owner <= work.owner)),"
    " (SELECT count(*) FROM work AS other WHERE other.platform = work.platform AND other.due <= $2)"
    " FROM work WHERE owner = $1 AND due <= $2"
)


def _work(row: Row) -> Work:
    owner, generation, seen, due, attempts, why, claims = row
    at = None if due is None else _instant(due)
    return Work(parse_owner(owner), generation, seen, at, attempts, why, claims)


async def free_all(sql: Sql) -> None:
    """Give back whatever anybody claimed or leased."""
    await sql.run("UPDATE work SET holder = '', claimed_until = NULL WHERE claimed_until IS NOT NULL")
    await sql.run("DELETE FROM lease")


async def mark(owners: Sequence[Owner], due: datetime, why: str, sql: Sql) -> None:
    """Mark owners in the transaction under way, and wake who looks at their platforms once it is durable."""
    await sql.run_many(
        "INSERT INTO work (owner, platform, workspace, generation, due, why)"
        " SELECT owner, $2, $3, 1, $4, $5 FROM owner WHERE owner = $1"
        " ON CONFLICT (owner) DO UPDATE SET generation = work.generation + 1, why = excluded.why,"
        " workspace = excluded.workspace,"
        " due = CASE WHEN work.due < excluded.due THEN work.due ELSE excluded.due END",
        sorted((str(owner), owner.platform, owner.workspace, _microseconds(due), why) for owner in owners),
    )
    for platform in sorted({owner.platform for owner in owners}):
        await sql.tell(f"{MARKED}{platform}")


def _microseconds_of(seconds: float) -> int:
    return int(seconds * 1_000_000)
