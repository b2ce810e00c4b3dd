# SPDX-License-Identifier: GPL-3.0-or-later
"""From a topology and its state to what each client gets: the chosen ports, its own user, the right proxies."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_address, ip_interface

import pytest

from ansible_collections.splitway.gateway.tests.unit.client_bundle.samples import PRIVATE
from splitway.client_bundle import Bundle
from splitway.client_bundle.making import bundles_of
from splitway.client_bundle.offers import Offers, offers_of
from splitway.pac import Tables
from splitway.relay import releases
from splitway.state import (
    Listener,
    PacFile,
    PortRange,
    Proxies,
    Proxy,
    ProxyUser,
    State,
    Transports,
    TransportServer,
    TransportTarget,
    Web,
    from_data,
    to_data,
)
from splitway.topology import model
from splitway.topology.model import BundleFolder, Client, Endpoint, Pac, Policy, ProgramSource, Server, Topology

SERVER = Server(
    "wg0",
    51820,
    (ip_interface("10.8.0.1/24"), ip_interface("fdcc::1/64")),
    endpoint=Endpoint("vpn.example.com", 51820),
)
CLIENTS = (
    Client("alice", (ip_address("10.8.0.2"), ip_address("fdcc::2")), Policy(), private_key=PRIVATE),
    Client("bob", (ip_address("10.8.0.3"),), Policy()),
    Client("secretive", (ip_address("10.8.0.4"),), Policy(), public_key=PRIVATE),
)
WEB = PortRange("transport/server", 443, 453)
SOCKS = PortRange("proxy/family/socks5", 1080, 1089)
HTTP = PortRange("proxy/family/http", 8080, 8080)
CHOSEN = {WEB.key: 444, SOCKS.key: 1081}
WSTUNNEL = TransportServer(
    "clients", "wstunnel", ("198.51.100.1",), WEB, "se cret", "/c", "/k", (TransportTarget("udp", "127.0.0.1:51820"),)
)
FAMILY = Proxy(
    "family",
    1,
    (Listener("socks5", ("10.8.0.1", "127.0.0.1"), SOCKS), Listener("http", ("::", "0.0.0.0"), HTTP)),  # noqa: S104
    (ProxyUser("alice", "$6$…"), ProxyUser("carol", "$6$…")),
)

WRITTEN = model.Proxy("family", (), (model.ProxyUser("alice", "p w"), model.ProxyUser("carol", "x")))


def made(
    topology: Topology, *proxies: Proxy, server: TransportServer = WSTUNNEL, address: str = "203.0.113.7"
) -> dict[str, Bundle]:
    state = State(transports=Transports(servers=(server,)), proxies=Proxies(proxies))
    offers = offers_of(topology, state)
    # As they travel through Ansible.
    assert from_data(Offers, to_data(offers)) == offers
    return {bundle.name: bundle for bundle in bundles_of(offers, "gw1", address, "", CHOSEN)}


def combined(**changes: object) -> Topology:
    return dataclasses.replace(Topology(SERVER, clients=CLIENTS, mode="combined", proxies=(WRITTEN,)), **changes)


def test_the_relay_connects_to_the_chosen_port_by_address_and_checks_the_name() -> None:
    bundle = made(combined())["alice"]
    assert bundle.relay is not None
    words = bundle.relay.command.arguments
    assert words[:2] == ("wstunnel", "client")
    assert words[-1] == "wss://203.0.113.7:444"
    assert {"--tls-verify-certificate", "--tls-sni-override=vpn.example.com"} <= set(words)
    assert "--local-to-remote=udp://127.0.0.1:51821:127.0.0.1:51820?timeout_sec=0" in words
    # Connections are kept ready.
    assert [word for word in words if word.startswith("--connection-min-idle=")] != ["--connection-min-idle=0"]
    assert "se cret" not in " ".join(words)
    assert "se cret" in dict(bundle.relay.command.environment).values()
    assert bundle.relay.version == "10.1.9 or later"


def test_an_endpoint_that_is_an_address_needs_no_other_name() -> None:
    server = dataclasses.replace(SERVER, endpoint=Endpoint("2001:db8::7", 51820))
    bundle = made(combined(server=server), address="2001:db8::7")["alice"]
    assert bundle.relay is not None
    assert bundle.relay.command.arguments[-1] == "wss://[2001:db8::7]:444"
    assert not [word for word in bundle.relay.command.arguments if "sni" in word]


def test_websocat_is_called_where_the_gateway_has_it() -> None:
    bundle = made(combined(), server=dataclasses.replace(WSTUNNEL, program="websocat", path="secret"))["alice"]
    assert bundle.relay is not None
    words = bundle.relay.command.arguments
    assert words[0] == "websocat"
    assert "udp-l:127.0.0.1:51821" in words
    assert "--tls-domain=vpn.example.com" in words


def test_certificates_and_versions_are_passed_on() -> None:
    programs = (ProgramSource("wstunnel", version="11.0.0", checksum="ab" * 32),)
    bundle = made(combined(programs=programs), server=dataclasses.replace(WSTUNNEL, client_ca="/ca"))["alice"]
    assert bundle.relay is not None
    assert (bundle.relay.version, bundle.relay.checksum, bundle.relay.certificate) == ("11.0.0", "ab" * 32, True)
    assert "--tls-certificate=client.crt" in bundle.relay.command.arguments


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (ProgramSource("wstunnel", version=releases.RELEASE), (releases.RELEASE, 64)),
        (
            ProgramSource("wstunnel", version="11.0.0", url="https://x.example/w.tgz", checksum="ab" * 32),
            ("10.1.9 or later", 0),
        ),
        (ProgramSource("wstunnel", path="/usr/bin/wstunnel"), ("10.1.9 or later", 0)),
    ],
)
def test_only_releases_of_its_makers_are_recommended(source: ProgramSource, said: tuple[str, int]) -> None:
    relay = made(combined(programs=(source,)))["alice"].relay
    assert relay is not None
    assert (relay.version, len(relay.checksum)) == said


def test_proxies_are_named_where_the_client_reaches_them() -> None:
    proxies = made(combined(), FAMILY)["alice"].proxies
    assert [(proxy.kind, proxy.address) for proxy in proxies] == [
        ("SOCKS5", "10.8.0.1:1081"),
        ("HTTP", "10.8.0.1:8080"),
        ("HTTP", "[fdcc::1]:8080"),
    ]
    assert {(proxy.asks, proxy.user, proxy.password) for proxy in proxies} == {(True, "alice", None)}


def test_a_password_is_there_when_asked_for_and_the_clients_own() -> None:
    asked = combined(client_bundle=BundleFolder(passwords=True))
    bundles = made(asked, FAMILY)
    assert {proxy.password for proxy in bundles["alice"].proxies} == {"p w"}
    assert {(proxy.asks, proxy.user, proxy.password) for proxy in bundles["bob"].proxies} == {(True, None, None)}


@pytest.mark.parametrize(("sources", "there"), [(("10.8.0.0/30",), True), (("192.0.2.0/24", "fdcc::/64"), False)])
def test_a_proxy_for_others_is_left_out(sources: tuple[str, ...], there: bool) -> None:
    bundle = made(combined(), dataclasses.replace(FAMILY, sources=sources))["bob"]
    assert bool(bundle.proxies) == there


def test_whose_key_nobody_here_knows_gets_none() -> None:
    assert set(made(combined(), FAMILY)) == {"alice", "bob"}


def test_each_mode_offers_its_own() -> None:
    wireguard = made(combined(mode="wireguard"), FAMILY)["alice"]
    assert (wireguard.tunnel is not None, wireguard.relay is not None, wireguard.proxies) == (True, True, ())
    proxy = made(combined(mode="proxy"), FAMILY)
    assert set(proxy) == {"alice", "bob", "secretive"}
    assert (proxy["alice"].tunnel, proxy["alice"].relay) == (None, None)
    # Not inside the tunnel, which is not there: where the gateway is reached.
    assert [entry.address for entry in proxy["alice"].proxies][1:] == ["vpn.example.com:8080"]
    both = made(combined(mode="proxy", fallback_modes=("wireguard",)), FAMILY)["alice"]
    assert both.tunnel is not None
    assert both.proxies


def pacs(client: str, web: Web, chosen: dict[str, int], **changes: object) -> tuple[str, ...]:
    files = (Pac("family", policy="family"), Pac("all", "global"))
    clients = (dataclasses.replace(CLIENTS[0], policy="family"), CLIENTS[1])
    offers = offers_of(combined(pac=files, clients=clients, **changes), State(web=web))
    found = {bundle.name: bundle for bundle in bundles_of(from_data(Offers, to_data(offers)), "gw1", "", "", chosen)}
    return found[client].pacs


def test_pac_files_are_those_of_the_clients_policy_or_all() -> None:
    files = tuple(PacFile(name, Tables()) for name in ("family", "all"))
    web = Web(("10.8.0.1",), http=PortRange("web/http", 80, 89), host="fdcc::1", files=files)
    assert pacs("alice", web, {}) == ("http://[fdcc::1]/family.pac",)
    assert pacs("bob", web, {"web/http": 81}) == ("http://[fdcc::1]:81/family.pac", "http://[fdcc::1]:81/all.pac")
    secure = dataclasses.replace(web, http=None, https=PortRange("web/https", 443, 443), host="pac.example.com")
    assert pacs("alice", secure, {}) == ("https://pac.example.com/family.pac",)


def test_pac_files_that_no_client_reaches_are_not_named() -> None:
    files = (PacFile("family", Tables()),)
    web = Web(("127.0.0.1",), http=PortRange("web/http", 80, 80), host="127.0.0.1", files=files)
    assert pacs("alice", web, {}) == ()
    elsewhere = dataclasses.replace(web, host="10.8.0.1", modes=("wireguard",))
    assert pacs("alice", elsewhere, {}) == ()
