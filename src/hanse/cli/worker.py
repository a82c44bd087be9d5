"""`hanse worker`."""

from __future__ import annotations

import click
from msgspec.structs import replace

from hanse.cli.serve import keep_in_force, options
from hanse.service.estate import Estate, Trouble


@click.command()
@options
@click.pass_context
def command(ctx: click.Context, log: str, listen: str, as_json: bool) -> None:
    """Do what `hanse serve` does, beside others that do it too: any number of processes, on any number of machines.

    They share one store, which has to be on PostgreSQL, and take the work from each other. Where one of them dies or
    hangs, the others have its work within ten seconds. Nothing is answered over HTTP unless --listen says where.
    """
    keep_in_force(ctx, lambda http: replace(http, listen=listen), log == "json" or as_json, _check)


def _check(estate: Estate) -> None:
    if not estate.store.distributed:
        raise Trouble(
            "workers share one store, and this one is an SQLite file, which one process uses alone",
            "copy it with `hanse database copy postgresql://...`, and name that with --database; or run"
            " `hanse serve`, which needs no worker beside it",
        )
