# SPDX-License-Identifier: GPL-3.0-or-later
"""v2fly's lists: `example.com`, `domain:`, `full:`, `keyword:`, `regexp:`, `include:`, `@attribute`, `&affiliation`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional

from ...topology.errors import TopologyError, shown
from ..entries import KEYWORD, MISTAKE, MOST_ENTRIES, REGEXP, Entries, Skipped, spelled
from ..errors import SourceError
from .lines import numbered

DEEPEST = 50  # lists, one including the next
_OTHERS = {"keyword": KEYWORD, "regexp": REGEXP}
_MARK = re.compile(r"[@&]-?[A-Za-z0-9!_.-]+")
_SUFFIX = re.compile(r"\.(txt|list|conf|lst)$")
LIST_NAME = re.compile(r"[A-Za-z0-9_!@-][A-Za-z0-9_.!@-]*")

# Expressions that mean a name and all below it, and those that mean a name alone.
_BELOW = re.compile(r"(?:\(\^\|\\\.\)|\^\((?:\.[+*]\\\.)\)[?*]|\^\(\?:\.[+*]\\\.\)[?*])((?:[a-z0-9_-]|\\\.)+)\$")
_ALONE = re.compile(r"\^((?:[a-z0-9_-]|\\\.)+)\$")


class Item(NamedTuple):
    """One entry: a name with its attributes, or what cannot be one."""

    domain: str
    attributes: frozenset[str]
    full: bool = False
    skipped: Optional[Skipped] = None


@dataclass(frozen=True)
class Filter:
    """Which entries are taken: those that have all of some attributes and none of others."""

    all_of: frozenset[str] = frozenset()
    none_of: frozenset[str] = frozenset()

    def takes(self, item: Item) -> bool:
        return self.all_of <= item.attributes and not self.none_of & item.attributes


@dataclass(frozen=True)
class Text:
    """A list's text and where it comes from."""

    origin: str
    text: str


class Shelf:
    """The lists of one folder, each read once however many lists include it."""

    def __init__(self, open_list: Callable[[str], Text]) -> None:
        self.open_list = open_list
        self.known: dict[str, tuple[Item, ...]] = {}

    def items(self, name: str, chain: tuple[str, ...]) -> tuple[Item, ...]:
        """Return the entries of a list that another includes. Raises SourceError, with the chain that leads there."""
        key = name.lower()
        if key not in self.known:
            try:
                opened = self.open_list(name)
            except SourceError as error:
                raise SourceError(f"{' → '.join(chain)}: include:{name}: {error}") from error
            self.known[key] = self.parse(name, opened, chain)
        return self.known[key]

    def parse(self, name: str, opened: Text, chain: tuple[str, ...] = ()) -> tuple[Item, ...]:
        """Return the entries of a text and of all that it includes, each once. Raises SourceError."""
        items: dict[Item, None] = {}
        for number, line in numbered(opened.text):
            words = line.partition("#")[0].replace(":@", " @").replace(",@", " @").split()  # as its releases write them
            if not words:
                continue
            kind, colon, value = words[0].partition(":")
            if colon and kind.lower() == "include":
                here = (*chain, f"{opened.origin} line {number}")
                included = self._included(name, value, here)
                chosen = filter_of(words[1:])
                items.update(dict.fromkeys(item for item in included if chosen.takes(item)))
            else:
                items[_item(opened.origin, number, line, words)] = None
            if len(items) > MOST_ENTRIES:
                where = " → ".join((*chain, f"{opened.origin} line {number}"))
                raise SourceError(f"{where}: here are more than {MOST_ENTRIES:,} entries")
        return tuple(items)

    def _included(self, name: str, wanted: str, here: tuple[str, ...]) -> tuple[Item, ...]:
        if not LIST_NAME.fullmatch(wanted):
            raise SourceError(f"{' → '.join(here)}: {shown(wanted)} is not the name of a list")
        if len(here) > DEEPEST:
            raise SourceError(f"{' → '.join(here[:5])} → …: includes are nested too deeply")
        if _plain(wanted) in {_plain(name), *(_plain(step.rpartition(" line ")[0]) for step in here)}:
            raise SourceError(f"{' → '.join(here)}: include:{wanted} is circular")
        return self.items(wanted, here)


def read(text: str, origin: str, shelf: Shelf, chosen: Filter) -> Entries:
    """Return the chosen entries of a list and of all that it includes. Raises SourceError."""
    name = origin.rpartition("/")[2]
    items = shelf.parse(name, Text(origin, text))
    shelf.known.setdefault(name.lower(), items)
    taken = [item for item in items if chosen.takes(item)]
    domains = dict.fromkeys(item.domain for item in taken if item.domain)
    wide = {item.domain for item in taken if not item.full}
    return Entries(
        domains=tuple(domains),
        widened=sum(domain not in wide for domain in domains),
        skipped=tuple(dict.fromkeys(item.skipped for item in taken if item.skipped)),
    )


def filter_of(words: Iterable[str]) -> Filter:
    """Return what `@cn @-ads` (also without the @) chooses."""
    names = [word.lstrip("@").lower() for word in words if not word.startswith("&")]
    return Filter(
        frozenset(name for name in names if not name.startswith("-")),
        frozenset(name[1:] for name in names if name.startswith("-")),
    )


def _plain(path: str) -> str:
    """Return the name of the list in a file: `folder/Google.txt` is `google`."""
    return _SUFFIX.sub("", path.rpartition("/")[2].lower())


def _item(origin: str, number: int, line: str, words: list[str]) -> Item:
    kind, colon, value = words[0].partition(":")
    kind, value = (kind.lower(), value) if colon else ("domain", words[0])
    marks = words[1:]
    attributes = frozenset(mark[1:].lower() for mark in marks if mark[0] == "@")
    problem = next((f"{shown(mark)} is no attribute" for mark in marks if not _MARK.fullmatch(mark)), "")
    if kind in _OTHERS and not problem:
        found = (_BELOW.fullmatch(value) or _ALONE.fullmatch(value)) if kind == "regexp" else None
        if not found:
            return Item("", attributes, skipped=Skipped(f"line {number}", words[0], _OTHERS[kind], source=origin))
        kind, value = "domain" if _BELOW.fullmatch(value) else "full", found[1].replace("\\.", ".")
    if kind not in ("domain", "full") and not problem:
        problem = f"{shown(words[0])} is neither a name nor domain:, full:, keyword:, regexp:, include:"
    try:
        if not problem:
            return Item(spelled(value), attributes, kind == "full")
    except TopologyError as error:
        problem = str(error)
    return Item("", attributes, skipped=Skipped(f"line {number}", line, MISTAKE, problem, origin))
