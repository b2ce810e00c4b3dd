# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_pac` and `splitway_web` → the section `web`, and the names under which browsers look for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Optional

from ..addresses import is_address
from ..pac import BLOCKED, DIRECT, LARGEST, PROXY, ProxyServer, pac_text, pack
from ..services import Ports, asked
from ..state import FAMILIES, Listener, PacFile, PacServer, PortRange, Proxies, Record, Web
from ..topology import pac as modes
from ..topology.model import BLOCK, List, Network, Pac, Policy, Rule, Topology
from ..topology.model import DIRECT as DIRECTLY
from .networks import collapse, special_ranges
from .numbers import CompileError
from .pac_rules import Kind, PacRule, compile_tables

LOCAL = ("local", "localhost")
"""Names of the browser's own network and host (RFC 6762, RFC 6761)."""

HERE: Mapping[int, Network] = {4: IPv4Network("0.0.0.0/8"), 6: IPv6Network("::/128")}
"""Addresses that mean the browser's own host, beside the special ranges."""

KINDS = {"http": "PROXY", "socks5": "SOCKS5"}  # the first is asked first
WIDEST_PORT = 65535

_EVERY_MODE = ("combined",)


def compile_web(topology: Topology, proxies: Optional[Proxies]) -> Optional[Web]:
    """Return the PAC files and their server; None when there are no files. Raises CompileError: one is too large."""
    if not topology.pac:
        return None
    web = topology.web
    listen = web_addresses(topology)
    files = tuple(_file(index, entry, topology, proxies) for index, entry in enumerate(topology.pac))
    return Web(
        listen=listen,
        http=_range("web/http", web.http),
        https=_range("web/https", web.https),
        certificate=web.certificate or "",
        key=web.key or "",
        host=web.name or listen[0],
        files=files,
        directory=web.directory,
        # Files that name no proxy are right in every mode.
        modes=(topology.mode, *topology.fallback_modes) if any(file.servers for file in files) else _EVERY_MODE,
    )


def compile_records(topology: Topology) -> tuple[Record, ...]:
    """Return the names under which browsers look for a PAC file by themselves."""
    if not topology.pac:
        return ()
    return tuple(Record(f"wpad.{domain}", web_addresses(topology)) for domain in topology.web.wpad)


def web_addresses(topology: Topology) -> tuple[str, ...]:
    """Return where the web server listens."""
    return tuple(map(str, topology.web.listen)) or tuple(str(address.ip) for address in topology.server.addresses)


def web_ports(topology: Topology) -> tuple[PortRange, ...]:
    """Return the ports of the web server, none when there is none."""
    ports = (_range("web/http", topology.web.http), _range("web/https", topology.web.https)) if topology.pac else ()
    return tuple(port for port in ports if port is not None)


def _range(key: str, ports: Optional[Ports]) -> Optional[PortRange]:
    return None if ports is None else PortRange(key, ports.first, ports.last)


def _file(index: int, entry: Pac, topology: Topology, proxies: Optional[Proxies]) -> PacFile:
    rules: list[PacRule] = []
    default = DIRECT if entry.mode == modes.DIRECTLY else PROXY
    if entry.mode == modes.SMART and entry.policy is not None:
        policy = dict(topology.policies)[entry.policy]
        lists = {item.name: item for item in topology.lists}
        rules, default = list(_rules(policy, lists)), _answer(policy.default)
    special = {family: collapse([*networks, HERE[family]]) for family, networks in special_ranges(topology).items()}
    name = topology.web.name
    local = {*LOCAL, *entry.local, *([name] if name and not is_address(name) else [])}
    servers = () if entry.mode == modes.DIRECTLY else tuple(_servers(entry, topology, proxies))
    file = PacFile(entry.name, compile_tables(rules, default, sorted(local), special), servers, entry.fail_open)
    _check_size(index, file, entry, topology)
    return file


def _rules(policy: Policy, lists: Mapping[str, List]) -> Iterator[PacRule]:
    for rule in policy.rules:
        protocols = asked(rule.protocols, rule.ports)
        if protocols and "tcp" not in protocols:
            continue  # browsers ask proxies for nothing else
        kinds = [(kind, _families_held(kind)) for kind in _kinds(rule, lists)]
        yield PacRule(
            answer=_answer(rule.egress),
            kinds=tuple(kind for kind, families in kinds if not families),
            ports=rule.ports,
            address=bool(rule.countries) or any(len(families) == 1 for _, families in kinds),
            schedule=rule.schedule is not None,
        )


def _kinds(rule: Rule, lists: Mapping[str, List]) -> Iterator[Kind]:
    if rule.domains:
        yield Kind(domains=rule.domains)
    if rule.networks:
        yield Kind(networks=rule.networks)
    if rule.lists:
        named = [lists[name] for name in rule.lists]
        networks: tuple[Network, ...] = tuple(network for item in named for network in item.networks)
        yield Kind(tuple(domain for item in named for domain in item.domains), networks)


def _families_held(kind: Kind) -> set[int]:
    """Return the families all addresses of which a kind holds: with both, it holds every name as well."""
    return {network.version for network in kind.networks if network.prefixlen == 0}


def _answer(egress: str) -> str:
    return {DIRECTLY: DIRECT, BLOCK: BLOCKED}.get(egress, PROXY)


def _servers(entry: Pac, topology: Topology, proxies: Optional[Proxies]) -> Iterator[PacServer]:
    """Yield the proxies of a file. Browsers give no password to SOCKS5: with users, only HTTP is of use to them."""
    found = next((proxy for proxy in proxies.proxies if proxy.name == entry.proxy), None) if proxies else None
    if found is None:
        return
    for protocol, kind in KINDS.items():
        if found.users and protocol != "http":
            continue
        for listener in found.listeners:
            if listener.protocol == protocol:
                yield from (PacServer(kind, host, listener.port) for host in _hosts(listener, topology))


def _hosts(listener: Listener, topology: Topology) -> tuple[str, ...]:
    """Return by what browsers reach a listener. On loopback they do only where it has nothing else."""
    if topology.web.name:
        return (topology.web.name,)
    hosts: list[str] = []
    for address in map(ip_address, listener.addresses):
        if address.is_unspecified:
            families = FAMILIES if address.version == 6 else (4,)
            hosts += (str(own.ip) for own in topology.server.addresses if own.version in families)
        else:
            hosts.append(str(address))
    far = [host for host in hosts if not ip_address(host).is_loopback]
    return tuple(dict.fromkeys(far or hosts))


def _check_size(index: int, file: PacFile, entry: Pac, topology: Topology) -> None:
    """Raise CompileError when browsers would not take a file."""
    servers = [ProxyServer(server.kind, server.host, WIDEST_PORT) for server in file.servers]
    size = len(pac_text(file.tables, servers, fail_open=file.fail_open))
    if size <= LARGEST:
        return
    sizes = {item.name: len(pack(item.domains)) for item in topology.lists if item.name in _named(entry, topology)}
    largest = max(sizes, key=lambda name: (sizes[name], name), default=None)
    most = f"; of the list {largest} are {sizes[largest]:,}" if largest else ""
    raise CompileError(
        f"splitway_pac[{index}]: {file.name}.pac would have {size:,} bytes{most}; browsers take {LARGEST:,}. Give the "
        "file a policy with fewer names, or the mode global: the proxy goes by its policy in any case"
    )


def _named(entry: Pac, topology: Topology) -> set[str]:
    policy = dict(topology.policies).get(entry.policy or "", Policy())
    return {name for rule in policy.rules for name in rule.lists}
