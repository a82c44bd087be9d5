"""The reference pages list exactly the fields that the types have, with their defaults."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from hanse import config
from hanse.desired import kinds
from hanse.desired.kinds import KINDS
from hanse.platforms.openstack import blocks

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.+) \|$", re.MULTILINE)

Case = tuple[str, str, type[Struct]]
CASES: list[Case] = [
    *(("manifest", f"## {kind.__name__}", kind) for kind in KINDS),
    ("manifest", "### guards", kinds.Guards),
    ("manifest", "### access", kinds.AccessRow),
    ("manifest", "### trust", kinds.Trust),
    ("manifest", "### signers", kinds.Signer),
    ("manifest", "### protected", kinds.ProtectedPaths),
    ("manifest", "### approvals", kinds.Approvers),
    ("manifest", "### who", kinds.Who),
    ("manifest", "### operators", kinds.Operator),
    ("manifest", "### limits", kinds.Limits),
    ("manifest", "### tenants", kinds.TenantRow),
    ("manifest", "### native", kinds.NativeThing),
    ("server", "## The file", config.ServerConfig),
    ("server", "## repository", config.Repository),
    ("server", "## credentials", config.CredentialBinding),
    ("server", "## serve", config.Serve),
    ("openstack", "### Of a Platform", blocks.PlatformBlock),
    ("openstack", "### domains", blocks.Domains),
    ("openstack", "### users", blocks.Users),
    ("openstack", "### names", blocks.Names),
    ("openstack", "### Of a LandingZone", blocks.LandingZoneBlock),
    ("openstack", "### quotas", blocks.Quotas),
]


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    text = (DOCS / f"{page}.md").read_text()
    parts = re.split(r"^(#+ .+)$", text, flags=re.MULTILINE)
    assert parts.count(heading) == 1, f"docs/{page}.md has no heading '{heading}'"
    return parts[parts.index(heading) + 1]


def default(field: msgspec.structs.FieldInfo) -> str:
    """How the page writes a field's default."""
    if field.required:
        return "required"
    value: Any = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, Struct):
        return "below"
    if value in (None, "", (), {}, []):
        return "–"
    return f"`{value}`"


@pytest.mark.parametrize(("page", "heading", "kind"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_a_table_has_every_field_with_its_default(page: str, heading: str, kind: type[Struct]) -> None:
    told = {name: value for name, value, _ in ROW.findall(section(page, heading))}
    fields = msgspec.structs.fields(kind)
    assert told == {f.encode_name: default(f) for f in fields if f.name != "api_version"}


def test_every_quota_of_openstack_is_named() -> None:
    text = section("openstack", "### quotas")
    assert [name for name in blocks.QUOTAS if f"`{name}`" not in text] == []
