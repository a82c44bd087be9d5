"""`hanse revoke`."""

from __future__ import annotations

import click

from hanse.cli.render import console
from hanse.cli.session import OK, run
from hanse.service.estate import Estate, Trouble
from hanse.service.revoke import revoke


@click.command()
@click.argument("project", metavar="WORKSPACE/PROJECT")
@click.option("--user", help="The principal whose grant it is.")
@click.option("--group", help="The group whose grant it is.")
@click.option("--role", default="", help="Only this role. Default: every role.")
@click.option("--reason", required=True, help="Why; it is kept in the journal.")
@click.pass_context
def command(
    ctx: click.Context, project: str, user: str | None, group: str | None, role: str, reason: str
) -> None:
    """Take a grant away ahead of any commit: the next `hanse apply` carries it out.

    It is subtracted from every commit until one without the grant is accepted. Take it out of the manifest too.
    """

    async def job(estate: Estate) -> int:
        if (user is None) == (group is None):
            raise Trouble("whose grant?", "give either --user or --group")
        kind, subject = ("user", user) if user else ("group", group)
        await revoke(estate, project, "user" if kind == "user" else "group", subject or "", role, reason)
        console().print(
            f"[green]Revoked:[/] {role or 'every role'} of {kind} {subject} on {project}. The next `hanse apply`, or a "
            "`hanse serve` that runs, takes the access away."
        )
        return OK

    run(ctx, job)
