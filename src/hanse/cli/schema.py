"""`hanse schema`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from hanse.cli.session import OK, joined, leave
from hanse.desired.schema import schema
from hanse.service.estate import Trouble


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@click.pass_context
def command(ctx: click.Context, out: Path | None) -> None:
    """Write the JSON Schema of a manifest's documents: all kinds in one, for editors and other tools.

    With it an editor completes kinds and fields, says what each means, and tells mistakes while you write;
    docs/editors.md shows how. It says nothing of what only the whole manifest can tell: that is for `hanse validate`.
    """
    main = joined(ctx)

    def job() -> int:
        made = msgspec.json.encode(schema(main.language().vocabulary.kinds))
        text = msgspec.json.format(made, indent=2) + b"\n"
        if out is None:
            click.echo(text, nl=False)
            return OK
        try:
            out.write_bytes(text)
        except OSError as error:
            raise Trouble(f"cannot write {out}: {error.strerror}", "name another file") from error
        return OK

    leave(ctx, job)
