"""What is to be done to one platform, why, and what came of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hanse.model.key import Key, Owner
from hanse.model.resource import Value

Action = Literal["create", "update", "delete", "adopt"]
Cause = Literal["declared", "local-change", "expired", "directory", "appeared", "revoked", "left"]
"""declared: a commit asks for it · local-change: somebody changed the platform by hand · expired: a grant's time
is over or has begun · directory: a group's members changed · appeared: the platform knows a person now whom it did
not · revoked: a grant was taken away ahead of any commit · left: its tenant was taken out of the manifest"""


class Reason(Struct, frozen=True):
    """Why a step is planned: a cause, and the declarations whose provenance says who decided."""

    cause: Cause
    sources: tuple[str, ...] = ()


class Step(Struct, frozen=True):
    """One change of one resource. Every choice is made: performing it decides nothing."""

    action: Action
    kind: str
    key: Key
    owner: Owner
    native_id: str
    """The platform's id of what is changed; empty when it is created, and on links."""
    before: dict[str, Value]
    """What the observation said of the attributes concerned; empty on create."""
    after: dict[str, Value]
    """What they shall be: all of them on create and adopt, the changed ones on update, empty on delete."""
    needs: tuple[Key, ...]
    """Keys whose steps of this plan, or whose things elsewhere, must be done before."""
    reason: Reason
    principal: str = ""
    loses: int = 0
    """On delete: how many links of people vanish with it, without a step of their own."""


class Done(Struct, frozen=True, tag="done"):
    """It holds now. `native_id` is set where a thing was created or adopted."""

    native_id: str = ""


class NotYet(Struct, frozen=True, tag="not-yet"):
    """Not possible now, worth trying again after so many seconds."""

    retry_after: float
    reason: str


class Refused(Struct, frozen=True, tag="refused"):
    """The platform says no and will say no again, until somebody follows the advice."""

    reason: str
    advice: str


class Unsure(Struct, frozen=True, tag="unsure"):
    """It may or may not have happened. Only a new observation can tell."""

    reason: str


Outcome = Done | NotYet | Refused | Unsure


class Remark(Struct, frozen=True, order=True):
    """Something true that no step can mend now, and what a person can do about it."""

    owner: Owner
    code: str
    """A stable name in kebab-case, such as `unknown-user`."""
    message: str
    advice: str = ""
    about: str = ""
    """The key, principal or native id concerned."""
    blocking: bool = False
    """Whether something that the manifest asks for cannot be reached because of it (the exit code is 1)."""
