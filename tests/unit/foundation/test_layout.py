"""YAML in a tidier layout: what is changed, what never is, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanse.foundation import layout
from hanse.foundation.layout import LeftAlone, tidy
from hanse.service import init

ROOT = Path(__file__).parents[3]


def tidied(text: str) -> str:
    return tidy(text.encode(), "a.yaml").decode()


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "src/hanse/demo/example").rglob("*.yaml")),
    ids=lambda path: str(path.name),
)
def test_the_example_is_tidy(path: Path) -> None:
    assert tidy(path.read_bytes(), "").decode() == path.read_text()


def test_what_init_writes_is_tidy() -> None:
    files = {**init.manifest("example"), "server.yaml": init.server_yaml("/srv/org", "ops")}
    assert {path: tidy(data, path) for path, data in files.items()} == files


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            "a:\n    b: 1\n    c:\n       d: 2\n", "a:\n  b: 1\n  c:\n    d: 2\n", id="two columns a level"
        ),
        pytest.param(
            "a:\n- b:   1\n  c: 2\n- d\n", "a:\n  - b: 1\n    c: 2\n  - d\n", id="rows below their key"
        ),
        pytest.param("a:\n-   - 1\n    - 2\n", "a:\n  - - 1\n    - 2\n", id="a list in a list"),
        pytest.param("a:\n-\n    b: 1\n", "a:\n  -\n    b: 1\n", id="a row on the next line stays there"),
        pytest.param("{ a: 1 , b:   [1,2 ] }\n", "{a: 1, b: [1, 2]}\n", id="brackets"),
        pytest.param('{"a":1, "b": }\n', '{"a": 1, "b": }\n', id="a colon after quotes, and before nothing"),
        pytest.param("a: 1   \n\n\n\nb:   2", "a: 1\n\nb: 2\n", id="empty lines and the end"),
        pytest.param("\n\n# c\na: 1\n\n\n", "# c\na: 1\n", id="no empty line at either end"),
        pytest.param("a: 1 # c\n", "a: 1  # c\n", id="two spaces before a comment"),
        pytest.param(
            "a:   1      # c\nb: 22     # d\n", "a: 1      # c\nb: 22     # d\n", id="more spaces stay"
        ),
        pytest.param("#a\n#  b\nx: 1 #c\n", "#a\n#  b\nx: 1  #c\n", id="a comment's own text stays"),
        pytest.param("a: &x   {b: 1}\nc:   *x\n", "a: &x {b: 1}\nc: *x\n", id="anchors and aliases"),
        pytest.param("a: &x\n- 1\n-   2\n", "a: &x\n  - 1\n  - 2\n", id="an anchored list"),
        pytest.param(
            "---   # c\na:  1\n...\n---\nb:  1\n", "---   # c\na: 1\n...\n---\nb: 1\n", id="several documents"
        ),
        pytest.param("%YAML 1.2\n---\na:   1\n", "%YAML 1.2\n---\na: 1\n", id="a directive"),
        pytest.param("?   a\n:   b\n", "? a\n: b\n", id="a key with its mark"),
        pytest.param("a:   1\r\nb: 2\r\n", "a: 1\r\nb: 2\r\n", id="line ends that agree stay"),
        pytest.param("a: 1\r\nb: 2\n", "a: 1\nb: 2\n", id="line ends that differ become newlines"),
        pytest.param("\ufeffa: 1\n", "a: 1\n", id="a byte order mark goes"),
        pytest.param(
            "a:   Üñ\U0001f600   # ü\u2028x\n", "a: Üñ\U0001f600   # ü\u2028x\n", id="letters of all sorts"
        ),
        pytest.param("", "", id="nothing"),
        pytest.param("\n# only\n\n", "# only\n", id="only a comment"),
    ],
)
def test_white_space_is_made_anew(text: str, wanted: str) -> None:
    assert tidied(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: 'one'\nb: \"caf\\u00e9\"\nc: plain\n", id="quotes and escapes"),
        pytest.param(
            "z: 1\na: 0o17\nm: 1_000\nf: 1.50\ne: 1e3\nn: ~\n", id="keys in their order, numbers as written"
        ),
        pytest.param("d: 2026-12-31T18:00:00+01:00\n", id="instants"),
        pytest.param(f"a: [{', '.join(['word'] * 90)}]\n", id="long rows"),
        pytest.param("a: [1,\n    2]  # hung\nb: [\n  1,\n  2,\n]\n", id="rows that were broken"),
        pytest.param("a: first\n  second\nb: 'x\n\n  y'\nc: \"x\\\n  y\"\n", id="texts that were broken"),
        pytest.param("a: |\n  x\n    y\n\n\n  z\nb: >-\n  t\n", id="texts in lines"),
        pytest.param("a: |+\n  x\n\n\nb: |2\n    x\n  y\n", id="texts that say how they end and begin"),
        pytest.param("a: |\n  x\n     \nb: 1\n", id="a line of spaces that says something"),
        pytest.param("a: |+\n  x\n\n\n", id="empty lines at the end that say something"),
    ],
)
def test_what_is_no_layout_stays(text: str) -> None:
    assert tidied(text) == text


def test_a_comment_goes_with_what_it_stands_at() -> None:
    text = """\
a:
      # about b
      b:
            - 1
            # at the end of the list
      # at the end of a
# about c
c: 1
      # deeper than anything
# at the end
"""
    assert (
        tidied(text)
        == """\
a:
  # about b
  b:
    - 1
    # at the end of the list
  # at the end of a
# about c
c: 1
# deeper than anything
# at the end
"""
    )


def test_broken_rows_and_texts_move_with_their_first_line() -> None:
    text = 'a:\n    - b: {c: 1,\n          d: 2}\n      e: "x\n        y"\n      f: |\n           g\n'
    assert tidied(text) == 'a:\n  - b: {c: 1,\n        d: 2}\n    e: "x\n      y"\n    f: |\n      g\n'


@pytest.mark.parametrize("text", ["a: [1\n", "a: 1\na: 2\n", "- 1\n", "a: !x 1\n", "a: \x00\n", "a:\t1\n"])
def test_what_is_no_sound_yaml_is_left_alone_and_the_place_is_told(text: str) -> None:
    with pytest.raises(LeftAlone) as left:
        tidied(text)
    assert left.value.place is not None


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ("a: 2\n", "would not say the same"),
        ("a: 1 # d\n", "would not say the same"),
        ("a: '1'\n", "would not say the same"),
        ("a:\n", "would not say the same"),
    ],
)
def test_whatever_goes_wrong_nothing_else_than_layout_is_given_back(
    monkeypatch: pytest.MonkeyPatch, made: str, why: str
) -> None:
    monkeypatch.setattr(layout, "_laid_out", lambda data: made.encode())
    with pytest.raises(LeftAlone, match=why):
        tidied("a:   1 # c\n")


def test_a_layout_that_does_not_come_to_rest_is_not_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_laid_out", lambda data: data.replace(b": ", b":  "))
    with pytest.raises(LeftAlone, match="come to rest"):
        tidied("a: 1\n")
