"""What there is or shall be on a platform, in words that no vendor owns.

Two sorts of kinds: a *thing* (project, group, namespace) carries our stamp and is found by its key; a *link*
(membership, role assignment, role binding) carries none and is the same as another when it connects the same ends.
"""

from __future__ import annotations

from msgspec import Struct

from hanse.model.key import Key, Owner


class Personal(Struct, frozen=True, gc=False, tag="personal"):
    """Text about a person. The journal keeps a keyed digest of it; the text itself stays erasable."""

    text: str

    def __str__(self) -> str:
        return self.text


class Secret:
    """A credential in memory. It has no encoding, no text form and no equality: it can only be revealed."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


class Ref(Struct, frozen=True, gc=False, tag="ref"):
    """A thing of ours, by key. The executor puts its native id in its place."""

    key: Key


class Find(Struct, frozen=True, gc=False, tag="find"):
    """A thing that we use but do not own (a user, a role): to be found by these attributes, exactly one of it."""

    kind: str
    by: tuple[tuple[str, str | Personal], ...]

    def __str__(self) -> str:
        return f"{self.kind} " + ", ".join(f"{name} {value}" for name, value in self.by)


class Native(Struct, frozen=True, gc=False, tag="native"):
    """A thing that we do not own, as the platform knows it. Two are the same when kind and id are.

    Where a platform has no id beside the name, as Kubernetes of people, the id is empty and the name counts.
    """

    kind: str
    id: str
    name: str | Personal = ""

    @property
    def identity(self) -> str:
        """What tells it from others of its kind."""
        return self.id or str(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Native) and self.kind == other.kind and self.identity == other.identity

    def __hash__(self) -> int:
        return hash((self.kind, self.identity))


Value = None | bool | int | str | tuple[str, ...] | Personal | Ref | Find | Native


class Resource(Struct, frozen=True, gc=False):
    """One thing or link: as desired (from compile) or as observed (then with its native id)."""

    key: Key
    kind: str
    attributes: dict[str, Value]
    """Desired: every attribute that we decide. Observed: at least those. Never changed once made."""
    owner: Owner
    native_id: str = ""
    """The platform's id once observed; empty on links and on what is only desired."""
    sources: tuple[str, ...] = ()
    """The declarations that ask for it, as `desired.source` names them; for reasons and provenance."""
    principal: str = ""
    """Of a person's link: the principal's id (desired) or native user id (observed)."""
    rank: int = 0
    """Of a person's link: how much access it gives, 0 unknown. Orders steps: widening adds before it removes."""
    workload: bool = False
    """Observed link whose subject is a service account or system principal: told, never touched."""
    adopt: str = ""
    """Desired thing: the native id that the manifest names by `native: {id: ...}`, to be taken over."""


class Foreign(Struct, frozen=True):
    """What is there without our stamp. No step targets it, but for an adoption that the manifest asks for."""

    kind: str
    native_id: str
    attributes: dict[str, Value]


class KindSpec(Struct, frozen=True):
    """What the planner has to know of one kind of resource of a platform."""

    name: str
    ends: tuple[str, ...] = ()
    """Not empty: a link, and these attributes are what it connects."""
    unique: tuple[str, ...] = ()
    """Attributes that no two things of this kind may share on the platform, such as domain and name."""
    immutable: tuple[str, ...] = ()
    """Attributes that the platform cannot change once the thing exists."""
    within: tuple[str, ...] = ()
    """Attributes that refer to things whose deletion takes this one along, so that it needs no step of its own."""
    subject: str = ""
    """Of a link: the attribute that holds the principal or group of people who gets access by it."""
    guarded: bool = False
    """Holds what people have made: deleted only as the landing zone's deletion rule allows."""

    @property
    def is_link(self) -> bool:
        """Whether resources of this kind are found by what they connect instead of by a stamp."""
        return bool(self.ends)
