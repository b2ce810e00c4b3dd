# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client routes into a tunnel that itself travels in a TCP connection to the gateway. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Union

Network = Union[IPv4Network, IPv6Network]

_LOOPBACK = IPv4Network("127.0.0.0/8")  # WireGuard's endpoint is there
_HALVES = (IPv6Network("::/1"), IPv6Network("8000::/1"))


def everything_but(address: str) -> tuple[str, ...]:
    """Return the networks of both families that hold every address but the gateway's own, sorted.

    The connection to the gateway would otherwise go into the tunnel that it carries. None of them is a /0: with
    one, WireGuard on Windows blocks whatever is not in the tunnel, and wg-quick makes a route for all that has not
    WireGuard's own mark; both would stop that connection.
    """
    own = ip_network(ip_address(address))
    v4 = _without(IPv4Network("0.0.0.0/0"), [_LOOPBACK, *([own] if isinstance(own, IPv4Network) else [])])
    v6 = _without(IPv6Network("::/0"), [own]) if isinstance(own, IPv6Network) else _HALVES
    return (*map(str, v4), *map(str, v6))


def _without(whole: Network, parts: Iterable[Network]) -> tuple[Network, ...]:
    left: list[Network] = [whole]
    for part in parts:
        left = [piece for network in left for piece in _exclude(network, part)]
    return tuple(sorted(left, key=lambda network: network.network_address.packed))


def _exclude(network: Network, part: Network) -> Iterable[Network]:
    if isinstance(network, IPv4Network) and isinstance(part, IPv4Network):
        return network.address_exclude(part) if part.subnet_of(network) else (network,)
    if isinstance(network, IPv6Network) and isinstance(part, IPv6Network):
        return network.address_exclude(part) if part.subnet_of(network) else (network,)
    return (network,)
