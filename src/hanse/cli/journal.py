"""`hanse journal`."""

from __future__ import annotations

import click
import msgspec

from hanse.cli.render import SHORT, console, plain
from hanse.cli.session import ERROR, OK, count, print_json, run, safe_json
from hanse.journal.chain import Finding
from hanse.journal.events import (
    ApprovalGiven,
    Event,
    FightNoticed,
    GrantRevoked,
    GuardTripped,
    OrganizationAccepted,
    OwnerConverged,
    OwnerGone,
    PassFinished,
    PassStarted,
    StepConcluded,
    StepIntended,
    StoreRestored,
)
from hanse.service import journal
from hanse.service.estate import Estate


@click.group(invoke_without_command=True)
@click.option("--after", default=0, metavar="NUMBER", help="Begin after this record.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
@click.pass_context
def command(ctx: click.Context, after: int, as_json: bool) -> None:
    """Read what was decided and what happened, in order."""
    if ctx.invoked_subcommand is not None:
        return

    async def job(estate: Estate) -> int:
        out = console()
        async for entry in journal.entries(estate.store, after):
            recorded = entry.recorded
            if as_json:
                line = {
                    "sequence": recorded.sequence,
                    "at": recorded.at,
                    "chain": recorded.chain,
                    "event": entry.event,
                }
                click.echo(safe_json(msgspec.json.encode(line)))
            else:
                out.print(f"[dim]{recorded.sequence:>6}  {recorded.at:%Y-%m-%d %H:%M:%S}[/]  ", end="")
                out.print(plain(words(entry.event)), markup=False)
        return OK

    run(ctx, job)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON.")
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:
    """Prove that no record was edited, removed, inserted or moved. Exit code 1 if one was."""

    async def job(estate: Estate) -> int:
        number, findings = await journal.verify(estate.store)
        if as_json:
            print_json({"records": number, "findings": findings})
            return ERROR if _broken(findings) else OK
        for finding in findings:
            click.secho(str(finding), fg="yellow" if finding.kind == "unchained" else "red")
        if _broken(findings):
            click.secho(f"{count(number, 'record')}, {count(len(findings), 'finding')}", fg="red", bold=True)
            return ERROR
        click.secho(f"{count(number, 'record')}, unbroken", fg="green", bold=True)
        return OK

    run(ctx, job)


def _broken(findings: list[Finding]) -> bool:
    """Whether anything was tampered with: a record that the next pass links is none of it."""
    return any(finding.kind != "unchained" for finding in findings)


def words(event: Event) -> str:  # noqa: PLR0911 (one line per event)
    """An event as a sentence."""
    match event:
        case OrganizationAccepted():
            held = f", {count(len(event.held), 'set')} of removals held" if event.held else ""
            return f"accepted {event.commit[:SHORT]}: {count(len(event.intents), 'owner')} changed{held}, by {event.by}"
        case GuardTripped():
            held = f"{count(event.removals, 'removal')} held ({event.subject[:12]})"
            return f"{event.guard} tripped at {event.scope}: {held}"
        case ApprovalGiven(approval, by):
            return f"{by} approved {approval.rule} {approval.subject[:12]}"
        case GrantRevoked():
            role, where = event.role or "every role", event.scope or "the organisation"
            return f"{event.by} revoked {role} of {event.subject_kind} {event.subject} on {where}: {event.reason}"
        case PassStarted():
            return f"began a pass for {event.commit[:SHORT]} over {count(event.owners, 'owner')}"
        case StepIntended(step):
            return f"{step.owner}: {step.action} {step.kind} {step.key.part} ({step.reason.cause})"
        case StepConcluded():
            text = f": {event.text}" if event.text else ""
            looked = " (looked up)" if event.looked_up else ""
            return f"{event.owner}: {event.outcome}{looked} {event.digest[:12]}{text}"
        case OwnerConverged():
            return f"{event.owner}: holds what is accepted"
        case OwnerGone():
            return f"{event.owner}: gone"
        case FightNoticed():
            times = f"{event.repairs} times in {event.in_seconds} seconds"
            return f"{event.owner}: somebody else keeps changing {event.key.part}; it was put back {times}"
        case StoreRestored(taken_at, records, by):
            what = f"the store was restored by {by}, as it was on {taken_at:%Y-%m-%d %H:%M:%S}"
            return f"{what} with {count(records, 'record')}; what happened since is not in it"
        case PassFinished():
            return (
                f"ended the pass: {event.done} done, {event.refused} refused, {event.waiting} waiting, "
                f"{event.unsure} unsure"
            )
