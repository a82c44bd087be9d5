"""Benchmarks: what Hanse costs beside the least that the same work can cost. README.md says how to run them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # a PostgreSQL is started as the tests start it
