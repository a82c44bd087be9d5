"""What a server accepts by what a commit changes: just what it would accept by looking at everything."""

from __future__ import annotations

import random

import pytest

from hanse.foundation.diagnostics import Diagnostic
from hanse.service.approve import Waiting
from hanse.service.ground import Ground
from hanse.service.propose import Proposal, accept, propose
from service import manifest
from service.world import World

STRICT = "guards: {removalPercent: 25, removalAtLeast: 2, minimumAdmins: 1}"
BROKEN = "kind: [\n"
PROJECTS = [(w, p) for w in ("shop", "lab") for p in ("one", "two", "three", "four")]


def access(chance: random.Random) -> str:
    """Who, in which role, until when."""
    who = chance.choice(["user: u-1", "user: u-3", "user: u-8", "group: shop-admins", "group: lab-team"])
    role = chance.choice(["admin", "user", "user", "reader"])
    until = chance.choice(["", "", f", until: 2026-06-{chance.randrange(1, 5):02}"])
    return f"{who}, role: {role}{until}"


def project(chance: random.Random, workspace: str, name: str) -> str:
    """A project, mostly with a tenant on both clouds."""
    rows = "".join(f"  - {{{access(chance)}}}\n" for _ in range(chance.randrange(1, 3)))
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
