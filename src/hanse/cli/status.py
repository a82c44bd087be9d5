"""`hanse status`."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import datetime, timedelta

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hanse.cli.completion import scopes
from hanse.cli.findings import print_text
from hanse.cli.render import SHORT, console, plain, remark_text
from hanse.cli.session import ERROR, OK, count, print_json, run
from hanse.model import Tenant
from hanse.ports.store import OwnerRow
from hanse.service.estate import Estate
from hanse.service.revoke import words
from hanse.service.status import State, status
from hanse.service.trust import summary, told_refusals

SOON = timedelta(minutes=10)
WATCH_SECONDS = 2.0
"""Between two looks of --watch."""
MARGIN = 8
"""Lines of the terminal that --watch keeps for all that is no row."""


@click.command()
@click.argument("only", required=False, default="", metavar="[WORKSPACE[/PROJECT]]", shell_complete=scopes)
@click.option("--watch", is_flag=True, help="Show what is not as it shall be, again and again, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON.")
@click.pass_context
def command(ctx: click.Context, only: str, watch: bool, as_json: bool) -> None:
    """Show what is wanted, accepted and applied, when it was seen, and why something waits.

    Looks at the store and the repository, and at no platform. Exit code 1 if anything waits.
    """
    if watch and as_json:
        raise click.UsageError("--watch is for people; leave out --json, or ask for it again and again")
    if watch and not console().is_terminal:
        raise click.UsageError("--watch needs a terminal to write to; leave it out")

    async def job(estate: Estate) -> int:
        if watch:
            await _watch(estate, only)
            return OK
        state = await status(estate, only)
        if as_json:
            print_json(_plain(state))
        else:
            _show(console(), state, state.rows, estate.now())
        waits = any(row.status.waits or row.accepted.held for row in state.rows)
        return ERROR if waits or state.refusals else OK

    run(ctx, job)


async def _watch(estate: Estate, only: str) -> None:
    """Show it until Ctrl-C. What is as it shall be is only counted."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, ended.set)
    while not ended.is_set():
        state, now, out = await status(estate, only), estate.now(), console()
        unsettled = [row for row in state.rows if not state.is_settled(row)]
        shown = unsettled[: max(out.height - MARGIN, 1)]
        with out.capture() as captured:
            _show(out, state, shown, now)
            more = (
                f", {len(unsettled) - len(shown)} more than fit here" if len(unsettled) > len(shown) else ""
            )
            settled = len(state.rows) - len(unsettled)
            out.print(f"{settled} as they shall be, {len(unsettled)} not{more}")
            out.print(f"[dim]{now.astimezone():%H:%M:%S}; Ctrl-C ends it[/]")
        click.clear()
        click.echo(captured.get(), nl=False)
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), WATCH_SECONDS)


def _show(out: Console, state: State, rows: list[OwnerRow], now: datetime) -> None:
    accepted = (
        f"accepted [bold]{state.head.commit[:SHORT]}[/] {_ago(state.head.at, now)}"
        if state.head
        else "nothing accepted yet"
    )
    ahead = (
        f", the branch is at [bold]{state.wanted[:SHORT]}[/]"
        if state.head and state.wanted != state.head.commit
        else ""
    )
    out.print(f"Manifest: {accepted}{ahead}")
    if state.refusals:
        out.print(f"[bold red]It cannot be accepted[/]: {summary(state.refusals)}")
        if rows is state.rows:  # --watch has no room for them
            print_text(told_refusals(state.refusals))
    if state.rows:
        out.print(_table(state, rows, now))
    elif state.head:
        out.print(
            "No project has a place on a platform: `hanse explain Project.tenants` says how it gets one."
        )
    elif not state.refusals:
        out.print("Next: `hanse plan` shows what would be done, and `hanse apply` accepts and does it.")
    for row in rows:
        for remark in row.status.remarks:
            out.print(f"[dim]{row.owner}[/]", remark_text(remark))
    for one in state.revocations:
        event, since = one.revocation.event, _ago(one.revocation.at, now)
        where = "in git, and not accepted from there yet" if one.written else "in force, and not in git yet"
        line = Text(f"revoked {since}: {plain(words(event))}", style="bold")
        line.append(f"; {where}", style="not bold default" if one.written else "not bold yellow")
        if not one.written:
            why = one.revocation.waits or "nothing has tried it since"
            line.append(
                f": {plain(why)}; `hanse serve` and `hanse apply` try again", style="not bold default"
            )
        out.print(line)


def _table(state: State, rows: list[OwnerRow], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("workspace", "project", "platform", "state", "seen", "waits for"):
        table.add_column(title, overflow="fold")
    for row in rows:
        intent = row.accepted.intent
        project = intent.project if isinstance(row.owner, Tenant) else ""
        seen = _ago(row.status.observed_at, now) if row.status.observed_at else "never"
        waits = _waits(state, row, now)
        table.add_row(intent.workspace, project, row.owner.platform, _state(row), seen, waits)
    return table


def _state(row: OwnerRow) -> str:
    intent, applied = row.accepted.intent, row.status.applied
    if intent.left_at:
        return "[yellow]leaving[/]"
    held = " [red](removals held)[/]" if row.accepted.held else ""
    if applied == intent.digest and not row.status.waits:
        return f"[green]active[/]{held}"
    return f"[yellow]{'to change' if applied else 'to make'}[/]{held}"


def _waits(state: State, row: OwnerRow, now: datetime) -> Text:
    """Why an owner waits, and for whose turn: the platform's, a person's, or its own."""
    reasons = [row.status.waits] if row.status.waits else []
    subjects = dict.fromkeys(held.subject for held in row.accepted.held)
    reasons += [f"`hanse approve {subject[:12]}`, or `hanse approve` to see what" for subject in subjects]
    if not reasons and not state.is_settled(row):
        reasons = ["its turn"]
    waits = Text(plain("; ".join(reasons)))
    if waits and (due := _due(state, row, now)):
        waits.append(f" ({due})", style="dim")
    return waits


def _due(state: State, row: OwnerRow, now: datetime) -> str:
    """When it is looked at next, where that is soon enough to wait for."""
    work = state.work.get(row.owner)
    if work is None or work.due is None or work.due - now > SOON:
        return ""
    tries = f" after {count(work.attempts, 'attempt')}" if work.attempts else ""
    if row.owner in state.places:
        place, many = state.places[row.owner]
        queue = f", place {place} of {many} on {row.owner.platform}" if many > 1 else ""
        return f"next look{tries} as soon as `hanse serve` runs{queue}"
    return f"next look{tries} in {max(int((work.due - now).total_seconds()), 1)} s"


def _ago(then: datetime, now: datetime) -> str:
    seconds = int((now - then).total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'} ago"
    return "just now"


def _plain(state: State) -> object:
    return {
        "wanted": state.wanted,
        "accepted": state.head,
        "revocations": [
            {
                "workspace": one.revocation.event.workspace,
                "project": one.revocation.event.project,
                one.revocation.event.subject_kind: one.revocation.event.subject,
                "role": one.revocation.event.role,
                "at": one.revocation.at,
                "inGit": one.written,
                "why": "" if one.written else one.revocation.waits,
            }
            for one in state.revocations
        ],
        "refusals": state.refusals,
        "owners": [
            {
                "owner": str(row.owner),
                "workspace": row.accepted.intent.workspace,
                "project": row.accepted.intent.project,
                "intent": row.accepted.intent.digest,
                "acceptedAt": row.accepted.commit,
                "held": len(row.accepted.held),
                "leaving": row.accepted.intent.left_at,
                "status": row.status,
                "due": work.due if (work := state.work.get(row.owner)) else None,
                "why": work.why if work else "",
                "attempts": work.attempts if work else 0,
                "place": state.places.get(row.owner, (None, 0))[0],
            }
            for row in state.rows
        ],
    }
