"""`hanse backup`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from hanse.cli.session import ERROR, OK, complain, config, count, database, joined, leave
from hanse.ports.store import Backup


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Take the place of a file of that name.")
@click.pass_context
def command(ctx: click.Context, file: Path, replace: bool) -> None:
    """Write the whole store into FILE: one state of it, from either home, while everything runs.

    The file is read again before the command ends, and is durable then. Exit code 1 if the journal in it is not whole.
    """

    def job() -> int:
        found = asyncio.run(joined(ctx).back_up(config(ctx), database(ctx), file, replace))
        click.echo(f"{file}: {told(found)}")
        if not found.findings:
            return OK
        complain(
            f"the journal is not whole, and was not in the store: {found.findings[0]}",
            "`hanse journal verify` shows all; keep the earlier backups",
        )
        return ERROR

    leave(ctx, job)


def told(backup: Backup) -> str:
    """What a backup holds, in words."""
    size = f"{backup.size / 1e6:.1f} MB"
    return f"{count(backup.records, 'record')}, {size}, as of {backup.taken_at:%Y-%m-%d %H:%M:%S} UTC"
