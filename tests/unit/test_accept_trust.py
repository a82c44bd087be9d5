"""Whose commits may be accepted: the decision by itself, and laws that hold for any trust."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from hanse.accept.tags import touched_tags
from hanse.accept.trust import Evidence, Signatory, Signers, may, words
from hanse.desired.intent import Directory, Person
from hanse.desired.kinds import (
    Organization,
    Project,
    ProtectedPaths,
    Signer,
    TagDefinition,
    Trust,
    Who,
    Workspace,
)
from hanse.desired.settings import Settings
from hanse.model import Verdict

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILgqdBJk2Al0Txdy6TzuQ7D4jc7NPZvBMR9CxveMo5Xg"
PRINT = "SHA256:s2HPsS2BCSibp+ndcjuxDuLVoo8hmaS/6ea31wrB7pI"
PEOPLE = Directory({"u-1": Person("u-1"), "u-2": Person("u-2", active=False)}, {"team": ("u-1", "u-2")})
GOOD = Verdict(key=PRINT)
TEAM = Who(groups=("team",))


def signers(
    row: Signer | None = None,
    *protected: ProtectedPaths,
    set_by: dict[str, Who] | None = None,
    disabled: tuple[str, ...] = (),
) -> Signers:
    trust = Trust(signers=(row or Signer(user="u-1", ssh=ONE),), protected=protected)
    organization = Organization(api_version="hanse/v1", name="example", timezone="Europe/Berlin", trust=trust)
    return Signers(Settings(organization, set_by=set_by or {}, disabled=disabled), PEOPLE, NOW)


def codes(found: Signers, evidence: Evidence) -> list[str]:
    return [refusal.code for refusal in found.refusals([evidence])]


def test_a_good_signature_of_somebody_active_is_all_that_is_needed() -> None:
    assert codes(signers(), Evidence("c", GOOD, ("a.yaml",))) == []
    assert signers().signatory(GOOD) == Signatory("user", "u-1")


def test_each_fault_is_told_as_what_it_is() -> None:
    for fault, code in (
        ("unsigned", "unsigned"), ("bad", "bad-signature"), ("expired", "expired-key"), ("revoked", "revoked-key"),
        ("unreadable", "unreadable-signature"), ("unknown-key", "unknown-key"),
    ):  # fmt: skip
        evidence = Evidence("c", Verdict(fault, PRINT))  # type: ignore[arg-type]
        assert codes(signers(), evidence) == [code]
        assert signers().signatory(evidence.verdict) is None


def test_a_bare_date_is_a_day_of_the_organisation() -> None:
    for since, until, code in (
        ("2026-06-01", None, []),  # it is 02:00 in Berlin
        (None, "2026-05-31", ["key-out-of-time"]),
        ("2026-06-02", None, ["key-out-of-time"]),
        (None, "2026-06-01", []),
    ):
        row = Signer(user="u-1", ssh=ONE, from_=since, until=until)
        assert codes(signers(row), Evidence("c", GOOD)) == code


def test_who_is_disabled_or_unknown_is_nobody() -> None:
    for name in ("u-2", "u-3"):
        assert codes(signers(Signer(user=name, ssh=ONE)), Evidence("c", GOOD)) == ["disabled-signer"]
        assert not may(Who(users=(name,), groups=("team",)), Signatory("user", name), PEOPLE)


def test_who_was_declared_disabled_is_nobody_though_a_guard_holds_what_they_have() -> None:
    assert PEOPLE.people["u-1"].active
    assert codes(signers(disabled=("u-1", "u-9")), Evidence("c", GOOD)) == ["disabled-signer"]


def test_before_the_first_acceptance_only_the_root_counts() -> None:
    first = Signers(None, Directory(), NOW)
    assert codes(first, Evidence("c", GOOD)) == ["unknown-key"]
    assert codes(first, Evidence("c", Verdict(key=PRINT, root="root"))) == []


def test_the_root_may_change_what_is_protected_and_a_machine_only_what_is_its() -> None:
    row = ProtectedPaths(paths=("a",), changed_by=Who(users=("u-1",)))
    evidence = Evidence("c", Verdict(key=PRINT, root="root"), ("a/b",), ("t",))
    assert codes(signers(None, row, set_by={"t": Who()}), evidence) == []
    forge = Signer(machine="forge", ssh=ONE)
    evidence = Evidence("c", GOOD, ("a/b",), ("t",))
    assert codes(signers(forge, row, set_by={"t": Who()}), evidence) == ["protected-path", "protected-tag"]
    row = ProtectedPaths(paths=("a",), changed_by=Who(machines=("forge",)))
    assert codes(signers(forge, row, set_by={"t": Who(machines=("forge",))}), evidence) == []


def test_a_person_is_not_a_machine_of_the_same_name() -> None:
    assert not may(Who(machines=("u-1",)), Signatory("user", "u-1"), PEOPLE)
    assert not may(Who(users=("u-1",)), Signatory("machine", "u-1"), PEOPLE)
    assert words(Who(users=("u-1",), groups=("g",), machines=("m",))) == "u-1 or group g or machine m"


def test_many_files_are_told_in_few_words() -> None:
    row = ProtectedPaths(paths=("**",), changed_by=Who())
    evidence = Evidence("c0ffee0042", GOOD, tuple(f"f{i}" for i in range(9)), title='"x" by y')
    (refusal,) = signers(None, row).refusals([evidence], since="abcdef0123")
    assert refusal.message == (
        'commit c0ffee00 ("x" by y) changes f0, f1, f2 and 6 more, which only nobody may; it is signed by u-1'
    )


paths = st.sampled_from(["a", "a/b", "c.yaml", "shop/x.yaml", "groups.yaml"])
patterns = st.sampled_from(["**", "a", "*.yaml", "shop/**"])
who = st.builds(Who, users=st.sampled_from([(), ("u-1",), ("u-2",)]), groups=st.sampled_from([(), ("team",)]))
rows = st.lists(st.builds(lambda p, w: ProtectedPaths(paths=(p,), changed_by=w), patterns, who), max_size=4)
verdicts = st.builds(
    Verdict,
    st.sampled_from([None, "unsigned", "bad", "expired"]),
    st.sampled_from(["", PRINT, "SHA256:other"]),
)


@given(st.lists(st.builds(Evidence, st.just("c"), verdicts, st.lists(paths).map(tuple)), max_size=5), rows)
def test_nothing_passes_that_would_not_pass_alone(
    many: list[Evidence], protected: list[ProtectedPaths]
) -> None:
    """One commit neither helps nor harms another, and adding a change never mends a refusal."""
    found = signers(None, *protected)
    alone = [refusal for one in many for refusal in found.refusals([one])]
    assert found.refusals(many) == alone
    for one in many:
        wider = Evidence(one.commit, one.verdict, (*one.paths, "groups.yaml"))
        assert bool(found.refusals([wider])) >= bool(found.refusals([one]))


@given(verdicts, st.lists(paths).map(tuple), rows)
def test_what_passes_is_signed_by_somebody_who_may(
    verdict: Verdict, changed: tuple[str, ...], protected: list[ProtectedPaths]
) -> None:
    if not signers(None, *protected).refusals([Evidence("c", verdict, changed)]):
        assert verdict == GOOD
        for path in changed:
            last = [row for row in protected if _matches(row, path)][-1:]
            assert all(may(row.changed_by, Signatory("user", "u-1"), PEOPLE) for row in last)


def _matches(row: ProtectedPaths, path: str) -> bool:
    nobody = ProtectedPaths(paths=row.paths, changed_by=Who())
    return bool(signers(None, nobody).refusals([Evidence("c", GOOD, (path,))]))


def project(name: str, workspace: str = "shop", formerly: tuple[str, ...] = (), **tags: object) -> Project:
    return Project(api_version="hanse/v1", name=name, workspace=workspace, formerly=formerly, tags=tags)  # type: ignore[arg-type]


def workspace(name: str, *formerly: str, **tags: object) -> Workspace:
    return Workspace(api_version="hanse/v1", name=name, formerly=formerly, tags=tags)  # type: ignore[arg-type]


def test_a_tag_is_touched_where_its_value_is_another_for_one_thing() -> None:
    for before, after, touched in (
        ([project("a", t="x")], [project("a", t="x")], ()),
        ([project("a", t="x")], [project("a", t="y")], ("t",)),
        ([project("a", t=1)], [project("a", t=True)], ("t",)),
        ([project("a", t="x")], [project("a")], ("t",)),
        ([project("a", t="x")], [], ("t",)),
        ([], [project("a", t="x")], ("t",)),
        ([], [project("a", other="x")], ()),
        ([project("a", t="x"), project("b")], [project("a"), project("b", t="x")], ("t",)),
        ([project("a", t="x")], [project("b", formerly=("a",), t="x")], ()),
        ([project("a", t="x")], [project("b", t="x")], ("t",)),
        (
            [project("a", t="x"), workspace("shop")],
            [project("a", "hub", t="x"), workspace("hub", "shop")],
            (),
        ),
        ([workspace("shop", t="x")], [workspace("hub", "shop", t="x")], ()),
        ([project("a", t="x")], [project("a", t="x"), project("a", t="x")], ("t",)),
    ):
        assert touched_tags(before, after, {"t"}) == touched


def test_a_definition_is_touched_like_its_tag() -> None:
    old = TagDefinition(api_version="hanse/v1", name="t", kinds=("Project",))
    new = TagDefinition(api_version="hanse/v1", name="t", kinds=("Project", "Workspace"))
    assert touched_tags([old], [new], {"t"}) == touched_tags([old], [], {"t"}) == ("t",)
    assert touched_tags([old], [new], {"other"}) == ()
