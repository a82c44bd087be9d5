"""`hanse init`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from hanse.cli.session import OK, joined, leave
from hanse.service.estate import Trouble
from hanse.service.init import manifest, server_yaml

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--name", default="example", show_default=True, help="The organisation's id; it never changes.")
@click.pass_context
def command(ctx: click.Context, folder: str, name: str) -> None:
    """Make a manifest repository in FOLDER that works, and a server.yaml where there is none yet.

    FOLDER must be new or empty. Nothing is overwritten.
    """
    main = joined(ctx)

    def job() -> int:
        path = Path(folder).absolute()
        if path.exists() and any(path.iterdir()):
            raise Trouble(f"{path} is not empty", "name a new folder")
        if not NAME.fullmatch(name):
            raise Trouble(f"{name!r} cannot be an organisation's id", "use 1 to 63 of a-z, 0-9 and '-'")
        files = manifest(name)
        main.new_repository(path, files, "A first manifest")
        for file in sorted(files):
            click.echo(f"  {path / file}")
        server = main.config_folder() / "server.yaml"
        if server.exists():
            click.echo(f"{server} is there already; it is left as it is. --config FILE names another one.")
        else:
            server.parent.mkdir(parents=True, exist_ok=True)
            server.write_bytes(server_yaml(str(path), main.operator()))
            click.echo(f"  {server}")
        click.echo(
            f"\nNext: cd {folder} && hanse validate\nThen declare a platform: `hanse explain Platform` says how."
            "\nWith `hanse schema` your editor knows every kind and field, too."
        )
        return OK

    leave(ctx, job)
