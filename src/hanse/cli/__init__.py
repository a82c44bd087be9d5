"""The command line: one file per command, loaded only when it is used."""

from __future__ import annotations

import importlib
import os

import click

from hanse.foundation.diagnostics import suggest

COMMANDS = {
    "init": "Make a manifest repository that works.",
    "validate": "Check a manifest: all errors at once, with file, line and column.",
    "fmt": "Lay out the files of a manifest anew; nothing else is changed.",
    "explain": "Say what can be written: kinds, their fields, server.yaml.",
    "schema": "Write the JSON Schema by which editors know the manifest.",
    "graph": "Draw the organisation: workspaces, projects, places, people.",
    "bootstrap": "Print what a platform's administrator needs: accounts, rights.",
    "doctor": "Look whether a platform can be used, and by which rights.",
    "plan": "Show exactly what would be changed, and why.",
    "apply": "Converge the platforms to the manifest.",
    "serve": "Keep in force what is accepted, as long as it runs.",
    "worker": "Do the same beside others, on any number of machines.",
    "approve": "Say yes to what waits: deletions, held removals.",
    "grant": "Grant a role, as a commit; for a time, if you like.",
    "revoke": "Take a grant away now, ahead of any commit.",
    "new": "Make a workspace or a project, as a commit.",
    "status": "Show what is wanted, accepted and applied, and what waits.",
    "journal": "Read what was decided and what happened; verify the chain.",
    "backup": "Write the store into a file, while everything runs.",
    "restore": "Put a backup back.",
    "rebuild": "Make anew what the store can make from its journal.",
    "database": "Copy the store to another home, such as from a file to PostgreSQL.",
    "demo": "See it all on a real Keystone, on this machine.",
}
modules = {name: f"hanse.cli.{name}" for name in COMMANDS}
"""Where each command is. main puts in those that are not of this face."""


click.UsageError.exit_code = 1  # 2 is what `hanse plan` says of changes, and no answer to a misspelt option


class Commands(click.Group):
    """Commands by name, imported only when called: `hanse --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a newcomer's way."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            guess = None if ctx.resilient_parsing else suggest(cmd_name, COMMANDS)
            if guess:
                ctx.fail(f"there is no command '{cmd_name}'; did you mean '{guess}'?")
            return None
        command: click.Command = importlib.import_module(modules[cmd_name]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    envvar="HANSE_CONFIG",
    metavar="FILE",
    help="server.yaml: the repository, credentials, approvers. Default: hanse/server.yaml in the configuration folder.",
)
@click.option(
    "--database",
    envvar="HANSE_DATABASE",
    metavar="ADDRESS",
    default="",
    help="Where the store is, instead of where server.yaml says: postgresql://ACCOUNT@HOST/NAME, or a file.",
)
@click.version_option(package_name="hanse")
@click.pass_context
def cli(ctx: click.Context, config: str | None, database: str) -> None:
    """Organization as Code for many clouds.

    Declare in git which workspaces and projects exist, on which clouds each has a tenant and who may use it in
    which role, until when and why. Hanse converges the clouds to that declaration.

    Exit codes: 0 all is as declared, 1 an error or something that needs a person, 2 `plan` found changes.
    """
    ctx.ensure_object(dict).update(config=config, database=database)
    if os.environ.get("NO_COLOR"):
        ctx.color = False


__all__ = ["cli"]
