"""What a server accepts by what a commit changes: just what it would accept by looking at everything."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from hanse import git, main
from hanse.desired.intent import Intent
from hanse.foundation.diagnostics import Diagnostic
from hanse.model import Owner
from hanse.ports.store import Head
from hanse.service.approve import Waiting
from hanse.service.ground import Ground, Part, is_about_workspaces
from hanse.service.propose import Proposal, accept, propose
from hanse.service.since import check_all, check_change, note_accepted
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


def edit(chance: random.Random) -> dict[str, str | None]:  # noqa: PLR0911, PLR0912 (one for each sort of edit)
    """One edit, most often of a project or of a grant."""
    number = chance.randrange(5)
    workspace, name = chance.choice(PROJECTS)
    path = f"projects/{workspace}-{name}.yaml"
    match chance.randrange(30):
        case 0 | 1:
            return {path: None}
        case 2:
            members = ", ".join(chance.sample(sorted(manifest.PEOPLE), 2))
            text = f"{{apiVersion: hanse/v1, kind: Group, name: lab-team, members: [{members}]}}\n"
            return {"groups.yaml": manifest.GROUPS.rpartition("---\n")[0] + "---\n" + text}
        case 3:
            return {"organization.yaml": manifest.ORGANIZATION + chance.choice(["", "# again\n"])}
        case 4:
            return {"organization.yaml": f"{manifest.ORGANIZATION.rpartition('guards')[0]}{STRICT}\n"}
        case 5 | 6 | 7 | 8:
            return {f"grants/{number}.yaml": grant(chance, number)}
        case 9 | 10:
            return {f"grants/{number}.yaml": None}
        case 11:
            return {"projects/shop-one.yaml": BROKEN}
        case 12:
            return {"people.yaml": people(chance)}
        case 13 | 14 | 15:
            return {"projects/new.yaml": project(chance, workspace, chance.choice(["five", "six"]))}
        case 16:
            return {"projects/new.yaml": None}
        case 17:
            return {"fresh.yaml": fresh(chance)}
        case 18:
            return {"fresh.yaml": None}
        case _:
            return {path: project(chance, workspace, name)}


def people(chance: random.Random) -> str:
    """Everybody, perhaps one of them disabled, perhaps somebody new."""
    texts = [*map(manifest.user, manifest.PEOPLE)]
    if chance.random() < 0.4:
        texts[chance.choice([0, 2, 5, 7])] += "state: disabled\n"
    if chance.random() < 0.3:
        texts.append("{apiVersion: hanse/v1, kind: User, name: u-9, externalIds: {memory: somebody.new}}\n")
    return "---\n".join(texts)


def fresh(chance: random.Random) -> str:
    """A workspace of its own with one project, or with none."""
    workspace = "{apiVersion: hanse/v1, kind: Workspace, name: fresh}\n"
    return workspace if chance.random() < 0.3 else f"{workspace}---\n{project(chance, 'fresh', 'first')}"


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
            partly += quick.is_part
            await accept(estate, quick)
            head = await estate.store.head()
            if head is not None and head.commit == quick.commit:
                ground.accepted(estate, head)
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
    assert partly > 8, partly


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
            if head := await estate.store.head():
                ground.accepted(estate, head)
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

    def person(self, number: int) -> str:
        state = self.chance.choice(["", "", "state: disabled\n"])
        title = self.chance.choice(["", "displayName: Somebody\n"])
        return document(
            "User",
            f"u-{number}",
            f"externalIds: {{cluster: p{number}, corporate: p{number}}}\n{title}{state}",
        )

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

    def edit(self) -> tuple[str, str]:  # noqa: PLR0911 (one for each sort of edit)
        """A file as it is from now on; empty, if it goes."""
        workspace, name = self.chance.choice(["w", "v"]), self.chance.choice(["a", "b"])
        row = self.row().replace(", ", "\n")
        on = f"workspace: {workspace}\nproject: {name}\n"
        path = f"grants/{self.chance.randrange(4)}.yaml"
        match self.chance.randrange(24):
            case 0:
                return f"workspaces/{workspace}.yaml", self.workspace(workspace)
            case 1:
                return "methods/m.yaml", document("PaymentMethod", "m", self.tags())
            case 2:
                return "objects/two.yaml", self.chance.choice(
                    ["", FIXED["objects/one.yaml"].replace("one", "two")]
                )
            case 3 | 4:
                return "groups/0.yaml", document("Group", "g0", f"members: [u-{self.chance.randrange(5)}]\n")
            case 5:
                return path, ""
            case 6 | 7 | 8:
                return path, document("Grant", f"n{path[7]}", f"{on}{row}\n")
            case 9:
                return path, document(
                    "Grant", f"n{path[7]}", f"workspace: {workspace}\nuser: u-4\nrole: lead\n"
                )
            case 10 | 11:
                number = self.chance.choice([1, 2, 4])
                return f"people/{number}.yaml", self.person(number)
            case 12:
                return "people/9.yaml", "" if "people/9.yaml" in self.files else self.person(9)
            case 13 | 14 | 15:
                return f"projects/{workspace}-c.yaml", self.project(workspace, "c")
            case 16 | 17:
                return f"projects/{workspace}-c.yaml", ""
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


@pytest.mark.parametrize("seed", range(4))
def test_what_feels_a_change_is_all_that_becomes_another(seed: int, tmp_path: Path) -> None:
    rich = Rich(tmp_path / "repository", seed)
    source, language = main.open_source(str(rich.folder)), main.language()
    cache, now, partly = Cache.open(tmp_path / "cache", "it"), NOW, 0
    before = asyncio.run(check_all(source, language, rich.commit, now, cache))
    for _ in range(60):
        accepted = Head(rich.commit, now, "people", "settings")
        note_accepted(language, accepted, cache)
        rich.change()
        change = asyncio.run(check_change(source, language, accepted, rich.commit, now, cache))
        whole = asyncio.run(check_commit(source, language, rich.commit, now))
        assert whole.is_sound, whole.diagnostics
        if change is None:
            asyncio.run(check_all(source, language, rich.commit, now, cache))
        elif is_about_workspaces(change):
            part = Part(change)
            assert before.settings is not None
            assert told(change.checked.diagnostics) == told(whole.diagnostics)
            assert part.directory(before.directory) == whole.directory
            assert part.settings(before.settings) == whole.settings
            wanted = part.wanted(within(before.intents, part.homes))
            if wanted is not None:
                partly += 1
                assert wanted == within(whole.intents, part.homes)
                assert without(before.intents, part.homes) == without(whole.intents, part.homes)
        now += timedelta(hours=rich.chance.choice((0, 1, 30)))
        before = whole
    assert partly > 20, partly


def within(intents: Mapping[Owner, Intent], homes: Collection[str]) -> dict[Owner, Intent]:
    """What is wanted in some workspaces."""
    return {owner: intent for owner, intent in intents.items() if owner.workspace in homes}


def without(intents: Mapping[Owner, Intent], homes: Collection[str]) -> dict[Owner, Intent]:
    """What is wanted elsewhere."""
    return {owner: intent for owner, intent in intents.items() if owner.workspace not in homes}
