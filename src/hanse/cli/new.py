"""`hanse new`."""

from __future__ import annotations

from collections.abc import Iterable

import click

from hanse.cli.written import options, write
from hanse.service.estate import Estate, Trouble
from hanse.service.new import project_request, workspace_request
from hanse.service.write import Request, Writing


@click.group()
def command() -> None:
    """Make a workspace or a project: a commit with a file of its own, which is yours to edit from then on."""


@command.command()
@click.argument("name")
@click.option("--display-name", default="", help="What people read.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag. Can be repeated.")
@click.option("--reason", default="", help="Why; it is kept in the commit.")
@options
@click.pass_context
def workspace(  # noqa: PLR0913, PLR0917 (each is an option)
    ctx: click.Context,
    name: str,
    display_name: str,
    tags: tuple[str, ...],
    reason: str,
    branch: str,
    manifest: str | None,
    as_json: bool,
) -> None:
    """Make the workspace NAME, as workspaces/NAME/workspace.yaml."""

    async def requests(writing: Writing, _: Estate | None) -> list[Request]:
        found = workspace_request(writing, name, display_name=display_name, tags=_tags(tags), reason=reason)
        return [found]

    write(ctx, manifest, branch, requests, as_json=as_json)


@command.command()
@click.argument("name", metavar="WORKSPACE/NAME")
@click.option("--display-name", default="", help="What people read.")
@click.option("--description", default="", help="One line more.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag. Can be repeated.")
@click.option("--payment-method", default="", metavar="NAME", help="Who pays.")
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="PLATFORM/LANDING_ZONE",
    help="Its place on a platform. Can be repeated.",
)
@click.option(
    "--admin",
    "admins",
    multiple=True,
    metavar="user:ID|group:NAME",
    help="Who administers it. Can be repeated.",
)
@click.option("--reason", default="", help="Why; it is kept in the commit.")
@options
@click.pass_context
def project(  # noqa: PLR0913, PLR0917 (each is an option)
    ctx: click.Context,
    name: str,
    display_name: str,
    description: str,
    tags: tuple[str, ...],
    payment_method: str,
    tenants: tuple[str, ...],
    admins: tuple[str, ...],
    reason: str,
    branch: str,
    manifest: str | None,
    as_json: bool,
) -> None:
    """Make a project of a workspace, as workspaces/WORKSPACE/projects/NAME.yaml."""

    async def requests(writing: Writing, _: Estate | None) -> list[Request]:
        found = project_request(
            writing,
            name,
            display_name=display_name,
            description=description,
            tags=_tags(tags),
            payment_method=payment_method,
            tenants=tenants,
            admins=admins,
            reason=reason,
        )
        return [found]

    write(ctx, manifest, branch, requests, as_json=as_json)


def _tags(rows: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        name, equals, value = row.partition("=")
        if not equals or not name:
            raise Trouble(f"'{row}' is no tag", "write it as NAME=VALUE")
        found[name] = value
    return found
