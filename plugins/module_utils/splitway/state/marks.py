# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `marks`: client → policy → mark, what holds for all clients, and where marks lead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from ..schedules import Schedule
from ..services import Ports
from .constants import FAMILIES
from .ports import PortRange


@dataclass(frozen=True)
class Way:
    """Where a share of an egress's new flows goes: they get this number's mark."""

    number: int
    weight: int = 1


@dataclass(frozen=True)
class Egress:
    """One way out: its number is its mark and its table.

    An upstream group has a number, and one for each of its members ("group/upstream"), so that a flow's mark
    tells which member it is on. Flows have the group's own number only while none of its members is up.
    """

    number: int
    name: str
    interface: Optional[str] = None  # None: direct (number 0), block, or a group
    nat: bool = True
    ways: tuple[Way, ...] = ()  # what new flows get; empty: this number, always. Else a choice may replace them
    may_use: tuple[int, ...] = ()  # numbers that a choice may give, beside its own
    may_go_direct: bool = False  # on_down: direct
    direct: bool = False  # by a choice: leaves by the host's own routes now
    families: tuple[int, ...] = FAMILIES  # those that its table leads anywhere; packets of the others are refused


@dataclass(frozen=True)
class MarkRule:
    """The first of a policy's rules that a flow's first packet meets in all its parts gives the egress number."""

    sets: tuple[str, ...]  # one of them holds the destination; none: any destination does
    egress: int
    also: tuple[tuple[str, ...], ...] = ()  # as do one of these, and one of these, …
    protocols: tuple[str, ...] = ()
    ports: tuple[Ports, ...] = ()  # of the destination
    schedule: Optional[Schedule] = None
    active: bool = True  # whether the schedule is in force: the host's to know (present.py)


@dataclass(frozen=True)
class MarkPolicy:
    """One distinct policy, for one family."""

    number: int  # stable on this host, 1 … capacity of the mask
    name: str  # one of its owners, in the operator's words
    rules: tuple[MarkRule, ...]
    default: int
    # Rules for destinations inside the special (private, link-local, …) ranges; after them: direct.
    special: tuple[MarkRule, ...] = ()


@dataclass(frozen=True)
class FamilyMarks:
    """Client → policy → mark, for one family."""

    clients: dict[str, int] = field(default_factory=dict)  # address → policy number
    policies: tuple[MarkPolicy, ...] = ()
    special: str = ""  # the set of ranges that ordinary rules do not reach


@dataclass(frozen=True)
class LanNetwork:
    """A network whose packets that come in by an interface have one policy or none, whoever of it sends them."""

    interface: str
    network: str
    policy: Optional[int]  # its number; None: they are refused


@dataclass(frozen=True)
class OpenPort:
    """Ports of the gateway that clients may reach."""

    protocol: str  # tcp | udp
    low: int
    high: int


@dataclass(frozen=True)
class ProxyAccount:
    """Whom a proxy's programs run as: its connections have the proxy's policy, or they leave this host not at all."""

    user: str
    policy: Optional[int]  # its number; None: what carries its connections further is on this host
    listens: tuple[PortRange, ...] = ()  # where its clients come in
    asks: tuple[PortRange, ...] = ()  # of 127.0.0.1, where its connections are carried further
    account: Optional[int] = None  # the user's number, which the host knows


@dataclass(frozen=True)
class Host:
    """The gateway's own connections: those of proxies by the proxy's policy, all others by one, or left alone."""

    policy: Optional[int]  # the number of that of all others; None: they are left alone
    resolvers: tuple[str, ...]  # where our dnsmasq answers: at most one address a family
    users: tuple[str, ...] = ()  # of our own resolvers, whose questions go out as they are
    accounts: tuple[int, ...] = ()  # the numbers of these users, which the host knows
    proxies: tuple[ProxyAccount, ...] = ()


@dataclass(frozen=True)
class ClientGuard:
    """What holds for every client, whatever its policy says, and for what the gateway forwards for others."""

    redirect_dns: bool = False  # the gateway answers what clients send to port 53, wherever they send it
    refuse_dot: bool = False  # DNS over TLS and over QUIC
    doh_v4: str = ""  # the set of resolvers over HTTPS that are refused; empty: none
    doh_v6: str = ""
    isolate: bool = False  # clients do not reach each other
    ports: Optional[tuple[OpenPort, ...]] = None  # of the gateway, beside DNS and ping; None: all
    services: tuple[PortRange, ...] = ()  # TCP ports of our own daemons, which the host chooses: open as well
    resolvers: tuple[str, ...] = ()  # the gateway's addresses at which clients may ask
    protect_clients: bool = False  # only clients begin connections to clients
    refuse_others: tuple[int, ...] = ()  # families in which nothing is forwarded that is neither from nor to clients
    others_as_before: bool = False  # such a family is also one in which this host forwarded nothing before us
    foreign_drop: str = "ignore"  # fail | warn | ignore: what a run does where rules of others stop clients' packets

    def doh(self, version: int) -> str:
        return self.doh_v4 if version == 4 else self.doh_v6


@dataclass(frozen=True)
class TunnelMtu:
    """How large a packet in a tunnel may be."""

    interface: str
    mtu: int  # bytes
    endpoint: str = ""  # what the agent finds for the path to there comes before `mtu`; "": nothing does
    upstream: str = ""
    transport: str = "udp"  # of the tunnel: udp | websocket | auto


@dataclass(frozen=True)
class Marks:
    """Classification of what comes in from clients, the guard in the forward hook, and NAT."""

    interface: str  # the clients' interface
    tunnels: str  # prefix of upstream interfaces, e.g. "wg-up-"
    mask: int
    egresses: tuple[Egress, ...]
    v4: FamilyMarks
    v6: FamilyMarks
    # Static networks by set name, where the backend keeps them in the chains (nftables).
    networks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tunnel_mtus: tuple[TunnelMtu, ...] = ()  # to which TCP segments are clamped
    lan: tuple[LanNetwork, ...] = ()  # the longest prefixes first: the first that holds a source decides
    # Of the clients' interface: who is there and is no client. The first that holds a source decides; none: refused.
    unknown: tuple[LanNetwork, ...] = ()
    host: Optional[Host] = None
    countries: dict[str, str] = field(default_factory=dict)  # set name → the country that it stands for
    guard: ClientGuard = ClientGuard()

    def family(self, version: int) -> FamilyMarks:
        return self.v4 if version == 4 else self.v6
