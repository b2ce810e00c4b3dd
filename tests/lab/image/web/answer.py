# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web server of the pretended Internet: answers every request with the address that it came from.

    answer.py [PORT CERTIFICATE KEY]

`/COUNT` is answered with so many bytes, the address again and again. With a certificate it speaks TLS.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Listens on one dual-stack socket for every address that the host plays."""

    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 256

    def server_bind(self) -> None:
        """Binds for both families, and without the name look-up of the standard library's HTTPServer."""
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "lab", self.server_address[1]


class Handler(BaseHTTPRequestHandler):
    """Answers GET with the caller's address, an IPv4 one written as such."""

    def do_GET(self) -> None:
        address = ipaddress.IPv6Address(self.client_address[0])
        body = f"{address.ipv4_mapped or address}\n".encode()
        if self.path[1:].isdigit():
            count = int(self.path[1:])
            body = (body * (count // len(body) + 1))[:count]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port, *files = sys.argv[1:] or ["80"]
    server = Server(("::", int(port)), Handler)
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
