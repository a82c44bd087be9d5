"""`hanse bootstrap`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click

from hanse.cli.session import OK, estate, joined, leave
from hanse.service.bootstrap import bootstrap
from hanse.service.trust import must_be_trusted
from hanse.service.validate import Checked, check_commit, check_worktree


@click.command()
@click.argument("vendor")
@click.argument("platform")
@click.option(
    "--manifest",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    help="The manifest's repository. Default: the one of server.yaml.",
)
@click.option("--worktree", is_flag=True, help="Its files as they are, committed or not; with --manifest.")
@click.option(
    "--oidc",
    type=click.Choice(["flags", "config"]),
    default=None,
    help="Instead: how the platform is told whose tokens people sign in with.",
)
@click.pass_context
def command(
    ctx: click.Context, vendor: str, platform: str, manifest: str | None, worktree: bool, oidc: str | None
) -> None:
    """Print what the administrator of a PLATFORM of that VENDOR needs: Hanse's accounts and their rights, no more.

    What is printed is for the platform's own tools, such as `kubectl apply -f -`. What to do with it stands on standard
    error. Calls no platform.
    """
    if worktree and not manifest:
        raise click.UsageError("--worktree needs --manifest")
    main = joined(ctx)

    async def looked() -> Checked:
        now = datetime.now(UTC)
        if manifest:
            source, language = main.source(manifest), main.language()
            if worktree:
                return check_worktree(source, language, now)
            return await check_commit(source, language, source.resolve("HEAD"), now)
        async with estate(ctx) as found:
            branch = found.config.repository.branch if found.config.repository else ""
            found.source.fetch(branch)
            commit = found.source.head(branch)
            await must_be_trusted(found, commit)
            return await check_commit(found.source, found.language, commit, now, found.store)

    def job() -> int:
        made = bootstrap(asyncio.run(looked()), main.language(), vendor, platform, oidc or "")
        click.echo(made.text, nl=False)
        click.echo(made.notes, nl=False, err=True)
        return OK

    leave(ctx, job)
