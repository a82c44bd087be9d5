"""Who holds what: the bindings of a namespace as links, compared with who shall have it."""

from __future__ import annotations

from datetime import UTC, datetime

from hanse.desired.compiled import Compiled
from hanse.journal import record
from hanse.journal.events import StepIntended
from hanse.model import Key, Native, Personal, Ref, Resource, Tenant, Value
from hanse.observed import Observation
from hanse.plan import Rules, make
from hanse.platforms.kubernetes import facts
from hanse.platforms.kubernetes.blocks import DESCRIPTION
from hanse.platforms.kubernetes.wire import Binding, Place, RoleRef, Subject

OWNER = Tenant("k8s", "shop", "prod")
NAMESPACE = Key("example", "shop", "prod", "namespace")
RULES = Rules({kind.name: kind for kind in DESCRIPTION.kinds})
NAME = "canary@example.org"
SPACE = Resource(NAMESPACE, "namespace", {"name": "shop-prod"}, OWNER, "shop-prod")


def binding(name: str, kind: str, who: str, role: str = "edit") -> Binding:
    return Binding(Place(name, "shop-prod"), RoleRef("ClusterRole", role), (Subject(kind, who),))


def seen(*bindings: Binding) -> Observation:
    links = facts.links(NAMESPACE, bindings, OWNER.platform)
    return Observation("k8s", datetime(2026, 1, 1, tzinfo=UTC), None, {OWNER: (SPACE, *links)})


def wanted(who: Native) -> Compiled:
    attributes: dict[str, Value] = {
        "namespace": Ref(NAMESPACE),
        "role": facts.role("ClusterRole", "edit"),
        "subject": who,
    }
    link = Resource(Key("example", "shop", "prod", "binding/edit/user/u-1"), "binding", attributes, OWNER)
    return Compiled(OWNER, (SPACE, link))


def test_a_user_and_a_group_of_one_name_are_two() -> None:
    user = Native("User", "", Personal("shop"))
    steps = make(wanted(user), seen(binding("by-hand", "Group", "shop")), RULES).steps
    assert sorted(step.action for step in steps) == ["create", "delete"]
    assert not make(wanted(user), seen(binding("by-hand", "User", "shop")), RULES).steps


def test_all_bindings_that_give_one_person_a_role_are_one_link() -> None:
    links = facts.links(NAMESPACE, (binding("a", "User", NAME), binding("b", "User", NAME)), "k8s")
    assert [facts.binding_names(link.attributes) for link in links] == [("a", "b")]


def test_a_name_of_a_person_stays_out_of_the_journals_chain() -> None:
    named = binding(f"user-{NAME}-edit", "User", NAME)  # as tools call bindings that they make for people
    [step] = make(Compiled(OWNER, (SPACE,)), seen(named), RULES).steps
    body, texts = record.encode(StepIntended(step, "digest"), b"key")
    assert NAME.encode() not in body
    assert set(texts.values()) == {NAME, f"user-{NAME}-edit"}
