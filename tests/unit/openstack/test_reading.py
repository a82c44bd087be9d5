"""How lists are read: by a stand-in that pages as Keystone does, wrongly included."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from hanse.platforms.openstack.client import Broken, Failed, Keystone
from hanse.platforms.openstack.facts import Facts, Interpretation
from hanse.platforms.openstack.memory import Remembered
from hanse.ports.platform import PlatformIdentity
from hanse.ports.transport import Call, NoReply, Reply

Answer = Callable[[Call], dict[str, object] | int | Exception]


class Server:
    """Answers calls by a function."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Reply:
        self.calls.append(call)
        given = self.answer(call)
        if isinstance(given, Exception):
            raise given
        if isinstance(given, int):
            return Reply(given, {}, b'{"error": {"message": "canary of identity:list_projects"}}')
        return Reply(200, {}, json.dumps(given).encode())

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def close(self) -> None:
        pass


def page(names: str, following: str | None = None, **more: object) -> dict[str, object]:
    return {"projects": [{"id": name} for name in names], "links": {"next": following}, **more}


async def read(answer: Answer, path: str = "/v3/projects") -> tuple[str, str, list[Call]]:
    server = Server(answer)
    listing = await Keystone(server).list(path, "list projects")
    return "".join(row["id"] for row in listing.rows), listing.cut, server.calls


async def test_pages_are_followed_by_their_query_only() -> None:
    def answer(call: Call) -> dict[str, object]:
        if ("marker", "b") in call.query:
            return page("c")
        return page("ab", "https://elsewhere.example.org:1/other/v3/projects?limit=2&marker=b&name=a%20b")

    names, cut, calls = await read(answer)
    assert (names, cut) == ("abc", "")
    assert calls[0].query == (("limit", "1000"),)
    assert calls[1].path == "/v3/projects"
    assert calls[1].query == (("limit", "2"), ("marker", "b"), ("name", "a b"))


async def test_lists_whose_marker_keystone_ignores_are_asked_for_whole() -> None:
    _, _, calls = await read(
        lambda call: {"users": [{"id": "a"}], "links": {"next": None}}, "/v3/groups/g/users"
    )
    assert calls[0].query == ()


@pytest.mark.parametrize(
    "answer",
    [
        lambda call: page("ab", truncated=True),
        lambda call: page("ab", "http://x/v3/projects?limit=1000"),
        lambda call: page("ab", f"http://x/v3/projects?marker={len(call.query)}{call.query[-1][1]}"),
        lambda call: (
            page("ab", "http://x?marker=b") if len(call.query) == 1 and call.query[0][0] == "limit" else 500
        ),
        lambda call: page("ab", "http://x?marker=b") if call.query[0][0] == "limit" else NoReply("lost"),
        lambda call: page("ab", "http://x?marker=b") if call.query[0][0] == "limit" else {"no": "projects"},
    ],
)
async def test_a_list_that_does_not_end_well_is_cut_and_ends(answer: Answer) -> None:
    names, cut, _ = await read(answer)
    assert names == "ab"
    assert cut.startswith("list projects: ")
    assert "canary" not in cut


async def test_a_list_whose_first_page_fails_is_an_error_without_the_servers_words() -> None:
    with pytest.raises(Failed) as caught:
        await read(lambda call: 403)
    assert "canary" not in str(caught.value)
    assert caught.value.rule == "identity:list_projects"
    with pytest.raises(Broken):
        await read(lambda call: {"users": []})


async def test_rows_that_come_twice_count_once() -> None:
    names, cut, _ = await read(lambda call: page("aab"))
    assert (names, cut) == ("ab", "")


def test_memory_fades() -> None:
    now = [0.0]
    remembered: Remembered[str, int] = Remembered(10, lambda: now[0])
    remembered.put("a", 1)
    assert remembered.get("a") == 1
    now[0] = 10.0
    assert remembered.get("a") is None


def test_a_group_that_nobody_could_look_up_leaves_its_assignments_out() -> None:
    key = "ex/shop/prod/project"
    row = {"id": "p", "name": "n", "domain_id": "d", "hanse": key, "tags": []}
    assignment = {"scope": {"project": {"id": "p"}}, "group": {"id": "g"}, "role": {"id": "r"}}
    identity = PlatformIdentity("ex", "os", {})
    facts = Facts(projects={"p": row}, assignments=[assignment], incomplete={"group": "lost"})
    observation = Interpretation(facts, identity).observation(datetime(2026, 1, 1, tzinfo=UTC), None)
    kinds = [r.kind for many in observation.resources.values() for r in many]
    assert kinds == ["project"]
    assert set(observation.incomplete) == {"group", "assignment"}
