"""The laws of plan.make, for any history of manifests and any change by hand."""

from __future__ import annotations

from dataclasses import replace

from cloud_model import NOW, RULES, SPECS, Model
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from hanse.desired.compiled import Compiled
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import Operator
from hanse.foundation.canonical import encode
from hanse.model import Find, Foreign, Native, Personal, Resource, Tenant
from hanse.observed import Observation, mark
from hanse.plan import Plan, Rules, make
from hanse.platforms.memory.compile import compile_intent

OWNER = Tenant("cloud", "shop", "prod")
PEOPLE = tuple(f"u-{number}" for number in range(5))
RANKS = {"admin": 3, "user": 2, "reader": 1}
DIRECTORY = Directory({name: Person(name) for name in PEOPLE}, {"team": PEOPLE[:3]})

terms = st.builds(
    Term,
    st.just("user"),
    st.sampled_from(PEOPLE),
    st.sampled_from(sorted(RANKS)),
) | st.builds(Term, st.just("group"), st.just("team"), st.sampled_from(sorted(RANKS)))
intents = st.builds(
    Intent,
    owner=st.just(OWNER),
    organization=st.just("example"),
    workspace=st.just("shop"),
    project=st.sampled_from(("prod", "live")),
    description=st.sampled_from(("", "text")),
    tags=st.dictionaries(st.sampled_from("ab"), st.just("1")),
    grants=st.sets(terms, max_size=6).map(lambda some: tuple(sorted(some, key=str))),
    landing_zone_block=st.fixed_dictionaries({"grants": st.sampled_from(("groups", "direct"))}),
    operators=st.sampled_from(((), (Operator(user="u-4", role="reader"),))),
)
hands = st.lists(
    st.tuples(
        st.sampled_from(("link", "unlink", "rename", "delete", "foreign", "workload")), st.integers(0, 9)
    ),
    max_size=4,
)


def compiled(intent: Intent) -> Compiled:
    return compile_intent(intent, DIRECTORY, NOW)


def converge(model: Model, intent: Intent, rules: Rules = RULES, was: Intent | None = None) -> Plan:
    desired = compiled(intent)
    applied = compiled(was) if was is not None else None
    plan = make(desired, model.observe(desired, *([applied] if applied else [])), rules, applied)
    model.carry_out(plan)
    return plan


def meddle(model: Model, what: str, which: int) -> None:
    """Change something by hand, as far as there is anything to change."""
    ours = [native_id for native_id, thing in model.things.items() if thing.key is not None]
    groups = [native_id for native_id in ours if native_id.startswith("group")]
    person = Native("user", f"id-stranger-{which}")
    if what in ("link", "workload") and groups:
        group = groups[which % len(groups)]
        model.links["membership", group, person.id] = {"group": Native("group", group), "user": person}
        if what == "workload":
            model.workload.add(person.id)
    elif what == "unlink" and model.links:
        del model.links[sorted(model.links)[which % len(model.links)]]
    elif what == "rename" and ours:
        model.things[ours[which % len(ours)]].attributes["name"] = f"by-hand-{which}"
    elif what == "delete" and groups:
        group = groups[which % len(groups)]
        del model.things[group]
        model.links = {ends: link for ends, link in model.links.items() if group not in ends}
    elif what == "foreign":
        name = f"shop-prod-{sorted(RANKS)[which % 3]}"
        if name not in {thing.attributes["name"] for thing in model.things.values()}:
            model.add("group", {"name": name, "description": ""})


def world(history: list[Intent], by_hand: list[tuple[str, int]]) -> Model:
    model = Model()
    for intent in history:
        converge(model, intent)
    for what, which in by_hand:
        meddle(model, what, which)
    return model


histories = st.lists(intents, max_size=2)


@given(histories, hands, intents)
def test_after_carrying_out_the_next_plan_is_empty(
    history: list[Intent], by_hand: list[tuple[str, int]], intent: Intent
) -> None:
    model = world(history, by_hand)
    first = converge(model, intent, was=history[-1] if history else None)
    second = make(compiled(intent), model.observe(compiled(intent)), RULES)
    assert second.steps == ()
    assert {r for r in second.remarks if r.blocking} <= set(first.remarks)


@given(histories, hands, intents)
def test_the_same_inputs_give_the_same_bytes(
    history: list[Intent], by_hand: list[tuple[str, int]], intent: Intent
) -> None:
    model = world(history, by_hand)
    desired = compiled(intent)
    observation = model.observe(desired)
    plan = make(desired, observation, RULES)
    mixed = replace(
        observation,
        resources={owner: many[::-1] for owner, many in observation.resources.items()},
        foreign=observation.foreign[::-1],
    )
    assert encode(make(changed(desired, resources=desired.resources[::-1]), mixed, RULES)) == encode(plan)


@given(histories, hands, intents)
def test_foreign_things_and_workloads_stay_as_they_are(
    history: list[Intent], by_hand: list[tuple[str, int]], intent: Intent
) -> None:
    model = world(history, by_hand)

    def bystanders() -> list[str]:
        foreign = [str(thing) for thing in model.things.values() if thing.key is None]
        kept = {native_id for native_id, thing in model.things.items() if thing.key is not None}
        links = [str(ends) for ends in model.links if not model.workload.isdisjoint(ends) and ends[1] in kept]
        return foreign + links

    before = bystanders()
    converge(model, intent)
    assert set(bystanders()) <= set(before)
    assert [one for one in before if one.startswith("Thing")] == [
        one for one in bystanders() if one.startswith("Thing")
    ]


@given(histories, hands, intents)
def test_a_change_that_is_only_reported_is_left(
    history: list[Intent], by_hand: list[tuple[str, int]], intent: Intent
) -> None:
    model = world([*history, intent], [])
    for what, which in by_hand:
        meddle(model, what, which)
    before = str(model)
    plan = converge(model, intent, changed(RULES, roll_back=False), was=intent)
    assert plan.steps == ()
    assert str(model) == before


def held(model: Model, person: str) -> set[str]:
    """The roles that a person really has: by a group that holds one, or directly."""
    grants = {ends[1] for ends in model.links if ends[0] == "assignment"}
    names = {native_id: str(thing.key) for native_id, thing in model.things.items()}
    groups = {ends[1] for ends in model.links if ends[0] == "membership" and ends[2] == person}
    roles = {names[group].split("/")[4] for group in groups & grants}
    direct = {ends[2] for ends in model.links if ends[0] == "assignment" and ends[1] == person}
    back = {"id-admin": "admin", "id-member": "user", "id-reader": "reader"}
    return roles | {back[role] for role in direct}


@given(intents, intents)
def test_nobody_is_between_two_chairs(was: Intent, intent: Intent) -> None:
    model = world([was], [])
    plan = make(compiled(intent), model.observe(compiled(intent), compiled(was)), RULES, compiled(was))
    people = {name: f"id-{name}" for name in PEOPLE}
    history = {name: [held(model, people[name])] for name in PEOPLE}
    for step in plan.steps:
        model.do(step)
        for name in PEOPLE:
            history[name].append(held(model, people[name]))
    for course in history.values():
        first, last = course[0], course[-1]
        if not first or not last:
            continue
        gains, loses = last - first, first - last
        if max(map(RANKS.__getitem__, last)) >= max(map(RANKS.__getitem__, first)):
            assert all(course), f"without any role on the way from {first} to {last}"
        elif gains and loses:
            assert not any(gains & now and loses & now for now in course), f"too much: {course}"


def half(observation: Observation, blind: set[str]) -> Observation:
    """What is left of an observation when these kinds could not be read, links at unseen things included."""
    blind = blind | ({"membership", "assignment"} if "group" in blind else set())
    blind = blind | ({"assignment"} if "space" in blind else set())
    resources = {
        owner: tuple(r for r in many if r.kind not in blind) for owner, many in observation.resources.items()
    }
    return replace(
        observation,
        resources=resources,
        foreign=tuple(thing for thing in observation.foreign if thing.kind not in blind),
        found={find: many for find, many in observation.found.items() if find.kind not in blind},
        incomplete=dict.fromkeys(blind, "cut off"),
    )


def effects(plan: Plan, model: Model) -> set[str]:
    """What a plan brings about, named by kind and ends, or by key."""
    named: set[str] = set()
    for step in plan.steps:
        ends = SPECS[step.kind].ends
        values = step.after or step.before
        name = "/".join(mark(values[end]) for end in ends) if ends else str(step.key)
        gone = "" if step.action != "delete" else "not "
        named |= {f"{gone}{step.kind} {name} {'' if ends or gone else step.after}"}
        if step.action == "delete" and not ends:
            observed = (r for many in model.observe().resources.values() for r in many if SPECS[r.kind].ends)
            for link in observed:
                spec = SPECS[link.kind]
                if str(step.key) in {mark(link.attributes[end]) for end in spec.within}:
                    named.add(f"not {link.kind} {'/'.join(mark(link.attributes[e]) for e in spec.ends)} ")
    return named


@given(
    histories,
    hands,
    intents,
    st.sets(st.sampled_from(("space", "group", "membership", "assignment", "user", "role")), min_size=1),
)
def test_half_sight_plans_nothing_that_full_sight_would_not(
    history: list[Intent], by_hand: list[tuple[str, int]], intent: Intent, blind: set[str]
) -> None:
    model = world(history, by_hand)
    desired = compiled(intent)
    whole = model.observe(desired)
    seen = make(desired, half(whole, blind), RULES)
    assert effects(seen, model) <= effects(make(desired, whole, RULES), model)
    for step in seen.steps:
        if step.action == "create":
            assert step.kind not in half(whole, blind).incomplete, "it may be there already"


@given(intents, hands)
def test_what_left_loses_access_at_once_and_its_space_waits(
    intent: Intent, by_hand: list[tuple[str, int]]
) -> None:
    model = world([intent], by_hand)
    leaving = compiled(changed(intent, left_at="c0ffee"))
    rules = changed(RULES, changed="left", deletion_advice="say yes")
    plan = make(leaving, model.observe(), rules, compiled(intent))
    model.carry_out(plan)
    kept = {thing.kind for thing in model.things.values() if thing.key is not None}
    assert kept <= {"space"}
    assert not [ends for ends in model.links if model.workload.isdisjoint(ends)]
    model.carry_out(make(leaving, model.observe(), changed(rules, may_delete=True), compiled(intent)))
    assert not model.observe().of(OWNER)


def test_two_people_who_are_one_user_there_are_one_member() -> None:
    ann, bob = (Find("user", (("name", Personal(name)),)) for name in ("u-0", "u-1"))
    same = (Native("user", "id-same"),)
    intent = Intent(
        OWNER, "example", "shop", "prod", grants=(Term("user", "u-0", "user"), Term("user", "u-1", "user"))
    )
    model = Model(natives={ann: same, bob: same})
    assert [step.kind for step in converge(model, intent).steps].count("membership") == 1
    assert converge(model, intent).steps == ()


def test_a_foreign_thing_within_a_folder_of_ours_is_seen_by_its_native_id() -> None:
    thing = Foreign("space", "space-9", {"name": "x", "folder": Native("folder", "folder-1")})
    assert Observation("cloud", NOW, None, foreign=(thing,)).holds_foreign("folder-1")
    assert isinstance(compiled(Intent(OWNER, "example", "shop", "prod")).resources[0], Resource)
