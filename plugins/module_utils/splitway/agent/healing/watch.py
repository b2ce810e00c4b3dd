# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of itself: netlink events, as the names of sections that somebody may have changed.

Only the type of an event and whom it concerns are looked at. What really differs is the reconciler's to find
out; so a lost or an odd event costs one look too many, or waits for the next one.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from ...reconcile import nft
from ...reconcile.marks.nftables import LOOKUPS
from ...reconcile.netlink import attributes, messages
from ...reconcile.qos.model import DEVICE
from ...state import SECTIONS, State
from ...system import NETLINK_NETFILTER
from ..sockets import join

# linux/rtnetlink.h, linux/netfilter/nfnetlink.h
_ROUTE_GROUPS = (1, 4, 5, 7, 8, 9, 11, 19, 24, 25)  # link; queues; addresses, routes, rules of both families; netconf
_NFTABLES_GROUP = 7
_LINKS, _ADDRESSES, _ROUTES, _RULES, _NETCONF = (16, 17), (20, 21), (24, 25), (32, 33), (80, 81)
_QUEUES = (36, 37, 40, 41)  # and classes
_NFTABLES = 10  # the subsystem of a netfilter message
_NETDEV = 5  # the family of our table of rates
_SET_MESSAGES = (2, 11)  # delete table, set
_ELEMENTS_ADDED, _ELEMENTS_GONE = 12, 14
_GENERATION = _NFTABLES << 8 | 15
_LINK_NAME, _ROUTE_TABLE = 3, 15
_TABLE, _SET = 1, 2

TUNNELS = frozenset(("upstreams", "server", "routes"))
QUEUES = frozenset(("qos",))
NOTHING: frozenset[str] = frozenset()
TABLES = frozenset(("splitway", "mangle", "filter", "nat"))  # ours, and those of iptables that have chains of ours

Heard = frozenset[str]


@dataclass(frozen=True)
class Ours:
    """What of the kernel concerns us, by the state."""

    interfaces: frozenset[str]
    tables: frozenset[int]
    queueing: frozenset[str] = frozenset()  # interfaces that queue for clients with a rate


def ours(state: State) -> Ours:
    """Return what a state has in the kernel that events can name."""
    queueing = (state.qos.interface, DEVICE) if state.qos is not None else ()
    devices = (*state.upstreams, *((state.server,) if state.server else ()))
    return Ours(
        frozenset(device.interface for device in devices),
        frozenset(table.number for table in state.routes.tables),
        frozenset(queueing),
    )


class Events:
    """The two sockets on which the kernel tells of changes."""

    def __init__(self) -> None:
        self.heard: Optional[int] = None  # the change of nftables up to which all were heard of; None: not known
        self.elements = 0  # how often something came into a learned set, or was taken out
        self.route = _listener(socket.NETLINK_ROUTE, _ROUTE_GROUPS)
        self.nftables = _listener(NETLINK_NETFILTER, (_NFTABLES_GROUP,))

    def read(self, about: Ours) -> Heard:
        """Return the sections that what was said since the last time may concern; never waits."""
        heard: set[str] = set()
        for channel, sections in ((self.route, _routing_sections), (self.nftables, self._nftables_sections)):
            for data in _received(channel):
                if data is None:  # more than the socket could hold
                    self.heard = None
                    return frozenset(SECTIONS)
                for kind, _flags, body in messages(data):
                    heard |= sections(kind, body, about)
        return frozenset(heard)

    def _nftables_sections(self, kind: int, body: bytes, about: Ours) -> Heard:
        message = kind & 0xFF
        if kind == _GENERATION:
            missed = self._count(nft.generation_of(body))
            return missed | QUEUES if missed and about.queueing else missed
        if kind >> 8 != _NFTABLES or _text(body, _TABLE) not in TABLES:
            return frozenset()
        if body[0] == _NETDEV:
            return QUEUES
        if message in (_ELEMENTS_ADDED, _ELEMENTS_GONE):
            if _text(body, _SET) in LOOKUPS.values():
                return frozenset(("marks",))
            self.elements += 1
            # Added by dnsmasq. Gone by the agent's own work for the most part: to refresh an address is to delete it.
            return frozenset(("sets",) if message == _ELEMENTS_GONE else ())
        return frozenset(("marks", "sets")) if message in _SET_MESSAGES else frozenset(("marks",))

    def _count(self, number: int) -> Heard:
        """Take the number that ends what is told of one change: each is the one before it and one."""
        missed = self.heard is not None and number > self.heard + 1
        if self.heard is not None:
            self.heard = number
        return frozenset(("marks", "sets")) if missed else frozenset()

    def close(self) -> None:
        self.route.close()
        self.nftables.close()


def _listener(protocol: int, groups: tuple[int, ...]) -> socket.socket:
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    channel.bind((0, 0))
    for group in groups:
        join(channel, group)
    return channel


def _received(channel: socket.socket) -> Iterator[Optional[bytes]]:
    """Yield what lies in the socket; None when some of it was lost."""
    while True:
        try:
            yield channel.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            yield None


def _routing_sections(kind: int, body: bytes, about: Ours) -> Heard:
    if kind in _LINKS:
        name = _attribute(body[16:], _LINK_NAME).rstrip(b"\0").decode(errors="replace")
        return (TUNNELS if name in about.interfaces else NOTHING) | (QUEUES if name in about.queueing else NOTHING)
    if kind in _QUEUES:
        return QUEUES if _interface(body) in about.queueing else NOTHING
    if kind in _ADDRESSES:
        return TUNNELS if _interface(body) in about.interfaces else frozenset()
    if kind in _ROUTES:
        table = _attribute(body[12:], _ROUTE_TABLE)
        number = struct.unpack("=I", table)[0] if len(table) == 4 else body[4]
        return frozenset(("routes",)) if number in about.tables else frozenset()
    if kind in _RULES:
        return frozenset(("routes",))
    return TUNNELS if kind in _NETCONF else frozenset()


def _interface(body: bytes) -> str:
    """Return the interface of an address message; nothing when it is gone, which another message says."""
    try:
        return socket.if_indextoname(struct.unpack_from("=I", body, 4)[0])
    except OSError:
        return ""


def _text(body: bytes, wanted: int) -> str:
    """Return a name in a message of nftables."""
    return _attribute(body[4:], wanted).rstrip(b"\0").decode(errors="replace")


def _attribute(data: bytes, wanted: int) -> bytes:
    """Return the value of the first attribute of a kind, empty when there is none."""
    return next((value for kind, value in attributes(data) if kind == wanted), b"")
