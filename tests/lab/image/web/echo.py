# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of long-lived flows: answers each datagram on UDP port 4000, and each line on TCP port 4000, with the
address that it came from. A datagram's own words come back before that."""

from __future__ import annotations

import socket
import threading
from ipaddress import IPv6Address
from socketserver import StreamRequestHandler, ThreadingTCPServer

PORT = 4000
IPV6_FREEBIND = 78  # linux/in6.h


def written(address: str) -> bytes:
    """Returns an address as text, an IPv4 one as such."""
    found = IPv6Address(address.partition("%")[0])
    return str(found.ipv4_mapped or found).encode()


def answer_datagrams() -> None:
    """Answers from the address that was asked."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as channel:
        channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        channel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        # The host plays whole networks: their IPv6 addresses are on none of its interfaces.
        channel.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        channel.bind(("::", PORT))
        while True:
            data, ancillary, _flags, sender = channel.recvmsg(2048, socket.CMSG_SPACE(20))
            # struct in6_pktinfo: the address asked, and an interface, which routing shall choose.
            asked = [(level, kind, body[:16] + bytes(4)) for level, kind, body in ancillary]
            try:
                channel.sendmsg([data, b" ", written(sender[0])], asked, 0, sender)
            except OSError:
                pass  # it cannot be reached any more


class Server(ThreadingTCPServer):
    """Listens on one dual-stack socket for every address that the host plays."""

    address_family = socket.AF_INET6
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256


class Handler(StreamRequestHandler):
    """Answers line by line until the caller ends."""

    def handle(self) -> None:
        try:
            for _line in self.rfile:
                self.wfile.write(written(self.client_address[0]) + b"\n")
        except OSError:
            pass  # reset by one of the hosts on the way


if __name__ == "__main__":
    threading.Thread(target=answer_datagrams, daemon=True).start()
    Server(("::", PORT), Handler).serve_forever()
