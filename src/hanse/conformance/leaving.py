"""What is taken out of the manifest: access goes at once, what people made waits."""

from __future__ import annotations

from msgspec.structs import replace

from hanse.conformance.contract import Suite
from hanse.conformance.loop import Loop
from hanse.conformance.world import ours
from hanse.journal.events import OwnerGone


class Leaving(Suite):
    """The end of a tenant."""

    async def test_access_goes_at_once_and_the_container_waits_for_a_yes(self, loop: Loop) -> None:
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"], "user": ["@team"]}, deletion="approval")
        await loop.want(*sample.organization(project))
        await loop.settle()
        before = await self.container(loop, sample.tenant("shop/prod"))
        assert before is not None
        await loop.want(*sample.organization(project)[:-1])
        await loop.settle()
        assert not await loop.access()
        assert await self.container(loop, sample.tenant("shop/prod")) is not None
        [remark] = (await loop.remarks())["deletion-waits"]
        assert remark.advice
        await loop.approve(project.owner)
        await loop.settle()
        assert before.native_id not in {item.id for item in await loop.world.hand.census()}
        assert OwnerGone(project.owner) in await loop.events()
        assert await loop.store.owner(project.owner) is None

    async def test_it_goes_at_once_where_the_rule_says_so_and_last_of_all(self, loop: Loop) -> None:
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"], "user": ["@team"]}, deletion="automatic")
        await loop.want(*sample.organization(project))
        await loop.settle()
        loop.platform.performed.clear()
        await loop.want(*sample.organization(project)[:-1])
        await loop.settle()
        guarded = {spec.name for spec in loop.platform.describe().kinds if spec.guarded}
        kinds = [step.kind in guarded for step in loop.platform.performed]
        assert len({step.key for step in loop.platform.performed if step.kind in guarded}) == 1
        first = kinds.index(True)
        assert all(kinds[first:]), "tried again perhaps, but last of all"
        assert await loop.store.owner(project.owner) is None

    async def test_what_comes_back_in_time_keeps_its_native_thing(self, loop: Loop) -> None:
        sample = loop.sample
        intents = sample.organization(sample.project("shop/prod", {"admin": ["ann"]}, deletion="approval"))
        await loop.want(*intents)
        await loop.settle()
        before = await self.container(loop, sample.tenant("shop/prod"))
        await loop.want(*intents[:-1])
        await loop.settle()
        await loop.want(*intents)
        await loop.settle()
        after = await self.container(loop, sample.tenant("shop/prod"))
        assert before is not None
        assert after is not None
        assert after.native_id == before.native_id
        assert len(await loop.access()) == 1

    async def test_everything_goes_and_nothing_of_ours_is_left(self, loop: Loop) -> None:
        sample = loop.sample
        await loop.want(
            *sample.organization(
                sample.project("shop/prod", {"admin": ["ann"]}),
                sample.project("shop/test", {"user": ["ben"]}),
            )
        )
        await loop.settle()
        await loop.want()
        for _ in range(3):
            await loop.converge()
        assert not ours(await loop.world.hand.census())
        assert not [row async for row in loop.store.owners()]

    async def test_a_workspace_thing_stays_while_it_holds_something(self, loop: Loop) -> None:
        self.need("workspace things")
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"]}, deletion="approval")
        await loop.want(*sample.organization(project))
        await loop.settle()
        async with loop.by_hand() as hand:
            await hand.make_container(sample.tenant("shop/prod"), "somebody-elses")
        await loop.want()
        await loop.settle()
        assert (await loop.remarks())["not-empty"]
        await loop.approve(project.owner)
        await loop.settle()
        assert (await loop.remarks())["not-empty"], "the foreign one is still in it"
        assert ours(await loop.world.hand.census())

    async def test_leaving_takes_access_also_where_local_changes_are_only_reported(self, loop: Loop) -> None:
        sample = loop.sample
        project = sample.project("shop/prod", {"admin": ["ann"]}, deletion="approval", local_changes="report")
        await loop.want(*sample.organization(project))
        await loop.settle()
        async with loop.by_hand() as hand:
            await hand.grant(sample.tenant("shop/prod"), sample.name_of("eve"))
        await loop.want(*sample.organization(replace(project, grants=()))[:-1])
        await loop.settle()
        assert not await loop.access()
