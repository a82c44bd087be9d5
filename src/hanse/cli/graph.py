"""`hanse graph`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click

from hanse.cli.render import console
from hanse.cli.session import ERROR, OK, complain, count, joined, leave, print_json
from hanse.desired.graph import NotDeclared, graph
from hanse.foundation.diagnostics import has_errors
from hanse.service.estate import Trouble
from hanse.service.validate import check_commit, check_worktree


@click.command()
@click.argument("repository", default=".", type=click.Path(file_okay=False))
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "dot", "mermaid", "json"]),
    default="tree",
    show_default=True,
    help="tree for a terminal, dot for Graphviz, mermaid for Markdown, json.",
)
@click.option(
    "--only", default="", metavar="WORKSPACE[/PROJECT]", help="Only a workspace, or a project of one."
)
@click.option("--commit", default="", metavar="REV", help="Of this commit instead of the branch's head.")
@click.option("--worktree", is_flag=True, help="Of the files as they are, committed or not.")
@click.pass_context
def command(ctx: click.Context, repository: str, form: str, only: str, commit: str, worktree: bool) -> None:
    """Draw the organisation that the manifest in REPOSITORY (default: here) declares.

    Its platforms in their locations, its workspaces and projects with their places there, and who has which role.
    Needs no cloud. Where the manifest has errors, what is sound of it is drawn, and the exit code is 1.
    """
    main = joined(ctx)

    def job() -> int:
        from hanse.cli import drawing  # noqa: PLC0415 (rich is slow to import)

        source, language, now = main.source(repository), main.language(), datetime.now(UTC)
        if worktree:
            checked = check_worktree(source, language, now)
        else:
            checked = asyncio.run(check_commit(source, language, source.resolve(commit or "HEAD"), now))
        try:
            made = graph(checked.manifest, only)
        except NotDeclared as error:
            raise Trouble(str(error), error.advice) from error
        if form == "json":
            print_json(made)
        elif form == "tree":
            console().print(drawing.tree(made))
        else:
            click.echo(drawing.dot(made) if form == "dot" else drawing.mermaid(made), nl=False)
        if has_errors(checked.diagnostics):
            errors = count(sum(found.severity == "error" for found in checked.diagnostics), "error")
            complain(f"the manifest has {errors}: only what is sound is drawn", "`hanse validate` lists them")
            return ERROR
        return OK

    leave(ctx, job)
