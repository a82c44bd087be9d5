"""`hanse approve`."""

from __future__ import annotations

import click

from hanse.cli.render import console, quoted
from hanse.cli.session import OK, print_json, run
from hanse.service.approve import approve, waiting
from hanse.service.estate import Estate

SHOWN = 20
"""Held removals that are listed one by one."""


@click.command()
@click.argument("subject", required=False)
@click.option("--reason", default="", help="Why; it is kept in the journal.")
@click.option(
    "--days", default=30, show_default=True, type=click.IntRange(1, 365), help="How long the yes holds."
)
@click.option("--json", "as_json", is_flag=True, help="Write what waits as JSON.")
@click.pass_context
def command(ctx: click.Context, subject: str | None, reason: str, days: int, as_json: bool) -> None:
    """List what waits for a yes; with SUBJECT (the first digits are enough), say it.

    Who may is listed as `approvers` in server.yaml. The next `hanse apply` carries out what was approved.
    """

    async def job(estate: Estate) -> int:
        out = console()
        if subject:
            one = await approve(estate, subject, reason, days)
            out.print(f"[green]Approved:[/] {quoted(one.what)}")
            return OK
        found = await waiting(estate)
        if as_json:
            print_json(
                [
                    {"subject": w.subject, "rule": w.rule, "what": w.what, "approved": w.approved}
                    for w in found
                ]
            )
            return OK
        for one in found:
            yes = " [green](approved)[/]" if one.approved else ""
            out.print(f"[bold]{one.subject[:12]}[/]  {quoted(one.what)}{yes}")
            for detail in one.details[:SHOWN]:
                out.print(f"              [dim]{quoted(detail)}[/]")
            if len(one.details) > SHOWN:
                out.print(f"              [dim]… and {len(one.details) - SHOWN} more[/]")
        if not found:
            out.print("Nothing waits for a yes.")
        return OK

    run(ctx, job)
