"""Whose every declaration is, read from histories of small repositories."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from example_vendor import BASE, PROJECT, VOCABULARY, loaded
from hanse.desired.kinds import Document
from hanse.desired.load import sound_documents
from hanse.desired.provenance import Decision, FileChange, Found, Reader, State
from hanse.model import Provenance

Files = dict[str, str]

PROD = "Project shop/prod"
MAKERS = "grant shop/prod group:makers admin .."
EXTRA = "  - {user: u-3, role: user, reason: on-call}\n"
INLINE = PROJECT.replace("tenants:", EXTRA + "tenants:")
U3 = "grant shop/prod user:u-3 user .."
GRANT = """
{apiVersion: hanse/v1, kind: Grant, name: g, workspace: shop, project: prod, user: u-3, role: user, reason: on-call}
"""


class Repository:
    """A history in memory: whole trees, one per commit. A blob's id is its content."""

    def __init__(self) -> None:
        self.trees: list[Files] = [{}]
        self.rows: dict[str, Provenance] = {}
        self.state = ""
        self.read: list[str] = []

    def commit(self, files: Files) -> None:
        self.trees.append(files)

    def changes(self, number: int) -> list[FileChange]:
        before, after = self.trees[number - 1], self.trees[number]
        return [
            FileChange(path, before.get(path, ""), after.get(path, ""))
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        ]

    def documents(self, blob: str) -> list[Document] | None:
        self.read.append(blob)
        return sound_documents(blob.encode(), VOCABULARY)

    def catch_up(self) -> Found:
        """Read what is new, as a server would, and keep it."""
        reader = Reader(State.decode(self.state))
        first = int(reader.state.commit[1:] or 0) + 1 if reader.state.commit else 1
        for number in range(first, len(self.trees)):
            reader.read(
                Decision(
                    f"c{number}",
                    datetime(2026, 1, number, tzinfo=UTC),
                    f"author {number}",
                    "committer",
                    "why",
                ),
                self.changes(number),
                self.documents,
                lambda number=number: self.trees[number],  # type: ignore[misc]
            )
        found = reader.finish(self.rows.keys() & set(reader.sources))
        self.rows = {s: row for s, row in {**self.rows, **found.rows}.items() if s not in found.gone}
        self.state = found.state.encode()
        return found

    def commits(self) -> dict[str, str]:
        """Which commit each declaration is of."""
        return {source: row.commit for source, row in self.rows.items()}


def history(*trees: Files) -> dict[str, str]:
    repository = Repository()
    for tree in trees:
        repository.commit(tree)
    repository.catch_up()
    return repository.commits()


def test_each_declaration_is_of_the_commit_that_brought_it() -> None:
    found = history({"base.yaml": BASE}, {"base.yaml": BASE, "prod.yaml": PROJECT})
    assert found["Organization example"] == "c1"
    assert found["LandingZone north/production"] == "c1"
    assert (found[PROD], found[MAKERS]) == ("c2", "c2")


def test_a_grant_counts_for_itself_and_not_for_its_document() -> None:
    found = history({"base.yaml": BASE, "a.yaml": PROJECT}, {"base.yaml": BASE, "a.yaml": INLINE})
    assert (found[PROD], found[MAKERS], found[U3]) == ("c1", "c1", "c2")


def test_moving_reordering_and_reformatting_keep_whose_it_is() -> None:
    rows = INLINE.splitlines(keepends=True)
    rows[6], rows[7] = rows[7], rows[6]
    together = (
        "".join(rows)
        + "---"
        + BASE.replace("{apiVersion: hanse/v1, kind: User", "# people\n{apiVersion:  hanse/v1, kind: User")
    )
    found = history(
        {"base.yaml": BASE, "a.yaml": INLINE}, {"base.yaml": BASE, "b/c.yml": INLINE}, {"all.yaml": together}
    )
    assert set(found.values()) == {"c1"}


def test_a_changed_field_is_of_the_commit_that_changed_it() -> None:
    changed = PROJECT.replace("kind: Project", "kind: Project\ndisplayName: Shop")
    found = history({"base.yaml": BASE, "a.yaml": PROJECT}, {"base.yaml": BASE, "a.yaml": changed})
    assert (found[PROD], found[MAKERS]) == ("c2", "c1")


def test_a_grant_keeps_its_provenance_between_inline_and_its_own_file() -> None:
    inline, own = (
        {"base.yaml": BASE, "a.yaml": INLINE},
        {"base.yaml": BASE, "a.yaml": PROJECT, "g.yaml": GRANT},
    )
    both = {**inline, "g.yaml": GRANT}
    assert history(inline, own)[U3] == "c1"
    assert history(inline, both, own)[U3] == "c1"
    assert history(own, both, inline)[U3] == "c1"
    assert U3 not in history(inline, both, own, {"base.yaml": BASE, "a.yaml": PROJECT})


def test_copies_are_counted_across_runs() -> None:
    repository = Repository()
    inline = {"base.yaml": BASE, "a.yaml": INLINE}
    for tree in (
        inline,
        {**inline, "g.yaml": GRANT},
        {"base.yaml": BASE, "a.yaml": PROJECT, "g.yaml": GRANT},
    ):
        repository.commit(tree)
        repository.catch_up()
        assert repository.commits()[U3] == "c1"
    repository.commit({"base.yaml": BASE, "a.yaml": PROJECT})
    gone = repository.catch_up().gone
    assert {source: row.commit for source, row in gone.items()} == {U3: "c4"}


def test_taken_out_and_put_back_it_is_of_the_commit_that_put_it_back() -> None:
    with_it, without = {"base.yaml": BASE, "a.yaml": INLINE}, {"base.yaml": BASE, "a.yaml": PROJECT}
    assert history(with_it, without, with_it)[U3] == "c3"


def test_the_reason_of_a_grant_is_part_of_its_provenance() -> None:
    repository = Repository()
    repository.commit({"base.yaml": BASE, "a.yaml": INLINE})
    repository.catch_up()
    assert str(repository.rows[U3].reason) == "on-call"
    repository.commit({"base.yaml": BASE, "a.yaml": INLINE.replace("on-call", "CHG-7")})
    repository.catch_up()
    assert (repository.rows[U3].commit, str(repository.rows[U3].reason)) == ("c2", "CHG-7")


def test_a_broken_commit_is_passed_over_and_its_changes_are_the_next_ones() -> None:
    good, broken = (
        {"base.yaml": BASE, "a.yaml": PROJECT},
        {"base.yaml": BASE, "a.yaml": INLINE, "x.yaml": "kind: ["},
    )
    mended = {"base.yaml": BASE, "a.yaml": INLINE}
    found = history(good, broken, mended)
    assert (found[PROD], found[MAKERS], found[U3]) == ("c1", "c1", "c3")


def test_a_broken_commit_at_the_end_of_a_run_is_remembered() -> None:
    repository = Repository()
    repository.commit({"base.yaml": BASE, "a.yaml": PROJECT})
    repository.commit({"base.yaml": BASE, "a.yaml": INLINE, "x.yaml": "kind: ["})
    repository.catch_up()
    assert U3 not in repository.rows
    repository.commit({"base.yaml": BASE, "a.yaml": INLINE})
    repository.catch_up()
    assert repository.commits()[U3] == "c3"


def test_a_rename_changes_the_document_and_none_of_its_grants() -> None:
    renamed = INLINE.replace("name: prod", "name: live\nformerly: [prod]")
    moved = GRANT.replace("u-3", "u-2"), GRANT.replace("u-3", "u-2").replace("project: prod", "project: live")
    found = history(
        {"base.yaml": BASE, "a.yaml": INLINE, "g.yaml": moved[0]},
        {"base.yaml": BASE, "a.yaml": renamed, "g.yaml": moved[1]},
    )
    assert found["Project shop/live"] == "c2"
    assert PROD not in found
    assert {found[MAKERS], found[U3], found["grant shop/prod user:u-2 user .."]} == {"c1"}


def test_a_grant_file_added_long_after_a_rename_has_the_oldest_scope() -> None:
    renamed = PROJECT.replace("name: prod", "name: live\nformerly: [prod]")
    repository = Repository()
    repository.commit({"base.yaml": BASE, "a.yaml": renamed})
    repository.catch_up()
    repository.commit(
        {"base.yaml": BASE, "a.yaml": renamed, "g.yaml": GRANT.replace("project: prod", "project: live")}
    )
    repository.catch_up()
    assert repository.commits()[U3] == "c2"


def test_a_new_timezone_is_the_decision_of_its_commit_for_bare_dates_only() -> None:
    dated = INLINE.replace("user: u-3, role: user", "user: u-3, role: user, until: 2026-12-31")
    there = BASE.replace("Europe/Berlin", "America/New_York")
    repository = Repository()
    repository.commit({"base.yaml": BASE, "a.yaml": dated})
    repository.catch_up()
    repository.commit({"base.yaml": there, "a.yaml": dated})
    repository.catch_up()
    found = repository.commits()
    assert found["grant shop/prod user:u-3 user ..2027-01-01T05:00:00Z"] == "c2"
    assert "grant shop/prod user:u-3 user ..2026-12-31T23:00:00Z" not in found
    assert found[MAKERS] == "c1"


def test_what_is_ignored_breaks_nothing_and_counts_once_it_is_no_longer() -> None:
    ignoring = BASE.replace("name: example,", "name: example, ignore: [drafts],")
    draft = PROJECT.replace("name: prod", "name: draft")
    junk = {"drafts/a.yaml": draft, "drafts/b.yaml": "kind: ["}
    repository = Repository()
    repository.commit({"base.yaml": ignoring, **junk})
    repository.commit({"base.yaml": ignoring, "a.yaml": PROJECT, **junk})
    repository.catch_up()
    assert "Project shop/draft" not in repository.rows
    assert repository.commits()[PROD] == "c2"
    repository.commit({"base.yaml": BASE, "a.yaml": PROJECT, "drafts/a.yaml": draft})
    repository.catch_up()
    assert repository.commits()["Project shop/draft"] == "c3"


def test_only_changed_files_are_asked_for() -> None:
    repository = Repository()
    repository.commit({"base.yaml": BASE, "a.yaml": PROJECT})
    repository.catch_up()
    repository.read = []
    repository.commit({"base.yaml": BASE, "a.yaml": INLINE})
    repository.catch_up()
    assert set(repository.read) == {PROJECT, INLINE}


def test_a_verified_signature_is_the_stronger_proof() -> None:
    reader = Reader(State())
    decision = Decision("c1", datetime(2026, 1, 1, tzinfo=UTC), "a", "b", "c", "u-1", "verified-signer")
    reader.read(
        decision, [FileChange("a.yaml", "", BASE)], lambda b: sound_documents(b.encode(), VOCABULARY), dict
    )
    row = reader.finish(()).rows["User u-1"]
    assert (row.strength, str(row.signer)) == ("verified-signer", "u-1")


def test_sources_are_those_of_the_manifest() -> None:
    """A row and a place are found by the same name."""
    files = {"base.yaml": BASE, "a.yaml": INLINE, "g.yaml": GRANT.replace("u-3", "u-2")}
    manifest = loaded(files).manifest
    for source in history(files):
        assert manifest.place(source) is not None, source


pieces = st.lists(
    st.sampled_from([EXTRA, EXTRA.replace("u-3", "u-2"), EXTRA.replace("on-call", "CHG-1")]), unique=True
)
trees = st.builds(
    lambda rows, grant, broken, name: {
        "base.yaml": BASE,
        "a.yaml": PROJECT.replace("tenants:", "".join(rows) + "tenants:").replace(
            "name: prod", "name: live\nformerly: [prod]" if name else "name: prod"
        ),
        **({"g.yaml": GRANT.replace("project: prod", "project: live") if name else GRANT} if grant else {}),
        **({"x.yaml": "kind: ["} if broken else {}),
    },
    pieces,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(trees, min_size=1, max_size=6), st.sets(st.integers(1, 6)))
def test_reading_in_one_run_or_in_many_finds_the_same(commits: list[Files], stops: set[int]) -> None:
    once, often = Repository(), Repository()
    for number, tree in enumerate(commits, 1):
        once.commit(tree)
        often.commit(tree)
        if number in stops:
            often.catch_up()
    once.catch_up()
    often.catch_up()
    assert once.rows == often.rows
    assert once.state == often.state
    last = commits[-1]
    if "x.yaml" not in last:
        fresh = Repository()
        fresh.commit(last)
        fresh.catch_up()
        assert fresh.rows.keys() == once.rows.keys()
