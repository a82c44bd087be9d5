"""Who can do what on a platform, in one vendor-neutral row per way that leads there."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hanse.model.key import Owner

Via = Literal["direct", "group", "inherited", "implied"]


class Access(Struct, frozen=True, order=True):
    """One principal holds one native role on one owner's things; made purely from an observation."""

    principal: str
    """The platform's id of the person or account."""
    role: str
    """The native role's name."""
    owner: Owner
    via: Via
    grant: str
    """The native grant that gives it, such as `group shop-prod-admin` or `domain Default`."""
