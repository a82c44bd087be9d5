"""The ground that a server judges from: the accepted commit, of which it is known that nothing is held or waits.

From there a commit that changes nothing but what some standing projects are, or who may use them, is judged by these
projects alone: all else is as it is accepted. Whatever else a commit changes, and whatever is not as expected, is
judged the whole way, which is what this must equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from hanse.accept import Acceptance, judge
from hanse.desired.accepted import AcceptedIntent
from hanse.desired.intent import Directory, Intent
from hanse.desired.settings import Settings
from hanse.foundation.canonical import digest
from hanse.model import Approval, Owner, Tenant
from hanse.ports.source import SourceError
from hanse.ports.store import Head, OwnerRow, StoreError
from hanse.service.estate import Estate
from hanse.service.since import changed_projects, check_again, check_all
from hanse.service.validate import Checked, check_commit


@dataclass(frozen=True)
class Known:
    """What was found by the projects that a commit changed, as the whole way would have found it."""

    checked: Checked
    acceptance: Acceptance
    rows: dict[Owner, OwnerRow]
    """Of the tenants of these projects alone, as they are accepted."""


class Ground:
    """Held by a server from one commit to the next; without it all is judged the whole way."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._head = self._next = ("", "", "")

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
        plain = not (
            acceptance.trips
            or acceptance.lapsed
            or any(row.accepted.held for row in rows.values())
            or acceptance.settings != checked.settings
            or acceptance.directory != checked.directory
        )
        self._next = (
            (commit, digest(acceptance.directory), digest(acceptance.settings)) if plain else ("", "", "")
        )

    def forget(self) -> None:
        """What was judged before and is not accepted, counts for nothing."""
        self._next = ("", "", "")

    def accepted(self) -> None:
        """What was judged last is accepted."""
        self._head = self._next

    async def judge(  # noqa: PLR0911 (one for each thing that may differ)
        self,
        estate: Estate,
        commit: str,
        head: Head,
        directory: Directory,
        settings: Settings,
        approvals: Mapping[str, Approval],
        now: datetime,
    ) -> Known | None:
        """Judge a commit by the projects that it changes; None where that may differ from the whole way.

        To be asked only where no revocation stands.
        """
        if self._head != (head.commit, head.directory, head.settings) or estate.open_index is None:
            return None
        try:
            if not estate.source.is_ancestor(head.commit, commit):
                return None
            with closing(estate.open_index()) as index:
                source, language = estate.source, estate.language
                names = await changed_projects(source, language, head.commit, commit, now, index)
                if names is None:
                    return None
                checked = await check_again(source, language, commit, now, index)
        except (SourceError, StoreError):
            return None  # the whole way says what is wrong
        if not checked.is_sound:
            return None
        present = {(project.workspace, project.name) for project in checked.manifest.projects.values()}
        if not names <= present:
            return None
        oldest = [checked.manifest.names.project(*name) for name in names]
        owners: list[Owner] = [Tenant(platform, *name) for platform in settings.platforms for name in oldest]
        rows = {row.owner: row for row in await estate.store.rows(owners)}
        wanted = {owner: checked.intents[owner] for owner in owners if owner in checked.intents}
        accepted = {owner: row.accepted for owner, row in rows.items()}
        if wanted.keys() != accepted.keys() or not wanted or _takes_an_admin(wanted, accepted):
            return None
        if any(a.intent.left_at for a in accepted.values()):
            return None  # whether it comes back, or its name is taken by another, is told by all names that stand
        acceptance = judge(
            wanted,
            accepted,
            directory,
            directory,
            settings.organization.guards,
            approvals,
            settings=settings,
            descends=True,
            commit=commit,
            now=now,
        )
        # A ceiling counts what goes, all of which is here, against what there is, of which here is but a part: what
        # does not trip here trips nowhere.
        if acceptance.trips or acceptance.refused or acceptance.findings:
            return None
        self._next = commit, head.directory, head.settings
        return Known(checked, acceptance, rows)


def _takes_an_admin(wanted: Mapping[Owner, Intent], accepted: Mapping[Owner, AcceptedIntent]) -> bool:
    """Whether a grant of an admin goes: how many are left, only the whole workspace tells."""
    return any(
        term.role == "admin"
        for owner, a in accepted.items()
        for term in set(a.intent.grants) - set(wanted[owner].grants)
    )
