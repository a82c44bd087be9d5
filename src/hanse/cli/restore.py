"""`hanse restore`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from hanse.cli.backup import told
from hanse.cli.session import OK, config, database, joined, leave


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Give up what the store holds.")
@click.option(
    "--unproven", is_flag=True, help="Also where the journal was not whole when the backup was taken."
)
@click.pass_context
def command(ctx: click.Context, file: Path, replace: bool, unproven: bool) -> None:
    """Put the backup in FILE into the store, which must be empty: all of it, or nothing.

    It is proved first. What happened since it was taken is not known afterwards: `hanse apply` shows what would be
    done and asks, and only then `hanse serve` goes on.
    """

    def job() -> int:
        found = asyncio.run(joined(ctx).restore(config(ctx), database(ctx), file, replace, unproven))
        click.echo(f"restored: {told(found)}")
        click.echo(
            "what was approved or revoked since is not in it: look with `hanse plan`, then run `hanse apply`"
        )
        return OK

    leave(ctx, job)
