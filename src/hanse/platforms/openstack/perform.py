"""Carry out one step. Doing it twice changes nothing more: names are unique, and our stamp tells our own work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from hanse.model import Done, Native, NotYet, Outcome, Refused, Step, Unsure, Value
from hanse.platforms.openstack.blocks import STAMP
from hanse.platforms.openstack.client import Broken, Failed, Keystone, Row
from hanse.platforms.openstack.compile import DOMAIN, PROJECT
from hanse.platforms.openstack.facts import STAMP_TAG, stamp_tags
from hanse.platforms.openstack.memory import Memory
from hanse.ports.platform import PlatformUnavailable
from hanse.ports.transport import Call, NoReply, NotAllowed, NotSent

BAD_REQUEST, NOT_FOUND, CONFLICT, SERVER_ERROR = 400, 404, 409, 500
SOON, LATER = 2.0, 120.0
"""Seconds: a hiccup of the server; something that a new look must tell first."""
_PLAIN = ("name", "description", "enabled")
_LABELS = {"create": "create", "update": "change", "adopt": "adopt", "delete": "delete"}


async def perform(client: Keystone, memory: Memory, step: Step) -> Outcome:
    """The outcome of the step; every answer of Keystone and every failure of the way there has one."""
    work: Callable[[], Awaitable[Outcome]]
    if step.kind in ("membership", "assignment"):
        work = _Link(client, step).perform
    else:
        work = _Thing(client, memory, step).perform
    try:
        return await work()
    except Failed as error:
        if error.status == NOT_FOUND:
            memory.forget()
        return _outcome(step, error)
    except Broken as error:
        return Unsure(str(error))
    except NoReply as error:
        return Unsure(str(error))
    except NotSent as error:
        return NotYet(SOON, str(error))
    except NotAllowed as error:
        return Refused(str(error), error.advice)
    except PlatformUnavailable as error:
        return Refused(str(error), error.advice)


def _outcome(step: Step, error: Failed) -> Outcome:  # noqa: PLR0911
    """What an error of Keystone means for the step."""
    what = f"{_LABELS[step.action]} {step.kind}"
    match error.status:
        case 401:
            return Refused(f"{what}: Keystone does not take the token", "check the account's scope")
        case 403 if error.says(b"across backend"):
            return Refused(
                f"{what}: the user and the group belong to different identity backends",
                "Keystone keeps groups and their members in one backend; put these users into the backend of the "
                "groups' domain, or choose a domain of theirs for the groups",
            )
        case 403:
            return Refused(f"{what}: Keystone does not allow it", _right(step, error))
        case 404:
            return NotYet(LATER, f"{what}: something that it needs is gone; the next look tells")
        case 409:
            return NotYet(LATER, f"{what}: Keystone sees a conflict; the next look tells")
        case 429 | 503:
            text = error.reply.headers.get("retry-after", "")
            return NotYet(
                float(text) if text.isdigit() else SOON, f"{what}: Keystone answered {error.status}"
            )
        case 504 if step.action == "create" and step.kind in (DOMAIN, PROJECT, "group"):
            return Unsure(f"{what}: a gateway gave up waiting for Keystone (504)")
        case status if status >= SERVER_ERROR:
            return NotYet(SOON, f"{what}: Keystone answered {status}")
        case status if status < BAD_REQUEST:
            return Refused(
                f"{what}: the endpoint answers with a redirect ({status})",
                "bind the address that it leads to",
            )
        case status:
            return Refused(f"{what}: Keystone does not take it ({status})", "Keystone's own log says why")


def _right(step: Step, error: Failed) -> str:
    if error.says(b"immutable"):
        return "it is marked immutable in Keystone; take that mark off, or the thing out of the manifest"
    if step.action == "delete" and not error.rule:
        return "Keystone keeps it, as other things hang on it, such as projects below a project"
    right = f"the right {error.rule}" if error.rule else "a right"
    enough = (
        "admin on the system or in its domain" if step.kind == DOMAIN else "admin, or manager of the domain"
    )
    return f"the account lacks {right}: a reader can only plan; to apply it needs the role {enough}"


class _Link:
    """A membership or a role assignment: PUT and DELETE of the same path, both idempotent."""

    def __init__(self, client: Keystone, step: Step) -> None:
        self.client = client
        self.step = step

    async def perform(self) -> Outcome:
        step = self.step
        path = self._path(step.before if step.action == "delete" else step.after)
        if path is None:
            return NotYet(LATER, f"an end of the {step.kind} is not known yet")
        if step.action != "delete":
            await self.client.write("PUT", path, f"put {step.kind}")
            return Done()
        try:
            await self.client.write("DELETE", path, f"delete {step.kind}")
        except Failed as error:
            if error.status != NOT_FOUND:
                raise
        return Done()

    def _path(self, ends: dict[str, Value]) -> str | None:
        ids = {name: value.id for name, value in ends.items() if isinstance(value, Native)}
        if not all(ids.values()):
            return None
        if self.step.kind == "membership":
            return (
                f"/v3/groups/{ids['group']}/users/{ids['user']}" if {"group", "user"} <= ids.keys() else None
            )
        scope = next((kind for kind in (PROJECT, DOMAIN) if kind in ids), None)
        subject = next((kind for kind in ("group", "user") if kind in ids), None)
        if scope is None or subject is None or "role" not in ids:
            return None
        path = f"/{scope}s/{ids[scope]}/{subject}s/{ids[subject]}/roles/{ids['role']}"
        return f"/v3/OS-INHERIT{path}/inherited_to_projects" if ends.get("inherited") else f"/v3{path}"


class _Thing:
    """A domain, a project or a group."""

    def __init__(self, client: Keystone, memory: Memory, step: Step) -> None:
        self.client = client
        self.memory = memory
        self.step = step
        self.kind = step.kind
        self.path = f"/v3/{step.kind}s"
        self.label = f"{_LABELS[step.action]} {step.kind}"

    async def perform(self) -> Outcome:
        match self.step.action:
            case "create":
                return await self._create()
            case "update":
                return await self._update(self.step.native_id)
            case "adopt":
                return await self._adopt(self.step.native_id)
            case "delete":
                return await self._delete(self.step.native_id)

    async def _create(self) -> Outcome:
        after = self.step.after
        body: Row = {name: after[name] for name in _PLAIN if name in after}
        body[STAMP] = str(self.step.key)
        if DOMAIN in after:
            domain = after[DOMAIN]
            if not isinstance(domain, Native) or not domain.id:
                return NotYet(LATER, f"{self.label}: its domain is not known yet")
            body["domain_id"] = domain.id
        if self.kind == PROJECT:
            # Before API 3.9 this is one more attribute that Keystone keeps without knowing it.
            body["tags"] = [f"{STAMP_TAG}{self.step.key.stamp}", *_texts(after.get("tags"))]
        try:
            made = await self.client.write("POST", self.path, self.label, {self.kind: body})
        except Failed as error:
            if error.status == BAD_REQUEST and error.says(b"find domain"):
                self.memory.forget()
                return NotYet(LATER, f"{self.label}: its domain is gone; the next look tells")
            if error.status != CONFLICT:
                raise
            taken = await self._taken(str(body["name"]), str(body.get("domain_id", "")))
            if taken is None:
                raise
            return taken
        native_id = str((made.get(self.kind) or {}).get("id", ""))
        if not native_id:
            return Unsure(f"{self.label}: the reply has no id")
        return self._done(native_id)

    async def _taken(self, name: str, domain: str) -> Outcome | None:
        """What it means that the name is taken, perhaps by our own work whose reply was lost; None: it is not."""
        query = (("name", name), *((("domain_id", domain),) if domain else ()))
        rows = (await self.client.list(self.path, f"find {self.kind}", query)).rows
        for row in rows:
            if row["id"] != self.step.native_id:
                if row.get(STAMP) == str(self.step.key):
                    return self._done(row["id"])
                return Refused(
                    f"{self.label}: a {self.kind} named {name} exists (id {row['id']}) and is not ours",
                    f"take it over with `native: {{id: {row['id']}}}`, or choose another name"
                    if self.kind == PROJECT
                    else "rename or remove it, or choose another name",
                )
        return None

    async def _update(self, native_id: str) -> Outcome:
        after = self.step.after
        body: Row = {name: after[name] for name in _PLAIN if name in after}
        if "stamp" in after:
            body[STAMP] = str(self.step.key)
        tags = set(_texts(after.get("tags")))
        gone = set(_texts(self.step.before.get("tags"))) - tags if "tags" in after else set()
        new = tags - set(_texts(self.step.before.get("tags")))
        if "stamp" in after:
            new.add(f"{STAMP_TAG}{self.step.key.stamp}")
        if (new or gone) and not await self.client.has_tags():
            body["tags"] = await self._tags_beside(native_id, new, gone)
            new = gone = set()
        try:
            if body:
                await self.client.write("PATCH", f"{self.path}/{native_id}", self.label, {self.kind: body})
        except Failed as error:
            # Keystone 30 answers 500 instead of 409 where a project's new name is taken (measured).
            if "name" in body and error.status in (CONFLICT, SERVER_ERROR):
                taken = await self._name_taken(native_id, str(body["name"]))
                if taken is not None:
                    return taken
            raise
        await self._change_tags(native_id, new, gone)
        return self._done(native_id)

    async def _name_taken(self, native_id: str, name: str) -> Outcome | None:
        row = await self.client.find(f"{self.path}/{native_id}", f"get {self.kind}") or {}
        return await self._taken(name, str(row.get("domain_id") or ""))

    async def _change_tags(self, native_id: str, new: set[str], gone: set[str]) -> None:
        """One by one, so that tags which somebody else sets at the same time stay."""
        for tag in sorted(new):
            path = f"{self.path}/{native_id}/tags/{quote(tag, safe='')}"
            try:
                await self.client.write("PUT", path, "put tag")
            except Failed as error:
                # Keystone refuses a tag that is there already (400, measured).
                if error.status != BAD_REQUEST or not await self._has_tag(path):
                    raise
        for tag in sorted(gone):
            try:
                await self.client.write(
                    "DELETE", f"{self.path}/{native_id}/tags/{quote(tag, safe='')}", "delete tag"
                )
            except Failed as error:
                if error.status != NOT_FOUND:
                    raise

    async def _has_tag(self, path: str) -> bool:
        try:
            await self.client.call(Call("GET", path, label="get tag"))
        except Failed as error:
            if error.status != NOT_FOUND:
                raise
            return False
        return True

    async def _tags_beside(self, native_id: str, new: set[str], gone: set[str]) -> list[str]:
        row = await self.client.find(f"{self.path}/{native_id}", f"get {self.kind}") or {}
        return sorted((set(row.get("tags") or ()) | new) - gone)

    async def _adopt(self, native_id: str) -> Outcome:
        row = await self.client.find(f"{self.path}/{native_id}", f"get {self.kind}")
        if row is None:
            return Refused(f"{self.label}: there is none with id {native_id}", "check `native: {id: ...}`")
        mark = row.get(STAMP)
        if mark and mark != str(self.step.key):
            return Refused(
                f"{self.label}: {native_id} carries the mark of another owner",
                f"take the extra attribute `{STAMP}` off it, if it is really to change hands",
            )
        return await self._update(native_id)

    async def _delete(self, native_id: str) -> Outcome:
        row = await self.client.find(f"{self.path}/{native_id}", f"get {self.kind}")
        if row is None:
            return Done()
        mark = row.get(STAMP)
        if mark != str(self.step.key) and (mark or self.step.key.stamp not in stamp_tags(row)):
            return Refused(f"{self.label}: it does not carry our mark any more", "plan again")
        try:
            if self.kind == DOMAIN:
                if (held := await self._held(native_id)) is not None:
                    return held
                body = {DOMAIN: {"enabled": False}}
                await self.client.write("PATCH", f"{self.path}/{native_id}", "disable domain", body)
            await self.client.write("DELETE", f"{self.path}/{native_id}", self.label)
        except Failed as error:
            if error.status != NOT_FOUND:
                raise
        return Done()

    async def _held(self, domain: str) -> Outcome | None:
        """Keystone deletes a domain with all that is in it: look once more that there is nothing."""
        for what in ("projects", "groups", "users"):
            query = (("domain_id", domain),)
            if (await self.client.list(f"/v3/{what}", f"list {what}", query)).rows:
                return Refused(
                    f"{self.label}: it still holds {what}", f"move or delete the {what} in it; then it goes"
                )
        return None

    def _done(self, native_id: str) -> Done:
        if self.kind == PROJECT:
            self.memory.projects[self.step.key.stamp] = native_id
        elif self.kind == DOMAIN:
            self.memory.all_domains.forget()
            self.memory.domains.forget()
        return Done(native_id)


def _texts(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
