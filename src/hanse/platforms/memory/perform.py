"""One step, one write. Doing it again changes nothing more, and nothing is chosen here."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from hanse.model import Done, Native, NotYet, Outcome, Personal, Refused, Step, Value
from hanse.platforms.memory.client import RETRY_SECONDS, Client, Failed, Row
from hanse.platforms.memory.kinds import COLLECTION, THINGS

_PATH = {"membership": ("group", "user"), "assignment": ("target", "role", "subject")}
"""The ends of a link in the order of its path."""


async def perform(client: Client, step: Step) -> Outcome:
    """Carry out a step whose references are resolved to native ids."""
    try:
        if step.kind in THINGS:
            return await _change_thing(client, step)
        return await _change_link(client, step)
    except Failed as failure:
        return failure.outcome


async def _change_thing(client: Client, step: Step) -> Outcome:
    collection = COLLECTION[step.kind]
    match step.action:
        case "create":
            return await _create(client, collection, step)
        case "adopt":
            return await _adopt(client, collection, step)
        case "update":
            await client.write("PATCH", collection, step.native_id, body=_body(step))
            return Done(step.native_id)
        case "delete":
            await _delete(client, collection, step.native_id)
            return Done()


async def _create(client: Client, collection: str, step: Step) -> Outcome:
    try:
        row = await client.write("POST", collection, body=_body(step) | {"mark": str(step.key)})
    except Failed as failure:
        if failure.status != HTTPStatus.CONFLICT:
            raise
        # Either somebody else has the name, or an earlier try of ours was done and nobody heard of it.
        ours = await client.rows(collection, mark=str(step.key))
        if not ours:
            return Refused(
                str(failure), "choose another name, or take the thing over with `native: {id: ...}`"
            )
        row = ours[0]
    return Done(row["id"])


async def _adopt(client: Client, collection: str, step: Step) -> Outcome:
    row = await client.row(collection, step.native_id)
    if row is None or row["mark"] not in ("", str(step.key)):
        return Refused(
            f"{step.native_id} is gone or carries another's mark",
            "look up the id on the platform; what another declaration owns cannot be taken over",
        )
    await client.write("PATCH", collection, step.native_id, body=_body(step) | {"mark": str(step.key)})
    return Done(step.native_id)


async def _change_link(client: Client, step: Step) -> Outcome:
    attributes = step.after or step.before
    ends = [_id(attributes[name]) for name in _PATH[step.kind]]
    if step.action == "delete":
        await _delete(client, COLLECTION[step.kind], *ends)
    else:
        await client.write("PUT", COLLECTION[step.kind], *ends)
    return Done()


async def _delete(client: Client, collection: str, *path: str) -> None:
    try:
        await client.write("DELETE", collection, *path)
    except Failed as failure:
        if failure.status != HTTPStatus.NOT_FOUND:
            raise


def _body(step: Step) -> Row:
    return {name: _plain(value) for name, value in step.after.items()}


def _plain(value: Value) -> Any:
    if isinstance(value, Native):
        return value.id
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Personal) else value


def _id(value: Value) -> str:
    if isinstance(value, Native) and value.id:
        return value.id
    raise Failed(NotYet(RETRY_SECONDS, "one end of the link is not there"))
