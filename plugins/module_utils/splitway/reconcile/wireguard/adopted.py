# SPDX-License-Identifier: GPL-3.0-or-later
"""A clients' interface that is somebody else's, wg-easy's for one: it is looked at, and nothing of it is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...state import Device
from ..base import ReconcileError
from .live import Current, Live

KINDS = ("wireguard", "amneziawg", "tun")  # the last is wireguard-go's
MOST_NAMED = 5  # peers in a message


def check(desired: Iterable[Device], current: Current) -> None:
    """Raise ReconcileError for an adopted interface that cannot be one of clients."""
    for device in desired:
        live = current.devices.get(device.interface)
        if device.adopted and live is not None and not live.owner and live.kind not in KINDS:
            raise ReconcileError(
                f"the interface {device.interface} is no WireGuard interface: splitway_server.adopt is for one that "
                "somebody else manages, wg-easy for one"
            )


def remarks(device: Device, current: Current, *, unknown_are_refused: bool) -> tuple[str, ...]:
    """Return what an operator should know of an adopted interface: where it is not as the topology says."""
    live = current.devices.get(device.interface)
    if live is None or live.owner:
        return (f"{device.interface} is not there: until whoever manages it has made it, no client can connect",)
    unknown = _unknown(device, live) if unknown_are_refused else ()
    return (*_addresses(device, live), *_port(device, live), *_keys(device, live), *unknown)


def _addresses(device: Device, live: Live) -> Iterator[str]:
    missing = [address for address in device.addresses if address not in live.addresses]
    if missing:
        yield (
            f"{device.interface} has not the address {' and '.join(missing)} of splitway_server.addresses, but "
            f"{', '.join(live.addresses) or 'none'}: its clients ask for names, and are known, by these"
        )


def _port(device: Device, live: Live) -> Iterator[str]:
    # 0: `wg` knows nothing of it, whose wireguard-go has its socket in a container.
    if device.listen_port and live.listen_port not in (0, device.listen_port):
        yield (
            f"{device.interface} listens at udp/{live.listen_port}, and splitway_server.listen_port says "
            f"{device.listen_port}"
        )


def _keys(device: Device, live: Live) -> Iterator[str]:
    owners = {network: key for key, peer in live.peers.items() for network in peer.allowed_ips}
    for client in device.peers:
        found = {owners[network] for network in client.allowed_ips if network in owners}
        if client.public_key is not None and found - {client.public_key}:
            other = ", ".join(sorted(found - {client.public_key}))
            yield f"{device.interface}: the addresses of the client {client.name} are those of another key: {other}"


def _unknown(device: Device, live: Live) -> Iterator[str]:
    known = {network for client in device.peers for network in client.allowed_ips}
    peers = [", ".join(peer.allowed_ips) for peer in live.peers.values() if known.isdisjoint(peer.allowed_ips)]
    unknown = sorted(filter(None, peers))
    if unknown:
        more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        yield (
            f"{device.interface} has peers that are not in splitway_clients: {'; '.join(unknown[:MOST_NAMED])}{more}. "
            "They are refused, unless splitway_server.unknown_clients says what they get"
        )
