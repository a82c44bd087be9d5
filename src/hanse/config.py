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
    """A folder, a bare repository, or an address that git can fetch."""
    branch: str = ""
    """The branch that is the truth. Without it: the one that HEAD names."""
    trust_root: str = ""
    """A file of allowed signers in ssh-keygen's format, relative to server.yaml. It must lie outside the repository."""
    signing_key: str = ""
    """The file of an SSH private key without a passphrase, relative to server.yaml. Hanse signs its commits with it."""
    trust_root_gpg: str = ""
    """A file of armoured OpenPGP public keys, likewise."""


class CredentialBinding(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What one credential's name stands for: a source, and the one endpoint and platform that it may be used for."""

    source: str
    """Where the secret is, such as `clouds.yaml#fra`, `kubeconfig#fra` or `in-cluster`."""
    endpoint: str
    """The address that it may be sent to."""
    platform: str
    """The Platform that it is for, by name."""
    options: dict[str, Any] = {}
    """Switches that only the server may set, such as a CA file, or that a kubeconfig may run a program."""


class Serve(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How often `hanse serve` looks at what tells it nothing by itself."""

    poll_seconds: Annotated[float, Meta(ge=1)] = 15.0
    """Between two looks at the repository; 1 at least."""
    sweep_seconds: Annotated[float, Meta(ge=10)] = 600.0
    """Between two looks at a whole platform, which find what hints missed; 10 at least."""


class Hooks(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Files with the secrets of webhooks, relative to server.yaml. A forge without one is not answered."""

    github: str = ""
    """The secret of GitHub's, sent to `/hooks/github`."""
    gitlab: str = ""
    """The secret token, or the signing token (`whsec_...`), of GitLab's, sent to `/hooks/gitlab`."""
    gitea: str = ""
    """The secret of Gitea's or Forgejo's, sent to `/hooks/gitea`."""


class Http(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What `hanse serve` answers over HTTP."""

    listen: str = ""
    """Where: HOST:PORT, such as `127.0.0.1:8080`. Without it nothing is answered."""
    hooks: Hooks = Hooks()
    """Files with the secrets of webhooks, relative to server.yaml. A forge without one is not answered."""


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """All of server.yaml: what must not lie in git."""

    repository: Repository | None = None
    """Where the manifest is."""
    credentials: dict[str, CredentialBinding] = {}
    """By the names that Platforms use: what each stands for."""
    approvers: tuple[str, ...] = ()
    """Operating-system accounts that may approve and revoke, as far as the organisation does not say who may."""
    accounts: dict[str, str] = {}
    """Operating-system accounts, and the principal whose each is. The journal names both."""
    store: str = ""
    """Where the journal and the accepted intents are: an SQLite file, or `postgresql://ACCOUNT@HOST/NAME`. Without it,
    the file `hanse/hanse.db` in the user's data folder (`$XDG_DATA_HOME`, or `~/.local/share`).
    """
    serve: Serve = Serve()
    """How often `hanse serve` looks at what tells it nothing by itself."""
    http: Http = Http()
    """What `hanse serve` answers over HTTP."""


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
        advice = "`hanse explain server` shows every field"
        return None, [error("server-config", message, advice, Place(path, line, column))]
