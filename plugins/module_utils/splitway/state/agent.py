# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `agent`: what the agent on the gateway looks after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from .resolving import Resolving


@dataclass(frozen=True)
class Target:
    """What a probe asks for through a tunnel."""

    kind: str  # icmp | tcp | dns
    address: str
    port: Optional[int] = None  # tcp, dns
    name: Optional[str] = None  # dns: whose A record is asked for


@dataclass(frozen=True)
class Watch:
    """How the agent finds out whether an upstream is up."""

    upstream: str
    interface: str
    targets: tuple[Target, ...]
    interval: int = 2000  # milliseconds from one round of probes to the next
    timeout: int = 1500  # milliseconds
    down_after: int = 3  # failed rounds, one after the other
    up_after: int = 3  # good rounds, one after the other
    restart: bool = True  # whether an upstream that is down is restarted


@dataclass(frozen=True)
class Member:
    """One upstream of a group, under the number that its flows have there."""

    number: int
    upstream: str
    weight: int = 1


@dataclass(frozen=True)
class Group:
    """An upstream group; or an upstream with another way when it is down: a group of itself, with its own number."""

    number: int
    name: str
    mode: str  # failover | balance | latency
    members: tuple[Member, ...]  # failover: the best first
    on_down: str = "block"  # block | direct | egress
    fallback: Optional[int] = None  # on_down: egress; the number of an upstream or of another group
    hold: int = 60  # seconds that a better member has been up before new flows go to it
    margin: int = 20  # milliseconds by which a member must be faster than the one in use (latency)


@dataclass(frozen=True)
class CountrySource:
    """One file, or two, that say which addresses belong to which country."""

    location: str  # tor-geoipdb (Debian's package), a path, or a URL
    format: str = "tor"  # tor | rir | maxmind | csv
    checksum: str = ""  # SHA-256 that it must have; "": any


@dataclass(frozen=True)
class CountryData:
    """Where the gateway has its data of countries from."""

    sources: tuple[CountrySource, ...]
    refresh: int = 86400  # seconds from one look at them to the next


@dataclass(frozen=True)
class Agent:
    """The agent on the gateway: which engine it runs, and what it looks after."""

    engine: str  # the engine's version: a digest of its files
    watches: tuple[Watch, ...] = ()
    groups: tuple[Group, ...] = ()
    retention: int = 43200  # seconds
    warm_up: bool = True  # whether the lists' names are resolved at start
    metrics: Optional[str] = None  # "address:port" of the exporter
    access_log: Optional[int] = None  # days that it is kept; None: off
    log_level: str = "info"  # one of log_levels.LEVELS
    countries: Optional[CountryData] = None  # where the data of countries in use comes from; None: none is in use
    modes: tuple[str, ...] = ("wireguard",)  # the operator's, then those that the agent may fall back to
    resolving: Resolving = field(default_factory=Resolving)
    folders: tuple[str, ...] = ()  # that it writes, beside those of every agent
    follows: str = ""  # the container whose network the gateway is in; "": none
