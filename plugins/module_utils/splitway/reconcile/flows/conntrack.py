# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's table of flows over netlink: dumped once, single flows deleted.

`conntrack -D` dumps the whole table for each deletion, and one process a flow costs milliseconds.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from ...system import System, SystemFailure
from ..netlink import (
    ACK,
    DONE,
    DUMP,
    ERROR,
    INTERRUPTED,
    NESTED,
    REQUEST,
    attribute,
    attributes,
    failure_of,
    message,
    messages,
)

# linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_conntrack.h
_CTNETLINK = 1 << 8
_GET, _DELETE = _CTNETLINK | 1, _CTNETLINK | 2
_TUPLE_ORIG, _MARK, _ID, _ZONE, _MARK_MASK = 1, 8, 12, 18, 21
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUM, _PROTO_SRC_PORT, _PROTO_DST_PORT = 1, 2, 3
_FAMILIES = {socket.AF_INET: (4, 1, 2), socket.AF_INET6: (6, 3, 4)}  # version, attributes of source, destination
_BATCH = 100  # deletions in one message to the kernel; their answers must fit into the socket's buffer


@dataclass(frozen=True)
class Flow:
    """One flow as its first packet was, before any NAT."""

    family: int
    protocol: int
    source: str
    destination: str
    source_port: int  # 0 where the protocol has none
    destination_port: int
    mark: int
    identity: bytes  # netlink attributes that name just this flow

    def __str__(self) -> str:
        return f"flow {self.protocol} {self.source} {self.source_port} > {self.destination} {self.destination_port}"


def dump(system: System, mark: int = 0, mask: int = 0) -> tuple[Flow, ...]:
    """Return the flows whose mark, masked, is `mark`; the kernel sorts them out. Raises SystemFailure.

    Empty where the kernel has no connection tracking.
    """
    selection = attribute(_MARK, struct.pack(">I", mark)) + attribute(_MARK_MASK, struct.pack(">I", mask))
    try:
        with system.netfilter() as channel:
            flows, complete = _dump(channel, selection if mask else b"")
            for _ in range(4):
                if complete:
                    break
                flows, complete = _dump(channel, selection if mask else b"")
            return flows
    except OSError as error:
        if error.errno in (errno.EPROTONOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP):
            return ()
        raise SystemFailure(f"reading the flows: {error.strerror}") from error


def delete(system: System, flows: Iterable[Flow]) -> None:
    """Delete these flows; one that has ended meanwhile is no error. Raises SystemFailure."""
    todo = tuple(flows)
    system.commands.append(f"delete {len(todo)} flows")
    try:
        with system.netfilter() as channel:
            for start in range(0, len(todo), _BATCH):
                _delete(channel, todo[start : start + _BATCH])
    except OSError as error:
        raise SystemFailure(f"deleting flows: {error.strerror}") from error


def _dump(channel: socket.socket, selection: bytes) -> tuple[tuple[Flow, ...], bool]:
    channel.send(message(_GET, REQUEST | DUMP, 0, selection))
    flows: list[Flow] = []
    complete = True  # the kernel says when the table changed its size under the dump
    while True:
        for kind, flags, body in messages(channel.recv(1 << 18)):
            complete = complete and not flags & INTERRUPTED
            if kind == DONE:
                return tuple(flows), complete
            if kind == ERROR:
                raise failure_of(body)
            if body[0] in _FAMILIES:
                flows.append(_flow(body))


def _delete(channel: socket.socket, flows: tuple[Flow, ...]) -> None:
    families = {4: socket.AF_INET, 6: socket.AF_INET6}
    channel.send(b"".join(message(_DELETE, REQUEST | ACK, families[flow.family], flow.identity) for flow in flows))
    missing = len(flows)
    while missing:
        for kind, _, body in messages(channel.recv(1 << 18)):
            missing -= 1
            failure = failure_of(body) if kind == ERROR else OSError(errno.EPROTO, "unexpected answer")
            if failure.errno not in (0, errno.ENOENT):
                raise failure


def _flow(body: bytes) -> Flow:
    version, source, destination = _FAMILIES[socket.AddressFamily(body[0])]
    found = dict(attributes(body[4:]))
    parts = dict(attributes(found[_TUPLE_ORIG]))
    addresses, protocol = dict(attributes(parts[_TUPLE_IP])), dict(attributes(parts[_TUPLE_PROTO]))
    identity = attribute(_TUPLE_ORIG | NESTED, found[_TUPLE_ORIG]) + attribute(_ID, found[_ID])
    if _ZONE in found:
        identity += attribute(_ZONE, found[_ZONE])
    return Flow(
        family=version,
        protocol=protocol[_PROTO_NUM][0],
        source=socket.inet_ntop(body[0], addresses[source]),
        destination=socket.inet_ntop(body[0], addresses[destination]),
        source_port=int.from_bytes(protocol.get(_PROTO_SRC_PORT, b""), "big"),
        destination_port=int.from_bytes(protocol.get(_PROTO_DST_PORT, b""), "big"),
        mark=int.from_bytes(found.get(_MARK, b""), "big"),
        identity=identity,
    )
