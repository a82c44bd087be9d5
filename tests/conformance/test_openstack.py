"""The OpenStack platform keeps the contract on a real Keystone 30.

A promise takes some 200 calls and about two seconds here, and all faults at all sorts of calls take an hour. So by
default each class tries the promises that it names in `always`, and the faults strike at the calls of `STRUCK`;
`make test-whole` tries everything (tests/conftest.py chooses).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from keystone_hand import ROLES, KeystoneHand

from hanse.conformance import PlatformConformance, World
from hanse.demo import keystone as starter
from hanse.platforms.openstack import VENDOR, client
from hanse.ports.platform import Credential, PlatformIdentity
from hanse.ports.transport import Call, Reply, Transport
from hanse.transport import Fault

WHOLE = os.environ.get("HANSE_CONFORMANCE") == "whole"
STRUCK = ("list assignments", "create project")
"""Where faults strike by default: at the list that tells who can do what, and at a write that is not idempotent."""
PAGE = 10
"""Rows that the platform asks for at once, in place of 1,000: then its lists take several calls here too."""
PLATFORM = "openstack-fra"
USERS = tuple(f"{name}@example.org" for name in ("ann", "ben", "cat", "dan", "eve"))


class Tidy:
    """A transport that leaves no domain of its world behind when it is closed."""

    def __init__(self, inner: Transport, hand: KeystoneHand) -> None:
        self.inner = inner
        self.hand = hand

    async def send(self, call: Call) -> Reply:
        return await self.inner.send(call)

    def stream(self, call: Call) -> AsyncIterator[bytes]:
        return self.inner.stream(call)

    async def close(self) -> None:
        await self.hand.clear()
        await self.inner.close()


class TestInOneDomain(PlatformConformance):
    """All projects and groups are in one domain that is there."""

    exhaustive = False
    lacks: ClassVar[Mapping[str, str]] = {
        "page counts": "Keystone's lists tell no count, so a page without some of its rows looks whole",
        "hints": "Keystone tells nobody but its own message bus what changes",
        "workspace things": "`domains: {default: ...}` puts all workspaces into one domain",
    }
    per_workspace: ClassVar[bool] = False

    always: ClassVar[frozenset[str]] = frozenset(
        f"test_{name}"
        for name in (
            # what is seen
            "looking_at_one_owner_shows_what_a_sweep_shows_of_it",
            "is_incomplete_when_a_page_fails_and_then_deletes_nothing",
            "access_names_every_way_that_leads_there",
            "inherited_access_is_told_and_left",
            # what is done
            "the_second_plan_is_empty_after_create",
            "a_rename_keeps_the_native_thing",
            "a_tag_of_project_payment_method_and_workspace_reaches_the_platform_in_this_precedence",
            "the_same_step_twice_changes_once",
            "an_unknown_user_is_a_remark_and_is_picked_up_later",
            "who_moves_up_is_added_first_and_who_moves_down_is_removed_first",
            # what others do
            "many_changes_at_once_are_repaired_in_one_pass",
            "drift_is_only_told_where_local_changes_are_reported[extra direct grant]",
            "a_foreign_container_is_adopted_by_native_id",
            "a_container_that_appears_after_the_plan_is_refused_and_not_taken",
            "two_things_with_one_mark_get_no_step",
            "what_lost_its_mark_is_foreign_until_it_is_adopted",
            "a_service_account_is_told_and_left_alone",
            # what ends
            "access_goes_at_once_and_the_container_waits_for_a_yes",
            "everything_goes_and_nothing_of_ours_is_left",
            # what fails
            "an_outcome_says_no_more_than_is_known[lost-after]",
            "a_refused_write_is_told_and_the_rest_goes_on",
        )
    )

    @pytest.fixture(autouse=True)
    def _surroundings(
        self, keystone: starter.Keystone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "PAGE", PAGE)
        (tmp_path / "clouds.yaml").write_text(keystone.clouds_yaml("fra"))
        self.credential = Credential(
            "fra-replicator", PLATFORM, keystone.url, f"{tmp_path}/clouds.yaml#fra", {}
        )

    async def world(self) -> World:
        organization = f"org-{uuid4().hex[:8]}"
        transport = VENDOR.connect(self.credential)
        hand = KeystoneHand(transport, organization)
        await hand.furnish(USERS)
        domains = (
            {"perWorkspace": organization + "-{workspace}"}
            if self.per_workspace
            else {"default": organization}
        )
        block: dict[str, Any] = {"domains": domains, "users": {"domain": organization, "externalId": "fra"}}
        return World(
            PlatformIdentity(organization, PLATFORM, block),
            Tidy(transport, hand),
            VENDOR.platform,
            hand,
            {"roles": ROLES},
            USERS,
            "fra",
            page_size=PAGE,
        )

    def places(self, labels: list[str]) -> Iterator[Fault]:
        return (fault for fault in super().places(labels) if WHOLE or fault.label in STRUCK)


class TestInDomainsOfTheirOwn(TestInOneDomain):
    """Each workspace has a domain of ours."""

    lacks: ClassVar[Mapping[str, str]] = {
        "page counts": TestInOneDomain.lacks["page counts"],
        "hints": TestInOneDomain.lacks["hints"],
        "inherited access": "above a project there is nothing but its domain, which is ours, and the roles on it",
    }
    per_workspace = True
    always: ClassVar[frozenset[str]] = frozenset(
        f"test_{name}"
        for name in (
            "looking_at_one_owner_shows_what_a_sweep_shows_of_it",
            "the_second_plan_is_empty_after_create",
            "drift_is_seen_and_repaired[deleted container]",
            "a_foreign_container_is_adopted_by_native_id",
            "a_workspace_thing_stays_while_it_holds_something",
            "everything_goes_and_nothing_of_ours_is_left",
        )
    )
