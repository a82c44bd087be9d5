"""What every store promises, whatever keeps it: a test class gives two fixtures and inherits the rest.

`store` is a new one, and `beside` the same, opened once more as by another process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from hanse.desired.accepted import AcceptedIntent, Held
from hanse.desired.intent import Intent, Term
from hanse.foundation.canonical import digest, digest_bytes, encode
from hanse.journal import chain, record
from hanse.journal.events import (
    ApprovalGiven,
    Event,
    GrantRevoked,
    OrganizationAccepted,
    OwnerConverged,
    OwnerGone,
    PassStarted,
    Recorded,
    StepConcluded,
    StepIntended,
)
from hanse.model import (
    Approval,
    Done,
    Find,
    Key,
    NotYet,
    Outcome,
    Owner,
    Personal,
    Provenance,
    Reason,
    Ref,
    Refused,
    Remark,
    Secret,
    Step,
    Tenant,
    Unsure,
    WorkspaceOn,
)
from hanse.ports.store import Backlog, Condition, Head, OwnerRow, Status, Store, StoreError, Work
from hanse.store import tidying
from hanse.store.database import Row, Sql

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
OWNER = Tenant("fra", "shop", "prod")
MANY = 1_203
"""More than any store reads or asks for at once."""

DIRECTORY, SETTINGS = b'{"people":{}}', b'{"platforms":[]}'
BLOBS = {digest_bytes(DIRECTORY): DIRECTORY, digest_bytes(SETTINGS): SETTINGS}


def a_head(commit: str = "c1") -> Head:
    return Head(commit, NOW, digest_bytes(DIRECTORY), digest_bytes(SETTINGS))


def a_step(member: str = "u-1", owner: Tenant = OWNER) -> Step:
    key = Key("acme", owner.workspace, owner.project, f"group/admin/member/{member}")
    user = Find("user", (("domain", "Default"), ("email", Personal(f"{member}@example.org"))))
    group = Ref(Key("acme", owner.workspace, owner.project, "group/admin"))
    return Step(
        "create", "membership", key, owner, "", {}, {"group": group, "user": user}, (), Reason("declared")
    )


def intended(step: Step) -> StepIntended:
    return StepIntended(step, digest(step))


def concluded(step: Step, outcome: Outcome, looked_up: bool = False) -> StepConcluded:
    return record.concluded(digest(step), step.owner, outcome, looked_up)


def an_intent(owner: Owner = OWNER, description: str = "") -> AcceptedIntent:
    grants = (
        Term("group", "shop-admins", "admin"),
        Term("user", "u-1", "user", NOW, NOW + timedelta(days=1)),
    )
    block = {"domain": "Default", "roles": {"admin": "member"}, "list": [1, "a", None]}
    intent = Intent(
        owner, "acme", "shop", "prod", description=description, grants=grants, platform_block=block
    )
    return AcceptedIntent(intent, "c1", (Held("s1", "ceiling", "workspace shop", grants[0]),))


def an_acceptance(*lapsed: str) -> OrganizationAccepted:
    head = a_head()
    by = Personal("Ada Ott")
    return OrganizationAccepted(
        head.commit, "", head.directory, head.settings, (), (), lapsed, by, "local-operator"
    )


def a_revocation(subject: str = "u-1") -> GrantRevoked:
    why = Personal("left the team in anger")
    return GrantRevoked("shop", "prod", "user", subject, "", Personal("Ada Ott"), "local-operator", why)


def an_approval(subject: str = "s1", expires_at: datetime | None = None) -> Approval:
    by, why = Personal("Ada Ott"), Personal("asked Ben Ott")
    return Approval(subject, "guard", by, "local-operator", NOW, expires_at, why)


def a_provenance(author: str = "Ada Ott", signer: str | None = None) -> Provenance:
    return Provenance(
        "c1",
        NOW,
        Personal(author),
        Personal("Forge"),
        Personal("Let Ben in"),
        "verified-signer" if signer else "claimed-author",
        Personal(signer) if signer else None,
        Personal("on-call"),
    )


def started(number: int) -> PassStarted:
    return PassStarted("c1", number)


async def all_of(stream: AsyncIterator[Recorded]) -> list[Recorded]:
    return [recorded async for recorded in stream]


async def rows_of(store: Store) -> list[OwnerRow]:
    return [row async for row in store.owners()]


async def events_of(store: Store) -> list[Event]:
    """Every event as it was recorded, with its texts."""
    return [
        record.decode(recorded.body, await store.personal(record.marks(recorded.body)))
        async for recorded in store.journal()
    ]


async def accepted(store: Store, *owners: Owner) -> None:
    await store.accept(a_head(), {owner: an_intent(owner) for owner in owners}, BLOBS, [an_acceptance()])


async def due(store: Store, platform: str, now: datetime) -> list[Work]:
    """What is due on a platform, oldest first."""
    found = [w for w in (await store.work(platform)).values() if w.due is not None and w.due <= now]
    return sorted(found, key=lambda work: (work.due, str(work.owner)))


class StoreConformance:
    """The promises of `ports.store.Store`."""

    # The journal

    async def test_a_new_store_is_empty(self, store: Store) -> None:
        assert await all_of(store.journal()) == []
        assert await store.head() is None
        assert await rows_of(store) == []
        assert await store.open_steps() == []
        assert await store.approvals(NOW) == {}
        assert await store.revocations() == []
        assert await store.provenance_until() == ""
        assert await store.work() == {}

    async def test_events_come_back_in_order_and_whole(self, store: Store) -> None:
        events: list[Event] = [started(1), intended(a_step()), concluded(a_step(), Refused("no", "ask"))]
        await store.append(events[:2], NOW)
        await store.append(events[2:], NOW + timedelta(seconds=1))
        recorded = await all_of(store.journal())
        assert [r.sequence for r in recorded] == [1, 2, 3]
        assert [r.number for r in recorded] == [1, 2, 3]
        assert len({r.writer for r in recorded}) == 1
        assert [r.at for r in recorded] == [NOW, NOW, NOW + timedelta(seconds=1)]
        assert await events_of(store) == events

    async def test_events_of_many_tasks_are_all_there_without_gaps(self, store: Store) -> None:
        async def task(number: int) -> None:
            for count in range(20):
                await store.append([started(number * 100 + count), started(number * 100 + count)], NOW)

        await asyncio.gather(*map(task, range(16)))
        recorded = await all_of(store.journal())
        assert [r.sequence for r in recorded] == list(range(1, 641))
        assert [r.number for r in recorded] == list(range(1, 641))
        bodies = [r.body for r in recorded]
        assert bodies[::2] == bodies[1::2], "events of one append stand together"
        assert len(set(bodies)) == 320

    async def test_what_a_task_appended_stands_in_its_order(self, store: Store) -> None:
        async def task(number: int) -> None:
            for count in range(10):
                await store.append([started(number * 100 + count)], NOW)

        await asyncio.gather(*map(task, range(8)))
        seen = [event.owners for event in await events_of(store) if isinstance(event, PassStarted)]
        for number in range(8):
            own = [count for count in seen if count // 100 == number]
            assert own == sorted(own)

    async def test_an_append_is_all_or_nothing(self, store: Store) -> None:
        secret = replace(a_step(), after={"password": Secret("hunter2")})
        with pytest.raises(TypeError):
            await store.append([started(1), StepIntended(secret, "d")], NOW)
        assert await all_of(store.journal()) == []
        await store.append([started(2)], NOW)
        assert [r.number for r in await all_of(store.journal())] == [1]

    async def test_an_append_of_nothing_is_nothing(self, store: Store) -> None:
        await store.append([], NOW)
        assert await all_of(store.journal()) == []

    async def test_reading_goes_on_after_a_sequence(self, store: Store) -> None:
        await store.append([started(number) for number in range(MANY)], NOW)
        assert [r.sequence for r in await all_of(store.journal())] == list(range(1, MANY + 1))
        assert [r.sequence for r in await all_of(store.journal(after=MANY - 2))] == [MANY - 1, MANY]
        assert await all_of(store.journal(after=MANY)) == []

    async def test_events_appended_while_the_journal_is_read_do_not_disturb_it(self, store: Store) -> None:
        await store.append([started(number) for number in range(MANY)], NOW)
        seen = []
        async for recorded in store.journal():
            seen.append(recorded.sequence)
            if recorded.sequence == 1:
                await store.append([started(0)], NOW)
        assert seen == list(range(1, MANY + 2))

    async def test_no_text_about_a_person_is_in_the_journal(self, store: Store) -> None:
        await store.append([intended(a_step("ben")), concluded(a_step("ben"), Unsure("ben was there"))], NOW)
        await store.accept(a_head(), {}, BLOBS, [an_acceptance()])
        for recorded in await all_of(store.journal()):
            assert b"ben@example.org" not in recorded.body
            assert b"ben was" not in recorded.body
            assert b"Ott" not in recorded.body

    async def test_texts_are_told_by_their_marks_and_unknown_marks_are_missing(self, store: Store) -> None:
        await store.append([intended(a_step(f"u-{number}")) for number in range(MANY)], NOW)
        marks = {mark for r in await all_of(store.journal()) for mark in record.marks(r.body)}
        texts = await store.personal([*marks, "p:" + "0" * 32])
        assert texts.keys() == marks
        assert set(texts.values()) == {f"u-{number}@example.org" for number in range(MANY)}

    async def test_the_chain_holds_however_often_the_chainer_comes(self, store: Store) -> None:
        await store.chain()
        for count in (1, MANY, 2):
            await store.append([started(number) for number in range(count)], NOW)
            unchained = chain.verify(await all_of(store.journal()))
            assert [finding.kind for finding in unchained] == ["unchained"]
            await store.chain()
            await store.chain()
            assert chain.verify(await all_of(store.journal())) == []

    # Open steps

    async def test_a_step_is_open_until_it_is_concluded(self, store: Store) -> None:
        ended: list[Outcome] = [Done("n1"), Refused("no", ""), NotYet(1.0, "busy")]
        for outcome in ended:
            await store.append([intended(a_step())], NOW)
            assert await store.open_steps() == [(digest(a_step()), a_step())]
            await store.append([concluded(a_step(), outcome)], NOW)
            assert await store.open_steps() == []

    async def test_a_step_of_which_nobody_is_sure_stays_open_until_it_was_looked_up(
        self, store: Store
    ) -> None:
        await store.append([intended(a_step()), concluded(a_step(), Unsure("cut off"))], NOW)
        assert await store.open_steps() == [(digest(a_step()), a_step())]
        await store.append([concluded(a_step(), Done("n1"), looked_up=True)], NOW)
        assert await store.open_steps() == []

    async def test_open_steps_are_told_oldest_first(self, store: Store) -> None:
        steps = [a_step(f"u-{number}") for number in (3, 1, 2)]
        await store.append([intended(step) for step in steps], NOW)
        await store.append([concluded(steps[1], Done())], NOW)
        assert await store.open_steps() == [(digest(step), step) for step in (steps[0], steps[2])]

    # The accepted state

    async def test_what_was_accepted_is_told_again(self, store: Store) -> None:
        await store.accept(a_head(), {OWNER: an_intent()}, BLOBS, [an_acceptance()])
        assert await store.head() == a_head()
        assert await store.owner(OWNER) == OwnerRow(OWNER, an_intent())
        assert await store.blob(a_head().directory) == DIRECTORY
        intent = an_intent().intent
        assert await store.blob(intent.digest) == encode(intent)
        assert await events_of(store) == [an_acceptance()]
        assert (await all_of(store.journal()))[0].at == NOW

    async def test_what_is_not_there_is_none(self, store: Store) -> None:
        assert await store.owner(OWNER) is None
        assert await store.blob("0" * 64) is None

    async def test_a_later_acceptance_changes_what_it_names_only(self, store: Store) -> None:
        other = Tenant("fra", "shop", "test")
        await accepted(store, OWNER, other)
        changed = replace(an_intent(description="new"), commit="c2", held=())
        await store.accept(a_head("c2"), {OWNER: changed}, {}, [])
        assert await store.head() == a_head("c2")
        assert await rows_of(store) == [OwnerRow(OWNER, changed), OwnerRow(other, an_intent(other))]
        assert await store.blob(an_intent().intent.digest) is not None, "earlier intents stay readable"

    async def test_an_acceptance_is_all_or_nothing(self, store: Store) -> None:
        by: Personal = Secret("hunter2")  # type: ignore[assignment]
        with pytest.raises(TypeError):
            await store.accept(a_head(), {OWNER: an_intent()}, BLOBS, [replace(an_acceptance(), by=by)])
        nowhere = replace(a_head(), directory="0" * 64)
        with pytest.raises(StoreError):
            await store.accept(nowhere, {OWNER: an_intent()}, BLOBS, [an_acceptance()])
        assert await store.head() is None
        assert await rows_of(store) == []
        assert await store.blob(a_head().directory) is None
        assert await all_of(store.journal()) == []

    async def test_owners_come_in_the_order_of_their_names_whatever_their_number(self, store: Store) -> None:
        owners: list[Owner] = [Tenant("fra", f"w{n % 7}", f"p-{n}") for n in range(MANY)]
        owners += [WorkspaceOn("fra", f"w{n}") for n in range(7)] + [
            Tenant("Ä", "w", "p"),
            Tenant("a", "w", "p"),
        ]
        await accepted(store, *owners)
        assert [row.owner for row in await rows_of(store)] == sorted(owners, key=str)

    # What passes find

    async def test_a_status_is_told_with_its_owner_and_outlives_an_acceptance(self, store: Store) -> None:
        await accepted(store, OWNER)
        remark = Remark(OWNER, "unknown-user", "nobody knows Ben", "wait", "u-1", blocking=True)
        status = Status(
            "i", "d", NOW, NOW + timedelta(seconds=1), 3, ("a mark",), "waits for Ben", (remark, remark),
            "unknown-user", "wait", {"unknown-user": NOW},
        )  # fmt: skip
        await store.record({OWNER: status})
        row = OwnerRow(OWNER, an_intent(), status)
        assert await store.owner(OWNER) == row
        assert await rows_of(store) == [row]
        await accepted(store, OWNER)
        assert await store.owner(OWNER) == row
        await store.record({OWNER: Status()})
        assert await store.owner(OWNER) == OwnerRow(OWNER, an_intent())

    async def test_owners_that_are_gone_are_forgotten_and_may_come_back(self, store: Store) -> None:
        other = Tenant("fra", "shop", "test")
        await accepted(store, OWNER, other)
        await store.append([OwnerGone(OWNER)], NOW)
        await store.record({other: Status("i")}, gone={OWNER: an_intent().intent.digest})
        assert [row.owner for row in await rows_of(store)] == [other]
        await accepted(store, OWNER)
        assert await store.owner(OWNER) == OwnerRow(OWNER, an_intent())

    async def test_an_owner_that_was_accepted_anew_while_it_was_looked_at_is_not_forgotten(
        self, store: Store
    ) -> None:
        await accepted(store, OWNER)
        await store.record({}, gone={OWNER: "what it left with"})
        assert await store.owner(OWNER) == OwnerRow(OWNER, an_intent())

    async def test_a_status_of_an_unknown_owner_is_dropped(self, store: Store) -> None:
        await store.record({OWNER: Status("i")}, gone={Tenant("fra", "no", "where"): "i"})
        assert await rows_of(store) == []

    # Approvals and revocations

    async def test_an_approval_counts_until_the_instant_it_expires(self, store: Store) -> None:
        brief, lasting = an_approval("s1", NOW + timedelta(hours=1)), an_approval("s2")
        for approval in (brief, lasting):
            await store.approve(approval, [ApprovalGiven(approval, Personal("Ada Ott"))])
        assert await store.approvals(NOW) == {"s1": brief, "s2": lasting}
        assert await store.approvals(NOW + timedelta(hours=1, microseconds=-1)) == {
            "s1": brief,
            "s2": lasting,
        }
        assert await store.approvals(NOW + timedelta(hours=1)) == {"s2": lasting}
        assert await events_of(store) == [
            ApprovalGiven(brief, Personal("Ada Ott")),
            ApprovalGiven(lasting, Personal("Ada Ott")),
        ]

    async def test_a_later_approval_of_one_subject_replaces_the_earlier(self, store: Store) -> None:
        await store.approve(an_approval(expires_at=NOW), [])
        await store.approve(an_approval(), [])
        assert await store.approvals(NOW) == {"s1": an_approval()}

    async def test_an_approval_journalled_with_an_acceptance_counts_as_well(self, store: Store) -> None:
        given = ApprovalGiven(an_approval(), Personal("Ada Ott"))
        await store.accept(a_head(), {}, BLOBS, [given, an_acceptance()])
        assert await store.approvals(NOW) == {"s1": an_approval()}

    async def test_a_revocation_subtracts_until_an_acceptance_says_it_lapsed(self, store: Store) -> None:
        first = await store.revoke(a_revocation("u-1"), NOW)
        second = await store.revoke(a_revocation("u-2"), NOW + timedelta(seconds=1))
        assert first.digest != second.digest
        assert (first.at, first.event) == (NOW, a_revocation("u-1"))
        assert await store.revocations() == [first, second]
        await store.accept(a_head(), {}, BLOBS, [an_acceptance(first.digest)])
        assert await store.revocations() == [second]
        assert (await events_of(store))[:2] == [a_revocation("u-1"), a_revocation("u-2")]

    async def test_a_grant_revoked_twice_is_one_revocation_and_may_be_revoked_again(
        self, store: Store
    ) -> None:
        once = await store.revoke(a_revocation(), NOW)
        again = await store.revoke(a_revocation(), NOW + timedelta(seconds=1))
        assert again.digest == once.digest
        assert len(await store.revocations()) == 1
        await store.accept(a_head(), {}, BLOBS, [an_acceptance(once.digest)])
        assert await store.revocations() == []
        await store.revoke(a_revocation(), NOW)
        assert len(await store.revocations()) == 1

    async def test_why_a_revocation_is_no_commit_yet_is_kept_until_it_is_one(self, store: Store) -> None:
        first = await store.revoke(a_revocation("u-1"), NOW)
        second = await store.revoke(a_revocation("u-2"), NOW + timedelta(seconds=1))
        assert [one.waits for one in await store.revocations()] == ["", ""]
        await store.note_revocations({first.digest: "the server is away", "gone": "x"})
        assert [one.waits for one in await store.revocations()] == ["the server is away", ""]
        await store.note_revocations({first.digest: "", second.digest: "it refuses"})
        assert [one.waits for one in await store.revocations()] == ["", "it refuses"]

    # What git told

    async def test_provenance_is_told_by_declaration(self, store: Store) -> None:
        rows = {"grant a": a_provenance(), "grant b": a_provenance("Ben Ott", "ben@example.org")}
        await store.keep_provenance("c1", rows, [])
        assert await store.provenance(["grant a", "grant b", "grant c"]) == rows
        assert await store.provenance([]) == {}
        assert await store.provenance_until() == "c1"

    async def test_provenance_moves_on_with_its_commit(self, store: Store) -> None:
        await store.keep_provenance("c1", {"a": a_provenance(), "b": a_provenance()}, [])
        await store.keep_provenance("c2", {"a": a_provenance("Ben Ott")}, ["b"])
        assert await store.provenance(["a", "b"]) == {"a": a_provenance("Ben Ott")}
        assert await store.provenance_until() == "c2"

    async def test_provenance_and_parsed_files_of_any_number_are_told_at_once(self, store: Store) -> None:
        rows = {f"grant {number}": a_provenance(f"Author {number}") for number in range(MANY)}
        await store.keep_provenance("c1", rows, [])
        assert await store.provenance(rows) == rows
        parsed = {f"{number:040x}": b"%d" % number for number in range(MANY)}
        await store.keep_parsed(parsed)
        assert await store.parsed(parsed) == parsed

    async def test_parsed_files_are_cached_by_blob_id(self, store: Store) -> None:
        await store.keep_parsed({"b1": b"\x00old", "b2": b""})
        await store.keep_parsed({"b1": b"\xffnew"})
        assert await store.parsed(["b1", "b2", "b3"]) == {"b1": b"\xffnew", "b2": b""}

    # What is to be looked at

    async def test_what_is_marked_is_due_from_then_on_oldest_first(self, store: Store) -> None:
        one, two, three = (Tenant("fra", "shop", name) for name in ("a", "b", "c"))
        await accepted(store, one, two, three)
        later = NOW + timedelta(seconds=5)
        await store.mark([two, three], NOW, "a commit")
        await store.mark([one], later, "its time is over")
        assert [work.owner for work in await due(store, "fra", NOW)] == [two, three]
        assert await store.next_due("fra", NOW) == later
        await store.mark([three], NOW - timedelta(seconds=1), "a hint")
        assert [work.owner for work in await due(store, "fra", later)] == [three, two, one]
        assert (await due(store, "fra", later))[0] == Work(
            three, 2, 0, NOW - timedelta(seconds=1), 0, "a hint"
        )
        assert await store.next_due("fra", later) is None

    async def test_the_backlog_tells_by_platform_what_is_due_since_when_and_what_is_retried(
        self, store: Store
    ) -> None:
        one, two, other = Tenant("fra", "shop", "a"), Tenant("fra", "shop", "b"), Tenant("mun", "shop", "a")
        await accepted(store, one, two, other)
        assert await store.backlog(NOW) == {}
        await store.mark([one], NOW + timedelta(seconds=5), "a commit")
        await store.mark([two], NOW, "a commit")
        await store.looked([Work(other, 0, due=NOW + timedelta(days=1), attempts=3, why="waits")])
        assert await store.backlog(NOW) == {"fra": Backlog(1, NOW, 0), "mun": Backlog(0, None, 1)}
        assert (await store.backlog(NOW + timedelta(seconds=9)))["fra"] == Backlog(2, NOW, 0)

    async def test_who_is_due_has_a_place_on_its_platform_longest_wait_first(self, store: Store) -> None:
        one, two, three, other = (
            *(Tenant("fra", "shop", name) for name in ("a", "b", "c")),
            Tenant("mun", "shop", "a"),
        )
        await accepted(store, one, two, three, other)
        await store.mark([two, three, other], NOW, "a commit")
        await store.mark([one], NOW + timedelta(seconds=5), "its time is over")
        owners = [one, two, three, other, Tenant("fra", "shop", "nobody")]
        assert await store.places(owners, NOW) == {two: (1, 2), three: (2, 2), other: (1, 1)}
        later = NOW + timedelta(seconds=5)
        assert await store.places([one], later) == {one: (3, 3)}
        assert set(await store.work_of([one, other])) == {one, other}
        assert await store.work_of([]) == {}

    async def test_tenants_of_one_workspace_are_told_without_its_neighbours(self, store: Store) -> None:
        names = ("shop", "shop-2", "shop0", "sho")
        await accepted(store, WorkspaceOn("fra", "shop"), *(Tenant("fra", name, "a") for name in names))
        await accepted(store, Tenant("mun", "shop", "a"), Tenant("fra", "shop", "b"))
        found = [row.owner async for row in store.owners("fra", "shop")]
        assert found == [Tenant("fra", "shop", "a"), Tenant("fra", "shop", "b")]

    async def test_each_process_says_how_platforms_are_in_the_place_of_what_it_said_before(
        self, store: Store, beside: Store
    ) -> None:
        assert await store.conditions() == []
        await store.keep_conditions(
            [Condition("fra", NOW, "it is away", "look there", NOW, 3, NOW, 2.5, 20.0)]
        )
        later = NOW + timedelta(seconds=2)
        ours = [Condition("fra", later), Condition("mun", later)]
        await store.keep_conditions(ours)
        theirs = Condition("fra", NOW + timedelta(seconds=9), waiting=7)
        await beside.keep_conditions([theirs])
        found = await store.conditions()
        assert found[0] == theirs
        assert sorted(found[1:], key=lambda one: one.platform) == ours
        latest = Condition("fra", NOW + timedelta(hours=2))
        await store.keep_conditions([latest])
        assert await beside.conditions() == [latest], "what is over for long is forgotten"

    async def test_what_is_due_stays_due_until_it_was_looked_at(self, store: Store) -> None:
        await accepted(store, OWNER)
        await store.mark([OWNER], NOW, "a commit")
        for _ in range(2):
            assert await due(store, "fra", NOW) == [Work(OWNER, 1, 0, NOW, 0, "a commit")]
        tomorrow = NOW + timedelta(days=1)
        await store.looked([Work(OWNER, 1, due=tomorrow, attempts=2, why="waits")])
        assert await due(store, "fra", NOW) == []
        assert await store.work() == {OWNER: Work(OWNER, 1, 1, tomorrow, 2, "waits")}
        await store.looked([Work(OWNER, 1)])
        assert await due(store, "fra", tomorrow) == []

    async def test_a_mark_that_comes_during_a_look_is_never_lost(self, store: Store) -> None:
        await accepted(store, OWNER)
        await store.mark([OWNER], NOW, "a commit")
        [begun] = await due(store, "fra", NOW)
        await store.mark([OWNER], NOW, "a hint")
        await store.looked([replace(begun, due=None, attempts=1, why="waits")])
        assert await due(store, "fra", NOW) == [Work(OWNER, 2, 1, NOW, 1, "a hint")]

    async def test_a_mark_brings_forward_and_never_puts_off(self, store: Store) -> None:
        await accepted(store, OWNER)
        await store.looked([Work(OWNER, 0, due=NOW + timedelta(days=1))])
        await store.mark([OWNER], NOW, "a hint")
        assert await store.next_due("fra", NOW - timedelta(seconds=1)) == NOW
        await store.mark([OWNER], NOW + timedelta(days=2), "later")
        assert [work.due for work in await due(store, "fra", NOW)] == [NOW]
        await store.looked([Work(OWNER, 2)])
        await store.mark([OWNER], NOW, "a hint")
        assert [work.due for work in await due(store, "fra", NOW)] == [NOW]

    async def test_owners_that_are_gone_lose_their_marks_and_unknown_ones_have_none(
        self, store: Store
    ) -> None:
        other = Tenant("fra", "shop", "test")
        await accepted(store, OWNER)
        await store.mark([OWNER, other], NOW, "a hint")
        await store.looked([Work(other, 1, due=NOW)])
        assert [work.owner for work in await due(store, "fra", NOW)] == [OWNER]
        await store.record({}, gone={OWNER: an_intent().intent.digest})
        assert await store.work() == {}
        await accepted(store, OWNER)
        assert await store.work() == {}

    async def test_each_platform_has_what_is_due_on_it(self, store: Store) -> None:
        owners: list[Owner] = [Tenant(name, "shop", "prod") for name in ("fra", "fra-2", "mun")]
        owners += [WorkspaceOn("fra", "shop")]
        await accepted(store, *owners)
        await store.mark(owners, NOW, "a commit")
        assert {work.owner for work in await due(store, "fra", NOW)} == {owners[0], owners[3]}
        assert [row.owner async for row in store.owners("fra")] == [owners[3], owners[0]]
        assert await store.count("fra") == 2
        assert await store.count("nowhere") == 0
        assert await store.platforms() == {"fra", "fra-2", "mun"}

    async def test_rows_are_told_by_owner_whatever_their_number(self, store: Store) -> None:
        owners = [Tenant("fra", "shop", f"p-{number}") for number in range(MANY)]
        await accepted(store, *owners)
        found = await store.rows([*owners, OWNER])
        assert {row.owner for row in found} == set(owners)
        await store.mark(owners, NOW, "a commit")
        assert len(await due(store, "fra", NOW)) == MANY

    # Who looks at it

    async def test_what_is_claimed_is_nobody_elses_until_it_was_looked_at(
        self, store: Store, beside: Store
    ) -> None:
        one, two, three = (Tenant("fra", "shop", name) for name in ("a", "b", "c"))
        await accepted(store, one, two, three)
        await store.mark([two, three], NOW, "a commit")
        await store.mark([one], NOW + timedelta(seconds=5), "its time is over")
        assert await store.claim("fra", NOW, 1, 60) == [Work(two, 1, 0, NOW, 0, "a commit", 1)]
        assert await beside.claim("mun", NOW, 10, 60) == []
        assert [work.owner for work in await beside.claim("fra", NOW, 10, 60)] == [three]
        assert await beside.claim("fra", NOW, 10, 60) == []
        later = NOW + timedelta(seconds=5)
        assert [work.owner for work in await beside.claim("fra", later, 10, 60)] == [one]
        await store.looked([Work(two, 1, due=NOW, why="waits", attempts=1)])
        assert await beside.claim("fra", NOW, 10, 60) == [Work(two, 1, 1, NOW, 1, "waits", 2)]

    async def test_a_mark_that_comes_during_a_claimed_look_is_never_lost(
        self, store: Store, beside: Store
    ) -> None:
        await accepted(store, OWNER)
        await store.mark([OWNER], NOW, "a commit")
        [begun] = await store.claim("fra", NOW, 10, 60)
        await beside.mark([OWNER], NOW, "a hint")
        assert await beside.claim("fra", NOW, 10, 60) == []
        await store.looked([replace(begun, due=None)])
        assert await beside.claim("fra", NOW, 10, 60) == [Work(OWNER, 2, 1, NOW, 0, "a hint", 2)]

    async def test_a_claim_that_runs_out_is_anybodys_and_who_had_it_says_no_more_of_it(
        self, store: Store, beside: Store
    ) -> None:
        await accepted(store, OWNER)
        await store.mark([OWNER], NOW, "a commit")
        [begun] = await store.claim("fra", NOW, 10, 0.2)
        taken: list[Work] = []
        while not taken:
            taken = await beside.claim("fra", NOW, 10, 60)
        assert taken == [replace(begun, claims=2)]
        assert await store.keep([OWNER], 60) == set()
        await store.let_go([OWNER])
        await store.looked([replace(begun, due=None, why="the former one")])
        assert (await store.work())[OWNER] == taken[0], "it is due until the one who has it now has looked"
        assert await store.claim("fra", NOW, 10, 60) == []
        await beside.looked([replace(begun, due=None)])
        assert (await store.work())[OWNER].due is None

    async def test_a_claim_that_is_kept_does_not_run_out_and_one_that_is_let_go_is_free(
        self, store: Store, beside: Store
    ) -> None:
        other = Tenant("fra", "shop", "test")
        await accepted(store, OWNER, other)
        await store.mark([OWNER, other], NOW, "a commit")
        assert len(await store.claim("fra", NOW, 10, 0.5)) == 2
        assert await store.keep([OWNER], 60) == {OWNER}
        await asyncio.sleep(0.6)
        assert [work.owner for work in await beside.claim("fra", NOW, 10, 60)] == [other]
        await store.let_go([OWNER])
        assert [work.owner for work in await beside.claim("fra", NOW, 10, 60)] == [OWNER]

    async def test_tenants_wait_while_somebody_looks_at_what_their_workspace_shares(
        self, store: Store, beside: Store
    ) -> None:
        shared = WorkspaceOn("fra", "shop")
        free = Tenant("fra", "shop-2", "prod")
        await accepted(store, OWNER, shared, free)
        await store.mark([shared], NOW - timedelta(seconds=1), "a commit")
        await store.mark([OWNER, free], NOW, "a commit")
        assert [work.owner for work in await store.claim("fra", NOW, 1, 60)] == [shared]
        assert [work.owner for work in await beside.claim("fra", NOW, 10, 60)] == [free]
        await store.looked([Work(shared, 1)])
        assert [work.owner for work in await beside.claim("fra", NOW, 10, 60)] == [OWNER]

    async def test_of_many_who_claim_at_once_nobody_gets_what_another_got(
        self, store: Store, beside: Store
    ) -> None:
        owners = [Tenant("fra", "shop", f"p-{number}") for number in range(MANY)]
        await accepted(store, *owners)
        await store.mark(owners, NOW, "a commit")
        claims = await asyncio.gather(
            *(who.claim("fra", NOW, 100, 60) for _ in range(10) for who in (store, beside))
        )
        got = [work.owner for claim in claims for work in claim]
        assert len(got) == len(set(got))
        while rest := await beside.claim("fra", NOW, 100, 60):
            got += [work.owner for work in rest]
        assert sorted(got, key=str) == sorted(owners, key=str)

    async def test_those_who_share_the_hold_append_side_by_side_and_keep_out_who_wants_it_alone(
        self, store: Store, beside: Store
    ) -> None:
        await store.hold(shared=True)
        with pytest.raises(StoreError, match="is applying with this store already"):
            await beside.append([started(0)], NOW)
        await beside.hold(shared=True)
        await asyncio.gather(
            *(who.append([started(number)], NOW) for number in range(10) for who in (store, beside))
        )
        recorded = await all_of(store.journal())
        assert [r.sequence for r in recorded] == list(range(1, 21))
        assert len({r.writer for r in recorded}) == 2

    async def test_who_holds_alone_keeps_out_those_who_would_share(self, store: Store, beside: Store) -> None:
        await store.hold()
        with pytest.raises(StoreError, match="is applying with this store already"):
            await beside.hold(shared=True)
        await store.close()
        await beside.hold(shared=True)

    async def test_one_does_what_is_named_until_it_gives_it_back_or_stops_asking(
        self, store: Store, beside: Store
    ) -> None:
        assert await store.lease("git", 60)
        assert await store.lease("git", 60)
        assert not await beside.lease("git", 60)
        assert await beside.lease("chain", 60)
        assert await store.lease("git", 0)
        assert await beside.lease("git", 0.2)
        await asyncio.sleep(0.3)
        assert await store.lease("git", 60)
        assert not await beside.lease("git", 60)

    async def test_workspaces_take_turns_and_none_has_more_than_its_part(
        self, store: Store, beside: Store
    ) -> None:
        many = [Tenant("fra", "shop", f"p-{number}") for number in range(6)]
        one, two = Tenant("fra", "bank", "prod"), Tenant("fra", "bank", "test")
        await accepted(store, *many, one, two)
        await store.mark(many, NOW, "a commit")
        await store.mark([one, two], NOW + timedelta(seconds=1), "a commit")
        at = NOW + timedelta(seconds=1)
        assert {work.owner for work in await store.claim("fra", at, 3, 60)} == {many[0], one, many[1]}
        assert {work.owner for work in await beside.claim("fra", at, 9, 60, each=2)} == {two}
        assert {work.owner for work in await beside.claim("fra", at, 9, 60, each=3)} == {many[2]}
        assert len(await beside.claim("fra", at, 9, 60)) == 3

    async def test_owners_are_taken_due_or_not_unless_somebody_claimed_them_since(
        self, store: Store, beside: Store
    ) -> None:
        looked_at, claimed, new, gone = (Tenant("fra", "shop", name) for name in ("a", "b", "c", "d"))
        await accepted(store, looked_at, claimed, new)
        await store.mark([looked_at, claimed], NOW, "a commit")
        before = {owner: work.claims for owner, work in (await store.work("fra")).items()}
        assert before == {looked_at: 0, claimed: 0}
        wanted: dict[Owner, int] = {owner: before.get(owner, 0) for owner in (looked_at, claimed, new, gone)}
        begun = await beside.claim("fra", NOW, 10, 60)
        await beside.looked([replace(work, due=None) for work in begun if work.owner == looked_at])
        assert await store.take(wanted, 60) == {new}
        assert await store.take(wanted, 60) == set()
        await store.looked([Work(new, 0)])
        assert await store.work("mun") == {}
        await beside.let_go([claimed])
        assert await store.take({claimed: 1}, 60) == {claimed}

    async def test_whoever_holds_alone_finds_no_claims_of_those_who_are_no_more(
        self, store: Store, beside: Store
    ) -> None:
        await accepted(beside, OWNER)
        await beside.mark([OWNER], NOW, "a commit")
        await beside.claim("fra", NOW, 10, 60)
        await beside.lease("git", 60)
        await beside.close()
        assert await store.claim("fra", NOW, 10, 60) == []
        await store.hold()
        assert [work.owner for work in await store.claim("fra", NOW, 10, 60)] == [OWNER]
        assert await store.lease("git", 60)

    async def test_calls_come_out_of_one_budget_whoever_makes_them(self, store: Store, beside: Store) -> None:
        assert await store.draw("fra", 5, 10.0) <= -0.9
        assert await beside.draw("mun", 1, 10.0) <= -0.9
        assert -0.6 <= await beside.draw("fra", 10, 10.0) <= -0.3
        assert 0.2 <= await store.draw("fra", 1, 10.0) <= 0.6

    async def test_what_is_accepted_marks_whom_it_concerns(self, store: Store) -> None:
        await store.accept(
            a_head(), {OWNER: an_intent()}, BLOBS, [an_acceptance()], before=None, concerned=[OWNER]
        )
        assert [work.owner for work in await due(store, "fra", a_head().at)] == [OWNER]

    async def test_nothing_is_accepted_in_place_of_what_nobody_judged(self, store: Store) -> None:
        await accepted(store, OWNER)
        for before in (None, replace(a_head(), commit="c0")):
            with pytest.raises(StoreError, match="another process accepted something"):
                await store.accept(a_head("c2"), {}, {}, [an_acceptance()], before=before)
        await store.accept(a_head("c2"), {}, {}, [an_acceptance()], before=a_head())
        assert await store.head() == a_head("c2")

    # What nothing needs any more

    async def test_contents_go_a_day_after_nothing_names_them(self, store: Store) -> None:
        first, second = an_intent(), an_intent(description="another")
        await accepted(store, OWNER)
        await store.record({OWNER: Status(first.intent.digest, a_head().directory, NOW)})
        await store.accept(a_head("c2"), {OWNER: second}, BLOBS, [an_acceptance()])
        await store.record({}, blobs={"lone": b"{}"})
        await store.tidy(NOW)
        await store.tidy(NOW + timedelta(hours=23))
        assert await store.blob("lone") == b"{}"
        await store.tidy(NOW + timedelta(hours=24))
        assert await store.blob("lone") is None
        for name in (first.intent.digest, second.intent.digest, a_head().directory, a_head().settings):
            assert await store.blob(name), "what is accepted, and what was converged last, is named"
        await store.record({OWNER: Status(second.intent.digest, a_head().directory, NOW)})
        await store.tidy(NOW + timedelta(hours=24))
        await store.tidy(NOW + timedelta(hours=48))
        assert await store.blob(first.intent.digest) is None
        assert await store.owner(OWNER) == OwnerRow(
            OWNER, second, Status(second.intent.digest, a_head().directory, NOW)
        )

    async def test_contents_that_are_named_again_stay(self, store: Store) -> None:
        await accepted(store, OWNER)
        await store.record({}, blobs={"lone": b"{}"})
        await store.tidy(NOW)
        await store.record({OWNER: Status("lone")})
        await store.tidy(NOW + timedelta(days=2))
        await store.record({OWNER: Status()})
        await store.tidy(NOW + timedelta(days=3))
        await store.record({}, blobs={"lone": b"{}"})
        await store.tidy(NOW + timedelta(days=4))
        assert await store.blob("lone") == b"{}", "kept again, it has a day again"
        await store.tidy(NOW + timedelta(days=5))
        assert await store.blob("lone") is None

    async def test_approvals_that_are_over_go_and_stay_in_the_journal(self, store: Store) -> None:
        brief, lasting = an_approval("s1", NOW + timedelta(hours=1)), an_approval("s2")
        for approval in (brief, lasting):
            await store.approve(approval, [ApprovalGiven(approval, Personal("Ada Ott"))])
        await store.tidy(NOW + timedelta(hours=1))
        assert await store.approvals(NOW) == {"s2": lasting}
        assert [event.approval for event in await events_of(store) if isinstance(event, ApprovalGiven)] == [
            brief,
            lasting,
        ]

    async def test_texts_of_former_provenance_go_and_those_of_the_journal_stay(self, store: Store) -> None:
        await store.keep_provenance("c1", {"a": a_provenance("Ben Ott"), "b": a_provenance("Ada Ott")}, [])
        marks = await self._texts(store)
        assert {"Ben Ott", "Ada Ott", "Forge"} <= set(marks.values())
        await store.revoke(a_revocation(), NOW)  # by Ada Ott
        await store.keep_provenance("c2", {}, ["a"])
        await store.tidy(NOW)
        assert set((await self._texts(store)).values()) - {"left the team in anger"} == {
            *set(marks.values()) - {"Ben Ott"}
        }
        await store.keep_provenance("c3", {}, ["b"])
        await store.tidy(NOW)
        assert set((await self._texts(store)).values()) == {"Ada Ott", "left the team in anger"}
        await store.keep_provenance("c4", {"a": a_provenance("Ben Ott")}, [])
        assert await store.provenance(["a"]) == {"a": a_provenance("Ben Ott")}

    async def _texts(self, store: Store) -> dict[str, str]:
        engine = store.engine  # type: ignore[attr-defined]
        return dict(await engine.read(lambda sql: sql.run("SELECT mark, text FROM personal")))

    async def test_texts_that_come_back_while_it_is_tidied_stay(
        self, store: Store, beside: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.keep_provenance("c1", {"a": a_provenance("Ben Ott")}, [])
        await store.keep_provenance("c2", {}, ["a"])
        read = tidying.read_provenances

        async def slow(after: str, until: str, sql: Sql) -> list[Row]:
            rows = await read(after, until, sql)
            back.set()
            await asyncio.to_thread(done.wait, 30) if "postgresql" in type(
                store
            ).__name__.lower() else done.wait(30)
            return rows

        back, done = threading.Event(), threading.Event()
        monkeypatch.setattr(tidying, "read_provenances", slow)
        tidies = asyncio.ensure_future(store.tidy(NOW))
        await asyncio.to_thread(back.wait, 30)
        monkeypatch.undo()
        await beside.keep_provenance("c3", {"a": a_provenance("Ben Ott")}, [])
        done.set()
        await tidies
        assert await store.provenance(["a"]) == {"a": a_provenance("Ben Ott")}

    async def test_who_writes_while_it_is_tidied_loses_nothing(self, store: Store, beside: Store) -> None:
        intents = [an_intent(description=str(number)) for number in range(40)]

        async def accepts() -> None:
            for number, intent in enumerate([*intents, *intents]):
                await store.accept(a_head(f"c{number}"), {OWNER: intent}, BLOBS, [])

        async def tidies() -> None:
            for day in range(40):
                await beside.tidy(NOW + timedelta(days=day))

        await asyncio.gather(accepts(), tidies())
        row = await store.owner(OWNER)
        assert row is not None
        assert row.accepted == intents[-1]
        assert await store.blob(a_head().directory) == DIRECTORY

    async def test_parse_results_and_provenance_can_be_dropped(self, store: Store) -> None:
        await store.keep_parsed({f"b{number}": b"x" for number in range(MANY)})
        assert len(await store.parsed_blobs()) == MANY
        await store.forget_parsed(await store.parsed_blobs() - {"b7"})
        assert await store.parsed_blobs() == {"b7"}
        rows = {f"out {number:05}": a_provenance() for number in range(MANY)}
        await store.keep_provenance("c1", {**rows, "in": a_provenance(), "ou": a_provenance()}, [])
        found = {source: row async for source, row in store.provenances("out ")}
        assert found.keys() == rows.keys()
        assert {row.at for row in found.values()} == {NOW}
        await store.forget_provenance(found)
        assert set(await store.provenance([*rows, "in", "ou"])) == {"in", "ou"}

    # Made anew

    async def test_views_are_made_anew_from_the_journal_byte_for_byte(self, store: Store) -> None:
        other = Tenant("fra", "shop", "test")
        await accepted(store, OWNER, other)
        lasting, over = an_approval("s1"), an_approval("s2", NOW + timedelta(hours=1))
        for approval in (lasting, over):
            await store.approve(approval, [ApprovalGiven(approval, Personal("Ada Ott"))])
        first = await store.revoke(a_revocation("u-1"), NOW)
        await store.revoke(a_revocation("u-2"), NOW + timedelta(seconds=1))
        await store.accept(a_head("c2"), {}, BLOBS, [an_acceptance(first.digest)])
        steps = [a_step(f"u-{number}") for number in range(MANY)]
        await store.append([intended(step) for step in steps], NOW)
        await store.append([concluded(step, Done()) for step in steps[2:]], NOW)
        await store.append([concluded(steps[1], Unsure("no reply"))], NOW)
        intent = an_intent().intent.digest
        await store.append([OwnerConverged(OWNER, intent, "d")], NOW)
        status = Status(intent, "d", NOW, NOW, ours=(), waits="")
        await store.record({OWNER: status})
        before = await self._views(store)
        assert all(before.values())
        engine = store.engine  # type: ignore[attr-defined]
        for table in ("open_step", "approval", "revocation"):
            await engine.write(lambda sql, table=table: sql.run(f"DELETE FROM {table}"))  # noqa: S608
        await store.keep_parsed({"b1": b"x"})
        await store.keep_provenance("c1", {"a": a_provenance()}, [])
        await store.mark([OWNER], NOW, "a hint")
        await store.rebuild(NOW, lambda step: str(step.key))
        assert await self._views(store) == before
        assert await store.owner(OWNER) == OwnerRow(OWNER, an_intent(), status)
        assert (await store.parsed_blobs(), await store.provenance_until(), await store.work()) == (
            set(),
            "",
            {},
        )
        await store.rebuild(NOW + timedelta(hours=1), lambda step: str(step.key))
        assert await store.approvals(NOW) == {"s1": lasting}
        assert chain.verify(await all_of(store.journal()))[0].kind == "unchained"

    async def _views(self, store: Store) -> dict[str, list[tuple[object, ...]]]:
        engine = store.engine  # type: ignore[attr-defined]
        return {
            table: sorted(await engine.read(lambda sql, table=table: sql.run(f"SELECT * FROM {table}")))  # noqa: S608
            for table in ("open_step", "approval", "revocation")
        }

    async def test_a_status_that_is_lost_is_made_anew_as_far_as_the_journal_knows_it(
        self, store: Store
    ) -> None:
        other = Tenant("fra", "shop", "test")
        await accepted(store, OWNER, other)
        await store.append([OwnerConverged(OWNER, "i1", "d1"), OwnerConverged(OWNER, "i2", "d2")], NOW)
        await store.append([OwnerConverged(other, "i1", "d1")], NOW)
        await store.append([intended(a_step("u-1")), concluded(a_step("u-1"), Done())], NOW)
        await store.append([intended(a_step("u-2")), concluded(a_step("u-2"), Refused("no", ""))], NOW)
        await store.record(
            {OWNER: Status(waits="something"), other: Status("i1", "d3", NOW, NOW, waits="words")}
        )
        await store.rebuild(NOW, lambda step: str(step.key))
        statuses = {row.owner: row.status for row in await rows_of(store)}
        assert statuses[OWNER] == Status("i2", "d2", NOW, ours=(str(a_step("u-1").key),))
        assert statuses[other] == Status("i1", "d3", NOW, NOW, waits="words"), (
            "it knows more than the journal"
        )

    async def test_nothing_is_made_anew_while_somebody_applies(self, store: Store, beside: Store) -> None:
        await beside.hold()
        with pytest.raises(StoreError, match="is applying with this store already"):
            await store.rebuild(NOW, lambda step: "")

    # Living with it

    async def test_everything_may_happen_at_once(self, store: Store) -> None:
        await accepted(store, OWNER)
        await asyncio.gather(
            *(store.append([started(number)], NOW) for number in range(50)),
            *(store.record({OWNER: Status(f"i{number}")}) for number in range(20)),
            *(store.approve(an_approval(f"s{number}"), []) for number in range(20)),
            *(store.revoke(a_revocation(f"u-{number}"), NOW) for number in range(20)),
            *(store.keep_parsed({f"b{number}": b"x"}) for number in range(20)),
            *(store.chain() for _ in range(5)),
            *(rows_of(store) for _ in range(5)),
            *(all_of(store.journal()) for _ in range(5)),
        )
        assert len(await store.approvals(NOW)) == 20
        assert len(await store.revocations()) == 20
        await store.chain()
        recorded = await all_of(store.journal())
        assert len(recorded) == 71
        assert chain.verify(recorded) == []

    async def test_a_write_that_fails_takes_no_other_with_it(self, store: Store) -> None:
        nowhere = replace(a_head(), directory="0" * 64)
        results = await asyncio.gather(
            store.append([started(1)], NOW),
            store.accept(nowhere, {OWNER: an_intent()}, {}, [an_acceptance()]),
            store.append([started(2)], NOW),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None), StoreError, type(None)]
        assert await events_of(store) == [started(1), started(2)]
        assert [r.number for r in await all_of(store.journal())] == [1, 2]

    async def test_a_cancelled_append_is_there_whole_or_not_at_all(self, store: Store) -> None:
        for count in range(30):
            task = asyncio.ensure_future(store.append([started(count)] * 3, NOW))
            await asyncio.sleep(0.0005 * (count % 5))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await store.append([started(99)], NOW)
        counts = [event.owners for event in await events_of(store) if isinstance(event, PassStarted)]
        assert all(counts.count(count) == 3 for count in set(counts) - {99})
        assert [r.number for r in await all_of(store.journal())] == list(range(1, len(counts) + 1))

    async def test_it_may_be_closed_twice_and_says_so_when_used_after(self, store: Store) -> None:
        await store.append([started(1)], NOW)
        await store.close()
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.append([started(2)], NOW)
        with pytest.raises(StoreError, match="closed"):
            await store.head()
