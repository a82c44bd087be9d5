"""Two libraries that know nothing of each other answer alike: ours in Rust, and cel-python.

Left out is what cel-python answers otherwise than CEL's specification of today: values of two types are unequal, which
is an error there; and ours is tested by itself in test_policies.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import celpy
import pytest
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.policy.checking import check
from hanse.policy.engine import Failed, Program, Values

FAILED = "no answer"
ACTIVATION: dict[str, Any] = {
    "organization": {"name": "example", "displayName": "", "access": []},
    "workspace": {"name": "shop", "tags": {}, "access": []},
    "project": {
        "name": "prod",
        "description": "Größe \\ ü",
        "tags": {"level": 3, "share": 0.5, "secret": True, "owner": "a@example.org", "areas": ["a", "b"]},
        "access": [{"role": "admin", "user": "u-1", "group": "", "scope": "project"}],
        "tenants": [{"platform": "north", "landingZone": "production", "quotas": {"cores": 4}}],
    },
    "grant": {
        "role": "admin",
        "user": "",
        "group": "makers",
        "from": datetime(2026, 1, 1, tzinfo=UTC),
        "until": datetime(2026, 1, 31, 12, 30, 15, tzinfo=UTC),
        "reason": "",
        "scope": "project",
    },
    "group": {"name": "makers", "tags": {}},
    "people": [
        {"name": "u-1", "email": "one@example.org", "state": "active", "tags": {"external": True}},
        {"name": "u-2", "email": "two@elsewhere.example", "state": "disabled", "tags": {}},
    ],
    "paymentMethod": {"name": "", "tags": {}},
}


def ours(text: str, activation: dict[str, Any]) -> bool | str:
    expression = check(text, "grant")
    program = Program(expression)
    assert program.broken == ""
    values = Values(expression.patterns)
    for name, value in activation.items():
        values.set(name, value)
    answer = program.ask(values)
    return FAILED if isinstance(answer, Failed) else answer


def cel(value: Any) -> Any:
    if isinstance(value, datetime):
        return celtypes.TimestampType(value)
    if isinstance(value, dict):
        return celtypes.MapType({celtypes.StringType(key): cel(item) for key, item in value.items()})
    if isinstance(value, list):
        return celtypes.ListType([cel(item) for item in value])
    return json_to_cel(value)


def theirs(text: str, activation: dict[str, Any]) -> bool | str:
    environment = celpy.Environment()
    program = environment.program(environment.compile(text))
    try:
        answer = program.evaluate({name: cel(value) for name, value in activation.items()})
    except CELEvalError:
        return FAILED
    return bool(answer) if isinstance(answer, celtypes.BoolType) else FAILED


CORPUS = r"""
grant.role == "admin"
grant.role != 'admin' || grant.reason != ""
grant.role in ["admin", "user"]
grant.until - grant.from <= duration("720h")
grant.until - grant.from > duration("30d") || true
grant.until > timestamp("2026-01-01T00:00:00Z")
grant.from + duration("1h") < grant.until
has(grant.until) && has(grant.from)
!has(grant.until)
grant.until.getFullYear() == 2026 && grant.until.getMonth() == 0
grant.until.getDate() == 31 && grant.until.getDayOfMonth() == 30
grant.until.getDayOfWeek() == 6 && grant.until.getDayOfYear() == 30
grant.until.getHours() == 12 && grant.until.getMinutes() == 30 && grant.until.getSeconds() == 15
people.all(p, p.email.endsWith("@example.org"))
people.exists(p, p.state == "disabled")
people.exists_one(p, has(p.tags.external) && p.tags.external)
people.filter(p, p.state == "active").size() == 1
people.map(p, p.name) == ["u-1", "u-2"]
people.filter(p, p.state == "active").map(p, p.name) == ["u-1"]
size("ü") == 1 && size(project.tags.areas) == 2
"u-2" in people.map(p, p.name)
size(people) == 2 && people.size() < 3
people.all(p, project.access.exists(a, a.user == p.name))
people.exists(p, p.email.matches(r"@example\.org$"))
people[0].name == "u-1"
people[5].name == "u-1"
project.tags.level == 3
project.tags.level > 2 && project.tags.level * 2 == 6
project.tags.level + 1 == 4
project.tags.level % 2 == 1
project.tags.level / 2 == 1
-project.tags.level == -3
project.tags.share < 0.75
project.tags.share < project.tags.level && project.tags.share > 0
project.tags.share + 1.0 == 1.5 && project.tags.share * 2.0 >= 1.0
project.tags.share / 0.0 > 1.0
-project.tags.share < 0.0
string(project.tags.share) == "0.5" && int(project.tags.share) == 0
project.tags.secret
!project.tags.secret
project.tags.owner.contains("@")
project.tags.owner.startsWith("a@") && project.tags.owner.size() == 13
"a" in project.tags.areas && !("c" in project.tags.areas)
"level" in project.tags
"none" in project.tags
project.tags["level"] == 3
project.tags.none == 1
project.tags.none == 1 || true
true || project.tags.none == 1
false && project.tags.none == 1
project.tags.none == 1 && false
project.tags.none == 1 || false
project.tags.owner > 3
project.tags.owner
has(project.tags.none) ? project.tags.none == 1 : true
has(project.tags.level) ? project.tags.level == 3 : false
project.tags.areas + ["c"] == ["a", "b", "c"]
project.tags.areas.all(x, x < "c")
project.tags.areas.exists(x, x == "b")
project.tags.areas[1] == "b"
project.tenants.all(t, t.quotas.all(q, t.quotas[q] <= 4))
project.tenants[0].quotas.cores == 4
project.description.size() == 9
project.description == "Größe \\ ü"
project.description.contains(r"\ ü")
project.description == 'Gr\u00f6\u00dfe \\ \u00fc'
project.name + "-" + workspace.name == "prod-shop"
string(3) == "3" && int("4") == 4 && double("0.5") == 0.5
int("four") == 4
int(3.9) == 3
double(3) == 3.0
1 + 2 * 3 == 7 && (1 + 2) * 3 == 9
7 / 0 == 1
9223372036854775807 + 1 > 0
-9223372036854775807 - 2 < 0
7 % 0 == 1
0x10 == 16 && 1e3 == 1000.0 && .5 == 0.5
5 / -2 == -2 && 5 % -3 == 2
[] == [] && {} == {} && [1, 2] != [2, 1]
{"a": 1}.a == 1 && {"a": 1, "b": 2}["b"] == 2
"a" < "b" && "B" < "a" && "" < "a"
true ? false : true
!true || !false && true
'''a "quoted" text''' == "a \"quoted\" text"
r"\d" == "\\d"
"x" == "x" // a remark
null == null
duration("60m") == duration("1h") && duration("90s") > duration("1m")
timestamp("2026-01-01T01:00:00+01:00") == grant.from
timestamp("yesterday") < grant.from
""".strip().splitlines()


@pytest.mark.parametrize("text", CORPUS)
def test_an_expression_of_the_corpus_has_one_answer(text: str) -> None:
    assert ours(text, ACTIVATION) == theirs(text, ACTIVATION)


texts = st.sampled_from(
    ['"admin"', '""', '"u-1"', '"ü"', "grant.role", "grant.user", "project.name", "grant.scope"]
)
numbers = st.sampled_from(["0", "1", "-3", "size(people)", "size(grant.role)", "7", "9223372036854775807"])
doubles = st.sampled_from(["0.0", "0.5", "-1e3", "double(size(people))", "project.tags.e"])
text_tags = st.sampled_from(["project.tags.a", 'project.tags["a"]', "group.tags.a"])
instants = st.sampled_from(["grant.from", "grant.until", 'timestamp("2026-02-01T00:00:00Z")'])
atoms = st.one_of(
    st.builds("{} {} {}".format, texts, st.sampled_from(["==", "!=", "<", ">=", "<=", ">"]), texts),
    st.builds("{} {} {}".format, numbers, st.sampled_from(["==", "!=", "<", ">="]), numbers),
    st.builds("{} {} {} > {}".format, numbers, st.sampled_from(["+", "-", "*", "/", "%"]), numbers, numbers),
    st.builds("{} == {}".format, text_tags, texts),
    st.builds("project.tags.b {} {}".format, st.sampled_from(["==", "<", ">="]), numbers),
    st.builds("project.tags.e {} {}".format, st.sampled_from(["==", "!=", "<", ">="]), doubles),
    st.builds("project.tags.e {} {} > 0.5".format, st.sampled_from(["+", "-", "*"]), doubles),
    # 0.0 / 0.0 is no number: no answer for us, and greater than everything for the other one.
    st.builds("project.tags.e / {} > 0.5".format, st.sampled_from(["0.5", "-1e3"])),
    st.builds("{} in project.tags.c".format, texts),
    st.just("group.tags.d"),
    st.builds("{} {} {}".format, instants, st.sampled_from(["<", "==", ">="]), instants),
    st.builds("{} - {} < duration('24h')".format, instants, instants),
    st.builds("{}.{}({})".format, texts, st.sampled_from(["contains", "startsWith", "endsWith"]), texts),
    st.sampled_from(["has(project.tags.a)", "has(grant.until)", '"b" in project.tags', "true", "false"]),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=8,
)
over_people = st.builds(
    "{}people.{}(p, {}p.{} {} {})".format,
    st.sampled_from(["", "!"]),
    st.sampled_from(["all", "exists", "exists_one"]),
    st.sampled_from(["", "!has(p.tags.external) && ", "p.name != grant.role || "]),
    st.sampled_from(["name", "email", "state"]),
    st.sampled_from(["==", "!=", "<"]),
    texts,
)
words = st.sampled_from(["", "admin", "u-1", "ü", "prod", "Zürich\n", "\U0001f600"])
tags = st.fixed_dictionaries(
    {},
    optional={
        "a": words,
        "b": st.integers(-(2**40), 2**40),
        "c": st.lists(words, max_size=2),
        "d": st.booleans(),
        "e": st.floats(-1e9, 1e9),
        "external": st.booleans(),
    },
)
instant = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)
activations = st.fixed_dictionaries(
    {
        "grant": st.fixed_dictionaries(
            {"role": words, "user": words, "scope": words}, optional={"from": instant, "until": instant}
        ),
        "project": st.fixed_dictionaries({"name": words, "tags": tags}),
        "group": st.fixed_dictionaries({"tags": tags}),
        "people": st.lists(
            st.fixed_dictionaries({"name": words, "email": words, "state": words, "tags": tags}), max_size=3
        ),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(conditions, over_people), activations)
def test_whatever_is_asked_of_whatever_has_one_answer(text: str, activation: dict[str, Any]) -> None:
    assert ours(text, activation) == theirs(text, activation)
