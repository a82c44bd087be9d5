"""What a server accepts by what a commit changes: just what it would accept by looking at everything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from hanse import git, main
from hanse.desired.intent import Intent
from hanse.foundation.diagnostics import Diagnostic
from hanse.model import Owner, Tenant
from hanse.service.approve import Waiting
from hanse.service.ground import Ground
from hanse.service.propose import Proposal, accept, propose
from hanse.service.since import changed_projects, check_again, check_all
from hanse.service.validate import check_commit
from hanse.store.cache import Cache
from service import manifest
from service.test_changed_since import AUTHOR, FIXED, NOW, document
from service.world import World

STRICT = "guards: {removalPercent: 25, removalAtLeast: 2, minimumAdmins: 1}"
BROKEN = "kind: [\n"
PROJECTS = [(w, p) for w in ("shop", "lab") for p in ("one", "two", "three", "four")]


def access(chance: random.Random) -> str:
    """Who, in which role, until when."""
    who = chance.choice(["user: u-1", "user: u-3", "user: u-8", "group: shop-admins", "group: lab-team"])
    role = chance.choice(["admin", *["user", "reader"] * 4])
    until = chance.choice(["", "", f", until: 2026-06-{chance.randrange(1, 5):02}"])
    return f"{who}, role: {role}{until}"


def project(chance: random.Random, workspace: str, name: str) -> str:
    """A project, mostly with a tenant on both clouds."""
    rows = "".join(f"  - {{{access(chance)}}}\n" for _ in range(chance.randrange(1, 3)))
    if chance.random() < 0.9:  # else every other change takes an admin
        rows += f"  - {{group: {'shop-admins' if workspace == 'shop' else 'lab-team'}, role: admin}}\n"
    former = "formerly: [old]\n" if chance.random() < 0.03 else ""
    platforms = ["north", "south"] if chance.random() < 0.97 else [chance.choice(["north", "south"])]
    tenants = "".join(f"  - {{platform: {one}, landingZone: production}}\n" for one in platforms)
    return (
        f"apiVersion: hanse/v1\nkind: Project\nname: {name}\nworkspace: {workspace}\n{former}"
        f"tags: {{environment: {chance.choice(['prod', 'test'])}}}\naccess:\n{rows}tenants:\n{tenants}"
    )


def grant(chance: random.Random, number: int) -> str:
    """A grant in a file of its own, mostly on a project."""
    workspace, name = chance.choice(PROJECTS)
    on = f"workspace: {workspace}, project: {name}"
    return f"{{apiVersion: hanse/v1, kind: Grant, name: g{number}, {on}, {access(chance)}}}\n"


def edit(chance: random.Random) -> dict[str, str | None]:
    """One edit, most often of a project or of a grant."""
    number = chance.randrange(5)
    workspace, name = chance.choice(PROJECTS)
    path = f"projects/{workspace}-{name}.yaml"
    match chance.randrange(20):
        case 0:
            return {path: None}
        case 1:
            members = ", ".join(chance.sample(sorted(manifest.PEOPLE), 2))
            text = f"{{apiVersion: hanse/v1, kind: Group, name: lab-team, members: [{members}]}}\n"
            return {"groups.yaml": manifest.GROUPS.rpartition("---\n")[0] + "---\n" + text}
        case 2:
            return {"organization.yaml": manifest.ORGANIZATION + chance.choice(["", "# again\n"])}
        case 3:
            return {"organization.yaml": f"{manifest.ORGANIZATION.rpartition('guards')[0]}{STRICT}\n"}
        case 4 | 5 | 6 | 7:
            return {f"grants/{number}.yaml": grant(chance, number)}
        case 8 | 9:
            return {f"grants/{number}.yaml": None}
        case 10:
            return {"projects/shop-one.yaml": BROKEN}
        case _:
            return {path: project(chance, workspace, name)}


def told(diagnostics: list[Diagnostic]) -> list[tuple[str, ...]]:
    """Findings as they are read."""
    return sorted((d.severity, d.code, d.message, str(d.place)) for d in diagnostics)


def assert_same(quick: Proposal, whole: Proposal) -> None:
    """Nothing that is accepted or told is another."""
    assert quick.acceptance == whole.acceptance
    assert (quick.stands, quick.is_new, quick.trips) == (whole.stands, whole.is_new, whole.trips)
    assert (quick.directory, quick.settings) == (whole.directory, whole.settings)
    assert (quick.revoked, dict(quick.approvals)) == (whole.revoked, dict(whole.approvals))
    assert told(quick.diagnostics) == told(whole.diagnostics)
    assert {owner: whole.rows.get(owner) for owner in quick.rows} == quick.rows


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_a_commit_changes_it_is_accepted_as_by_a_look_at_everything(
    world: World, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    path = next(path for path, text in manifest.FILES.items() if "kind: Group," in text)
    files: dict[str, str | None] = {f"projects/{w}-{p}.yaml": project(chance, w, p) for w, p in PROJECTS}
    present: dict[str, str | None] = {**manifest.FILES, **files}
    world.commit(files)
    ground, partly = Ground(), 0
    for _ in range(30):
        async with world.open() as estate:
            quick = await propose(estate, ground=ground)
            whole = await propose(estate)
            assert_same(quick, whole)
            partly += len(quick.rows) < len(whole.rows)
            await accept(estate, quick)
            head = await estate.store.head()
            if head is not None and head.commit == quick.commit:
                ground.accepted()
        waiting: list[Waiting] = await world.waiting()
        if waiting and chance.random() < 0.9:
            await world.approve(waiting[0].subject)
        change: dict[str, str | None] = {}
        for _ in range(chance.choice([1, 1, 1, 2])):
            change |= edit(chance)
        change |= {p: project(chance, *PROJECTS[0]) for p, t in present.items() if t == BROKEN}
        if "groups.yaml" in change:
            change[path] = change.pop("groups.yaml")
        change = {p: t for p, t in change.items() if present.get(p) != t}
        present |= change
        if change:
            world.commit(change)
        world.clock.advance(hours=chance.randrange(6))
    assert partly > 2, partly


async def test_a_name_of_one_that_leaves_is_not_given_to_another_that_stands(world: World) -> None:
    ground = Ground()
    sea = manifest.SEA.replace("access:", "formerly: [gone]\naccess:")
    grants = "group: lab-team, role: admin"
    for change in (
        {"lab/gone.yaml": manifest.project("gone", "lab", grants)},
        {"lab/gone.yaml": None},
        {manifest.SEA_FILE: sea},
    ):
        world.commit(change)
        async with world.open() as estate:
            quick = await propose(estate, ground=ground)
            assert_same(quick, await propose(estate))
            await accept(estate, quick)
            ground.accepted()
    assert [d.code for d in quick.diagnostics] == ["formerly-dropped"]


class Rich:
    """An organisation in which a tenant gets something from everywhere: tags, folders of objects, earlier names."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.files = {
            **FIXED,
            **{
                f"people/{n}.yaml": document(
                    "User", f"u-{n}", f"externalIds: {{cluster: p{n}, corporate: p{n}}}\n"
                )
                for n in range(5)
            },
            **{f"groups/{n}.yaml": document("Group", f"g{n}", f"members: [u-{n}]\n") for n in range(2)},
            **{f"workspaces/{w}.yaml": self.workspace(w) for w in ("w", "v")},
            **{f"methods/{m}.yaml": document("PaymentMethod", m, self.tags()) for m in ("m", "n")},
            **{f"projects/{w}-{p}.yaml": self.project(w, p) for w in ("w", "v") for p in ("a", "b")},
        }
        self.folder = folder
        self.commit = git.init(
            folder, {path: text.encode() for path, text in self.files.items()}, "all", AUTHOR
        )

    def tags(self) -> str:
        return self.chance.choice(["", "tags: {stage: prod}\n", "tags: {stage: test}\n"])

    def row(self) -> str:
        who = self.chance.choice(["user: u-1", "user: u-2", "group: g0", "group: g1"])
        until = self.chance.choice(["", "", f", until: 2026-06-{self.chance.randrange(2, 9):02}"])
        return f"{who}, role: {self.chance.choice(['admin', 'user', 'reader'])}{until}"

    def workspace(self, name: str) -> str:
        former = "formerly: [before]\n" if name == "v" else ""
        return document("Workspace", name, f"{former}{self.tags()}access:\n  - {{user: u-3, role: lead}}\n")

    def project(self, workspace: str, name: str) -> str:
        former = "formerly: [w/moved]\n" if (workspace, name) == ("v", "b") else ""
        method = self.chance.choice(["", "paymentMethod: m\n", "paymentMethod: n\n"])
        zone = self.chance.choice(["standard", "strict"])
        return document(
            "Project",
            name,
            f"workspace: {workspace}\n{former}{method}tags: {{stage: {self.chance.choice(['prod', 'test'])}}}\n"
            f"access:\n  - {{{self.row()}}}\n  - {{{self.row()}}}\ntenants:\n"
            f"  - {{platform: kubernetes, landingZone: {zone}}}\n"
            + self.chance.choice(["", "  - {platform: openstack, landingZone: standard}\n"]),
        )

    def edit(self) -> tuple[str, str]:
        """A file as it is from now on; empty, if it goes."""
        workspace, name = self.chance.choice(["w", "v"]), self.chance.choice(["a", "b"])
        row = self.row().replace(", ", "\n")
        on = f"workspace: {workspace}\nproject: {name}\n"
        path = f"grants/{self.chance.randrange(4)}.yaml"
        match self.chance.randrange(14):
            case 0:
                return f"workspaces/{workspace}.yaml", self.workspace(workspace)
            case 1:
                return "methods/m.yaml", document("PaymentMethod", "m", self.tags())
            case 2:
                return "objects/two.yaml", self.chance.choice(
                    ["", FIXED["objects/one.yaml"].replace("one", "two")]
                )
            case 3:
                return "groups/0.yaml", document("Group", "g0", f"members: [u-{self.chance.randrange(5)}]\n")
            case 4:
                return path, ""
            case 5 | 6 | 7:
                return path, document("Grant", f"n{path[7]}", f"{on}{row}\n")
            case _:
                return f"projects/{workspace}-{name}.yaml", self.project(workspace, name)

    def change(self) -> None:
        """One commit of one or two edits."""
        edits = dict(self.edit() for _ in range(self.chance.choice([1, 1, 2])))
        written = {path: text for path, text in edits.items() if text and self.files.get(path) != text}
        removed = [path for path, text in edits.items() if not text and path in self.files]
        if written or removed:
            self.files = {p: t for p, t in {**self.files, **written}.items() if p not in removed}
            content = {path: text.encode() for path, text in written.items()}
            self.commit = git.commit(self.folder, content, "a change", AUTHOR, removed=removed)


@pytest.mark.parametrize("seed", range(3))
def test_a_commit_that_changes_projects_alone_wants_nothing_else_of_anybody_else(
    seed: int, tmp_path: Path
) -> None:
    rich = Rich(tmp_path / "repository", seed)
    source, language = main.open_source(str(rich.folder)), main.language()
    cache, now, partly = Cache.open(tmp_path / "cache", "it"), NOW, 0
    before = asyncio.run(check_all(source, language, rich.commit, now, cache))
    for _ in range(40):
        since = rich.commit
        rich.change()
        names = asyncio.run(changed_projects(source, language, since, rich.commit, now, cache))
        part = asyncio.run(check_again(source, language, rich.commit, now, cache))
        whole = asyncio.run(check_commit(source, language, rich.commit, now))
        assert whole.is_sound, whole.diagnostics
        present = {(project.workspace, project.name) for project in part.manifest.projects.values()}
        if names is not None and names <= present:
            partly += len(part.intents) < len(whole.intents)
            mine = {part.manifest.names.project(*name) for name in names}
            assert (whole.directory, whole.settings) == (before.directory, before.settings)
            assert of(part.intents, mine) == of(whole.intents, mine)
            if before.intents.keys() == whole.intents.keys():
                assert but(whole.intents, mine) == but(before.intents, mine)
        now += timedelta(hours=rich.chance.choice((0, 1, 30)))
        before = whole
    assert partly > 5, partly


def is_of(owner: Owner, projects: set[tuple[str, str]]) -> bool:
    return isinstance(owner, Tenant) and (owner.workspace, owner.project) in projects


def of(intents: Mapping[Owner, Intent], projects: set[tuple[str, str]]) -> dict[Owner, Intent]:
    """What is wanted of some projects' tenants."""
    return {owner: intent for owner, intent in intents.items() if is_of(owner, projects)}


def but(intents: Mapping[Owner, Intent], projects: set[tuple[str, str]]) -> dict[Owner, Intent]:
    """What is wanted of everybody else."""
    return {owner: intent for owner, intent in intents.items() if not is_of(owner, projects)}
