"""Webhooks of forges: whether one is signed with our secret, and what it is about. Pure.

Signatures are those of the body's very bytes. No time is checked: whoever sends a webhook again, or an old one, has the
repository looked at once more, and what is taken from there is the branch's head as it stands then.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

Headers = Mapping[str, str]
Verdict = Literal["push", "ping", "other-event", "other-repository", "other-branch"]
SIGNING_TOKEN = "whsec_"  # noqa: S105 (how GitLab's signing tokens begin, by standardwebhooks.com)
FORM = "application/x-www-form-urlencoded"
BRANCH = "refs/heads/"


class _Repository(Struct):
    full_name: str = ""
    path_with_namespace: str = ""
    """As GitLab calls it."""
    default_branch: str = ""


class _Push(Struct):
    """The part of a push that matters, as all three forges call it."""

    ref: str = ""
    repository: _Repository = msgspec.field(default_factory=_Repository)
    project: _Repository = msgspec.field(default_factory=_Repository)
    object_kind: str = ""
    """Of GitLab: which event it is."""


@dataclass(frozen=True)
class Forge:
    """How one sort of forge signs its webhooks and names its events."""

    is_signed: Callable[[Headers, bytes, bytes], bool]
    """Whether headers and body are signed with that secret."""
    event: str = ""
    """The header that names the event; empty: the body does."""


def is_signed_by_github(headers: Headers, body: bytes, secret: bytes) -> bool:
    """`X-Hub-Signature-256: sha256=HEX`, an HMAC of the body."""
    return _same(headers.get("X-Hub-Signature-256", ""), f"sha256={_hex(body, secret)}")


def is_signed_by_gitea(headers: Headers, body: bytes, secret: bytes) -> bool:
    """`X-Gitea-Signature: HEX`, an HMAC of the body; so does Forgejo."""
    return _same(headers.get("X-Gitea-Signature", ""), _hex(body, secret))


def is_signed_by_gitlab(headers: Headers, body: bytes, secret: bytes) -> bool:
    """`X-Gitlab-Token` is the secret itself. With a signing token, `webhook-signature` is an HMAC of id, time and body,
    or several, of former tokens too.
    """
    if not secret.startswith(SIGNING_TOKEN.encode()):
        return _same(headers.get("X-Gitlab-Token", ""), secret.decode(errors="surrogateescape"))
    try:
        key = base64.b64decode(secret.removeprefix(SIGNING_TOKEN.encode()), validate=True)
    except binascii.Error:
        return False
    told = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}."
    made = hmac.digest(key, told.encode(errors="surrogateescape") + body, hashlib.sha256)
    wanted = f"v1,{base64.b64encode(made).decode()}"
    return any(_same(one, wanted) for one in headers.get("webhook-signature", "").split(" "))


FORGES: Mapping[str, Forge] = {
    "github": Forge(is_signed_by_github, "X-GitHub-Event"),
    "gitlab": Forge(is_signed_by_gitlab),
    "gitea": Forge(is_signed_by_gitea, "X-Gitea-Event"),
}
"""By the last part of the path that each sends its webhooks to."""


def judge(forge: Forge, headers: Headers, body: bytes, url: str, branch: str) -> Verdict:
    """What a signed webhook is about, for a repository at that address. Raises ValueError where it is none of a forge.

    An empty branch is the one that the forge calls the default.
    """
    event = headers.get(forge.event, "") if forge.event else ""
    if event == "ping":
        return "ping"
    if forge.event and event != "push":
        return "other-event"
    push = msgspec.json.decode(_json(headers, body), type=_Push)
    if not forge.event and push.object_kind != "push":
        return "other-event"
    repository = push.project if push.project.path_with_namespace else push.repository
    if not _is_at(url, repository.path_with_namespace or repository.full_name):
        return "other-repository"
    return "push" if push.ref == f"{BRANCH}{branch or repository.default_branch}" else "other-branch"


def _is_at(url: str, name: str) -> bool:
    """Whether an address ends with what a forge calls the repository. Forges have several addresses for one."""
    path = urlsplit(url).path if "://" in url else url.replace(":", "/")
    path = path.rstrip("/").removesuffix(".git").casefold()
    return bool(name) and f"/{path}".endswith(f"/{name.casefold()}")


def _json(headers: Headers, body: bytes) -> bytes:
    """The payload, which GitHub and Gitea can send as a form, too."""
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != FORM:
        return body
    fields: Mapping[str, list[Any]] = parse_qs(body.decode(errors="replace"), max_num_fields=10)
    return "".join(fields.get("payload", [])).encode()


def _hex(body: bytes, secret: bytes) -> str:
    return hmac.digest(secret, body, hashlib.sha256).hex()


def _same(told: str, wanted: str) -> bool:
    """Compare in a time that says nothing of where they differ."""
    return hmac.compare_digest(told.encode(errors="surrogateescape"), wanted.encode(errors="surrogateescape"))
