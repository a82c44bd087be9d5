"""server.yaml: what must not lie in git. Where the manifest is, what credentials' names mean, who may approve.

A credential's name in git is worth nothing by itself: here it is bound to its source and to the one endpoint and
platform that it may be used for.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from hanse.foundation import yaml
from hanse.foundation.diagnostics import Diagnostic, Place, error


class Repository(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Where the manifest is."""

    url: str
    """A folder, a bare repository or an address that git can fetch."""
    branch: str = ""
    """Empty: the branch that HEAD names."""
    trust_root: str = ""
    """A file of allowed signers (ssh-keygen's format), outside the repository."""
    trust_root_gpg: str = ""
    """A file of armoured OpenPGP public keys, outside the repository."""


class CredentialBinding(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What one credential's name stands for."""

    source: str
    """Such as `clouds.yaml#fra`, or `env` for the OS_* variables."""
    endpoint: str
    platform: str
    options: dict[str, Any] = {}
    """Switches that only the server may set, such as a CA file."""


class Serve(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How often `hanse serve` looks at what tells it nothing by itself."""

    poll_seconds: Annotated[float, Meta(ge=1)] = 15.0
    """Between two looks at the repository."""
    sweep_seconds: Annotated[float, Meta(ge=10)] = 600.0
    """Between two looks at a whole platform."""


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """All of server.yaml."""

    repository: Repository | None = None
    credentials: dict[str, CredentialBinding] = {}
    approvers: tuple[str, ...] = ()
    """Operating-system accounts that may approve, until the organisation itself says who may."""
    accounts: dict[str, str] = {}
    """Operating-system accounts, and the principal whose each is."""
    store: str = ""
    """The SQLite file; empty: `hanse.db` in the user's data folder."""
    serve: Serve = Serve()


def read_config(path: str, data: bytes) -> tuple[ServerConfig | None, list[Diagnostic]]:
    """The configuration in `data`, or what is wrong with it."""
    parsed = yaml.parse(data, path)
    if parsed.diagnostics:
        return None, parsed.diagnostics
    if len(parsed.documents) > 1:
        return None, [error("one-document", "more than one document", "keep one", Place(path, 1, 1))]
    content = parsed.documents[0].value if parsed.documents else {}
    try:
        return msgspec.convert(content, ServerConfig), []
    except msgspec.ValidationError as problem:
        message, _, where = str(problem).partition(" - at `$")
        steps = tuple(part for part in where.rstrip("`").replace("[...]", "").split(".") if part)
        line, column = yaml.locate(data, 0, steps)
        advice = "docs/server.md shows every field"
        return None, [error("server-config", message, advice, Place(path, line, column))]
