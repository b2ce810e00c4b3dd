# SPDX-License-Identifier: GPL-3.0-or-later
"""Which format a text has, when nobody says so."""

from __future__ import annotations

import re
from typing import Callable

from ..entries import is_network
from ..errors import SourceError
from . import adblock, csv_table, dnsmasq, hosts, plain
from .lines import numbered

ENOUGH = 2000  # lines; what has not shown itself by then does not matter
ALMOST_ALL = 0.9  # of the telling lines; a few strangers become mistakes, with their lines
_V2FLY = re.compile(r"(domain|full|keyword|regexp|include):\S+(\s|$)|\S+\s+[@&]-?[a-z0-9!]", re.IGNORECASE)
_ADBLOCK = re.compile(r"\|\||@@|\|https?:", re.IGNORECASE)
_HIDING = re.compile(r"[^\s#/]+(#[@?$%]*#|\$@?\$)\S")  # of one site; without a site it looks like a comment
_WORD = re.compile(r"[^\s/,=]+")


def recognise(text: str, name: str = "") -> str:
    """Return the format of a text; `name` is its file's. Raises SourceError when it may be several, or none."""
    suffix = name.lower().rpartition(".")[2]
    if suffix in ("json", "csv"):
        return suffix
    start = text.lstrip()
    if start.startswith("{") or (start.startswith("[") and not adblock.HEADER.match(start)):
        return "json"
    told: dict[str, list[int]] = {}
    others: list[str] = []
    for index, (number, line) in enumerate(numbered(text)):
        if index >= ENOUGH:
            break
        format_ = _told_by(line, first=index == len(others) == 0)
        if format_ == "csv":
            return format_
        if format_ in ("plain", "cidr"):
            others.append(format_)
        elif format_:
            told.setdefault(format_, []).append(number)
    return _decided(told, others)


def _decided(told: dict[str, list[int]], others: list[str]) -> str:
    if not told:
        if not others:
            raise SourceError("nothing in it looks like a list of names or networks")
        return "plain" if "plain" in others else "cidr"
    if told.keys() == {"adblock", "hosts"}:  # lists for resolvers mix them; the one reader takes the other's lines
        return "adblock"
    ranked = sorted(told, key=lambda format_: -len(told[format_]))
    if len(told[ranked[0]]) < ALMOST_ALL * sum(map(len, told.values())):
        signs = ", ".join(f"line {told[format_][0]} like {format_}" for format_ in ranked)
        raise SourceError(f"its format is not clear ({signs}): say it, as in format: {ranked[0]}")
    return ranked[0]


def _told_by(line: str, *, first: bool) -> str:
    """Return the format that a line shows; `plain` or `cidr` when it may stand in others, too; empty for a comment."""
    if _ADBLOCK.match(line) or adblock.HEADER.match(line):
        return "adblock"
    if line.startswith(plain.COMMENTS):
        return ""
    for format_, sign in _SIGNS:
        if sign(line):
            return format_
    if first and csv_table.is_header(line):
        return "csv"
    written = plain.content(line)
    rule = plain.is_rule(written)
    if is_network(written) or (rule and written.upper().startswith("IP")):
        return "cidr"
    return "plain" if rule or _WORD.fullmatch(written) else ""


def _hosts(line: str) -> bool:
    words = line.split()
    return len(words) > 1 and hosts.is_address(words[0]) and words[1][0] not in "#;-/"


_SIGNS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("dnsmasq", dnsmasq.LINE.match),
    ("hosts", _hosts),
    ("v2fly", _V2FLY.match),
    ("adblock", _HIDING.match),
)
