"""`hanse apply`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hanse.cli.completion import scopes
from hanse.cli.plan import names_of, show
from hanse.cli.render import SHORT, console, outcome_text, plain
from hanse.cli.session import ERROR, OK, at_terminal, complain, count, print_json, run
from hanse.model import Done, NotYet, Outcome, Refused, Step, Unsure
from hanse.reconcile import Pass
from hanse.service.apply import Applied, begin, carry_out_file, finish, replan
from hanse.service.estate import Estate, Trouble
from hanse.service.plan import Planned, Selection, plan, read_plan_file
from hanse.service.revoke import words, write_revocations
from hanse.service.write import Committed

_FIRST = "Nothing was accepted before. Take {short} as the first state to be trusted?"
_RESTORED = "see whether somebody gets back what was taken away. Go on with {short}?"
FEWEST = 7
"""Digits of a commit that name it; so many git itself shows."""


@click.command()
@click.argument("plan_file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask. For machines.")
@click.option(
    "--first",
    default="",
    metavar="COMMIT",
    help="Accept this commit as the first, of all or after a restore, without being asked.",
)
@click.option(
    "--only", default="", metavar="WORKSPACE[/PROJECT]", shell_complete=scopes, help="Only these owners."
)
@click.option(
    "--changed", is_flag=True, help="Only what differs from what was applied last; no look for drift."
)
@click.option("--json", "as_json", is_flag=True, help="Write what came of it as JSON.")
@click.pass_context
def command(
    ctx: click.Context, plan_file: str | None, yes: bool, first: str, only: str, changed: bool, as_json: bool
) -> None:
    """Plan, ask, and converge the platforms; or carry out PLAN_FILE, made by `hanse plan -o`.

    The commit at the head of the branch is accepted first. Where it has errors, what was accepted last is
    converged all the same, and the exit code is 1. Ctrl-C stops after the steps under way; nothing is lost.
    """

    async def job(estate: Estate) -> int:
        await estate.store.hold()
        if plan_file:
            return await _apply_file(estate, plan_file, yes=yes, first=first, as_json=as_json)
        for one, result in await write_revocations(estate):
            if not isinstance(result, Committed):
                what = f"the revocation of {words(one.event)} is in force, and git does not have it yet"
                complain(plain(f"{what}: {result.message}"), plain(result.advice))
        with console(stderr=True).status("Looking at the platforms …"):
            planned = await plan(estate, Selection(only, changed))
        if not as_json:
            show(planned, briefly=yes and not planned.proposal.restored)
        if planned.proposal.settings is None:
            if as_json:
                print_json(_of_proposal(planned))
            return ERROR
        _confirm(planned, yes=yes, first=first)
        applied = await _with_progress(planned, lambda run: finish(estate, planned, run), quiet=as_json)
        return _report(applied, as_json=as_json)

    run(ctx, job)


async def _apply_file(estate: Estate, path: str, *, yes: bool, first: str, as_json: bool) -> int:
    file = read_plan_file(Path(path).read_bytes())
    with console(stderr=True).status("Looking again at what is to be changed …"):
        planned, refused = await replan(estate, file)
    if not as_json:
        show(planned, briefly=yes)
    for owner, why in refused.items():
        complain(f"{owner} is left alone: {why}", "plan again: `hanse plan -o plan.json`")
    _confirm(planned, yes=yes, first=first)
    applied = await _with_progress(
        planned, lambda run: carry_out_file(estate, planned, run, refused), quiet=as_json
    )
    return _report(applied, as_json=as_json)


def _confirm(planned: Planned, *, yes: bool, first: str) -> None:
    """Have a person, or the flags that stand for one, agree. Raises Trouble where nobody did."""
    proposal = planned.proposal
    if proposal.head is None or proposal.restored:
        short = proposal.commit[:SHORT]
        what, asked = "nothing was accepted before, and the first acceptance needs a person", _FIRST
        if proposal.restored:
            since = f"as it was on {proposal.restored:%Y-%m-%d %H:%M:%S} UTC"
            what = f"the store was restored {since}, and what goes on from there needs a person"
            asked = f"The store was restored {since}. What was approved or revoked since is not in it: {_RESTORED}"
        if first:
            if not proposal.commit.startswith(first):
                raise Trouble(
                    f"--first names {first}, and the head is {short}", f"look at {short} before you accept it"
                )
            if len(first) < FEWEST:
                raise Trouble(f"--first names no more than {first} of the commit", f"write {short}")
        elif not at_terminal():
            raise Trouble(what, f"run it in a terminal, or name the commit: --first {proposal.commit}")
        else:
            click.confirm(asked.format(short=short), abort=True)
    elif first:
        told = f"--first {plain(first)} is left aside: it is for the first commit of all"
        click.secho(f"{told}, and {proposal.head.commit[:SHORT]} is accepted already", fg="yellow", err=True)
    if planned.survey.steps and not yes:
        if not at_terminal():
            raise Trouble("there is nobody to ask", "give --yes where a machine decides")
        click.confirm(f"Carry out {count(planned.survey.steps, 'step')}?", abort=True)


async def _with_progress(
    planned: Planned, carry_out: Callable[[Pass], Coroutine[None, None, Applied]], *, quiet: bool
) -> Applied:
    """Carry out with a bar that counts steps; Ctrl-C lets those under way finish, a second one does not."""
    names = names_of(planned)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    loop = asyncio.get_running_loop()
    with Progress(*columns, console=console(stderr=True), transient=True, disable=quiet) as progress:
        bar = progress.add_task("Converging", total=planned.survey.steps)

        def told(step: Step, outcome: Outcome) -> None:
            progress.advance(bar)
            progress.update(bar, description=f"{step.owner.workspace}/{getattr(step.owner, 'project', '')}")
            text = outcome_text(step, outcome, names)
            if text is not None:
                progress.console.print(text)

        current: Pass = begin(planned, told)

        def stop() -> None:
            progress.console.print(
                "[yellow]Stopping after the steps under way; Ctrl-C again stops at once.[/]"
            )
            current.stop()
            loop.remove_signal_handler(signal.SIGINT)

        loop.add_signal_handler(signal.SIGINT, stop)
        try:
            applied = await carry_out(current)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
    return applied


def _of_proposal(planned: Planned) -> dict[str, object]:
    proposal = planned.proposal
    return {
        "commit": proposal.stands,
        "accepted": proposal.checked is not None,
        "diagnostics": proposal.diagnostics,
        "refused": proposal.acceptance.refused if proposal.acceptance else None,
    }


def _report(applied: Applied, *, as_json: bool) -> int:
    result, after, proposal = applied.converged.result, applied.converged.after, applied.planned.proposal
    left = after.steps
    blocked = after.is_blocked()
    good = not (
        left or blocked or proposal.trips or applied.refused or result.skipped or proposal.checked is None
    )
    if as_json:
        counts = {
            name: result.count(kind)
            for name, kind in (("done", Done), ("refused", Refused), ("waiting", NotYet), ("unsure", Unsure))
        }
        print_json(
            {
                **_of_proposal(applied.planned),
                **counts,
                "skipped": len(result.skipped),
                "left": left,
                "refusedOwners": {str(owner): why for owner, why in applied.refused.items()},
                "gone": [str(owner) for owner in applied.converged.gone],
                "remarks": after.remarks(),
            }
        )
        return OK if good else ERROR
    out = console()
    done = result.count(Done)
    for owner in applied.converged.gone:
        out.print(f"{owner} is gone")
    if good:
        out.print(
            f"[bold green]{count(done, 'step')} done; everything holds.[/]"
            if done
            else "[bold]Nothing was to be done.[/]"
        )
        return OK
    if proposal.checked is None and not (left or blocked or applied.refused or result.skipped):
        out.print(
            f"{count(done, 'step')} done; what was accepted last holds. Commit {proposal.commit[:SHORT]} is not it."
        )
        return ERROR
    parts = [f"{count(done, 'step')} done"]
    parts += [f"{left} still to do"] if left else []
    parts += [f"{len(result.skipped)} not tried"] if result.skipped else []
    out.print(
        f"[bold yellow]{', '.join(parts)}.[/] `hanse status` says what each waits for; `hanse apply` goes on."
    )
    return ERROR
