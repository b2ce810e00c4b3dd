# SPDX-License-Identifier: GPL-3.0-or-later
"""Small UDP packets of many flows, sent as fast as one processor can: its time is the time of forwarding them.

A frame put on one end of a veth pair, or a packet written to a tun device, is received, routed, filtered and put on the
next device before the system call ends, all on the sender's processor. So the processor time of this thread is what the
packets cost, whoever else uses the machine. pktgen would need a kernel module that many kernels do not have.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

_BATCH = 1024  # messages a call, the kernel's limit (UIO_MAXIOV)
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20  # linux/socket.h, linux/if_packet.h
_PAYLOAD = b"\0" * 18  # of a frame of 60 bytes, the smallest on a wire
_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("sent", ctypes.c_uint32))


@dataclass(frozen=True)
class Flow:
    """One flow's five-tuple; UDP, IPv4."""

    source: str
    source_port: int
    destination: str
    destination_port: int = 443

    def reversed(self) -> Flow:
        """Return the flow of the replies, where nobody translates addresses."""
        return Flow(self.destination, self.destination_port, self.source, self.source_port)


class TunnelSender:
    """One packet each of some flows, ready to be written to tun devices again and again."""

    def __init__(self, flows: Sequence[tuple[int, Flow]]) -> None:
        """`flows`: with the descriptor of the device out of which they come."""
        self._packets = [(descriptor, _packet(flow)) for descriptor, flow in flows]

    def send(self, count: int) -> float:
        """Send this many packets, the flows in turn, and return the seconds of processor time that it took."""
        started = time.thread_time()
        write = os.write
        for descriptor, packet in itertools.islice(itertools.cycle(self._packets), count):
            write(descriptor, packet)
        return time.thread_time() - started


class WireSender:
    """The packets of some flows, one each, ready to be sent by an interface of this namespace again and again."""

    def __init__(self, interface: str, hardware_address: str, flows: Sequence[Flow]) -> None:
        """`hardware_address`: of the interface that receives them."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
        self._socket.bind((interface, 0))
        receiver = bytes.fromhex(hardware_address.replace(":", ""))
        frames = [_frame(receiver, flow) for flow in flows]
        frames *= -(-_BATCH // len(frames))  # whole batches, also of few flows
        self._frames = ctypes.create_string_buffer(b"".join(frames))
        self._vectors = (_Vector * len(frames))()
        self._messages = (_Message * len(frames))()
        size = len(frames[0])
        for index, message in enumerate(self._messages):
            self._vectors[index] = _Vector(ctypes.addressof(self._frames) + index * size, size)
            message.header.vectors = ctypes.addressof(self._vectors) + index * ctypes.sizeof(_Vector)
            message.header.vector_count = 1

    def send(self, count: int) -> float:
        """Send this many packets, the flows in turn, and return the seconds of processor time that it took."""
        started = time.thread_time()
        place = 0
        while count > 0:
            batch = min(_BATCH, count, len(self._messages) - place)
            at = ctypes.byref(self._messages, place * ctypes.sizeof(_Message))
            sent = _libc.sendmmsg(self._socket.fileno(), at, batch, 0)
            if sent <= 0:
                raise OSError(ctypes.get_errno(), f"sendmmsg: {os.strerror(ctypes.get_errno())}")
            count -= sent
            place = (place + sent) % len(self._messages)
        return time.thread_time() - started

    def close(self) -> None:
        self._socket.close()


def _frame(receiver: bytes, flow: Flow) -> bytes:
    return receiver + b"\x02\0\0\0\0\x01" + b"\x08\0" + _packet(flow)


def _packet(flow: Flow) -> bytes:
    source, destination = socket.inet_aton(flow.source), socket.inet_aton(flow.destination)
    length = 28 + len(_PAYLOAD)
    # The UDP checksum is left out (0), which IPv4 allows.
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, source, destination)
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    datagram = struct.pack("!HHHH", flow.source_port, flow.destination_port, 8 + len(_PAYLOAD), 0) + _PAYLOAD
    return header + datagram


def _checksum(header: bytes) -> int:
    total = sum(struct.unpack("!10H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
