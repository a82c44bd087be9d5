"""Say on one last line how many tests of a JUnit report passed and failed; a skipped test has not held anything."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def main(report: Path) -> int:
    """Print the line; 1 where a test failed or was skipped, or none ran."""
    cases = list(ET.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314 (our own file)
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    for case in skipped:
        print(f"skipped, which counts as failed here: {case.get('classname')}::{case.get('name')}")
    failures = len(bad) + len(skipped)
    print(f"{len(cases) - failures} passed, {failures} failed")
    return 1 if failures or not cases else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
