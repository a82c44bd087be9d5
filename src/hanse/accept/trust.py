"""Whether commits may be accepted: each signed by somebody whose signature counts, who may change what it changes.

It goes by the trust, the tags' rules and the people of the last accepted commit, so no commit can give itself a right:
what a commit says of them counts from its acceptance on. Whether a key counts, its row's `from` and `until` say, by
the server's clock: the dates in a commit are claims. The trust root of the server may change everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from hanse.desired.intent import Directory
from hanse.desired.kinds import Signer, Who
from hanse.desired.settings import Settings
from hanse.desired.terms import BadTime, read_interval
from hanse.desired.trust import key_of, protections
from hanse.foundation.keys import PublicKey
from hanse.foundation.time import parse_zone
from hanse.model import Verdict

SHORT = 8
"""Digits of a commit that people are told."""
_TOLD = 3
"""Files that are told by name."""


class Evidence(Struct, frozen=True):
    """What is known of one commit."""

    commit: str
    verdict: Verdict
    paths: tuple[str, ...] = ()
    """What it changes."""
    tags: tuple[str, ...] = ()
    """Of the tags of which it is said who may set them: those that it gives, changes or takes away."""
    title: str = ""
    """Its first line and its author, as it says itself."""


class Refusal(Struct, frozen=True):
    """Why one commit is not accepted."""

    commit: str
    code: str
    message: str
    advice: str


class Signatory(NamedTuple):
    """Who signed."""

    kind: Literal["user", "machine", "root"]
    name: str

    def __str__(self) -> str:
        return self.name if self.kind == "user" else f"{self.kind} {self.name}"


class Wrong(NamedTuple):
    """Why a commit is not accepted, as what is said of it."""

    code: str
    what: str
    advice: str
    """Empty: sign it."""


class Signers:
    """Whose signatures count, as was accepted last."""

    def __init__(self, settings: Settings | None, directory: Directory, now: datetime) -> None:
        """Read the keys of an organisation; None where nothing is accepted yet."""
        zone = parse_zone(settings.organization.timezone) if settings else None
        rows = settings.organization.trust.signers if settings else ()
        self._zone = zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC")
        self._now = now
        self._directory = as_declared(directory, settings)
        self._rules = _Rules(settings)
        self._rows: dict[str, Signer] = {}
        self.keys: list[PublicKey] = []
        """All keys that are declared, whether they count now or not."""
        for row in rows:
            key = key_of(row)
            if isinstance(key, PublicKey):
                self.keys.append(key)
                self._rows[key.fingerprint] = row

    def signatory(self, verdict: Verdict) -> Signatory | None:
        """Who made a signature; None where it does not count."""
        found = self._read(verdict)
        return found if isinstance(found, Signatory) else None

    def _read(self, verdict: Verdict) -> Signatory | Wrong:
        row = self._rows.get(verdict.key)
        name = (row.user or row.machine or "") if row else ""
        if verdict.fault is not None:
            return _fault(verdict, name or verdict.root)
        if verdict.root:
            return Signatory("root", verdict.root)
        if row is None:
            return _fault(Verdict("unknown-key", verdict.key), "")
        interval = read_interval(row, self._zone)
        start, end = (None, None) if isinstance(interval, BadTime) else interval
        if start is not None and self._now < start:
            what = f"is signed by {name}, whose key counts only from {row.from_} on"
            return Wrong(
                "key-out-of-time", what, "have it signed by somebody else, or run `hanse apply` then"
            )
        if end is not None and end <= self._now:
            what = f"is signed by {name}, whose key counted until {row.until}"
            return Wrong("key-out-of-time", what, "have it signed with a key that counts now")
        if row.machine is not None:
            return Signatory("machine", row.machine)
        if not self._directory.is_active(name):
            what = f"is signed by {name}, who is disabled or not declared"
            return Wrong("disabled-signer", what, "have it signed by somebody else")
        return Signatory("user", name)

    def refusals(self, evidence: Iterable[Evidence], since: str = "") -> list[Refusal]:
        """Every reason why one of these commits, which follow on `since`, is not to be accepted."""
        sign = _SIGN_ALL.format(since[:SHORT]) if since else _SIGN_LAST
        return [
            Refusal(one.commit, wrong.code, f"commit {_called(one)} {wrong.what}", wrong.advice or sign)
            for one in evidence
            for wrong in self.wrong(one)
        ]

    def wrong(self, one: Evidence) -> Iterable[Wrong]:
        """What is wrong with one commit; nothing where it is to be accepted."""
        who = self._read(one.verdict)
        if isinstance(who, Wrong):
            return [who]
        return self._rules.broken(one, who, self._directory)


class _Rules:
    """Who may change what, as was accepted last."""

    def __init__(self, settings: Settings | None) -> None:
        self._protection = protections(settings.organization.trust.protected if settings else ())
        self._set_by = settings.set_by if settings else {}

    def broken(self, one: Evidence, who: Signatory, directory: Directory) -> Iterator[Wrong]:
        """What a commit does that its signer may not."""
        forbidden: dict[Who, list[str]] = {}
        for path in one.paths:
            row = self._protection(path)
            if row is not None and not may(row.changed_by, who, directory):
                forbidden.setdefault(row.changed_by, []).append(path)
        for allowed, paths in forbidden.items():
            more = f" and {len(paths) - _TOLD} more" if len(paths) > _TOLD else ""
            told = f"{', '.join(sorted(paths)[:_TOLD])}{more}"
            what = f"changes {told}, which only {words(allowed)} may; it is signed by {who}"
            yield Wrong("protected-path", what, _BY_WHO_MAY)
        for tag in one.tags:
            if not may(self._set_by[tag], who, directory):
                what = (
                    f"gives, changes or takes away the tag {tag}, which only {words(self._set_by[tag])} may"
                )
                yield Wrong("protected-tag", f"{what}; it is signed by {who}", _BY_WHO_MAY)


_BY_WHO_MAY = "have it signed by one of them, or leave that change out"


def as_declared(directory: Directory, settings: Settings | None) -> Directory:
    """The people with those disabled who were declared so, whatever of theirs a guard holds."""
    known = [
        directory.people[name] for name in (settings.disabled if settings else ()) if name in directory.people
    ]
    if not known:
        return directory
    people = directory.people | {person.name: replace(person, active=False) for person in known}
    return Directory(people, directory.groups)


def may(who: Who, signatory: Signatory, directory: Directory) -> bool:
    """Whether somebody is among those named. Who is disabled is nobody."""
    match signatory.kind:
        case "root":
            return True
        case "machine":
            return signatory.name in who.machines
        case "user":
            name = signatory.name
            named = name in who.users or any(name in directory.groups.get(group, ()) for group in who.groups)
            return named and directory.is_active(name)


def words(who: Who) -> str:
    """Those named, in words."""
    named = [*who.users, *(f"group {group}" for group in who.groups), *(f"machine {m}" for m in who.machines)]
    return " or ".join(named) or "nobody"


def _called(one: Evidence) -> str:
    return f"{one.commit[:SHORT]} ({one.title})" if one.title else one.commit[:SHORT]


_SIGN_LAST = "sign it: `git commit --amend --no-edit --gpg-sign`"
_SIGN_ALL = "sign it and what follows on it: `git rebase --force-rebase --rebase-merges --gpg-sign {}`"


def _fault(verdict: Verdict, name: str) -> Wrong:
    whose = f"the key {verdict.key}" if verdict.key else "a key"
    match verdict.fault:
        case "unsigned":
            return Wrong("unsigned", "is not signed", "")
        case "bad":
            what = (
                f"has a wrong signature: it was changed after {name or 'somebody'} signed it, or is a forgery"
            )
            return Wrong("bad-signature", what, "find out where it comes from before you sign it anew")
        case "expired":
            what = f"is signed with {whose} of {name}, which has expired"
            advice = "extend the key and declare it anew, or have the commit signed with another"
            return Wrong("expired-key", what, advice)
        case "revoked":
            what = f"is signed with {whose} of {name}, which was revoked"
            return Wrong("revoked-key", what, "find out who signed it; have it signed with another key")
        case "unreadable":
            what = "has a signature that is neither of OpenSSH nor of OpenPGP, or is damaged"
            return Wrong("unreadable-signature", what, "")
        case _:
            what = f"is signed with {whose}, which is no signer's"
            advice = "have it signed by a signer; a signer can add this key to Organization.trust, in a commit before"
            return Wrong("unknown-key", what, advice)
