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
from hanse.ports.store import OwnerRow, remark_name
from hanse.service.estate import Estate
from hanse.service.revoke import words
from hanse.service.status import State, status
from hanse.service.trust import summary, told_refusals
from hanse.service.waiting import Reason, is_settled

SOON = timedelta(minutes=10)
WATCH_SECONDS = 2.0
"""Between two looks of --watch."""
ROOMY = 110
"""Columns of a terminal from which what a row waits for stands beside it."""
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
            _show(console(), state, state.rows, estate.now(), only=bool(only))
        waits = any(row.status.waits or row.accepted.held for row in state.rows)
        return ERROR if waits or state.refusals else OK

    run(ctx, job)


async def _watch(estate: Estate, only: str) -> None:
    """Show it until Ctrl-C. What is as it shall be is only counted."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, ended.set)
    while not ended.is_set():
        state, now, out = await status(estate, only), estate.now(), console()
        unsettled = [row for row in state.rows if not is_settled(row)]
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


def _show(out: Console, state: State, rows: list[OwnerRow], now: datetime, *, only: bool = False) -> None:
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
        out.print(_table(state, rows, now, wide=out.width >= ROOMY))
    elif state.head:
        out.print(
            "No project has a place on a platform: `hanse explain Project.tenants` says how it gets one."
        )
    elif not state.refusals:
        out.print("Next: `hanse plan` shows what would be done, and `hanse apply` accepts and does it.")
    for row in rows:
        if out.width < ROOMY and (waits := _waits(state, row, now)):
            out.print(f"[dim]{row.owner}[/] waits:", waits)
        for remark in row.status.remarks:
            since = _since(row.status.since.get(remark_name(remark)), now)
            out.print(f"[dim]{row.owner}{since}[/]", remark_text(remark))
        for line in _advice(state, row, now, everything=only):
            out.print(f"[dim]{row.owner}[/]", line)
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


def _table(state: State, rows: list[OwnerRow], now: datetime, *, wide: bool) -> Table:
    """The rows; what they wait for where there is room for it, else that stands below."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("workspace", "project", "platform", "state", "seen", *(("waits for",) if wide else ())):
        table.add_column(title, overflow="fold")
    for row in rows:
        intent = row.accepted.intent
        project = intent.project if isinstance(row.owner, Tenant) else ""
        seen = _ago(row.status.observed_at, now) if row.status.observed_at else "never"
        waits = [_waits(state, row, now)] if wide else []
        table.add_row(intent.workspace, project, row.owner.platform, _state(row), seen, *waits)
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
    """Why an owner waits, and for whose turn: the platform's, a person's, or its own; when it is tried again."""
    shown = [one for one in state.reasons[row.owner] if one.code != "begins" and not _is_remark(row, one)]
    waits = Text()
    for one in shown:
        waits.append(f"{plain(one.message)}", style="").append(_since(one.since, now), style="dim")
        waits.append("; " if one is not shown[-1] else "")
    if waits and (due := _due(state, row, now)):
        waits.append(f" ({due})", style="dim")
    return waits


def _is_remark(row: OwnerRow, reason: Reason) -> bool:
    """Whether it is told below as a remark, and nothing else waits for it."""
    return reason.code != row.status.waits_code and any(
        remark.code == reason.code and remark.message == reason.message for remark in row.status.remarks
    )


def _since(since: datetime | None, now: datetime) -> str:
    """For how long it is so, where that is more than a moment."""
    span = _span(now - since) if since else ""
    return span and f" for {span}"


def _due(state: State, row: OwnerRow, now: datetime) -> str:
    """When it is looked at next, where that is soon enough to wait for, and how often it was tried."""
    work = state.work.get(row.owner)
    tries = f" after {count(work.attempts, 'attempt')}" if work and work.attempts else ""
    if work is None or work.due is None or work.due - now > SOON:
        return ""
    if work.due <= now:
        return f"next look{tries} at its turn" if tries else ""
    return f"next look{tries} in {max(int((work.due - now).total_seconds()), 1)} s"


def _advice(state: State, row: OwnerRow, now: datetime, *, everything: bool) -> list[Text]:
    """What can be done about what an owner waits for, where no remark says it; and what is still to come."""
    lines = []
    told = {remark.advice for remark in row.status.remarks}
    for one in state.reasons[row.owner]:
        if one.until is not None:
            if everything:
                line = Text(f"· later, from {one.until.astimezone():%Y-%m-%d %H:%M}, {_in(one.until, now)}: ")
                lines.append(line + Text(plain(one.message)))
        elif one.advice and one.advice not in told:
            lines.append(Text(f"→ {plain(one.advice)}"))
        told.add(one.advice)
    return lines


def _in(then: datetime, now: datetime) -> str:
    return f"in {_span(then - now) or 'a moment'}"


def _ago(then: datetime, now: datetime) -> str:
    span = _span(now - then)
    return f"{span} ago" if span else "just now"


def _span(span: timedelta) -> str:
    """In its largest unit; empty below a minute."""
    seconds = int(span.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            return count(seconds // size, unit)
    return ""


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
                "reasons": state.reasons[row.owner],
            }
            for row in state.rows
        ],
    }
