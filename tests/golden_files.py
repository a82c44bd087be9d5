"""Golden files: what a person reads, kept in tests/golden, so that each change of it is seen in review.

`make golden` rewrites the files of all tests that are marked `golden`; look at the difference before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str, text: str) -> str:
    """What the file holds, to be compared with the text; when rewriting, the text is put there first."""
    path = GOLDEN / name
    if os.environ.get("HANSE_GOLDEN") == "rewrite":
        path.write_text(text)
    return path.read_text()
