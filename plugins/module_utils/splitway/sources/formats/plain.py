# SPDX-License-Identifier: GPL-3.0-or-later
"""One name or network a line; also as rule programs write them: `DOMAIN-SUFFIX,example.com`, `- '+.example.com'`."""

from __future__ import annotations

import re

from ...topology.errors import shown
from ..entries import KEYWORD, PARTLY, PATTERN, REGEXP, Collector, Entries
from .lines import numbered

COMMENTS = ("#", ";", "!", "//")
_COMMENT = re.compile(r"[#;]|(?<=\s)//")
_NAMES = {"DOMAIN": True, "HOST": True, "DOMAIN-SUFFIX": False, "HOST-SUFFIX": False}  # kind → is it that name alone?
_NETWORKS = ("IP-CIDR", "IP-CIDR6", "IP6-CIDR")
_OTHERS = {
    "DOMAIN-KEYWORD": KEYWORD,
    "HOST-KEYWORD": KEYWORD,
    "DOMAIN-REGEX": REGEXP,
    "URL-REGEX": REGEXP,
    "DOMAIN-WILDCARD": PATTERN,
    "HOST-WILDCARD": PATTERN,
}
_KIND = re.compile(r"[A-Z][A-Z0-9-]+")


def read(text: str) -> Entries:
    """Return what a plain list holds."""
    found = Collector()
    for number, line in numbered(text):
        written = content(line)
        if not written:
            continue
        if "," in written:
            _rule(found, number, written)
        else:
            found.either(number, written)
    return found.entries()


def content(line: str) -> str:
    """Return a line without its comment, and without what makes it an entry of a YAML list."""
    if line.startswith(COMMENTS):
        return ""
    written = _COMMENT.split(line, maxsplit=1)[0].rstrip()
    if written.startswith("- "):
        written = written[2:].strip()
    if len(written) > 1 and written[0] in "'\"" and written[-1] == written[0]:
        written = written[1:-1].strip()
    return "" if written in ("payload:", "---") else written


def is_rule(written: str) -> bool:
    """Return whether a line is one of a rule program: a kind in capitals and a value."""
    kind = written.partition(",")[0].strip().upper()
    return "," in written and (kind in _NAMES or kind in _NETWORKS or kind in _OTHERS)


def _rule(found: Collector, number: int, written: str) -> None:
    kind, value = (part.strip() for part in (*written.split(","), "")[:2])
    kind = kind.upper()
    if kind in _NAMES:
        found.domain(number, value, widened=_NAMES[kind])
    elif kind in _NETWORKS:
        found.network(number, value)
    elif kind in _OTHERS or _KIND.fullmatch(written.partition(",")[0].strip()):
        found.skip(number, written, _OTHERS.get(kind, PARTLY))
    else:
        found.mistake(number, written, f"{shown(written)} is not one name or network")
