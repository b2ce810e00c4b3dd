# SPDX-License-Identifier: GPL-3.0-or-later
"""An authoritative name server with the faults of a real network: `responder.py FILE ADDRESS…`.

The file is JSON, and read for each question:
{"delay": seconds, "loss": share of the UDP questions that are lost, "cut": whether answers by UDP are too long for it
("always": by TCP as well),
"code": what it answers in place of addresses, "ttl": seconds, "zones": {name or "*": [addresses]}}.
Each question is a line in FILE.log.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import random
import sys
from pathlib import Path
from typing import Any, Optional

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


def answer(data: bytes, settings: dict[str, Any], datagram: bool) -> bytes:
    """Return the response to a question."""
    query = dns.message.from_wire(data)
    response = dns.message.make_response(query)
    asked = query.question[0]
    if settings.get("code"):
        response.set_rcode(dns.rcode.from_text(settings["code"]))
        return response.to_wire()
    if settings.get("cut") == "always" or (datagram and settings.get("cut")):
        response.flags |= dns.flags.TC
        return response.to_wire()
    name = asked.name.to_text(omit_final_dot=True).lower()
    zones = settings.get("zones", {})
    version = 4 if asked.rdtype == dns.rdatatype.A else 6
    found = [entry for entry in zones.get(name, zones.get("*", ())) if ipaddress.ip_address(entry).version == version]
    if name not in zones and "*" not in zones:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif found:
        response.answer.append(dns.rrset.from_text(asked.name, settings.get("ttl", 60), "IN", asked.rdtype, *found))
    return response.to_wire()


class Server(asyncio.DatagramProtocol):
    """Answers as the file says at the moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.transport: Optional[asyncio.DatagramTransport] = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        settings = self.settings(data, "udp")
        if random.random() >= settings.get("loss", 0):
            asyncio.get_running_loop().call_later(settings.get("delay", 0), self.send, data, settings, addr)

    def send(self, data: bytes, settings: dict[str, Any], addr: Any) -> None:
        assert self.transport is not None
        self.transport.sendto(answer(data, settings, datagram=True), addr)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        wire = answer(data, self.settings(data, "tcp"), datagram=False)
        writer.write(len(wire).to_bytes(2, "big") + wire)
        await writer.drain()
        writer.close()

    def settings(self, data: bytes, transport: str) -> dict[str, Any]:
        asked = dns.message.from_wire(data).question[0]
        with self.path.with_suffix(".log").open("a") as log:
            log.write(f"{transport} {asked.name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(asked.rdtype)}\n")
        return dict(json.loads(self.path.read_text()))


async def main() -> None:
    """Answer until killed."""
    server = Server(Path(sys.argv[1]))
    for host in sys.argv[2:]:
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=(host, 53))
        await asyncio.start_server(server.serve, host, 53)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
