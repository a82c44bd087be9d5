"""An API server that is away, forgets, or takes the account no longer: nothing is lost, and it is said what to do."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from api import compact, config, configs
from estate import ANN, BEN, CAT, Estate, new_estate, person

from hanse.model import Refused
from hanse.platforms.kubernetes import Kubernetes
from hanse.ports.platform import PlatformIdentity, PlatformUnavailable, Scope
from hanse.ports.transport import Call, Reply
from kubernetes_server import KubernetesServer

EVERYTHING = Scope(None)


@pytest.fixture
async def estate(kubernetes: KubernetesServer, tmp_path: Path) -> AsyncIterator[Estate]:
    async with new_estate(kubernetes, tmp_path) as estate:
        yield estate


@pytest.mark.parametrize("label", ["create namespace", "apply quota", "apply rolebinding"])
async def test_what_was_not_done_when_the_api_server_went_away_is_done_when_it_is_back(
    estate: Estate, label: str
) -> None:
    server = estate.api.server
    estate.meanwhile(label, 1, lambda _: server.stop_api())
    await estate.want({"admin": ["ann", "ben"], "user": ["cat"]}, zone={"quotas": {"default": {"pods": 5}}})
    try:
        outcomes = await estate.outcomes()
        assert not any(isinstance(outcome, Refused) for outcome in outcomes), outcomes
        with pytest.raises(PlatformUnavailable) as away:
            await estate.platform.observe(EVERYTHING)
        assert "the API server running?" in away.value.advice
    finally:
        server.start_api()
    await estate.loop.settle()
    await estate.loop.concluded()
    assert estate.given() == {(ANN, "admin"), (BEN, "admin"), (CAT, "edit")}


async def test_a_token_that_is_accepted_no_more_is_told_with_what_to_do(estate: Estate) -> None:
    await estate.hold({"admin": ["ann"]})
    await estate.want({"admin": ["ann"]}, description="new")
    survey = await estate.loop.survey()
    [step] = survey.plans[estate.owner].steps
    good, estate.bearer.token = estate.bearer.token, "of yesterday"
    with pytest.raises(PlatformUnavailable) as caught:
        await estate.platform.observe(EVERYTHING)
    assert "expired or been revoked" in caught.value.advice
    refused = await estate.platform.perform(step)
    assert isinstance(refused, Refused)
    assert "credential" in refused.reason
    estate.bearer.token = good
    await estate.loop.settle()


async def test_an_account_without_rights_is_told_who_says_which_it_lacks(
    kubernetes: KubernetesServer, tmp_path: Path
) -> None:
    async with new_estate(kubernetes, tmp_path, kubernetes.tokens["cat"]) as estate:
        with pytest.raises(PlatformUnavailable) as caught:
            await estate.platform.observe(EVERYTHING)
        assert "hanse doctor" in caught.value.advice


async def test_a_list_whose_rest_the_server_forgot_is_begun_anew(
    kubernetes: KubernetesServer, tmp_path: Path
) -> None:
    async with new_estate(kubernetes, tmp_path, join=partial(Kubernetes, rows=1)) as estate:
        await estate.hold({"admin": ["ann", "ben"], "user": ["cat"]})
        for number in range(3):
            estate.by_hand(f"by-hand-{number}", "view", person("eve@example.org"))

        def forget(turn: int) -> None:
            if not turn:  # the first page has come
                estate.api.post(configs(estate.namespace), config("later"))
                compact(estate.api)

        estate.loop.transport.calls.clear()
        estate.meanwhile("list rolebindings", 2, forget)
        observation = await estate.platform.observe(EVERYTHING)
        assert not observation.incomplete
        links = [one for one in observation.of(estate.owner) if one.kind == "binding"]
        assert len(links) == 4


class Elsewhere:
    """A server that is no Kubernetes."""

    def __init__(self, status: int, body: bytes) -> None:
        self.reply = Reply(status, {}, body)

    async def send(self, call: Call) -> Reply:
        return self.reply

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        yield b""

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"not here"), (200, b"<html>"), (200, b"{}"), (302, b""), (200, b"[]"), (503, b"")],
)
async def test_a_server_that_is_no_kubernetes_is_told_with_what_to_bind(status: int, body: bytes) -> None:
    platform = Kubernetes(PlatformIdentity("example", "k8s", {}), Elsewhere(status, body))
    for _ in range(2):
        with pytest.raises(PlatformUnavailable) as caught:
            await platform.observe(EVERYTHING)
        assert "bind the address" in caught.value.advice or "bound endpoint" in caught.value.advice


@pytest.mark.parametrize(
    ("group", "reply"),
    [("rbac.authorization.k8s.io/v1", Reply(404, {}, b"{}")), ("v1", Reply(404, {}, b"{}"))],
)
async def test_a_cluster_without_rbac_is_told_which_part_is_missing(
    estate: Estate, group: str, reply: Reply
) -> None:
    class Lacking:
        def __init__(self) -> None:
            self.inner = estate.loop.world.transport

        async def send(self, call: Call) -> Reply:
            return reply if call.path.endswith(f"/{group}") else await self.inner.send(call)

        def stream(self, call: Call) -> AsyncIterator[bytes]:
            return self.inner.stream(call)

        async def close(self) -> None:
            pass

    platform = Kubernetes(estate.loop.world.identity, Lacking())
    with pytest.raises(PlatformUnavailable) as caught:
        await platform.observe(EVERYTHING)
    assert f"does not serve {group}" in str(caught.value)
