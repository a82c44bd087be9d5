"""Whom the organisation trusts: whether new commits may be accepted, and who may say yes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from hanse.accept.tags import touched_tags
from hanse.accept.trust import Evidence, Refusal, Signatory, Signers, as_declared, may, words
from hanse.desired.intent import Directory
from hanse.desired.kinds import Document, Trust
from hanse.desired.load import is_manifest
from hanse.desired.settings import Settings
from hanse.desired.vocabulary import Vocabulary
from hanse.foundation.diagnostics import Diagnostic, error
from hanse.model import Personal, Rule
from hanse.ports.source import Change, Commit, Source, TrustRoot
from hanse.ports.store import Head, Rows
from hanse.service.accepted import accepted_state
from hanse.service.documents import Documents
from hanse.service.estate import Estate, Trouble

LONGEST_TITLE = 60
"""Characters of a commit's first line, and of its author's name, that are told."""
MOST_REFUSALS = 20
"""So many are told one by one."""


def asks_for_signatures(root: TrustRoot, settings: Settings | None) -> bool:
    """Whether a new commit needs a signature; `settings` are those that are accepted."""
    if root:
        return True
    trust = settings.organization.trust if settings else Trust()
    return bool(trust.signers or trust.protected or (settings and settings.set_by))


async def untrusted(
    estate: Estate, commit: str, head: Head | None, directory: Directory, settings: Settings | None
) -> list[Refusal]:
    """Why a commit may not be accepted, by the trust of what is accepted; nothing where it may.

    All commits along first parents since the accepted one are looked at; before the first acceptance the proposed one
    alone. Raises SourceError and StoreError.
    """
    if (head is not None and head.commit == commit) or not asks_for_signatures(estate.trust_root, settings):
        return []
    signers = Signers(settings, directory, estate.now())
    if head is None or settings is None:
        evidence = [Evidence(commit, estate.source.verify([commit], signers.keys, estate.trust_root)[commit])]
        return signers.refusals(evidence)
    return signers.refusals(await _evidence(estate, commit, head.commit, signers, settings), head.commit)


async def must_be_trusted(estate: Estate, commit: str) -> None:
    """Raise Trouble where a commit may not be accepted: nobody is to act on what it says."""
    head = await estate.store.head()
    refusals = await untrusted(estate, commit, head, *await accepted_state(estate.store, head))
    if refusals:
        raise Trouble(refusals[0].message, refusals[0].advice)


async def _evidence(
    estate: Estate, commit: str, accepted: str, signers: Signers, settings: Settings
) -> list[Evidence]:
    source = estate.source
    commits = source.commits(accepted if source.has(accepted) else "", commit)
    changes = dict(source.changes([one.id for one in commits], all_sorts=True))
    if not commits or commits[0].parents[:1] != (accepted,):
        # The accepted commit is not on this line, so that what was undone of it is no change of any commit: who signed
        # the last one answers for the whole difference.
        changes[commit] = list(_difference(estate, accepted, commit))
    look = Look(source, estate.language.vocabulary, estate.store, estate.trust_root, signers, settings)
    return await look.at(changes, {one.id: _title(one) for one in commits})


@dataclass(frozen=True)
class Look:
    """Looks at commits: who signed them, and what they touch that not everybody may."""

    source: Source
    vocabulary: Vocabulary
    rows: Rows
    root: TrustRoot
    signers: Signers
    settings: Settings

    async def at(
        self, changes: Mapping[str, Sequence[Change]], titles: Mapping[str, str] = MappingProxyType({})
    ) -> list[Evidence]:
        """What is known of the commits that make these changes."""
        verdicts = self.source.verify(list(changes), self.signers.keys, self.root)
        signed = {one: changed for one, changed in changes.items() if self.signers.signatory(verdicts[one])}
        tags = await self._tags(signed)
        return [
            Evidence(
                one,
                verdicts[one],
                tuple(change.path for change in changed),
                tags.get(one, ()),
                titles.get(one, ""),
            )
            for one, changed in changes.items()
        ]

    async def _tags(self, changes: Mapping[str, Sequence[Change]]) -> Mapping[str, tuple[str, ...]]:
        """By commit: the tags that it touches, of those that not everybody may set."""
        set_by = self.settings.set_by
        if not set_by:
            return {}
        read = {
            commit: [change for change in changed if is_manifest(change.path)]
            for commit, changed in changes.items()
        }
        blobs = {blob for changed in read.values() for one in changed for blob in (one.old, one.new) if blob}
        documents = Documents(self.source, self.vocabulary, await self.rows.parsed(blobs))
        documents.fetch(blobs)

        def declared(blobs: Iterable[str]) -> list[Document]:
            return [document for blob in blobs if blob for document in documents(blob) or ()]

        return {
            commit: touched_tags(
                declared(one.old for one in changed), declared(one.new for one in changed), set_by.keys()
            )
            for commit, changed in read.items()
        }


def _difference(estate: Estate, old: str, new: str) -> Iterator[Change]:
    """What differs between two commits, however they are related; one that is not there any more had no files."""
    source = estate.source
    before = source.tree(old) if source.has(old) else {}
    after = source.tree(new)
    for path in sorted(before.keys() | after.keys()):
        was, becomes = before.get(path), after.get(path)
        if was != becomes:
            sides = [entry.blob if entry and entry.is_file else "" for entry in (was, becomes)]
            yield Change(path, *sides)


def _title(commit: Commit) -> str:
    subject, author = (
        text if len(text) <= LONGEST_TITLE else f"{text[:LONGEST_TITLE].rstrip()}…"
        for text in (commit.message.partition("\n")[0], commit.author_name)
    )
    return f'"{subject}" by {author}'


def summary(refusals: Sequence[Refusal]) -> str:
    """Why nothing is accepted, in a few words."""
    commits = len({refusal.commit for refusal in refusals})
    return f"{commits} of its commits are not trusted" if commits > 1 else "one of its commits is not trusted"


def told_refusals(refusals: Sequence[Refusal]) -> list[Diagnostic]:
    """Refusals as findings, so many as somebody reads."""
    told = [error(r.code, r.message, r.advice) for r in refusals[:MOST_REFUSALS]]
    left = len(refusals) - len(told)
    return told + ([error("more-refusals", f"so it is {left} times more")] if left else [])


def decider(
    estate: Estate,
    what: Rule | Literal["revocation"],
    directory: Directory,
    settings: Settings | None,
) -> Personal:
    """Who it is that says yes or takes away, as the journal keeps it. Raises Trouble where they may not."""
    account, person = estate.operator, estate.config.accounts.get(estate.operator, "")
    verb = "revoke" if what == "revocation" else "approve"
    who = getattr(settings.organization.trust.approvals, what, None) if settings else None
    if who is None:
        if account not in estate.config.approvers:
            advice = "who may is listed as `approvers` in server.yaml, by account name"
            raise Trouble(f"{account} may not {verb}", advice)
    elif not person:
        raise Trouble(
            f"{account} may not {verb}: whose account it is, is not known, and {words(who)} may",
            "bind the account to a person under `accounts` in server.yaml",
        )
    elif not may(who, Signatory("user", person), as_declared(directory, settings)):
        raise Trouble(
            f"{person} may not {verb}: {words(who)} may",
            f"who may is declared in Organization.trust.approvals.{what}, and counts as it was accepted last",
        )
    return estate.who
