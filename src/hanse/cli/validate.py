"""`hanse validate`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click

from hanse.cli.session import ERROR, OK, count, joined, leave, print_diagnostics, print_json
from hanse.service.validate import Checked, check_commit, check_worktree


@click.command()
@click.argument("repository", default=".", type=click.Path(file_okay=False))
@click.option("--commit", default="", metavar="REV", help="Check this commit instead of the branch's head.")
@click.option("--worktree", is_flag=True, help="Check the files as they are, committed or not.")
@click.option("--json", "as_json", is_flag=True, help="Write all findings as JSON.")
@click.pass_context
def command(ctx: click.Context, repository: str, commit: str, worktree: bool, as_json: bool) -> None:
    """Check the manifest in REPOSITORY (default: here), and report all errors at once.

    Needs no server configuration and no cloud. Exit code 1 if there is an error.
    """
    main = joined(ctx)

    def job() -> int:
        source, language, now = main.source(repository), main.language(), datetime.now(UTC)
        if worktree:
            checked = check_worktree(source, language, now)
        else:
            checked = asyncio.run(check_commit(source, language, source.resolve(commit or "HEAD"), now))
        if as_json:
            print_json({"commit": checked.commit, "diagnostics": checked.diagnostics})
        else:
            print_diagnostics(checked.diagnostics)
            _summary(checked)
        return OK if checked.is_sound else ERROR

    leave(ctx, job)


def _summary(checked: Checked) -> None:
    errors = sum(found.severity == "error" for found in checked.diagnostics)
    warnings = len(checked.diagnostics) - errors
    where = f"commit {checked.commit[:8]}" if checked.commit else "the working tree"
    if errors:
        click.secho(f"{where}: {count(errors, 'error')}, {count(warnings, 'warning')}", fg="red", bold=True)
    else:
        click.secho(f"{where} is sound: ", fg="green", bold=True, nl=False)
        click.echo(f"{count(len(checked.intents), 'owner')} compiled, {count(warnings, 'warning')}")
        if checked.settings and not checked.settings.organization.trust.signers:
            click.secho("It asks for no signatures: whoever can push decides (docs/trust.md)", dim=True)
