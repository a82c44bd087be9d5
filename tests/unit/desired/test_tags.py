"""What tags mean: which of them a tenant carries, in which form, and how they are checked without being held up."""

from __future__ import annotations

import time

import msgspec
import pytest

from example_vendor import BASE, loaded, said
from hanse.desired.intent import Intent
from hanse.desired.intents import intents
from hanse.desired.tags import Tagged, effective_tags, single_text, text_of
from hanse.foundation.canonical import encode
from hanse.model import Tenant, WorkspaceOn

HEAD = "apiVersion: hanse/v1, kind:"
DEFINED = f"""
{{{HEAD} TagDefinition, name: stage, kinds: [Project], type: select, values: [dev, prod], default: dev}}
---
{{{HEAD} TagDefinition, name: unit, kinds: [Workspace, PaymentMethod, Project]}}
---
{{{HEAD} TagDefinition, name: norms, kinds: [Workspace, Project], type: multi-select, values: [a, b, c], default: [c]}}
---
{{{HEAD} TagDefinition, name: secret, kinds: [Project, Platform], type: boolean, default: false}}
---
{{{HEAD} TagDefinition, name: size, kinds: [Project, User], type: number}}
"""
OWNER = Tenant("north", "shop", "prod")


def manifest(
    project: str = "{}", workspace: str = "{}", method: str = "{}", defined: str = DEFINED
) -> dict[str, str]:
    """A project with these tags, its workspace and its payment method with these."""
    base = BASE.replace("kind: Workspace, name: shop}", f"kind: Workspace, name: shop, tags: {workspace}}}")
    return {
        "base.yaml": base,
        "defined.yaml": defined,
        "method.yaml": f"{{{HEAD} PaymentMethod, name: cc, tags: {method}}}",
        "prod.yaml": f"{{{HEAD} Project, name: prod, workspace: shop, paymentMethod: cc, tags: {project}, "
        "tenants: [{platform: north, landingZone: production}]}",
    }


def wanted(project: str = "{}", workspace: str = "{}", method: str = "{}", defined: str = DEFINED) -> Intent:
    """What is wanted of the project's tenant."""
    result = loaded(manifest(project, workspace, method, defined))
    assert result.diagnostics == []
    return intents(result.manifest)[OWNER]


def test_the_project_wins_over_the_payment_method_and_that_over_the_workspace() -> None:
    assert wanted("{unit: p}", "{unit: w}", "{unit: m}").tags["unit"] == "p"
    assert wanted("{}", "{unit: w}", "{unit: m}").tags["unit"] == "m"
    assert wanted("{}", "{unit: w}").tags["unit"] == "w"
    assert "unit" not in wanted().tags


def test_a_default_holds_where_nobody_says_anything_and_gives_way_to_what_is_inherited() -> None:
    assert wanted().tags == {"stage": "dev", "norms": ("c",), "secret": "false"}
    assert wanted("{stage: prod}").tags["stage"] == "prod"
    assert wanted(workspace="{norms: [a]}").tags["norms"] == ("a",)


def test_choosing_nothing_takes_the_tag_away() -> None:
    assert "norms" not in wanted("{norms: []}", "{norms: [a]}").tags


def test_free_tags_are_inherited_too() -> None:
    assert wanted("{a: p}", "{a: w, b: w}", "{b: m, c: m}", defined="").tags == {"a": "p", "b": "m", "c": "m"}


def test_the_workspace_on_a_platform_carries_its_own() -> None:
    result = loaded(manifest("{unit: p}", "{unit: w}"))
    assert intents(result.manifest)[WorkspaceOn("north", "shop")].tags == {"unit": "w", "norms": ("c",)}


def test_other_documents_have_their_own_tags_and_defaults() -> None:
    found = loaded(manifest()).manifest
    platform: Tagged = found.platforms["north"]
    assert effective_tags(found, platform) == {"secret": False}
    assert effective_tags(found, found.users["u-1"]) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{size: 5}", "{size: 5.0}"),
        ("{size: 0.5}", "{size: 5e-1}"),
        ("{size: 100000000000000000}", "{size: 1e17}"),
        ("{size: 0}", "{size: -0.0}"),
        ("{norms: [a, b]}", "{norms: [b, a, b]}"),
        ("{secret: true, stage: prod}", "{stage: prod, secret: true}"),
        ("{stage: dev}", "{}"),
    ],
)
def test_tags_that_mean_the_same_make_one_digest(one: str, other: str) -> None:
    assert wanted(one).digest == wanted(other).digest


def test_a_value_has_one_form_as_text() -> None:
    assert [single_text(value) for value in (True, False, 7, 7.0, 0.1, 1e300, "01")] == [
        "true", "false", "7", "7", "0.1", "1e+300", "01",
    ]  # fmt: skip
    assert text_of(("a", "b")) == ("a", "b")


def test_an_intent_with_several_values_that_was_stored_equals_one_that_was_just_made() -> None:
    intent = wanted("{norms: [a, b]}")
    assert msgspec.json.decode(encode(intent), type=Intent) == intent


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a|a?)+$", "(.*a){25}", "(a?){200}a{200}"])
def test_no_pattern_holds_up_the_check(pattern: str) -> None:
    defined = f"{{{HEAD} TagDefinition, name: unit, kinds: [Project], pattern: '{pattern}'}}"
    begin = time.process_time()
    (told,) = said(manifest(f"{{unit: '{'a' * 99}!'}}", defined=defined))
    assert "does not match" in told
    assert time.process_time() - begin < 1


def test_many_huge_patterns_hold_up_nothing() -> None:
    definition = f"{{{HEAD} TagDefinition, name: unit-%d, kinds: [User], pattern: '(%d|\\p{{L}}){{1,8}}'}}\n"
    begin = time.process_time()
    told = said({"base.yaml": BASE, "all.yaml": "---\n".join(definition % (n, n) for n in range(1000))})
    assert len(told) == 900
    assert "more than 100 tags have a pattern" in told[0]
    assert time.process_time() - begin < 10


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        ("[0-9]{4}", "4711", "47110"),
        ("a|b", "b", "ab"),
        (r"\d+", "12", "١٢"),
        (r"\p{Lu}\p{L}*", "Ärger", "ärger"),
        ("(?i)chg-[0-9]+", "CHG-1", "CHG-"),
        ("^x$", "x", "xx"),
        (".{1,200}", "é" * 200, "é" * 201),
        ("x", "x", "x\\n"),
    ],
)
def test_a_pattern_must_match_the_whole_text(pattern: str, fits: str, fails: str) -> None:
    defined = f"{{{HEAD} TagDefinition, name: unit, kinds: [Project], pattern: '{pattern}'}}"
    assert said(manifest(f'{{unit: "{fits}"}}', defined=defined)) == []
    (told,) = said(manifest(f'{{unit: "{fails}"}}', defined=defined))
    assert "does not match" in told


@pytest.mark.parametrize(
    "address", ["a@example.org", "a.b+c@sub.example.org", "me@localhost", "ü@bücher.example"]
)
def test_an_address_is_one(address: str) -> None:
    defined = f"{{{HEAD} TagDefinition, name: unit, kinds: [Project], type: email}}"
    assert said(manifest(f'{{unit: "{address}"}}', defined=defined)) == []


@pytest.mark.parametrize(
    "text", ["a", "@example.org", "a@", "a@b@c", "a b@example.org", "a@example.org\\n", "a@x..y"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    defined = f"{{{HEAD} TagDefinition, name: unit, kinds: [Project], type: email}}"
    (told,) = said(manifest(f'{{unit: "{text}"}}', defined=defined))
    assert "is no e-mail address" in told


def test_tags_of_an_unsound_definition_are_not_called_unknown() -> None:
    defined = DEFINED.replace("type: number", "type: nmber")
    (told,) = said(manifest("{size: 5}", defined=defined))
    assert "nmber" in told


def test_a_landing_zone_that_asks_for_a_free_tag_takes_who_has_it() -> None:
    files = manifest("{team: blue}", defined="")
    files["base.yaml"] = files["base.yaml"].replace(
        "platform: north, cirrus", "platform: north, requiredTags: {team: [blue]}, cirrus"
    )
    assert said(files) == []
    files["prod.yaml"] = files["prod.yaml"].replace("blue", "red")
    (told,) = said(files)
    assert "is only for projects whose tag 'team' is 'blue', and shop/prod has 'red'" in told
    assert "no other landing zone fits" in told


def test_a_platform_that_maps_tags_is_told_nothing_while_none_are_defined() -> None:
    files = manifest(defined="")
    files["base.yaml"] = files["base.yaml"].replace("region: n1", "region: n1, tags: {anything: x}")
    assert said(files) == []
    files["defined.yaml"] = DEFINED
    (told,) = said(files)
    assert "warning: no project can have the tag 'anything'" in told
