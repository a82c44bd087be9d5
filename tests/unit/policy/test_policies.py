"""What policies promise: each `on` and variable, what people are told of mistakes, and that hostile ones end soon."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from example_vendor import BASE, loaded
from hanse.desired.manifest import Id, Manifest
from hanse.foundation.diagnostics import render
from hanse.policy import check_policies
from hanse.policy.checking import check
from hanse.policy.rules import MAX_KEPT, MAX_TOLD
from hanse.policy.syntax import Wrong

TAGS = """
---
{apiVersion: hanse/v1, kind: TagDefinition, name: tier, kinds: [Platform], type: number}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: open, kinds: [LandingZone], type: boolean}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: external, kinds: [User], type: boolean}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: owner, kinds: [PaymentMethod, Project, Workspace]}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: cost, kinds: [PaymentMethod]}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: line, kinds: [Workspace]}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: areas, kinds: [Project], type: multi-select, values: [b, c, a]}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: level, kinds: [Project], type: number}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: share, kinds: [Project], type: number}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: secret, kinds: [Project], type: boolean}
---
{apiVersion: hanse/v1, kind: TagDefinition, name: risk, kinds: [Project], type: select, values: [low, high],
 default: low}
"""
WORLD = (
    TAGS
    + """---
{apiVersion: hanse/v1, kind: Location, name: fra, displayName: Frankfurt, jurisdiction: EU, tags: {dc: one}}
---
{apiVersion: hanse/v1, kind: Platform, name: west, credential: west, location: fra, tags: {tier: 1},
 cirrus: {region: w}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: sandbox, platform: west, deletion: automatic, tags: {open: true}}
---
{apiVersion: hanse/v1, kind: PaymentMethod, name: card, tags: {cost: "1", owner: card}}
---
{apiVersion: hanse/v1, kind: Workspace, name: lab, displayName: Laboratory, tags: {owner: lab, line: w},
 access: [{user: u-1, role: workspace-owner}]}
---
{apiVersion: hanse/v1, kind: User, name: u-4, displayName: Four, email: four@example.org, tags: {external: true},
 externalIds: {cirrus: four}}
---
{apiVersion: hanse/v1, kind: Group, name: crew, displayName: The crew, tags: {kind: "on-call"}, members: [u-4, u-1]}
---
apiVersion: hanse/v1
kind: Project
name: dev
workspace: lab
displayName: Development
description: to try things
paymentMethod: card
tags: {owner: dev, areas: [b, a], level: 3, share: 0.5, secret: false}
access:
  - {group: crew, role: admin, from: 2026-01-01T00:00:00Z, until: 2026-02-01T00:00:00Z, reason: CHG-1}
  - {user: u-2, role: reader}
tenants:
  - {platform: west, landingZone: sandbox, quotas: {cores: 4}, localChanges: report, native: {id: n-1}}
  - {platform: north, landingZone: production}
---
{apiVersion: hanse/v1, kind: Grant, name: g-1, workspace: lab, project: dev, user: u-4, role: user}
---
{apiVersion: hanse/v1, kind: Grant, name: g-2, user: u-3, role: organization-admin}
"""
)


def policy(**fields: Any) -> str:
    document = {"apiVersion": "hanse/v1", "kind": "Policy", "name": "rule", "message": "it must not be"}
    return json.dumps({**document, **fields}) + "\n"


def manifest(*policies: str) -> Manifest:
    found = loaded({"world.yaml": BASE + WORLD, "policies.yaml": "---\n".join(policies)})
    assert [d for d in found.diagnostics if d.severity == "error"] == []
    return found.manifest


def told(on: str, require: str, **fields: Any) -> list[str]:
    return [render(finding) for finding in check_policies(manifest(policy(on=on, require=require, **fields)))]


TRUE = {
    "organization": [
        'organization.name == "example" && organization.timezone == "Europe/Berlin" && organization.displayName == ""',
        'organization.access.exists(a, a.user == "u-3" && a.scope == "organization")',
    ],
    "workspace": [
        'workspace.name in ["lab", "shop"]',
        'workspace.name != "lab" || (workspace.displayName == "Laboratory" && workspace.tags.line == "w")',
        'workspace.name != "lab" || workspace.access.all(a, a.role == "workspace-owner" && a.scope == "workspace")',
        'organization.name == "example"',
    ],
    "project": [
        'project.name == "dev" && project.workspace == "lab" && project.displayName == "Development"',
        'project.description == "to try things" && project.paymentMethod == "card" && paymentMethod.name == "card"',
        'paymentMethod.workspace == "" && paymentMethod.tags.cost == "1" && paymentMethod.displayName == ""',
        'project.tags.owner == "dev" && project.tags.line == "w" && project.tags.cost == "1"',
        'project.tags.areas == ["a", "b"] && project.tags.level == 3 && !project.tags.secret',
        'project.tags.share == 0.5 && project.tags.share < project.tags.level && project.tags.risk == "low"',
        'project.access.size() == 3 && project.access.exists(a, a.user == "u-4")',
        'project.tenants.map(t, t.platform) == ["north", "west"]',
    ],
    "tenant": [
        "tenant.platform == platform.name && tenant.landingZone == landingZone.name",
        'platform.name != "west" || (location.jurisdiction == "EU" && location.displayName == "Frankfurt")',
        'platform.name != "west" || (location.tags.dc == "one" && platform.location == location.name)',
        'platform.name != "north" || (location.name == "" && platform.location == "" && location.tags == {})',
        'platform.name != "west" || (tenant.quotas.cores == 4 && tenant.native == "n-1")',
        'platform.name != "west" || (tenant.localChanges == "report" && platform.tags.tier == 1)',
        'platform.name != "west" || (landingZone.deletion == "automatic" && landingZone.tags.open)',
        'platform.localChanges == "rollback" && landingZone.localChanges == "" && platform.credential != ""',
        'platform.displayName == "" && landingZone.displayName == "" && project.name == "dev"',
    ],
    "grant": [
        'grant.group != "crew" || grant.until - grant.from == duration("744h")',
        'grant.group != "crew" || (grant.role == "admin" && grant.reason == "CHG-1" && grant.scope == "project")',
        'grant.group != "crew" || people.map(p, p.name) == ["u-1", "u-4"]',
        'grant.group != "crew" || (group.name == "crew" && group.tags.kind == "on-call" && group.displayName != "")',
        'grant.user != "u-4" || people.all(p, p.email == "four@example.org" && p.displayName == "Four")',
        'grant.user != "u-4" || people.all(p, p.state == "active" && p.tags.external '
        '&& p.externalIds.cirrus == "four")',
        'grant.user != "u-4" || (project.tags.owner == "dev" && !has(grant.until) && workspace.name == "lab")',
        'grant.user != "u-3" || (workspace.name == "" && project.name == "" && project.access.size() == 0)',
        'grant.user != "u-1" || (workspace.name == "lab" && project.name == "" && project.tags == {})',
    ],
}


@pytest.mark.parametrize(("on", "require"), [(on, text) for on, texts in TRUE.items() for text in texts])
def test_a_variable_has_what_the_manifest_says(on: str, require: str) -> None:
    assert told(on, require) == []
    assert told(on, f"!({require})") != []


@pytest.mark.parametrize(
    ("on", "when", "said"),
    [
        ("organization", "true", "base: error: organization example: it must not be (policy 'rule')"),
        (
            "workspace",
            'workspace.name == "lab"',
            "base: error: workspace lab: it must not be (policy 'rule')",
        ),
        ("project", "true", "base: error: project lab/dev: it must not be (policy 'rule')"),
        ("tenant", 'platform.name == "west"', "base: error: lab/dev on west: it must not be (policy 'rule')"),
        ("grant", 'group.name == "crew"', "error: grant of group crew as admin on lab/dev: it must not be"),
        (
            "grant",
            'grant.scope == "workspace"',
            "error: grant of u-1 as workspace-owner on lab: it must not be",
        ),
        ("grant", 'grant.user == "u-3"', "error: grant of u-3 as organization-admin on the organization: it"),
    ],
)
def test_what_breaks_a_policy_is_named(on: str, when: str, said: str) -> None:
    (found,) = told(on, "false", when=when)
    assert said.removeprefix("base: ") in found
    assert found.startswith("world.yaml:")


def test_the_place_is_the_row() -> None:
    lines = (BASE + WORLD).splitlines()
    (tenant,) = told("tenant", "false", when='platform.name == "west"')
    (grant,) = told("grant", "false", when='group.name == "crew"')
    for found, row in ((tenant, "{platform: west"), (grant, "{group: crew")):
        _, line, column, *_ = found.split(":")
        assert lines[int(line) - 1][int(column) - 1 :].startswith(row)


@pytest.mark.parametrize(
    ("on", "require", "at", "said"),
    [
        ("project", "projct.name == ''", 0, "has no variable 'projct'; did you mean 'project'?"),
        ("project", "grant.role == ''", 0, "has no variable 'grant'; only policies 'on: grant' have it"),
        ("project", "project.nam == ''", 8, "a project has no field 'nam'; did you mean 'name'?"),
        ("project", "project.name.sizee() == 1", 13, "there is no function 'sizee'; did you mean 'size'?"),
        ("project", "project.name", 8, "this gives a string, and it must give true or false; compare it"),
        ("project", "project.name = 'a'", 13, "'=' has no meaning here; write '==' to compare"),
        ("project", "project.name == 1", 13, "'==' stands between a string and an int; put it in quotes"),
        ("project", "(project.name == 'a'", 0, "this '(' is not closed; write ')' where what it holds ends"),
        ("project", "project.access.exists(a, a.role == 'x'", 21, "this '(' is not closed"),
        ("project", "project.access[0", 14, "this '[' is not closed; write ']'"),
        ("project", "project.name in ['a', 'b'", 16, "this '[' is not closed"),
        ("project", "!((project.name == 'a')", 1, "this '(' is not closed"),
        ("project", "(project.name == 'a'))", 21, "here is ')'; take it out, or write the bracket"),
        ("project", "project.name != 'a' and true", 20, "'and' is no word of CEL; write &&"),
        ("project", "project.name != 'a' OR true", 20, "'OR' is no word of CEL; write ||"),
        ("project", "(project.name != 'a' or true)", 21, "'or' is no word of CEL; write ||"),
        ("project", "true && not project.name == 'a'", 8, "'not' is no word of CEL; write !"),
        ("project", "not(project.name == 'a')", 0, "'not' is no word of CEL; write !"),
        ("project", "project.name not in ['a']", 13, "'not' is no word of CEL; write !"),
        ("project", "project.name == 'a", 16, "this text has no end; close it with '"),
        ("project", "project", 0, "this gives a project, and it must give true or false"),
        ("grant", "people == []", 0, "this is a list of person; ask it with all(x, …)"),
        ("grant", "people.email == ''", 7, "has no field 'email'; ask its elements with all(x, …)"),
        ("grant", "people.all(p.name, true)", 13, "the first argument of 'all' is a name for each element"),
        ("grant", "grant.until > '2026'", 12, "stands between a timestamp and a string; write timestamp("),
        (
            "grant",
            "has(grant)",
            0,
            "'has' asks whether a field is there; write has(project.tags.confidentiality)",
        ),
        ("project", "project.name.matches(project.workspace)", 29, "must be written down as it is"),
        (
            "project",
            r"project.name.matches(r'(?=a)')",
            21,
            "this is no regular expression, or too large a one",
        ),
        ("project", r"project.name == '\q'", 17, r"'\q' means nothing in a text"),
        ("project", "1u == 1", 1, "unsigned numbers have no use in a policy"),
        ("project", "b'a' == 'a'", 0, "bytes have no use in a policy"),
        ("project", "99999999999999999999 == 1", 0, "this number does not fit 64 bits"),
        ("project", "project.in == 1", 8, "'in' is a word of CEL"),
        ("project", "project.name == 'a' project", 20, "expected an operator such as && or =="),
        ("project", "!project.name", 9, "expected a bool, and this is a string; compare it with something"),
        ("project", "project.access.size() > '1'", 22, "take the quotes away"),
        ("project", "(" * 40 + "true" + ")" * 40, 32, "nested deeper than 32 levels"),
        ("project", "1" + " + 1" * 70 + " > 0", 254, "a chain of more than 64 parts"),
        ("project", " " * 5000 + "true", 4096, "longer than 4096 characters"),
    ],
)
def test_a_mistake_is_told_at_its_character(on: str, require: str, at: int, said: str) -> None:
    with pytest.raises(Wrong) as wrong:
        check(require, on)
    text = f"{wrong.value.message}; {wrong.value.advice}"
    assert said in text
    assert wrong.value.at == at


@pytest.mark.parametrize(
    "written",
    [
        "require: project.nam == ''",
        "require: \"project.nam == ''\"",
        "require: |\n  true &&\n  project.nam == ''\n",
    ],
)
def test_a_mistake_is_placed_in_the_file_however_it_is_written(written: str) -> None:
    head = "apiVersion: hanse/v1\nkind: Policy\nname: rule\non: project\nmessage: no\n"
    found = loaded({"world.yaml": BASE + WORLD, "p.yaml": head + written}).manifest
    (said,) = map(render, check_policies(found))
    _, line, column, *_ = said.split(":")
    assert (head + written).splitlines()[int(line) - 1][int(column) - 1 :].startswith("nam ==")


def test_an_unsound_policy_is_told_where_there_is_nothing_to_ask() -> None:
    found = loaded({"a.yaml": BASE, "p.yaml": policy(on="project", require="project.nam == ''")})
    assert [d.code for d in check_policies(found.manifest)] == ["policy-expression"]


@pytest.mark.parametrize(
    ("require", "said"),
    [
        (
            "project.tags.missing == 'x'",
            "project lab/dev: there is no 'missing'; ask first whether it is there: has(project.tags.missing)",
        ),
        (
            "project.tags['no-pe'] == 'x'",
            "'no-pe'; ask first whether it is there: \"no-pe\" in project.tags && …",
        ),
        ("project.tags.owner", "it gives 'dev', not true or false"),
        ("project.tags.owner > 3", "gets a value of another type than it takes"),
        ("7 / size(organization.access) - 7 == 1 / (size(project.access) - 3)", "it divides by zero"),
        ("project.access[7].role == 'admin'", "a list has no element of that number"),
        ("9223372036854775807 + size(project.name) > 0", "a number does not fit 64 bits"),
        (
            "timestamp(project.name) == timestamp('2026-01-01T00:00:00Z')",
            "timestamp() cannot read what it gets",
        ),
    ],
)
def test_no_answer_is_an_error_that_names_both_whatever_the_severity(require: str, said: str) -> None:
    (found,) = told("project", require, severity="warning")
    assert found.startswith("policies.yaml:1:")
    assert ": error: policy 'rule': require gives no answer" in found
    assert said in found


def test_values_of_two_types_are_unequal() -> None:
    assert told("project", "project.tags.owner != 3 && !(project.tags.level == 'x')") == []


def test_a_number_is_compared_with_any_number() -> None:
    """A person writes `level: 3` or `level: 3.0`, and a policy 3 or 3.5."""
    assert (
        told("project", "project.tags.level == 3.0 && project.tags.level < 3.5 && project.tags.share < 1")
        == []
    )


def test_the_size_of_a_text_counts_characters() -> None:
    assert told("project", "size('Größe') == 5 && 'ü'.size() == 1 && size(project.tags.areas) == 2") == []


def test_a_warning_stays_one() -> None:
    (found,) = check_policies(manifest(policy(on="project", require="false", severity="warning")))
    assert found.severity == "warning"


def test_of_many_findings_some_are_told_and_the_rest_counted() -> None:
    many = "".join(
        f"---\n{{apiVersion: hanse/v1, kind: Project, name: p{i}, workspace: shop}}\n"
        for i in range(MAX_TOLD + 7)
    )
    found = loaded({"a.yaml": BASE + many, "p.yaml": policy(on="project", require="false")})
    said = check_policies(found.manifest)
    assert len(said) == MAX_TOLD + 1
    assert said[-1].severity == "error"
    assert said[-1].message == "7 more are not told one by one: it must not be (policy 'rule')"


RULES = [
    policy(name="a", on="project", require='project.tags.owner == "lab"'),
    policy(name="b", on="tenant", require='location.jurisdiction == ""'),
    policy(name="c", on="grant", require='people.all(p, p.name != "u-4")'),
    policy(name="d", on="workspace", require='workspace.displayName != ""', severity="warning"),
    policy(name="e", on="grant", require="project.tags.level == 1"),
]


@settings(max_examples=30, deadline=None)
@given(st.permutations(RULES), st.permutations((BASE + WORLD).split("---")))
def test_the_order_of_policies_and_documents_means_nothing(rules: list[str], world: list[str]) -> None:
    def said(rules: list[str], world: list[str]) -> set[tuple[str, str]]:
        found = loaded({"world.yaml": "\n---\n".join(world), "policies.yaml": "---\n".join(rules)}).manifest
        return {(d.severity, d.message) for d in check_policies(found)}

    assert said(rules, world) == said(RULES, (BASE + WORLD).split("---"))


ALIKE = """
---
{{apiVersion: hanse/v1, kind: Project, name: p{n}, workspace: shop, tags: {{level: {level}, secret: {secret},
 areas: [{areas}]}}, access: [{access}], tenants: [{{platform: north, landingZone: production, quotas: {{{quotas}}}}}]}}
"""
ALIKE_RULES = [
    policy(name="a", on="project", require="string(project.tags.level) == '1'"),
    policy(name="b", on="project", require="1.0 / project.tags.level > 0.0", when="!project.tags.secret"),
    policy(name="c", on="project", require="project.tags.areas.all(x, x != 'c')"),
    policy(name="d", on="project", require="project.access.exists(a, a.role == 'admin' && !has(a.until))"),
    policy(
        name="e", on="grant", require="has(grant.until) && grant.until > timestamp('2026-03-01T00:00:00Z')"
    ),
    policy(name="f", on="tenant", require="has(tenant.quotas.cores) && tenant.quotas.cores > 1"),
    policy(name="g", on="grant", require="people.exists(p, p.name == 'm-3')", when="project.tags.secret"),
    policy(
        name="h", on="project", require="project.tenants.all(t, !has(t.quotas.cores) || t.quotas.cores > 1)"
    ),
]
LONG = [", ".join(f"m-{n}" for n in range(start, start + 18)) for start in (0, 5)]
GROUPS = "".join(f"---\n{{apiVersion: hanse/v1, kind: User, name: m-{n}}}\n" for n in range(23)) + "".join(
    f"---\n{{apiVersion: hanse/v1, kind: Group, name: long-{n}, members: [{names}]}}\n"
    for n, names in enumerate(LONG)
)
until = st.sampled_from(
    ["", ", until: 2026-02-01", ", until: 2026-04-01", ", from: 2026-01-01, until: 2026-04-01"]
)
row = st.builds(
    "{{{}, role: {}{}}}".format,
    st.sampled_from(["user: m-1", "user: m-17", "group: long-0", "group: long-1"]),
    st.sampled_from(["admin", "user"]),
    until,
)
alike = st.fixed_dictionaries(
    {
        "level": st.sampled_from(["1", "1.0", "0", "0.0", "-0.0"]),
        "secret": st.sampled_from(["true", "false"]),
        "areas": st.lists(st.sampled_from("abc"), min_size=1, unique=True).map(", ".join),
        "access": st.lists(row, max_size=20, unique=True).map(", ".join),
        "quotas": st.sampled_from(["", "cores: 1", "cores: 2", "cores: 1, ramGiB: 2"]),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(alike, min_size=2, max_size=8), st.sampled_from([2, MAX_KEPT]))
def test_what_one_is_told_has_nothing_to_do_with_the_others(
    projects: list[dict[str, str]], kept: int
) -> None:
    """Answers are remembered, for all that are alike in what a policy names: so only for these."""
    world = "".join(ALIKE.format(n=n, **fields) for n, fields in enumerate(projects))
    files = {"a.yaml": BASE + TAGS + GROUPS + world, "p.yaml": "---\n".join(ALIKE_RULES)}
    found = loaded(files).manifest
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hanse.policy.rules.MAX_KEPT", kept)
        patched.setattr("hanse.policy.rules.MAX_NAMED", 1000)
        together = verdicts(found, None)
        alone = [verdicts(found, {("Project", "shop", f"p{n}")}) for n in range(len(projects))]
    assert together == set().union(*alone)


def verdicts(found: Manifest, changed: set[Id] | None) -> set[str]:
    """What is told of each, one by one, those among them of whom there is no answer."""
    told: set[str] = set()
    for finding in check_policies(found, lambda one: changed is None or one in changed):
        head, for_, rest = finding.message.partition(" gives no answer for ")
        names, _, reason = rest.partition(": ")
        told |= {f"{head}{name}{reason}" for name in names.split(", ")} if for_ else {head}
    return told


def test_only_what_stands_in_the_documents_that_are_asked_is_told() -> None:
    found = manifest(*RULES)
    assert check_policies(found, lambda _: False) == []
    everything = check_policies(found)
    told = [check_policies(found, lambda one, item=item: one == item) for item in found._declared]  # type: ignore[misc]
    assert {d for d in everything if d.code == "policy"} == {
        d for some in told for d in some if d.code == "policy"
    }


HOSTILE = [
    "(" * 100_000 + "1" + ")" * 100_000,
    "[" * 2000 + "]" * 2000,
    "!" * 4000 + "true",
    "-" * 4000 + "1 > 0",
    "true" + " && true" * 500,
    "1" + "+1" * 2000 + " > 0",
    "project" + ".tags" * 800,
    "project.tags" + "['a']" * 800,
    "true ? " * 400 + "true",
    "!!(!!!!!!(!!!!(((((!!(!!(!!!!((" * 100,
    "people.all(a, people.all(b, people.all(c, people.all(d, a.name == b.name || c.name == d.name))))",
    "people" + ".map(x, people)" * 20 + " == []",
    "people.filter(x, people.filter(y, people.filter(z, true).size() > 0).size() > 0).size() > 0",
    '["aaaaaaaaaaaaaaaaaaaaaaaaaaa"]' + ".map(x, x + x)" * 60 + ".size() == 1",
    "[[1]]" + ".map(x, x + x)" * 60 + ".size() == 1",
    "[1]" + ".map(x, [x, x])" * 60 + " == []",
    "people.map(p, p.name) == people.map(q, q.name)",
    r"people.all(p, p.name.matches(r'(\pL{100}){100}'))",
    r"people.all(p, p.name.matches(r'(((a{90}){90}){90}){90}'))",
    r"people.all(p, p.name.matches(r'(a+)+$'))",
    "people.all(p, '" + "a" * 3000 + "'.contains(p.name))",
    "9" * 4000 + " > 0",
    "1e999 > 0.0 && -1e999 < 0.0",
    "duration('" + "9" * 400 + "h') > duration('1s')",
    "timestamp('9999-12-31T23:59:59Z') + duration('99999999h') > timestamp('0001-01-01T00:00:00Z')",
    "int(1e300) > 0 || double('" + "9" * 1000 + "') > 0.0",
    "'" + "\\u00fc" * 600 + "' == 'a'",
    "\u0000\ud7ff\U0010ffff",
]
SCRIPT = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
sys.path.insert(0, sys.argv[1])
from example_vendor import BASE, loaded
from hanse.policy import check_policies
from hanse.foundation.diagnostics import render
import json
people = [f"m-{i}" for i in range(1500)]
many = "".join(f"---\\n{{apiVersion: hanse/v1, kind: User, name: {name}}}\\n" for name in people)
many += f"---\\n{{apiVersion: hanse/v1, kind: Group, name: all, members: [{', '.join(people)}]}}\\n"
many += "---\\n{apiVersion: hanse/v1, kind: Project, name: a, workspace: shop, access: [{group: all, role: admin}]}\\n"
document = {"apiVersion": "hanse/v1", "kind": "Policy", "name": "p", "on": "grant", "message": "no"}
texts = json.load(sys.stdin)
base = loaded({"a.yaml": BASE + many})
size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
for text in texts:
    policy = json.dumps({**document, "require": text})
    manifest = loaded({"a.yaml": BASE + many, "p.yaml": policy}).manifest
    began = time.process_time()
    said = check_policies(manifest)
    print(json.dumps([round(time.process_time() - began, 2), [render(d)[:200] for d in said]]))
print(json.dumps([(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size) // 1024, []]))
"""


def test_hostile_expressions_end_soon_and_take_little_memory() -> None:
    tests = next(path for path in sys.path if path.endswith("tests"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tests],
        input=json.dumps(HOSTILE),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *each, (grown, _) = map(json.loads, done.stdout.splitlines())
    assert len(each) == len(HOSTILE)
    slow = [(text[:60], seconds) for text, (seconds, _) in zip(HOSTILE, each, strict=True) if seconds > 2]
    assert slow == []
    assert grown < 200, "MiB"


def test_what_is_gone_through_again_and_again_uses_steps_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two projects in turn, each with many grants: there are two answers, and yet it takes."""
    people = [f"m-{n}" for n in range(300)]
    world = "".join(f"---\n{{apiVersion: hanse/v1, kind: User, name: {name}}}\n" for name in people)
    access = ", ".join(f"{{user: {name}, role: user}}" for name in people)
    world += "".join(
        f"---\n{{apiVersion: hanse/v1, kind: Project, name: p{n}, workspace: shop, access: [{access}]}}\n"
        for n in range(2)
    )
    rule = policy(on="grant", require="project.access.exists(a, a.role == 'user')")
    found = loaded({"a.yaml": BASE + world, "p.yaml": rule}).manifest
    assert check_policies(found) == []
    monkeypatch.setattr("hanse.policy.rules.MAX_TOTAL", 500_000)
    assert [finding.code for finding in check_policies(found)] == ["policy-cost"]
