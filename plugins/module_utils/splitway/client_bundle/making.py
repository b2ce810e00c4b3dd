# SPDX-License-Identifier: GPL-3.0-or-later
"""An offer with its ports chosen → the bundle of one client. Pure."""

from __future__ import annotations

from typing import Optional

from ..addresses import at_port, bracketed
from ..ports import Ports, filled
from ..relay import websocat, wstunnel
from ..relay.versions import first_versions, shown
from ..state import Forwarding, PortRange, TransportClient
from .model import CA, CERTIFICATE, KEY, LOCAL_PORT, Bundle, Proxy, Relay
from .offers import ClientOffer, Offers, PacOffer, ProxyOffer, RelayOffer


def bundles_of(offers: Offers, gateway: str, address: str, ca: str, ports: Ports) -> tuple[Bundle, ...]:
    """Return the bundles of all clients that are offered something.

    `gateway`: its name in words for people; `address`: where its WebSockets are reached; `ca`: PEM of who signed its
    certificate, "" for somebody whom systems know; `ports`: those that the gateway chose.
    """
    offers = filled(offers, ports)
    relay = None if offers.relay is None else _relay(offers.relay, address, ca)
    return tuple(_bundle(client, gateway, relay) for client in offers.clients)


def _bundle(client: ClientOffer, gateway: str, relay: Optional[Relay]) -> Bundle:
    return Bundle(
        name=client.name,
        gateway=gateway,
        tunnel=client.tunnel,
        relay=relay,
        proxies=tuple(map(_proxy, client.proxies)),
        pacs=tuple(map(_url, client.pacs)),
    )


def _proxy(offer: ProxyOffer) -> Proxy:
    return Proxy(offer.kind, at_port(offer.host, offer.port.port), offer.asks, offer.user, offer.password)


def _url(offer: PacOffer) -> str:
    usual = {"http": 80, "https": 443}[offer.scheme] == offer.port.port
    return f"{offer.scheme}://{bracketed(offer.host)}{'' if usual else f':{offer.port.port}'}{offer.path}"


def _relay(offer: RelayOffer, address: str, ca: str) -> Relay:
    """Return how clients reach the gateway.

    By its address: while the tunnel is on, names are asked through it, and a relay that has to connect again would
    wait for the tunnel that waits for the relay.
    """
    forwarding = Forwarding("wireguard", "udp", PortRange("client", LOCAL_PORT, LOCAL_PORT), offer.target)
    end = TransportClient(
        upstream="",
        interface="",
        program=offer.program,
        servers=(f"wss://{at_port(address, offer.port.port)}",),
        path=offer.path,
        forwardings=(forwarding,),
        server_name="" if offer.host == address else offer.host,
        ca=CA if ca else "",
        certificate=CERTIFICATE if offer.certificate else "",
        key=KEY if offer.certificate else "",
    )
    if offer.program == "wstunnel":
        command = wstunnel.client("wstunnel", end)
    else:
        command = websocat.client("websocat", end, forwarding)
    oldest = max(first_versions(offer.program, command).values())
    return Relay(
        command=command,
        address=address,
        version=offer.version or f"{shown(oldest)} or later",
        checksum=offer.checksum,
        ca=ca,
        certificate=offer.certificate,
    )
