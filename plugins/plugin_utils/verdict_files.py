# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts on a fleet as files for programs: JSON, and JUnit for CI. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from .verdicts import DIFFERENT, FAILED, LOOKED, REACHED, SAME, UNREACHABLE, Verdict

# XML 1.0 has no way to write these, not even escaped.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(verdicts: Sequence[Verdict], taken: str) -> str:
    """Return one document on the whole fleet. `taken`: when it was looked, ISO 8601."""
    counts = Counter(verdict.status for verdict in verdicts)
    document = {
        "taken": taken,
        "as_it_should_be": counts[SAME] == len(verdicts),
        "counts": {status: counts[status] for status in (SAME, DIFFERENT, UNREACHABLE, FAILED)},
        "gateways": {
            verdict.gateway: {
                "status": verdict.status,
                "message": verdict.message,
                "applied": verdict.applied or None,
                "differences": [
                    {"check": one.check, "what": list(one.what), "since": one.since} for one in verdict.differences
                ],
            }
            for verdict in verdicts
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_junit(verdicts: Sequence[Verdict], taken: str) -> str:
    """Return a JUnit report: a suite a gateway, a case a check.

    What differs is a failure, what could not be looked at an error. By the schemas that are in use: `timestamp`
    has no zone (it is UTC), every suite has all four counts, and properties come before cases.
    """
    timestamp = taken[: len("2026-11-22T10:00:00")]
    suites = (line for number, one in enumerate(verdicts) for line in _suite(one, number, timestamp))
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", *suites, "</testsuites>", ""])


def _suite(verdict: Verdict, number: int, timestamp: str) -> Iterator[str]:
    differing = {one.check for one in verdict.differences}
    errors = len(differing & {REACHED, LOOKED})
    yield (
        f'  <testsuite name={_attribute(verdict.gateway)} package="splitway.verify" id="{number}"'
        f' hostname={_attribute(verdict.gateway)} timestamp="{timestamp}" time="0"'
        f' tests="{len(verdict.checks)}" failures="{len(differing) - errors}" errors="{errors}" skipped="0">'
    )
    yield "    <properties>"
    yield f'      <property name="applied" value={_attribute(verdict.applied)}/>'
    yield "    </properties>"
    for check in verdict.checks:
        yield from _case(verdict, check)
    yield "    <system-out/>"
    yield "    <system-err/>"
    yield "  </testsuite>"


def _case(verdict: Verdict, check: str) -> Iterator[str]:
    found = [one for one in verdict.differences if one.check == check]
    head = f'    <testcase classname={_attribute(verdict.gateway)} name={_attribute(check)} time="0"'
    if not found:
        yield f"{head}/>"
        return
    kind = "error" if check in (REACHED, LOOKED) else "failure"
    lines = [line for one in found for line in one.what]
    yield f"{head}>"
    message = lines[0] if len(lines) == 1 else f"{lines[0]} (and {len(lines) - 1} more)"
    text = "\n".join(f"since {one.since}: {line}" for one in found for line in one.what)
    yield f"      <{kind} type={_attribute(verdict.status)} message={_attribute(message)}>{_text(text)}</{kind}>"
    yield "    </testcase>"


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("\ufffd", text))


def _text(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", text))
