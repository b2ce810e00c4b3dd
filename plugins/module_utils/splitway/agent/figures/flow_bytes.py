# SPDX-License-Identifier: GPL-3.0-or-later
"""How many bytes classified flows moved, from the kernel: those that end, as events; those that live, on request.

Connection tracking counts when the parameter nf_conntrack_acct is 1 (reconcile/routes/sysctl.py). A flow that ends
costs us its event and nothing else: the kernel sorts out the flows that are not clients'.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple, Optional, Union

from ...reconcile import netlink
from ...state import classified_bit
from ...system import NETLINK_NETFILTER, System, SystemFailure
from ..sockets import BUFFER_FORCE, attach, join

BUFFER = 1 << 22  # bytes; some 6,500 flows that ended (measured), whatever they moved

# linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_conntrack.h
_CTNETLINK = 1 << 8
_GET = _CTNETLINK | 1
_DESTROY_GROUP = 3
_TUPLE, _MARK, _SENT, _RECEIVED, _MARK_MASK = 1, 8, 9, 10, 21
_HEADER = 20  # bytes: netlink's header and netfilter's

# linux/bpf_common.h; linux/filter.h: SKF_AD_OFF + SKF_AD_NLATTR
_LOAD, _LOAD_X, _LOAD_WORD, _LOAD_WORD_AT_X, _A_TO_X = 0x00, 0x01, 0x20, 0x40, 0x07
_IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x15, 0x45, 0x06
_FIND_ATTRIBUTE = 0xFFFFF00C

_header = struct.Struct("=HH").unpack_from
_number = struct.Struct(">Q").unpack_from


class FlowBytes(NamedTuple):
    """One flow: its client's address, packed, its mark, and the bytes of both directions."""

    source: bytes
    mark: int
    bytes: int


class EndedFlows:
    """The socket on which the kernel tells of classified flows that end."""

    def __init__(self, mask: int) -> None:
        """Listen from now on. Raises OSError without CAP_NET_ADMIN."""
        self.lost = 0  # times that there were more than the socket could hold
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER)
        self._buffer = bytearray(1 << 16)
        attach(self._socket, _filter(classified_bit(mask)))
        self._socket.setsockopt(socket.SOL_SOCKET, BUFFER_FORCE, BUFFER)
        self._socket.bind((0, 0))
        join(self._socket, _DESTROY_GROUP)

    def read(self) -> Iterator[FlowBytes]:
        """Yield the flows that ended since the last time; never waits."""
        buffer, receive = self._buffer, self._socket.recv_into
        while True:
            try:
                size = receive(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            flow = parse(buffer, 0, size)
            if flow is not None:
                yield flow

    def close(self) -> None:
        self._socket.close()


def living(system: System, mask: int) -> Iterator[FlowBytes]:
    """Yield the classified flows that have not ended. Raises SystemFailure."""
    bit = struct.pack(">I", classified_bit(mask))
    selection = netlink.attribute(_MARK, bit) + netlink.attribute(_MARK_MASK, bit)
    try:
        with system.netfilter() as channel:
            channel.send(netlink.message(_GET, netlink.REQUEST | netlink.DUMP, 0, selection))
            yield from _answers(channel)
    except OSError as error:
        raise SystemFailure(f"reading the flows: {error.strerror}") from error


def _answers(channel: socket.socket) -> Iterator[FlowBytes]:
    while True:
        data = channel.recv(1 << 18)
        position = 0
        while position + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, position)
            if kind == netlink.DONE:
                return
            if kind == netlink.ERROR:
                raise netlink.failure_of(data[position + 16 : position + length])
            flow = parse(data, position, position + length)
            if flow is not None:
                yield flow
            position += (length + 3) & ~3


def parse(data: Union[bytes, bytearray], start: int, end: int) -> Optional[FlowBytes]:
    """Return the flow of one message of connection tracking; None when it has no counters, or is something else."""
    source, mark, total, counted = b"", 0, 0, False
    position = start + _HEADER
    while position + 4 <= end:
        length, kind = _header(data, position)
        kind &= 0x3FFF
        if length < 4:
            return None
        if kind == _TUPLE:
            # Inside: the addresses, in them the source first; 4 bytes of header each.
            size = _header(data, position + 8)[0] - 4
            source = bytes(data[position + 12 : position + 12 + size])
        elif kind == _MARK:
            mark = int.from_bytes(data[position + 4 : position + 8], "big")
        elif kind in (_SENT, _RECEIVED):
            # Inside: packets, then bytes, 12 bytes each.
            total += _number(data, position + 20)[0]
            counted = True
        position += (length + 3) & ~3
    return FlowBytes(source, mark, total) if counted else None


def _filter(bit: int) -> bytes:
    """Return the kernel's filter of events: only flows whose mark has the bit are told to us."""
    lines = (
        (_LOAD, 0, 0, _HEADER),
        (_LOAD_X, 0, 0, _MARK),
        (_LOAD_WORD, 0, 0, _FIND_ATTRIBUTE),
        (_IF_EQUAL, 4, 0, 0),
        (_A_TO_X, 0, 0, 0),
        (_LOAD_WORD_AT_X, 0, 0, 4),
        (_IF_ANY_BIT, 0, 1, bit),
        (_RETURN, 0, 0, 0xFFFFFFFF),
        (_RETURN, 0, 0, 0),
    )
    return b"".join(struct.pack("HBBI", *line) for line in lines)
