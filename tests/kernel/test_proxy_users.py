# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of proxies, known by the users that they run as: judged by real packets, in both backends."""

from __future__ import annotations

import contextlib
import dataclasses
import pwd
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest
from namespaces import NamespaceSystem, run_here, wait_for
from traffic import BACKENDS, BLOCK, EU, MASK, US, Lab, bring, captured, lab, policies, the_marks, the_sets

from splitway.reconcile import flows, marks, sets
from splitway.state import FAMILIES, ClientGuard, Host, Marks, PortRange, ProxyAccount, mark_of

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)

FAR = {4: "203.0.113.8", 6: "2001:db8:5::1"}
LISTED = {4: "198.51.100.2", 6: "2001:db8:1::2"}
OWN = {4: "10.8.0.1", 6: "fdcc::1"}
# Users that every Debian has. Their proxies: by policy 2 (us, what is on its list eu), by policy 1, carried further.
SECOND, FIRST, CARRIED = "games", "news", "uucp"
PROXIES = (
    ProxyAccount(SECOND, 2, (PortRange("office/socks5", 1080, 1080), PortRange("office/http", 8080, 8090, 8081))),
    ProxyAccount(FIRST, 1),
    ProxyAccount(CARRIED, None, (), (PortRange("far/http", 41000, 41009, 41001),)),
)
ALONE = Host(None, (OWN[4], OWN[6]), ("dnsmasq",), proxies=PROXIES)

ASK = """
import socket, sys
destination, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with socket.socket(socket.AF_INET6 if ":" in destination else socket.AF_INET, getattr(socket, kind)) as connection:
    connection.settimeout(float(sys.argv[4]))
    if len(sys.argv) > 5:
        connection.bind((sys.argv[5], 0))
    try:
        connection.connect((destination, port))
        if kind == "SOCK_DGRAM":
            connection.send(b"question")
        print(connection.recv(100).decode())
    except OSError as error:
        print(type(error).__name__)
"""


def the_section(backend: str, host: Host = ALONE) -> Marks:
    section = the_marks(backend)
    egresses = tuple(
        dataclasses.replace(egress, families=() if egress.number == BLOCK else egress.families)
        for egress in section.egresses
    )
    return dataclasses.replace(section, egresses=egresses, host=host, guard=ClientGuard(protect_clients=True))


@pytest.fixture
def gateway(system: NamespaceSystem, lab: Lab, backend: str) -> NamespaceSystem:
    for interface in ("wg-up-1", "wg-up-2"):
        Path(f"/proc/sys/net/ipv4/conf/{interface}/rp_filter").write_text("2", encoding="ascii")
    Path("/proc/sys/net/ipv4/conf/all/src_valid_mark").write_text("1", encoding="ascii")
    for family in FAMILIES:
        mark = f"{mark_of(BLOCK, MASK):#x}/{MASK:#x}"
        run_here("ip", f"-{family}", "rule", "add", "pref", "5020", "iif", "lo", "fwmark", mark, "goto", "5040")
        run_here("ip", f"-{family}", "rule", "add", "pref", "5040", "nop")
    system.write_file(system.root / "etc/passwd", Path("/etc/passwd").read_text(encoding="utf-8"))
    bring(system, backend, the_sets(), the_section(backend))
    return system


def way(
    user: str, destination: str, port: int = 80, timeout: float = 20.0, source: str = "", kind: str = "SOCK_STREAM"
) -> str:
    """Return what a new connection of a user's hears, the exit's name; or why it hears nothing."""
    bound = (source,) if source else ()
    as_user = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups")
    arguments = (destination, str(port), kind, str(timeout), *bound)
    return run_here(*as_user, sys.executable, "-I", "-c", ASK, *arguments).strip()


@contextlib.contextmanager
def answering(address: str) -> Iterator[None]:
    """Answer questions at port 53 of an address while the body runs, as our dnsmasq would."""
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    server.settimeout(60)

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                _, asker = server.recvfrom(100)
                server.sendto(b"name", asker)

    threading.Thread(target=answer, daemon=True).start()
    yield
    server.close()


def subprocess_of(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("host_policy", [None, 1])
def test_a_proxy_s_connections_take_the_way_of_its_policy(
    gateway: NamespaceSystem, lab: Lab, backend: str, host_policy: Optional[int]
) -> None:
    section = the_section(backend, dataclasses.replace(ALONE, policy=host_policy))
    bring(gateway, backend, the_sets(), section)
    for family in FAMILIES:
        assert way(SECOND, FAR[family]) == "wg-up-1"
        assert way(SECOND, LISTED[family]) == "wg-up-2"
        assert way(SECOND, FAR[family], source=OWN[family]) == "wg-up-1", "with our dnsmasq's address"
        assert way(FIRST, FAR[family]) == "uplink"
        assert way(FIRST, FAR[family], source=OWN[family]) == "uplink", "masqueraded: the uplink knows no wg0"
        assert way(FIRST, LISTED[family]) == "wg-up-1"
        assert way("root", FAR[family]) == "uplink"
        assert way("root", LISTED[family]) == ("uplink" if host_policy is None else "wg-up-1")
    assert marks.plan(section, marks.read(gateway, section, backend)) == ()


def test_what_is_blocked_is_refused_at_once(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    # Before the second SYN, which is sent after a second.
    assert way(SECOND, "169.254.169.254", timeout=0.9) == "ConnectionRefusedError"
    assert way(SECOND, "fd00:ec2::254", timeout=0.9) == "ConnectionRefusedError"


def test_a_proxy_reaches_nothing_on_this_host_but_names(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    """What listens on loopback, or at the gateway's addresses, is not its users'."""
    places = [("127.0.0.1", 9586), ("::1", 9586), (OWN[4], 22), (OWN[6], 22), (lab.address("uplink", 4), 22)]
    listeners = [
        socket.create_server(place, family=socket.AF_INET6 if ":" in place[0] else socket.AF_INET) for place in places
    ]
    for place in places:
        assert way("root", *place, timeout=0.1) == "TimeoutError", "it listens, and says nothing"
        for user in (SECOND, CARRIED):
            assert way(user, *place) == "ConnectionRefusedError"
    for listener in listeners:
        listener.close()
    with answering(OWN[4]), answering(OWN[6]):
        for asked in (*OWN.values(), "9.9.9.9", "2001:db8:53::53"):
            assert way(SECOND, asked, 53, kind="SOCK_DGRAM") == "name", asked
    assert way(SECOND, "127.0.0.53", 53, kind="SOCK_DGRAM") == "PermissionError"


def test_what_is_carried_further_goes_there_only(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    with socket.create_server(("127.0.0.1", 41001)), captured(lab.exits["uplink"], "uplink") as packets:
        assert way(CARRIED, "127.0.0.1", 41001, timeout=0.1) == "TimeoutError"
        assert way(SECOND, "127.0.0.1", 41001) == "ConnectionRefusedError"
        for family in FAMILIES:
            assert way(CARRIED, FAR[family]) == "ConnectionRefusedError"
            assert way(CARRIED, FAR[family], 53, 1.0, kind="SOCK_DGRAM") in ("PermissionError", "TimeoutError")
    assert packets == []


def test_clients_are_kept_from_proxies(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    client = lab.client
    with client.entered():
        listener = socket.create_server(("10.8.0.2", 80))
    assert way("root", "10.8.0.2", timeout=0.1) == "TimeoutError"
    assert way(SECOND, "10.8.0.2") == "ConnectionRefusedError"
    section = dataclasses.replace(the_section(backend), guard=ClientGuard())
    bring(gateway, backend, the_sets(), section)
    assert way(SECOND, "10.8.0.2", timeout=0.1) == "TimeoutError"
    listener.close()


def test_while_the_tunnel_is_away_nothing_goes_out(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    for family in FAMILIES:
        default = ("unreachable", "default", "metric", "4278198272", "table", str(US))
        run_here("ip", f"-{family}", "route", "add", *default)
    run_here("ip", "link", "set", "wg-up-1", "down")
    with captured(lab.exits["uplink"], "uplink") as packets:
        for family in FAMILIES:
            assert way(SECOND, FAR[family], timeout=0.3) != "uplink"
            assert way(SECOND, FAR[family], timeout=0.3, source=OWN[family]) != "uplink"
            assert way(SECOND, FAR[family], 9, 0.3, kind="SOCK_DGRAM") == "OSError"
    assert packets == []


def test_a_connection_goes_on_by_its_way_when_conntrack_has_forgotten_it(
    gateway: NamespaceSystem, lab: Lab, backend: str
) -> None:
    """And an answer to the proxy's own client goes back to that client."""
    person = pwd.getpwnam(SECOND)
    program = """
import socket, sys
with socket.create_server(("10.90.0.1", 1080)) as server, socket.create_connection(("203.0.113.8", 80), 20) as far:
    print(far.recv(100).decode(), flush=True)
    client, _ = server.accept()
    client.sendall(b"hello")
    sys.stdin.readline()
    client.sendall(b"still here")
    far.sendall(b"and here")
    print(far.recv(100).decode(), flush=True)
"""
    argv = ["setpriv", "--reuid", str(person.pw_uid), "--regid", str(person.pw_gid), "--clear-groups"]
    with captured(lab.exits["uplink"], "uplink") as packets:
        proxy = subprocess_of(*argv, sys.executable, "-I", "-c", program)
        assert proxy.stdout is not None
        assert proxy.stdin is not None
        assert proxy.stdout.readline() == "wg-up-1\n"
        exit_ = lab.exits["uplink"]
        exit_.run("ip", "address", "add", "203.0.113.77/32", "dev", "lo")
        with exit_.entered():
            client = socket.create_connection(("10.90.0.1", 1080), 20, ("203.0.113.77", 0))
        assert client.recv(100) == b"hello"
        time.sleep(0.2)  # the client's delayed acknowledgement is not to be the next packet
        run_here("conntrack", "-F")
        proxy.stdin.write("\n")
        proxy.stdin.flush()
        assert client.recv(100) == b"still here"
        assert proxy.stdout.readline() == "and here\n"
        client.close()
        proxy.communicate(timeout=30)
    assert not any(b"and here" in packet for packet in packets)


def test_connections_end_when_no_policy_gives_them_their_way(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    own, section = the_sets(), the_section(backend)
    program = "import socket, sys; c = socket.create_connection(('203.0.113.8', 80), 20); c.recv(9); sys.stdin.read()"
    argv = ("setpriv", "--reuid", SECOND, "--regid", SECOND, "--clear-groups", sys.executable, "-I", "-c", program)
    proxy = subprocess_of(*argv)
    wait_for(lambda: flows.read(gateway, section), "the connection")
    found, learned = flows.read(gateway, section), sets.members(gateway, backend)
    assert flows.plan(section, own, section, own, learned, found) == ()
    to_eu = dataclasses.replace(policies(4)[1], default=EU)
    other = dataclasses.replace(section, v4=dataclasses.replace(section.v4, policies=(policies(4)[0], to_eu)))
    assert {c.payload.destination for c in flows.plan(section, own, other, own, learned, found)} == {FAR[4]}
    without = dataclasses.replace(section, host=None)
    assert {c.payload.destination for c in flows.plan(section, own, without, own, learned, found)} == {FAR[4]}
    proxy.communicate(timeout=30)
