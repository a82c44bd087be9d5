"""Whoever changes something is heard, and nobody is woken for nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from api import NAMESPACES, Json, config, configs
from estate import ANN, EVE, Estate, account, new_estate, person

from hanse.model import Owner
from hanse.platforms.kubernetes.blocks import binding_name
from kubernetes_server import KubernetesServer

ZONE: Json = {"quotas": {"default": {"configMaps": 5}}, "networkPolicies": ["deny-ingress"]}
SECOND = 1.0
QUIET = 0.5
"""Seconds without news after which there are none on the way."""
LONG = 40.0
Hint = frozenset[Owner] | None


@pytest.fixture
async def estate(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Estate]:
    async with new_estate(kubernetes, tmp_path) as estate:
        yield estate


class Ears:
    """Hears hints as they come."""

    def __init__(self, hints: AsyncIterator[Hint]) -> None:
        self._hints = hints
        self._next: asyncio.Task[Hint] | None = None

    async def next(self, seconds: float) -> Hint:
        """The next one. Raises TimeoutError; what comes later is not lost."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._hints.__anext__())
        done, _ = await asyncio.wait([self._next], timeout=seconds)
        if not done:
            raise TimeoutError
        hint, self._next = self._next.result(), None
        return hint

    async def all(self, seconds: float = QUIET) -> list[Hint]:
        """What is said until it is quiet for so long."""
        heard: list[Hint] = []
        while True:
            try:
                heard.append(await self.next(seconds))
            except TimeoutError:
                return heard

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)


@asynccontextmanager
async def ears(estate: Estate) -> AsyncIterator[Ears]:
    """Listening to the tenant's platform, which is quiet now."""
    async with aclosing(estate.platform.hints()) as hints:  # type: ignore[type-var]
        listening = Ears(hints)
        try:
            assert await listening.next(LONG) is None
            assert not [hint for hint in await listening.all() if hint is not None and estate.owner in hint]
            yield listening
        finally:
            await listening.close()


def label(estate: Estate) -> None:
    estate.api.merge(estate.path, {"metadata": {"labels": {"example.org/a": "changed"}}})


def unmark(estate: Estate) -> None:
    estate.api.merge(estate.path, {"metadata": {"labels": {"hanse/stamp": None}}})


def note(estate: Estate) -> None:
    estate.api.merge(estate.path, {"metadata": {"annotations": {"hanse/key": None}}})


def unbind(estate: Estate) -> None:
    estate.api.delete(f"{estate.bindings}/{binding_name('admin', 'User', ANN)}")


def subject(estate: Estate) -> None:
    path = f"{estate.bindings}/{binding_name('admin', 'User', ANN)}"
    estate.api.merge(path, {"subjects": [person(EVE)]})


def bind(estate: Estate) -> None:
    estate.by_hand("by-hand", "view", person(EVE))


def quota(estate: Estate) -> None:
    estate.api.merge(f"{estate.path}/resourcequotas/hanse", {"spec": {"hard": {"configmaps": "50"}}})


def policy(estate: Estate) -> None:
    path = f"/apis/networking.k8s.io/v1/namespaces/{estate.namespace}/networkpolicies/hanse-deny-ingress"
    estate.api.delete(path)


def unlabel(estate: Estate) -> None:
    labels = {"app.kubernetes.io/managed-by": None}
    estate.api.merge(f"{estate.path}/resourcequotas/hanse", {"metadata": {"labels": labels}})


def content(estate: Estate) -> None:
    path = f"{configs(estate.namespace)}/settings"
    estate.api.merge(path, {"data": {"stage": "changed"}}, fieldManager="by-hand")


def delete(estate: Estate) -> None:
    estate.api.delete(estate.path)


CHANGES = (label, unmark, note, unbind, subject, bind, quota, policy, unlabel, content, delete)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_a_change_by_hand_wakes_the_owner_within_a_second_and_nobody_else(
    estate: Estate, change: Callable[[Estate], None]
) -> None:
    fields = {"zone": ZONE, "tags": {"a": "1"}, "documents": [config("settings", {"stage": "dev"})]}
    other = estate.loop.sample.project("lab/one", {"admin": ["ann"]})
    await estate.accept(estate.project({"admin": ["ann"]}, **fields), other)
    await estate.loop.settle()
    async with ears(estate) as listening:
        began = time.monotonic()
        change(estate)
        hint = await listening.next(SECOND)
        assert time.monotonic() - began < SECOND
        assert hint == frozenset({estate.owner})
        assert {owner for later in await listening.all() for owner in later or ()} <= {estate.owner}
    assert [owner for owner, plan in (await estate.loop.plans()).items() if plan.steps] == [estate.owner]


async def test_what_is_no_business_of_ours_wakes_nobody(estate: Estate) -> None:
    """Other namespaces, what programs use, what others write beside ours, and what we do ourselves."""
    await estate.hold({"admin": ["ann"]}, zone=ZONE, documents=[config("settings", {"stage": "dev"})])
    elsewhere = estate.api.namespace()
    async with ears(estate) as listening:
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
        path = estate.bindings.replace(estate.namespace, elsewhere)
        estate.api.post(path, {"metadata": {"name": "x"}, "roleRef": role, "subjects": [person(EVE)]})
        estate.api.delete(f"{NAMESPACES}/{elsewhere}")
        estate.api.post(configs(estate.namespace), config("own", {"a": "b"}))  # counted by the quota
        estate.api.merge(f"{configs(estate.namespace)}/settings", {"data": {"own": "1"}})
        assert await listening.all(2 * QUIET) == []
        used = estate.api.get(f"{estate.path}/resourcequotas/hanse").body["status"]["used"]
        assert used["configmaps"] not in ("0", "1")
        await estate.hold(
            {"user": ["ann", "ben"]}, description="x", documents=[config("settings", {"stage": "prod"})]
        )
        estate.by_hand("robots", "view", account(elsewhere))
        heard = await listening.all()
    assert None not in heard
    assert heard == [frozenset({estate.owner})], (
        "our own writes, and one binding that somebody has to look at"
    )


async def test_many_changes_that_nobody_hears_are_told_once(estate: Estate) -> None:
    """What is told does not grow with what happens, and what is remembered neither."""
    await estate.hold({"admin": ["ann"]})
    async with ears(estate) as listening:
        memory = estate.platform._memory
        label(estate)
        await listening.next(SECOND)
        size = len(memory.prints)
        for number in range(50):
            estate.api.merge(estate.path, {"metadata": {"labels": {"example.org/a": str(number)}}})
        await asyncio.sleep(QUIET)
        assert len(await listening.all()) <= 2
        assert len(memory.prints) == size
        for number in range(20):
            estate.api.delete(estate.by_hand(f"by-hand-{number}", "view", person(EVE)))
        await listening.all()
        assert len(memory.prints) == size


async def test_what_happened_while_the_api_server_was_away_is_told(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]})
    async with ears(estate) as listening:
        bind(estate)
        estate.api.server.stop_api()
        await asyncio.sleep(1)
        estate.api.server.start_api()
        hint = await listening.next(LONG)
        assert hint is None or estate.owner in hint
        await asyncio.sleep(5)
        await listening.all()
        unbind(estate)
        hint = await listening.next(LONG)
        assert hint is None or estate.owner in hint
    await estate.loop.settle()
    assert estate.given() == {(ANN, "admin")}


async def test_who_stops_listening_leaves_no_task_and_no_connection(estate: Estate) -> None:
    await estate.hold()
    before = asyncio.all_tasks()
    began = time.monotonic()
    async with ears(estate):
        assert len(asyncio.all_tasks() - before) >= 5
        began = time.monotonic()
    assert time.monotonic() - began < SECOND
    assert not {task for task in asyncio.all_tasks() - before if not task.done()}
