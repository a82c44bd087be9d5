"""`hanse validate`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import click

from hanse.cli.findings import FORMATS, Format, print_findings
from hanse.cli.session import ERROR, OK, Joined, at_terminal, count, joined, leave
from hanse.service.since import check_again, check_since, check_worktree_since
from hanse.service.validate import Checked, check_commit, check_worktree

SHOWN = 200
"""Findings that a terminal gets."""


@click.command()
@click.argument("repository", default=".", type=click.Path(file_okay=False))
@click.option("--commit", default="", metavar="REV", help="Check this commit instead of the branch's head.")
@click.option("--worktree", is_flag=True, help="Check the files as they are, committed or not.")
@click.option(
    "--changed-since", "since", default="", metavar="REV", help="Only what may be another since that commit."
)
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what earlier checks found.")
@click.option("--watch", is_flag=True, help="Check the files as they are, again whenever one is saved.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="How findings are written: for people, or for a forge.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 (each is an option)
    ctx: click.Context,
    repository: str,
    commit: str,
    worktree: bool,
    watch: bool,
    since: str,
    no_cache: bool,
    form: Format,
    as_json: bool,
) -> None:
    """Check the manifest in REPOSITORY (default: here), and report all errors at once.

    Needs no server configuration and no cloud. Exit code 1 if there is an error.
    """
    main = joined(ctx)
    form = "json" if as_json else form
    if commit and (worktree or watch):
        raise click.UsageError("--commit checks what is committed; leave out --worktree and --watch")
    if since and no_cache:
        raise click.UsageError("--changed-since goes by what is remembered; leave out --no-cache")

    code = ERROR
    kept: Checked | None = None  # until the process ends, which then need not free it

    async def look() -> None:
        # Nothing large is the coroutine's answer: to set its signals, asyncio lets Python write out what that is.
        nonlocal code, kept
        source, language, now = main.source(repository), main.language(), datetime.now(UTC)
        base = source.resolve(since) if since else ""
        if worktree or watch:
            checked = (
                check_worktree_since(source, language, base, now)
                if base
                else check_worktree(source, language, now)
            )
        else:
            head = source.resolve(commit or "HEAD")
            if no_cache:
                checked = await check_commit(source, language, head, now)
            else:
                with closing(main.cache(source)) as cache:
                    checked = await (
                        check_since(source, language, base, head, now, cache)
                        if base
                        else check_again(source, language, head, now, cache)
                    )
        kept = checked
        code = OK if checked.is_sound else ERROR
        _tell(checked, form)

    def job() -> int:
        if watch:
            _watch(main, repository, lambda: asyncio.run(look()))
        else:
            asyncio.run(look())
        return code

    leave(ctx, job)


def _watch(main: Joined, repository: str, look: Callable[[], None]) -> None:
    """Look at each change of a file until Ctrl-C."""
    try:
        for _ in main.edits(repository):
            if at_terminal():
                click.clear()
            look()
            at = datetime.now().astimezone()
            click.secho(f"{at:%H:%M:%S} looking for changes; Ctrl-C ends it", dim=True, err=True)
    except KeyboardInterrupt:
        click.echo(err=True)


def _tell(checked: Checked, form: Format) -> None:
    if form != "text":
        print_findings(checked.diagnostics, form, checked.commit)
        return
    print_findings(checked.diagnostics[:SHOWN], form)
    if len(checked.diagnostics) > SHOWN:
        more = count(len(checked.diagnostics) - SHOWN, "more finding")
        click.secho(f"… and {more}; --json has all", dim=True)
    _summary(checked)


def _summary(checked: Checked) -> None:
    errors = sum(found.severity == "error" for found in checked.diagnostics)
    warnings = len(checked.diagnostics) - errors
    where = f"commit {checked.commit[:8]}" if checked.commit else "the working tree"
    if errors:
        click.secho(f"{where}: {count(errors, 'error')}, {count(warnings, 'warning')}", fg="red", bold=True)
    else:
        click.secho(f"{where} is sound: ", fg="green", bold=True, nl=False)
        found = f"{count(len(checked.intents), 'owner')} compiled"
        if checked.since and checked.since == checked.commit:
            found = "nothing changed since it was checked"
        elif checked.since:
            found += f", all else is as in commit {checked.since[:8]}"
        click.echo(f"{found}, {count(warnings, 'warning')}")
