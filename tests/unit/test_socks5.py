# SPDX-License-Identifier: GPL-3.0-or-later
"""Our SOCKS5 in front of an HTTP proxy: what it says to whom, whatever comes."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Awaitable
from pathlib import Path
from typing import Callable, Optional

import pytest

from splitway.socks5.passwords import hashed
from splitway.socks5.server import Front, Users

PASSWORD = "p@ss: /%&?\"'\\$#ü"
LOGIN = b"\x01\x05alice" + bytes([len(PASSWORD.encode())]) + PASSWORD.encode()
HELLO, OPEN = b"\x05\x02\x00\x02", b"\x05\x01\x00"
NAME = b"\x05\x01\x00\x03\x0bfar.example\x1f\x40"
DONE = b"\x05\x00\x00\x01" + bytes(6)


class Inner:
    """An HTTP proxy that answers CONNECT with one status, and then sends back what comes."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Something\r\n\r\n" % self.status)
        while block := await reader.read(65536):
            writer.write(block)
        writer.close()


def told(
    tmp_path: Path,
    conversation: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]],
    *,
    status: int = 200,
    users: bool = True,
    sources: tuple[str, ...] = (),
) -> tuple[object, bytes]:
    """Hold a conversation; return what it returns, and what the HTTP proxy was asked."""
    path = tmp_path / "users"
    path.write_text(f"alice:{hashed(PASSWORD, 'alice')}\n", encoding="utf-8")
    inner = Inner(status)

    async def run() -> object:
        behind = await asyncio.start_server(inner.serve, "127.0.0.1", 0)
        front = Front(behind.sockets[0].getsockname()[1], Users(path) if users else None, sources)
        before = await asyncio.start_server(front.serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*before.sockets[0].getsockname()[:2])
        try:
            return await asyncio.wait_for(conversation(reader, writer), 60)
        finally:
            writer.close()
            before.close()
            behind.close()

    return asyncio.run(run()), inner.asked


def say(*parts: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]:
    """Return a conversation that says these at once, and hears to the end."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"".join(parts))
        writer.write_eof()
        return await reader.read()

    return conversation


def test_a_connection_carries_whatever_comes_both_ways(tmp_path: Path) -> None:
    load = os.urandom(3_000_000)
    heard, asked = told(tmp_path, say(HELLO, LOGIN, NAME, load))
    assert heard == b"\x05\x02\x01\x00" + DONE + load
    lines = asked.decode().split("\r\n")
    assert lines[0].startswith("PROXY TCP4 127.0.0.1 127.0.0.1 ")
    assert lines[1:3] == ["CONNECT far.example:8000 HTTP/1.1", "Host: far.example:8000"]
    assert base64.b64decode(lines[3].rpartition(" ")[2]).decode() == f"alice:{PASSWORD}"


def test_nobody_guesses_a_password_from_elsewhere(tmp_path: Path) -> None:
    here, elsewhere = ("127.0.0.0/8", "::1/128"), ("192.0.2.0/24", "2001:db8::/32")
    assert told(tmp_path, say(HELLO, LOGIN, NAME), sources=here)[0] == b"\x05\x02\x01\x00" + DONE
    assert told(tmp_path, say(HELLO), sources=elsewhere) == (b"\x05\xff", b"")


@pytest.mark.parametrize(
    ("kind", "address", "destination"),
    [(1, b"\xcb\x00\x71\x09", "203.0.113.9"), (4, b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01", "[2001:db8::1]")],
)
def test_addresses_are_written_as_http_does(tmp_path: Path, kind: int, address: bytes, destination: str) -> None:
    question = b"\x05\x01\x00" + bytes([kind]) + address + struct.pack(">H", 443)
    heard, asked = told(tmp_path, say(OPEN, question), users=False)
    assert heard == b"\x05\x00" + DONE
    assert f"CONNECT {destination}:443 HTTP/1.1".encode() in asked
    assert b"Authorization" not in asked


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (OPEN, b"\x05\xff"),  # without a password
        (b"\x04\x01\x00", b"\x05\xff"),  # SOCKS4
        (HELLO + b"\x01\x05alice\x05wrong", b"\x05\x02\x01\x01"),
        (HELLO + b"\x01\x05mallo\x05wrong", b"\x05\x02\x01\x01"),
        (HELLO + b"\x01\x00\x00", b"\x05\x02\x01\x01"),
        (HELLO + b"\x01\x02\xff\xfe\x01\xff", b"\x05\x02\x01\x01"),
        (HELLO + LOGIN + b"\x05\x02" + NAME[2:], b"\x05\x02\x01\x00\x05\x07"),  # BIND
        (HELLO + LOGIN + b"\x05\x03" + NAME[2:], b"\x05\x02\x01\x00\x05\x07"),  # UDP
        (HELLO + LOGIN + b"\x05\x01\x00\x09", b"\x05\x02\x01\x00\x05\x08"),
        (HELLO + LOGIN + b"\x05\x01\x00\x03\x09a\r\nHost: b\x00\x50", b"\x05\x02\x01\x00\x05\x02"),
        (HELLO + LOGIN + b"\x05\x01\x00\x03\x00\x00\x50", b"\x05\x02\x01\x00\x05\x02"),
        (b"GET / HTTP/1.1\r\n\r\n" * 20, b""),
        (b"", b""),
    ],
)
def test_what_is_refused_never_reaches_the_http_proxy(tmp_path: Path, said: bytes, answer: bytes) -> None:
    heard, asked = told(tmp_path, say(said))
    assert isinstance(heard, bytes)
    assert heard[: len(answer)] == answer
    assert asked == b""


@pytest.mark.parametrize(("status", "answer"), [(403, 2), (407, 2), (503, 5), (504, 4), (500, 1), (299, 1)])
def test_what_the_http_proxy_refuses_is_told(tmp_path: Path, status: int, answer: int) -> None:
    heard, _ = told(tmp_path, say(HELLO, LOGIN, NAME), status=status)
    assert heard == b"\x05\x02\x01\x00" + b"\x05" + bytes([answer]) + b"\x00\x01" + bytes(6)


def test_a_password_that_changes_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "users"

    def agree(password: Optional[str], asked: str) -> bool:
        path.write_text("" if password is None else f"alice:{hashed(password, 'alice')}\n", encoding="utf-8")
        return users.agree("alice", asked.encode())

    users = Users(path)
    assert agree("old", "old")
    assert agree("old", "old")
    assert not agree("new", "old")
    assert agree("new", "new")
    assert not agree(None, "new")
