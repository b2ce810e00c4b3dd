# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long-lived flows of a client, which notice what happens to them: a UDP stream and a TCP connection a target.

    flows.py '[["google.com", 4], …]' FILE

Each asks five or ten times a second and is answered with the address that the other end sees. FILE is written five
times a second: what became of each flow so far, by the wall's clock.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

PORT = 4000
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
DATAGRAMS, LINES = 0.1, 0.2  # seconds between them
PAUSE = 0.5  # seconds without an answer that are worth noting
PATIENCE = 15.0  # seconds without an answer after which a connection is given up


@dataclass
class Flow:
    """One flow, and what became of it."""

    kind: str
    target: str
    family: int
    address: str
    seen: str | None = None  # whom the other end sees
    last: float = 0.0  # when it was answered last
    moves: list[tuple[float, str]] = field(default_factory=list)  # when it was first seen as somebody else, and as whom
    pauses: list[tuple[float, float]] = field(default_factory=list)  # from the last answer before to the first after
    ends: list[tuple[float, str]] = field(default_factory=list)  # when and how its connections ended

    def answered(self, seen: str) -> None:
        """Notes an answer, and by whom it was asked in the other end's eyes."""
        now = time.time()
        if self.last and now - self.last > PAUSE:
            self.pauses.append((self.last, now))
        if self.seen is not None and seen != self.seen:
            self.moves.append((now, seen))
        self.seen, self.last = seen, now


class Stream(asyncio.DatagramProtocol):
    """The receiving side of a UDP stream. Errors are pauses and nothing more."""

    def __init__(self, flow: Flow) -> None:
        self.flow, self.newest = flow, 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        number, seen = data.decode().split()
        if int(number) > self.newest:  # a late one says how it was
            self.newest = int(number)
            self.flow.answered(seen)

    def error_received(self, exc: Exception) -> None:
        del exc


async def stream(flow: Flow) -> None:
    """Sends numbered datagrams for ever, from one port."""
    transport, _protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Stream(flow), remote_addr=(flow.address, PORT)
    )
    number = 0
    while True:
        number += 1
        transport.sendto(str(number).encode())
        await asyncio.sleep(DATAGRAMS)


async def connect(flow: Flow) -> None:
    """Keeps a connection for as long as it lives, then the next one."""
    while True:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(flow.address, PORT), 3.0)
        except (OSError, asyncio.TimeoutError):
            await asyncio.sleep(LINES)
            continue
        try:
            await _talk(flow, reader, writer)
        except (OSError, asyncio.TimeoutError) as error:
            flow.ends.append((time.time(), f"{type(error).__name__}: {error}"))
        finally:
            writer.transport.abort()
        # The next connection may go another way: that is no move of this one.
        flow.seen = None


async def _talk(flow: Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"\n")
        line = await asyncio.wait_for(reader.readline(), PATIENCE)
        if not line:
            raise ConnectionError("the other end closed it")
        flow.answered(line.decode().strip())
        await asyncio.sleep(LINES)


async def tell(flows: list[Flow], path: Path) -> None:
    """Writes what became of all flows, for ever."""
    beside = path.with_suffix(".new")
    while True:
        beside.write_text(json.dumps([asdict(flow) for flow in flows]), encoding="utf-8")
        beside.replace(path)
        await asyncio.sleep(0.2)


def address_of(target: str, family: int) -> str:
    """Returns the first address of a target; waits for the name to be answered."""
    while True:
        try:
            found = socket.getaddrinfo(target, PORT, FAMILIES[family], socket.SOCK_STREAM)
            return min(str(entry[4][0]) for entry in found)
        except socket.gaierror:
            time.sleep(0.5)


async def main() -> None:
    """Runs all flows."""
    targets = [(target, family, address_of(target, family)) for target, family in json.loads(sys.argv[1])]
    flows = [Flow(kind, *target) for kind in ("udp", "tcp") for target in targets]
    runners = [stream(flow) if flow.kind == "udp" else connect(flow) for flow in flows]
    await asyncio.gather(*runners, tell(flows, Path(sys.argv[2])))


if __name__ == "__main__":
    asyncio.run(main())
