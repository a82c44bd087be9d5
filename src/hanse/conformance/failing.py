"""Each call fails in turn, in every way; each step is cut off in turn. Nothing is lost, nothing is doubled."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import pytest
from msgspec.structs import replace

from hanse.conformance.contract import Suite
from hanse.conformance.loop import Loop
from hanse.conformance.watch import Kill
from hanse.conformance.world import shape
from hanse.foundation import canonical
from hanse.journal.events import OwnerConverged, StepConcluded, StepIntended
from hanse.model import Done, NotYet, Refused, Step, Unsure
from hanse.ports.platform import PlatformUnavailable, Scope
from hanse.transport import Fault
from hanse.transport.faults import FaultKind

FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)
Shape = list[tuple[str, ...]]
Deletions = set[tuple[str, ...]]


async def deletions(loop: Loop, performed: Iterable[Step]) -> Deletions:
    """What was deleted, but for access to what leaves: it goes with its container, or alone while that waits.

    Told without the organization and without native ids, so that what happened in two worlds can be compared.
    """
    guarded = {spec.name for spec in loop.platform.describe().kinds if spec.guarded}
    names = {item.id: item.stamp or item.state for item in await loop.world.hand.census()}
    return {
        (
            step.kind,
            step.key.workspace,
            step.key.project,
            *(names.get(p, p) for p in step.key.part.split("/")),
        )
        for step in performed
        if step.action == "delete" and (step.kind in guarded or step.reason.cause != "left")
    }


class Failing(Suite):
    """Faults and kills, exhaustively."""

    async def before(self, loop: Loop) -> None:
        """A settled organisation, a change of every kind to it, and a change by hand."""
        sample = loop.sample
        prod = sample.project("shop/prod", {"admin": ["ann"], "user": ["ben", "cat"]}, description="The shop")
        old = sample.project("shop/old", {"user": ["ann"]})
        await loop.want(*sample.organization(prod, old))
        await loop.settle()
        async with loop.by_hand() as hand:
            await hand.grant(sample.tenant("shop/prod"), sample.name_of("dan"))
            await hand.make_container(sample.tenant("shop/prod"), "somebody-elses")
        changed = replace(
            prod,
            project="live",
            grants=sample.terms({"admin": ["ann", "ben"], "user": ["eve"], "reader": ["cat"]}),
        )
        await loop.want(*sample.organization(changed, sample.project("lab/one", {"user": ["@team"]})))
        loop.transport.calls.clear()
        loop.platform.performed.clear()

    async def straight(self, folder: Path) -> tuple[Shape, Deletions, list[str], int]:
        """What comes of it without any fault: what is there, what was deleted, calls by label, and steps."""
        async with self.new_loop(folder) as loop:
            await self.before(loop)
            await loop.converge()
            labels = [call.label for call in loop.transport.calls]
            performed = list(loop.platform.performed)
            await loop.settle()
            there, meant = shape(await loop.world.hand.census()), await deletions(loop, performed)
            return there, meant, labels, len(performed)

    @pytest.mark.parametrize("kind", FAULTS)
    async def test_every_call_fails_in_turn_and_nothing_is_lost(self, scratch: Path, kind: FaultKind) -> None:
        if kind == "short-page":
            self.need("page counts")
        expected, meant, labels, _ = await self.straight(scratch / "straight")
        for number, place in enumerate(self.places(labels)):
            async with self.new_loop(scratch / str(number)) as loop:
                await self.before(loop)
                fault = Fault(kind, place.label, place.nth)
                loop.fail(fault)
                await loop.converge()
                assert loop.faulty.struck, f"{fault} did not strike"
                loop.fail()
                await loop.settle()
                where = f"{kind} at {labels[place.nth - 1] if self.exhaustive else place.label} ({place.nth})"
                assert shape(await loop.world.hand.census()) == expected, where
                done = await deletions(loop, loop.platform.performed)
                assert not done - meant, f"{where}: deleted for no other reason: {done - meant}"

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_kill_at_every_step_loses_nothing(
        self, scratch: Path, when: Literal["before", "after"]
    ) -> None:
        expected, meant, _, steps = await self.straight(scratch / "straight")
        for number in range(1, steps + 1):
            async with self.new_loop(scratch / str(number)) as loop:
                await self.before(loop)
                loop.platform.kill_at, loop.platform.kill = number, when
                with pytest.raises(BaseExceptionGroup) as caught:
                    await loop.converge()
                assert caught.value.subgroup(Kill)
                performed = list(loop.platform.performed)
                await loop.begin_again()
                left_open = {digest for digest, _ in await loop.store.open_steps()}
                assert left_open, "the intent was not written before the effect"
                await loop.settle()
                assert shape(await loop.world.hand.census()) == expected, f"killed {when} step {number}"
                performed += loop.platform.performed
                assert await deletions(loop, performed) <= meant
                looked_up = {
                    e.digest for e in await loop.events() if isinstance(e, StepConcluded) and e.looked_up
                }
                assert left_open <= looked_up, "what became of an open step was not looked up"
                await loop.concluded()

    async def test_what_became_of_a_step_is_not_guessed_in_half_sight(self, scratch: Path) -> None:
        async with self.new_loop(scratch / "straight") as loop:
            await self.before(loop)
            await loop.survey()
            labels = [call.label for call in loop.transport.calls]
            await loop.converge()
            gains = [
                number
                for number, step in enumerate(loop.platform.performed, 1)
                if step.principal and step.action == "create"
            ]
        for number, place in enumerate(self.places(labels)):
            async with self.new_loop(scratch / str(number)) as loop:
                await self.before(loop)
                loop.platform.kill_at, loop.platform.kill = gains[0], "after"
                with pytest.raises(BaseExceptionGroup):
                    await loop.converge()
                killed = loop.platform.performed[gains[0] - 1].key
                await loop.begin_again()
                done = {digest for digest, step in await loop.store.open_steps() if step.key == killed}
                loop.fail(Fault("error-500", place.label, place.nth))
                survey = await loop.survey()
                loop.fail()
                await loop.finish(survey)
                told = [e for e in await loop.events() if isinstance(e, StepConcluded) and e.digest in done]
                assert {event.outcome for event in told} <= {"done"}, f"guessed, though {place.label} failed"
                await loop.settle()

    async def test_half_sight_never_counts_as_converged(self, loop: Loop) -> None:
        """What could not be read may hold what nobody asked for."""
        intents = loop.sample.organization(loop.sample.project("shop/prod", {"admin": ["ann"]}))
        await loop.want(*intents)
        await loop.settle()
        loop.transport.calls.clear()
        await loop.survey()
        for number, place in enumerate(self.places([call.label for call in loop.transport.calls])):
            await loop.want(*(replace(intent, payment_method=f"method-{number}") for intent in intents))
            loop.fail(Fault("error-500", place.label, place.nth))
            survey = await loop.survey()
            seen = survey.observations.get(loop.world.identity.name)
            before = await loop.events()
            await loop.finish(survey)
            told = [
                event for event in (await loop.events())[len(before) :] if isinstance(event, OwnerConverged)
            ]
            whole = seen is not None and not seen.incomplete
            assert bool(told) is whole, f"converged, though {loop.faulty.struck[0][1].label} failed"
            loop.fail()
            await loop.settle()

    async def test_an_account_that_is_not_accepted_is_told_with_advice(self, loop: Loop) -> None:
        sample = loop.sample
        await loop.want(*sample.organization(sample.project("shop/prod", {"admin": ["ann"]})))
        survey = await loop.survey()
        loop.transport.locked = True
        with pytest.raises(PlatformUnavailable) as caught:
            await loop.platform.observe(Scope(None))
        assert caught.value.advice
        await loop.converge()
        loop.transport.locked = False
        first = next(step for plan in survey.plans.values() for step in plan.steps if not step.needs)
        await loop.store.append([StepIntended(first, canonical.digest(first))], loop.now)
        loop.transport.locked = True
        outcome = await loop.platform.perform(first)
        assert isinstance(outcome, Refused)
        assert outcome.advice
        loop.transport.locked = False
        await loop.settle()

    @pytest.mark.parametrize(
        ("kind", "outcomes"),
        [
            ("lost-before", (Unsure, Done)),
            ("lost-after", (Unsure, Done)),
            ("throttled-429", (NotYet,)),
            ("cut", (NotYet,)),
        ],
    )
    async def test_an_outcome_says_no_more_than_is_known(
        self, loop: Loop, kind: FaultKind, outcomes: tuple[type, ...]
    ) -> None:
        """What may have happened is unsure, what surely did not is not yet, with the delay that was asked for."""
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"]})
        await loop.want(*sample.organization(project))
        await loop.settle()
        await loop.want(*sample.organization(replace(project, description="new")))
        survey = await loop.survey()
        await loop.carry_out(survey)
        label = loop.transport.writes[-1].label
        loop.fail(Fault(kind, label, times=0, retry_after="7"))
        [(_, outcome)] = (await loop.carry_out(survey)).outcomes
        assert isinstance(outcome, outcomes)
        assert not isinstance(outcome, NotYet) or kind == "cut" or outcome.retry_after == 7.0
        loop.fail()

    async def test_a_cloud_that_fails_for_a_while_is_converged_afterwards(self, loop: Loop) -> None:
        for kind in FAULTS:
            if kind == "short-page" and "page counts" in self.lacks:
                continue
            sample = loop.sample
            name = f"shop/during-{kind}"
            await loop.want(*sample.organization(sample.project(name, {"user": ["ann"]})))
            loop.fail(Fault(kind, times=25))
            for _ in range(3):
                await loop.converge()
            loop.fail()
            for _ in range(3):
                await loop.settle()
            container = await self.container(loop, sample.tenant(name))
            assert container is not None

    async def test_a_refused_write_is_told_and_the_rest_goes_on(self, loop: Loop) -> None:
        """A step that fails takes along what hangs on it, and nothing else."""
        sample = loop.sample
        project, other = (sample.project(name, {"user": ["ann"]}) for name in ("shop/prod", "lab/one"))
        await loop.want(*sample.organization(project))
        await loop.settle()
        await loop.want(*sample.organization(replace(project, description="new"), other))
        writes = len(loop.transport.writes)
        loop.fail(*(Fault("error-500", call.label) for call in loop.transport.writes[:1]))
        await loop.converge()
        assert len(loop.transport.writes) > writes
        loop.fail()
        await loop.settle()
        intents = [event for event in await loop.events() if isinstance(event, StepIntended)]
        assert intents
