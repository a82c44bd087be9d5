"""Whatever happens in the middle of a pass: nothing is lost, nothing is made twice, and status says why it waits."""

from __future__ import annotations

import itertools

import pytest

from hanse.journal.events import PassFinished, StepConcluded, StepIntended
from hanse.model import Outcome, Step, Tenant
from hanse.platforms.memory import cloud
from hanse.ports.store import StoreError
from hanse.ports.transport import Call, Reply
from hanse.reconcile import Pass
from hanse.service.plan import Selection
from hanse.transport import Fault
from service import manifest
from service.world import SECRET, Killed, World

WEB = Tenant("north", "shop", "web")


def killed(raised: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether the process ended as the test meant it."""
    return isinstance(raised.value, Killed) or (
        isinstance(raised.value, BaseExceptionGroup) and raised.value.subgroup(Killed) is not None
    )


async def open_steps(world: World) -> list[Step]:
    async with world.open() as estate:
        return [step for _, step in await estate.store.open_steps()]


async def test_of_two_runs_at_once_the_second_is_refused_and_told_who_the_first_is(applied: World) -> None:
    async with applied.open() as estate:
        await estate.store.hold()
        with pytest.raises(StoreError, match=r"process \d+ .*is applying"):
            await applied.apply()
        assert (await applied.plan()).survey.steps == 0


@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
@pytest.mark.parametrize("write", [1, 2, 5, 9, 14])
async def test_killed_between_intent_and_outcome_the_next_pass_looks_it_up_and_goes_on(
    world: World, write: int, after: bool
) -> None:
    count = 0

    def kill(platform: str, call: Call, is_done: bool) -> bool:
        nonlocal count
        count += is_done == after
        return count == write and is_done == after

    world.kill = kill
    with pytest.raises(BaseException) as raised:  # noqa: PT011 (Killed is no Exception)
        await world.apply()
    assert killed(raised)
    world.kill = None
    opened = await open_steps(world)
    assert opened
    await world.apply()
    assert await open_steps(world) == []
    concluded = [e for e in await world.events() if isinstance(e, StepConcluded) and e.looked_up]
    assert len(concluded) == len(opened)
    assert "done" in {e.outcome for e in concluded} if after else True
    assert len(world.clouds["north"].rows["spaces"]) == 4
    assert len(world.clouds["north"].rows["groups"]) == 7
    assert (await world.plan()).survey.steps == 0


async def test_stopped_it_ends_cleanly_and_a_second_run_goes_on(world: World) -> None:
    done = 0

    def told(run: Pass, step: Step, outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if done == 3:
            run.stop()

    result = await world.apply(told=told)
    assert result.converged.result.skipped
    assert 3 <= len(result.converged.result.outcomes) < result.planned.survey.steps
    assert result.converged.after.steps + len(result.converged.result.outcomes) == result.planned.survey.steps
    assert await open_steps(world) == []
    waits = {row.status.waits for row in (await world.status()).values()}
    assert "the last pass was stopped before its end" in waits
    again = await world.apply()
    assert not again.converged.after.steps
    assert (await world.plan()).survey.steps == 0


async def test_while_a_platform_is_away_the_others_go_on_and_status_says_why(applied: World) -> None:
    applied.faults["south"][:] = [Fault("cut", times=0)]
    applied.commit({manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")})
    result = await applied.apply()
    assert set(result.planned.survey.unavailable) == {"south"}
    space = applied.row("spaces", "shop-web")
    assert space
    assert space["tags"] == ["environment=live"]
    assert "south cannot be read" in (await applied.status())["south/shop/web"].status.waits
    applied.faults["south"].clear()
    await applied.apply()
    assert not (await applied.status())["south/shop/web"].status.waits


async def test_a_platform_that_goes_away_before_the_read_back_is_said_to_be_away(applied: World) -> None:
    applied.commit({manifest.WEB_FILE: manifest.WEB.replace("prod}", "live}")})

    def told(run: Pass, step: Step, outcome: Outcome) -> None:
        applied.faults["south"][:] = [Fault("cut", times=0)]

    result = await applied.apply(told=told)
    assert result.converged.after.is_blocked()
    assert "south cannot be read" in (await applied.status())["south/shop/web"].status.waits


@pytest.mark.parametrize(
    "kind", ["error-500", "throttled-429", "lost-before", "lost-after", "cut", "broken-body"]
)
async def test_a_write_that_fails_once_is_done_in_the_end_and_once(world: World, kind: str) -> None:
    world.faults["north"] = [
        Fault(kind, label=label, retry_after="0")  # type: ignore[arg-type]
        for label in ("post spaces", "post groups", "put memberships")
    ]
    await world.apply()
    await world.apply()
    assert len(world.clouds["north"].rows["spaces"]) == 4
    assert len(world.clouds["north"].rows["groups"]) == 7
    assert (await world.plan()).survey.steps == 0
    assert await open_steps(world) == []


async def test_what_a_pass_was_unsure_of_it_looks_up_itself(world: World) -> None:
    world.faults["north"] = [Fault("lost-after", label="post spaces")]
    result = await world.apply()
    assert not result.converged.after.steps
    assert await open_steps(world) == []
    assert [e for e in await world.events() if isinstance(e, StepConcluded) and e.looked_up]


async def test_what_the_platform_refuses_for_good_is_told_with_advice_and_the_rest_is_done(
    world: World,
) -> None:
    world.by_hand("POST", "/groups", {"name": "lab-sea-admin"})
    result = await world.apply()
    assert {r.code for r in result.converged.after.remarks()} == {"name-taken"}
    assert world.members("shop-web-admin") == {"u-1", "u-2"}
    assert (await world.status())["north/lab/sea"].status.waits


async def test_each_pass_is_in_the_journal_from_its_begin_to_its_end(applied: World) -> None:
    events = await applied.events()
    finished = [e for e in events if isinstance(e, PassFinished)]
    intended = [e for e in events if isinstance(e, StepIntended)]
    concluded = [e for e in events if isinstance(e, StepConcluded)]
    assert [e.done for e in finished] == [len(intended)]
    assert [e.digest for e in intended] != []
    assert {e.digest for e in intended} == {e.digest for e in concluded}


async def test_what_a_cloud_says_about_an_error_is_passed_on_to_nobody(
    applied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The world's check looks for the secret in journal, store and output."""
    answer = cloud.Cloud.answer

    def angry(self: cloud.Cloud, call: Call) -> Reply:
        if call.is_write:
            return Reply(next(statuses), {}, b'{"error": "the password %s is wrong"}' % SECRET.encode())
        return answer(self, call)

    applied.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", "u-4")})
    for status in (400, 401, 403, 409, 500, 503):
        statuses = itertools.repeat(status)
        monkeypatch.setattr(cloud.Cloud, "answer", angry)
        result = await applied.apply(Selection(only="shop/trial"))
        assert result.converged.after.steps
        monkeypatch.setattr(cloud.Cloud, "answer", answer)
        applied.said += str((await applied.status())["north/shop/trial"])
