"""One mistake is one finding, where it was made: on the command line, with the real vendors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import hanse, repository

PLATFORMS = """\
apiVersion: hanse/v1
kind: Platform
name: cloud
credential: cloud-robot
openstack:
  users: {domain: corporate, externalId: corporate}
---
apiVersion: hanse/v1
kind: LandingZone
name: standard
platform: cloud
openstack:
  quotas: {max: {cores: 100}}
---
apiVersion: hanse/v1
kind: Platform
name: cluster
credential: cluster-robot
kubernetes:
  subjects:
    users: {externalId: corporate}
---
apiVersion: hanse/v1
kind: LandingZone
name: standard
platform: cluster
kubernetes:
  quotas: {max: {cores: 100}}
"""
PEOPLE = "---\n".join(
    f"apiVersion: hanse/v1\nkind: User\nname: u-{number}\nexternalIds: {{corporate: p{number}}}\n"
    for number in range(1, 5)
)
GROUPS = """\
{apiVersion: hanse/v1, kind: Group, name: team, members: [u-1, u-2]}
---
{apiVersion: hanse/v1, kind: Group, name: admins, members: [u-3, u-4]}
"""
SHOP = """\
apiVersion: hanse/v1
kind: Workspace
name: shop
---
apiVersion: hanse/v1
kind: Project
name: web
workspace: shop
access:
  - {group: team, role: user}
  - {group: admins, role: admin}
tenants:
  - {platform: cloud, landingZone: standard}
  - platform: cluster
    landingZone: standard
    quotas: {cores: 5}
"""
HEAD = "apiVersion: hanse/v1, kind:"
ORGANIZATION = "apiVersion: hanse/v1\nkind: Organization\nname: example\n"
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
SIGNED = f"trust:\n  signers: [{{user: u-1, ssh: {SSH}}}]\n"
FILES = {
    "organization.yaml": ORGANIZATION,
    "platforms.yaml": PLATFORMS,
    "people.yaml": PEOPLE,
    "groups.yaml": GROUPS,
    "shop.yaml": SHOP,
}


def told(folder: Path, changes: dict[str, str], *options: str) -> list[str]:
    """What validate says of the organisation with these files."""
    place = folder / "org"
    if not place.exists():
        repository(place, FILES)
    for path, text in {**FILES, **changes}.items():
        (place / path).write_text(text)
    found = json.loads(hanse("validate", place, "--worktree", "--json", *options).stdout)["diagnostics"]
    return [_line(one) for one in found]


def _line(one: dict[str, object]) -> str:
    place = one["place"]
    assert isinstance(place, dict)
    where = f"{place['path']}:{place['line']}:{place['column']}"
    return f"{where}: {one['severity']}: {one['message']}; {one.get('advice', '')}"


def test_the_organisation_is_sound(tmp_path: Path) -> None:
    assert told(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("quotas", "said"),
    [
        ("cores: -5", "21: error: tenants[1].quotas.cores: the number -5 is less than 0; write 0 or more"),
        ("corse: 5", "14: error: unknown quota 'corse' of kubernetes; did you mean 'cores'?"),
        ("cores: 500", "21: error: quota cores of 500 is above the 100 of LandingZone cluster/standard"),
    ],
)
def test_a_quota_that_cannot_be_is_told_once_and_there(quotas: str, said: str, tmp_path: Path) -> None:
    (only,) = told(tmp_path, {"shop.yaml": SHOP.replace("cores: 5", quotas)})
    assert only.startswith(f"shop.yaml:16:{said}")


def test_an_unknown_quota_gets_the_names_of_its_own_vendor(tmp_path: Path) -> None:
    rows = SHOP.replace("standard}", "standard, quotas: {prots: 1}}").replace("cores: 5", "prots: 1")
    cloud, cluster = told(tmp_path, {"shop.yaml": rows})
    assert "of openstack; did you mean 'ports'?" in cloud
    assert "of kubernetes; allowed: cores, " in cluster


@pytest.mark.parametrize("signed", ["", SIGNED])
def test_an_unknown_setter_of_a_tag_is_told_once(signed: str, tmp_path: Path) -> None:
    tag = (
        "{apiVersion: hanse/v1, kind: TagDefinition, name: level, kinds: [Project], setBy: {groups: [admns]}}"
    )
    changes = {"organization.yaml": ORGANIZATION + signed, "tags.yaml": tag}
    found = [one for one in told(tmp_path, changes) if "admns" in one]
    assert found == ["tags.yaml:1:93: error: unknown group 'admns'; did you mean 'admins'?"]


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        (
            "groups.yaml",
            "[u-1, u-2]",
            "[u-1, admins]",
            "1:64: error: unknown user 'admins'; 'admins' is a group, and groups contain no groups: name its people",
        ),
        ("shop.yaml", "group: team", "user: team", "10:12: error: unknown user 'team'; 'team' is a group: write"),
        ("shop.yaml", "group: team", "group: u-1", "10:13: error: unknown group 'u-1'; 'u-1' is a user: write"),
    ],
)  # fmt: skip
def test_a_group_in_a_persons_place_is_told_to_be_one(
    file: str, before: str, after: str, said: str, tmp_path: Path
) -> None:
    (only,) = told(tmp_path, {file: FILES[file].replace(before, after)})
    assert only.startswith(f"{file}:{said}")


def test_a_missing_separator_is_one_finding(tmp_path: Path) -> None:
    found = told(tmp_path, {"people.yaml": PEOPLE.replace("---\n", "")})
    (only,) = [one for one in found if one.startswith("people.yaml")]
    assert only.startswith("people.yaml:5:1: error: another document begins here")
    assert "so it is on line 9, 13; write --- on a line of its own before each" in only


def policy(require: str) -> str:
    return f"apiVersion: hanse/v1\nkind: Policy\nname: rule\non: project\nrequire: {require}\nmessage: No.\n"


@pytest.mark.parametrize(
    ("definition", "tags", "require", "said"),
    [
        ("name: level, type: number", "level: high", "project.tags.level > 3", "expected a number, got 'high'"),
        ("name: level, type: nmber", "level: high", "project.tags.level > 3", "'nmber' is not allowed"),
        ("name: level, type: select", "level: 4", "project.tags.level.size() == 1", "needs 'values' to choose from"),
        ("name: level, type: number", "levle: 4", "project.tags.level > 3", "unknown tag 'levle'"),
        ("name: level, required: true", "{}", 'project.tags["level"].size() == 1', "the tag 'level' is missing"),
    ],
)  # fmt: skip
def test_a_policy_that_gives_no_answer_because_of_a_wrong_tag_is_not_told_beside_it(
    definition: str, tags: str, require: str, said: str, tmp_path: Path
) -> None:
    written = tags if tags.startswith("{") else f"{{{tags}}}"
    changes = {
        "tags.yaml": f"{{{HEAD} TagDefinition, kinds: [Project], {definition}}}\n",
        "policy.yaml": policy(require),
        "shop.yaml": SHOP.replace("workspace: shop\n", f"workspace: shop\ntags: {written}\n"),
    }
    (only,) = told(tmp_path, changes)
    assert said in only
    changes["policy.yaml"] = policy('project.tags["other"] == "x"')
    assert "gives no answer for project shop/web" in " ".join(told(tmp_path, changes))


KNOWN_BY = "externalId: corporate"


def test_a_mistyped_external_id_is_told_once_at_the_platform_and_of_nobody(tmp_path: Path) -> None:
    cloud, cluster = told(tmp_path, {"platforms.yaml": PLATFORMS.replace(KNOWN_BY, "externalId: corprate")})
    assert cloud == (
        "platforms.yaml:6:42: warning: nobody has an external id 'corprate', so nobody is known here; "
        "did you mean 'corporate'?"
    )
    assert cluster.startswith("platforms.yaml:21:25: warning: nobody has an external id 'corprate'")


def test_an_external_id_that_nobody_has_yet_is_told_with_what_to_add(tmp_path: Path) -> None:
    (only,) = told(tmp_path, {"platforms.yaml": PLATFORMS.replace(KNOWN_BY, "externalId: oidc", 1)})
    assert "people have corporate; correct it, or add `externalIds: {oidc: ...}` to the Users" in only
    people = PEOPLE.replace("{corporate: p1}", "{corporate: p1, oidc: q1}")
    found = told(
        tmp_path,
        {"platforms.yaml": PLATFORMS.replace(KNOWN_BY, "externalId: oidc", 1), "people.yaml": people},
    )
    assert [one.partition(": ")[2].partition(";")[0] for one in found] == [
        f"warning: user 'u-{number}' has no external id for 'oidc'" for number in (2, 3, 4)
    ]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ("['*', shop.yaml, grants, revocations, .forge, README.md, '*.md', 'zones.v1/*.txt']", ""),
        ("[peple.yaml]", "'peple.yaml' matches no file of the manifest, and protects nothing of it; did you mean"),
        ("[teams/shop]", "'teams/shop' matches no file of the manifest, and protects nothing of it; correct it"),
        ("['**/*.yml']", "'**/*.yml' matches no file of the manifest, and protects nothing of it; correct it"),
    ],
)  # fmt: skip
def test_a_protected_path_that_matches_nothing_is_told(paths: str, said: str, tmp_path: Path) -> None:
    protected = "  protected:\n    - {paths: ['**'], changedBy: {users: [u-1]}}\n"
    protected += f"    - {{paths: {paths}, changedBy: {{users: [u-1]}}}}\n"
    found = told(tmp_path, {"organization.yaml": ORGANIZATION + SIGNED + protected})
    assert len(found) == bool(said)
    assert all(one.startswith("organization.yaml:8:16: warning: ") and said in one for one in found)
