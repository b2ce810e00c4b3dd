# SPDX-License-Identifier: GPL-3.0-or-later
"""The MSS that both ends of a connection are told, in SYN and SYN-ACK: what both sides of the gateway take."""

from __future__ import annotations

import dataclasses
import socket

import pytest
from namespaces import NamespaceSystem, run_here
from test_lan_clients import FAR as FAR_OF_LAN
from test_lan_clients import KIDS, OFFICE, STATIC, Lans, bring_all, lans, the_section
from traffic import BACKENDS, CLIENTS, Lab, bring, captured, lab, the_marks, the_sets

from splitway.state import TunnelMtu

__all__ = ["lab", "lans"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)
ONE, TWO, _ = CLIENTS[4]  # by their policies: ONE leaves directly, TWO by wg-up-1
ONE6, TWO6, _ = CLIENTS[6]
FAR, FAR6 = "192.0.2.1", "2001:db8::1"


def narrow(system: NamespaceSystem, backend: str, **mtus: int) -> None:
    """Give the gateway's interfaces MTUs; the far ends keep 1,500 and know of nothing."""
    tunnels = {"wg-up-1": 1500, "wg-up-2": 1500}
    for name, mtu in mtus.items():
        interface = name.replace("_", "-")
        run_here("ip", "link", "set", interface, "mtu", str(mtu))
        if interface in tunnels:
            tunnels[interface] = mtu
    known = tuple(TunnelMtu(interface, mtu) for interface, mtu in tunnels.items())
    bring(system, backend, the_sets(), dataclasses.replace(the_marks(backend), tunnel_mtus=known))


def told(lab: Lab, exit_: str) -> tuple[dict[int, int], dict[int, int]]:
    """Return by IP version the MSS that the far end is told, and the one that the client is told."""
    client, client6 = (ONE, ONE6) if exit_ == "uplink" else (TWO, TWO6)
    with captured(lab.exits[exit_], exit_) as out, captured(lab.client, "wg0") as back:
        assert lab.way(FAR, client) == exit_
        assert lab.way(FAR6, client6) == exit_
    return maximum_segments(out), maximum_segments(back)


def maximum_segments(packets: list[bytes]) -> dict[int, int]:
    """Return the MSS option of the SYN packets, by IP version."""
    found = {}
    for packet in packets:
        version = packet[0] >> 4
        segment = packet[(packet[0] & 15) * 4 if version == 4 else 40 :]
        if segment[13] & 2:
            assert segment[20:22] == b"\x02\x04"
            found[version] = int.from_bytes(segment[22:24], "big")
    return found


def of_mtu(mtu: int) -> dict[int, int]:
    return {4: mtu - 40, 6: mtu - 60}


def test_a_tunnel_that_is_narrower_than_wg0(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    narrow(system, backend, wg_up_1=1280, wg0=1340)
    assert told(lab, "wg-up-1") == (of_mtu(1280), of_mtu(1280))


def test_a_tunnel_that_is_wider_than_wg0(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    narrow(system, backend, wg_up_1=1412, wg_up_2=1280, wg0=1340)
    assert told(lab, "wg-up-1") == (of_mtu(1340), of_mtu(1340))


def test_an_uplink_that_is_narrower_than_wg0(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    narrow(system, backend, uplink=1290, wg0=1340)
    assert told(lab, "uplink") == (of_mtu(1290), of_mtu(1290))


def test_what_an_end_says_of_itself_is_never_raised(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    narrow(system, backend, wg_up_1=1300)
    for host in (lab.client, lab.exits["wg-up-1"], lab.exits["uplink"]):
        for interface in ("wg0", "wg-up-1", "uplink"):
            host.run("ip", "link", "set", interface, "mtu", "1280", check=False)
    for exit_ in ("wg-up-1", "uplink"):
        assert told(lab, exit_) == (of_mtu(1280), of_mtu(1280))


def test_a_connection_of_the_gateways_own(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Probes and queries that bind to a tunnel: what its far end says of itself is as wrong there."""
    narrow(system, backend, wg_up_1=1290)
    run_here("ip", "link", "set", "wg-up-1", "mtu", "1400")  # not by its own route
    run_here("ip", "rule", "add", "pref", "5010", "oif", "wg-up-1", "lookup", "101")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wg-up-1")
        connection.connect((FAR, 80))
        timestamps = 12  # bytes of the options that each segment has
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1290 - 40 - timestamps


def test_clients_of_a_lan_that_is_wider_than_everything(system: NamespaceSystem, lans: Lans, backend: str) -> None:
    bring_all(system, backend)
    section = dataclasses.replace(the_section(backend), tunnel_mtus=(TunnelMtu("wg-up-1", 1412),))
    bring(system, backend, the_sets(networks=STATIC), section)
    for interface, mtu in (("wg-up-1", "1412"), ("uplink", "1492")):
        run_here("ip", "link", "set", interface, "mtu", mtu)
    for exit_, sources, mtu in (("wg-up-1", OFFICE, 1412), ("uplink", KIDS, 1492)):
        with captured(lans.lab.exits[exit_], exit_) as out, captured(lans.office, "lan0") as back:
            assert [lans.way(lans.office, source, far) for source, far in zip(sources, FAR_OF_LAN)] == [exit_] * 2
        assert (maximum_segments(out), maximum_segments(back)) == (of_mtu(mtu), of_mtu(mtu))
