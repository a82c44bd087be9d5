"""`hanse revoke`."""

from __future__ import annotations

import click

from hanse.cli.completion import names
from hanse.cli.findings import print_text
from hanse.cli.render import SHORT, console, plain, quoted
from hanse.cli.scope import scope_named, scoped
from hanse.cli.session import OK, complain, run, said
from hanse.desired.intent import SubjectKind
from hanse.service.estate import Estate, Trouble
from hanse.service.revoke import revoke, write_revocations
from hanse.service.write import Committed, Declined


@click.command()
@scoped
@click.option("--user", shell_complete=names("User"), help="The principal whose grant it is.")
@click.option("--group", shell_complete=names("Group"), help="The group whose grant it is.")
@click.option("--role", default="", shell_complete=names("Role"), help="Only this role. Default: every role.")
@click.option("--reason", required=True, callback=said, help="Why; it is kept in the journal, and in git.")
@click.pass_context
def command(
    ctx: click.Context,
    scope: str | None,
    organization: bool,
    user: str | None,
    group: str | None,
    role: str,
    reason: str,
) -> None:
    """Take a grant on a project, a workspace or the organisation away ahead of any commit.

    The next `hanse apply` carries it out.

    It is in force from its entry in the journal on, and becomes a commit as soon as the repository takes it: a
    grant's own file goes; for a grant in a file that a person wrote, a Revocation is added.
    """

    async def job(estate: Estate) -> int:
        named = scope_named(scope, organization=organization)
        if (user is None) == (group is None):
            raise Trouble("whose grant?", "give either --user or --group")
        kind: SubjectKind = "user" if user else "group"
        subject = user or group or ""
        revocation = await revoke(estate, named, kind, subject, role, reason)
        console().print(
            f"[green]Revoked:[/] {quoted(role) or 'every role'} of {kind} {quoted(subject)} "
            f"on {quoted(named) or 'the organisation'}. "
            "The next `hanse apply`, or a `hanse serve` that runs, takes the access away."
        )
        for one, result in await write_revocations(estate):
            if one.digest != revocation.digest:
                continue
            match result:
                case Committed(commit, branch, changes) if changes:
                    console().print(
                        f"In git: {commit[:SHORT]} on {quoted(branch)}: {quoted(', '.join(changes))}"
                    )
                case Committed(_, branch):
                    console().print(f"{quoted(branch)} does not have the grant any more.")
                case Declined(message, advice, diagnostics):
                    complain(
                        f"the revocation stands, and git does not have it yet: {plain(message)}",
                        plain(advice) or _AGAIN,
                    )
                    print_text(list(diagnostics), err=True)
                case _:
                    complain(
                        f"the revocation stands, and git does not have it yet: {plain(result.message)}",
                        _AGAIN,
                    )
        return OK

    run(ctx, job)


_AGAIN = "`hanse serve` and `hanse apply` try again; `hanse status` says how it stands"
