"""The reference pages say what the types say, and every field says what it is."""

from __future__ import annotations

import os

import pytest
from msgspec import Struct

from hanse.config import ServerConfig
from hanse.desired.reference import shape, shapes
from hanse.main import language, vendors
from hanse.platforms.openstack import blocks
from reference_pages import DOCS, made, pages, section, with_table


@pytest.mark.golden
@pytest.mark.parametrize("page", pages())
def test_a_page_has_every_type_and_field_as_the_types_say_them(page: str) -> None:
    path = DOCS / f"{page}.md"
    written = path.read_text()
    wanted = made(page, written)
    if os.environ.get("HANSE_GOLDEN") == "rewrite":
        path.write_text(wanted)
        written = wanted
    assert written == wanted, "run `make docs`"


@pytest.mark.parametrize(("name", "root"), [*language().vocabulary.kinds.items(), ("server", ServerConfig)])
def test_every_field_and_every_type_says_what_it_is(name: str, root: type[Struct]) -> None:
    silent = [path for path, part in shapes(root, name) if not part.doc]
    silent += [
        f"{path}.{field.name}" for path, part in shapes(root, name) for field in part.fields if not field.doc
    ]
    assert silent == [], "write a sentence beneath the field"


def test_a_type_without_a_heading_is_named_with_the_heading_that_it_needs() -> None:
    text = (DOCS / "manifest.md").read_text()
    with pytest.raises(AssertionError, match=r"'### guards' below '## Organization' \(for Guards\)"):
        made("manifest", text.replace("### guards", "### gards"))
    with pytest.raises(AssertionError, match="'## Role'"):
        made("manifest", text.replace("## Role\n", "## Rule\n"))


def test_a_new_kind_needs_no_more_than_its_heading() -> None:
    role = shape(language().vocabulary.kinds["Role"])
    body = with_table("manifest", "\n\nA role by name.\n\nIt is more.\n\n", role)
    assert body.startswith("\n\nA role by name.\n\n| field | type | default | meaning |\n")
    assert body.endswith("|\n\nIt is more.\n\n")
    assert with_table("manifest", body, role) == body
    assert "| `scope` |" in with_table("manifest", "\n", role)


def test_every_vendor_has_its_page() -> None:
    assert [name for name in vendors() if name not in pages()] == []


def test_every_quota_of_openstack_is_named() -> None:
    text = section("openstack", "### quotas")
    assert [name for name in blocks.QUOTAS if f"`{name}`" not in text] == []
