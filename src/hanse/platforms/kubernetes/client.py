"""The Kubernetes API over a transport: pages, server-side apply, watches; errors in our own words, nothing decided.

Facts that shape it, read in k8s.io/apiserver 0.36 and tried on kube-apiserver 1.36:

- A list is consistent over its pages; a `continue` token dies with the compaction of what it stands on (410), and the
  list has to be begun anew. Without selectors a page says how many rows are still to come.
- `POST` is the only write that fails where the object is there already: server-side apply takes it over.
- The text of an error may repeat what was sent. None of it is passed on, but for names that a pattern picks out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from hanse.platforms.kubernetes.blocks import FIELD_MANAGER
from hanse.platforms.kubernetes.wire import ApiResource, ApiResources, Event, Page, Status, Traced
from hanse.ports.platform import PlatformUnavailable
from hanse.ports.transport import Call, NoReply, NotAllowed, NotSent, Reply, Transport

T = TypeVar("T")
ROWS = 500
"""In a page: what kubectl asks for, and the API server's own advice for large lists."""
LIST_SECONDS = 120.0
WATCH_SECONDS = 290
"""The server ends a watch by then; before five minutes, after which it would choose a time of its own."""
SILENT_SECONDS = 90.0
"""A watch without a line for so long is dead: bookmarks come every minute."""
CREATED, REDIRECT, BAD_REQUEST, NOT_FOUND, CONFLICT, GONE = 201, 300, 400, 404, 409, 410
_WEBHOOK = re.compile(r'admission webhook "([a-zA-Z0-9.-]{1,253})"')
_POLICY = re.compile(r"ValidatingAdmissionPolicy '([a-zA-Z0-9.-]{1,253})'")
_CALLING = re.compile(r'failed calling webhook "([a-zA-Z0-9.-]{1,253})"')
_RIGHT = re.compile(r"cannot [a-z]+ resource |attempting to grant RBAC permissions not currently held")
"""As the authorizers' refusals are worded, and RBAC's of an escalation (k8s.io/apiserver, pkg/endpoints/handlers/
responsewriters; k8s.io/kubernetes, pkg/registry/rbac/validation)."""
_UNTYPED = re.compile(
    r"failed to create typed patch object [^:]*: \.?([^:\s]*): (?:field not declared|expected)"
)
"""Answered with 500 by a server-side apply (k8s.io/apimachinery, pkg/util/managedfields/internal)."""
_FIELD = re.compile(r"^[A-Za-z0-9_.\[\]-]{1,120}$")

Query = tuple[tuple[str, str], ...]
Patch = Literal["apply", "merge", "json"]
_CONTENT = {
    "apply": "application/apply-patch+yaml",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}


class Failed(Exception):
    """The API server answered with an error."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.code = reply.status
        self.headers = reply.headers
        try:
            self._said = msgspec.json.decode(reply.body, type=Status)
        except msgspec.DecodeError:
            self._said = Status()

    @property
    def reason(self) -> str:
        """The machine-readable reason, such as `AlreadyExists`; empty where there is none."""
        return self._said.reason

    @property
    def causes(self) -> tuple[str, ...]:
        """Reasons of the causes, such as `NamespaceTerminating`."""
        details = self._said.details
        return tuple(cause.reason for cause in (details.causes or ())) if details else ()

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that are wrong, as far as they are plainly names."""
        details = self._said.details
        found = [cause.field for cause in (details.causes or ())] if details else []
        found += _UNTYPED.findall(self._said.message)
        return tuple(dict.fromkeys(name for name in found if _FIELD.match(name)))

    @property
    def is_malformed(self) -> bool:
        """Whether what was applied does not fit the schema of its kind: the API server calls it an error of its own."""
        return _UNTYPED.search(self._said.message) is not None

    @property
    def denied_by(self) -> str:
        """The admission webhook or policy that said no; empty if none did."""
        found = _WEBHOOK.search(self._said.message) or _POLICY.search(self._said.message)
        return found[1] if found else ""

    @property
    def unreachable_webhook(self) -> str:
        """The admission webhook that the API server could not call; empty if there is none."""
        found = _CALLING.search(self._said.message)
        return found[1] if found else ""

    @property
    def is_over_quota(self) -> bool:
        """Whether a ResourceQuota left no room."""
        return "exceeded quota" in self._said.message

    @property
    def lacks_right(self) -> bool:
        """Whether it was the account's rights that did not suffice, and no rule about what was asked for."""
        return _RIGHT.search(self._said.message) is not None

    @property
    def retry_seconds(self) -> float:
        """When to try again, by the header or the Status; 0 where neither says."""
        text = self.headers.get("retry-after", "")
        asked = self._said.details.retry_after_seconds if self._said.details else 0
        return float(text) if text.isdigit() else float(asked)


class Broken(Exception):
    """A reply that is none of the API's."""


Trouble = (Failed, Broken, NoReply, NotSent)
"""What can go wrong with a call, but for signing in."""


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list, and why it is not all of it, if so."""

    rows: list[T]
    version: str = ""
    """The resource version that it shows; a watch can go on from there."""
    cut: str = ""


class Kubernetes:
    """Calls to one API server."""

    def __init__(self, transport: Transport, rows: int = ROWS) -> None:
        """Ask for so many rows in a page."""
        self._transport = transport
        self._rows = rows
        self._resources: dict[str, tuple[ApiResource, ...]] = {}

    async def discover(self) -> None:
        """Make sure that core/v1 and RBAC v1 are served; asked once. Raises PlatformUnavailable or as `get`."""
        for group in ("v1", "rbac.authorization.k8s.io/v1"):
            if not await self.resources(group):
                raise PlatformUnavailable(
                    f"the server at the bound endpoint does not serve {group}",
                    "bind the address of a Kubernetes API server, such as https://kubernetes.example.org:6443; it must "
                    "serve core v1 and rbac.authorization.k8s.io/v1 (authorization mode RBAC)",
                )

    async def resources(self, api_version: str) -> tuple[ApiResource, ...]:
        """The kinds of a group and version, such as `apps/v1`; none where it is not served. Raises as `get`."""
        known = self._resources.get(api_version, ())
        if not known:
            path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            found = await self.find(path, ApiResources, "discover")
            known = self._resources[api_version] = found.resources if found else ()
        return known

    async def resource(self, api_version: str, kind: str) -> ApiResource | None:
        """One kind; None where the server does not know it. Raises as `get`."""
        found = _kind(self._resources.get(api_version, ()), kind)
        if found is None:  # it may be served by now
            self.forget(api_version)
            found = _kind(await self.resources(api_version), kind)
        return found

    def forget(self, api_version: str) -> None:
        """Its kinds are not what they were."""
        self._resources.pop(api_version, None)

    async def get(self, path: str, kind: type[T], label: str, query: Query = ()) -> T:
        """The object at a path. Raises Failed, Broken, or as the transport does."""
        return _decoded(await self.call(Call("GET", path, query, label=label)), kind, label)

    async def find(self, path: str, kind: type[T], label: str) -> T | None:
        """The object at a path; None where there is none. Raises as `get`."""
        try:
            return await self.get(path, kind, label)
        except Failed as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def list(self, path: str, kind: type[T], label: str, query: Query = ()) -> Listing[T]:
        """All objects at a path, page by page; what could not be read is said, not raised, once a page has come.

        Raises as `get` where not even the first page comes.
        """
        try:
            return await self._list(path, kind, label, query)
        except _Expired:  # it took longer than the server keeps what the first page stood on
            try:
                return await self._list(path, kind, label, query)
            except _Expired as again:
                return Listing(
                    again.rows, cut=f"{label}: the list could not be read before it was out of date"
                )

    async def _list(self, path: str, kind: type[T], label: str, query: Query) -> Listing[T]:
        rows: list[T] = []
        following, expected, pages = "", None, 0
        decoder = _page_decoder(cast("Hashable", kind))
        while True:
            turn: Query = (*query, ("limit", str(self._rows)))
            if following:
                turn = (*turn, ("continue", following))
            try:
                reply = await self.call(Call("GET", path, turn, label=label, timeout=LIST_SECONDS))
                page = _page(reply, decoder, label)
            except Failed as error:
                if error.code == GONE and pages:
                    raise _Expired(rows) from None
                if not pages:
                    raise
                return Listing(rows, cut=f"{label}: page {pages + 1}: {error}")
            except (Broken, NoReply, NotSent) as error:
                if not pages:
                    raise
                return Listing(rows, cut=f"{label}: page {pages + 1}: {error}")
            pages += 1
            rows.extend(page.items or ())
            meta = page.metadata
            if meta.remaining_item_count is not None:
                total = len(rows) + meta.remaining_item_count
                expected = total if expected is None else expected
            if not meta.following:
                cut = ""
                if (expected is not None and len(rows) < expected) or meta.remaining_item_count:
                    cut = f"{label}: a page lacks rows"
                return Listing(rows, meta.resource_version, cut)
            following = meta.following

    async def create(self, path: str, body: Any, kind: type[T], label: str) -> T:
        """Make an object that is not there yet. Raises as `get`; Failed with 409 where it is."""
        query = (("fieldManager", FIELD_MANAGER),)
        return _decoded(await self.call(Call("POST", path, query, body, label)), kind, label)

    async def patch(
        self, path: str, body: Any, kind: type[T], label: str, how: Patch = "apply", *, dry: bool = False
    ) -> tuple[T, bool]:
        """Change an object, or with `apply` make it; what it is now, and whether it is new. Raises as `get`."""
        query: Query = (("fieldManager", FIELD_MANAGER),)
        if how == "apply":
            query = (*query, ("force", "true"))
        if dry:
            query = (*query, ("dryRun", "All"))
        reply = await self.call(Call("PATCH", path, query, body, label, content_type=_CONTENT[how]))
        return _decoded(reply, kind, label), reply.status == CREATED

    async def delete(self, path: str, label: str, uid: str = "", version: str = "") -> tuple[str, ...]:
        """Delete an object, if it is still that one in that version; finalizers that keep it for now.

        Raises as `get`.
        """
        conditions = {name: value for name, value in (("uid", uid), ("resourceVersion", version)) if value}
        body = (
            {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions} if conditions else None
        )
        reply = await self.call(Call("DELETE", path, body=body, label=label))
        return _decoded(reply, Traced, label).metadata.finalizers

    async def watch(self, path: str, label: str, version: str, query: Query = ()) -> AsyncIterator[Event]:
        """What happens from that resource version on, until the server ends it.

        Raises Broken on a line that is none, NotStreamed where the server answers otherwise, else as the transport.
        """
        query = (
            *query,
            ("watch", "1"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(WATCH_SECONDS)),
        )
        async with aclosing(
            self._stream(Call("GET", path, query, label=label, timeout=SILENT_SECONDS))
        ) as lines:
            async for line in lines:
                if line:
                    try:
                        yield _event.decode(line)
                    except msgspec.DecodeError:
                        raise Broken(f"{label}: a line that is no event") from None

    def _stream(self, call: Call) -> AsyncGenerator[bytes, None]:
        return cast("AsyncGenerator[bytes, None]", self._transport.stream(call))

    async def call(self, call: Call) -> Reply:
        """The reply of a call that went well. Raises Failed, or as the transport does."""
        reply = await self._transport.send(call)
        if reply.status >= REDIRECT:
            raise Failed(f"{call.label}: the API server answered {reply.status}", reply)
        return reply


class _Expired(Exception):
    """The rest of a list is gone."""

    def __init__(self, rows: list[Any]) -> None:
        super().__init__("expired")
        self.rows = rows


_event = msgspec.json.Decoder(Event)


def _kind(known: Iterable[ApiResource], kind: str) -> ApiResource | None:
    return next((r for r in known if r.kind == kind and "/" not in r.name), None)


@cache
def _page_decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(Page[kind])  # type: ignore[valid-type]


def _page(reply: Reply, decoder: msgspec.json.Decoder[Page[T]], label: str) -> Page[T]:
    try:
        return decoder.decode(reply.body)
    except msgspec.DecodeError:
        raise Broken(f"{label}: the reply is no list") from None


def _decoded(reply: Reply, kind: type[T], label: str) -> T:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.DecodeError:
        raise Broken(f"{label}: the reply is none of the API") from None


def unavailable(error: Exception) -> PlatformUnavailable:
    """The error as one that says that nothing can be read at all."""
    match error:
        case NotAllowed():
            return PlatformUnavailable(str(error), error.advice)
        case Failed(code=401):
            return PlatformUnavailable(
                "the API server does not accept the credential",
                "it may have expired or been revoked: make a new one as `hanse bootstrap kubernetes` says, and bind it",
            )
        case Failed(code=403):
            return PlatformUnavailable(
                str(error),
                "the account lacks the right to read: `hanse doctor` says which, `hanse bootstrap` gives it",
            )
        case Failed(code=code) if code < BAD_REQUEST:
            return PlatformUnavailable(
                str(error), "the endpoint redirects: bind the address that it leads to"
            )
        case _:
            return PlatformUnavailable(str(error), "is the bound endpoint right, and the API server running?")
