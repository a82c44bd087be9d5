"""`hanse explain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hanse.cli.render import console
from hanse.cli.session import OK, Joined, joined, leave, print_json
from hanse.config import ServerConfig
from hanse.desired.reference import Field, Shape, Unknown, find, shape
from hanse.service.estate import Trouble

SERVER = "server"
"""What server.yaml is called here."""
WIDEST = 100
"""Columns, where the terminal has more: longer lines are hard to read."""


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    before, dot, _ = incomplete.rpartition(".")
    roots = _roots(joined(ctx))
    try:
        told = (
            {name: shape(kind).doc for name, kind in roots.items()}
            if not dot
            else {f"{before}.{field.name}": field.doc for field in _fields(*find(roots, before))}
        )
    except Unknown:
        return []
    return [
        CompletionItem(name, help=doc)
        for name, doc in told.items()
        if name.lower().startswith(incomplete.lower())
    ]


@click.command()
@click.argument("what", default="", metavar="[KIND[.FIELD]...]", shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@click.pass_context
def command(ctx: click.Context, what: str, as_json: bool) -> None:
    """Say what can be written in a manifest, and in server.yaml.

    Without an argument: all kinds. Of a kind, or of a field that holds others: its fields, such as `Project` and
    `Platform.openstack.names`. Of a field: all that is to be said, such as `Project.access.until`.
    """
    main = joined(ctx)

    def job() -> int:
        roots = _roots(main)
        if not what:
            told = {name: shape(kind).doc for name, kind in roots.items()}
            if as_json:
                print_json(told)
            else:
                _print(_kinds(told))
            return OK
        try:
            found, field = find(roots, what)
        except Unknown as unknown:
            raise Trouble(str(unknown), unknown.advice) from unknown
        if as_json:
            print_json(_plain_field(field) if field else _plain_shape(found))
        else:
            _print(_told(what, found, field))
        return OK

    leave(ctx, job)


def _roots(main: Joined) -> Mapping[str, type[Struct]]:
    return {**main.language().vocabulary.kinds, SERVER: ServerConfig}


def _fields(found: Shape, field: Field | None) -> tuple[Field, ...]:
    if field is None:
        return found.fields
    return field.shape.fields if field.shape else ()


# --- for a person


def _print(told: RenderableType) -> None:
    terminal = console()
    if terminal.is_terminal:
        terminal.width = min(terminal.width, WIDEST)
    with terminal.capture() as captured:
        terminal.print(told, highlight=False)
    for line in captured.get().splitlines():  # tables fill their lines with spaces
        click.echo(line.rstrip())


def _kinds(told: Mapping[str, str]) -> RenderableType:
    table = _grid()
    for name, doc in told.items():
        table.add_row(Text(name, "bold cyan"), _words(doc))
    return Group(
        table, Text("\nhanse explain KIND shows its fields, hanse explain KIND.FIELD one of them.", "dim")
    )


def _told(what: str, found: Shape, field: Field | None) -> RenderableType:
    parts: list[RenderableType] = [_head(what, found, field)]
    if field is None:
        parts.append(Padding(_words(found.doc), (0, 0, 0, 2)))
    else:
        parts.append(Padding(Group(*_about(field)), (0, 0, 0, 2)))
    fields = _fields(found, field)
    if fields:
        parts += [Text("\nfields", "bold"), Padding(_table(fields), (0, 0, 0, 2))]
        parts.append(Text(f"\nhanse explain {what}.FIELD says more.", "dim"))
    return Group(*parts)


def _head(what: str, found: Shape, field: Field | None) -> Text:
    line = Text(what, "bold cyan")
    if field is not None:
        line.append(f"   {field.type.replace('`', '')}", "green not bold")
        line.append("   required" if field.required else "", "yellow not bold")
    return line


def _about(field: Field) -> Iterator[RenderableType]:
    yield _words(field.doc)
    if field.shape is not None and field.type.startswith("list"):
        yield _words(field.shape.doc)
    rows = _grid()
    if _default(field):
        rows.add_row(Text("default", "dim"), Text(_default(field)))
    if field.allowed:
        rows.add_row(Text("allowed", "dim"), Text(", ".join(field.allowed)))
    for limit in field.limits:
        rows.add_row(Text("form", "dim"), Text(limit))
    for example in field.examples:
        rows.add_row(Text("example", "dim"), Text(f"{field.name}: {example}"))
    if rows.row_count:
        yield Text("")
        yield rows


def _table(fields: tuple[Field, ...]) -> Table:
    table = _grid()
    for field in fields:
        line = Text(field.type.replace("`", ""), "green")
        line.append("   required" if field.required else "", "yellow")
        said = _default(field)
        line.append(f"   {said}" if said else "", "dim")
        table.add_row(Text(field.name, "bold"), Group(line, _words(field.doc)))
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    return table


def _default(field: Field) -> str:
    value: Any = field.default
    if field.required or value in (None, "", (), [], {}) or field.shape is not None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(markdown: str) -> Text:
    """A sentence with its names in colour."""
    line = Text()
    for number, part in enumerate(markdown.split("`")):
        line.append(part, "cyan" if number % 2 else "")
    return line


# --- for a machine


def _plain_shape(found: Shape) -> dict[str, Any]:
    return {"doc": found.doc, "fields": [_plain_field(field) for field in found.fields]}


def _plain_field(field: Field) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": field.name,
        "type": field.type.replace("`", ""),
        "doc": field.doc,
        "required": field.required,
        "default": field.default,
        "allowed": field.allowed,
        "limits": field.limits,
        "examples": field.examples,
    }
    return told | {"fields": [_plain_field(inner) for inner in field.shape.fields]} if field.shape else told
