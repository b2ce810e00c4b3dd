# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets that are warm: the lists' names are resolved before the first client asks.

Our own dnsmasq is asked, so that its cache and the sets agree. Its answers to the host do not pass the clients'
interface: they are handed to a callback for the journal.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import dns.exception
import dns.name

from .answers import PORT, parse_message

MOST = 20_000  # names; the first of the lists
_KINDS = (1, 28)  # A, AAAA
_SILENCE = 3  # times `limit` questions in a row without an answer: there is no dnsmasq

Learned = Callable[[str, tuple[str, ...]], None]
"""Takes a name and its addresses."""


@dataclass
class Warmed:
    """How it went, in questions; each name is asked for twice."""

    asked: int = 0
    answered: int = 0  # that a name does not exist is an answer, too
    silent: int = 0


async def warm_up(
    server: str,
    names: Iterable[str],
    learned: Learned,
    *,
    limit: int = 32,
    rate: float = 300,
    patience: float = 5.0,
) -> Warmed:
    """Ask a server for the names' addresses, `limit` questions at a time and at most `rate` a second.

    Gives up when nobody answers for long. Raises OSError when the server's address cannot be asked at all.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    transport, channel = await loop.create_datagram_endpoint(_Channel, remote_addr=(server, PORT), family=family)
    done, questions, pace = Warmed(), _questions(names), _Pace(rate)
    row = 0  # questions in a row without an answer

    async def work() -> None:
        nonlocal row
        for name, kind in questions:  # shared by all workers
            await pace.wait()
            if row >= _SILENCE * limit:
                return
            done.asked += 1
            try:
                message = await channel.ask(transport, name, kind, patience)
            except asyncio.TimeoutError:
                done.silent, row = done.silent + 1, row + 1
                continue
            done.answered, row = done.answered + 1, 0
            answer = parse_message(message)
            if answer is not None:
                learned(*answer)

    try:
        await asyncio.gather(*(work() for _ in range(limit)))
    finally:
        transport.close()
    return done


def _questions(names: Iterable[str]) -> Iterator[tuple[bytes, int]]:
    # dnsmasq asks nobody for a name without a dot (domain-needed).
    for name in islice((name for name in names if "." in name), MOST):
        try:
            wire = dns.name.from_text(name).to_wire()
        except dns.exception.DNSException:
            continue  # no name that could be asked for
        for kind in _KINDS:
            yield wire or b"", kind


class _Pace:
    """Lets at most `rate` pass a second."""

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate
        self._next = 0.0

    async def wait(self) -> None:
        now = asyncio.get_running_loop().time()
        self._next = max(now, self._next + self._step)
        await asyncio.sleep(self._next - now)


class _Channel(asyncio.DatagramProtocol):
    """Questions and answers over one UDP socket.

    dnspython's own (dns.asyncquery) opens a socket for each question, and takes 3 MB more.
    """

    def __init__(self) -> None:
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}

    async def ask(self, transport: asyncio.DatagramTransport, name: bytes, kind: int, patience: float) -> bytes:
        """Return the answer to a question. Raises asyncio.TimeoutError."""
        question = name + struct.pack("!HH", kind, 1)
        number = struct.pack("!H", secrets.randbelow(1 << 16))
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        key = number + question
        self._waiting[key] = future
        try:
            transport.sendto(number + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + question)
            return await asyncio.wait_for(future, patience)
        finally:
            del self._waiting[key]

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        # The answer repeats the question, letter by letter.
        for key, future in self._waiting.items():
            if data[:2] == key[:2] and data[12 : 10 + len(key)] == key[2:] and not future.done():
                future.set_result(data)
                return
