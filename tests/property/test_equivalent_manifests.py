"""A law: how a manifest is written and spread over files changes nothing that it means."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from example_vendor import BASE, loaded
from hanse.desired.intents import directory, intents
from hanse.desired.intents import settings as settings_of
from hanse.foundation.canonical import digest

Document = dict[str, Any]

terms = st.fixed_dictionaries(
    {"role": st.sampled_from(["admin", "user", "reader", "auditor"])},
    optional={
        "from": st.sampled_from(["2026-01-01", "2026-02-01T00:00:00Z"]),
        "until": st.sampled_from(["2026-12-31", "2027-01-01T00:00:00+01:00"]),
        "reason": st.sampled_from(["", "CHG-1"]),
    },
)
subjects = st.sampled_from([{"user": "u-1"}, {"user": "u-2"}, {"user": "u-3"}, {"group": "makers"}])
rows = st.lists(st.builds(lambda a, b: {**a, **b}, terms, subjects), max_size=4)
tenants = st.lists(st.sampled_from(["north", "south"]), unique=True).map(
    lambda platforms: [{"platform": p, "landingZone": "production"} for p in platforms]
)
tags = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["a", "b"]),
        "number": st.sampled_from([1, 2.5]),
        "truth": st.booleans(),
        "choice": st.sampled_from(["one", "two"]),
        "choices": st.lists(st.sampled_from(["one", "two", "three"]), unique=True),
    },
)
DEFINITIONS: list[Document] = [
    {
        "apiVersion": "hanse/v1",
        "kind": "TagDefinition",
        "kinds": ["Project", "Workspace", "PaymentMethod"],
        **more,
    }
    for more in (
        {"name": "text", "pattern": "[a-z]+"},
        {"name": "number", "type": "number"},
        {"name": "truth", "type": "boolean", "default": False},
        {"name": "choice", "type": "select", "values": ["one", "two"]},
        {"name": "choices", "type": "multi-select", "values": ["one", "two", "three"], "default": ["one"]},
    )
]


@st.composite
def payment_methods(draw: st.DrawFn) -> Document:
    return {"apiVersion": "hanse/v1", "kind": "PaymentMethod", "name": "cc", "tags": draw(tags)}


@st.composite
def projects(draw: st.DrawFn) -> list[Document]:
    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True, min_size=1))
    return [
        {
            "apiVersion": "hanse/v1",
            "kind": "Project",
            "name": name,
            "workspace": "shop",
            "tags": draw(tags),
            "paymentMethod": "cc",
            "access": draw(rows),
            "tenants": draw(tenants),
        }
        for name in names
    ]


def meaning(files: dict[str, str]) -> str:
    result = loaded(files)
    assert not [d for d in result.diagnostics if d.severity == "error"], result.diagnostics
    found = intents(result.manifest)
    return digest(
        [
            {str(owner): intent.digest for owner, intent in found.items()},
            directory(result.manifest),
            settings_of(result.manifest).digest,
        ]
    )


@st.composite
def retagged(draw: st.DrawFn, tags: Document) -> Document:
    """The same tags: names and choices shuffled, choices repeated, numbers with a fraction."""
    found = dict(draw(st.permutations(list(tags.items()))))
    if "choices" in found:
        found["choices"] = draw(st.permutations(found["choices"])) + draw(
            st.sampled_from([[], found["choices"]])
        )
    if "number" in found:
        found["number"] = draw(st.sampled_from([found["number"], float(found["number"])]))
    return found


@st.composite
def rewritten(draw: st.DrawFn, documents: list[Document], others: list[Document]) -> dict[str, str]:
    """The same documents: keys and rows shuffled, grants inline or in files of their own, files split."""
    written: list[Document] = []
    for document in documents:
        inline: list[Document] = []
        for row in draw(st.permutations(document["access"])):
            if draw(st.booleans()):
                grant = {"apiVersion": "hanse/v1", "kind": "Grant", "name": f"g{len(written)}-{len(inline)}"}
                written.append({**grant, "workspace": "shop", "project": document["name"], **row})
                if not draw(st.booleans()):
                    continue  # else both: inline and as a file
            inline.append(row)
        copy = {**document, "access": inline, "tenants": draw(st.permutations(document["tenants"]))}
        copy["tags"] = draw(retagged(document["tags"]))
        written.append(dict(draw(st.permutations(list(copy.items())))))
    for other in others:
        written.append(dict(draw(st.permutations(list(other.items())))))
        if other["kind"] == "PaymentMethod":
            written[-1]["tags"] = draw(retagged(other["tags"]))
    files: dict[str, str] = {}
    names: set[str] = set()
    for number, document in enumerate(draw(st.permutations(written))):
        if document["kind"] == "Grant":
            document["name"] = f"grant-{number}"
        path = draw(st.sampled_from(["a.yaml", "b/c.yml", "z.yaml"]))
        indent = draw(st.sampled_from([None, 2]))
        files[path] = files.get(path, "") + "---\n" + json.dumps(document, indent=indent) + "\n"
        names.add(path)
    parts = BASE.split("---")
    files["base.yaml"] = "---".join(draw(st.permutations(parts)))
    return dict(draw(st.permutations(list(files.items()))))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_order_layout_and_place_of_grants_change_no_digest(data: st.DataObject) -> None:
    documents = data.draw(projects())
    others = [data.draw(payment_methods()), *DEFINITIONS]
    everything = [*documents, *others]
    plain = {"all.yaml": BASE + "".join(f"---\n{json.dumps(document)}\n" for document in everything)}
    assert meaning(data.draw(rewritten(documents, others))) == meaning(plain)
