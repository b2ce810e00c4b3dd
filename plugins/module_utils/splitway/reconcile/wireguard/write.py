# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries WireGuard's changes out: one link, one `wg` and one unit an interface, whatever the number of peers.

Secrets go to `wg` on its standard input and nowhere else. An interface that fails does not keep
the others from being configured: the errors are raised together at the end.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...system import System, SystemFailure
from .. import services
from ..base import REMOVE, Change, ReconcileError
from .configure import configure, configure_peers
from .live import PARAMETERS, alias_of, record_folder, unit_of
from .model import Step, Target

_SOCKETS = Path("/run/wireguard")  # by which `wg` reaches wireguard-go
_PEERS_A_COMMAND = 1000  # 51 bytes each: far below the kernel's limit for arguments


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
    unresolved = configure(system, target) if "configure" in kinds else configure_peers(system, target, steps)
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
            raise ReconcileError(
                f"{unit_of(interface)} runs but made no interface within 5 s: see its journal. With very many tunnels, "
                "raise fs.inotify.max_user_instances: each wireguard-go takes one"
            )
        time.sleep(0.05)


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
        try:
            with system.netlink() as route:
                route.link("del", index=index)
        except SystemFailure as failure:
            if failure.code != errno.ENODEV:  # it went with its wireguard-go, at this moment
                raise


def set_endpoints(system: System, interface: str, endpoints: Iterable[tuple[str, str]]) -> None:
    """Tell an interface where peers are: (public key, "address:port"). Raises SystemFailure."""
    todo = list(endpoints)
    for start in range(0, len(todo), _PEERS_A_COMMAND):
        batch = todo[start : start + _PEERS_A_COMMAND]
        system.run("wg", "set", interface, *(word for key, end in batch for word in ("peer", key, "endpoint", end)))


def set_mtu(system: System, interface: str, mtu: int) -> None:
    """Give an interface an MTU (bytes). Raises SystemFailure."""
    with _link(system, interface) as (route, index):
        _set_link(system, route, index, interface, {"mtu": mtu})


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
