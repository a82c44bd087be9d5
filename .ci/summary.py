"""Say on one last line how many tests of some JUnit reports passed and failed.

A skipped test has held nothing, so it counts as failed; but for what a platform declares that it lacks, which the
conformance suite skips by name: that is told, and counts as neither.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

LACKING = "hanse/conformance/contract.py"
"""Where the suite skips what a platform lacks; a report names the place of each skip."""


def main(reports: list[Path]) -> int:
    """Print the line; 1 where a test failed or was skipped, or a report has none."""
    counts = {"passed": 0, "failed": 0}
    empty = False
    for report in reports:
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314 (our own file)
        if not cases:
            print(f"no test ran for {report}")
            empty = True
        for case in cases:
            name = f"{case.get('classname')}::{case.get('name')}"
            skip = case.find("skipped")
            if skip is not None and LACKING in (skip.text or ""):
                print(f"declared as lacking: {name}: {skip.get('message')}")
                continue
            if skip is not None:
                print(f"skipped, which counts as failed here: {name}: {skip.get('message')}")
            bad = skip is not None or case.find("failure") is not None or case.find("error") is not None
            counts["failed" if bad else "passed"] += 1
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] or empty else 0


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
