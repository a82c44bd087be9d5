"""What a shell completes of the manifest: names of projects, people, groups, roles and platforms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

import click
from click.shell_completion import CompletionItem

from hanse.cli.session import joined
from hanse.desired.kinds import BUILT_IN_PROJECT_ROLES

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names(*kinds: str) -> Complete:
    """Completes names of these kinds, as the branch's head declares them."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(OSError, *joined(ctx).troubles):  # who is typing is not to read of it here
            known = asyncio.run(_known(ctx, kinds))
            return [CompletionItem(name) for name in sorted(known) if name.startswith(incomplete)]
        return []

    return complete


async def _known(ctx: click.Context, kinds: Iterable[str]) -> set[str]:
    from hanse.service.validate import load_commit  # noqa: PLC0415 (only who completes pays for it)

    main = joined(ctx)
    if folder := ctx.params.get("manifest"):
        source = main.source(folder)
        loaded = await load_commit(source, main.language(), source.head(""), datetime.now(UTC))
    else:
        async with main.estate(ctx.find_root().params.get("config")) as estate:
            at = estate.source.head(estate.config.repository.branch if estate.config.repository else "")
            loaded = await load_commit(estate.source, estate.language, at, estate.now(), estate.store)
    built_in = set(BUILT_IN_PROJECT_ROLES) if "Role" in kinds else set()
    return built_in.union(*(loaded.manifest.known(kind) for kind in kinds))


scopes = names("Workspace", "Project")
"""Completes `workspace` and `workspace/project`."""
