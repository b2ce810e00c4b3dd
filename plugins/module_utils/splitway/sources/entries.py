# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source holds: its names and networks, and what in it could not become either."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, ip_address, summarize_address_range
from typing import Union

from ..topology.domains import canonical_domain
from ..topology.errors import TopologyError, shown
from ..topology.model import Network
from ..topology.networks import network
from .errors import SourceError

MOST_ENTRIES = 1_048_576  # of one source; as many networks as an ipset of ours takes
MISTAKE = "mistake"

KEYWORD = "keyword"
REGEXP = "regexp"
PATTERN = "pattern"
EXCEPTION = "exception"
PATH = "path or URL"
PORT = "port"
PARTLY = "condition other than the destination"
HIDING = "element of a page"
OWN_NAME = "name of the host itself"
NO_NAMES = "line without names"

Place = Union[int, str]
"""A line's number, or where in a document an entry stands."""

_ADDRESS = re.compile(r"[0-9.]+(/[0-9.]+)?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(/[0-9]+)?")
_RANGE = re.compile(r"([0-9A-Fa-f.:]+)\s*-\s*([0-9A-Fa-f.:]+)")
_WITH_PORT = re.compile(r"[0-9.]+:[0-9]+")
_MASK = re.compile(r"([0-9.]+)/([0-9]+\.[0-9.]+)")
_ANY_BELOW = ("+.", ".")  # other programs' spellings of "*."


@dataclass(frozen=True)
class Skipped:
    """One entry that is left out."""

    place: str  # "line 12"
    text: str
    kind: str  # what DNS cannot do with it; MISTAKE if nobody could do anything with it
    problem: str = ""  # of a mistake
    source: str = ""  # a file or URL

    def __str__(self) -> str:
        reason = self.problem if self.kind == MISTAKE else f"{shown(self.text)} ({self.kind})"
        return f"{self.source} {self.place}: {reason}".lstrip()


@dataclass(frozen=True)
class Entries:
    """Names and networks in canonical spelling, each once."""

    domains: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    widened: int = 0  # names that were meant alone or in part, and hold all that is below them here
    skipped: tuple[Skipped, ...] = ()

    @property
    def mistakes(self) -> tuple[Skipped, ...]:
        return tuple(entry for entry in self.skipped if entry.kind == MISTAKE)

    def counted(self) -> dict[str, int]:
        """Return how many entries are left out, by kind, the most frequent first."""
        return dict(Counter(entry.kind for entry in self.skipped).most_common())

    def of(self, source: str) -> Entries:
        """Return the same, its skipped entries with the source in which they stand."""
        return replace(self, skipped=tuple(replace(entry, source=entry.source or source) for entry in self.skipped))


class Collector:
    """Gathers the entries of one text."""

    def __init__(self) -> None:
        self.domains: dict[str, None] = {}
        self.networks: dict[Network, None] = {}
        self.widened: set[str] = set()
        self.skipped: list[Skipped] = []

    def domain(self, place: Place, written: str, *, widened: bool = False) -> None:
        """Take a name; what is none is a mistake."""
        try:
            name = spelled(written)
        except TopologyError as error:
            self.mistake(place, written, str(error))
            return
        self.domains[name] = None
        if widened:
            self.widened.add(name)
        if len(self.domains) > MOST_ENTRIES:
            raise SourceError(f"{_where(place)}: here are more than {MOST_ENTRIES:,} names")

    def network(self, place: Place, written: str) -> None:
        """Take a network, an address or a range of addresses; what is none is a mistake."""
        try:
            found = networks(written)
        except TopologyError as error:
            self.mistake(place, written, str(error))
            return
        self.networks.update(dict.fromkeys(found))
        if len(self.networks) > MOST_ENTRIES:
            raise SourceError(f"{_where(place)}: here are more than {MOST_ENTRIES:,} networks")

    def either(self, place: Place, written: str) -> None:
        """Take what may be a name or a network."""
        if _WITH_PORT.fullmatch(written):
            self.skip(place, written, PORT)
            return
        if is_network(written):
            self.network(place, written)
            return
        kind = never_a_name(written)
        if kind:
            self.skip(place, written, kind)
        else:
            self.domain(place, written)

    def skip(self, place: Place, text: str, kind: str) -> None:
        self.skipped.append(Skipped(_where(place), text, kind))

    def mistake(self, place: Place, text: str, problem: str) -> None:
        self.skipped.append(Skipped(_where(place), text, MISTAKE, problem))

    def drop(self, names: set[str]) -> None:
        """Take out these names and all below them."""
        for name in list(self.domains) if names else ():
            labels = name.split(".")
            if any(".".join(labels[index:]) in names for index in range(len(labels))):
                del self.domains[name]
                self.widened.discard(name)

    def entries(self) -> Entries:
        return Entries(tuple(self.domains), tuple(self.networks), len(self.widened), tuple(self.skipped))


def spelled(written: str) -> str:
    """Return the canonical spelling of a name, also of other programs' for "and all below". Raises TopologyError."""
    for prefix in _ANY_BELOW:
        if written.startswith(prefix):
            return canonical_domain(written[len(prefix) :])
    return canonical_domain(written)


def is_network(written: str) -> bool:
    """Return whether something is a network, an address or a range, be it right or wrong."""
    return bool(_ADDRESS.fullmatch(written)) or ("-" in written and _is_range(written))


def networks(written: str) -> tuple[Network, ...]:
    """Return the networks of a prefix, an address, an address with its mask or a range. Raises TopologyError."""
    mask = _MASK.fullmatch(written)
    if mask:
        try:
            length = IPv4Network(f"0.0.0.0/{mask[2]}").prefixlen
        except ValueError:
            raise TopologyError(f"{shown(written)} is not a network") from None
        return (network(f"{mask[1]}/{length}"),)
    if "-" in written:
        return _range(written)
    return (network(written),)


def never_a_name(written: str) -> str:
    """Return why a word that looks like a destination is none of a name's: its kind; empty if it may be a name."""
    if "/" in written:
        return PATH
    host, colon, port = written.rpartition(":")
    if colon and host and port.isdigit():
        return PORT
    if "*" in written[1:] or (written.startswith("*") and not written.startswith("*.")):
        return PATTERN
    return ""


def _is_range(written: str) -> bool:
    found = _RANGE.fullmatch(written)
    return bool(found) and all(_ADDRESS.fullmatch(end) for end in found.groups()) if found else False


def _range(written: str) -> tuple[Network, ...]:
    found = _RANGE.fullmatch(written)
    try:
        first, last = (ip_address(end) for end in (found.groups() if found else ()))
        ends = tuple(summarize_address_range(first, last))
    except (ValueError, TypeError):
        raise TopologyError(f"{shown(written)} is not a range of addresses") from None
    return tuple(network(str(end)) for end in ends)


def _where(place: Place) -> str:
    return f"line {place}" if isinstance(place, int) else place
