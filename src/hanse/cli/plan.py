"""`hanse plan`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
import msgspec

from hanse.accept import Trip
from hanse.cli.completion import scopes
from hanse.cli.findings import print_text
from hanse.cli.render import SHORT, Names, console, plan_tree, quoted, remark_text, totals
from hanse.cli.session import CHANGES, ERROR, OK, complain, count, print_json, run
from hanse.foundation.diagnostics import has_errors
from hanse.model import Owner
from hanse.service.estate import Estate
from hanse.service.plan import Planned, Selection, plan
from hanse.service.propose import Proposal


@click.command()
@click.option(
    "--only", default="", metavar="WORKSPACE[/PROJECT]", shell_complete=scopes, help="Only these owners."
)
@click.option(
    "--changed", is_flag=True, help="Only what differs from what was applied last; no look for drift."
)
@click.option("--json", "as_json", is_flag=True, help="Write the plan as JSON.")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False), help="Write a plan file, for `hanse apply FILE`."
)
@click.pass_context
def command(ctx: click.Context, only: str, changed: bool, as_json: bool, out: str | None) -> None:
    """Show exactly what would be changed, why and by whose decision. Changes nothing.

    Exit code 0: nothing to do. 2: there are changes. 1: an error, or something declared that no step can reach.
    """

    async def job(estate: Estate) -> int:
        with console(stderr=True).status("Looking at the platforms …"):
            planned = await plan(estate, Selection(only, changed))
        if out:
            Path(out).write_bytes(
                msgspec.json.format(msgspec.json.encode(planned.to_file()), indent=1) + b"\n"
            )
        if as_json:
            print_json(as_plain(planned))
        else:
            show(planned)
            if out:
                click.echo(f"Written to {out}; `hanse apply {out}` carries out exactly this.")
        return exit_code(planned)

    run(ctx, job)


def exit_code(planned: Planned) -> int:
    """What the shell is told of a plan."""
    proposal = planned.proposal
    if proposal.checked is None or planned.survey.is_blocked() or proposal.trips:
        return ERROR
    if planned.survey.steps or _accepts_anew(proposal):
        return CHANGES
    return OK


def show(planned: Planned, *, briefly: bool = False) -> None:
    """Print a plan as a tree, what is wrong first; briefly, without its steps."""
    proposal, survey = planned.proposal, planned.survey
    show_proposal(proposal)
    plans = list(survey.plans.values())
    names = names_of(planned)
    out = console()
    tree = plan_tree(plans, names, planned.provenance, lambda owner: display(proposal, owner))
    if tree.children and not briefly:
        out.print(tree)
    for platform, error in survey.unavailable.items():
        complain(f"{platform} could not be read: {error}", error.advice)
    if briefly:
        for part in plans:
            for remark in part.remarks:
                out.print(f"[dim]{quoted(part.owner)}[/]", remark_text(remark))
    for platform, kind, why in survey.unread():
        out.print(f"[bold red]![/] {quoted(platform)}: {quoted(kind)} could not be read: {quoted(why)}")
    for stray in survey.strays:
        what = f"{quoted(stray.platform)} holds marked things of {quoted(stray)}"
        out.print(f"[yellow]![/] {what}, which is not accepted; left alone")
    for above in survey.inherited:
        who = f"{count(above.principals, 'account')} hold the role {quoted(above.role)}"
        where = f"on {count(above.owners, 'owner')} by {quoted(above.grant)}"
        out.print(f"[blue]·[/] {quoted(above.platform)}: {who} {where}, which is not Hanse's; left alone")
    if proposal.settings is None:
        return
    summary = totals(plans, "as declared" if proposal.checked else "as it was accepted last")
    if not survey.steps and _accepts_anew(proposal):
        changed = len(proposal.acceptance.changed) if proposal.acceptance else 0
        summary = f"Nothing to do on the platforms; {count(changed, 'owner')} would be accepted anew"
    partly = survey.unavailable or survey.unread()
    if partly:
        summary = f"Not all could be read; as far as seen: {summary if survey.steps else 'nothing to do'}"
    out.print(f"[bold]{summary}[/bold]")


def _accepts_anew(proposal: Proposal) -> bool:
    return bool(proposal.is_new and proposal.acceptance and proposal.acceptance.changed)


def _trips(proposal: Proposal) -> tuple[Trip, ...]:
    return proposal.acceptance.trips if proposal.acceptance else ()


def show_proposal(proposal: Proposal) -> None:
    """Say which commit this is about, and what is wrong with it."""
    out = console()
    head = proposal.head.commit[:SHORT] if proposal.head else ""
    if proposal.checked is None:
        print_text(proposal.diagnostics, err=True)
        why = "has errors" if has_errors(proposal.diagnostics) else "cannot be accepted"
        if proposal.acceptance and proposal.acceptance.refused:
            why = f"cannot be accepted: {proposal.acceptance.refused}"
        then = f"what was accepted last stands: {head}" if head else "nothing was accepted before"
        advice = [f"`hanse approve {trip.subject[:12]}` lets it be accepted" for trip in _trips(proposal)]
        complain(f"commit {proposal.commit[:SHORT]} {why}; {then}", *advice[:1])
        return
    print_text(proposal.diagnostics, err=True)
    since = (
        "the first to be accepted"
        if not head
        else f"after {head}"
        if head != proposal.commit[:SHORT]
        else "accepted"
    )
    out.print(f"Commit [bold]{proposal.commit[:SHORT]}[/] ({since})")
    if proposal.restored:
        out.print(
            f"[bold yellow]![/] the store was restored as it was on {proposal.restored:%Y-%m-%d %H:%M:%S} UTC;"
            " what was approved or revoked since is not in it"
        )
    for trip in _trips(proposal):
        out.print(
            f"[bold red]![/] {quoted(trip.scope)}: {len(trip.removals)} removals are held back ({trip.guard}); "
            f"`hanse approve {trip.subject[:12]}` lets them happen"
        )


def names_of(planned: Planned) -> Names:
    """What to call the things of a plan."""
    seen = {
        resource.key: name
        for observation in planned.survey.observations.values()
        for many in observation.resources.values()
        for resource in many
        if isinstance(name := resource.attributes.get("name"), str)
    }
    kinds = (spec for platform in planned.world.platforms.values() for spec in platform.describe().kinds)
    subjects = {spec.name: spec.subject for spec in kinds if spec.subject}
    return Names(planned.survey.plans.values(), seen, subjects)


def display(proposal: Proposal, owner: Owner) -> tuple[str, str]:
    """Workspace and project of an owner, by their present names."""
    row = proposal.rows.get(owner)
    if row is None:
        return owner.workspace, getattr(owner, "project", "")
    intent = row.accepted.intent
    leaving = " (leaving)" if intent.left_at else ""
    return intent.workspace, (intent.project or "(the workspace itself)") + leaving


def as_plain(planned: Planned) -> object:
    """A plan for machines."""
    proposal, survey = planned.proposal, planned.survey
    return {
        "commit": proposal.commit,
        "accepted": proposal.head.commit if proposal.head else "",
        "diagnostics": proposal.diagnostics,
        "refused": proposal.acceptance.refused if proposal.acceptance else None,
        "restored": proposal.restored,
        "held": [
            {
                "guard": trip.guard,
                "scope": trip.scope,
                "subject": trip.subject,
                "removals": list(map(str, trip.removals)),
            }
            for trip in _trips(proposal)
        ],
        "owners": [
            {"owner": str(owner), "digest": part.digest, "steps": part.steps, "remarks": part.remarks}
            for owner, part in sorted(survey.plans.items(), key=lambda item: str(item[0]))
            if part.steps or part.remarks
        ],
        "unavailable": {name: str(error) for name, error in survey.unavailable.items()},
        "inherited": [asdict(above) for above in survey.inherited],
        "strays": [str(owner) for owner in survey.strays],
        "provenance": planned.provenance,
        "steps": survey.steps,
    }
