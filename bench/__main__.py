"""Run benchmarks and say what misses its limit: `python -m bench [name ...] [--quick] [--json]`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time

from bench import (
    backup,
    change,
    converge,
    grants,
    help,
    kubernetes_converge,
    kubernetes_estate,
    kubernetes_serve,
    kubernetes_sweep,
    merge,
    peers,
    plan_make,
    policies,
    scale,
    store,
    store_scale,
    sweep,
    validate,
    year,
)
from bench.report import Row, plain, table
from bench.stands import Stands
from hanse.demo import kubernetes

KEYSTONE = {"converge": converge.run, "sweep": sweep.run, "change": change.run, "peers": peers.run}
KUBERNETES = {
    "k8s_latency": kubernetes_serve.latency,
    "k8s_sweep": kubernetes_sweep.run,
    "k8s_idle": kubernetes_serve.idle,
    "k8s_converge": kubernetes_converge.run,
}
ALONE = {
    "help": help.run,
    "validate": validate.run,
    "grants": grants.run,
    "plan_make": plan_make.run,
    "policies": policies.run,
}
TELLING = {
    "backup": backup.run,
    "merge": merge.run,
    "scale": scale.run,
    "store_scale": store_scale.run,
    "year": year.run,
}
NAMES = (*ALONE, "store", *TELLING, *KEYSTONE, *KUBERNETES)
LONG = ("k8s_idle", "year")
"""Only where it is asked for: they take a quarter of an hour."""


async def measure(names: tuple[str, ...], *, quick: bool) -> list[Row]:
    """All rows of these benchmarks."""
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", file=sys.stderr)

    rows: list[Row] = []
    for name, alone in ALONE.items():
        if name in names:
            tell(f"{name} alone")
            rows += await asyncio.to_thread(alone, quick=quick)
    if "store" in names:
        tell("the store in its two homes")
        rows += await store.run(quick=quick)
    for name, itself in TELLING.items():
        if name in names:
            tell(name)
            rows += await itself(tell, quick=quick)
    if not KEYSTONE.keys().isdisjoint(names):
        with Stands(tell) as stands:
            for name, run in KEYSTONE.items():
                if name in names:
                    rows += await run(stands, quick=quick)
    if not KUBERNETES.keys().isdisjoint(names):
        with kubernetes_estate.Stands(tell) as clusters:
            for name, measured in KUBERNETES.items():
                if name in names:
                    rows += await measured(clusters, quick=quick)
    return rows


def main() -> int:
    """Print the table; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"of {', '.join(NAMES)}; by default all but {', '.join(LONG)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small estates: shows that it works, and no more"
    )
    parser.add_argument("--json", action="store_true", help="rows as JSON")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    names = tuple(options.names or (name for name in NAMES if name not in LONG))
    if not KUBERNETES.keys().isdisjoint(names) and kubernetes.find() is None:
        parser.error(
            "there is no kube-apiserver: `make counterparts` builds it; or name benchmarks without k8s_"
        )
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # else each start of a command would compile its imports anew
    gc.set_threshold(100_000)  # as the command `hanse` does; the yardsticks in this process gain by it too
    rows = asyncio.run(measure(names, quick=options.quick))
    print(json.dumps([plain(row) for row in rows], indent=2) if options.json else table(rows))
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
