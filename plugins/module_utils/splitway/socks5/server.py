# SPDX-License-Identifier: GPL-3.0-or-later
"""SOCKS5 (RFC 1928, with names and passwords by RFC 1929) in front of an HTTP proxy on this host.

Who may use it, and what may be reached, is the HTTP proxy's matter, which hears by the PROXY protocol who asks. Two
things are tested here as well: the password, since SOCKS5 wants the answer before the question, and before it where
the client is, which is not to guess passwords from elsewhere. Names are passed on as they are. CONNECT is all that
there is: no BIND, no UDP.

    python3 -m socks5.server SETTINGS   (JSON: listen, port, inner, users, sources)
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ipaddress
import json
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from .passwords import agrees

VERSION, LOGIN = 5, 1
OPEN, WITH_PASSWORD, NONE_OF_THESE = 0, 2, 0xFF  # methods
CONNECT = 1
IPV4, NAME, IPV6 = 1, 3, 4  # kinds of addresses
DONE, FAILED, FORBIDDEN, UNREACHABLE, REFUSED, WHAT, WHERE = 0, 1, 2, 4, 5, 7, 8  # answers
ANSWERS = {200: DONE, 403: FORBIDDEN, 407: FORBIDDEN, 500: FAILED, 502: UNREACHABLE, 503: REFUSED, 504: UNREACHABLE}

PATIENCE = 60  # seconds that a client has until its connection is made
BLOCK = 1 << 18  # bytes
BACKLOG = 1024
KNOWN = 1000  # logins that were tested and need not be again

_HOST = re.compile(rb"[A-Za-z0-9._-]{1,255}")
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")

Peer = tuple[str, int]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Refused(Exception):
    """The client is answered with this, and no more."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer)
        self.answer = answer


class Users:
    """Who may use the proxy, as the file says that it was started with or that it was given since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = ""
        self._known: set[bytes] = set()

    def agree(self, name: str, password: bytes) -> bool:
        """Return whether this is the password of a user."""
        text = self.path.read_text(encoding="utf-8")
        if text != self._text or len(self._known) > KNOWN:
            self._text, self._known = text, set()
        login = hashlib.sha256(name.encode() + b"\n" + password).digest()
        if login in self._known:
            return True
        wanted = dict(line.split(":", 1) for line in text.splitlines()).get(name)
        if wanted is None or not agrees(password, wanted):
            return False
        self._known.add(login)
        return True


class Front:
    """The listener: each client becomes a CONNECT of the HTTP proxy."""

    def __init__(self, inner: int, users: Optional[Users], sources: Sequence[str] = ()) -> None:
        """`sources`: the networks of those who may use it; none: anybody."""
        self.inner = inner
        self.users = users
        self.sources: list[Network] = [ipaddress.ip_network(source) for source in sources]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            try:
                further = await asyncio.wait_for(self._connected(reader, writer), PATIENCE)
            except Refused as refused:
                writer.write(refused.answer)
                await writer.drain()
            except asyncio.TimeoutError:
                pass
            else:
                await asyncio.gather(_carry(reader, further[1]), _carry(further[0], writer))
                further[1].close()
        writer.close()

    def _is_welcome(self, writer: asyncio.StreamWriter) -> bool:
        """Return whether a client is where those are who may use it."""
        address = ipaddress.ip_address(_plain(writer.get_extra_info("peername"))[0])
        return not self.sources or any(address in network for network in self.sources)

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the connection to the HTTP proxy, once that has one to the destination. Raises Refused."""
        login = await self._login(reader, writer)
        destination = await _destination(reader)
        further = await asyncio.open_connection("127.0.0.1", self.inner, limit=BLOCK)
        try:
            request = [f"CONNECT {destination} HTTP/1.1", f"Host: {destination}"]
            if login is not None:
                request.append(f"Proxy-Authorization: Basic {base64.b64encode(login).decode()}")
            further[1].write((_introduced(writer) + "\r\n".join(request) + "\r\n\r\n").encode())
            found = _STATUS.match(await further[0].readuntil(b"\r\n\r\n"))
            answer = ANSWERS.get(int(found[1]) if found else 500, FAILED)
            if answer != DONE:
                raise Refused(_answer(answer))
            writer.write(_answer(DONE))
        except BaseException:
            further[1].close()
            raise
        return further

    async def _login(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Optional[bytes]:
        """Return name and password as HTTP has them, None when nobody is asked for them. Raises Refused."""
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = OPEN if self.users is None else WITH_PASSWORD
        if version != VERSION or method not in methods or not self._is_welcome(writer):
            raise Refused(bytes((VERSION, NONE_OF_THESE)))
        writer.write(bytes((VERSION, method)))
        if self.users is None:
            return None
        version, length = await reader.readexactly(2)
        name = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        if version != LOGIN or not self.users.agree(name.decode(errors="replace"), password):
            who, said = _plain(writer.get_extra_info("peername"))[0], name.decode(errors="replace")
            sys.stderr.write(f"{who}: {said!r} is nobody here, or has another password\n")
            raise Refused(bytes((LOGIN, FAILED)))
        writer.write(bytes((LOGIN, DONE)))
        return name + b":" + password


async def _destination(reader: asyncio.StreamReader) -> str:
    """Return where the client wants to go, as HTTP writes it. Raises Refused."""
    version, command, _, kind = await reader.readexactly(4)
    if version != VERSION:
        raise Refused(_answer(FAILED))
    if kind == NAME:
        name = await reader.readexactly((await reader.readexactly(1))[0])
        if not _HOST.fullmatch(name):
            raise Refused(_answer(FORBIDDEN))
        host = name.decode()
    elif kind in (IPV4, IPV6):
        address = ipaddress.ip_address(await reader.readexactly(4 if kind == IPV4 else 16))
        host = f"[{address}]" if kind == IPV6 else str(address)
    else:
        raise Refused(_answer(WHERE))
    port = int.from_bytes(await reader.readexactly(2), "big")
    if command != CONNECT:
        raise Refused(_answer(WHAT))
    return f"{host}:{port}"


def _answer(code: int) -> bytes:
    """Return an answer. The address that the connection has at its far end is not known here."""
    return bytes((VERSION, code, 0, IPV4)) + bytes(6)


def _introduced(writer: asyncio.StreamWriter) -> str:
    """Return who asks (the PROXY protocol, version 1)."""
    peer, own = (_plain(writer.get_extra_info(name)) for name in ("peername", "sockname"))
    family = "TCP6" if ":" in peer[0] else "TCP4"
    return f"PROXY {family} {peer[0]} {own[0]} {peer[1]} {own[1]}\r\n"


def _plain(name: tuple[str, int]) -> Peer:
    address = ipaddress.ip_address(name[0].partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address), name[1]


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry what comes to the other side, its end as well."""
    try:
        while block := await reader.read(BLOCK):
            writer.write(block)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()  # the other direction ends with it


async def _run(settings: dict[str, object]) -> None:
    users, port = settings["users"], settings["port"]
    known = Users(Path(str(users))) if users else None
    front = Front(int(str(settings["inner"])), known, settings["sources"])  # type: ignore[arg-type]
    servers = []
    for address in settings["listen"]:  # type: ignore[attr-defined]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        wide = {"dualstack_ipv6": True} if address == "::" else {}
        listener = socket.create_server((address, port), family=family, backlog=BACKLOG, **wide)
        servers.append(await asyncio.start_server(front.serve, sock=listener, limit=BLOCK, backlog=BACKLOG))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
