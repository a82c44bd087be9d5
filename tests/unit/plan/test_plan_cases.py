"""What plan.make says and does in the cases that people ask about."""

from __future__ import annotations

from cloud_model import NOW, RULES, SPECS, Model
from msgspec.structs import replace

from hanse.desired.compiled import Compiled
from hanse.model import Find, Key, Native, Personal, Ref, Resource, Step, Tenant, Value, WorkspaceOn
from hanse.observed import Observation
from hanse.plan import Plan, Rules, make

OWNER = Tenant("cloud", "shop", "prod")
WORKSPACE = WorkspaceOn("cloud", "shop")
SPACE = Key("example", "shop", "prod", "space")
GROUP = Key("example", "shop", "prod", "group/admin")
FOLDER = Key("example", "shop", "", "folder")
ANN = Find("user", (("name", Personal("ann")),))
ROLE = Find("role", (("name", "member"),))


def thing(key: Key, kind: str, **attributes: Value) -> Resource:
    return Resource(key, kind, {"name": kind, **attributes}, OWNER, sources=("Project shop/prod",))


def member(rank: int = 3) -> Resource:
    attributes: dict[str, Value] = {"group": Ref(GROUP), "user": ANN}
    return Resource(
        GROUP.child("member/u-1"), "membership", attributes, OWNER, sources=("grant",), principal="u-1", rank=rank
    )  # fmt: skip


def desired(*resources: Resource, tolerated: tuple[Resource, ...] = ()) -> Compiled:
    return Compiled(OWNER, resources, tolerated)


def seen(*resources: Resource, **more: object) -> Observation:
    observed = [
        r if r.native_id or SPECS[r.kind].ends else replace(r, native_id=f"n-{r.kind}") for r in resources
    ]
    by_owner: dict[Tenant | WorkspaceOn, tuple[Resource, ...]] = {}
    for resource in observed:
        by_owner[resource.owner] = (*by_owner.get(resource.owner, ()), resource)
    return Observation("cloud", NOW, frozenset({OWNER, WORKSPACE}), by_owner, **more)  # type: ignore[arg-type]


def codes(plan: Plan) -> list[str]:
    return [remark.code for remark in plan.remarks]


def actions(plan: Plan) -> list[str]:
    return [f"{step.action} {step.kind}" for step in plan.steps]


def test_an_update_names_only_what_differs() -> None:
    was = thing(SPACE, "space", description="old", enabled=True)
    [step] = make(desired(thing(SPACE, "space", description="new", enabled=True)), seen(was), RULES).steps
    assert (step.action, step.before, step.after) == (
        "update",
        {"description": "old"},
        {"description": "new"},
    )
    assert step.native_id == "n-space"


def test_what_the_platform_adds_is_no_difference() -> None:
    assert not make(desired(thing(SPACE, "space")), seen(thing(SPACE, "space", region="r1")), RULES).steps


def test_a_foreign_thing_of_that_name_is_refused_with_advice() -> None:
    model = Model()
    native_id = model.add("space", {"name": "space"})
    plan = make(desired(thing(SPACE, "space")), model.observe(), RULES)
    assert not plan.steps
    [remark] = plan.remarks
    assert remark.code == "name-taken"
    assert remark.blocking
    assert f"native: {{id: {native_id}}}" in remark.advice


def test_a_foreign_thing_in_a_folder_of_ours_has_the_name_there_only() -> None:
    folder = Resource(FOLDER, "folder", {"name": "shop"}, WORKSPACE, "folder-1")
    model = Model()
    model.add("space", {"name": "space", "folder": Native("folder", "folder-1")})
    observation = seen(folder, foreign=model.observe().foreign)
    inside = desired(thing(SPACE, "space", folder=Ref(FOLDER)))
    assert codes(make(inside, observation, RULES)) == ["name-taken"]
    assert actions(make(desired(thing(SPACE, "space")), observation, RULES)) == ["create space"]


def test_a_rename_to_a_foreign_name_is_refused_and_the_rest_is_done() -> None:
    model = Model()
    model.add("space", {"name": "wanted"})
    was = thing(SPACE, "space", name="ours", description="old")
    plan = make(
        desired(thing(SPACE, "space", name="wanted", description="new")),
        seen(was, foreign=model.observe().foreign),
        RULES,
    )
    assert codes(plan) == ["name-taken"]
    assert [step.after for step in plan.steps] == [{"description": "new"}]


def test_adoption_takes_over_by_native_id_and_shows_what_it_changes() -> None:
    model = Model()
    native_id = model.add("space", {"name": "theirs", "description": "text"})
    wanted = replace(thing(SPACE, "space", description="ours"), adopt=native_id)
    [step] = make(desired(wanted), model.observe(), RULES).steps
    assert (step.action, step.native_id) == ("adopt", native_id)
    assert step.before == {"name": "theirs", "description": "text"}
    assert codes(make(desired(replace(wanted, adopt="nothing")), model.observe(), RULES)) == [
        "nothing-to-adopt"
    ]


def test_what_cannot_be_changed_is_remarked() -> None:
    plan = make(desired(thing(SPACE, "space", folder=Ref(FOLDER))), seen(thing(SPACE, "space")), RULES)
    assert (codes(plan), plan.steps) == (["immutable"], ())


def test_an_unknown_person_is_remarked_and_nothing_is_tried() -> None:
    wanted = desired(thing(GROUP, "group"), member())
    plan = make(wanted, seen(thing(GROUP, "group"), found={ANN: ()}), RULES)
    assert (codes(plan), plan.steps) == (["unknown-user"], ())
    assert not plan.remarks[0].blocking
    twice = {ANN: (Native("user", "a"), Native("user", "b"))}
    plan = make(wanted, seen(thing(GROUP, "group"), found=twice), RULES)
    assert (codes(plan), plan.steps) == (["ambiguous-user"], ())


def test_steps_at_a_thing_that_cannot_be_made_are_left_out() -> None:
    model = Model()
    model.add("group", {"name": "group"})
    observation = seen(foreign=model.observe().foreign, found={ANN: (Native("user", "a"),)})
    plan = make(desired(thing(GROUP, "group"), member()), observation, RULES)
    assert (codes(plan), plan.steps) == (["name-taken"], ())


def test_twins_get_no_step_and_nothing_at_them_does() -> None:
    extra = Resource(
        GROUP.child("x"), "membership", {"group": Ref(GROUP), "user": Native("user", "b")}, OWNER
    )
    observation = seen(
        thing(GROUP, "group", name="other"), extra,
        twins=((GROUP, ("g-1", "g-2")),), found={ANN: (Native("user", "a"),)},
    )  # fmt: skip
    for wanted in (desired(thing(GROUP, "group"), member()), desired()):
        plan = make(wanted, observation, RULES)
        assert (codes(plan), plan.steps) == (["twins"], ())
        assert plan.remarks[0].blocking


def test_a_service_account_is_left_alone() -> None:
    bot = Resource(GROUP.child("x"), "membership", {"group": Ref(GROUP), "user": Native("user", "b")}, OWNER)
    wanted = desired(thing(GROUP, "group"))
    assert codes(make(wanted, seen(thing(GROUP, "group"), replace(bot, workload=True)), RULES)) == [
        "workload"
    ]
    assert actions(make(wanted, seen(thing(GROUP, "group"), bot), RULES)) == ["delete membership"]


def test_an_operator_may_hold_a_role_and_stays_when_users_cannot_be_looked_up() -> None:
    held: dict[str, Value] = {
        "subject": Native("user", "a"),
        "role": Native("role", "m"),
        "target": Ref(SPACE),
    }
    link = Resource(SPACE.child("x"), "assignment", held, OWNER)
    allowed = Resource(
        SPACE.child("y"), "assignment", {"subject": ANN, "role": ROLE, "target": Ref(SPACE)}, OWNER
    )
    wanted = desired(thing(SPACE, "space"), tolerated=(allowed,))
    found = {ANN: (Native("user", "a"),), ROLE: (Native("role", "m"),)}
    assert make(wanted, seen(thing(SPACE, "space"), link, found=found), RULES) == Plan(OWNER)
    blind = seen(thing(SPACE, "space"), link, found={ROLE: found[ROLE]}, incomplete={"user": "cut off"})
    assert (codes(make(wanted, blind, RULES)), make(wanted, blind, RULES).steps) == (["incomplete"], ())


def test_nothing_is_made_of_a_kind_that_was_not_read_to_the_end() -> None:
    blind = seen(incomplete={"space": "page 2 failed"})
    plan = make(desired(thing(SPACE, "space")), blind, RULES)
    assert (codes(plan), plan.steps) == (["incomplete"], ())


GONE = Rules(SPECS, changed="left", may_delete=True)


def test_a_folder_goes_only_when_it_is_surely_empty() -> None:
    folder = Resource(FOLDER, "folder", {"name": "shop"}, WORKSPACE, "folder-1")
    inside = thing(SPACE, "space", folder=Ref(FOLDER))
    model = Model()
    model.add("space", {"name": "theirs", "folder": Native("folder", "folder-1")})
    none = Compiled(WORKSPACE)
    assert codes(make(none, seen(folder, inside), GONE)) == ["not-empty"]
    assert codes(make(none, seen(folder, foreign=model.observe().foreign), GONE)) == ["not-empty"]
    assert codes(make(none, seen(folder, incomplete={"space": "page 2 failed"}), GONE)) == ["incomplete"]
    assert actions(make(none, seen(folder), GONE)) == ["delete folder"]
    waits = make(none, seen(folder), replace(GONE, may_delete=False, deletion_advice="say yes"))
    assert [(r.code, r.advice) for r in waits.remarks] == [("deletion-waits", "say yes")]


def test_a_deleted_group_takes_its_members_along_and_says_how_many() -> None:
    links = [
        Resource(GROUP.child(n), "membership", {"group": Ref(GROUP), "user": Native("user", n)}, OWNER)
        for n in "ab"
    ]
    [step] = make(desired(), seen(thing(GROUP, "group"), *links), RULES).steps
    assert (step.kind, step.loses, step.reason.cause) == ("group", 2, "local-change")


def test_reasons_tell_a_commit_from_a_hand() -> None:
    now, was = thing(SPACE, "space", description="new"), thing(SPACE, "space", description="old")

    def cause(observed: Resource, applied: Resource, wanted: Resource = now) -> str:
        [step] = make(desired(wanted), seen(observed), RULES, desired(applied)).steps
        assert step.reason.sources == ("Project shop/prod",)
        return step.reason.cause

    assert cause(was, was) == "declared"
    assert cause(was, now) == "local-change"
    [step] = make(desired(now), seen(), RULES, desired(now)).steps
    assert (step.action, step.reason.cause) == ("create", "local-change")


def test_where_changes_are_only_reported_declared_ones_are_made_beside_them() -> None:
    report = replace(RULES, roll_back=False)
    applied = thing(SPACE, "space", description="old", enabled=True)
    by_hand = thing(SPACE, "space", description="old", enabled=False)
    wanted = thing(SPACE, "space", description="new", enabled=True)
    plan = make(desired(wanted), seen(by_hand), report, desired(applied))
    assert [step.after for step in plan.steps] == [{"description": "new"}]
    assert codes(plan) == ["local-change"]


def step_of(plan: Plan, what: str) -> Step:
    return next(step for step in plan.steps if f"{step.action} {step.kind}" == what)


def test_a_person_moves_up_before_leaving_and_down_after() -> None:
    reader = Key("example", "shop", "prod", "group/reader")
    low = Resource(
        reader.child("member/u-1"), "membership", {"group": Ref(reader), "user": ANN}, OWNER, rank=1
    )
    things = (thing(GROUP, "group"), thing(reader, "group", name="r"))
    found = {ANN: (Native("user", "a"),)}

    def observed(link: Resource) -> Resource:
        group = link.attributes["group"]
        return replace(
            link, key=link.key.child("x"), attributes={"group": group, "user": Native("user", "a")}
        )

    up = make(
        desired(*things, member()), seen(*things, observed(low), found=found), RULES, desired(*things, low)
    )
    assert actions(up) == ["create membership", "delete membership"]
    assert step_of(up, "create membership").key in step_of(up, "delete membership").needs
    down = make(
        desired(*things, low),
        seen(*things, observed(member()), found=found),
        RULES,
        desired(*things, member()),
    )
    assert actions(down) == ["delete membership", "create membership"]
    assert step_of(down, "delete membership").key in step_of(down, "create membership").needs


def test_an_old_membership_waits_until_the_new_group_holds_its_role() -> None:
    reader = Key("example", "shop", "prod", "group/reader")
    low = Resource(
        reader.child("member/u-1"), "membership", {"group": Ref(reader), "user": Native("user", "a")}, OWNER
    )
    grant = Resource(
        GROUP.child("grant"),
        "assignment",
        {"subject": Ref(GROUP), "role": ROLE, "target": Ref(SPACE)},
        OWNER,
        rank=3,
    )
    space, old = thing(SPACE, "space"), thing(reader, "group", name="r")
    found = {ANN: (Native("user", "a"),), ROLE: (Native("role", "m"),)}
    plan = make(
        desired(space, old, thing(GROUP, "group"), grant, member()), seen(space, old, low, found=found), RULES
    )
    assert {grant.key, member().key} <= set(step_of(plan, "delete membership").needs)
