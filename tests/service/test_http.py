"""What `hanse serve` answers over HTTP, asked over loopback, while commits are pushed to a bare repository."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hanse import main
from hanse.api import server
from hanse.git import Repository
from hanse.ports.store import StoreError
from hanse.ports.transport import Call, Called
from hanse.reconcile.news import Failed
from hanse.service.estate import Trouble
from hanse.service.serve import Found, Judged, Listening, ServeNews, Serving
from hanse.store import SqliteStore
from hanse.transport import Fault
from service import manifest
from service.test_serve import Served, Sleepers
from service.world import World

HOOK_SECRET = "It's a Secret to Everybody"
"""As in GitHub's own example of a signature."""
SIGNING = b"0123456789abcdef0123456789abcdef"
NAME = "example/organization"
"""What the forge calls the repository."""


@dataclass
class Asked(Served):
    """A `hanse serve` that answers over HTTP."""

    session: aiohttp.ClientSession

    @property
    def address(self) -> str:
        """Where it answers."""
        return self.of(Listening)[-1].address

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        async with self.session.get(self.address + path) as reply:
            return reply.status, await reply.text()

    async def send(self, forge: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        """A webhook."""
        headers = {"Content-Type": "application/json", **headers}
        async with self.session.post(f"{self.address}/hooks/{forge}", data=body, headers=headers) as reply:
            return reply.status, await reply.text()

    async def metric(self, name: str, **labels: str) -> float:
        """One number of /metrics; the sum of all that have these labels."""
        status, text = await self.get("/metrics")
        assert status == 200
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture
def bare(applied: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The small organisation as it holds, its manifest fetched from a bare repository, webhooks switched on."""
    monkeypatch.setenv("XDG_DATA_HOME", str(applied.folder / "data"))
    applied.clock = Sleepers(applied.clock.at)
    home = applied.folder / NAME
    applied.git("clone", "--quiet", "--bare", str(applied.repository), f"{home}.git")
    applied.git("remote", "add", "origin", f"{home}.git")
    (applied.folder / "plain").write_text(f"{HOOK_SECRET}\n")
    listen("127.0.0.1:0", applied)
    return applied


def listen(where: str, world: World, gitlab: str = "plain") -> None:
    """Write server.yaml so that it is listened there."""
    hooks = f"{{github: plain, gitlab: {gitlab}, gitea: plain}}"
    world.write_config(more=f'http: {{listen: "{where}", hooks: {hooks}}}\n')
    text = world.config.read_text()
    url = f'url: "file://{world.folder}/{NAME}.git"'
    world.config.write_text(text.replace(f"url: {world.repository}", url))


@asynccontextmanager
async def answering(world: World, *, settled: bool = True) -> AsyncIterator[Asked]:
    """Serving and answering until the end of the block."""
    async with world.open() as estate, aiohttp.ClientSession() as session:
        news: list[ServeNews] = []
        hears: list[Callable[[ServeNews], None]] = [news.append]

        def told(one: ServeNews) -> None:
            for hear in hears:
                hear(one)

        serving = Serving(estate, told)
        found = Asked(world, serving, news, session)
        async with main.open_listening(str(world.config), estate, serving, told) as metrics:
            hears.append(metrics)
            task = asyncio.ensure_future(serving.run())
            try:
                if settled:
                    await found.settled()
                yield found
            finally:
                serving.stop()
                await task
    world.said += "\n".join(map(repr, news))


async def pushed(serve: Served, person: str = "u-4") -> str:
    """Push a commit that gives the trial project another user, just after a look that did not see it."""
    commit = serve.world.commit({manifest.TRIAL_FILE: manifest.TRIAL.replace("u-3", person)})
    await serve.quiet(1)  # to commit takes a minute, in which it looked
    serve.world.git("push", "--quiet", "origin", "main")
    return commit


def has(world: World, person: str) -> Callable[[], bool]:
    """Whether that commit holds."""
    return lambda: world.members("shop-trial-user") == {person}


def push(ref: str = "refs/heads/main", name: str = NAME, **more: Any) -> bytes:
    """The body of a push, with what GitHub, Gitea and GitLab have in it."""
    project = {"path_with_namespace": name, "default_branch": "main", "name": "Organization"}
    repository = {"full_name": name, "default_branch": "main", "name": "organization"}
    commits = [{"id": "1" * 40, "message": "a change", "author": {"name": "Maria Mitchell"}}]
    known = {"ref": ref, "before": "0" * 40, "after": "1" * 40, "commits": commits, "object_kind": "push"}
    return json.dumps(known | {"repository": repository, "project": project} | more).encode()


def hmac_of(body: bytes, secret: str = HOOK_SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github(body: bytes, event: str = "push", secret: str = HOOK_SECRET) -> dict[str, str]:
    """Headers as GitHub documents them."""
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-Hub-Signature-256": f"sha256={hmac_of(body, secret)}",
        "User-Agent": "GitHub-Hookshot/044aadd",
    }


def gitea(body: bytes, event: str = "push") -> dict[str, str]:
    """Headers as Gitea sends them, which has those of GitHub and Gogs, too."""
    signature = hmac_of(body)
    return github(body, event) | {"X-Gitea-Event": event, "X-Gitea-Signature": signature}


def gitlab(body: bytes) -> dict[str, str]:
    """Headers as GitLab documents them."""
    return {
        "X-Gitlab-Event": "Push Hook",
        "X-Gitlab-Token": HOOK_SECRET,
        "X-Gitlab-Instance": "https://g.example.org",
    }


SENDERS = {"github": github, "gitlab": gitlab, "gitea": gitea}


@pytest.mark.parametrize("forge", SENDERS)
async def test_a_push_that_a_forge_tells_of_is_applied_without_waiting_for_the_next_look(
    bare: World, forge: str
) -> None:
    async with answering(bare) as serve:
        commit = await pushed(serve)
        status, text = await serve.send(forge, push(), SENDERS[forge](push()))
        assert (status, text) == (202, "the repository is looked at now\n")
        await serve.until(has(bare, "u-4"), 3)
        assert [(found.commit, found.told) for found in serve.of(Found)] == [(commit, True)]
        assert not serve.of(Failed)


async def test_gitlab_may_sign_with_a_signing_token(bare: World) -> None:
    (bare.folder / "signing").write_text(f"whsec_{base64.b64encode(SIGNING).decode()}")
    listen("127.0.0.1:0", bare, "signing")
    body, identity, at = push(), "evt_1", "1780315200"
    made = hmac.digest(SIGNING, f"{identity}.{at}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(b'x' * 32).decode()} v1,{base64.b64encode(made).decode()}"
    headers = {"webhook-id": identity, "webhook-timestamp": at, "webhook-signature": signature}
    async with answering(bare) as serve:
        await pushed(serve)
        assert (await serve.send("gitlab", body, headers | {"webhook-timestamp": "1780315201"}))[0] == 401
        assert (await serve.send("gitlab", body, gitlab(body)))[0] == 401
        assert (await serve.send("gitlab", body, headers))[0] == 202
        await serve.until(has(bare, "u-4"), 3)


async def test_without_a_webhook_the_next_look_finds_it_all_the_same(bare: World) -> None:
    async with answering(bare) as serve:
        await pushed(serve)
        await serve.until(has(bare, "u-4"), 18)
        assert [found.told for found in serve.of(Found)] == [False]


@pytest.mark.parametrize("forge", SENDERS)
async def test_what_is_not_signed_with_our_secret_counts_for_nothing_and_is_told_once(
    bare: World, forge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(bare) as serve:
        await serve.quiet(1)
        looks: list[object] = []
        monkeypatch.setattr(serve.serving, "look_now", lambda: looks.append(1))
        body = push()
        right = SENDERS[forge](body)
        wrong = {
            "nothing": {},
            "another secret": github(body, secret="another")
            | {"X-Gitlab-Token": "another", "X-Gitea-Signature": "0" * 64},
            "no text": dict.fromkeys(right, "ÿ"),
            "empty": dict.fromkeys(right, ""),
        }
        for what, headers in wrong.items():
            assert (await serve.send(forge, body, headers))[0] == 401, what
        if forge != "gitlab":  # whose secret token says nothing of the body
            assert (await serve.send(forge, body.replace(b"main", b"mian"), right))[0] == 401
        assert looks == []
        [failed] = serve.of(Failed)
        assert failed.what == f"a webhook at /hooks/{forge}"
        assert (await serve.send(forge, body, right))[0] == 202
        assert (await serve.send(forge, body, {}))[0] == 401
        assert len(serve.of(Failed)) == 2
        assert looks == [1]
        assert await serve.metric("hanse_hooks_total", forge=forge, result="unsigned") >= 5
    assert HOOK_SECRET not in bare.said


@pytest.mark.parametrize(
    ("body", "event", "answer"),
    [
        (push("refs/heads/other"), "push", "another branch"),
        (push("refs/tags/main"), "push", "another branch"),
        (push(name="example/other"), "push", "another repository"),
        (push(name="organization-2"), "push", "another repository"),
        (push(name=""), "push", "another repository"),
        (push(), "pull_request", "only pushes"),
    ],
)
async def test_what_is_about_something_else_is_ignored(
    bare: World, body: bytes, event: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(bare) as serve:
        looks: list[object] = []
        monkeypatch.setattr(serve.serving, "look_now", lambda: looks.append(1))
        status, text = await serve.send("github", body, github(body, event))
        assert (status, looks) == (202, [])
        assert text.startswith("ignored")
        assert answer in text
        for wrong in (b"{", b"[]", b"\xff", b'{"ref": 1}', b""):
            assert (await serve.send("github", wrong, github(wrong)))[0] == 400
        assert await serve.send("github", b"{}", github(b"{}", "ping")) == (200, "the secret is right\n")
        form = urlencode({"payload": push().decode()}).encode()
        headers = github(form) | {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await serve.send("github", form, headers))[0] == 202
        assert looks == [1]


async def test_a_flood_of_webhooks_makes_one_fetch_at_a_time_and_one_after_it(
    bare: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, fetches = 0, 0, 0
    fetch = Repository.fetch

    def counted(self: Repository, *arguments: Any) -> None:
        nonlocal under_way, most, fetches
        under_way, fetches = under_way + 1, fetches + 1
        most = max(most, under_way)
        fetch(self, *arguments)
        under_way -= 1

    async with answering(bare) as serve:
        await serve.quiet(2)
        monkeypatch.setattr(Repository, "fetch", counted)
        body = push()
        began = bare.clock.seconds()
        for person in ("u-4", "u-5"):
            await pushed(serve, person)
            replies = await asyncio.gather(*(serve.send("github", body, github(body)) for _ in range(300)))
            assert {status for status, _ in replies} == {202}
        await serve.until(has(bare, "u-5"), 5)
        took = bare.clock.seconds() - began
        assert most == 1
        assert 2 <= fetches <= 2 + took


async def test_a_webhook_that_is_sent_again_changes_nothing(bare: World) -> None:
    async with answering(bare) as serve:
        old = push()
        for person in ("u-4", "u-3"):
            await pushed(serve, person)
            await serve.send("github", old, github(old))
            await serve.until(has(bare, person), 4)
        judged = len(serve.of(Judged))
        await serve.send("github", old, github(old))
        await serve.quiet(5)
        assert len(serve.of(Judged)) == judged
        assert has(bare, "u-3")()


async def test_what_is_too_large_or_too_slow_is_refused(bare: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.3)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(2)
        yield b"}"

    async with answering(bare) as serve:
        large = BytesIO(b" " * (server.MOST_BYTES + 1))
        async with serve.session.post(f"{serve.address}/hooks/github", data=large) as reply:
            assert reply.status == 413
        async with serve.session.post(f"{serve.address}/hooks/github", data=slowly()) as reply:
            assert reply.status == 408
        assert (await serve.get("/healthz"))[0] == 200


async def test_only_what_is_meant_is_answered_and_nothing_said_of_what_stands_behind(bare: World) -> None:
    async with answering(bare) as serve:
        for path in ("/", "/hooks", "/hooks/other", "/hooks/../metrics2", "/metrics/"):
            assert (await serve.get(path))[0] == 404
        assert (await serve.get("/hooks/github"))[0] == 405
        async with serve.session.get(f"{serve.address}/healthz") as reply:
            assert reply.headers["Server"] == "hanse"


async def test_a_mistake_of_our_own_is_told_without_its_text_and_ends_nothing(
    bare: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise IndexError(HOOK_SECRET)

    async with answering(bare) as serve:
        monkeypatch.setattr(server, "judge", fail)
        status, text = await serve.send("github", push(), github(push()))
        assert (status, HOOK_SECRET in text) == (500, False)
        assert [failed.message for failed in serve.of(Failed)] == ["IndexError, a mistake of Hanse's own"]
        assert (await serve.get("/healthz"))[0] == 200


async def test_it_is_ready_once_all_is_swept_and_says_what_it_waits_for_before(bare: World) -> None:
    gate = asyncio.Event()
    before = bare.before

    async def slow(platform: str, call: Call) -> None:
        if platform == "south":
            await gate.wait()
        await before(platform, call)

    bare.before = slow  # type: ignore[method-assign]
    async with answering(bare, settled=False) as serve:
        assert await serve.get("/healthz") == (200, "ok\n")
        status, text = await serve.get("/readyz")
        assert (status, json.loads(text)["ready"]) == (503, False)
        await serve.until(lambda: serve.serving.waits_for() == ["the first sweep of south"], 20)
        status, text = await serve.get("/readyz")
        assert (status, json.loads(text)["waitsFor"]) == (503, ["the first sweep of south"])
        assert await serve.metric("hanse_ready") == 0
        gate.set()
        await serve.settled()
        assert await serve.get("/readyz") == (200, '{"ready":true,"waitsFor":[]}')
        assert await serve.metric("hanse_ready") == 1
        bare.faults["north"][:] = [Fault("cut", times=0)]
        bare.clock.advance(seconds=600)
        await serve.quiet(5)
        assert await serve.metric("hanse_platform_away", platform="north") == 1
        assert (await serve.get("/readyz"))[0] == 200, "webhooks must come though a platform is away"


async def test_metrics_tell_what_happened_and_name_nobody(bare: World) -> None:
    async with answering(bare) as serve:
        await pushed(serve)
        await serve.send("github", push(), github(push()))
        await serve.until(has(bare, "u-4"), 5)
        bare.join_by_hand("shop-web-admin", "u-8")
        await serve.until(lambda: bare.members("shop-web-admin") == {"u-1", "u-2"}, 2)
        await serve.quiet(2)
        assert await serve.metric("hanse_commits_total", result="accepted") == 2
        assert await serve.metric("hanse_drift_found_total", platform="north") == 1
        assert await serve.metric("hanse_drift_undone_total", platform="north") == 1
        assert await serve.metric("hanse_steps_total", outcome="done", platform="north") == 3
        assert await serve.metric("hanse_hooks_total", forge="github", result="push") == 1
        assert await serve.metric("hanse_merge_to_first_write_seconds_count") == 1
        assert 0 < await serve.metric("hanse_merge_to_first_write_seconds_sum") < 3
        assert await serve.metric("hanse_converged_seconds_count", platform="north") == 2
        assert await serve.metric("hanse_work_due") == 0
        assert await serve.metric("hanse_budget_limit_calls_per_second", platform="north") == 100_000
        swept = await serve.metric("hanse_last_sweep_timestamp_seconds", platform="south")
        assert 0 <= bare.clock.seconds() - swept < 600
        assert 0 < await serve.metric("hanse_budget_used_calls_per_second", platform="north") < 100
        assert await serve.metric("hanse_owners", platform="north") == 6
        calls = await serve.metric("hanse_calls_total", platform="north")
        assert calls > len([one for one in serve.of(Called) if one.platform == "north"])
        assert await serve.metric("hanse_build_info") == 1
        _, text = await serve.get("/metrics")
    labels = {
        label
        for family in text_string_to_metric_families(text)
        if family.name.startswith("hanse")
        for sample in family.samples
        for label in sample.labels
    }
    assert labels == {
        *("platform", "call", "ended", "kind", "action", "outcome", "le"),
        *("forge", "result", "version", "python"),
    }
    for word in (*manifest.PEOPLE, "shop", "trial", HOOK_SECRET, "example.org"):
        assert word not in text


async def test_what_is_due_and_retried_is_measured_and_a_store_that_fails_hides_nothing_else(
    bare: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(bare) as serve:
        bare.faults["north"][:] = [Fault("cut", times=0)]
        bare.join_by_hand("shop-web-admin", "u-8")
        await serve.quiet(5)
        assert await serve.metric("hanse_work_due", platform="north") == 1
        assert 4 <= await serve.metric("hanse_work_oldest_seconds", platform="north") <= 6

        async def fail(self: SqliteStore, *_: object) -> None:
            raise StoreError("no space is left for the store", "free some space")

        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, "backlog", fail)
            assert await serve.metric("hanse_work_due") == 0
            assert await serve.metric("hanse_owners", platform="north") == 6


async def test_a_platform_with_ever_new_sorts_of_calls_has_a_bounded_number_of_series(
    bare: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanse.api.metrics.MOST_SORTS", 20)
    async with answering(bare) as serve:
        async with bare.open() as _:
            listeners = serve.serving._estate.traffic.listeners
            for number in range(100):
                for listener in listeners:
                    listener(Called("", "north", f"list {number}", False, "200", 0.1))
        assert await serve.metric("hanse_calls_total", call="other") > 60
        _, text = await serve.get("/metrics")
        assert text.count("hanse_calls_total{") <= 50


@pytest.mark.parametrize("where", ["8080", "nowhere", "127.0.0.1:x", "127.0.0.1:99999", ":8080"])
async def test_where_nobody_can_listen_is_told(bare: World, where: str) -> None:
    listen(where, bare)
    with pytest.raises(Trouble, match="no HOST:PORT"):
        async with answering(bare):
            pass


async def test_a_port_that_is_taken_is_told(bare: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen(f"127.0.0.1:{taken.getsockname()[1]}", bare)
        with pytest.raises(Trouble, match="cannot listen on 127"):
            async with answering(bare):
                pass


@pytest.mark.parametrize(("text", "words"), [("short\n", "fewer than 16"), (None, "cannot read the secret")])
async def test_a_secret_that_is_none_is_told(bare: World, text: str | None, words: str) -> None:
    file: Path = bare.folder / "plain"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(Trouble, match=words):
        async with answering(bare):
            pass
