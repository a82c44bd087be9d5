"""What loading promises: which files count, what a cache may save, what a manifest knows of places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from example_vendor import BASE, NOW, PROJECT, VOCABULARY, loaded, said
from hanse.desired.compiled import Problem
from hanse.desired.load import decode_documents, is_manifest, load
from hanse.desired.paths import glob
from hanse.desired.vocabulary import Blocks, Vocabulary


class Lazy(Mapping[str, bytes]):
    """Files that tell which of them were read."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.read: set[str] = set()

    def __getitem__(self, path: str) -> bytes:
        self.read.add(path)
        return self.files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def encoded(files: dict[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def test_a_sound_manifest_has_no_findings() -> None:
    assert said({"base.yaml": BASE, "prod.yaml": PROJECT}) == []


@pytest.mark.parametrize("name", ["prod\\n", "prod\\n\\n", "prod ", "prod\\r"])
def test_a_name_ends_where_its_letters_end(name: str) -> None:
    (told,) = said({"base.yaml": BASE, "prod.yaml": PROJECT.replace("name: prod", f'name: "{name}"')})
    assert "is not allowed" in told


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("a.yaml", True),
        ("a/b.yml", True),
        ("a.yaml.txt", False),
        ("README.md", False),
        (".github/a.yaml", False),
        ("a/.hidden/b.yaml", False),
        (".pre-commit-config.yaml", False),
        ("a.b/c.d.yaml", True),
    ],
)
def test_every_yaml_file_is_a_document_but_below_a_name_with_a_dot(path: str, counts: bool) -> None:
    assert is_manifest(path) is counts


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("charts/**", "charts/a/b.yaml", True),
        ("charts", "charts/a/b.yaml", True),
        ("charts/", "charts/b.yaml", True),
        ("charts", "chartsy/b.yaml", False),
        ("**/tests", "a/b/tests/c.yaml", True),
        ("**/tests", "tests/c.yaml", True),
        ("*.yaml", "a.yaml", True),
        ("*.yaml", "a/b.yaml", False),
        ("**/*.draft.yaml", "a/b.draft.yaml", True),
        ("a?.yaml", "ab.yaml", True),
        ("a?.yaml", "a/.yaml", False),
        ("a.yaml", "abyaml", False),
        ("a/**/b.yaml", "a/b.yaml", True),
        ("a/**/b.yaml", "a/x/y/b.yaml", True),
    ],
)
def test_ignore_patterns(pattern: str, path: str, matches: bool) -> None:
    assert bool(glob([pattern]).fullmatch(path)) is matches


def test_what_the_organization_ignores_may_hold_anything() -> None:
    base = BASE.replace("name: example,", "name: example, ignore: [charts],")
    assert said({"base.yaml": base, "charts/x.yaml": "{{ nothing }}: ["}) == []


def test_an_organization_with_a_mistake_still_says_what_to_ignore() -> None:
    base = BASE.replace("name: example,", "name: example, ignore: [charts], x: 1,")
    assert len(said({"base.yaml": base, "charts/x.yaml": "{{ nothing }}: ["})) == 1


def test_an_organization_cannot_ignore_itself() -> None:
    assert said({"base.yaml": BASE.replace("name: example,", "name: example, ignore: ['**'],")}) == []


def test_no_files_at_all_is_one_error_without_a_place() -> None:
    (finding,) = loaded({}).diagnostics
    assert (finding.code, finding.place) == ("no-organization", None)


def test_files_that_are_known_are_not_read_and_mean_the_same() -> None:
    files = encoded({"base.yaml": BASE, "prod.yaml": PROJECT})
    first = load(files, VOCABULARY, NOW)
    lazy = Lazy(files)
    second = load(lazy, VOCABULARY, NOW, known=first.rows)
    assert lazy.read == set()
    assert second.rows == {}
    assert second.manifest.projects == first.manifest.projects
    assert second.manifest.platforms == first.manifest.platforms


def test_an_error_in_a_known_file_has_its_place_and_only_that_file_is_read() -> None:
    broken = PROJECT.replace("makers", "makres")
    files = encoded({"base.yaml": BASE, "prod.yaml": broken})
    rows = load(files, VOCABULARY, NOW).rows
    assert set(rows) == {"base.yaml", "prod.yaml"}
    lazy = Lazy(files)
    (finding,) = load(lazy, VOCABULARY, NOW, known=rows).diagnostics
    assert str(finding.place) == "prod.yaml:7:13"
    assert lazy.read == {"prod.yaml"}


def test_an_unsound_file_is_not_cached() -> None:
    assert set(loaded({"base.yaml": BASE, "x.yaml": "kind: Porject"}).rows) == {"base.yaml"}


def test_rows_of_another_language_or_damaged_ones_are_parsed_again() -> None:
    files = encoded({"base.yaml": BASE, "prod.yaml": PROJECT})
    rows = load(files, VOCABULARY, NOW).rows
    other = Vocabulary({"stratus": VOCABULARY.vendors["stratus"]})
    assert decode_documents(rows["prod.yaml"], other) is None
    damaged = {path: row[:-1] for path, row in rows.items()}
    assert load(files, VOCABULARY, NOW, known=damaged).diagnostics == []


def test_a_vocabulary_marks_what_its_vendors_add() -> None:
    cirrus = VOCABULARY.vendors["cirrus"]
    same = Vocabulary({"cirrus": cirrus, "stratus": VOCABULARY.vendors["stratus"]})
    other = Vocabulary({"cirrus": Blocks(cirrus.landing_zone, cirrus.landing_zone)})
    assert same.mark == VOCABULARY.mark
    assert other.mark != VOCABULARY.mark


def test_a_reference_to_an_unsound_document_is_no_dangling_reference() -> None:
    told = said({"base.yaml": BASE.replace("name: shop}", "nme: shop}"), "prod.yaml": PROJECT})
    assert told[0].startswith("base.yaml:")
    told = said({"base.yaml": BASE.replace("name: shop}", "name: shop, tags: 1}"), "prod.yaml": PROJECT})
    assert len(told) == 1


def test_a_bare_date_is_the_end_of_that_day_in_the_organizations_timezone() -> None:
    project = PROJECT.replace("role: admin", "role: admin, until: 2026-12-31")
    (term,) = loaded({"base.yaml": BASE, "prod.yaml": project}).manifest.terms["shop", "prod"]
    assert str(term.end) == "2026-12-31 23:00:00+00:00"


def test_problems_of_compile_become_diagnostics_at_their_declaration() -> None:
    renamed = PROJECT.replace("workspace: shop", "workspace: shop\nformerly: [live]")
    manifest = loaded({"base.yaml": BASE, "prod.yaml": renamed}).manifest
    assert str(manifest.place("Project shop/prod", ("tenants", 0, "platform"))) == "prod.yaml:10:16"
    assert str(manifest.place("Project shop/live")) == "prod.yaml:2:1"
    assert str(manifest.place("LandingZone north/production", ("cirrus",), key=True)) == "base.yaml:8:78"
    assert str(manifest.place("grant shop/live group:makers admin ..", ("role",))) == "prod.yaml:8:27"
    assert manifest.place("Project shop/other") is None
    problem = Problem("error", "code", "message", "advice", "Project shop/prod", ("name",))
    assert str(manifest.diagnostic(problem).place) == "prod.yaml:4:7"


@pytest.mark.parametrize(
    ("projects", "wrong"),
    [
        ([("prod", "[live]"), ("live", "[]")], ["live"]),
        ([("prod", "[live]"), ("beta", "[live]")], ["live"]),
        ([("prod", "[live, prod]"), ("beta", "[alpha]")], []),
        ([("live", "[live, prod]"), ("prod", "[]")], ["prod"]),
        ([("prod", "[other/live]"), ("live", "[]")], []),
        ([("prod", "[live, other/live]"), ("live", "[]")], []),
    ],
)
def test_a_name_that_was_anothers_is_not_used_again(
    projects: list[tuple[str, str]], wrong: list[str]
) -> None:
    documents = "".join(
        f"---\n{{apiVersion: hanse/v1, kind: Project, name: {n}, workspace: shop, formerly: {f}}}\n"
        for n, f in projects
    )
    told = said({"base.yaml": BASE + documents})
    assert len(told) == len(wrong)
    assert all(f"the name '{name}'" in line for name, line in zip(wrong, told, strict=True))


def test_a_reference_by_an_old_name_is_told_the_new_one() -> None:
    renamed = PROJECT.replace("workspace: shop", "workspace: shop\nformerly: [live]")
    grant = (
        "{apiVersion: hanse/v1, kind: Grant, name: g, workspace: shop, project: live, user: u-1, role: user}"
    )
    (line,) = said({"base.yaml": BASE, "prod.yaml": renamed, "grant.yaml": grant})
    assert line.endswith("unknown project 'shop/live'; it is called 'prod' of workspace 'shop' now")
