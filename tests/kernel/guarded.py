# SPDX-License-Identifier: GPL-3.0-or-later
"""A clients' guard on the gateway of traffic.py, hosts that answer on a port, and what is heard from them."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import socket
import threading
from collections.abc import Iterator
from typing import Any, Optional

from namespaces import Namespace, NamespaceSystem
from traffic import CLIENTS, PATIENCE, bring, the_marks, the_sets

from splitway.reconcile import marks
from splitway.state import FAMILIES, AddressSet, ClientGuard, Marks

ONE, ONE6 = CLIENTS[4][0], CLIENTS[6][0]
GATEWAY, GATEWAY6 = "10.8.0.1", "fdcc::1"
DOH = {4: ("192.0.2.53", "198.51.100.53"), 6: ("2001:db8:7::53", "2001:db8:1::53")}
DOH_SETS = tuple(AddressSet(f"sw{family}h", family, None, DOH[family]) for family in FAMILIES)

_IPV6_FREEBIND = 78  # which Python does not name; exits answer with addresses that are theirs by a route only

AT_ONCE = 0.5  # seconds for the kernel; a client that is told nothing tries again after one


def guarded(backend: str, **switches: Any) -> Marks:
    section = the_marks(backend)
    networks = dict(section.networks)
    if backend == "nftables":
        networks.update({entry.name: entry.members for entry in DOH_SETS})
    guard = ClientGuard(**{"resolvers": (GATEWAY, GATEWAY6), **switches})
    return dataclasses.replace(section, guard=guard, networks=networks)


def planned(system: NamespaceSystem, backend: str, section: Optional[Marks]) -> list[str]:
    return [f"{change.action} {change.what}" for change in marks.plan(section, marks.read(system, section, backend))]


def guard(system: NamespaceSystem, backend: str, **switches: Any) -> Marks:
    """Bring a guard in; afterwards there is nothing left to change."""
    section = guarded(backend, **switches)
    bring(system, backend, (*the_sets(), *DOH_SETS), section)
    assert planned(system, backend, section) == []
    return section


def serve(host: Optional[Namespace], port: int, says: str) -> None:
    """Answer on a port of all addresses of a host (None: the gateway), by TCP and by UDP, until the test ends."""
    with host.entered() if host else contextlib.nullcontext():
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
        datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        datagrams.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        datagrams.bind(("::", port))

    def streams() -> None:
        while True:
            connection, _ = listener.accept()
            with contextlib.suppress(ConnectionError):  # who only tries does not wait for it
                connection.sendall(says.encode())
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    def packets() -> None:
        while True:
            _, controls, _, origin = datagrams.recvmsg(100, 100)
            asked = controls[0][2][:16] + bytes(4)  # the answer has that address, and takes any interface
            with contextlib.suppress(OSError):  # the firewall in between changes
                datagrams.sendmsg([says.encode()], [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked)], 0, origin)

    for target in (streams, packets):
        threading.Thread(target=target, daemon=True).start()


def echo(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := connection.recv(100):
            connection.sendall(data)


@contextlib.contextmanager
def asking(
    host: Optional[Namespace], kind: str, where: str, port: int, source: Optional[str] = None
) -> Iterator[socket.socket]:
    """Yield a socket that has begun to ask: by TCP it is connected, at once."""
    family = socket.AF_INET6 if ":" in where else socket.AF_INET
    with host.entered() if host else contextlib.nullcontext():
        asker = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    with asker:
        asker.settimeout(AT_ONCE)
        if source:
            asker.bind((source, 0))
        asker.connect((where, port))
        if kind == "udp":
            asker.send(b"x")
        asker.settimeout(PATIENCE)
        yield asker


def answer(
    host: Optional[Namespace],
    kind: str,
    where: str,
    port: int,
    source: Optional[str] = None,
    patience: float = PATIENCE,
) -> str:
    """Return who answers, "refused" or "prohibited" for who is told so at once, "silence" for who is not.

    `patience`: seconds for an answer; AT_ONCE where none is expected.
    """
    try:
        with asking(host, kind, where, port, source) as asker:
            asker.settimeout(patience)
            return asker.recv(100).decode()
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silence"
    except OSError as error:
        assert error.errno in (errno.EHOSTUNREACH, errno.EACCES), error
        return "prohibited"
