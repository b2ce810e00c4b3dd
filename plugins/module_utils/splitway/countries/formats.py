# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that say which addresses belong to which country, in the formats in which they are published.

A reader takes the whole file or refuses it: half a file would take half a country away. Where ranges of several
countries overlap, an address belongs to each of them.
"""

from __future__ import annotations

import gzip
import io
import re
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from . import maxmind
from .errors import CountryError
from .ranges import BITS, Range

_CODE = re.compile(r"[A-Za-z]{2}")
_NO_COUNTRY = ("", "-", "*", "?", "??")
_ASSIGNED = ("allocated", "assigned")
_ENOUGH = 0.9  # of the records that a registry's file says it has; with fewer it was cut off
_LONGEST_SHOWN = 60  # characters of a line in a message


@dataclass
class Found:
    """What files say of the countries that are asked for."""

    wanted: frozenset[str]  # codes in lower case
    ranges: dict[tuple[str, int], list[Range]] = field(default_factory=dict)  # by country and family
    entries: int = 0  # of all countries

    def add(self, code: str, family: int, first: int, last: int) -> None:
        """Take a range, if its country is asked for. Raises ValueError when it is none."""
        if not 0 <= first <= last < 1 << BITS[family]:
            raise ValueError("its end is before its beginning, or they are no addresses")
        self.entries += 1
        if family == 6 and last >> 48 == 0:  # in ::/80 there are only IPv4 addresses: mapped ones, and older forms
            if first >> 32 != 0xFFFF:
                return
            family, first, last = 4, first & 0xFFFFFFFF, last & 0xFFFFFFFF
        if code in self.wanted:
            self.ranges.setdefault((code, family), []).append((first, last))


def read(path: Path, kind: str, found: Found, name: str = "") -> None:
    """Add what a file says of the countries; `name` is what it is called in messages.

    Raises CountryError when it is not what it should be, OSError.
    """
    name, before = name or str(path), found.entries
    if kind == "maxmind":
        maxmind.read(path, found.add, name)
    else:
        with _opened(path) as stream:
            try:
                LINES[kind](name, stream, found)
            except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
                raise CountryError(f"{name} is damaged: {error}") from error
    if found.entries == before:
        raise CountryError(f"{name} has no ranges: it is no data of the format {kind}")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Yield a file's text; it may be packed by gzip."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        yield io.TextIOWrapper(stream, encoding="utf-8")


def _read_tor(name: str, stream: TextIO, found: Found) -> None:
    """`first,last,CC`: of IPv4 as numbers, of IPv6 as addresses."""
    for number, line in enumerate(stream, 1):
        if line.startswith("#") or line == "\n":
            continue
        try:
            first, last, code = line.split(",")
            code = code.strip().lower()
            if ":" in first:
                found.add(code, 6, _v6(first), _v6(last))
            else:
                found.add(code, 4, int(first), int(last))
        except (ValueError, OSError) as error:
            raise _refused(name, number, line, "tor") from error


def _read_rir(name: str, stream: TextIO, found: Found) -> None:
    """A registry's statistics: `registry|cc|type|start|value|date|status`, where it is delegated to somebody.

    Of IPv4 the value is a number of addresses, which may be any; of IPv6 it is a prefix length. (The format is
    described in "RIR statistics exchange format" of the registries.)
    """
    told = records = 0
    for number, line in enumerate(stream, 1):
        fields = line.strip().split("|")
        if line.startswith("#") or fields == [""]:
            continue
        try:
            if fields[0][0].isdigit():
                told = int(fields[3])  # the version's line: version|registry|serial|records|…
                continue
            if fields[-1] == "summary":
                continue
            _registry, code, kind, start, value, _date, status = fields[:7]
            records += 1
            if status not in _ASSIGNED or code in _NO_COUNTRY:
                continue
            if kind == "ipv4":
                first = _v4(start)
                found.add(code.lower(), 4, first, first + int(value) - 1)
            elif kind == "ipv6":
                first, length = _v6(start), int(value)
                if not 0 <= length <= 128:
                    raise ValueError("not a prefix length")
                found.add(code.lower(), 6, first, first + (1 << (128 - length)) - 1)
        except (ValueError, OSError, IndexError) as error:
            raise _refused(name, number, line, "rir") from error
    if records < told * _ENOUGH:
        raise CountryError(f"{name} was cut off: it has {records} records of {told}")


def _read_csv(name: str, stream: TextIO, found: Found) -> None:
    """`network,country` or `first,last,country`, with or without quotes and a line of headings; more is ignored."""
    for number, line in enumerate(stream, 1):
        fields = [part.strip().strip('"') for part in line.replace(";", ",").split(",")]
        if fields[0].startswith("#") or fields == [""]:
            continue
        try:
            _csv_entry(fields, found)
        except (ValueError, OSError, IndexError) as error:
            if number > 1 or line.startswith("<"):  # the first may be headings
                raise _refused(name, number, line, "csv") from error


def _csv_entry(fields: list[str], found: Found) -> None:
    network = "/" in fields[0]
    code = fields[1 if network else 2]
    if code in _NO_COUNTRY:
        return
    if not _CODE.fullmatch(code):
        raise ValueError("not a country's code")
    if network:
        block = ip_network(fields[0])
        found.add(code.lower(), block.version, int(block.network_address), int(block.broadcast_address))
        return
    if fields[0].isdigit():
        first, last = int(fields[0]), int(fields[1])
        family = 4 if last >> BITS[4] == 0 else 6
    elif ":" in fields[0]:
        family, first, last = 6, _v6(fields[0]), _v6(fields[1])
    else:
        family, first, last = 4, _v4(fields[0]), _v4(fields[1])
    found.add(code.lower(), family, first, last)


def _v4(text: str) -> int:
    return int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")


def _v6(text: str) -> int:
    return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")


def _refused(name: str, number: int, line: str, kind: str) -> CountryError:
    if line.lstrip().startswith("<"):
        return CountryError(f"{name} is a web page, no data of the format {kind}")
    shown = "".join(letter if letter.isprintable() else "?" for letter in line.strip()[:_LONGEST_SHOWN])
    return CountryError(f'{name}, line {number}: "{shown}" is nothing of the format {kind}')


LINES: Mapping[str, Callable[[str, TextIO, Found], None]] = {"tor": _read_tor, "rir": _read_rir, "csv": _read_csv}
FORMATS = (*LINES, "maxmind")
