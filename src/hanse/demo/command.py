"""`hanse demo`."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import click
from rich.console import Console

from hanse.demo import keystone, kubernetes, story


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running, with commands to play with.")
@click.option("--stop", is_flag=True, help="End what --keep left running.")
@click.pass_context
def command(ctx: click.Context, keep: bool, stop: bool) -> None:
    """See it all on a real Keystone and a Kubernetes: plan, apply, hand-made changes, rollback, and the loop.

    Everything lies in the user's cache folder, and listens on this machine only.
    """
    console = Console(highlight=False, soft_wrap=True)
    folder = _folder()
    if stop:
        console.print("Ended." if story.stop(folder) else "Nothing was running.")
        return
    if importlib.util.find_spec("openstack") is None:
        raise click.ClickException("the demo needs the OpenStack client: pip install 'hanse[openstack]'")
    try:
        story.run(folder, console, keep=keep)
    except (story.DemoFailed, keystone.KeystoneError, kubernetes.KubernetesError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        console.print("\nStopped; the clouds are ended.")
        ctx.exit(130)


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "hanse" / "demo"
