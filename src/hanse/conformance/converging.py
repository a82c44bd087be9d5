"""Apply, plan again: the second plan is empty."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from hanse.conformance.contract import Suite
from hanse.conformance.loop import Loop
from hanse.conformance.world import shape
from hanse.desired.intent import Intent
from hanse.desired.kinds import Operator, Tags
from hanse.journal.events import OwnerConverged
from hanse.model import Done
from hanse.reconcile import Survey


class Converging(Suite):
    """Creation, change, identity and order."""

    async def test_the_second_plan_is_empty_after_create(self, loop: Loop) -> None:
        sample = loop.sample
        project = sample.project(
            "shop/prod", {"admin": ["ann"], "user": ["@team", "cat"]}, tags={"a": "b"}, description="The shop"
        )
        await loop.want(*sample.organization(project, sample.project("lab/one", {"reader": ["eve"]})))
        converged = await loop.converge()
        assert converged.result.outcomes
        failed = [outcome for _, outcome in converged.result.outcomes if not isinstance(outcome, Done)]
        assert not failed, failed
        await loop.check_converged()
        told = [event for event in await loop.events() if isinstance(event, OwnerConverged)]
        assert project.owner in {event.owner for event in told}
        await loop.concluded()

    async def test_the_second_plan_is_empty_after_each_of_a_sequence_of_states(
        self, loop: Loop, scratch: Path
    ) -> None:
        for number, state in enumerate(self.states(loop)):
            await loop.want(*state)
            await loop.settle()
            async with self.new_loop(scratch / str(number)) as straight:
                await straight.want(*self.states(straight)[number])
                await straight.settle()
                there = shape(await loop.world.hand.census())
                assert there == shape(await straight.world.hand.census()), (
                    f"state {number} depends on its past"
                )

    def states(self, loop: Loop) -> list[list[Intent]]:
        """One organisation as it grows, changes and shrinks."""
        sample = loop.sample
        prod = sample.project("shop/prod", {"admin": ["ann"]})
        lab = sample.project("lab/one", {"user": ["@team"]})
        return [
            sample.organization(prod),
            sample.organization(prod, lab),
            sample.organization(replace(prod, description="The shop", tags={"a": "1", "b": "2"}), lab),
            sample.organization(
                replace(prod, grants=sample.terms({"admin": ["ann", "ben"], "user": ["eve"]})), lab
            ),
            sample.organization(replace(prod, grants=sample.terms({"user": ["ann", "ben"]})), lab),
            sample.organization(replace(prod, project="live"), lab),
            sample.organization(replace(prod, grants=()), replace(lab, grants=())),
            sample.organization(lab),
        ]

    async def test_a_rename_keeps_the_native_thing(self, loop: Loop) -> None:
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"]})
        await loop.want(*sample.organization(project))
        await loop.settle()
        before = await self.container(loop, sample.tenant("shop/prod"))
        await loop.want(*sample.organization(replace(project, project="live")))
        steps = await loop.steps()
        if "renaming" in self.lacks:
            assert not [step for step in steps if "name" in step.after]
            [remark] = (await loop.remarks())["keeps-name"]
            assert not remark.blocking
            return
        assert {step.action for step in steps} == {"update"}
        assert all(step.reason.cause == "declared" for step in steps)
        await loop.settle()
        after = await self.container(loop, sample.tenant("shop/prod"))
        assert before is not None
        assert after is not None
        assert after.native_id == before.native_id
        assert after.attributes["name"] != before.attributes["name"]

    async def test_a_tag_of_project_payment_method_and_workspace_reaches_the_platform_in_this_precedence(
        self, loop: Loop
    ) -> None:
        tags = loop.sample.tags
        amber: Tags = {"a": "amber"}
        birch: Tags = {"a": "birch"}
        cedar: Tags = {"a": "cedar"}
        for state, expected in (
            (tags(workspace=amber), ["amber"]),
            (tags(workspace=amber, payment_method=birch), ["birch"]),
            (tags(workspace=amber, payment_method=birch, project=cedar), ["cedar"]),
            (
                tags(workspace=amber, payment_method=birch, project={"a": ("dahlia", "elder")}),
                ["dahlia", "elder"],
            ),
            (tags(workspace=amber, payment_method=birch), ["birch"]),
            (tags(payment_method=birch, project={"a": ()}), []),
        ):
            await loop.want(*loop.sample.organization(loop.sample.project("shop/prod", tags=state)))
            await loop.settle()
            container = await self.container(loop, loop.sample.tenant("shop/prod"))
            assert container is not None
            [item] = [i for i in await loop.world.hand.census() if i.id == container.native_id]
            names = ("amber", "birch", "cedar", "dahlia", "elder")
            assert [name for name in names if name in item.state] == expected

    async def test_the_same_step_twice_changes_once(self, loop: Loop) -> None:
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"], "user": ["ben"]})
        changed = replace(project, grants=sample.terms({"user": ["ann"]}), description="new")
        for state in ([project], [changed], []):
            await loop.want(*sample.organization(*state))
            survey = await loop.survey()
            assert survey.steps
            await self.carry_out(loop, survey)
            census = await loop.world.hand.census()
            await self.carry_out(loop, survey)
            assert await loop.world.hand.census() == census
            await loop.converge()

    async def carry_out(self, loop: Loop, survey: Survey) -> None:
        """Do the steps of a survey, all of them, whatever was done since."""
        result = await loop.carry_out(survey, patience_seconds=loop.world.patience_seconds)
        assert not [(step, outcome) for step, outcome in result.outcomes if not isinstance(outcome, Done)]
        assert not result.skipped

    async def test_what_the_provider_adds_is_no_difference_however_often_one_looks(self, loop: Loop) -> None:
        sample = loop.sample
        await loop.want(*sample.organization(sample.project("shop/prod")))
        await loop.settle()
        writes = len(loop.transport.writes)
        for _ in range(3):
            await loop.converge()
        assert len(loop.transport.writes) == writes

    async def test_an_unknown_user_is_a_remark_and_is_picked_up_later(self, loop: Loop) -> None:
        self.need("known people")
        sample = loop.sample
        await loop.want(*sample.organization(sample.project("shop/prod", {"user": ["ann", "new"]})))
        await loop.settle()
        [remark] = (await loop.remarks())["unknown-user"]
        assert remark.about == sample.principal("new")
        assert not remark.blocking
        assert len(await loop.access()) == 1
        async with loop.by_hand() as hand:
            await hand.add_user(sample.name_of("new"))
        await loop.settle()
        assert not await loop.remarks()
        assert len(await loop.access()) == 2

    async def test_a_grant_begins_and_ends_by_the_clock(self, loop: Loop) -> None:
        sample = loop.sample
        [term] = sample.terms({"user": ["ann"]})
        hour = timedelta(hours=1)
        term = replace(term, start=loop.now + hour, end=loop.now + 2 * hour)
        await loop.want(*sample.organization(sample.project("shop/prod", grants=(term,))))
        for expected in (0, 1, 0):
            await loop.settle()
            assert len(await loop.access()) == expected
            loop.now += hour
            assert all(step.reason.cause == "expired" for step in await loop.steps())

    async def test_a_group_of_people_that_changes_changes_access(self, loop: Loop) -> None:
        sample = loop.sample
        intents = sample.organization(sample.project("shop/prod", {"user": ["@team"]}))
        await loop.want(*intents)
        await loop.settle()
        await loop.want(*intents, directory=sample.directory(team=("ben", "cat")))
        steps = await loop.steps()
        assert sorted(step.action for step in steps) == ["create", "delete"]
        assert {step.reason.cause for step in steps} == {"directory"}
        await loop.settle()
        assert len(await loop.access()) == 2

    async def test_who_moves_up_is_added_first_and_who_moves_down_is_removed_first(self, loop: Loop) -> None:
        sample = loop.sample
        reader = sample.project("shop/prod", {"reader": ["ann", "eve"], "admin": ["ben"]})
        admin = replace(reader, grants=sample.terms({"reader": ["eve"], "admin": ["ann", "ben"]}))
        await loop.want(*sample.organization(reader))
        await loop.settle()
        for state, expected in ((admin, ["create", "delete"]), (reader, ["delete", "create"])):
            loop.platform.performed.clear()
            await loop.want(*sample.organization(state))
            await loop.settle()
            first, second = (step for step in loop.platform.performed if step.principal)
            assert [first.action, second.action] == expected
            assert first.key in second.needs, (
                "the second waits for the first, however many are carried out at once"
            )

    async def test_an_operator_may_hold_a_role_everywhere(self, loop: Loop) -> None:
        sample = loop.sample
        intents = sample.organization(sample.project("shop/prod", {"admin": ["ann"]}))
        await loop.want(*intents)
        await loop.settle()
        before = set(await loop.access())
        async with loop.by_hand() as hand:
            await hand.grant(sample.tenant("shop/prod"), sample.name_of("eve"))
        assert await loop.steps(), "nobody said yet that this is an operator"
        [held] = set(await loop.access()) - before
        allowed = Operator(user=sample.principal("eve"), role=held.role)
        await loop.want(*(replace(intent, operators=(allowed,)) for intent in intents))
        await loop.check_converged()
