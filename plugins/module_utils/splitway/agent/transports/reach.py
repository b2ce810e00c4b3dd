# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks whether a server is there, and whether a forward moves data.

A forward takes every connection before the far end is reached: what counts is an answer from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

from ...state import TransportClient

PATIENCE = 5.0  # seconds
_HELLO, _ANSWER = b"GET / HTTP/1.0\r\n\r\n", b"HTTP/"  # a proxy is asked for no host, and says so
_PORTS = {"wss": 443, "ws": 80}


class Reached(NamedTuple):
    """What a look at a server found."""

    there: bool
    why: str = ""  # what was wrong
    expires: Optional[float] = None  # when its certificate does, seconds since the epoch; None: none was verified


def host_and_port(url: str) -> tuple[str, int]:
    """Return where a server is; of IPv6 the address without brackets."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


async def server(client: TransportClient, index: int, mark: Optional[int]) -> Reached:
    """Look at one of the servers of a WebSocket: connect, and shake hands by TLS as its program does.

    `mark`: of our packets, where they would else take the ways of a policy.
    """
    url = client.servers[index]
    host, port = host_and_port(url)
    try:
        connection = await asyncio.wait_for(_connect(host, port, mark), PATIENCE)
    except asyncio.TimeoutError:
        return Reached(False, "no answer")
    except OSError as error:
        # asyncio's own words are no reason; a name's errors have numbers of another kind.
        plain = error.errno is not None and not isinstance(error, socket.gaierror)
        return Reached(False, os.strerror(error.errno or 0) if plain else error.strerror or str(error))
    if not url.startswith("wss:"):
        connection.close()
        return Reached(True)
    try:
        context = await asyncio.to_thread(_context, client)
        opened = asyncio.open_connection(sock=connection, ssl=context, server_hostname=client.server_name or host)
        _, writer = await asyncio.wait_for(opened, PATIENCE)
    except asyncio.TimeoutError:
        connection.close()
        return Reached(False, "no answer by TLS")
    except OSError as error:
        connection.close()
        return Reached(False, _in_words(error))
    try:
        seen = writer.get_extra_info("ssl_object").getpeercert() or {}
    finally:
        writer.transport.abort()
    expires = seen.get("notAfter")
    return Reached(True, "", None if expires is None else float(ssl.cert_time_to_seconds(expires)))


def _in_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    return error.strerror or str(error)


async def _connect(host: str, port: int, mark: Optional[int]) -> socket.socket:
    loop = asyncio.get_running_loop()
    last: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        try:
            if mark is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            last = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise last


def _context(client: TransportClient) -> ssl.SSLContext:
    """Return how TLS is spoken: the server's certificate is verified where the program verifies it."""
    context = ssl.create_default_context(cafile=client.ca or None)
    if not client.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def moves(port: int, patience: float = PATIENCE) -> bool:
    """Return whether an HTTP proxy answers behind a forward on our loopback."""
    writer = None
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), patience)
        writer.write(_HELLO)
        answer = await asyncio.wait_for(reader.readexactly(len(_ANSWER)), patience)
        return answer == _ANSWER
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.transport.abort()
