"""`hanse doctor`."""

from __future__ import annotations

from itertools import zip_longest

import click
from rich.text import Text

from hanse.cli.completion import names
from hanse.cli.render import console, plain
from hanse.cli.session import ERROR, OK, count, print_json, run
from hanse.cli.terminal import fold
from hanse.ports.platform import Check
from hanse.service.doctor import doctor
from hanse.service.estate import Estate

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


@click.command()
@click.argument("platform", shell_complete=names("Platform"))
@click.option("--json", "as_json", is_flag=True, help="Write all checks as JSON.")
@click.pass_context
def command(ctx: click.Context, platform: str, as_json: bool) -> None:
    """Look whether a PLATFORM can be used: reached and trusted, by which account, with just the rights it needs.

    Changes nothing. Exit code 1 if something keeps it from working.
    """

    async def job(estate: Estate) -> int:
        checks = await doctor(estate, platform)
        if as_json:
            print_json(checks)
        else:
            _show(checks)
        return ERROR if any(check.state == "error" for check in checks) else OK

    run(ctx, job)


def _show(checks: list[Check]) -> None:
    out = console()
    for check, following in zip_longest(checks, checks[1:]):
        mark, colour = MARKS[check.state]
        sign = Text(f"{mark} ", style=f"bold {colour}")
        what = f"{check.what}: "
        line = sign.append(what, style="bold default")
        said = fold(plain(check.message), out.width, len(mark) + 1 + len(what), 2)
        line.append(said, style="not bold default")
        if check.advice and (
            following is None or following.advice != check.advice
        ):  # once for several in a row
            line.append(f"\n  {fold(plain(check.advice), out.width, 2, 2)}", style="not bold default dim")
        out.print(line, soft_wrap=True)
    errors = sum(check.state == "error" for check in checks)
    warnings = sum(check.state == "warning" for check in checks)
    well = "[bold green]It can be used[/]" if not errors else "[bold red]It cannot be used as it is[/]"
    out.print(f"{well}: {count(errors, 'error')}, {count(warnings, 'warning')}")
