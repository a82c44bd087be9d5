"""A person's desk: a manifest in git, server.yaml and clouds.yaml, a corner of a real Keystone, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import openstack  # type: ignore[import-untyped,unused-ignore]
from click.testing import CliRunner

from hanse import main
from hanse.cli import cli
from hanse.demo import keystone as starter

CANARY = "canary-5f0c0a7e9b1d4c2f"
"""A password that must never appear in any output, log or store."""

ORGANIZATION = """\
{{apiVersion: hanse/v1, kind: Organization, name: {organization}}}
---
apiVersion: hanse/v1
kind: Platform
name: one
credential: one-replicator
limits: {{requestsPerSecond: 200, concurrency: 1}}
openstack:
  domains: {{default: {domain}}}
  users: {{domain: {domain}, externalId: one}}
---
{{apiVersion: hanse/v1, kind: LandingZone, name: standard, platform: one, openstack: {{roles: {{admin: admin}}}}}}
---
{{apiVersion: hanse/v1, kind: Workspace, name: shop}}
---
{{apiVersion: hanse/v1, kind: Group, name: team, members: [u-1, u-2]}}
"""
PROJECT = """\
apiVersion: hanse/v1
kind: Project
name: {name}
workspace: shop
access:
  - {{group: team, role: user}}
  - {{user: u-3, role: admin, reason: "on-call"}}
tenants:
  - {{platform: one, landingZone: standard}}
"""


@dataclass
class Site:
    """Everything of one test, away from everything of the others."""

    folder: Path
    server: starter.Keystone

    def __post_init__(self) -> None:
        self.organization = f"org-{uuid4().hex[:8]}"
        self.domain = f"domain-{self.organization}"
        self.repository = self.folder / "organization"
        self.repository.mkdir()
        self.git("init", "-q")
        self.clouds()
        self.server_yaml()
        self.identity = self.client()
        self.domain_id = self.identity.create_domain(name=self.domain).id
        for number in (1, 2, 3):
            self.user(f"person-{number}@example.org")
        self.commit(
            {"organization.yaml": ORGANIZATION.format(organization=self.organization, domain=self.domain)}
        )
        people = [
            f"{{apiVersion: hanse/v1, kind: User, name: u-{n}, externalIds: {{one: person-{n}@example.org}}}}"
            for n in (1, 2, 3)
        ]
        self.commit({"people.yaml": "\n---\n".join(people)})
        self.commit({"prod.yaml": PROJECT.format(name="prod"), "dev.yaml": PROJECT.format(name="dev")})

    # The desk

    def clouds(self, **auth: Any) -> None:
        """Write clouds.yaml, with this changed."""
        content = json.loads(self.server.clouds_yaml("one"))
        content["clouds"]["one"]["auth"] |= auth
        (self.folder / "clouds.yaml").write_text(json.dumps(content))

    def server_yaml(
        self, *, endpoint: str = "", source: str = "clouds.yaml#one", platform: str = "one"
    ) -> None:
        """Write server.yaml."""
        import getpass  # noqa: PLC0415

        endpoint = endpoint or self.server.url.removesuffix("/v3")
        binding = {"source": source, "endpoint": endpoint, "platform": platform}
        content = {
            "repository": {"url": str(self.repository), "branch": "main"},
            "credentials": {"one-replicator": binding},
            "approvers": [getpass.getuser()],
            "store": str(self.folder / "hanse.db"),
        }
        (self.folder / "server.yaml").write_text(json.dumps(content))

    def git(self, *arguments: str) -> str:
        """Run git in the manifest's repository."""
        who = [
            "-c",
            "user.name=Example Author",
            "-c",
            "user.email=author@example.org",
            "-c",
            "init.defaultBranch=main",
        ]
        command = ["git", *who, "-c", "commit.gpgsign=false", "-C", str(self.repository), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: Mapping[str, str | None], message: str = "Change") -> str:
        """Commit these contents; None removes a file."""
        for name, text in files.items():
            if text is None:
                (self.repository / name).unlink()
            else:
                (self.repository / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    # The command

    def command(self, *arguments: str) -> list[str]:
        """What is run for `hanse ...`."""
        return [sys.executable, "-m", "hanse", *arguments]

    @property
    def changes(self) -> dict[str, str | None]:
        """Of the environment: nothing of the caller's own clouds."""
        theirs: dict[str, str | None] = {
            name: None for name in os.environ if name.startswith(("OS_", "HANSE_", "GIT_"))
        }
        return theirs | {
            "OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml"),
            "HANSE_CONFIG": str(self.folder / "server.yaml"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """Of a process."""
        return {name: value for name, value in (os.environ | self.changes).items() if value is not None}

    def hanse(self, *arguments: str, expect: int | None = 0) -> str:
        """Run it, and give all that it printed. The exit code must be as expected (None: any).

        It is the command as main joins it, but in this process, which has imported already what a new one would.
        """
        done = CliRunner(env=self.changes).invoke(cli, [*arguments], obj={"joined": main.joined()})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return self._said(done.output, done.exit_code, expect)

    def process(self, *arguments: str, expect: int | None = 0) -> str:
        """The same in a process of its own, as a person runs it."""
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        return self._said(done.stdout + done.stderr, done.returncode, expect)

    def _said(self, said: str, code: int, expect: int | None) -> str:
        assert "Traceback" not in said, said
        assert CANARY not in said, said
        assert self.server.admin.password not in said, said
        assert expect is None or code == expect, f"exit {code}:\n{said}"
        return said

    def first(self) -> str:
        """Accept the head as the first commit, and converge."""
        return self.hanse("apply", "--yes", "--first", self.git("rev-parse", "HEAD"))

    def kept(self) -> bytes:
        """All bytes of the store."""
        return b"".join(path.read_bytes() for path in self.folder.glob("hanse.db*"))

    # The cloud, by hand

    def client(self, **auth: Any) -> Any:
        """The ordinary OpenStack client's identity proxy."""
        admin = self.server.admin
        given = {
            "username": admin.username, "password": admin.password, "project_name": admin.project,
            "user_domain_id": admin.domain, "project_domain_id": admin.domain,
        } | auth  # fmt: skip
        given = {name: value for name, value in given.items() if value is not None}
        return openstack.connect(auth_url=self.server.url, region_name="RegionOne", **given).identity

    def user(self, name: str, password: str | None = None) -> Any:
        """Make a person known."""
        extra = {"password": password} if password else {}
        return self.identity.create_user(name=name, domain_id=self.domain_id, **extra)

    def find(self, kind: str, name: str) -> Any:
        """A project, group or user of this corner; None if there is none."""
        return getattr(self.identity, f"find_{kind}")(name, domain_id=self.domain_id)

    def members(self, group: str) -> set[str]:
        """Names of a group's members."""
        return {user.name for user in self.identity.group_users(self.find("group", group))}
