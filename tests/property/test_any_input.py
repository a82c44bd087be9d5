"""A law: whatever a file holds, loading answers with findings at their places, and never raises."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from example_vendor import BASE, PROJECT, VOCABULARY, loaded
from hanse.desired.intents import directory, intents
from hanse.foundation.diagnostics import has_errors

NAMES = [
    "u-1",
    "makers",
    "shop",
    "prod",
    "north",
    "production",
    "admin",
    "workspace-owner",
    "2026-01-01",
    "",
    "Ü",
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from(NAMES),
    st.text(max_size=8),
)
FIELDS = sorted(
    {
        name
        for kind in VOCABULARY.kinds
        for schema in VOCABULARY.schema(kind)["$defs"].values()
        for name in schema.get("properties", {})
    }
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FIELDS, "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
documents = st.builds(
    lambda kind, fields: {"apiVersion": "hanse/v1", "kind": kind, "name": "some", **fields},
    st.sampled_from([*VOCABULARY.kinds, "Porject"]),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=8),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(documents, min_size=1, max_size=4))
def test_any_documents_are_answered_with_findings_at_places(written: list[dict[str, Any]]) -> None:
    text = "".join(f"---\n{json.dumps(document, indent=1)}\n" for document in written)
    result = loaded({"base.yaml": BASE, "prod.yaml": PROJECT, "some.yaml": text})
    lines = {
        "base.yaml": BASE.splitlines(),
        "prod.yaml": PROJECT.splitlines(),
        "some.yaml": text.splitlines(),
    }
    for found in result.diagnostics:
        assert found.place is not None
        assert 1 <= found.place.line <= len(lines[found.place.path])
    intents(result.manifest)
    directory(result.manifest)
    if "some.yaml" not in result.rows:
        assert has_errors(result.diagnostics)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_text_is_answered_with_findings(data: st.DataObject) -> None:
    text = BASE + "---" + PROJECT
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        text = (
            text[:at]
            + data.draw(st.sampled_from(["", ":", "{", "]", "- ", "\n", "'", "x", "&a ", "*a"]))
            + text[at + length :]
        )
    result = loaded({"all.yaml": text})
    assert result.rows or has_errors(result.diagnostics)
