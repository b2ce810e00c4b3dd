# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds up the results of all tiers: `summary.py FOLDER [FAILED_TIER …]`.

A tier's reports are FOLDER/TIER.xml and, where it runs in parts, FOLDER/TIER.PART.xml; TIER.again.xml is of tests that
had failed and were run once more. Prints a line a tier and, last, `N passed, N failed, N skipped`. A tier that failed
without a failed test (a linter, a playbook) counts as one failure. Ends with status 1 when anything failed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def count(report: Path) -> tuple[int, int, int]:
    """Returns the numbers of passed, failed and skipped tests of one JUnit report."""
    passed = failed = skipped = 0
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 - our own reports
        bad = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
        unused = int(suite.get("skipped", "0"))
        passed += int(suite.get("tests", "0")) - bad - unused
        failed += bad
        skipped += unused
    return passed, failed, skipped


def passed_again(report: Path) -> list[str]:
    """Returns the tests of a JUnit report that passed."""
    cases = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314 - our own reports
    return [f"{case.get('classname')}::{case.get('name')}" for case in cases if len(case) == 0]


def main() -> int:
    """Prints the summary and returns the exit status."""
    folder, failed_tiers = Path(sys.argv[1]), sys.argv[2:]
    counts: dict[str, tuple[int, int, int]] = {}
    for report in sorted(folder.glob("*.xml")):
        tier = report.name.partition(".")[0]
        found = count(report)
        if report.name.endswith(".again.xml"):
            for test in passed_again(report):
                print(f"passed only when it was run again, alone: {test}")
            found = found[0], -found[0], 0
        passed, failed, skipped = map(sum, zip(counts.get(tier, (0, 0, 0)), found, strict=True))
        counts[tier] = (passed, failed, skipped)
    for tier in failed_tiers:
        if counts.get(tier, (0, 0, 0))[1] == 0:
            counts[tier] = (counts.get(tier, (0, 0, 0))[0], 1, 0)
    for tier, (passed, failed, skipped) in counts.items():
        print(f"{tier}: {passed} passed, {failed} failed, {skipped} skipped")
    if failed_tiers:
        print(f"failed: {', '.join(failed_tiers)} (see above)")
    passed, failed, skipped = (sum(column) for column in zip(*counts.values(), strict=True)) if counts else (0, 1, 0)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
