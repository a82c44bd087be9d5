"""`hanse serve`, and what `hanse worker` has in common with it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace as replace_fields
from datetime import datetime
from typing import Any

import click
import msgspec
from msgspec.structs import replace
from rich.text import Text

from hanse.cli.findings import print_text
from hanse.cli.render import SHORT, SIGNS, Names, console, outcome_text, plain, reason, remark_text
from hanse.cli.session import OK, config, count, joined, run, safe_json
from hanse.config import Http
from hanse.foundation.time import format_instant
from hanse.journal.record import step_digest
from hanse.model import Owner
from hanse.ports.transport import Called
from hanse.reconcile.news import (
    Away,
    Back,
    Failed,
    Fought,
    Gone,
    Looking,
    Remarked,
    Settled,
    Stepped,
    Swept,
)
from hanse.service.estate import Estate, Trouble
from hanse.service.propose import Proposal
from hanse.service.serve import Began, Found, Judged, Leads, Listening, ServeNews, Serving, Wrote


def options(command: Callable[..., None]) -> Callable[..., None]:
    """What both commands take."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="The same as --log json."),
        click.option(
            "--listen",
            metavar="HOST:PORT",
            default="",
            help="Answer webhooks, metrics and questions for health here, such as at 127.0.0.1:8080.",
        ),
        click.option(
            "--log",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="What it tells as lines for people, or as one JSON object a line.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@options
@click.pass_context
def command(ctx: click.Context, log: str, listen: str, as_json: bool) -> None:
    """Keep in force what is accepted, until it is stopped: one process, in the foreground.

    Repairs what is changed by hand, begins and ends grants by the clock, accepts and applies new commits. The first
    state of all is accepted by `hanse apply`. Ctrl-C stops after the steps under way; a second one stops at once. So
    does the end of whoever reads what is told; where it cannot be written for another reason, nothing stops.

    With a store on PostgreSQL any number of `hanse serve` and `hanse worker` do this side by side.
    """
    keep_in_force(ctx, lambda http: replace(http, listen=listen or http.listen), log == "json" or as_json)


def _nothing(estate: Estate) -> None:
    """Any store will do."""


def keep_in_force(
    ctx: click.Context,
    http: Callable[[Http], Http],
    as_json: bool,
    check: Callable[[Estate], None] = _nothing,
) -> None:
    """Serve until somebody stops it. `check` may raise Trouble before it begins."""

    async def job(estate: Estate) -> int:
        check(estate)
        estate = replace_fields(estate, config=replace(estate.config, http=http(estate.config.http)))
        unheard: list[str] = []
        kinds = [kind for vendor in estate.language.vendors.values() for kind in vendor.description.kinds]
        names = Names((), {}, {kind.name: kind.subject for kind in kinds if kind.subject})

        def told(news: ServeNews) -> None:
            hear(news)
            try:
                if as_json:
                    _write_json(news, estate.now())
                else:
                    _write(news, estate.now(), names)
            except (OSError, SystemExit) as error:  # rich makes the latter of a broken pipe
                if isinstance(error, SystemExit | BrokenPipeError):
                    unheard.append("nobody reads any more what is told")
                    serving.stop()

        def deaf(news: ServeNews) -> None:
            """Nobody counts yet."""

        hear: Callable[[ServeNews], None] = deaf
        serving = Serving(estate, told)
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)

        def stop() -> None:
            serving.stop()
            for number in signals:
                loop.remove_signal_handler(number)
            with suppress(OSError):
                click.echo(
                    "stopping after the steps under way; Ctrl-C again stops at once, and nothing is lost",
                    err=True,
                )

        for number in signals:
            loop.add_signal_handler(number, stop)
        try:
            async with joined(ctx).listening(config(ctx), estate, serving, told) as hear:
                await serving.run()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
        if unheard:
            raise Trouble(unheard[0], "send it somewhere that stays, such as a file or the system's log")
        return OK

    run(ctx, job)


def _write(news: ServeNews, at: datetime, names: Names) -> None:
    for line in _lines(news, names):
        console().print(Text(f"{at.astimezone():%H:%M:%S} ", style="dim") + line)
    if isinstance(news, Judged):
        print_text(news.proposal.diagnostics)


def _lines(news: ServeNews, names: Names) -> list[Text]:  # noqa: PLR0911, PLR0912 (one for each sort of news)
    match news:
        case Called() | Looking() | Settled() | Found():
            return []
        case Listening(address):
            return [Text(f"answers at {plain(address)}", style="dim")]
        case Began(commit, platforms, worker):
            who = f"worker {worker} is " if worker else ""
            text = f"{who}keeping {commit[:SHORT]} in force on {', '.join(platforms)}; Ctrl-C ends it"
            return [Text(text, style="bold")]
        case Leads():
            return [Text("sees to git from now on", style="dim")]
        case Judged(proposal, owners):
            return _of_proposal(proposal, owners)
        case Stepped(step=step, outcome=outcome):
            wrong = outcome_text(step, outcome, names)
            sign, colour = SIGNS[step.action]
            line = Text(f"{_place(step.owner)}: ")
            if wrong is not None:
                return [line + wrong]
            line.append(f"{sign} {names.step(step)}", style=colour)
            return [line.append(f"   {plain(reason(step, {}))}", style="dim")]
        case Remarked(remark):
            return [Text(f"{_place(remark.owner)} ") + line for line in remark_text(remark).split("\n")]
        case Fought(owner, key, repairs, in_seconds):
            what = f"somebody else keeps changing {key.part}, which was put back {repairs} times in {in_seconds} s"
            return [Text(f"{_place(owner)}: {what}; `hanse status` says more", style="bold yellow")]
        case Gone(owner):
            return [Text(f"{_place(owner)} is gone")]
        case Swept(platform, owners, seconds, differences):
            found = f"{count(differences, 'difference')}" if differences else "no difference"
            return [
                Text(f"{platform}: {count(owners, 'owner')} swept in {seconds:.1f} s, {found}", style="dim")
            ]
        case Away(platform, message, advice):
            return [_trouble(f"{platform} cannot be read", message, advice)]
        case Back(platform):
            return [Text(f"{platform} can be read again", style="green")]
        case Wrote(commit, branch, what):
            return [Text(f"commit {commit[:SHORT]} on {plain(branch)}: revoked {plain(what)}")]
        case Failed(what, message, advice):
            return [_trouble(what, message, advice)]


def _of_proposal(proposal: Proposal, owners: int) -> list[Text]:
    short = proposal.commit[:SHORT]
    if proposal.checked is None:
        stands = proposal.head.commit[:SHORT] if proposal.head else ""
        why = proposal.acceptance.refused if proposal.acceptance else "it has errors"
        return [
            Text(f"commit {short} is not accepted: {plain(why)}; {stands} stays in force", style="bold red")
        ]
    lines = []
    if proposal.is_new:
        lines.append(Text(f"accepted {short}: {count(owners, 'owner')} to look at", style="bold"))
    for trip in proposal.trips:
        what = f"{plain(trip.scope)}: {count(len(trip.removals), 'removal')} held ({trip.guard})"
        line = Text(f"{what}; `hanse approve {trip.subject[:12]}` lets them happen", style="yellow")
        lines.append(line)
    return lines


def _place(owner: Owner) -> str:
    """`shop/web on north`, by the oldest names."""
    platform, _, rest = str(owner).partition("/")
    return f"{plain(rest)} on {plain(platform)}"


def _trouble(what: str, message: str, advice: str) -> Text:
    line = Text(f"{plain(what)}: {plain(message)}", style="bold red")
    return line.append(f"; {plain(advice)}", style="not bold default") if advice else line


def _write_json(news: ServeNews, at: datetime) -> None:
    sys.stdout.write(safe_json(msgspec.json.encode({"at": format_instant(at), **_plain(news)})) + "\n")
    sys.stdout.flush()


def _plain(news: ServeNews) -> dict[str, Any]:
    if isinstance(news, Stepped):
        return _of_step(news)
    if not isinstance(news, Judged):
        found: dict[str, Any] = msgspec.to_builtins(news)
        return _with_owners(found, news)
    proposal = news.proposal
    return {
        "event": "judged",
        "commit": proposal.commit,
        "accepted": proposal.checked is not None,
        "owners": news.owners,
        "diagnostics": proposal.diagnostics,
        "refused": proposal.acceptance.refused if proposal.acceptance else None,
        "held": [trip.subject for trip in proposal.trips],
    }


def _with_owners(found: dict[str, Any], news: ServeNews) -> dict[str, Any]:
    """An event with its owners as texts, which all lines about one have alike."""
    match news:
        case Settled(owner=owner) | Gone(owner=owner) | Fought(owner=owner):
            found["owner"] = str(owner)
        case Looking(owners=owners):
            found["owners"] = [*map(str, owners)]
        case Remarked(remark):
            found["remark"]["owner"] = str(remark.owner)
        case _:
            pass
    return found


def _of_step(news: Stepped) -> dict[str, Any]:
    """A step without values: what a platform said of its things stays in the journal."""
    step = news.step
    return {
        "event": "stepped",
        "passId": news.pass_id,
        "digest": step_digest(step),
        "step": {
            "action": step.action,
            "kind": step.kind,
            "key": str(step.key),
            "owner": str(step.owner),
            "attributes": sorted({**step.before, **step.after}),
            "reason": step.reason,
        },
        "outcome": news.outcome,
    }
