"""What somebody who may only commit cannot do: redirect a credential, read a file of the server, reach a terminal."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hanse import git, main
from hanse.cli import cli
from hanse.main import joined
from hanse.ports.platform import Credential, PlatformUnavailable
from hanse.ports.transport import Transport
from service import manifest
from service.world import World

ANN = git.Author("Ann Example", "ann@example.org")
CANARY = "canary-5e1f0b77"

BASE = """\
{apiVersion: hanse/v1, kind: Organization, name: example}
---
{apiVersion: hanse/v1, kind: Workspace, name: shop}
---
{apiVersion: hanse/v1, kind: User, name: u-1, externalIds: {x: one}}
"""
OPENSTACK = """\
apiVersion: hanse/v1
kind: Platform
name: fra
credential: fra-robot
openstack: {users: {domain: corporate, externalId: x}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: zone, platform: fra}
"""
KUBERNETES = """\
apiVersion: hanse/v1
kind: Platform
name: ber
credential: ber-robot
kubernetes: {subjects: {users: {externalId: x}}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: zone, platform: ber}
"""
PROJECT = """\
apiVersion: hanse/v1
kind: Project
name: web
workspace: shop
access: [{user: u-1, role: admin}]
tenants: [{platform: fra, landingZone: zone}, {platform: ber, landingZone: zone}]
"""
SERVER = """\
repository: {url: org, branch: main}
store: hanse.db
approvers: [ann]
credentials:
  fra-robot: {source: "clouds.yaml#fra", endpoint: "https://fra.example.org:5000", platform: fra}
  ber-robot: {source: "token-file:/run/ber", endpoint: "https://ber.example.org:6443", platform: ber}
"""


@dataclass
class Site:
    """A server with two real vendors whose credentials are bound, and what was asked of them."""

    folder: Path
    connected: list[tuple[str, Credential]]

    def write(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            (self.folder / "org" / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "org" / path).write_text(text)

    def commit(self, files: dict[str, str] | None = None) -> None:
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "A change")

    def git(self, *arguments: str) -> None:
        person = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        subprocess.run(
            ["git", "-C", str(self.folder / "org"), *person, *arguments], check=True, capture_output=True
        )

    def run(self, *arguments: str) -> Result:
        command = ["--config", str(self.folder / "server.yaml"), *arguments]
        result = CliRunner().invoke(cli, command, obj={"joined": joined()})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A sound organisation on both clouds."""
    (tmp_path / "server.yaml").write_text(SERVER)
    files = {"base.yaml": BASE, "fra.yaml": OPENSTACK, "ber.yaml": KUBERNETES, "web.yaml": PROJECT}
    git.init(tmp_path / "org", {path: text.encode() for path, text in files.items()}, "First", ANN)
    made = Site(tmp_path, [])
    real = dict(main.vendors())

    def connect(vendor: str) -> Transport:
        def refuse(credential: Credential) -> Transport:
            made.connected.append((vendor, credential))
            raise PlatformUnavailable("nothing is called in this test")

        return refuse  # type: ignore[return-value]

    vendors = {name: replace(vendor, connect=connect(name)) for name, vendor in real.items()}  # type: ignore[arg-type]
    monkeypatch.setattr(main, "vendors", lambda: vendors)
    return made


# --- credentials ------------------------------------------------------------------------------------


def test_what_server_yaml_binds_is_what_is_used(site: Site) -> None:
    site.run("plan")
    assert [(vendor, c.platform, c.endpoint, c.source) for vendor, c in sorted(site.connected, key=str)] == [
        ("kubernetes", "ber", "https://ber.example.org:6443", "token-file:/run/ber"),
        ("openstack", "fra", "https://fra.example.org:5000", "clouds.yaml#fra"),
    ]


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        (
            "fra.yaml",
            OPENSTACK.replace("name: fra\n", "name: evil\n").replace("platform: fra", "platform: evil"),
            "",
        ),
        (
            "new.yaml",
            OPENSTACK.replace("name: fra\n", "name: evil\n").replace("platform: fra", "platform: evil"),
            "",
        ),
        (
            "new.yaml",
            KUBERNETES.replace("name: ber\n", "name: evil\n").replace("platform: ber", "platform: evil"),
            "",
        ),
        ("fra.yaml", OPENSTACK.replace("fra-robot", "ber-robot"), ""),
        ("ber.yaml", KUBERNETES.replace("ber-robot", "fra-robot"), ""),
        ("fra.yaml", OPENSTACK.replace("fra-robot", "../../etc/passwd"), "is not allowed"),
    ],
    ids=["renamed", "second", "second kubernetes", "other's", "other's kubernetes", "path"],
)
def test_a_credential_goes_to_no_other_platform(site: Site, path: str, text: str, told: str) -> None:
    files = {path: text}
    if path == "new.yaml":
        files["more.yaml"] = PROJECT.replace("name: web", "name: more").replace(
            "platform: fra", "platform: evil"
        )
    if "name: evil" in text and path == "fra.yaml":
        files["web.yaml"] = PROJECT.replace("platform: fra", "platform: evil")
    site.commit(files)
    result = site.run("plan")
    assert result.exit_code == 1
    assert told in result.output
    for _, credential in site.connected:
        bound = {"fra": "https://fra.example.org:5000", "ber": "https://ber.example.org:6443"}
        assert bound[credential.platform] == credential.endpoint
        assert credential.name == f"{credential.platform}-robot"
    used = {credential.platform for _, credential in site.connected}
    assert used <= ({"ber"} if path == "fra.yaml" else {"fra"} if path == "ber.yaml" else {"fra", "ber"})


@pytest.mark.parametrize("vendor", ["openstack", "kubernetes"])
@pytest.mark.parametrize(
    "field",
    [
        "endpoint",
        "authUrl",
        "auth_url",
        "server",
        "source",
        "kubeconfig",
        "cacert",
        "insecure",
        "proxy",
        "exec",
        "options",
    ],
)
def test_no_field_of_a_manifest_says_where_a_credential_goes_or_how(
    site: Site, vendor: str, field: str
) -> None:
    path, text = ("fra.yaml", OPENSTACK) if vendor == "openstack" else ("ber.yaml", KUBERNETES)
    within = text.replace(f"{vendor}: {{", f"{vendor}: {{{field}: 'https://evil.example.org', ")
    beside = text.replace("credential:", f"{field}: 'https://evil.example.org'\ncredential:")
    for changed in (within, beside):
        site.commit({path: changed})
        result = site.run("validate", str(site.folder / "org"))
        assert result.exit_code == 1
        assert f"unknown key '{field}'" in result.output


def test_a_platform_that_becomes_another_vendors_gets_no_secret_out(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same name and credential, and another vendor that reads its source: it does not fit, and nothing is sent."""
    monkeypatch.undo()
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    (tmp_path / "clouds.yaml").write_text(
        f"clouds: {{fra: {{auth: {{auth_url: 'https://fra.example.org:5000/v3', username: a, password: {CANARY}}}}}}}\n"
    )
    swapped = {
        "fra": Credential("fra-robot", "fra", "https://fra.example.org:5000", "clouds.yaml#fra", {}),
        "ber": Credential("ber-robot", "ber", "https://ber.example.org:6443", "token-file:/run/ber", {}),
    }
    for vendor, name in (("kubernetes", "fra"), ("openstack", "ber")):
        with pytest.raises(PlatformUnavailable) as caught:
            main.vendors()[vendor].connect(swapped[name])
        assert CANARY not in f"{caught.value} {caught.value.advice}"


# --- files of the server ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    [
        "../secret",
        "/etc",
        "zones/../../secret",
        "linked",
        "linked/sub",
        "./x",
        "zones/.hidden",
        "module",
        "~",
        "$HOME",
    ],
)
def test_a_landing_zones_folder_leads_nowhere_out_of_the_commit(site: Site, folder: str) -> None:
    secret = site.folder / "secret"
    (secret / "sub").mkdir(parents=True)
    for place in (secret, secret / "sub"):
        (place / "secret.yaml").write_text(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {CANARY}}}\n")
    (site.folder / "org" / "linked").symlink_to(secret)
    (site.folder / "org" / "zones").mkdir()
    (site.folder / "org" / "zones" / "one.yaml").symlink_to(secret / "secret.yaml")
    site.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    (site.folder / "org" / "module").mkdir()
    zone = KUBERNETES.replace("platform: ber}", f"platform: ber, kubernetes: {{manifests: '{folder}'}}}}")
    site.commit({"ber.yaml": zone})
    for options in ((), ("--worktree",)):
        result = site.run("validate", str(site.folder / "org"), *options)
        assert result.exit_code == 1
        assert CANARY not in result.output
        assert "ber.yaml" in result.output
    assert CANARY not in site.run("plan", "--json").output


@pytest.mark.parametrize(
    "text",
    [
        "!include /etc/passwd",
        "!!python/object/apply:os.system ['touch sprung']",
        "!!binary aGFsbG8=",
        "<<: *x",
        "*undefined",
        '{$ref: "file:///etc/passwd"}',
    ],
)
def test_yaml_reaches_nothing_outside_its_document(
    site: Site, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    site.commit(
        {"web.yaml": f"apiVersion: hanse/v1\nkind: Project\nname: web\nworkspace: shop\ntags: {text}\n"}
    )
    result = site.run("validate", str(site.folder / "org"))
    assert "root:" not in result.output
    assert not (tmp_path / "sprung").exists()
    if "$ref" not in text:  # which is a tag as any other
        assert result.exit_code == 1


def test_what_is_a_link_in_a_commit_is_no_document(site: Site) -> None:
    (site.folder / "secret.yaml").write_text(f"apiVersion: hanse/v1\nkind: Workspace\nname: {CANARY}\n")
    for name, target in (
        ("a.yaml", "../secret.yaml"),
        ("b.yaml", str(site.folder / "secret.yaml")),
        ("c.yaml", "base.yaml"),
    ):
        (site.folder / "org" / name).symlink_to(target)
    site.commit()
    for options in ((), ("--worktree",)):
        result = site.run("validate", str(site.folder / "org"), *options)
        assert result.output.count("symbolic link or a submodule") == 3
        assert CANARY not in result.output


# --- terminals ----------------------------------------------------------------------------------------

ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def evil_commit(world: World, files: dict[str, str], message: str) -> None:
    """A commit whose every text steers a terminal."""
    for path, text in files.items():
        file = world.repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    world.git("add", "--all")
    person = {
        f"GIT_{role}_{part}": f"Eve{ESCAPES}"
        for role in ("AUTHOR", "COMMITTER")
        for part in ("NAME", "EMAIL")
    }
    command = ["git", "-C", str(world.repository), "commit", "--quiet", "--cleanup=verbatim", "-m", message]
    subprocess.run(command, check=True, env=os.environ | person, capture_output=True)


def test_no_text_of_a_commit_steers_a_terminal(applied: World) -> None:
    """Neither a file's name, nor an author's, nor a message, nor what documents say, sound or not."""
    escaped = "".join(f"\\u{ord(c):04x}" for c in ESCAPES)
    sound = manifest.TRIAL.replace("workspace: shop", f'workspace: shop\ndisplayName: "x{escaped}"').replace(
        "u-3, role: user", f'u-4, role: user, reason: "y{escaped}"'
    )
    evil_commit(applied, {manifest.TRIAL_FILE: sound}, f"Sound{ESCAPES}\n\n{ESCAPES}")
    outputs = [applied.run("plan"), applied.run("apply", "--yes")]
    evil_commit(
        applied,
        {
            f"x{ESCAPES}\n.yaml": f'kind: "Proj{escaped}"\n',
            "z.yaml": f'"{escaped}": [',
            "y.yaml": f"a: {ESCAPES}\n",
        },
        f"Broken{ESCAPES}",
    )
    (applied.repository / f"l{ESCAPES}.yaml").symlink_to("/etc/passwd")
    evil_commit(applied, {}, "A link")
    for arguments in (
        ("plan",), ("apply", "--yes"), ("status",), ("approve",), ("journal",), ("doctor", f"n{ESCAPES}"),
        ("validate", str(applied.repository)), ("validate", "--worktree", str(applied.repository)),
        ("validate", "--commit", f"x{ESCAPES}", str(applied.repository)), ("plan", "--only", f"x{ESCAPES}"),
        ("plan", "--json"), ("status", "--json"), ("journal", "--json"),
        ("validate", "--json", str(applied.repository)),
    ):  # fmt: skip
        outputs.append(applied.run(*arguments))
    assert any("Eve" in result.output for result in outputs)
    for result in outputs:
        found = STEERING.search(result.output)
        assert found is None, (result.output[max(0, found.start() - 60) : found.end() + 20]).encode()


def test_an_untrusted_commit_is_told_without_steering_a_terminal(applied: World) -> None:
    (applied.folder / "keys").write_text("")
    applied.write_config("keys")
    evil_commit(applied, {f"x{ESCAPES}": "", "y.yaml": "not even a document"}, f"Smuggled{ESCAPES}")
    for arguments in (("plan",), ("apply", "--yes"), ("status",), ("plan", "--json")):
        result = applied.run(*arguments)
        assert result.exit_code == 1
        assert "Smuggled" in result.output
        assert STEERING.search(result.output) is None
        assert "y.yaml" not in result.output  # nothing of it is read


def test_nothing_of_an_untrusted_commit_is_read(applied: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (applied.folder / "keys").write_text("")
    applied.write_config("keys")
    applied.commit({manifest.TRIAL_FILE: "kind: [broken"})
    monkeypatch.setattr("hanse.service.propose.check_commit", None)
    assert asyncio.run(applied.plan()).proposal.checked is None


def test_without_a_binding_nothing_is_called(site: Site) -> None:
    (site.folder / "server.yaml").write_text(SERVER.partition("credentials:")[0])
    site.run("plan")
    assert site.connected == []


def test_no_text_that_a_person_types_steers_who_reads_the_log(applied: World) -> None:
    odd = "on-call\x1b[31mred\x07\u202e\r\nand more"
    typed = ("grant", "shop/trial", "--user", "u-8", "--role", "user", "--reason", odd)
    assert applied.run(*typed).exit_code == 0
    assert applied.git("log", "-1", "--format=%b") == "on-call [31mred   \nand more"


def test_the_words_of_a_repositorys_server_steer_no_terminal(
    applied: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(applied.folder / "data"))
    bare = applied.folder / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", applied.repository, bare], check=True)
    text = applied.config.read_text()
    applied.config.write_text(text.replace(f"url: {applied.repository}", f'url: "file://{bare}"'))
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nprintf 'no \\033[31mred\\007\\342\\200\\256\\n' >&2\nexit 1\n")
    hook.chmod(0o755)
    for command in (
        ("grant", "shop/trial", "--user", "u-8", "--role", "user", "--reason", "x"),
        ("grant", "shop/trial", "--user", "u-8", "--role", "user", "--reason", "x", "--json"),
        ("revoke", "shop/trial", "--user", "u-3", "--reason", "x"),
        ("status",),
    ):
        output = applied.run(*command).output
        assert "red" in output
        assert output.replace("\n", "").isprintable()
