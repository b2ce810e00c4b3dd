# SPDX-License-Identifier: GPL-3.0-or-later
"""What our dnsmasq counts itself, how fast it answers, and the additions to sets that it says have failed.

Only nftables' failures are in its log: dnsmasq 2.90 sends an ipset's entry and never reads the kernel's answer, so
that a full or a missing ipset is silent (tried). Those the journal notices: it puts back what is not there.
"""

from __future__ import annotations

import re
import secrets
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from dns.exception import DNSException
from dns.name import from_text
from dns.wire import Parser

from ...reconcile.dns.text import OWN_NAME, UNIT
from ...system import System, SystemFailure

PORT = 53
_TXT, _A, _IN, _CHAOS = 16, 1, 1, 3


@dataclass(frozen=True)
class Server:
    """What dnsmasq counts for one of the servers that it asks."""

    address: str
    asked: int
    failed: int


@dataclass(frozen=True)
class DnsStatistics:
    """Counters since dnsmasq was started; an answer to a client is a hit or a miss."""

    cache_size: int
    insertions: int
    evictions: int  # of names that had not expired: the cache is too small
    hits: int
    misses: int
    latency: float  # seconds that an answer took for which no server is asked
    servers: tuple[Server, ...] = ()


def ask(server: str, timeout: float = 1.0, port: int = PORT) -> Optional[DnsStatistics]:
    """Return what our dnsmasq at this address counts; None when it does not answer within `timeout` seconds each."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.settimeout(timeout)
            channel.connect((server, port))
            began = time.perf_counter()
            _ask(channel, OWN_NAME, _A, _IN)
            latency = time.perf_counter() - began
            cache_size, insertions, evictions, hits, misses = (
                int(_ask(channel, f"{name}.bind", _TXT, _CHAOS)[0])
                for name in ("cachesize", "insertions", "evictions", "hits", "misses")
            )
            servers = tuple(_server(text) for text in _ask(channel, "servers.bind", _TXT, _CHAOS))
    except (OSError, ValueError, IndexError, DNSException):
        return None
    return DnsStatistics(cache_size, insertions, evictions, hits, misses, latency, servers)


def _ask(channel: socket.socket, name: str, kind: int, network: int) -> list[str]:
    """Return the texts of an answer; empty for one without texts. Raises OSError, DNSException."""
    number = secrets.randbelow(1 << 16)
    question = (from_text(name).to_wire() or b"") + struct.pack("!HH", kind, network)
    channel.send(struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question)
    while True:
        message = channel.recv(4096)
        if message[:2] == struct.pack("!H", number):
            return _texts(message)


def _texts(message: bytes) -> list[str]:
    parser = Parser(message)
    _number, _flags, questions, answers, _authority, _additional = parser.get_struct("!HHHHHH")
    for _ in range(questions):
        parser.get_name()
        parser.get_struct("!HH")
    texts = []
    for _ in range(answers):
        parser.get_name()
        kind, _network, _ttl, size = parser.get_struct("!HHIH")
        with parser.restrict_to(size):
            if kind != _TXT:
                parser.get_bytes(size)
            while parser.remaining():
                texts.append(parser.get_counted_bytes().decode())
    return texts


def _server(text: str) -> Server:
    address, asked, failed = text.split()[:3]
    return Server(address, int(asked), int(failed))


_FAILED = re.compile(r"^(?:.*: )?(?:nftset \S+ \S+ (\S+) |failed to update ipset (\S+): )", re.MULTILINE)


def failed_sets(log: str) -> Counter[str]:
    """Return how many additions to each set a log of dnsmasq says have failed."""
    return Counter(by_nft or by_ipset for by_nft, by_ipset in _FAILED.findall(log))


class FailedAdditions:
    """Reads dnsmasq's part of the journal, from the time of the first reading on."""

    def __init__(self) -> None:
        self._cursor: Optional[str] = None

    def read(self, system: System) -> Counter[str]:
        """Return the additions that failed since the last reading, by set; none where there is no journal."""
        arguments = ("--after-cursor", self._cursor) if self._cursor else ("--lines", "0")
        try:
            text = system.read(
                *("journalctl", "--unit", UNIT, "--output", "cat", "--quiet", "--no-pager", "--show-cursor"), *arguments
            )
        except SystemFailure:
            self._cursor = None  # rotated away: from now on again
            return Counter()
        lines = text.splitlines()
        found = failed_sets("\n".join(lines)) if self._cursor else Counter[str]()
        self._cursor = _cursor_of(lines) or self._cursor
        return found


def _cursor_of(lines: Iterable[str]) -> Optional[str]:
    mark = "-- cursor: "
    return next((line[len(mark) :] for line in lines if line.startswith(mark)), None)
