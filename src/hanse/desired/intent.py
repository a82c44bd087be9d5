"""What one owner is wanted to be: a closed, content-addressed value that holds everything compile needs.

Equal manifests give equal intents, however they are written. Provenance travels beside an intent and is no part
of its digest.
"""

from __future__ import annotations

import sys
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from hanse.desired.kinds import Deletion, LocalChanges, Operator
from hanse.foundation.canonical import digest
from hanse.model import Owner, Personal

SubjectKind = Literal["user", "group"]


class Term(Struct, frozen=True, order=True):
    """One grant's content: who, in which role, in which half-open interval [start, end)."""

    subject_kind: SubjectKind
    subject: str
    role: str
    start: datetime | None = None
    end: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it gives access at that instant."""
        return (self.start is None or self.start <= now) and (self.end is None or now < self.end)

    def expired(self, now: datetime) -> bool:
        """Whether its time is over for good."""
        return self.end is not None and self.end <= now


class Intent(Struct, frozen=True):
    """What is wanted of one owner."""

    owner: Owner
    organization: str
    workspace: str
    """The present name; the owner keeps the oldest."""
    project: str = ""
    display_name: str = ""
    description: str = ""
    tags: dict[str, str | tuple[str, ...]] = {}
    """The effective tags as texts (`desired.tags`); of a multi-select its values, sorted."""
    payment_method: str = ""
    grants: tuple[Term, ...] = ()
    """Sorted, without repetition."""
    landing_zone: str = ""
    landing_zone_block: dict[str, Any] = {}
    """The vendor's block of the landing zone, as plain values."""
    landing_zone_files: dict[str, str] = {}
    """By path: files below the folders that the landing zone names, each the canonical JSON of its documents."""
    platform_block: dict[str, Any] = {}
    """The vendor's block of the platform, as plain values."""
    operators: tuple[Operator, ...] = ()
    quotas: dict[str, int] = {}
    deletion: Deletion = "approval"
    local_changes: LocalChanges = "rollback"
    native: str = ""
    """The native id to adopt, from `native: {id: ...}`."""
    left_at: str = ""
    """The commit that took the owner out of the manifest; not empty means that it is leaving."""

    def __post_init__(self) -> None:
        """Hold each file once, however many intents have it and wherever they were read from."""
        if self.landing_zone_files:
            held = {path: sys.intern(text) for path, text in self.landing_zone_files.items()}
            force_setattr(self, "landing_zone_files", held)

    @property
    def digest(self) -> str:
        """Content address: equal intents have equal digests."""
        return digest(self)


class Person(Struct, frozen=True):
    """A principal of the directory."""

    name: str
    email: Personal | None = None
    display_name: Personal | None = None
    active: bool = True
    external_ids: dict[str, Personal] = {}


class Directory(Struct, frozen=True, dict=True, omit_defaults=True):
    """The people and groups that grants name: a dated fact, accepted together with the commit it was read from.

    What is empty is not written, so that with nobody held it has the digest that it has without that field.
    """

    people: dict[str, Person] = {}
    groups: dict[str, tuple[str, ...]] = {}
    held: tuple[str, ...] = ()
    """Whom only held grants keep among the people, as they were: the commit has them gone or disabled. Sorted."""

    @cached_property
    def external_ids(self) -> frozenset[str]:
        """Under which keys anybody at all is called something."""
        return frozenset(
            key for person in self.people.values() for key, name in person.external_ids.items() if name.text
        )

    def members(self, kind: SubjectKind, subject: str) -> tuple[str, ...]:
        """The principals that a subject stands for; none where it is unknown."""
        if kind == "group":
            return self.groups.get(subject, ())
        return (subject,) if subject in self.people else ()

    def is_active(self, name: str) -> bool:
        """Whether somebody is known and not disabled."""
        person = self.people.get(name)
        return person is not None and person.active
