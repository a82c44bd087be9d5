"""What a platform says of itself, and what it sees."""

from __future__ import annotations

from typing import Any

import pytest

from hanse.conformance.contract import Suite
from hanse.conformance.loop import START, Loop
from hanse.model import Find, Owner, Ref, Tenant
from hanse.observed import Observation
from hanse.ports.platform import PlatformUnavailable, Scope
from hanse.transport import Fault
from hanse.transport.faults import FaultKind

READ_FAULTS: tuple[FaultKind, ...] = (
    "error-500",
    "throttled-429",
    "lost-before",
    "cut",
    "broken-body",
    "short-page",
)


def content(observation: Observation) -> dict[str, Any]:
    """What an observation says, without its date and the order of its rows."""
    return {
        "resources": {o: sorted(many, key=str) for o, many in observation.resources.items() if many},
        "foreign": sorted(observation.foreign, key=str),
        "found": {find: sorted(many, key=str) for find, many in observation.found.items()},
        "incomplete": observation.incomplete,
        "twins": observation.twins,
    }


class Observing(Suite):
    """Declaration and observation."""

    async def test_describes_itself_without_network(self, loop: Loop) -> None:
        description = loop.platform.describe()
        assert description == loop.platform.describe()
        assert len({kind.name for kind in description.kinds}) == len(description.kinds)
        assert any(kind.guarded for kind in description.kinds), "something must hold what people make"
        assert not loop.transport.calls

    async def test_compile_is_pure_and_constant(self, loop: Loop) -> None:
        sample = loop.sample
        intent = sample.project("shop/prod", {"admin": ["ann"], "user": ["@team", "new"]}, tags={"a": "b"})
        compiled = loop.platform.compile(intent, sample.directory(), START)
        assert compiled == loop.platform.compile(intent, sample.directory(), START)
        assert not loop.transport.calls
        assert compiled.resources
        assert not compiled.problems
        kinds = {kind.name for kind in loop.platform.describe().kinds}
        assert {resource.kind for resource in compiled.resources} <= kinds
        assert {resource.owner for resource in compiled.resources} == {intent.owner}
        keys = [resource.key for resource in compiled.resources]
        assert len(keys) == len(set(keys)), "one key, one resource"

    async def test_what_is_leaving_compiles_to_nothing(self, loop: Loop) -> None:
        intent = loop.sample.project("shop/prod", {"admin": ["ann"]}, left_at="c0ffee")
        assert not loop.platform.compile(intent, loop.directory, START).resources

    async def test_a_role_that_means_nothing_here_is_a_problem_with_its_source(self, loop: Loop) -> None:
        compiled = loop.platform.compile(
            loop.sample.project("shop/prod", {"no-such-role": ["ann"]}), loop.directory, START
        )
        assert compiled.problems or compiled.resources
        assert all(problem.source and problem.advice for problem in compiled.problems)

    async def test_observes_nothing_in_an_empty_scope(self, loop: Loop) -> None:
        observation = await loop.platform.observe(Scope(()))
        assert not observation.resources
        assert not observation.incomplete
        nobody = Tenant(loop.world.identity.name, "nobody", "nothing")
        assert not (await loop.platform.observe(Scope((nobody,)))).of(nobody)
        assert not loop.transport.writes

    async def test_two_observations_are_equal_and_change_nothing(self, loop: Loop) -> None:
        await self.converged(loop)
        census = await loop.world.hand.census()
        loop.transport.calls.clear()
        for owners in (None, (loop.sample.tenant("shop/prod"),)):
            scope = Scope(owners, await self.finds(loop))
            assert content(await loop.platform.observe(scope)) == content(await loop.platform.observe(scope))
        assert not loop.transport.writes
        assert await loop.world.hand.census() == census

    async def test_looking_at_one_owner_shows_what_a_sweep_shows_of_it(self, loop: Loop) -> None:
        await self.converged(loop)
        finds = await self.finds(loop)
        sweep = await loop.platform.observe(Scope(None, finds))
        assert sweep.covers(loop.sample.tenant("lab/one"))
        for owner in await self.owners(loop):
            alone = await loop.platform.observe(Scope((owner,), finds))
            assert sorted(alone.of(owner), key=str) == sorted(sweep.of(owner), key=str)
            assert alone.covers(owner)

    async def test_what_is_observed_has_ids_on_things_and_ends_on_links(self, loop: Loop) -> None:
        await self.converged(loop)
        specs = {kind.name: kind for kind in loop.platform.describe().kinds}
        observation = await loop.platform.observe(Scope(None, await self.finds(loop)))
        for resource in [r for many in observation.resources.values() for r in many]:
            spec = specs[resource.kind]
            assert bool(resource.native_id) is not spec.is_link
            assert not any(isinstance(value, Find) for value in resource.attributes.values())
            if spec.is_link:
                ours = [value.key for value in resource.attributes.values() if isinstance(value, Ref)]
                assert ours, "a link is seen at a thing of ours"

    async def test_observes_all_pages(self, loop: Loop) -> None:
        self.need("small pages")
        sample, count = loop.sample, loop.world.page_size + 1
        grants = {"admin": ["ann", "ben", "cat"], "user": ["dan", "eve"]}
        projects = [sample.project(f"shop/p{number}", grants) for number in range(count)]
        await loop.want(*sample.organization(*projects))
        await loop.settle()
        observation = (await loop.survey()).observations[loop.world.identity.name]
        assert {project.owner for project in projects} <= observation.resources.keys()

    async def test_is_incomplete_when_a_page_fails_and_then_deletes_nothing(self, loop: Loop) -> None:
        await self.converged(loop)
        loop.transport.calls.clear()
        whole = (await loop.survey()).observations[loop.world.identity.name]
        labels = [call.label for call in loop.transport.calls]
        for kind in READ_FAULTS:
            if kind == "short-page" and "page counts" in self.lacks:
                continue
            for place in self.places(labels):
                loop.fail(Fault(kind, place.label, place.nth))
                survey = await loop.survey()
                assert loop.faulty.struck
                name = loop.world.identity.name
                seen = survey.observations.get(name)
                where = f"{kind} at {loop.faulty.struck[0][1].label} ({place.nth})"
                noticed = seen is None or seen.incomplete or content(seen) == content(whole)
                assert noticed, f"{where} was not noticed"
                assert not survey.steps, f"{where} made the plan change something"
        loop.fail()

    async def test_what_cannot_be_read_at_all_is_unavailable_with_a_word_why(self, loop: Loop) -> None:
        await self.converged(loop)
        loop.fail(Fault("cut", times=0))
        with pytest.raises(PlatformUnavailable, match=r"\w"):
            await loop.platform.observe(Scope(None))
        survey = await loop.survey()
        assert survey.unavailable
        assert not survey.steps
        loop.fail()

    async def test_access_names_every_way_that_leads_there(self, loop: Loop) -> None:
        sample = loop.sample
        await loop.want(*sample.organization(sample.project("shop/prod", {"admin": ["ann"]})))
        await loop.settle()
        owner = sample.tenant("shop/prod")
        rows = [row for row in await loop.access() if row.owner == owner]
        assert len(rows) == 1
        assert rows[0].via == ("direct" if "groups" in self.lacks else "group")
        async with loop.by_hand() as hand:
            await hand.grant(owner, sample.name_of("ben"))
        ways = {(row.principal, row.via) for row in await loop.access() if row.owner == owner}
        assert len(ways) == 2
        assert "direct" in {via for _, via in ways}

    async def test_inherited_access_is_told_and_left(self, loop: Loop) -> None:
        self.need("inherited access")
        sample = loop.sample
        await loop.want(*sample.organization(sample.project("shop/prod", {"admin": ["ann"]})))
        await loop.settle()
        async with loop.by_hand() as hand:
            await hand.grant_above(sample.name_of("eve"))
        rows = [row for row in await loop.access() if row.owner == sample.tenant("shop/prod")]
        assert [row.via for row in rows].count("inherited") == 1
        await loop.check_converged()

    async def converged(self, loop: Loop) -> None:
        """Two workspaces and three projects, settled."""
        sample = loop.sample
        await loop.want(
            *sample.organization(
                sample.project("shop/prod", {"admin": ["ann"], "user": ["@team", "cat"]}, tags={"a": "b"}),
                sample.project("shop/test", {"user": ["dan"]}),
                sample.project("lab/one", {"reader": ["eve"], "admin": ["ann"]}, description="A lab"),
            )
        )
        await loop.settle()

    async def owners(self, loop: Loop) -> list[Owner]:
        """All that is accepted."""
        return [row.owner async for row in loop.store.owners()]

    async def finds(self, loop: Loop) -> frozenset[Find]:
        """What everything that is accepted looks for."""
        return frozenset(
            value
            for row in [row async for row in loop.store.owners()]
            for resource in loop.platform.compile(row.accepted.intent, loop.directory, loop.now).resources
            for value in resource.attributes.values()
            if isinstance(value, Find)
        )
