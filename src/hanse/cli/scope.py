"""What `grant` and `revoke` are about: a project, a workspace or the organisation, in the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hanse.cli.completion import scopes
from hanse.service.estate import Trouble

F = TypeVar("F", bound=Callable[..., Any])


def scoped(command: F) -> F:
    """Give a command the argument `scope` and the option `organization`."""
    whole = click.option(
        "--organization", is_flag=True, help="On the whole organisation, and no project of it."
    )
    return click.argument("scope", metavar="[WORKSPACE[/PROJECT]]", required=False, shell_complete=scopes)(
        whole(command)
    )


def scope_named(scope: str | None, *, organization: bool) -> str:
    """The scope as services take it. Raises Trouble: nobody gets the whole organisation by leaving a word out."""
    if organization and scope is not None:
        raise Trouble(f"'{scope}' and --organization are two scopes", "give one of them")
    if not organization and not scope:
        raise Trouble("on what?", "name it as WORKSPACE/PROJECT or WORKSPACE, or give --organization")
    return scope or ""
