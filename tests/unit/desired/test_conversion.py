"""What conversion promises: what was written in an earlier way means the same, and is told with its place."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

import pytest

from example_vendor import BASE, NOW, PROJECT, VOCABULARY
from hanse.desired.conversion import EarlierVersion, Moved, convert
from hanse.desired.intents import intents
from hanse.desired.kinds import API_VERSION, EARLIER_VERSIONS, Document
from hanse.desired.load import Loaded, load, sound_documents
from hanse.desired.vocabulary import Vocabulary
from hanse.foundation.diagnostics import render


def first_to_second(value: dict[str, Any]) -> dict[str, Any]:
    """Projects were called applications, and a tenant's platform was its cloud."""
    if value.get("kind") == "Application":
        value["kind"] = "Project"
    for row in value.get("tenants", ()):
        row["cloud"] = row.pop("on")
    return value


def second_to_third(value: dict[str, Any]) -> dict[str, Any]:
    for row in value.get("tenants", ()):
        row["platform"] = row.pop("cloud")
    return value


EARLIER = {
    "hanse/v1alpha1": EarlierVersion("hanse/v1beta1", first_to_second),
    "hanse/v1beta1": EarlierVersion(API_VERSION, second_to_third),
}
CIRRUS = dataclasses.replace(
    VOCABULARY.vendors["cirrus"],
    moved=(
        Moved("Platform", ("cirrus", "namePattern"), ("cirrus", "naming")),
        Moved("Platform", ("costCenter",), ("tags", "costCenter")),
    ),
)
LANGUAGE = Vocabulary({**VOCABULARY.vendors, "cirrus": CIRRUS}, EARLIER)


def read(files: dict[str, str]) -> Loaded:
    return load({path: text.encode() for path, text in files.items()}, LANGUAGE, NOW)


def told(files: dict[str, str]) -> list[str]:
    return [render(found) for found in read(files).diagnostics]


def test_the_present_version_is_the_one_that_the_types_take() -> None:
    assert get_args(get_type_hints(Document)["api_version"]) == (API_VERSION,)
    assert API_VERSION not in EARLIER_VERSIONS


@pytest.mark.parametrize("version", [None, 1, "hanse/v9", "v1", ["hanse/v1beta1"]])
def test_what_is_not_listed_is_left_as_it_is(version: Any) -> None:
    document = {"apiVersion": version, "kind": "Project", "tenants": [{"cloud": "a"}]}
    assert convert(document, EARLIER, {}).value is document


def test_an_earlier_version_means_the_same_and_is_told_with_file_and_line() -> None:
    old = (
        PROJECT.replace("hanse/v1", "hanse/v1alpha1")
        .replace("kind: Project", "kind: Application")
        .replace("platform:", "on:")
    )
    assert old != PROJECT
    assert "on:" in old
    line = old.split("\n").index("apiVersion: hanse/v1alpha1") + 1
    deprecated = "warning: apiVersion hanse/v1alpha1 is deprecated; it is read as hanse/v1"
    assert told({"base.yaml": BASE, "prod.yaml": old}) == [
        f"prod.yaml:{line}:1: {deprecated}; write it as hanse/v1"
    ]
    now = intents(read({"base.yaml": BASE, "prod.yaml": PROJECT}).manifest)
    assert intents(read({"base.yaml": BASE, "prod.yaml": old}).manifest) == now
    assert len(now) > 1


NORTH = "kind: Platform, name: north, credential: north, cirrus: {region: n1}"
MOVED = BASE.replace(
    NORTH,
    "kind: Platform, name: north, credential: north, costCenter: '7', cirrus: {namePattern: 'x-{project}', region: n1}",
)


def test_a_field_that_has_moved_means_the_same_and_is_told_where_it_was_written() -> None:
    loaded = read({"base.yaml": MOVED, "prod.yaml": PROJECT})
    line, text = next((n, t) for n, t in enumerate(MOVED.split("\n"), 1) if "namePattern" in t)
    cost, pattern = text.index("costCenter") + 1, text.index("namePattern") + 1
    assert [render(found) for found in loaded.diagnostics] == [
        f"base.yaml:{line}:{cost}: warning: 'costCenter' is deprecated; write it as 'tags.costCenter'",
        f"base.yaml:{line}:{pattern}: warning: 'cirrus.namePattern' is deprecated; write it as 'cirrus.naming'",
    ]
    north = loaded.manifest.platforms["north"]
    assert north.tags == {"costCenter": "7"}
    assert LANGUAGE.blocks(north)["cirrus"].naming == "x-{project}"  # type: ignore[attr-defined]


def test_what_is_outdated_is_told_again_each_time_and_never_hidden_by_a_cache() -> None:
    assert "base.yaml" not in read({"base.yaml": MOVED, "prod.yaml": PROJECT}).rows
    assert "prod.yaml" in read({"base.yaml": MOVED, "prod.yaml": PROJECT}).rows


def test_an_outdated_file_is_sound_for_whoever_reads_it_alone() -> None:
    documents = sound_documents(MOVED.encode(), LANGUAGE)
    assert documents is not None
    assert len(documents) == MOVED.count("kind:")


def test_a_mistake_in_a_field_that_moved_is_told_where_it_was_written() -> None:
    wrong = MOVED.replace("namePattern: 'x-{project}'", "namePattern: 7")
    (mistake,) = [found for found in read({"base.yaml": wrong}).diagnostics if found.severity == "error"]
    assert mistake.place is not None
    assert "namePattern" in wrong.split("\n")[mistake.place.line - 1]
    assert mistake.message == "cirrus.naming: expected text, got the number 7"


def test_who_writes_both_the_earlier_and_the_present_field_is_told_to_keep_one() -> None:
    both = MOVED.replace("namePattern: 'x-{project}'", "namePattern: 'x-{project}', naming: y")
    errors = [found for found in read({"base.yaml": both}).diagnostics if found.severity == "error"]
    assert [(e.code, e.advice) for e in errors] == [("deprecated-twice", "keep 'cirrus.naming' alone")]


def test_a_version_that_leads_nowhere_cannot_be_joined() -> None:
    for wrong in (
        {"hanse/v0": EarlierVersion("hanse/v0", lambda value: value)},
        {"hanse/v0": EarlierVersion("hanse/v9", lambda value: value)},
    ):
        with pytest.raises(ValueError, match="hanse/v0 leads to"):
            Vocabulary({}, wrong)
