"""Laws of layout: however a document is spaced and indented, one layout comes of it, and it says the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.foundation import yaml
from hanse.foundation.layout import LeftAlone, tidy

T = TypeVar("T")
Pick = Callable[[Sequence[T]], T]
LAYOUTS = 5
"""Of each document: to invent a document takes ten times as long as to lay one out."""
PUT = ["", " ", "\n", "\t", "# x\n", "- ", "{", "]", ":", "'", "\n---\n", "&a ", "|"]
"""What is put into a text somewhere, which may break it."""


class Mapping(NamedTuple):
    entries: list[tuple[str, Any, str]]
    """Key, node, and a comment above it."""


class Rows(NamedTuple):
    nodes: list[Any]
    comment: str


class Lines(NamedTuple):
    header: str
    lines: list[str]


class Flow(NamedTuple):
    parts: list[str]
    opening: str


words = st.sampled_from(
    ["a", "bb", "'it''s'", '"caf\\u00e9"', "12", "~", "0o17", "x y", "Ü", "2026-12-31", '"#"', "a#b"]
)
keys = st.lists(st.sampled_from(["k", "name", '"q"', "Ü", "k-1", "'s'"]), unique=True, min_size=1, max_size=3)
comments = st.sampled_from(["", "", "", "# why", "#: {a: [", "# 'x"])
lines = st.builds(
    Lines,
    st.sampled_from(["|", ">", "|-", ">+"]),
    st.lists(st.sampled_from(["x", "  y: 1", "# z", ""]), max_size=3),
).map(lambda made: Lines(made.header, ["first", *made.lines, "last"]))
flows = st.builds(Flow, st.lists(st.sampled_from(["a", "'b'", "1"]), max_size=3), st.sampled_from("[{"))
nodes = st.recursive(
    words | lines | flows,
    lambda inner: (
        st.builds(Rows, st.lists(inner, min_size=1, max_size=3), comments)
        | keys.flatmap(lambda names: st.tuples(*[st.tuples(st.just(n), inner, comments) for n in names])).map(
            lambda entries: Mapping([*entries])
        )
    ),
    max_leaves=10,
)
documents = keys.flatmap(
    lambda names: st.tuples(*[st.tuples(st.just(name), nodes, comments) for name in names])
).map(lambda entries: Mapping([*entries]))


def written(node: Any, column: int, pick: Pick[Any]) -> list[str]:
    """The lines of a node's value; the first goes on behind `key:` or `-`, unless it is empty."""
    space = " " * pick([1, 2, 5])
    match node:
        case Flow(parts, opening):
            comma = pick([", ", ",", " ,  "])
            inner = (
                comma.join(f"{part}{pick([': ', ':   '])}1" for part in parts)
                if opening == "{"
                else comma.join(parts)
            )
            pad = pick(["", " "])
            return [f"{space}{opening}{pad}{inner}{pad}{'}' if opening == '{' else ']'}{pick(['', '  '])}"]
        case Lines(header, content):
            deep = " " * (column + pick([2, 1, 4]))
            return [f"{space}{header}", *(f"{deep}{line}" if line else "" for line in content)]
        case Mapping(entries):
            deep = column + pick([2, 1, 4, 7])
            return ["", *of_mapping(entries, deep, pick)]
        case Rows(rows, comment):
            deep = column + pick([2, 0, 1, 4])
            made = [""]
            for row in rows:
                made += [" " * deep + comment] if comment else []
                made += of_row(row, deep, pick)
            return made
        case _:
            return [f"{space}{node}"]


def of_row(row: Any, deep: int, pick: Pick[Any]) -> list[str]:
    if isinstance(row, Mapping) and pick([True]) and not row.entries[0][2]:  # begins beside its dash
        inner = deep + 1 + pick([1, 3])
        first, *others = of_mapping(row.entries, inner, pick)
        return [" " * deep + "-" + " " * (inner - deep - 1) + first.lstrip(), *others]
    if isinstance(row, Rows):
        row = Mapping([("k", row, "")])
        return of_row(row, deep, pick)
    first, *others = written(row, deep, pick)
    return [f"{' ' * deep}-{first}", *others]


def of_mapping(entries: Sequence[tuple[str, Any, str]], column: int, pick: Pick[Any]) -> list[str]:
    made: list[str] = []
    for number, (key, node, comment) in enumerate(entries):
        if number:
            made += [""] * pick([0, 0, 0])
        if comment:
            made.append(" " * column + comment)
        first, *others = written(node, column, pick)
        made += [f"{' ' * column}{key}:{first}", *others]
    return made


@settings(max_examples=100, deadline=None)
@given(documents, st.randoms(use_true_random=True))
def test_however_a_document_is_spaced_one_layout_comes_of_it_and_it_says_the_same(
    document: Mapping, chance: Random
) -> None:
    plain = "\n".join(of_mapping(document.entries, 0, lambda options: options[0])) + "\n"
    for _ in range(LAYOUTS):
        odd = "\n".join(of_mapping(document.entries, 0, chance.choice)) + "\n"
        if yaml.parse(odd.encode(), "").diagnostics:
            continue
        made = tidy(odd.encode(), "").decode()
        assert made == tidy(plain.encode(), "").decode()
        assert tidy(made.encode(), "").decode() == made


@settings(max_examples=100, deadline=None)
@given(documents, st.randoms(use_true_random=True))
def test_whatever_a_text_is_it_is_laid_out_or_left_alone(document: Mapping, chance: Random) -> None:
    plain = "\n".join(of_mapping(document.entries, 0, lambda options: options[0])) + "\n"
    for _ in range(LAYOUTS):
        text = plain
        for _ in range(chance.randint(1, 3)):
            at = chance.randint(0, len(text))
            text = text[:at] + chance.choice(PUT) + text[at + chance.randint(0, 4) :]
        try:
            made = tidy(text.encode(), "")
        except LeftAlone:
            continue
        assert "".join(made.decode().split()) == "".join(text.split())
        before, after = yaml.parse(text.encode(), ""), yaml.parse(made, "")
        assert [d.value for d in before.documents] == [d.value for d in after.documents]
        assert tidy(made, "") == made
