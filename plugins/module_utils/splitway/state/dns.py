# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `dns`: our own dnsmasq."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .constants import DIRECT


@dataclass(frozen=True)
class Through:
    """Whom names are asked at while their egress takes one way."""

    number: int
    servers: tuple[str, ...]


@dataclass(frozen=True)
class Forward:
    """Names that are asked at resolvers of their own, and at no others."""

    domains: tuple[str, ...]  # each with all below it; the longest that matches counts
    servers: tuple[str, ...]  # "address[#port]", "…@interface" through a tunnel only, "#" as the rest; none: nowhere
    egress: int = DIRECT  # the number of the egress that the names lead to
    ways: tuple[Through, ...] = ()  # where it has a choice: the resolvers by each of its ways
    directly: tuple[str, ...] = ()  # the resolvers while it goes directly; none: it never does


@dataclass(frozen=True)
class Record:
    """A name that the gateway itself answers."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Dns:
    """Our own dnsmasq instance: bound to the clients' interface, filling the learned sets."""

    interface: str
    servers: tuple[str, ...]  # empty: the host's own resolvers (/etc/resolv.conf)
    lines: tuple[str, ...]  # complete ipset=/nftset= lines, one a domain
    max_ttl: int = 600  # seconds
    cache_size: int = 10000
    forwards: tuple[Forward, ...] = ()
    absent: tuple[str, ...] = ("use-application-dns.net",)  # names that do not exist for clients
    filtered: tuple[str, ...] = ("HTTPS", "SVCB")  # kinds of records that are left out of answers
    tls: tuple[str, ...] = ()  # "address@port#name": the servers are asked over TLS, by our forwarder
    lan: tuple[str, ...] = ()  # further interfaces of clients
    pinned_ttl: Optional[int] = None  # seconds that clients keep a pinned name's addresses; None: none is pinned
    for_host: bool = False  # whether the host's own questions come here
    records: tuple[Record, ...] = ()  # names of our own
