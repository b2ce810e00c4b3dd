# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in the way of a program that is to listen: by the kernel's own rules of binding."""

from __future__ import annotations

import contextlib
import socket
from typing import Optional

import pytest

from splitway.reconcile.listening import Listener, Socket, conflicts, read
from splitway.system import System

ANY4, ANY6 = "0.0.0.0", "::"  # noqa: S104
TRIES = 4  # a stranger may have a port on another address
ADDRESSES = (ANY4, ANY6, "127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0")


def bind(address: str, port: int, v6_only: bool) -> Optional[socket.socket]:
    """Return a listening socket as programs make one, None when the kernel refuses."""
    v6 = ":" in address
    opened = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if v6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6_only))
    try:
        opened.bind((address, port))
        opened.listen()
    except OSError:
        opened.close()
        return None
    return opened


def is_refused(theirs: str, ours: str, theirs_v6_only: bool) -> bool:
    """Return whether the kernel refuses a socket beside another one, on a port that was free for that one."""
    with contextlib.ExitStack() as stack:
        first = bind(theirs, 0, theirs_v6_only)
        if first is None:
            pytest.skip("no such address here")
        stack.callback(first.close)
        second = bind(ours, int(first.getsockname()[1]), v6_only=False)
        if second is not None:
            stack.callback(second.close)
        return second is None


# An address and whether IPv4 is left to others. What has an IPv4 address in it cannot leave it.
BOUND = [(address, only) for address in ADDRESSES for only in (False, True) if not (only and "ffff" in address)]


@pytest.mark.parametrize(("theirs", "theirs_v6_only"), BOUND)
@pytest.mark.parametrize("ours", ADDRESSES)
def test_the_kernel_agrees(theirs: str, ours: str, theirs_v6_only: bool) -> None:
    refused = all(is_refused(theirs, ours, theirs_v6_only) for _ in range(TRIES))
    in_the_way = Listener("tcp", theirs, 443, v6_only=theirs_v6_only)
    assert conflicts(in_the_way, Socket("tcp", ours, 443)) is refused


def test_another_port_or_protocol_is_never_in_the_way() -> None:
    assert not conflicts(Listener("udp", ANY4, 443), Socket("tcp", ANY4, 443))
    assert not conflicts(Listener("tcp", ANY4, 443), Socket("tcp", ANY4, 444))


def test_listeners_are_named_with_their_program() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        port = int(server.getsockname()[1])
        datagrams.bind(("127.0.0.1", port))
        found = read(System(), (port,))
    assert [(entry.protocol, entry.address, entry.port) for entry in found] == [
        ("tcp", "127.0.0.1", port),
        ("udp", "127.0.0.1", port),
    ]
    assert all("python" in str(entry) or "pytest" in str(entry) for entry in found), found
    assert str(found[0]).endswith(f"listens on 127.0.0.1:{port} (tcp)")


def test_who_leaves_ipv4_to_others_is_known() -> None:
    with contextlib.ExitStack() as stack:
        sockets = [bind(ANY6, 0, v6_only) for v6_only in (True, False)]
        if None in sockets:
            pytest.skip("no IPv6 here")
        ports = [int(stack.enter_context(opened).getsockname()[1]) for opened in sockets if opened]
        assert {entry.port: entry.v6_only for entry in read(System(), ports)} == dict(zip(ports, (True, False)))
