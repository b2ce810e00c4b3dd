# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed additions from dnsmasq's log; its lines are those that 2.90 wrote (tests/kernel/test_dns_statistics.py)."""

from __future__ import annotations

from typing import Optional

from splitway.agent.figures.dns_statistics import FailedAdditions, failed_sets
from splitway.system import System, SystemFailure

LOG = """\
using nameserver 127.0.0.1#5454
nftset inet splitway sw4d1 Error: No such file or directory
nftset inet splitway sw4d2 Error: Could not process rule: Too many open files in system
dnsmasq[7]: nftset inet splitway sw4d1 Error: No such file or directory
failed to update ipset sw6d1: No buffer space available
started, version 2.90 cachesize 150
"""


def test_failures_are_counted_by_set() -> None:
    assert failed_sets(LOG) == {"sw4d1": 2, "sw4d2": 1, "sw6d1": 1}


class Journal(System):
    """A journal that was filled between two readings."""

    def __init__(self, *answers: Optional[str]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[tuple[str, ...]] = []

    def read(self, *argv: str, input: Optional[str] = None, timeout: float = 60) -> str:  # noqa: ARG002
        self.asked.append(argv[argv.index("--show-cursor") + 1 :])
        answer = self.answers.pop(0)
        if answer is None:
            raise SystemFailure("journalctl: Failed to seek to cursor")
        return answer


def test_each_line_counts_once_from_the_first_reading_on() -> None:
    journal = Journal("-- cursor: one\n", f"{LOG}-- cursor: two\n", "-- cursor: two\n", None, "-- cursor: nine\n", LOG)
    failed = FailedAdditions()
    assert [sum(failed.read(journal).values()) for _ in range(6)] == [0, 4, 0, 0, 0, 4]
    assert journal.asked == [
        ("--lines", "0"),
        ("--after-cursor", "one"),
        ("--after-cursor", "two"),
        ("--after-cursor", "two"),
        ("--lines", "0"),
        ("--after-cursor", "nine"),
    ]


def test_no_journal() -> None:
    journal = Journal("", "", None)
    failed = FailedAdditions()
    assert [failed.read(journal) for _ in range(3)] == [{}, {}, {}]
