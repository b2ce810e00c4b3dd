# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients are refused whatever their policy, and what others are: judged by real packets, in both backends."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import struct

import pytest
from guarded import AT_ONCE, DOH, DOH_SETS, GATEWAY, GATEWAY6, answer, asking, guard, guarded, planned, serve
from namespaces import NamespaceSystem, run_here
from traffic import BACKENDS, BLOCK, CLIENTS, PATIENCE, Lab, bring, captured, lab, the_sets

from splitway.reconcile import routes
from splitway.reconcile.sections import move_flows
from splitway.state import FAMILIES, LanNetwork, OpenPort, Routes, State, Table

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)

ONE, TWO, NOBODY = CLIENTS[4]
ONE6, TWO6, NOBODY6 = CLIENTS[6]
# By the first client's policy: directly and through a tunnel.
DIRECT, VIDEO, DIRECT6, VIDEO6 = "192.0.2.1", "198.51.100.1", "2001:db8:7::1", "2001:db8:1::1"
EVERYWHERE = (DIRECT, VIDEO, DIRECT6, VIDEO6)


def answers(lab: Lab, port: int, *where: str) -> set[str]:
    """Return what a client hears at these addresses, by TCP and by UDP."""
    places = where or EVERYWHERE
    return {
        answer(lab.client, kind, place, port, ONE6 if ":" in place else ONE)
        for kind in ("tcp", "udp")
        for place in places
    }


def test_the_gateway_answers_dns_wherever_it_is_asked(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    serve(None, 53, "gateway")
    for name, host in lab.exits.items():
        serve(host, 53, name)
    guard(system, backend)
    assert answers(lab, 53) == {"uplink", "wg-up-1"}
    guard(system, backend, redirect_dns=True, ports=())
    assert answers(lab, 53) == {"gateway"}
    assert answers(lab, 53, GATEWAY, GATEWAY6, "10.77.0.9", "169.254.169.254") == {"gateway"}
    assert answer(lab.client, "udp", DIRECT, 53, TWO) == "gateway"
    assert answer(lab.client, "udp", DIRECT, 53, NOBODY, AT_ONCE) == "silence", "it has no policy"
    assert answer(None, "udp", DIRECT, 53) == "uplink", "the gateway's own questions go where they are sent"


def test_what_was_not_redirected_is_refused(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    for host in (None, *lab.exits.values()):
        serve(host, 53, host.name if host else "gateway")
    guard(system, backend, redirect_dns=True)
    if backend == "ipset":
        for tool in ("iptables", "ip6tables"):
            run_here(tool, "-t", "nat", "-F", "SPLITWAY-DNS")
    else:
        run_here("nft", "flush", "chain", "inet", "splitway", "dns")
    assert answers(lab, 53) == {"refused"}
    assert answers(lab, 53, GATEWAY, GATEWAY6) == {"gateway"}


def test_dot_is_refused_at_once(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    for name, host in lab.exits.items():
        serve(host, 853, name)
    guard(system, backend)
    assert answers(lab, 853) == {"uplink", "wg-up-1"}
    guard(system, backend, refuse_dot=True)
    assert answers(lab, 853) == {"refused"}
    assert answers(lab, 80, VIDEO, VIDEO6) >= {"wg-up-1"}, "the rest goes as before"
    assert answer(None, "tcp", DIRECT, 853) == "uplink", "the gateway's own forwarder may ask so"


def test_known_resolvers_over_https_are_refused_at_once(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    for name, host in lab.exits.items():
        serve(host, 443, name)
    guard(system, backend)
    assert answers(lab, 443, *DOH[4], *DOH[6]) == {"uplink", "wg-up-1"}
    guard(system, backend, doh_v4="sw4h", doh_v6="sw6h")
    assert answers(lab, 443, *DOH[4], *DOH[6]) == {"refused"}
    assert answers(lab, 443) == {"uplink", "wg-up-1"}, "other sites"
    assert answers(lab, 80, DOH[4][0]) >= {"uplink"}, "another port of theirs"


def test_clients_are_kept_apart_when_asked(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    # A further client behind the same wire: what the gateway sends to it is seen there.
    further, further6 = "10.8.0.77", "fdcc::77"
    card = json.loads(lab.client.run("ip", "-j", "link", "show", "wg0"))[0]["address"]
    for address in (further, further6):
        run_here("ip", "neigh", "add", address, "lladdr", card, "dev", "wg0")
        lab.client.run("ip", "route", "add", address, "via", GATEWAY6 if ":" in address else GATEWAY)
    for switch in ("all", "wg0"):
        system.set_sysctl(f"net/ipv4/conf/{switch}/send_redirects", "0")

    def seen() -> int:
        with captured(lab.client, "wg0") as packets:
            heard.update(answer(lab.client, kind, place, 9, source, AT_ONCE) for kind, place, source in everybody)
        return sum(packet[16:20] == four or packet[24:40] == six for packet in packets)

    everybody = [(kind, *ends) for kind in ("tcp", "udp") for ends in ((further, ONE), (further6, ONE6))]
    four, six = socket.inet_aton(further), socket.inet_pton(socket.AF_INET6, further6)
    heard: set[str] = set()
    guard(system, backend)
    assert seen() >= 4, "both families, TCP and UDP"
    heard.clear()
    guard(system, backend, isolate=True)
    assert seen() == 0
    assert heard == {"refused", "prohibited"}, "TCP and UDP, at once"


def test_only_open_ports_of_the_gateway_are_reached(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    public, public6 = (lab.address("uplink", version) for version in FAMILIES)
    everywhere = (GATEWAY, GATEWAY6, public, public6)
    for port in (22, 53, 123, 6001):
        serve(None, port, f"{port}")
    guard(system, backend)
    assert answers(lab, 22, *everywhere) == {"22"}
    with asking(lab.client, "tcp", GATEWAY, 22, ONE) as established:
        assert established.recv(100) == b"22"
        guard(system, backend, ports=(OpenPort("udp", 123, 123), OpenPort("tcp", 6000, 6010)))
        established.sendall(b"still here")
        assert established.recv(100) == b"still here"
    assert answers(lab, 22, *everywhere) == {"refused"}
    assert answers(lab, 6001, *everywhere) == {"6001", "refused"}
    assert answer(lab.client, "tcp", public, 6001, ONE) == "6001"
    assert answer(lab.client, "udp", GATEWAY6, 123, ONE6) == "123"
    assert answer(lab.client, "tcp", GATEWAY6, 123, ONE6) == "refused"
    assert answers(lab, 53, GATEWAY, GATEWAY6) == {"53"}
    assert answers(lab, 53, public, public6) == {"refused"}, "a resolver of the host is not ours"
    for where, source in ((GATEWAY, ONE), (public, ONE), (GATEWAY6, ONE6), (public6, ONE6)):
        assert lab.client.succeeds("ping", "-c1", "-W1", "-I", source, where), where
    assert answer(lab.exits["uplink"], "tcp", public, 22) == "22", "from elsewhere it is not ours to close"
    serve(lab.client, 7, "client")
    assert answer(None, "tcp", ONE, 7) == answer(None, "udp", ONE6, 7) == "client", (
        "the gateway begins, a client answers"
    )


def datagram(source: str, destination: str, port: int) -> bytes:
    """Return an IP packet with a UDP datagram, whatever its source."""
    version = 6 if ":" in source else 4
    kind = socket.AF_INET6 if version == 6 else socket.AF_INET
    ends = socket.inet_pton(kind, source) + socket.inet_pton(kind, destination)
    body = struct.pack(">HHHH", 4000, port, 9, 0) + b"x\0"
    words = struct.unpack(f">{len(ends) // 2 + 5}H", ends + body)
    total = sum(words) + socket.IPPROTO_UDP + 9
    total = (total & 0xFFFF) + (total >> 16)
    body = body[:6] + struct.pack(">H", 0xFFFF - ((total & 0xFFFF) + (total >> 16))) + b"x"
    if version == 6:
        return struct.pack(">IHBB", 6 << 28, 9, socket.IPPROTO_UDP, 64) + ends + body
    # The kernel fills the header's length and checksum in.
    return struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends + body


def test_nobody_comes_in_with_an_address_that_is_no_clients(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    guard(system, backend, ports=(OpenPort("udp", 123, 123),), redirect_dns=True)
    own = {4: GATEWAY, 6: GATEWAY6}
    false = {
        4: (NOBODY, GATEWAY, lab.address("uplink", 4), "127.0.0.1", "203.0.113.9"),
        6: (NOBODY6, GATEWAY6, lab.address("uplink", 6), "::1", "fe80::1234", "2001:db8::9"),
    }
    with contextlib.ExitStack() as stack:
        heard: dict[tuple[int, int], socket.socket] = {}
        for version, kind in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            for port in (53, 123):
                heard[version, port] = stack.enter_context(socket.socket(kind, socket.SOCK_DGRAM))
                heard[version, port].bind((own[version], port))
                heard[version, port].settimeout(0.05)
        with lab.client.entered():
            senders = {
                4: stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)),
                6: stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)),
            }
        passed = [stack.enter_context(captured(host, name)) for name, host in lab.exits.items()]

        def send(source: str) -> None:
            version = 6 if ":" in source else 4
            outside = (DIRECT, VIDEO) if version == 4 else (DIRECT6, VIDEO6)
            for destination, port in ((own[version], 53), (own[version], 123), (outside[0], 53), *zip(outside, (9, 9))):
                senders[version].sendto(datagram(source, destination, port), (destination, 0))

        for source in (*false[4], *false[6]):
            send(source)
        for listener in heard.values():
            with pytest.raises(TimeoutError):
                listener.recv(100)
        for source in (ONE, ONE6):
            send(source)
        for listener in heard.values():
            listener.settimeout(PATIENCE)
        assert {listener.recv(100) for listener in heard.values()} == {b"x"}, "a client's own address, the same way"
    out = [packet for packets in passed for packet in packets if socket.IPPROTO_UDP in (packet[9], packet[6])]
    assert len(out) == 4, "nothing but the client's own; ICMP tells the others that there is no way"


def test_no_stranger_begins_a_connection_to_a_client(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    serve(lab.client, 7, "client")
    uplink = lab.exits["uplink"]
    guard(system, backend)
    inside = [(uplink, kind, where, 7) for kind in ("tcp", "udp") for where in (ONE, ONE6)]
    for where, version in ((ONE, 4), (ONE6, 6)):
        uplink.run("ip", "route", "add", where, "via", lab.address("uplink", version))
    assert {answer(*ask) for ask in inside} == {"client"}
    guard(system, backend, protect_clients=True)
    assert {answer(*ask, patience=AT_ONCE) for ask in inside} == {"silence"}
    assert answers(lab, 80, DIRECT, DIRECT6) >= {"uplink"}, "replies come back"
    run_here("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "uplink", "-p", "tcp", "--dport", "77",
             "-j", "DNAT", "--to-destination", f"{ONE}:7")  # fmt: skip
    assert answer(uplink, "tcp", lab.address("uplink", 4), 77) == "client", "a port that the operator leads on"


def test_what_is_neither_from_nor_to_clients_is_forwarded_as_before(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    office = lab.network.host("office")
    lab.network.connect(office, "eth1", ("10.99.0.1/24", "fd99::1/64"), ("10.99.0.2/24", "fd99::2/64"))
    serve(office, 7, "office")
    uplink = lab.exits["uplink"]
    for where, version in (("10.99.0.2", 4), ("fd99::2", 6)):
        uplink.run("ip", "route", "add", where, "via", lab.address("uplink", version))

    def between() -> dict[int, set[str]]:
        inside, outside = {4: "10.99.0.2", 6: "fd99::2"}, {4: DIRECT, 6: DIRECT6}
        return {
            version: {answer(uplink, "tcp", inside[version], 7), answer(office, "tcp", outside[version], 80)}
            for version in FAMILIES
        }

    open_, closed = {"office", "uplink"}, {"silence"}
    guard(system, backend, others_as_before=True)
    assert between() == {4: open_, 6: open_}, "who forwarded before us goes on"
    record = system.configuration / "sysctl.before.json"
    system.write_file(record, '{"net/ipv4/ip_forward": "0"}')
    assert planned(system, backend, guarded(backend, others_as_before=True)), "seen at the next look"
    guard(system, backend, others_as_before=True)
    assert between() == {4: closed, 6: open_}, "who did not is no router of strangers"
    guard(system, backend, refuse_others=FAMILIES)
    assert between() == {4: closed, 6: closed}
    assert answers(lab, 80, *EVERYWHERE) >= {"uplink", "wg-up-1"}
    run_here("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "uplink", "-p", "tcp", "--dport", "77",
             "-j", "DNAT", "--to-destination", "10.99.0.2:7")  # fmt: skip
    assert answer(uplink, "tcp", lab.address("uplink", 4), 77) == "office", "what a rule of theirs leads on"


def test_what_began_before_the_guard_ends(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    for name, host in lab.exits.items():
        for port in (53, 443, 853):
            serve(host, port, name)
    serve(None, 53, "gateway")
    serve(None, 22, "gateway")
    before = State(backend=backend, marks=guard(system, backend), sets=(*the_sets(), *DOH_SETS))
    doh = DOH[4][0]
    with contextlib.ExitStack() as stack:

        def begun(kind: str, where: str, port: int) -> socket.socket:
            asker = stack.enter_context(asking(lab.client, kind, where, port, ONE))
            assert asker.recv(100) in (b"uplink", b"gateway")
            return asker

        question, tls, quic, https = (
            begun(*ask) for ask in (("udp", DIRECT, 53), ("tcp", DIRECT, 853), ("udp", DIRECT, 853), ("tcp", doh, 443))
        )
        page, session = begun("tcp", DIRECT, 443), begun("tcp", GATEWAY, 22)
        switches = {"redirect_dns": True, "refuse_dot": True, "doh_v4": "sw4h", "doh_v6": "sw6h", "ports": ()}
        after = State(backend=backend, marks=guard(system, backend, **switches), sets=before.sets)
        move_flows(system, before, after)
        question.send(b"x")
        assert question.recv(100) == b"gateway", "of the same port"
        for told in (tls, quic, https):
            told.send(b"x")
            with pytest.raises(ConnectionError):
                told.recv(100)
        for kept in (page, session):
            kept.send(b"still here")
            assert kept.recv(100) == b"still here"


def test_lan_clients_are_clients_and_strangers_are_not(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    office = lab.network.host("office")
    lab.network.connect(office, "eth1", ("10.99.0.1/24", "fd99::1/64"), ("10.99.0.2/24", "fd99::2/64"))
    for host in (None, office, *lab.exits.values()):
        for port in (53, 853):
            serve(host, port, host.name if host else "gateway")
    section = guarded(backend, redirect_dns=True, refuse_dot=True, isolate=True)
    lan = (LanNetwork("eth1", "10.99.0.0/24", 1), LanNetwork("eth1", "fd99::/64", 1))
    bring(system, backend, (*the_sets(), *DOH_SETS), dataclasses.replace(section, lan=lan))
    for where in (DIRECT, DIRECT6, "10.99.0.1"):
        assert answer(office, "udp", where, 53) == answer(office, "tcp", where, 53) == "gateway"
    for where in (VIDEO, VIDEO6):
        assert answer(office, "udp", where, 853) == answer(office, "tcp", where, 853) == "refused"
    assert answer(lab.client, "tcp", "10.99.0.2", 22, ONE) == "refused", "they are kept apart from the others"
    # What the operator publishes for the Internet is none of the clients' guard.
    for port in ("53", "853"):
        run_here("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "uplink", "-p", "tcp", "--dport", port,
                 "-j", "DNAT", "--to-destination", "10.99.0.2")  # fmt: skip
        assert answer(lab.exits["uplink"], "tcp", lab.address("uplink", 4), int(port)) == "office"


def test_everything_at_once_comes_and_goes_whole(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    def rules() -> str:
        return run_here("iptables-save") + run_here("ip6tables-save") + run_here("nft", "list", "ruleset")

    section = guard(
        system, backend, redirect_dns=True, refuse_dot=True, doh_v4="sw4h", doh_v6="sw6h", isolate=True,
        ports=(OpenPort("tcp", 22, 22),), protect_clients=True, refuse_others=FAMILIES, others_as_before=True,
    )  # fmt: skip
    if backend == "ipset":
        run_here("iptables", "-F", "SPLITWAY-REFUSE")
        run_here("ip6tables", "-t", "nat", "-F", "SPLITWAY-DNS")
    else:
        run_here("nft", "flush chain inet splitway refuse")
        run_here("nft", "flush chain inet splitway dns")
    assert len(planned(system, backend, section)) == 2, "seen as any other chain"
    bring(system, backend, (*the_sets(), *DOH_SETS), section)
    assert planned(system, backend, section) == []
    bring(system, backend, (), None)
    assert "splitway" not in rules().lower()


def test_what_a_host_forwarded_is_known_after_a_reboot(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Docker had forwarding on when splitway came. After a reboot splitway is first, and finds it off."""
    table = Routes((Table(BLOCK + 1000, "block", None, (), "prohibit"),))
    section = guarded(backend, others_as_before=True)
    system.set_sysctl("net/ipv4/ip_forward", "1")
    routes.apply(system, routes.plan(table, routes.read(system, table)))
    assert routes.plan(table, routes.read(system, table)) == ()
    guard(system, backend, others_as_before=True)
    system.set_sysctl("net/ipv4/ip_forward", "0")
    assert planned(system, backend, section) == [], "still as before"
    routes.apply(system, routes.plan(table, routes.read(system, table)))
    assert planned(system, backend, section) == []
