# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client tries, run on the client itself: a connection, and packets with an address that is not its own."""

from __future__ import annotations

import json
from dataclasses import dataclass

from labkit.hosts import host

TRIES = 3  # within which somebody is told at once that was told late: perhaps the machine stood still
_CONNECT = """
import json, socket, sys, time
kind, where, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in where else socket.AF_INET
asker = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
asker.settimeout(3)
begun = time.monotonic()
try:
    asker.connect((where, port))
    if kind == "udp":
        asker.send(bytes(1200))
        asker.recv(100)
    outcome = "connected"
except OSError as error:
    outcome = type(error).__name__
print(json.dumps([outcome, time.monotonic() - begun]))
"""

_PING = """
import socket, struct, sys
where = sys.argv[1]
six = ":" in where
kind, protocol, ask, answer = (socket.AF_INET6, 58, 128, 129) if six else (socket.AF_INET, 1, 8, 0)
asker = socket.socket(kind, socket.SOCK_RAW, protocol)
asker.settimeout(2)
message = struct.pack(">BBHHH", ask, 0, 0, 4711, 1)
total = sum(struct.unpack(">4H", message))
message = message[:2] + struct.pack(">H", 0xffff - (total & 0xffff) - (total >> 16)) + message[4:]
asker.sendto(message, (where, 0))
try:
    while True:
        got, origin = asker.recvfrom(200)
        got = got if six else got[20:]
        if origin[0] == where and got[0] == answer and got[4:6] == message[4:6]:
            print("answered")
            break
except TimeoutError:
    pass
"""

# UDP from any source. The kernel fills in the IPv4 header's length and checksum; UDP's own is left out or made here.
_FORGE = """
import socket, struct, sys
source, where, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
six = ":" in where
kind = socket.AF_INET6 if six else socket.AF_INET
ends = socket.inet_pton(kind, source) + socket.inet_pton(kind, where)
body = struct.pack(">HHHH", 4000, port, 12, 0) + b"fake"
total = sum(struct.unpack(f">{(len(ends) + len(body)) // 2}H", ends + body)) + socket.IPPROTO_UDP + 12
while total >> 16:
    total = (total & 0xffff) + (total >> 16)
body = body[:6] + struct.pack(">H", 0xffff - total or 0xffff) + body[8:]
if six:
    packet = struct.pack(">IHBB", 6 << 28, 12, socket.IPPROTO_UDP, 64) + ends + body
else:
    packet = struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends + body
sender = socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tunnel")
for _ in range(3):
    sender.sendto(packet, (where, 0))
"""


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt."""

    what: str  # "connected", or the name of the error
    seconds: float

    @property
    def refused_at_once(self) -> bool:
        """Whether the client was told at once that it gets nothing there."""
        return self.what == "ConnectionRefusedError" and self.seconds < 1


def connect(client: str, kind: str, where: str, port: int) -> Outcome:
    """Returns what comes of a connection (tcp), or of a datagram as QUIC's first (udp)."""
    answer = host(client).check_output("python3 -c %s %s %s %s", _CONNECT, kind, where, str(port))
    return Outcome(*json.loads(answer))


def refused_at_once(client: str, kind: str, where: str, port: int) -> bool:
    """Returns whether a client is told at once that it gets nothing there."""
    return any(connect(client, kind, where, port).refused_at_once for _ in range(TRIES))


def ping(client: str, where: str) -> bool:
    """Returns whether a ping is answered."""
    return "answered" in host(client).check_output("python3 -c %s %s", _PING, where)


def forge(client: str, source: str, where: str, port: int) -> None:
    """Sends datagrams with this source into the client's tunnel."""
    host(client).check_output("python3 -c %s %s %s %s", _FORGE, source, where, str(port))
