# SPDX-License-Identifier: GPL-3.0-or-later
"""Adblock's rules: `||example.com^` is a name; what looks at pages, paths or kinds of requests cannot be one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..entries import (
    EXCEPTION,
    HIDING,
    PARTLY,
    PATH,
    PATTERN,
    REGEXP,
    Collector,
    Entries,
    is_network,
    never_a_name,
)
from . import hosts
from .lines import numbered

HIDES = re.compile(r"#[@?$%]*#|\$@?\$")
HEADER = re.compile(r"\[[A-Za-z][\w .;:-]*\]\s*$", re.MULTILINE)  # [Adblock Plus 2.0]
_ANCHOR = re.compile(r"(\|\||\|?(?:https?|wss?)://|\|?://|)(.*)")
_NAME = re.compile(
    r"\w[\w-]*(\.\w[\w-]*)*\.(?!(?:js|php|html?|css|gif|png|jpe?g|swf|aspx?|cgi)$)\w[\w-]+\.?"
)  # no file's
_COMMENT = re.compile(r"\s#")
_WHOLE = frozenset(("important", "all", "document", "doc"))  # options that leave a rule about all of a host
_THIRD = frozenset(("third-party", "3p"))


@dataclass(frozen=True)
class Rule:
    """What a rule is about: a name or an address, or the kind of what it is instead."""

    name: str = ""
    kind: str = ""
    widened: bool = False  # it is meant alone, or by requests of other sites only


def read(text: str) -> Entries:
    """Return the names of an Adblock list, without those that one of its exceptions takes out as a whole."""
    found = Collector()
    excepted = set()
    for number, line in numbered(text):
        if line[0] == "!" or line == "#" or line.startswith("# ") or HEADER.match(line):
            continue
        if line.startswith("@@"):
            found.skip(number, line, EXCEPTION)
            excepted.add(_judged(line[2:]).name)
        elif HIDES.search(line):
            found.skip(number, line, HIDING)
        else:
            _take(found, number, _COMMENT.split(line, maxsplit=1)[0].rstrip())
    excepted.discard("")
    found.drop(excepted)
    return found.entries()


def _take(found: Collector, number: int, line: str) -> None:
    words = line.split()
    if len(words) > 1 and hosts.is_address(words[0]):  # lists for resolvers mix them in
        hosts.take(found, number, words)
        return
    rule = _judged(line)
    if rule.kind:
        found.skip(number, line, rule.kind)
    elif is_network(rule.name):
        found.network(number, rule.name)
    else:
        found.domain(number, rule.name, widened=rule.widened)


def _judged(line: str) -> Rule:
    pattern, dollar, options = line.partition("$")
    if pattern.startswith("/") and line.rstrip().endswith("/"):
        return Rule(kind=REGEXP)
    given = {option.strip().lower() for option in options.split(",")} if dollar else set()
    if given - _WHOLE - _THIRD:
        return Rule(kind=PARTLY)
    found = _ANCHOR.fullmatch(pattern)
    anchor, rest = (found[1], found[2]) if found else ("", pattern)
    if not anchor:
        kind = "" if _NAME.fullmatch(rest) else PATH if "/" in rest else PATTERN
        return Rule(rest, kind, widened=True) if not kind else Rule(kind=kind)
    rest = rest.rstrip("|")
    name = rest[:-1] if rest.endswith(("^", "/")) else rest
    kind = PATH if any(sign in name for sign in "/?^=&") else never_a_name(name)
    if kind:
        return Rule(kind=kind)
    return Rule(name.strip("[]").lower(), widened=anchor != "||" or bool(given & _THIRD))
