# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server is there, and whether a forward moves data."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Optional

import pytest

from splitway.agent.transports import reach
from splitway.state import TransportClient

sys.path.insert(0, str(Path(__file__).parents[2] / "lab"))
from labkit.authority import Authority


@contextlib.asynccontextmanager
async def listening(answer: bytes = b"", context: Optional[ssl.SSLContext] = None) -> AsyncIterator[int]:
    """Answer what comes to a port of the loopback."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(100)
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "moved"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", True), (b"", False), (b"SSH-2.0", False)]
)
def test_a_forward_moves_data_when_a_proxy_answers(answer: bytes, moved: bool) -> None:
    async def run() -> bool:
        async with listening(answer) as port:
            return await reach.moves(port, 30)

    assert asyncio.run(run()) is moved


def test_a_port_that_nobody_has_moves_nothing() -> None:
    async def run() -> bool:
        async with listening() as port:
            pass
        return await reach.moves(port, 30)

    assert asyncio.run(run()) is False


@pytest.mark.parametrize(
    ("host", "verify", "there", "why"),
    [
        ("127.0.0.1", True, True, ""),
        ("192.0.2.7", True, False, "IP address mismatch"),
        ("192.0.2.7", False, True, ""),
    ],
)
def test_a_server_is_there_when_its_certificate_is_right(
    tmp_path: Path, host: str, verify: bool, there: bool, why: str
) -> None:
    authority = Authority(tmp_path / "ca")
    issued = authority.issue("exit", host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)

    async def run() -> reach.Reached:
        async with listening(context=context) as port:
            client = TransportClient(
                upstream="us",
                interface="wg-up-1",
                program="wstunnel",
                servers=("wss://192.0.2.1", f"wss://127.0.0.1:{port}"),
                path="",
                forwardings=(),
                verify=verify,
                ca=str(authority.certificate),
            )
            return await reach.server(client, 1, None)

    found = asyncio.run(run())
    assert found.there is there
    assert why in found.why
    assert (found.expires is not None and found.expires > time.time()) is (there and verify)


def test_nobody_is_there() -> None:
    client = TransportClient("us", "wg-up-1", "websocat", ("wss://127.0.0.1:9",), "", ())
    found = asyncio.run(reach.server(client, 0, None))
    assert (found.there, found.why) == (False, "Connection refused")


def test_where_a_server_is() -> None:
    assert reach.host_and_port("wss://exit.example") == ("exit.example", 443)
    assert reach.host_and_port("wss://[2001:db8::1]:8443") == ("2001:db8::1", 8443)
