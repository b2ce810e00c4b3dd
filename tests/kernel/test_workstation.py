# SPDX-License-Identifier: GPL-3.0-or-later
"""A workstation: all of its own traffic through a real tunnel, brought in whole; nothing but the tunnel leaves."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from namespaces import NamespaceSystem, Network, run_here, wait_for
from traffic import BACKENDS, captured, echoing

from splitway.agent.names.answers import Answers, places
from splitway.compiler import compile_state
from splitway.reconcile.dns.text import OWN_ADDRESS, OWN_NAME
from splitway.reconcile.sections import RECONCILERS
from splitway.state import SECTIONS, State, exempt_mark
from splitway.topology import parse

pytestmark = pytest.mark.parametrize("backend", BACKENDS)

FAR = ("203.0.113.8", "2001:db8:5::1")
LOAD = bytes(range(256)) * 16384  # 4 MiB


class World:
    """The workstation and all that is outside of it: one host, which has every address and the exit's tunnel."""

    def __init__(self, system: NamespaceSystem, network: Network, backend: str) -> None:
        self.system = system
        self.outside = network.host("outside")
        network.connect(self.outside, "uplink", ("10.90.0.1/24", "fd90::1/64"), ("10.90.0.2/24", "fd90::2/64"))
        for family, via in (("-4", "10.90.0.2"), ("-6", "fd90::2")):
            run_here("ip", family, "route", "add", "default", "via", via, "dev", "uplink")
            self.outside.run("ip", family, "route", "flush", "default")
            self.outside.run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "main")
        keys = {name: run_here("wg", "genkey").strip() for name in ("here", "there")}
        public = {name: _public(key) for name, key in keys.items()}
        self._exit(keys["there"], public["here"])
        us = {
            "name": "us",
            "endpoint": "10.90.0.2:51820",
            "public_key": public["there"],
            "private_key": keys["here"],
            "addresses": ["10.64.0.2/32", "fd64::2/128"],
            "allowed_ips": ["0.0.0.0/0", "::/0"],
            "mtu": 1380,
        }
        self.variables: dict[str, Any] = {
            "splitway_backend": backend,
            "splitway_server": {"addresses": ["10.8.0.1/24", "fdcc::1/64"]},
            "splitway_upstreams": [us],
            "splitway_policies": {"away": {"default": "us"}},
            "splitway_dns": {"servers": ["10.90.0.2"]},
            "splitway_host_policy": "away",
        }

    def _exit(self, private: str, peer: str) -> None:
        process = self.outside.start("wireguard-go", "--foreground", "wg-far")
        wait_for(lambda: Path("/run/wireguard/wg-far.sock").exists() or process.poll() is not None, "the exit's tunnel")
        command = ("wg", "set", "wg-far", "listen-port", "51820", "private-key", "/dev/stdin", "peer", peer)
        self.outside.run(*command, "allowed-ips", "10.64.0.2/32,fd64::2/128", input=private)
        self.outside.run("ip", "link", "set", "wg-far", "mtu", "1380", "up")
        for network in ("10.64.0.2/32", "fd64::2/128"):
            family = "-6" if ":" in network else "-4"
            self.outside.run("ip", family, "route", "add", network, "dev", "wg-far")

    def bring(self) -> State:
        state = compile_state(parse(self.variables), {})
        for section in SECTIONS:
            if section not in ("agent", "qos"):
                reconciler = RECONCILERS[section]
                reconciler.apply(self.system, reconciler.changes(self.system, state))
        return state


def _public(private: str) -> str:
    return subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def world(system: NamespaceSystem, network: Network, backend: str) -> Iterator[World]:
    yield World(system, network, backend)
    Path("/run/wireguard/wg-far.sock").unlink(missing_ok=True)


def test_all_goes_through_the_tunnel_and_nothing_else_leaves(world: World, backend: str) -> None:
    with captured(world.outside, "uplink") as packets, echoing(world.outside) as port:
        state = world.bring()
        for far in FAR:
            with socket.create_connection((far, port), timeout=60) as connection:
                threading.Thread(target=connection.sendall, args=(LOAD,), daemon=True).start()
                received = 0
                while received < len(LOAD) and (part := connection.recv(1 << 16)):
                    received += len(part)
                assert received == len(LOAD)
    ours = [packet for packet in packets if not _is_neighbours_talk(packet)]
    assert ours
    # The tunnel's, and dnsmasq's questions to the resolver that the operator named.
    assert {_udp_port(packet) for packet in ours} == {51820, 53}
    assert all(RECONCILERS[name].changes(world.system, state) == () for name in ("upstreams", "routes", "marks", "dns"))


def test_names_are_asked_at_our_dnsmasq_wherever_they_are_asked(world: World, backend: str) -> None:
    world.bring()
    for server in ("8.8.8.8", "2001:4860:4860::8888"):
        for protocol in ("+notcp", "+tcp"):
            answer = run_here("dig", "+short", "+tries=1", "+time=20", protocol, f"@{server}", OWN_NAME, "A")
            assert answer.strip() == OWN_ADDRESS


def test_the_agent_sees_what_is_answered_to_the_host_itself(world: World, backend: str) -> None:
    state = world.bring()
    assert places(state) == {"wg0": None, "lo": None}
    listening = Answers(places(state)["lo"])
    assert listening.bind("lo")
    for server in ("8.8.8.8", "2001:4860:4860::8888"):
        for protocol in ("+notcp", "+tcp"):
            run_here("dig", "+short", "+tries=1", "+time=20", protocol, f"@{server}", OWN_NAME, "A")
            wait_for(listening.waiting, "the answer")
            assert [(answer.name, answer.addresses) for answer in listening.read()] == [(OWN_NAME, (OWN_ADDRESS,))]
    listening.close()


def test_a_tunnel_whose_packets_lost_their_mark_gets_it_back(world: World, backend: str) -> None:
    state = world.bring()
    run_here("wg", "set", "wg-up-1", "fwmark", "0")
    changes = RECONCILERS["upstreams"].changes(world.system, state)
    assert [change.what for change in changes] == ["wg-up-1: mark"]
    RECONCILERS["upstreams"].apply(world.system, changes)
    assert run_here("wg", "show", "wg-up-1", "fwmark").strip() == f"{exempt_mark(0x3FFF):#x}"


def _is_neighbours_talk(packet: bytes) -> bool:
    return packet[0] >> 4 == 6 and packet[6] == socket.IPPROTO_ICMPV6


def _udp_port(packet: bytes) -> int:
    """Return the port that a UDP packet goes to; 0 for whatever else it is."""
    header, protocol = (20, packet[9]) if packet[0] >> 4 == 4 else (40, packet[6])
    return struct.unpack_from(">H", packet, header + 2)[0] if protocol == socket.IPPROTO_UDP else 0
