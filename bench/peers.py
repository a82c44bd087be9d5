"""Hanse, Ansible's collection for OpenStack, and a script over openstacksdk: the same projects on real Keystones.

Each has a Keystone of its own, which began with people and nothing else. First all is made, then nothing is to be done.
That all three came to the same is read from the Keystones and compared: names, descriptions, roles and members.

Ansible takes seconds for each item, one after the other, so it makes a part of the projects, and the rest is reckoned.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from bench import bare, sdk
from bench.organisation import Organisation
from bench.report import Row
from bench.stands import Stands
from hanse.demo.keystone import Keystone

PACKAGES = ("ansible==12.3.0", "openstacksdk==4.4.0")
"""The collection comes with the former, and does not work with the newest of the latter."""
ANSIBLE_PROJECTS = 5
PEOPLE = 50
AT_LEAST = 10.0
"""Times as fast as Ansible, the first time and when nothing is to be done."""

Timed = tuple[float, float]
"""Seconds on the clock, and of processors in the client."""


@dataclass
class Small(Organisation):
    """An organisation whose projects have two groups of one person: 7 things and links each."""

    def members(self, project: int, role: int) -> list[int]:
        """Nobody is an administrator."""
        return [(project * 2 + role) % self.people] if role else []


@dataclass(frozen=True)
class Peer:
    """What one took: the first time, and when nothing was to be done; and what it came to."""

    first: Timed
    again: Timed
    state: dict[str, Any]


async def run(stands: Stands, *, quick: bool) -> list[Row]:
    """Compare them on few projects and on more."""
    sizes = (10,) if quick else (50, 200)
    organisations = [_organisation(stands, projects) for projects in sizes]
    wanted = [one.wanted(await one.resources()) for one in organisations]
    some = wanted[-1][: 2 if quick else ANSIBLE_PROJECTS]
    slow = await _peer(
        stands, "ansible", len(some), lambda running: _ansible(stands.cloud.folder, running, some)
    )
    assert len(slow.state) == len(some)
    rows: list[Row] = []
    for organisation, everything in zip(organisations, wanted, strict=True):
        projects = organisation.projects
        hanse = await _peer(stands, "hanse", projects, partial(_hanse, organisation))
        script = await _peer(stands, "sdk", projects, partial(_script, everything))
        assert len(hanse.state) == projects
        assert hanse.state == script.state, "Hanse and the script come to the same"
        if organisation is organisations[-1]:
            part = {name: hanse.state[name] for name in slow.state}
            assert part == slow.state, "Hanse and Ansible come to the same"
        rows += _rows(projects, hanse, script, slow, projects / len(some))
    return rows


def _organisation(stands: Stands, projects: int) -> Small:
    organisation = Small(stands.cloud.folder / f"peers-{projects}", projects, people=PEOPLE)
    organisation.write()
    return organisation


async def _peer(stands: Stands, name: str, projects: int, make: Callable[[Keystone], Timed]) -> Peer:
    people = Organisation(stands.cloud.folder, 1, people=PEOPLE).users()
    with await stands.start(f"{name}{projects}", {"users": people}) as running:
        stands.tell(f"{name} makes {projects} projects, and finds that nothing is to be done")
        return Peer(make(running), make(running), await _state(running))


def _rows(projects: int, hanse: Peer, script: Peer, slow: Peer, reckoned: float) -> Iterator[Row]:
    for what, ours, by_script, by_ansible in (
        ("first run", hanse.first, script.first, slow.first),
        ("nothing to do", hanse.again, script.again, slow.again),
    ):
        name = f"{projects} projects on Keystone, {what}"
        yield Row(
            f"{name}: beside openstacksdk", f"{ours[0]:.1f} s", f"{by_script[0]:.1f} s (a script over openstacksdk)",
            by_script[0] / ours[0],
            note=f"times as fast; processors: {ours[1]:.1f} s, the script {by_script[1]:.1f} s; with starts",
        )  # fmt: skip
        yield Row(
            f"{name}: beside Ansible", f"{ours[0]:.1f} s", f"{by_ansible[0] * reckoned:.0f} s (openstack.cloud)",
            by_ansible[0] * reckoned / ours[0], AT_LEAST, at_least=True,
            note=f"times as fast; Ansible made {projects / reckoned:.0f} in {by_ansible[0]:.1f} s, the rest is "
            f"reckoned; its processors: {by_ansible[1] * reckoned:.0f} s",
        )  # fmt: skip


def _script(wanted: Sequence[dict[str, Any]], running: Keystone) -> Timed:
    return _timed(lambda: sdk.ensure(running, wanted))


def _hanse(organisation: Organisation, running: Keystone) -> Timed:
    """The command, with its start. The first state of all is named, as a person would do."""
    organisation.join(running)
    command = [
        sys.executable,
        "-m",
        "hanse",
        "--config",
        str(organisation.folder / "server.yaml"),
        "apply",
        "--yes",
    ]
    first = [] if (organisation.folder / "hanse.db").exists() else ["--first", organisation.commit]
    return _timed(lambda: _run([*command, *first]))


def _ansible(folder: Path, running: Keystone, wanted: Sequence[dict[str, Any]]) -> Timed:
    """A playbook of four tasks, each in a loop over what there is of its sort."""
    admin = running.admin
    auth = {
        "auth_url": running.url, "username": admin.username, "password": admin.password,
        "project_name": admin.project, "user_domain_id": "default", "project_domain_id": "default",
    }  # fmt: skip
    groups = [(one["project"], row) for one in wanted for row in one["groups"]]
    tasks: dict[str, list[dict[str, Any]]] = {
        "project": [
            {
                "name": one["project"]["name"],
                "description": one["project"]["description"],
                "domain": "default",
            }
            for one in wanted
        ],
        "identity_group": [
            {"name": row["group"]["name"], "description": row["group"]["description"], "domain_id": "default"}
            for _, row in groups
        ],
        "role_assignment": [
            {
                "group": row["group"]["name"],
                "project": project["name"],
                "role": row["role"],
                "domain": "default",
            }
            for project, row in groups
        ],
        "group_assignment": [
            {"group": row["group"]["name"], "user": member} for _, row in groups for member in row["members"]
        ],
    }
    play = {
        "hosts": "localhost", "connection": "local", "gather_facts": False,
        "vars": {"ansible_python_interpreter": str(_python())},
        "module_defaults": {"group/openstack.cloud.openstack": {"auth": auth, "region_name": "RegionOne"}},
        "tasks": [
            {f"openstack.cloud.{module}": {name: f"{{{{ item.{name} }}}}" for name in items[0]}, "loop": items}
            for module, items in tasks.items()
        ],
    }  # fmt: skip
    file = folder / "playbook.json"  # which is YAML, too
    file.write_text(json.dumps([play]))
    environment = os.environ | {"ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_HOME": str(folder / "ansible")}
    environment["LC_ALL"] = "C.UTF-8"
    command = [str(_python()), "-m", "ansible", "playbook", str(file)]
    return _timed(lambda: _run(command, environment))


def _python() -> Path:
    """The Python of an environment with Ansible in it, which is made once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hanse"
    venv = cache / "-".join(package.replace("==", "-") for package in PACKAGES)
    python, whole = venv / "bin" / "python", venv / "complete"
    if not whole.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        whole.touch()
    return python


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def _timed(job: Callable[[], object]) -> Timed:
    def children() -> float:
        times = psutil.Process().cpu_times()
        return float(times.children_user + times.children_system)

    began, spent = time.perf_counter(), children()
    job()
    return time.perf_counter() - began, children() - spent


async def _state(running: Keystone) -> dict[str, Any]:
    """By project: its description, and of each role there the group's name, description and members."""
    async with bare.Bare(running) as session:
        roles = {row["id"]: row["name"] for row in (await session.send("GET", "/v3/roles"))["roles"]}
        groups = {row["id"]: row for row in (await session.send("GET", "/v3/groups"))["groups"]}
        assigned = (await session.send("GET", "/v3/role_assignments"))["role_assignments"]
        members = {
            one: sorted(
                row["name"] for row in (await session.send("GET", f"/v3/groups/{one}/users"))["users"]
            )
            for one in groups
        }
        projects = (await session.send("GET", "/v3/projects?domain_id=default"))["projects"]
    state: dict[str, Any] = {}
    for project in projects:
        if project["name"] == running.admin.project:
            continue
        of_roles = sorted(
            (roles[row["role"]["id"]], groups[row["group"]["id"]]["name"], groups[row["group"]["id"]]["description"],
             members[row["group"]["id"]])
            for row in assigned
            if "group" in row and row["scope"].get("project", {}).get("id") == project["id"]
        )  # fmt: skip
        state[project["name"]] = [project["description"], of_roles]
    return state
