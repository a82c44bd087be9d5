"""An intent in a platform's own kinds: what compile answers and plan compares with what was observed."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hanse.model import Owner, Resource


class Problem(Struct, frozen=True):
    """A finding of compile: pure, about names, roles or fields; the loader turns it into file, line and column."""

    severity: Literal["error", "warning"]
    code: str
    message: str
    advice: str
    source: str
    """The declaration it is about, as `desired.source` names it."""
    path: tuple[str | int, ...] = ()
    """The field within that document. A row of a project's `tenants` is named by its platform."""


class Compiled(Struct, frozen=True):
    """What an intent means on one platform at one instant."""

    owner: Owner
    resources: tuple[Resource, ...] = ()
    tolerated: tuple[Resource, ...] = ()
    """Links that may be there and need not: never made, never called a local change."""
    problems: tuple[Problem, ...] = ()
