"""What people are told about mistakes that newcomers make: each with something to do."""

from __future__ import annotations

import pytest

from example_vendor import NOW, VOCABULARY
from hanse.desired.load import load

HEAD = "apiVersion: hanse/v1\nkind: "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "Group\nname:a\nmembers: []\n", "with a space after the colon"),
        (HEAD + "Project\nname: a\naccess:\n  - {user: u-1\nworkspace: b\n", "is closed"),
        (HEAD + 'Group\nname: "a\n', "end the text with the quote"),
        (HEAD + "Group\n<<<<<<< HEAD\nname: a\n=======\nname: b\n>>>>>>> b\n", "keep one of its sides"),
        (HEAD + "Organization\nname: a\nignore: [**]\n", "begins with * or &"),
        (HEAD + "User\nname: a\nstate: inactive\n", "allowed: active, disabled"),
        (HEAD + "Project\nname: a\nworkspace: b\ntenants: east\n", "begin each row"),
        (HEAD + "Organization\nname: a\nguards: {removalPercent: 25%}\n", "write the number alone: 25"),
        (HEAD + "TagDefinition\nname: a\nkinds: [User]\nsetBy: b\n", "users, groups, machines"),
        ("apiVersion: apps/v1\nkind: Deployment\n", "Organization.ignore"),
    ],
)
def test_what_newcomers_write_is_told_with_what_to_do(text: str, told: str) -> None:
    found = load({"a.yaml": text.encode()}, VOCABULARY, NOW).diagnostics
    assert any(told in one.advice for one in found), found


def test_what_stands_in_an_unreadable_file_is_not_said_to_be_missing() -> None:
    files = {
        "organization.yaml": b"apiVersion: hanse/v1\nkind: Organization\nname:a\n",
        "p.yaml": b"apiVersion: hanse/v1\nkind: Project\nname: a\nworkspace: shop\n",
    }
    found = load(files, VOCABULARY, NOW).diagnostics
    assert not any(one.code == "no-organization" for one in found)
    assert any("may stand in organization.yaml" in one.advice for one in found), found
