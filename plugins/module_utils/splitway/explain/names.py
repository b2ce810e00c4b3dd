# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets in the operator's words, and what dnsmasq does with a name."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..schedules import words as schedule_words
from ..services import words as service_words
from ..state import MarkRule, State
from ..verdict import groups

_SET = re.compile(r"sw[46]([dgnpsm])(\d*)(?:_[0-9a-f]+)?")
_NAMED = ("set:list/", "set:country/")
_CROWD = "names in "  # how a set of names that are in very many lists begins its comment

OWN_RULES, METADATA, SPECIAL = "own rules", "cloud metadata", "special ranges"


@dataclass(frozen=True)
class Fill:
    """What dnsmasq puts a name's addresses into."""

    line: str  # the domain of the one line that it obeys, the longest
    domains: dict[str, str]  # set → the domain that brought it into the line


def fill_of(lines: Sequence[str], name: str) -> Fill:
    """Return the sets of the name's line; none when no line is for it or a parent."""
    found: dict[str, list[str]] = {}
    parents = _with_parents(name)
    wanted = frozenset(parents)
    for line in lines:
        domain, _, sets = line.partition("/")[2].partition("/")
        if domain in wanted:
            found[domain] = [entry.rpartition("#")[2] for entry in sets.split(",")]
    mine = [parent for parent in parents if parent in found]
    if not mine:
        return Fill("", {})
    # A line names the sets of its parents' lists, too: a set belongs to the shortest domain that has it.
    origin = {entry: domain for domain in mine for entry in found[domain]}
    return Fill(mine[0], {entry: origin[entry] for entry in found[mine[0]]})


def _with_parents(name: str) -> list[str]:
    """Return the name and its parents, the longest first."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels))]


class Words:
    """Sets → words. Where the backend has no such set (networks, nftables) its number tells the list."""

    def __init__(self, state: State) -> None:
        self._state = state

    @functools.cached_property
    def _comments(self) -> dict[str, str]:
        return {entry.name: entry.comment for entry in self._state.sets}

    @functools.cached_property
    def _named(self) -> dict[int, str]:
        """Return number → the words of a list or a country."""
        numbers = self._state.numbers.items()
        return {number: key[len("set:") :].replace("/", " ", 1) for key, number in numbers if key.startswith(_NAMED)}

    def of_set(self, name: str) -> str:
        """Return what the set holds."""
        comment = self._comments.get(name, "")
        if comment.startswith("rules "):
            return OWN_RULES
        if comment:
            return comment
        match = _SET.fullmatch(name)
        if match is None:
            return name
        letter, number = match.groups()
        if letter in "sm":
            return SPECIAL if letter == "s" else METADATA
        return self._named.get(int(number or 0), OWN_RULES)

    def of_rule(self, rule: MarkRule) -> str:
        """Return the words of a rule: its lists', and what else it asks for."""
        asked = [self._of_group(group) for group in groups(rule)]
        if rule.protocols or rule.ports:
            asked.append(service_words(rule.protocols, rule.ports))
        said = " and ".join(asked) or "everything"
        return said if rule.schedule is None else f"{said}, {schedule_words(rule.schedule)}"

    def _of_group(self, names: Sequence[str]) -> str:
        """Return the words of sets of which one has to hold the destination."""
        words = tuple(dict.fromkeys(map(self.of_set, names)))
        return " or ".join(word for word in words if not word.startswith(_CROWD)) or words[0]
