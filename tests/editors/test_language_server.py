"""An editor with the schema of `hanse schema` knows kinds and fields, and says at once where something is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import yaml_language_server
from hanse.desired.load import is_manifest
from hanse.desired.reference import shape
from hanse.desired.schema import schema
from hanse.main import language
from yaml_language_server import Editor

from_npm = True
EXAMPLE = Path(__file__).parents[2] / "src/hanse/demo/example"
KINDS = language().vocabulary.kinds
HEAD = "apiVersion: hanse/v1\nkind: Project\n"

BROKEN = """\
apiVersion: hanse/v1
kind: Project
name: Beta_2
workspace: shop
diplayName: Beta
access:
  - {group: makers, rolle: admin}
  - user: u-1
    role: 5
---
apiVersion: hanse/v1
kind: Porject
---
apiVersion: hanse/v2
kind: Group
name: makers
members: u-1
---
apiVersion: hanse/v1
kind: Platform
name: north
credential: north
openstack: {users: {domain: people}}
---
apiVersion: hanse/v1
kind: LandingZone
name: production
platform: north
deletion: never
kubernetes: {podSecurity: lax, quotas: {max: {cores: -1}}}
---
kind: Role
"""
SAID = [
    "3:7: Use 1 to 63 of a-z, 0-9 and '-'; no '-' at either end.",
    "5:1: Property diplayName is not allowed.",
    '7:5: Missing property "role".',
    "7:21: Property rolle is not allowed.",
    '9:11: Incorrect type. Expected "string".',
    f"12:7: Value is not accepted. Valid values: {', '.join(json.dumps(kind) for kind in KINDS)}.",
    '14:13: Value is not accepted. Valid values: "hanse/v1".',
    '17:10: Incorrect type. Expected "array".',
    '23:13: Missing property "externalId".',
    '29:11: Value is not accepted. Valid values: "approval", "automatic".',
    '30:27: Value is not accepted. Valid values: "baseline", "privileged", "restricted", null.',
    "30:54: Value is below the minimum of 0.",
    '32:1: Missing property "apiVersion".',
    '32:1: Missing property "name".',
    '32:1: Missing property "scope".',
]


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """An editor that knows the schema."""
    path = tmp_path_factory.mktemp("schema") / "hanse.schema.json"
    path.write_text(json.dumps(schema(KINDS)))
    with yaml_language_server.start(path) as running:
        yield running


def test_nothing_is_wrong_with_the_example(editor: Editor) -> None:
    texts = {
        str(path.relative_to(EXAMPLE)): path.read_text()
        for path in EXAMPLE.rglob("*")
        if is_manifest(path.name) and "kubernetes-production-objects" not in path.parts
    }
    found = editor.checked(texts)
    assert len(found) > 30
    assert {path: told for path, told in found.items() if told} == {}


def test_what_is_wrong_is_told_where_it_stands(editor: Editor) -> None:
    (found,) = editor.checked({"broken.yaml": BROKEN}).values()
    assert sorted(found, key=lambda told: ([*map(int, told.split(":")[:2])], told)) == SAID


def test_an_empty_document_is_begun_with_its_version_and_kind(editor: Editor) -> None:
    assert {"apiVersion", "kind"} <= editor.offered("", 1, 1).keys()


def test_kinds_are_offered_with_what_they_are(editor: Editor) -> None:
    offered = editor.offered("apiVersion: hanse/v1\nkind: \n", 2, 7)
    assert offered == {name: shape(kind).doc for name, kind in KINDS.items()}


def test_fields_of_just_this_kind_are_offered(editor: Editor) -> None:
    offered = editor.offered(f"{HEAD}name: prod\n\n", 4, 1)
    fields = {field.name for field in shape(KINDS["Project"]).fields}
    assert fields - {"apiVersion", "name"} <= offered.keys()
    assert {"members", "credential", "scope"} & offered.keys() == set()
    assert offered["tenants"] == "Its places on platforms, at most one on each."


def test_fields_within_rows_and_vendors_blocks_are_offered(editor: Editor) -> None:
    assert {"user", "group", "role", "until"} <= editor.offered(f"{HEAD}access:\n  - \n", 4, 5).keys()
    block = "apiVersion: hanse/v1\nkind: LandingZone\nkubernetes:\n  \n"
    assert {"podSecurity", "networkPolicies"} <= editor.offered(block, 4, 3).keys()


def test_values_are_offered(editor: Editor) -> None:
    text = "apiVersion: hanse/v1\nkind: LandingZone\ndeletion: \n"
    assert editor.offered(text, 3, 11).keys() == {"approval", "automatic"}


@pytest.mark.parametrize(
    ("text", "line", "column", "told"),
    [
        (HEAD, 2, 10, "What people work in; unique by name within its workspace."),
        (f"{HEAD}tenants: []\n", 3, 3, "Its places on platforms, at most one on each."),
        (f"{HEAD}access:\n  - role: admin\n", 4, 6, "1 to 63 of a-z, 0-9"),
        (f"{HEAD}access:\n  - until: 2026-12-31\n", 4, 6, "2026-12-31T18:00:00+01:00"),
        (
            "apiVersion: hanse/v1\nkind: Platform\nopenstack: {users: {domain: a}}\n",
            3,
            14,
            "How people are found.",
        ),
    ],
)
def test_who_points_at_something_is_told_what_it_means(
    editor: Editor, text: str, line: int, column: int, told: str
) -> None:
    assert told in editor.hover(text, line, column)
