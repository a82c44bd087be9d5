"""An organisation of any size: per project 3 groups and 9 memberships, one user for two projects.

Its manifest is a git repository with a file for each project, as people keep it. What a Keystone holds that was
converged to it is made of the very resources that the platform compiles, so that the first plan must be empty.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.joined import Around, compiled, opened
from hanse import git
from hanse.demo.keystone import Keystone
from hanse.model import Find, Ref, Resource
from hanse.ports.transport import Transport
from hanse.service.estate import Estate
from hanse.transport import Counters, Recorded

PLATFORM = "openstack"
CONCURRENCY = 4
"""What a platform has when its manifest says nothing; the yardsticks have the same."""
PER_SECOND = 10_000
"""More than any Keystone answers, so that the budget holds nothing back."""
ROLES = ("admin", "reader", "user")
MEMBERS = 3
PER_WORKSPACE = 20
AUTHOR = git.Author("Bench", "bench@example.org")


def user_name(number: int) -> str:
    """What a person is called in Keystone."""
    return f"person{number}@example.org"


@dataclass
class Organisation:
    """A manifest of so many projects, in a folder with all that Hanse needs."""

    folder: Path
    projects: int
    people: int = 0
    """0: one user for two projects, and as many as one project needs at least."""
    commit: str = ""
    recorded: Recorded | None = None
    """The calls of the last estate that was opened with `recording`."""
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        """Count the people."""
        self.people = self.people or max(self.projects // 2, len(ROLES) * MEMBERS)

    def members(self, project: int, role: int) -> list[int]:
        """Who has that role in that project."""
        first = (project * len(ROLES) + role) * MEMBERS
        return [(first + member) % self.people for member in range(MEMBERS)]

    def project(self, number: int, extra: str = "") -> tuple[str, bytes]:
        """Path and content of one project's file; `extra` are more lines of `access`."""
        access = "".join(
            f"  - {{user: u-{member}, role: {role}}}\n"
            for index, role in enumerate(ROLES)
            for member in self.members(number, index)
        )
        workspace = f"w{number // PER_WORKSPACE}"
        return f"workspaces/{workspace}/p{number}.yaml", (
            f"apiVersion: hanse/v1\nkind: Project\nname: p{number}\nworkspace: {workspace}\n"
            f"displayName: Project {number}\ntags: {{environment: prod}}\naccess:\n{access}{extra}"
            f"tenants:\n  - {{platform: {PLATFORM}, landingZone: standard}}\n"
        ).encode()

    def files(self) -> dict[str, bytes]:
        """The whole manifest."""
        files = dict(self.project(number) for number in range(self.projects))
        files["organization.yaml"] = b"apiVersion: hanse/v1\nkind: Organization\nname: bench\ntimezone: UTC\n"
        files["platform.yaml"] = (
            f"apiVersion: hanse/v1\nkind: Platform\nname: {PLATFORM}\ncredential: bench\n"
            f"limits: {{concurrency: {CONCURRENCY}, requestsPerSecond: {PER_SECOND}}}\n"
            "openstack:\n  users: {domain: Default, externalId: keystone}\n"
            f"---\napiVersion: hanse/v1\nkind: LandingZone\nname: standard\nplatform: {PLATFORM}\n"
            "openstack:\n  roles: {admin: member, user: member, reader: reader}\n"
        ).encode()
        for workspace in range((self.projects - 1) // PER_WORKSPACE + 1):
            files[f"workspaces/w{workspace}/workspace.yaml"] = (
                f"apiVersion: hanse/v1\nkind: Workspace\nname: w{workspace}\n"
            ).encode()
        for start in range(0, self.people, 100):
            files[f"people/{start}.yaml"] = "---\n".join(
                f"apiVersion: hanse/v1\nkind: User\nname: u-{number}\ndisplayName: Person {number}\n"
                f"externalIds: {{keystone: {user_name(number)}}}\n"
                for number in range(start, min(start + 100, self.people))
            ).encode()
        return files

    def write(self) -> None:
        """Make the repository."""
        self.commit = git.init(self.folder / "repository", self.files(), "the whole organisation", AUTHOR)

    def change(self, files: Mapping[str, bytes]) -> None:
        """Commit other contents of some files."""
        self.commit = git.commit(self.folder / "repository", files, "a change", AUTHOR)

    def join(self, running: Keystone) -> None:
        """Write what Hanse has to know of a Keystone: server.yaml and clouds.yaml."""
        (self.folder / "clouds.yaml").write_text(running.clouds_yaml("bench"))
        (self.folder / "server.yaml").write_text(
            f"repository: {{url: '{self.folder / 'repository'}', branch: main}}\n"
            f"store: '{self.folder / 'hanse.db'}'\n"
            f"credentials:\n  bench: {{source: '{self.folder / 'clouds.yaml'}#bench', endpoint: '{running.url}', "
            f"platform: {PLATFORM}}}\n"
        )

    @asynccontextmanager
    async def open(
        self, *, recording: bool = False, around: Around = lambda inner: inner
    ) -> AsyncIterator[Estate]:
        """What `hanse` itself would work on, with every call counted, and on demand kept or watched."""

        def all_around(inner: Transport) -> Transport:
            if not recording:
                return around(inner)
            self.recorded = Recorded(around(inner))
            return self.recorded

        async with opened(self.folder, self.counters, all_around) as estate:
            yield estate

    async def resources(self) -> list[Resource]:
        """Everything that the platform compiles of it."""
        return await compiled(self.folder, self.commit)

    def users(self) -> list[dict[str, Any]]:
        """The people, as rows of a Keystone."""
        return [{"id": f"a{number:031x}", "name": user_name(number)} for number in range(self.people)]

    def seed(self, resources: list[Resource]) -> dict[str, list[Any]]:
        """Rows of a Keystone that holds exactly this, with the marks that Hanse leaves."""
        users = self.users()
        by_name = {row["name"]: row["id"] for row in users}
        ids = {
            resource.key: f"{'bc'[resource.kind == 'group']}{number:031x}"
            for number, resource in enumerate(resources)
        }
        rows: dict[str, list[Any]] = {
            "users": users, "projects": [], "groups": [], "memberships": [], "assignments": []
        }  # fmt: skip
        for resource in resources:
            ours = {
                name: ids[value.key] for name, value in resource.attributes.items() if isinstance(value, Ref)
            }
            found = {
                name: str(dict(value.by)["name"])
                for name, value in resource.attributes.items()
                if isinstance(value, Find)
            }
            thing = {
                "id": ids[resource.key],
                "name": resource.attributes.get("name"),
                "description": resource.attributes.get("description"),
                "extra": {"hanse": str(resource.key)},
            }
            match resource.kind:
                case "project":
                    tags = resource.attributes["tags"]
                    assert isinstance(tags, tuple)
                    rows["projects"].append({**thing, "tags": [*tags, f"hanse={resource.key.stamp}"]})
                case "group":
                    rows["groups"].append(thing)
                case "membership":
                    rows["memberships"].append([by_name[found["user"]], ours["group"]])
                case "assignment":
                    rows["assignments"].append(
                        {
                            "type": "GroupProject",
                            "actor": ours["group"],
                            "target": ours["project"],
                            "role": found["role"],
                        }
                    )
                case kind:
                    raise AssertionError(f"nobody knows how Keystone keeps a {kind}")
        return rows

    def wanted(self, resources: list[Resource]) -> list[dict[str, Any]]:
        """The same as a script would have it: per project what to make, in the words of the Identity API."""
        projects: dict[str, dict[str, Any]] = {}
        groups: dict[str, dict[str, Any]] = {}
        for resource in resources:
            values = resource.attributes
            thing: dict[str, Any] = {
                "name": values.get("name"), "description": values.get("description"), "domain_id": "default",
                "hanse": str(resource.key),
            }  # fmt: skip
            match resource.kind:
                case "project":
                    tags = values["tags"]
                    assert isinstance(tags, tuple)
                    thing["tags"] = [*tags, f"hanse={resource.key.stamp}"]
                    projects[str(resource.owner)] = {"project": thing, "groups": []}
                case "group":
                    row: dict[str, Any] = {"group": thing, "role": "", "members": []}
                    groups[str(resource.key)] = row
                    projects[str(resource.owner)]["groups"].append(row)
                case _:
                    group, found = values["group"], values.get("user") or values.get("role")
                    assert isinstance(group, Ref)
                    assert isinstance(found, Find)
                    name = str(dict(found.by)["name"])
                    row = groups[str(group.key)]
                    if resource.kind == "membership":
                        row["members"].append(name)
                    else:
                        row["role"] = name
        return list(projects.values())
