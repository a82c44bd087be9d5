"""An intent in a platform's own kinds: what compile answers and plan compares with what was observed."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from msgspec import Struct

from hanse.foundation.diagnostics import suggest
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


UNKNOWN_EXTERNAL_ID = "unknown-external-id"
"""The code of a finding that only who knows everybody can make."""


@lru_cache(maxsize=256)
def nobody_has(key: str, known: frozenset[str], source: str, path: tuple[str | int, ...]) -> Problem:
    """That a Platform knows people by an external id which nobody has; told there, and of no person beside it.

    `known` are the keys that anybody has.
    """
    guess = suggest(key, known)
    has = f"people have {', '.join(sorted(known))}; correct it, or add" if known else "add"
    advice = f"did you mean '{guess}'?" if guess else f"{has} `externalIds: {{{key}: ...}}` to the Users"
    message = f"nobody has an external id '{key}', so nobody is known here"
    return Problem("warning", UNKNOWN_EXTERNAL_ID, message, advice, source, path)


class Compiled(Struct, frozen=True):
    """What an intent means on one platform at one instant."""

    owner: Owner
    resources: tuple[Resource, ...] = ()
    tolerated: tuple[Resource, ...] = ()
    """Links that may be there and need not: never made, never called a local change."""
    problems: tuple[Problem, ...] = ()
