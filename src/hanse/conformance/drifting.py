"""What people change by hand is seen, told and rolled back; what is not ours is left alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hanse.conformance.contract import Suite
from hanse.conformance.loop import Loop
from hanse.conformance.world import Hand, ours, shape
from hanse.desired.intent import Intent
from hanse.model import Refused

DRIFTS = {
    "extra access": "",
    "missing access": "",
    "extra direct grant": "",
    "renamed": "renaming",
    "described": "",
    "tagged": "",
    "disabled": "disabling",
    "deleted group": "groups",
    "deleted container": "",
}
"""Every kind of change by hand, with the category that it needs."""


class Drifting(Suite):
    """Changes behind our back, and things that are not ours."""

    def wanted(self, loop: Loop) -> list[Intent]:
        """What is declared while people meddle."""
        sample = loop.sample
        project = sample.project(
            "shop/prod", {"admin": ["ann"], "user": ["ben", "cat"]}, tags={"a": "b"}, description="The shop"
        )
        return sample.organization(project, sample.project("lab/one", {"user": ["ann"]}))

    async def meddle(self, loop: Loop, hand: Hand, drift: str) -> None:
        """Change something by hand."""
        owner, name_of = loop.sample.tenant("shop/prod"), loop.sample.name_of
        match drift:
            case "extra access":
                await hand.give(owner, "admin", name_of("eve"))
            case "missing access":
                await hand.take(owner, "user", name_of("ben"))
            case "extra direct grant":
                await hand.grant(owner, name_of("dan"))
            case "renamed":
                await hand.change(owner, "name", "renamed-by-hand")
            case "described":
                await hand.change(owner, "description", "changed by hand")
            case "tagged":
                await hand.change(owner, "tag", "by-hand")
            case "disabled":
                await hand.change(owner, "enabled", False)
            case "deleted group":
                await hand.delete_group(owner, "user")
            case "deleted container":
                await hand.delete_container(owner)

    @pytest.mark.parametrize("drift", DRIFTS)
    async def test_drift_is_seen_and_repaired(self, loop: Loop, drift: str) -> None:
        self.need(DRIFTS[drift])
        await loop.want(*self.wanted(loop))
        await loop.settle()
        before = shape(await loop.world.hand.census())
        async with loop.by_hand() as hand:
            await self.meddle(loop, hand, drift)
        steps = await loop.steps()
        assert steps
        assert {step.reason.cause for step in steps} == {"local-change"}
        assert {step.owner for step in steps} == {loop.sample.tenant("shop/prod")}
        await loop.settle()
        assert shape(await loop.world.hand.census()) == before

    @pytest.mark.parametrize("drift", DRIFTS)
    async def test_drift_is_only_told_where_local_changes_are_reported(self, loop: Loop, drift: str) -> None:
        self.need(DRIFTS[drift])
        await loop.want(*(replace(intent, local_changes="report") for intent in self.wanted(loop)))
        await loop.settle()
        async with loop.by_hand() as hand:
            await self.meddle(loop, hand, drift)
        census = await loop.world.hand.census()
        for _ in range(2):
            await loop.converge()
            assert (await loop.remarks())["local-change"]
        assert await loop.world.hand.census() == census

    async def test_many_changes_at_once_are_repaired_in_one_pass(self, loop: Loop) -> None:
        await loop.want(*self.wanted(loop))
        await loop.settle()
        before = shape(await loop.world.hand.census())
        async with loop.by_hand() as hand:
            for drift in (
                "extra access",
                "missing access",
                "extra direct grant",
                "renamed",
                "described",
                "tagged",
            ):
                if DRIFTS[drift] in self.lacks:
                    continue
                await self.meddle(loop, hand, drift)
        await loop.converge()
        await loop.check_converged()
        assert shape(await loop.world.hand.census()) == before

    async def test_a_foreign_container_of_a_wanted_name_is_refused_with_advice(self, loop: Loop) -> None:
        native_id, intents = await self.foreign_first(loop)
        for _ in range(2):
            await loop.converge()
            remark = (await loop.remarks())["name-taken"][0]
            assert native_id in remark.message + remark.advice
            assert remark.blocking
        assert native_id not in ours(await loop.world.hand.census())
        assert all(intent.native in remark.advice for intent in intents)

    async def test_a_foreign_container_is_adopted_by_native_id(self, loop: Loop) -> None:
        self.need("adoption")
        native_id, intents = await self.foreign_first(loop)
        await loop.want(*(self.adopting(intent, native_id) for intent in intents))
        actions = [step.action for step in await loop.steps()]
        assert actions.count("adopt") == 1
        await loop.check_bystanders()
        await loop.converge()
        await loop.start()  # it is no bystander any more
        await loop.settle()
        container = await self.container(loop, loop.sample.tenant("shop/prod"))
        assert container is not None
        assert container.native_id == native_id

    async def test_what_another_marked_after_the_plan_is_not_adopted(self, loop: Loop) -> None:
        self.need("adoption")
        native_id, intents = await self.foreign_first(loop)
        await loop.want(*(self.adopting(intent, native_id) for intent in intents))
        survey = await loop.survey()
        async with loop.by_hand() as hand:
            await hand.mark(loop.sample.tenant("lab/theirs"), native_id, on=True)
        census = await loop.world.hand.census()
        outcomes = {step.action: outcome for step, outcome in (await loop.carry_out(survey)).outcomes}
        adopted = outcomes["adopt"]
        assert isinstance(adopted, Refused)
        assert adopted.advice
        assert [item for item in await loop.world.hand.census() if item in census] == census

    async def foreign_first(self, loop: Loop) -> tuple[str, list[Intent]]:
        """Somebody made a container of the name before us; what we want, and its native id."""
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"]})
        await loop.want(*sample.organization(project)[:-1])
        await loop.settle()
        async with loop.by_hand() as hand:
            name = self.container_name(loop, project)
            native_id = await hand.make_container(sample.tenant("shop/prod"), name)
        intents = sample.organization(project)
        await loop.want(*intents)
        return native_id, intents

    def container_name(self, loop: Loop, intent: Intent) -> str:
        """The name that an intent's container shall have on the cloud."""
        resources = loop.platform.compile(intent, loop.directory, loop.now).resources
        guarded = {spec.name for spec in loop.platform.describe().kinds if spec.guarded}
        return next(str(r.attributes["name"]) for r in resources if r.kind in guarded)

    def adopting(self, intent: Intent, native_id: str) -> Intent:
        """The same intent, with the line that takes the thing over."""
        return replace(intent, native=native_id) if intent.project else intent

    async def test_a_container_that_appears_after_the_plan_is_refused_and_not_taken(self, loop: Loop) -> None:
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"]})
        await loop.want(*sample.organization(project)[:-1])
        await loop.settle()
        await loop.want(*sample.organization(project))
        survey = await loop.survey()
        async with loop.by_hand() as hand:
            name = self.container_name(loop, project)
            native_id = await hand.make_container(sample.tenant("shop/prod"), name)
        outcomes = {step.kind: outcome for step, outcome in (await loop.carry_out(survey)).outcomes}
        [refused] = [outcome for outcome in outcomes.values() if isinstance(outcome, Refused)]
        assert refused.advice
        assert native_id not in ours(await loop.world.hand.census())

    async def test_two_things_with_one_mark_get_no_step(self, loop: Loop) -> None:
        native_id = await self.with_a_second_container(loop)
        owner = loop.sample.tenant("shop/prod")
        async with loop.by_hand() as hand:
            await hand.mark(owner, native_id, on=True)
            await hand.change(owner, "description", "changed by hand")
        census = await loop.world.hand.census()
        await loop.converge()
        [remark] = (await loop.remarks())["twins"]
        assert remark.blocking
        assert native_id in remark.message
        assert await loop.world.hand.census() == census
        async with loop.by_hand() as hand:
            await hand.mark(owner, native_id, on=False)
        await loop.settle()

    async def test_what_lost_its_mark_is_foreign_until_it_is_adopted(self, loop: Loop) -> None:
        self.need("adoption")
        intents = self.wanted(loop)
        await loop.want(*intents)
        await loop.settle()
        owner = loop.sample.tenant("shop/prod")
        container = await self.container(loop, owner)
        assert container is not None
        async with loop.by_hand() as hand:
            await hand.mark(owner, container.native_id, on=False)
        await loop.converge()
        await loop.check_bystanders()
        assert (await loop.remarks())["name-taken"]
        native = container.native_id
        await loop.want(*(replace(i, native=native) if i.owner == owner else i for i in intents))
        await loop.converge()
        await loop.start()  # it is ours again
        await loop.settle()
        container = await self.container(loop, owner)
        assert container is not None
        assert container.native_id == native

    async def with_a_second_container(self, loop: Loop) -> str:
        """Settled, with a foreign container beside ours; its native id."""
        await loop.want(*self.wanted(loop))
        await loop.settle()
        async with loop.by_hand() as hand:
            return await hand.make_container(loop.sample.tenant("shop/prod"), "second")

    async def test_foreign_things_beside_ours_are_never_touched(self, loop: Loop) -> None:
        sample = loop.sample
        await loop.want(*self.wanted(loop))
        await loop.settle()
        async with loop.by_hand() as hand:
            for number in range(12):
                await hand.make_container(sample.tenant("shop/prod"), f"foreign-{number}")
        await loop.converge()
        await loop.check_converged()
        await loop.want()
        await loop.converge()

    async def test_a_service_account_is_told_and_left_alone(self, loop: Loop) -> None:
        self.need("service accounts")
        await loop.want(*self.wanted(loop))
        await loop.settle()
        async with loop.by_hand() as hand:
            await hand.add_user("robot", service=True)
            await hand.grant(loop.sample.tenant("shop/prod"), "robot")
        await loop.converge()
        [remark] = (await loop.remarks())["workload"]
        assert not remark.blocking
        await loop.check_converged()
