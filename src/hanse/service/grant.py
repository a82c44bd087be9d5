"""A grant as a commit: one document in a file of its own, which machines may take out again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from hanse.desired.intent import SubjectKind, Term
from hanse.desired.kinds import Grant
from hanse.desired.manifest import Manifest, Scope
from hanse.desired.paths import GRANTS, REVOCATIONS
from hanse.desired.terms import BadTime, read_term
from hanse.desired.writing import document_text
from hanse.foundation.identifiers import CHANCE_BYTES, new_id
from hanse.foundation.time import format_instant
from hanse.journal.revocation import Revocation as Revoked
from hanse.service.estate import Trouble
from hanse.service.write import Changes, Present, Request, Writing

_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhdw])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_span(text: str) -> timedelta:
    """A time that a grant lasts, such as 30m, 4h, 7d or 2w. Raises Trouble."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise Trouble(f"'{text}' is no time", "write it as 30m, 4h, 7d or 2w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def read_scope(scope: str) -> Scope:
    """What a grant is on: `workspace/project`, `workspace`, or empty, which is the organisation. Raises Trouble."""
    workspace, slash, project = scope.partition("/")
    if (slash and not (workspace and project)) or "/" in project:
        raise Trouble(f"'{scope}' names no project", "write it as WORKSPACE/PROJECT, or as WORKSPACE alone")
    return workspace, project


def grant_request(  # noqa: PLR0913
    writing: Writing,
    scope: str,
    subject_kind: SubjectKind,
    subject: str,
    role: str,
    *,
    start: str = "",
    until: str = "",
    span: timedelta | None = None,
    reason: str,
    revoked: Sequence[Revoked] = (),
) -> Request:
    """A wish to grant a role on a scope, written as `read_scope` takes it.

    `revoked` is what is revoked and not accepted from git yet.

    The Revocations of the same that stand in the manifest are taken out with it. Raises Trouble.
    """
    workspace, project = read_scope(scope)
    now = writing.now()
    name = new_id(now, writing.chance(CHANCE_BYTES))

    def make(present: Present) -> Changes:
        manifest = present.manifest
        grant = Grant(
            api_version="hanse/v1",
            name=name,
            workspace=workspace or None,
            project=project or None,
            user=subject if subject_kind == "user" else None,
            group=subject if subject_kind == "group" else None,
            role=role,
            from_=start or None,
            until=until or None,
            reason=reason,
        )
        term = _term(grant, manifest, now, span)
        if span is not None and term.end is not None:
            grant = replace(grant, until=format_instant(term.end))
        pending = _pending(revoked, manifest, (workspace, project), term)
        if pending is not None:
            raise Trouble(
                f"this was revoked on {format_instant(pending.at.replace(microsecond=0))}, and no commit without it is "
                "accepted yet",
                "run `hanse apply` first; else the revocation takes this grant away as well",
            )
        return {
            **_without_revocations(present, (workspace, project), term, writing),
            f"{GRANTS}/{name}.yaml": document_text(grant),
        }

    until_text = f" until {until}" if until else f" for {_words(span)}" if span else ""
    subject_line = f"Grant {role} on {scope or 'the organisation'} to {subject_kind} {subject}{until_text}"
    return Request(subject_line, reason, writing.person, make)


def _term(grant: Grant, manifest: Manifest, now: datetime, span: timedelta | None) -> Term:
    term = read_term(grant, manifest.zone)
    if isinstance(term, BadTime):
        raise Trouble(term.message.replace("'until'", "--until").replace("'from'", "--from"), term.advice)
    if span is not None:
        try:
            end = ((term.start or now) + span).replace(microsecond=0)
        except OverflowError:
            raise Trouble("the grant would end after the calendar does", "give a shorter --for") from None
        term = replace(term, end=end)
    if term.expired(now):
        raise Trouble("the time of this grant is over already", "give a later --until, or --for")
    return term


def _pending(
    revoked: Iterable[Revoked], manifest: Manifest, scope: tuple[str, str], term: Term
) -> Revoked | None:
    oldest = manifest.names.scope(*scope)
    for one in revoked:
        event = one.event
        same = (event.subject_kind, event.subject) == (term.subject_kind, term.subject)
        if same and event.role in ("", term.role) and oldest == event.scope:
            return one
    return None


def _without_revocations(
    present: Present, scope: tuple[str, str], term: Term, writing: Writing
) -> dict[str, bytes | None]:
    """Take out the Revocations of this grant. One of every role goes on for the other roles it takes away."""
    changes: dict[str, bytes | None] = {}
    manifest = present.manifest
    oldest = manifest.names.scope(*scope)
    for one in manifest.revocations_of(scope, term):
        path = manifest.spot(("Revocation", one.name)).path
        if not present.is_alone(("Revocation", one.name)):
            raise Trouble(
                f"this is revoked by {path}, which holds other documents too",
                "take the Revocation out there; machines do not edit what people wrote",
            )
        changes[path] = None
        if one.role is None:
            others = {
                other.role
                for place, other, _ in manifest.sound_terms((term.subject_kind, term.subject))
                if other.role != term.role and manifest.names.scope(*place) == oldest
            }
            for role in sorted(others):
                new = replace(one, name=new_id(writing.now(), writing.chance(CHANCE_BYTES)), role=role)
                changes[f"{REVOCATIONS}/{new.name}.yaml"] = document_text(new)
    return changes


def _words(span: timedelta | None) -> str:
    seconds = int(span.total_seconds()) if span else 0
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds and seconds % size == 0:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return ""
