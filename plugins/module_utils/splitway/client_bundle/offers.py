# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway offers each of its clients, from its topology and state. Pure; ports are ranges yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Optional

from ..client_files import ClientFile, client_files
from ..modes import WITH_PROXIES, WITH_WIREGUARD
from ..relay import releases
from ..state import FAMILIES, PortRange, State, TransportServer, Web
from ..state import Proxy as StateProxy
from ..topology.model import Address, Client, ProgramSource, Topology

_KINDS = {"socks5": "SOCKS5", "http": "HTTP"}


@dataclass(frozen=True)
class RelayOffer:
    """How clients reach the gateway where UDP does not."""

    program: str  # wstunnel | websocat
    host: str  # the gateway's name or address
    port: PortRange
    path: str = field(repr=False)
    target: str  # WireGuard, as the gateway sees it
    certificate: bool = False  # whether clients need certificates of their own
    version: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class ProxyOffer:
    """A proxy that a client may use."""

    kind: str  # SOCKS5 | HTTP
    host: str
    port: PortRange
    asks: bool = False  # for a user and a password
    user: Optional[str] = None  # None: not known which is the client's
    password: Optional[str] = field(default=None, repr=False)


@dataclass(frozen=True)
class PacOffer:
    """A PAC file that a client may use."""

    scheme: str
    host: str
    port: PortRange
    path: str


@dataclass(frozen=True)
class ClientOffer:
    """What one client is offered."""

    name: str
    tunnel: Optional[ClientFile] = None  # None: this gateway has proxies only
    proxies: tuple[ProxyOffer, ...] = ()
    pacs: tuple[PacOffer, ...] = ()


@dataclass(frozen=True)
class Offers:
    """What all clients of a gateway are offered."""

    clients: tuple[ClientOffer, ...] = ()
    relay: Optional[RelayOffer] = None


def offers_of(topology: Topology, state: State) -> Offers:
    """Return what the gateway offers: to clients whose key is known here or there, and, of proxies alone, to all."""
    modes = (topology.mode, *topology.fallback_modes)
    proxies = state.proxies.proxies if state.proxies is not None and set(modes) & {*WITH_PROXIES} else ()
    tunnels = {file.name: file for file in client_files(topology)} if set(modes) & {*WITH_WIREGUARD} else None
    clients = tuple(
        ClientOffer(
            client.name,
            None if tunnels is None else tunnels[client.name],
            tuple(_proxies(topology, client, proxies, inside=tunnels is not None)),
            _pacs(topology, client, state.web),
        )
        for client in topology.clients
        if tunnels is None or client.name in tunnels
    )
    return Offers(clients, None if tunnels is None else _relay(topology, state))


def _relay(topology: Topology, state: State) -> Optional[RelayOffer]:
    servers: tuple[TransportServer, ...] = () if state.transports is None else state.transports.servers
    endpoint = topology.server.endpoint
    if not servers or endpoint is None:
        return None
    server = servers[0]  # a gateway has one
    version, checksum = _release(topology.programs, server.program)
    return RelayOffer(
        program=server.program,
        host=endpoint.host,
        port=server.port,
        path=server.path,
        target=next(target.address for target in server.targets if target.protocol == "udp"),
        certificate=bool(server.client_ca),
        version=version,
        checksum=checksum,
    )


def _release(programs: Iterable[ProgramSource], program: str) -> tuple[str, str]:
    """Return the version of a program that the gateway has, and the checksum of its release for Linux on amd64.

    Of a program that the operator fetched from elsewhere neither is of use to a client: "".
    """
    for source in programs:
        if source.name == program and source.version is not None and source.url is None:
            return source.version, source.checksum or releases.checksum(source.version, "amd64")
    return "", ""


def _proxies(
    topology: Topology, client: Client, proxies: Iterable[StateProxy], *, inside: bool
) -> Iterable[ProxyOffer]:
    """Yield the proxies that a client may use; `inside`: it reaches them through its tunnel, from its own addresses."""
    users = {proxy.name: proxy.users for proxy in topology.proxies}  # the state has no passwords
    for proxy in proxies:
        if inside and proxy.sources and not _let_in(client.addresses, proxy.sources):
            continue
        own = next((user for user in users.get(proxy.name, ()) if user.name == client.name), None)
        for listener in proxy.listeners:
            for host in _hosts(topology, listener.addresses, inside=inside):
                yield ProxyOffer(
                    kind=_KINDS[listener.protocol],
                    host=host,
                    port=listener.port,
                    asks=bool(proxy.users),
                    user=None if own is None else own.name,
                    password=own.password if own is not None and topology.client_bundle.passwords else None,
                )


def _pacs(topology: Topology, client: Client, web: Optional[Web]) -> tuple[PacOffer, ...]:
    """Return the PAC files of the client's own policy, or all of them when it has none."""
    port = None if web is None else web.http or web.https
    if web is None or port is None or not {*web.modes} & {*WITH_PROXIES} or _is_loopback(web.host):
        return ()
    scheme = "http" if web.http is not None else "https"
    own = {file.name for file in topology.pac if file.policy is not None and file.policy == client.policy}
    return tuple(
        PacOffer(scheme, web.host, port, f"/{file.name}.pac") for file in web.files if not own or file.name in own
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _let_in(addresses: Iterable[Address], sources: Iterable[str]) -> bool:
    networks = [ip_network(source) for source in sources]
    return any(
        address in network for address in addresses for network in networks if address.version == network.version
    )


def _hosts(topology: Topology, addresses: Iterable[str], *, inside: bool) -> tuple[str, ...]:
    """Return where clients reach listeners at these addresses: nowhere at a loopback, and at `all` at ours."""
    hosts: list[str] = []
    for address in map(ip_address, addresses):
        if address.is_unspecified and inside:
            families = FAMILIES if address.version == 6 else (4,)
            hosts += (str(own.ip) for own in topology.server.addresses if own.version in families)
        elif address.is_unspecified:
            hosts += [] if topology.server.endpoint is None else [topology.server.endpoint.host]
        elif not address.is_loopback:
            hosts.append(str(address))
    return tuple(dict.fromkeys(hosts))
