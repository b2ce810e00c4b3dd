# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard interfaces: the server's, and one an upstream. Used once a role: ``SERVER``, ``UPSTREAMS``.

The desired section is a tuple of Devices (the server: none or one). What is ours carries the alias
``splitway:server`` or ``splitway:upstream:NAME``; an interface without it is never touched, and one that
is adopted is only looked at (adopted.py). A private
key or a peer's public key that is None is made on the host once and kept there (keypairs.py).

An upstream whose endpoint's name cannot be resolved keeps the address that it has; if it has none,
everything else is applied all the same, then apply raises ReconcileError that names the upstream.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Optional

from ...state import Device, Peer
from ...transports import AUTO, websocket_of
from .. import services
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError
from . import adopted, keypairs
from .adopted import remarks
from .live import SERVER, UPSTREAMS, Current, Live, LivePeer, alias_of, owner_of, read
from .model import Step, Target
from .write import apply, call, set_endpoints, set_mtu

__all__ = [
    "SERVER",
    "UPSTREAMS",
    "Current",
    "apply",
    "call",
    "moves_endpoint",
    "plan",
    "read",
    "remarks",
    "set_endpoints",
    "set_mtu",
]


def plan(desired: tuple[Device, ...], current: Current) -> tuple[Change, ...]:
    """Return the changes: device by device, the interface itself up last; then what is to be removed.

    Raises ReconcileError for an interface that is not ours, a listen port that is taken, a damaged key.
    """
    adopted.check(desired, current)
    own = tuple(device for device in desired if not device.adopted)
    for device in own:
        _check(device, current)
    targets = [_target(device, current) for device in own]
    changes = [change for target in targets for change in _additions(target, current)]
    return (*changes, *(change for target in targets for change in _removals(target)), *_devices_gone(own, current))


def _check(device: Device, current: Current) -> None:
    live = current.devices.get(device.interface)
    if live is not None and not live.owner:
        raise ReconcileError(
            f"the interface {device.interface} of {device.name} exists and was not made by splitway: "
            f"remove it (ip link delete {device.interface}) or choose another name for ours"
        )
    if device.listen_port is not None and device.listen_port in current.taken:
        raise ReconcileError(
            f"the listen port {device.listen_port} of {device.interface} is taken by "
            f"{current.taken[device.listen_port]}: stop it or choose another port"
        )
    for peer in device.peers:
        for key, what in ((peer.public_key, "public"), (peer.preshared_key, "preshared")):
            if key is not None:
                keypairs.check(key, f"{device.interface}: the {what} key of the peer {peer.name}")
        # WireGuard takes such a peer without a word, and has it not.
        if live is not None and device.private_key is None and peer.public_key == live.public_key:
            raise ReconcileError(f"{device.interface}: the public key of the peer {peer.name} is the interface's own")


def _target(device: Device, current: Current) -> Target:
    private = device.private_key
    if private is None:
        private = current.keys.get(device.interface)
    else:
        private = keypairs.canonical(private, f"the private key of {device.interface}")
    keys = {peer.name: peer.public_key or current.clients.get(peer.name) for peer in device.peers}
    return Target(
        device=device,
        owner=owner_of(current.role, device),
        live=current.devices.get(device.interface),
        private_key=private,
        keys=keys,
        endpoints={peer.endpoint: current.endpoints[peer.endpoint] for peer in device.peers if peer.endpoint},
        addresses=tuple(a for a in device.addresses if ":" not in a or _ipv6(current)),
    )


def _ipv6(current: Current) -> bool:
    return current.defaults.get("disable_ipv6") is not None


def _additions(target: Target, current: Current) -> Iterator[Change]:
    device, live = target.device, target.live
    name = device.interface

    def step(kind: str, value: str = "") -> Step:
        return Step(kind, name, value, target)

    if live is None:
        yield Change(ADD, f"interface {name} ({device.name})", payload=step("create"))
    else:
        if live.alias != alias_of(target.owner):
            after = alias_of(target.owner)
            yield Change(CHANGE, f"{name}: alias", live.alias, after, payload=step("alias"))
        if live.userspace and current.unit != services.WIREGUARD_TEXT:
            yield Change(CHANGE, f"unit {services.WIREGUARD}", payload=step("unit"))
    yield from _settings(target, step("configure"))
    for peer in device.peers:
        change = _peer(target, peer, step("peer", peer.name))
        if change is not None:
            yield change
    yield from _parameters(target, current)
    for old, new in _addresses(target):
        if new is not None:
            action = CHANGE if old else ADD
            value = f"{old or ''} {new}"
            yield Change(action, f"{name}: address {new}", old or "", new, payload=step("address", value))
    if device.mtu is not None and (live is None or live.mtu != device.mtu):
        before = str(live.mtu) if live else ""
        yield Change(CHANGE if live else ADD, f"{name}: mtu", before, str(device.mtu), payload=step("mtu"))
    # Last: nothing can come in before the peers are the right ones.
    if live is None or not live.up:
        yield Change(ADD if live is None else CHANGE, f"{name}: up", "down" if live else "", "up", payload=step("up"))


def _parameters(target: Target, current: Current) -> Iterator[Change]:
    device, live = target.device, target.live
    now = live.sysctls if live else current.defaults
    for key, value in _wanted_parameters(target, current).items():
        before = now.get(key)
        if before is not None and before != value:
            action = ADD if live is None else CHANGE
            step = Step("sysctl", device.interface, f"{key} {value}", target)
            yield Change(action, f"{device.interface}: {key}", before, value, payload=step)


def _wanted_parameters(target: Target, current: Current) -> dict[str, str]:
    wanted = {"rp_filter": "2"}
    if current.role == SERVER:
        # WireGuard lets a peer use its own addresses only. Asking the routes as well, which these two together turn
        # off, is a second walk over all ip rules: a seventh of the forwarding rate (ADR 14). The kernel takes the
        # larger of the interface's value and that of all.
        wanted = {"rp_filter": "0" if current.validation == "0" else "2", "accept_local": "1"}
    if any(":" in address for address in target.addresses):
        wanted["disable_ipv6"] = "0"
    return wanted


def _settings(target: Target, step: Step) -> Iterator[Change]:
    device, live = target.device, target.live
    action = CHANGE if live else ADD
    if target.private_key is None:
        yield Change(action, f"{device.interface}: private key", after="made on the host", payload=step)
    elif live is None or live.private_key != target.private_key:
        after = "set" if live is None or live.private_key is None else "changed"
        yield Change(action, f"{device.interface}: private key", after=after, payload=step)
    if device.listen_port and (live is None or live.listen_port != device.listen_port):
        before = str(live.listen_port) if live else ""
        yield Change(action, f"{device.interface}: listen port", before, str(device.listen_port), payload=step)
    mark = "" if device.mark is None else f"{device.mark:#x}"
    if mark and (live is None or live.fwmark != mark):
        yield Change(action, f"{device.interface}: mark", live.fwmark if live else "", mark, payload=step)


def _peer(target: Target, peer: Peer, step: Step) -> Optional[Change]:
    key = target.keys[peer.name]
    live = target.live.peers.get(key) if target.live and key else None
    if live is None:
        return Change(ADD, _what(target, peer), after=", ".join(_wanted(peer, key)), payload=step)
    same = (
        True,
        peer.allowed_ips == live.allowed_ips or _networks(peer.allowed_ips) == _networks(live.allowed_ips),
        _endpoint_kept(peer, live, target),
        peer.persistent_keepalive == live.persistent_keepalive,
        (peer.preshared_key or None) == live.preshared_key,
    )
    if all(same):
        return None
    have, wanted = _describe(live), _wanted(peer, key)
    if live.preshared_key and peer.preshared_key and not same[4]:
        wanted[4] = "preshared key changed"
    differ = [i for i, equal in enumerate(same) if not equal]
    before, after = (", ".join(texts[i] for i in differ) for texts in (have, wanted))
    return Change(CHANGE, _what(target, peer), before, after, payload=step)


def _what(target: Target, peer: Peer) -> str:
    return f"{target.device.interface}: peer {peer.name}"


def _wanted(peer: Peer, key: Optional[str]) -> list[str]:
    """Return what a peer is to be, in the order of `_describe`."""
    return [
        f"public key {key or 'made on the host'}",
        f"allowed {', '.join(peer.allowed_ips) or 'nothing'}",
        f"endpoint {peer.endpoint or 'any'}",
        f"keepalive {peer.persistent_keepalive or 'off'}",
        f"preshared key {'set' if peer.preshared_key else 'none'}",
    ]


def _describe(live: LivePeer) -> list[str]:
    return [
        f"public key {live.public_key}",
        f"allowed {', '.join(live.allowed_ips) or 'nothing'}",
        f"endpoint {live.endpoint or 'none'}",
        f"keepalive {live.persistent_keepalive or 'off'}",
        f"preshared key {'set' if live.preshared_key else 'none'}",
    ]


def _endpoint_kept(peer: Peer, live: LivePeer, target: Target) -> bool:
    """Return whether the peer's endpoint is what it should be. A client's is where it was seen last: never drift.

    Neither is it drift that a tunnel that may take either way is on its WebSocket: the agent tries whether that works.
    """
    if not peer.endpoint:
        return True
    device = target.device
    if device.transport == AUTO and live.endpoint == websocket_of(device):
        return True
    resolved = target.endpoints[peer.endpoint]
    return live.endpoint in resolved if resolved else live.endpoint is not None


def moves_endpoint(change: Change) -> bool:
    """Return whether a change does nothing but give a peer another endpoint.

    Its name may have several addresses, and WireGuard follows a peer that answers from elsewhere: whether the
    tunnel works is what tells if that is right, and not a comparison. A port of our own, where a WebSocket begins,
    is right whatever comes from it.
    """
    words = change.before.split(" ")
    if change.after.startswith("endpoint 127.0.0.1:"):
        return False
    return change.action == CHANGE and ": peer " in change.what and len(words) == 2 and words[0] == "endpoint"


def _networks(allowed: tuple[str, ...]) -> frozenset[str]:
    return frozenset(text if "/" in text else f"{text}/{128 if ':' in text else 32}" for text in allowed)


def _addresses(target: Target) -> Iterator[tuple[Optional[str], Optional[str]]]:
    """Yield (what is there, what should be) where they differ; the same address with another prefix is one change."""
    live = target.live.addresses if target.live else ()
    # The kernel gives a tun device a link-local address of its own.
    ours = [a for a in live if a in target.addresses or not ipaddress.ip_interface(a).is_link_local]
    missing = [a for a in target.addresses if a not in live]
    gone = {a.split("/")[0]: a for a in ours if a not in target.addresses}
    for address in missing:
        yield gone.pop(address.split("/")[0], None), address
    for address in gone.values():
        yield address, None


def _removals(target: Target) -> Iterator[Change]:
    name, live = target.device.interface, target.live
    if live is None:
        return
    wanted = set(target.keys.values())
    for key, peer in live.peers.items():
        if key not in wanted:
            before = ", ".join(_describe(peer)[1:])
            yield Change(REMOVE, f"{name}: peer {key}", before, payload=Step("remove-peer", name, key))
    for old, new in _addresses(target):
        if old is not None and new is None:
            yield Change(REMOVE, f"{name}: address {old}", old, payload=Step("remove-address", name, old))


def _devices_gone(desired: tuple[Device, ...], current: Current) -> Iterator[Change]:
    wanted = {device.interface for device in desired}
    ours = {name: live.owner for name, live in current.devices.items() if live.owner}
    for name, owner in {**current.recorded, **ours}.items():
        if name not in wanted and not _foreign(current.devices.get(name)):
            payload = Step("remove", name, "user space" if name in current.recorded else "")
            yield Change(REMOVE, f"interface {name}", alias_of(owner), payload=payload)


def _foreign(live: Optional[Live]) -> bool:
    return live is not None and not live.owner
