# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers that our dnsmasq gives to clients, read as they leave: from the wire, never from dnsmasq.

A packet socket on the clients' interface gets a copy of each answer. If the agent hangs, the kernel drops copies;
dnsmasq and the clients do not notice. What is missed: an answer over TCP that does not fit into one segment, and one
whose UDP packet was fragmented (dnsmasq sends at most 1232 bytes). Its addresses are in the sets all the same:
dnsmasq put them there.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Optional

from dns.exception import DNSException
from dns.wire import Parser

from ...state import State
from ..sockets import BUFFER_FORCE, attach
from .packet_filter import answers_from

PORT = 53
AT_ONCE = 200  # packets that one call of `read` takes: the caller has other things to do
_BUFFER = 1 << 23  # bytes; about 6,400 answers

_ALL = 3  # linux/if_ether.h: ETH_P_ALL; what leaves is shown to no narrower protocol
_SOL_PACKET, _STATISTICS = 263, 6  # linux/socket.h; linux/if_packet.h: PACKET_STATISTICS

_RESPONSE, _OPCODE, _TRUNCATED, _CODE = 0x8000, 0x7800, 0x0200, 0x000F
_IN, _ADDRESSES = 1, {1: (socket.AF_INET, 4), 28: (socket.AF_INET6, 16)}


@dataclass(frozen=True)
class Answer:
    """One answer with addresses. All of them belong to the name that was asked for, whatever CNAMEs led there."""

    client: str
    name: str  # lower case, no dot at the end
    addresses: tuple[str, ...]


def places(state: State) -> dict[str, Optional[tuple[str, ...]]]:
    """Return where our dnsmasq answers: interface → the addresses from which it does; None: from whichever were asked.

    A question that was redirected is answered with the address that it was sent to.
    """
    if state.server is None:
        return {}
    redirected = state.marks is not None and state.marks.guard.redirect_dns
    found: dict[str, Optional[tuple[str, ...]]] = {state.server.interface: state.server.addresses}
    if redirected:
        found[state.server.interface] = None
    if state.dns is not None:
        found.update(dict.fromkeys((*state.dns.lan, *(("lo",) if state.dns.for_host else ()))))
    return found


class Answers:
    """A packet socket that sees what leaves from port 53 of the server's addresses."""

    def __init__(self, addresses: Optional[Iterable[str]]) -> None:
        """`addresses`: those of the server, with or without prefix length; None: any, where nobody else answers.

        Raises OSError without CAP_NET_RAW.
        """
        self.dropped = 0  # packets that the kernel had no room for
        # Protocol 0: nothing is received before the filter is there and an interface is bound.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        known = None if addresses is None else tuple(ipaddress.ip_interface(address).ip for address in addresses)
        attach(self.socket, answers_from(known, PORT))
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, BUFFER_FORCE, _BUFFER)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

    def bind(self, interface: str) -> bool:
        """Listen on an interface; return whether it is there.

        Called again it follows an interface that was made anew, and does nothing when it was not.
        """
        try:
            self.socket.bind((interface, _ALL))
        except OSError:  # no such device
            return False
        return True

    def waiting(self) -> bool:
        """Return whether something has come; never waits."""
        poll = select.poll()  # select() takes no descriptor above 1,023, which an agent of many upstreams has
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def read(self) -> list[Answer]:
        """Return what has come, of at most AT_ONCE packets; never waits."""
        found: list[Answer] = []
        for _ in range(AT_ONCE):
            try:
                packet = self.socket.recv(0xFFFF)
            except OSError:  # nothing more; or, once, that the interface went down
                break
            found += parse(packet)
        return found

    def count_dropped(self) -> int:
        """Return how many packets were dropped since the socket was made."""
        _packets, drops = struct.unpack("II", self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        self.dropped += drops  # the kernel counts anew after each question
        return self.dropped

    def close(self) -> None:
        self.socket.close()


def parse(packet: bytes) -> list[Answer]:
    """Return the answers in an IP packet that a DNS server sent; none in whatever else it is."""
    try:
        if packet[0] >> 4 == 4:
            protocol, client, body = packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20]), (packet[0] & 15) * 4
        else:
            protocol, client, body = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), 40
        messages = [packet[body + 8 :]] if protocol == socket.IPPROTO_UDP else list(_segment(packet[body:]))
    except (IndexError, ValueError):
        return []
    read = (parse_message(message) for message in messages)
    return [Answer(client, *answer) for answer in read if answer is not None]


def _segment(segment: bytes) -> Iterator[bytes]:
    """Yield the whole messages of a TCP segment that begins with one."""
    data = segment[(segment[12] >> 4) * 4 :]
    while len(data) > 2:
        end = 2 + int.from_bytes(data[:2], "big")
        if end > len(data):
            return
        yield data[2:end]
        data = data[end:]


def parse_message(message: bytes) -> Optional[tuple[str, tuple[str, ...]]]:
    """Return the name that was asked for and the addresses of the answer, None when it has none.

    dnspython reads names and bounds; its whole message would take four times as long (132 µs, here 31).
    """
    parser = Parser(message)
    try:
        _id, flags, questions, answers, _authority, _additional = parser.get_struct("!HHHHHH")
        refused = flags & (_OPCODE | _TRUNCATED | _CODE)
        if not flags & _RESPONSE or refused or questions != 1:
            return None
        name = parser.get_name().to_text(omit_final_dot=True).lower()
        parser.get_struct("!HH")
        addresses = tuple(dict.fromkeys(address for address, _ttl in addresses_of(parser, answers)))
    except DNSException:
        return None
    return (name, addresses) if addresses else None


def addresses_of(parser: Parser, count: int) -> Iterator[tuple[str, int]]:
    """Yield the addresses in the next `count` records, each with its time to live (seconds). Raises DNSException."""
    for _ in range(count):
        parser.get_name()
        kind, network, ttl, size = parser.get_struct("!HHIH")
        data = parser.get_bytes(size)
        family, length = _ADDRESSES.get(kind, (0, -1))
        if network == _IN and size == length:
            yield socket.inet_ntop(family, data), ttl
