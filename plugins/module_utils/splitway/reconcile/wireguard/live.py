# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host has of WireGuard now: interfaces, peers, keys made here, endpoints' addresses, taken ports.

One ``wg show all dump`` and one ``ip -j -d address`` tell everything, whatever the number of peers.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ...addresses import at_port
from ...state import Device
from ...system import System
from .. import services
from ..sockets import holder_of
from . import keypairs

SERVER, UPSTREAMS = "server", "upstreams"
"""The two roles: the interface that clients reach, and the tunnels out of the gateway."""

_ALIAS = "splitway:"


@dataclass(frozen=True)
class LivePeer:
    """One peer as `wg` shows it."""

    public_key: str
    preshared_key: Optional[str] = field(repr=False)
    endpoint: Optional[str]
    allowed_ips: tuple[str, ...]
    persistent_keepalive: int


@dataclass(frozen=True)
class Live:
    """One interface as the kernel has it."""

    interface: str
    owner: str  # "server", "upstream:NAME"; "" for one that is not ours
    alias: str = ""
    userspace: bool = False
    up: bool = False
    mtu: int = 0
    addresses: tuple[str, ...] = ()
    private_key: Optional[str] = field(default=None, repr=False)
    public_key: Optional[str] = None
    listen_port: int = 0
    fwmark: str = "off"
    peers: Mapping[str, LivePeer] = field(default_factory=dict)
    sysctls: Mapping[str, Optional[str]] = field(default_factory=dict)
    kind: str = ""  # as `ip -d link` calls it


@dataclass(frozen=True)
class Current:
    """The interfaces of one role, and whatever has the name of a desired one."""

    role: str
    devices: Mapping[str, Live] = field(default_factory=dict)
    recorded: Mapping[str, str] = field(default_factory=dict)  # wireguard-go's: interface → owner
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)  # made here: interface → private key
    clients: Mapping[str, str] = field(default_factory=dict)  # made here: peer's name → public key
    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # none: not to be resolved
    taken: Mapping[int, str] = field(default_factory=dict)  # UDP port → who has it
    defaults: Mapping[str, Optional[str]] = field(default_factory=dict)  # parameters of a new interface
    validation: Optional[str] = None  # rp_filter of all interfaces together
    unit: Optional[str] = None  # text of wireguard-go's unit


def owner_of(role: str, device: Device) -> str:
    """Return what a device is owned as."""
    return SERVER if role == SERVER else f"upstream:{device.name}"


def alias_of(owner: str) -> str:
    """Return the interface alias that says so; `ip link` shows it."""
    return f"{_ALIAS}{owner}"


def has_role(owner: str, role: str) -> bool:
    """Return whether an interface with this owner belongs to a role."""
    return owner == SERVER if role == SERVER else owner.startswith("upstream:")


def record_folder(system: System) -> Path:
    """Return the folder of the records of wireguard-go's interfaces: a file each, with its owner.

    The alias lives and dies with the device; wireguard-go's device is made anew when it restarts.
    """
    return system.configuration / "devices"


def unit_of(interface: str) -> str:
    """Return the name of the unit that runs wireguard-go for an interface."""
    return services.WIREGUARD.replace("@", f"@{interface}")


def read(system: System, desired: tuple[Device, ...], role: str) -> Current:
    """Return the host's interfaces of a role. A host without the tools has none."""
    folder = record_folder(system)
    records = {name: (system.read_file(folder / name) or "").strip() for name in system.list_files(folder)}
    links = json.loads(system.read("ip", "-j", "-d", "address", "show")) if system.has("ip") else []
    dump = system.read("wg", "show", "all", "dump") if system.has("wg") else ""
    wanted = {device.interface for device in desired}
    sections = sections_of(dump)
    devices = {}
    for link in links:
        interface, owner = link["ifname"], _owner(system, link, records)
        if interface in wanted or has_role(owner, role):
            devices[interface] = _live(system, link, owner, sections.get(interface, []))
    return Current(
        role=role,
        devices=devices,
        recorded={name: owner for name, owner in records.items() if has_role(owner, role)},
        keys=_made_keys(system, desired),
        clients=_made_clients(system, desired),
        endpoints=resolve(peer.endpoint for device in desired for peer in device.peers if peer.endpoint),
        taken=_taken_ports(desired, devices, sections),
        defaults=_sysctls(system, "default"),
        validation=system.sysctl("net/ipv4/conf/all/rp_filter"),
        unit=system.units.read(services.WIREGUARD),
    )


def _made_keys(system: System, desired: tuple[Device, ...]) -> dict[str, str]:
    found = {}
    for device in desired:
        if device.private_key is None:
            key = keypairs.stored(system, keypairs.interface_path(system, device.interface))
            if key is not None:
                found[device.interface] = key
    return found


def _made_clients(system: System, desired: tuple[Device, ...]) -> dict[str, str]:
    found = {}
    for peer in (peer for device in desired for peer in device.peers if peer.public_key is None):
        key = keypairs.stored_public(system, keypairs.client_path(system, peer.name))
        if key is not None:
            found[peer.name] = key
    return found


def sections_of(dump: str) -> dict[str, list[str]]:
    """Return the lines of `wg show all dump` by interface, without its name; the first line is the device's."""
    sections: dict[str, list[str]] = {}
    for line in dump.splitlines():
        interface, _, rest = line.partition("\t")
        sections.setdefault(interface, []).append(rest)
    return sections


def _owner(system: System, link: dict[str, Any], records: dict[str, str]) -> str:
    interface, alias = link["ifname"], link.get("ifalias", "")
    if alias.startswith(_ALIAS):
        return str(alias[len(_ALIAS) :])
    if interface in records and _kind(link) == "tun" and system.units.active(unit_of(interface)):
        return records[interface]  # it was restarted: the new device has no alias yet
    return ""


def _kind(link: dict[str, Any]) -> str:
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def _live(system: System, link: dict[str, Any], owner: str, lines: list[str]) -> Live:
    interface = link["ifname"]
    device = lines[0].split("\t") if lines else ["(none)", "(none)", "0", "off"]
    peers = map(_peer, lines[1:])
    return Live(
        interface=interface,
        owner=owner,
        alias=link.get("ifalias", ""),
        userspace=_kind(link) == "tun",
        up="UP" in link["flags"],
        mtu=link["mtu"],
        addresses=tuple(f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if "local" in a),
        private_key=_some(device[0]),
        public_key=_some(device[1]),
        listen_port=int(device[2]),
        fwmark=device[3],
        peers={peer.public_key: peer for peer in peers},
        sysctls=_sysctls(system, interface) if owner else {},
        kind=_kind(link),
    )


def _peer(line: str) -> LivePeer:
    key, preshared, endpoint, allowed, _, _, _, keepalive = line.split("\t")
    return LivePeer(
        public_key=key,
        preshared_key=_some(preshared),
        endpoint=_some(endpoint),
        allowed_ips=() if allowed == "(none)" else tuple(allowed.split(",")),
        persistent_keepalive=0 if keepalive == "off" else int(keepalive),
    )


def _some(text: str) -> Optional[str]:
    return None if text == "(none)" else text


PARAMETERS = {"rp_filter": "net/ipv4", "accept_local": "net/ipv4", "disable_ipv6": "net/ipv6"}
"""Those of an interface that concern us, and where they are."""


def _sysctls(system: System, interface: str) -> dict[str, Optional[str]]:
    return {name: system.sysctl(f"{folder}/conf/{interface}/{name}") for name, folder in PARAMETERS.items()}


def split_endpoint(endpoint: str) -> tuple[str, str]:
    """Return (host, port) of "host:port" or "[v6]:port"."""
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), port


def resolve(endpoints: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return endpoint → the same with addresses, as `wg` spells them; none where the name has none now.

    All at once: one name server that does not answer costs its time-out once, not once an upstream.
    """
    found: dict[str, tuple[str, ...]] = {}
    names = []
    for endpoint in dict.fromkeys(endpoints):
        host, port = split_endpoint(endpoint)
        try:
            found[endpoint] = (at_port(str(ipaddress.ip_address(host)), port),)
        except ValueError:
            names.append(endpoint)
    if names:
        with ThreadPoolExecutor(max_workers=min(16, len(names))) as pool:
            found.update(zip(names, pool.map(_lookup, names)))
    return found


def _lookup(endpoint: str) -> tuple[str, ...]:
    host, port = split_endpoint(endpoint)
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError):
        return ()
    return tuple(dict.fromkeys(at_port(str(address[0]), port) for *_, address in answers))


def _taken_ports(
    desired: tuple[Device, ...], devices: dict[str, Live], sections: dict[str, list[str]]
) -> dict[int, str]:
    """Return who has a port that a desired interface wants and does not have yet."""
    wanted = set()
    for device in desired:
        live = devices.get(device.interface)
        if device.listen_port and not (live and live.listen_port == device.listen_port):
            wanted.add(device.listen_port)
    if not wanted:
        return {}
    taken = {port: _program(inode) for port, inode in _bound_ports().items() if port in wanted}
    for interface, lines in sections.items():
        port = int(lines[0].split("\t")[2])
        if port in taken:
            taken[port] = f"the interface {interface}"
    return taken


def _bound_ports() -> dict[int, str]:
    """Return UDP port → inode of its socket ("0": the kernel's own)."""
    bound = {}
    for name in ("udp", "udp6"):
        try:
            lines = Path(f"/proc/thread-self/net/{name}").read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue  # no IPv6 here
        for fields in map(str.split, lines):
            bound[int(fields[1].rpartition(":")[2], 16)] = fields[9]
    return bound


def _program(inode: str) -> str:
    """Return the program that holds a socket, in words for a message."""
    holder = holder_of(inode)
    return f"{holder.program} (process {holder.process})" if holder else "another program"
