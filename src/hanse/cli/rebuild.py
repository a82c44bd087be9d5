"""`hanse rebuild`."""

from __future__ import annotations

import click

from hanse.cli.session import OK, count, run
from hanse.service.estate import Estate
from hanse.service.rebuild import rebuild


@click.command()
@click.pass_context
def command(ctx: click.Context) -> None:
    """Make anew what the store can make from its journal, and have every owner looked at again.

    Stop `hanse serve` before. What is accepted, the journal and the texts about people stay as they are.
    """

    async def job(estate: Estate) -> int:
        records, owners = await rebuild(estate)
        click.echo(
            f"made anew from {count(records, 'record')}; `hanse serve` looks at {count(owners, 'owner')} again"
        )
        return OK

    run(ctx, job)
