"""`hanse validate`."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime

import click

from hanse.cli.session import ERROR, OK, count, joined, leave, print_diagnostics, print_json
from hanse.foundation.diagnostics import Diagnostic
from hanse.service.since import check_since, check_worktree_since
from hanse.service.validate import check_commit, check_worktree

SHOWN = 200
"""Findings that a terminal gets."""


@click.command()
@click.argument("repository", default=".", type=click.Path(file_okay=False))
@click.option("--commit", default="", metavar="REV", help="Check this commit instead of the branch's head.")
@click.option("--worktree", is_flag=True, help="Check the files as they are, committed or not.")
@click.option(
    "--changed-since", "since", default="", metavar="REV", help="Only what may be another since that commit."
)
@click.option("--json", "as_json", is_flag=True, help="Write all findings as JSON.")
@click.pass_context
def command(
    ctx: click.Context, repository: str, commit: str, worktree: bool, since: str, as_json: bool
) -> None:
    """Check the manifest in REPOSITORY (default: here), and report all errors at once.

    Needs no server configuration and no cloud. Exit code 1 if there is an error.
    """
    main = joined(ctx)

    async def job() -> int:
        source, language, now = main.source(repository), main.language(), datetime.now(UTC)
        base = source.resolve(since) if since else ""
        if worktree:
            checked = (
                check_worktree_since(source, language, base, now)
                if base
                else check_worktree(source, language, now)
            )
        else:
            head = source.resolve(commit or "HEAD")
            with closing(main.cache(source)) as cache:
                checked = await (
                    check_since(source, language, base, head, now, cache)
                    if base
                    else check_commit(source, language, head, now, cache)
                )
        if as_json:
            print_json({"commit": checked.commit, "diagnostics": checked.diagnostics})
        else:
            print_diagnostics(checked.diagnostics[:SHOWN])
            if len(checked.diagnostics) > SHOWN:
                more = count(len(checked.diagnostics) - SHOWN, "more finding")
                click.secho(f"… and {more}; --json has all", dim=True)
            _summary(checked.diagnostics, len(checked.intents), checked.commit)
        return OK if checked.is_sound else ERROR

    # Nothing large is the coroutine's answer: to set its signals, asyncio lets Python write out what that is.
    leave(ctx, lambda: asyncio.run(job()))


def _summary(diagnostics: list[Diagnostic], owners: int, commit: str) -> None:
    errors = sum(found.severity == "error" for found in diagnostics)
    warnings = len(diagnostics) - errors
    where = f"commit {commit[:8]}" if commit else "the working tree"
    if errors:
        click.secho(f"{where}: {count(errors, 'error')}, {count(warnings, 'warning')}", fg="red", bold=True)
    else:
        click.secho(f"{where} is sound: ", fg="green", bold=True, nl=False)
        click.echo(f"{count(owners, 'owner')} compiled, {count(warnings, 'warning')}")
