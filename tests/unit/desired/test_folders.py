"""A landing zone's folder: its files are the platform's, part of intents, and no documents of Hanse's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from example_vendor import NOW
from hanse.desired.compiled import Problem
from hanse.desired.folders import fault, is_below
from hanse.desired.intent import Intent
from hanse.desired.intents import intents, samples
from hanse.desired.kinds import Folder, Row
from hanse.desired.load import Loaded, load, sound_documents
from hanse.desired.provenance import Decision, FileChange, Reader, State
from hanse.desired.source import file_source
from hanse.desired.vocabulary import Blocks, Vocabulary
from hanse.foundation.diagnostics import render
from hanse.model import Owner, Tenant


class CumulusPlatform(Row, frozen=True, kw_only=True):
    """A block without fields."""


class CumulusLandingZone(Row, frozen=True, kw_only=True):
    """A block that names a folder."""

    size: int = 1
    extra_files: Folder | None = None


VOCABULARY = Vocabulary({"cumulus-x": Blocks(CumulusPlatform, CumulusLandingZone)})
ZONE = "{apiVersion: hanse/v1, kind: LandingZone, name: NAME, platform: p, cumulus-x: {extraFiles: FOLDER}}"
BASE = """
{apiVersion: hanse/v1, kind: Organization, name: example}
---
{apiVersion: hanse/v1, kind: Platform, name: p, credential: c, cumulus-x: {}}
---
{apiVersion: hanse/v1, kind: LandingZone, name: plain, platform: p}
---
{apiVersion: hanse/v1, kind: Workspace, name: shop}
---
{apiVersion: hanse/v1, kind: Project, name: one, workspace: shop, tenants: [{platform: p, landingZone: rich}]}
---
{apiVersion: hanse/v1, kind: Project, name: two, workspace: shop, tenants: [{platform: p, landingZone: rich}]}
---
{apiVersion: hanse/v1, kind: Project, name: bare, workspace: shop, tenants: [{platform: p, landingZone: plain}]}
"""
FILE = "# first\n---\n{a: 1}\n---\n\n---\nb:\n  c: [x]\n"
FILES = {
    "base.yaml": BASE,
    "zones/rich.yaml": ZONE.replace("NAME", "rich").replace("FOLDER", "zones/rich"),
    "zones/rich/deep/a.yaml": FILE,
    "zones/rich/b.yml": "{b: 2}",
}


def loaded(files: dict[str, str], known: dict[str, bytes] | None = None) -> Loaded:
    return load({path: text.encode() for path, text in files.items()}, VOCABULARY, NOW, known=known)


def said(files: dict[str, str]) -> list[str]:
    return [render(diagnostic) for diagnostic in loaded(files).diagnostics]


def meant(files: dict[str, str]) -> dict[Owner, Intent]:
    result = loaded(files)
    assert result.diagnostics == []
    return intents(result.manifest)


def tenant(project: str) -> Tenant:
    return Tenant("p", "shop", project)


def named(folder: str) -> dict[str, str]:
    return {**FILES, "zones/rich.yaml": ZONE.replace("NAME", "rich").replace("FOLDER", folder)}


def test_files_of_a_folder_are_no_documents_and_part_of_the_intents_that_have_the_landing_zone() -> None:
    found = meant(FILES)
    files = {"zones/rich/b.yml": '[{"b":2}]', "zones/rich/deep/a.yaml": '[{"a":1},{"b":{"c":["x"]}}]'}
    assert found[tenant("one")].landing_zone_files == files
    assert found[tenant("bare")].landing_zone_files == {}


def test_a_changed_file_changes_just_the_intents_that_have_it() -> None:
    before, after = meant(FILES), meant({**FILES, "zones/rich/b.yml": "{b: 3}"})
    changed = {owner for owner in before if before[owner].digest != after[owner].digest}
    assert changed == {tenant("one"), tenant("two")}


def test_comments_and_layout_of_a_file_are_no_part_of_an_intent() -> None:
    laid_out = {**FILES, "zones/rich/b.yml": "---\n# more\n---\nb: 2 # two\n"}
    assert {o: i.digest for o, i in meant(laid_out).items()} == {o: i.digest for o, i in meant(FILES).items()}


def test_equal_files_are_held_once_even_by_intents_that_were_read_back() -> None:
    one, two = (meant(FILES)[tenant(name)] for name in ("one", "two"))
    read = msgspec.json.decode(msgspec.json.encode(two), type=Intent)
    for path, text in one.landing_zone_files.items():
        assert two.landing_zone_files[path] is text
        assert read.landing_zone_files[path] is text


def test_a_problem_of_a_file_is_told_at_its_line_and_column() -> None:
    manifest = loaded(FILES).manifest
    path = "zones/rich/deep/a.yaml"
    at = {
        (file_source(path, 0), ("a",)): (3, 5),
        (file_source(path, 1), ("b", "c", 0)): (8, 7),
        (file_source(path), ()): (1, 1),
    }
    for (source, steps), place in at.items():
        told = manifest.diagnostic(Problem("error", "x", "wrong", "", source, steps)).place
        assert told is not None
        assert (told.path, told.line, told.column) == (path, *place)
    assert manifest.place(file_source("zones/other.yaml", 0)) is None


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("/etc", "'/etc' is an absolute path"),
        ("../other", "'../other' may leave the repository"),
        ("zones/../..", "'zones/../..' may leave the repository"),
        (".", "'.' is the whole repository"),
        ("./", "'./' is the whole repository"),
        ("./zones/rich", "'./zones/rich' is no plain path"),
        ("zones//rich", "'zones//rich' is no plain path"),
        (".hidden", "'.hidden' is never read, for a name in it begins with a dot"),
        ("none", "the folder 'none' is not there, or holds no *.yaml or *.yml file"),
        ("zones", "the folder 'zones' holds this landing zone itself"),
    ],
)
def test_a_folder_that_cannot_be_meant_is_an_error_at_its_field(folder: str, message: str) -> None:
    files = named(folder)
    told = [line for line in said(files) if line.startswith("zones/rich.yaml:1:")]
    assert len(told) == 1
    column = files["zones/rich.yaml"].index(folder) + 1
    assert told[0].startswith(f"zones/rich.yaml:1:{column}: error: {message}")


def test_a_folder_with_a_slash_at_its_end_is_the_same() -> None:
    paths = meant(named("zones/rich/"))[tenant("one")].landing_zone_files.keys()
    assert paths == meant(FILES)[tenant("one")].landing_zone_files.keys()


def test_only_whole_names_make_a_folder() -> None:
    assert is_below("zones/rich/a.yaml", ["zones/rich"])
    assert not is_below("zones/richer/a.yaml", ["zones/rich"])
    assert fault("zones/rich..er") is None


def test_broken_yaml_below_a_folder_is_told_once_with_its_place() -> None:
    assert said({**FILES, "zones/rich/b.yml": "a: 1\nb: [\n"}) == [
        "zones/rich/b.yml:2:4: error: unclosed bracket '['; see that each { and [ is closed"
    ]
    assert said({**FILES, "zones/rich/b.yml": "- a\n"})[0].startswith(
        "zones/rich/b.yml:1:1: error: a document must"
    )


def test_a_document_of_hanse_below_a_folder_is_an_error_and_not_read() -> None:
    files = {**FILES, "zones/rich/c.yaml": "---\n{apiVersion: hanse/v1, kind: Workspace, name: lost}"}
    assert said(files) == [
        "zones/rich/c.yaml:2:1: error: a document of Hanse's lies below a landing zone's folder, and is not read; "
        "move it out of the folder"
    ]
    assert "lost" not in loaded(files).manifest.workspaces


def test_a_mistake_in_the_landing_zone_makes_no_documents_of_its_files() -> None:
    files = {
        **FILES,
        "zones/rich.yaml": FILES["zones/rich.yaml"].replace("extraFiles", "size: many, extraFiles"),
    }
    told = said(files)
    assert [line.partition(":")[0] for line in told] == ["zones/rich.yaml"]


def test_ignored_files_of_a_folder_are_left_out() -> None:
    base = BASE.replace("name: example}", "name: example, ignore: ['**/b.yml']}")
    assert list(meant({**FILES, "base.yaml": base})[tenant("one")].landing_zone_files) == [
        "zones/rich/deep/a.yaml"
    ]


def test_a_row_of_the_cache_for_equal_content_elsewhere_makes_no_documents_here() -> None:
    text = "{apiVersion: hanse/v1, kind: Workspace, name: hub}"
    rows = loaded({**FILES, "hub.yaml": text}).rows
    files = {**FILES, "hub.yaml": text, "zones/rich/hub.yaml": text}
    result = loaded(files, {"hub.yaml": rows["hub.yaml"], "zones/rich/hub.yaml": rows["hub.yaml"]})
    assert [render(d).partition(":")[0] for d in result.diagnostics] == ["zones/rich/hub.yaml"]
    assert list(result.manifest.workspaces) == ["shop", "hub"]
    assert not any(is_below(path, ["zones/rich"]) for path in result.rows)


def test_a_landing_zone_without_a_tenant_has_a_sample_to_be_checked_by() -> None:
    manifest = loaded(
        {**FILES, "more.yaml": ZONE.replace("NAME", "new").replace("FOLDER", "zones/rich")}
    ).manifest
    found = samples(manifest)
    assert [(intent.landing_zone, list(intent.landing_zone_files)) for intent in found] == [
        ("new", ["zones/rich/b.yml", "zones/rich/deep/a.yaml"])
    ]


class History:
    """Commits of whole trees; a blob's id is its content."""

    def __init__(self) -> None:
        self.reader = Reader(State())
        self.last: dict[str, str] = {}
        self.rows: dict[str, Any] = {}

    def commit(self, name: str, files: dict[str, str]) -> set[str]:
        """Read one more commit; what came or changed by it."""
        changes = [
            FileChange(path, self.last.get(path, ""), files.get(path, ""))
            for path in sorted(self.last.keys() | files.keys())
            if self.last.get(path) != files.get(path)
        ]
        decision = Decision(name, datetime(2026, 1, 1, tzinfo=UTC), "a", "a", name)
        self.reader.read(
            decision, changes, lambda blob: sound_documents(blob.encode(), VOCABULARY), lambda: files
        )
        self.last = files
        found = self.reader.finish(self.rows.keys())
        self.reader = Reader(State.decode(found.state.encode()))
        for gone in found.gone:
            self.rows.pop(gone, None)
        self.rows.update(found.rows)
        return set(found.rows)


def test_a_changed_file_is_the_decision_of_its_commit_and_other_declarations_keep_theirs() -> None:
    history = History()
    assert file_source("zones/rich/b.yml") in history.commit("c1", FILES)
    assert history.commit("c2", {**FILES, "zones/rich/b.yml": "{b: 3}"}) == {"file zones/rich/b.yml"}
    assert history.commit("c3", {**FILES, "base.yaml": BASE.replace("example", "sample")}) == {
        "Organization sample",
        "file zones/rich/b.yml",
    }
    assert history.rows["Project shop/one"].commit == "c1"


def test_a_landing_zone_that_moves_to_another_file_keeps_its_folder() -> None:
    history = History()
    history.commit("c1", FILES)
    moved = {path: text for path, text in FILES.items() if path != "zones/rich.yaml"}
    assert history.commit("c2", {**moved, "a.yaml": FILES["zones/rich.yaml"]}) == set()
    changed = {**moved, "a.yaml": FILES["zones/rich.yaml"], "zones/rich/b.yml": "{b: 4}"}
    assert history.commit("c3", changed) == {"file zones/rich/b.yml"}


def test_a_folder_that_is_named_later_brings_its_files_with_that_commit() -> None:
    history = History()
    history.commit(
        "c1", {**FILES, "zones/rich.yaml": ZONE.replace("NAME", "rich").replace("FOLDER", "zones/rich")}
    )
    without = {path: text for path, text in FILES.items() if not path.startswith("zones/rich")}
    plain = "{apiVersion: hanse/v1, kind: LandingZone, name: rich, platform: p}"
    assert history.commit("c2", {**without, "zones/rich.yaml": plain}) == {"LandingZone p/rich"}
    assert "file zones/rich/b.yml" not in history.rows
    assert history.commit("c3", FILES) == {
        "LandingZone p/rich",
        "file zones/rich/b.yml",
        "file zones/rich/deep/a.yaml",
    }
