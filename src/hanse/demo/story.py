"""The main job on two clouds, told step by step: every command shown here is really run.

Hanse runs as its own process, just as a person would call it; people and hand-made changes come by the ordinary
OpenStack client library and by the Kubernetes API, which know nothing of Hanse.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from hanse.demo import keystone, processes
from hanse.demo.cluster import Cluster
from hanse.foundation import yaml

CLOUD = "demo"
PEOPLE = "corporate"
"""The Keystone domain in which the example's people are."""
NAMESPACE = "shop-prod"
"""What the project prod of the workspace shop is called in Kubernetes."""
PATIENCE_SECONDS = 30.0
SETTLE_SECONDS = 2.0
"""So that a person can read along."""
LATECOMER = "u-1030"
"""The one of the example's people whom Keystone does not know at first."""


class DemoFailed(Exception):
    """The demo did not go as told: what, and what was printed last is above it."""


@dataclass(frozen=True)
class Stage:
    """One run of the demo: its folder, its two clouds, its terminal."""

    folder: Path
    server: keystone.Keystone
    cluster: Cluster
    console: Console

    @property
    def repository(self) -> Path:
        """The manifest's git repository."""
        return self.folder / "organization"

    @property
    def environment(self) -> dict[str, str]:
        """What the commands need to know, and nothing of the caller's own clouds."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("OS_", "GIT_"))}
        return {
            **ours,
            "OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml"),
            "HANSE_CONFIG": str(self.folder / "server.yaml"),
        }

    def say(self, text: str) -> None:
        """One thought for the reader."""
        self.console.print()
        self.console.print(Rule(style="dim"))
        self.console.print(text)

    def hanse(self, *arguments: str, expect: Sequence[int] = (0,)) -> None:
        """Run a command before the reader's eyes. Raises DemoFailed on another exit code than expected."""
        self.console.print(f"\n[bold green]$[/] [bold]hanse {shlex.join(arguments)}[/]")
        code = subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-m", "hanse", *arguments], env=self.environment, check=False
        ).returncode
        if code not in expect:
            raise DemoFailed(f"`hanse {shlex.join(arguments)}` ended with {code} instead of {expect[0]}")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """`hanse serve` beside what happens meanwhile; ended as Ctrl-C does. Raises DemoFailed if it ends early."""
        self.console.print("\n[bold green]$[/] [bold]hanse serve[/]")
        process = subprocess.Popen(
            [sys.executable, "-m", "hanse", "serve"], env=self.environment, start_new_session=True,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        told: list[str] = []
        reader = threading.Thread(target=self._pass_on, args=(process.stdout, told))
        reader.start()
        try:
            if not processes.wait(lambda: _swept(told) or process.poll() is not None, PATIENCE_SECONDS):
                raise DemoFailed(f"`hanse serve` was not there after {PATIENCE_SECONDS:.0f} s")
            yield
            if process.poll() is not None:
                raise DemoFailed(f"`hanse serve` ended by itself with {process.returncode}")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
            reader.join()

    def _pass_on(self, lines: Iterable[str], told: list[str]) -> None:
        """Show what a command says, and remember it."""
        for line in lines:
            told.append(line)
            self.console.print(Text(line.rstrip()))

    def git(self, *arguments: str) -> str:
        """Run git in the manifest's repository, as the example's platform team."""
        who = ["-c", "user.name=Example Platform Team", "-c", "user.email=platform@example.org"]
        quiet = ["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]
        done = subprocess.run(  # noqa: S603
            ["git", *who, *quiet, "-C", str(self.repository), *arguments],  # noqa: S607 (git is found on PATH)
            check=True, capture_output=True, text=True, env=self.environment,
        )  # fmt: skip
        return done.stdout.strip()

    def client(self) -> Any:
        """The ordinary OpenStack client, as administrator."""
        import openstack  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 (slow, and only here)

        admin = self.server.admin
        return openstack.connect(
            load_yaml_config=False, load_envvars=False, auth_type="password",  # nothing of the caller's own clouds
            auth_url=self.server.url, username=admin.username, password=admin.password, project_name=admin.project,
            user_domain_id=admin.domain, project_domain_id=admin.domain, region_name="RegionOne",
        ).identity  # fmt: skip


def run(folder: Path, console: Console, *, keep: bool) -> None:
    """Play the whole demo in a new folder. Raises DemoFailed and keystone.KeystoneError."""
    began = time.monotonic()
    venv = keystone.install(progress=lambda text: console.print(f"[dim]{text} …[/]"))
    installed = time.monotonic()
    if (folder / "keystone").exists():
        _end_earlier(folder, console)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    console.print("Starting a real Keystone and a Kubernetes, on this machine only …")
    server = keystone.start(folder / "keystone", venv=venv, detached=True)
    stays, cluster = False, Cluster(folder / "kubernetes", "")
    try:
        cluster = Cluster.start(folder / "kubernetes")
        console.print(f"Kubernetes is {cluster.what}.")
        stage = Stage(folder, server, cluster, console)
        _prepare(stage)
        _tell(stage)
        took = f"{time.monotonic() - installed:.0f} s, after {installed - began:.0f} s to install Keystone"
        if keep:
            _say_how_to_go_on(stage, took)
            stays = True
        else:
            console.print(
                f"\n[dim]That took {took}.[/] `hanse demo --keep` leaves it all running to play with."
            )
    finally:
        if not stays:
            server.stop()
            cluster.stop()


def stop(folder: Path) -> bool:
    """End what `run(keep=True)` left running in that folder; whether there was anything."""
    ended = Cluster(folder / "kubernetes", "").stop()
    try:
        keystone.Keystone.attach(folder / "keystone").stop()
    except keystone.KeystoneError:
        return ended
    return True


def _end_earlier(folder: Path, console: Console) -> None:
    if stop(folder):
        console.print("[dim]Ended the clouds of an earlier demo.[/]")
    shutil.rmtree(folder)


def _prepare(stage: Stage) -> None:
    (stage.folder / "clouds.yaml").write_text(stage.server.clouds_yaml(CLOUD))
    (stage.folder / "clouds.yaml").chmod(0o600)
    endpoint = stage.server.url.removesuffix("/v3")
    (stage.folder / "server.yaml").write_text(
        "# What must not lie in git: where the manifest is, what a credential's name means, who may approve.\n"
        f"repository: {{url: {stage.repository}, branch: main}}\n"
        "credentials:\n"
        f"  openstack-demo-replicator: {{source: 'clouds.yaml#{CLOUD}', endpoint: '{endpoint}', "
        "platform: openstack-demo}\n"
        f"  kubernetes-demo-replicator: {{source: '{stage.cluster.kubeconfig}#{stage.cluster.context}', "
        f"endpoint: '{stage.cluster.url}', platform: kubernetes-demo}}\n"
        f"approvers: [{_account()}]\n"
        f"store: {stage.folder / 'hanse.db'}\n"
    )
    with resources.as_file(resources.files("hanse.demo") / "example") as example:
        shutil.copytree(example, stage.repository)
    stage.git("init", "-q")
    stage.git("add", ".")
    stage.git("commit", "-q", "-m", "The example organisation")
    people = _people(stage.repository)
    identity = stage.client()
    domain = identity.create_domain(name=PEOPLE, description="People, as the identity provider knows them")
    for principal, name in people.items():
        if principal != LATECOMER:
            identity.create_user(name=name, domain_id=domain.id)
    stage.console.print(
        f"Keystone knows {len(people) - 1} of the {len(people)} people of an example organisation. "
        f"The organisation itself is a git repository: {stage.repository}"
    )


def _people(repository: Path) -> dict[str, str]:
    """External id of each person in the manifest, by principal."""
    found: dict[str, str] = {}
    for path in sorted(repository.rglob("*.yaml")):
        for document in yaml.parse(path.read_bytes(), str(path)).documents:
            if document.value.get("kind") == "User":
                found[document.value["name"]] = document.value["externalIds"]["corporate"]
    return found


def _tell(stage: Stage) -> None:
    stage.say(
        "[bold]1. What would Hanse do?[/] A plan shows each step and who asked for it. Nothing is changed."
    )
    stage.hanse("plan", expect=(2,))
    commit = stage.git("rev-parse", "HEAD")
    stage.say(
        "[bold]2. Do it.[/] The first acceptance of a repository names its commit, so that nobody can slip another "
        "one in.\nLater ones follow from it."
    )
    stage.hanse("apply", "--yes", "--first", commit)

    stage.say("[bold]3. Somebody changes the cloud by hand[/], with the ordinary OpenStack client:")
    for line in _change_by_hand(stage):
        stage.console.print(f"   · {line}")
    stage.hanse("plan", expect=(2,))

    stage.say("[bold]4. Roll it back.[/]")
    stage.hanse("apply", "--yes")

    late = _people(stage.repository)[LATECOMER]
    stage.say(f"[bold]5. {LATECOMER} appears in Keystone[/], as {late}, and is picked up:")
    identity = stage.client()
    identity.create_user(name=late, domain_id=identity.find_domain(PEOPLE).id)
    stage.hanse("apply", "--yes")

    stage.say("[bold]6. Now everything is as declared[/], on both clouds.")
    stage.hanse("plan")

    stage.say(
        "[bold]7. Leave it to Hanse.[/] `hanse serve` keeps it so, and hears at once what happens in Kubernetes."
    )
    _watch_it_go(stage)
    stage.hanse("journal", "verify")


def _swept(told: Sequence[str]) -> bool:
    """Whether `hanse serve` has looked at both clouds."""
    return all(any(f"{name}: " in line for line in told) for name in ("kubernetes-demo", "openstack-demo"))


def _watch_it_go(stage: Stage) -> None:
    """Somebody takes the freedom to become an administrator of the shop; and is none a moment later."""
    cluster, name = stage.cluster, "just-for-today"
    stranger = _people(stage.repository)[LATECOMER]
    with stage.serving():
        declared = cluster.bindings(NAMESPACE)
        stage.console.print(
            f"\n   [bold]kubectl -n {NAMESPACE} create rolebinding {name} --clusterrole admin "
            f"--user oidc:{stranger}[/]\n"
        )
        cluster.give(NAMESPACE, name, "admin", f"oidc:{stranger}")
        began = time.monotonic()
        gone = processes.wait(lambda: name not in cluster.bindings(NAMESPACE), PATIENCE_SECONDS)
        took = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        if gone:
            stage.console.print(f"\n   It was gone after {took:.2f} s.")
    if not gone or cluster.bindings(NAMESPACE) != declared:
        raise DemoFailed(f"the RoleBinding {name} is still there after {PATIENCE_SECONDS:.0f} s")


def _change_by_hand(stage: Stage) -> list[str]:
    """What a well-meaning administrator does on a bad day, and how it reads."""
    identity = stage.client()
    domain = identity.find_domain(PEOPLE)
    projects = sorted(
        (p for p in identity.projects(domain_id="default") if p.name != "admin"), key=lambda p: p.name
    )
    people = sorted(identity.users(domain_id=domain.id), key=lambda u: u.name)
    groups = {group.name: group for group in identity.groups(domain_id="default")}
    first = next(project for project in projects if project.name.endswith("-prod"))
    second = next(project for project in projects if project.name.endswith("-dev"))
    told = []

    stranger = people[-1]
    role = identity.find_role("admin")
    identity.assign_project_role_to_user(first, stranger, role)
    told.append(f"{stranger.name} gets the role admin on {first.name}, just for today")

    for name, group in sorted(groups.items()):
        members = sorted(identity.group_users(group), key=lambda u: u.name)
        if members:
            identity.remove_user_from_group(members[0], group)
            told.append(f"{members[0].name} is taken out of the group {name}")
            break

    name = second.name
    identity.update_project(second, name=f"{name}-old")
    told.append(f"the project {name} is renamed to {name}-old")
    return told


def _say_how_to_go_on(stage: Stage, took: str) -> None:
    folder = stage.folder
    variables = f"OS_CLIENT_CONFIG_FILE={folder / 'clouds.yaml'} HANSE_CONFIG={folder / 'server.yaml'}"
    stage.say(f"That took {took}. [bold]All of it goes on running.[/] In another terminal:")
    for line in (
        f"export {variables} KUBECONFIG={stage.cluster.kubeconfig}",
        f"cd {stage.repository}",
        "hanse status",
        "hanse journal",
        "hanse serve            # and, in a third terminal, kubectl -n shop-prod delete rolebinding --all",
        "sed -i 's/^displayName: .*/displayName: My first change/' workspaces/*/projects/*.yaml",
        "git commit -am 'My first change' && hanse plan; hanse apply",
        "hanse demo --stop",
    ):
        stage.console.print(f"  [bold]{line}[/]", soft_wrap=True)


def _account() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
