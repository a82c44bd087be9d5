"""The ground that a server judges from: the accepted commit, of which it is known that nothing is held or waits.

From there a commit that changes people, groups, workspaces, projects or grants is judged by the workspaces that feel
it, each with all that is accepted of it: everything else is as it is accepted. Whatever else a commit changes, and
whatever is not as expected, is judged the whole way, which is what this must equal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from hanse.accept import Acceptance, judge
from hanse.desired.intent import Directory, Intent
from hanse.desired.intents import workspaces_on
from hanse.desired.settings import Settings
from hanse.model import Approval, Owner, Tenant, WorkspaceOn
from hanse.ports.source import SourceError
from hanse.ports.store import Head, OwnerRow, Store, StoreError
from hanse.service.estate import Estate
from hanse.service.since import Change, check_all, check_change, note_accepted
from hanse.service.validate import Checked, check_commit, source_of

T = TypeVar("T")

MOST_WORKSPACES = 100
"""Where more workspaces than these feel a change, everything is looked at."""
_KINDS = ("Project ", "Grant ", "User ", "Group ", "Workspace ", "PaymentMethod ")
"""What may change: all else may change the settings, or what is wanted of anybody."""


@dataclass(frozen=True)
class Known:
    """What was found by the workspaces that feel a change, as the whole way would have found it."""

    checked: Checked
    acceptance: Acceptance
    rows: dict[Owner, OwnerRow]
    """Of these workspaces alone, as they are accepted."""


class Ground:
    """What a server goes by from one commit to the next; the index remembers it beyond the server's end."""

    def __init__(self) -> None:
        """Nothing was judged yet."""
        self._plain = ""
        """The commit that was judged last, if nothing of it is held and nothing beside it stands."""

    async def check(self, estate: Estate, commit: str, now: datetime) -> Checked:
        """Check all of a commit, so that the next can be judged by what it changes. Raises SourceError."""
        if estate.open_index is None:
            return await check_commit(estate.source, estate.language, commit, now, estate.store)
        with closing(estate.open_index()) as index:
            return await check_all(estate.source, estate.language, commit, now, index)

    def stand(
        self, commit: str, checked: Checked, acceptance: Acceptance, rows: Mapping[Owner, OwnerRow]
    ) -> None:
        """Stand on a commit as soon as it is accepted, if that is just as it is written. `rows` are those of all."""
        is_plain = not (
            acceptance.trips
            or acceptance.lapsed
            or any(row.accepted.held for row in rows.values())
            or acceptance.settings != checked.settings
            or acceptance.directory != checked.directory
        )
        self._plain = commit if is_plain else ""

    def forget(self) -> None:
        """What was judged before and is not accepted, counts for nothing."""
        self._plain = ""

    def accepted(self, estate: Estate, head: Head) -> None:
        """What was judged last is accepted."""
        if estate.open_index is not None and head.commit == self._plain:
            with closing(estate.open_index()) as index:
                try:
                    note_accepted(estate.language, head, index)
                except StoreError:  # then the next is judged the whole way
                    self._plain = ""

    async def judge(
        self,
        estate: Estate,
        commit: str,
        head: Head,
        directory: Directory,
        settings: Settings,
        approvals: Mapping[str, Approval],
        now: datetime,
    ) -> Known | None:
        """Judge a commit by the workspaces that feel it; None where that may differ from the whole way.

        To be asked only where no revocation stands.
        """
        if estate.open_index is None:
            return None
        try:
            if not estate.source.is_ancestor(head.commit, commit):
                return None
            with closing(estate.open_index()) as index:
                change = await check_change(estate.source, estate.language, head, commit, now, index)
        except (SourceError, StoreError):
            return None  # the whole way says what is wrong
        if change is None or not change.checked.is_sound or not is_about_workspaces(change):
            return None
        part = Part(change)
        if len(part.homes) > MOST_WORKSPACES:
            return None
        rows = await _rows(estate.store, settings.platforms, part.homes)
        accepted = {owner: row.accepted for owner, row in rows.items()}
        wanted = part.wanted({o: a.intent for o, a in accepted.items() if not a.intent.left_at})
        if wanted is None or any(a.held for a in accepted.values()):
            return None
        people, stands = part.directory(directory), part.settings(settings)
        acceptance = judge(
            wanted,
            accepted,
            people,
            directory,
            settings.organization.guards,
            approvals,
            settings=stands,
            descends=True,
            commit=commit,
            now=now,
        )
        # A ceiling counts what goes, all of which is here, against what there is, of which here may be but a part:
        # what does not trip here trips nowhere. How many admins a workspace keeps, the whole of it tells.
        if acceptance.trips or acceptance.refused or acceptance.findings:
            return None
        self._plain = commit
        return Known(change.checked, acceptance, rows)


def is_about_workspaces(change: Change) -> bool:
    """Whether nothing of a change is felt beyond what people hold in workspaces."""
    return all(name.startswith(_KINDS) for name in change.changed | change.felt)


async def _rows(store: Store, platforms: Collection[str], homes: Collection[str]) -> dict[Owner, OwnerRow]:
    """All that is accepted of these workspaces. Raises StoreError."""
    shared = [WorkspaceOn(platform, home) for platform in platforms for home in homes]
    rows = {row.owner: row for row in await store.rows(shared)}
    for platform in platforms:
        for home in homes:
            rows |= {row.owner: row async for row in store.owners(platform, home)}
    return rows


def _names(kind: str, documents: Collection[str]) -> set[str]:
    return {name.removeprefix(kind) for name in documents if name.startswith(kind)}


class Part:
    """What is wanted of the workspaces that feel a change."""

    def __init__(self, change: Change) -> None:
        """Of a change that is about nothing else (`is_about_workspaces`)."""
        self._checked = change.checked
        self._change = change
        names = self._checked.manifest.names
        projects = [name.partition("/") for name in _names("Project ", change.felt)]
        workspaces = {*_names("Workspace ", change.felt), *(workspace for workspace, _, _ in projects)}
        self._called = {name: names.workspace(name) for name in workspaces}
        """Their oldest names by their present ones."""
        self.homes = {*self._called.values(), *(names.project(home, name)[0] for home, _, name in projects)}
        """By oldest names, the workspaces that all owners lie in which feel it."""

    def wanted(self, standing: Mapping[Owner, Intent]) -> dict[Owner, Intent] | None:
        """The intents of all owners in these workspaces, from those that are accepted and the changed ones.

        None where only a look at everything tells whether a workspace is still on a platform.
        """
        felt = self._change.felt
        found: dict[Owner, Intent] = {
            **{o: i for o, i in standing.items() if isinstance(o, Tenant) and source_of(i) not in felt},
            **{
                o: i
                for o, i in self._checked.intents.items()
                if isinstance(o, Tenant) and source_of(i) in felt
            },
        }
        places = {(owner.platform, intent.workspace) for owner, intent in found.items()}
        shared: dict[Owner, Intent] = {
            owner: intent for owner, intent in standing.items() if isinstance(owner, WorkspaceOn)
        }
        shared |= workspaces_on(self._checked.manifest, (one for one in places if one[1] in self._called))
        # A project that was moved into a workspace lies in its old one, and may be all that keeps it on a platform.
        if any((owner.platform, intent.workspace) not in places for owner, intent in shared.items()):
            return None
        if any(
            name in self._called and WorkspaceOn(p, self._called[name]) not in shared for p, name in places
        ):
            return None
        return found | shared

    def directory(self, accepted: Directory) -> Directory:
        """All people and groups, with what changed of them."""
        now = self._checked.directory
        people = self._with("User ", accepted.people, now.people)
        groups = self._with("Group ", accepted.groups, now.groups)
        same = people is accepted.people and groups is accepted.groups
        return accepted if same else Directory(people, groups)

    def _with(self, kind: str, accepted: dict[str, T], now: dict[str, T]) -> dict[str, T]:
        changed = _names(kind, self._change.changed)
        if not changed:
            return accepted
        kept = {name: one for name, one in accepted.items() if name not in changed}
        return kept | {name: now[name] for name in changed if name in now}

    def settings(self, accepted: Settings) -> Settings:
        """The settings, with what people hold on these workspaces themselves."""
        now, felt = self._checked.settings, set(self._called.values())
        assert now is not None, "a sound manifest has settings"
        grants = {name: terms for name, terms in accepted.workspace_grants.items() if name not in felt}
        grants |= {name: terms for name, terms in now.workspace_grants.items() if name in felt}
        return accepted if grants == accepted.workspace_grants else replace(accepted, workspace_grants=grants)
