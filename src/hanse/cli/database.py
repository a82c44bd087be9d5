"""`hanse database`: what is done with the store as a whole."""

from __future__ import annotations

import click

from hanse.cli.session import OK, count, joined, run
from hanse.service.estate import Estate


@click.group()
def command() -> None:
    """Copy the store to another home."""


@command.command("copy")
@click.argument("address")
@click.pass_context
def copy(ctx: click.Context, address: str) -> None:
    """Copy all that the store keeps to ADDRESS.

    ADDRESS is postgresql://ACCOUNT@HOST/NAME or a file, and nothing may be there yet. Stop `hanse serve`
    before. The old store stays as it is, and is not to be used any more.
    """

    async def job(estate: Estate) -> int:
        records = await joined(ctx).copy_store(estate.store, address)
        click.echo(
            f"copied, with {count(records, 'record')} of the journal; `hanse journal verify` proves it"
        )
        click.echo("now name the new one as `store` in server.yaml, and leave the old one alone")
        return OK

    run(ctx, job)
