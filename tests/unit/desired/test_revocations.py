"""A Revocation takes grants away that stand elsewhere, tells who reads both, and is idle when they are gone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from example_vendor import BASE, NOW, PROJECT, VOCABULARY, loaded, said
from hanse.desired.intents import intents, settings
from hanse.desired.kinds import AccessRow, Grant, Project, TenantRow
from hanse.desired.load import sound_documents
from hanse.desired.writing import document_text
from hanse.foundation.identifiers import CHANCE_BYTES, new_id

ROWS = """\
  - {group: makers, role: admin}
  - {user: u-3, role: user, until: 2026-12-31}
  - {user: u-3, role: reader}
"""
PROD = PROJECT.replace("  - {group: makers, role: admin}\n", ROWS)
FILE = "{apiVersion: hanse/v1, kind: Grant, name: g1, workspace: shop, project: prod, user: u-3, role: auditor}\n"


def revocation(more: str, name: str = "r1") -> str:
    return f"{{apiVersion: hanse/v1, kind: Revocation, name: {name}, {more}}}\n"


def held(files: dict[str, str]) -> set[tuple[str, str]]:
    """Who has which role on shop/prod."""
    (intent,) = [one for one in intents(loaded(files).manifest).values() if one.project]
    return {(term.subject, term.role) for term in intent.grants}


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ("workspace: shop, project: prod, user: u-3", {("makers", "admin")}),
        (
            "workspace: shop, project: prod, user: u-3, role: user",
            {("makers", "admin"), ("u-3", "reader"), ("u-3", "auditor")},
        ),
        (
            "workspace: shop, project: prod, group: makers",
            {("u-3", "user"), ("u-3", "reader"), ("u-3", "auditor")},
        ),
    ],
)
def test_it_takes_away_what_it_names_and_no_more(more: str, left: set[tuple[str, str]]) -> None:
    files = {"base.yaml": BASE, "prod.yaml": PROD, "g.yaml": FILE, "r.yaml": revocation(more)}
    assert held(files) == left


@pytest.mark.parametrize(
    "more",
    [
        "workspace: shop, user: u-3",
        "user: u-3",
        "workspace: shop, project: prod, group: u-3",
        "workspace: shop, project: prod, user: u-3, role: admin",
        "workspace: shop, project: gone, user: u-3",
        "workspace: gone, project: prod, user: u-3",
    ],
)
def test_one_that_has_nothing_to_take_away_is_warned_of_and_breaks_nothing(more: str) -> None:
    files = {"base.yaml": BASE, "prod.yaml": PROD, "r.yaml": revocation(more)}
    assert held(files) == held({"base.yaml": BASE, "prod.yaml": PROD})
    (told,) = said(files)
    assert told == "r.yaml:1:1: warning: this revocation takes nothing away any more; take it out"


def test_who_reads_the_grant_is_told_what_revokes_it() -> None:
    files = {
        "base.yaml": BASE,
        "prod.yaml": PROD,
        "revocations/r.yaml": revocation("workspace: shop, project: prod, user: u-3, role: user"),
    }
    assert said(files) == [
        "prod.yaml:8:5: warning: this grant is revoked by revocations/r.yaml, and gives nobody access; take both out"
    ]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("workspace: shop, project: prod", "this revocation names nobody"),
        (
            "workspace: shop, project: prod, user: u-3, group: makers",
            "for a user or for a group, not for both",
        ),
        ("project: prod, user: u-3", "a revocation on a project needs its workspace"),
    ],
)
def test_one_that_cannot_be_meant_is_an_error_and_takes_nothing(more: str, told: str) -> None:
    files = {"base.yaml": BASE, "prod.yaml": PROD, "r.yaml": revocation(more)}
    assert any("error" in line and told in line for line in said(files))
    assert held(files) == held({"base.yaml": BASE, "prod.yaml": PROD})


def test_it_goes_on_where_the_project_is_renamed_or_moved() -> None:
    renamed = PROD.replace("name: prod", "name: live\nformerly: [prod]")
    files = {
        "base.yaml": BASE,
        "prod.yaml": renamed,
        "r.yaml": revocation("workspace: shop, project: prod, user: u-3"),
    }
    assert held(files) == {("makers", "admin")}


def test_grants_on_a_workspace_and_on_the_organization_are_revoked_as_well() -> None:
    files = {
        "base.yaml": BASE.replace(
            "name: example,", "name: example, access: [{user: u-1, role: organization-admin}],"
        ).replace(
            "Workspace, name: shop", "Workspace, name: shop, access: [{user: u-1, role: workspace-owner}]"
        ),
        "prod.yaml": PROD,
    }
    before = settings(loaded(files).manifest)
    assert len(before.grants) == len(before.workspace_grants["shop"]) == 1
    files["r.yaml"] = revocation("user: u-1") + "---\n" + revocation("workspace: shop, user: u-1", "r2")
    after = settings(loaded(files).manifest)
    assert (after.grants, after.workspace_grants.get("shop", ())) == ((), ())


def test_the_manifest_says_which_revocation_took_a_grant() -> None:
    files = {
        "base.yaml": BASE,
        "prod.yaml": PROD,
        "r.yaml": revocation("workspace: shop, project: prod, user: u-3, role: reader"),
    }
    assert loaded(files).manifest.revoked == {"grant shop/prod user:u-3 reader ..": "Revocation r1"}


# --- documents as text ------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(
    TEXT,
    NAMES,
    NAMES,
    st.dictionaries(NAMES, TEXT.filter(bool) | st.booleans() | st.integers(0, 9), max_size=3),
)
def test_a_document_reads_back_as_it_was(
    text: str, name: str, role: str, tags: dict[str, str | bool | int]
) -> None:
    project = Project(
        api_version="hanse/v1",
        name=name,
        workspace=role,
        description=text,
        tags=dict(tags),
        access=(AccessRow(user=name, role=role, reason=text),),
        tenants=(TenantRow(platform=name, landing_zone=role, quotas={"cores": 1}),),
    )
    grant = Grant(
        api_version="hanse/v1", name=name, workspace=role, group=name, role=role, until=name, reason=text
    )
    for document in (project, grant):
        assert sound_documents(document_text(document), VOCABULARY) == [document]


def test_a_document_is_laid_out_as_people_write_it() -> None:
    project = Project(
        api_version="hanse/v1",
        name="prod",
        workspace="shop",
        display_name="Web shop",
        access=(AccessRow(group="shop-admins", role="admin"), AccessRow(user="on", role="user")),
    )
    expected = """\
apiVersion: hanse/v1
kind: Project
name: prod
workspace: shop
displayName: Web shop
access:
  - {group: shop-admins, role: admin}
  - {user: "on", role: user}
"""
    assert document_text(project).decode() == expected
    assert b"displayName" not in document_text(replace(project, display_name=""))


# --- ids --------------------------------------------------------------------------------------------


@given(
    st.datetimes(), st.datetimes(), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10)
)
def test_ids_are_in_the_order_of_time_and_differ_by_chance(a, b, one, other) -> None:  # type: ignore[no-untyped-def]
    first, second = (moment.replace(year=2000 + moment.year % 100, tzinfo=NOW.tzinfo) for moment in (a, b))
    ids = new_id(first, one), new_id(second, other)
    assert all(len(each) == 26 for each in ids)
    if int(first.timestamp() * 1000) < int(second.timestamp() * 1000):
        assert ids[0] < ids[1]
    assert (new_id(first, one) == new_id(first, other)) == (one == other)


def test_an_id_is_a_ulid() -> None:
    at = datetime.fromtimestamp(1469918176.385, UTC)  # of the example that the format's own page gives
    assert new_id(at, bytes(CHANCE_BYTES)) == "01aryz6s41" + 16 * "0"
