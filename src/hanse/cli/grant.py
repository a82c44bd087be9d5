"""`hanse grant`."""

from __future__ import annotations

import click

from hanse.cli.completion import names
from hanse.cli.scope import scope_named, scoped
from hanse.cli.session import said
from hanse.cli.written import options, write
from hanse.desired.intent import SubjectKind
from hanse.service.estate import Estate, Trouble
from hanse.service.grant import grant_request, parse_span
from hanse.service.write import Request, Writing


@click.command()
@scoped
@click.option(
    "--user",
    "users",
    multiple=True,
    shell_complete=names("User"),
    help="To this principal, by its id. Can be repeated.",
)
@click.option(
    "--group", "groups", multiple=True, shell_complete=names("Group"), help="To this group. Can be repeated."
)
@click.option("--role", required=True, shell_complete=names("Role"), help="The role.")
@click.option("--for", "span", default="", metavar="TIME", help="For 30m, 4h, 7d or 2w.")
@click.option(
    "--until", default="", metavar="INSTANT", help="Until an instant with offset, or a date: its end."
)
@click.option(
    "--from", "start", default="", metavar="INSTANT", help="Not before an instant with offset, or a date."
)
@click.option("--reason", required=True, callback=said, help="Why; it is kept in git beside the grant.")
@options
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 (each is an option)
    ctx: click.Context,
    scope: str | None,
    organization: bool,
    users: tuple[str, ...],
    groups: tuple[str, ...],
    role: str,
    span: str,
    until: str,
    start: str,
    reason: str,
    branch: str,
    manifest: str | None,
    as_json: bool,
) -> None:
    """Grant a role on a project, a workspace or the organisation to people or groups: a commit for each of them.

    Each grant is a file of its own below grants/, and no other file is touched. The manifest is checked with it before
    anybody else sees it. Without --for and --until it lasts until somebody takes it out.
    """

    async def requests(writing: Writing, estate: Estate | None) -> list[Request]:
        named = scope_named(scope, organization=organization)
        if not users and not groups:
            raise Trouble("to whom?", "give --user or --group, as often as you like")
        if span and until:
            raise Trouble("--for and --until are two ways to say one thing", "give one of them")
        lasts = parse_span(span) if span else None
        revoked = await estate.store.revocations() if estate else []
        subjects: list[tuple[SubjectKind, str]] = [
            *(("user", name) for name in dict.fromkeys(users)),
            *(("group", name) for name in dict.fromkeys(groups)),
        ]
        return [
            grant_request(
                writing,
                named,
                kind,
                name,
                role,
                start=start,
                until=until,
                span=lasts,
                reason=reason,
                revoked=revoked,
            )
            for kind, name in subjects
        ]

    write(ctx, manifest, branch, requests, as_json=as_json)
