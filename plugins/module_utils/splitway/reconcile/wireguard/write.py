# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries WireGuard's changes out: one link, one `wg syncconf` and one unit an interface, whatever the number of peers.

Secrets go to `wg` on its standard input and nowhere else. An interface that fails does not keep
the others from being configured: the errors are raised together at the end.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ...state import Device, Peer
from ...system import System, SystemFailure
from .. import services
from ..base import REMOVE, Change, ReconcileError
from . import keypairs
from .live import PARAMETERS, Live, alias_of, record_folder, resolve, unit_of

_SOCKETS = Path("/run/wireguard")  # by which `wg` reaches wireguard-go
_PEERS_A_COMMAND = 1000  # 51 bytes each: far below the kernel's limit for arguments


@dataclass(frozen=True)
class Target:
    """One interface as it should be, and as it was read; every step of the interface has the same."""

    device: Device
    owner: str
    live: Optional[Live]
    private_key: Optional[str] = field(repr=False)  # None: to be made
    keys: Mapping[str, Optional[str]]  # peer's name → public key; None: to be made
    endpoints: Mapping[str, tuple[str, ...]]  # as read; none: it could not be resolved
    addresses: tuple[str, ...]  # those of the families that the host has


@dataclass(frozen=True)
class Step:
    """What one Change does: the payload."""

    kind: str
    interface: str
    value: str = ""
    target: Optional[Target] = None  # None in removals


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out exactly these changes. Raises ReconcileError that names each interface that failed, and why."""
    if changes:
        _require(system, changes)
    errors = []
    for removing in (False, True):
        for interface, steps in _by_interface(changes, removing).items():
            try:
                (_remove if removing else _add)(system, interface, steps)
            except (SystemFailure, ReconcileError) as error:
                errors.append(f"{interface}: {error}")
    if errors:
        raise ReconcileError("; ".join(errors))


def _require(system: System, changes: tuple[Change, ...]) -> None:
    for program, package in (("wg", "wireguard-tools"), ("ip", "iproute2")):
        if not system.has(program) and any(change.action != REMOVE for change in changes):
            raise ReconcileError(f"{program} is not installed: install the package {package}")


def _by_interface(changes: tuple[Change, ...], removing: bool) -> dict[str, list[Step]]:
    groups: dict[str, list[Step]] = {}
    for change in changes:
        if (change.action == REMOVE) == removing:
            groups.setdefault(change.payload.interface, []).append(change.payload)
    return groups


def _add(system: System, interface: str, steps: list[Step]) -> None:
    target = steps[0].target
    assert target is not None  # noqa: S101 (only removals have none)
    kinds = {step.kind for step in steps}
    if "unit" in kinds:
        system.units.write(services.WIREGUARD, services.WIREGUARD_TEXT)
    if "create" in kinds:
        _create(system, target)
    unresolved = _configure(system, target) if "configure" in kinds else []
    for step in steps:
        if step.kind == "sysctl":
            _sysctl(system, interface, *step.value.split(" "))
    settings: dict[str, dict[str, Any]] = {
        "alias": {"ifalias": alias_of(target.owner)},
        "mtu": {"mtu": target.device.mtu},
        "up": {"state": "up"},  # the plan has it last
    }
    with _link(system, interface) as (route, index):
        for step in steps:
            if step.kind == "address":
                _address(system, route, index, interface, *step.value.split(" "))
            elif step.kind in settings:
                _set_link(system, route, index, interface, settings[step.kind])
    if unresolved:
        raise ReconcileError(f"no address was found for {' and '.join(unresolved)}; all else is configured")


@contextmanager
def _link(system: System, interface: str) -> Iterator[tuple[Any, int]]:
    with system.netlink() as route:
        index = system.interface_index(interface)
        if index is None:
            raise SystemFailure("the interface is gone")
        yield route, index


def _set_link(system: System, route: Any, index: int, interface: str, settings: dict[str, Any]) -> None:
    system.commands.append(f"ip link set {interface} " + " ".join(f"{key} {value}" for key, value in settings.items()))
    route.link("set", index=index, **settings)


def _address(system: System, route: Any, index: int, interface: str, old: str, new: str) -> None:
    # IPv6 does not take an address twice with different prefixes: the old one goes first.
    for verb, address in (("del", old), ("add", new)):
        if address:
            host, _, length = address.partition("/")
            system.commands.append(f"ip address {verb} {address} dev {interface}")
            route.addr(verb, index=index, address=host, prefixlen=int(length))


def _sysctl(system: System, interface: str, name: str, value: str) -> None:
    key = f"{PARAMETERS[name]}/conf/{interface}/{name}"
    if system.sysctl(key) is not None:
        system.set_sysctl(key, value)


def _create(system: System, target: Target) -> None:
    """Create the link: the kernel's, else wireguard-go's, run by systemd."""
    interface = target.device.interface
    try:
        with system.netlink() as route:
            route.link("add", ifname=interface, kind="wireguard")
    except SystemFailure as failure:
        if failure.code != errno.EOPNOTSUPP:
            raise
        _create_in_user_space(system, target)
    else:
        system.commands.append(f"ip link add {interface} type wireguard")
    with _link(system, interface) as (route, index):
        _set_link(system, route, index, interface, {"ifalias": alias_of(target.owner)})


def _create_in_user_space(system: System, target: Target) -> None:
    interface = target.device.interface
    if not system.has("wireguard-go"):
        raise ReconcileError("this kernel has no WireGuard: install the package wireguard-go")
    if not system.units.available():
        raise ReconcileError("this kernel has no WireGuard, and there is no systemd to run wireguard-go")
    system.write_file(record_folder(system) / interface, target.owner + "\n")
    system.units.write(services.WIREGUARD, services.WIREGUARD_TEXT)
    # Not start: a wireguard-go that has lost its link may not have ended yet.
    system.units.restart(unit_of(interface))
    deadline = time.monotonic() + 5
    while system.interface_index(interface) is None or not (_SOCKETS / f"{interface}.sock").exists():
        if time.monotonic() > deadline:
            raise ReconcileError(f"{unit_of(interface)} runs but made no interface within 5 s: see its journal")
        time.sleep(0.05)


def _configure(system: System, target: Target) -> list[str]:
    """Bring keys, listen port and peers in by one `wg syncconf`; return the endpoints that have no address."""
    device = target.device
    private = target.private_key
    if private is None:
        private, _ = keypairs.make(system, keypairs.interface_path(system, device.interface))
    missing = [name for name, key in target.keys.items() if key is None]
    keys = {name: key for name, key in target.keys.items() if key} | keypairs.make_clients(system, missing)
    endpoints, unresolved = _endpoints(target)
    text = configuration(target, private, keys, endpoints)
    try:
        system.run("wg", "syncconf", device.interface, "/dev/stdin", input=text)
    except SystemFailure as failure:
        raise SystemFailure(_redacted(str(failure), private, device.peers)) from None
    return unresolved


def _endpoints(target: Target) -> tuple[dict[str, str], list[str]]:
    """Return endpoint → the address to set, and those of peers that have none, old or new."""
    chosen, unresolved = {}, []
    live = target.live.peers if target.live else {}
    for peer in target.device.peers:
        if not peer.endpoint:
            continue
        known = live.get(target.keys[peer.name] or "")
        found = target.endpoints[peer.endpoint] or resolve([peer.endpoint])[peer.endpoint]
        if found:
            # A name with several addresses: the one in use stays.
            chosen[peer.endpoint] = known.endpoint if known and known.endpoint in found else found[0]
        elif known is None or known.endpoint is None:
            unresolved.append(peer.endpoint)
    return chosen, unresolved


def configuration(target: Target, private: str, keys: Mapping[str, str], endpoints: Mapping[str, str]) -> str:
    """Return what `wg syncconf` reads. Peers that are not wanted any more stay: their removal is a step of its own.

    `wg` resets what the text leaves out of the interface, and keeps what it leaves out of a peer: so both are
    always complete. An address that now belongs to another peer is not given to one that only stays.
    """
    device, live = target.device, target.live
    port = device.listen_port or (live.listen_port if live else 0)
    fwmark = live.fwmark if live else "off"
    lines = ["[Interface]", f"PrivateKey = {private}", f"ListenPort = {port}", f"FwMark = {fwmark}"]
    claimed = {address for peer in device.peers for address in peer.allowed_ips}
    wanted = set(keys.values())
    for old in live.peers.values() if live else ():
        if old.public_key not in wanted:
            allowed = [address for address in old.allowed_ips if address not in claimed]
            lines += _peer_lines(old.public_key, old.preshared_key, allowed, old.endpoint, old.persistent_keepalive)
    for peer in device.peers:
        endpoint = endpoints.get(peer.endpoint or "")
        lines += _peer_lines(keys[peer.name], peer.preshared_key, peer.allowed_ips, endpoint, peer.persistent_keepalive)
    return "\n".join(lines) + "\n"


def _peer_lines(
    key: str, preshared: Optional[str], allowed: Iterable[str], endpoint: Optional[str], keepalive: int
) -> list[str]:
    lines = [
        "[Peer]",
        f"PublicKey = {key}",
        f"PresharedKey = {preshared or keypairs.NONE}",
        f"PersistentKeepalive = {keepalive or 'off'}",
    ]
    lines += [f"AllowedIPs = {network}" for network in allowed]
    if endpoint:
        lines.append(f"Endpoint = {endpoint}")
    return lines


def _redacted(message: str, private: str, peers: tuple[Peer, ...]) -> str:
    """Return the message without secrets: `wg` quotes the line that it does not like."""
    for secret in (private, *(peer.preshared_key for peer in peers)):
        if secret:
            message = message.replace(secret, "…")
    return message


def _remove(system: System, interface: str, steps: list[Step]) -> None:
    peers = [step.value for step in steps if step.kind == "remove-peer"]
    for start in range(0, len(peers), _PEERS_A_COMMAND):
        words = [word for key in peers[start : start + _PEERS_A_COMMAND] for word in ("peer", key, "remove")]
        system.run("wg", "set", interface, *words)
    addresses = [step.value for step in steps if step.kind == "remove-address"]
    if addresses:
        # Without this the kernel takes the other addresses of the network along.
        system.set_sysctl(f"net/ipv4/conf/{interface}/promote_secondaries", "1")
        with _link(system, interface) as (route, index):
            for address in addresses:
                _address(system, route, index, interface, address, "")
    for step in steps:
        if step.kind == "remove":
            _remove_device(system, interface, userspace=bool(step.value))


def _remove_device(system: System, interface: str, userspace: bool) -> None:
    if userspace:
        system.units.stop(unit_of(interface))
        system.remove_file(record_folder(system) / interface)
        if not system.list_files(record_folder(system)):
            system.units.remove(services.WIREGUARD)
    index = system.interface_index(interface)
    if index is not None:
        system.commands.append(f"ip link delete {interface}")
        with system.netlink() as route:
            route.link("del", index=index)


def set_endpoints(system: System, interface: str, endpoints: Iterable[tuple[str, str]]) -> None:
    """Tell an interface where peers are: (public key, "address:port"). Raises SystemFailure."""
    todo = list(endpoints)
    for start in range(0, len(todo), _PEERS_A_COMMAND):
        batch = todo[start : start + _PEERS_A_COMMAND]
        system.run("wg", "set", interface, *(word for key, end in batch for word in ("peer", key, "endpoint", end)))


def call(system: System, interface: str, keys: Iterable[str]) -> None:
    """Have an interface shake hands now with peers that have no keepalive. Raises SystemFailure.

    A peer that still holds the session of an interface which was made anew notices only after 15 s of silence
    (KEEPALIVE_TIMEOUT and REKEY_TIMEOUT). WireGuard sends a keepalive at the moment when they are switched on.
    """
    todo = list(keys)
    for start in range(0, len(todo), _PEERS_A_COMMAND):
        batch = todo[start : start + _PEERS_A_COMMAND]
        for keepalive in ("1", "off"):
            words = (word for key in batch for word in ("peer", key, "persistent-keepalive", keepalive))
            system.run("wg", "set", interface, *words)
