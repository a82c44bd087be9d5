"""Programs from npm that tests run: what a folder of counterparts locks, installed once, in the user's cache folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from hanse.demo import kubernetes

COUNTERPARTS = Path(__file__).parents[1] / "counterparts"
MOST_SECONDS = 240
"""Of one installation."""


def is_asked_for() -> bool:
    """Whether tests may expect it: where there is npm, and where everything has to be there."""
    return shutil.which("npm") is not None or os.environ.get("CI") == "true"


def installed(name: str) -> Path:
    """The node_modules of that counterpart, installed on the first call.

    Several processes may call at once: one installs, the others wait. No script of a package is run.
    """
    files = [COUNTERPARTS / name / "package.json", COUNTERPARTS / name / "package-lock.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    folder = kubernetes.cache() / f"{name}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for path in files:
                shutil.copy(path, folder)
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(["npm", "ci", *options], cwd=folder, check=True, timeout=MOST_SECONDS)
            (folder / "complete").touch()
    return folder / "node_modules"
