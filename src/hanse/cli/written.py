"""What commands that write commits share: their options, and what came of it in words and as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import click
from rich.text import Text

from hanse.cli.findings import print_text
from hanse.cli.render import SHORT, console, plain
from hanse.cli.session import ERROR, OK, complain, estate, joined, leave, print_json
from hanse.service.estate import Estate
from hanse.service.write import Committed, Declined, Request, Result, Writing

F = TypeVar("F", bound=Callable[..., Any])


def options(command: F) -> F:
    """The options of every command that writes commits."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Write what came of it as JSON."),
        click.option(
            "--manifest",
            metavar="FOLDER",
            type=click.Path(file_okay=False),
            help="The manifest's repository. Default: the one of server.yaml.",
        ),
        click.option(
            "--branch",
            default="",
            metavar="NAME",
            help="Write to this branch, for review, instead of straight.",
        ),
    ):
        command = option(command)
    return command


def write(
    ctx: click.Context,
    manifest: str | None,
    branch: str,
    requests: Callable[[Writing, Estate | None], Coroutine[Any, Any, Sequence[Request]]],
    *,
    as_json: bool,
) -> None:
    """Write commits to the repository that the person means, and leave with the exit code of what came of it."""

    async def job(writing: Writing, estate: Estate | None) -> int:
        asked = await requests(writing, estate)
        results = await writing.write(asked, branch)
        if as_json:
            print_json([as_value(one, result) for one, result in zip(asked, results, strict=True)])
        else:
            _report(asked, results, writing.branch, review=branch)
        return OK if all(isinstance(result, Committed) for result in results) else ERROR

    async def opened() -> int:
        main = joined(ctx)
        if manifest:
            return await job(main.writing(manifest), None)
        async with estate(ctx) as found:
            return await job(Writing.of(found), found)

    leave(ctx, lambda: asyncio.run(opened()))


def report_one(request: Request, result: Result) -> None:
    """Say what became of a request, one line or a few."""
    match result:
        case Committed(_, branch, changes) if not changes:
            console().print(Text(f"{plain(branch)} has this already: {plain(request.subject)}"))
        case Committed(commit, branch, changes, warnings, unsound):
            line = Text(f"{commit[:SHORT]} on {plain(branch)}, by {plain(request.author)}: ", style="green")
            console().print(line.append(plain(request.subject), style="bold default"))
            for path in changes:
                console().print(Text(f"  {plain(path)}", style="dim"))
            print_text(list(warnings), err=True)
            if unsound:
                complain(
                    f"{plain(branch)} had errors before this, and is not accepted until they are mended: "
                    f"{plain(unsound[0].place or '')}: {plain(unsound[0].message)}",
                    "`hanse validate` lists all of them",
                )
        case Declined(message, advice, diagnostics):
            if not diagnostics:
                complain(f"{plain(request.subject)}: {plain(message)}", plain(advice))
            for found in diagnostics:
                where = f"{plain(found.place)}: " if found.place else ""
                complain(f"{plain(request.subject)}: {where}{plain(found.message)}", plain(found.advice))
        case _:
            complain(
                f"{plain(request.subject)} is not written: {plain(result.message)}", plain(result.advice)
            )


def _report(asked: Sequence[Request], results: Sequence[Result], branch: str, *, review: str) -> None:
    for one, result in zip(asked, results, strict=True):
        report_one(one, result)
    written = [result for result in results if isinstance(result, Committed) and result.changes]
    if not written:
        return
    if review and review != branch:
        truth = plain(branch) or "the branch that counts"
        console().print(
            Text(
                f"Next: have {plain(review)} reviewed and merged into {truth}; nothing is in force before that."
            )
        )
    else:
        console().print(Text("Next: `hanse apply`, or a `hanse serve` that runs, carries it out."))


def as_value(request: Request, result: Result) -> dict[str, Any]:
    """A result for machines."""
    about = {"subject": plain(request.subject), "author": str(request.author)}
    match result:
        case Committed(commit, branch, changes, warnings, unsound):
            return {
                **about,
                "result": "committed",
                "commit": commit,
                "branch": branch,
                "changes": changes,
                "warnings": warnings,
                "errorsBefore": unsound,
            }
        case Declined(message, advice, diagnostics):
            told = {"message": message, "advice": advice, "diagnostics": diagnostics}
            return {**about, "result": "refused", **told}
        case _:
            return {**about, "result": "failed", "message": result.message, "advice": result.advice}
