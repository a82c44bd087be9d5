"""One writer of commits: what is asked for together stands as single commits, and nothing is lost or made worse."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hanse import git, main
from hanse.ports.writer import Person, Tip
from hanse.service.estate import Trouble
from hanse.service.grant import grant_request
from hanse.service.init import manifest as first_manifest
from hanse.service.new import project_request
from hanse.service.validate import check_commit
from hanse.service.write import TRIES, Committed, Declined, Failed, Present, Request, Result, Writing
from service import manifest
from service.world import AUTHOR, Clock, World

ADA = Person("Ada Lovelace", "ada@example.org")


@pytest.fixture
def bare(world: World) -> Path:
    """The world's manifest as a bare repository."""
    folder = world.folder / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", world.repository, folder], check=True)
    return folder


@pytest.fixture
def writing(bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Writing:
    """Writes to it, at its address."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return opened(f"file://{bare}")


def opened(place: str) -> Writing:
    """Writes on a clock of its own."""
    clock = Clock()
    return replace(main.open_writing(place), branch="main", now=clock, sleep=clock.sleep)


def grant(writing: Writing, user: str = "u-3", scope: str = "shop/trial", role: str = "reader") -> Request:
    return grant_request(writing, scope, "user", user, role, reason="CHG-1042")


def raw(files: Mapping[str, bytes | None], subject: str = "Raw") -> Request:
    return Request(subject, "", ADA, lambda _: files)


def log(folder: Path, form: str = "%s", branch: str = "main") -> list[str]:
    command = ["git", "-C", str(folder), "log", "--reverse", f"--format={form}", branch]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def committed(results: list[Result]) -> list[Committed]:
    assert all(isinstance(result, Committed) for result in results), results
    return [result for result in results if isinstance(result, Committed)]


# --- batches ----------------------------------------------------------------------------------------


async def test_each_request_is_a_commit_of_its_own(writing: Writing, bare: Path) -> None:
    results = committed(await writing.write([grant(writing), grant(writing, "u-8")]))
    first, second = results
    assert log(bare)[1:] == [
        "Grant reader on shop/trial to user u-3",
        "Grant reader on shop/trial to user u-8",
    ]
    assert log(bare, "%H")[1:] == [first.commit, second.commit]
    assert log(bare, "%b")[-1] == "" or "CHG-1042" in log(bare, "%B")
    assert len(first.changes) == 1
    assert (await check_commit(writing.source, writing.language, second.commit, writing.now())).is_sound


async def test_what_comes_while_it_is_busy_is_the_next_batch(
    writing: Writing, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Tip] = []
    real = git.Writer.publish

    def publish(self: git.Writer, commit: str, before: Tip, *rest: object) -> str:
        published.append(before)
        return real(self, commit, before, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(git.Writer, "publish", publish)
    found = await asyncio.gather(*(writing.write([grant(writing, f"u-{n}")]) for n in range(1, 9)))
    assert len({result.commit for results in found for result in committed(results)}) == 8
    assert len(log(bare)) == 9
    assert len(published) == 2, "the first alone, and all others together"


async def test_a_request_that_is_unsound_is_refused_and_hurts_no_other(writing: Writing, bare: Path) -> None:
    asked = [grant(writing, f"u-{n}") for n in range(1, 9)]
    asked[3] = grant(writing, "u-99")
    asked[6] = grant(writing, scope="shop/trail")
    results = await writing.write(asked)
    assert [type(result) for n, result in enumerate(results) if n not in (3, 6)] == [Committed] * 6
    nobody, nowhere = results[3], results[6]
    assert isinstance(nobody, Declined)
    assert isinstance(nowhere, Declined)
    assert [found.message for found in nobody.diagnostics] == ["unknown user 'u-99'"]
    assert [found.advice for found in nowhere.diagnostics] == ["did you mean 'trial'?"]
    assert nowhere.diagnostics[0].place is None, "there is no such file to look at"
    assert len(log(bare)) == 7


async def test_a_manifest_that_had_errors_before_is_told_and_takes_more(world: World, bare: Path) -> None:
    world.commit({"broken.yaml": "kind: Nothing\n"})
    writing = opened(str(world.repository))
    good, bad = await writing.write([grant(writing), grant(writing, "u-99")])
    assert isinstance(good, Committed)
    assert isinstance(bad, Declined)
    assert [found.place.path for found in good.unsound if found.place] == ["broken.yaml"]
    assert [found.message for found in bad.diagnostics] == ["unknown user 'u-99'"]


async def test_warnings_about_what_was_written_are_passed_on(writing: Writing) -> None:
    group = {"g.yaml": b"{apiVersion: hanse/v1, kind: Group, name: none, members: []}\n"}
    await writing.write([raw(group)])
    (result,) = committed(
        await writing.write([grant_request(writing, "shop/web", "group", "none", "user", reason="x")])
    )
    assert [found.code for found in result.warnings] == ["empty-group"]


async def test_one_that_depends_on_another_of_its_batch_stands_with_it(writing: Writing) -> None:
    project = project_request(writing, "shop/new", tags={}, tenants=["north/production"])
    committed(await writing.write([project, grant(writing, scope="shop/new")]))


# --- people's files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [manifest.WEB_FILE, f"{manifest.WEB_FILE}/x.yaml", "shop"],
    ids=["a file", "below a file", "a folder"],
)
async def test_what_is_there_is_never_written_over(path: str, writing: Writing, bare: Path) -> None:
    (result,) = await writing.write([raw({path: b"x: 1\n"})])
    assert isinstance(result, Declined)
    assert "exists already" in result.message
    assert len(log(bare)) == 1


async def test_what_would_not_be_read_is_not_written(world: World) -> None:
    text = manifest.ORGANIZATION + 'ignore: ["grants/**"]\n'
    world.commit({"organization.yaml": text})
    writing = opened(str(world.repository))
    (result,) = await writing.write([grant(writing)])
    assert isinstance(result, Declined)
    assert "would not be read, for Organization.ignore names it" in result.message


async def test_what_is_no_text_is_refused_and_hurts_no_other(writing: Writing, bare: Path) -> None:
    odd = b"caf\xe9".decode(
        errors="surrogateescape"
    )  # as an argument comes from a terminal that is not UTF-8
    wrong = grant_request(writing, "shop/trial", "user", "u-3", "user", reason=odd)
    named = project_request(writing, "shop/x", tags={}, display_name=odd)
    first, second, third = await writing.write([wrong, named, grant(writing)])
    assert isinstance(first, Declined)
    assert isinstance(second, Declined)
    assert "no valid UTF-8" in first.message
    assert isinstance(third, Committed)


async def test_a_link_is_not_followed_and_not_replaced(world: World, tmp_path: Path) -> None:
    (world.repository / "grants").symlink_to(tmp_path)
    world.git("add", "grants")
    world.git("commit", "--quiet", "--message", "A link")
    writing = opened(str(world.repository))
    (result,) = await writing.write([grant(writing)])
    assert isinstance(result, Declined)
    assert "grants exists already" in result.message


async def test_a_project_that_two_make_is_made_once(writing: Writing, bare: Path) -> None:
    one, two = (project_request(writing, "shop/new", tags={}, display_name=name) for name in ("One", "Two"))
    first, second = await writing.write([one, two])
    assert isinstance(first, Committed)
    assert isinstance(second, Declined)
    assert "workspaces/shop/projects/new.yaml exists already" in second.message
    other = opened(f"file://{bare}")
    (third,) = await other.write([two])
    assert isinstance(third, Declined)


async def test_where_the_first_of_two_is_refused_the_second_is_made(writing: Writing) -> None:
    bad = project_request(writing, "shop/new", tags={}, admins=["user:u-99"])
    good = project_request(writing, "shop/new", tags={}, admins=["user:u-1"])
    first, second = await writing.write([bad, good])
    assert isinstance(first, Declined)
    assert isinstance(second, Committed)


async def test_text_in_any_script_comes_out_as_it_went_in(writing: Writing, bare: Path) -> None:
    odd = "Grüße, 你好 🚀 \u2028\x7f\t\"#: {[-'\\ true"
    project = project_request(writing, "shop/new", tags={"stage": "ja: nein", "n": "007"}, display_name=odd)
    who = grant_request(writing, "shop/new", "user", "u-1", "user", reason=odd)
    results = committed(await writing.write([project, who]))
    checked = await check_commit(writing.source, writing.language, results[-1].commit, writing.now())
    made = checked.manifest.projects["shop", "new"]
    assert made.display_name == odd
    assert made.tags == {"stage": "ja: nein", "n": "007"}
    assert [one.reason for one in checked.manifest.grants.values()] == [odd]


# --- a branch for review ----------------------------------------------------------------------------


async def test_a_branch_for_review_begins_at_the_true_one_and_leaves_it_alone(
    writing: Writing, bare: Path
) -> None:
    (result,) = committed(await writing.write([grant(writing)], "review/ada"))
    assert result.branch == "review/ada"
    assert len(log(bare)) == 1
    committed(await writing.write([grant(writing, "u-8")], "review/ada"))
    assert len(log(bare, branch="review/ada")) == 3


async def test_a_true_branch_that_is_not_there_is_told(writing: Writing) -> None:
    gone = replace(writing, branch="trunk")
    (result,) = await gone.write([grant(gone)])
    assert isinstance(result, Failed)
    assert "no branch trunk" in result.message


# --- others write too ---------------------------------------------------------------------------------


async def test_where_the_branch_moved_it_is_made_anew_on_the_new_head(
    writing: Writing, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(bare.parent / "other"))
    other = opened(f"file://{bare}")
    moves = iter(range(3))

    def move() -> None:
        asyncio.run(other.write([grant(other, "u-4")]))

    def make(_: Present) -> Mapping[str, bytes | None]:
        if next(moves, None) is not None:
            with ThreadPoolExecutor(1) as pool:  # somebody else, just after we looked
                pool.submit(move).result()
        return {"roles.yaml": b"{apiVersion: hanse/v1, kind: Role, name: auditor, scope: project}\n"}

    (result,) = committed(await writing.write([Request("A role", "", ADA, make)]))
    assert log(bare)[-1] == "A role"
    assert log(bare, "%H")[-1] == result.commit
    assert len(log(bare)) == 5


async def test_a_branch_that_never_stands_still_ends_the_trying(
    writing: Writing, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def publish(_: git.Writer, commit: str, *rest: object) -> str:
        tried.append(commit)
        return "fetch first"

    monkeypatch.setattr(git.Writer, "publish", publish)
    (result,) = await writing.write([grant(writing)])
    assert isinstance(result, Failed)
    assert "each time just before this could: fetch first" in result.message
    assert len(tried) == TRIES
    assert len(log(bare)) == 1


async def test_a_push_whose_answer_is_lost_is_looked_up(
    writing: Writing, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = git.Writer.publish

    def publish(self: git.Writer, *rest: object) -> str:
        real(self, *rest)  # type: ignore[arg-type]
        raise git.GitError("git did not finish within 1 seconds")

    monkeypatch.setattr(git.Writer, "publish", publish)
    (result,) = committed(await writing.write([grant(writing)]))
    assert log(bare, "%H")[-1] == result.commit


async def test_a_server_that_is_away_fails_the_request_and_says_so(writing: Writing, bare: Path) -> None:
    bare.rename(bare.with_name("away.git"))
    (result,) = await writing.write([grant(writing)])
    assert isinstance(result, Failed)
    assert result.advice


async def test_a_server_that_refuses_fails_the_request_with_its_words(writing: Writing, bare: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    (result,) = await writing.write([grant(writing)])
    assert isinstance(result, Failed)
    assert "main is protected" in result.message
    assert "--branch" in result.advice or "branch for review" in result.advice


async def test_who_gives_up_waiting_loses_nobody_elses_request(
    writing: Writing, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asyncio.ensure_future(writing.write([grant(writing, "u-1")]))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(writing.write([grant(writing, "u-2")]))
    third = asyncio.ensure_future(writing.write([grant(writing, "u-3")]))
    await asyncio.sleep(0.01)
    second.cancel()
    committed(await first)
    committed(await third)
    with pytest.raises(asyncio.CancelledError):
        await second
    assert len(log(bare)) == 3


async def test_a_mistake_in_one_batch_does_not_stay(writing: Writing, bare: Path) -> None:
    def make(_: Present) -> Mapping[str, bytes | None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await writing.write([Request("Wrong", "", ADA, make)])
    committed(await writing.write([grant(writing)]))
    assert len(log(bare)) == 2


async def test_what_a_request_itself_finds_wrong_is_told(writing: Writing) -> None:
    def make(_: Present) -> Mapping[str, bytes | None]:
        raise Trouble("no", "ask")

    (result,) = await writing.write([Request("Wrong", "", ADA, make)])
    assert result == Declined("no", "ask")


RACER = """
import asyncio, json, sys
from hanse import main
from hanse.service.grant import grant_request
from hanse.service.write import Committed

place, rounds, role = sys.argv[1], int(sys.argv[2]), sys.argv[3]

async def race():
    writing = main.open_writing(place)
    made = []
    for _ in range(rounds):
        request = grant_request(writing, "first/trial", "user", "u-1", role, reason="race")
        (result,) = await writing.write([request])
        assert isinstance(result, Committed), result
        made.append(result.commit)
    return made

print(json.dumps(asyncio.run(race())))
"""


@pytest.fixture(params=["tree", "bare", "address"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A repository that several processes write to: what they call it, and its folder."""
    folder = tmp_path / "organisation"
    git.init(folder, first_manifest("example"), "A first manifest", AUTHOR)
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", folder, bare], check=True)
    places: dict[str, tuple[str, Path]] = {
        "tree": (str(folder), folder),
        "bare": (str(bare), bare),
        "address": (f"file://{bare}", bare),
    }
    return places[request.param]


def test_several_processes_write_at_once_and_nothing_is_lost(
    shared: tuple[str, Path], tmp_path: Path
) -> None:
    place, folder = shared
    rounds = 6
    racers = []
    for number, role in enumerate(("admin", "user", "reader")):
        data = tmp_path / f"data{number}"  # a mirror of its own, as on another machine
        racers.append(
            subprocess.Popen(
                [sys.executable, "-c", RACER, place, str(rounds), role],
                env=os.environ | {"XDG_DATA_HOME": str(data)},
                stdout=subprocess.PIPE,
            )
        )
    answers = [racer.communicate(timeout=240)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    made = [commit for answer in answers for commit in json.loads(answer)]
    assert len(set(made)) == 3 * rounds
    assert set(log(folder, "%H")[1:]) == set(made), "each is in the branch, and nothing else"
    run = ["git", "-C", str(folder), "ls-tree", "--name-only", "main:grants"]
    assert len(subprocess.run(run, check=True, capture_output=True).stdout.splitlines()) == 3 * rounds
    if folder.name == "organisation":
        status = ["git", "-C", str(folder), "status", "--short"]
        assert subprocess.run(status, check=True, capture_output=True).stdout == b""
