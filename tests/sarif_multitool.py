"""The validator of SARIF's own makers, with the rules of GitHub's code scanning beside those of the standard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import npm

MOST_SECONDS = 240
NOTHING_WRONG = ["SARIF2005"]
"""What it tells of every log that it could read: the rule that a tool has a page in the web, which Hanse has not. Of a
log that it could not read it may tell nothing, so that no answer is no yes."""


def judged(folder: Path, logs: Mapping[str, Any]) -> dict[str, list[str]]:
    """The rules that each log breaks. It is one process for all of them, since it takes two seconds to start."""
    system = {"darwin": "darwin", "linux": "linux"}[sys.platform]
    program = npm.installed("sarif-multitool") / f"@microsoft/sarif-multitool-{system}/Sarif.Multitool"
    program.chmod(0o755)  # npm leaves that to a script of the package
    files = {name: folder / f"{number}.sarif" for number, name in enumerate(logs)}
    for name, path in files.items():
        path.write_text(json.dumps(logs[name]))
    answer = folder / "answer.json"
    command = [str(program), "validate", *map(str, files.values()), "--rule-kind", "Sarif;Ghas"]
    done = subprocess.run(
        [*command, "--output", str(answer)],
        env=os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},  # it may have no libicu
        capture_output=True,
        text=True,
        check=False,
        timeout=MOST_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    broken: dict[str, list[str]] = {path.as_uri(): [] for path in files.values()}
    (run,) = json.loads(answer.read_text())["runs"]
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]
        broken[place["uri"]].append(result["ruleId"])
    return {name: sorted(broken[path.as_uri()]) for name, path in files.items()}
