"""Where commits that machines write go to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from hanse.ports.source import never

WRITE_SECONDS = 60.0
"""How long to wait for the server of a repository, and for another writer on this machine."""


class Person(Struct, frozen=True):
    """Who a commit is said to be by."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


class Draft(Struct, frozen=True):
    """A commit to be: what it changes, whose it is and why."""

    changes: Mapping[str, bytes | None]
    """By path: the new content of a file; None takes it out."""
    message: str
    author: Person
    committer: Person
    at: datetime


class Tip(Struct, frozen=True):
    """Where a branch stands."""

    branch: str
    commit: str
    """Empty where there is no such branch."""


class Writer(Protocol):
    """A git repository, written to without force. Every method raises SourceError."""

    def person(self, account: str, *, runs: bool = True) -> Person:
        """Who the person of this account is: as git is configured, if it is who runs this; else `account@host`."""
        ...

    def committer(self, account: str) -> Person:
        """Hanse itself, with the address of the account that it runs under."""
        ...

    def signer(self) -> str:
        """The key that it signs with, as a `Verdict` names it; empty where it does not sign."""
        ...

    def turn(
        self, seconds: float = WRITE_SECONDS, stopped: Callable[[], bool] = never
    ) -> AbstractContextManager[None]:
        """Within it no other writer of this machine is at work on the repository."""
        ...

    def tip(self, branch: str, seconds: float = WRITE_SECONDS, stopped: Callable[[], bool] = never) -> Tip:
        """Where the branch stands there now, with its commits at hand; the one that HEAD names for an empty name."""
        ...

    def write(self, parent: str, drafts: Sequence[Draft]) -> list[str]:
        """Make these commits, one upon the other; their ids. Nothing leads to them until `publish`."""
        ...

    def publish(
        self,
        commit: str,
        before: Tip,
        seconds: float = WRITE_SECONDS,
        stopped: Callable[[], bool] = never,
    ) -> str:
        """Have the branch end with this commit, if it stands as it did; else the reason why it is not taken now.

        What raises may have been taken all the same, where the answer was lost.
        """
        ...
