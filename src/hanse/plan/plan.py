"""A plan as a value: it can be printed, compared, approved by its digest and carried out later."""

from __future__ import annotations

from msgspec import Struct

from hanse.foundation.canonical import digest
from hanse.model import Owner, Remark, Step


class Plan(Struct, frozen=True):
    """All that is to be done for one owner, in an order that can be carried out from first to last."""

    owner: Owner
    steps: tuple[Step, ...] = ()
    remarks: tuple[Remark, ...] = ()
    withheld: tuple[Step, ...] = ()
    """Repairs that a fight stops for now (`plan.fights`)."""

    @property
    def holds(self) -> bool:
        """Whether nothing is to be done, nothing is stopped and nothing is declared that cannot be reached."""
        return not (self.steps or self.withheld or any(remark.blocking for remark in self.remarks))

    @property
    def digest(self) -> str:
        """Names exactly these steps with their `before`; remarks are no part of it."""
        return digest((self.owner, self.steps))
