"""`hanse bootstrap` and `hanse doctor`: what the vendor is asked with, what is printed, exit codes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from hanse import main
from hanse.ports.platform import (
    Bootstrap,
    Check,
    Credential,
    PlatformIdentity,
    PlatformUnavailable,
    Vendor,
    Zone,
)
from service import manifest
from service.world import World


class Asked:
    """A vendor that notes with what it was asked, and answers as it is told to."""

    def __init__(self) -> None:
        self.bootstraps: list[tuple[PlatformIdentity, Sequence[Zone], str]] = []
        self.examinations: list[tuple[Credential, PlatformIdentity, Sequence[Zone]]] = []
        self.checks: list[Check] = []

    def bootstrap(self, identity: PlatformIdentity, zones: Sequence[Zone], sign_in: str) -> Bootstrap:
        self.bootstraps.append((identity, zones, sign_in))
        if sign_in == "flags":
            raise PlatformUnavailable("there is no such thing", "do without")
        return Bootstrap("kind: Account\n", "1. apply it\n")

    async def examine(
        self, credential: Credential, identity: PlatformIdentity, zones: Sequence[Zone]
    ) -> Sequence[Check]:
        self.examinations.append((credential, identity, zones))
        return self.checks


@pytest.fixture
def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    found = Asked()
    joined_vendors = main.vendors()
    vendor: Vendor = replace(joined_vendors["memory"], bootstrap=found.bootstrap, examine=found.examine)
    monkeypatch.setattr(main, "vendors", lambda: {"memory": vendor})
    main.language.cache_clear()
    yield found
    main.language.cache_clear()


def test_what_is_for_the_platforms_tools_is_alone_on_standard_output(world: World, asked: Asked) -> None:
    result = world.run("bootstrap", "memory", "north")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "kind: Account\n", "1. apply it\n")
    (identity, zones, sign_in) = asked.bootstraps[0]
    assert (identity.organization, identity.name, sign_in) == ("example", "north", "")
    assert identity.block["users"] == {"externalId": "memory"}
    assert [zone.name for zone in zones] == ["lenient", "production", "sandbox"]


def test_a_folder_needs_no_server_configuration_and_may_be_uncommitted(world: World, asked: Asked) -> None:
    config = world.config.read_text()
    world.config.write_text("nonsense: [")
    (world.repository / "more.yaml").write_text(
        "{apiVersion: hanse/v1, kind: LandingZone, name: brand-new, platform: south}\n"
    )
    folder = str(world.repository)
    assert world.run("bootstrap", "memory", "south", "--manifest", folder, "--worktree").exit_code == 0
    assert world.run("bootstrap", "memory", "south", "--manifest", folder).exit_code == 0
    names = [[zone.name for zone in zones] for _, zones, _ in asked.bootstraps]
    assert names == [["brand-new", "production"], ["production"]]
    world.config.write_text(config)
    assert world.run("bootstrap", "memory", "south", "--worktree").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cloud", "north"), "the platform north is of memory, not of cloud"),
        (("memory", "west"), "there is no platform west"),
        (("memory", "north", "--oidc", "flags"), "there is no such thing"),
    ],
)
def test_what_cannot_be_printed_is_told(
    world: World, asked: Asked, arguments: tuple[str, ...], told: str
) -> None:
    result = world.run("bootstrap", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert told in result.stderr


def test_a_manifest_with_errors_asks_for_no_rights(world: World, asked: Asked) -> None:
    world.commit({"broken.yaml": "{apiVersion: hanse/v1, kind: LandingZone, name: x, platform: gone}"})
    result = world.run("bootstrap", "memory", "north")
    assert result.exit_code == 1
    assert "the manifest has errors" in result.stderr
    assert asked.bootstraps == []


CHECKS = [
    Check("clock", "ok", "they go alike"),
    Check("right", "warning", "too much", "take it away"),
]


def test_the_credential_is_the_one_that_the_server_binds(world: World, asked: Asked) -> None:
    asked.checks = CHECKS
    result = world.run("doctor", "north")
    assert result.exit_code == 0
    credential, identity, zones = asked.examinations[0]
    assert (credential.name, credential.platform, identity.name) == ("north-robot", "north", "north")
    assert len(zones) == 3
    lines = result.stdout.splitlines()
    assert lines == [
        "✓ clock: they go alike", "! right: too much", "  take it away",
        "! trust: no commit needs a signature, so whoever can push to the repository decides who has access",
        "  docs/trust.md shows how to begin", "It can be used: 0 errors, 2 warnings",
    ]  # fmt: skip


def test_trust_that_is_declared_and_not_accepted_yet_is_told_as_that(world: World, asked: Asked) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOASao0fwh/kqOD8Y+D6j+xTEL1OJ/e07B7B57ZfSAZV"
    trust = f'trust: {{signers: [{{user: u-1, ssh: "{key}"}}]}}\n'
    commit = world.commit({"organization.yaml": manifest.ORGANIZATION + trust})
    told = world.run("doctor", "north").stdout
    assert f"the trust that {commit[:8]} declares counts once accepted" in told
    assert "docs/trust.md shows how to begin" not in told
    asyncio.run(world.apply())
    assert "! trust" not in world.run("doctor", "north").stdout


def test_a_command_that_is_advised_stays_in_one_line(
    world: World, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanse.cli.render.WIDE", 24)
    asked.checks = [Check("right", "warning", "too much", "look at `hanse bootstrap memory north`")]
    lines = world.run("doctor", "north").stdout.splitlines()
    assert lines[1:3] == ["  look at", "  `hanse bootstrap memory north`"]


def test_what_does_not_fit_a_line_goes_on_below_its_beginning(
    world: World, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hanse.cli.render.WIDE", 24)
    asked.checks = [
        Check("right", "error", "it may not list all namespaces", "give it the right to list them")
    ]
    lines = world.run("doctor", "north").stdout.splitlines()
    assert lines[:4] == [
        "✗ right: it may not list",
        "  all namespaces",
        "  give it the right to",
        "  list them",
    ]


def test_an_error_ends_with_1_and_json_says_what_the_text_says(world: World, asked: Asked) -> None:
    asked.checks = [*CHECKS, Check("kind", "error", "unknown\x1b[2J", "install it")]
    result = world.run("doctor", "north")
    assert result.exit_code == 1
    assert "It cannot be used as it is: 1 error, 2 warnings" in result.stdout
    assert "\x1b[2J" not in result.stdout
    result = world.run("doctor", "north", "--json")
    assert result.exit_code == 1
    assert [check["state"] for check in json.loads(result.stdout)] == [
        "ok", "warning", "error", "warning",
    ]  # fmt: skip


def test_a_credential_that_is_not_bound_is_told_and_nobody_asked(world: World, asked: Asked) -> None:
    world.config.write_text(world.config.read_text().replace("north-robot", "other-robot"))
    result = world.run("doctor", "north")
    assert result.exit_code == 1
    assert "the credential north-robot is not bound in server.yaml" in result.stdout
    assert asked.examinations == []


def test_a_broken_manifest_is_told_beside_what_can_still_be_seen(world: World, asked: Asked) -> None:
    world.commit({"broken.yaml": "{apiVersion: hanse/v1, kind: LandingZone, name: x, platform: gone}"})
    asked.checks = CHECKS
    result = world.run("doctor", "north")
    assert result.exit_code == 1
    assert "✗ manifest: commit" in result.stdout
    assert "✓ clock" in result.stdout


def test_rights_are_asked_for_by_no_commit_that_is_not_trusted(world: World, asked: Asked) -> None:
    (world.folder / "signers").write_text("")
    world.write_config("signers")
    asked.checks = CHECKS
    result = world.run("doctor", "north")
    assert result.exit_code == 1
    assert "✗ trust: commit" in result.stdout
    result = world.run("bootstrap", "memory", "north")
    assert result.exit_code == 1
    assert "is not signed" in result.stderr
    assert asked.bootstraps == []


def test_doctor_writes_nothing(applied: World, asked: Asked) -> None:
    before = asyncio.run(applied.events())
    applied.run("doctor", "north")
    assert asyncio.run(applied.events()) == before
    assert applied.writes == []


def test_a_vendor_without_accounts_has_nothing_to_prepare(world: World) -> None:
    for arguments, told in (
        (("bootstrap", "memory", "north"), "need nothing to be prepared"),
        (("doctor", "north"), "cannot be examined"),
    ):
        result = world.run(*arguments)
        assert result.exit_code == 1
        assert told in result.stderr
