"""What a step is called for people."""

import pytest

from hanse.cli.render import Names
from hanse.model import Key, Step, Tenant, Value
from hanse.model.step import Action, Reason

OWNER = Tenant("north", "shop", "prod")


def told(action: Action, kind: str, part: str, before: dict[str, Value], after: dict[str, Value]) -> str:
    key = Key("example", "shop", "prod", part)
    step = Step(action, kind, key, OWNER, "", before, after, (), Reason("declared"))
    return Names((), {key: "one"}, {}).step(step)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (("a=1", "b=2", "c=3"), ("a=1", "b=4", "c=3"), "b=2 → b=4"),
        (("a=1", "b=2"), ("a=1",), "- b=2"),
        (("a=1",), ("a=1", "b=2"), "+ b=2"),
        ((), ("a=1",), "none → a=1"),
        (("a=1",), (), "a=1 → none"),
        (("a", "b"), ("b", "a"), "a, b → b, a"),
    ],
)
def test_of_a_changed_list_only_what_differs_is_told(
    before: tuple[str, ...], after: tuple[str, ...], words: str
) -> None:
    said = told("update", "project", "project", {"labels": before}, {"labels": after})
    assert said == f"project one: labels {words}"


def test_things_of_one_name_and_several_sorts_are_told_apart() -> None:
    assert told("create", "object", "object/configmap.core/one", {}, {"name": "one"}) == (
        "object configmap.core/one"
    )
    assert told("update", "object", "object/role.rbac/one", {"x": "1"}, {"x": "2"}) == (
        'object role.rbac/one: x "1" → "2"'
    )


@pytest.mark.parametrize(
    ("kind", "part"), [("project", "project"), ("group", "group/user"), ("quota", "quota")]
)
def test_what_has_one_sort_is_told_by_its_name(kind: str, part: str) -> None:
    assert told("delete", kind, part, {"name": "one"}, {}) == f"{kind} one"
