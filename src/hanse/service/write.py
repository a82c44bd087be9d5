"""Machines write: requests become commits, one for each, checked before anybody else sees them.

A request does not hold a commit but how to make one, for the branch may move until it is taken. What is asked for while
a batch is under way makes up the next one. A batch is drafted on the branch's head, checked as `hanse validate` does
it, and taken by the branch if it stands as it did; else all of it is made anew on the new head. Where a batch makes the
manifest unsound, it is halved until those are found that do, and only these are declined. A commit that trust would
refuse is never published: with it, nothing that follows on the branch could be accepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from msgspec import structs

from hanse.accept.trust import Signers
from hanse.desired.intent import Directory
from hanse.desired.manifest import Id, Manifest
from hanse.desired.paths import glob
from hanse.desired.settings import Settings
from hanse.foundation.diagnostics import Diagnostic
from hanse.ports.source import NO_ROOT, Source, SourceError, TrustRoot, never
from hanse.ports.store import Rows
from hanse.ports.writer import WRITE_SECONDS, Draft, Person, Tip, Writer
from hanse.service.accepted import accepted_state
from hanse.service.estate import Estate, Language, Trouble, typed
from hanse.service.trust import Look, asks_for_signatures
from hanse.service.validate import Checked, check_commit

TRIES = 12
"""How often a batch is made anew on a branch that moved meanwhile."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds before a further try, at the most: each waits some part of it, by chance, and the double next time."""

_HAVE_HANSE_SIGN = (
    "have Hanse sign: a `repository.signingKey` in server.yaml, "
    "accepted as the `machine` of a signer who may do this"
)
_LET_IT = "let Hanse's machine do this in Organization.trust"
_OR_SOMEBODY = (
    "or have somebody who may do it sign it: "
    "their own commit, or the merge of a branch for review (`--branch`)"
)

Changes = Mapping[str, bytes | None]
"""By path: the new content of a file; None takes it out."""


@dataclass(frozen=True)
class Present:
    """What a request finds: the branch's head, and what others of its batch have added."""

    checked: Checked
    """The head, without what the batch added."""
    files: Set[str]
    """The paths that there are by now."""

    @property
    def manifest(self) -> Manifest:
        """What the head declares."""
        return self.checked.manifest

    def is_alone(self, identity: Id) -> bool:
        """Whether a document has its file for itself, which machines may take out then."""
        path = self.manifest.spot(identity).path
        wrong = any(
            found.severity == "error" and found.place is not None and found.place.path == path
            for found in self.checked.diagnostics
        )
        return path in self.files and not wrong and self.manifest.is_alone(identity)


@dataclass(frozen=True)
class Request:
    """A wish for one commit."""

    subject: str
    """What, on one line."""
    reason: str
    """Why."""
    author: Person
    make: Callable[[Present], Changes]
    """What to change. Raises Trouble where it cannot be done. Nothing to change: it is so already."""

    @property
    def message(self) -> str:
        """What the commit says."""
        text = f"{self.subject}\n\n{self.reason}\n" if self.reason else f"{self.subject}\n"
        # Whoever reads the log has it at a terminal, which no text is to steer.
        return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


@dataclass(frozen=True)
class Committed:
    """It stands in the repository."""

    commit: str
    branch: str
    changes: tuple[str, ...]
    """The files that were written or taken out; none where it was so already."""
    warnings: tuple[Diagnostic, ...] = ()
    """About the files that were written."""
    unsound: tuple[Diagnostic, ...] = ()
    """Errors that the manifest had before: nothing of it is accepted until they are mended."""


@dataclass(frozen=True)
class Declined:
    """It cannot be as it was asked for."""

    message: str
    advice: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()
    """What the manifest would have against it."""


@dataclass(frozen=True)
class Failed:
    """It could not be written now; the same request may be made again."""

    message: str
    advice: str = ""


Result = Committed | Declined | Failed


class ParsedInMemory:
    """Remembers what was parsed where there is no store."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._rows: dict[str, bytes] = {}

    async def parsed(self, blob_ids: Iterable[str]) -> dict[str, bytes]:
        """Cached parse results by git blob id."""
        return {blob: self._rows[blob] for blob in blob_ids if blob in self._rows}

    async def keep_parsed(self, rows: Mapping[str, bytes]) -> None:
        """Cache parse results by git blob id."""
        self._rows.update(rows)


@dataclass(eq=False)
class _Asked:
    request: Request
    branch: str
    result: Result | None = None


@dataclass(frozen=True)
class _Stack:
    """Commits upon a head, made and not yet published."""

    before: Tip
    """The branch as it stands; without a commit where it is to be made."""
    start: str
    """The commit that all stand upon."""
    base: Checked
    """That commit, checked."""
    checked: Checked
    """With all commits of the stack."""
    files: Set[str]
    review: bool
    """Whether it is a branch for review: who signs its merge answers for it."""
    commits: tuple[tuple[_Asked, str, tuple[str, ...]], ...] = ()
    """Each request with its commit and the paths that this one changes."""
    settled: Mapping[_Asked, Result] = field(default_factory=dict)
    """Requests that get no commit."""

    @property
    def top(self) -> str:
        """The last commit."""
        return self.commits[-1][1] if self.commits else self.start


@dataclass
class Writing:
    """The one who writes commits to a repository."""

    source: Source
    writer: Writer
    language: Language
    branch: str
    """The branch that is the truth; empty: the one that HEAD names."""
    account: str
    """The account that runs this."""
    now: Callable[[], datetime]
    chance: Callable[[int], bytes]
    """So many random bytes."""
    cache: Rows
    accepted: Callable[[], Awaitable[tuple[Directory, Settings | None]]] | None = None
    """What is accepted now, whose trust counts; without it, what the branch itself declares."""
    root: TrustRoot = NO_ROOT
    who: str = ""
    """Who runs this, as the journal names them."""
    seconds: float = WRITE_SECONDS
    """How long the repository's server may take for each thing that it is asked."""
    stopped: Callable[[], bool] = never
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """How it waits before a further try, in a loop of its own."""
    _asked: list[_Asked] = field(default_factory=list)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: Checked | None = None
    """What was checked last."""

    @classmethod
    def of(cls, estate: Estate, stopped: Callable[[], bool] = never) -> Writing:
        """Writes to the estate's repository."""
        branch = estate.config.repository.branch if estate.config.repository else ""

        async def accepted() -> tuple[Directory, Settings | None]:
            return await accepted_state(estate.store, await estate.store.head())

        return cls(
            estate.source,
            estate.writer,
            estate.language,
            branch,
            estate.operator,
            estate.now,
            estate.chance,
            estate.store,
            accepted,
            estate.trust_root,
            str(estate.who),
            stopped=stopped,
        )

    @cached_property
    def person(self) -> Person:
        """Who runs this, as a commit names them."""
        return self.writer.person(self.account)

    @cached_property
    def _committer(self) -> Person:
        return self.writer.committer(self.account)

    async def write(self, requests: Sequence[Request], branch: str = "") -> list[Result]:
        """Have each request become a commit, by default on the branch that is the truth; what came of each.

        Another branch begins where the true one is, unless it exists already. Raises StoreError.
        """
        mine = [_Asked(request, branch or self.branch) for request in requests]
        self._asked += mine
        try:
            async with self._turn:  # whoever has it writes for all who wait
                while any(one.result is None for one in mine):
                    await self._write_batch([one for one in self._asked if one.branch == mine[0].branch])
        finally:
            self._asked = [one for one in self._asked if one not in mine and one.result is None]
        return [one.result for one in mine if one.result is not None]

    async def _write_batch(self, batch: Sequence[_Asked]) -> None:
        """In a thread with a loop of its own: git and the checking of a large manifest take their time."""
        work = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(self._write(batch))))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            with suppress(Exception):
                await work
            raise

    async def _write(self, batch: Sequence[_Asked]) -> None:
        pause = FIRST_PAUSE
        for _ in range(TRIES):
            stack = None
            try:
                with self.writer.turn(self.seconds, self.stopped):
                    stack = await self._add(await self._begin(batch[0].branch), batch)
                    moved = stack.commits and self._publish(stack)
            except SourceError as error:
                self._give_up(batch, stack, error)
                return
            if not moved:
                _settle(stack)
                return
            if self.stopped():
                break
            await self.sleep(pause * (0.5 + self.chance(1)[0] / 512))
            pause = min(2 * pause, LONGEST_PAUSE)
        why = f"somebody else wrote to the branch each time just before this could: {moved}"
        for one in batch:
            one.result = Failed(why, "run it again")

    def _publish(self, stack: _Stack) -> str:
        return self.writer.publish(stack.top, stack.before, self.seconds, self.stopped)

    def _give_up(self, batch: Sequence[_Asked], stack: _Stack | None, error: SourceError) -> None:
        """Answer with the error, unless the commits were taken all the same and only the answer was lost."""
        if stack is not None and stack.commits:
            with suppress(SourceError):
                now = self.writer.tip(stack.before.branch, self.seconds, self.stopped)
                if now.commit and self.source.is_ancestor(stack.top, now.commit):
                    _settle(stack)
                    return
        for one in batch:
            settled = stack.settled.get(one) if stack else None
            one.result = settled or Failed(str(error), error.advice or "run it again")

    async def _begin(self, branch: str) -> _Stack:
        before = self.writer.tip(branch, self.seconds, self.stopped)
        truth = before if branch == self.branch else self.writer.tip(self.branch, self.seconds, self.stopped)
        start = before.commit or truth.commit
        if not start:
            raise SourceError(
                f"there is no branch {self.branch}", "commit something on it, or name another in server.yaml"
            )
        base = await self._check(start)
        files, review = self.source.tree(start).keys(), before.branch != truth.branch
        return _Stack(before, start, base, base, files, review)

    async def _add(self, stack: _Stack, batch: Sequence[_Asked]) -> _Stack:
        """The stack with a commit for each of these requests that leaves the manifest no less sound than it was."""
        drafted = self._drafted(stack, batch)
        if drafted.top == stack.top:
            return drafted
        checked = await self._check(drafted.top)
        before = set(_errors(stack.base))
        new = [found for found in _errors(checked) if found not in before]
        if not new:
            refused = {} if stack.review else await self._refused(drafted, stack)
            if refused:
                settled = {**stack.settled, **refused}
                rest = [one for one in batch if one not in refused]
                return await self._add(replace(stack, settled=settled), rest)
            return replace(drafted, checked=checked)
        if len(batch) > 1:
            half = len(batch) // 2
            return await self._add(await self._add(stack, batch[:half]), batch[half:])
        paths = drafted.commits[-1][2]  # files that nobody has need not be named
        found = tuple(
            structs.replace(one, place=None) if one.place and one.place.path in paths else one for one in new
        )
        declined = Declined("the manifest would not be sound with it", diagnostics=found)
        return replace(stack, settled={**stack.settled, batch[0]: declined})

    async def _refused(self, drafted: _Stack, stack: _Stack) -> dict[_Asked, Result]:
        """Which of the new commits trust would refuse."""
        base = stack.base
        directory, settings = await self.accepted() if self.accepted else (base.directory, base.settings)
        # Before the first acceptance only the one commit that is to be accepted is looked at, whatever leads to it.
        if settings is None or not asks_for_signatures(self.root, settings):
            return {}
        asked = {commit: one for one, commit, _ in drafted.commits[len(stack.commits) :]}
        signers = Signers(settings, directory, self.now())
        look = Look(self.source, self.language.vocabulary, self.cache, self.root, signers, settings)
        found = await look.at(self.source.changes(list(asked), all_sorts=True))
        return {
            asked[one.commit]: Declined(
                f"trust would refuse it, for its commit {wrong.what}",
                f"{_LET_IT if signers.signatory(one.verdict) else _HAVE_HANSE_SIGN}; {_OR_SOMEBODY}",
            )
            for one in found
            for wrong in signers.wrong(one)
        }

    def _drafted(self, stack: _Stack, batch: Sequence[_Asked]) -> _Stack:
        committer, at = self._committer, self.now()
        files, settled = set(stack.files), dict(stack.settled)
        folders = {folder for file in files for folder in _above(file)}
        drafts: list[tuple[_Asked, Draft]] = []
        for one in batch:
            try:
                typed(one.request.subject + one.request.reason)
                changes = _allowed(one.request.make(Present(stack.base, files)), files, folders)
                _check_read(changes, stack.base)
            except Trouble as trouble:
                settled[one] = Declined(str(trouble), trouble.advice)
                continue
            if not changes:
                settled[one] = Committed(stack.start, stack.before.branch, ())
                continue
            files -= {path for path, content in changes.items() if content is None}
            added = {path for path, content in changes.items() if content is not None}
            files |= added
            folders.update(folder for path in added for folder in _above(path))
            drafts.append((one, Draft(changes, one.request.message, one.request.author, committer, at)))
        commits = self.writer.write(stack.top, [draft for _, draft in drafts]) if drafts else []
        made = [
            (one, commit, tuple(draft.changes)) for (one, draft), commit in zip(drafts, commits, strict=True)
        ]
        return replace(stack, files=files, settled=settled, commits=(*stack.commits, *made))

    async def _check(self, commit: str) -> Checked:
        if self._known is None or self._known.commit != commit:
            self._known = await check_commit(self.source, self.language, commit, self.now(), self.cache)
        return self._known


def _allowed(changes: Changes, files: Set[str], folders: Set[str]) -> Changes:
    """The changes that are to be made. Raises Trouble where one would change a file that is there."""
    for path, content in changes.items():
        if content is not None:
            taken = next(
                (one for one in (path, *_above(path)) if one in files), path if path in folders else ""
            )
            if taken:
                raise Trouble(
                    f"{taken} exists already", "it is left as it is; choose another name, or edit it"
                )
    return {path: content for path, content in changes.items() if content is not None or path in files}


def _check_read(changes: Changes, base: Checked) -> None:
    """Raise Trouble where what is written would be no part of the manifest."""
    organization = base.manifest.organization
    ignored = glob(organization.ignore) if organization and organization.ignore else None
    for path, content in changes.items():
        if content is not None and ignored is not None and ignored.fullmatch(path):
            raise Trouble(
                f"{path} would not be read, for Organization.ignore names it", "take it out of `ignore`"
            )


def _above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path


def _errors(checked: Checked) -> list[Diagnostic]:
    return [found for found in checked.diagnostics if found.severity == "error"]


def _settle(stack: _Stack) -> None:
    unsound = tuple(_errors(stack.base))
    about: dict[str, list[Diagnostic]] = {}
    for found in stack.checked.diagnostics:
        if found.severity == "warning" and found.place is not None:
            about.setdefault(found.place.path, []).append(found)
    for one, commit, paths in stack.commits:
        warnings = tuple(found for path in paths for found in about.get(path, ()))
        one.result = Committed(commit, stack.before.branch, paths, warnings, unsound)
    for one, result in stack.settled.items():
        one.result = result
