"""`hanse validate` as people and forges use it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hanse.ports.store import Remembered
from hanse.store.cache import Cache
from service import manifest
from service.world import World

BROKEN = {manifest.WEB_FILE: manifest.WEB.replace("kind: Project", "kind: Porject")}


@pytest.mark.parametrize("form", ["json", "sarif", "gitlab", "github"])
def test_each_form_tells_the_error_and_the_exit_code_is_1(world: World, form: str) -> None:
    world.commit(BROKEN)
    result = world.run("validate", str(world.repository), "--format", form)
    assert result.exit_code == 1
    assert "unknown kind 'Porject'" in result.output
    assert manifest.WEB_FILE in result.output
    if form != "github":
        assert json.loads(result.stdout)


def test_json_is_the_form_json(world: World) -> None:
    world.commit(BROKEN)
    short = world.run("validate", str(world.repository), "--json").stdout
    assert short == world.run("validate", str(world.repository), "--format", "json").stdout


def test_a_commit_and_the_working_tree_are_not_asked_for_together(world: World) -> None:
    result = world.run("validate", str(world.repository), "--commit", "HEAD", "--watch")
    assert result.exit_code == 1
    assert "leave out --worktree and --watch" in result.output


def test_what_did_not_change_is_not_looked_at_again_and_the_last_line_says_so(world: World) -> None:
    first = world.run("validate", str(world.repository)).stdout
    base = world.git("rev-parse", "--short=8", "HEAD").strip()
    assert "nothing changed since it was checked" in world.run("validate", str(world.repository)).stdout
    world.commit({manifest.WEB_FILE: manifest.WEB + "description: Another one\n"})
    second = world.run("validate", str(world.repository)).stdout
    assert f"all else is as in commit {base}" in second
    assert "all else" not in first
    whole = world.run("validate", str(world.repository), "--no-cache").stdout
    assert "all else" not in whole
    world.commit(BROKEN)
    broken = world.run("validate", str(world.repository))
    assert broken.exit_code == 1
    assert broken.output == world.run("validate", str(world.repository), "--no-cache").output


def test_another_program_remembers_nothing_of_what_this_one_found(tmp_path: Path) -> None:
    found = Remembered("c1", datetime(2026, 6, 1, tzinfo=UTC))
    for program, remembered in (("one", found), ("other", None)):
        cache = Cache.open(tmp_path, "/a", program)
        with cache.transaction():
            if program == "one":
                cache.remember("mark", found)
            assert cache.remembered("mark") == remembered
            assert cache.remembered("another language") is None
        cache.close()


def test_what_is_remembered_and_what_changed_are_not_asked_for_together(world: World) -> None:
    result = world.run("validate", str(world.repository), "--changed-since", "HEAD", "--no-cache")
    assert result.exit_code == 1
    assert "leave out --no-cache" in result.output


def test_a_repository_without_files_cannot_be_watched_and_says_so(world: World, tmp_path: Path) -> None:
    world.git("clone", "--quiet", "--bare", str(world.repository), str(tmp_path / "bare.git"))
    result = world.run("validate", str(tmp_path / "bare.git"), "--watch")
    assert result.exit_code == 1
    assert "has no working tree" in result.output


class Watching:
    """A `hanse validate --watch` in a process of its own, and the summaries that it writes."""

    def __init__(self, folder: Path) -> None:
        arguments = [sys.executable, "-m", "hanse", "validate", str(folder), "--watch"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())

    def summary(self) -> str:
        """The next line that sums up a look."""
        while not (line := self._lines.get(timeout=60)).startswith("the working tree"):
            pass
        return line

    def tells(self, wanted: str) -> bool:
        """Whether a look is summed up so, sooner or later: a file that is being written may be looked at half done."""
        while wanted not in self.summary():
            pass
        return True

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing is looked at for so long."""
        end = time.monotonic() + seconds
        try:
            while not self._lines.get(timeout=max(0.0, end - time.monotonic())).startswith(
                "the working tree"
            ):
                pass
        except queue.Empty:
            return True
        return False


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[tuple[Watching, Path]]:
    folder = tmp_path / "org"
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    made = [sys.executable, "-m", "hanse", "init", str(folder)]
    subprocess.run(made, check=True, env=environment, capture_output=True)
    watching = Watching(folder)
    yield watching, folder
    watching.process.kill()
    watching.process.communicate()


def test_watching_tells_each_saved_mistake_and_its_end(watching: tuple[Watching, Path]) -> None:
    process, folder = watching
    assert process.tells("is sound")
    people = folder / "people.yaml"
    sound = people.read_text()
    people.write_text(sound.replace("members: [u-1]", "members: [u-2]"))
    assert process.tells("the working tree: 1 error, 0 warnings")
    people.write_text(sound)
    assert process.tells("is sound")
    (folder / "workspaces/second").mkdir()
    (folder / "workspaces/second/workspace.yaml").write_text("kind: Workspace")
    assert process.tells("the working tree: 2 errors, 0 warnings")


def test_watching_does_not_look_again_for_files_that_are_no_manifest(
    watching: tuple[Watching, Path],
) -> None:
    process, folder = watching
    process.summary()
    (folder / "README.md").write_text("no manifest")
    subprocess.run(["git", "-C", str(folder), "status"], check=True, capture_output=True)
    (folder / ".github").mkdir()
    (folder / ".github/x.yaml").write_text("on: push")
    assert process.is_quiet(1.5)


@pytest.mark.parametrize(
    ("name", "summary", "code"), [("u-1", "is sound: 0 owners", 0), ("u-2", "1 error, 0 warnings", 1)]
)
def test_ctrl_c_ends_watching_with_what_the_last_look_found(
    watching: tuple[Watching, Path], name: str, summary: str, code: int
) -> None:
    process, folder = watching
    process.summary()
    people = folder / "people.yaml"
    people.write_text(people.read_text().replace("members: [u-1]", f"members: [{name}]") + "\n")
    assert process.tells(summary)
    process.process.send_signal(signal.SIGINT)
    assert process.process.wait(timeout=20) == code
