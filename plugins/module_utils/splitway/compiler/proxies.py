# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_proxies` → the section `proxies`, and the users whose connections are classified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Optional

from ..modes import WITH_PROXIES
from ..services import Ports
from ..socks5.passwords import hashed
from ..state import FAMILIES, HTTP, PROXY_USERS, Listener, PortRange, Proxies, Proxy, ProxyAccount, ProxyUser
from ..topology import model
from .carriage import local_port
from .numbers import allocate

INNER = Ports(41100, 41199)
"""Of loopback, where each proxy's SOCKS5 reaches its HTTP."""

MOST_PROXIES = 99
"""Of one gateway: each has a user of its own, and a rule for new connections with iptables."""


def owner(proxy: model.Proxy) -> str:
    """Return the name under which a proxy owns its policy; no client's name has a slash."""
    return f"proxy/{proxy.name}"


def wanted(topology: model.Topology) -> tuple[model.Proxy, ...]:
    """Return the proxies of the modes that the gateway may come to."""
    return topology.proxies if any(mode in WITH_PROXIES for mode in modes_of(topology)) else ()


def modes_of(topology: model.Topology) -> tuple[str, ...]:
    """Return the modes that a gateway may come to, the operator's own first."""
    return (topology.mode, *topology.fallback_modes)


def number_proxies(topology: model.Topology, numbers: Mapping[str, int]) -> dict[str, int]:
    """Return proxy name → number. Raises CompileError when there are too many."""
    names = [proxy.name for proxy in wanted(topology)]
    held = {key: number for key, number in numbers.items() if key.startswith("proxy:")}
    limit = f"splitway_proxies: {len(names)} are more than the {MOST_PROXIES} that a gateway can have"
    numbered = allocate([(f"proxy:{name}",) for name in names], held, range(1, MOST_PROXIES + 1), limit)
    return {name: entry.number for name, entry in zip(names, numbered)}


def compile_proxies(
    topology: model.Topology, numbers: Mapping[str, int], policies: Mapping[str, int]
) -> Optional[Proxies]:
    """Return the section (None: there are no proxies). `policies`: proxy name → the number of its policy."""
    found = wanted(topology)
    if not found:
        return None
    return Proxies(
        tuple(_proxy(proxy, topology, numbers[proxy.name], policies.get(proxy.name)) for proxy in found),
        resolvers(topology),
        tuple(user_of(numbers[proxy.name]) for proxy in found),
        topology.agent.access_log is not None,
        modes_of(topology),
    )


def resolvers(topology: model.Topology) -> tuple[str, ...]:
    """Return our dnsmasq's addresses: at most one a family."""
    first = {family: [a for a in topology.server.addresses if a.version == family][:1] for family in FAMILIES}
    return tuple(str(address.ip) for family in FAMILIES for address in first[family])


def compile_accounts(
    topology: model.Topology, numbers: Mapping[str, int], policies: Mapping[str, int]
) -> tuple[ProxyAccount, ...]:
    """Return the users that proxies run as, with the policies of their connections."""
    return tuple(
        ProxyAccount(
            user_of(numbers[proxy.name]),
            policies.get(proxy.name),
            tuple(listener.port for listener in listeners_of(proxy)),
            tuple(port for port in (far_end(proxy, topology), _inner(proxy)) if port is not None),
        )
        for proxy in wanted(topology)
    )


def user_of(number: int) -> str:
    """Return the name of the system's user that a proxy's programs run as."""
    return f"{PROXY_USERS}{number}"


def _proxy(proxy: model.Proxy, topology: model.Topology, number: int, policy: Optional[int]) -> Proxy:
    return Proxy(
        proxy.name,
        number,
        tuple(listeners_of(proxy)),
        tuple(ProxyUser(user.name, hashed(user.password, f"{proxy.name}\n{user.name}")) for user in proxy.users),
        tuple(map(str, proxy.sources)),
        policy,
        far_end(proxy, topology),
        _inner(proxy),
    )


def listeners_of(proxy: model.Proxy) -> Iterator[Listener]:
    """Yield where a proxy is spoken to."""
    for entry in proxy.listeners:
        port = PortRange(f"proxy/{proxy.name}/{entry.protocol}", entry.ports.first, entry.ports.last)
        yield Listener(entry.protocol, tuple(map(str, entry.listen)), port)


def _inner(proxy: model.Proxy) -> Optional[PortRange]:
    """Return the loopback port by which a proxy's SOCKS5 reaches its HTTP; None: it speaks no SOCKS5."""
    spoken = any(entry.protocol == "socks5" for entry in proxy.listeners)
    return PortRange(f"proxy/{proxy.name}/inner", INNER.first, INNER.last) if spoken else None


def far_end(proxy: model.Proxy, topology: model.Topology) -> Optional[PortRange]:
    """Return the loopback port from which an upstream's WebSocket leads to the proxy of its exit."""
    carrier = next((upstream for upstream in topology.upstreams if upstream.name == proxy.upstream), None)
    return None if carrier is None else local_port(carrier, HTTP)
