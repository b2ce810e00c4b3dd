# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_lists`: names and networks in bundles, written there, or had from elsewhere by way of a library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Optional, Protocol, Union

from .dns import read_lists_own
from .domains import domain
from .errors import Report, TopologyError, shown
from .model import List, Network
from .networks import network
from .reading import Fields, declared, good, named
from .scalars import boolean, choice, duration, list_name, reference, text
from .words import Words

SOURCE_KEYS = ("format", "attributes", "checksum", "refresh")
LIST_KEYS = ("domains", "networks", "resolvers", "pin", "source", *SOURCE_KEYS)
FORMATS = ("v2fly", "dnsmasq", "plain", "hosts", "adblock", "cidr", "csv", "json")
DAY = 86400  # seconds
LONGEST_REFRESH = 365 * DAY

_CHECKSUM = re.compile(r"sha256:([0-9a-fA-F]{64})")
_ATTRIBUTE = re.compile(r"@?-?@?[A-Za-z0-9!_.][A-Za-z0-9!_.-]*")


@dataclass(frozen=True)
class Source:
    """Where a list has entries from beside its own."""

    places: tuple[str, ...]  # paths on the controller, URLs
    format: Optional[str] = None  # None: recognised
    attributes: tuple[str, ...] = ()  # of v2fly's: "cn" must be there, "-ads" must not
    checksum: Optional[str] = None  # SHA-256, hexadecimal
    refresh: int = DAY  # seconds after which a URL is asked again


@dataclass(frozen=True)
class Contents:
    """The names and networks of a list that comes from elsewhere, in canonical spelling."""

    domains: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()


class Library(Protocol):
    """What has lists: the topology itself knows no files and no network."""

    @property
    def names(self) -> frozenset[str]:
        """The lists that ship."""
        ...

    def shipped(self, name: str) -> Contents:
        """Return a list that ships. Raises TopologyError."""
        ...

    def load(self, sources: Mapping[str, Source]) -> Mapping[str, Union[Contents, str]]:
        """Return, by the lists' names, what their sources hold, or what is wrong with them."""
        ...


class NoLibrary:
    """A library without a book."""

    names: frozenset[str] = frozenset()

    def shipped(self, name: str) -> Contents:
        raise TopologyError(f"there is no list {shown(name)}")

    def load(self, sources: Mapping[str, Source]) -> dict[str, Union[Contents, str]]:
        return dict.fromkeys(sources, "sources are read on the controller only")


class Lists:
    """The lists of a topology: those that the operator declares, and those that ship and are named somewhere."""

    def __init__(self, entries: Any, library: Library) -> None:
        self.entries = entries
        self.library = library
        self.declared = declared(entries)
        self.named: set[str] = set()
        known = None if self.declared is None else self.declared | library.names
        self._reference = reference("a list", known)

    def word(self, value: Any) -> str:
        """Return the name of a list, and remember that it is used. Raises TopologyError for any other word."""
        word = self._reference(value)
        self.named.add(word)
        return word

    def read(self, report: Report, known: Words) -> tuple[List, ...]:
        """Return the declared lists, each entry in a list once."""
        lists: dict[str, List] = {}
        sources: dict[str, Source] = {}
        paths = {}
        for path, key, value in named(report, "splitway_lists", self.entries, list_name):
            fields = Fields(report, path, value, LIST_KEYS)
            networks: tuple[Network, ...] = good(fields.entries("networks", network))
            domains = good(fields.entries("domains", domain))
            pin = fields.get_or("pin", boolean, default=False)
            lists[key] = List(key, domains, networks, read_lists_own(fields, known), pin)
            source = _source(fields)
            if source:
                sources[key], paths[key] = source, path
        for key, found in self.library.load(sources).items():
            if isinstance(found, str):
                report.add(f"{paths[key]}.source", found)
            else:
                lists[key] = _with(lists[key], found)
        return tuple(lists.values())

    def shipped(self, report: Report) -> tuple[List, ...]:
        """Return the lists that ship and that something has named until now; a declared one is in their place."""
        lists = []
        for name in sorted((self.named & self.library.names) - (self.declared or frozenset())):
            try:
                lists.append(_with(List(name), self.library.shipped(name)))
            except TopologyError as error:
                report.add(f"the list {name} that ships", error)
        return tuple(lists)


def _with(own: List, found: Contents) -> List:
    """Return a list with what it has from elsewhere behind its own entries."""
    if not own.domains and not own.networks:
        return replace(own, domains=found.domains, networks=found.networks)
    return replace(
        own,
        domains=tuple(dict.fromkeys((*own.domains, *found.domains))),
        networks=tuple(dict.fromkeys((*own.networks, *found.networks))),
    )


def _source(fields: Fields) -> Optional[Source]:
    """Return where a list has entries from; None if it has none from elsewhere, or after a problem was reported."""
    places = _places(fields)
    format_ = fields.get("format", choice("a format", FORMATS))
    attributes = good(fields.entries("attributes", _attribute))
    checksum = fields.get("checksum", _checksum)
    refresh = fields.get_or("refresh", duration(0, LONGEST_REFRESH), Source.refresh)
    if not fields.given("source"):
        for key in SOURCE_KEYS:
            if fields.given(key):
                fields.report.add(f"{fields.path}.{key}", "is about a source, and the list has none")
        return None
    if attributes and format_ not in (None, "v2fly"):
        fields.report.add(f"{fields.path}.attributes", f"is for the format v2fly, not for {format_}")
    if checksum and len(places) > 1:
        fields.report.add(f"{fields.path}.checksum", f"is of one source, and the list has {len(places)}")
    if not places or None in places:
        return None
    return Source(good(places), format_, attributes, checksum, refresh)


def _places(fields: Fields) -> list[Optional[str]]:
    value = fields.values.get("source")
    if isinstance(value, list):
        return fields.require_entries("source", _place)
    return [fields.get("source", _place)]


def _place(value: Any) -> str:
    """Return a path or a URL."""
    place = text(value, "a file or a URL").strip()
    scheme, colon, rest = place.partition("://")
    if not place or not place.isprintable() or (colon and not rest.strip("/")):
        raise TopologyError(f"{shown(place)} is not a file or a URL")
    if colon and scheme.lower() not in ("http", "https"):
        raise TopologyError(f"{shown(place)} is neither http:// nor https://; a file is written without file://")
    return place


def _attribute(value: Any) -> str:
    """Return an attribute without its @."""
    word = text(value, "an attribute")
    if not _ATTRIBUTE.fullmatch(word):
        raise TopologyError(f'{shown(word)} is not an attribute (like cn, or "-ads" for entries without it)')
    return word.replace("@", "").lower()


def _checksum(value: Any) -> str:
    """Return the digits of a checksum."""
    found = _CHECKSUM.fullmatch(text(value, "a checksum").strip())
    if not found:
        raise TopologyError(f"{shown(value)} is not a checksum (sha256: and 64 hexadecimal digits)")
    return found[1].lower()
