"""kubeconfig files as kubectl reads them: found, merged, and one context of them chosen.

The format and the rules are those of client-go 0.36 (tools/clientcmd/api/v1/types.go and tools/clientcmd/loader.go). It
is read here because it is small: a client library for it would weigh more than all of Hanse.

Which ways of signing in are taken is decided by `auth`; this module only says what is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from hanse.foundation import yaml
from hanse.ports.platform import PlatformUnavailable

VARIABLE = "KUBECONFIG"

_V = TypeVar("_V")


class Cluster(Struct, frozen=True, rename="kebab"):
    """Where an API server is and how its certificate is checked."""

    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    """A file; `certificate_authority_data` goes before it."""
    certificate_authority_data: bytes = b""
    proxy_url: str = ""


class Variable(Struct, frozen=True):
    """One environment variable of an exec plugin."""

    name: str
    value: str


class Exec(Struct, frozen=True, rename="camel"):
    """A program that prints a credential."""

    command: str
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()
    api_version: str = ""
    install_hint: str = ""
    interactive_mode: str = ""
    provide_cluster_info: bool = False


class User(Struct, frozen=True, rename="kebab"):
    """How to sign in. Data goes before files, as in kubectl."""

    client_certificate: str = ""
    client_certificate_data: bytes = b""
    client_key: str = ""
    client_key_data: bytes = b""
    token: str = ""
    token_file: str = field(name="tokenFile", default="")
    impersonate: str = field(name="as", default="")
    impersonate_uid: str = field(name="as-uid", default="")
    impersonate_groups: tuple[str, ...] = field(name="as-groups", default=())
    impersonate_extra: dict[str, Any] = field(name="as-user-extra", default={})
    username: str = ""
    password: str = ""
    auth_provider: dict[str, Any] | None = None
    exec: Exec | None = None


class Context(Struct, frozen=True):
    """A cluster and a user, by name."""

    cluster: str = ""
    user: str = ""


class _NamedCluster(Struct, frozen=True):
    name: str
    cluster: Cluster = Cluster()


class _NamedUser(Struct, frozen=True):
    name: str
    user: User = User()


class _NamedContext(Struct, frozen=True):
    name: str
    context: Context = Context()


class _File(Struct, frozen=True, rename="kebab"):
    clusters: tuple[_NamedCluster, ...] = ()
    users: tuple[_NamedUser, ...] = ()
    contexts: tuple[_NamedContext, ...] = ()
    current_context: str = ""


class Login(Struct, frozen=True):
    """What one context stands for; paths in it are absolute."""

    context: str
    cluster: Cluster
    user: User
    user_name: str
    folder: str
    """Where the file lies that describes the user."""


def search_path(home: Path, variable: str) -> list[Path]:
    """The files that kubectl would read, those of `variable` (the value of $KUBECONFIG) or the one at home.

    Raises PlatformUnavailable for a relative one: it would be looked for in the working directory, which may be the
    manifest's, so that a commit could choose where to sign in and with what.
    """
    if not variable:
        return [home / ".kube" / "config"]
    paths = [Path(part) for part in dict.fromkeys(variable.split(os.pathsep)) if part]
    if any(not path.is_absolute() for path in paths):
        raise PlatformUnavailable(
            f"${VARIABLE} names a relative path", "write it absolute: the working directory may be anybody's"
        )
    return paths


def login(paths: Sequence[Path], context: str) -> Login:
    """What the context stands for in these files, merged; the empty name is the files' current context.

    The first file that names a cluster, a user or a context decides about it, whole. Files that are not there are
    passed over, but one has to be. Raises PlatformUnavailable.
    """
    files = [(path, _read(path)) for path in paths if path.exists()]
    if not files:
        raise PlatformUnavailable(
            "there is no such file", "looked for: " + ", ".join(str(path) for path in paths)
        )
    clusters = _first((row.name, (path, row.cluster)) for path, file in files for row in file.clusters)
    users = _first((row.name, (path, row.user)) for path, file in files for row in file.users)
    contexts = _first((row.name, row.context) for _, file in files for row in file.contexts)
    name = context or next((file.current_context for _, file in files if file.current_context), "")
    chosen = contexts.get(name)
    if chosen is None:
        known = f"known are: {', '.join(sorted(contexts))}" if contexts else "the files have no contexts"
        raise PlatformUnavailable(
            f"there is no context {name}" if name else "no current-context is set, and none is named",
            f"write its name behind the #; {known}",
        )
    cluster_file, cluster = clusters.get(chosen.cluster, (paths[0], None))
    user_file, user = users.get(chosen.user, (paths[0], None))
    if cluster is None or user is None:
        lacking = f"cluster {chosen.cluster}" if cluster is None else f"user {chosen.user}"
        raise PlatformUnavailable(
            f"the context {name} is of the {lacking}, which is not described",
            "describe it under `clusters` or `users` of the kubeconfig",
        )
    cluster = replace(cluster, certificate_authority=_beside(cluster_file, cluster.certificate_authority))
    user = replace(
        user,
        client_certificate=_beside(user_file, user.client_certificate),
        client_key=_beside(user_file, user.client_key),
        token_file=_beside(user_file, user.token_file),
    )
    if user.exec and os.sep in user.exec.command:  # a bare name is looked for on the PATH
        user = replace(user, exec=replace(user.exec, command=_beside(user_file, user.exec.command)))
    return Login(name, cluster, user, chosen.user, str(user_file.parent.absolute()))


def _read(path: Path) -> _File:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlatformUnavailable(
            f"{path} cannot be read: {error.strerror}", "let the account that runs Hanse read it"
        ) from None
    parsed = yaml.parse(data, str(path))
    if parsed.diagnostics or len(parsed.documents) > 1:
        place = parsed.diagnostics[0].place if parsed.diagnostics else path
        raise PlatformUnavailable(
            f"{place}: this is no well-formed kubeconfig", "`kubectl config view` shows what is wrong"
        )
    try:
        return msgspec.convert(_without_nulls(parsed.documents[0].value) if parsed.documents else {}, _File)
    except msgspec.ValidationError as error:
        where = str(error).partition(" - at `$")[2].rstrip("`").lstrip(".")
        # The error's first half may repeat a value.
        raise PlatformUnavailable(
            f"{path}: {where or 'something'} is not as a kubeconfig has it",
            "compare it with `kubectl config view`",
        ) from None


def _without_nulls(value: Any) -> Any:
    """Go's programs write null for what is empty."""
    match value:
        case dict():
            return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [_without_nulls(inner) for inner in value]
        case _:
            return value


def _beside(file: Path, path: str) -> str:
    return str(file.parent.absolute() / path) if path else ""


def _first(pairs: Iterable[tuple[str, _V]]) -> dict[str, _V]:
    """The first value of each name."""
    found: dict[str, _V] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
