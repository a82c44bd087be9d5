"""The product around one platform, as small as it can be: accept, look, plan, carry out, look again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from hanse import reconcile
from hanse.accept import deletion_subject
from hanse.apply import Execution, Result, Setting
from hanse.conformance.sample import Sample
from hanse.conformance.watch import WatchedPlatform, WatchedTransport
from hanse.conformance.world import Hand, Item, World, bystanders
from hanse.desired.intent import Directory, Intent
from hanse.foundation import canonical
from hanse.journal import record
from hanse.journal.events import Event, StepConcluded, StepIntended
from hanse.model import Access, Approval, Owner, Personal, Remark, Step, Tenant
from hanse.plan import Plan
from hanse.ports.store import AcceptedIntent, Head
from hanse.store import SqliteStore
from hanse.transport import Fault, Faulty

NO_SETTINGS = b"{}"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Loop:
    """One world with everything that Hanse puts around a platform, and a clock that only the test moves."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.sample = Sample(world)
        self.folder = folder
        self.now = START
        self.directory = self.sample.directory()
        self.approvals: dict[str, Approval] = {}
        self.commits = 0
        self.transport = WatchedTransport(world.transport)
        self.faulty = Faulty(self.transport)
        self.begin()
        self._bystanders: dict[str, Item] = {}

    def begin(self) -> None:
        """Start as a new process does: with the store, and nothing else."""
        self.store = SqliteStore.open(self.folder / "store.db")
        self.platform = WatchedPlatform(self.world.platform(self.faulty), self.store)

    async def begin_again(self) -> None:
        """End this process and start another."""
        await self.store.close()
        self.begin()

    async def close(self) -> None:
        """Let go of the store."""
        await self.store.close()
        await self.transport.close()

    # What is wanted

    async def want(self, *intents: Intent, directory: Directory | None = None) -> None:
        """Accept exactly these; owners that are there and not among them begin to leave."""
        self.directory = directory or self.directory
        self.commits += 1
        commit = f"c{self.commits}"
        changed = {intent.owner: AcceptedIntent(intent, commit) for intent in intents}
        async for row in self.store.owners():
            if row.owner not in changed:
                intent = replace(
                    row.accepted.intent, grants=(), left_at=row.accepted.intent.left_at or commit
                )
                changed[row.owner] = AcceptedIntent(intent, commit)
        blob = canonical.encode(self.directory)
        await self.store.accept(
            Head(commit, self.now, canonical.digest_bytes(blob), canonical.digest_bytes(NO_SETTINGS)),
            changed,
            {canonical.digest_bytes(content): content for content in (blob, NO_SETTINGS)},
            [],
        )

    async def approve(self, owner: Owner) -> None:
        """Say yes to the deletion of what left."""
        row = await self.store.owner(owner)
        assert row is not None
        subject = deletion_subject(row.accepted.intent)
        self.approvals[subject] = Approval(subject, "deletion", Personal("me"), "local-operator", self.now)

    # What is done about it

    async def survey(self, *owners: Owner) -> reconcile.Survey:
        """Look and plan: everything, or these owners only."""
        rows = [row async for row in self.store.owners() if not owners or row.owner in owners]
        return await reconcile.survey(self._world(), rows, sweep=not owners)

    async def converge(self, *owners: Owner) -> reconcile.Converged:
        """One pass."""
        return await self.finish(await self.survey(*owners))

    async def finish(self, survey: reconcile.Survey) -> reconcile.Converged:
        """The rest of a pass, after its survey."""
        return await reconcile.Pass(self._world(), f"c{self.commits}").carry_out(survey)

    async def carry_out(self, survey: reconcile.Survey, patience_seconds: float = 0) -> Result:
        """Do the steps of an earlier survey, and nothing else."""
        name = self.world.identity.name
        latest = (await self.survey()).observations[name].natives
        setting = Setting(
            {name: self.platform},
            self.store,
            lambda: self.now,
            patience_seconds=patience_seconds,
            sleep=self.world.sleep,
        )
        return await Execution(
            setting, survey.plans.values(), {name: survey.observations[name].natives | latest}
        ).run()

    async def plans(self) -> dict[Owner, Plan]:
        """What a further pass would do, by owner."""
        return (await self.survey()).plans

    async def steps(self) -> list[Step]:
        """All planned steps."""
        return [step for plan in (await self.plans()).values() for step in plan.steps]

    async def remarks(self) -> dict[str, list[Remark]]:
        """All remarks by code."""
        by_code: dict[str, list[Remark]] = defaultdict(list)
        for plan in (await self.plans()).values():
            for remark in plan.remarks:
                by_code[remark.code].append(remark)
        return by_code

    async def settle(self) -> None:
        """Pass until nothing is left to do, three times at most; then look with both eyes."""
        for _ in range(3):
            self.now += timedelta(minutes=1)
            await self.converge()
            if not await self.steps():
                break
        await self.check_converged()

    async def check_converged(self) -> None:
        """Nothing is planned, neither after a sweep nor after looking at each owner alone."""
        steps = await self.steps()
        assert not steps, f"the second plan is not empty: {steps}"
        for row in [row async for row in self.store.owners()]:
            plan = (await self.survey(row.owner)).plans[row.owner]
            assert not plan.steps, f"looking at {row.owner} alone shows more than the sweep"

    async def access(self) -> Sequence[Access]:
        """Who can do what."""
        survey = await self.survey()
        return self.platform.access(survey.observations[self.world.identity.name])

    # What happens besides

    @asynccontextmanager
    async def by_hand(self) -> AsyncIterator[Hand]:
        """Change the cloud behind Hanse's back; what is foreign must not have changed before."""
        await self.check_bystanders()
        yield self.world.hand
        self._bystanders = bystanders(await self.world.hand.census())

    def fail(self, *faults: Fault) -> None:
        """Let calls fail from now on."""
        self.faulty.faults[:] = faults
        self.faulty.struck.clear()
        self.faulty._counts.clear()

    # What must be so at any time

    async def start(self) -> None:
        """Remember who is there before anything is done."""
        self._bystanders = bystanders(await self.world.hand.census())

    async def check(self) -> None:
        """The invariants: bystanders untouched, no stamp twice, each intent concluded."""
        await self.check_bystanders()
        stamps = [item.stamp for item in await self.world.hand.census() if item.stamp]
        assert len(stamps) == len(set(stamps)), "a stamp is on two things"

    async def check_bystanders(self) -> None:
        """Nothing foreign was changed, made or removed."""
        assert bystanders(await self.world.hand.census()) == self._bystanders, "something foreign was touched"

    async def events(self) -> list[Event]:
        """The whole journal, decoded."""
        recorded = [one async for one in self.store.journal()]
        marks = {mark for one in recorded for mark in record.marks(one.body)}
        texts = await self.store.personal(marks)
        return [record.decode(one.body, texts) for one in recorded]

    async def concluded(self) -> dict[str, StepConcluded]:
        """The last conclusion of each step that was ever intended, by digest."""
        events = await self.events()
        intended = {event.digest for event in events if isinstance(event, StepIntended)}
        last = {event.digest: event for event in events if isinstance(event, StepConcluded)}
        assert intended == last.keys(), "an intent without a conclusion"
        return last

    def _world(self) -> reconcile.World:
        return reconcile.World(
            {self.world.identity.name: self.platform},
            self.store,
            lambda: self.now,
            self.directory,
            canonical.digest(self.directory),
            self.approvals,
            sleep=self.world.sleep,
            patience_seconds=self.world.patience_seconds or 60.0,
        )


def tenants(plans: Iterable[Owner]) -> list[Tenant]:
    """The tenants among some owners."""
    return [owner for owner in plans if isinstance(owner, Tenant)]
