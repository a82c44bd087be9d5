"""What an intent means in Keystone, as a pure function."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hanse.desired.compiled import Compiled
from hanse.desired.intent import Directory, Intent, Person, Term
from hanse.desired.kinds import Operator
from hanse.model import Find, Key, Personal, Ref, Resource, Tenant, Value, WorkspaceOn
from hanse.platforms.openstack.compile import compile_intent, find_domain, find_role, find_user

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BLOCK = {"domains": {"default": "Default"}, "users": {"domain": "corporate", "externalId": "fra"}}
PEOPLE = {name: Person(name, external_ids={"fra": Personal(f"{name}@x")}) for name in ("ann", "ben", "cleo")}
DIRECTORY = Directory(PEOPLE, {"crew": ("ann", "ben"), "others": ("ben", "cleo")})
OWNER = Tenant("os", "shop", "prod")


def intent(*terms: Term, **changes: Any) -> Intent:
    base = Intent(
        OWNER,
        "ex",
        "shop",
        "prod",
        grants=tuple(sorted(terms, key=repr)),
        landing_zone="lz",
        platform_block=BLOCK,
    )
    return replace(base, **changes)


def compiled(given: Intent, directory: Directory = DIRECTORY, now: datetime = NOW) -> Compiled:
    result = compile_intent(given, directory, now)
    checked = compile_intent(given, directory, now, links=False)
    assert checked.problems == result.problems  # whatever is compiled here
    assert checked.resources == tuple(
        one for one in result.resources if one.kind not in ("assignment", "membership")
    )
    return result


def parts(result: Compiled) -> dict[str, Resource]:
    return {resource.key.part: resource for resource in result.resources}


def codes(result: Compiled) -> list[tuple[str, str]]:
    return [(problem.severity, problem.code) for problem in result.problems]


def user(name: str, role: str, start: datetime | None = None, end: datetime | None = None) -> Term:
    return Term("user", name, role, start, end)


def test_a_tenant_is_a_project_with_a_group_per_role() -> None:
    found = parts(compiled(intent(user("ann", "admin"), tags={"b": "2", "a": "1"}, display_name="Web shop")))
    key = Key("ex", "shop", "prod", "project")
    assert found["project"].attributes == {
        "name": "shop-prod",
        "domain": find_domain("Default"),
        "description": "Web shop",
        "enabled": True,
        "tags": ("hanse:a=1", "hanse:b=2"),
        "stamp": key.stamp,
    }
    assert found["project"].sources == (
        "Project shop/prod", "LandingZone os/lz", "Workspace shop", "TagDefinition a", "TagDefinition b"
    )  # fmt: skip
    assert found["group/admin"].attributes["name"] == "shop-prod-admin"
    assert found["group/admin/role/member"].attributes == {
        "role": find_role("member"),
        "project": Ref(key),
        "group": Ref(found["group/admin"].key),
    }
    member = found["group/admin/member/ann"]
    assert member.attributes == {
        "group": Ref(found["group/admin"].key),
        "user": find_user("corporate", "ann@x"),
    }
    assert (member.principal, member.rank) == ("ann", 3)
    assert member.sources == ("grant shop/prod user:ann admin ..",)


def test_grants_that_lead_one_person_into_one_group_unite() -> None:
    crew, others = Term("group", "crew", "user"), Term("group", "others", "user")
    found = parts(compiled(intent(crew, others, user("ben", "user"))))
    assert [part for part in found if "/member/" in part] == [
        "group/user/member/ann",
        "group/user/member/ben",
        "group/user/member/cleo",
    ]
    assert len(found["group/user/member/ben"].sources) == 3
    assert found["group/user/member/cleo"].sources == ("grant shop/prod group:others user ..",)


@pytest.mark.parametrize(
    ("start", "end", "member"),
    [
        (None, None, True),
        (0, None, True),
        (1, None, False),
        (None, 0, False),
        (None, 1, True),
        (-2, -1, False),
    ],
)
def test_a_grant_gives_membership_while_it_is_in_force_and_a_group_always(
    start: int | None, end: int | None, member: bool
) -> None:
    at = [None if days is None else NOW + timedelta(days=days) for days in (start, end)]
    found = parts(compiled(intent(user("ann", "user", *at))))
    assert ("group/user/member/ann" in found) is member
    assert {"group/user", "group/user/role/member"} <= found.keys()


def test_people_who_are_disabled_or_unknown_are_no_members() -> None:
    directory = replace(DIRECTORY, people={**PEOPLE, "ann": replace(PEOPLE["ann"], active=False)})
    result = compiled(intent(user("ann", "user"), user("nobody", "user")), directory)
    assert not [part for part in parts(result) if "/member/" in part]
    assert not result.problems


def test_a_person_without_external_id_is_a_warning_and_no_member() -> None:
    dan = Person("dan", external_ids={"other": Personal("d")})
    directory = Directory({"dan": dan, "eve": Person("eve", external_ids={"fra": Personal("e")})})
    result = compiled(intent(user("dan", "user")), directory)
    assert codes(result) == [("warning", "no-external-id")]
    assert result.problems[0].source == "grant shop/prod user:dan user .."
    assert not [part for part in parts(result) if "/member/" in part]


def test_two_people_with_one_external_id_are_one_member_and_a_warning() -> None:
    twin = replace(PEOPLE["ann"], name="ann-2")
    directory = Directory({**PEOPLE, "ann-2": twin})
    result = compiled(intent(user("ann", "user"), user("ann-2", "user")), directory)
    assert [part for part in parts(result) if "/member/" in part] == ["group/user/member/ann"]
    assert codes(result) == [("warning", "shared-external-id")]


def test_the_landing_zone_maps_roles_and_the_rest_become_member() -> None:
    zone = {"roles": {"admin": "manager"}}
    terms = (user("ann", "admin"), user("ben", "user"), user("cleo", "auditor"))
    found = parts(compiled(intent(*terms, landing_zone_block=zone)))
    assert [part for part in found if "/role/" in part] == [
        "group/admin/role/manager",
        "group/auditor/role/member",
        "group/user/role/member",
    ]
    assert [found[f"group/{role}/role/member"].rank for role in ("user", "auditor")] == [2, 0]


def test_keys_are_made_of_the_oldest_names_and_names_of_the_present_ones() -> None:
    found = parts(compiled(intent(user("ann", "user"), workspace="store", project="live")))
    assert found["project"].key == Key("ex", "shop", "prod", "project")
    assert found["group/user"].attributes["name"] == "store-live-user"
    assert found["group/user/member/ann"].sources == ("grant shop/prod user:ann user ..",)


def test_operators_are_tolerated_and_never_made() -> None:
    operators = (Operator(user="ann", role="reader"), Operator(native="metering", role="admin"))
    result = compiled(intent(operators=operators))
    assert [
        (r.attributes["role"], r.attributes["user"])
        for r in result.tolerated
        if "inherited" not in r.attributes
    ] == [
        (find_role("reader"), find_user("corporate", "ann@x")),
        (find_role("admin"), find_user("corporate", "metering")),
    ]
    assert {r.attributes["project"] for r in result.tolerated} == {Ref(Key("ex", "shop", "prod", "project"))}
    assert len(result.resources) == 1


def test_a_leaving_tenant_has_nothing() -> None:
    assert compiled(intent(user("ann", "user"), left_at="c")).resources == ()


def test_native_is_to_be_adopted() -> None:
    assert parts(compiled(intent(native="5f0c")))["project"].adopt == "5f0c"


def test_a_workspace_has_a_domain_only_where_the_platform_gives_one() -> None:
    owner = WorkspaceOn("os", "shop")
    block = {**BLOCK, "domains": {"perWorkspace": "ws-{workspace}"}}
    given = Intent(owner, "ex", "store", display_name="Store", platform_block=block)
    [domain] = compiled(given).resources
    assert domain.key == Key("ex", "shop", "", "domain")
    assert domain.attributes == {"name": "ws-store", "description": "Store", "enabled": True}
    assert compiled(replace(given, platform_block=BLOCK)).resources == ()
    project = parts(compiled(intent(platform_block=block)))["project"]
    assert project.attributes["domain"] == Ref(domain.key)


@pytest.mark.parametrize(
    ("changes", "code", "source", "path"),
    [
        ({"project": "p" * 62}, "name-too-long", f"Project shop/{'p' * 62}", ("name",)),
        (
            {"platform_block": {**BLOCK, "names": {"project": "{team}-{project}"}}},
            "unknown-placeholder",
            "Platform os",
            ("openstack", "names", "project"),
        ),
        (
            {"platform_block": {**BLOCK, "names": {"project": "{project.__class__}"}}},
            "unknown-placeholder",
            "Platform os",
            ("openstack", "names", "project"),
        ),
        (
            {"platform_block": {**BLOCK, "names": {"project": "{project"}}},
            "unknown-placeholder",
            "Platform os",
            ("openstack", "names", "project"),
        ),
        (
            {"platform_block": {"users": BLOCK["users"], "domain": "x"}},
            "invalid-block",
            "Platform os",
            ("openstack",),
        ),
        ({"platform_block": {**BLOCK, "domains": {}}}, "invalid-block", "Platform os", ("openstack",)),
        (
            {"landing_zone_block": {"quotas": {"default": {"disks": 3}}}},
            "unknown-quota",
            "LandingZone os/lz",
            ("openstack", "quotas", "default", "disks"),
        ),
        (
            {"quotas": {"cores": 9}, "landing_zone_block": {"quotas": {"max": {"cores": 8}}}},
            "quota-too-high",
            "Project shop/prod",
            ("tenants", "os", "quotas", "cores"),
        ),
        ({"tags": {"a": "x" * 255}}, "tag-too-long", "Project shop/prod", ("tags", "a")),
        ({"tags": {f"t{n}": "" for n in range(80)}}, "too-many-tags", "Project shop/prod", ("tags",)),
    ],
)
def test_what_cannot_be_is_an_error_with_its_place(
    changes: dict[str, Any], code: str, source: str, path: tuple[str, ...]
) -> None:
    errors = [problem for problem in compiled(intent(**changes)).problems if problem.severity == "error"]
    assert [(problem.code, problem.source, problem.path) for problem in errors] == [(code, source, path)]
    assert all(problem.advice for problem in errors)


def test_an_unknown_quota_gets_a_suggestion() -> None:
    asked = {"quotas": {"max": {"core": 3}}}
    assert "did you mean 'cores'" in compiled(intent(landing_zone_block=asked)).problems[0].advice


def test_quotas_that_cannot_be_held_yet_are_told() -> None:
    result = compiled(intent(quotas={"cores": 3}, landing_zone_block={"quotas": {"default": {"ports": 1}}}))
    assert codes(result) == [("warning", "quota-not-held")]
    assert "cores, ports" in result.problems[0].message


def test_a_project_carries_the_tags_that_the_platform_names_by_the_keys_that_it_gives_them() -> None:
    tags = {"environment": "prod", "norms": ("iso", "soc"), "other": "x"}

    def carried(**of_platform: Any) -> Value:
        given = intent(tags=tags)
        block = {**given.platform_block, "tags": of_platform}
        return parts(compiled(replace(given, platform_block=block)))["project"].attributes["tags"]

    assert carried() == ("hanse:environment=prod", "hanse:norms=iso", "hanse:norms=soc", "hanse:other=x")
    assert carried(keys={"environment": "env", "norms": "norms", "absent": "a"}) == (
        "hanse:env=prod", "hanse:norms=iso", "hanse:norms=soc"
    )  # fmt: skip
    assert carried(prefix="ours:", keys={"other": "o"}) == ("ours:o=x",)
    assert carried(keys={}) == ()


def test_two_tags_cannot_become_one_key() -> None:
    given = intent()
    block = {**given.platform_block, "tags": {"keys": {"a": "x", "b": "x"}}}
    (problem,) = compiled(replace(given, platform_block=block)).problems
    assert "two tags become 'x'" in problem.message


def test_characters_that_tags_cannot_hold_are_replaced_and_told() -> None:
    result = compiled(intent(tags={"cost/center": "a,b"}))
    assert parts(result)["project"].attributes["tags"] == ("hanse:cost_center=a_b",)
    assert codes(result) == [("warning", "tag-altered")]


terms = st.builds(
    Term,
    st.sampled_from(["user", "group"]),
    st.sampled_from(["ann", "ben", "crew", "others", "nobody"]),
    st.sampled_from(["admin", "user", "auditor"]),
    st.none(),
    st.sampled_from([None, NOW, NOW + timedelta(days=1)]),
)


@given(st.sets(terms, max_size=8))
def test_equal_intents_compile_to_equal_resources_with_keys_of_their_own(grants: set[Term]) -> None:
    first, second = compiled(intent(*grants)), compiled(intent(*reversed(list(grants))))
    assert first == second
    keys = [resource.key for resource in first.resources]
    assert len(set(keys)) == len(keys)
    finds = {value for r in first.resources for value in r.attributes.values() if isinstance(value, Find)}
    assert all(find.kind in ("user", "role", "domain") for find in finds)
